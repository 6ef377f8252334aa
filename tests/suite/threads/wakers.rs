//! One `Waker` and its `Poll`.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use litio::net::UdpSocket;
use litio::{Interest, Token, Waker};

use crate::support::*;

#[test]
fn a_wake_is_a_readable_event_with_the_wakers_token() {
    let mut rig = Rig::new();
    let waker = Waker::new(rig.registry(), A).unwrap();
    rig.expect_nothing();
    waker.wake().unwrap();
    assert_eq!(rig.expect(A, READABLE), READABLE);
    rig.expect_nothing();
}

#[test]
fn a_wake_before_the_poll_is_not_lost() {
    let mut rig = Rig::new();
    let waker = Waker::new(rig.registry(), A).unwrap();
    for timeout in [Duration::ZERO, Duration::from_millis(1), DEADLINE] {
        waker.wake().unwrap();
        assert_eq!(
            rig.poll_once(timeout),
            [(A, READABLE)],
            "timeout {timeout:?}"
        );
    }
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn a_wake_ends_a_poll_without_timeout() {
    let mut rig = Rig::new();
    let waker = Arc::new(Waker::new(rig.registry(), A).unwrap());
    let from_elsewhere = waker.clone();
    let token = within_deadline(move || {
        let sleeper = thread::spawn(move || {
            rig.poll.poll(&mut rig.events, None).unwrap();
            rig.events
                .iter()
                .map(|event| event.token())
                .collect::<Vec<_>>()
        });
        // Most likely asleep by now; if not, this is the test above.
        thread::sleep(QUIET);
        from_elsewhere.wake().unwrap();
        sleeper.join().unwrap()
    });
    assert_eq!(token, [A]);
}

#[test]
fn wakes_between_two_polls_are_one_event() {
    let mut rig = Rig::new();
    let waker = Waker::new(rig.registry(), A).unwrap();
    for wakes in [1, 2, 3, 1000] {
        for _ in 0..wakes {
            waker.wake().unwrap();
        }
        assert_eq!(rig.poll_once(DEADLINE), [(A, READABLE)], "{wakes} wakes");
        rig.expect_nothing();
    }
}

#[test]
fn every_round_of_wake_and_poll_has_its_event() {
    let mut rig = Rig::new();
    let waker = Waker::new(rig.registry(), A).unwrap();
    for round in 0..10_000 {
        waker.wake().unwrap();
        assert_eq!(rig.poll_once(DEADLINE), [(A, READABLE)], "round {round}");
    }
    rig.expect_nothing();
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn no_wake_is_lost_between_two_threads_that_take_turns() {
    // Each side waits for the other: one lost wake and both stand still.
    let (mut ping, mut pong) = (Rig::new(), Rig::new());
    let to_ping = Waker::new(ping.registry(), A).unwrap();
    let to_pong = Waker::new(pong.registry(), B).unwrap();
    let other = thread::spawn(move || {
        for _ in 0..5_000 {
            pong.expect(B, READABLE);
            to_ping.wake().unwrap();
        }
        to_ping // dropped now, it would take its last wake with it
    });
    for _ in 0..5_000 {
        to_pong.wake().unwrap();
        ping.expect(A, READABLE);
    }
    other.join().unwrap();
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn wakes_of_many_threads_all_reach_the_poll() {
    let mut rig = Rig::new();
    let waker = Arc::new(Waker::new(rig.registry(), A).unwrap());
    let start = Arc::new(std::sync::Barrier::new(9));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (waker, start) = (waker.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                for _ in 0..1_000 {
                    waker.wake().unwrap();
                }
            })
        })
        .collect();
    start.wait();
    rig.expect(A, READABLE);
    for thread in threads {
        thread.join().unwrap();
    }
    // The last wake of all comes after the last event, or is that event: never in between.
    waker.wake().unwrap();
    rig.expect(A, READABLE);
    rig.expect_nothing();
}

#[test]
fn a_wake_and_a_source_are_reported_together() {
    let mut rig = Rig::new();
    let waker = Waker::new(rig.registry(), A).unwrap();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, B, Interest::WRITABLE);
    waker.wake().unwrap();
    rig.expect(A, READABLE);
    rig.expect(B, WRITABLE);
    rig.expect_nothing();
}

