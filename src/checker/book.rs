//! The checker's book: what is known of the sources of one poller.
//!
//! Plain data: whatever happens is written down here, and the answer is what there is to tell of
//! it. Who is told, and when, is the business of `active.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::io;
use std::panic::Location;
use std::time::{Duration, Instant};

use super::{Finding, Mistake};
use crate::events::Event;
use crate::interest::{Interest, Mode};
use crate::sys::handle::RawSource;
use crate::token::Token;

/// In how many polls in a row a source must be reported to no avail, and how soon, for that to be
/// called spinning.
const SPIN_POLLS: u32 = 256;
const SPIN_TIME: Duration = Duration::from_secs(1);

/// How many sources are remembered that went while they were registered.
const GONE_MAX: usize = 1024;

/// What is known of the sources of one poller.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// How many polls have begun.
    polls: u64,
    entries: BTreeMap<u64, Entry>,
    last_id: u64,
    /// Who has which token.
    tokens: HashMap<Token, Vec<u64>>,
    /// The tokens of sources that are not in the book.
    strangers: HashSet<Token>,
    /// The entries with `undrained_since`.
    undrained: BTreeSet<u64>,
    /// The sources that went while they were registered.
    gone: VecDeque<Gone>,
}

/// A source that went while it was registered.
#[derive(Debug)]
struct Gone {
    id: u64,
    entry: Entry,
    /// During which poll.
    went_in: u64,
    /// It was dropped, and nobody has looked yet whether the system has forgotten it.
    is_suspect: bool,
}

/// A source.
#[derive(Debug)]
struct Entry {
    source: RawSource,
    token: Token,
    interest: Interest,
    registered_at: &'static Location<'static>,
    /// It was registered or reregistered since it was last reported.
    is_new: bool,
    /// A readable edge was reported, and the last that has happened since was then.
    undrained_since: Option<Instant>,
    /// It was read to its end, whose own edge may still come.
    is_at_end: bool,
    /// What was done since it was last reported.
    done: Directions,
    /// The last poll that reported it, the number of those in a row, and when the row began.
    reported_in: u64,
    in_a_row: u32,
    row_began: Instant,
}

/// Directions of an operation or an event, as far as they matter here.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Directions {
    reading: bool,
    writing: bool,
}

impl Directions {
    pub(super) fn of_interest(interest: Interest) -> Directions {
        Directions {
            reading: interest.is_readable() || interest.is_priority(),
            writing: interest.is_writable(),
        }
    }

    fn of_event(event: &Event) -> Directions {
        let is_error = event.is_error();
        Directions {
            reading: event.is_readable() || event.is_read_closed() || is_error,
            writing: event.is_writable() || event.is_write_closed() || is_error,
        }
    }

    fn meet(self, other: Directions) -> bool {
        self.reading && other.reading || self.writing && other.writing
    }

    fn add(&mut self, other: Directions) {
        self.reading |= other.reading;
        self.writing |= other.writing;
    }
}

/// What an operation has shown.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// It did something, and there may be more to do.
    Progress,
    /// There is no more to do for now.
    Blocked,
    /// Nothing can be done: it failed.
    Failed,
    /// There will never be more: the end of a stream.
    End,
}

impl Shown {
    pub(super) fn by<R>(result: &io::Result<R>) -> Option<Shown> {
        match result {
            Ok(_) => Some(Shown::Progress),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(Shown::Blocked),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(_) => Some(Shown::Failed),
        }
    }
}

impl Book {
    // For sources

