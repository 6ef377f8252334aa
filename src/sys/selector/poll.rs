//! poll(2): every Unix without a better queue, WASI preview 2, Hermit.
//!
//! The system keeps nothing between calls: each is given the list of descriptors, and says of each
//! what it is ready for now. So the selector keeps a *table* of what is registered, and the poller
//! a *list*, contiguous `pollfd`s, which follows it. Every descriptor in the list is
//! level-triggered; an edge is made of it by no longer asking for what was reported (*disarming*),
//! until an operation has said `WouldBlock` (`rearm`).
//!
//! # The table and the list
//!
//! The table is locked for moments, the list is the poller's own (it lives in [`Buffer`]), and the
//! poller waits without the lock. Who changes an entry notes its descriptor in `changed`, once, and
//! the poller carries the changes into its list before it sleeps: the cost is that of what changed,
//! never of what is registered. A descriptor of which nothing is wanted is not in the list at all,
//! for POLLHUP and POLLERR come unasked and would end every wait at once. (Negative numbers in its
//! place, which POSIX skips, are not understood everywhere: WASI refuses them among sockets.)
//!
//! An answer of poll(2) belongs to the list as it was before the wait. Meanwhile the descriptor may
//! have been deregistered, closed, opened as something else and registered again; such an entry
//! `is_fresh`, and an answer about it is not believed.
//!
//! # Why no change and no knock is missed
//!
//! * *A change* is made under the lock. If the poller has not yet carried over the changes before
//!   its wait, which it does under the lock, it finds this one. Otherwise it has set `is_asleep` in
//!   the same breath, so the change sees that and rings, and poll(2) returns, even if the ring came
//!   first: the knocker stays readable until it is drained. The one who rings clears `is_asleep`,
//!   so that the next does not: one ring rouses a poller, which then finds every change made so
//!   far.
//! * *A knock* sets `is_knocked` and then rings. The poller drains and then takes `is_knocked`. If
//!   its drain swallowed the ring, the flag was set before the ring, so the poller sees it. If not,
//!   the knocker is readable still and the next wait ends at once. A ring whose flag has been taken
//!   by an earlier look is taken for a change: the poller finds nothing and sleeps on.
//!
//! # Beware
//!
//! * Timeouts are whole milliseconds.
//! * A paced source that is drained, but ready again before the next `select`, looks like one that
//!   nobody drains: see [`rest`](super::rest).
//! * A descriptor that was closed while registered answers POLLNVAL. Its entry is dropped, as epoll
//!   does: nothing is reported, and the number can be registered again. If the number has been
//!   taken by something else before the next `select`, that is polled in its place, and a
//!   `register` of it answers `AlreadyExists`.
//! * Only descriptors that are open can be polled, but `register` does not ask: whether one is
//!   closed is found by the next `select`.
//!
//! What was reported and still holds is looked after by [`Paces`].
//!
//! Source: POSIX.1-2017, poll; poll(2)

use std::fmt;
use std::io;
use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use libc::{c_int, pollfd};

use super::knocker::Knocker;
use super::pace::Paces;
use super::pollfd::{Bits, DETECTS, IN, poll, request};
use super::table::{Entry, NOWHERE, Table};
use super::timeout::Rounds;
use super::{Backend, Knocked, SelectorId, Tracked, timeout};
use crate::events::Room;
use crate::interest::Interest;
use crate::token::Token;

/// The selector: the table of what is registered, and what interrupts the poller.
#[derive(Debug)]
pub(crate) struct Poll<K> {
    id: SelectorId,
    state: Mutex<State>,
    knocker: K,
    /// Somebody has knocked; a ring without it means that the table changed.
    is_knocked: AtomicBool,
}

impl<K: Knocker> Backend for Poll<K> {
    type Buffer = Buffer;
    type Registration = Tracked<Poll<K>>;
    const DETECTS: Interest = DETECTS;

