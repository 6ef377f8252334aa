//! Several `Waker`s per `Poll`, each with its own token; none outlives its value.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use litio::{Interest, Token, Waker};

use crate::support::*;

#[test]
fn each_waker_reports_its_own_token() {
    let mut rig = Rig::new();
    let wakers: Vec<Waker> = (0..5)
        .map(|i| Waker::new(rig.registry(), Token(i)).unwrap())
        .collect();
    for (i, waker) in wakers.iter().enumerate() {
        waker.wake().unwrap();
        assert_eq!(rig.expect(Token(i), READABLE), READABLE);
        rig.expect_nothing();
    }
    wakers[1].wake().unwrap();
    wakers[4].wake().unwrap();
    wakers[1].wake().unwrap();
    rig.expect(Token(1), READABLE);
    rig.expect(Token(4), READABLE);
    rig.expect_nothing();
}

#[test]
fn more_wakers_than_a_word_has_bits_all_work() {
    const WAKERS: usize = 300;
    let mut rig = Rig::with_capacity(64);
    let wakers: Vec<Waker> = (0..WAKERS)
        .map(|i| Waker::new(rig.registry(), Token(i)).unwrap())
        .collect();
    for round in 0..3 {
        for waker in &wakers {
            waker.wake().unwrap();
        }
        for i in 0..WAKERS {
            rig.expect(Token(i), READABLE);
        }
        rig.expect_nothing();
        wakers[round * 100].wake().unwrap();
        rig.expect(Token(round * 100), READABLE);
        rig.expect_nothing();
    }
}

#[test]
fn a_second_waker_after_the_first_was_dropped_is_fine() {
    let mut rig = Rig::new();
    for i in 0..1000 {
        let waker = Waker::new(rig.registry(), Token(i)).unwrap();
        waker.wake().unwrap();
        assert_eq!(rig.poll_once(DEADLINE), [(Token(i), READABLE)]);
    }
}

#[test]
fn no_token_comes_after_its_waker_was_dropped() {
    let mut rig = Rig::new();
    let kept = Waker::new(rig.registry(), A).unwrap();
    for _ in 0..100 {
        let dropped = Waker::new(rig.registry(), B).unwrap();
        dropped.wake().unwrap();
        drop(dropped);
        // Not even if another takes its place.
        let next = Waker::new(rig.registry(), C).unwrap();
        assert_eq!(rig.poll_once(Duration::ZERO), []);
        next.wake().unwrap();
        kept.wake().unwrap();
        rig.expect(A, READABLE);
        rig.expect(C, READABLE);
    }
    rig.expect_nothing();
}

#[test]
fn wakes_that_did_not_fit_come_with_the_next_poll() {
    let mut rig = Rig::with_capacity(2);
    let wakers: Vec<Waker> = (0..7)
        .map(|i| Waker::new(rig.registry(), Token(i)).unwrap())
        .collect();
    for waker in &wakers {
        waker.wake().unwrap();
    }
    let mut reported = Vec::new();
    let deadline = Instant::now() + DEADLINE;
    while reported.len() < wakers.len() {
        assert!(Instant::now() < deadline, "only {reported:?}");
        let came = rig.poll_once(Duration::from_secs(1));
        assert!(came.len() <= 2);
        reported.extend(came.into_iter().map(|(token, _)| token.0));
    }
    reported.sort_unstable();
    assert_eq!(reported, [0, 1, 2, 3, 4, 5, 6]);
    rig.expect_nothing();
}

#[test]
fn a_wake_left_over_is_dropped_with_its_waker() {
    let mut rig = Rig::with_capacity(1);
    let mut wakers: Vec<Option<Waker>> = (0..4)
        .map(|i| Some(Waker::new(rig.registry(), Token(i)).unwrap()))
        .collect();
    for waker in wakers.iter().flatten() {
        waker.wake().unwrap();
    }
    let first = rig.poll_once(DEADLINE)[0].0;
    for (i, waker) in wakers.iter_mut().enumerate() {
        if Token(i) != first {
            *waker = None;
        }
    }
    rig.expect_nothing();
}

