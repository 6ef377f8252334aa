//! Descriptors with numbers of their own, for tests that close one which is registered.
//!
//! A number that is closed is given to whatever is opened next, and tests run beside each other.
//! The highest numbers are given only to those who ask for them.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use super::check;

/// A duplicate whose number no other test comes upon, now or when it is closed.
pub(crate) fn duplicate(descriptor: &impl AsRawFd) -> OwnedFd {
    static TAKEN: AtomicI32 = AtomicI32::new(0);
    let number = limit() - 8 * TAKEN.fetch_add(1, Ordering::Relaxed);
    // SAFETY: F_DUPFD_CLOEXEC takes a number.
    let fd = check(unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD_CLOEXEC, number) });
    // SAFETY: the call above made this descriptor, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd.unwrap()) }
}

/// A number that is high and may still be open.
fn limit() -> RawFd {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: getrlimit writes one rlimit, which is given.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }).unwrap();
    // Numbers index tables here: not too high.
    limit.rlim_cur.min(1 << 16) as RawFd - 8
}
