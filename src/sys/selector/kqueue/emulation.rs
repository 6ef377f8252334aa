//! For tests on Linux only: enough of kqueue for the backend to run, out of epoll.
//!
//! One epoll holds one entry per descriptor, and a queue has two filters with edges of their own.
//! So there are two epolls, one to read and one to write, inside a third, which is the queue's
//! descriptor, together with an eventfd for user events.
//!
//! It is our reading of the manual, made hard where the systems differ: adding a filter that is
//! there does not change its trigger mode. It is softer than the real thing where epoll cannot
//! tell: shutting down the write side here does not report `EV_EOF`, an unconnected socket has hung
//! up, and a duplicate keeps a closed descriptor in the queue.
//!
//! What epoll refuses (regular files, `/dev/null`) is refused with `EINVAL`, as macOS refuses
//! `/dev/tty`.

#![allow(non_camel_case_types)]

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::{Buffer, Kqueue};
use crate::events::Room;
use crate::interest::Interest;
use crate::sys::selector::{Backend, Knocked, SelectorId, Untracked};
use crate::token::Token;

pub(super) const EVFILT_READ: i16 = -1;
pub(super) const EVFILT_WRITE: i16 = -2;
pub(super) const EVFILT_AIO: i16 = -3;
pub(super) const EVFILT_USER: i16 = -11;

pub(super) const EV_ADD: u16 = 0x1;
pub(super) const EV_DELETE: u16 = 0x2;
pub(super) const EV_ONESHOT: u16 = 0x10;
pub(super) const EV_CLEAR: u16 = 0x20;
pub(super) const EV_RECEIPT: u16 = 0x40;
pub(super) const EV_ERROR: u16 = 0x4000;
pub(super) const EV_EOF: u16 = 0x8000;
pub(super) const NOTE_TRIGGER: u32 = 0x0100_0000;

/// As on FreeBSD before 12, on macOS and on DragonFly.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct kevent {
    pub(super) ident: usize,
    pub(super) filter: i16,
    pub(super) flags: u16,
    pub(super) fflags: u32,
    pub(super) data: isize,
    pub(super) udata: *mut c_void,
}

/// A queue, found by its descriptor.
struct Queue {
    /// The epolls to read and to write.
    epolls: [OwnedFd; 2],
    /// An eventfd, readable while a user event is triggered.
    user: OwnedFd,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    notes: BTreeMap<Key, Note>,
    /// What the epolls know the notes by: never used again, so that what comes too late is
    /// nobody's.
    names: BTreeMap<u64, Key>,
    last_name: u64,
    /// Which epoll is asked first.
    turn: usize,
    refuses: Option<Refusal>,
}

/// What is refused, and with which error.
type Refusal = Box<dyn Fn(&kevent) -> Option<i32> + Send>;

/// Filter and identifier.
type Key = (i16, usize);

#[derive(Clone, Copy)]
struct Note {
    name: u64,
    flags: u16,
    udata: *mut c_void,
    is_triggered: bool,
}

// SAFETY: the pointers are tokens; nobody follows them.
unsafe impl Send for State {}

/// A queue stays here when its descriptor is closed, until a new one is made: nobody tells us.
static QUEUES: Mutex<BTreeMap<RawFd, Arc<Queue>>> = Mutex::new(BTreeMap::new());

/// kqueue(2).
///
/// # Safety
///
/// None is asked of the caller; but a C function is unsafe.
pub(super) unsafe fn kqueue() -> c_int {
    let epoll = || {
        // SAFETY: takes no memory.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(fd >= 0, "epoll_create1");
        // SAFETY: the call above made this descriptor, and nobody else has it.
        unsafe { OwnedFd::from_raw_fd(fd) }
    };
    // SAFETY: takes no memory.
    let user = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    assert!(user >= 0, "eventfd");
    let queue = Queue {
        epolls: [epoll(), epoll()],
        // SAFETY: the call above made this descriptor, and nobody else has it.
        user: unsafe { OwnedFd::from_raw_fd(user) },
        state: Mutex::default(),
    };
    let outer = epoll();
    for inner in queue.epolls.iter().chain([&queue.user]) {
        control(
            &outer,
            libc::EPOLL_CTL_ADD,
            inner.as_raw_fd(),
            libc::EPOLLIN,
            0,
        )
        .unwrap();
    }
    let fd = outer.as_raw_fd();
    let mut queues = QUEUES.lock().unwrap();
    queues.retain(|fd, queue| is_open(*fd, queue));
    queues.insert(outer.into_raw_fd(), Arc::new(queue));
    fd
}

