//! Timeouts in the units of the system calls, never rounded down.

use std::time::Duration;
#[cfg(not(windows))]
use std::time::Instant;

/// What is left of its timeout to a `select` that waits more than once.
#[cfg(not(windows))]
#[derive(Debug)]
pub(super) struct Rounds {
    left: Option<Duration>,
    deadline: Option<Instant>,
}

#[cfg(not(windows))]
impl Rounds {
    #[inline]
    pub(super) fn within(timeout: Option<Duration>) -> Rounds {
        let deadline = match timeout {
            Some(timeout) if !timeout.is_zero() => Instant::now().checked_add(timeout),
            _ => None, // not at all, or for ever
        };
        Rounds {
            left: timeout,
            deadline,
        }
    }

    /// How long the next wait may take.
    #[inline]
    pub(super) fn left(&self) -> Option<Duration> {
        self.left
    }

    /// Whether the wait that brought nothing was the last.
    #[inline]
    pub(super) fn are_over(&mut self) -> bool {
        if let Some(deadline) = self.deadline {
            self.left = Some(deadline.saturating_duration_since(Instant::now()));
        }
        self.left == Some(Duration::ZERO)
    }
}

/// Whole milliseconds, rounded up, at most `i32::MAX`: the unit of `epoll_wait(2)` and `poll(2)`. A
/// longer timeout (24.8 days) takes several waits; the second value is what is left after this one.
#[inline]
pub(super) fn millis(timeout: Duration) -> (i32, Duration) {
    const MOST: Duration = Duration::from_millis(i32::MAX as u64);
    // Not `as_nanos`, whose 128 bits take longer to divide than an empty poll may.
    let ms = timeout
        .as_secs()
        .saturating_mul(1000)
        .saturating_add(timeout.subsec_nanos().div_ceil(1_000_000).into());
    match i32::try_from(ms) {
        Ok(ms) => (ms, Duration::ZERO),
        Err(_) => (i32::MAX, timeout - MOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_rounded_up_and_never_to_zero() {
        for (nanos, expected) in [
            (0, 0),
            (1, 1),
            (999_999, 1),
            (1_000_000, 1),
            (1_000_001, 2),
            (2_500_000, 3),
        ] {
            assert_eq!(
                millis(Duration::from_nanos(nanos)),
                (expected, Duration::ZERO)
            );
        }
    }

    #[test]
    #[cfg(not(windows))]
    fn rounds_end_with_the_timeout() {
        let mut none = Rounds::within(Some(Duration::ZERO));
        assert_eq!(none.left(), Some(Duration::ZERO));
        assert!(none.are_over());
        for for_ever in [None, Some(Duration::MAX)] {
            let mut rounds = Rounds::within(for_ever);
            assert!(!rounds.are_over());
            assert_eq!(rounds.left(), for_ever);
        }
        let timeout = Duration::from_millis(2);
        let start = Instant::now();
        let mut rounds = Rounds::within(Some(timeout));
        assert_eq!(rounds.left(), Some(timeout));
        while !rounds.are_over() {
            assert!(rounds.left().unwrap() < timeout);
            std::thread::yield_now();
        }
        assert!(start.elapsed() >= timeout);
    }

    #[test]
    fn what_does_not_fit_is_left_for_the_next_wait() {
        let most = Duration::from_millis(i32::MAX as u64);
        let tick = Duration::from_nanos(1);
        assert_eq!(millis(most - tick), (i32::MAX, Duration::ZERO));
        assert_eq!(millis(most), (i32::MAX, Duration::ZERO));
        assert_eq!(millis(most + tick), (i32::MAX, tick));
        let mut left = Duration::MAX;
        let mut waits = 0;
        while !left.is_zero() && waits < 3 {
            let before = left;
            let (ms, after) = millis(left);
            assert_eq!((ms, before - after), (i32::MAX, most));
            (left, waits) = (after, waits + 1);
        }
    }
}
