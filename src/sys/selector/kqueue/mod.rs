//! kqueue: macOS and the rest of Apple's systems, FreeBSD, DragonFly BSD, NetBSD, OpenBSD.
//!
//! A source has up to two *filters* in the queue, one to read and one to write, and each has its
//! own events. With `EV_CLEAR` only the change is reported, so nothing has to be re-armed. A closed
//! descriptor leaves the queue by itself, also if a duplicate of it is still open. One `kevent`
//! call takes a list of changes or waits for events; with `EV_RECEIPT` every change is answered for
//! itself, success too, and no event is taken by accident.
//!
//! Beware:
//! * Adding a filter that is there changes its `udata` and checks the source again, but not the
//!   trigger mode. A change of mode takes the filter out first.
//! * The kernel does not tell what it has. A `reregister` that it refuses in part, for want of
//!   memory, may leave an edge-triggered source with the new token and more directions than before,
//!   and with none if the mode was to change.
//! * `EV_ONESHOT` is of a filter. That one event of either direction silences a source is done
//!   here, see [`special`].
//! * The `udata` is the token, of which all values are legal. Nothing else can be told by it.
//! * kqueue refuses some descriptors: `/dev/tty` and other devices on macOS (`EINVAL`), on the BSDs
//!   the write end of a pipe whose reader is gone (`EPIPE`; on NetBSD `EBADF`, as if it were
//!   closed). See [`beside`] for what is done with them. They are not seen by an outer poller that
//!   watches the queue's descriptor; and they must be deregistered before they are closed, for
//!   nobody else notices.
//!
//! Source: kqueue(2) and kevent(2) of each system, select(2)

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::{Backend, Knocked, SelectorId, Untracked, registration};
use crate::events::{Event, Room};
use crate::interest::{Interest, Mode};
use crate::readiness::Readiness;
use crate::sys::{check, close_on_exec};
use crate::token::Token;

mod bell;
mod beside;
#[cfg(target_os = "linux")]
mod emulation;
mod os;
mod special;
mod watch;

#[cfg(all(target_os = "linux", not(litio_loom)))]
pub(crate) use emulation::WithoutUserEvents;

use bell::Bell;
use os::{Filter, Flags, kevent};
use special::{Entries, Entry, Special};
use watch::{TO_READ, TO_WRITE, Watch};

/// Identifiers of our own user events; a program's have other numbers.
const KNOCK: usize = 0x6c69_746b; // "litk"
const REFRESH: usize = 0x6c69_7472; // "litr"

/// What the kernel reported, before it becomes [`Event`]s.
#[derive(Default)]
pub(crate) struct Buffer {
    raw: Vec<kevent>,
    watch: Watch,
    /// The refused source that was reported last, and whether they come before the queue when there
    /// is room for one event.
    last_refused: RawFd,
    is_turn_of_refused: bool,
}

// SAFETY: the pointers in the raw events are tokens; nobody follows them.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

/// A kqueue.
#[derive(Debug)]
pub(crate) struct Kqueue {
    queue: OwnedFd,
    id: SelectorId,
    special: Special,
    /// Made with the first waker.
    knocker: OnceLock<Bell>,
    /// Made with the first refused descriptor; rung when the poller must look at them anew.
    refresher: OnceLock<Bell>,
    /// Held while a bell is made, so that it is made once.
    bells_lock: Mutex<()>,
}

impl Backend for Kqueue {
    type Buffer = Buffer;
    type Registration = Untracked;
    const DETECTS: Interest = os::DETECTS;

    fn new() -> io::Result<Kqueue> {
        Ok(Kqueue {
            queue: new_queue()?,
            id: SelectorId::unique(),
            special: Special::default(),
            knocker: OnceLock::new(),
            refresher: OnceLock::new(),
            bells_lock: Mutex::new(()),
        })
    }

    fn id(&self) -> SelectorId {
        self.id
    }

    #[inline]
    fn select(
        &self,
        buffer: &mut Buffer,
        mut room: Room<'_>,
        timeout: Option<Duration>,
    ) -> io::Result<Knocked> {
        let mut left = timeout;
        // The clock is read only where there are, or have been, descriptors that kqueue refuses.
        let deadline = match timeout {
            Some(timeout) if self.refresher.get().is_some() => Instant::now().checked_add(timeout),
            _ => None,
        };
        loop {
            if self.special.has_refused() {
                return self.select_beside(buffer, &mut room, left);
            }
            let before = room.left();
            wait(&self.queue, &mut buffer.raw, before, left)?;
            let knocked = self.deliver(&buffer.raw, &mut room);
            if knocked == Knocked::Yes || room.left() < before || buffer.raw.is_empty() {
                return Ok(knocked);
            }
            // Nothing to report: the wait was ended to look at a refused descriptor.
            left = match (left, deadline) {
                (None, _) => None,
                (Some(Duration::ZERO), _) => return Ok(Knocked::No),
                (Some(_), Some(deadline)) => {
                    Some(deadline.saturating_duration_since(Instant::now()))
                }
                // It is the first, and how much of the timeout has passed is not known. The caller
                // may know; else this `poll` ends early.
                (Some(_), None) => return Ok(Knocked::Yes),
            };
        }
    }

