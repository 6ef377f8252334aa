//! Timeouts in the units of the system calls, never rounded down.

use std::time::Duration;

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
