//! Handles as sources: whatever a thread could wait for.

use std::fmt;
use std::io;
use std::os::windows::io::{AsHandle, OwnedHandle};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::events::Event;
use crate::interest::Interest;
use crate::readiness::Readiness;
use crate::registry::{Registry, Source};
use crate::sys::selector::Backend;
use crate::sys::selector::afd::{Afd, Operation, Owner, Report, Wait};
use crate::token::Token;

/// An object that a thread could wait for, as a [source](crate::event::Source): a process, an
/// event, a timer, a semaphore, the input of a console.
///
/// When it is signalled, a readable event is reported. It is never writable.
///
/// | mode | an event is reported |
/// |---|---|
/// | edge (the default) | when it is signalled; again only after [`rearm`](SourceHandle::rearm) or `reregister` |
/// | [level](Interest::level) | by every `poll` while it is signalled |
/// | [one-shot](Interest::oneshot) | once; then nothing until `reregister` |
///
/// Waiting has the effect that it has for a thread: an auto-reset event is reset, a semaphore
/// counted down. It is reported then, unless the source is deregistered meanwhile.
///
/// # Errors
///
/// [`Unsupported`](io::ErrorKind::Unsupported) from [`new`](SourceHandle::new) where the system has
/// no wait completion packets: before Windows 8, and on some versions of Wine. Registering answers
/// as [`Registry`] does.
///
/// # Examples
///
/// ```no_run
/// use litio::windows::SourceHandle;
/// use litio::{Events, Interest, Poll, Token};
/// use std::process::Command;
///
/// # fn main() -> std::io::Result<()> {
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// let child = Command::new("cmd").args(["/c", "exit 3"]).spawn()?;
/// let mut child = SourceHandle::new(child)?;
/// poll.registry().register(&mut child, Token(0), Interest::READABLE)?;
/// poll.poll(&mut events, None)?;
/// assert_eq!(child.into_inner().wait()?.code(), Some(3));
/// # Ok(())
/// # }
/// ```
///
/// # System calls
///
/// `DuplicateHandle`, `NtCreateWaitCompletionPacket`, `NtAssociateWaitCompletionPacket`,
/// `NtCancelWaitCompletionPacket`.
pub struct SourceHandle<T> {
    // First, so that it is dropped first.
    ticket: Ticket,
    inner: T,
}

impl<T: AsHandle> SourceHandle<T> {
    /// Wraps an object whose handle has the right to be waited for. Nothing is registered yet.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported); see [the type's](SourceHandle#errors).
    pub fn new(object: T) -> io::Result<SourceHandle<T>> {
        Wait::new()?;
        Ok(SourceHandle {
            ticket: Ticket(None),
            inner: object,
        })
    }

    /// The object.
    pub fn get(&self) -> &T {
        &self.inner
    }

    /// The object, to be changed. Replacing it while it is registered is a mistake: the
    /// registration belongs to the old one.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Gives the object back, deregistered.
    pub fn into_inner(self) -> T {
        let SourceHandle { ticket, inner } = self;
        drop(ticket);
        inner
    }

    /// Waits for the object again, if an event was reported: the program has done what was to be
    /// done, reset an event, say. If the object is signalled still, that is reported at once. Does
    /// nothing for a one-shot source, or one that is not registered.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn rearm(&self) -> io::Result<()> {
        let Some(waiting) = &self.ticket.0 else {
            return Ok(());
        };
        let mut state = waiting.lock();
        if state.interest.is_oneshot() {
            return Ok(());
        }
        waiting.begin(&mut state)
    }
}

impl<T: AsHandle> Source for SourceHandle<T> {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        Afd::check_interest(interests)?;
        if self.ticket.0.is_some() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "source is already registered; use `reregister` to change it",
            ));
        }
        let selector = Arc::clone(&registry.hub().selector);
        let waiting = Arc::new(Waiting {
            number: selector.next_wait(),
            selector,
            object: self.inner.as_handle().try_clone_to_owned()?,
            state: Mutex::new(State {
                token,
                interest: interests,
                wait: Some(Wait::new()?),
                is_waiting: false,
                is_listed: false,
            }),
        });
        let owner = Arc::clone(&waiting) as Arc<dyn Owner>;
        waiting.selector.know_wait(waiting.number, owner);
        let ticket = Ticket(Some(Arc::clone(&waiting)));
        waiting.begin(&mut waiting.lock())?;
        self.ticket = ticket;
        Ok(())
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        Afd::check_interest(interests)?;
        let waiting = self.ticket.with(registry)?;
        let mut state = waiting.lock();
        waiting.begin(&mut state)?;
        state.token = token;
        state.interest = interests;
        Ok(())
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.ticket.with(registry)?;
        self.ticket = Ticket(None);
        Ok(())
    }
}