    fn register(&self, source: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        self.set(source, token, interest, false)
    }

    fn reregister(&self, source: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        self.set(source, token, interest, true)
    }

    fn deregister(&self, source: RawFd) -> io::Result<()> {
        let mut special = (!self.special.is_empty()).then(|| self.special.lock());
        let mut changes = Changes::default();
        changes.delete(source, os::EVFILT_READ);
        changes.delete(source, os::EVFILT_WRITE);
        changes.submit(&self.queue)?;
        let mut was_found = special
            .as_mut()
            .is_some_and(|special| special.set(source, None).is_some());
        for change in changes.outcomes() {
            match change.errno {
                0 => was_found = true,
                libc::ENOENT => {} // the direction was not asked for, or has been silenced
                errno => return Err(io::Error::from_raw_os_error(errno)),
            }
        }
        if was_found {
            Ok(())
        } else {
            Err(registration::not_registered())
        }
    }

    #[inline]
    fn rearm(&self, _: RawFd, _: Interest) -> io::Result<()> {
        Ok(())
    }

    fn prepare_knocks(&self) -> io::Result<()> {
        self.prepare(&self.knocker, KNOCK)
    }

    fn knock(&self) -> io::Result<()> {
        match self.knocker.get() {
            Some(bell) => bell.ring(&self.queue),
            None => Ok(()), // no waker was ever made, so nobody can be asleep on account of one
        }
    }
}

// Registration

impl Kqueue {
    /// Registers or, if the caller says that it is, changes the registration of a source.
    fn set(
        &self,
        source: RawFd,
        token: Token,
        interest: Interest,
        is_registered: bool,
    ) -> io::Result<()> {
        Self::check_interest(interest)?;
        if source < 0 {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        let is_special = Entry::is_needed(interest);
        let mut special = (is_special || !self.special.is_empty()).then(|| self.special.lock());
        // In the table before the filters are in the queue: what they report must find it.
        let entry = is_special.then(|| Entry::new(token, interest, [false; 2]));
        let old = special
            .as_mut()
            .and_then(|special| special.set(source, entry));

        let mut changes = Changes::default();
        let replaces = old.is_some() || is_registered && is_special;
        if replaces {
            changes.delete(source, os::EVFILT_READ);
            changes.delete(source, os::EVFILT_WRITE);
        }
        for (filter, is_wanted) in [
            (os::EVFILT_READ, interest.is_readable()),
            (os::EVFILT_WRITE, interest.is_writable()),
        ] {
            if is_wanted {
                changes.add(source, filter, token, interest.mode());
            } else if is_registered && !replaces {
                changes.delete(source, filter);
            }
        }

        let result = self.make(source, &mut changes, replaces && old.is_none());
        match result {
            Ok([false, false]) => Ok(()),
            Ok(refused) => {
                let mut special = special.unwrap_or_else(|| self.special.lock());
                special.set(source, Some(Entry::new(token, interest, refused)));
                self.refresh();
                Ok(())
            }
            Err(error) => {
                // Nobody knows the token that an edge-triggered direction had, so what was changed
                // of it stays: an event too many is spurious, one too few would be lost.
                if replaces || !is_registered {
                    changes.undo(source, &self.queue);
                }
                if let Some(mut special) = special {
                    if let Some(old) = &old {
                        self.restore(source, old);
                    }
                    special.set(source, old);
                    self.refresh();
                }
                Err(error)
            }
        }
    }

    /// Submits the changes of a registration and returns the directions that kqueue refuses to
    /// watch.
    fn make(
        &self,
        source: RawFd,
        changes: &mut Changes,
        must_replace: bool,
    ) -> io::Result<[bool; 2]> {
        changes.submit(&self.queue)?;
        let mut refused = [false; 2];
        let mut was_found = false;
        for change in changes.outcomes() {
            match (change.is_addition, change.errno) {
                (true, 0) => {}
                (true, errno) if is_refusal(source, change.filter, errno) => {
                    refused[usize::from(change.filter == os::EVFILT_WRITE)] = true;
                }
                (false, libc::ENOENT) => {} // the direction was not asked for before
                (false, 0) => was_found = true,
                (_, errno) => return Err(io::Error::from_raw_os_error(errno)),
            }
        }
        if must_replace && !was_found {
            return Err(registration::not_registered());
        }
        if refused != [false; 2] {
            self.prepare(&self.refresher, REFRESH)?;
        }
        Ok(refused)
    }

    /// Puts back what a change has taken out that then failed.
    fn restore(&self, source: RawFd, old: &Entry) {
        if old.is_spent {
            return;
        }
        let mut changes = Changes::default();
        for (filter, is_asked, refused) in [
            (
                os::EVFILT_READ,
                old.interest.is_readable(),
                old.refused[TO_READ],
            ),
            (
                os::EVFILT_WRITE,
                old.interest.is_writable(),
                old.refused[TO_WRITE],
            ),
        ] {
            if is_asked && refused.is_none() {
                changes.add(source, filter, old.token, old.interest.mode());
            }
        }
        // They were there a moment ago. If they cannot be put back, there is nothing else to do.
        let _ = changes.submit(&self.queue);
    }

    /// Makes a poller that sleeps look at the refused descriptors anew.
    fn refresh(&self) {
        if let Some(bell) = self.refresher.get() {
            // It looks with the next `select` in any case, and there is nothing to be undone here.
            let _ = bell.ring(&self.queue);
        }
    }

    fn prepare(&self, bell: &OnceLock<Bell>, ident: usize) -> io::Result<()> {
        let _guard = self
            .bells_lock
            .lock()
            .expect("nothing panics while this is held");
        if bell.get().is_none() {
            let _ = bell.set(Bell::new(&self.queue, ident)?);
        }
        Ok(())
    }
}

// Waiting

impl Kqueue {
    /// Turns what the kernel reported into events.
    #[inline]
    fn deliver(&self, raw: &[kevent], room: &mut Room<'_>) -> Knocked {
        let is_bell =
            |event: &kevent| has_rung(&self.knocker, event) || has_rung(&self.refresher, event);
        if !self.special.is_empty() || raw.iter().any(is_bell) {
            return self.deliver_each(raw, room);
        }
        room.extend(raw.iter().map(|event| translate(event, readiness(event))));
        Knocked::No
    }

