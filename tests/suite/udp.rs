//! `UdpSocket`, method by method.

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
#[cfg(not(target_family = "wasm"))]
use std::net::Ipv4Addr;
#[cfg(unix)]
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use litio::Interest;
use litio::net::UdpSocket;

use crate::support::*;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Two sockets registered as A and B, for reading.
fn pair(rig: &Rig) -> (UdpSocket, UdpSocket) {
    let mut first = UdpSocket::bind(any_v4()).unwrap();
    let mut second = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut first, A, Interest::READABLE);
    rig.register(&mut second, B, Interest::READABLE);
    (first, second)
}

#[test]
fn datagrams_travel_between_unconnected_sockets() {
    let mut rig = Rig::new();
    let (first, second) = pair(&rig);
    assert_eq!(
        first
            .send_to(b"hello", second.local_addr().unwrap())
            .unwrap(),
        5
    );
    rig.expect(B, READABLE);
    let mut buffer = [0; 16];
    for _ in 0..2 {
        let peeked = second.peek_from(&mut buffer).unwrap();
        assert_eq!(peeked, (5, first.local_addr().unwrap()));
    }
    assert_eq!(
        second.recv_from(&mut buffer).unwrap(),
        (5, first.local_addr().unwrap())
    );
    assert_eq!(&buffer[..5], b"hello");
    expect_would_block(second.recv_from(&mut buffer));
    expect_would_block(second.peek_from(&mut buffer));
}

#[test]
fn datagrams_travel_between_connected_sockets() {
    let mut rig = Rig::new();
    let (first, second) = pair(&rig);
    expect_error(ErrorKind::NotConnected, first.peer_addr());
    first.connect(second.local_addr().unwrap()).unwrap();
    second.connect(first.local_addr().unwrap()).unwrap();
    assert_eq!(first.peer_addr().unwrap(), second.local_addr().unwrap());
    assert_eq!(first.send(b"hello").unwrap(), 5);
    rig.expect(B, READABLE);
    let mut buffer = [0; 16];
    for _ in 0..2 {
        assert_eq!(second.peek(&mut buffer).unwrap(), 5);
    }
    assert_eq!(second.recv(&mut buffer).unwrap(), 5);
    assert_eq!(&buffer[..5], b"hello");
    expect_would_block(second.recv(&mut buffer));
    expect_would_block(second.peek(&mut buffer));
}

#[test]
fn a_connected_socket_hears_only_its_peer() {
    let mut rig = Rig::new();
    let (first, second) = pair(&rig);
    let stranger = UdpSocket::bind(any_v4()).unwrap();
    second.connect(first.local_addr().unwrap()).unwrap();
    stranger
        .send_to(b"psst", second.local_addr().unwrap())
        .unwrap();
    rig.expect_nothing();
    first.send_to(b"hi", second.local_addr().unwrap()).unwrap();
    rig.expect(B, READABLE);
    assert_eq!(second.recv(&mut [0; 8]).unwrap(), 2);
    expect_would_block(second.recv(&mut [0; 8]));
    // Connecting again changes the peer.
    second.connect(stranger.local_addr().unwrap()).unwrap();
    stranger
        .send_to(b"psst", second.local_addr().unwrap())
        .unwrap();
    rig.expect(B, READABLE);
}

#[test]
fn sending_without_a_destination_is_an_error() {
    let socket = UdpSocket::bind(any_v4()).unwrap();
    let error = socket.send(b"x").unwrap_err();
    assert!(
        error.raw_os_error().is_some() && !is_would_block(&error),
        "{error:?}"
    );
    #[cfg(target_os = "linux")]
    assert_eq!(error.raw_os_error(), Some(libc::EDESTADDRREQ));
}

#[test]
fn a_connected_socket_may_still_name_a_destination_on_linux() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let mut rig = Rig::new();
    let (first, second) = pair(&rig);
    let third = UdpSocket::bind(any_v4()).unwrap();
    first.connect(third.local_addr().unwrap()).unwrap();
    first.send_to(b"x", second.local_addr().unwrap()).unwrap();
    rig.expect(B, READABLE);
}

#[test]
fn an_empty_datagram_is_readable_and_of_length_zero() {
    let mut rig = Rig::new();
    let (first, second) = pair(&rig);
    assert_eq!(first.send_to(b"", second.local_addr().unwrap()).unwrap(), 0);
    rig.expect(B, READABLE);
    assert_eq!(
        second.recv_from(&mut [0; 8]).unwrap(),
        (0, first.local_addr().unwrap())
    );
    expect_would_block(second.recv_from(&mut [0; 8]));
}

