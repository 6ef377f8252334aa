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
///
/// Hermit's calls answer with the number of the error itself, negative, and not every build of it
/// keeps an `errno`. No call that is made here has another negative answer anywhere.
#[cfg(not(windows))]
#[inline]
pub(crate) fn check<T: From<i8> + PartialOrd + TryInto<i32>>(result: T) -> std::io::Result<T> {
    if result >= T::from(0) {
        Ok(result)
    } else if result == T::from(-1) {
        // Not cold: a loop that drains its sources comes here once for each.
        Err(std::io::Error::last_os_error())
    } else {
        Err(failure(result))
    }
}

#[cfg(not(windows))]
#[cold]
fn failure<T: TryInto<i32>>(result: T) -> std::io::Error {
    match result.try_into().ok().and_then(i32::checked_neg) {
        Some(number) => std::io::Error::from_raw_os_error(number),
        None => std::io::Error::last_os_error(),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn what_is_not_negative_is_an_answer() {
        assert_eq!(check(0).unwrap(), 0);
        assert_eq!(check(isize::MAX).unwrap(), isize::MAX);
    }

    #[test]
    fn minus_one_says_that_errno_has_the_number() {
        // SAFETY: takes integers.
        let answer = unsafe { libc::fcntl(-1, libc::F_GETFD) };
        assert_eq!(check(answer).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }

    /// As on Hermit. Taken for an answer, it would be a descriptor, or a count of bytes.
    #[test]
    fn a_number_below_is_that_of_the_error() {
        for error in [
            check(-libc::EAGAIN).unwrap_err(),
            check(-libc::EAGAIN as isize).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
    }
}
