//! For tests on Linux only: enough of event ports for the backend to run, out of epoll.
//!
//! A port is an epoll. Associations are one-shot entries of it; what programs send comes through a
//! pipe, so that sending takes no lock and may be done in a signal handler.
//!
//! It is our reading of the manual and of the kernel's own comments, made hard where a program
//! could be tempted to rely on more: an event is queued as soon as it is seen and stays although
//! its condition ceases; a descriptor's association and event go with `port_dissociate`;
//! `port_getn` says nothing of how many events it took when a signal came. It is softer where epoll
//! cannot tell: a duplicate keeps the association of a closed descriptor.

#![allow(non_camel_case_types)]

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{c_int, c_uint, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub(super) const PORT_SOURCE_AIO: c_int = 1;
pub(super) const PORT_SOURCE_USER: c_int = 3;
pub(super) const PORT_SOURCE_FD: c_int = 4;
pub(super) const PORT_SOURCE_ALERT: c_int = 5;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct port_event {
    pub(super) portev_events: c_int,
    pub(super) portev_source: u16,
    pub(super) portev_pad: u16,
    pub(super) portev_object: usize,
    pub(super) portev_user: *mut c_void,
}

struct Port {
    state: Mutex<State>,
    /// What was sent: [`Sent`]s.
    sent: OwnedFd,
    sender: OwnedFd,
    /// An eventfd that is readable while there is something in the queue, or an alert.
    signal: OwnedFd,
    alert_events: AtomicI32,
    alert_user: AtomicUsize,
    /// The next `port_getn` that has events says that a signal came.
    is_interrupted: AtomicBool,
    /// What every `port_associate` fails with; 0: none does.
    refusal: AtomicI32,
}

#[derive(Default)]
struct State {
    /// By descriptor.
    associations: BTreeMap<RawFd, Association>,
    queue: VecDeque<port_event>,
    last_name: u64,
}

// SAFETY: the pointers are cookies; nobody follows them.
unsafe impl Send for State {}

#[derive(Clone, Copy)]
struct Association {
    /// What the epoll knows it by.
    name: u64,
    user: *mut c_void,
}

/// What goes through the pipe.
type Sent = [u8; 16];

/// Names in the epoll that are no association's.
const SENT: u64 = u64::MAX;
const SIGNAL: u64 = u64::MAX - 1;

/// By the port's descriptor. A port stays here when that is closed, until a new one is made; nobody
/// uses it any more by then.
static PORTS: [AtomicPtr<Port>; 1 << 14] = [const { AtomicPtr::new(ptr::null_mut()) }; 1 << 14];

/// port_create(3C).
///
/// # Safety
///
/// None is asked of the caller; but a C function is unsafe.
pub(super) unsafe fn port_create() -> c_int {
    let mut pipe = [-1; 2];
    // SAFETY: pipe2 writes two ints, for which there is room.
    let made = unsafe { libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) };
    assert_eq!(made, 0, "pipe2");
    // SAFETY: takes no memory.
    let signal = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    assert!(signal >= 0, "eventfd");
    // SAFETY: takes no memory. As the real one, it is not close-on-exec.
    let epoll = unsafe { libc::epoll_create1(0) };
    assert!(epoll >= 0, "epoll_create1");
    // SAFETY: the calls above made these descriptors, and nobody else has them.
    let [sent, sender, signal, epoll] =
        [pipe[0], pipe[1], signal, epoll].map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    let port = epoll.as_raw_fd();
    for (fd, name) in [(&sent, SENT), (&signal, SIGNAL)] {
        control(
            port,
            libc::EPOLL_CTL_ADD,
            fd.as_raw_fd(),
            libc::EPOLLIN,
            name,
        )
        .unwrap();
    }
    let new = Box::into_raw(Box::new(Port {
        state: Mutex::default(),
        sent,
        sender,
        signal,
        alert_events: AtomicI32::new(0),
        alert_user: AtomicUsize::new(0),
        is_interrupted: AtomicBool::new(false),
        refusal: AtomicI32::new(0),
    }));
    static MAKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = MAKING.lock().unwrap();
    for (fd, place) in PORTS.iter().enumerate() {
        let old = place.load(Ordering::Acquire);
        // SAFETY: it is null or from a box, which is dropped only here, by one thread at a time.
        let is_open = unsafe { old.as_ref() }.is_none_or(|old| is_open(fd as RawFd, old));
        if !is_open {
            place.store(ptr::null_mut(), Ordering::Release);
            // SAFETY: it came from a box; whoever used it had the descriptor, which is closed.
            drop(unsafe { Box::from_raw(old) });
        }
    }
    PORTS[port as usize].store(new, Ordering::Release);
    epoll.into_raw_fd()
}