#[test]
fn a_datagram_that_does_not_fit_is_cut_off() {
    if cfg!(windows) {
        return; // WSAEMSGSIZE there
    }
    let mut rig = Rig::new();
    let (first, second) = pair(&rig);
    first
        .send_to(b"abcdef", second.local_addr().unwrap())
        .unwrap();
    first
        .send_to(b"next", second.local_addr().unwrap())
        .unwrap();
    rig.expect(B, READABLE);
    let mut buffer = [0; 3];
    assert_eq!(second.recv(&mut buffer).unwrap(), 3);
    assert_eq!(&buffer, b"abc");
    let mut buffer = [0; 8];
    assert_eq!(second.recv(&mut buffer).unwrap(), 4);
    assert_eq!(&buffer[..4], b"next");
}

#[test]
fn several_datagrams_can_be_taken_after_one_event() {
    let mut rig = Rig::new();
    let (first, second) = pair(&rig);
    for i in 0..10_u8 {
        first.send_to(&[i], second.local_addr().unwrap()).unwrap();
    }
    rig.expect(B, READABLE);
    for i in 0..10_u8 {
        let mut buffer = [0; 2];
        assert_eq!(second.recv(&mut buffer).unwrap(), 1);
        assert_eq!(buffer[0], i);
    }
    expect_would_block(second.recv(&mut [0; 2]));
}

#[test]
fn a_socket_whose_peer_is_gone_hears_of_it_and_recovers() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let mut rig = Rig::new();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    // One that is connected, with itself, hears nobody else: its port is as good as closed, and no
    // other test is given it.
    let peer = UdpSocket::bind(any_v4()).unwrap();
    let gone = peer.local_addr().unwrap();
    peer.connect(gone).unwrap();
    socket.connect(gone).unwrap();
    rig.register(&mut socket, A, Interest::READABLE);
    socket.send(b"anybody?").unwrap();
    rig.expect(A, ERROR);
    let error = socket.take_error().unwrap().expect("port unreachable");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(socket.take_error().unwrap().is_none());
    expect_would_block(socket.recv(&mut [0; 8]));
    // The hang-up was not the end: the socket reports again.
    peer.connect(socket.local_addr().unwrap()).unwrap();
    peer.send(b"here").unwrap();
    rig.expect(A, READABLE);
    assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 4);
}

#[test]
fn datagrams_are_gathered_and_scattered() {
    for address in [Some(any_v4()), any_v6()].into_iter().flatten() {
        let mut rig = Rig::new();
        let first = UdpSocket::bind(address).unwrap();
        let mut second = UdpSocket::bind(address).unwrap();
        rig.register(&mut second, B, Interest::READABLE);
        let (here, there) = (first.local_addr().unwrap(), second.local_addr().unwrap());
        let data = [&b"ab"[..], b"", b"cde"].map(IoSlice::new);
        first.send_vectored(&data).unwrap_err(); // whereto?
        for round in 0..3 {
            let (mut head, mut body) = ([0; 1], [0; 8]);
            let mut buffers = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)];
            expect_would_block(second.recv_vectored(&mut buffers));
            expect_would_block(second.recv_vectored_from(&mut buffers));
            rig.expect_nothing();
            if round == 0 {
                assert_eq!(first.send_vectored_to(&data, there).unwrap(), 5);
                first.connect(there).unwrap();
            } else {
                assert_eq!(first.send_vectored(&data).unwrap(), 5);
            }
            rig.expect(B, READABLE);
            let received = second.recv_vectored_from(&mut buffers);
            assert_eq!(received.unwrap(), (5, here));
            assert_eq!((&head, &body[..4]), (b"a", &b"bcde"[..]));
        }
        // As one datagram each, the empty ones too, for which no buffer is needed.
        assert_eq!(first.send_vectored(&data[2..]).unwrap(), 3);
        assert_eq!(first.send_vectored(&data[1..2]).unwrap(), 0);
        assert_eq!(first.send_vectored(&[]).unwrap(), 0);
        let (mut head, mut body) = ([0; 2], [0; 8]);
        let mut buffers = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)];
        for (expected, count) in [(3, 2), (0, 2), (0, 0)] {
            let len = loop {
                match second.recv_vectored(&mut buffers[..count]) {
                    Err(error) if is_would_block(&error) => drop(rig.expect(B, READABLE)),
                    received => break received.unwrap(),
                }
            };
            assert_eq!(len, expected);
        }
    }
}