#[test]
#[cfg_attr(
    target_family = "wasm",
    ignore = "a poll that does not wait finds what is ready a moment later"
)]
fn wakes_do_not_push_sources_out() {
    // More wakes than capacity, at every poll: one place stays for I/O.
    let mut rig = Rig::with_capacity(4);
    let wakers: Vec<Waker> = (0..8)
        .map(|i| Waker::new(rig.registry(), Token(i)).unwrap())
        .collect();
    let mut socket = litio::net::UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, Token(100), Interest::WRITABLE);
    let mut polls = 0;
    loop {
        for waker in &wakers {
            waker.wake().unwrap();
        }
        polls += 1;
        if rig
            .poll_once(DEADLINE)
            .iter()
            .any(|(token, _)| *token == Token(100))
        {
            break;
        }
        assert!(polls < 10, "starved for {polls} polls");
    }
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn a_first_waker_made_during_a_poll_ends_that_poll_when_it_wakes() {
    // The poller fell asleep before any waker existed and announced nothing.
    for _ in 0..20 {
        let mut rig = Rig::new();
        let registry = rig.registry().try_clone().unwrap();
        let polling = thread::spawn(move || rig.poll_once(DEADLINE));
        thread::sleep(Duration::from_millis(2));
        let waker = Waker::new(&registry, A).unwrap();
        waker.wake().unwrap();
        assert_eq!(within_deadline(|| polling.join().unwrap()), [(A, READABLE)]);
    }
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn a_waker_made_during_a_poll_does_not_end_it() {
    let mut rig = Rig::new();
    let registry = rig.registry().try_clone().unwrap();
    let polling = thread::spawn(move || {
        let start = Instant::now();
        (rig.poll_once(QUIET * 3), start.elapsed())
    });
    thread::sleep(QUIET);
    let _wakers = [
        Waker::new(&registry, A).unwrap(),
        Waker::new(&registry, B).unwrap(),
    ];
    let (came, took) = within_deadline(|| polling.join().unwrap());
    assert_eq!(came, []);
    assert!(took >= QUIET * 3, "ended after {took:?}");
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn wakers_are_made_woken_and_dropped_by_many_threads_at_once() {
    // Each thread waits for its own wakes to arrive: one that is lost stops it.
    const THREADS: usize = 4;
    const ROUNDS: usize = 300;
    let mut rig = Rig::new();
    let arrived: Arc<Vec<AtomicUsize>> =
        Arc::new((0..THREADS).map(|_| AtomicUsize::new(0)).collect());
    let threads: Vec<_> = (0..THREADS)
        .map(|i| {
            let registry = rig.registry().try_clone().unwrap();
            let arrived = arrived.clone();
            thread::spawn(move || {
                for round in 0..ROUNDS {
                    let waker = Waker::new(&registry, Token(i * ROUNDS + round)).unwrap();
                    waker.wake().unwrap();
                    let deadline = Instant::now() + DEADLINE;
                    while arrived[i].load(Ordering::Acquire) != round + 1 {
                        assert!(
                            Instant::now() < deadline,
                            "thread {i}: wake {round} was lost"
                        );
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    while threads.iter().any(|thread| !thread.is_finished()) {
        for (token, seen) in rig.poll_once(Duration::from_millis(100)) {
            assert_eq!(seen, READABLE);
            let (thread, round) = (token.0 / ROUNDS, token.0 % ROUNDS);
            // In order and no more than once: what is counted is the last that came.
            let before = arrived[thread].swap(round + 1, Ordering::AcqRel);
            assert_eq!(before, round, "thread {thread}");
        }
    }
    for thread in threads {
        thread.join().unwrap();
    }
    rig.expect_nothing();
}

#[test]
fn wakers_may_share_a_token() {
    let mut rig = Rig::new();
    let (first, second) = (
        Waker::new(rig.registry(), A).unwrap(),
        Waker::new(rig.registry(), A).unwrap(),
    );
    first.wake().unwrap();
    rig.expect(A, READABLE);
    drop(first);
    second.wake().unwrap();
    rig.expect(A, READABLE);
    rig.expect_nothing();
}

#[test]
fn wakers_of_cloned_registries_share_nothing_but_the_poll() {
    let mut rig = Rig::new();
    let clones = [
        rig.registry().try_clone().unwrap(),
        rig.registry().try_clone().unwrap(),
    ];
    let wakers = [
        Waker::new(&clones[0], A).unwrap(),
        Waker::new(&clones[1], B).unwrap(),
    ];
    drop(clones);
    wakers[0].wake().unwrap();
    rig.expect(A, READABLE);
    wakers[1].wake().unwrap();
    rig.expect(B, READABLE);
    rig.expect_nothing();
}