/// Whether the number still stands for the queue: whether it is that of an epoll which has the
/// queue's eventfd.
fn is_open(fd: RawFd, queue: &Queue) -> bool {
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: 0,
    };
    let user = queue.user.as_raw_fd();
    // SAFETY: epoll_ctl reads one event, which is given.
    unsafe { libc::epoll_ctl(fd, libc::EPOLL_CTL_MOD, user, &mut event) == 0 }
}

/// Makes a queue refuse some of what would be added to it.
pub(super) fn refuse(queue: RawFd, refuses: impl Fn(&kevent) -> Option<i32> + Send + 'static) {
    queue_of(queue).unwrap().state().refuses = Some(Box::new(refuses));
}

/// kevent(2).
///
/// # Safety
///
/// * `changes` has `change_count` entries, `events` has room for `event_count`; they may be the
///   same.
/// * `timeout` is null or valid.
pub(super) unsafe fn kevent(
    queue: c_int,
    changes: *const kevent,
    change_count: c_int,
    events: *mut kevent,
    event_count: c_int,
    timeout: *const libc::timespec,
) -> c_int {
    let signals = SignalsHeld::new();
    let Some(inner) = queue_of(queue) else {
        return fail(libc::EBADF);
    };
    let limit = event_count as usize;
    let mut written = 0;
    let mut put = |event: kevent| {
        // SAFETY: the caller has room for `event_count` events, of which fewer were written.
        let place = unsafe { events.add(written) };
        // SAFETY: as above.
        unsafe { place.write(event) };
        written += 1;
        written
    };
    let mut receipts = 0;
    for i in 0..change_count as usize {
        // SAFETY: the caller gives `change_count` changes.
        let change = unsafe { changes.add(i) };
        // SAFETY: as above.
        let mut change = unsafe { change.read() };
        let result = inner.apply(&change);
        if result.is_ok() && change.flags & EV_RECEIPT == 0 {
            continue;
        }
        let errno = result.err().unwrap_or(0);
        if receipts == limit {
            return fail(errno);
        }
        change.flags = EV_ERROR;
        change.data = errno as isize;
        receipts = put(change);
    }
    if receipts > 0 || limit == 0 {
        return receipts as c_int;
    }
    // SAFETY: the caller gives a timeout or null.
    let timeout = unsafe { timeout.as_ref() };
    let timeout = timeout.map(|t| Duration::new(t.tv_sec as u64, t.tv_nsec as u32));
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let mut count = 0;
        inner.harvest(limit, |event| count = put(event));
        if count > 0 {
            return count as c_int;
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return 0;
        }
        let left = left.map(|left| libc::timespec {
            tv_sec: left.as_secs() as _,
            tv_nsec: left.subsec_nanos() as _,
        });
        let mut outer = libc::pollfd {
            fd: queue,
            events: libc::POLLIN,
            revents: 0,
        };
        let left = left.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: one pollfd is given and one is counted; the timeout and the mask are read.
        if unsafe { libc::ppoll(&mut outer, 1, left, &signals.before) } < 0 {
            return -1;
        }
    }
}

/// Holds signals back while it exists. In a system call they come only where it waits; here a
/// handler that makes calls of its own must not find a lock that its own thread holds.
struct SignalsHeld {
    before: libc::sigset_t,
}

impl SignalsHeld {
    fn new() -> SignalsHeld {
        // SAFETY: a set of signals is integers.
        let [mut all, mut before]: [libc::sigset_t; 2] = unsafe { std::mem::zeroed() };
        // SAFETY: sigfillset writes the set.
        unsafe { libc::sigfillset(&mut all) };
        // SAFETY: one set is read, the other written.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before) };
        SignalsHeld { before }
    }
}

impl Drop for SignalsHeld {
    fn drop(&mut self) {
        // SAFETY: the set is read, and none is written.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, ptr::null_mut()) };
    }
}

fn queue_of(fd: RawFd) -> Option<Arc<Queue>> {
    QUEUES.lock().unwrap().get(&fd).cloned()
}

fn fail(errno: i32) -> c_int {
    // SAFETY: takes nothing.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the pointer is to this thread's `errno`.
    unsafe { place.write(errno) };
    -1
}