    fn new() -> io::Result<Poll<K>> {
        Ok(Poll {
            id: SelectorId::unique(),
            state: Mutex::default(),
            knocker: K::new()?,
            is_knocked: AtomicBool::new(false),
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
            buffer.follow(&mut state, self.knocker.descriptor());
            let mut sleep = rounds.left();
            if !buffer.paces.is_idle(&state.table) {
                sleep = buffer.paces.probe(&mut state.table, &mut room, sleep)?;
                if room.left() == 0 {
                    return Ok(Knocked::No); // a knock shows in the next `select`
                }
                buffer.follow(&mut state, self.knocker.descriptor());
            }
            // Without a knocker, nothing in the list tells.
            let is_silent = self.knocker.descriptor().is_none();
            if room.left() < places || is_silent && self.is_knocked.load(Ordering::Acquire) {
                sleep = Some(Duration::ZERO);
            }
            state.is_asleep = sleep != Some(Duration::ZERO);
            let slept = state.is_asleep;
            drop(state);

            let polled = buffer.poll(sleep, K::SLEEP_MAX);
            let knocked = polled.and_then(|count| {
                let (count, is_rung) = buffer.take_ring(count);
                buffer.find_ready(count, room.left());
                if is_rung || is_silent {
                    self.hear()
                } else {
                    Ok(Knocked::No)
                }
            });
            if slept || !buffer.ready.is_empty() {
                let mut state = self.state();
                state.is_asleep = false;
                buffer.report(&mut state.table, &mut room);
            }

            let knocked = knocked?;
            if knocked == Knocked::Yes || room.left() < places || rounds.are_over() {
                return Ok(knocked);
            }
        }
    }

    fn register(&self, source: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        Self::check_interest(interest)?;
        self.ask(source, |table| table.register(source, token, interest))
    }

    fn reregister(&self, source: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        Self::check_interest(interest)?;
        self.ask(source, |table| table.reregister(source, token, interest))
    }

    fn deregister(&self, source: RawFd) -> io::Result<()> {
        // What is not registered is not reported, so a poller that could not be told may sleep on.
        let _ = self.change(source, |table| table.deregister(source))?;
        Ok(())
    }

    fn rearm(&self, source: RawFd, blocked: Interest) -> io::Result<()> {
        self.change(source, |table| {
            table.rearm(source, blocked);
            Ok(())
        })?
    }

    fn prepare_knocks(&self) -> io::Result<()> {
        Ok(()) // the knocker exists since the beginning, because changes ring too
    }

    fn knock(&self) -> io::Result<()> {
        self.is_knocked.store(true, Ordering::Release);
        self.knocker.ring()
    }
}

impl<K: Knocker> Poll<K> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while this is held")
    }

    /// Makes a change to the entry of `fd`, and rouses the poller if it must see that. Whether it
    /// could be is the inner answer.
    #[inline]
    fn change(
        &self,
        fd: RawFd,
        change: impl FnOnce(&mut Table) -> io::Result<()>,
    ) -> io::Result<io::Result<()>> {
        let mut state = self.state();
        change(&mut state.table)?;
        if !state.table.note_change(fd) || !state.is_asleep {
            return Ok(Ok(()));
        }
        state.is_asleep = false;
        // Not before the lock is free: the poller needs it as soon as it wakes.
        drop(state);
        let told = self.knocker.ring();
        if told.is_err() {
            // The change stands, and the poller finds it when it looks. The next change rings
            // again.
            self.state().is_asleep = true;
        }
        Ok(told)
    }

    /// Makes a change of what is asked for, and rouses the poller if it must see that. If it cannot
    /// be roused, nothing is changed.
    fn ask(&self, fd: RawFd, change: impl FnOnce(&mut Table) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state();
        let before = state.table.entries.get(fd as usize).copied();
        change(&mut state.table)?;
        if state.table.note_change(fd) && state.is_asleep {
            // Under the lock, so that the poller has not seen yet what may have to be undone.
            if let Err(error) = self.knocker.ring() {
                let before = before.unwrap_or(Entry::VACANT);
                state.table.entry(fd).restore(before);
                return Err(error);
            }
            state.is_asleep = false;
        }
        Ok(())
    }

    /// The knocker was readable: empties it, and finds out who rang.
    fn hear(&self) -> io::Result<Knocked> {
        self.knocker.drain()?;
        Ok(if self.is_knocked.swap(false, Ordering::Acquire) {
            Knocked::Yes
        } else {
            Knocked::No
        })
    }
}

/// What the lock keeps.
#[derive(Debug, Default)]
struct State {
    table: Table,
    /// The poller waits, or is about to, and does not know yet of anything that changes now.
    is_asleep: bool,
    /// The list that follows the table: see [`Buffer::follow`].
    list: usize,
}

/// The poller's list, and what it needs to go through it without allocating.
#[derive(Default)]
pub(crate) struct Buffer {
    /// What poll(2) is given. First the knocker, if there is one.
    list: Vec<pollfd>,
    /// How many of these are the knocker: none or one.
    knockers: usize,
    /// Where to look first for what is ready, so that everything has its turn if not everything
    /// fits.
    next: usize,
    /// The slots of what is ready and fits.
    ready: Vec<u32>,
    paces: Paces,
    /// Which list this is; 0: none yet.
    number: usize,
}

impl Buffer {
    /// Carries the changes of the table over to the list.
    #[inline]
    fn follow(&mut self, state: &mut State, knocker: Option<RawFd>) {
        if self.number == 0 || self.number != state.list {
            self.begin(state, knocker);
        }
        let Table {
            entries, changed, ..
        } = &mut state.table;
        for fd in changed.drain(..) {
            let entry = &mut entries[fd as usize];
            entry.is_changed = false;
            entry.is_fresh = false;
            let slot = entry.place as usize;
            match entry.watched() {
                Some(bits) if entry.place != NOWHERE => {
                    entry.listed = bits;
                    self.list[slot].events = bits as _;
                }
                Some(bits) => {
                    entry.listed = bits;
                    entry.place = self.list.len() as u32;
                    self.list.push(request(fd, bits));
                }
                None if entry.place != NOWHERE => {
                    entry.place = NOWHERE;
                    self.list.swap_remove(slot);
                    if let Some(moved) = self.list.get(slot) {
                        entries[moved.fd as usize].place = slot as u32;
                    }
                }
                None => {}
            }
        }
    }

    /// Starts anew with everything that is registered. A poller has one buffer and one selector, so
    /// this happens once.
    #[cold]
    fn begin(&mut self, state: &mut State, knocker: Option<RawFd>) {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        self.number = NEXT.fetch_add(1, Ordering::Relaxed);
        state.list = self.number;
        self.list.clear();
        self.list.extend(knocker.map(|fd| request(fd, IN)));
        self.knockers = self.list.len();
        self.paces = Paces::default();
        let table = &mut state.table;
        table.changed.clear();
        table.to_probe.clear();
        for fd in 0..table.entries.len() as RawFd {
            let entry = table.entry(fd);
            entry.place = NOWHERE;
            entry.is_changed = false;
            entry.end_paces();
            table.note_change(fd);
            table.pace(fd);
        }
    }

