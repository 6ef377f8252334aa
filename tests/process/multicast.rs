//! Multicast in a network of its own, whose loopback knows the way to every group.

#![expect(unsafe_code, reason = "fork, unshare, ioctl")]

use std::io::{self, ErrorKind};
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use litio::net::UdpSocket;
use litio::{Events, Interest, Poll, Token};

use crate::alone;

/// Loopback only, and meant for single sources.
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff31, 0, 0, 0, 0, 0, 0x8000, 0x4c10);

/// What SIOCADDRT reads on a socket of IPv6; the fields of the libc crate's struct are private.
#[repr(C)]
struct Route {
    destination: [u8; 16],
    source: [u8; 16],
    gateway: [u8; 16],
    kind: u32,
    destination_len: u16,
    source_len: u16,
    metric: u32,
    info: libc::c_ulong,
    flags: u32,
    interface: libc::c_int,
}

#[test]
fn multicast_of_ipv6_is_heard_from_the_source_that_was_joined_and_no_other() {
    alone(|| {
        // Only a process with one thread may leave its user's rights for a network of its own.
        // SAFETY: the only other thread waits, with no lock held that the child could need.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "{}", io::Error::last_os_error());
        if child == 0 {
            let result = std::panic::catch_unwind(|| match network_of_our_own() {
                Ok(loopback) => hear_one_source(loopback),
                Err(error) => println!("!!! NOT TESTED: no network of our own ({error})"),
            });
            // SAFETY: ends the child.
            unsafe { libc::_exit(result.is_err().into()) };
        }
        let mut status = 0;
        // SAFETY: `status` is there to be written.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
            "{status}"
        );
    });
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Leaves the machine's network for an empty one, and answers the index of its loopback.
fn network_of_our_own() -> io::Result<u32> {
    // SAFETY: takes no memory.
    check(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) })?;
    // SAFETY: a C string that lives through the call.
    let loopback = unsafe { libc::if_nametoindex(c"lo".as_ptr()) };
    let v4 = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: a struct of integers and a union of them, for which all bytes zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b'l' as _, b'o' as _]);
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING | libc::IFF_LOOPBACK) as _;
    // SAFETY: reads the struct, which lives through the call.
    check(unsafe { libc::ioctl(v4.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) })?;
    let v6 = std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0))?; // if there is such a thing
    let mut groups = [0; 16];
    groups[0] = 0xff;
    let route = Route {
        destination: groups,
        source: [0; 16],
        gateway: [0; 16],
        kind: 2, // RTN_LOCAL
        destination_len: 8,
        source_len: 0,
        metric: 1,
        info: 0,
        flags: 0x8000_0001, // RTF_LOCAL | RTF_UP
        interface: loopback as libc::c_int,
    };
    // SAFETY: reads the struct, which lives through the call.
    check(unsafe { libc::ioctl(v6.as_raw_fd(), libc::SIOCADDRT as _, &raw const route) })?;
    Ok(loopback)
}

fn hear_one_source(loopback: u32) {
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(4);
    let all: SocketAddr = (Ipv6Addr::UNSPECIFIED, 0).into();
    let mut member = UdpSocket::bind(all).unwrap();
    let mut stranger = UdpSocket::bind(all).unwrap();
    for (socket, token) in [(&mut member, Token(1)), (&mut stranger, Token(2))] {
        poll.registry()
            .register(socket, token, Interest::READABLE)
            .unwrap();
    }
    let elsewhere: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let here = Ipv6Addr::LOCALHOST;
    member.join_ssm_v6(&here, &GROUP, loopback).unwrap();
    stranger.join_ssm_v6(&elsewhere, &GROUP, loopback).unwrap();
    let sender = UdpSocket::bind((here, 0).into()).unwrap();
    let options = socket2::SockRef::from(&sender);
    options.set_multicast_if_v6(loopback).unwrap();
    let send = |to: &UdpSocket| {
        let port = to.local_addr().unwrap().port();
        sender.send_to(b"x", (GROUP, port).into()).unwrap();
    };
    let mut buffer = [0; 8];

    // To both; what comes to the member has been behind what the stranger must not hear.
    send(&stranger);
    send(&member);
    poll.poll(&mut events, Some(Duration::from_secs(20)))
        .unwrap();
    let tokens: Vec<Token> = events.iter().map(|event| event.token()).collect();
    assert_eq!(tokens, [Token(1)]);
    let from = sender.local_addr().unwrap();
    assert_eq!(member.recv_from(&mut buffer).unwrap(), (1, from));
    let heard = stranger.recv(&mut buffer).unwrap_err();
    assert_eq!(heard.kind(), ErrorKind::WouldBlock);

    // The stranger listens to this source too; the member no longer.
    stranger.join_ssm_v6(&here, &GROUP, loopback).unwrap();
    member.leave_ssm_v6(&here, &GROUP, loopback).unwrap();
    let again = member.leave_ssm_v6(&here, &GROUP, loopback).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::InvalidInput); // EINVAL: with its last source the group went
    let options = socket2::SockRef::from(&member);
    options.set_multicast_all_v6(false).unwrap();
    send(&member);
    send(&stranger);
    poll.poll(&mut events, Some(Duration::from_secs(20)))
        .unwrap();
    let tokens: Vec<Token> = events.iter().map(|event| event.token()).collect();
    assert_eq!(tokens, [Token(2)]);
    assert_eq!(stranger.recv_from(&mut buffer).unwrap(), (1, from));
    let heard = member.recv(&mut buffer).unwrap_err();
    assert_eq!(heard.kind(), ErrorKind::WouldBlock);
}
