//! Polling: one `select` of the system with wakes, timeouts and a spin budget around it.

mod observed;

use std::fmt;
use std::hint;
use std::io;
use std::time::{Duration, Instant};

use crate::busy_poll::BusyPoll;
use crate::checker::Checker;
use crate::events::Events;
use crate::registry::{Hub, Registry};
use crate::sys::selector::{Backend, Knocked, Serving};

/// Waits for events of all the [sources](crate::event::Source) registered with it.
///
/// One thread polls at a time; meanwhile any thread may register through a [`Registry`] or wake
/// through a [`Waker`](crate::Waker), with immediate effect.
///
/// Dropping the `Poll` leaves its sources open and usable; nothing reports them any more. They stay
/// registered: to register one with another `Poll`, deregister it first, if need be with a clone of
/// the [`Registry`] that outlived the `Poll`. The event queue closes when its registries and wakers
/// (and, except on epoll and kqueue, its sources) are gone as well.
///
/// # Examples
///
/// ```
/// use litio::net::UdpSocket;
/// use litio::{Events, Interest, Poll, Token};
/// use std::io;
///
/// # fn main() -> io::Result<()> {
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(128);
///
/// let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
/// poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
/// socket.send_to(b"to myself", socket.local_addr()?)?;
///
/// poll.poll(&mut events, None)?;
/// for event in &events {
///     assert_eq!(event.token(), Token(0));
///     let mut buffer = [0; 64];
///     // Until there is no more: the next event is promised only then.
///     loop {
///         match socket.recv_from(&mut buffer) {
///             Ok((length, _)) => assert_eq!(&buffer[..length], b"to myself"),
///             Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
///             Err(error) => return Err(error),
///         }
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # System calls
///
/// epoll_create1(2), kqueue(2), port_create(3C), `CreateIoCompletionPort`; none for poll(2) but the
/// pipe or eventfd that interrupts it.
pub struct Poll {
    reactor: Reactor<Serving>,
    registry: Registry,
}

impl Poll {
    /// Makes an event queue. Its descriptor, where there is one, is close-on-exec.
    ///
    /// # Errors
    ///
    /// The system's, most likely that too many descriptors are open.
    pub fn new() -> io::Result<Poll> {
        let hub = Hub::new()?;
        Ok(Poll {
            registry: Registry::new(hub.clone()),
            reactor: Reactor::new(hub),
        })
    }

    /// Where sources are registered.
    #[inline]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Waits until a registered source is ready, [`Waker::wake`](crate::Waker::wake) is called, or
    /// `timeout` has passed.
    ///
    /// Replaces the contents of `events`. At most [`Events::capacity`] events are reported; others
    /// follow with the next call. `None` waits for ever; `Some(Duration::ZERO)` asks and returns at
    /// once. When the timeout has passed, the answer is `Ok` and `events` is empty.
    ///
    /// Events may be spurious: try the operation and expect
    /// [`WouldBlock`](io::ErrorKind::WouldBlock). And a `poll` that began when there was no waker
    /// may, rarely, return early without events: if one was made, woken and dropped meanwhile.
    ///
    /// # Errors
    ///
    /// [`Interrupted`](io::ErrorKind::Interrupted) if a signal arrived; call again.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the capacity of `events` is 0. Otherwise
    /// the error of the system call. After an error, `events` is empty: an error is returned only
    /// when there is no event to report.
    ///
    /// # Platform notes
    ///
    /// The timeout is never rounded down. It is kept to the nanosecond (that is, to the accuracy of
    /// the system's timers) on Linux since 5.11, kqueue and event ports; rounded up to a
    /// millisecond on older Linux, Android, poll(2) and Windows. Any `Duration` is fine,
    /// `Duration::MAX` too.
    ///
    /// It sleeps even if no source is registered.
    ///
    /// # System calls
    ///
    /// epoll_wait(2), or epoll_pwait2(2) for a timeout that is not whole milliseconds; kevent(2),
    /// port_getn(3C), poll(2), `GetQueuedCompletionStatusEx`. One per call, as a rule.
    #[inline]
    pub fn poll(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        self.reactor.poll(events, timeout)
    }