/// As `recv` does: silently on Unix, with an error on Windows.
#[test]
fn what_is_longer_than_all_buffers_is_cut() {
    let mut rig = Rig::new();
    let (first, second) = pair(&rig);
    let there = second.local_addr().unwrap();
    first.send_to(b"0123456789", there).unwrap();
    rig.expect(B, READABLE);
    let (mut head, mut body) = ([0; 2], [0; 3]);
    let mut buffers = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)];
    let received = second.recv_vectored_from(&mut buffers);
    if cfg!(windows) {
        received.unwrap_err();
    } else {
        assert_eq!(received.unwrap(), (5, first.local_addr().unwrap()));
    }
    assert_eq!((&head, &body), (b"01", b"234"));
    expect_would_block(second.recv_vectored(&mut [IoSliceMut::new(&mut [0; 8])]));
}

#[test]
fn options_are_set_and_read_back() {
    let socket = UdpSocket::bind(any_v4()).unwrap();
    assert!(!socket.broadcast().unwrap());
    for is_on in [true, false] {
        socket.set_broadcast(is_on).unwrap();
        assert_eq!(socket.broadcast().unwrap(), is_on);
        socket.set_multicast_loop_v4(is_on).unwrap();
        assert_eq!(socket.multicast_loop_v4().unwrap(), is_on);
    }
    for ttl in [1, 42, 255] {
        socket.set_ttl(ttl).unwrap();
        assert_eq!(socket.ttl().unwrap(), ttl);
        socket.set_multicast_ttl_v4(ttl).unwrap();
        assert_eq!(socket.multicast_ttl_v4().unwrap(), ttl);
    }
    assert!(socket.take_error().unwrap().is_none());
}

#[test]
fn a_broadcast_needs_the_option() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let socket = UdpSocket::bind(any_v4()).unwrap();
    // The loopback's own broadcast address: nothing leaves the machine.
    let everyone: SocketAddr = "127.255.255.255:9".parse().unwrap();
    expect_error(ErrorKind::PermissionDenied, socket.send_to(b"x", everyone));
    socket.set_broadcast(true).unwrap();
    socket.send_to(b"x", everyone).unwrap();
}

#[test]
fn options_of_ipv6_are_set_and_read_back() {
    let Some(address) = any_v6() else { return };
    let socket = UdpSocket::bind(address).unwrap();
    for is_on in [true, false] {
        socket.set_multicast_loop_v6(is_on).unwrap();
        assert_eq!(socket.multicast_loop_v6().unwrap(), is_on);
    }
    // The system's default, and what is set through another hand.
    for is_only in [true, false] {
        let raw = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None).unwrap();
        raw.set_only_v6(is_only).unwrap();
        let socket = UdpSocket::from_std(raw.into());
        assert_eq!(socket.only_v6().unwrap(), is_only);
    }
}

#[cfg(not(target_family = "wasm"))] // has no multicast
#[test]
fn multicast_of_ipv4_reaches_members_until_they_leave() {
    let group = Ipv4Addr::new(224, 0, 0, 251);
    let mut rig = Rig::new();
    let mut member = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0).into()).unwrap();
    let port = member.local_addr().unwrap().port();
    rig.register(&mut member, A, Interest::READABLE);
    let sender = UdpSocket::bind(any_v4()).unwrap();
    // Machines without a network card have no route for multicast but this.
    socket2::SockRef::from(&sender)
        .set_multicast_if_v4(&Ipv4Addr::LOCALHOST)
        .unwrap();
    sender.set_multicast_loop_v4(true).unwrap();
    sender.set_multicast_ttl_v4(0).unwrap();

    member
        .join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)
        .unwrap();
    sender.send_to(b"to all", (group, port).into()).unwrap();
    rig.expect(A, READABLE);
    assert_eq!(member.recv(&mut [0; 16]).unwrap(), 6);
    expect_would_block(member.recv(&mut [0; 16]));

    member
        .leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST)
        .unwrap();
    let not_a_member = member.leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST);
    if cfg!(windows) {
        not_a_member.unwrap_err(); // Wine has a code of its own
    } else {
        expect_error(ErrorKind::AddrNotAvailable, not_a_member);
    }
    // Without a member nobody listens, though the port is right.
    #[cfg(target_os = "linux")]
    {
        socket2::SockRef::from(&member)
            .set_multicast_all_v4(false)
            .unwrap();
        sender.send_to(b"to all", (group, port).into()).unwrap();
        rig.expect_nothing();
    }
}

