//! Event ports: Solaris and illumos.
//!
//! A descriptor is *associated* with a port for some directions. When it is ready in one of them,
//! at once or later, one event is queued, and when that is taken (`port_getn`), the association is
//! gone. So the system is one-shot by nature. An edge is made of it by associating again only the
//! directions that were not reported, and the others when an operation on the source would have
//! blocked (`rearm`): see [`Table`].
//!
//! # Who associates when
//!
//! Registering and `rearm` associate at once, under the lock, and the running `port_getn` sees
//! that: nobody has to be roused. What events have used up is associated again by the next
//! `select`, and not before: most programs read until they are told to wait, and that has
//! associated it already, with one call for both. Only when the port's descriptor was handed out
//! does `select` do it before it returns, so that a poller around this one sees what is ready.
//!
//! # Whose event it is
//!
//! An event carries the descriptor and a *number*, which each association has of its own. It may
//! have been taken from the queue while another thread deregistered the descriptor, closed it, and
//! registered what got the same number from the system; or changed the registration. An event whose
//! number is not that of the entry's association is dropped: the present association will bring
//! what is ready now. Tokens never go through the system.
//!
//! # Knocks
//!
//! `port_send` queues an event of the kind `PORT_SOURCE_USER`, which a program can do to our port
//! as well; ours carries [`KNOCK`] twice. A port has room for so many events and associations
//! (`process.max-port-events`, 65,536 if nobody changed it) and refuses a knock when it is full. A
//! port can then still be put on *alert*, which makes every `port_getn` return at once until it is
//! taken off it.
//!
//! # Beware
//!
//! * `port_getn` can fail with `ETIME` although it took events from the queue, and with `EINTR`
//!   without saying how many. So the list itself is asked: no event has the source 0, and every
//!   entry has before the call.
//! * POLLERR and POLLHUP come unasked, at once if they hold. When they were reported, the
//!   descriptor is not associated again: [`Paces`] looks after it.
//! * A descriptor that is closed loses its association without a word. Its entry is dropped when it
//!   is associated next; until then a `register` of that number answers `AlreadyExists`.
//!
//! Source: port_create(3C), port_associate(3C), port_get(3C), port_send(3C), port_alert(3C),
//! <https://illumos.org/man/3C/port_associate>

use std::ffi::c_void;
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::pace::Paces;
use super::pollfd::{Bits, DETECTS};
use super::table::{NOWHERE, Table};
use super::timeout::Rounds;
use super::{Backend, Knocked, SelectorId, Tracked};
use crate::events::{Event, Room};
use crate::interest::Interest;
use crate::readiness::Readiness;
use crate::sys::{check, close_on_exec};
use crate::token::Token;

#[cfg(all(any(test, fuzzing), target_os = "linux"))]
#[cfg_attr(fuzzing, allow(dead_code))] // the tests' own
mod emulation;
mod os;

/// What a knock carries, as its events and as its cookie.
const KNOCK: i32 = 0x6b6e_6f63; // "knoc"

/// A port, and what is registered with it.
#[derive(Debug)]
pub(crate) struct EventPorts {
    port: OwnedFd,
    id: SelectorId,
    state: Mutex<State>,
    /// A poller around this one may watch the port.
    is_handed_out: AtomicBool,
}

/// What the lock keeps.
#[derive(Debug, Default)]
struct State {
    table: Table,
    /// The number of the last association.
    last: u32,
}

/// What the system has reported, and what is looked after.
#[derive(Default)]
pub(crate) struct Buffer {
    /// Each entry has the source [`NOBODY`] between calls.
    list: Vec<os::port_event>,
    paces: Paces,
}

/// No event's source.
const NOBODY: u16 = 0;

// SAFETY: the pointers are cookies; nobody follows them.
unsafe impl Send for Buffer {}
// SAFETY: as above; and nothing can be done with a shared buffer but to print its length.
unsafe impl Sync for Buffer {}

impl Backend for EventPorts {
    type Buffer = Buffer;
    type Registration = Tracked<EventPorts>;
    const DETECTS: Interest = DETECTS;

