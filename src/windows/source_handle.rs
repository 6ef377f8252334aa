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
use crate::sys::selector::afd::{Afd, Operation, Owner, Port, Report, Wait};
use crate::token::Token;

/// An object that a thread could wait for, as a [source](crate::event::Source): a process, an
/// event, a timer, a semaphore, the input of a console. But not a mutex, which would be some
/// thread's.
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
/// no wait completion packets: before Windows 8, and on some versions of Wine. Also from
/// registering for writing only: waiting would have its effect, and nobody would be told. Otherwise
/// registering answers as [`Registry`] does, and as the system does for what cannot be waited for.
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
        let Some((_, waiting)) = &self.ticket.0 else {
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
        check_interest(interests)?;
        if self.ticket.0.is_some() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "source is already registered; use `reregister` to change it",
            ));
        }
        let selector = Arc::clone(&registry.hub().selector);
        let waiting = Arc::new(Waiting {
            number: selector.next_wait(),
            port: Arc::clone(selector.port()),
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
        selector.know_wait(waiting.number, owner);
        let ticket = Ticket(Some((selector, Arc::clone(&waiting))));
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
        check_interest(interests)?;
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

fn check_interest(interest: Interest) -> io::Result<()> {
    if interest.is_readable() {
        return Afd::check_interest(interest);
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "what a thread could wait for is never writable; register it for reading",
    ))
}

/// A registration, which ends when it is dropped.
#[derive(Debug)]
struct Ticket(Option<(Arc<Afd>, Arc<Waiting>)>);

impl Ticket {
    fn with(&self, registry: &Registry) -> io::Result<&Arc<Waiting>> {
        match &self.0 {
            Some((selector, waiting)) if Arc::ptr_eq(selector, &registry.hub().selector) => {
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
        if let Some((selector, waiting)) = self.0.take() {
            // First unknown, then cancelled: a packet that is on its way finds nobody.
            selector.forget_wait(waiting.number);
            waiting.lock().wait = None;
        }
    }
}

/// A registered handle. The selector knows it, so it must not keep the selector alive.
#[derive(Debug)]
struct Waiting {
    port: Arc<Port>,
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
            wait.begin(self.port.as_handle(), self.object.as_handle(), self.number)?;
            state.is_waiting = true;
        }
        Ok(())
    }
}

impl State {
    fn report(&mut self, readiness: Readiness) -> Report {
        if self.wait.is_none() {
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

// Over an emulation where the system has no wait completion packets.
#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::os::windows::io::{AsRawHandle, FromRawHandle};
    use std::process::Command;
    use std::ptr;
    use std::time::{Duration, Instant};

    use windows_sys::Win32::Foundation::WAIT_OBJECT_0;
    use windows_sys::Win32::System::Threading::{CreateEventW, SetEvent, WaitForSingleObject};

    use super::*;
    use crate::events::Events;
    use crate::poll::Poll;

    const SOON: Duration = Duration::from_secs(20);
    const QUIET: Duration = Duration::from_millis(20);

    /// An event that is reset by whoever waits for it.
    fn event() -> OwnedHandle {
        // SAFETY: takes no memory but names and attributes, of which there are none.
        let event = unsafe { CreateEventW(ptr::null(), 0, 0, ptr::null()) };
        // SAFETY: the call above made this handle, and nobody else has it.
        unsafe { OwnedHandle::from_raw_handle(event) }
    }

    fn signal(source: &SourceHandle<OwnedHandle>) {
        // SAFETY: takes no memory, and the handle is open.
        assert_ne!(unsafe { SetEvent(source.get().as_raw_handle()) }, 0);
    }

    /// Resets the event. True if it was signalled.
    fn take(source: &SourceHandle<OwnedHandle>) -> bool {
        // SAFETY: as above.
        unsafe { WaitForSingleObject(source.get().as_raw_handle(), 0) == WAIT_OBJECT_0 }
    }

    fn tokens(poll: &mut Poll, timeout: Duration) -> Vec<usize> {
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(timeout)).unwrap();
        events.iter().map(|event| event.token().0).collect()
    }

    #[test]
    fn a_process_that_ends_is_reported() {
        let mut poll = Poll::new().unwrap();
        let child = Command::new("cmd").args(["/c", "exit 3"]).spawn().unwrap();
        let mut source = SourceHandle::new(child).unwrap();
        let registry = poll.registry().try_clone().unwrap();
        registry
            .register(&mut source, Token(usize::MAX), Interest::READABLE)
            .unwrap();
        let twice = registry.register(&mut source, Token(1), Interest::READABLE);
        assert_eq!(twice.unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(tokens(&mut poll, SOON), [usize::MAX]);
        assert_eq!(tokens(&mut poll, QUIET), []);
        source.rearm().unwrap();
        assert_eq!(tokens(&mut poll, SOON), [usize::MAX]);
        registry
            .reregister(&mut source, Token(2), Interest::READABLE.level())
            .unwrap();
        for _ in 0..3 {
            assert_eq!(tokens(&mut poll, Duration::ZERO), [2]);
        }
        registry
            .reregister(&mut source, Token(3), Interest::READABLE.oneshot())
            .unwrap();
        assert_eq!(tokens(&mut poll, SOON), [3]);
        source.rearm().unwrap();
        assert_eq!(tokens(&mut poll, QUIET), []);
        registry
            .reregister(&mut source, Token(4), Interest::READABLE)
            .unwrap();
        registry.deregister(&mut source).unwrap();
        assert_eq!(tokens(&mut poll, QUIET), []);
        assert_eq!(source.into_inner().wait().unwrap().code(), Some(3));
    }

    #[test]
    fn an_event_is_reported_by_edges_once_for_each_rearm() {
        let mut poll = Poll::new().unwrap();
        let mut source = SourceHandle::new(event()).unwrap();
        poll.registry()
            .register(&mut source, Token(1), Interest::READABLE)
            .unwrap();
        assert_eq!(tokens(&mut poll, QUIET), []);
        for _ in 0..20 {
            signal(&source);
            assert_eq!(tokens(&mut poll, SOON), [1]);
            signal(&source);
            assert_eq!(tokens(&mut poll, QUIET / 10), []);
            source.rearm().unwrap();
            assert_eq!(tokens(&mut poll, SOON), [1]);
            source.rearm().unwrap();
        }
        assert!(!take(&source), "what was reported has reset it");
    }

    #[test]
    fn a_signal_during_a_poll_ends_it() {
        let mut poll = Poll::new().unwrap();
        let mut source = SourceHandle::new(event()).unwrap();
        poll.registry()
            .register(&mut source, Token(1), Interest::READABLE)
            .unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| signal(&source));
            assert_eq!(tokens(&mut poll, SOON), [1]);
        });
    }

    #[test]
    fn a_packet_in_the_port_is_nobodys_after_deregister() {
        let mut poll = Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let mut source = SourceHandle::new(event()).unwrap();
        for round in 0..50 {
            registry
                .register(&mut source, Token(round), Interest::READABLE)
                .unwrap();
            signal(&source);
            registry.deregister(&mut source).unwrap();
            if round % 2 == 0 {
                assert_eq!(tokens(&mut poll, Duration::ZERO), []);
            }
        }
        take(&source);
        registry
            .register(&mut source, Token(100), Interest::READABLE)
            .unwrap();
        assert_eq!(tokens(&mut poll, QUIET), []);
        registry
            .reregister(&mut source, Token(101), Interest::READABLE)
            .unwrap();
        signal(&source);
        assert_eq!(tokens(&mut poll, SOON), [101]);
    }

    /// Waiting would reset it, and nobody would be told.
    #[test]
    fn an_event_is_never_waited_for_in_vain() {
        let mut poll = Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let mut source = SourceHandle::new(event()).unwrap();
        signal(&source);
        let refused = registry.register(&mut source, Token(1), Interest::WRITABLE);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(tokens(&mut poll, QUIET), []);
        assert!(take(&source));
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut source, Token(1), both).unwrap();
        let refused = registry.reregister(&mut source, Token(2), Interest::WRITABLE);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
        signal(&source);
        assert_eq!(tokens(&mut poll, SOON), [1]);
    }

    /// The selector knows who waits, and who waits must not keep the selector.
    #[test]
    fn a_poller_ends_though_handles_are_to_be_looked_after() {
        for poll_goes_first in [true, false] {
            let mut poll = Poll::new().unwrap();
            let selector = Arc::downgrade(&poll.registry().hub().selector);
            let mut source = SourceHandle::new(event()).unwrap();
            poll.registry()
                .register(&mut source, Token(1), Interest::READABLE.level())
                .unwrap();
            signal(&source);
            assert_eq!(tokens(&mut poll, SOON), [1]);
            if poll_goes_first {
                drop(poll);
                drop(source);
            } else {
                drop(source);
                drop(poll);
            }
            assert!(selector.upgrade().is_none(), "{poll_goes_first}");
        }
    }

    #[test]
    fn events_come_and_go_while_another_thread_polls() {
        let mut poll = Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        std::thread::scope(|scope| {
            let signalling = scope.spawn(|| {
                for round in 0..500 {
                    let mut source = SourceHandle::new(event()).unwrap();
                    let interest = match round % 3 {
                        0 => Interest::READABLE,
                        1 => Interest::READABLE.level(),
                        _ => Interest::READABLE.oneshot(),
                    };
                    registry
                        .register(&mut source, Token(round), interest)
                        .unwrap();
                    signal(&source);
                    source.rearm().unwrap();
                }
            });
            let start = Instant::now();
            while !signalling.is_finished() {
                assert!(start.elapsed() < SOON);
                tokens(&mut poll, Duration::from_millis(1));
            }
        });
        assert_eq!(tokens(&mut poll, QUIET), []);
    }
}
