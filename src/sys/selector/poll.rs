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
//! The table is locked for moments, the list is the poller's own (it lives in [`Buffer`]), and
//! poll(2) runs without the lock. Who changes an entry notes its descriptor in `changed`, once, and
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
//! # Pacing
//!
//! A condition that was reported and still holds must not be asked for, or every wait would end at
//! once; yet when it ceases and comes again, that is news. For some entries nobody says when to ask
//! again: those of sources without a hook in their operations ([`Mode::Paced`]); those where
//! POLLERR or POLLHUP, which cannot be masked, was reported and stands before directions that are
//! still armed; and those where POLLPRI was, for urgent data is read past our operations. They are
//! *probed*, on their own and without waiting: in the next `select`, to see whether the condition
//! has ceased (then it is armed again and nothing is late), and if it has not, after 1 ms, 2 ms,
//! and so on up to every 64 ms. A probe after a pause reports what still holds once more, but for
//! POLLERR and POLLHUP. Idle sources have no pace, and a pace no cost but its probes.
//!
//! # Beware
//!
//! * Timeouts are whole milliseconds.
//! * A descriptor that was closed while registered answers POLLNVAL. Its entry is dropped, as epoll
//!   does: nothing is reported, and the number can be registered again. If the number has been
//!   taken by something else before the next `select`, that is polled in its place, and a
//!   `register` of it answers `AlreadyExists`.
//! * Only descriptors that are open can be polled, but `register` does not ask: whether one is
//!   closed is found by the next `select`.
//!
//! Source: POSIX.1-2017, poll; poll(2)

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use libc::{c_int, c_short, pollfd};

use super::knocker::Knocker;
use super::registration::{already_registered, not_registered};
use super::{Backend, Knocked, SelectorId, Tracked, poll_bits, timeout};
use crate::events::{Event, Readiness, Room};
use crate::interest::{Interest, Mode};
use crate::sys::check;
use crate::token::Token;

/// A set of `POLL*` bits.
type Bits = c_short;

const IN: Bits = libc::POLLIN as Bits;
const OUT: Bits = libc::POLLOUT as Bits;
const ERR: Bits = libc::POLLERR as Bits;
const HUP: Bits = libc::POLLHUP as Bits;
const NVAL: Bits = libc::POLLNVAL as Bits;
/// Not in POSIX; no bit where the system lacks it.
const RDHUP: Bits = poll_bits::RDHUP;
/// Urgent data; no bit where it is not offered as a direction.
const PRI: Bits = poll_bits::PRI;
/// What a program waits for. `RDHUP` says no more than `HUP` does.
const DIRECTIONS: Bits = IN | OUT | PRI;
/// What is reported unasked.
const UNASKED: Bits = ERR | HUP;

/// The selector: the table of what is registered, and what interrupts the poller.
#[derive(Debug)]
pub(crate) struct Poll<K> {
    id: SelectorId,
    table: Mutex<Table>,
    knocker: K,
    /// Somebody has knocked; a ring without it means that the table changed.
    is_knocked: AtomicBool,
}

impl<K: Knocker> Backend for Poll<K> {
    type Buffer = Buffer;
    type Registration = Tracked<Poll<K>>;
    const DETECTS: Interest = if PRI == 0 {
        Interest::READABLE.add(Interest::WRITABLE)
    } else {
        Interest::READABLE
            .add(Interest::WRITABLE)
            .add(Interest::PRIORITY)
    };