    fn new() -> io::Result<EventPorts> {
        // SAFETY: takes no memory.
        let fd = check(unsafe { os::port_create() })?;
        // SAFETY: the call above made this descriptor, and nobody else has it.
        let port = unsafe { OwnedFd::from_raw_fd(fd) };
        close_on_exec(&port)?;
        Ok(EventPorts {
            port,
            id: SelectorId::unique(),
            state: Mutex::default(),
            is_handed_out: AtomicBool::new(false),
        })
    }

    fn id(&self) -> SelectorId {
        self.id
    }

    fn select(
        &self,
        buffer: &mut Buffer,
        mut room: Room<'_>,
        timeout: Option<Duration>,
    ) -> io::Result<Knocked> {
        let places = room.left();
        let mut rounds = Rounds::within(timeout);
        loop {
            let mut state = self.state();
            let mut followed = self.follow_changes(&mut state);
            let mut sleep = rounds.left();
            if !buffer.paces.is_idle(&state.table) {
                sleep = buffer.paces.probe(&mut state.table, &mut room, sleep)?;
                followed = self.follow_changes(&mut state);
                if room.left() == 0 {
                    return Ok(Knocked::No); // a knock shows in the next `select`
                }
            }
            drop(state);
            // What could not be associated may be ready, and nobody would say so.
            if room.left() < places || followed.is_err() {
                sleep = Some(Duration::ZERO);
            }

            let knocked = match buffer.wait(self.port.as_fd(), room.left(), sleep)? {
                0 => Knocked::No,
                count => self.report(buffer, count, &mut room)?,
            };
            if knocked == Knocked::No && room.left() == places {
                followed?;
            }
            if knocked == Knocked::Yes || room.left() < places || rounds.are_over() {
                return Ok(knocked);
            }
        }
    }

    fn register(&self, source: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        Self::check_interest(interest)?;
        let mut state = self.state();
        state.table.register(source, token, interest)?;
        self.follow(&mut state, source)
            .inspect_err(|_| state.table.entry(source).clear())
    }

    fn reregister(&self, source: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        Self::check_interest(interest)?;
        let mut state = self.state();
        let before = state.table.registered(source).map(|entry| *entry);
        state.table.reregister(source, token, interest)?;
        self.follow(&mut state, source).inspect_err(|_| {
            let before = before.expect("or it could not be changed");
            state.table.entry(source).restore(before);
            // For the next `select`: what there was of an association is lost.
            state.table.note_change(source);
        })
    }

    fn deregister(&self, source: RawFd) -> io::Result<()> {
        let mut state = self.state();
        state.table.deregister(source)?;
        self.follow(&mut state, source)
    }

    fn rearm(&self, source: RawFd, blocked: Interest) -> io::Result<()> {
        let mut state = self.state();
        if state.table.registered(source).is_none() {
            return Ok(());
        }
        state.table.rearm(source, blocked);
        self.follow(&mut state, source).inspect_err(|_| {
            // The next `select` tries again.
            state.table.note_change(source);
        })
    }

    fn knock(&self) -> io::Result<()> {
        let (port, user) = (self.port.as_raw_fd(), KNOCK as usize as *mut c_void);
        // SAFETY: port_send takes no memory; `user` is a number to it.
        match check(unsafe { os::port_send(port, KNOCK, user) }) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // SAFETY: port_alert takes no memory; `user` is a number to it.
                check(unsafe { os::port_alert(port, os::PORT_ALERT_SET, KNOCK, user) })?;
                Ok(())
            }
            result => result.map(|_| ()),
        }
    }
}

