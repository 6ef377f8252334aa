//! Datagrams gathered from several buffers and scattered into several: sendmsg(2) and recvmsg(2).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::zeroed;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use libc::msghdr;

use super::SEND_QUIETLY;
use super::address::InetAddress;
use crate::datagram::Received;
use crate::sys::check;

/// Sends the buffers as one datagram, to an address or to the peer.
pub(crate) fn send(
    socket: &UdpSocket,
    data: &[IoSlice<'_>],
    to: Option<SocketAddr>,
) -> io::Result<usize> {
    // POSIX wants a buffer, if an empty one.
    let empty = [IoSlice::new(&[])];
    let data = if data.is_empty() { &empty } else { data };
    let address = to.map(InetAddress::new);
    // SAFETY: a struct of integers and pointers, for which all bytes zero is a value.
    let mut header: msghdr = unsafe { zeroed() };
    if let Some(address) = &address {
        header.msg_name = address.as_ptr().cast_mut().cast();
        header.msg_namelen = address.len();
    }
    header.msg_iov = data.as_ptr().cast_mut().cast(); // std promises that a slice is an `iovec`
    header.msg_iovlen = data.len() as _; // as wide as the system has it
    let header = &raw const header;
    // SAFETY: everything that the header points to is initialised, as long as it says, and outlives
    // the call.
    let sent = check(unsafe { libc::sendmsg(socket.as_raw_fd(), header, SEND_QUIETLY) })?;
    Ok(sent as usize)
}

/// Receives a datagram into the buffers, one after the other.
pub(crate) fn receive(socket: &UdpSocket, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    receive_with(socket, buffers, None)
}

/// As [`receive`], and from where it came.
pub(crate) fn receive_from(
    socket: &UdpSocket,
    buffers: &mut [IoSliceMut<'_>],
) -> io::Result<(usize, SocketAddr)> {
    let mut from = InetAddress::EMPTY;
    let received = receive_with(socket, buffers, Some(&mut from))?;
    // What cannot be told counts as unspecified: the datagram is received already.
    let from = from.to_std().unwrap_or(Received::NOTHING.source);
    Ok((received, from))
}

fn receive_with(
    socket: &UdpSocket,
    buffers: &mut [IoSliceMut<'_>],
    mut from: Option<&mut InetAddress>,
) -> io::Result<usize> {
    // POSIX wants a buffer, if an empty one.
    let mut empty = [IoSliceMut::new(&mut [])];
    let buffers = if buffers.is_empty() {
        &mut empty
    } else {
        buffers
    };
    // SAFETY: a struct of integers and pointers, for which all bytes zero is a value.
    let mut header: msghdr = unsafe { zeroed() };
    if let Some(from) = &mut from {
        header.msg_name = from.room().0.cast();
        header.msg_namelen = from.len;
    }
    header.msg_iov = buffers.as_mut_ptr().cast(); // std promises that a slice is an `iovec`
    header.msg_iovlen = buffers.len() as _; // as wide as the system has it
    let to = &raw mut header;
    // SAFETY: everything that the header points to is as long as it says, borrowed for writing, and
    // outlives the call.
    let received = check(unsafe { libc::recvmsg(socket.as_raw_fd(), to, 0) })?;
    if let Some(from) = from {
        from.len = header.msg_namelen;
    }
    Ok(received as usize)
}