    fn new() -> io::Result<Poll<K>> {
        Ok(Poll {
            id: SelectorId::unique(),
            table: Mutex::default(),
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
        let mut left = timeout;
        let deadline = match timeout {
            Some(timeout) if !timeout.is_zero() => Instant::now().checked_add(timeout),
            _ => None, // not at all, or for ever
        };
        loop {
            let mut table = self.table();
            buffer.follow(&mut table, self.knocker.descriptor());
            let mut sleep = left;
            if !buffer.paces.is_idle(&table) {
                drop(table);
                sleep = self.probe(buffer, &mut room, left)?;
                if room.left() == 0 {
                    return Ok(Knocked::No); // a knock shows in the next `select`
                }
                table = self.table();
                buffer.follow(&mut table, self.knocker.descriptor());
            }
            if room.left() < places {
                sleep = Some(Duration::ZERO);
            }
            table.is_asleep = sleep != Some(Duration::ZERO);
            let slept = table.is_asleep;
            drop(table);

            let polled = buffer.poll(sleep, K::SLEEP_MAX);
            let knocked = polled.and_then(|count| {
                let (count, is_rung) = buffer.take_ring(count);
                buffer.find_ready(count, room.left());
                if is_rung {
                    self.hear()
                } else {
                    Ok(Knocked::No)
                }
            });
            if slept || !buffer.ready.is_empty() {
                let mut table = self.table();
                table.is_asleep = false;
                buffer.report(&mut table, &mut room);
            }

            let knocked = knocked?;
            if knocked == Knocked::Yes || room.left() < places || left == Some(Duration::ZERO) {
                return Ok(knocked);
            }
            if let Some(deadline) = deadline {
                left = Some(deadline.saturating_duration_since(Instant::now()));
                if left == Some(Duration::ZERO) {
                    return Ok(Knocked::No);
                }
            }
        }
    }

    fn register(&self, source: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        Self::check_interest(interest)?;
        self.change(|table| {
            table.make_room(source)?;
            let entry = table.entry(source);
            if entry.is_registered() {
                return Err(already_registered());
            }
            entry.is_fresh = true;
            entry.set(token, interest);
            Ok(source)
        })
    }

    fn reregister(&self, source: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        Self::check_interest(interest)?;
        self.change(|table| {
            table
                .registered(source)
                .ok_or_else(not_registered)?
                .set(token, interest);
            Ok(source)
        })
    }

    fn deregister(&self, source: RawFd) -> io::Result<()> {
        self.change(|table| {
            table.registered(source).ok_or_else(not_registered)?.clear();
            Ok(source)
        })
    }

    fn rearm(&self, source: RawFd, blocked: Interest) -> io::Result<()> {
        self.change(|table| {
            if let Some(entry) = table.registered(source) {
                entry.rearm(bits(blocked));
            }
            Ok(source)
        })
    }

    fn prepare_knocks(&self) -> io::Result<()> {
        // It exists since the beginning, because changes ring too, unless there is none to be had.
        match self.knocker.descriptor() {
            Some(_) => Ok(()),
            None => self.knocker.ring(),
        }
    }

    fn knock(&self) -> io::Result<()> {
        self.is_knocked.store(true, Ordering::Release);
        self.knocker.ring()
    }
}

impl<K: Knocker> Poll<K> {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table
            .lock()
            .expect("nothing panics while this is held")
    }

    /// Makes a change to the entry whose descriptor it returns, and rouses the poller if it must
    /// see that.
    fn change(&self, change: impl FnOnce(&mut Table) -> io::Result<RawFd>) -> io::Result<()> {
        let mut table = self.table();
        let fd = change(&mut table)?;
        if !table.note_change(fd) {
            return Ok(());
        }
        table.is_asleep = false;
        // Not before the lock is free: the poller needs it as soon as it wakes.
        drop(table);
        if self.knocker.ring().is_err() {
            // The change stands, and the poller finds it when it looks. The next change rings
            // again.
            self.table().is_asleep = true;
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

    /// Probes what is due. Returns how much of `left` may be slept before something else is.
    #[cold]
    fn probe(
        &self,
        buffer: &mut Buffer,
        room: &mut Room<'_>,
        left: Option<Duration>,
    ) -> io::Result<Option<Duration>> {
        let now = Instant::now();
        let limit = buffer.paces.limit(room.left());
        if buffer.paces.collect(&mut self.table(), now, limit) {
            poll(&mut buffer.paces.probes, 0)?;
            buffer.paces.settle(&mut self.table(), now, room);
        }
        let pause = buffer.paces.pause(&self.table(), now);
        Ok(match (left, pause) {
            (Some(left), Some(pause)) => Some(left.min(pause)),
            (left, pause) => left.or(pause),
        })
    }
}

/// Everything that is registered.
#[derive(Debug, Default)]
struct Table {
    /// Indexed by descriptor, which are small numbers by the rule that `open` takes the lowest.
    entries: Vec<Entry>,
    /// The descriptors whose entries the list does not follow yet, each once.
    changed: Vec<RawFd>,
    /// What the next `select` has to probe.
    to_probe: VecDeque<Pace>,
    /// The poller waits, or is about to, and does not know yet of anything that changes now.
    is_asleep: bool,
    /// The list that follows this table: see [`Buffer::follow`].
    list: u64,
}

impl Table {
    fn entry(&mut self, fd: RawFd) -> &mut Entry {
        &mut self.entries[fd as usize]
    }

    /// The entry of a descriptor, if there is one in use.
    #[inline]
    fn registered(&mut self, fd: RawFd) -> Option<&mut Entry> {
        // A negative number is beyond every table.
        self.entries
            .get_mut(fd as usize)
            .filter(|entry| entry.is_registered())
    }

    /// Makes the table long enough. A number beyond it is asked after first: it may be none of a
    /// descriptor, and huge.
    fn make_room(&mut self, fd: RawFd) -> io::Result<()> {
        const LEAST: usize = 64;
        let index = fd as usize;
        if index < self.entries.len() {
            return Ok(());
        }
        if fd < 0 || !is_open(fd)? {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        let length = (index + 1).next_power_of_two().max(LEAST);
        self.entries.try_reserve(length - self.entries.len())?;
        self.entries.resize(length, Entry::VACANT);
        Ok(())
    }

    /// Notes that an entry changed, if the list is concerned. True if the poller must be roused for
    /// it.
    #[inline]
    fn note_change(&mut self, fd: RawFd) -> bool {
        let Some(entry) = self.entries.get_mut(fd as usize) else {
            return false;
        };
        if !entry.is_fresh && entry.watched() == entry.listed() {
            return false;
        }
        if !entry.is_changed {
            entry.is_changed = true;
            self.changed.push(fd);
        }
        self.is_asleep
    }

    /// Has an entry probed by the next `select`, if it needs that, and ends the pace that it had.
    #[inline]
    fn pace(&mut self, fd: RawFd) {
        let entry = self.entry(fd);
        entry.pace = entry.pace.wrapping_add(1);
        if entry.needs_pace() {
            let pace = Pace {
                fd,
                number: entry.pace,
                is_after_pause: false,
            };
            self.to_probe.push_back(pace);
        }
    }
}

/// A descriptor's registration. It stays, vacant, when that ends: the list may still have the
/// descriptor.
#[derive(Copy, Clone, Debug)]
struct Entry {
    token: Token,
    /// Its place in the list, or [`NOWHERE`].
    slot: u32,
    /// Tells the pace that is in force from those that are over.
    pace: u32,
    /// What is to be reported. None: not registered.
    asked: Bits,
    /// What is news: `asked` and [`UNASKED`] without what was reported.
    armed: Bits,
    /// What the list asks for.
    listed: Bits,
    mode: Mode,
    /// How often its pause has doubled.
    doublings: u8,
    /// Registered since the list was last brought up to date: what poll(2) says is about a
    /// predecessor.
    is_fresh: bool,
    /// Is in [`Table::changed`].
    is_changed: bool,
}

/// No slot.
const NOWHERE: u32 = u32::MAX;

impl Entry {
    const VACANT: Entry = Entry {
        token: Token(0),
        slot: NOWHERE,
        pace: 0,
        asked: 0,
        armed: 0,
        listed: 0,
        mode: Mode::Edge,
        doublings: 0,
        is_fresh: false,
        is_changed: false,
    };

    fn is_registered(&self) -> bool {
        self.asked != 0
    }

    fn set(&mut self, token: Token, interest: Interest) {
        self.token = token;
        self.asked = bits(interest);
        self.mode = interest.mode();
        self.armed = 0;
        self.arm(self.asked);
    }

    fn clear(&mut self) {
        self.asked = 0;
        self.armed = 0;
        self.pace = self.pace.wrapping_add(1);
    }

    fn rearm(&mut self, blocked: Bits) {
        let blocked = blocked & self.asked;
        match self.mode {
            Mode::Edge | Mode::Paced if blocked != 0 => self.arm(blocked),
            _ => {}
        }
    }

    /// Makes these bits news, and with them what comes unasked.
    fn arm(&mut self, bits: Bits) {
        self.armed |= bits | UNASKED;
        if !self.needs_pace() {
            self.pace = self.pace.wrapping_add(1);
            self.doublings = 0;
        }
    }

    /// What the list must ask for; `None`: it must not have the descriptor.
    #[inline]
    fn watched(&self) -> Option<Bits> {
        if !self.is_registered() {
            return None;
        }
        let asked = match self.mode {
            Mode::Level => self.asked,
            Mode::OneShot if self.armed == 0 => return None,
            Mode::OneShot => self.asked,
            // What comes unasked was reported, and may still hold.
            Mode::Edge | Mode::Paced if self.armed & UNASKED != UNASKED => return None,
            Mode::Edge | Mode::Paced => self.armed & self.asked,
        };
        (asked != 0 || poll_bits::COMES_UNASKED).then_some(asked)
    }

    /// What the list asks for.
    fn listed(&self) -> Option<Bits> {
        (self.slot != NOWHERE).then_some(self.listed)
    }

    /// What no operation reports to have ceased, so that it must be reported again if it still
    /// holds: it may have ceased and come again.
    #[inline]
    fn without_hook(&self) -> Bits {
        match self.mode {
            Mode::Paced => self.asked | UNASKED,
            Mode::Edge => self.asked & PRI,
            Mode::Level | Mode::OneShot => 0,
        }
    }

    /// Something was reported, and must be looked after: either nobody will say that it has ceased,
    /// or it stands before what is armed.
    #[inline]
    fn needs_pace(&self) -> bool {
        let hides_news = self.mode == Mode::Edge
            && self.armed & UNASKED != UNASKED
            && self.armed & DIRECTIONS != 0;
        self.is_registered() && (hides_news || self.without_hook() & !self.armed != 0)
    }

    /// Takes note that these bits are reported.
    fn disarm(&mut self, reported: Bits) {
        match self.mode {
            Mode::Level => {}
            Mode::OneShot => self.armed = 0,
            Mode::Edge | Mode::Paced => self.armed &= !reported,
        }
    }

    fn event(&self, bits: Bits) -> Event {
        Event::with_raw(self.token, readiness(bits), bits as u16 as u64)
    }
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
    number: u64,
}

impl Buffer {
    /// Carries the changes of the table over to the list.
    #[inline]
    fn follow(&mut self, table: &mut Table, knocker: Option<RawFd>) {
        if self.number == 0 || self.number != table.list {
            self.begin(table, knocker);
        }
        let Table {
            entries, changed, ..
        } = table;
        for fd in changed.drain(..) {
            let entry = &mut entries[fd as usize];
            entry.is_changed = false;
            entry.is_fresh = false;
            let slot = entry.slot as usize;
            match entry.watched() {
                Some(bits) if entry.slot != NOWHERE => {
                    entry.listed = bits;
                    self.list[slot].events = bits as _;
                }
                Some(bits) => {
                    entry.listed = bits;
                    entry.slot = self.list.len() as u32;
                    self.list.push(request(fd, bits));
                }
                None if entry.slot != NOWHERE => {
                    entry.slot = NOWHERE;
                    self.list.swap_remove(slot);
                    if let Some(moved) = self.list.get(slot) {
                        entries[moved.fd as usize].slot = slot as u32;
                    }
                }
                None => {}
            }
        }
    }

    /// Starts anew with everything that is registered. A poller has one buffer and one selector, so
    /// this happens once.
    #[cold]
    fn begin(&mut self, table: &mut Table, knocker: Option<RawFd>) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        self.number = NEXT.fetch_add(1, Ordering::Relaxed);
        table.list = self.number;
        self.list.clear();
        self.list.extend(knocker.map(|fd| request(fd, IN)));
        self.knockers = self.list.len();
        self.paces = Paces::default();
        table.changed.clear();
        table.to_probe.clear();
        for fd in 0..table.entries.len() as RawFd {
            let entry = table.entry(fd);
            entry.slot = NOWHERE;
            entry.is_changed = false;
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
            if found & NVAL != 0 {
                entry.clear();
                table.note_change(fd);
                continue;
            }
            let news = found & entry.armed;
            if news == 0 {
                continue;
            }
            room.push(entry.event(news));
            if entry.mode == Mode::Level {
                continue;
            }
            entry.doublings = 0;
            entry.disarm(news);
            table.note_change(fd);
            table.pace(fd);
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

/// An entry that is probed until nothing hides its news any more. It is over when the entry has
/// another number.
#[derive(Copy, Clone, Debug)]
struct Pace {
    fd: RawFd,
    number: u32,
    is_after_pause: bool,
}

impl Pace {
    fn is_over(&self, table: &Table) -> bool {
        table.entries[self.fd as usize].pace != self.number
    }
}

/// How often a pause doubles: from 1 ms to 64 ms.
const DOUBLINGS_MAX: u8 = 6;

/// The pauses of those that are paced.
#[derive(Default)]
struct Paces {
    /// For each length of pause those that rest, in the order in which they began, which is that in
    /// which they end.
    resting: [VecDeque<(Instant, Pace)>; DOUBLINGS_MAX as usize + 1],
    /// How many rest.
    count: usize,
    /// What is asked of the system, and for whom. Not empty between calls if the system failed to
    /// answer.
    probes: Vec<pollfd>,
    probed: Vec<Pace>,
    /// With room for one event, probes and the list take turns: whose turn it is.
    is_turn_of_probes: bool,
}

impl Paces {
    #[inline]
    fn is_idle(&self, table: &Table) -> bool {
        self.count == 0 && table.to_probe.is_empty() && self.probed.is_empty()
    }

    /// How many may be probed, so that the list has its turn.
    fn limit(&mut self, room: usize) -> usize {
        if room > 1 {
            return room - 1;
        }
        self.is_turn_of_probes = !self.is_turn_of_probes;
        usize::from(self.is_turn_of_probes)
    }

    /// Takes what is due, at most `limit`, and false if that is nothing.
    fn collect(&mut self, table: &mut Table, now: Instant, limit: usize) -> bool {
        for resting in &mut self.resting {
            while let Some((due, pace)) = resting.front() {
                if *due > now || self.probed.len() >= limit {
                    break;
                }
                if !pace.is_over(table) {
                    self.probed.push(*pace);
                }
                resting.pop_front();
                self.count -= 1;
            }
        }
        while self.probed.len() < limit {
            match table.to_probe.pop_front() {
                Some(pace) if pace.is_over(table) => {}
                Some(pace) => self.probed.push(pace),
                None => break,
            }
        }
        self.probes.clear();
        for pace in &self.probed {
            let entry = table.entry(pace.fd);
            let asked = entry.asked & (entry.armed | entry.without_hook());
            self.probes.push(request(pace.fd, asked));
        }
        !self.probed.is_empty()
    }

    /// Acts on the answers.
    fn settle(&mut self, table: &mut Table, now: Instant, room: &mut Room<'_>) {
        for (pace, probe) in self.probed.drain(..).zip(&self.probes) {
            if pace.is_over(table) {
                continue;
            }
            let fd = pace.fd;
            let found = probe.revents as Bits;
            let entry = table.entry(fd);
            if found & NVAL != 0 {
                entry.clear();
                table.note_change(fd);
                continue;
            }
            let news = found & entry.armed;
            let repeated = if pace.is_after_pause {
                found & !entry.armed & entry.without_hook()
            } else {
                0
            };
            if news | repeated != 0 && room.left() == 0 {
                table.to_probe.push_back(pace);
                continue;
            }
            // What has ceased is news when it comes again.
            entry.armed |= !found & (probe.events as Bits | UNASKED) & (entry.asked | UNASKED);
            if news | repeated != 0 {
                room.push(entry.event(news | repeated | found & UNASKED));
                entry.doublings = match news {
                    0 => (entry.doublings + 1).min(DOUBLINGS_MAX),
                    _ => 0,
                };
                entry.disarm(news);
                table.note_change(fd);
                table.pace(fd);
            } else if entry.needs_pace() {
                if pace.is_after_pause {
                    entry.doublings = (entry.doublings + 1).min(DOUBLINGS_MAX);
                }
                let doublings = entry.doublings;
                let due = now + Duration::from_millis(1 << doublings);
                let pace = Pace {
                    is_after_pause: true,
                    ..pace
                };
                self.resting[usize::from(doublings)].push_back((due, pace));
                self.count += 1;
                table.note_change(fd);
            } else {
                entry.doublings = 0;
                table.note_change(fd);
            }
        }
    }

    /// How long until something is due; forgets what is over on the way.
    fn pause(&mut self, table: &Table, now: Instant) -> Option<Duration> {
        if !table.to_probe.is_empty() {
            return Some(Duration::ZERO);
        }
        let mut first: Option<Instant> = None;
        for resting in &mut self.resting {
            while let Some((_, pace)) = resting.front() {
                if !pace.is_over(table) {
                    break;
                }
                resting.pop_front();
                self.count -= 1;
            }
            if let Some((due, _)) = resting.front() {
                first = Some(first.map_or(*due, |first| first.min(*due)));
            }
        }
        first.map(|due| due.saturating_duration_since(now))
    }
}

/// One entry of a list.
fn request(fd: RawFd, bits: Bits) -> pollfd {
    pollfd {
        fd,
        events: bits as _,
        revents: 0,
    }
}

/// poll(2). Returns how many entries have an answer; 0 if time is up or the system has to be asked
/// again.
#[inline]
fn poll(list: &mut [pollfd], ms: c_int) -> io::Result<usize> {
    #[cfg(all(test, unix))]
    tests::POLLS.set(tests::POLLS.get() + 1);
    // SAFETY: poll reads and writes as many entries as are given.
    let count = check(unsafe { libc::poll(list.as_mut_ptr(), list.len() as libc::nfds_t, ms) });
    match count {
        Ok(count) => Ok(count as usize),
        // The system is short of memory for the moment; POSIX says that a later call may succeed.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            for polled in list {
                polled.revents = 0;
            }
            thread::yield_now();
            Ok(0)
        }
        Err(error) => Err(error),
    }
}

/// Whether there is such a descriptor.
#[cold]
fn is_open(fd: RawFd) -> io::Result<bool> {
    let mut probe = [request(fd, 0)];
    loop {
        match poll(&mut probe, 0) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(probe[0].revents as Bits & NVAL == 0),
        }
    }
}

/// What is asked of the system.
fn bits(interest: Interest) -> Bits {
    let mut bits = 0;
    if interest.is_readable() {
        bits |= IN | RDHUP;
    }
    if interest.is_writable() {
        bits |= OUT;
    }
    if interest.is_priority() {
        bits |= PRI;
    }
    bits
}

/// What the system's answer means. The table is in [`Event`]'s documentation.
#[inline]
fn readiness(bits: Bits) -> Readiness {
    let has = |any: Bits| bits & any != 0;
    // The end of a stream can be read, also when reading itself was reported before and is not
    // asked for.
    Readiness::READABLE.when(has(IN | PRI | RDHUP))
        | Readiness::WRITABLE.when(has(OUT))
        | Readiness::PRIORITY.when(has(PRI))
        | Readiness::ERROR.when(has(ERR))
        | Readiness::READ_CLOSED.when(has(HUP | RDHUP))
        | Readiness::WRITE_CLOSED.when(has(HUP) || has(OUT) && has(ERR) || bits == ERR)
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

    use socket2::SockRef;

    use super::super::PollKnocker;
    use super::super::knocker::Silent;
    use super::super::pipe::Pipe;
    use super::*;
    use crate::events::Events;

    thread_local! {
        /// How often this thread has called poll(2).
        pub(super) static POLLS: Cell<usize> = const { Cell::new(0) };
    }

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
            self.selector
                .select(&mut self.buffer, room, Some(timeout))
                .unwrap();
            events
                .iter()
                .map(|event| (event.token().0, event.readiness()))
                .collect()
        }

        /// Selects for that long, and returns everything that came.
        fn select_throughout(&mut self, time: Duration) -> Vec<(usize, Readiness)> {
            let end = Instant::now() + time;
            let mut seen = Vec::new();
            loop {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return seen;
                }
                seen.extend(self.select(left));
            }
        }

        fn register(&self, source: &impl AsRawFd, token: usize, interest: Interest) {
            self.selector
                .register(source.as_raw_fd(), Token(token), interest)
                .unwrap();
        }

        /// The list has what the table wants, and each knows where the other has it.
        fn assert_in_step(&mut self) {
            let mut table = self.selector.table();
            self.buffer
                .follow(&mut table, self.selector.knocker.descriptor());
            let mut listed = 0;
            for (fd, entry) in table.entries.iter().enumerate() {
                assert_eq!(entry.watched(), entry.listed(), "descriptor {fd}");
                assert!(!entry.is_changed && !entry.is_fresh, "descriptor {fd}");
                if let Some(bits) = entry.listed() {
                    let polled = &self.buffer.list[entry.slot as usize];
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
    fn each_bit_means_what_the_table_says() {
        use Readiness as Is;
        let closed = Is::READ_CLOSED | Is::WRITE_CLOSED;
        for (bits, expected) in [
            (0, Is::EMPTY),
            (IN, Is::READABLE),
            (PRI, Is::READABLE | Is::PRIORITY),
            (OUT, Is::WRITABLE),
            (ERR, Is::ERROR | Is::WRITE_CLOSED),
            (IN | ERR, Is::READABLE | Is::ERROR),
            (OUT | ERR, Is::WRITABLE | Is::ERROR | Is::WRITE_CLOSED),
            (HUP, closed),
            (RDHUP, Is::READABLE | Is::READ_CLOSED),
            (IN | RDHUP, Is::READABLE | Is::READ_CLOSED),
            (
                IN | OUT | ERR | HUP | RDHUP,
                Is::READABLE | Is::WRITABLE | Is::ERROR | closed,
            ),
        ] {
            assert_eq!(readiness(bits), expected, "{bits:#x}");
        }
    }

    #[test]
    fn an_entry_is_half_a_cache_line() {
        assert!(size_of::<Entry>() <= 32);
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
        let theirs = UdpSocket::bind("127.0.0.1:0").unwrap();
        let peer = theirs.local_addr().unwrap();
        ours.connect(peer).unwrap();
        drop(theirs);
        rig.register(&ours, 7, R);
        ours.send(b"nobody is there").unwrap();
        let error = Readiness::ERROR | Readiness::WRITE_CLOSED;
        assert_eq!(rig.select(DEADLINE), [(7, error)]);
        let (seen, polls) = polls_during(|| rig.select(Duration::from_millis(100)));
        assert_eq!(seen, []);
        assert!(polls <= 30, "polled {polls} times");

        let theirs = UdpSocket::bind(peer).unwrap();
        theirs
            .send_to(b"here I am", ours.local_addr().unwrap())
            .unwrap();
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

    /// No operation of ours reads urgent data, so none says that it is gone.
    #[test]
    fn urgent_data_is_reported_each_time_and_does_not_spin() {
        if PRI == 0 {
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        let mut rig = Rig::new();
        rig.register(&ours, 7, R | Interest::PRIORITY);
        for _ in 0..3 {
            SockRef::from(&theirs).send_out_of_band(b"!").unwrap();
            let seen = rig.select(DEADLINE);
            assert!(seen[0].1.contains(Readiness::PRIORITY), "{seen:?}");
            let (seen, polls) = polls_during(|| rig.select_throughout(Duration::from_millis(50)));
            assert!((1..=8).contains(&seen.len()), "{seen:?}");
            assert!(polls <= 40, "polled {polls} times");
            let mut byte = [MaybeUninit::uninit()];
            SockRef::from(&ours).recv_out_of_band(&mut byte).unwrap();
            assert_eq!(rig.select_throughout(Duration::from_millis(70)), []);
        }
        assert_eq!(polls_during(|| rig.select(QUIET)).1, 1);
    }

    #[test]
    fn a_paced_source_that_stays_ready_is_reported_less_and_less_often() {
        let mut rig = Rig::new();
        let (ours, _theirs) = pair();
        rig.register(&ours, 7, W.paced());
        let time = Duration::from_millis(400);
        let (seen, polls) = polls_during(|| rig.select_throughout(time));
        // At 0, 1, 3, 7, 15, 31, 63, 127, 191, 255, 319 and 383 ms at the earliest.
        assert!((4..=12).contains(&seen.len()), "{seen:?}");
        assert!(polls <= 5 * 12, "polled {polls} times");

        rig.selector
            .reregister(ours.as_raw_fd(), Token(8), W.paced())
            .unwrap();
        assert_eq!(rig.select(Duration::ZERO), [(8, Readiness::WRITABLE)]);
        let seen = rig.select_throughout(Duration::from_millis(50));
        assert!((2..=6).contains(&seen.len()), "{seen:?}");
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
        assert_eq!(rig.select(DEADLINE), [(7, Readiness::READABLE)]);
        assert_eq!(ours.read(&mut [0; 1]).unwrap(), 1);
        let start = Instant::now();
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
    fn a_descriptor_closed_while_registered_is_forgotten() {
        let mut rig = Rig::new();
        let (ours, theirs) = pair();
        // A number that no other test of this process comes upon by itself.
        // SAFETY: F_DUPFD_CLOEXEC takes a number.
        let fd =
            check(unsafe { libc::fcntl(ours.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 900) }).unwrap();
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
            .report(&mut rig.selector.table(), &mut events.room(4));
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
        assert_eq!(rig.selector.table().entries.len(), 0);
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
            rig.selector.table().is_asleep = true;
            change(&rig.selector);
            let is_rung = rig.selector.knocker.is_rung();
            assert_ne!(is_rung, rig.selector.table().is_asleep);
            rig.selector.knocker.drain().unwrap();
            rig.selector.table().is_asleep = false;
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
        rig.selector.table().is_asleep = true;
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
            while !selector.table().is_asleep {
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

    #[test]
    fn without_a_knocker_changes_are_seen_soon_and_knocks_refused() {
        let mut rig = Rig::<Silent>::with();
        let (ours, _theirs) = pair();
        for result in [rig.selector.knock(), rig.selector.prepare_knocks()] {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Unsupported);
        }
        let selector = Arc::clone(&rig.selector);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !selector.table().is_asleep {
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