    /// Waits as [`poll`](Poll::poll) does, until `deadline`. If that has passed, it asks and
    /// returns at once.
    ///
    /// A loop that calls again after [`Interrupted`](io::ErrorKind::Interrupted), or after events
    /// that did not concern it, need not work out how much time is left. `Ok` and no events always
    /// means that the deadline has come.
    ///
    /// # Errors
    ///
    /// Those of [`poll`](Poll::poll).
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::{Events, Poll};
    /// use std::time::{Duration, Instant};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut poll = Poll::new()?;
    /// let mut events = Events::with_capacity(8);
    /// let deadline = Instant::now() + Duration::from_millis(2);
    /// poll.poll_until(&mut events, deadline)?;
    /// assert!(Instant::now() >= deadline);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_until(&mut self, events: &mut Events, deadline: Instant) -> io::Result<()> {
        let mut now = Instant::now();
        loop {
            self.poll(events, Some(deadline.saturating_duration_since(now)))?;
            if !events.is_empty() {
                return Ok(());
            }
            now = Instant::now();
            if now >= deadline {
                return Ok(());
            }
        }
    }

    /// Sets how long `poll` asks again and again before it sleeps; with zero, the default, it
    /// sleeps at once.
    ///
    /// Falling asleep and being woken by the scheduler costs some 10 to 50 µs. A budget of that
    /// order spends processor time to avoid it: that pays where events follow each other closely
    /// and a processor can be spared, and only there. The budget counts against the timeout. While
    /// the poller spins, wakes make no system call.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let mut poll = litio::Poll::new()?;
    /// poll.set_spin(std::time::Duration::from_micros(50));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_spin(&mut self, budget: Duration) {
        self.reactor.set_spin(budget);
    }

    /// Sets whether `poll` asks the network card for packets before it sleeps.
    ///
    /// It works for the sockets of one queue of a card (`SO_INCOMING_NAPI_ID` tells which one), so
    /// a program needs a `Poll` for each queue. Nothing is gained on the loopback device, which has
    /// no queue. [`set_spin`](Poll::set_spin) avoids the way through the scheduler; this avoids the
    /// interrupt too.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) on all systems but Linux since 6.9.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the time is too long,
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) for more packets than a program
    /// without privileges may ask for. A call that fails leaves the setting as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::{BusyPoll, Poll};
    /// use std::io::ErrorKind;
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let poll = Poll::new()?;
    /// let busy = BusyPoll {
    ///     time: Duration::from_micros(50),
    ///     packets: 8,
    ///     is_preferred: true,
    /// };
    /// match poll.set_busy_poll(busy) {
    ///     Err(error) if error.kind() == ErrorKind::Unsupported => {} // as fast as before
    ///     result => result?,
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # System calls
    ///
    /// ioctl(2) with `EPIOCSPARAMS`; see ioctl_eventpoll(2).
    pub fn set_busy_poll(&self, busy: BusyPoll) -> io::Result<()> {
        self.reactor.hub.selector.set_busy_poll(busy)
    }

    /// Has the program checked for the classic mistakes of polling: edges that are not drained,
    /// loops that spin, events of sources that are gone, registrations that are made twice. See
    /// [`Checker`].
    ///
    /// Returns true if it is checked now, and false in release builds, which check nothing. A
    /// source registered before this call is checked from its next `reregister` on; an earlier
    /// checker is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::diagnostics::Checker;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut poll = litio::Poll::new()?;
    /// if !poll.set_checker(Checker::new(|finding| panic!("{finding}"))) {
    ///     eprintln!("a release build: not checked");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_checker(&mut self, checker: Checker) -> bool {
        self.reactor.hub.set_checker(checker)
    }
}

impl fmt::Debug for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poll").finish_non_exhaustive()
    }
}

/// [`Poll`] on any backend.
#[derive(Debug)]
pub(crate) struct Reactor<B: Backend> {
    pub(crate) hub: Hub<B>,
    buffer: B::Buffer,
    /// How long to ask before sleeping; zero for not at all.
    spin_nanos: u64,
    /// With room for one event, wakes and I/O take turns: whose turn it is.
    is_turn_of_wakes: bool,
}

impl<B: Backend> Drop for Reactor<B> {
    fn drop(&mut self) {
        self.hub.watcher.end();
    }
}

