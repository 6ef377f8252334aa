//! The checker of debug builds.
//!
//! One lock for the whole book: it is a debugging tool, and simple. Nobody is told anything while
//! it is held, so that `report` may register or panic.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::env;
use std::fmt;
use std::io;
use std::mem;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::{Checker, Finding, Mistake};
use crate::events::{Event, Events};
use crate::interest::{Interest, Mode};
use crate::sys::handle::RawSource;
use crate::token::Token;

/// In how many polls in a row a source must be reported to no avail, and how soon, for that to be
/// called spinning.
const SPIN_POLLS: u32 = 256;
const SPIN_TIME: Duration = Duration::from_secs(1);

/// How many sources are remembered that went while they were registered.
const GONE_MAX: usize = 1024;

/// The checker of a poller, if it has one, and who registers just now.
#[derive(Debug)]
pub(crate) struct Watcher {
    active: Arc<RwLock<Option<Arc<Active>>>>,
    /// The place in the program that calls the registry: set in the copy that a source is given.
    caller: Option<&'static Location<'static>>,
}

impl Watcher {
    pub(crate) fn new() -> Watcher {
        let active = Checker::from_environment().map(|checker| Arc::new(Active::new(checker)));
        Watcher {
            active: Arc::new(RwLock::new(active)),
            caller: None,
        }
    }

    /// The poller is gone, and with it what could be checked. Without this, a checker that holds a
    /// registry would hold itself.
    pub(crate) fn end(&self) {
        self.replace(None);
    }

    /// True: there is a checker from now on. One that was there before is told nothing more.
    pub(crate) fn set(&self, checker: Checker) -> bool {
        if let Some(old) = self.replace(Some(Arc::new(Active::new(checker)))) {
            old.book().forget_all();
        }
        true
    }

    /// Gives back who was there before, for dropping a checker runs the program's code, which may
    /// want to know whether there is one.
    fn replace(&self, active: Option<Arc<Active>>) -> Option<Arc<Active>> {
        let mut place = self.active.write().unwrap_or_else(PoisonError::into_inner);
        mem::replace(&mut place, active)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.active().is_some()
    }

    pub(crate) fn active(&self) -> Option<Arc<Active>> {
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        active.clone()
    }

    /// A source is about to be registered under this token: an event with it may be the newcomer's
    /// from now on. Answers how many sources are in the book under this token.
    pub(crate) fn announce(&self, token: Token) -> usize {
        self.active().map_or(0, |active| {
            let mut book = active.book();
            book.forget_gone(token);
            book.count(token)
        })
    }

    /// A source has been registered under this token. If there are no more in the book than were
    /// `known` before, it is none that we can watch.
    pub(crate) fn note_stranger(&self, token: Token, known: usize) {
        if let Some(active) = self.active() {
            let mut book = active.book();
            if book.count(token) == known {
                book.strangers.insert(token);
            }
        }
    }

    /// The same for a call from `caller`, unless an outer call is known already.
    pub(crate) fn called_at(&self, caller: &'static Location<'static>) -> Watcher {
        Watcher {
            active: Arc::clone(&self.active),
            caller: self.caller.or(Some(caller)),
        }
    }

    fn caller(&self) -> &'static Location<'static> {
        // Tests of backends call no registry.
        self.caller.unwrap_or(Location::caller())
    }
}

/// Forgets who calls.
impl Clone for Watcher {
    fn clone(&self) -> Watcher {
        Watcher {
            active: Arc::clone(&self.active),
            caller: None,
        }
    }
}

impl Checker {
    /// What the variable `LITIO_CHECK` asks for.
    fn from_environment() -> Option<Checker> {
        static WISH: OnceLock<Option<String>> = OnceLock::new();
        WISH.get_or_init(|| env::var("LITIO_CHECK").ok())
            .as_deref()
            .and_then(Checker::from_wish)
    }

    fn from_wish(wish: &str) -> Option<Checker> {
        let mut checker = match wish.split(',').next()? {
            "report" => Checker::new(|finding| eprintln!("litio: {finding}")),
            "panic" => Checker::new(|finding| panic!("litio: {finding}")),
            _ => return None,
        };
        if let Some(ms) = wish.split(',').nth(1).and_then(|ms| ms.parse().ok()) {
            checker = checker.patience(Duration::from_millis(ms));
        }
        Some(checker)
    }
}

/// The checker of one poller.
pub(crate) struct Active {
    checker: Checker,
    book: Mutex<Book>,
}

