//! Ends: what a stream reports when one side, or both, or neither of its own will, ends it.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use super::expected::{Shows, Subject};
use super::support::*;
use crate::event::Readiness;
use crate::io_source::Attached;

/// Ends a connection and asserts what is shown of it, to a source registered before and to one
/// registered after.
#[track_caller]
fn shows<B: Subject>(expected: Shows, end: impl Fn(&TcpStream, TcpStream)) {
    for registers_first in [true, false] {
        let mut rig = Rig::<B>::new();
        let (ours, peer) = tcp_pair();
        let mut source = Attached::<B, _>::new(ours);
        let mut seen = Seen::default();
        if registers_first {
            rig.register(&mut source, 7, RW);
            seen = rig.expect(7, WRITABLE);
        }
        end(&source.inner, peer);
        if !registers_first {
            rig.register(&mut source, 7, RW);
        }
        await_shown(&mut rig, seen, expected, registers_first);
        may_be_changed_and_removed(&mut rig, &mut source);
    }
}

#[track_caller]
fn await_shown<B: Subject>(rig: &mut Rig<B>, mut seen: Seen, expected: Shows, before: bool) {
    let when = if before { "before" } else { "after" };
    let deadline = Instant::now() + DEADLINE;
    while !seen.contains(7, expected.must) {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(
            !left.is_zero(),
            "registered {when}: awaited {expected:?}, came {seen:?}"
        );
        seen.extend(rig.poll(left));
    }
    seen.extend(rig.poll(QUIET));
    assert!(
        (expected.must | expected.may).contains(seen.readiness(7)),
        "registered {when}: awaited {expected:?}, came {seen:?}"
    );
    // It is an edge as any other: what lasts is not shown by every poll. (A single repeat is
    // allowed: closing takes steps.)
    let mut more = Seen::default();
    for _ in 0..6 {
        more.extend(rig.poll(QUIET));
    }
    assert!(
        more.len() <= 2,
        "registered {when}: {seen:?}, and then in six polls {more:?}"
    );
}

/// Backends that drop a source of their own when it has hung up lose track of it
/// (tokio-rs/mio#2012).
#[track_caller]
fn may_be_changed_and_removed<B: Subject>(rig: &mut Rig<B>, source: &mut Attached<B, TcpStream>) {
    rig.reregister(source, 8, RW);
    assert!(!rig.poll(QUIET).0.iter().any(|(token, _)| *token != 8));
    rig.deregister(source);
    rig.expect_nothing();
    rig.register(source, 9, RW);
    rig.deregister(source);
}

pub(super) fn a_peer_that_shuts_down_writing_shows<B: Subject>() {
    shows::<B>(B::EXPECTED.endings.peer_finished, |_, peer| {
        peer.shutdown(Shutdown::Write).unwrap();
        // Open as long as the test lasts: closing is another clause.
        std::mem::forget(peer);
    });
}

pub(super) fn a_peer_that_closes_shows<B: Subject>() {
    shows::<B>(B::EXPECTED.endings.peer_finished, |_, peer| drop(peer));
}

pub(super) fn streams_that_both_sides_have_finished_show<B: Subject>() {
    shows::<B>(B::EXPECTED.endings.both_finished, |ours, peer| {
        ours.shutdown(Shutdown::Write).unwrap();
        drop(peer);
    });
}

pub(super) fn a_reset_shows<B: Subject>() {
    shows::<B>(B::EXPECTED.endings.reset, |_, peer| reset(peer));
}

pub(super) fn an_own_shutdown_shows<B: Subject>() {
    let endings = B::EXPECTED.endings;
    for (how, expected) in [
        (Shutdown::Read, endings.own_shutdown_read),
        (Shutdown::Write, endings.own_shutdown_write),
        (Shutdown::Both, endings.own_shutdown_both),
    ] {
        shows::<B>(expected, |ours, peer| {
            ours.shutdown(how).unwrap();
            std::mem::forget(peer);
        });
    }
}

pub(super) fn a_refused_connection_shows<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (_socket, address) = refusing();
    // Some systems refuse at once.
    let Ok(stream) = connecting(address) else {
        return;
    };
    let mut stream = Attached::<B, _>::new(stream);
    rig.register(&mut stream, 7, RW);
    await_shown(&mut rig, Seen::default(), B::EXPECTED.endings.refused, true);
    let error = stream
        .inner
        .take_error()
        .unwrap()
        .expect("the reason is kept");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

/// With epoll's `EPOLLIN` and the end together there is no second edge for the end: the event that
/// announces the data must show it, so that the program reads on.
pub(super) fn an_end_that_came_with_data_shows_with_it<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (ours, peer) = tcp_pair();
    let mut source = Attached::<B, _>::new(ours);
    send(&peer, 5);
    drop(peer);
    until("the end has come", || {
        matches!(source.inner.peek(&mut [0; 9]), Ok(5))
    });
    let must = B::EXPECTED.endings.peer_finished.must;
    let end = READABLE | must.without(BOTH);
    rig.register(&mut source, 7, R);
    if cfg!(not(windows)) {
        rig.expect(7, end);
    } else {
        // Not on Wine: it takes a transfer that comes up short, which rearms.
        rig.expect(7, READABLE);
        let mut buffer = [0; 100];
        let read = source.transfer(R, 100, |mut stream| stream.read(&mut buffer));
        assert_eq!(read.unwrap(), 5);
        rig.expect(7, end);
        assert_eq!(self::read(&source, 100).unwrap(), 0);
        return;
    }
    assert_eq!(read(&source, 100).unwrap(), 5);
    assert_eq!(read(&source, 100).unwrap(), 0);
}

pub(super) fn an_end_is_reported_whatever_was_asked_for<B: Subject>() {
    for interest in [R, W] {
        let mut rig = Rig::<B>::new();
        let (ours, peer) = tcp_pair();
        let mut source = Attached::<B, _>::new(ours);
        rig.register(&mut source, 7, interest);
        if interest == W {
            rig.expect(7, WRITABLE);
        }
        reset(peer);
        rig.expect(7, Readiness::EMPTY);
    }
}

pub(super) fn a_stream_at_its_end_is_ready_by_level<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R.level());
    drop(peer);
    for _ in 0..3 {
        rig.expect(7, READABLE);
        assert_eq!(read(&source, 1).unwrap(), 0);
    }
    rig.deregister(&mut source);
    rig.expect_nothing();
}

/// A source that is at its end and is read again and again answers `Ok(0)`, which is no reason to
/// be told again.
pub(super) fn an_end_that_was_read_is_not_reported_again<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    send(&peer, 3);
    drop(peer);
    rig.expect(7, READABLE);
    assert_eq!(drain(&source), 3);
    rig.poll(QUIET); // data and end may be two edges
    for _ in 0..3 {
        let ended = source.transfer(R, 10, |mut stream| stream.read(&mut [0; 10]));
        assert_eq!(ended.unwrap(), 0);
        rig.expect_nothing();
    }
}
