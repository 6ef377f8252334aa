//! The load: many connections on one thread, each with one message in flight.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use litio::net::TcpStream;
use litio::{Events, Interest, Poll, Token};

use crate::Options;

const MINUTE_NS: u64 = 60_000_000_000;

pub(crate) fn run(options: &Options, server: SocketAddr) -> Result<(), Box<dyn Error>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut clients = Vec::new();
    for token in (0..options.connections.get()).map(Token) {
        let mut client = Client::connect(server)
            .map_err(|err| format!("cannot open connection {}: {err}", token.0 + 1))?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(&mut client.stream, token, interest)?;
        clients.push(client);
    }

    let message = vec![b'x'; options.size.get()];
    let mut latencies = Histogram::new_with_max(MINUTE_NS, 3)?;
    let start = Instant::now();
    for second in 1..=options.seconds {
        let tick = start + Duration::from_secs(second);
        let before = latencies.len();
        loop {
            match poll.poll_until(&mut events, tick) {
                Err(err) if err.kind() == ErrorKind::Interrupted => continue, // a signal came
                result => result?,
            }
            for event in &events {
                clients[event.token().0].exchange(&message, &mut latencies)?;
            }
            if Instant::now() >= tick {
                break;
            }
        }
        println!("{second:3} s {:9} messages/s", latencies.len() - before);
    }

    let rate = latencies.len() as f64 / start.elapsed().as_secs_f64();
    println!("total {rate:9.0} messages/s");
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let latency = Duration::from_nanos(latencies.value_at_quantile(quantile));
        println!("{name:5} {latency:>9.1?}");
    }
    Ok(())
}

struct Client {
    stream: TcpStream,
    sent: usize,
    received: usize,
    sending_since: Instant,
}

impl Client {
    /// Waits until it is connected, so that nothing but the echo is measured. The guide shows how
    /// to connect without waiting.
    fn connect(server: SocketAddr) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(server)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            sent: 0,
            received: 0,
            sending_since: Instant::now(),
        })
    }

    /// Sends the message and receives it again, over and over, until it has to wait.
    fn exchange(&mut self, message: &[u8], latencies: &mut Histogram<u64>) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            if self.sent == 0 {
                self.sending_since = Instant::now();
            }
            while self.sent < message.len() {
                match self.stream.write(&message[self.sent..]) {
                    Ok(n) => self.sent += n,
                    // Reads all the same: if neither end reads, neither can write.
                    Err(err) if err.kind() == ErrorKind::WouldBlock => break,
                    Err(err) => return Err(err),
                }
            }
            while self.received < message.len() {
                match self.stream.read(&mut buffer) {
                    Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                    Ok(n) => self.received += n,
                    Err(err) if err.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(err) => return Err(err),
                }
            }
            latencies.saturating_record(self.sending_since.elapsed().as_nanos() as u64);
            (self.sent, self.received) = (0, 0);
        }
    }
}
