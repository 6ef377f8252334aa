//! The short-transfer rule: a stream that moved less than it was asked to has nothing more for now,
//! and says so for the program. And what is none of it.

use std::io::{self, Read, Write};
use std::sync::mpsc;
use std::thread;

use super::expected::Subject;
use super::support::*;
use crate::event::Readiness;
use crate::io_source::Attached;
use crate::token::Token;
use crate::waker::WakeHandle;

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
        if cfg!(windows) && written == asked {
            return; // Windows, and Wine since 10, may take a write of any length whole
        }
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
        sent(|| peer.send(b"abc"));
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

/// Enough to meet every unlucky moment between an operation and the next poll.
const MANY_BYTES: usize = 100_000;

/// Sends [`MANY_BYTES`] in pieces of random sizes, with pauses between, and closes.
fn trickle(peer: Stream, seed: u64) {
    let mut random = Random::new(seed);
    let mut left = MANY_BYTES;
    while left > 0 {
        let piece = (1 + random.below(300)).min(left);
        until("there is room for more", || {
            match (&peer).write(&[b'x'; 300][..piece]) {
                Ok(written) => left -= written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => panic!("writing failed: {error}"),
            }
            true
        });
        if random.below(8) == 0 {
            thread::yield_now();
        }
    }
}

/// An edge that is lost shows as a poll that lasts until the deadline.
pub(super) fn a_reader_that_reads_until_it_would_block_gets_everything<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source::<B>();
    rig.register(&mut source, 7, R);
    thread::scope(|scope| {
        scope.spawn(move || trickle(peer, 1));
        let mut received = 0;
        while received < MANY_BYTES {
            rig.expect(7, Readiness::EMPTY);
            received += drain(&source);
        }
    });
}

/// As the rule allows: after a short read it goes back to the poller, unless the event said that
/// the end has come.
pub(super) fn a_reader_that_stops_at_short_reads_gets_everything<B: Subject>() {
    const ASKED: usize = 256;
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source::<B>();
    rig.register(&mut source, 7, R);
    thread::scope(|scope| {
        scope.spawn(move || trickle(peer, 2));
        let mut received = 0;
        let mut has_ended = false;
        while !has_ended {
            let seen = rig.expect(7, Readiness::EMPTY);
            let must_probe = seen.contains(7, Readiness::READ_CLOSED);
            loop {
                match receive(&source, ASKED) {
                    Ok(0) => {
                        has_ended = true;
                        break;
                    }
                    Ok(count) => {
                        received += count;
                        if count < ASKED && !must_probe {
                            break;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => panic!("reading failed: {error}"),
                }
            }
        }
        assert_eq!(received, MANY_BYTES);
    });
}

pub(super) fn a_reader_on_another_thread_gets_everything<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let is_done = WakeHandle::new(&rig.hub(), Token(1)).unwrap();
    let (mut source, peer) = source::<B>();
    rig.register(&mut source, 7, R);
    let (to_reader, from_poller) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || trickle(peer, 3));
        let source = &source;
        scope.spawn(move || {
            let mut received = 0;
            while received < MANY_BYTES && from_poller.recv().is_ok() {
                received += drain(source);
            }
            is_done.wake().unwrap();
            // The waker and the channel last until the poller has heard it.
            while from_poller.recv().is_ok() {}
        });
        loop {
            if rig.next().count(1) > 0 {
                break;
            }
            to_reader.send(()).unwrap();
        }
        drop(to_reader);
    });
}

pub(super) fn a_writer_that_waits_for_room_sends_everything<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source::<B>();
    rig.register(&mut source, 7, W);
    let total = 10 * MANY_BYTES;
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut received = 0;
            while received < total {
                until("more arrives", || {
                    let count = drain_raw(&peer);
                    received += count;
                    count > 0
                });
            }
        });
        let mut sent = 0;
        while sent < total {
            rig.expect(7, WRITABLE);
            while sent < total {
                let asked = (total - sent).min(1 << 16);
                match transmit(&source, asked) {
                    Ok(count) => {
                        sent += count;
                        if count < asked {
                            break;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => panic!("writing failed: {error}"),
                }
            }
        }
    });
}
