//! epoll: Linux and Android.
//!
//! A descriptor is added once (`epoll_ctl`) and reported by `epoll_wait` when it becomes ready.
//! With `EPOLLET` only the change is reported, so nothing has to be re-armed; `EPOLLONESHOT`
//! disables it after one event until `EPOLL_CTL_MOD`. A closed descriptor leaves the set by itself,
//! unless a duplicate of it is still open.
//!
//! An `Event` of ours is a `struct epoll_event` (see `raw_event.rs`), so the kernel writes into the
//! program's list. That has room for no more than the kernel counts.
//!
//! Beware: `epoll_wait` counts in milliseconds. `epoll_pwait2` (Linux 5.11) counts in nanoseconds
//! but costs twice as much when nothing has to be waited for, so it serves only timeouts that are
//! not whole milliseconds.
//!
//! Source: epoll(7), epoll_ctl(2), epoll_wait(2)

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use super::eventfd::Eventfd;
use super::knocker::Knocker;
use super::{Backend, Knocked, SelectorId, Untracked, timeout};
#[cfg(target_os = "linux")]
use crate::busy_poll::BusyPoll;
use crate::events::{Event, Room};
use crate::interest::{Interest, Mode};
use crate::sys::check;
use crate::token::Token;

/// The knock's place in `epoll_event::u64`. All values are legal tokens, so this one may be
/// somebody's too: see [`Epoll::knock_token_is_used`].
pub(crate) const KNOCK: u64 = 0x6c69_7469_6f3a_6b6f; // "litio:ko"

