//! UDP: binding. std's type does the rest.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use super::address::{InetAddress, family};
use super::{dialect, posix};

/// Makes a socket that is bound to an address.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = dialect::socket(family(address), libc::SOCK_DGRAM)?;
    posix::bind(&socket, &InetAddress::new(address))?;
    Ok(UdpSocket::from(socket))
}
