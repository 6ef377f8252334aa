//! The dialect of any POSIX system: make the descriptor, then make it non-blocking and
//! close-on-exec with fcntl(2).
//!
//! In between, another thread that forks and executes a program hands the descriptor to it. Nothing
//! can be done about that here; a program that minds starts its children before its threads, or
//! closes descriptors in the child.
//!
//! Accepted descriptors get the same treatment: whether they inherit `O_NONBLOCK` from the listener
//! differs (BSD: yes, Linux: no), and close-on-exec is never inherited.
//!
//! Source: POSIX.1-2017, socket, socketpair, accept, pipe, fcntl

// Compiled on every Unix, so that it is tested on Linux; where the flags are spoken, little of it
// is in use.
#![cfg_attr(not(test), allow(dead_code))]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::c_int;

use super::address::Address;
use super::{posix, silence};
use crate::sys::{check, close_on_exec};

/// Makes a socket.
pub(super) fn socket(family: c_int, kind: c_int) -> io::Result<OwnedFd> {
    // SAFETY: socket(2) takes no pointers.
    let fd = check(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: the call has just made this descriptor, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    prepare(&socket)?;
    silence(&socket)?;
    Ok(socket)
}

/// Makes two sockets that are connected with each other.
#[cfg(unix)] // WASI has none
pub(super) fn pair(family: c_int, kind: c_int) -> io::Result<[OwnedFd; 2]> {
    let mut fds = [-1; 2];
    // SAFETY: socketpair(2) writes two ints, for which `fds` has room.
    check(unsafe { libc::socketpair(family, kind, 0, fds.as_mut_ptr()) })?;
    // SAFETY: the call has just made these descriptors, and nobody else knows them.
    let sockets = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    for socket in &sockets {
        prepare(socket)?;
        silence(socket)?;
    }
    Ok(sockets)
}

/// Accepts a connection and says from whom.
pub(super) fn accept<T>(listener: BorrowedFd<'_>, peer: &mut Address<T>) -> io::Result<OwnedFd> {
    let fd = posix::retry(|| {
        let (name, len) = peer.room();
        // SAFETY: accept(2) writes at most `*len` bytes to `name`, which has that many, and the
        // length to `len`.
        check(unsafe { libc::accept(listener.as_raw_fd(), name, len) })
    })?;
    // SAFETY: the call has just made this descriptor, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    prepare(&socket)?;
    // macOS refuses every option of a connection that has ended meanwhile. It is not lost for that:
    // reading tells.
    let _ = silence(&socket);
    Ok(socket)
}

/// Makes a pipe: the end that reads, then the end that writes.
#[cfg(unix)] // WASI has none
pub(super) fn pipe() -> io::Result<[OwnedFd; 2]> {
    let mut fds = [-1; 2];
    // SAFETY: pipe(2) writes two ints, for which `fds` has room.
    check(unsafe { libc::pipe(fds.as_mut_ptr()) })?;
    // SAFETY: the call has just made these descriptors, and nobody else knows them.
    let ends = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    for end in &ends {
        prepare(end)?;
    }
    Ok(ends)
}

/// Makes a new descriptor close-on-exec, first of all, and non-blocking. It has no other flags that
/// could be lost.
fn prepare(new: &OwnedFd) -> io::Result<()> {
    close_on_exec(new)?;
    // SAFETY: F_SETFL takes an int.
    check(unsafe { libc::fcntl(new.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
    Ok(())
}
