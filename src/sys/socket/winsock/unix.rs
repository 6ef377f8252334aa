//! Unix sockets, streams only: listening, connecting, accepting.
//!
//! Windows has them since version 10 of 2018: streams between programs of one machine, found by a
//! path. There are no datagrams, no pairs and no names without a file. std has no types for them,
//! so [`net`] has.
//!
//! Source: AF_UNIX, <https://devblogs.microsoft.com/commandline/af_unix-comes-to-windows/>

use std::io;
use std::os::windows::io::OwnedSocket;

use windows_sys::Win32::Networking::WinSock::{
    self, AF_UNIX, SOCK_STREAM, SOMAXCONN, WSAEAFNOSUPPORT,
};

use self::net::{SocketAddr, UnixListener, UnixStream};
use super::unix_address::UnixAddress;

pub(crate) mod net;

/// Makes a listener. A path that exists is not replaced.
pub(crate) fn listen(address: &SocketAddr) -> io::Result<UnixListener> {
    let address = UnixAddress::new(address)?;
    let socket = socket()?;
    // SAFETY: `len` bytes of the address are read, which are initialised.
    super::check(unsafe { WinSock::bind(super::raw(&socket), address.as_ptr(), address.len()) })?;
    // SAFETY: takes no memory.
    super::check(unsafe { WinSock::listen(super::raw(&socket), SOMAXCONN as i32) })?;
    Ok(UnixListener::from(socket))
}

/// Makes a stream and starts to connect it.
pub(crate) fn connect(address: &SocketAddr) -> io::Result<UnixStream> {
    let address = UnixAddress::new(address)?;
    let socket = socket()?;
    super::connect(&socket, &address)?;
    Ok(UnixStream::from(socket))
}

/// Accepts a connection. It is never given up because of its peer's address.
pub(crate) fn accept(listener: &UnixListener) -> io::Result<(UnixStream, SocketAddr)> {
    let mut peer = UnixAddress::empty();
    let stream = UnixStream::from(super::accept(listener, &mut peer)?);
    Ok((stream, peer.to_socket_addr()))
}

fn socket() -> io::Result<OwnedSocket> {
    super::socket(AF_UNIX, SOCK_STREAM).map_err(|error| match error.raw_os_error() {
        Some(WSAEAFNOSUPPORT) => io::Error::new(
            io::ErrorKind::Unsupported,
            "this system has no Unix sockets; Windows has them since version 10 of 2018",
        ),
        _ => error,
    })
}