    /// Asks the system, and waits at most `sleep`. Returns how many descriptors are ready.
    #[inline]
    fn poll(&mut self, sleep: Option<Duration>, sleep_max: Option<Duration>) -> io::Result<usize> {
        let sleep = match (sleep, sleep_max) {
            (Some(sleep), Some(max)) => Some(sleep.min(max)),
            (sleep, max) => sleep.or(max),
        };
        let ms = match sleep {
            Some(sleep) => timeout::millis(sleep).0,
            None if self.list.is_empty() => c_int::MAX, // WASI accepts no wait that nothing can end
            None => -1,
        };
        poll(&mut self.list, ms)
    }

    /// Of `count` descriptors that are ready: how many are not the knocker, and whether the knocker
    /// is.
    fn take_ring(&mut self, count: usize) -> (usize, bool) {
        let is_rung = count > 0 && self.knockers > 0 && self.list[0].revents != 0;
        (count - usize::from(is_rung), is_rung)
    }

    /// Finds at most `limit` of the `count` slots that are ready, beginning where the last search
    /// ended.
    #[inline]
    fn find_ready(&mut self, count: usize, limit: usize) {
        self.ready.clear();
        let mut left = count.min(limit);
        if left == 0 {
            return;
        }
        let start = self.next.clamp(self.knockers, self.list.len());
        for slots in [start..self.list.len(), self.knockers..start] {
            let Range { start, .. } = slots;
            for (i, polled) in self.list[slots].iter().enumerate() {
                if polled.revents != 0 {
                    self.ready.push((start + i) as u32);
                    left -= 1;
                    if left == 0 {
                        self.next = start + i + 1;
                        return;
                    }
                }
            }
        }
    }