    /// As [`deliver`](Kqueue::deliver), with everything that is looked up.
    fn deliver_each(&self, raw: &[kevent], room: &mut Room<'_>) -> Knocked {
        let mut special = if self.special.is_empty() {
            None
        } else {
            Some(self.special.lock())
        };
        if let Some(special) = &mut special {
            gather(special, raw);
        }
        let mut knocked = Knocked::No;
        let mut silenced = Vec::new();
        for event in raw {
            if has_rung(&self.knocker, event) {
                knocked = Knocked::Yes;
            } else if !has_rung(&self.refresher, event) {
                let mut readiness = readiness(event);
                if let Some(entry) = special.as_mut().and_then(|special| oneshot(special, event)) {
                    readiness = std::mem::take(&mut entry.gathered);
                    if readiness.is_empty() {
                        continue; // reported with its sibling, or before
                    }
                    silence(&mut silenced, event.ident as RawFd, entry, readiness);
                }
                room.push(translate(event, readiness));
            }
        }
        if !silenced.is_empty() {
            // One that is gone is as good as deleted, and there is nothing else to fail. It is done
            // before the table is unlocked: not to take away what another thread registers next.
            let _ = submit(&self.queue, &mut silenced);
        }
        knocked
    }
}

impl AsRawFd for Kqueue {
    fn as_raw_fd(&self) -> RawFd {
        self.queue.as_raw_fd()
    }
}

impl AsFd for Kqueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer")
            .field("capacity", &self.raw.capacity())
            .field("watch", &self.watch)
            .finish_non_exhaustive()
    }
}

// One-shot sources

/// Adds up what a batch says of each one-shot source, so that it becomes one event.
fn gather(special: &mut Entries<'_>, raw: &[kevent]) {
    for event in raw {
        if let Some(entry) = oneshot(special, event) {
            if !entry.is_spent {
                entry.gathered |= readiness(event);
            }
        }
    }
}

/// The one-shot source that an event is of. An event under another token is of an earlier
/// registration, and was taken from the kernel before that was changed: it is reported as it is.
fn oneshot<'a>(special: &'a mut Entries<'_>, event: &kevent) -> Option<&'a mut Entry> {
    if event.filter != os::EVFILT_READ && event.filter != os::EVFILT_WRITE {
        return None; // `ident` is not a descriptor
    }
    special
        .get_mut(event.ident as RawFd)
        .filter(|entry| entry.interest.is_oneshot() && entry.token == token(event))
}

