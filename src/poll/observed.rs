//! Polls that somebody observes: they are counted, or checked for mistakes, or both.
//!
//! Whether anybody does is said by two bits of the wake word, which every poll tests anyway for
//! pending wakes. So this costs nothing where nobody does.

use std::io;
use std::time::{Duration, Instant};

use super::{Outcome, Reactor};
use crate::checker::Active;
use crate::counters::Polled;
use crate::events::Events;
use crate::sys::selector::Backend;

impl<B: Backend> Reactor<B> {
    /// A poll that is counted, or checked, or both.
    #[cold]
    pub(super) fn poll_observed(
        &mut self,
        events: &mut Events,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let is_timed = timeout != Some(Duration::ZERO) && self.hub.wakes.tally.is_timed();
        let start = is_timed.then(Instant::now);
        let result = match self.hub.watcher.active() {
            Some(checker) => self.poll_checked(&checker, events, timeout),
            None => self.poll_unobserved(events, timeout),
        };
        if self.hub.wakes.is_counted() {
            let polled = match result {
                Ok(()) => Polled::Events(events.len()),
                Err(_) => Polled::Error,
            };
            let waited = start.map(|start| start.elapsed());
            self.hub.wakes.tally.polled(polled, waited);
        }
        result
    }

    /// Sleeps no longer than the checker's patience lasts, so that it can tell what it finds while
    /// the program waits in vain.
    fn poll_checked(
        &mut self,
        checker: &Active,
        events: &mut Events,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        // A poller that was woken will not sleep: the program may have more to do first.
        checker.poll_begins(self.hub.wakes.pending() == 0);
        let suspects = checker.suspects();
        if !suspects.is_empty() {
            checker.find_leaks(&suspects, &self.hub.selector.listed());
        }
        let mut left = timeout;
        loop {
            let part = checker.patience_left();
            let is_last = match (part, left) {
                (None, _) => true,
                (Some(part), Some(left)) => left <= part,
                (Some(_), None) => false,
            };
            let start = Instant::now();
            self.poll_unobserved(events, if is_last { left } else { part })?;
            if is_last || !events.is_empty() {
                break;
            }
            left = left.map(|left| left.saturating_sub(start.elapsed()));
            checker.lose_patience();
        }
        checker.poll_ends(events, |token| self.hub.wakes.has_token(token));
        Ok(())
    }

    /// A knock that left nothing to deliver.
    #[cold]
    pub(super) fn roused(&self) -> Outcome {
        if self.hub.wakes.is_counted() {
            self.hub.wakes.tally.stale_knock();
        }
        Outcome::Roused
    }
}