// `epoll_wait` writes `Event`s. Each of its bit patterns is one.
const _: () = {
    use crate::raw_event::RawEvent;
    use std::mem::offset_of;

    assert!(size_of::<Event>() == size_of::<libc::epoll_event>());
    assert!(align_of::<Event>() >= align_of::<libc::epoll_event>());
    assert!(offset_of!(RawEvent, bits) == offset_of!(libc::epoll_event, events));
    assert!(offset_of!(RawEvent, data) == offset_of!(libc::epoll_event, u64));
};

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
    type Buffer = (); // the kernel writes into the program's list
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
        (): &mut (),
        mut room: Room<'_>,
        timeout: Option<Duration>,
    ) -> io::Result<Knocked> {
        let limit = room.left();
        let list = room.list();
        let start = list.len();
        let space = list.spare_capacity_mut();
        // SAFETY: there is space in the list for as many as are left in the room.
        let space = unsafe { space.get_unchecked_mut(..limit) };
        let count = self.wait(space, timeout)?;
        // SAFETY: `wait` wrote that many, all within the capacity.
        unsafe { list.set_len(start + count) };
        Ok(match self.knocker.get() {
            Some(_) => self.hear_knock(list, start),
            None => Knocked::No,
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

    /// See proc_pid_fdinfo(5). Where there is no `/proc`, nothing is known.
    fn listed(&self) -> Vec<(RawFd, Token)> {
        let path = format!("/proc/self/fdinfo/{}", self.epoll.as_raw_fd());
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().filter_map(listed).collect()
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
                self.ctl(libc::EPOLL_CTL_ADD, fd, &mut event)?;
            }
            let _ = self.knocker.set(knocker);
        }
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn set_busy_poll(&self, busy: BusyPoll) -> io::Result<()> {
        let params = libc::epoll_params {
            busy_poll_usecs: u32::try_from(busy.time.as_micros()).unwrap_or(u32::MAX),
            busy_poll_budget: busy.packets,
            prefer_busy_poll: busy.is_preferred.into(),
            __pad: 0,
        };
        let fd = self.epoll.as_raw_fd();
        // SAFETY: EPIOCSPARAMS reads an `epoll_params`, which is given.
        let result = check(unsafe { libc::ioctl(fd, libc::EPIOCSPARAMS, &raw const params) });
        match result {
            Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => {
                Err(super::backend::cannot_poll_cards())
            }
            result => result.map(drop),
        }
    }

    fn knock(&self) -> io::Result<()> {
        match self.knocker.get() {
            Some(knocker) => knocker.ring(),
            None => Ok(()), // no waker was ever made, so nobody can be asleep on account of one
        }
    }
}

impl Epoll {
    /// Looks for the knock among the events just reported, and takes it out unless it may be
    /// somebody's.
    #[inline]
    fn hear_knock(&self, list: &mut Vec<Event>, start: usize) -> Knocked {
        let is_knock = |event: &Event| event.raw().data == KNOCK;
        if !list[start..].iter().any(is_knock) {
            return Knocked::No;
        }
        self.take_out_knock(list);
        Knocked::Yes
    }

    #[cold]
    fn take_out_knock(&self, list: &mut Vec<Event>) {
        if !self.knock_token_is_used.load(Ordering::Relaxed) {
            list.retain(|event| event.raw().data != KNOCK);
        }
    }

    /// One wait of the right kind. Returns how many events were written to the start of `space`.
    #[inline(always)]
    fn wait(
        &self,
        space: &mut [MaybeUninit<Event>],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        let ms = match timeout {
            None => -1,
            Some(timeout) if timeout.subsec_nanos() % 1_000_000 == 0 => timeout::millis(timeout).0,
            Some(timeout) => match self.wait_nanos(space, timeout) {
                Some(result) => return result,
                None => timeout::millis(timeout).0,
            },
        };
        match self.wait_millis(space, ms) {
            Ok(0) if ms == i32::MAX => self.wait_on(space, timeout),
            result => result,
        }
    }

    /// One epoll_wait(2).
    #[inline(always)]
    fn wait_millis(&self, space: &mut [MaybeUninit<Event>], ms: i32) -> io::Result<usize> {
        let (fd, events) = (self.epoll.as_raw_fd(), space.as_mut_ptr().cast());
        // SAFETY: epoll_wait writes at most as many entries as there is space for; that an entry
        // and an `Event` are the same is checked above.
        let count = check(unsafe { libc::epoll_wait(fd, events, space.len() as i32, ms) })?;
        Ok(count as usize)
    }

    /// What follows on the first 24.8 days.
    #[cold]
    fn wait_on(
        &self,
        space: &mut [MaybeUninit<Event>],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        let (_, mut left) = timeout::millis(timeout.unwrap_or_default());
        let mut count = 0;
        while count == 0 && !left.is_zero() {
            let ms;
            (ms, left) = timeout::millis(left);
            count = self.wait_millis(space, ms)?;
        }
        Ok(count)
    }

    /// A wait with nanoseconds; `None` where the kernel has none, and then it is not tried again.
    #[cfg(target_os = "linux")]
    #[cold]
    fn wait_nanos(
        &self,
        space: &mut [MaybeUninit<Event>],
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
        // SAFETY: as in `wait`; epoll_pwait2 also reads `timeout`. The signal mask is null and
        // stays as it is.
        let count = check(unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                space.as_mut_ptr(),
                space.len() as i32,
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
    #[cfg(not(target_os = "linux"))]
    fn wait_nanos(&self, _: &mut [MaybeUninit<Event>], _: Duration) -> Option<io::Result<usize>> {
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
        self.ctl(operation, source, &mut event)
    }

    /// One epoll_ctl(2) that takes an event.
    fn ctl(&self, operation: i32, fd: RawFd, event: &mut libc::epoll_event) -> io::Result<()> {
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

/// Descriptor and token of a line `tfd: 5 events: 1d data: ffffffff pos:0 ino:61af sdev:7`.
fn listed(line: &str) -> Option<(RawFd, Token)> {
    let mut words = line.split_whitespace();
    let fd = words.by_ref().skip_while(|word| *word != "tfd:").nth(1)?;
    let data = words.skip_while(|word| *word != "data:").nth(1)?;
    let token = u64::from_str_radix(data, 16).ok()? as usize;
    Some((fd.parse().ok()?, Token(token)))
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// The first part, which takes 24.8 days, is taken for done.
    #[test]
    fn a_longer_timeout_than_fits_is_waited_for_in_parts() {
        let longest = Duration::from_millis(i32::MAX as u64);
        let rest = Duration::from_millis(20);
        let epoll = Epoll::new().unwrap();
        let mut space = [MaybeUninit::uninit()];

        assert_eq!(epoll.wait_on(&mut space, Some(longest)).unwrap(), 0);
        let start = Instant::now();
        assert_eq!(epoll.wait_on(&mut space, Some(longest + rest)).unwrap(), 0);
        assert!(start.elapsed() >= rest);

        epoll.prepare_knocks().unwrap();
        epoll.knock().unwrap();
        let found = epoll.wait_on(&mut space, Some(longest + longest));
        assert_eq!(found.unwrap(), 1);
    }

    #[test]
    fn what_the_kernel_lists_is_understood() {
        let line = "tfd:        5 events:       1d data: 7000000f  pos:0 ino:61af sdev:7";
        assert_eq!(listed(line), Some((5, Token(0x7000_000f))));
        assert_eq!(listed("flags:\t02000002"), None);
        assert_eq!(listed(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    #[cfg_attr(miri, ignore = "Miri has no ioctl(2) for epoll")]
    fn busy_polling_is_set_as_asked_or_is_unsupported() {
        let epoll = Epoll::new().unwrap();
        let get = || {
            let mut params = libc::epoll_params {
                busy_poll_usecs: 0,
                busy_poll_budget: 0,
                prefer_busy_poll: 0,
                __pad: 0,
            };
            let fd = epoll.as_raw_fd();
            // SAFETY: EPIOCGPARAMS writes an `epoll_params`, which is given.
            check(unsafe { libc::ioctl(fd, libc::EPIOCGPARAMS, &raw mut params) }).unwrap();
            BusyPoll {
                time: Duration::from_micros(params.busy_poll_usecs.into()),
                packets: params.busy_poll_budget,
                is_preferred: params.prefer_busy_poll != 0,
            }
        };
        let busy = BusyPoll {
            time: Duration::from_micros(70),
            packets: 16,
            is_preferred: true,
        };
        match epoll.set_busy_poll(busy) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                println!("this kernel cannot busy-poll for an epoll: {error}");
                return;
            }
            result => result.unwrap(),
        }
        assert_eq!(get(), busy);

        let too_long = BusyPoll {
            time: Duration::MAX,
            ..busy
        };
        let error = epoll.set_busy_poll(too_long).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(get(), busy);

        epoll.set_busy_poll(BusyPoll::OFF).unwrap();
        assert_eq!(get(), BusyPoll::OFF);
    }

    #[test]
    fn the_knock_token_is_odd() {
        assert_eq!(KNOCK % 2, 1, "so that no aligned pointer equals it");
    }
}
