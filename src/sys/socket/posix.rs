//! What every POSIX system's sockets have in common. Each function is one system call, or says why
//! not.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use libc::c_int;

use super::address::Address;
use crate::sys::check;

/// Gives the socket its address.
pub(super) fn bind<T>(socket: &OwnedFd, address: &Address<T>) -> io::Result<()> {
    // SAFETY: bind(2) reads `len` bytes of the address, which are initialised; the borrow outlives
    // the call.
    check(unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr(), address.len()) })?;
    Ok(())
}

/// Makes the socket accept connections; `backlog` of them may wait.
pub(super) fn listen(socket: &OwnedFd, backlog: c_int) -> io::Result<()> {
    // SAFETY: listen(2) takes no pointers.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) })?;
    Ok(())
}

/// Starts to connect. `Ok` says that it has begun, not that it has succeeded.
pub(super) fn connect<T>(socket: &OwnedFd, address: &Address<T>) -> io::Result<()> {
    // SAFETY: connect(2) reads `len` bytes of the address, which are initialised; the borrow
    // outlives the call.
    let result =
        check(unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr(), address.len()) });
    match result {
        Ok(_) => Ok(()),
        // A connect that a signal interrupts goes on in the background, as one that would block
        // does.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR)) => {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Sets a socket option that is an `int`.
pub(super) fn set_option(
    socket: &impl AsRawFd,
    level: c_int,
    option: c_int,
    value: c_int,
) -> io::Result<()> {
    let len = mem::size_of_val(&value) as libc::socklen_t;
    let value = (&raw const value).cast();
    // SAFETY: setsockopt(2) reads `len` bytes at `value`, which are those of an int on our stack.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, len) })?;
    Ok(())
}

/// Reads a socket option that is an `int`.
pub(super) fn option(socket: BorrowedFd<'_>, level: c_int, option: c_int) -> io::Result<c_int> {
    let mut value: c_int = 0;
    let mut len = mem::size_of_val(&value) as libc::socklen_t;
    let to = (&raw mut value).cast();
    // SAFETY: getsockopt(2) writes at most `len` bytes to `to`, which are those of an int on our
    // stack.
    check(unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, to, &raw mut len) })?;
    Ok(value)
}

/// Switches `O_NONBLOCK` of an open file, for everyone who shares it. Two calls of fcntl(2), or one
/// if nothing is to change.
#[cfg(unix)]
pub(crate) fn set_nonblocking(file: BorrowedFd<'_>, is_nonblocking: bool) -> io::Result<()> {
    // SAFETY: F_GETFL takes no argument.
    let old = check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) })?;
    let new = if is_nonblocking {
        old | libc::O_NONBLOCK
    } else {
        old & !libc::O_NONBLOCK
    };
    if new != old {
        // SAFETY: F_SETFL takes an int.
        check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, new) })?;
    }
    Ok(())
}

/// Reads from a stream. As std does it, but inlined: so a read costs the system call and little
/// else.
#[cfg(unix)]
#[inline]
pub(crate) fn receive(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (fd, to, len) = (socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: recv(2) writes at most `len` bytes to the buffer, which is as long and outlives the
    // call.
    let received = check(unsafe { libc::recv(fd, to, len, 0) })?;
    Ok(received as usize)
}

/// Writes to a stream, without a signal if its peer is gone. Inlined as [`receive`] is.
#[cfg(unix)]
#[inline]
pub(crate) fn send(socket: &impl AsRawFd, buffer: &[u8]) -> io::Result<usize> {
    let (fd, from, len) = (socket.as_raw_fd(), buffer.as_ptr().cast(), buffer.len());
    // SAFETY: send(2) reads at most `len` bytes of the buffer, which is as long and outlives the
    // call.
    let sent = check(unsafe { libc::send(fd, from, len, super::SEND_QUIETLY) })?;
    Ok(sent as usize)
}

/// Receives what is there and leaves it to be received again.
#[cfg(unix)]
pub(crate) fn peek(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let (fd, to, len) = (socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: recv(2) writes at most `len` bytes to the buffer, which is as long and outlives the
    // call.
    let received = check(unsafe { libc::recv(fd, to, len, libc::MSG_PEEK) })?;
    Ok(received as usize)
}

/// Calls again while a signal interrupts: accept(2) on a listener that blocks, as std does it.
#[inline]
pub(super) fn retry<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            // Not `kind`, which looks through all errors there are.
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
            result => return result,
        }
    }
}
