//! TCP: listening, connecting, accepting.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;

use super::address::{InetAddress, family};
use super::{TCP_BACKLOG, dialect, posix};

/// Makes a listener. A port in `TIME_WAIT` can be taken, one with a listener cannot.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = dialect::socket(family(address), libc::SOCK_STREAM)?;
    // On Windows this would let two listeners share a port; there it must not be set.
    posix::set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    posix::bind(&socket, &InetAddress::new(address))?;
    posix::listen(&socket, TCP_BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Makes a stream and starts to connect it.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = dialect::socket(family(address), libc::SOCK_STREAM)?;
    posix::connect(&socket, &InetAddress::new(address))?;
    Ok(TcpStream::from(socket))
}

/// Accepts a connection.
#[inline] // so that a caller who does not ask for the address does not pay for it
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let mut peer = InetAddress::EMPTY;
    let stream = TcpStream::from(dialect::accept(listener.as_fd(), &mut peer)?);
    let address = match peer.to_std() {
        Some(address) => address,
        None => address_of(&stream)?,
    };
    Ok((stream, address))
}

/// Asks for the address that accept(2) did not tell.
#[cold]
fn address_of(stream: &TcpStream) -> io::Result<SocketAddr> {
    stream
        .peer_addr()
        .map_err(|error| match error.raw_os_error() {
            // macOS hands out connections that were reset while they waited, without an address.
            // Other systems say ECONNABORTED instead, which a loop of accepts takes for what it is:
            // the end of this connection, not of the listener.
            Some(libc::ENOTCONN | libc::EINVAL) => io::Error::from_raw_os_error(libc::ECONNABORTED),
            _ => error,
        })
}
