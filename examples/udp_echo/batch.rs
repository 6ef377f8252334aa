//! The same echo, many datagrams per call: what a peer sent in one run goes back in one run.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use litio::net::UdpSocket;
use litio::net::datagrams::{Batch, RecvRun, SendRun, Wanted};
use litio::{Events, Interest, Poll};

use crate::{LOST_AFTER, Options, SOCKET, STOP};

/// Coalesced runs need room for 65,535 bytes each.
fn buffers() -> [RecvRun<Vec<u8>>; 8] {
    [(); 8].map(|()| RecvRun::new(vec![0; 65_535]))
}

/// Echoes until it is told to stop.
pub(crate) fn serve(mut poll: Poll, mut socket: UdpSocket) -> io::Result<()> {
    let mut events = Events::with_capacity(8);
    let batch = Batch::new(&socket, Wanted::COALESCED)?;
    let mut runs = buffers();
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut socket, SOCKET, interest)?;
    loop {
        match socket.recv_runs(&batch, &mut runs) {
            Ok(filled) => {
                for run in &runs[..filled] {
                    let answer = SendRun::new(run.contents()).segment_len(run.segment_len());
                    // A UDP server whose buffers are full may drop: the peer counts it as lost.
                    match socket.send_runs(&batch, &[answer.to(run.source())]) {
                        Err(err) if err.kind() != ErrorKind::WouldBlock => {
                            eprintln!("udp_echo: {err}");
                        }
                        Ok(_) | Err(_) => {}
                    }
                }
            }
            Err(err) if err.kind() == ErrorKind::WouldBlock => {
                match poll.poll(&mut events, None) {
                    Err(err) if err.kind() == ErrorKind::Interrupted => {} // a signal came
                    result => result?,
                }
                if events.iter().any(|event| event.token() == STOP) {
                    return Ok(());
                }
            }
            // Some systems report here that a peer is gone. The others are still to be served.
            Err(err) => eprintln!("udp_echo: {err}"),
        }
    }
}

/// Sends a window in one run, waits until it is answered or lost, and again.
pub(crate) fn load(options: &Options, server: SocketAddr) -> Result<(), Box<dyn Error>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(8);
    let mut socket = UdpSocket::bind("127.0.0.1:0".parse()?)?;
    socket.connect(server)?; // from now on it sends there, and hears nobody else
    let batch = Batch::new(&socket, Wanted::COALESCED)?;
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut socket, SOCKET, interest)?;

    let size = usize::from(options.size);
    let contents = vec![b'x'; size * options.window];
    let mut runs = buffers();
    let (mut answered, mut lost) = (0, 0);
    println!("{} datagrams in a piece at most", batch.max_segments());
    for second in 1..=options.seconds {
        let (before, tick) = (answered, Instant::now() + Duration::from_secs(1));
        while Instant::now() < tick {
            let mut window = [SendRun::new(&contents).segment_len(size)];
            let mut unsent = &mut window[..];
            let mut under_way = 0;
            let deadline = Instant::now() + LOST_AFTER;
            while (under_way > 0 || !unsent.is_empty()) && Instant::now() < deadline {
                let sent = match socket.send_runs(&batch, unsent) {
                    Err(err) if err.kind() == ErrorKind::WouldBlock => 0,
                    result => result?,
                };
                under_way += sent;
                SendRun::advance_runs(&mut unsent, sent);
                match socket.recv_runs(&batch, &mut runs) {
                    Ok(filled) => {
                        // One that was given up may come after all; it is counted then.
                        let count: usize = runs[..filled].iter().map(RecvRun::count).sum();
                        answered += count;
                        under_way = under_way.saturating_sub(count);
                    }
                    Err(err) if err.kind() == ErrorKind::WouldBlock => {
                        match poll.poll_until(&mut events, deadline) {
                            Err(err) if err.kind() == ErrorKind::Interrupted => {}
                            result => result?,
                        }
                    }
                    Err(err) => return Err(err.into()),
                }
            }
            lost += under_way;
        }
        println!("{second:3} s {:9} datagrams/s", answered - before);
    }
    println!("{answered} answered, {lost} lost");
    Ok(())
}
