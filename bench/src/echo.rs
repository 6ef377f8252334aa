//! An echo server for one connection, the same loop on each contender: what a message costs in system calls (`strace -c`) and
//! in user instructions (`valgrind --tool=callgrind`). Client and server take turns on one thread, so that both counts are
//! exact: a message is two sends, three receives (one of which would block) and one wait.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use clap::ValueEnum;

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Who {
    /// epoll by hand.
    Raw,
    Litio,
    Mio,
}

const SIZE: usize = 64;

/// A server's event loop, one turn of it: waits for an event and echoes until the socket would block.
trait Server {
    fn turn(&mut self) -> io::Result<()>;
}

/// Echoes `messages`, client and server taking turns on one thread.
pub fn run(who: Who, messages: u32) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (stream, _) = listener.accept()?;
    stream.set_nonblocking(true)?;
    match who {
        Who::Raw => drive(client, messages, Raw::new(stream)?),
        Who::Litio => drive(client, messages, OnLitio::new(stream)?),
        Who::Mio => drive(client, messages, OnMio::new(stream)?),
    }
}

fn drive(mut client: TcpStream, messages: u32, mut server: impl Server) -> io::Result<()> {
    let mut buffer = [7; SIZE];
    for _ in 0..messages {
        client.write_all(&buffer)?;
        server.turn()?;
        client.read_exact(&mut buffer)?;
    }
    Ok(())
}

/// Echoes until the socket would block.
#[inline(always)]
fn echo(mut stream: impl Read + Write, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        match stream.read(buffer) {
            Ok(read) => assert_eq!(stream.write(&buffer[..read])?, read, "a small message fits"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

struct Raw {
    epoll: OwnedFd,
    stream: TcpStream,
    events: [libc::epoll_event; 128],
    buffer: [u8; 4096],
}

impl Raw {
    fn new(stream: TcpStream) -> io::Result<Raw> {
        let epoll = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
        let edge = (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET) as u32;
        let mut event = libc::epoll_event {
            events: edge,
            u64: 0,
        };
        let (ep, fd) = (epoll.as_raw_fd(), stream.as_raw_fd());
        let result = unsafe { libc::epoll_ctl(ep, libc::EPOLL_CTL_ADD, fd, &mut event) };
        assert_eq!(result, 0);
        let events = [libc::epoll_event { events: 0, u64: 0 }; 128];
        Ok(Raw {
            epoll,
            stream,
            events,
            buffer: [0; 4096],
        })
    }
}

impl Server for Raw {
    #[inline(never)]
    fn turn(&mut self) -> io::Result<()> {
        let (epoll, events) = (self.epoll.as_raw_fd(), self.events.as_mut_ptr());
        let count = unsafe { libc::epoll_wait(epoll, events, 128, -1) };
        assert!(count >= 0);
        for event in &self.events[..count as usize] {
            if event.u64 == 0 && event.events & libc::EPOLLIN as u32 != 0 {
                echo(&self.stream, &mut self.buffer)?;
            }
        }
        Ok(())
    }
}

macro_rules! server {
    ($name:ident, $mio:ident) => {
        struct $name {
            poll: $mio::Poll,
            stream: $mio::net::TcpStream,
            events: $mio::Events,
            buffer: [u8; 4096],
        }

        impl $name {
            fn new(stream: TcpStream) -> io::Result<$name> {
                let mut stream = $mio::net::TcpStream::from_std(stream);
                let poll = $mio::Poll::new()?;
                poll.registry()
                    .register(&mut stream, $mio::Token(0), $mio::Interest::READABLE)?;
                let events = $mio::Events::with_capacity(128);
                Ok($name {
                    poll,
                    stream,
                    events,
                    buffer: [0; 4096],
                })
            }
        }

        impl Server for $name {
            #[inline(never)]
            fn turn(&mut self) -> io::Result<()> {
                self.poll.poll(&mut self.events, None)?;
                for event in &self.events {
                    if event.token() == $mio::Token(0) && event.is_readable() {
                        echo(&self.stream, &mut self.buffer)?;
                    }
                }
                Ok(())
            }
        }
    };
}

server!(OnLitio, litio);
server!(OnMio, mio);
