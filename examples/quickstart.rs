//! A listener and a client of the same process in one loop: the smallest whole Litio program.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use litio::net::{TcpListener, TcpStream};
use litio::{Events, Interest, Poll, Token};

// A token comes back with each event and says which source it is about. Any `usize` will do.
const LISTENER: Token = Token(0);
const CLIENT: Token = Token(1);

fn main() -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(128);

    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;

    // Only starts to connect. An event tells how it went.
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    poll.registry()
        .register(&mut client, CLIENT, Interest::READABLE | Interest::WRITABLE)?;

    let mut greeting = Vec::new();
    loop {
        match poll.poll(&mut events, None) {
            Err(err) if err.kind() == ErrorKind::Interrupted => continue, // a signal: poll again
            result => result?,
        }

        for event in &events {
            match event.token() {
                // One event may stand for many connections: accept until nobody is waiting.
                LISTENER => loop {
                    match listener.accept() {
                        // A new connection has room for a few bytes. More would have to wait for
                        // a writable event, as `tcp_echo` shows. Dropping the stream closes it.
                        Ok((mut stream, peer)) => writeln!(stream, "Hello, {peer}!")?,
                        Err(err) if err.kind() == ErrorKind::WouldBlock => break,
                        Err(err) => return Err(err),
                    }
                },
                CLIENT => {
                    // Did the attempt to connect fail?
                    if let Some(err) = client.take_error()? {
                        return Err(err);
                    }
                    // Likewise, read until there is nothing left.
                    match client.read_to_end(&mut greeting) {
                        Ok(_) => {
                            print!("{}", String::from_utf8_lossy(&greeting));
                            return Ok(());
                        }
                        // Not everything is here yet, or the connection is not: wait for an event.
                        Err(err) if err.kind() == ErrorKind::WouldBlock => {}
                        Err(err) if err.kind() == ErrorKind::NotConnected => {}
                        Err(err) => return Err(err),
                    }
                }
                token => unreachable!("nothing is registered as {token:?}"),
            }
        }
    }
}