/// Whether the number still stands for the port: whether it is that of an epoll which has the
/// port's eventfd.
fn is_open(fd: RawFd, port: &Port) -> bool {
    let signal = port.signal.as_raw_fd();
    control(fd, libc::EPOLL_CTL_MOD, signal, libc::EPOLLIN, SIGNAL).is_ok()
}

/// Makes the next `port_getn` that has events answer as if a signal had come just then.
pub(super) fn interrupt(port: RawFd) {
    port_of(port)
        .unwrap()
        .is_interrupted
        .store(true, Ordering::Relaxed);
}

/// Makes every `port_associate` fail, until told otherwise.
pub(super) fn refuse(port: RawFd, errno: Option<i32>) {
    port_of(port)
        .unwrap()
        .refusal
        .store(errno.unwrap_or(0), Ordering::Relaxed);
}

/// port_associate(3C), for `PORT_SOURCE_FD`.
///
/// # Safety
///
/// None is asked of the caller; but a C function is unsafe.
pub(super) unsafe fn port_associate(
    port: c_int,
    source: c_int,
    object: usize,
    events: c_int,
    user: *mut c_void,
) -> c_int {
    let Some(this) = port_of(port) else {
        return fail(libc::EBADF);
    };
    let fd = object as RawFd;
    let mut now = libc::pollfd {
        fd,
        events: events as i16,
        revents: 0,
    };
    let state = &mut *this.state.lock().unwrap();
    this.harvest(state, port);
    // SAFETY: one pollfd is given and one is counted.
    unsafe { libc::poll(&mut now, 1, 0) };
    if source != PORT_SOURCE_FD || now.revents & libc::POLLNVAL != 0 {
        return fail(if source == PORT_SOURCE_FD {
            libc::EBADFD
        } else {
            libc::EINVAL
        });
    }
    state.forget(fd);
    match this.refusal.load(Ordering::Relaxed) {
        0 => {}
        errno => return fail(errno),
    }
    if now.revents != 0 {
        state
            .queue
            .push_back(event_of_descriptor(fd, now.revents.into(), user));
        this.signal(state);
        return 0;
    }
    state.last_name += 1;
    let name = state.last_name;
    let bits = events | libc::EPOLLONESHOT;
    let added = match control(port, libc::EPOLL_CTL_MOD, fd, bits, name) {
        Err(libc::ENOENT) => control(port, libc::EPOLL_CTL_ADD, fd, bits, name),
        modified => modified,
    };
    if let Err(errno) = added {
        return fail(errno);
    }
    state.associations.insert(fd, Association { name, user });
    this.signal(state);
    0
}

/// port_dissociate(3C), for `PORT_SOURCE_FD`.
///
/// # Safety
///
/// None is asked of the caller; but a C function is unsafe.
pub(super) unsafe fn port_dissociate(port: c_int, source: c_int, object: usize) -> c_int {
    let Some(this) = port_of(port) else {
        return fail(libc::EBADF);
    };
    let fd = object as RawFd;
    // SAFETY: takes integers.
    if source != PORT_SOURCE_FD || unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
        return fail(libc::EBADFD);
    }
    let state = &mut *this.state.lock().unwrap();
    this.harvest(state, port);
    let was_there = state.forget(fd);
    let _ = control(port, libc::EPOLL_CTL_DEL, fd, 0, 0); // it may be another file by now
    this.signal(state);
    if was_there { 0 } else { fail(libc::ENOENT) }
}

