//! A UDP echo server and its own load: datagrams per second there and back, and how many get lost.
//!
//! ```text
//! cargo run --release --example udp_echo -- --size 512 --window 32
//! ```

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;
use litio::net::UdpSocket;
use litio::{Events, Interest, Poll, Token, Waker};

/// Measures an echo over UDP.
#[derive(Parser)]
struct Options {
    /// Bytes in a datagram
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(8..=65_507))]
    size: u16,
    /// Datagrams under way at once
    #[arg(long, default_value_t = 16)]
    window: usize,
    /// How long to measure
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

fn main() {
    if let Err(err) = run(&Options::parse()) {
        eprintln!("udp_echo: {err}");
        std::process::exit(2);
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind("127.0.0.1:0".parse()?)?;
    let address = socket.local_addr()?;
    let poll = Poll::new()?;
    let stop = Waker::new(poll.registry(), STOP)?;
    let server = thread::spawn(move || serve(poll, socket));
    load(options, address)?;
    stop.wake()?;
    Ok(server.join().expect("the server does not panic")?)
}

const SOCKET: Token = Token(0);
const STOP: Token = Token(1);
const LOST_AFTER: Duration = Duration::from_millis(100);

fn serve(mut poll: Poll, mut socket: UdpSocket) -> io::Result<()> {
    let mut events = Events::with_capacity(8);
    let mut buffer = vec![0; 65_536];
    let mut unsent: Option<(usize, SocketAddr)> = None; // what is in `buffer`, and for whom
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut socket, SOCKET, interest)?;
    loop {
        match poll.poll(&mut events, None) {
            Err(err) if err.kind() == ErrorKind::Interrupted => continue, // a signal came
            result => result?,
        }
        if events.iter().any(|event| event.token() == STOP) {
            return Ok(());
        }
        loop {
            let result = match unsent {
                Some((n, peer)) => socket.send_to(&buffer[..n], peer).map(|_| None),
                None => socket.recv_from(&mut buffer).map(Some),
            };
            match result {
                Ok(received) => unsent = received,
                Err(err) if err.kind() == ErrorKind::WouldBlock => break, // until the next event
                // Some systems report here that a peer is gone. The others are still to be served.
                Err(err) => {
                    eprintln!("udp_echo: {err}");
                    unsent = None;
                }
            }
        }
    }
}

fn load(options: &Options, server: SocketAddr) -> Result<(), Box<dyn Error>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(8);
    let mut socket = UdpSocket::bind("127.0.0.1:0".parse()?)?;
    socket.connect(server)?; // from now on it sends there, and hears nobody else
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut socket, SOCKET, interest)?;

    let mut datagram = vec![b'x'; options.size.into()];
    let mut numbers = 0u64..;
    let mut under_way = VecDeque::new(); // the number of each datagram, and when it left
    let mut latencies = Histogram::<u64>::new_with_max(LOST_AFTER.as_nanos() as u64, 3)?;
    let (mut answered, mut lost) = (0, 0);
    for second in 1..=options.seconds {
        let (before, tick) = (answered, Instant::now() + Duration::from_secs(1));
        while Instant::now() < tick {
            while under_way.front().is_some_and(is_lost) {
                under_way.pop_front();
                lost += 1;
            }
            while under_way.len() < options.window {
                let number = numbers.next().expect("numbers do not run out");
                datagram[..8].copy_from_slice(&number.to_ne_bytes());
                match socket.send(&datagram) {
                    Ok(_) => under_way.push_back((number, Instant::now())),
                    Err(err) if err.kind() == ErrorKind::WouldBlock => break,
                    Err(err) => return Err(err.into()),
                }
            }
            match socket.recv(&mut datagram) {
                Ok(_) => {
                    let is_it = |(number, _): &(u64, _)| number.to_ne_bytes() == datagram[..8];
                    // One that was given up may come after all: then it is no longer in the list.
                    if let Some(i) = under_way.iter().position(is_it) {
                        let (_, since) = under_way.remove(i).expect("it was found there");
                        latencies.saturating_record(since.elapsed().as_nanos() as u64);
                        answered += 1;
                    }
                }
                // Both directions have been tried: time to wait. There is one source only, so
                // whatever the events say, the next round tries both again.
                Err(err) if err.kind() == ErrorKind::WouldBlock => {
                    let deadline = tick.min(Instant::now() + LOST_AFTER);
                    match poll.poll_until(&mut events, deadline) {
                        Err(err) if err.kind() == ErrorKind::Interrupted => {}
                        result => result?,
                    }
                }
                Err(err) => return Err(err.into()),
            }
        }
        println!("{second:3} s {:9} datagrams/s", answered - before);
    }
    let us = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    println!("{answered} answered, {lost} lost");
    println!("latency p50 {:.1} µs, p99 {:.1} µs", us(0.5), us(0.99));
    Ok(())
}

fn is_lost((_, since): &(u64, Instant)) -> bool {
    since.elapsed() > LOST_AFTER
}