impl EventPorts {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while this is held")
    }

    /// Has the system follow an entry: associates the descriptor with what is to be asked for, or
    /// ends its association.
    fn follow(&self, state: &mut State, fd: RawFd) -> io::Result<()> {
        let port = self.port.as_raw_fd();
        let entry = state.table.entry(fd);
        entry.is_fresh = false;
        if entry.watched() == entry.listed() {
            return Ok(());
        }
        let Some(bits) = entry.watched() else {
            entry.place = NOWHERE;
            // SAFETY: port_dissociate takes no memory.
            return match check(unsafe {
                os::port_dissociate(port, os::PORT_SOURCE_FD, fd as usize)
            }) {
                Err(error) if !is_gone(&error) => Err(error),
                _ => Ok(()),
            };
        };
        state.last = match state.last.wrapping_add(1) {
            NOWHERE => 0,
            number => number,
        };
        // SAFETY: port_associate takes no memory; the number is a cookie to it.
        let associated = check(unsafe {
            os::port_associate(
                port,
                os::PORT_SOURCE_FD,
                fd as usize,
                bits.into(),
                state.last as usize as *mut c_void,
            )
        });
        if let Err(error) = associated {
            entry.place = NOWHERE; // also of the association that there was
            return Err(match error.raw_os_error() {
                // What every other system says.
                Some(libc::EBADFD) => io::Error::from_raw_os_error(libc::EBADF),
                _ => error,
            });
        }
        entry.place = state.last;
        entry.listed = bits;
        Ok(())
    }

    /// Has the system follow all entries that events and probes have changed. Those with which it
    /// failed are tried again the next time.
    fn follow_changes(&self, state: &mut State) -> io::Result<()> {
        let mut result = Ok(());
        let mut changed = mem::take(&mut state.table.changed);
        changed.retain(|fd| {
            let followed = self.follow(state, *fd);
            let entry = state.table.entry(*fd);
            entry.is_changed = false;
            match followed {
                Ok(()) => {}
                // Closed while it was registered.
                Err(error) if error.raw_os_error() == Some(libc::EBADF) => {
                    entry.clear();
                    entry.place = NOWHERE;
                }
                Err(error) => {
                    entry.is_changed = true;
                    result = Err(error);
                }
            }
            entry.is_changed
        });
        state.table.changed = changed;
        result
    }

    /// Makes events of the first `count` entries, as far as they are still wanted.
    fn report(
        &self,
        buffer: &mut Buffer,
        count: usize,
        room: &mut Room<'_>,
    ) -> io::Result<Knocked> {
        let mut knocked = Knocked::No;
        let mut is_on_alert = false;
        let mut state = self.state();
        for raw in &mut buffer.list[..count] {
            let source = i32::from(raw.portev_source);
            raw.portev_source = NOBODY;
            let user = raw.portev_user as usize;
            let is_knock = raw.portev_events == KNOCK && user == KNOCK as usize;
            match source {
                os::PORT_SOURCE_FD => {
                    let fd = raw.portev_object as RawFd;
                    let table = &mut state.table;
                    let is_ours = |place| place != NOWHERE && place as usize == user;
                    match table.registered(fd) {
                        Some(entry) if is_ours(entry.place) => entry.place = NOWHERE,
                        _ => continue,
                    }
                    table.report(fd, raw.portev_events as Bits, room);
                    table.note_change(fd);
                }
                os::PORT_SOURCE_USER if is_knock => knocked = Knocked::Yes,
                os::PORT_SOURCE_ALERT if is_knock => is_on_alert = true,
                _ => room.push(Event::with_details(
                    Token(user),
                    readiness(source),
                    raw.portev_events as u32 as u64,
                )),
            }
        }
        if is_on_alert {
            let port = self.port.as_raw_fd();
            // SAFETY: port_alert takes no memory.
            check(unsafe { os::port_alert(port, os::PORT_ALERT_SET, 0, ptr::null_mut()) })?;
            knocked = Knocked::Yes;
        }
        // Under the lock: either this sees that the port was handed out, or who hands it out sees
        // the changes.
        if self.is_handed_out.load(Ordering::Relaxed) {
            // What fails here is tried again by the next `select`, and must not hide a knock.
            let _ = self.follow_changes(&mut state);
        }
        Ok(knocked)
    }

    /// From now on the port shows everything that is ready whenever no `select` runs.
    fn hand_out(&self) {
        if !self.is_handed_out.swap(true, Ordering::Relaxed) {
            // What fails here is tried again by the next `select`.
            let _ = self.follow_changes(&mut self.state());
        }
    }
}

