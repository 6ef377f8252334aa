//! Passes a listening socket to another process: how a server is replaced without refusing anybody.
//!
//! ```text
//! cargo run --example pass_listener
//! ```
//!
//! The parent listens and starts this very program again as its child, with one end of a Unix
//! socket as standard input. It passes the listener through that socket, and the child accepts the
//! connection that the parent's client began earlier.

#[cfg(unix)]
fn main() -> std::io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        None => unix::parent(),
        Some("child") => unix::child(),
        Some(_) => {
            println!("Usage: pass_listener");
            Ok(())
        }
    }
}

#[cfg(unix)]
mod unix {
    use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
    use std::net::Shutdown;
    use std::os::fd::{AsFd, OwnedFd};
    use std::process::{Command, Stdio};

    use litio::net::ancillary::{RecvAncillary, SendAncillary};
    use litio::net::{TcpListener, UnixStream};
    use litio::{Events, Interest, Poll, Token};

    const CHANNEL: Token = Token(0);
    const LISTENER: Token = Token(1);

    /// Listens, lets a client connect, and leaves the rest to a child.
    pub(crate) fn parent() -> io::Result<()> {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
        let mut client = std::net::TcpStream::connect(listener.local_addr()?)?;

        let (ours, theirs) = UnixStream::pair()?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("child")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        // A fresh socket has room for a byte: this does not block.
        let fds = [listener.as_fd()];
        ours.send_message(&[IoSlice::new(b"L")], &SendAncillary::new().fds(&fds))?;
        drop(listener); // the child's is the same socket, and the client still waits in it

        client.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        client.read_to_string(&mut answer)?;
        println!(
            "process {} started process {}",
            std::process::id(),
            child.id()
        );
        println!("the client was told: {answer}");
        child.wait()?;
        Ok(())
    }

    /// Receives the listener, and serves one client.
    pub(crate) fn child() -> io::Result<()> {
        let mut poll = Poll::new()?;
        let mut events = Events::with_capacity(8);
        let mut channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        poll.registry()
            .register(&mut channel, CHANNEL, Interest::READABLE)?;

        let mut ancillary = RecvAncillary::<1>::new();
        let mut byte = [0];
        let mut listener = loop {
            match channel.recv_message(&mut [IoSliceMut::new(&mut byte)], &mut ancillary) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                // What else might come along would be closed.
                Ok(_) => match ancillary.take_fd() {
                    Some(fd) => break TcpListener::from(fd),
                    None => return Err(ErrorKind::InvalidData.into()),
                },
                Err(err) if err.kind() == ErrorKind::WouldBlock => wait(&mut poll, &mut events)?,
                Err(err) => return Err(err),
            }
        };
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        loop {
            match listener.accept() {
                Ok((mut stream, _)) => {
                    // A new connection has room for this much.
                    let peer = channel.peer_credentials().ok().and_then(|peer| peer.pid);
                    let pid = std::process::id();
                    write!(stream, "served by process {pid}, for process {peer:?}")?;
                    // Closing with unread input would be a reset; this client has sent nothing.
                    return Ok(());
                }
                Err(err) if err.kind() == ErrorKind::WouldBlock => wait(&mut poll, &mut events)?,
                Err(err) => return Err(err),
            }
        }
    }

    fn wait(poll: &mut Poll, events: &mut Events) -> io::Result<()> {
        match poll.poll(events, None) {
            Err(err) if err.kind() == ErrorKind::Interrupted => Ok(()), // a signal came
            result => result,
        }
    }
}

#[cfg(not(unix))]
fn main() {
    println!("This needs Unix.");
}
