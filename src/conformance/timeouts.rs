//! Clauses 6 and 8: a poll lasts as long as it was asked to, whatever happens inside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::expected::Subject;
use super::support::*;
use crate::counters::Counting;
use crate::events::Events;
use crate::sys::selector::Knocked;
use crate::token::Token;
use crate::waker::WakeHandle;

pub(super) fn a_timeout_never_ends_early<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, _peer) = source();
    rig.register(&mut source, 7, R);
    for nanos in [
        1, 999, 1_000, 100_000, 999_999, 1_000_000, 1_000_001, 1_400_000, 2_500_000, 20_000_000,
    ] {
        for _ in 0..3 {
            rig.expect_timeout(Duration::from_nanos(nanos));
        }
    }
}

pub(super) fn a_timeout_never_ends_early_with_a_waker_there<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let _waker = WakeHandle::new(&rig.hub(), Token(1)).unwrap();
    for nanos in [1, 100_000, 1_000_001, 2_500_000, 20_000_000] {
        for _ in 0..3 {
            rig.expect_timeout(Duration::from_nanos(nanos));
        }
    }
}

/// Of many short waits at least one is not disturbed by the rest of the machine.
pub(super) fn a_short_timeout_is_kept_to_the_systems_resolution<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let timeout = Duration::from_micros(100);
    let resolution = (B::EXPECTED.resolution)();
    let bound = (timeout + resolution) + Duration::from_micros(800);
    let deadline = Instant::now() + DEADLINE;
    let mut shortest = Duration::MAX;
    while shortest >= bound && Instant::now() < deadline {
        let start = Instant::now();
        rig.poll(timeout);
        shortest = shortest.min(start.elapsed());
    }
    assert!(shortest < bound, "{timeout:?} took at least {shortest:?}");
}

pub(super) fn a_timeout_of_zero_never_blocks<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, _peer) = source();
    rig.register(&mut source, 7, R);
    let _waker = WakeHandle::new(&rig.hub(), Token(1)).unwrap();
    let mut took: Vec<_> = (0..1000)
        .map(|_| {
            let start = Instant::now();
            assert!(rig.poll_now().is_empty());
            start.elapsed()
        })
        .collect();
    // One that blocks takes a millisecond at least. On a busy machine some take longer for other
    // reasons, and on Wine half of that is the calls' own time.
    took.sort();
    let bound = Duration::from_micros(if cfg!(windows) { 5000 } else { 900 });
    let (middle, longest) = (took[500], took[999]);
    assert!(middle < bound, "took {middle:?}, {longest:?} at most");
}

pub(super) fn a_timeout_of_zero_reports_what_is_ready<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    send(&peer, 1);
    let mut seen = Seen::default();
    until("it is reported", || {
        seen = rig.poll_now();
        !seen.is_empty()
    });
    assert_eq!(seen.counts(), [(7, 1)].into());
}

pub(super) fn the_longest_timeouts_wait_for_events<B: Subject>() {
    let longest_ms = Duration::from_millis(i32::MAX as u64);
    for timeout in [
        None,
        Some(Duration::MAX),
        Some(Duration::from_secs(u64::MAX / 1000)),
        Some(Duration::from_secs(i64::MAX as u64)),
        Some(longest_ms),
        Some(longest_ms + Duration::from_nanos(1)),
        Some(longest_ms * 2 + Duration::from_millis(3)),
        Some(Duration::from_millis(u32::MAX.into())),
        Some(Duration::from_millis(1 << 32)),
    ] {
        let mut rig = Rig::<B>::new();
        let (mut source, peer) = source();
        rig.register(&mut source, 7, R);
        let waker = WakeHandle::new(&rig.hub(), Token(1)).unwrap();
        for token in [7, 1] {
            let start = Instant::now();
            let is_over = AtomicBool::new(false);
            let end = |token| match token {
                7 => send(&peer, 1),
                _ => waker.wake().unwrap(),
            };
            let seen = thread::scope(|scope| {
                scope.spawn(|| {
                    let_it_fall_asleep();
                    end(token);
                    // By the other means, so that a test that has failed comes to an end.
                    rescue(&is_over, || end(8 - token));
                });
                let seen = rig.try_poll(timeout).unwrap();
                is_over.store(true, Ordering::Relaxed);
                seen
            });
            let elapsed = start.elapsed();
            assert_eq!(
                seen.counts(),
                [(token, 1)].into(),
                "{timeout:?}, {elapsed:?}"
            );
        }
    }
}

pub(super) fn a_poll_without_sources_sleeps<B: Subject>() {
    let mut rig = Rig::<B>::new();
    rig.expect_timeout(Duration::from_millis(10));
}

pub(super) fn events_end_the_wait<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    send(&peer, 1);
    let start = Instant::now();
    assert!(!rig.poll(DEADLINE).is_empty());
    assert!(start.elapsed() < DEADLINE / 2);
}