fn control(epoll: &OwnedFd, operation: i32, fd: RawFd, events: i32, name: u64) -> Result<(), i32> {
    let mut event = libc::epoll_event {
        events: events as u32,
        u64: name,
    };
    // SAFETY: epoll_ctl reads one event, which is given.
    match unsafe { libc::epoll_ctl(epoll.as_raw_fd(), operation, fd, &mut event) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error().raw_os_error().unwrap()),
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn apply(&self, change: &kevent) -> Result<(), i32> {
        let state = &mut *self.state();
        let refusal = state.refuses.as_ref().and_then(|refuses| refuses(change));
        match (change.filter, refusal) {
            (_, Some(errno)) if change.flags & EV_ADD != 0 => Err(errno),
            (EVFILT_READ | EVFILT_WRITE, _) => self.apply_descriptor(state, change),
            (EVFILT_USER, _) => self.apply_user(state, change),
            _ => Err(libc::EINVAL),
        }
    }

    fn apply_descriptor(&self, state: &mut State, change: &kevent) -> Result<(), i32> {
        let key = (change.filter, change.ident);
        let fd = change.ident as RawFd;
        let epoll = &self.epolls[usize::from(change.filter == EVFILT_WRITE)];
        // SAFETY: takes integers.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            return Err(libc::EBADF);
        }
        if change.flags & EV_DELETE != 0 {
            let note = state.notes.remove(&key).ok_or(libc::ENOENT)?;
            state.names.remove(&note.name);
            return control(epoll, libc::EPOLL_CTL_DEL, fd, 0, 0);
        }
        let direction = match change.filter {
            EVFILT_READ => libc::EPOLLIN | libc::EPOLLRDHUP,
            _ => libc::EPOLLOUT,
        };
        if let Some(note) = state.notes.get_mut(&key) {
            let events = direction | trigger(note.flags);
            match control(epoll, libc::EPOLL_CTL_MOD, fd, events, note.name) {
                Err(libc::ENOENT) => {} // closed since, and this is another file
                result => {
                    note.udata = change.udata;
                    return result;
                }
            }
        }
        if change.flags & EV_ADD == 0 {
            return Err(libc::ENOENT);
        }
        let name = state.insert(key, change);
        let events = direction | trigger(change.flags);
        control(epoll, libc::EPOLL_CTL_ADD, fd, events, name).map_err(|errno| {
            state.notes.remove(&key);
            state.names.remove(&name);
            match errno {
                libc::EPERM => libc::EINVAL,
                errno => errno,
            }
        })
    }

    fn apply_user(&self, state: &mut State, change: &kevent) -> Result<(), i32> {
        let key = (change.filter, change.ident);
        if change.flags & EV_DELETE != 0 {
            let note = state.notes.remove(&key).ok_or(libc::ENOENT)?;
            state.names.remove(&note.name);
        } else {
            if !state.notes.contains_key(&key) {
                if change.flags & EV_ADD == 0 {
                    return Err(libc::ENOENT);
                }
                state.insert(key, change);
            }
            let note = state.notes.get_mut(&key).unwrap();
            note.udata = change.udata;
            note.is_triggered |= change.fflags & NOTE_TRIGGER != 0;
        }
        self.signal(state);
        Ok(())
    }

    /// Makes the eventfd readable while a user event is triggered.
    fn signal(&self, state: &State) {
        let fd = self.user.as_raw_fd();
        let mut count = 1u64.to_ne_bytes();
        if state.notes.values().any(|note| note.is_triggered) {
            // SAFETY: write reads the eight bytes of `count`.
            unsafe { libc::write(fd, count.as_ptr().cast(), 8) };
        } else {
            // SAFETY: read writes the eight bytes of `count`.
            unsafe { libc::read(fd, count.as_mut_ptr().cast(), 8) };
        }
    }

    /// Takes at most `limit` events.
    fn harvest(&self, mut limit: usize, mut put: impl FnMut(kevent)) {
        let state = &mut *self.state();
        let triggered = state.notes.iter().filter(|(_, note)| note.is_triggered);
        let keys: Vec<Key> = triggered.map(|(key, _)| *key).take(limit).collect();
        limit -= keys.len();
        for key in &keys {
            put(state.deliver(*key, 0, 0));
        }
        if !keys.is_empty() {
            self.signal(state);
        }
        state.turn ^= 1;
        for side in [state.turn, state.turn ^ 1] {
            if limit == 0 {
                return;
            }
            let mut ready = vec![libc::epoll_event { events: 0, u64: 0 }; limit.min(1024)];
            let epoll = self.epolls[side].as_raw_fd();
            // SAFETY: epoll_wait writes at most as many entries as there are.
            let count =
                unsafe { libc::epoll_wait(epoll, ready.as_mut_ptr(), ready.len() as c_int, 0) };
            for event in &ready[..count as usize] {
                if let Some(key) = state.names.get(&{ event.u64 }).copied() {
                    let (flags, fflags) = end_of_file(key, event.events as i32);
                    if state.notes[&key].flags & EV_ONESHOT != 0 {
                        let _ = control(
                            &self.epolls[side],
                            libc::EPOLL_CTL_DEL,
                            key.1 as RawFd,
                            0,
                            0,
                        );
                    }
                    put(state.deliver(key, flags, fflags));
                    limit -= 1;
                }
            }
        }
    }
}

