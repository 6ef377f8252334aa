//! Resting: for how long what was reported and still holds is left alone before it is reported
//! again, where nobody says what became of it.
//!
//! From outside, a source that was drained and is ready again looks like one that nobody drains.
//! The first should be reported at once, the second (an idle terminal is always writable, the end
//! of a file always readable) never. What tells them apart is time: of the many looks at a source
//! that is drained again and again, one finds it so, and then the next readiness is an edge, and
//! late by nothing. So a rest is short at first, and each length is taken many times before it
//! doubles: the source that nobody drains costs some hundred events in its first seconds and
//! sixteen a second from then on; the one that is drained, but found ready by each of a hundred
//! looks in a row, still rests no longer than two milliseconds.

use std::time::Duration;

/// How often in a row something was reported and still held.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    times: u16,
}

impl Rest {
    /// It has not been reported, or has ceased since.
    pub(super) const NONE: Rest = Rest { times: 0 };
    /// How many lengths there are: 1 ms, 2 ms, and so on up to 64 ms.
    #[cfg(not(windows))]
    pub(super) const LENGTHS: usize = Rest::LAST as usize + 1;
    const LAST: u16 = 6;
    /// How often each is taken.
    const TIMES: u16 = 64;

    /// It was reported once more.
    pub(super) fn lengthen(&mut self) {
        self.times = (self.times + 1).min(Rest::LAST * Rest::TIMES);
    }

    /// It was looked at once more and only held, which says nothing about a program.
    #[cfg(not(windows))]
    pub(super) fn double(&mut self) {
        self.times = (self.times + Rest::TIMES).min(Rest::LAST * Rest::TIMES);
    }

    /// Which of the lengths it is.
    pub(super) fn length(self) -> usize {
        (self.times / Rest::TIMES).into()
    }

    pub(super) fn duration(self) -> Duration {
        Duration::from_millis(1 << self.length())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_is_taken_often_and_the_last_for_ever() {
        let mut rest = Rest::NONE;
        for ms in [1, 2, 4, 8, 16, 32, 64, 64, 64] {
            for _ in 0..64 {
                assert_eq!(rest.duration(), Duration::from_millis(ms));
                rest.lengthen();
            }
        }
    }
}