// Sources hold it, and are as safe to be seen after a panic as those of release builds: the book is
// always in order when somebody is told.
impl UnwindSafe for Active {}
impl RefUnwindSafe for Active {}

impl Active {
    fn new(checker: Checker) -> Active {
        Active {
            checker,
            book: Mutex::default(),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nothing panics while this is held")
    }

    fn tell(&self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            (self.checker.report)(&finding);
        }
    }

    // For the poller

    /// A poll begins. `is_idle`: nothing else is due that the program may have in mind.
    pub(crate) fn poll_begins(&self, is_idle: bool) {
        self.book().polls += 1;
        if is_idle {
            self.lose_patience();
        }
    }

    /// How long a sleep may last until there is something to tell.
    pub(crate) fn patience_left(&self) -> Option<Duration> {
        let book = self.book();
        let entries = book.undrained.iter().filter_map(|id| book.entries.get(id));
        let oldest = entries.filter_map(|entry| entry.undrained_since).min()?;
        let left = self.checker.patience.saturating_sub(oldest.elapsed());
        // To come back too late by a little, and not too early again and again.
        Some(left.saturating_add(Duration::from_micros(100)))
    }

    /// Tells of sources that were left undrained for too long.
    pub(crate) fn lose_patience(&self) {
        let findings = self.book().overdue(self.checker.patience);
        self.tell(findings);
    }

    /// The sources that have gone while they were registered, since it was last asked.
    pub(crate) fn suspects(&self) -> Vec<u64> {
        let mut book = self.book();
        let suspects = book.gone.iter_mut().filter(|gone| gone.is_suspect);
        let suspects = suspects.map(|gone| {
            gone.is_suspect = false;
            gone.id
        });
        suspects.collect()
    }

    /// Tells of those that the system has `listed` after they had become `suspects`.
    pub(crate) fn find_leaks(&self, suspects: &[u64], listed: &[(RawSource, Token)]) {
        let findings = self.book().leaks(suspects, listed);
        self.tell(findings);
    }

    pub(crate) fn poll_ends(&self, events: &Events, is_waker: impl Fn(Token) -> bool) {
        let findings = {
            let mut book = self.book();
            let now = Instant::now();
            let of_sources = events.iter().filter(|event| !is_waker(event.token()));
            let findings = of_sources.filter_map(|event| book.reported(event, now));
            findings.collect::<Vec<_>>()
        };
        self.tell(findings);
    }
}

impl fmt::Debug for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.checker.fmt(f)
    }
}

/// What is known of the sources of one poller.
#[derive(Debug, Default)]
struct Book {
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
    /// What was done since it was last reported.
    done: Directions,
    /// The last poll that reported it, the number of those in a row, and when the row began.
    reported_in: u64,
    in_a_row: u32,
    row_began: Instant,
}

/// Directions of an operation or an event, as far as they matter here.
#[derive(Copy, Clone, Debug, Default)]
struct Directions {
    reading: bool,
    writing: bool,
}

impl Directions {
    fn of_interest(interest: Interest) -> Directions {
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
enum Shown {
    /// It did something, and there may be more to do.
    Progress,
    /// There is no more to do for now.
    Blocked,
    /// There will never be more, or not for the time being.
    End,
}

impl Shown {
    fn by<R>(result: &io::Result<R>) -> Option<Shown> {
        match result {
            Ok(_) => Some(Shown::Progress),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(Shown::Blocked),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(_) => Some(Shown::End),
        }
    }
}

impl Book {
    fn register(
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
                done: Directions::default(),
                reported_in: 0,
                in_a_row: 0,
                row_began: Instant::now(),
            },
        );
        self.take_token(id, token);
        id
    }

    fn reregister(
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

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.undrained.remove(&id);
        self.leave_token(id, entry.token);
        Some(entry)
    }

    /// Sources that are in it find themselves no more.
    fn forget_all(&mut self) {
        *self = Book {
            last_id: self.last_id,
            ..Book::default()
        };
    }

