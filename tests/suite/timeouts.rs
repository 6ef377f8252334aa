//! Timeouts: never too short, never mangled by a conversion, fine where the system is.

use std::time::{Duration, Instant};

use litio::{Events, Poll};

use crate::support::*;

/// The shortest of as many waits as it takes until one is below `bound`: a shared machine delays
/// many of them, but a timeout that is rounded up delays all.
fn best(timeout: Duration, bound: Duration) -> Duration {
    let start = Instant::now();
    let mut best = Duration::MAX;
    while best >= bound && start.elapsed() < DEADLINE {
        best = best.min(wait(timeout));
    }
    best
}

/// Polls an empty registry and returns how long that took.
fn wait(timeout: Duration) -> Duration {
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(4);
    let start = Instant::now();
    poll.poll(&mut events, Some(timeout)).unwrap();
    assert!(events.is_empty());
    start.elapsed()
}

#[test]
fn a_timeout_passes_with_ok_and_no_events() {
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(4);
    poll.poll(&mut events, Some(Duration::from_millis(1)))
        .unwrap();
    assert!(events.is_empty());
}

#[test]
fn poll_never_returns_before_its_timeout() {
    // Whatever is not a whole millisecond must be rounded up; rounding down or to the nearest shows
    // in one of these.
    for micros in [
        1, 10, 400, 600, 999, 1_000, 1_001, 1_400, 1_600, 1_999, 2_500, 10_900, 25_001,
    ] {
        let timeout = Duration::from_micros(micros);
        let took = wait(timeout);
        assert!(
            took >= timeout,
            "asked for {timeout:?}, came back after {took:?}"
        );
    }
}

#[test]
fn the_shortest_timeout_is_not_zero_and_not_for_ever() {
    let took = wait(Duration::from_nanos(1));
    assert!(
        took >= Duration::from_nanos(1) && took < DEADLINE,
        "1 ns took {took:?}"
    );
}

#[test]
fn a_timeout_below_a_millisecond_is_kept_below_it() {
    if !has_fine_timeouts() {
        return;
    }
    let bound = Duration::from_millis(1);
    for micros in [50, 100, 500] {
        let timeout = Duration::from_micros(micros);
        let best = best(timeout, bound);
        assert!(best < bound, "{timeout:?} took {best:?} at best");
    }
}

#[test]
fn a_timeout_between_milliseconds_is_kept_too() {
    if !has_fine_timeouts() {
        return;
    }
    let (timeout, bound) = (Duration::from_micros(2_100), Duration::from_micros(2_900));
    let best = best(timeout, bound);
    assert!(best < bound, "{timeout:?} took {best:?} at best");
}

#[test]
fn a_zero_timeout_does_not_wait() {
    let bound = Duration::from_millis(1);
    let best = best(Duration::ZERO, bound);
    assert!(best < bound, "took {best:?} at best");
}

#[test]
fn an_event_ends_a_poll_long_before_its_timeout() {
    let mut rig = Rig::new();
    let mut socket = litio::net::UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, litio::Interest::WRITABLE);
    for timeout in [Duration::from_secs(3600), Duration::MAX] {
        rig.reregister(&mut socket, A, litio::Interest::WRITABLE);
        let start = Instant::now();
        assert_eq!(rig.poll_once(timeout), [(A, WRITABLE)]);
        assert!(start.elapsed() < DEADLINE);
    }
}

/// Timeouts at which a conversion would break: to milliseconds in 32 bits (24.8 and 49.7 days), to
/// seconds in 32 and 64 bits.
const IMMENSE: [Duration; 9] = [
    Duration::from_millis(i32::MAX as u64),
    Duration::from_millis(i32::MAX as u64 + 1),
    Duration::from_millis(u32::MAX as u64 - 1),
    Duration::from_millis(u32::MAX as u64),
    Duration::from_millis(u32::MAX as u64 + 1),
    Duration::new(u32::MAX as u64 + 1, 1),
    Duration::from_secs(i64::MAX as u64),
    Duration::from_secs(i64::MAX as u64 + 1),
    Duration::MAX,
];

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn immense_timeouts_wait_until_something_happens() {
    // Each poll must still be waiting when the wake comes; one that was cut short has no event.
    for timeout in IMMENSE {
        for odd in [Duration::ZERO, Duration::from_nanos(1)] {
            let Some(timeout) = timeout.checked_sub(odd) else {
                continue;
            };
            expect_to_wait(timeout);
        }
    }
}

#[track_caller]
fn expect_to_wait(timeout: Duration) {
    let mut rig = Rig::new();
    let waker = litio::Waker::new(rig.registry(), A).unwrap();
    let waiting = std::thread::spawn(move || rig.poll_once(timeout));
    std::thread::sleep(Duration::from_millis(10));
    assert!(
        !waiting.is_finished(),
        "a timeout of {timeout:?} ended at once"
    );
    waker.wake().unwrap();
    let came = within_deadline(|| waiting.join().unwrap());
    assert_eq!(came, [(A, READABLE)], "with a timeout of {timeout:?}");
}
