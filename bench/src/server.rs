//! Echo servers, each in a process of its own on a processor of its own, so that what they use can
//! be told from what the load uses. All are one thread with one loop that reads, writes back what
//! it read, and takes a short read for the end of what there is.

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::engine::{Engine, OnLitio, OnMio, OnPolling, Raw, loopback};
use crate::helper::Helper;
use crate::{machine, on_tokio};

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Who {
    Raw,
    Litio,
    Mio,
    Polling,
    Tokio,
    #[cfg(libuv)]
    Libuv,
}

impl Who {
    pub fn all() -> &'static [Who] {
        Who::value_variants()
    }

    pub fn name(self) -> &'static str {
        match self {
            Who::Raw => Raw::NAME,
            Who::Litio => OnLitio::NAME,
            Who::Mio => OnMio::NAME,
            Who::Polling => OnPolling::NAME,
            Who::Tokio => on_tokio::NAME,
            #[cfg(libuv)]
            Who::Libuv => crate::libuv::NAME,
        }
    }

    /// As the command line has it.
    pub fn argument(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// Serves until it is killed.
#[derive(Args)]
pub struct Serve {
    #[arg(long, value_enum)]
    who: Who,
    /// The processor to stay on.
    #[arg(long)]
    processor: usize,
    /// Close each connection after the first answer.
    #[arg(long, action = clap::ArgAction::Set)]
    once: bool,
    /// Microseconds to ask again before sleeping, if the server knows how.
    #[arg(long, default_value_t = 0)]
    spin: u64,
}

pub const BUFFER: usize = 64 << 10;

/// Prints the port and serves.
pub fn run(serve: &Serve) -> io::Result<Infallible> {
    machine::die_with_the_parent();
    machine::stay_on(serve.processor);
    machine::raise_descriptor_limit();
    let listener = TcpListener::bind(loopback())?;
    listener.set_nonblocking(true)?;
    // std's queue is short for a load that connects as fast as it can.
    unsafe { libc::listen(listener.as_raw_fd(), 4096) };
    println!("{}", listener.local_addr()?.port());
    match serve.who {
        Who::Raw => echo::<Raw>(listener, serve),
        Who::Litio => echo::<OnLitio>(listener, serve),
        Who::Mio => echo::<OnMio>(listener, serve),
        Who::Polling => echo::<OnPolling>(listener, serve),
        Who::Tokio => on_tokio::serve(listener, serve.once),
        #[cfg(libuv)]
        Who::Libuv => crate::libuv::serve(&listener, serve.once),
    }
}

const LISTENER: usize = usize::MAX - 1;

fn echo<E: Engine>(listener: TcpListener, serve: &Serve) -> io::Result<Infallible> {
    let mut engine = E::new()?;
    engine.spin(Duration::from_micros(serve.spin));
    let mut listener = E::listener(listener);
    engine.listen(&mut listener, LISTENER)?;
    let mut streams: Vec<Option<E::Stream>> = Vec::new();
    let mut free = Vec::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        engine.wait(None);
        for token in engine.ready() {
            if token == LISTENER {
                while let Some(mut stream) = accepted(E::accept(&listener))? {
                    let token = free.pop().unwrap_or_else(|| {
                        streams.push(None);
                        streams.len() - 1
                    });
                    engine.register(&mut stream, token)?;
                    streams[token] = Some(stream);
                }
            } else if let Some(stream) = &streams[token]
                && answer(E::io(stream), &mut buffer, serve.once).is_err()
            {
                engine.close(streams[token].take().expect("it was there just now"));
                free.push(token);
            }
        }
    }
}

/// A stream, or none if nobody waits to be accepted.
pub fn accepted<S>(result: io::Result<S>) -> io::Result<Option<S>> {
    match result {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends back what there is to read. An error is the end of the connection.
#[inline(always)]
fn answer(mut stream: impl Read + Write, buffer: &mut [u8], once: bool) -> io::Result<()> {
    loop {
        match stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                // The load sends its next message only when it has the answer to the last: there is
                // room.
                assert_eq!(stream.write(&buffer[..read])?, read, "a message fits");
                if once {
                    return Err(ErrorKind::ConnectionAborted.into());
                }
                if read < buffer.len() {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// A server's process.
pub struct Server {
    pub who: Who,
    pub address: SocketAddr,
    helper: Helper,
}

impl Server {
    pub fn start(who: Who, once: bool, spin: Duration) -> io::Result<Server> {
        let (name, processor, once, spin) = (
            who.argument(),
            machine::SERVER.to_string(),
            once.to_string(),
            spin.as_micros().to_string(),
        );
        let mut helper = Helper::start([
            "serve",
            "--who",
            &name,
            "--processor",
            &processor,
            "--once",
            &once,
            "--spin",
            &spin,
        ])?;
        let port = helper.number()? as u16;
        let address = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
        Ok(Server {
            who,
            address,
            helper,
        })
    }

    /// What it has used so far.
    pub fn used(&self) -> machine::Used {
        self.helper.used()
    }
}

/// Returns when a server has accepted all connections so far: it does so in their order, and
/// answers the last one.
pub fn settle(server: SocketAddr) -> io::Result<()> {
    let mut last = TcpStream::connect(server)?;
    last.write_all(b"?")?;
    last.read_exact(&mut [0])
}