    fn count(&self, token: Token) -> usize {
        self.tokens.get(&token).map_or(0, Vec::len)
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

    fn operated(&mut self, id: u64, directions: Directions, shown: Shown) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if shown != Shown::End {
            entry.done.add(directions);
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

    fn overdue(&mut self, patience: Duration) -> Vec<Finding> {
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

    /// Notes an event; finds out whether it is one too many.
    fn reported(&mut self, event: &Event, now: Instant) -> Option<Finding> {
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
        if entry.is_edge() && entry.interest.is_readable() && event.is_readable() {
            entry.undrained_since = Some(now);
            self.undrained.insert(id);
        }
        let is_spinning = entry.count_row(Directions::of_event(event), self.polls, now);
        is_spinning.then(|| entry.finding(Mistake::Spinning))
    }

    fn reported_gone(&mut self, token: Token) -> Option<Finding> {
        let index = self.gone.iter().position(|gone| {
            // The poll during which it went may have found it ready before.
            gone.entry.token == token && gone.went_in < self.polls
        })?;
        let gone = self.gone.remove(index)?;
        Some(gone.entry.finding(Mistake::Gone))
    }

    fn leaks(&self, suspects: &[u64], listed: &[(RawSource, Token)]) -> Vec<Finding> {
        let leaks = self.gone.iter().filter(|gone| {
            let Entry { source, token, .. } = gone.entry;
            let is_listed = listed.contains(&(source, token));
            suspects.contains(&gone.id) && is_listed && !self.may_be_other(source, token)
        });
        leaks
            .map(|gone| gone.entry.finding(Mistake::Leaked))
            .collect()
    }

    /// Whether a registration of this descriptor under this token may be that of a source which
    /// exists.
    fn may_be_other(&self, source: RawSource, token: Token) -> bool {
        let mut ids = self.tokens.get(&token).into_iter().flatten();
        let is_other = ids.any(|id| {
            let entry = self.entries.get(id);
            entry.is_some_and(|entry| entry.source == source)
        });
        is_other || self.strangers.contains(&token)
    }

    /// An event with this token may be somebody else's from now on.
    fn forget_gone(&mut self, token: Token) {
        self.gone.retain(|gone| gone.entry.token != token);
    }

    fn note_gone(&mut self, id: u64, entry: Entry, is_suspect: bool) {
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

/// What a source keeps: its place in the book of the poller that it is registered with.
#[derive(Debug)]
pub(crate) struct Watch(Option<Watched>);

#[derive(Debug)]
struct Watched {
    checker: Arc<Active>,
    id: u64,
}

impl Watch {
    pub(crate) fn new() -> Watch {
        Watch(None)
    }

    pub(crate) fn registered(
        &mut self,
        watcher: &Watcher,
        source: RawSource,
        token: Token,
        interest: Interest,
        result: &io::Result<()>,
    ) {
        match result {
            Ok(()) => {
                self.0 = watcher.active().map(|checker| {
                    let id = checker
                        .book()
                        .register(source, token, interest, watcher.caller());
                    Watched { checker, id }
                });
            }
            Err(error) => self.refused(watcher, error, Some(Mistake::RegisteredTwice)),
        }
    }

    pub(crate) fn reregistered(
        &mut self,
        watcher: &Watcher,
        source: RawSource,
        token: Token,
        interest: Interest,
        result: &io::Result<()>,
    ) {
        match (&self.0, result) {
            (Some(watched), Ok(())) => {
                let at = watcher.caller();
                let mut book = watched.checker.book();
                book.reregister(watched.id, token, interest, at);
            }
            // Registered before there was a checker.
            (None, Ok(())) => self.registered(watcher, source, token, interest, result),
            (_, Err(error)) => self.refused(watcher, error, None),
        }
    }

    pub(crate) fn deregistered(&mut self, watcher: &Watcher, result: &io::Result<()>) {
        match result {
            Ok(()) => {
                if let Some(Watched { checker, id }) = self.0.take() {
                    checker.book().remove(id);
                }
            }
            Err(error) => self.refused(watcher, error, None),
        }
    }

    /// The selector has refused a call. If that is because of a registration that is in the book,
    /// it is a mistake: `at_home` with its own registry, if any.
    fn refused(&self, watcher: &Watcher, error: &io::Error, at_home: Option<Mistake>) {
        use io::ErrorKind::{AlreadyExists, NotFound};

        let Some(Watched { checker, id }) = &self.0 else {
            return;
        };
        if !matches!(error.kind(), AlreadyExists | NotFound) {
            return;
        }
        let is_own = watcher
            .active()
            .is_some_and(|active| Arc::ptr_eq(&active, checker));
        let elsewhere = Some(Mistake::RegisteredElsewhere);
        let Some(mistake) = (if is_own { at_home } else { elsewhere }) else {
            return;
        };
        let finding = checker.book().entries.get(id).map(|entry| Finding {
            called_at: Some(watcher.caller()),
            ..entry.finding(mistake)
        });
        checker.tell(finding);
    }

    /// An operation in these directions has ended like this.
    pub(crate) fn operated<R>(&self, interest: Interest, result: &io::Result<R>) {
        self.shown(interest, Shown::by(result));
    }

    /// A transfer of `asked` bytes has ended like this, beyond what is known of it as an operation.
    pub(crate) fn transferred(&self, interest: Interest, asked: usize, result: &io::Result<usize>) {
        let shown = match result {
            Ok(0) if asked > 0 => Some(Shown::End),
            Ok(done) if *done < asked => Some(Shown::Blocked),
            result => Shown::by(result),
        };
        self.shown(interest, shown);
    }

    /// The source is gone, and what it was made of has another owner, who may close it soon.
    pub(crate) fn given_away(mut self) {
        self.goes(false);
    }

    fn goes(&mut self, is_suspect: bool) {
        if let Some(Watched { checker, id }) = self.0.take() {
            let mut book = checker.book();
            if let Some(entry) = book.remove(id) {
                book.note_gone(id, entry, is_suspect);
            }
        }
    }

    /// An operation would have blocked in these directions.
    pub(crate) fn blocked(&self, interest: Interest) {
        self.shown(interest, Some(Shown::Blocked));
    }

    fn shown(&self, interest: Interest, shown: Option<Shown>) {
        if let (Some(Watched { checker, id }), Some(shown)) = (&self.0, shown) {
            let directions = Directions::of_interest(interest);
            checker.book().operated(*id, directions, shown);
        }
    }
}

/// The source is gone, and what it was made of as well.
impl Drop for Watch {
    fn drop(&mut self) {
        self.goes(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_how_to_tell_and_how_soon() {
        let patience = |wish| Checker::from_wish(wish).map(|checker| checker.patience.as_millis());
        assert_eq!(patience("report"), Some(1000));
        assert_eq!(patience("panic,50"), Some(50));
        assert_eq!(patience(""), None);
        assert_eq!(patience("off"), None);
    }

    #[test]
    fn a_row_is_broken_by_progress_by_a_pause_and_by_slowness() {
        let mut book = Book::default();
        let at = Location::caller();
        let id = book.register(0, Token(1), Interest::READABLE.level(), at);
        let event = Event::new(Token(1), crate::event::Readiness::READABLE);
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
        book.operated(id, read, Shown::End); // nothing came of it
        assert!(reports(&mut book, 1, quick));
        assert!(!reports(&mut book, 2 * SPIN_POLLS, quick), "told once");
        book.polls += 1;
        assert!(!reports(&mut book, 2 * SPIN_POLLS, SPIN_TIME / 100), "slow");
    }

    fn watcher(checker: Checker) -> Watcher {
        let watcher = Watcher {
            active: Arc::default(),
            caller: None,
        };
        watcher.set(checker);
        watcher
    }

    #[test]
    fn patience_may_be_endless() {
        let watcher = watcher(Checker::new(|_| {}).patience(Duration::MAX));
        let active = watcher.active().unwrap();
        let mut watch = Watch::new();
        watch.registered(&watcher, 0, Token(1), Interest::READABLE, &Ok(()));
        let event = Event::new(Token(1), crate::event::Readiness::READABLE);
        active.poll_ends(&Events::from_iter([event]), |_| false);
        assert!(active.patience_left() > Some(Duration::from_secs(u64::MAX / 2)));
    }

    /// Another thread may have taken number and token between the closing and the moment when the
    /// book hears of it.
    #[test]
    fn a_successor_with_the_same_number_and_token_is_no_leak() {
        let mut book = Book::default();
        let at = Location::caller();
        let (old, new) = (Token(1), Token(2));
        let ids = [old, old].map(|token| book.register(5, token, Interest::READABLE, at));
        let entry = book.remove(ids[0]).unwrap();
        book.note_gone(ids[0], entry, true);
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
        let watcher = watcher(Checker::new(|_| {}));
        for token in 0..2 * GONE_MAX {
            let mut watch = Watch::new();
            watch.registered(&watcher, 0, Token(token), Interest::READABLE, &Ok(()));
        }
        let active = watcher.active().unwrap();
        let book = active.book();
        assert_eq!((book.gone.len(), book.entries.len()), (GONE_MAX, 0));
        assert!(book.tokens.is_empty());
    }
}
