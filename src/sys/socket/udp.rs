//! UDP: binding. std's type does the rest.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

use super::address::{InetAddress, family};
use super::source_group::{JOIN_AND_LEAVE, SourceGroup, storage};
use super::{dialect, posix};
use crate::sys::check;

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

/// Joins an IPv6 multicast group for what `source` sends, or leaves it.
pub(crate) fn set_source_membership(
    socket: &UdpSocket,
    source: Ipv6Addr,
    group: Ipv6Addr,
    interface: u32,
    is_member: bool,
) -> io::Result<()> {
    let [join, leave] = JOIN_AND_LEAVE.ok_or(io::ErrorKind::Unsupported)?;
    let option = if is_member { join } else { leave };
    let [group, source] = [group, source].map(|ip| InetAddress::new((ip, 0).into()));
    let request = SourceGroup {
        interface,
        group: storage(&group),
        source: storage(&source),
    };
    let (fd, level) = (socket.as_raw_fd(), libc::IPPROTO_IPV6);
    let len = size_of::<SourceGroup>() as libc::socklen_t;
    let request = (&raw const request).cast();
    // SAFETY: setsockopt(2) reads `len` bytes at `request`, which are those of a struct on our
    // stack.
    check(unsafe { libc::setsockopt(fd, level, option, request, len) })?;
    Ok(())
}
