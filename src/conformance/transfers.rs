//! The short-transfer rule: a stream that moved less than it was asked to has nothing more for now,
//! and says so for the program. And what is none of it.

use std::io::{self, Read, Write};

use super::expected::Subject;
use super::support::*;
use crate::io_source::Attached;

/// Reads as the streams of `net` do.
fn receive<B: Subject>(source: &Attached<B, Stream>, asked: usize) -> io::Result<usize> {
    source.transfer(R, asked, |mut stream| stream.read(&mut vec![0; asked]))
}

/// Writes as the streams of `net` do.
fn transmit<B: Subject>(source: &Attached<B, Stream>, asked: usize) -> io::Result<usize> {
    source.transfer(W, asked, |mut stream| stream.write(&vec![b'x'; asked]))
}

pub(super) fn after_a_short_read_new_data_is_reported<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, RW);
    rig.expect(7, WRITABLE);
    for _ in 0..10 {
        send(&peer, 3);
        rig.expect(7, READABLE);
        assert_eq!(receive(&source, 10).unwrap(), 3);
        // Neither is what was read reported again, nor the other direction.
        rig.expect_nothing();
    }
}

pub(super) fn after_a_short_write_room_is_reported<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, W);
    for round in 0..4 {
        rig.expect(7, WRITABLE);
        // More than any buffer takes: short at once.
        let asked = 32 << 20;
        let written = transmit(&source, asked).unwrap();
        assert!((1..asked).contains(&written), "round {round}: {written}");
        assert!(rig.poll(QUIET).is_empty());
        // The peer reads everything. What was written after a part was read, if anything, is not
        // this test's.
        until("all has arrived", || {
            drain_raw(&peer);
            !rig.poll_now().is_empty()
        });
        rig.reregister(&mut source, 7, W);
    }
}

/// Neither is the rest of what is there an edge, nor is a transfer of all that was asked the sign
/// of an end.
pub(super) fn a_full_read_re_arms_nothing<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    send(&peer, 30);
    rig.expect(7, READABLE);
    for _ in 0..2 {
        assert_eq!(receive(&source, 10).unwrap(), 10);
        rig.expect_nothing();
    }
    // Until it would block.
    assert_eq!(receive(&source, 10).unwrap(), 10);
    let error = receive(&source, 10).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    send(&peer, 1);
    rig.expect(7, READABLE);
}

pub(super) fn a_full_write_re_arms_nothing<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, _peer) = source();
    rig.register(&mut source, 7, RW);
    rig.expect(7, WRITABLE);
    for _ in 0..3 {
        assert_eq!(transmit(&source, 10).unwrap(), 10);
        rig.expect_nothing();
    }
}

pub(super) fn errors_re_arm_nothing<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, RW);
    send(&peer, 1);
    rig.expect(7, BOTH);
    for kind in [io::ErrorKind::Interrupted, io::ErrorKind::ConnectionReset] {
        let error = source.transfer(RW, 10, |_| Err(kind.into())).unwrap_err();
        assert_eq!(error.kind(), kind);
        let error = source.do_io(RW, |_| Err::<(), _>(kind.into())).unwrap_err();
        assert_eq!(error.kind(), kind);
        rig.expect_nothing();
    }
}

/// Peeks, datagrams and the like: `do_io` does not look at what came of the operation, unless it
/// would have blocked.
pub(super) fn an_operation_that_is_no_transfer_re_arms_only_when_it_blocked<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    send(&peer, 3);
    rig.expect(7, READABLE);
    for _ in 0..3 {
        // As a peek does, it leaves the data and says "3 of 10".
        assert_eq!(source.do_io(R, |_| Ok(3)).unwrap(), 3);
        rig.expect_nothing();
    }
    drain_raw(&source.inner);
    let blocked = source.do_io(R, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    assert_eq!(blocked.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    rig.expect_nothing();
    send(&peer, 1);
    rig.expect(7, READABLE);
}

/// On datagram sockets a short receive says nothing: another may wait behind it.
pub(super) fn a_datagram_that_is_received_leaves_the_next_unreported<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (socket, peer) = udp_pair();
    let mut socket = Attached::<B, _>::new(socket);
    for _ in 0..3 {
        peer.send(b"abc").unwrap();
    }
    until("two of three have arrived", || {
        socket.inner.peek(&mut [0; 9]).is_ok()
    });
    rig.register(&mut socket, 7, R);
    rig.expect(7, READABLE);
    rig.poll(QUIET); // those that come later
    let received = socket.do_io(R, |socket| socket.recv(&mut [0; 9]));
    assert_eq!(received.unwrap(), 3);
    rig.expect_nothing();
}
