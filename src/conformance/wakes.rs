//! Wakes: as many wakers as wanted, each wake heard, none paid for twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::expected::Subject;
use super::support::*;
use crate::events::Events;
use crate::registry::Hub;
use crate::sys::selector::Knocked;
use crate::token::Token;
use crate::waker::WakeHandle;

fn waker<B: Subject>(rig: &Rig<B>, token: usize) -> WakeHandle<B> {
    WakeHandle::new(&rig.hub(), Token(token)).expect("a waker can be made")
}

fn wakers<B: Subject>(rig: &Rig<B>, count: usize) -> Vec<WakeHandle<B>> {
    (0..count).map(|token| waker(rig, token)).collect()
}

fn wake_all<B: Subject>(wakers: &[WakeHandle<B>]) {
    for waker in wakers {
        waker.wake().unwrap();
    }
}

/// Each token below `count` once.
fn one_each(count: usize) -> BTreeMap<usize, usize> {
    (0..count).map(|token| (token, 1)).collect()
}

pub(super) fn a_wake_before_the_poll_is_reported<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let waker = waker(&rig, 1);
    waker.wake().unwrap();
    assert_eq!(rig.next().0, [(1, READABLE)]);
    waker.wake().unwrap();
    assert_eq!(rig.poll_now().0, [(1, READABLE)]);
}

pub(super) fn a_wake_ends_the_poll_that_sleeps<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let waker = waker(&rig, 1);
    for _ in 0..5 {
        thread::scope(|scope| {
            scope.spawn(|| {
                let_it_fall_asleep();
                waker.wake().unwrap();
            });
            assert_eq!(rig.next().0, [(1, READABLE)]);
        });
    }
}

pub(super) fn wakes_coalesce_and_are_reported_once<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let waker = waker(&rig, 1);
    for _ in 0..3 {
        for _ in 0..3 {
            waker.wake().unwrap();
        }
        assert_eq!(rig.next().counts(), one_each_of(&[1]));
        rig.expect_timeout(QUIET);
    }
}

fn one_each_of(tokens: &[usize]) -> BTreeMap<usize, usize> {
    tokens.iter().map(|token| (*token, 1)).collect()
}

pub(super) fn each_waker_has_its_own_token<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let mut tokens = vec![0, 1, usize::MAX, usize::MAX / 2, 1 << (usize::BITS - 1)];
    tokens.extend(B::EXPECTED.delicate_tokens);
    let wakers: Vec<_> = tokens.iter().map(|token| waker(&rig, *token)).collect();
    for (waker, token) in wakers.iter().zip(&tokens) {
        waker.wake().unwrap();
        assert_eq!(rig.next().0, [(*token, READABLE)]);
    }
    wake_all(&wakers);
    assert_eq!(rig.next().counts(), one_each_of(&tokens));
}

pub(super) fn wakers_that_share_a_token_each_have_their_events<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (one, two) = (waker(&rig, 7), waker(&rig, 7));
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    send(&peer, 1);
    one.wake().unwrap();
    two.wake().unwrap();
    assert_eq!(rig.next().counts(), [(7, 3)].into());
}

pub(super) fn there_may_be_hundreds_of_wakers<B: Subject>() {
    let mut rig = Rig::<B>::with_capacity(300);
    let mut wakers = wakers(&rig, 200);
    wake_all(&wakers);
    assert_eq!(rig.next().counts(), one_each(200));
    for token in [0, 56, 57, 58, 63, 64, 113, 114, 199] {
        thread::scope(|scope| {
            scope.spawn(|| {
                let_it_fall_asleep();
                wakers[token].wake().unwrap();
            });
            assert_eq!(rig.next().0, [(token, READABLE)]);
        });
    }
    // The first half makes place for others.
    wakers.drain(..100);
    wakers.extend((1000..1100).map(|token| waker(&rig, token)));
    wake_all(&wakers);
    let expected = (100..200).chain(1000..1100).map(|token| (token, 1));
    assert_eq!(rig.next().counts(), expected.collect());
    rig.expect_timeout(QUIET);
}