#[test]
#[cfg_attr(
    target_family = "wasm",
    ignore = "a poll that does not wait finds what is ready a moment later"
)]
fn a_woken_poll_of_capacity_one_serves_both_wakes_and_sources() {
    // A waker that never rests must not starve the sockets, nor they the waker.
    let mut rig = Rig::with_capacity(1);
    let waker = Waker::new(rig.registry(), A).unwrap();
    let mut sockets: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind(any_v4()).unwrap()).collect();
    for socket in &mut sockets {
        rig.register(socket, B, Interest::WRITABLE);
    }
    let (mut wakes, mut writes) = (0, 0);
    for _ in 0..100 {
        waker.wake().unwrap();
        for (token, _) in rig.poll_once(DEADLINE) {
            if token == A {
                wakes += 1;
            } else {
                writes += 1;
            }
        }
        if writes % 3 == 0 {
            for socket in &mut sockets {
                rig.reregister(socket, B, Interest::WRITABLE);
            }
        }
    }
    assert!(
        wakes >= 10 && writes >= 10,
        "{wakes} wakes and {writes} writes in 100 polls"
    );
    while wakes == 0 || !rig.poll_once(QUIET).is_empty() {}
    rig.expect_nothing();
}

#[test]
fn a_wake_costs_a_later_poll_none_of_its_timeout() {
    // What is left of an old wake inside must not end the next poll early.
    let mut rig = Rig::new();
    let waker = Waker::new(rig.registry(), A).unwrap();
    waker.wake().unwrap();
    rig.expect(A, READABLE);
    for _ in 0..5 {
        waker.wake().unwrap();
        waker.wake().unwrap();
        assert_eq!(rig.poll_once(Duration::ZERO), [(A, READABLE)]);
        let start = Instant::now();
        assert_eq!(rig.poll_once(QUIET), []);
        assert!(
            start.elapsed() >= QUIET,
            "came back after {:?}",
            start.elapsed()
        );
    }
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn poll_until_without_events_means_that_its_instant_has_come() {
    // What rouses the poller is a wake that goes with its waker, so that there is nothing to
    // report.
    let mut rig = Rig::new();
    let registry = rig.registry().try_clone().unwrap();
    let rousing = thread::spawn(move || {
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(2)); // the poller falls asleep
            let waker = Waker::new(&registry, A).unwrap();
            waker.wake().unwrap();
        }
    });
    while !rousing.is_finished() {
        let deadline = Instant::now() + Duration::from_millis(15);
        rig.poll.poll_until(&mut rig.events, deadline).unwrap();
        assert!(!rig.events.is_empty() || Instant::now() >= deadline);
    }
    rousing.join().unwrap();
}

#[test]
fn every_token_value_serves_a_waker() {
    for value in [
        0,
        1,
        usize::MAX / 2,
        usize::MAX / 2 + 1,
        usize::MAX - 1,
        usize::MAX,
    ] {
        let mut rig = Rig::new();
        let waker = Waker::new(rig.registry(), Token(value)).unwrap();
        waker.wake().unwrap();
        assert_eq!(rig.poll_once(DEADLINE), [(Token(value), READABLE)]);
    }
}

#[test]
fn a_waker_made_through_a_cloned_registry_wakes_the_same_poll() {
    let mut rig = Rig::new();
    let waker = Waker::new(&rig.registry().try_clone().unwrap(), A).unwrap();
    waker.wake().unwrap();
    rig.expect(A, READABLE);
}

#[test]
fn waking_a_poll_that_is_gone_does_no_harm() {
    let rig = Rig::new();
    let waker = Waker::new(rig.registry(), A).unwrap();
    drop(rig);
    for _ in 0..3 {
        waker.wake().unwrap();
    }
}

#[test]
fn a_waker_that_shares_its_token_with_a_source_is_reported_beside_it() {
    let mut rig = Rig::new();
    let waker = Waker::new(rig.registry(), A).unwrap();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, Interest::WRITABLE);
    waker.wake().unwrap();
    rig.expect(A, READABLE | WRITABLE);
    rig.expect_nothing();
}

#[test]
fn a_poll_made_ready_by_a_timer_thread_keeps_the_timeout_of_others() {
    // Waking one poll must not reach another.
    let (mut woken, mut other) = (Rig::new(), Rig::new());
    let waker = Waker::new(woken.registry(), A).unwrap();
    let _idle = Waker::new(other.registry(), A).unwrap();
    waker.wake().unwrap();
    other.expect_nothing();
    woken.expect(A, READABLE);
}

#[test]
fn debug_of_a_waker_says_its_name() {
    let rig = Rig::new();
    let waker = Waker::new(rig.registry(), A).unwrap();
    assert!(format!("{waker:?}").starts_with("Waker"), "{waker:?}");
}
