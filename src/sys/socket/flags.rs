//! The dialect of systems that make descriptors non-blocking and close-on-exec in the call that
//! makes them.
//!
//! Source: socket(2), accept4(2), pipe2(2) of Linux, the BSDs, illumos and Solaris; POSIX has them
//! since 2024.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::c_int;

use super::address::Address;
use super::{ACCEPT4_MAY_KILL, fcntl, posix, silence};
use crate::sys::check;

const SOCKET: c_int = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
const PIPE: c_int = libc::O_NONBLOCK | libc::O_CLOEXEC;

/// Makes a socket.
pub(super) fn socket(family: c_int, kind: c_int) -> io::Result<OwnedFd> {
    // SAFETY: socket(2) takes no pointers.
    let fd = check(unsafe { libc::socket(family, kind | SOCKET, 0) })?;
    // SAFETY: the call has just made this descriptor, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    silence(&socket)?;
    Ok(socket)
}

/// Makes two sockets that are connected with each other.
pub(super) fn pair(family: c_int, kind: c_int) -> io::Result<[OwnedFd; 2]> {
    let mut fds = [-1; 2];
    // SAFETY: socketpair(2) writes two ints, for which `fds` has room.
    check(unsafe { libc::socketpair(family, kind | SOCKET, 0, fds.as_mut_ptr()) })?;
    // SAFETY: the call has just made these descriptors, and nobody else knows them.
    let sockets = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    for socket in &sockets {
        silence(socket)?;
    }
    Ok(sockets)
}

/// Accepts a connection and says from whom.
#[inline]
pub(super) fn accept<T>(listener: BorrowedFd<'_>, peer: &mut Address<T>) -> io::Result<OwnedFd> {
    if ACCEPT4_MAY_KILL {
        return fcntl::accept(listener, peer);
    }
    let fd = posix::retry(|| {
        let (name, len) = peer.room();
        // SAFETY: accept4(2) writes at most `*len` bytes to `name`, which has that many, and the
        // length to `len`.
        check(unsafe { libc::accept4(listener.as_raw_fd(), name, len, SOCKET) })
    })?;
    // SAFETY: the call has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes a pipe: the end that reads, then the end that writes.
pub(super) fn pipe() -> io::Result<[OwnedFd; 2]> {
    let mut fds = [-1; 2];
    // SAFETY: pipe2(2) writes two ints, for which `fds` has room.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), PIPE) })?;
    // SAFETY: the call has just made these descriptors, and nobody else knows them.
    Ok(fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }))
}