pub(super) fn wakes_that_do_not_fit_come_with_the_next_polls<B: Subject>() {
    for (count, capacity) in [(5, 1), (10, 3), (150, 7), (150, 64)] {
        let mut rig = Rig::<B>::with_capacity(capacity);
        let wakers = wakers(&rig, count);
        for timeout in [Duration::ZERO, DEADLINE] {
            wake_all(&wakers);
            let mut seen = Seen::default();
            // With room for one, every other turn is for I/O.
            for _ in 0..=2 * count.div_ceil(capacity) {
                let now = match seen.len() < count {
                    true => rig.poll(timeout),
                    false => break,
                };
                seen.extend(now);
            }
            assert_eq!(seen.counts(), one_each(count), "capacity {capacity}");
            assert!(rig.poll_now().is_empty());
        }
    }
}

/// Where the system counts a knock as an event, a poll's one place for I/O may be taken by it;
/// there is one knock here, with the first wake, since the poller never sleeps after it.
const KNOCKS: usize = 1;

pub(super) fn wakes_leave_a_place_for_io<B: Subject>() {
    let mut rig = Rig::<B>::with_capacity(3);
    let wakers = wakers(&rig, 10);
    let (mut source, peer) = source();
    send(&peer, 1);
    rig.register(&mut source, 100, R.level());
    let mut all = Seen::default();
    for _ in 0..20 {
        wake_all(&wakers);
        let seen = rig.next();
        assert_eq!(seen.len(), 3, "{seen:?}");
        all.extend(seen);
    }
    assert!(all.count(100) >= 20 - KNOCKS, "{:?}", all.counts());
}

pub(super) fn with_room_for_one_wakes_and_io_alternate<B: Subject>() {
    for timeout in [Duration::ZERO, DEADLINE] {
        let mut rig = Rig::<B>::with_capacity(1);
        let waker = waker(&rig, 1);
        let (mut source, peer) = source();
        send(&peer, 1);
        rig.register(&mut source, 2, R.level());
        let mut seen = Seen::default();
        until("there were 20 events", || {
            waker.wake().unwrap();
            seen.extend(rig.poll(timeout));
            seen.len() == 20
        });
        let (wakes, io) = (seen.count(1), seen.count(2));
        assert!(wakes.abs_diff(io) <= 2 * KNOCKS, "{seen:?}");
    }
}

pub(super) fn busy_sources_do_not_starve_wakes<B: Subject>() {
    for capacity in [1, 2, 4] {
        let mut rig = Rig::<B>::with_capacity(capacity);
        let waker = waker(&rig, 100);
        let mut sources: Vec<_> = (0..8).map(|_| source::<B>()).collect();
        for (token, (source, _)) in sources.iter_mut().enumerate() {
            rig.register(source, token, W.level());
        }
        for _ in 0..5 {
            rig.next();
            waker.wake().unwrap();
            let mut seen = rig.next();
            seen.extend(rig.next());
            assert_eq!(seen.count(100), 1, "capacity {capacity}: {seen:?}");
        }
    }
}

pub(super) fn wakes_and_io_come_together<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let waker = waker(&rig, 1);
    let (mut source, peer) = source();
    rig.register(&mut source, 2, R);
    for _ in 0..3 {
        send(&peer, 1);
        waker.wake().unwrap();
        rig.expect_all(&[(1, READABLE), (2, READABLE)]);
        drain(&source);
    }
}

pub(super) fn a_dropped_wakers_token_never_appears<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let keeper = waker(&rig, 1);
    for token in 10..20 {
        let waker = waker(&rig, token);
        waker.wake().unwrap();
        drop(waker);
        // The knock finds nobody's wake.
        rig.expect_timeout(QUIET);
        // Its place is used again, and the new one is not woken.
        let next = self::waker(&rig, token + 100);
        assert!(rig.poll_now().is_empty());
        next.wake().unwrap();
        keeper.wake().unwrap();
        assert_eq!(rig.next().counts(), one_each_of(&[1, token + 100]));
    }
}

