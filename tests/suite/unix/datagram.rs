//! `UnixDatagram`, method by method.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;

use litio::Interest;
use litio::net::UnixDatagram;

use super::SocketPath;
use crate::support::*;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

#[test]
fn datagrams_travel_between_paths() {
    let mut rig = Rig::new();
    let (first_path, second_path) = (SocketPath::new(), SocketPath::new());
    let first = UnixDatagram::bind(&first_path).unwrap();
    let mut second = UnixDatagram::bind(&second_path).unwrap();
    assert_eq!(
        first.local_addr().unwrap().as_pathname(),
        Some(first_path.as_ref())
    );
    rig.register(&mut second, A, BOTH);
    rig.expect(A, WRITABLE);
    for round in 0..3_u8 {
        assert_eq!(first.send_to(&[round], &second_path).unwrap(), 1);
        rig.expect(A, READABLE);
        let mut buffer = [0; 8];
        let (length, from) = second.recv_from(&mut buffer).unwrap();
        assert_eq!((length, buffer[0]), (1, round));
        assert_eq!(from.as_pathname(), Some(first_path.as_ref()));
        expect_would_block(second.recv_from(&mut buffer));
        rig.expect_nothing();
    }
}

#[test]
fn a_connected_socket_sends_without_naming_its_peer() {
    let mut rig = Rig::new();
    let path = SocketPath::new();
    let mut server = UnixDatagram::bind_addr(&SocketAddr::from_pathname(&path).unwrap()).unwrap();
    let client = UnixDatagram::unbound().unwrap();
    expect_error(ErrorKind::NotConnected, client.peer_addr());
    expect_error(ErrorKind::NotConnected, client.send(b"x"));
    client.connect(&path).unwrap();
    assert_eq!(
        client.peer_addr().unwrap().as_pathname(),
        Some(path.as_ref())
    );
    assert!(client.local_addr().unwrap().is_unnamed());
    rig.register(&mut server, A, Interest::READABLE);
    assert_eq!(client.send(b"hello").unwrap(), 5);
    rig.expect(A, READABLE);
    let mut buffer = [0; 8];
    let (length, from) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(length, 5);
    assert!(from.as_pathname().is_none() && from.is_unnamed());
    expect_would_block(server.recv(&mut buffer));
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn datagrams_from_an_abstract_address_arrive_under_it() {
    let (address, name) = super::abstract_address();
    let path = SocketPath::new();
    let sender = UnixDatagram::bind_addr(&address).unwrap();
    let receiver = UnixDatagram::bind(&path).unwrap();
    assert_eq!(
        super::abstract_name(&sender.local_addr().unwrap()),
        Some(name.clone())
    );
    sender.send_to(b"x", &path).unwrap();
    let (_, from) = receiver.recv_from(&mut [0; 8]).unwrap();
    assert_eq!(super::abstract_name(&from), Some(name));
}

#[test]
fn a_pair_is_connected_both_ways() {
    let mut rig = Rig::new();
    let (mut near, mut far) = UnixDatagram::pair().unwrap();
    rig.register(&mut near, A, Interest::READABLE);
    rig.register(&mut far, B, Interest::READABLE);
    near.send(b"ping").unwrap();
    rig.expect(B, READABLE);
    assert_eq!(far.recv(&mut [0; 8]).unwrap(), 4);
    far.send(b"pong!").unwrap();
    rig.expect(A, READABLE);
    assert_eq!(near.recv(&mut [0; 8]).unwrap(), 5);
    assert!(near.peer_addr().unwrap().is_unnamed());
    assert!(near.take_error().unwrap().is_none());
}

#[test]
fn an_empty_datagram_is_readable_and_of_length_zero() {
    let mut rig = Rig::new();
    let (near, mut far) = UnixDatagram::pair().unwrap();
    rig.register(&mut far, A, Interest::READABLE);
    assert_eq!(near.send(b"").unwrap(), 0);
    rig.expect(A, READABLE);
    assert_eq!(far.recv(&mut [0; 8]).unwrap(), 0);
    expect_would_block(far.recv(&mut [0; 8]));
}

#[test]
fn a_datagram_that_does_not_fit_is_cut_off() {
    let (near, far) = UnixDatagram::pair().unwrap();
    near.send(b"abcdef").unwrap();
    near.send(b"next").unwrap();
    let mut buffer = [0; 3];
    assert_eq!(far.recv(&mut buffer).unwrap(), 3);
    assert_eq!(&buffer, b"abc");
    let mut buffer = [0; 8];
    assert_eq!(far.recv(&mut buffer).unwrap(), 4);
}

#[test]
fn writable_again_when_the_receiver_makes_room() {
    let mut rig = Rig::new();
    let (mut near, far) = UnixDatagram::pair().unwrap();
    rig.register(&mut near, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    for _ in 0..2 {
        let mut sent = 0;
        let full = loop {
            match near.send(&[0; 512]) {
                Ok(_) => sent += 1,
                Err(error) => break error,
            }
        };
        // ENOBUFS is the BSDs' answer, without an event to follow.
        if !is_would_block(&full) {
            return;
        }
        for _ in 0..sent {
            far.recv(&mut [0; 512]).unwrap();
        }
        rig.expect(A, WRITABLE);
    }
}

#[test]
fn each_shutdown_closes_its_half() {
    let (near, far) = UnixDatagram::pair().unwrap();
    near.shutdown(Shutdown::Write).unwrap();
    expect_error(ErrorKind::BrokenPipe, near.send(b"x"));
    far.send(b"x").unwrap();
    assert_eq!(near.recv(&mut [0; 8]).unwrap(), 1);
    near.shutdown(Shutdown::Read).unwrap();
    expect_error(ErrorKind::BrokenPipe, far.send(b"x"));
    let (near, _far) = UnixDatagram::pair().unwrap();
    near.shutdown(Shutdown::Both).unwrap();
    expect_error(ErrorKind::BrokenPipe, near.send(b"x"));
}

#[test]
fn sending_to_nobody_is_an_error() {
    let path = SocketPath::new();
    let socket = UnixDatagram::unbound().unwrap();
    expect_error(ErrorKind::NotFound, socket.send_to(b"x", &path));
    expect_error(ErrorKind::NotFound, socket.connect(&path));
    drop(UnixDatagram::bind(&path).unwrap());
    expect_error(ErrorKind::ConnectionRefused, socket.send_to(b"x", &path));
    expect_error(ErrorKind::InvalidInput, socket.send_to(b"x", "with\0nul"));
    expect_error(ErrorKind::AddrInUse, UnixDatagram::bind(&path));
}

#[test]
fn sockets_become_std_types_and_back() {
    let (near, far) = UnixDatagram::pair().unwrap();
    let plain: std::os::unix::net::UnixDatagram = near.into();
    expect_would_block(plain.recv(&mut [0; 1]));
    let mut near = UnixDatagram::from_std(plain);
    let mut rig = Rig::new();
    rig.register(&mut near, A, Interest::READABLE);
    far.send(b"x").unwrap();
    rig.expect(A, READABLE);
    assert!(format!("{near:?}").contains("UnixDatagram"));
}

#[test]
fn try_io_runs_operations_on_the_socket_itself() {
    let mut rig = Rig::new();
    let (mut near, far) = UnixDatagram::pair().unwrap();
    rig.register(&mut near, A, Interest::READABLE);
    let receive = |socket: &UnixDatagram| {
        socket.try_io(|| {
            let mut buffer = [std::mem::MaybeUninit::uninit(); 8];
            socket2::SockRef::from(socket).recv(&mut buffer)
        })
    };
    for _ in 0..3 {
        expect_would_block(receive(&near));
        far.send(b"xy").unwrap();
        rig.expect(A, READABLE);
        assert_eq!(receive(&near).unwrap(), 2);
    }
}