impl AsRawFd for EventPorts {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl AsFd for EventPorts {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.hand_out();
        self.port.as_fd()
    }
}

impl Buffer {
    /// Waits at most `sleep` for an event, and takes at most `room`. Returns how many came.
    fn wait(
        &mut self,
        port: BorrowedFd<'_>,
        room: usize,
        sleep: Option<Duration>,
    ) -> io::Result<usize> {
        if self.list.len() < room {
            self.list.resize_with(room, nobody);
        }
        let mut timeout = sleep.map(timespec);
        let timeout = timeout.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        let most = room.try_into().unwrap_or(u32::MAX);
        let mut count = 1; // is waited for; more are taken if they are there
        // SAFETY: port_getn writes at most `most` entries, for which there is room, and a count; it
        // reads the timeout.
        let result = check(unsafe {
            os::port_getn(
                port.as_raw_fd(),
                self.list.as_mut_ptr(),
                most,
                &mut count,
                timeout,
            )
        });
        let Err(error) = result else {
            return Ok(count as usize);
        };
        let is_somebody = |raw: &os::port_event| raw.portev_source != NOBODY;
        let count = self.list[..room].iter().take_while(|raw| is_somebody(raw));
        match (error.raw_os_error(), count.count()) {
            (Some(libc::ETIME), count) => Ok(count),
            (_, 0) => Err(error),
            (_, count) => Ok(count),
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("length", &self.list.len())
            .finish_non_exhaustive()
    }
}

fn nobody() -> os::port_event {
    os::port_event {
        portev_events: 0,
        portev_source: NOBODY,
        portev_pad: 0,
        portev_object: 0,
        portev_user: ptr::null_mut(),
    }
}

/// There is no association to be ended: its event is on the way, or the descriptor is closed.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EBADFD))
}

/// What a program had sent to the port by other means (its own `port_send`, timers, files watched,
/// AIO); the cookie is the token.
fn readiness(source: i32) -> Readiness {
    match source {
        os::PORT_SOURCE_AIO => Readiness::AIO,
        _ => Readiness::READABLE,
    }
}

