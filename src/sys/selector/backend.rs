//! The contract of a backend: one trait, the same words for every operating system.

use std::fmt::Debug;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::Registration;
use crate::busy_poll::BusyPoll;
use crate::events::Room;
use crate::interest::Interest;
use crate::sys::handle::RawSource;
use crate::token::Token;

/// An operating system's event queue, edge-triggered unless asked otherwise.
///
/// # The guarantee
///
/// Each clause is tested on every backend by the conformance suite.
///
/// 1. After `register` or `reregister`, an event is reported if the source is ready or becomes so.
/// 2. After an event the same readiness may stay unreported until an operation on the source
///    returned `WouldBlock` and `rearm` was told. Spurious events are allowed, lost ones never.
/// 3. `select` puts at most as many events into `room` as it holds, and takes no more from the
///    system: edges cannot be put back. What is left comes with the next call.
/// 4. Once `deregister` has returned, no `select` that begins later reports the token. Once
///    `reregister` has returned, none reports the old one.
/// 5. `rearm` concerns the directions that blocked, and no others. It costs no system call where
///    they are armed already.
/// 6. Internal wake-ups (the set changed, housekeeping) never end a `select` and never restart its
///    timeout.
/// 7. A level-triggered source that is ready is reported by every `select`; a one-shot source once,
///    whatever the direction, and then not before `reregister`.
/// 8. A `select` with a timeout never returns early without an event, a knock or an error; it may
///    be late by the system's resolution.
/// 9. Several sources may share a token; each has its own events.
/// 10. `register`, `reregister`, `deregister`, `rearm` and `knock` may be called by any thread at
///     any time, during a `select`
///     too, and take effect for the running one. `select` is called by one thread at a time.
///
/// # Errors
///
/// `AlreadyExists` (registered twice), `NotFound` (never registered), `InvalidInput`, `Unsupported`
/// (a direction that the system cannot detect), `Interrupted`; else as the system gave them, code
/// and all. A `register` that fails leaves no trace; a failed `reregister` leaves the registration
/// as it was.
pub(crate) trait Backend: Sized + Send + Sync + Debug + 'static {
    /// The system's raw answers, owned by the poller and used again for each `select`.
    type Buffer: Default + Send + Sync + Debug;
    /// What a source keeps: [`Untracked`](super::Untracked) or [`Tracked`](super::Tracked).
    type Registration: Registration<Self>;
    /// The directions that this system can detect.
    const DETECTS: Interest;

    fn new() -> io::Result<Self>;

    /// A number that no other selector of this process has or had.
    #[allow(dead_code)] // only untracked registrations ask, in debug builds
    fn id(&self) -> SelectorId;

    /// Waits until there are events, a knock, an error or `timeout` (`None`: for ever; zero: not at
    /// all).
    fn select(
        &self,
        buffer: &mut Self::Buffer,
        room: Room<'_>,
        timeout: Option<Duration>,
    ) -> io::Result<Knocked>;

    fn register(&self, source: RawSource, token: Token, interest: Interest) -> io::Result<()>;

    /// Replaces token and interest, and arms every direction anew: what is ready is reported again.
    fn reregister(&self, source: RawSource, token: Token, interest: Interest) -> io::Result<()>;

    fn deregister(&self, source: RawSource) -> io::Result<()>;

    /// An operation on the source would have blocked in these directions: their readiness is news
    /// again. Nothing happens if the source is not registered or not armed by edges. What has to be
    /// done may be left to the next `select`, in which an error is an event of the source.
    fn rearm(&self, source: RawSource, blocked: Interest) -> io::Result<()>;

    /// Makes what `knock` needs; called before the first knock, and again for each waker.
    fn prepare_knocks(&self) -> io::Result<()> {
        Ok(())
    }

    /// Makes the running `select`, or else the next one, return. Safe in a signal handler: no lock,
    /// no allocation.
    fn knock(&self) -> io::Result<()>;

    /// See [`Poll::set_busy_poll`](crate::Poll::set_busy_poll).
    fn set_busy_poll(&self, _: BusyPoll) -> io::Result<()> {
        Err(cannot_poll_cards())
    }

    /// What the system itself says is registered, where it can be asked. For the checker, which
    /// looks for what should not be.
    fn listed(&self) -> Vec<(RawSource, Token)> {
        Vec::new()
    }

    /// Refuses directions that [`DETECTS`](Backend::DETECTS) does not name, before anything has
    /// been done.
    fn check_interest(interest: Interest) -> io::Result<()> {
        if interest.is_within(Self::DETECTS) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this system cannot detect AIO, LIO or PRIORITY; register without it",
        ))
    }
}

pub(super) fn cannot_poll_cards() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "this system cannot poll network cards for one event queue; Linux can since 6.9",
    )
}

/// Whether a `select` found that somebody had knocked.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Knocked {
    Yes,
    No,
}

impl Knocked {
    /// Yes if either was.
    #[allow(dead_code)] // of those backends that ask the system several times in one `select`
    pub(crate) fn or(self, other: Knocked) -> Knocked {
        match self {
            Knocked::Yes => Knocked::Yes,
            Knocked::No => other,
        }
    }
}

/// Tells selectors apart, also from those that are gone.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct SelectorId(NonZeroUsize);

impl SelectorId {
    pub(crate) fn unique() -> SelectorId {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        SelectorId(NonZeroUsize::new(id).expect("more selectors than a usize can count"))
    }
}
