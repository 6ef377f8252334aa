//! epoll: Linux and Android.
//!
//! A descriptor is added once (`epoll_ctl`) and reported by `epoll_wait` when it becomes ready.
//! With `EPOLLET` only the change is reported, so nothing has to be re-armed; `EPOLLONESHOT`
//! disables it after one event until `EPOLL_CTL_MOD`. A closed descriptor leaves the set by itself,
//! unless a duplicate of it is still open.
//!
//! Beware: `epoll_wait` counts in milliseconds. `epoll_pwait2` (Linux 5.11) counts in nanoseconds
//! but costs twice as much when nothing has to be waited for, so it serves only timeouts that are
//! not whole milliseconds.
//!
//! Source: epoll(7), epoll_ctl(2), epoll_wait(2)

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use super::eventfd::Eventfd;
use super::knocker::Knocker;
use super::{Backend, Knocked, SelectorId, Untracked, timeout};
use crate::events::{Event, Readiness, Room};
use crate::interest::{Interest, Mode};
use crate::sys::check;
use crate::token::Token;

/// The knock's place in `epoll_event::u64`. All values are legal tokens, so this one may be
/// somebody's too: see [`Epoll::knock_token_is_used`].
pub(crate) const KNOCK: u64 = 0x6c69_7469_6f3a_6b6f; // "litio:ko"

/// What the kernel reported, before it becomes [`Event`]s.
#[derive(Default)]
pub(crate) struct Buffer(Vec<libc::epoll_event>);

/// An epoll instance.
#[derive(Debug)]
pub(crate) struct Epoll {
    epoll: OwnedFd,
    #[cfg_attr(not(debug_assertions), allow(dead_code))]
    id: SelectorId,
    /// Made with the first waker.
    knocker: OnceLock<Eventfd>,
    /// Held while the knocker is made, so that it is made once.
    knocker_lock: Mutex<()>,
    /// A program has registered [`KNOCK`] as a token of its own. Then an event with it counts as
    /// both.
    knock_token_is_used: AtomicBool,
}

impl Backend for Epoll {
    type Buffer = Buffer;
    type Registration = Untracked;
    const DETECTS: Interest = Interest::READABLE
        .add(Interest::WRITABLE)
        .add(Interest::PRIORITY);

    fn new() -> io::Result<Epoll> {
        // SAFETY: takes no memory.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the call above made this descriptor, and nobody else has it.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Epoll {
            epoll,
            id: SelectorId::unique(),
            knocker: OnceLock::new(),
            knocker_lock: Mutex::new(()),
            knock_token_is_used: AtomicBool::new(false),
        })
    }

    fn id(&self) -> SelectorId {
        self.id
    }

    #[inline(always)]
    fn select(
        &self,
        buffer: &mut Buffer,
        mut room: Room<'_>,
        timeout: Option<Duration>,
    ) -> io::Result<Knocked> {
        let raw = &mut buffer.0;
        raw.clear();
        raw.reserve(room.left());
        // SAFETY: room for that many has just been reserved.
        let count = unsafe { self.wait(raw.as_mut_ptr(), room.left(), timeout) }?;
        if count == 0 {
            return Ok(Knocked::No);
        }
        // SAFETY: `wait` wrote the first `count` entries, for which there is room.
        unsafe { raw.set_len(count) };
        let mut is_knocked = false;
        room.extend(raw.iter().map(|raw| {
            let data = raw.u64;
            is_knocked |= data == KNOCK;
            event(raw)
        }));
        Ok(if is_knocked {
            self.hear_knock(raw, &mut room)
        } else {
            Knocked::No
        })
    }

    fn register(&self, source: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, source, token, interest)
    }

    fn reregister(&self, source: RawFd, token: Token, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, source, token, interest)
    }

    fn deregister(&self, source: RawFd) -> io::Result<()> {
        let epoll = self.epoll.as_raw_fd();
        // SAFETY: EPOLL_CTL_DEL takes no event.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, source, ptr::null_mut()) })?;
        Ok(())
    }

    #[inline]
    fn rearm(&self, _: RawFd, _: Interest) -> io::Result<()> {
        Ok(())
    }

    fn prepare_knocks(&self) -> io::Result<()> {
        let _guard = self
            .knocker_lock
            .lock()
            .expect("nothing panics while this is held");
        if self.knocker.get().is_none() {
            let knocker = Eventfd::new()?;
            let mut event = libc::epoll_event {
                events: (libc::EPOLLIN | libc::EPOLLET) as u32,
                u64: KNOCK,
            };
            if let Some(fd) = knocker.descriptor() {
                self.add(libc::EPOLL_CTL_ADD, fd, &mut event)?;
            }
            let _ = self.knocker.set(knocker);
        }
        Ok(())
    }

    fn knock(&self) -> io::Result<()> {
        match self.knocker.get() {
            Some(knocker) => knocker.ring(),
            None => Ok(()), // no waker was ever made, so nobody can be asleep on account of one
        }
    }
}