    /// Answers by which number the source finds itself.
    pub(super) fn register(
        &mut self,
        source: RawSource,
        token: Token,
        interest: Interest,
        at: &'static Location<'static>,
    ) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        self.entries.insert(
            id,
            Entry {
                source,
                token,
                interest,
                registered_at: at,
                is_new: true,
                undrained_since: None,
                is_at_end: false,
                done: Directions::default(),
                reported_in: 0,
                in_a_row: 0,
                row_began: Instant::now(),
            },
        );
        self.take_token(id, token);
        id
    }

    pub(super) fn reregister(
        &mut self,
        id: u64,
        token: Token,
        interest: Interest,
        at: &'static Location<'static>,
    ) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let old = entry.token;
        entry.token = token;
        entry.interest = interest;
        entry.registered_at = at;
        // What is ready is reported again.
        entry.is_new = true;
        entry.undrained_since = None;
        self.undrained.remove(&id);
        self.leave_token(id, old);
        self.take_token(id, token);
    }

    pub(super) fn deregister(&mut self, id: u64) {
        self.take_out(id);
    }

    /// A source goes while it is registered. `is_suspect`: the system must have forgotten it.
    pub(super) fn goes(&mut self, id: u64, is_suspect: bool) {
        let Some(entry) = self.take_out(id) else {
            return;
        };
        if self.gone.len() == GONE_MAX {
            self.gone.pop_front();
        }
        self.gone.push_back(Gone {
            id,
            entry,
            went_in: self.polls,
            is_suspect,
        });
    }

    /// What an operation in these directions has shown.
    pub(super) fn operated(&mut self, id: u64, directions: Directions, shown: Shown) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        match shown {
            Shown::Progress | Shown::Blocked => entry.done.add(directions),
            Shown::Failed => {}
            Shown::End => entry.is_at_end |= directions.reading,
        }
        if directions.reading && entry.undrained_since.is_some() {
            if shown == Shown::Progress {
                entry.undrained_since = Some(Instant::now());
            } else {
                entry.undrained_since = None;
                self.undrained.remove(&id);
            }
        }
    }

    /// The finding that the source has made this mistake.
    pub(super) fn finding(&self, id: u64, mistake: Mistake) -> Option<Finding> {
        let entry = self.entries.get(&id)?;
        Some(entry.finding(mistake))
    }

    // For registries

    /// How many sources in the book have this token.
    pub(super) fn count(&self, token: Token) -> usize {
        self.tokens.get(&token).map_or(0, Vec::len)
    }

    /// Sources that are not in the book have this token.
    pub(super) fn note_stranger(&mut self, token: Token) {
        self.strangers.insert(token);
    }

    /// An event with this token may be somebody else's from now on.
    pub(super) fn forget_gone(&mut self, token: Token) {
        self.gone.retain(|gone| gone.entry.token != token);
    }

    // For the poller

    pub(super) fn begin_poll(&mut self) {
        self.polls += 1;
    }

    /// Notes an event; finds out whether it is one too many.
    pub(super) fn reported(&mut self, event: &Event, now: Instant) -> Option<Finding> {
        let token = event.token();
        if self.strangers.contains(&token) {
            return None;
        }
        let Some(ids) = self.tokens.get(&token) else {
            return self.reported_gone(token);
        };
        let [id] = ids[..] else {
            return None; // of several, who knows which
        };
        let entry = self.entries.get_mut(&id)?;
        let is_old_news = entry.is_at_end && event.is_read_closed();
        let is_new_edge = entry.is_edge() && entry.interest.is_readable() && event.is_readable();
        if is_new_edge && !is_old_news {
            entry.undrained_since = Some(now);
            self.undrained.insert(id);
        }
        let is_spinning = entry.count_row(Directions::of_event(event), self.polls, now);
        is_spinning.then(|| entry.finding(Mistake::Spinning))
    }

    /// When the source that has been undrained for the longest was last reported or operated on.
    pub(super) fn undrained_since(&self) -> Option<Instant> {
        let entries = self.undrained.iter().filter_map(|id| self.entries.get(id));
        entries.filter_map(|entry| entry.undrained_since).min()
    }

    /// The edges that were left undrained for longer than that, each of them once.
    pub(super) fn overdue(&mut self, patience: Duration) -> Vec<Finding> {
        let mut findings = Vec::new();
        let entries = &mut self.entries;
        self.undrained.retain(|id| {
            let Some(entry) = entries.get_mut(id) else {
                return false;
            };
            let is_overdue = entry
                .undrained_since
                .is_some_and(|since| since.elapsed() >= patience);
            if is_overdue {
                entry.undrained_since = None; // told once for each edge
                findings.push(entry.finding(Mistake::Undrained));
            }
            !is_overdue
        });
        findings
    }

    /// The sources that have gone while they were registered, since it was last asked.
    pub(super) fn take_suspects(&mut self) -> Vec<u64> {
        let suspects = self.gone.iter_mut().filter(|gone| gone.is_suspect);
        let suspects = suspects.map(|gone| {
            gone.is_suspect = false;
            gone.id
        });
        suspects.collect()
    }

    /// Of those that went, the ones that the system has `listed` after they had become `suspects`.
    pub(super) fn leaks(&self, suspects: &[u64], listed: &[(RawSource, Token)]) -> Vec<Finding> {
        let leaks = self.gone.iter().filter(|gone| {
            let Entry { source, token, .. } = gone.entry;
            let is_listed = listed.contains(&(source, token));
            suspects.contains(&gone.id) && is_listed && !self.may_be_anothers(source, token)
        });
        leaks
            .map(|gone| gone.entry.finding(Mistake::Leaked))
            .collect()
    }

    fn reported_gone(&mut self, token: Token) -> Option<Finding> {
        let index = self.gone.iter().position(|gone| {
            // The poll during which it went may have found it ready before.
            gone.entry.token == token && gone.went_in < self.polls
        })?;
        let gone = self.gone.remove(index)?;
        Some(gone.entry.finding(Mistake::Gone))
    }

    /// True if there is a source to which a registration of this number under this token may
    /// belong.
    fn may_be_anothers(&self, source: RawSource, token: Token) -> bool {
        let mut ids = self.tokens.get(&token).into_iter().flatten();
        let is_known = ids.any(|id| {
            let entry = self.entries.get(id);
            entry.is_some_and(|entry| entry.source == source)
        });
        is_known || self.strangers.contains(&token)
    }

    fn take_out(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.undrained.remove(&id);
        self.leave_token(id, entry.token);
        Some(entry)
    }

    fn take_token(&mut self, id: u64, token: Token) {
        self.tokens.entry(token).or_default().push(id);
    }

    fn leave_token(&mut self, id: u64, token: Token) {
        let Some(ids) = self.tokens.get_mut(&token) else {
            return;
        };
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            self.tokens.remove(&token);
        }
    }
}