/// Silences a one-shot source that is being reported: the filters that have fired are out of the
/// queue, the others follow.
fn silence(changes: &mut Vec<kevent>, source: RawFd, entry: &mut Entry, reported: Readiness) {
    entry.is_spent = true;
    let flags = os::EV_DELETE | os::EV_RECEIPT;
    for (filter, is_asked, bit) in [
        (
            os::EVFILT_READ,
            entry.interest.is_readable(),
            Readiness::READABLE,
        ),
        (
            os::EVFILT_WRITE,
            entry.interest.is_writable(),
            Readiness::WRITABLE,
        ),
    ] {
        if is_asked && !reported.contains(bit) {
            changes.push(change(source as usize, filter, flags, 0));
        }
    }
}

// Calls

fn new_queue() -> io::Result<OwnedFd> {
    // SAFETY: takes nothing.
    let fd = check(unsafe { os::kqueue() })?;
    // SAFETY: the call above made this descriptor, and nobody else has it.
    let queue = unsafe { OwnedFd::from_raw_fd(fd) };
    // Between the two calls nothing is inherited either: a queue does not survive fork(2).
    close_on_exec(&queue)?;
    Ok(queue)
}

/// Fills `raw` with at most `limit` events.
#[inline]
fn wait(
    queue: &OwnedFd,
    raw: &mut Vec<kevent>,
    limit: usize,
    timeout: Option<Duration>,
) -> io::Result<()> {
    raw.clear();
    raw.reserve(limit);
    let mut left = timeout;
    loop {
        let (timeout, after) = left.map(timespec).unzip();
        // SAFETY: kevent reads no change and the timeout, if there is one, and writes at most
        // `limit` entries, for which there is room.
        let count = check(unsafe {
            os::kevent(
                queue.as_raw_fd(),
                ptr::null(),
                0,
                raw.as_mut_ptr(),
                at_most(limit) as _,
                timeout.as_ref().map_or(ptr::null(), ptr::from_ref),
            )
        })?;
        if count > 0 || after == Some(Duration::ZERO) {
            // SAFETY: the call wrote the first `count` entries, for which there is room.
            unsafe { raw.set_len(count as usize) };
            return Ok(());
        }
        left = after;
    }
}

// Changes and events

/// What a registration asks of the kernel, and then what came of it.
struct Changes {
    list: [kevent; 4],
    are_additions: [bool; 4],
    length: usize,
}

/// What came of a change.
struct Outcome {
    filter: Filter,
    is_addition: bool,
    errno: i32,
}

impl Default for Changes {
    fn default() -> Changes {
        Changes {
            list: [change(0, 0, 0, 0); 4],
            are_additions: [false; 4],
            length: 0,
        }
    }
}

impl Changes {
    fn add(&mut self, source: RawFd, filter: Filter, token: Token, mode: Mode) {
        let flags = match mode {
            Mode::Edge | Mode::Paced => os::EV_ADD | os::EV_RECEIPT | os::EV_CLEAR,
            Mode::Level => os::EV_ADD | os::EV_RECEIPT,
            Mode::OneShot => os::EV_ADD | os::EV_RECEIPT | os::EV_ONESHOT,
        };
        self.push(change(source as usize, filter, flags, token.0), true);
    }

    fn delete(&mut self, source: RawFd, filter: Filter) {
        let flags = os::EV_DELETE | os::EV_RECEIPT;
        self.push(change(source as usize, filter, flags, 0), false);
    }

    fn push(&mut self, change: kevent, is_addition: bool) {
        self.list[self.length] = change;
        self.are_additions[self.length] = is_addition;
        self.length += 1;
    }

    fn submit(&mut self, queue: &OwnedFd) -> io::Result<()> {
        if self.length == 0 {
            return Ok(());
        }
        submit(queue, &mut self.list[..self.length])
    }

    fn outcomes(&self) -> impl Iterator<Item = Outcome> {
        self.list[..self.length]
            .iter()
            .zip(self.are_additions)
            .map(|(change, is_addition)| Outcome {
                filter: change.filter,
                is_addition,
                errno: errno(change),
            })
    }

    /// Takes back the additions that succeeded.
    fn undo(&self, source: RawFd, queue: &OwnedFd) {
        let mut deletions = Changes::default();
        for change in self.outcomes() {
            if change.is_addition && change.errno == 0 {
                deletions.delete(source, change.filter);
            }
        }
        // They are there and can be deleted, or the descriptor was closed and took them along.
        let _ = deletions.submit(queue);
    }
}