    /// Makes events of what is ready, as far as it is still wanted.
    #[inline]
    fn report(&mut self, table: &mut Table, room: &mut Room<'_>) {
        for slot in self.ready.drain(..) {
            let polled = &self.list[slot as usize];
            let fd = polled.fd;
            let found = polled.revents as Bits;
            let entry = table.entry(fd);
            if entry.is_fresh || !entry.is_registered() {
                continue;
            }
            table.report(fd, found, room);
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("length", &self.list.len())
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::cell::Cell;
    use std::ffi::CString;
    use std::fs::{File, OpenOptions};
    use std::io::{ErrorKind, Read, Write};
    use std::mem::MaybeUninit;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::{AsRawFd, IntoRawFd};
    use std::os::unix::fs::OpenOptionsExt;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::thread;
    use std::time::Instant;

    use socket2::SockRef;

    use super::super::PollKnocker;
    use super::super::knocker::Silent;
    use super::super::pace::Way;
    use super::super::pipe::Pipe;
    use super::super::pollfd::{POLLS, PRI};
    use super::*;
    use crate::busy_poll::BusyPoll;
    use crate::events::Events;
    use crate::readiness::Readiness;
    use crate::sys::check;

    const R: Interest = Interest::READABLE;
    const W: Interest = Interest::WRITABLE;
    const RW: Interest = R.add(W);
    const DEADLINE: Duration = Duration::from_secs(10);
    /// Too short to matter, long enough for what must not come.
    const QUIET: Duration = Duration::from_millis(5);

    struct Rig<K> {
        selector: Arc<Poll<K>>,
        buffer: Buffer,
        capacity: usize,
    }

    impl Rig<PollKnocker> {
        fn new() -> Rig<PollKnocker> {
            Rig::with()
        }
    }

    impl<K: Knocker> Rig<K> {
        fn with() -> Rig<K> {
            Rig {
                selector: Arc::new(Poll::new().unwrap()),
                buffer: Buffer::default(),
                capacity: 64,
            }
        }

        fn select(&mut self, timeout: Duration) -> Vec<(usize, Readiness)> {
            let mut events = Events::with_capacity(self.capacity);
            let room = events.room(usize::MAX);
            let start = Instant::now();
            self.selector
                .select(&mut self.buffer, room, Some(timeout))
                .unwrap();
            let is_late = timeout >= DEADLINE && start.elapsed() >= timeout;
            assert!(!is_late || events.is_empty(), "slept with {events:?}");
            events
                .iter()
                .map(|event| (event.token().0, event.readiness()))
                .collect()
        }

        /// Selects for that long, at least once, and returns everything that came.
        fn select_throughout(&mut self, time: Duration) -> Vec<(usize, Readiness)> {
            let end = Instant::now() + time;
            let mut seen = Vec::new();
            loop {
                let left = end.saturating_duration_since(Instant::now());
                seen.extend(self.select(left));
                if left.is_zero() {
                    return seen;
                }
            }
        }

        fn register(&self, source: &impl AsRawFd, token: usize, interest: Interest) {
            self.selector
                .register(source.as_raw_fd(), Token(token), interest)
                .unwrap();
        }

        /// The list has what the table wants, and each knows where the other has it.
        fn assert_in_step(&mut self) {
            let mut state = self.selector.state();
            self.buffer
                .follow(&mut state, self.selector.knocker.descriptor());
            let mut listed = 0;
            for (fd, entry) in state.table.entries.iter().enumerate() {
                assert_eq!(entry.watched(), entry.listed(), "descriptor {fd}");
                assert!(!entry.is_changed && !entry.is_fresh, "descriptor {fd}");
                if let Some(bits) = entry.listed() {
                    let polled = &self.buffer.list[entry.place as usize];
                    assert_eq!((polled.fd, polled.events), (fd as RawFd, bits));
                    listed += 1;
                }
            }
            assert_eq!(self.buffer.list.len(), listed + self.buffer.knockers);
        }
    }

    fn pair() -> (UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        (ours, theirs)
    }

    fn polls_during<T>(operation: impl FnOnce() -> T) -> (T, usize) {
        let before = POLLS.get();
        let result = operation();
        (result, POLLS.get() - before)
    }

    #[test]
    fn a_selector_without_an_epoll_cannot_ask_network_cards() {
        let error = Rig::new()
            .selector
            .set_busy_poll(BusyPoll::OFF)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn a_wait_without_a_timeout_is_one_poll() {
        let mut rig = Rig::new();
        let selector = Arc::clone(&rig.selector);
        let (knocked, polls) = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(50));
                selector.knock().unwrap();
            });
            let mut events = Events::with_capacity(1);
            let buffer = &mut rig.buffer;
            polls_during(|| rig.selector.select(buffer, events.room(1), None))
        });
        assert_eq!(knocked.unwrap(), Knocked::Yes);
        assert_eq!(polls, 1);
    }

    /// A hang-up is reported by every poll(2), asked or not. It must be reported once and not end
    /// every wait; and what was registered stays so (mio forgets it, tokio-rs/mio#2012).
    #[test]
    fn a_hung_up_source_does_not_spin_and_stays_registered() {
        let mut rig = Rig::new();
        let (ours, theirs) = pair();
        let fd = ours.as_raw_fd();
        rig.register(&ours, 7, RW);
        drop(theirs);
        let all = Readiness::READABLE
            | Readiness::WRITABLE
            | Readiness::READ_CLOSED
            | Readiness::WRITE_CLOSED;
        assert_eq!(rig.select(DEADLINE), [(7, all)]);
        let (seen, polls) = polls_during(|| rig.select(QUIET));
        assert_eq!(seen, []);
        assert!(polls <= 3, "polled {polls} times");

        let read = Readiness::READABLE | Readiness::READ_CLOSED | Readiness::WRITE_CLOSED;
        for _ in 0..3 {
            rig.selector.rearm(fd, R).unwrap();
            assert_eq!(rig.select(DEADLINE), [(7, read)]);
            assert_eq!(rig.select(QUIET), []);
        }
        rig.selector.reregister(fd, Token(8), W).unwrap();
        let write = Readiness::WRITABLE | Readiness::READ_CLOSED | Readiness::WRITE_CLOSED;
        assert_eq!(rig.select(DEADLINE), [(8, write)]);
        rig.selector.deregister(fd).unwrap();
        rig.assert_in_step();
    }

    /// What is delivered is no longer asked for, but a hang-up is news all the same.
    #[test]
    fn a_hang_up_is_reported_when_everything_else_was() {
        let mut rig = Rig::new();
        let (ours, mut theirs) = pair();
        theirs.write_all(b"data").unwrap();
        rig.register(&ours, 7, RW);
        assert_eq!(
            rig.select(DEADLINE),
            [(7, Readiness::READABLE | Readiness::WRITABLE)]
        );
        assert_eq!(rig.select(QUIET), []);
        drop(theirs);
        let seen = rig.select(DEADLINE);
        assert_eq!(seen.len(), 1);
        assert!(seen[0].1.contains(Readiness::READ_CLOSED));
        assert_eq!(rig.select(QUIET), []);
    }

    /// An error stands until somebody asks for it. Who only waits for data must get that meanwhile:
    /// on epoll he does.
    #[test]
    fn an_error_that_stands_does_not_hide_what_arrives() {
        let mut rig = Rig::new();
        let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
        // One that is connected, with itself, hears nobody else: its port is as good as closed, and
        // no other test is given it.
        let theirs = UdpSocket::bind("127.0.0.1:0").unwrap();
        let peer = theirs.local_addr().unwrap();
        theirs.connect(peer).unwrap();
        ours.connect(peer).unwrap();
        rig.register(&ours, 7, R);
        ours.send(b"nobody is there").unwrap();
        let error = Readiness::ERROR | Readiness::WRITE_CLOSED;
        assert_eq!(rig.select(DEADLINE), [(7, error)]);
        let (seen, polls) = polls_during(|| rig.select(Duration::from_millis(100)));
        assert_eq!(seen, []);
        assert!(polls <= 30, "polled {polls} times");

        theirs.connect(ours.local_addr().unwrap()).unwrap();
        theirs.send(b"here I am").unwrap();
        let both = Readiness::READABLE | Readiness::ERROR;
        assert_eq!(rig.select(DEADLINE), [(7, both)]);
        assert_eq!(rig.select(QUIET), []);
    }

    /// A named pipe hangs up when its last writer goes, and comes to life with the next.
    #[test]
    fn the_next_writer_of_a_named_pipe_is_reported() {
        let path = std::env::temp_dir().join(format!("litio-{}-fifo", std::process::id()));
        let name = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: `name` is a string that ends with a zero.
        check(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }).unwrap();
        let reader = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .unwrap();
        let open_writer = || OpenOptions::new().write(true).open(&path).unwrap();
        let mut rig = Rig::new();
        rig.register(&reader, 7, R);
        drop(open_writer());
        let closed = Readiness::READ_CLOSED | Readiness::WRITE_CLOSED;
        assert_eq!(rig.select(DEADLINE), [(7, closed)]);
        assert_eq!(rig.select(QUIET), []);
        let mut writer = open_writer();
        writer.write_all(b"next").unwrap();
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::READABLE)]);
        std::fs::remove_file(path).unwrap();
    }

    /// With a stream whose data and urgent data are awaited, and its peer; none where the system
    /// does not tell of urgent data.
    fn rig_for_urgent_data() -> Option<(Rig<PollKnocker>, TcpStream, TcpStream)> {
        if PRI == 0 {
            return None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        let rig = Rig::new();
        rig.register(&ours, 7, R | Interest::PRIORITY);
        Some((rig, ours, theirs))
    }

    /// No operation of ours reads urgent data, so none says that it is gone.
    #[test]
    fn urgent_data_is_reported_each_time_and_does_not_spin() {
        let Some((mut rig, ours, theirs)) = rig_for_urgent_data() else {
            return;
        };
        for _ in 0..3 {
            SockRef::from(&theirs).send_out_of_band(b"!").unwrap();
            let seen = rig.select(DEADLINE);
            assert!(seen[0].1.contains(Readiness::PRIORITY), "{seen:?}");
            let (seen, polls) = polls_during(|| rig.select_throughout(Duration::from_millis(50)));
            assert!((1..=51).contains(&seen.len()), "{seen:?}");
            assert!(polls <= 5 * 51, "polled {polls} times");
            let mut byte = [MaybeUninit::uninit()];
            SockRef::from(&ours).recv_out_of_band(&mut byte).unwrap();
            assert_eq!(rig.select_throughout(Duration::from_millis(70)), []);
        }
        assert_eq!(polls_during(|| rig.select(QUIET)).1, 1);
    }

    #[test]
    fn urgent_data_is_reported_whatever_is_re_armed_meanwhile() {
        let Some((mut rig, ours, theirs)) = rig_for_urgent_data() else {
            return;
        };
        SockRef::from(&theirs).send_out_of_band(b"!").unwrap();
        let deadline = Instant::now() + DEADLINE;
        let mut times = 0;
        while times < 3 {
            assert!(Instant::now() < deadline, "reported {times} times");
            rig.selector.rearm(ours.as_raw_fd(), R).unwrap();
            let seen = rig.select(Duration::ZERO);
            let is_urgent = |(_, found): &(_, Readiness)| found.contains(Readiness::PRIORITY);
            times += seen.iter().filter(|it| is_urgent(it)).count();
        }
    }

    #[test]
    fn a_spent_one_shot_source_does_not_spin() {
        let mut rig = Rig::new();
        let (ours, _theirs) = pair();
        rig.register(&ours, 7, W.oneshot());
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::WRITABLE)]);
        let (seen, polls) = polls_during(|| rig.select(QUIET));
        assert_eq!(seen, []);
        assert_eq!(polls, 1);
    }

    /// How long the source of this entry rests after it was reported.
    fn rest(rig: &Rig<PollKnocker>, source: &impl AsRawFd, way: Way) -> Duration {
        let mut state = rig.selector.state();
        state.table.entry(source.as_raw_fd()).rests[way as usize].duration()
    }

    #[test]
    fn a_paced_source_that_stays_ready_is_reported_less_and_less_often() {
        let mut rig = Rig::new();
        let (ours, _theirs) = pair();
        let start = Instant::now();
        rig.register(&ours, 7, W.paced());
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::WRITABLE)]);
        let mut rested = Duration::ZERO;
        let (_, polls) = polls_during(|| {
            for times in 0..140 {
                rested += Duration::from_millis(1 << (times / 64));
                assert_eq!(rig.select(DEADLINE), [(7, Readiness::WRITABLE)]);
                assert!(start.elapsed() >= rested, "{times}");
            }
        });
        // Each: to see it ready still, to sleep, to see that again, to see what else there is.
        assert!(polls <= 140 * 5, "polled {polls} times");
        assert_eq!(rest(&rig, &ours, Way::Write), Duration::from_millis(4));

        rig.selector
            .reregister(ours.as_raw_fd(), Token(8), W.paced())
            .unwrap();
        assert_eq!(rig.select(Duration::ZERO), [(8, Readiness::WRITABLE)]);
        assert_eq!(rest(&rig, &ours, Way::Write), Duration::from_millis(1));
    }

    #[test]
    fn a_paced_source_is_repeated_once_however_often_it_was_reregistered() {
        let mut rig = Rig::new();
        let (ours, _theirs) = pair();
        rig.register(&ours, 0, W.paced());
        assert_eq!(rig.select(DEADLINE), [(0, Readiness::WRITABLE)]);
        for token in 1..20 {
            rig.selector
                .reregister(ours.as_raw_fd(), Token(token), W.paced())
                .unwrap();
            assert_eq!(rig.select(DEADLINE), [(token, Readiness::WRITABLE)]);
        }
        for _ in 0..20 {
            assert_eq!(rig.select(DEADLINE), [(19, Readiness::WRITABLE)]);
        }
    }

    #[test]
    fn paced_sources_that_are_due_are_reported_together() {
        let mut rig = Rig::new();
        let pairs = [(); 8].map(|()| pair());
        for (token, (ours, _)) in pairs.iter().enumerate() {
            rig.register(ours, token, W.paced());
        }
        assert_eq!(rig.select(DEADLINE).len(), 8);
        // The rest begins once the program has had its chance to drain.
        assert_eq!(rig.select(Duration::ZERO), []);
        thread::sleep(rest(&rig, &pairs[0].0, Way::Write) * 2);
        assert_eq!(rig.select(DEADLINE).len(), 8);
    }

    #[test]
    fn paced_sources_that_are_gone_cost_nothing() {
        let mut rig = Rig::new();
        let (ours, _theirs) = pair();
        rig.register(&ours, 7, W.paced());
        for _ in 0..5 {
            assert_eq!(rig.select(DEADLINE), [(7, Readiness::WRITABLE)]);
        }
        // The rest begins once the program has had its chance to drain.
        assert_eq!(rig.select(Duration::ZERO), []);
        rig.selector.deregister(ours.as_raw_fd()).unwrap();
        assert_eq!(rig.select(Duration::ZERO), []);
        assert!(rig.buffer.paces.is_idle(&rig.selector.state().table));
    }

    /// One look in a while that finds it drained is enough.
    #[test]
    fn a_paced_source_that_is_seen_drained_rests_no_longer_than_at_first() {
        let mut rig = Rig::new();
        let (mut ours, mut theirs) = pair();
        rig.register(&ours, 7, R.paced());
        theirs.write_all(b"x").unwrap();
        for _ in 0..70 {
            assert_eq!(rig.select(DEADLINE), [(7, Readiness::READABLE)]);
        }
        assert_eq!(rest(&rig, &ours, Way::Read), Duration::from_millis(2));
        assert_eq!(ours.read(&mut [0; 8]).unwrap(), 1);
        // Ready again when it is looked at: nobody can tell.
        theirs.write_all(b"x").unwrap();
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::READABLE)]);
        assert_eq!(rest(&rig, &ours, Way::Read), Duration::from_millis(2));
        assert_eq!(ours.read(&mut [0; 8]).unwrap(), 1);
        assert_eq!(rig.select(Duration::ZERO), []);
        assert_eq!(rest(&rig, &ours, Way::Read), Duration::from_millis(1));
    }

    #[test]
    fn a_paced_source_that_was_drained_reports_the_next_edge_at_once() {
        let mut rig = Rig::new();
        let (mut ours, mut theirs) = pair();
        rig.register(&ours, 7, R.paced());
        for _ in 0..20 {
            theirs.write_all(b"x").unwrap();
            assert_eq!(rig.select(Duration::ZERO), [(7, Readiness::READABLE)]);
            assert_eq!(ours.read(&mut [0; 8]).unwrap(), 1);
            let (seen, polls) = polls_during(|| rig.select(Duration::ZERO));
            assert_eq!(seen, []);
            assert_eq!(polls, 2, "one is the probe");
        }
        // Nothing is left to be looked after.
        let (_, polls) = polls_during(|| rig.select(Duration::from_millis(20)));
        assert_eq!(polls, 1);
    }

    #[test]
    fn a_paced_source_that_was_read_in_part_is_reported_again_soon() {
        let mut rig = Rig::new();
        let (mut ours, mut theirs) = pair();
        rig.register(&ours, 7, R.paced());
        theirs.write_all(b"xx").unwrap();
        let start = Instant::now();
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::READABLE)]);
        assert_eq!(ours.read(&mut [0; 1]).unwrap(), 1);
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::READABLE)]);
        assert!(start.elapsed() >= Duration::from_millis(1));
        // The other direction is news at any time.
        rig.selector
            .reregister(ours.as_raw_fd(), Token(7), R.paced())
            .unwrap();
    }

    /// With room for one event, sources that are probed and sources in the list take turns.
    #[test]
    fn paced_sources_do_not_starve_others_nor_each_other() {
        let mut rig = Rig::new();
        rig.capacity = 1;
        let paced: Vec<_> = (0..50).map(|_| pair()).collect();
        let level: Vec<_> = (0..5).map(|_| pair()).collect();
        for (token, (ours, _)) in paced.iter().enumerate() {
            rig.register(ours, token, W.paced());
        }
        for (i, (ours, _)) in level.iter().enumerate() {
            rig.register(ours, 100 + i, W.level());
        }
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..1000 {
            for (token, _) in rig.select(DEADLINE) {
                *counts.entry(token).or_insert(0) += 1;
            }
        }
        for token in (0..50).chain(100..105) {
            assert!(counts.get(&token).is_some_and(|n| *n > 1), "{counts:?}");
        }
    }

    #[test]
    fn paced_sources_leave_a_place_for_others() {
        let mut rig = Rig::new();
        let paced = [(); 20].map(|()| pair());
        for (token, (ours, _)) in paced.iter().enumerate() {
            rig.register(ours, token, W.paced());
        }
        let (level, _theirs) = pair();
        rig.register(&level, 100, W.level());
        assert_eq!(rig.select(DEADLINE).len(), 21);
        // The rest begins once the program has had its chance to drain.
        assert_eq!(rig.select(DEADLINE), [(100, Readiness::WRITABLE)]);
        thread::sleep(rest(&rig, &paced[0].0, Way::Write) * 2);
        rig.capacity = 2;
        for _ in 0..10 {
            let seen = rig.select(DEADLINE);
            assert!(matches!(seen[..], [(..20, _), (100, _)]), "{seen:?}");
        }
    }

    #[test]
    fn a_descriptor_closed_while_registered_is_forgotten() {
        let mut rig = Rig::new();
        let (ours, theirs) = pair();
        let fd = crate::sys::high_numbers::duplicate(&ours).into_raw_fd();
        rig.selector.register(fd, Token(7), R).unwrap();
        assert_eq!(rig.select(Duration::ZERO), []);
        // SAFETY: nobody else has this descriptor.
        check(unsafe { libc::close(fd) }).unwrap();
        let (seen, polls) = polls_during(|| rig.select(QUIET));
        assert_eq!(seen, []);
        assert!(polls <= 2, "polled {polls} times");
        assert_eq!(
            rig.selector.deregister(fd).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        // SAFETY: dup2 takes two numbers.
        check(unsafe { libc::dup2(theirs.as_raw_fd(), fd) }).unwrap();
        rig.selector.register(fd, Token(8), W).unwrap();
        assert_eq!(rig.select(DEADLINE), [(8, Readiness::WRITABLE)]);
        rig.selector.deregister(fd).unwrap();
        // SAFETY: nobody else has this descriptor.
        check(unsafe { libc::close(fd) }).unwrap();
    }

    /// poll(2) has answered; before the answer is looked at, the descriptor becomes another one.
    #[test]
    fn an_answer_about_a_predecessor_is_not_believed() {
        let mut rig = Rig::new();
        let (ours, theirs) = pair();
        let fd = ours.as_raw_fd();
        rig.register(&ours, 7, R);
        drop(theirs);
        rig.assert_in_step();
        let count = rig.buffer.poll(Some(Duration::ZERO), None).unwrap();
        assert_eq!(count, 1);
        rig.buffer.find_ready(count, 64);
        let (other, _peer) = pair();
        rig.selector.deregister(fd).unwrap();
        // SAFETY: dup2 takes two numbers.
        check(unsafe { libc::dup2(other.as_raw_fd(), fd) }).unwrap();
        rig.selector.register(fd, Token(8), RW.oneshot()).unwrap();
        let mut events = Events::with_capacity(4);
        rig.buffer
            .report(&mut rig.selector.state().table, &mut events.room(4));
        assert_eq!(events.len(), 0, "{events:?}");
        assert_eq!(rig.select(DEADLINE), [(8, Readiness::WRITABLE)]);
    }

    #[test]
    fn numbers_that_are_no_descriptors_are_refused_and_leave_no_trace() {
        let rig = Rig::new();
        for fd in [-1, RawFd::MIN, RawFd::MAX] {
            let error = rig.selector.register(fd, Token(0), R).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
            for error in [
                rig.selector.reregister(fd, Token(0), R).unwrap_err(),
                rig.selector.deregister(fd).unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::NotFound);
            }
            rig.selector.rearm(fd, R).unwrap();
        }
        assert_eq!(rig.selector.state().table.entries.len(), 0);
    }

    #[test]
    fn changes_while_the_poller_is_awake_ring_nobody() {
        let mut rig = Rig::new();
        let (ours, mut theirs) = pair();
        let fd = ours.as_raw_fd();
        for _ in 0..3 {
            rig.register(&ours, 7, RW);
            theirs.write_all(b"x").unwrap();
            rig.select(DEADLINE);
            rig.selector.rearm(fd, RW).unwrap();
            rig.selector.reregister(fd, Token(8), R).unwrap();
            rig.select(DEADLINE);
            rig.selector.deregister(fd).unwrap();
            assert!(!rig.selector.knocker.is_rung());
        }
    }

    /// Of the changes while the poller sleeps, only those ring that it must see, and of these only
    /// the first.
    #[test]
    fn a_sleeping_poller_is_rung_once_and_only_for_what_it_must_see() {
        let mut rig = Rig::new();
        let (ours, mut theirs) = pair();
        let fd = ours.as_raw_fd();
        let (other, _peer) = pair();
        theirs.write_all(b"x").unwrap();
        let rings = |rig: &mut Rig<PollKnocker>, change: &dyn Fn(&Poll<PollKnocker>)| {
            rig.assert_in_step();
            rig.selector.state().is_asleep = true;
            change(&rig.selector);
            let is_rung = rig.selector.knocker.is_rung();
            assert_ne!(is_rung, rig.selector.state().is_asleep);
            rig.selector.knocker.drain().unwrap();
            rig.selector.state().is_asleep = false;
            is_rung
        };
        assert!(rings(&mut rig, &|poll| poll
            .register(fd, Token(1), R)
            .unwrap()));
        assert!(!rings(&mut rig, &|poll| poll.rearm(fd, R).unwrap()));
        assert!(!rings(&mut rig, &|poll| poll
            .reregister(fd, Token(2), R)
            .unwrap()));
        assert_eq!(rig.select(DEADLINE), [(2, Readiness::READABLE)]);
        assert!(!rings(&mut rig, &|poll| poll.rearm(fd, W).unwrap()));
        assert!(rings(&mut rig, &|poll| poll.rearm(fd, R).unwrap()));
        assert!(rings(&mut rig, &|poll| poll
            .reregister(fd, Token(2), RW)
            .unwrap()));
        assert!(rings(&mut rig, &|poll| poll.deregister(fd).unwrap()));
        // Of several changes the first rings, and the poller finds all of them.
        rig.selector.state().is_asleep = true;
        rig.register(&ours, 3, R);
        assert!(rig.selector.knocker.is_rung());
        rig.selector.knocker.drain().unwrap();
        rig.register(&other, 4, W);
        assert!(!rig.selector.knocker.is_rung());
        let mut seen = rig.select(DEADLINE);
        seen.sort_by_key(|(token, _)| *token);
        assert_eq!(seen, [(3, Readiness::READABLE), (4, Readiness::WRITABLE)]);
    }

    /// The system holds what a sleeping poll(2) watches: without a ring the peer would see the end
    /// of the stream only when something else wakes the poller.
    #[test]
    fn a_source_closed_while_the_poller_sleeps_is_closed_at_once() {
        let mut rig = Rig::new();
        let (ours, mut theirs) = pair();
        let (_other, other_theirs) = pair();
        rig.register(&ours, 7, R);
        rig.register(&other_theirs, 8, R);
        let selector = Arc::clone(&rig.selector);
        thread::scope(|scope| {
            scope.spawn(|| rig.select(DEADLINE));
            while !selector.state().is_asleep {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(5)); // into poll(2) itself
            selector.deregister(ours.as_raw_fd()).unwrap();
            drop(ours);
            theirs.set_nonblocking(false).unwrap();
            theirs.set_read_timeout(Some(DEADLINE / 2)).unwrap();
            assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
            selector.knock().unwrap();
        });
    }

    /// A knock and changes come at the same time, again and again: no knock is lost, and none is
    /// made of a change.
    #[test]
    fn knocks_are_told_from_changes() {
        const KNOCKS: usize = 300;
        let mut rig = Rig::<Pipe>::with();
        let selector = Arc::clone(&rig.selector);
        let heard = AtomicU64::new(0);
        let is_over = AtomicBool::new(false);
        let (ours, _theirs) = pair();
        let mut events = Events::with_capacity(4);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    selector.register(ours.as_raw_fd(), Token(0), R).unwrap();
                    thread::yield_now();
                    selector.deregister(ours.as_raw_fd()).unwrap();
                }
            });
            scope.spawn(|| {
                for knock in 0..KNOCKS as u64 {
                    selector.knock().unwrap();
                    let deadline = Instant::now() + DEADLINE;
                    while heard.load(Ordering::Acquire) == knock {
                        assert!(Instant::now() < deadline, "knock {knock} was lost");
                        thread::yield_now();
                    }
                }
                is_over.store(true, Ordering::Relaxed);
            });
            for _ in 0..KNOCKS {
                let room = events.room(4);
                let knocked = rig
                    .selector
                    .select(&mut rig.buffer, room, Some(DEADLINE))
                    .unwrap();
                assert_eq!(knocked, Knocked::Yes);
                heard.fetch_add(1, Ordering::Release);
            }
        });
        assert_eq!(rig.select(QUIET), []);
    }

    thread_local! {
        /// What happens at the last moment before a [`Surprised`] is drained.
        static BEFORE_DRAIN: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
    }

    #[derive(Debug)]
    struct Surprised(PollKnocker);

    impl Knocker for Surprised {
        fn new() -> io::Result<Surprised> {
            PollKnocker::new().map(Surprised)
        }

        fn ring(&self) -> io::Result<()> {
            self.0.ring()
        }

        fn drain(&self) -> io::Result<()> {
            if let Some(surprise) = BEFORE_DRAIN.take() {
                surprise();
            }
            self.0.drain()
        }

        fn descriptor(&self) -> Option<RawFd> {
            self.0.descriptor()
        }
    }

    /// The poller is roused by a change, and while it empties the knocker, somebody knocks: the
    /// ring is swallowed, the knock must not be.
    #[test]
    fn a_knock_that_comes_with_a_change_is_heard() {
        let mut rig = Rig::<Surprised>::with();
        let selector = Arc::clone(&rig.selector);
        BEFORE_DRAIN.set(Some(Box::new(move || selector.knock().unwrap())));
        rig.selector.knocker.ring().unwrap();
        let mut events = Events::with_capacity(4);
        let room = events.room(4);
        let knocked = rig.selector.select(&mut rig.buffer, room, Some(QUIET));
        assert_eq!(knocked.unwrap(), Knocked::Yes);
    }

    #[test]
    fn without_a_knocker_changes_are_seen_soon() {
        let mut rig = Rig::<Silent>::with();
        let (ours, _theirs) = pair();
        let selector = Arc::clone(&rig.selector);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !selector.state().is_asleep {
                    thread::yield_now();
                }
                selector.register(ours.as_raw_fd(), Token(7), W).unwrap();
            });
            assert_eq!(rig.select(DEADLINE), [(7, Readiness::WRITABLE)]);
        });
        rig.assert_in_step();
        let start = Instant::now();
        assert_eq!(rig.select(Duration::from_millis(25)), []);
        assert!(start.elapsed() >= Duration::from_millis(25));
    }

    #[test]
    fn another_buffer_begins_with_everything_that_is_registered() {
        let mut rig = Rig::new();
        let (ours, mut theirs) = pair();
        rig.register(&ours, 7, R);
        rig.assert_in_step();
        for _ in 0..3 {
            rig.buffer = Buffer::default();
            rig.assert_in_step();
        }
        theirs.write_all(b"x").unwrap();
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::READABLE)]);
    }

    /// Anything in any order; what the list has and what the table wants must never drift apart.
    #[test]
    fn the_list_follows_the_table_through_everything() {
        let mut rig = Rig::new();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 33) as usize % bound
        };
        let mut pairs: Vec<_> = (0..40).map(|_| pair()).collect();
        let modes = [R, W, RW, R.level(), RW.oneshot(), RW.paced(), R.paced()];
        for _ in 0..20_000 {
            let index = below(pairs.len());
            let (ours, theirs) = &mut pairs[index];
            let fd = ours.as_raw_fd();
            let interest = modes[below(modes.len())];
            match below(8) {
                0 | 1 => drop(rig.selector.register(fd, Token(index), interest)),
                2 => drop(rig.selector.deregister(fd)),
                3 => drop(rig.selector.reregister(fd, Token(index), interest)),
                4 => rig.selector.rearm(fd, interest).unwrap(),
                5 => drop(theirs.write(b"data")),
                6 => drop(ours.read(&mut [0; 64])),
                _ if below(20) == 0 => {
                    // A new pair takes its place, and one of its numbers.
                    drop(rig.selector.deregister(fd));
                    pairs[index] = pair();
                }
                _ => {
                    rig.capacity = 1 + below(5);
                    rig.select(Duration::ZERO);
                    rig.assert_in_step();
                }
            }
        }
        for (ours, _) in &pairs {
            drop(rig.selector.deregister(ours.as_raw_fd()));
        }
        rig.assert_in_step();
        assert_eq!(rig.buffer.list.len(), 1, "only the knocker is left");
    }

    #[test]
    fn regular_files_are_always_ready() {
        let mut rig = Rig::new();
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        rig.register(&file, 7, R);
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::READABLE)]);
        rig.selector.deregister(file.into_raw_fd()).unwrap();
    }
}
