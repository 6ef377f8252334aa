//! `UnixStream`, method by method.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;

use litio::Interest;
use litio::net::{UnixListener, UnixStream};

use super::SocketPath;
use crate::support::*;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

#[test]
fn a_stream_connects_to_a_path() {
    let mut rig = Rig::new();
    let path = SocketPath::new();
    let listener = UnixListener::bind(&path).unwrap();
    let mut client = UnixStream::connect(&path).unwrap();
    rig.register(&mut client, A, BOTH);
    rig.expect(A, WRITABLE);
    assert!(client.take_error().unwrap().is_none());
    assert_eq!(
        client.peer_addr().unwrap().as_pathname(),
        Some(path.as_ref())
    );
    assert!(client.local_addr().unwrap().is_unnamed());
    let (mut server, from) = listener.accept().unwrap();
    assert!(from.is_unnamed());
    assert!(server.peer_addr().unwrap().is_unnamed());
    assert_eq!(
        server.local_addr().unwrap().as_pathname(),
        Some(path.as_ref())
    );
    server.write_all(b"hello").unwrap();
    assert_eq!(read_exactly(&mut rig, A, &client, 5), b"hello");
}

#[test]
fn a_stream_connects_to_an_address() {
    let path = SocketPath::new();
    let listener = UnixListener::bind(&path).unwrap();
    let address = SocketAddr::from_pathname(&path).unwrap();
    let client = UnixStream::connect_addr(&address).unwrap();
    assert_eq!(
        client.peer_addr().unwrap().as_pathname(),
        Some(path.as_ref())
    );
    listener.accept().unwrap();
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn a_stream_connects_to_an_abstract_address() {
    let (address, name) = super::abstract_address();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let client = UnixStream::connect_addr(&address).unwrap();
    assert_eq!(
        super::abstract_name(&client.peer_addr().unwrap()),
        Some(name.clone())
    );
    let (server, _) = listener.accept().unwrap();
    assert_eq!(
        super::abstract_name(&server.local_addr().unwrap()),
        Some(name)
    );
}

#[test]
fn connecting_to_nobody_is_an_error_at_once() {
    let path = SocketPath::new();
    expect_error(ErrorKind::NotFound, UnixStream::connect(&path));
    drop(UnixListener::bind(&path).unwrap());
    // The file stays when its listener goes.
    expect_error(ErrorKind::ConnectionRefused, UnixStream::connect(&path));
}

#[test]
fn impossible_paths_are_invalid_input() {
    let too_long = "x".repeat(4096);
    expect_error(ErrorKind::InvalidInput, UnixStream::connect(&too_long));
    expect_error(ErrorKind::InvalidInput, UnixStream::connect("with\0nul"));
    expect_error(ErrorKind::InvalidInput, UnixListener::bind(&too_long));
    expect_error(ErrorKind::InvalidInput, UnixListener::bind("with\0nul"));
}

#[test]
fn a_path_as_long_as_fits_is_kept_whole() {
    // sun_path has no room for a terminating NUL then; nothing may be cut off.
    let path = SocketPath::new();
    let room = if cfg!(any(target_os = "linux", target_os = "android")) {
        107
    } else {
        103
    };
    let start = path.0.to_str().unwrap().to_owned();
    let padding = "p".repeat(room - start.len());
    let path = SocketPath((start + &padding).into());
    let listener = UnixListener::bind(&path).unwrap();
    assert_eq!(
        listener.local_addr().unwrap().as_pathname(),
        Some(path.as_ref())
    );
    let client = UnixStream::connect(&path).unwrap();
    assert_eq!(
        client.peer_addr().unwrap().as_pathname(),
        Some(path.as_ref())
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_backlog_is_would_block_and_no_stream() {
    let path = SocketPath::new();
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket
        .bind(&socket2::SockAddr::unix(&path).unwrap())
        .unwrap();
    socket.listen(0).unwrap();
    let _first = UnixStream::connect(&path).unwrap();
    let mut refusals = (0..3).filter_map(|_| UnixStream::connect(&path).err());
    assert!(is_would_block(
        &refusals.next().expect("the backlog of 0 to be full")
    ));
}

#[test]
fn a_pair_is_connected_both_ways() {
    let mut rig = Rig::new();
    let (mut near, mut far) = UnixStream::pair().unwrap();
    rig.register(&mut near, A, BOTH);
    rig.register(&mut far, B, BOTH);
    rig.expect(A, WRITABLE);
    rig.expect(B, WRITABLE);
    expect_would_block(near.read(&mut [0; 1]));
    near.write_all(b"ping").unwrap();
    assert_eq!(read_exactly(&mut rig, B, &far, 4), b"ping");
    (&far).write_all(b"pong").unwrap();
    assert_eq!(read_exactly(&mut rig, A, &mut near, 4), b"pong");
    near.flush().unwrap();
    (&near).flush().unwrap();
    assert!(near.local_addr().unwrap().is_unnamed());
    assert!(near.peer_addr().unwrap().is_unnamed());
}

#[test]
fn vectored_transfers_cross_the_buffers_borders() {
    let mut rig = Rig::new();
    let (mut near, mut far) = UnixStream::pair().unwrap();
    rig.register(&mut far, A, Interest::READABLE);
    let parts = [
        IoSlice::new(b"one"),
        IoSlice::new(b""),
        IoSlice::new(b"three"),
    ];
    assert_eq!(near.write_vectored(&parts).unwrap(), 8);
    assert_eq!((&near).write_vectored(&parts[..1]).unwrap(), 3);
    rig.expect(A, READABLE);
    let (mut first, mut second) = ([0; 4], [0; 16]);
    let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!(far.read_vectored(&mut buffers).unwrap(), 11);
    assert_eq!((&first, &second[..7]), (b"onet", &b"hreeone"[..]));
    expect_would_block((&far).read_vectored(&mut [IoSliceMut::new(&mut first)]));
}

#[test]
fn each_shutdown_closes_its_half() {
    for (how, may_write, may_read) in [
        (Shutdown::Write, false, true),
        (Shutdown::Read, true, false),
        (Shutdown::Both, false, false),
    ] {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        near.shutdown(how).unwrap();
        let written = near.write(b"x");
        assert_eq!(written.is_ok(), may_write, "{how:?}: {written:?}");
        if !may_write {
            expect_error(ErrorKind::BrokenPipe, written);
            assert_eq!(far.read(&mut [0; 1]).unwrap(), 0);
        }
        let read = near.read(&mut [0; 1]);
        assert_eq!(read.is_err(), may_read, "{how:?}: {read:?}");
    }
}

#[test]
fn a_peer_that_closes_is_told_with_all_hints() {
    let mut rig = Rig::new();
    let (mut near, far) = UnixStream::pair().unwrap();
    rig.register(&mut near, A, BOTH);
    rig.expect(A, WRITABLE);
    drop(far);
    let wanted = if LINUX_HINTS {
        READABLE | READ_CLOSED | WRITE_CLOSED
    } else {
        READABLE
    };
    rig.expect(A, wanted);
    assert_eq!(near.read(&mut [0; 1]).unwrap(), 0);
    expect_error(ErrorKind::BrokenPipe, near.write(b"x"));
}

#[test]
fn a_peer_that_shuts_its_write_half_closes_only_reading() {
    let mut rig = Rig::new();
    let (mut near, far) = UnixStream::pair().unwrap();
    rig.register(&mut near, A, BOTH);
    rig.expect(A, WRITABLE);
    far.shutdown(Shutdown::Write).unwrap();
    let seen = rig.expect(A, READABLE);
    if LINUX_HINTS {
        assert!(seen.has(READ_CLOSED) && !seen.has(WRITE_CLOSED), "{seen:?}");
    }
    assert_eq!(near.read(&mut [0; 1]).unwrap(), 0);
    near.write_all(b"x").unwrap();
}

#[test]
fn writable_again_when_the_peer_makes_room() {
    let mut rig = Rig::new();
    let (mut near, mut far) = UnixStream::pair().unwrap();
    rig.register(&mut near, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    for _ in 0..2 {
        let written = fill(&near);
        rig.expect_nothing();
        far.read_exact(&mut vec![0; written]).unwrap();
        rig.expect(A, WRITABLE);
    }
}

#[test]
fn readable_again_after_would_block() {
    let mut rig = Rig::new();
    let (mut near, mut far) = UnixStream::pair().unwrap();
    rig.register(&mut near, A, Interest::READABLE);
    for round in 0..3_u8 {
        far.write_all(&[round]).unwrap();
        rig.expect(A, READABLE);
        assert_eq!(drain(&near), [round]);
        rig.expect_nothing();
    }
}

#[test]
fn streams_become_std_types_and_back() {
    let (near, mut far) = UnixStream::pair().unwrap();
    let mut plain: std::os::unix::net::UnixStream = near.into();
    expect_would_block(plain.read(&mut [0; 1]));
    let mut near = UnixStream::from_std(plain);
    let mut rig = Rig::new();
    rig.register(&mut near, A, Interest::READABLE);
    far.write_all(b"x").unwrap();
    rig.expect(A, READABLE);
    assert!(format!("{near:?}").contains("UnixStream"));
}

#[test]
fn try_io_runs_operations_on_the_stream_itself() {
    let mut rig = Rig::new();
    let (mut near, mut far) = UnixStream::pair().unwrap();
    rig.register(&mut near, A, Interest::READABLE);
    let receive = |stream: &UnixStream| {
        stream.try_io(|| {
            let mut buffer = [std::mem::MaybeUninit::uninit(); 8];
            socket2::SockRef::from(stream).recv(&mut buffer)
        })
    };
    for _ in 0..3 {
        expect_would_block(receive(&near));
        far.write_all(b"xy").unwrap();
        rig.expect(A, READABLE);
        assert_eq!(receive(&near).unwrap(), 2);
    }
}

#[test]
fn dropping_a_registered_stream_ends_its_peer() {
    let rig = Rig::new();
    let (mut near, mut far) = UnixStream::pair().unwrap();
    rig.register(&mut near, A, BOTH);
    drop(near);
    assert_eq!(far.read(&mut [0; 1]).unwrap(), 0);
}
