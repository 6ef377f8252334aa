//! The checker of debug builds: what poller, registries and sources write into the book
//! (`book.rs`), and how the program is told what it says.
//!
//! One lock for the whole book: it is a debugging tool, and simple. Nobody is told anything while
//! it is held, so that `report` may register or panic.

use std::env;
use std::fmt;
use std::io;
use std::mem;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use super::book::{Book, Directions, Shown};
use super::{Checker, Finding, Mistake};
use crate::events::Events;
use crate::interest::Interest;
use crate::sys::handle::RawSource;
use crate::token::Token;

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
        self.replace(Some(Arc::new(Active::new(checker))));
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
                book.note_stranger(token);
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
        let ask = || {
            let wish = env::var("LITIO_CHECK").ok()?;
            if Checker::from_wish(&wish).is_none() && !["", "off"].contains(&wish.trim()) {
                eprintln!(
                    "litio: LITIO_CHECK={wish} is not understood, and nothing is checked; \
                     it takes `report` or `panic`, or `report,50` with patience in milliseconds"
                );
            }
            Some(wish)
        };
        WISH.get_or_init(ask)
            .as_deref()
            .and_then(Checker::from_wish)
    }

    fn from_wish(wish: &str) -> Option<Checker> {
        let mut words = wish.split(',').map(str::trim);
        let mut checker = match words.next()? {
            "report" => Checker::new(|finding| eprintln!("litio: {finding}")),
            "panic" => Checker::new(|finding| panic!("litio: {finding}")),
            _ => return None,
        };
        if let Some(ms) = words.next() {
            checker = checker.patience(Duration::from_millis(ms.parse().ok()?));
        }
        Some(checker)
    }
}

/// The checker of one poller.
pub(crate) struct Active {
    checker: Checker,
    book: Mutex<Book>,
}

// Sources lead to it, and are as safe to be seen after a panic as those of release builds: the book
// is always in order when somebody is told.
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
        self.book().begin_poll();
        if is_idle {
            self.lose_patience();
        }
    }

    /// How long a sleep may last until there is something to tell.
    pub(crate) fn patience_left(&self) -> Option<Duration> {
        let oldest = self.book().undrained_since()?;
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
        self.book().take_suspects()
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

/// What a source keeps: its place in the book of the poller that it is registered with.
#[derive(Debug)]
pub(crate) struct Watch(Option<Watched>);

#[derive(Debug)]
struct Watched {
    /// Weak, because the checker may hold the source. It ends with its poller, or is replaced; then
    /// nobody watches.
    checker: Weak<Active>,
    id: u64,
}

impl Watch {
    pub(crate) fn new() -> Watch {
        Watch(None)
    }

    /// The checker that watches, and where in its book.
    fn watched(&self) -> Option<(Arc<Active>, u64)> {
        let Watched { checker, id } = self.0.as_ref()?;
        Some((checker.upgrade()?, *id))
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
                    let checker = Arc::downgrade(&checker);
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
        match (self.watched(), result) {
            (Some((checker, id)), Ok(())) => {
                let at = watcher.caller();
                checker.book().reregister(id, token, interest, at);
            }
            // Registered before this checker was there.
            (None, Ok(())) => self.registered(watcher, source, token, interest, result),
            (_, Err(error)) => self.refused(watcher, error, None),
        }
    }

    pub(crate) fn deregistered(&mut self, watcher: &Watcher, result: &io::Result<()>) {
        match result {
            Ok(()) => {
                if let Some((checker, id)) = self.watched() {
                    checker.book().deregister(id);
                }
                self.0 = None;
            }
            Err(error) => self.refused(watcher, error, None),
        }
    }

    /// The selector has refused a call. If that is because of a registration that is in the book,
    /// it is a mistake: `at_home` with its own registry, if any.
    fn refused(&self, watcher: &Watcher, error: &io::Error, at_home: Option<Mistake>) {
        use io::ErrorKind::{AlreadyExists, NotFound};

        let Some((checker, id)) = self.watched() else {
            return;
        };
        if !matches!(error.kind(), AlreadyExists | NotFound) {
            return;
        }
        let is_own = watcher
            .active()
            .is_some_and(|active| Arc::ptr_eq(&active, &checker));
        let elsewhere = Some(Mistake::RegisteredElsewhere);
        let Some(mistake) = (if is_own { at_home } else { elsewhere }) else {
            return;
        };
        let finding = checker.book().finding(id, mistake);
        checker.tell(finding.map(|finding| Finding {
            called_at: Some(watcher.caller()),
            ..finding
        }));
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
        if let Some((checker, id)) = self.watched() {
            checker.book().goes(id, is_suspect);
        }
        self.0 = None;
    }

    /// An operation would have blocked in these directions.
    pub(crate) fn blocked(&self, interest: Interest) {
        self.shown(interest, Some(Shown::Blocked));
    }

    fn shown(&self, interest: Interest, shown: Option<Shown>) {
        if let (Some((checker, id)), Some(shown)) = (self.watched(), shown) {
            let directions = Directions::of_interest(interest);
            checker.book().operated(id, directions, shown);
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
    use crate::events::Event;
    use crate::readiness::Readiness;

    #[test]
    fn the_environment_says_how_to_tell_and_how_soon() {
        let patience = |wish| Checker::from_wish(wish).map(|checker| checker.patience.as_millis());
        assert_eq!(patience("report"), Some(1000));
        assert_eq!(patience("panic,50"), Some(50));
        assert_eq!(patience(" report, 50 "), Some(50));
        assert_eq!(patience(""), None);
        assert_eq!(patience("off"), None);
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
        let event = Event::new(Token(1), Readiness::READABLE);
        active.poll_ends(&Events::from_iter([event]), |_| false);
        assert!(active.patience_left() > Some(Duration::from_secs(u64::MAX / 2)));
    }
}