/// port_send(3C). Takes no lock.
///
/// # Safety
///
/// None is asked of the caller; but a C function is unsafe.
pub(super) unsafe fn port_send(port: c_int, events: c_int, user: *mut c_void) -> c_int {
    let Some(this) = port_of(port) else {
        return fail(libc::EBADF);
    };
    let mut sent: Sent = [0; 16];
    sent[..4].copy_from_slice(&events.to_ne_bytes());
    sent[8..].copy_from_slice(&(user as u64).to_ne_bytes());
    // SAFETY: write reads the bytes of `sent`; so few go as one.
    match unsafe { libc::write(this.sender.as_raw_fd(), sent.as_ptr().cast(), sent.len()) } {
        -1 => -1, // EAGAIN, if the pipe is full
        _ => 0,
    }
}

/// port_alert(3C). Takes no lock.
///
/// # Safety
///
/// None is asked of the caller; but a C function is unsafe.
pub(super) unsafe fn port_alert(
    port: c_int,
    _flags: c_int,
    events: c_int,
    user: *mut c_void,
) -> c_int {
    let Some(this) = port_of(port) else {
        return fail(libc::EBADF);
    };
    this.alert_user.store(user as usize, Ordering::SeqCst);
    this.alert_events.store(events, Ordering::SeqCst);
    if events != 0 {
        this.ring();
    }
    0
}

/// port_getn(3C).
///
/// # Safety
///
/// * `list` has room for `max` entries.
/// * `count` is valid, `timeout` is null or valid.
pub(super) unsafe fn port_getn(
    port: c_int,
    list: *mut port_event,
    max: c_uint,
    count: *mut c_uint,
    timeout: *mut libc::timespec,
) -> c_int {
    let Some(this) = port_of(port) else {
        return fail(libc::EBADF);
    };
    // SAFETY: the caller gives a count.
    let wanted = unsafe { count.read() };
    // SAFETY: the caller gives a timeout or null.
    let timeout = unsafe { timeout.as_ref() };
    if wanted == 0 || wanted > max {
        return fail(libc::EINVAL);
    }
    let timeout = timeout.map(|t| Duration::new(t.tv_sec as u64, t.tv_nsec as u32));
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let is_over = left == Some(Duration::ZERO);
        let taken = this.take(
            port,
            max as usize,
            if is_over { 0 } else { wanted as usize },
        );
        if let Some(taken) = taken {
            for (i, event) in taken.iter().enumerate() {
                // SAFETY: there are at most `max`.
                let place = unsafe { list.add(i) };
                // SAFETY: as above.
                unsafe { place.write(*event) };
            }
            if !taken.is_empty() && this.is_interrupted.swap(false, Ordering::Relaxed) {
                return fail(libc::EINTR); // and the count is as it was
            }
            // SAFETY: the caller gives a count.
            unsafe { count.write(taken.len() as c_uint) };
            return if taken.len() < wanted as usize {
                fail(libc::ETIME)
            } else {
                0
            };
        }
        let left = left.map(|left| libc::timespec {
            tv_sec: left.as_secs() as _,
            tv_nsec: left.subsec_nanos() as _,
        });
        let mut outer = libc::pollfd {
            fd: port,
            events: libc::POLLIN,
            revents: 0,
        };
        let left = left.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: one pollfd is given and one is counted; the timeout is read, the mask is null.
        if unsafe { libc::ppoll(&mut outer, 1, left, ptr::null()) } < 0 {
            return -1;
        }
    }
}

fn port_of(fd: RawFd) -> Option<&'static Port> {
    let port = PORTS.get(fd as usize)?.load(Ordering::Acquire);
    // SAFETY: it is null or from a box, which is dropped only when the descriptor was closed.
    unsafe { port.as_ref() }
}

fn fail(errno: i32) -> c_int {
    // SAFETY: takes nothing.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the pointer is to this thread's `errno`.
    unsafe { place.write(errno) };
    -1
}

fn control(epoll: RawFd, operation: i32, fd: RawFd, events: i32, name: u64) -> Result<(), i32> {
    let mut event = libc::epoll_event {
        events: events as u32,
        u64: name,
    };
    // SAFETY: epoll_ctl reads one event, which is given.
    match unsafe { libc::epoll_ctl(epoll, operation, fd, &mut event) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error().raw_os_error().unwrap()),
    }
}

