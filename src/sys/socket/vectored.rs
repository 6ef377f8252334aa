//! Datagrams gathered from several buffers and scattered into several.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};

use super::address::InetAddress;
use crate::datagram::Received;

/// Sends the buffers as one datagram, to an address or to the peer.
pub(crate) fn send(
    socket: &UdpSocket,
    data: &[IoSlice<'_>],
    to: Option<SocketAddr>,
) -> io::Result<usize> {
    system::send(socket, data, to.map(InetAddress::new).as_ref())
}

/// Receives a datagram into the buffers, one after the other.
pub(crate) fn receive(socket: &UdpSocket, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    system::receive(socket, buffers, None)
}

/// As [`receive`], and from where it came.
pub(crate) fn receive_from(
    socket: &UdpSocket,
    buffers: &mut [IoSliceMut<'_>],
) -> io::Result<(usize, SocketAddr)> {
    // What cannot be told counts as unspecified: the datagram is received already.
    let unknown = Received::NOTHING.source;
    let mut from = InetAddress::new(unknown);
    let received = system::receive(socket, buffers, Some(&mut from))?;
    Ok((received, from.to_std().unwrap_or(unknown)))
}

/// sendmsg(2) and recvmsg(2).
#[cfg(unix)]
mod system {
    use std::io::{self, IoSlice, IoSliceMut};
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::super::msghdr;
    use super::InetAddress;

    pub(super) fn send(
        socket: &UdpSocket,
        data: &[IoSlice<'_>],
        to: Option<&InetAddress>,
    ) -> io::Result<usize> {
        msghdr::send(socket.as_fd(), data, to, &[])
    }

    pub(super) fn receive(
        socket: &UdpSocket,
        buffers: &mut [IoSliceMut<'_>],
        from: Option<&mut InetAddress>,
    ) -> io::Result<usize> {
        Ok(msghdr::receive(socket.as_fd(), buffers, from, &mut [], 0)?.len)
    }
}

/// `WSASendTo` and `WSARecvFrom`.
#[cfg(windows)]
mod system {
    use std::io::{self, IoSlice, IoSliceMut};
    use std::net::UdpSocket;
    use std::os::windows::io::AsRawSocket;
    use std::ptr;

    use windows_sys::Win32::Networking::WinSock::{SOCKET, WSARecvFrom, WSASendTo};

    use super::super::check;
    use super::InetAddress;

    pub(super) fn send(
        socket: &UdpSocket,
        data: &[IoSlice<'_>],
        to: Option<&InetAddress>,
    ) -> io::Result<usize> {
        // The system wants a buffer, if an empty one.
        let empty = [IoSlice::new(&[])];
        let data = if data.is_empty() { &empty } else { data };
        let (name, name_len) = match to {
            Some(address) => (address.as_ptr(), address.len()),
            None => (ptr::null(), 0),
        };
        let mut sent = 0;
        // SAFETY: std promises that a slice is a WSABUF; they and the address are read, the count
        // is written, and the call is synchronous.
        check(unsafe {
            WSASendTo(
                socket.as_raw_socket() as SOCKET,
                data.as_ptr().cast(),
                data.len() as u32,
                &mut sent,
                0,
                name,
                name_len,
                ptr::null_mut(),
                None,
            )
        })?;
        Ok(sent as usize)
    }

    pub(super) fn receive(
        socket: &UdpSocket,
        buffers: &mut [IoSliceMut<'_>],
        from: Option<&mut InetAddress>,
    ) -> io::Result<usize> {
        // The system wants a buffer, if an empty one.
        let mut empty = [IoSliceMut::new(&mut [])];
        let buffers = if buffers.is_empty() {
            &mut empty
        } else {
            buffers
        };
        let (name, name_len) = match from {
            Some(from) => from.room(),
            None => (ptr::null_mut(), ptr::null_mut()),
        };
        let (mut received, mut flags) = (0, 0);
        // SAFETY: std promises that a slice is a WSABUF; they are read, the bytes that they lend,
        // the address, the count and the flags are written, and the call is synchronous.
        check(unsafe {
            WSARecvFrom(
                socket.as_raw_socket() as SOCKET,
                buffers.as_mut_ptr().cast(),
                buffers.len() as u32,
                &mut received,
                &mut flags,
                name,
                name_len,
                ptr::null_mut(),
                None,
            )
        })?;
        Ok(received as usize)
    }
}