impl Epoll {
    /// The knock is among the events just reported: takes it out, unless it may be somebody's.
    #[cold]
    fn hear_knock(&self, raw: &[libc::epoll_event], room: &mut Room<'_>) -> Knocked {
        if !self.knock_token_is_used.load(Ordering::Relaxed) {
            room.retract(raw.len());
            // By its 64 bits, of which a token has but half on small machines.
            let others = raw.iter().filter(|raw| {
                let data = raw.u64;
                data != KNOCK
            });
            others.for_each(|raw| room.push(event(raw)));
        }
        Knocked::Yes
    }

    /// One wait of the right kind. Returns how many entries at `events` were written.
    ///
    /// # Safety
    ///
    /// There must be room for `limit` entries at `events`.
    #[inline(always)]
    unsafe fn wait(
        &self,
        events: *mut libc::epoll_event,
        limit: usize,
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        let (mut ms, mut left) = match timeout {
            None => (-1, Duration::ZERO),
            Some(timeout) if timeout.subsec_nanos() % 1_000_000 == 0 => timeout::millis(timeout),
            Some(timeout) => {
                // SAFETY: our caller promises the room.
                match unsafe { self.wait_nanos(events, limit, timeout) } {
                    Some(result) => return result,
                    None => timeout::millis(timeout),
                }
            }
        };
        loop {
            // SAFETY: epoll_wait writes at most `limit` entries, and our caller promises the room.
            let count = check(unsafe {
                libc::epoll_wait(self.epoll.as_raw_fd(), events, at_most(limit), ms)
            })?;
            if (count > 0) | left.is_zero() {
                return Ok(count as usize);
            }
            (ms, left) = timeout::millis(left);
        }
    }

    /// A wait with nanoseconds; `None` where the kernel has none, and then it is not tried again.
    ///
    /// # Safety
    ///
    /// As [`wait`](Epoll::wait).
    #[cfg(target_os = "linux")]
    #[cold]
    unsafe fn wait_nanos(
        &self,
        events: *mut libc::epoll_event,
        limit: usize,
        timeout: Duration,
    ) -> Option<io::Result<usize>> {
        /// `struct __kernel_timespec`, 64 bits wide on every architecture.
        #[repr(C)]
        struct KernelTimespec {
            seconds: i64,
            nanoseconds: i64,
        }
        // Miri does not know the call.
        static IS_MISSING: AtomicBool = AtomicBool::new(cfg!(miri));
        if IS_MISSING.load(Ordering::Relaxed) {
            return None;
        }
        let timeout = KernelTimespec {
            seconds: timeout.as_secs().try_into().unwrap_or(i64::MAX),
            nanoseconds: timeout.subsec_nanos().into(),
        };
        // SAFETY: epoll_pwait2 writes at most `limit` entries, for which our caller promises room,
        // and reads `timeout`; the signal mask is null and stays as it is.
        let count = check(unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                events,
                at_most(limit),
                &raw const timeout,
                ptr::null::<libc::sigset_t>(),
                size_of::<u64>(), // the kernel's sigset_t, which is not libc's
            )
        });
        match count {
            // Before Linux 5.11, or behind a container's filter that was written before: neither
            // will change.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                IS_MISSING.store(true, Ordering::Relaxed);
                None
            }
            count => Some(count.map(|count| count as usize)),
        }
    }

    /// Android kills processes that make system calls its filter does not know.
    ///
    /// # Safety
    ///
    /// None needed; the other one's is.
    #[cfg(not(target_os = "linux"))]
    unsafe fn wait_nanos(
        &self,
        _: *mut libc::epoll_event,
        _: usize,
        _: Duration,
    ) -> Option<io::Result<usize>> {
        None
    }

    fn control(
        &self,
        operation: i32,
        source: RawFd,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        Self::check_interest(interest)?;
        if token.0 as u64 == KNOCK {
            self.knock_token_is_used.store(true, Ordering::Relaxed);
        }
        let mut event = libc::epoll_event {
            events: asked(interest),
            u64: token.0 as u64,
        };
        self.add(operation, source, &mut event)
    }

    fn add(&self, operation: i32, fd: RawFd, event: &mut libc::epoll_event) -> io::Result<()> {
        // SAFETY: epoll_ctl reads one event, which is given.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, event) })?;
        Ok(())
    }
}

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer")
            .field("capacity", &self.0.capacity())
            .finish()
    }
}

