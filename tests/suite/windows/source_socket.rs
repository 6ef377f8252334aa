//! Raw sockets as sources, the port's handle, what UDP can be told.

use std::io::{ErrorKind, Read, Write};
use std::os::windows::io::{AsHandle, AsRawHandle, AsRawSocket};
use std::time::{Duration, Instant};

use litio::Interest;
use litio::net::UdpSocket;
use litio::windows::{SourceSocket, UdpSocketExt};

use crate::support::*;

#[test]
fn a_raw_socket_is_reported_again_though_nobody_sees_its_io() {
    let mut rig = Rig::new();
    let (stream, mut peer) = stream_and_peer();
    let mut stream = std::net::TcpStream::from(stream);
    let raw = stream.as_raw_socket();
    rig.register(&mut SourceSocket(&raw), A, Interest::READABLE);
    for round in 0..5_u8 {
        peer.write_all(&[round]).unwrap();
        rig.expect(A, READABLE);
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [round]);
    }
    rig.deregister(&mut SourceSocket(&raw));
    peer.write_all(b"x").unwrap();
    assert_eq!(rig.poll_once(QUIET), []);
}

#[test]
fn a_raw_socket_can_be_triggered_by_level() {
    let mut rig = Rig::new();
    let (stream, mut peer) = stream_and_peer();
    let mut stream = std::net::TcpStream::from(stream);
    let raw = stream.as_raw_socket();
    rig.register(&mut SourceSocket(&raw), A, Interest::READABLE.level());
    peer.write_all(b"x").unwrap();
    for _ in 0..4 {
        assert_eq!(rig.poll_once(DEADLINE), [(A, READABLE)]);
    }
    stream.read_exact(&mut [0]).unwrap();
    rig.expect_nothing();
    rig.deregister(&mut SourceSocket(&raw));
}

/// Also while a rest of the paced source that it was before has not ended.
#[test]
fn a_raw_socket_is_triggered_by_level_from_the_moment_it_is_reregistered() {
    let mut rig = Rig::new();
    let socket = UdpSocket::bind(any_v4()).unwrap();
    let raw = socket.as_raw_socket();
    rig.register(&mut SourceSocket(&raw), A, Interest::WRITABLE);
    // Until it rests for eight milliseconds.
    for _ in 0..64 * 3 + 2 {
        rig.expect(A, WRITABLE);
    }
    rig.reregister(&mut SourceSocket(&raw), B, Interest::WRITABLE.level());
    rig.expect(B, WRITABLE);
    for _ in 0..4 {
        assert_eq!(rig.poll_once(Duration::ZERO), [(B, WRITABLE)]);
    }
    rig.deregister(&mut SourceSocket(&raw));
}

#[test]
fn the_port_has_a_handle() {
    let rig = Rig::new();
    let handle = rig.poll.as_raw_handle();
    assert!(!handle.is_null());
    assert_eq!(rig.registry().as_handle().as_raw_handle(), handle);
}

#[test]
fn resets_of_udp_peers_can_be_switched_on_and_off() {
    let socket = UdpSocket::bind(any_v4()).unwrap();
    let gone = UdpSocket::bind(any_v4_apart())
        .unwrap()
        .local_addr()
        .unwrap();
    socket.set_report_resets(true).unwrap();
    socket.set_report_resets(false).unwrap();
    socket.send_to(b"to nobody", gone).unwrap();
    let end = Instant::now() + QUIET;
    while Instant::now() < end {
        expect_error(ErrorKind::WouldBlock, socket.recv(&mut [0; 16]));
    }
}
