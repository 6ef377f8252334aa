//! `VsockStream` and `VsockListener`: streams between virtual machines, here of this one with
//! itself.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use litio::Interest;
use litio::net::{TcpStream, VsockAddr, VsockListener, VsockStream};

use super::descriptors::expect_flags;
use crate::support::*;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// A listener for connections from this very machine. None, and said, where the kernel has no
/// module for that: then nothing may be sent, for it would go to the host.
fn local_listener() -> Option<VsockListener> {
    let address = VsockAddr::new(VsockAddr::CID_LOCAL, VsockAddr::PORT_ANY);
    match VsockListener::bind(address) {
        Ok(listener) => Some(listener),
        Err(error) => {
            // A test machine that has it says so, lest nobody notices that nothing is tested.
            let is_required = std::env::var_os("LITIO_TEST_VSOCK").is_some();
            assert!(!is_required, "no vsock_loopback: {error}");
            // Past the test harness, which would keep it to itself.
            let why = format!("!!! vsock is NOT TESTED: no vsock_loopback here ({error})\n");
            std::io::stderr().write_all(why.as_bytes()).ok();
            None
        }
    }
}

/// Two streams connected and accepted, registered as A and B for both directions.
#[track_caller]
fn pair(rig: &mut Rig, listener: &mut VsockListener) -> (VsockStream, VsockStream) {
    rig.register(listener, C, Interest::READABLE);
    expect_would_block(listener.accept());
    let mut near = VsockStream::connect(listener.local_addr().unwrap()).unwrap();
    rig.register(&mut near, A, BOTH);
    rig.expect(C, READABLE);
    let (mut far, peer) = listener.accept().unwrap();
    expect_would_block(listener.accept());
    rig.expect(A, WRITABLE);
    assert!(near.take_error().unwrap().is_none());
    // The kernel does not say which machine it is to a stream that was not bound.
    assert_eq!(near.local_addr().unwrap().port, peer.port);
    assert_eq!(peer.cid, VsockAddr::CID_LOCAL);
    rig.register(&mut far, B, BOTH);
    rig.deregister(listener);
    (near, far)
}

/// Reads until there is nothing more, and then waits, until `len` bytes have come.
#[track_caller]
fn read_exactly(
    rig: &mut Rig,
    stream: &mut VsockStream,
    token: litio::Token,
    len: usize,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 10_000];
    while bytes.len() < len {
        match stream.read(&mut buffer) {
            Ok(0) => panic!("the stream ended after {} bytes", bytes.len()),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if is_would_block(&error) => drop(rig.expect(token, READABLE)),
            Err(error) => panic!("read failed: {error}"),
        }
    }
    assert_eq!(bytes.len(), len);
    bytes
}

#[test]
fn streams_connect_and_carry_bytes_both_ways() {
    let Some(mut listener) = local_listener() else {
        return;
    };
    let mut rig = Rig::new();
    let address = listener.local_addr().unwrap();
    assert_eq!(address.cid, VsockAddr::CID_LOCAL);
    assert_ne!(address.port, VsockAddr::PORT_ANY);
    let (mut near, mut far) = pair(&mut rig, &mut listener);
    assert_eq!(near.peer_addr().unwrap(), address);
    assert_eq!(far.local_addr().unwrap(), address);
    assert_eq!(far.peer_addr().unwrap().cid, VsockAddr::CID_LOCAL);
    expect_flags("VsockListener::bind", listener.as_fd());
    expect_flags("VsockStream::connect", near.as_fd());
    expect_flags("VsockListener::accept", far.as_fd());
    for round in 0..3u8 {
        expect_would_block(far.read(&mut [0; 8]));
        expect_would_block(far.peek(&mut [0; 8]));
        let number = [round];
        let data = [IoSlice::new(&number), IoSlice::new(b"hello")];
        assert_eq!(near.write_vectored(&data).unwrap(), 6);
        rig.expect(B, READABLE);
        let mut buffer = [0; 8];
        assert!(far.peek(&mut buffer).unwrap() > 0);
        let arrived = read_exactly(&mut rig, &mut far, B, 6);
        assert_eq!(arrived, [&number[..], b"hello"].concat());
        far.write_all(b"answer").unwrap();
        assert_eq!(read_exactly(&mut rig, &mut near, A, 6), b"answer");
        expect_would_block(near.read_vectored(&mut [IoSliceMut::new(&mut buffer)]));
    }
}