impl<B: Backend> Reactor<B> {
    pub(crate) fn new(hub: Hub<B>) -> Reactor<B> {
        Reactor {
            hub,
            buffer: B::Buffer::default(),
            spin_nanos: 0,
            is_turn_of_wakes: false,
        }
    }

    pub(crate) fn set_spin(&mut self, budget: Duration) {
        self.spin_nanos = budget.as_nanos().try_into().unwrap_or(u64::MAX);
    }

    /// The common cases are inlined down to the system call and have few branches: behind one, a
    /// processor predicts neither branches nor returns, and each would cost as much as the rest of
    /// the work here.
    #[inline(always)]
    pub(crate) fn poll(
        &mut self,
        events: &mut Events,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        events.clear();
        let wakes = &self.hub.wakes;
        let approach = wakes.approach();
        if approach.obstacles() as u64 | self.spin_nanos != 0 || events.capacity() == 0 {
            return self.poll_in_rounds(events, timeout);
        }
        // A sleep is announced, if there is one and there may be somebody to end it.
        let is_announced = approach.is_attended() && timeout != Some(Duration::ZERO);
        // One with a timeout takes the long way to read the clock: a wake that was delivered before
        // its knock came will have it roused for nothing.
        if is_announced && (timeout.is_some() || !wakes.announce_sleep_at(approach)) {
            return self.poll_in_rounds(events, timeout);
        }
        let room = events.room(usize::MAX);
        match self.hub.selector.select(&mut self.buffer, room, timeout) {
            // Who has woken an unannounced sleep has knocked as well.
            Ok(Knocked::No) if !is_announced || wakes.end_sleep_if_unwoken() => Ok(()),
            result => self.after_select(events, timeout, result),
        }
    }

    /// A poll that may take several rounds, each of them one `select`.
    fn poll_in_rounds(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        if self.hub.wakes.is_observed() {
            return self.poll_observed(events, timeout);
        }
        self.poll_unobserved(events, timeout)
    }

    fn poll_unobserved(
        &mut self,
        events: &mut Events,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        if events.capacity() == 0 {
            return Err(no_capacity());
        }
        if self.spin_nanos > 0 {
            return self.spin(events, timeout);
        }
        let mut time = TimeLeft::new(timeout);
        match self.round(events, &mut time) {
            Ok(Outcome::Done) => Ok(()),
            outcome => self.go_on(events, time, outcome),
        }
    }

    /// The `select` of a common case has failed or was knocked, or there are wakes to deliver. The
    /// clock was not read: the sleep had no timeout, or there was nobody to end it when it began.
    fn after_select(
        &mut self,
        events: &mut Events,
        timeout: Option<Duration>,
        result: io::Result<Knocked>,
    ) -> io::Result<()> {
        let outcome = self.conclude(events, timeout != Some(Duration::ZERO), result);
        self.go_on(events, TimeLeft::new(timeout), outcome)
    }

    /// Goes on after a round that was roused for nothing, as long as there is time.
    #[cold]
    fn go_on(
        &mut self,
        events: &mut Events,
        mut time: TimeLeft,
        mut outcome: io::Result<Outcome>,
    ) -> io::Result<()> {
        loop {
            if matches!(outcome, Ok(Outcome::KeptAwake)) {
                time.begins_now();
            }
            match outcome {
                Ok(Outcome::Roused | Outcome::KeptAwake) if time.goes_on() => {}
                // What is delivered beats an error, which the next call will meet again.
                Err(error) if events.is_empty() => return Err(error),
                _ => return Ok(()),
            }
            outcome = self.another_round(events, &mut time);
        }
    }

    /// Asks without sleeping until there is something or the budget is spent, and sleeps then.
    #[cold]
    fn spin(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let start = Instant::now();
        let time = TimeLeft {
            left: timeout,
            since: Some(start),
        };
        let spin = Duration::from_nanos(self.spin_nanos);
        let budget = time.left.map_or(spin, |left| left.min(spin));
        loop {
            // Else the first waker of all would take the poller for asleep, and knock.
            if self.hub.wakes.approach().is_attended() {
                self.hub.wakes.end_sleep_if_unwoken();
            }
            let mut none = TimeLeft::new(Some(Duration::ZERO));
            let outcome = self.another_round(events, &mut none);
            if outcome.is_err() || !events.is_empty() {
                return self.go_on(events, time, outcome);
            }
            if start.elapsed() >= budget {
                return self.go_on(events, time, Ok(Outcome::Roused));
            }
            hint::spin_loop();
        }
    }