/// The `maxevents` of a wait: the kernel refuses more than `INT_MAX / sizeof(struct epoll_event)`.
#[inline]
fn at_most(limit: usize) -> i32 {
    limit.min(i32::MAX as usize / size_of::<libc::epoll_event>()) as i32
}

/// What is asked of the kernel. `EPOLLERR` and `EPOLLHUP` come unasked.
fn asked(interest: Interest) -> u32 {
    let mut events = match interest.mode() {
        Mode::Edge | Mode::Paced => libc::EPOLLET,
        Mode::Level => 0,
        Mode::OneShot => libc::EPOLLONESHOT,
    };
    if interest.is_readable() {
        events |= libc::EPOLLIN | libc::EPOLLRDHUP;
    }
    if interest.is_writable() {
        events |= libc::EPOLLOUT;
    }
    if interest.is_priority() {
        events |= libc::EPOLLPRI;
    }
    events as u32
}

#[inline]
fn event(raw: &libc::epoll_event) -> Event {
    let (bits, data) = (raw.events, raw.u64);
    Event::with_raw(Token(data as usize), readiness(bits), bits.into())
}

const IN: u32 = libc::EPOLLIN as u32;
const PRI: u32 = libc::EPOLLPRI as u32;
const OUT: u32 = libc::EPOLLOUT as u32;
const ERR: u32 = libc::EPOLLERR as u32;
const HUP: u32 = libc::EPOLLHUP as u32;
const RDHUP: u32 = libc::EPOLLRDHUP as u32;

/// What the kernel's answer means: looked up, because every event passes here.
#[inline]
fn readiness(events: u32) -> Readiness {
    /// By the five low bits, and `EPOLLRDHUP` moved down beside them.
    const MEANINGS: [Readiness; 64] = {
        let mut meanings = [Readiness::EMPTY; 64];
        let mut index = 0;
        while index < 64 {
            meanings[index as usize] = meaning(index & 0x1f | (index & 0x20) << 8);
            index += 1;
        }
        meanings
    };
    const { assert!(IN | PRI | OUT | ERR | HUP == 0x1f && RDHUP == 0x2000) };
    MEANINGS[(events & 0x1f | events >> 8 & 0x20) as usize]
}

/// The table is in [`Event`]'s documentation.
const fn meaning(events: u32) -> Readiness {
    let is_closed = events & HUP != 0;
    let is_read_closed = events & (IN | RDHUP) == IN | RDHUP;
    let is_write_closed = events & (OUT | ERR) == OUT | ERR || events == ERR;
    Readiness::EMPTY
        .union(Readiness::READABLE.when(events & (IN | PRI) != 0))
        .union(Readiness::WRITABLE.when(events & OUT != 0))
        .union(Readiness::PRIORITY.when(events & PRI != 0))
        .union(Readiness::ERROR.when(events & ERR != 0))
        .union(Readiness::READ_CLOSED.when(is_closed || is_read_closed))
        .union(Readiness::WRITE_CLOSED.when(is_closed || is_write_closed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knock_token_is_odd() {
        assert_eq!(KNOCK % 2, 1, "so that no aligned pointer equals it");
    }

    #[test]
    fn each_kernel_bit_means_what_the_table_says() {
        use Readiness as R;
        let (input, out, pri) = (libc::EPOLLIN, libc::EPOLLOUT, libc::EPOLLPRI);
        let (err, hup, rdhup) = (libc::EPOLLERR, libc::EPOLLHUP, libc::EPOLLRDHUP);
        let closed = R::READ_CLOSED | R::WRITE_CLOSED;
        for (events, expected) in [
            (0, R::EMPTY),
            (input, R::READABLE),
            (pri, R::READABLE | R::PRIORITY),
            (out, R::WRITABLE),
            (err, R::ERROR | R::WRITE_CLOSED),
            (input | err, R::READABLE | R::ERROR),
            (out | err, R::WRITABLE | R::ERROR | R::WRITE_CLOSED),
            (hup, closed),
            (rdhup, R::EMPTY),
            (input | rdhup, R::READABLE | R::READ_CLOSED),
            (out | rdhup, R::WRITABLE),
            (
                input | out | err | hup | rdhup,
                R::READABLE | R::WRITABLE | R::ERROR | closed,
            ),
        ] {
            assert_eq!(readiness(events as u32), expected, "{events:#x}");
        }
    }
}