impl Entry {
    fn finding(&self, mistake: Mistake) -> Finding {
        Finding {
            mistake,
            token: self.token,
            registered_at: self.registered_at,
            called_at: None,
        }
    }

    fn is_edge(&self) -> bool {
        matches!(self.interest.mode(), Mode::Edge)
    }

    /// Counts a report by a poll. True if it is the one that makes it spinning.
    fn count_row(&mut self, reported: Directions, poll: u64, now: Instant) -> bool {
        if self.reported_in == poll {
            return false; // the other direction, in an event of its own
        }
        // Of what was neither reregistered nor operated on, an edge tells something new.
        let is_news = self.is_edge() && !self.is_new;
        let goes_on = self.reported_in + 1 == poll && !self.done.meet(reported) && !is_news;
        if !goes_on {
            self.in_a_row = 0;
            self.row_began = now;
        }
        self.reported_in = poll;
        self.is_new = false;
        self.done = Directions::default();
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row != SPIN_POLLS {
            return false;
        }
        let is_fast = now - self.row_began < SPIN_TIME;
        if !is_fast {
            self.in_a_row = 0;
            self.row_began = now;
        }
        is_fast
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readiness::Readiness;

    #[test]
    fn a_row_is_broken_by_progress_by_a_pause_and_by_slowness() {
        let mut book = Book::default();
        let at = Location::caller();
        let id = book.register(0, Token(1), Interest::READABLE.level(), at);
        let event = Event::new(Token(1), Readiness::READABLE);
        let start = Instant::now();
        let reports = |book: &mut Book, count: u32, pace: Duration| {
            (0..count).any(|i| {
                book.polls += 1;
                book.reported(&event, start + i * pace).is_some()
            })
        };
        let read = Directions::of_interest(Interest::READABLE);
        let write = Directions::of_interest(Interest::WRITABLE);
        let almost = SPIN_POLLS - 1;
        let quick = Duration::from_micros(10);

        assert!(!reports(&mut book, almost, quick));
        book.operated(id, read, Shown::Progress);
        assert!(!reports(&mut book, almost, quick));
        book.polls += 1; // without an event
        assert!(!reports(&mut book, almost, quick));
        book.operated(id, write, Shown::Progress); // not what was reported
        book.operated(id, read, Shown::Failed); // nothing came of it
        book.operated(id, read, Shown::End); // likewise
        assert!(reports(&mut book, 1, quick));
        assert!(!reports(&mut book, 2 * SPIN_POLLS, quick), "told once");
        book.polls += 1;
        assert!(!reports(&mut book, 2 * SPIN_POLLS, SPIN_TIME / 100), "slow");
    }

    /// A program that reads on until the end may do so before the end is reported.
    #[test]
    fn the_edge_of_an_end_that_was_read_need_not_be_drained() {
        let mut book = Book::default();
        let id = book.register(0, Token(1), Interest::READABLE, Location::caller());
        let read = Directions::of_interest(Interest::READABLE);
        let end = Event::new(Token(1), Readiness::READABLE | Readiness::READ_CLOSED);
        let news = Event::new(Token(1), Readiness::READABLE);
        let is_undrained = |book: &mut Book, event: &Event| {
            book.polls += 1;
            assert!(book.reported(event, Instant::now()).is_none());
            !book.overdue(Duration::ZERO).is_empty()
        };
        book.operated(id, read, Shown::Progress);
        assert!(is_undrained(&mut book, &end), "there may be more before it");
        book.operated(id, read, Shown::End);
        assert!(!is_undrained(&mut book, &end));
        assert!(is_undrained(&mut book, &news), "a pipe has a new writer");
    }

    /// Another thread may have taken number and token between the closing and the moment when the
    /// book hears of it.
    #[test]
    fn a_successor_with_the_same_number_and_token_is_no_leak() {
        let mut book = Book::default();
        let at = Location::caller();
        let (old, new) = (Token(1), Token(2));
        let ids = [old, old].map(|token| book.register(5, token, Interest::READABLE, at));
        book.goes(ids[0], true);
        assert_eq!(book.leaks(&ids, &[(5, old)]), []);
        book.reregister(ids[1], new, Interest::READABLE, at);
        let leaks = book.leaks(&ids, &[(5, old), (5, new)]);
        assert_eq!(
            leaks.len(),
            1,
            "the number of both, the token of one: {leaks:?}"
        );
    }

    #[test]
    fn what_is_remembered_of_the_gone_is_bounded() {
        let mut book = Book::default();
        for token in 0..2 * GONE_MAX {
            let id = book.register(0, Token(token), Interest::READABLE, Location::caller());
            book.goes(id, true);
        }
        assert_eq!((book.gone.len(), book.entries.len()), (GONE_MAX, 0));
        assert!(book.tokens.is_empty());
    }
}