    /// One `select` and what was woken meanwhile. Sleeps no longer than there is time, and not at
    /// all if a wake is pending.
    #[inline(always)]
    fn round(&mut self, events: &mut Events, time: &mut TimeLeft) -> io::Result<Outcome> {
        let is_blocking = time.left != Some(Duration::ZERO);
        let sleeps = is_blocking && self.hub.wakes.announce_sleep();
        let (places, timeout) = if sleeps {
            time.begins_now();
            (usize::MAX, time.left)
        } else {
            (self.places_for_io(events.capacity()), Some(Duration::ZERO))
        };
        let result = match places {
            0 => Ok(Knocked::No),
            _ => self
                .hub
                .selector
                .select(&mut self.buffer, events.room(places), timeout),
        };
        let outcome = self.conclude(events, sleeps, result)?;
        if is_blocking & !sleeps & events.is_empty() {
            return Ok(Outcome::KeptAwake);
        }
        Ok(outcome)
    }

    /// For callers that are rare, and should not have a copy of all that is inlined into a round.
    #[inline(never)]
    fn another_round(&mut self, events: &mut Events, time: &mut TimeLeft) -> io::Result<Outcome> {
        self.round(events, time)
    }

    /// Delivers what was woken during a `select`, and judges how it ended.
    #[inline]
    fn conclude(
        &mut self,
        events: &mut Events,
        slept: bool,
        result: io::Result<Knocked>,
    ) -> io::Result<Outcome> {
        let wakes = &self.hub.wakes;
        if wakes.must_take(slept) && wakes.take(&mut events.room(usize::MAX)) {
            // Remembered for the next wake if it fails; the events must not be lost for it.
            let _ = self.hub.knock();
        }
        match result? {
            // The wake behind the knock was delivered before, or its waker is gone.
            Knocked::Yes if events.is_empty() => Ok(self.roused()),
            _ => Ok(Outcome::Done),
        }
    }

    /// How many events a `select` that does not sleep may report, so that there is room for the
    /// wakes that are pending. At least one; if there is room for one only, wakes and I/O take
    /// turns.
    #[inline]
    fn places_for_io(&mut self, capacity: usize) -> usize {
        match self.hub.wakes.pending() {
            0 => capacity,
            _ if capacity == 1 => {
                self.is_turn_of_wakes = !self.is_turn_of_wakes;
                usize::from(!self.is_turn_of_wakes)
            }
            pending => capacity.saturating_sub(pending).max(1),
        }
    }
}

/// How a round has ended.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// With events, or the time is up.
    Done,
    /// By a knock that left nothing to deliver: go on waiting if there is time.
    Roused,
    /// At once, because of a wake that is gone with its waker: no time has passed.
    KeptAwake,
}

/// What is left of a `poll`'s timeout.
struct TimeLeft {
    left: Option<Duration>,
    /// When `left` was right. The clock, which costs a fifth of an empty poll, is read only where
    /// it may be needed.
    since: Option<Instant>,
}

impl TimeLeft {
    #[inline]
    fn new(timeout: Option<Duration>) -> TimeLeft {
        TimeLeft {
            left: timeout,
            since: None,
        }
    }

    /// Reads the clock, if there is an end and it was not read, when nothing of the time has
    /// passed.
    #[inline]
    fn begins_now(&mut self) {
        if self.left.is_some() && self.since.is_none() {
            self.since = Some(Instant::now());
        }
    }

    /// Counts the time that has passed; false if none is left, or if that is unknown, so that a
    /// timeout is never restarted.
    fn goes_on(&mut self) -> bool {
        let (Some(left), Some(since)) = (self.left, self.since) else {
            return self.left.is_none();
        };
        let now = Instant::now();
        self.since = Some(now);
        self.left = Some(left.saturating_sub(now - since));
        self.left != Some(Duration::ZERO)
    }
}

#[cold]
fn no_capacity() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "there is no room for events; make them with `Events::with_capacity(n)`, n at least 1",
    )
}