/// Prints the object.
impl<T: fmt::Debug> fmt::Debug for SourceHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// A registration, which ends when it is dropped.
#[derive(Debug)]
struct Ticket(Option<Arc<Waiting>>);

impl Ticket {
    fn with(&self, registry: &Registry) -> io::Result<&Arc<Waiting>> {
        match &self.0 {
            Some(waiting) if Arc::ptr_eq(&waiting.selector, &registry.hub().selector) => {
                Ok(waiting)
            }
            _ => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "source is not registered with this registry; use `register` first",
            )),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.take() {
            // First unknown, then cancelled: a packet that is on its way finds nobody.
            waiting.selector.forget_wait(waiting.number);
            waiting.lock().wait = None;
        }
    }
}

/// A registered handle.
#[derive(Debug)]
struct Waiting {
    selector: Arc<Afd>,
    /// What its packets carry.
    number: usize,
    /// The program's object, by a handle of our own: it is open as long as the kernel waits for it.
    object: OwnedHandle,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    token: Token,
    interest: Interest,
    /// None when the registration has ended.
    wait: Option<Wait>,
    /// A packet will come.
    is_waiting: bool,
    /// It is on the selector's list of those to be looked after.
    is_listed: bool,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while this is held")
    }

    fn begin(&self, state: &mut State) -> io::Result<()> {
        if let (Some(wait), false) = (&state.wait, state.is_waiting) {
            wait.begin(
                self.selector.port().as_handle(),
                self.object.as_handle(),
                self.number,
            )?;
            state.is_waiting = true;
        }
        Ok(())
    }
}

impl State {
    fn report(&mut self, readiness: Readiness) -> Report {
        if self.wait.is_none() || !self.interest.is_readable() {
            return Report::default();
        }
        let is_listed_anew = self.interest.is_level() && !self.is_listed;
        self.is_listed |= is_listed_anew;
        Report {
            event: Some(Event::new(self.token, readiness)),
            is_next: is_listed_anew,
            ..Report::default()
        }
    }
}

impl Owner for Waiting {
    fn land(self: Arc<Self>, _: Box<Operation>) -> Report {
        Report::default() // it begins no operations
    }

    fn signalled(self: Arc<Self>) -> Report {
        let mut state = self.lock();
        state.is_waiting = false;
        state.report(Readiness::READABLE)
    }

    fn look_after(self: Arc<Self>) -> Report {
        let mut state = self.lock();
        state.is_listed = false;
        if !state.interest.is_level() {
            return Report::default();
        }
        match self.begin(&mut state) {
            Ok(()) => Report::default(),
            Err(_) => state.report(Readiness::READABLE | Readiness::ERROR),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::process::{Child, Command};
    use std::time::Duration;

    use super::*;
    use crate::events::Events;
    use crate::poll::Poll;

    /// A process that ends by itself, or when its input is closed.
    fn child() -> Child {
        Command::new("cmd")
            .args(["/c", "exit 3"])
            .spawn()
            .expect("every Windows has a shell")
    }

    fn tokens(poll: &mut Poll, timeout: Duration) -> Vec<usize> {
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(timeout)).unwrap();
        events.iter().map(|event| event.token().0).collect()
    }

    #[test]
    fn a_process_that_ends_is_reported_or_unsupported() {
        let mut poll = Poll::new().unwrap();
        let mut source = match SourceHandle::new(child()) {
            Ok(source) => source,
            Err(error) => return assert_eq!(error.kind(), ErrorKind::Unsupported),
        };
        let soon = Duration::from_secs(20);
        let registry = poll.registry().try_clone().unwrap();
        registry
            .register(&mut source, Token(usize::MAX), Interest::READABLE)
            .unwrap();
        let twice = registry.register(&mut source, Token(1), Interest::READABLE);
        assert_eq!(twice.unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(tokens(&mut poll, soon), [usize::MAX]);
        assert_eq!(tokens(&mut poll, Duration::ZERO), []);
        source.rearm().unwrap();
        assert_eq!(tokens(&mut poll, soon), [usize::MAX]);
        registry
            .reregister(&mut source, Token(2), Interest::READABLE.level())
            .unwrap();
        for _ in 0..3 {
            assert_eq!(tokens(&mut poll, soon), [2]);
        }
        registry
            .reregister(&mut source, Token(3), Interest::READABLE.oneshot())
            .unwrap();
        assert_eq!(tokens(&mut poll, soon), [3]);
        source.rearm().unwrap();
        assert_eq!(tokens(&mut poll, Duration::ZERO), []);
        registry
            .reregister(&mut source, Token(4), Interest::READABLE)
            .unwrap();
        registry.deregister(&mut source).unwrap();
        assert_eq!(tokens(&mut poll, Duration::ZERO), []);
        assert_eq!(source.into_inner().wait().unwrap().code(), Some(3));
    }
}