/// Whether the wake or the drop comes first for the poller, it reports the wake or nothing; in the
/// latter case it waits as long as it was asked to.
pub(super) fn a_waker_dropped_while_the_poller_sleeps_is_heard_or_silent<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let timeout = Duration::from_millis(5);
    for token in 0..40 {
        let waker = waker(&rig, token);
        let start = Instant::now();
        let seen = thread::scope(|scope| {
            scope.spawn(move || {
                thread::sleep(Duration::from_micros(token as u64 * 50));
                waker.wake().unwrap();
                drop(waker);
            });
            rig.poll(timeout)
        });
        assert!(seen.is_empty() || seen.0 == [(token, READABLE)], "{seen:?}");
        let elapsed = start.elapsed();
        assert!(!seen.is_empty() || elapsed >= timeout, "{elapsed:?}");
        assert!(elapsed < timeout + DEADLINE / 4);
        rig.expect_nothing();
    }
}

pub(super) fn the_first_waker_made_while_the_poller_sleeps_is_heard<B: Subject>() {
    for _ in 0..5 {
        let mut rig = Rig::<B>::new();
        let hub = rig.hub();
        thread::scope(|scope| {
            let waking = scope.spawn(|| {
                let_it_fall_asleep();
                let waker = WakeHandle::new(&hub, Token(1)).unwrap();
                waker.wake().unwrap();
                waker
            });
            assert_eq!(rig.next().0, [(1, READABLE)]);
            drop(waking.join()); // the waker, now that it has been heard
        });
    }
}

/// A knock may come when its wake was reported long ago: the thread that makes it was interrupted,
/// and others have been waking meanwhile.
pub(super) fn a_knock_that_nobody_expects_costs_no_wake_and_no_time<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let hub = rig.hub();
    let waker = waker(&rig, 1);
    rig.poll(Duration::from_millis(1)); // asleep, and back
    for _ in 0..3 {
        hub.selector.knock().unwrap();
        rig.expect_timeout(QUIET);
        hub.selector.knock().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let_it_fall_asleep();
                waker.wake().unwrap();
            });
            assert_eq!(rig.try_poll(None).unwrap().0, [(1, READABLE)]);
        });
    }
}

/// Wakers and poller take turns, so that every wake meets a poller that is about to sleep, or
/// sleeps, or just came back. One that is lost shows as a poll that lasts until the deadline.
pub(super) fn no_wake_is_lost_when_they_take_turns<B: Subject>() {
    take_turns(Rig::<B>::new());
}

pub(super) fn no_wake_is_lost_when_they_take_turns_without_timeouts<B: Subject>() {
    take_turns(Rig::<B>::new().without_timeouts());
}

fn take_turns<B: Subject>(mut rig: Rig<B>) {
    let waker = waker(&rig, 1);
    let asked = AtomicUsize::new(0);
    const OVER: usize = usize::MAX;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random::new(1);
            for round in 1.. {
                until("it is asked for", || asked.load(Ordering::SeqCst) >= round);
                if asked.load(Ordering::SeqCst) == OVER {
                    return;
                }
                for _ in 0..random.below(300) {
                    std::hint::spin_loop();
                }
                waker.wake().unwrap();
            }
        });
        // Fewer where nothing interrupts a sleep.
        let start = Instant::now();
        for round in (1..=3000).take_while(|_| start.elapsed() < DEADLINE / 8) {
            asked.store(round, Ordering::SeqCst);
            assert_eq!(rig.next().0, [(1, READABLE)], "round {round}");
        }
        asked.store(OVER, Ordering::SeqCst);
    });
}

