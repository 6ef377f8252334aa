//! Wakers: make a poller return from another thread, or from a signal handler.

use std::fmt;
use std::io;

use crate::registry::{Hub, Registry};
use crate::sys::selector::{Backend, Serving};
use crate::token::Token;
use crate::wake_state::Slot;

/// Wakes a [`Poll`](crate::Poll): the running `poll`, or else the next one, returns with a readable
/// event under the waker's token.
///
/// A `Poll` may have any number of wakers, each with a token of its own. Wakes *coalesce*: several
/// wakes of one waker, before the poller gets to them, make one event, and once that has been
/// delivered nothing remains. So a waker says "look", not "how often"; count elsewhere.
///
/// What a thread did before it woke the poller is visible to the poller when it sees the event.
///
/// A wake counts while its waker lives. Dropping the waker frees its place and takes back a wake
/// that has not been delivered yet; no `poll` that begins later reports its token. So a thread that
/// wakes the poller as its last act must not take the waker with it: keep the waker with the
/// `Poll`, and share it in an [`Arc`](std::sync::Arc). It may outlive its `Poll`, and then does
/// nothing.
///
/// # Costs
///
/// [`wake`](Waker::wake) makes a system call only if the poller is asleep and nobody has woken it
/// yet. If the poller is busy, or has been woken already, it costs a few nanoseconds. Once the
/// poller's descriptor has been obtained (so that another poller can watch it), every first wake
/// makes the call.
///
/// # Examples
///
/// ```
/// use litio::{Events, Poll, Token, Waker};
/// use std::sync::Arc;
/// use std::thread;
///
/// # fn main() -> std::io::Result<()> {
/// const QUEUE: Token = Token(10);
/// let mut poll = Poll::new()?;
/// let waker = Arc::new(Waker::new(poll.registry(), QUEUE)?);
///
/// let other = Arc::clone(&waker);
/// let thread = thread::spawn(move || other.wake());
///
/// let mut events = Events::with_capacity(4);
/// poll.poll(&mut events, None)?;
/// assert_eq!(events.iter().next().unwrap().token(), QUEUE);
/// thread.join().unwrap()?;
/// # Ok(())
/// # }
/// ```
///
/// # Platform notes
///
/// WASI and the Nintendo 3DS have nothing that interrupts a `poll`. Without threads that matters
/// little: a `poll` reports the wakes that came before it. With threads, a sleeping poller sees a
/// wake after at most 10 ms.
///
/// # System calls
///
/// At most one for each wake: write(2) to an eventfd(2) or a pipe(2), kevent(2) with `EVFILT_USER`,
/// port_send(3C) or `PostQueuedCompletionStatus`.
pub struct Waker {
    handle: WakeHandle<Serving>,
}

impl Waker {
    /// Makes a waker for the `Poll` of this registry.
    ///
    /// # Errors
    ///
    /// Those of making the object that interrupts a sleeping poller, which happens with the first
    /// waker: too many open descriptors, for example. A call that fails leaves nothing behind.
    pub fn new(registry: &Registry, token: Token) -> io::Result<Waker> {
        Ok(Waker {
            handle: WakeHandle::new(registry.hub(), token)?,
        })
    }

    /// Wakes the poller.
    ///
    /// Takes no lock and allocates nothing: it may be called in a signal handler, and it leaves
    /// `errno` as it was unless it fails. (Where a pipe interrupts the poller, on NetBSD before 10,
    /// OpenBSD and Unixes with poll(2) and no eventfd, a wake that finds the pipe full, after
    /// thousands that the poller has not seen, does change `errno`.)
    ///
    /// # Errors
    ///
    /// Those of the system call, if one was needed. The wake is remembered all the same, and the
    /// next one tries the call again.
    #[inline]
    pub fn wake(&self) -> io::Result<()> {
        self.handle.wake()
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waker").finish_non_exhaustive()
    }
}

/// [`Waker`] on any backend.
#[derive(Debug)]
pub(crate) struct WakeHandle<B: Backend> {
    hub: Hub<B>,
    slot: Slot,
}

impl<B: Backend> WakeHandle<B> {
    pub(crate) fn new(hub: &Hub<B>, token: Token) -> io::Result<WakeHandle<B>> {
        hub.selector.prepare_knocks()?;
        Ok(WakeHandle {
            slot: hub.wakes.add(token),
            hub: hub.clone(),
        })
    }

    #[inline]
    pub(crate) fn wake(&self) -> io::Result<()> {
        if self.hub.wakes.wake(&self.slot) {
            self.hub.knock()
        } else {
            Ok(())
        }
    }
}

impl<B: Backend> Drop for WakeHandle<B> {
    fn drop(&mut self) {
        self.hub.wakes.remove(&self.slot);
    }
}
