//! Unix sockets: listening, connecting, accepting, pairs.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};

/// The types of Unix sockets, which Windows has to be given.
pub(crate) use std::os::unix::net;

use super::unix_address::UnixAddress;
use super::{UNIX_BACKLOG, dialect, posix};

/// Makes a listener. A path that exists is not replaced.
pub(crate) fn listen(address: &SocketAddr) -> io::Result<UnixListener> {
    let address = UnixAddress::new(address)?;
    let socket = dialect::socket(libc::AF_UNIX, libc::SOCK_STREAM)?;
    posix::bind(&socket, &address)?;
    posix::listen(&socket, UNIX_BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// Makes a stream and starts to connect it; most systems are done at once, or say `WouldBlock` if
/// the backlog is full.
pub(crate) fn connect(address: &SocketAddr) -> io::Result<UnixStream> {
    let address = UnixAddress::new(address)?;
    let socket = dialect::socket(libc::AF_UNIX, libc::SOCK_STREAM)?;
    posix::connect(&socket, &address)?;
    Ok(UnixStream::from(socket))
}

/// Accepts a connection. It is never given up because of its peer's address.
pub(crate) fn accept(listener: &UnixListener) -> io::Result<(UnixStream, SocketAddr)> {
    let mut peer = UnixAddress::EMPTY;
    let stream = UnixStream::from(dialect::accept(listener.as_fd(), &mut peer)?);
    let address = match peer.to_std() {
        Some(address) => address,
        // std makes more addresses than it lets us make; failing that, a peer whose name cannot be
        // told has none.
        None => stream.peer_addr().or_else(|_| unnamed())?,
    };
    Ok((stream, address))
}

fn unnamed() -> io::Result<SocketAddr> {
    SocketAddr::from_pathname("")
}

/// Makes two streams that are connected with each other.
pub(crate) fn stream_pair() -> io::Result<[UnixStream; 2]> {
    Ok(dialect::pair(libc::AF_UNIX, libc::SOCK_STREAM)?.map(UnixStream::from))
}

/// Makes a datagram socket without an address.
pub(crate) fn datagram() -> io::Result<UnixDatagram> {
    Ok(UnixDatagram::from(dialect::socket(
        libc::AF_UNIX,
        libc::SOCK_DGRAM,
    )?))
}

/// Makes a datagram socket that is bound to an address.
pub(crate) fn bind_datagram(address: &SocketAddr) -> io::Result<UnixDatagram> {
    let address = UnixAddress::new(address)?;
    let socket = dialect::socket(libc::AF_UNIX, libc::SOCK_DGRAM)?;
    posix::bind(&socket, &address)?;
    Ok(UnixDatagram::from(socket))
}

/// Makes two datagram sockets that are connected with each other.
pub(crate) fn datagram_pair() -> io::Result<[UnixDatagram; 2]> {
    Ok(dialect::pair(libc::AF_UNIX, libc::SOCK_DGRAM)?.map(UnixDatagram::from))
}

super::if_control_messages! {
    /// Makes a listener for connections that keep messages apart.
    pub(crate) fn listen_seqpacket(address: &SocketAddr) -> io::Result<UnixListener> {
        let address = UnixAddress::new(address)?;
        let socket = dialect::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET)?;
        posix::bind(&socket, &address)?;
        posix::listen(&socket, UNIX_BACKLOG)?;
        Ok(UnixListener::from(socket))
    }

    /// Makes such a connection.
    pub(crate) fn connect_seqpacket(address: &SocketAddr) -> io::Result<UnixDatagram> {
        let address = UnixAddress::new(address)?;
        let socket = dialect::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET)?;
        posix::connect(&socket, &address)?;
        Ok(UnixDatagram::from(socket))
    }

    /// Accepts such a connection.
    pub(crate) fn accept_seqpacket(
        listener: &UnixListener,
    ) -> io::Result<(UnixDatagram, SocketAddr)> {
        let (stream, peer) = accept(listener)?;
        Ok((std::os::fd::OwnedFd::from(stream).into(), peer))
    }

    /// Makes two of them that are connected with each other.
    pub(crate) fn seqpacket_pair() -> io::Result<[UnixDatagram; 2]> {
        Ok(dialect::pair(libc::AF_UNIX, libc::SOCK_SEQPACKET)?.map(UnixDatagram::from))
    }
}
