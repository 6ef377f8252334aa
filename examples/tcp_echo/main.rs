//! An echo server over TCP, and, in `load.rs`, a load to try it with.
//!
//! ```text
//! cargo run --release --example tcp_echo
//! cargo run --release --example tcp_echo -- --connections 500 --size 1024 --seconds 10
//! cargo run --release --example tcp_echo -- --serve 127.0.0.1:7000      (and: nc 127.0.0.1 7000)
//! ```

mod load;

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::thread;

use clap::Parser;
use litio::net::{TcpListener, TcpStream};
use litio::{Events, Interest, Poll, Token, Waker};

/// Measures an echo over TCP: messages per second, and how long a round trip takes.
#[derive(Parser)]
struct Options {
    /// Only serve, on this address, until Ctrl-C
    #[arg(long, value_name = "ADDR")]
    serve: Option<String>,
    /// Connections to open, each with one message in flight
    #[arg(long, default_value = "64")]
    connections: NonZeroUsize,
    /// Bytes in a message
    #[arg(long, default_value = "64")]
    size: NonZeroUsize,
    /// How long to measure, in seconds
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

fn main() {
    if let Err(err) = run(&Options::parse()) {
        eprintln!("tcp_echo: {err}");
        std::process::exit(2);
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let wanted = options.serve.as_deref().unwrap_or("127.0.0.1:0");
    let listener = listen(wanted).map_err(|err| format!("cannot listen on {wanted}: {err}"))?;
    let address = listener.local_addr()?;
    let poll = Poll::new()?;
    if options.serve.is_some() {
        println!("echoing on {address} until Ctrl-C");
        return Ok(serve(poll, listener)?);
    }
    if cfg!(target_family = "wasm") {
        return Err("the load needs a second thread, which WASI does not have; try --serve".into());
    }
    let stop = Waker::new(poll.registry(), STOP)?;
    let server = thread::spawn(move || serve(poll, listener));
    load::run(options, address)?;
    stop.wake()?;
    Ok(server.join().expect("the server does not panic")?)
}

fn listen(address: &str) -> Result<TcpListener, Box<dyn Error>> {
    let address: SocketAddr = address
        .parse()
        .map_err(|_| "not an IP address with a port, such as 127.0.0.1:7000")?;
    Ok(TcpListener::bind(address)?)
}

const LISTENER: Token = Token(0);
const STOP: Token = Token(1);

fn serve(mut poll: Poll, mut listener: TcpListener) -> io::Result<()> {
    let mut events = Events::with_capacity(1024);
    let mut connections = HashMap::new();
    let mut tokens = (2..).map(Token); // each used once: a late event never meets a newcomer
    let mut buffer = [0; 16 * 1024];

    let registry = poll.registry().try_clone()?;
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    loop {
        match poll.poll(&mut events, None) {
            Err(err) if err.kind() == ErrorKind::Interrupted => continue, // a signal came
            result => result?,
        }
        for event in &events {
            match event.token() {
                STOP => return Ok(()),
                // One event may stand for many connections: accept until nobody waits.
                LISTENER => loop {
                    match listener.accept() {
                        Ok((mut stream, _)) => {
                            stream.set_nodelay(true)?;
                            let token = tokens.next().expect("numbers do not run out");
                            let interest = Interest::READABLE | Interest::WRITABLE;
                            registry.register(&mut stream, token, interest)?;
                            let unsent = Vec::new();
                            connections.insert(token, Connection { stream, unsent });
                        }
                        Err(err) if err.kind() == ErrorKind::WouldBlock => break,
                        Err(err) if err.kind() == ErrorKind::ConnectionAborted => {} // next, please
                        Err(err) => {
                            eprintln!("tcp_echo: cannot accept: {err}");
                            break;
                        }
                    }
                },
                token => {
                    let Some(connection) = connections.get_mut(&token) else {
                        continue;
                    };
                    match connection.echo(&mut buffer) {
                        Err(err) if err.kind() == ErrorKind::WouldBlock => {} // until the next event
                        Ok(()) | Err(_) => {
                            connections.remove(&token);
                            // Somebody may be waiting for this descriptor: ask again.
                            registry.reregister(&mut listener, LISTENER, Interest::READABLE)?;
                        }
                    }
                }
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    unsent: Vec<u8>,
}

impl Connection {
    /// Sends back what comes in, until the peer has finished. `WouldBlock` is the error that means
    /// "not now": the next event resumes here.
    fn echo(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            // Reads no more until all is sent: a peer that does not read slows down only itself.
            while !self.unsent.is_empty() {
                let n = self.stream.write(&self.unsent)?;
                self.unsent.drain(..n);
            }
            match self.stream.read(buffer)? {
                0 => return Ok(()),
                n => self.unsent.extend_from_slice(&buffer[..n]),
            }
        }
    }
}