/// Makes the changes, which must have `EV_RECEIPT`, and puts in their place what came of each: see
/// [`errno`].
fn submit(queue: &OwnedFd, changes: &mut [kevent]) -> io::Result<()> {
    let now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let list = changes.as_mut_ptr();
    // SAFETY: kevent reads each change before it writes the receipt in its place, and as many as
    // there are.
    let count = check(unsafe {
        os::kevent(
            queue.as_raw_fd(),
            list,
            changes.len() as _,
            list,
            changes.len() as _,
            &now,
        )
    });
    match count {
        // "All changes in the changelist have been applied", says kevent(2).
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(error),
        Ok(count) => {
            debug_assert_eq!(count as usize, changes.len(), "each change has its receipt");
            Ok(())
        }
    }
}

fn change(ident: usize, filter: Filter, flags: Flags, udata: usize) -> kevent {
    // SAFETY: a `kevent` is integers and a pointer, which may be null.
    let mut change: kevent = unsafe { std::mem::zeroed() };
    change.ident = ident;
    change.filter = filter;
    change.flags = flags;
    change.udata = ptr::without_provenance_mut(udata);
    change
}

/// What a receipt says: an error's code, or 0.
fn errno(receipt: &kevent) -> i32 {
    if receipt.flags & os::EV_ERROR != 0 {
        receipt.data as i32
    } else {
        0
    }
}

/// True if kqueue will not watch this direction of the descriptor, while select(2) will.
fn is_refusal(source: RawFd, filter: Filter, errno: i32) -> bool {
    match errno {
        libc::EINVAL | libc::ENODEV => true,
        // One number on some systems.
        errno if errno == libc::EOPNOTSUPP || errno == libc::ENOTSUP => true,
        // The BSDs do not take the write end of a pipe whose reader is gone, and NetBSD says of it
        // what all say of a descriptor that is closed. Mac OS X 10.11 said EPIPE too, but reported
        // it all the same: twice, now.
        libc::EPIPE => filter == os::EVFILT_WRITE,
        libc::EBADF => filter == os::EVFILT_WRITE && is_open(source),
        _ => false,
    }
}

fn is_open(fd: RawFd) -> bool {
    // SAFETY: takes integers.
    check(unsafe { libc::fcntl(fd, libc::F_GETFD) }).is_ok()
}

#[inline]
fn has_rung(bell: &OnceLock<Bell>, event: &kevent) -> bool {
    bell.get().is_some_and(|bell| bell.has_rung(event))
}

#[inline]
fn translate(event: &kevent, readiness: Readiness) -> Event {
    Event::with_details(token(event), readiness, word(event))
}

#[inline]
fn token(event: &kevent) -> Token {
    Token(event.udata.addr())
}

/// What the kernel's answer means. The table is in [`Event`]'s documentation.
#[inline]
fn readiness(event: &kevent) -> Readiness {
    let filter = event.filter;
    let is_eof = event.flags & os::EV_EOF != 0;
    let is_error = event.flags & os::EV_ERROR != 0;
    let (is_read, is_write) = (filter == os::EVFILT_READ, filter == os::EVFILT_WRITE);
    Readiness::READABLE.when(is_read || filter == os::EVFILT_USER)
        | Readiness::WRITABLE.when(is_write)
        | Readiness::ERROR.when(is_error || is_eof && event.fflags != 0)
        | Readiness::READ_CLOSED.when(is_read && is_eof)
        | Readiness::WRITE_CLOSED.when(is_write && is_eof)
        | Readiness::AIO.when(filter == os::EVFILT_AIO)
        | Readiness::LIO.when(os::EVFILT_LIO == Some(filter))
}

/// What [`Event::with_details`] keeps: the filter, the flags and `fflags`.
#[inline]
fn word(event: &kevent) -> u64 {
    // Filters are small numbers, negative on most systems; NetBSD has both in wider types.
    let (filter, flags) = (event.filter as u64 & 0xff, u64::from(event.flags) & 0xffff);
    filter << 48 | flags << 32 | u64::from(event.fflags)
}

/// The unit of `kevent`, and what is left after that: a timeout of more than eleven days takes
/// several waits, because some systems refuse long ones.
fn timespec(timeout: Duration) -> (libc::timespec, Duration) {
    const MOST: Duration = Duration::from_secs(1_000_000);
    let now = timeout.min(MOST);
    let spec = libc::timespec {
        tv_sec: now.as_secs() as _,
        tv_nsec: now.subsec_nanos() as _,
    };
    (spec, timeout - now)
}

