//! Sockets of WASI preview 1: accepted from listeners that the program was given.

pub(crate) mod tcp {
    use std::io;
    use std::net::{SocketAddr, TcpListener, TcpStream};

    /// Accepts a connection. The system tells no addresses, and std makes one of zeros.
    pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = listener.accept()?;
        stream.set_nonblocking(true)?;
        Ok((stream, peer))
    }
}