#[cfg(unix)]
#[test]
fn multicast_of_ipv6_is_joined_and_left() {
    let Some(address) = any_v6() else { return };
    let group = Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 0x4c10);
    let loopback = loopback_index();
    let socket = UdpSocket::bind(address).unwrap();
    socket.join_multicast_v6(&group, loopback).unwrap();
    socket.leave_multicast_v6(&group, loopback).unwrap();
    expect_error(
        ErrorKind::AddrNotAvailable,
        socket.leave_multicast_v6(&group, loopback),
    );
}

/// What the group is heard from is tested where there is a way to it: in `tests/process`.
#[cfg(unix)]
#[test]
fn multicast_of_ipv6_is_joined_and_left_for_single_sources() {
    let Some(address) = any_v6() else { return };
    let group = Ipv6Addr::new(0xff31, 0, 0, 0, 0, 0, 0x8000, 0x4c10);
    let [one, other] = [1, 2].map(|n| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n));
    let loopback = loopback_index();
    let socket = UdpSocket::bind(address).unwrap();
    let joined = socket.join_ssm_v6(&one, &group, loopback);
    if !cfg!(any(
        target_os = "android",
        target_os = "freebsd",
        target_os = "linux",
        target_vendor = "apple"
    )) {
        return expect_error(ErrorKind::Unsupported, joined);
    }
    joined.unwrap();
    expect_error(
        ErrorKind::AddrNotAvailable,
        socket.join_ssm_v6(&one, &group, loopback),
    );
    socket.join_ssm_v6(&other, &group, loopback).unwrap();
    socket.leave_ssm_v6(&one, &group, loopback).unwrap();
    expect_error(
        ErrorKind::AddrNotAvailable,
        socket.leave_ssm_v6(&one, &group, loopback),
    );
    socket.leave_ssm_v6(&other, &group, loopback).unwrap();
    // What is no group.
    let error = socket.join_ssm_v6(&one, &other, loopback).unwrap_err();
    assert!(error.raw_os_error().is_some(), "{error:?}");
}

#[test]
fn ipv6_works_like_ipv4() {
    let Some(address) = any_v6() else { return };
    let mut rig = Rig::new();
    let mut first = UdpSocket::bind(address).unwrap();
    let second = UdpSocket::bind(address).unwrap();
    rig.register(&mut first, A, BOTH);
    rig.expect(A, WRITABLE);
    second.send_to(b"six", first.local_addr().unwrap()).unwrap();
    rig.expect(A, READABLE);
    let (length, from) = first.recv_from(&mut [0; 8]).unwrap();
    assert_eq!((length, from), (3, second.local_addr().unwrap()));
}

#[test]
fn an_address_in_use_is_an_error() {
    let socket = UdpSocket::bind(any_v4()).unwrap();
    expect_error(
        ErrorKind::AddrInUse,
        UdpSocket::bind(socket.local_addr().unwrap()),
    );
}

#[test]
fn a_datagram_too_long_for_udp_is_the_systems_error() {
    let socket = UdpSocket::bind(any_v4()).unwrap();
    let error = socket
        .send_to(&vec![0; 70_000], socket.local_addr().unwrap())
        .unwrap_err();
    assert!(error.raw_os_error().is_some(), "{error:?}");
    #[cfg(target_os = "linux")]
    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
}

#[test]
fn sockets_become_std_types_and_back() {
    let mut rig = Rig::new();
    let socket = UdpSocket::bind(any_v4()).unwrap();
    let address = socket.local_addr().unwrap();
    let plain: std::net::UdpSocket = socket.into();
    assert_eq!(plain.local_addr().unwrap(), address);
    expect_would_block(plain.recv(&mut [0; 1]));
    let mut socket = UdpSocket::from_std(plain);
    rig.register(&mut socket, A, Interest::READABLE);
    UdpSocket::bind(any_v4())
        .unwrap()
        .send_to(b"x", address)
        .unwrap();
    rig.expect(A, READABLE);
    assert!(format!("{socket:?}").contains("UdpSocket"));
}

#[test]
fn try_io_runs_operations_on_the_socket_itself() {
    let mut rig = Rig::new();
    let (first, second) = pair(&rig);
    let receive = || {
        second.try_io(|| {
            let mut buffer = [MaybeUninit::uninit(); 8];
            socket2::SockRef::from(&second).recv(&mut buffer)
        })
    };
    for _ in 0..3 {
        expect_would_block(receive());
        first.send_to(b"xy", second.local_addr().unwrap()).unwrap();
        rig.expect(B, READABLE);
        assert_eq!(receive().unwrap(), 2);
    }
}
