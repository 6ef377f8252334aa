//! A UDP echo server and its own load: datagrams per second there and back, and how many get lost.
//!
//! ```text
//! cargo run --release --example udp_echo -- --size 512 --window 32
//! cargo run --release --example udp_echo -- --window 64 --batch
//! ```
//!
//! Datagram by datagram here and in `load.rs`; many per call, with `--batch`, in `batch.rs`.

mod batch;
mod load;

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use clap::Parser;
use litio::net::UdpSocket;
use litio::{Events, Interest, Poll, Token, Waker};

/// Measures an echo over UDP.
#[derive(Parser)]
struct Options {
    /// Bytes in a datagram
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(8..=65_507))]
    size: u16,
    /// Datagrams in flight at once
    #[arg(long, default_value_t = 16)]
    window: usize,
    /// Send and receive many datagrams per call: a whole window as one run
    #[arg(long)]
    batch: bool,
    /// How long to measure, in seconds
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
    if cfg!(target_family = "wasm") {
        return Err("the load needs a second thread, which WASI does not have".into());
    }
    let socket = UdpSocket::bind("127.0.0.1:0".parse()?)?;
    let address = socket.local_addr()?;
    let poll = Poll::new()?;
    let stop = Waker::new(poll.registry(), STOP)?;
    let serve = if options.batch { batch::serve } else { serve };
    let server = thread::spawn(move || serve(poll, socket));
    if options.batch {
        batch::load(options, address)?;
    } else {
        load::run(options, address)?;
    }
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
