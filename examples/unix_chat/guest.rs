//! A guest: says who it is and hello, and stays until two others have.

use std::io::{self, ErrorKind, Read, Write};

use litio::net::UnixStream;
use litio::{Events, Interest, Poll, Token};

pub(crate) fn visit(mut stream: UnixStream, name: &str) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(8);
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut stream, Token(0), interest)?;

    let mut unsent = format!("{name}\nHello from {name}!\n").into_bytes();
    let mut heard = Vec::new();
    let mut chunk = [0; 1024];
    let mut greetings = 0;
    while greetings < 2 {
        match poll.poll(&mut events, None) {
            Err(err) if err.kind() == ErrorKind::Interrupted => continue, // a signal came
            result => result?,
        }
        // Whatever has happened: try both, until there is no more to do.
        while !unsent.is_empty() {
            match stream.write(&unsent) {
                Ok(n) => drop(unsent.drain(..n)),
                Err(err) if is_early(&err) => break,
                Err(err) => return Err(err),
            }
        }
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(n) => heard.extend_from_slice(&chunk[..n]),
                Err(err) if is_early(&err) => break,
                Err(err) => return Err(err),
            }
        }
        while let Some(end) = heard.iter().position(|&byte| byte == b'\n') {
            let line = String::from_utf8_lossy(&heard[..end]).into_owned();
            heard.drain(..=end);
            println!("{name} reads {line:?}");
            greetings += 1;
        }
    }
    Ok(())
}

/// There is nothing to read yet, or no connection yet.
fn is_early(err: &io::Error) -> bool {
    matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}
