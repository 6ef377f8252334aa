//! The room: what a guest says, line by line, goes to all the others. The first line is the name.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};

use litio::net::{UnixListener, UnixStream};
use litio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(0);
const LINE_MAX: usize = 4096;
const UNSENT_MAX: usize = 64 * 1024;

/// Serves forever, or until `guests_max` guests have come and gone.
pub(crate) fn serve(mut listener: UnixListener, guests_max: Option<usize>) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(128);
    let mut tokens = (1..).map(Token); // each used once: a late event never meets a newcomer
    let (mut guests, mut gone) = (HashMap::new(), 0);

    let registry = poll.registry().try_clone()?;
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    while guests_max != Some(gone) {
        match poll.poll(&mut events, None) {
            Err(err) if err.kind() == ErrorKind::Interrupted => continue, // a signal came
            result => result?,
        }
        for event in &events {
            match event.token() {
                LISTENER => loop {
                    match listener.accept() {
                        Ok((mut stream, _)) => {
                            let token = tokens.next().expect("numbers do not run out");
                            let interest = Interest::READABLE | Interest::WRITABLE;
                            registry.register(&mut stream, token, interest)?;
                            guests.insert(token, Guest::new(stream));
                        }
                        Err(err) if err.kind() == ErrorKind::WouldBlock => break,
                        Err(err) if err.kind() == ErrorKind::ConnectionAborted => {} // next, please
                        Err(err) => {
                            eprintln!("unix_chat: cannot accept: {err}");
                            break;
                        }
                    }
                },
                token => {
                    // Taken out while speaking, so that those who are in are all the others.
                    let Some(mut guest) = guests.remove(&token) else {
                        continue;
                    };
                    let mut said = String::new();
                    let stays = guest.listen(&mut said);
                    guests.values_mut().for_each(|other| other.tell(&said));
                    if stays {
                        guests.insert(token, guest);
                    } else {
                        gone += 1;
                        // Somebody may be waiting for this descriptor: ask again.
                        drop(guest);
                        registry.reregister(&mut listener, LISTENER, Interest::READABLE)?;
                    }
                }
            }
        }
        guests.values_mut().for_each(Guest::flush);
    }
    Ok(())
}

struct Guest {
    stream: UnixStream,
    name: String,
    heard: Vec<u8>,
    unsent: Vec<u8>,
}

impl Guest {
    fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            name: String::new(),
            heard: Vec::new(),
            unsent: Vec::new(),
        }
    }

    /// Appends what the guest says to `said`. False if the guest will say no more.
    fn listen(&mut self, said: &mut String) -> bool {
        let mut chunk = [0; 1024];
        while self.heard.len() < LINE_MAX {
            match self.stream.read(&mut chunk) {
                Ok(n) if n > 0 => self.heard.extend_from_slice(&chunk[..n]),
                Err(err) if err.kind() == ErrorKind::WouldBlock => return true,
                Ok(_) | Err(_) => break,
            }
            while let Some(end) = self.heard.iter().position(|&byte| byte == b'\n') {
                let line = String::from_utf8_lossy(&self.heard[..end]).into_owned();
                self.heard.drain(..=end);
                if self.name.is_empty() {
                    self.name = line;
                } else {
                    *said += &format!("{}: {line}\n", self.name);
                }
            }
        }
        false
    }

    fn tell(&mut self, said: &str) {
        if self.unsent.len() < UNSENT_MAX {
            self.unsent.extend_from_slice(said.as_bytes());
        } // else this guest does not read, and misses something
    }

    fn flush(&mut self) {
        while !self.unsent.is_empty() {
            // If the socket is full, an event will say when it no longer is. If the guest is gone,
            // reading will find that out.
            let Ok(n) = self.stream.write(&self.unsent) else {
                break;
            };
            self.unsent.drain(..n);
        }
    }
}
