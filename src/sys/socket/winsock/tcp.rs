//! TCP: listening, connecting, accepting.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

use windows_sys::Win32::Networking::WinSock::SOCK_STREAM;

use super::address::{InetAddress, family};

/// Makes a listener. std makes the right calls, and does not set `SO_REUSEADDR`, with which two
/// listeners could share a port here.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Makes a stream and starts to connect it.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = super::socket(family(address), SOCK_STREAM)?;
    super::connect(&socket, &InetAddress::new(address))?;
    Ok(TcpStream::from(socket))
}

/// Accepts a connection.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let mut peer = InetAddress::EMPTY;
    let stream = TcpStream::from(super::accept(listener, &mut peer)?);
    let address = match peer.to_std() {
        Some(address) => address,
        None => stream.peer_addr()?,
    };
    Ok((stream, address))
}
