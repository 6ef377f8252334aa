//! UDP: binding. std's type does the rest.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use super::address::{InetAddress, family};
use super::{dialect, posix};

/// Makes a socket that is bound to an address.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = dialect::socket(family(address), libc::SOCK_DGRAM)?;
    posix::bind(&socket, &InetAddress::new(address))?;
    Ok(UdpSocket::from(socket))
}

/// Whether an IPv6 socket keeps away from IPv4; std can set other options but does not know this
/// one.
pub(crate) fn only_v6(socket: &UdpSocket) -> io::Result<bool> {
    Ok(posix::option(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)? != 0)
}
