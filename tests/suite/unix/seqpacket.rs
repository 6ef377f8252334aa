//! `UnixSeqpacket` and its listener: connections that keep messages apart.

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};

use litio::Interest;
use litio::net::ancillary::{Credentials, RecvAncillary, SendAncillary};
use litio::net::{UnixSeqpacket, UnixSeqpacketListener};

use super::SocketPath;
use super::descriptors::expect_flags;
use crate::support::*;

#[test]
fn messages_are_kept_apart_and_the_end_is_seen() {
    let mut rig = Rig::new();
    let path = SocketPath::new();
    let mut listener = UnixSeqpacketListener::bind(&path).unwrap();
    assert_eq!(
        listener.local_addr().unwrap().as_pathname(),
        Some(path.as_ref())
    );
    expect_flags("UnixSeqpacketListener::bind", listener.as_fd());
    rig.register(&mut listener, A, Interest::READABLE);
    expect_would_block(listener.accept());
    let client = UnixSeqpacket::connect(&path).unwrap();
    expect_flags("UnixSeqpacket::connect", client.as_fd());
    rig.expect(A, READABLE);
    let (mut server, peer) = listener.accept().unwrap();
    assert!(peer.is_unnamed());
    expect_flags("UnixSeqpacketListener::accept", server.as_fd());
    expect_would_block(listener.accept());
    rig.register(&mut server, B, Interest::READABLE);
    let mut buffer = [0; 8];
    for round in 0..3 {
        expect_would_block(server.recv(&mut buffer));
        expect_would_block(server.peek(&mut buffer));
        rig.expect_nothing();
        assert_eq!(client.send(b"one").unwrap(), 3);
        assert_eq!(client.send(b"three").unwrap(), 5);
        rig.expect(B, READABLE);
        assert_eq!(server.peek(&mut buffer).unwrap(), 3, "round {round}");
        assert_eq!(server.recv(&mut buffer).unwrap(), 3);
        // What does not fit is lost with its message.
        assert_eq!(server.recv(&mut buffer[..2]).unwrap(), 2);
    }
    expect_would_block(server.recv(&mut buffer));
    assert_eq!(
        client.peer_addr().unwrap().as_pathname(),
        Some(path.as_ref())
    );
    client.shutdown(Shutdown::Write).unwrap();
    rig.expect(B, READABLE);
    assert_eq!(server.recv(&mut buffer).unwrap(), 0);
    drop(client);
    expect_error(ErrorKind::BrokenPipe, server.send(b"x"));
}

#[test]
fn a_full_connection_would_block_and_room_makes_an_event() {
    let mut rig = Rig::new();
    let (mut ours, theirs) = UnixSeqpacket::pair().unwrap();
    rig.register(&mut ours, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    let mut sent = 0;
    let error = loop {
        match ours.send(&[7; 1000]) {
            Ok(len) => {
                assert_eq!(len, 1000);
                sent += 1;
            }
            Err(error) => break error,
        }
    };
    assert!(is_would_block(&error), "{error:?}");
    rig.expect_nothing();
    let mut buffer = [0; 2000];
    for _ in 0..sent {
        assert_eq!(theirs.recv(&mut buffer).unwrap(), 1000);
    }
    expect_would_block(theirs.recv(&mut buffer));
    rig.expect(A, WRITABLE);
}

#[test]
fn messages_carry_descriptors_and_tell_when_they_are_cut() {
    let (ours, theirs) = UnixSeqpacket::pair().unwrap();
    let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let fds = [null.as_fd()];
    let data = [IoSlice::new(b"hel"), IoSlice::new(b"lo")];
    let ancillary = SendAncillary::new().fds(&fds);
    assert_eq!(ours.send_message(&data, &ancillary).unwrap(), 5);
    let mut ancillary = RecvAncillary::<1>::new();
    let mut buffer = [0; 4];
    let mut buffers = [IoSliceMut::new(&mut buffer)];
    assert_eq!(
        theirs.recv_message(&mut buffers, &mut ancillary).unwrap(),
        4
    );
    assert!(ancillary.is_data_truncated());
    assert_eq!(ancillary.fd_count(), 1);
    if cfg!(target_os = "linux") {
        assert_eq!(ours.peer_credentials().unwrap(), Credentials::own());
    }
    let same = UnixSeqpacket::from(OwnedFd::from(ours));
    assert_eq!(same.send(b"again").unwrap(), 5);
    assert!(same.take_error().unwrap().is_none());
}
