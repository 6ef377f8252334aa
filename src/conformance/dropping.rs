//! Ends of sources and pollers: what is dropped is silent, its number may be used again, and the
//! order does not matter.

use std::thread;
use std::time::{Duration, Instant};

use super::expected::Subject;
use super::support::*;
use crate::io_source::Attached;
use crate::sys::handle::raw_source;
use crate::sys::selector::Registration;
use crate::token::Token;

pub(super) fn a_dropped_source_is_silent<B: Subject>() {
    let mut rig = Rig::<B>::new();
    for interest in [R, RW, RW.level(), RW.oneshot(), RW.paced()] {
        for has_been_reported in [false, true] {
            let (mut source, peer) = source::<B>();
            rig.register(&mut source, 7, interest);
            send(&peer, 1);
            if has_been_reported {
                rig.expect(7, readable_at_least(interest));
            }
            drop(source);
            rig.expect_nothing();
            drop(peer);
            rig.expect_nothing();
        }
    }
}

/// A tracked source must be deregistered before it closes: afterwards the number may be another's,
/// who would lose his registration, or find one that he did not make.
pub(super) fn a_number_that_is_used_again_starts_afresh<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let mut reused = 0;
    for _ in 0..200 {
        let (mut source, peer) = source::<B>();
        rig.register(&mut source, 1, RW.level());
        send(&peer, 1);
        let number = raw_source(&source.inner);
        drop(source);
        // The lowest free number, unless another thread has taken it.
        let (mut next, next_peer) = self::source::<B>();
        if raw_source(&next.inner) == number {
            reused += 1;
        }
        rig.expect_timeout(Duration::ZERO);
        rig.register(&mut next, 2, R);
        assert!(rig.poll_now().is_empty());
        send(&next_peer, 1);
        rig.expect(2, READABLE);
        if reused == 20 {
            break;
        }
    }
    assert!(
        reused > 0 || cfg!(not(unix)),
        "no number was used again: nothing was tried"
    );
}

/// As above, with threads that open and close as fast as they can: between a late deregistration
/// and the close of its source there would be time for another thread to be given the number.
pub(super) fn numbers_used_again_by_other_threads_keep_their_registrations<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let hub = rig.hub();
    thread::scope(|scope| {
        let churners: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..1500 {
                        let (mut source, peer) = source::<B>();
                        source
                            .register(&hub, Token(1), R)
                            .expect("nobody has this number");
                        drop(source);
                        drop(peer);
                    }
                })
            })
            .collect();
        while !churners.iter().all(|churner| churner.is_finished()) {
            let (mut source, peer) = source::<B>();
            source
                .register(&hub, Token(2), R)
                .expect("nobody has this number");
            send(&peer, 1);
            let mut seen = Seen::default();
            until("the source is reported", || {
                seen.extend(rig.next());
                // A churner's peer may be closed while its source is still there: an event of its
                // own.
                seen.count(2) > 0
            });
        }
    });
}

/// The poller may be about to report the first when the second takes its number.
pub(super) fn a_number_used_again_during_a_poll_has_no_stale_event<B: Subject>() {
    const READY: usize = 1;
    const IDLE: usize = 2;
    let mut rig = Rig::<B>::new();
    let hub = rig.hub();
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let end = Instant::now() + Duration::from_millis(300);
            while Instant::now() < end {
                let (mut source, peer) = source::<B>();
                source.register(&hub, Token(READY), R).unwrap();
                send(&peer, 1);
                drop(source);
                drop(peer);
                let (mut source, _peer) = self::source::<B>();
                source.register(&hub, Token(IDLE), R).unwrap();
                source.deregister(&hub).unwrap();
            }
        });
        let mut count = 0;
        while !other.is_finished() {
            let seen = rig.poll(Duration::from_micros(100));
            assert_eq!(seen.count(IDLE), 0, "after {count} events: {seen:?}");
            count += seen.len();
        }
    });
}

pub(super) fn into_inner_ends_a_tracked_registration<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source::<B>();
    rig.register(&mut source, 7, R);
    send(&peer, 1);
    if !B::Registration::REARMS {
        rig.deregister(&mut source); // as its documentation says
    }
    let stream = source.into_inner();
    rig.expect_nothing();
    assert_eq!(drain_raw(&stream), 1);
    let mut source = Attached::<B, _>::new(stream);
    rig.register(&mut source, 8, R);
    send(&peer, 1);
    rig.expect(8, READABLE);
}

pub(super) fn duplicates_are_sources_of_their_own<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source::<B>();
    let mut duplicate = Attached::<B, _>::new(source.inner.try_clone().unwrap());
    rig.register(&mut source, 7, R);
    rig.register(&mut duplicate, 8, R);
    send(&peer, 1);
    rig.expect_all(&[(7, READABLE), (8, READABLE)]);
    drain(&source);
    drain(&duplicate);
    rig.deregister(&mut duplicate);
    send(&peer, 1);
    let mut seen = rig.expect(7, READABLE);
    seen.extend(rig.poll(QUIET));
    assert_eq!(seen.count(8), 0);
}

/// epoll knows an open file and not its numbers, and so does the emulation of kqueue (the real one
/// forgets a number that is closed): the documentation says to deregister first. Where
/// registrations are tracked, dropping does it.
pub(super) fn a_source_dropped_while_a_duplicate_lives_is_silent_where_tracked<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source::<B>();
    let duplicate = source.inner.try_clone().unwrap();
    rig.register(&mut source, 7, R);
    if !B::Registration::REARMS {
        rig.deregister(&mut source);
    }
    drop(source);
    send(&peer, 1);
    rig.expect_nothing();
    let mut duplicate = Attached::<B, _>::new(duplicate);
    rig.register(&mut duplicate, 8, R);
    rig.expect(8, READABLE);
}

pub(super) fn sources_outlive_the_poller<B: Subject>() {
    let rig = Rig::<B>::new();
    let hub = rig.hub();
    let (mut source, peer) = source::<B>();
    let (mut late, _late_peer) = self::source::<B>();
    rig.register(&mut source, 7, R);
    drop(rig);
    // The registry is still there, and with it the selector.
    assert_eq!(drain(&source), 0);
    send(&peer, 1);
    until("it has arrived", || drain(&source) == 1);
    late.register(&hub, Token(8), RW).unwrap();
    source.reregister(&hub, Token(9), RW).unwrap();
    late.deregister(&hub).unwrap();
    drop(hub);
    assert_eq!(drain(&source), 0);
    source.rearm(RW).unwrap();
    send(&peer, 1);
    until("it has arrived", || drain(&source) == 1);
}

/// A selector's address, or its descriptor's number, may be that of one that is gone.
pub(super) fn a_new_poller_is_not_taken_for_one_that_is_gone<B: Subject>() {
    for _ in 0..20 {
        let rig = Rig::<B>::new();
        let (mut source, peer) = source::<B>();
        rig.register(&mut source, 7, R);
        drop(rig);
        let mut rig = Rig::<B>::new();
        send(&peer, 1);
        rig.expect_nothing();
        if B::Registration::REARMS || cfg!(debug_assertions) {
            source
                .register(&rig.hub(), Token(8), R)
                .expect_err("it belongs to the first");
        }
        let mut source = Attached::<B, _>::new(source.into_inner());
        rig.register(&mut source, 8, R);
        rig.expect(8, READABLE);
    }
}
