//! `UnixListener`, method by method, and the addresses of those it accepts.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::SocketAddr;

use litio::Interest;
use litio::net::{UnixListener, UnixStream};

use super::SocketPath;
use crate::support::*;

#[test]
fn every_connection_is_reported_also_the_second() {
    let mut rig = Rig::new();
    let path = SocketPath::new();
    let mut listener = UnixListener::bind(&path).unwrap();
    rig.register(&mut listener, A, Interest::READABLE);
    for _ in 0..3 {
        let _client = UnixStream::connect(&path).unwrap();
        rig.expect(A, READABLE);
        listener.accept().unwrap();
        expect_would_block(listener.accept());
        rig.expect_nothing();
    }
}

#[test]
fn accepted_streams_are_sources_of_their_own() {
    let mut rig = Rig::new();
    let path = SocketPath::new();
    let listener = UnixListener::bind(&path).unwrap();
    let mut client = UnixStream::connect(&path).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    rig.register(&mut server, A, Interest::READABLE);
    for round in 0..3_u8 {
        client.write_all(&[round]).unwrap();
        rig.expect(A, READABLE);
        assert_eq!(drain(&server), [round]);
    }
    expect_would_block(server.read(&mut [0; 1]));
}

#[test]
fn an_existing_file_is_in_use_and_stays() {
    let path = SocketPath::new();
    let listener = UnixListener::bind(&path).unwrap();
    assert!(listener.take_error().unwrap().is_none());
    expect_error(ErrorKind::AddrInUse, UnixListener::bind(&path));
    drop(listener);
    // A stale file is the program's to remove.
    expect_error(ErrorKind::AddrInUse, UnixListener::bind(&path));
    std::fs::remove_file(&path).unwrap();
    UnixListener::bind(&path).unwrap();
}

#[test]
fn binding_by_address_is_binding_by_path() {
    let path = SocketPath::new();
    let listener = UnixListener::bind_addr(&SocketAddr::from_pathname(&path).unwrap()).unwrap();
    assert_eq!(
        listener.local_addr().unwrap().as_pathname(),
        Some(path.as_ref())
    );
    UnixStream::connect(&path).unwrap();
    listener.accept().unwrap();
}

#[test]
fn a_client_with_a_path_is_accepted_under_it() {
    let (server_path, client_path) = (SocketPath::new(), SocketPath::new());
    let listener = UnixListener::bind(&server_path).unwrap();
    let client = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    client
        .bind(&socket2::SockAddr::unix(&client_path).unwrap())
        .unwrap();
    client
        .connect(&socket2::SockAddr::unix(&server_path).unwrap())
        .unwrap();
    let (server, from) = listener.accept().unwrap();
    assert_eq!(from.as_pathname(), Some(client_path.as_ref()));
    assert_eq!(
        server.peer_addr().unwrap().as_pathname(),
        Some(client_path.as_ref())
    );
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn a_client_with_an_abstract_address_is_accepted_under_it() {
    let (address, server_name) = super::abstract_address();
    let listener = UnixListener::bind_addr(&address).unwrap();
    // Names of several lengths, with NULs within and at the end: none may be cut or lost.
    let (_, base) = super::abstract_address();
    for tail in [&b""[..], b"x", b"\0", b"\0\0end", &[b'l'; 60]] {
        let name = [&base[..], tail].concat();
        let client =
            socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        client.bind(&of_socket2(&name)).unwrap();
        client.connect(&of_socket2(&server_name)).unwrap();
        let (stream, from) = listener.accept().unwrap();
        assert_eq!(super::abstract_name(&from), Some(name.clone()), "{from:?}");
        assert_eq!(
            super::abstract_name(&stream.peer_addr().unwrap()),
            Some(name)
        );
    }
}

/// An abstract address as socket2 has it: a path that starts with NUL.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn of_socket2(name: &[u8]) -> socket2::SockAddr {
    let bytes = [&b"\0"[..], name].concat();
    let path: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(&bytes);
    socket2::SockAddr::unix(path).unwrap()
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn a_client_without_a_name_is_accepted_as_unnamed() {
    let (address, name) = super::abstract_address();
    let listener = UnixListener::bind_addr(&address).unwrap();
    assert_eq!(
        super::abstract_name(&listener.local_addr().unwrap()),
        Some(name)
    );
    let _client = UnixStream::connect_addr(&address).unwrap();
    let (_, from) = listener.accept().unwrap();
    assert!(from.is_unnamed());
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn an_abstract_name_is_free_once_its_listener_is_dropped() {
    let (address, _) = super::abstract_address();
    for _ in 0..3 {
        let listener = UnixListener::bind_addr(&address).unwrap();
        expect_error(ErrorKind::AddrInUse, UnixListener::bind_addr(&address));
        drop(listener);
    }
}

#[test]
fn a_listener_holds_many_connections_until_they_are_accepted() {
    let path = SocketPath::new();
    let listener = UnixListener::bind(&path).unwrap();
    let clients: Vec<UnixStream> = (0..64)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    for _ in &clients {
        listener.accept().unwrap();
    }
    expect_would_block(listener.accept());
}

#[test]
fn listeners_become_std_types_and_back() {
    let path = SocketPath::new();
    let plain: std::os::unix::net::UnixListener = UnixListener::bind(&path).unwrap().into();
    expect_would_block(plain.accept());
    let mut listener = UnixListener::from_std(plain);
    let mut rig = Rig::new();
    rig.register(&mut listener, A, Interest::READABLE);
    let _client = UnixStream::connect(&path).unwrap();
    rig.expect(A, READABLE);
    assert!(format!("{listener:?}").contains("UnixListener"));
}