/// Four threads count and wake, each with its own waker; a poller that sees no event for a count
/// that nobody will wake for again would wait until the deadline.
pub(super) fn a_storm_of_wakes_loses_none<B: Subject>() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 5000;
    for (capacity, is_timed) in [(1, true), (16, true), (16, false)] {
        let mut rig = Rig::<B>::with_capacity(capacity);
        if !is_timed {
            rig = rig.without_timeouts();
        }
        let wakers = wakers(&rig, THREADS);
        let counts: [AtomicUsize; THREADS] = Default::default();
        let (mut source, peer) = source();
        rig.register(&mut source, THREADS, R);
        thread::scope(|scope| {
            for (waker, count) in wakers.iter().zip(&counts) {
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        count.fetch_add(1, Ordering::Relaxed);
                        waker.wake().unwrap();
                        if round % 64 == 0 {
                            thread::yield_now();
                        }
                    }
                });
            }
            send(&peer, 1);
            let mut last = [0; THREADS];
            let mut has_read = false;
            while last != [ROUNDS; THREADS] || !has_read {
                for (token, _) in rig.next().0 {
                    match counts.get(token) {
                        Some(count) => last[token] = count.load(Ordering::Relaxed),
                        None => has_read = drain(&source) > 0,
                    }
                }
            }
        });
        // What the last wakes announce may have been counted before they came.
        while !rig.poll_now().is_empty() {}
        rig.expect_timeout(QUIET);
    }
}

pub(super) fn no_wake_is_lost_while_sources_are_registered<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let hub = rig.hub();
    let waker = waker(&rig, 1);
    let count = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut idle, _peer) = source::<B>();
            for _ in 0..500 {
                idle.register(&hub, Token(2), R).unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                waker.wake().unwrap();
                idle.reregister(&hub, Token(3), R).unwrap();
                idle.deregister(&hub).unwrap();
            }
        });
        let mut last = 0;
        while last < 500 {
            let seen = rig.next();
            assert_eq!(seen.counts(), one_each_of(&[1]), "after wake {last}");
            last = count.load(Ordering::Relaxed);
        }
    });
}

pub(super) fn a_wake_after_the_poller_is_gone_is_harmless<B: Subject>() {
    let rig = Rig::<B>::new();
    let waker = waker(&rig, 1);
    let hub = rig.hub();
    drop(rig);
    for _ in 0..3 {
        waker.wake().unwrap();
    }
    let late = WakeHandle::new(&hub, Token(2)).unwrap();
    late.wake().unwrap();
}

/// Asks the selector itself whether there was a knock.
pub(super) fn was_knocked<B: Subject>(hub: &Hub<B>) -> bool {
    let mut buffer = B::Buffer::default();
    let mut events = Events::with_capacity(8);
    let knocked = hub
        .selector
        .select(&mut buffer, events.room(8), Some(Duration::ZERO))
        .unwrap();
    knocked == Knocked::Yes
}

pub(super) fn a_poller_that_is_awake_is_not_knocked<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let hub = rig.hub();
    let (one, two) = (waker(&rig, 1), waker(&rig, 2));
    rig.poll(Duration::from_millis(1)); // asleep, and back
    let expect_no_knock = |mut rig: Rig<B>| {
        for _ in 0..3 {
            one.wake().unwrap();
            two.wake().unwrap();
            one.wake().unwrap();
            assert!(!was_knocked(&hub));
            assert_eq!(rig.next().counts(), one_each_of(&[1, 2]));
            assert!(!was_knocked(&hub));
        }
        rig
    };
    let mut rig = expect_no_knock(rig).without_timeouts();
    // Asleep, and back for other reasons than a wake.
    let (mut source, peer) = source();
    rig.register(&mut source, 3, R);
    send(&peer, 1);
    assert!(rig.next().contains(3, READABLE));
    drain(&source);
    expect_no_knock(rig);
}

/// Somebody else may sleep on the descriptor, so it must show every wake, until the last one is
/// reported.
pub(super) fn once_the_descriptor_is_handed_out_every_wake_knocks<B: Subject>() {
    let mut rig = Rig::<B>::with_capacity(2);
    let hub = rig.hub();
    let wakers = wakers(&rig, 5);
    rig.poll(Duration::from_millis(1)); // asleep, and back
    wakers[0].wake().unwrap();
    assert!(!was_knocked(&hub));
    hub.hand_out();
    assert!(was_knocked(&hub), "a wake was pending already");
    assert_eq!(rig.next().counts(), one_each(1));
    for _ in 0..3 {
        wake_all(&wakers);
        for count in [2, 2, 1] {
            assert!(was_knocked(&hub), "{count} are left");
            assert_eq!(rig.poll_now().len(), count);
        }
        assert!(!was_knocked(&hub));
    }
}