fn event_of_descriptor(fd: RawFd, bits: c_int, user: *mut c_void) -> port_event {
    port_event {
        portev_events: bits,
        portev_source: PORT_SOURCE_FD as u16,
        portev_pad: 0,
        portev_object: fd as usize,
        portev_user: user,
    }
}

impl State {
    /// Ends an association, and takes its event from the queue. True if there was one of them.
    fn forget(&mut self, fd: RawFd) -> bool {
        let was_associated = self.associations.remove(&fd).is_some();
        let length = self.queue.len();
        self.queue.retain(|event| {
            event.portev_source != PORT_SOURCE_FD as u16 || event.portev_object != fd as usize
        });
        was_associated || self.queue.len() < length
    }
}

impl Port {
    fn ring(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: write reads the eight bytes of `one`.
        unsafe { libc::write(self.signal.as_raw_fd(), one.as_ptr().cast(), 8) };
    }

    /// Makes the eventfd readable while there is something to be taken.
    fn signal(&self, state: &State) {
        let mut count = [0; 8];
        // SAFETY: read writes the eight bytes of `count`.
        unsafe { libc::read(self.signal.as_raw_fd(), count.as_mut_ptr().cast(), 8) };
        if !state.queue.is_empty() || self.alert_events.load(Ordering::SeqCst) != 0 {
            self.ring();
        }
    }

    /// Queues what the epoll has found and what was sent.
    fn harvest(&self, state: &mut State, port: RawFd) {
        loop {
            let mut ready = [libc::epoll_event { events: 0, u64: 0 }; 64];
            // SAFETY: epoll_wait writes at most as many entries as there are.
            let count = unsafe { libc::epoll_wait(port, ready.as_mut_ptr(), 64, 0) };
            let mut is_news = false;
            for event in &ready[..count.max(0) as usize] {
                let (name, bits) = (event.u64, event.events);
                match name {
                    SIGNAL => continue,
                    SENT => self.receive(state),
                    _ => state.trigger(name, bits as c_int),
                }
                is_news = true;
            }
            if !is_news {
                return self.signal(state);
            }
        }
    }

    fn receive(&self, state: &mut State) {
        let mut sent: Sent = [0; 16];
        // SAFETY: read writes at most the bytes of `sent`.
        while unsafe { libc::read(self.sent.as_raw_fd(), sent.as_mut_ptr().cast(), 16) } == 16 {
            state.queue.push_back(port_event {
                portev_events: c_int::from_ne_bytes(sent[..4].try_into().unwrap()),
                portev_source: PORT_SOURCE_USER as u16,
                portev_pad: 0,
                portev_object: 0,
                portev_user: u64::from_ne_bytes(sent[8..].try_into().unwrap()) as usize as *mut _,
            });
        }
    }

    /// Takes at most `max` events, if there are at least `wanted`, or an alert.
    fn take(&self, port: RawFd, max: usize, wanted: usize) -> Option<Vec<port_event>> {
        let state = &mut *self.state.lock().unwrap();
        self.harvest(state, port);
        let alert = self.alert_events.load(Ordering::SeqCst);
        if alert != 0 {
            let user = self.alert_user.load(Ordering::SeqCst) as *mut _;
            return Some(vec![port_event {
                portev_source: PORT_SOURCE_ALERT as u16,
                ..event_of_descriptor(0, alert, user)
            }]);
        }
        if state.queue.len() < wanted {
            return None;
        }
        let length = state.queue.len().min(max);
        let taken = state.queue.drain(..length).collect();
        self.signal(state);
        Some(taken)
    }
}

impl State {
    fn trigger(&mut self, name: u64, bits: c_int) {
        let mut associations = self.associations.iter();
        let Some((&fd, association)) = associations.find(|(_, other)| other.name == name) else {
            return;
        };
        let user = association.user;
        self.associations.remove(&fd);
        self.queue.push_back(event_of_descriptor(fd, bits, user));
    }
}
