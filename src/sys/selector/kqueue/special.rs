//! Registrations that take more than filters in the queue.
//!
//! An edge-triggered source needs no memory here: the kernel keeps all of it. These do:
//!
//! * one-shot: kqueue knows it for one filter, not for the two of a descriptor;
//! * level: adding a filter again does not change its trigger mode, so a change of mode must be
//!   noticed;
//! * refused: descriptors that kqueue does not take, which are watched by select(2) beside it;
//! * neither readable nor writable (AIO, LIO): there is no filter by which the kernel could
//!   remember the source.
//!
//! The table is empty in most programs, and then costs one load of a counter.

use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use crate::interest::{Interest, Mode};
use crate::readiness::Readiness;
use crate::sys::selector::rest::Rest;
use crate::token::Token;

/// The table, and how much is in it for those who only want to know that.
#[derive(Debug, Default)]
pub(super) struct Special {
    count: AtomicUsize,
    refused: AtomicUsize,
    entries: Mutex<BTreeMap<RawFd, Entry>>,
}

/// The table, locked.
#[derive(Debug)]
pub(super) struct Entries<'a> {
    special: &'a Special,
    map: MutexGuard<'a, BTreeMap<RawFd, Entry>>,
}

/// A registration.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) token: Token,
    pub(super) interest: Interest,
    /// One-shot, and has been reported: silent until the next `reregister`.
    pub(super) is_spent: bool,
    /// What the batch at hand says of a one-shot source, until it becomes one event.
    pub(super) gathered: Readiness,
    /// The directions that kqueue refused: to read, to write.
    pub(super) refused: [Option<Pace>; 2],
}

/// When a refused direction is offered again.
///
/// select(2) knows levels only. An edge is imitated: what has been reported and is still there is
/// reported again, but not at once, so that a program which has no use for it (a terminal is always
/// writable) does not spin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    held_until: Option<Instant>,
    rest: Rest,
}

impl Special {
    /// True if there is nothing to look up.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// True if descriptors must be watched beside the queue.
    #[inline]
    pub(super) fn has_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire) != 0
    }

    pub(super) fn lock(&self) -> Entries<'_> {
        Entries {
            special: self,
            map: self
                .entries
                .lock()
                .expect("nothing panics while this is held"),
        }
    }
}

impl Entries<'_> {
    pub(super) fn get_mut(&mut self, source: RawFd) -> Option<&mut Entry> {
        self.map.get_mut(&source)
    }

    /// Puts an entry in the place of what is there, or nothing, and returns the old one.
    pub(super) fn set(&mut self, source: RawFd, entry: Option<Entry>) -> Option<Entry> {
        let old = match entry {
            Some(entry) => self.map.insert(source, entry),
            None => self.map.remove(&source),
        };
        self.special.count.store(self.map.len(), Ordering::Release);
        if old.as_ref().is_some_and(Entry::is_refused)
            || self.map.get(&source).is_some_and(Entry::is_refused)
        {
            let refused = self.map.values().filter(|entry| entry.is_refused()).count();
            self.special.refused.store(refused, Ordering::Release);
        }
        old
    }

    /// The refused sources, those first that come after `last`, so that each gets its turn.
    pub(super) fn refused_after(&mut self, last: RawFd) -> Vec<RawFd> {
        let after = (last.checked_add(1).unwrap_or(0))..;
        let (before, after): (Vec<_>, Vec<_>) = self
            .map
            .iter()
            .filter(|(_, entry)| entry.is_refused())
            .map(|(source, _)| *source)
            .partition(|source| !after.contains(source));
        after.into_iter().chain(before).collect()
    }

    /// The refused sources that still wait for something.
    pub(super) fn refused(&mut self) -> impl Iterator<Item = (RawFd, &mut Entry)> {
        self.map
            .iter_mut()
            .filter(|(_, entry)| entry.is_refused() && !entry.is_spent)
            .map(|(source, entry)| (*source, entry))
    }
}

impl Entry {
    /// True if a registration has to be remembered whatever the kernel says to it.
    pub(super) fn is_needed(interest: Interest) -> bool {
        matches!(interest.mode(), Mode::Level | Mode::OneShot)
            || !(interest.is_readable() || interest.is_writable())
    }

    pub(super) fn new(token: Token, interest: Interest, refused: [bool; 2]) -> Entry {
        Entry {
            token,
            interest,
            is_spent: false,
            gathered: Readiness::EMPTY,
            refused: refused.map(|is_refused| is_refused.then(Pace::new)),
        }
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refused != [None; 2]
    }

    /// Takes note that a refused direction has been reported.
    pub(super) fn has_reported(&mut self, direction: usize, now: Instant) {
        match (self.interest.mode(), &mut self.refused[direction]) {
            (Mode::OneShot, _) => self.is_spent = true,
            (Mode::Edge | Mode::Paced, Some(pace)) => pace.hold(now),
            _ => {}
        }
    }
}

impl Pace {
    fn new() -> Pace {
        Pace {
            held_until: None,
            rest: Rest::NONE,
        }
    }

    /// The direction has been seen not to be ready: the next readiness is news.
    pub(super) fn reset(&mut self) {
        *self = Pace::new();
    }

    fn hold(&mut self, now: Instant) {
        self.held_until = now.checked_add(self.rest.duration());
        self.rest.lengthen();
    }

    /// Until when the direction is not to be asked for.
    pub(super) fn held_after(&self, now: Instant) -> Option<Instant> {
        self.held_until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_stays_ready_is_offered_less_and_less_often() {
        let mut pace = Pace::new();
        let start = Instant::now();
        assert_eq!(pace.held_after(start), None);
        for _ in 0..500 {
            let rest = pace.rest.duration();
            pace.hold(start);
            assert_eq!(pace.held_after(start), Some(start + rest));
            assert_eq!(pace.held_after(start + rest), None);
        }
        assert_eq!(pace.rest.duration(), Duration::from_millis(64));
        pace.reset();
        assert_eq!(pace, Pace::new());
    }

    #[test]
    fn the_counters_follow_the_table() {
        let special = Special::default();
        let entry = |refused| Entry::new(Token(1), Interest::READABLE, refused);
        assert!(special.is_empty());
        special.lock().set(3, Some(entry([false; 2])));
        assert!(!special.is_empty() && !special.has_refused());
        special.lock().set(3, Some(entry([true, false])));
        special.lock().set(5, Some(entry([false, true])));
        special.lock().set(9, Some(entry([false, true])));
        assert!(special.has_refused());
        assert_eq!(special.lock().refused_after(5), [9, 3, 5]);
        for source in [3, 5, 9] {
            special.lock().set(source, None);
        }
        assert!(special.is_empty() && !special.has_refused());
    }
}