impl State {
    fn insert(&mut self, key: Key, change: &kevent) -> u64 {
        self.last_name += 1;
        let note = Note {
            name: self.last_name,
            flags: change.flags & (EV_CLEAR | EV_ONESHOT),
            udata: change.udata,
            is_triggered: false,
        };
        if let Some(old) = self.notes.insert(key, note) {
            self.names.remove(&old.name);
        }
        self.names.insert(note.name, key);
        note.name
    }

    /// The event of a note that has fired, which is gone after if it was to fire once.
    fn deliver(&mut self, key: Key, flags: u16, fflags: u32) -> kevent {
        let note = self.notes.get_mut(&key).unwrap();
        note.is_triggered &= note.flags & EV_CLEAR == 0;
        let note = *note;
        if note.flags & EV_ONESHOT != 0 {
            self.notes.remove(&key);
            self.names.remove(&note.name);
        }
        kevent {
            ident: key.1,
            filter: key.0,
            flags: note.flags | flags,
            fflags,
            data: 0,
            udata: note.udata,
        }
    }
}

fn trigger(flags: u16) -> i32 {
    if flags & EV_CLEAR != 0 {
        libc::EPOLLET
    } else {
        0
    }
}

/// The flags and the `fflags` that say that an end is closed, and the error it was closed by.
fn end_of_file((filter, fd): Key, events: i32) -> (u16, u32) {
    // SAFETY: an integer structure, which fstat fills.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: fstat writes `stat`; whatever the result, it stays initialized.
    unsafe { libc::fstat(fd as RawFd, &mut stat) };
    let is_socket = stat.st_mode & libc::S_IFMT == libc::S_IFSOCK;
    let is_closed = match filter {
        EVFILT_READ => events & (libc::EPOLLHUP | libc::EPOLLRDHUP) != 0,
        _ => events & libc::EPOLLHUP != 0 || events & libc::EPOLLERR != 0 && !is_socket,
    };
    match (is_closed, is_socket && events & libc::EPOLLERR != 0) {
        // Which error it is cannot be asked without taking it from the socket.
        (true, true) => (EV_EOF, libc::EIO as u32),
        (true, false) => (EV_EOF, 0),
        (false, _) => (0, 0),
    }
}

/// The backend on a system that does not have `EVFILT_USER`.
#[derive(Debug)]
pub(crate) struct WithoutUserEvents(Kqueue);

impl Backend for WithoutUserEvents {
    type Buffer = Buffer;
    type Registration = Untracked;
    const DETECTS: Interest = Kqueue::DETECTS;

    fn new() -> io::Result<WithoutUserEvents> {
        let kqueue = Kqueue::new()?;
        refuse(kqueue.as_raw_fd(), |change| {
            (change.filter == EVFILT_USER).then_some(libc::EINVAL)
        });
        Ok(WithoutUserEvents(kqueue))
    }

    fn id(&self) -> SelectorId {
        self.0.id()
    }

    fn select(
        &self,
        buffer: &mut Buffer,
        room: Room<'_>,
        timeout: Option<Duration>,
    ) -> io::Result<Knocked> {
        self.0.select(buffer, room, timeout)
    }

    fn register(&self, source: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        self.0.register(source, token, interest)
    }

    fn reregister(&self, source: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        self.0.reregister(source, token, interest)
    }

    fn deregister(&self, source: RawFd) -> io::Result<()> {
        self.0.deregister(source)
    }

    fn rearm(&self, source: RawFd, blocked: Interest) -> io::Result<()> {
        self.0.rearm(source, blocked)
    }

    fn prepare_knocks(&self) -> io::Result<()> {
        self.0.prepare_knocks()
    }

    fn knock(&self) -> io::Result<()> {
        self.0.knock()
    }
}
