//! UDP: binding. std's type does the rest.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::os::windows::io::AsRawSocket;
use std::ptr;

use windows_sys::Win32::Networking::WinSock::{
    self, GROUP_SOURCE_REQ, IPPROTO_IPV6, IPV6_V6ONLY, MCAST_JOIN_SOURCE_GROUP,
    MCAST_LEAVE_SOURCE_GROUP, SIO_UDP_CONNRESET, SIO_UDP_NETRESET, SOCKET, WSAEOPNOTSUPP, WSAIoctl,
};

use super::address::InetAddress;

/// Makes a socket that is bound to an address. That a datagram sent before could not be delivered
/// is not reported: receiving would fail with it, and receive loops die.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    // Not every system under the sun knows the options, and the socket is good without.
    let _ = report_resets(&socket, false);
    Ok(socket)
}

/// Whether receiving fails with `WSAECONNRESET` or `WSAENETRESET` when a datagram sent before could
/// not be delivered, or outlived its hops.
pub(crate) fn report_resets(socket: &UdpSocket, is_reported: bool) -> io::Result<()> {
    switch(socket, SIO_UDP_CONNRESET, is_reported)?;
    match switch(socket, SIO_UDP_NETRESET, is_reported) {
        // Wine does not know it, and does not report such resets.
        Err(error) if error.raw_os_error() == Some(WSAEOPNOTSUPP) => Ok(()),
        result => result,
    }
}

fn switch(socket: &UdpSocket, option: u32, is_on: bool) -> io::Result<()> {
    let value = i32::from(is_on);
    let mut written = 0;
    // SAFETY: a BOOL is read, nothing but the length 0 is written, and the call is synchronous.
    super::check(unsafe {
        WSAIoctl(
            socket.as_raw_socket() as SOCKET,
            option,
            (&raw const value).cast(),
            size_of_val(&value) as u32,
            ptr::null_mut(),
            0,
            &mut written,
            ptr::null_mut(),
            None,
        )
    })
}

/// Whether an IPv6 socket keeps away from IPv4; std can set other options but does not know this
/// one.
pub(crate) fn only_v6(socket: &UdpSocket) -> io::Result<bool> {
    let mut value = 0u32;
    let mut len = size_of_val(&value) as i32;
    let to = (&raw mut value).cast();
    // SAFETY: at most `len` bytes are written to `to`, for which there is room, and how many.
    super::check(unsafe {
        WinSock::getsockopt(
            socket.as_raw_socket() as SOCKET,
            IPPROTO_IPV6,
            IPV6_V6ONLY,
            to,
            &mut len,
        )
    })?;
    Ok(value != 0)
}

/// Joins an IPv6 multicast group for what `source` sends, or leaves it.
pub(crate) fn set_source_membership(
    socket: &UdpSocket,
    source: Ipv6Addr,
    group: Ipv6Addr,
    interface: u32,
    is_member: bool,
) -> io::Result<()> {
    let option = if is_member {
        MCAST_JOIN_SOURCE_GROUP
    } else {
        MCAST_LEAVE_SOURCE_GROUP
    };
    let [group, source] = [group, source].map(|ip| InetAddress::new((ip, 0).into()).to_storage());
    let request = GROUP_SOURCE_REQ {
        gsr_interface: interface,
        gsr_group: group,
        gsr_source: source,
    };
    let socket = socket.as_raw_socket() as SOCKET;
    let len = size_of_val(&request) as i32;
    let request = (&raw const request).cast();
    // SAFETY: `len` bytes are read at `request`, which are those of a struct on our stack.
    super::check(unsafe { WinSock::setsockopt(socket, IPPROTO_IPV6, option as i32, request, len) })
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    /// Receive loops of other libraries die because one peer has closed its port.
    #[test]
    fn a_peer_that_is_gone_is_no_error_of_the_next_receive() {
        let any = "127.0.0.1:0".parse().unwrap();
        // An address that nobody else takes, so that the port stays free.
        let apart = "127.77.0.1:0".parse().unwrap();
        let gone = bind(apart).unwrap().local_addr().unwrap();
        let (socket, other) = (bind(any).unwrap(), bind(any).unwrap());
        socket.send_to(b"to nobody", gone).unwrap();
        other
            .send_to(b"to you", socket.local_addr().unwrap())
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match socket.recv_from(&mut [0; 16]) {
                Ok((len, from)) => {
                    assert_eq!((len, from), (6, other.local_addr().unwrap()));
                    return;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            assert!(Instant::now() < deadline);
            thread::yield_now();
        }
    }

    #[test]
    fn an_ipv6_socket_tells_whether_it_keeps_to_itself() {
        match bind("[::1]:0".parse().unwrap()) {
            // std asks for it, or the system's default; either is an answer.
            Ok(socket) => drop(only_v6(&socket).unwrap()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddrNotAvailable),
        }
    }
}