/// The `nevents` of a wait, which is an `int` on most systems.
fn at_most(limit: usize) -> i32 {
    limit.min(i32::MAX as usize / size_of::<kevent>()) as i32
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use super::*;
    use crate::events::Events;

    pub(super) const R: Interest = Interest::READABLE;
    pub(super) const W: Interest = Interest::WRITABLE;
    pub(super) const RW: Interest = R.add(W);
    pub(super) const SOON: Duration = Duration::from_secs(10);
    pub(super) const QUIET: Duration = Duration::from_millis(5);

    /// A queue and what `select` needs.
    pub(super) struct Rig {
        pub(super) kqueue: Arc<Kqueue>,
        pub(super) buffer: Buffer,
        pub(super) capacity: usize,
    }

    impl Rig {
        pub(super) fn new() -> Rig {
            Rig {
                kqueue: Arc::new(Kqueue::new().unwrap()),
                buffer: Buffer::default(),
                capacity: 16,
            }
        }

        /// One `select`, which must report no knock.
        pub(super) fn select(&mut self, timeout: Duration) -> Vec<(usize, Readiness)> {
            let mut events = Events::with_capacity(self.capacity);
            let room = events.room(usize::MAX);
            let knocked = self
                .kqueue
                .select(&mut self.buffer, room, Some(timeout))
                .unwrap();
            assert_eq!(knocked, Knocked::No);
            events
                .iter()
                .map(|event| (event.token().0, event.readiness()))
                .collect()
        }

        pub(super) fn register(&self, source: &impl AsRawFd, token: usize, interest: Interest) {
            let source = source.as_raw_fd();
            self.kqueue
                .register(source, Token(token), interest)
                .unwrap();
        }

        pub(super) fn reregister(&self, source: &impl AsRawFd, token: usize, interest: Interest) {
            let source = source.as_raw_fd();
            self.kqueue
                .reregister(source, Token(token), interest)
                .unwrap();
        }

        /// Whether the queue has the filters of a source; they are gone after.
        fn take_filters(&self, source: &impl AsRawFd) -> [bool; 2] {
            let flags = os::EV_DELETE | os::EV_RECEIPT;
            [os::EVFILT_READ, os::EVFILT_WRITE].map(|filter| {
                let mut changes = [change(source.as_raw_fd() as usize, filter, flags, 0)];
                submit(&self.kqueue.queue, &mut changes).unwrap();
                errno(&changes[0]) == 0
            })
        }
    }

    /// Two ends that do not block; the first has something to read.
    pub(super) fn pair() -> (UnixStream, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        theirs.write_all(b"x").unwrap();
        (ours, theirs)
    }

    pub(super) fn drain(mut stream: &UnixStream) {
        while stream.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
    }

    #[test]
    fn what_kqueue_does_not_watch_is_a_refusal() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let refuses = |filter, errno| is_refusal(ours.as_raw_fd(), filter, errno);
        for errno in [libc::EINVAL, libc::ENODEV, libc::EOPNOTSUPP, libc::ENOTSUP] {
            assert!(refuses(os::EVFILT_READ, errno), "{errno}");
        }
        // The write end of a pipe without a reader.
        for errno in [libc::EPIPE, libc::EBADF] {
            assert!(refuses(os::EVFILT_WRITE, errno), "{errno}");
            assert!(!refuses(os::EVFILT_READ, errno), "{errno}");
        }
        assert!(!refuses(os::EVFILT_READ, libc::ENOMEM));
    }

    #[test]
    fn no_more_is_asked_for_than_fits() {
        assert_eq!(at_most(1024), 1024);
        let most = at_most(usize::MAX) as usize;
        assert!((1 << 20..=i32::MAX as usize / size_of::<kevent>()).contains(&most));
    }

    #[test]
    fn zero_is_a_descriptor() {
        let error = Rig::new().kqueue.register(0, Token(7), R).err();
        assert_ne!(
            error.and_then(|error| error.raw_os_error()),
            Some(libc::EBADF)
        );
    }

    #[test]
    fn each_kernel_answer_means_what_the_table_says() {
        use Readiness as R;
        for (filter, flags, fflags, expected) in [
            (os::EVFILT_READ, 0, 0, R::READABLE),
            (os::EVFILT_READ, os::EV_CLEAR, 7, R::READABLE),
            (os::EVFILT_READ, os::EV_EOF, 0, R::READABLE | R::READ_CLOSED),
            (
                os::EVFILT_READ,
                os::EV_EOF,
                1,
                R::READABLE | R::READ_CLOSED | R::ERROR,
            ),
            (os::EVFILT_WRITE, 0, 0, R::WRITABLE),
            (
                os::EVFILT_WRITE,
                os::EV_EOF,
                0,
                R::WRITABLE | R::WRITE_CLOSED,
            ),
            (
                os::EVFILT_WRITE,
                os::EV_EOF,
                1,
                R::WRITABLE | R::WRITE_CLOSED | R::ERROR,
            ),
            (os::EVFILT_WRITE, os::EV_ERROR, 0, R::WRITABLE | R::ERROR),
            (os::EVFILT_USER, 0, 1, R::READABLE),
            (os::EVFILT_AIO, 0, 0, R::AIO),
            (os::EVFILT_AIO, os::EV_EOF, 0, R::AIO),
            (99, 0, 0, R::EMPTY),
        ] {
            let mut event = change(1, filter, flags, 2);
            event.fflags = fflags;
            assert_eq!(readiness(&event), expected, "{filter} {flags:#x} {fflags}");
        }
    }

    #[test]
    fn the_raw_word_keeps_filter_flags_and_filter_flags_apart() {
        let mut event = change(1, os::EVFILT_USER, os::EV_EOF | os::EV_CLEAR, usize::MAX);
        event.fflags = 0x1234_5678;
        let filter = u64::from(os::EVFILT_USER as u8);
        assert_eq!(word(&event), filter << 48 | 0x8020 << 32 | 0x1234_5678);
        assert_eq!(token(&event), Token(usize::MAX));
    }

    #[test]
    fn a_long_timeout_takes_several_waits() {
        let parts = |timeout| {
            let (spec, left) = timespec(timeout);
            (spec.tv_sec as u64, spec.tv_nsec as u32, left)
        };
        let none = Duration::ZERO;
        assert_eq!(parts(none), (0, 0, none));
        assert_eq!(parts(Duration::new(3, 1)), (3, 1, none));
        assert_eq!(parts(Duration::from_secs(1_000_000)), (1_000_000, 0, none));
        let left = Duration::MAX - Duration::from_secs(1_000_000);
        assert_eq!(parts(Duration::MAX), (1_000_000, 0, left));
    }

    #[test]
    fn the_queue_is_close_on_exec() {
        let rig = Rig::new();
        // SAFETY: takes integers.
        let flags = unsafe { libc::fcntl(rig.kqueue.as_raw_fd(), libc::F_GETFD) };
        assert_eq!(flags, libc::FD_CLOEXEC);
    }

    #[test]
    fn a_registration_has_the_filters_of_its_interest_and_no_others() {
        let rig = Rig::new();
        let (source, _peer) = pair();
        for mode in [|interest| interest, Interest::level, Interest::oneshot] {
            for (first, second, filters) in [
                (R, R, [true, false]),
                (R, W, [false, true]),
                (RW, R, [true, false]),
                (RW, W, [false, true]),
                (W, RW, [true, true]),
            ] {
                rig.register(&source, 1, mode(first));
                rig.reregister(&source, 2, mode(second));
                assert_eq!(rig.take_filters(&source), filters, "{first:?} {second:?}");
                let _ = rig.kqueue.deregister(source.as_raw_fd());
                rig.register(&source, 1, mode(first));
                rig.kqueue.deregister(source.as_raw_fd()).unwrap();
                assert_eq!(rig.take_filters(&source), [false, false]);
                assert!(rig.kqueue.special.is_empty());
            }
        }
    }

    #[test]
    fn what_is_not_there_cannot_be_removed() {
        let rig = Rig::new();
        let (source, _peer) = pair();
        let source = source.as_raw_fd();
        for _ in 0..2 {
            let error = rig.kqueue.deregister(source).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            for interest in [RW.level(), R.oneshot()] {
                let error = rig.kqueue.reregister(source, Token(1), interest);
                assert_eq!(error.unwrap_err().kind(), io::ErrorKind::NotFound);
            }
            rig.kqueue.register(source, Token(1), RW).unwrap();
            rig.kqueue.deregister(source).unwrap();
        }
        assert!(rig.kqueue.special.is_empty());
    }

    #[test]
    fn a_failed_registration_leaves_no_trace() {
        let rig = Rig::new();
        let (source, _peer) = pair();
        let closed = crate::sys::high_numbers::duplicate(&source).as_raw_fd();
        for (interest, closed) in [
            (R, closed),
            (RW, -1),
            (RW.level(), closed),
            (W.oneshot(), closed),
        ] {
            for result in [
                rig.kqueue.register(closed, Token(1), interest),
                rig.kqueue.reregister(closed, Token(1), interest),
                rig.kqueue.deregister(closed),
            ] {
                assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBADF));
            }
        }
        assert!(rig.kqueue.special.is_empty());
    }

    #[test]
    #[cfg(target_os = "linux")] // the emulation refuses what it is told to
    fn a_change_that_fails_leaves_the_registration() {
        for mode in [|interest| interest, Interest::level, Interest::oneshot] {
            let mut rig = Rig::new();
            let (source, _peer) = pair();
            rig.register(&source, 1, mode(R));
            emulation::refuse(rig.kqueue.as_raw_fd(), |change| {
                (change.filter == os::EVFILT_WRITE).then_some(libc::ENOMEM)
            });
            let result = rig
                .kqueue
                .reregister(source.as_raw_fd(), Token(1), mode(RW));
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ENOMEM));
            assert_eq!(rig.select(SOON), [(1, Readiness::READABLE)]);
            rig.kqueue.deregister(source.as_raw_fd()).unwrap();
            assert!(rig.kqueue.special.is_empty());
        }
    }

    /// A one-shot source with events of both directions in one batch, and in two.
    #[test]
    fn a_one_shot_source_is_silent_in_the_queue_too() {
        for capacity in [1, 16] {
            let mut rig = Rig::new();
            rig.capacity = capacity;
            let (source, _peer) = pair();
            rig.register(&source, usize::MAX, RW.oneshot());
            for _ in 0..3 {
                let seen = rig.select(SOON);
                assert_eq!(seen.len(), 1, "{seen:?}");
                assert_eq!(seen[0].0, usize::MAX);
                if capacity > 1 {
                    assert_eq!(seen[0].1, Readiness::READABLE | Readiness::WRITABLE);
                }
                assert_eq!(rig.take_filters(&source), [false, false]);
                rig.reregister(&source, usize::MAX, RW.oneshot());
            }
            rig.kqueue.deregister(source.as_raw_fd()).unwrap();
            assert!(rig.kqueue.special.is_empty());
        }
    }

    /// What the kernel handed out before the source was registered anew must not spend the new
    /// registration.
    #[test]
    fn an_event_of_an_earlier_registration_does_not_spend_a_one_shot_source() {
        let mut rig = Rig::new();
        let (source, _peer) = pair();
        let fd = source.as_raw_fd() as usize;
        rig.register(&source, 2, RW.oneshot());
        let stale = [change(fd, os::EVFILT_WRITE, 0, 1)];
        let mut events = Events::with_capacity(4);
        rig.kqueue.deliver(&stale, &mut events.room(4));
        let tokens: Vec<_> = events.iter().map(|event| event.token().0).collect();
        assert_eq!(tokens, [1]);
        let both = Readiness::READABLE | Readiness::WRITABLE;
        assert_eq!(rig.select(SOON), [(2, both)]);
    }

    #[test]
    fn a_number_that_is_used_again_does_not_inherit_a_mode() {
        let mut rig = Rig::new();
        let (source, peer) = pair();
        let first = crate::sys::high_numbers::duplicate(&source);
        let fd = first.as_raw_fd();
        rig.register(&first, 1, R.oneshot());
        assert_eq!(rig.select(SOON).len(), 1);
        drop((first, source, peer));
        let (source, mut peer) = pair();
        // SAFETY: dup2 takes two numbers; the second is free and comes to nobody else.
        let again = unsafe { libc::dup2(source.as_raw_fd(), fd) };
        assert_eq!(again, fd);
        // SAFETY: made above.
        let again = unsafe { OwnedFd::from_raw_fd(again) };
        rig.register(&again, 2, R);
        for _ in 0..3 {
            assert_eq!(rig.select(SOON), [(2, Readiness::READABLE)]);
            assert_eq!(rig.select(QUIET), []);
            drain(&source);
            peer.write_all(b"x").unwrap();
        }
    }

    #[test]
    fn a_programs_own_filters_are_delivered() {
        let mut rig = Rig::new();
        rig.kqueue.prepare_knocks().unwrap();
        for (ident, token) in [(1, 0), (KNOCK + 1, usize::MAX)] {
            let flags = os::EV_ADD | os::EV_CLEAR | os::EV_RECEIPT;
            let mut add = [change(ident, os::EVFILT_USER, flags, token)];
            submit(&rig.kqueue.queue, &mut add).unwrap();
            let mut trigger = [change(ident, os::EVFILT_USER, os::EV_RECEIPT, token)];
            trigger[0].fflags = os::NOTE_TRIGGER;
            submit(&rig.kqueue.queue, &mut trigger).unwrap();
            assert_eq!(rig.select(SOON), [(token, Readiness::READABLE)]);
            assert_eq!(rig.select(Duration::ZERO), []);
        }
    }

    #[test]
    fn aio_is_registered_without_filters_and_remembered() {
        let rig = Rig::new();
        let (source, _peer) = pair();
        if !Interest::AIO.is_within(Kqueue::DETECTS) {
            let result = rig
                .kqueue
                .register(source.as_raw_fd(), Token(1), Interest::AIO);
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::Unsupported);
            return;
        }
        rig.register(&source, 1, Interest::AIO);
        rig.kqueue.deregister(source.as_raw_fd()).unwrap();
        let error = rig.kqueue.deregister(source.as_raw_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