/// Backends that wait on a copy of the set must be told that it changed, and that is nobody's
/// event.
pub(super) fn changes_of_the_set_neither_shorten_nor_restart_the_timeout<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let timeout = Duration::from_millis(60);
    let hub = rig.hub();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Longer than `expect_timeout` accepts, if each change started the timeout anew.
            let end = Instant::now() + DEADLINE / 2;
            while !is_over.load(Ordering::Relaxed) && Instant::now() < end {
                let (mut source, _peer) = source::<B>();
                source.register(&hub, Token(7), R).unwrap();
                thread::sleep(Duration::from_millis(2));
                source.reregister(&hub, Token(8), R.level()).unwrap();
                thread::sleep(Duration::from_millis(2));
                source.rearm(R).unwrap();
                thread::sleep(Duration::from_millis(2));
                source.deregister(&hub).unwrap();
                thread::sleep(Duration::from_millis(2));
            }
        });
        rig.expect_timeout(timeout);
        is_over.store(true, Ordering::Relaxed);
    });
}

/// A knock that comes after its wake was reported is nobody's event. The poller knows that one is
/// due, however it came by the wake.
pub(super) fn a_late_knock_neither_shortens_nor_restarts_the_timeout<B: Subject>() {
    for (capacity, timeout) in [
        (1, Duration::ZERO),
        (1, DEADLINE),
        (4, Duration::ZERO),
        (4, DEADLINE),
    ] {
        let mut rig = Rig::<B>::with_capacity(capacity);
        let hub = rig.hub();
        hub.selector.prepare_knocks().unwrap();
        // A waker that is interrupted between the wake and its knock.
        let slot = hub.wakes.add(Token(2));
        assert!(hub.wakes.wake(&slot), "the poller may be asleep");
        rig.expect_within(timeout, 2);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let_it_fall_asleep();
                // More than one, so that a timeout that is restarted is seen to last.
                let end = Instant::now() + DEADLINE / 2;
                while !is_over.load(Ordering::Relaxed) && Instant::now() < end {
                    hub.selector.knock().unwrap();
                    thread::sleep(Duration::from_millis(2));
                }
            });
            rig.expect_timeout(Duration::from_millis(40));
            is_over.store(true, Ordering::Relaxed);
        });
    }
}

pub(super) fn a_knock_ends_the_select_that_runs_or_the_next_one<B: Subject>() {
    let selector = B::new().unwrap();
    selector.prepare_knocks().unwrap();
    let mut buffer = B::Buffer::default();
    let mut events = Events::with_capacity(4);
    let mut select = |timeout| {
        selector
            .select(&mut buffer, events.room(4), Some(timeout))
            .unwrap()
    };
    assert_eq!(select(Duration::ZERO), Knocked::No);
    for _ in 0..3 {
        selector.knock().unwrap();
        selector.knock().unwrap();
        assert_eq!(select(DEADLINE), Knocked::Yes, "knocked before");
        select(Duration::ZERO); // the second may be counted on its own
        assert_eq!(select(QUIET), Knocked::No, "heard already");
        let start = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                let_it_fall_asleep();
                selector.knock().unwrap();
            });
            assert_eq!(select(DEADLINE), Knocked::Yes, "knocked during");
        });
        assert!(start.elapsed() < DEADLINE / 2);
    }
    assert!(events.is_empty(), "a knock is no event: {events:?}");
}

pub(super) fn the_spin_budget_counts_against_the_timeout<B: Subject>() {
    let mut rig = Rig::<B>::new();
    rig.reactor.set_spin(DEADLINE / 2);
    rig.expect_timeout(Duration::from_millis(5));
    assert!(rig.poll_now().is_empty());
    rig.reactor.set_spin(Duration::from_millis(5));
    rig.expect_timeout(Duration::from_millis(20));
    let _waker = WakeHandle::new(&rig.hub(), Token(1)).unwrap();
    rig.expect_timeout(Duration::from_millis(20));
}

/// Not for the very first wake either.
pub(super) fn a_spinning_poller_is_not_knocked<B: Subject>() {
    let mut rig = Rig::<B>::new();
    rig.hub().wakes.set_counting(Counting::On);
    rig.reactor.set_spin(DEADLINE);
    let waker = WakeHandle::new(&rig.hub(), Token(1)).unwrap();
    rig.poll_now();
    for _ in 0..3 {
        waker.wake().unwrap();
        rig.expect(1, READABLE);
        thread::scope(|scope| {
            scope.spawn(|| waker.wake().unwrap());
            rig.expect(1, READABLE);
        });
    }
    let counters = rig.hub().wakes.tally.counters();
    assert_eq!((counters.wakes, counters.knocks), (6, 0));
}

pub(super) fn a_spinning_poller_reports_events_and_wakes<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    let waker = WakeHandle::new(&rig.hub(), Token(1)).unwrap();
    // Within the budget, and after it.
    for budget in [DEADLINE, Duration::from_micros(50)] {
        rig.reactor.set_spin(budget);
        for token in [7, 1] {
            thread::scope(|scope| {
                scope.spawn(|| {
                    let_it_fall_asleep();
                    match token {
                        7 => send(&peer, 1),
                        _ => waker.wake().unwrap(),
                    }
                });
                rig.expect(token, READABLE);
            });
            drain(&source);
        }
    }
}