#[test]
fn a_full_stream_would_block_and_room_makes_an_event() {
    let Some(mut listener) = local_listener() else {
        return;
    };
    let mut rig = Rig::new();
    let (mut near, mut far) = pair(&mut rig, &mut listener);
    for _ in 0..2 {
        let mut sent = 0;
        let error = loop {
            match near.write(&[7; 9_999]) {
                Ok(len) => sent += len,
                Err(error) => break error,
            }
        };
        assert!(is_would_block(&error), "{error:?}");
        assert!(sent > 0);
        let arrived = read_exactly(&mut rig, &mut far, B, sent);
        assert!(arrived.iter().all(|byte| *byte == 7));
        expect_would_block(far.read(&mut [0; 8]));
        rig.expect(A, WRITABLE);
    }
}

#[test]
fn the_end_is_seen() {
    let Some(mut listener) = local_listener() else {
        return;
    };
    let mut rig = Rig::new();
    let (mut near, mut far) = pair(&mut rig, &mut listener);
    expect_would_block(far.read(&mut [0; 8]));
    near.write_all(b"last").unwrap();
    near.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_exactly(&mut rig, &mut far, B, 4), b"last");
    loop {
        match far.read(&mut [0; 8]) {
            Ok(len) => {
                assert_eq!(len, 0);
                break;
            }
            Err(error) if is_would_block(&error) => drop(rig.expect(B, READABLE)),
            Err(error) => panic!("read failed: {error}"),
        }
    }
    // The other direction goes on.
    far.write_all(b"still").unwrap();
    assert_eq!(read_exactly(&mut rig, &mut near, A, 5), b"still");
    drop(near);
    rig.expect(B, READABLE);
}

#[test]
fn nobody_listening_is_told_when_the_connection_fails() {
    let Some(listener) = local_listener() else {
        return;
    };
    let address = listener.local_addr().unwrap();
    expect_error(ErrorKind::AddrInUse, VsockListener::bind(address));
    drop(listener);
    let mut rig = Rig::new();
    let error = match VsockStream::connect(address) {
        Ok(mut stream) => {
            rig.register(&mut stream, A, BOTH);
            rig.expect(A, WRITABLE);
            stream.peer_addr().unwrap_err();
            stream.take_error().unwrap().expect("an error is pending")
        }
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn descriptors_go_out_and_in_and_are_printed_with_their_addresses() {
    let Some(mut listener) = local_listener() else {
        return;
    };
    let mut rig = Rig::new();
    let (near, mut far) = pair(&mut rig, &mut listener);
    let (here, there) = (near.local_addr().unwrap(), near.peer_addr().unwrap());
    rig.deregister(&mut far);
    let fd = near.as_raw_fd();
    assert_eq!(
        format!("{near:?}"),
        format!("VsockStream {{ local: {here}, peer: {there}, fd: {fd} }}")
    );
    assert_eq!(
        format!("{listener:?}"),
        format!(
            "VsockListener {{ local: {there}, fd: {} }}",
            listener.as_raw_fd()
        )
    );
    let mut near = VsockStream::from(OwnedFd::from(near));
    near.write_all(b"x").unwrap();
    assert_eq!(
        listener.take_error().unwrap().map(|error| error.kind()),
        None
    );
    let again = VsockListener::from(OwnedFd::from(listener));
    assert_eq!(again.local_addr().unwrap(), there);
}

/// What needs no second end, so that it runs on every machine.
#[test]
fn a_cid_of_another_machine_cannot_be_bound_and_a_foreign_socket_has_no_address() {
    let address = VsockAddr::new(0x7fff_0000, VsockAddr::PORT_ANY);
    let error = VsockListener::bind(address).unwrap_err();
    let is_without_vsock = error.raw_os_error() == Some(libc::EAFNOSUPPORT);
    assert!(
        is_without_vsock || error.kind() == ErrorKind::AddrNotAvailable,
        "{error:?}"
    );
    let (near, _far) = tcp_pair();
    let near = VsockStream::from(OwnedFd::from(near));
    expect_error(ErrorKind::InvalidInput, near.local_addr());
    expect_error(ErrorKind::InvalidInput, near.peer_addr());
    assert_eq!(
        format!("{near:?}"),
        format!("VsockStream {{ fd: {} }}", near.as_raw_fd())
    );
    TcpStream::from(OwnedFd::from(near)).peer_addr().unwrap();
}