/// The unit of `port_getn`. A timeout of more than eleven days takes several waits, so that the sum
/// with the present time is a time on every system.
fn timespec(timeout: Duration) -> libc::timespec {
    const MOST: Duration = Duration::from_secs(1_000_000);
    let timeout = timeout.min(MOST);
    libc::timespec {
        tv_sec: timeout.as_secs() as _,
        tv_nsec: timeout.subsec_nanos() as _,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::os::fd::IntoRawFd;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    use super::*;
    use crate::events::Events;

    const R: Interest = Interest::READABLE;
    const W: Interest = Interest::WRITABLE;
    const RW: Interest = R.add(W);
    const DEADLINE: Duration = Duration::from_secs(10);
    /// Too short to matter, long enough for what must not come.
    const QUIET: Duration = Duration::from_millis(5);

    struct Rig {
        selector: EventPorts,
        buffer: Buffer,
        capacity: usize,
    }

    impl Rig {
        fn new() -> Rig {
            Rig {
                selector: EventPorts::new().unwrap(),
                buffer: Buffer::default(),
                capacity: 16,
            }
        }

        fn try_select(&mut self, timeout: Duration) -> io::Result<(Seen, Knocked)> {
            let mut events = Events::with_capacity(self.capacity);
            let room = events.room(usize::MAX);
            let start = Instant::now();
            let knocked = self
                .selector
                .select(&mut self.buffer, room, Some(timeout))?;
            let is_over = start.elapsed() >= timeout;
            if knocked == Knocked::No && events.is_empty() {
                assert!(is_over, "gave up early");
            } else if timeout >= DEADLINE {
                assert!(!is_over, "slept with {events:?}");
            }
            let seen = events
                .iter()
                .map(|event| (event.token().0, event.readiness()))
                .collect();
            Ok((seen, knocked))
        }

        fn select(&mut self, timeout: Duration) -> Seen {
            let (seen, knocked) = self.try_select(timeout).unwrap();
            assert_eq!(knocked, Knocked::No);
            seen
        }

        fn register(&self, source: &impl AsRawFd, token: usize, interest: Interest) {
            self.selector
                .register(source.as_raw_fd(), Token(token), interest)
                .unwrap();
        }

        /// How many associations there were.
        fn associations(&self) -> u32 {
            self.selector.state().last
        }

        /// True if a poller around this one sees the port ready.
        fn shows(&self) -> bool {
            let mut pollfd = libc::pollfd {
                fd: self.selector.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one pollfd is given and one is counted.
            check(unsafe { libc::poll(&mut pollfd, 1, 0) }).unwrap() == 1
        }
    }

    type Seen = Vec<(usize, Readiness)>;

    fn pair() -> (UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        (ours, theirs)
    }

    fn send(rig: &Rig, events: i32, user: usize) -> io::Result<i32> {
        // SAFETY: takes no memory.
        check(unsafe { os::port_send(rig.selector.port.as_raw_fd(), events, user as *mut c_void) })
    }

    /// A program that reads until it would block costs one call for each event.
    #[test]
    fn an_event_costs_one_association() {
        let mut rig = Rig::new();
        let (mut ours, mut theirs) = pair();
        rig.register(&ours, 7, R);
        for round in 1..5 {
            theirs.write_all(b"x").unwrap();
            assert_eq!(rig.select(DEADLINE), [(7, Readiness::READABLE)]);
            assert_eq!(rig.associations(), round);
            assert_eq!(ours.read(&mut [0; 8]).unwrap(), 1);
            rig.selector.rearm(ours.as_raw_fd(), R).unwrap();
            rig.selector.rearm(ours.as_raw_fd(), R).unwrap();
            rig.selector.rearm(ours.as_raw_fd(), W).unwrap();
            assert_eq!(rig.select(Duration::ZERO), []);
            assert_eq!(rig.associations(), round + 1);
        }
    }

    /// The port forgets the descriptor with its first event, but the other direction is awaited
    /// still.
    #[test]
    fn the_direction_that_was_not_reported_stays_armed() {
        let mut rig = Rig::new();
        let (ours, mut theirs) = pair();
        rig.register(&ours, 7, RW);
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::WRITABLE)]);
        assert_eq!(rig.select(QUIET), []);
        theirs.write_all(b"x").unwrap();
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::READABLE)]);
        assert_eq!(rig.select(QUIET), []);
        rig.selector.rearm(ours.as_raw_fd(), W).unwrap();
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::WRITABLE)]);
    }

    /// `port_getn` has taken events from the queue and says that a signal came, without a count.
    #[test]
    fn events_that_come_with_a_signal_are_not_lost() {
        let mut rig = Rig::new();
        let pairs: Vec<_> = (0..3).map(|_| pair()).collect();
        for (token, (ours, _)) in pairs.iter().enumerate() {
            rig.register(ours, token, W);
        }
        emulation::interrupt(rig.selector.port.as_raw_fd());
        let seen = rig.select(DEADLINE);
        assert_eq!(
            seen,
            [0, 1, 2].map(|token| (token, Readiness::WRITABLE)),
            "{seen:?}"
        );
        assert_eq!(rig.select(QUIET), []);
    }

    /// The association is lost with the attempt to change it.
    #[test]
    fn a_registration_that_could_not_be_changed_goes_on() {
        let mut rig = Rig::new();
        let (ours, mut theirs) = pair();
        rig.register(&ours, 7, R);
        let port = rig.selector.port.as_raw_fd();
        emulation::refuse(port, Some(libc::ENOMEM));
        let result = rig.selector.reregister(ours.as_raw_fd(), Token(8), RW);
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ENOMEM));
        emulation::refuse(port, None);
        theirs.write_all(b"x").unwrap();
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::READABLE)]);
    }

    /// An event has used up an association, and the system has no memory for another.
    #[test]
    fn what_could_not_be_associated_again_is_tried_again() {
        let mut rig = Rig::new();
        let (ours, mut theirs) = pair();
        let (other, mut other_theirs) = pair();
        rig.register(&ours, 7, RW);
        rig.register(&other, 8, R);
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::WRITABLE)]);
        let port = rig.selector.port.as_raw_fd();
        emulation::refuse(port, Some(libc::ENOMEM));
        other_theirs.write_all(b"x").unwrap();
        assert_eq!(rig.select(DEADLINE), [(8, Readiness::READABLE)]);
        for _ in 0..2 {
            let error = rig.try_select(DEADLINE).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
        }
        emulation::refuse(port, None);
        theirs.write_all(b"x").unwrap();
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::READABLE)]);
    }

    #[test]
    fn a_knock_is_told_from_what_a_program_sends() {
        let mut rig = Rig::new();
        let knock = KNOCK as usize;
        for (events, user) in [(1, 0), (KNOCK, 0), (0, knock), (-1, usize::MAX)] {
            send(&rig, events, user).unwrap();
            assert_eq!(rig.select(DEADLINE), [(user, Readiness::READABLE)]);
        }
        send(&rig, 1, knock).unwrap();
        rig.selector.knock().unwrap();
        let both = (vec![(knock, Readiness::READABLE)], Knocked::Yes);
        assert_eq!(rig.try_select(DEADLINE).unwrap(), both);
        assert_eq!(rig.select(Duration::ZERO), []);
        let port = rig.selector.port.as_raw_fd();
        let alert = |flags, events, user: usize| {
            // SAFETY: takes no memory.
            check(unsafe { os::port_alert(port, flags, events, user as *mut c_void) }).unwrap();
        };
        for (events, user) in [(1, 0), (KNOCK, 0), (1, knock)] {
            alert(os::PORT_ALERT_SET, events, user);
            assert_eq!(rig.select(DEADLINE), [(user, Readiness::READABLE)]);
            alert(os::PORT_ALERT_SET, 0, 0);
        }
        assert_eq!(rig.select(Duration::ZERO), []);
    }

    #[test]
    fn what_else_a_port_reports_is_told_by_its_kind() {
        assert_eq!(readiness(os::PORT_SOURCE_AIO), Readiness::AIO);
        assert_eq!(readiness(os::PORT_SOURCE_USER), Readiness::READABLE);
    }

    /// A port has room for as many events as `process.max-port-events` says.
    #[test]
    fn a_knock_on_a_full_port_is_heard_and_loses_nothing() {
        let mut rig = Rig::new();
        let mut sent = 0;
        while send(&rig, 1, sent).is_ok() {
            sent += 1;
        }
        rig.selector.knock().unwrap();
        assert_eq!(rig.try_select(DEADLINE).unwrap().1, Knocked::Yes);
        let mut seen = Vec::new();
        while seen.len() < sent {
            let now = rig.select(Duration::ZERO);
            assert!(!now.is_empty(), "{} of {sent}", seen.len());
            seen.extend(now.into_iter().map(|(token, _)| token));
        }
        assert!(seen.into_iter().eq(0..sent), "in their order");
        assert_eq!(rig.select(QUIET), []);
    }

    /// An event was taken from the queue; before it is looked at, the descriptor becomes another
    /// one.
    #[test]
    fn an_event_of_a_predecessor_is_not_believed() {
        let mut rig = Rig::new();
        let (ours, theirs) = pair();
        let fd = ours.as_raw_fd();
        drop(theirs);
        rig.register(&ours, 7, RW);
        let port = rig.selector.port.as_fd();
        let count = rig.buffer.wait(port, 4, Some(Duration::ZERO)).unwrap();
        assert_eq!(count, 1);
        let (other, _peer) = pair();
        rig.selector.deregister(fd).unwrap();
        // SAFETY: dup2 takes two numbers.
        check(unsafe { libc::dup2(other.as_raw_fd(), fd) }).unwrap();
        rig.selector.register(fd, Token(8), R).unwrap();
        let mut events = Events::with_capacity(4);
        let mut room = events.room(4);
        rig.selector
            .report(&mut rig.buffer, count, &mut room)
            .unwrap();
        assert_eq!(events.len(), 0, "{events:?}");
        rig.selector.reregister(fd, Token(9), W).unwrap();
        assert_eq!(rig.select(DEADLINE), [(9, Readiness::WRITABLE)]);
    }

    #[test]
    fn a_descriptor_closed_while_registered_is_forgotten_when_it_is_associated_next() {
        let mut rig = Rig::new();
        let (ours, _theirs) = pair();
        let fd = crate::sys::high_numbers::duplicate(&ours).into_raw_fd();
        rig.selector.register(fd, Token(7), RW.level()).unwrap();
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::WRITABLE)]);
        // SAFETY: nobody else has this descriptor.
        check(unsafe { libc::close(fd) }).unwrap();
        assert_eq!(rig.select(QUIET), []);
        for result in [
            rig.selector.deregister(fd),
            rig.selector.reregister(fd, Token(8), R),
        ] {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::NotFound);
        }
        let refused = rig.selector.register(fd, Token(8), R).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EBADF));
        rig.selector.rearm(fd, R).unwrap();
        // SAFETY: dup2 takes two numbers.
        check(unsafe { libc::dup2(ours.as_raw_fd(), fd) }).unwrap();
        rig.selector.register(fd, Token(9), W).unwrap();
        assert_eq!(rig.select(DEADLINE), [(9, Readiness::WRITABLE)]);
        // Nor is it an error to deregister what is closed.
        // SAFETY: nobody else has this descriptor.
        check(unsafe { libc::close(fd) }).unwrap();
        rig.selector.rearm(fd, W).unwrap_err();
        rig.selector.deregister(fd).unwrap();
        assert_eq!(rig.select(QUIET), []);
    }

    /// The port of a nested poller must show what is ready although no `select` runs.
    #[test]
    fn a_port_that_was_handed_out_shows_what_is_ready() {
        let mut rig = Rig::new();
        let (mut ours, mut theirs) = pair();
        let (level, _peer) = pair();
        let mut idle = Rig::new();
        idle.register(&ours, 6, RW);
        assert_eq!(idle.select(DEADLINE), [(6, Readiness::WRITABLE)]);
        assert!(!idle.shows());
        rig.register(&ours, 7, RW);
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::WRITABLE)]);
        for _ in 0..3 {
            theirs.write_all(b"x").unwrap();
            // The first of these hands it out.
            assert!(rig.shows());
            assert_eq!(rig.select(DEADLINE), [(7, Readiness::READABLE)]);
            assert!(!rig.shows());
            assert_eq!(ours.read(&mut [0; 8]).unwrap(), 1);
            rig.selector.rearm(ours.as_raw_fd(), R).unwrap();
        }
        rig.register(&level, 8, W.level());
        for _ in 0..3 {
            assert!(rig.shows());
            assert_eq!(rig.select(DEADLINE), [(8, Readiness::WRITABLE)]);
        }
        rig.selector.deregister(level.as_raw_fd()).unwrap();
        assert!(!rig.shows());
    }

    #[test]
    fn long_timeouts_are_taken_in_pieces() {
        for (timeout, expected) in [
            (Duration::from_nanos(1), (0, 1)),
            (Duration::from_millis(1500), (1, 500_000_000)),
            (Duration::MAX, (1_000_000, 0)),
        ] {
            let timespec = timespec(timeout);
            assert_eq!((timespec.tv_sec, timespec.tv_nsec), expected);
        }
    }

    #[test]
    fn a_port_is_close_on_exec() {
        let rig = Rig::new();
        // SAFETY: F_GETFD takes nothing.
        let flags = check(unsafe { libc::fcntl(rig.selector.port.as_raw_fd(), libc::F_GETFD) });
        assert_ne!(flags.unwrap() & libc::FD_CLOEXEC, 0);
    }
}
