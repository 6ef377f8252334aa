//! Counters: what a poller has done, counted on request.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// What a [`Poll`](crate::Poll) counts. Chosen with
/// [`Registry::set_counting`](crate::Registry::set_counting).
///
/// # Examples
///
/// See [`Counters`].
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Counting {
    /// Nothing, and it costs nothing: the default.
    #[default]
    Off,
    /// Everything but time.
    On,
    /// Also [`waited`](Counters::waited), for which a `poll` that may sleep reads the clock twice.
    WithTime,
}

/// What a [`Poll`](crate::Poll) has done while it was [counting](Counting). Obtained from
/// [`Registry::counters`](crate::Registry::counters).
///
/// A snapshot: each number is right, but they are read one after the other, so a `poll` or a wake
/// that ends at that moment may be in one and not yet in the next. On 32-bit systems the numbers
/// (not the time) wrap around after 2³².
///
/// # Examples
///
/// How often a poller has slept in vain, and how many events a call brings:
///
/// ```
/// use litio::diagnostics::Counting;
/// use litio::{Events, Poll};
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// poll.registry().set_counting(Counting::WithTime);
///
/// poll.poll(&mut events, Some(Duration::from_millis(1)))?;
/// let before = poll.registry().counters();
/// poll.poll(&mut events, Some(Duration::from_millis(2)))?;
///
/// let counters = poll.registry().counters().since(&before);
/// assert_eq!((counters.polls, counters.empty_polls, counters.events), (1, 1, 0));
/// assert!(counters.waited >= Duration::from_millis(2));
/// # Ok(())
/// # }
/// ```
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Calls of [`poll`](crate::Poll::poll). (A `poll_until` may make several.)
    pub polls: u64,
    /// Of those, the calls that returned `Ok` and no event: the time was up, or nothing was ready.
    pub empty_polls: u64,
    /// Of those, the calls that returned an error, [`Interrupted`](std::io::ErrorKind::Interrupted)
    /// included.
    pub failed_polls: u64,
    /// The events that were delivered, those of wakers included.
    pub events: u64,
    /// How often a sleeping `poll` was roused by a wake that had been delivered before, or whose
    /// waker is gone. It went back to sleep, and the program noticed nothing.
    pub stale_knocks: u64,
    /// Calls of [`wake`](crate::Waker::wake).
    pub wakes: u64,
    /// Of those, the calls that made a system call, because the poller was asleep and nobody had
    /// woken it yet.
    pub knocks: u64,
    /// The time spent in polls with a timeout other than zero, which is about the time asleep. Only
    /// with [`Counting::WithTime`].
    pub waited: Duration,
}

impl Counters {
    /// What was added since `earlier`, a snapshot of the same `Poll`.
    #[must_use]
    pub fn since(&self, earlier: &Counters) -> Counters {
        Counters {
            polls: self.polls.wrapping_sub(earlier.polls),
            empty_polls: self.empty_polls.wrapping_sub(earlier.empty_polls),
            failed_polls: self.failed_polls.wrapping_sub(earlier.failed_polls),
            events: self.events.wrapping_sub(earlier.events),
            stale_knocks: self.stale_knocks.wrapping_sub(earlier.stale_knocks),
            wakes: self.wakes.wrapping_sub(earlier.wakes),
            knocks: self.knocks.wrapping_sub(earlier.knocks),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }
}

/// Where it is counted. No lock, for wakes come from signal handlers; no 64-bit atomics, for not
/// every system has them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    is_timed: AtomicBool,
    polls: AtomicUsize,
    empty_polls: AtomicUsize,
    failed_polls: AtomicUsize,
    events: AtomicUsize,
    stale_knocks: AtomicUsize,
    wakes: AtomicUsize,
    knocks: AtomicUsize,
    waited_seconds: AtomicUsize,
    waited_nanos: AtomicUsize,
}

/// How a poll has ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// With so many events.
    Events(usize),
    Error,
}

impl Tally {
    pub(crate) fn set_timed(&self, is_timed: bool) {
        self.is_timed.store(is_timed, Ordering::Relaxed);
    }

    pub(crate) fn is_timed(&self) -> bool {
        self.is_timed.load(Ordering::Relaxed)
    }

    // For the poller, which is one thread at a time

    pub(crate) fn polled(&self, polled: Polled, waited: Option<Duration>) {
        add(&self.polls, 1);
        match polled {
            Polled::Error => add(&self.failed_polls, 1),
            Polled::Events(0) => add(&self.empty_polls, 1),
            Polled::Events(count) => add(&self.events, count),
        }
        if let Some(waited) = waited {
            let nanos = self.waited_nanos.load(Ordering::Relaxed) as u32;
            let seconds = self.waited_seconds.load(Ordering::Relaxed) as u64;
            let sum = Duration::new(seconds, nanos).saturating_add(waited);
            // In this order: see `waited`.
            self.waited_nanos
                .store(sum.subsec_nanos() as usize, Ordering::Release);
            self.waited_seconds
                .store(sum.as_secs() as usize, Ordering::Release);
        }
    }

    pub(crate) fn stale_knock(&self) {
        add(&self.stale_knocks, 1);
    }

    // For anybody

    pub(crate) fn wake(&self, is_knock: bool) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        if is_knock {
            self.knocks.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed) as u64;
        Counters {
            polls: count(&self.polls),
            empty_polls: count(&self.empty_polls),
            failed_polls: count(&self.failed_polls),
            events: count(&self.events),
            stale_knocks: count(&self.stale_knocks),
            wakes: count(&self.wakes),
            knocks: count(&self.knocks),
            waited: self.waited(),
        }
    }

    /// Seconds and nanoseconds that belong together, or else a second too few.
    fn waited(&self) -> Duration {
        let seconds = self.waited_seconds.load(Ordering::Acquire);
        let nanos = self.waited_nanos.load(Ordering::Acquire);
        Duration::new(seconds as u64, nanos as u32)
    }
}

/// Adds to what one thread alone writes.
fn add(count: &AtomicUsize, more: usize) {
    let sum = count.load(Ordering::Relaxed).wrapping_add(more);
    count.store(sum, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_poll_ends_in_one_of_three_ways() {
        let tally = Tally::default();
        tally.polled(Polled::Events(0), None);
        tally.polled(Polled::Events(3), None);
        tally.polled(Polled::Events(2), None);
        tally.polled(Polled::Error, None);
        let counters = tally.counters();
        assert_eq!((counters.polls, counters.events), (4, 5));
        assert_eq!((counters.empty_polls, counters.failed_polls), (1, 1));
    }

    #[test]
    fn times_add_up_beyond_the_second() {
        let tally = Tally::default();
        for _ in 0..3 {
            tally.polled(Polled::Events(0), Some(Duration::from_millis(700)));
        }
        assert_eq!(tally.counters().waited, Duration::from_millis(2100));
    }

    #[test]
    fn since_tells_what_was_added() {
        let tally = Tally::default();
        tally.wake(true);
        tally.polled(Polled::Events(1), Some(Duration::from_secs(1)));
        let before = tally.counters();
        tally.wake(false);
        tally.wake(true);
        tally.stale_knock();
        tally.polled(Polled::Error, Some(Duration::from_secs(2)));
        let expected = Counters {
            polls: 1,
            failed_polls: 1,
            stale_knocks: 1,
            wakes: 2,
            knocks: 1,
            waited: Duration::from_secs(2),
            ..Counters::default()
        };
        assert_eq!(tally.counters().since(&before), expected);
        assert_eq!(before.since(&before), Counters::default());
    }
}
