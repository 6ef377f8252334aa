//! The operating system: selectors and sockets. Nothing here knows of the floors above.

// The floor where system calls are made.
#![allow(unsafe_code)]

pub(crate) mod handle;
#[cfg(all(test, unix))]
pub(crate) mod high_numbers;
pub(crate) mod selector;
#[cfg(all(any(test, fuzzing), unix))]
pub(crate) mod signals;
#[cfg(not(any(windows, all(target_os = "wasi", target_env = "p1"))))]
pub(crate) mod socket;
// Preview 1 can accept connections, and that is all.
#[cfg(all(target_os = "wasi", target_env = "p1"))]
#[path = "socket/accept_only.rs"]
pub(crate) mod socket;
// The same functions in the words of Winsock, of which none is POSIX's.
#[cfg(windows)]
#[path = "socket/winsock/mod.rs"]
pub(crate) mod socket;

/// Makes a new descriptor close-on-exec. Systems of newlib (ESP-IDF, Horizon, Vita) know no `exec`,
/// and refuse the request; there is nothing to be done on them.
#[cfg(not(windows))]
#[allow(dead_code)] // preview 1 makes no descriptors
pub(crate) fn close_on_exec(new: &std::os::fd::OwnedFd) -> std::io::Result<()> {
    use std::os::fd::AsRawFd;

    if cfg!(target_env = "newlib") {
        return Ok(());
    }
    // SAFETY: F_SETFD takes an int.
    check(unsafe { libc::fcntl(new.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) })?;
    Ok(())
}

/// Turns the C convention "-1 and `errno`" into a `Result`.
#[cfg(not(windows))]
#[inline]
pub(crate) fn check<T: From<i8> + PartialEq>(result: T) -> std::io::Result<T> {
    if result == T::from(-1) {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
