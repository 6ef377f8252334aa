//! Messages: bytes in several buffers, an address, control messages. sendmsg(2) and recvmsg(2).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, msghdr};

use super::SEND_QUIETLY;
use super::address::Address;
use crate::sys::check;

/// What recvmsg(2) tells apart from the bytes.
pub(super) struct Received {
    /// How many bytes there are.
    pub(super) len: usize,
    /// How many bytes of control messages were written, as the system says.
    #[allow(dead_code)] // where there are none
    pub(super) control_len: usize,
    #[allow(dead_code)] // as above
    pub(super) flags: c_int,
}

/// Sends a message, to an address or to the peer, without a signal if that is gone.
pub(super) fn send<T>(
    socket: BorrowedFd<'_>,
    data: &[IoSlice<'_>],
    to: Option<&Address<T>>,
    control: &[u8],
) -> io::Result<usize> {
    // POSIX wants a buffer, if an empty one.
    let empty = [IoSlice::new(&[])];
    let data = if data.is_empty() { &empty } else { data };
    // SAFETY: a struct of integers and pointers, for which all bytes zero is a value.
    let mut header: msghdr = unsafe { zeroed() };
    if let Some(address) = to {
        header.msg_name = address.as_ptr().cast_mut().cast();
        header.msg_namelen = address.len();
    }
    header.msg_iov = data.as_ptr().cast_mut().cast(); // std promises that a slice is an `iovec`
    header.msg_iovlen = data.len() as _; // as wide as the system has it
    if !control.is_empty() {
        header.msg_control = control.as_ptr().cast_mut().cast();
        header.msg_controllen = control.len() as _; // as above
    }
    let header = &raw const header;
    // SAFETY: everything that the header points to is initialised, as long as it says, and outlives
    // the call.
    let sent = check(unsafe { libc::sendmsg(socket.as_raw_fd(), header, SEND_QUIETLY) })?;
    Ok(sent as usize)
}

/// Receives a message into the buffers, one after the other, the address of its sender and control
/// messages.
pub(super) fn receive<T>(
    socket: BorrowedFd<'_>,
    buffers: &mut [IoSliceMut<'_>],
    mut from: Option<&mut Address<T>>,
    control: &mut [u8],
    flags: c_int,
) -> io::Result<Received> {
    // POSIX wants a buffer, if an empty one.
    let mut empty = [IoSliceMut::new(&mut [])];
    let buffers = if buffers.is_empty() {
        &mut empty
    } else {
        buffers
    };
    // SAFETY: a struct of integers and pointers, for which all bytes zero is a value.
    let mut header: msghdr = unsafe { zeroed() };
    if let Some(from) = &mut from {
        header.msg_name = from.room().0.cast();
        header.msg_namelen = from.len;
    }
    header.msg_iov = buffers.as_mut_ptr().cast(); // std promises that a slice is an `iovec`
    header.msg_iovlen = buffers.len() as _; // as wide as the system has it
    if !control.is_empty() {
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = control.len() as _; // as above
    }
    let to = &raw mut header;
    // SAFETY: everything that the header points to is as long as it says, borrowed for writing, and
    // outlives the call.
    let len = check(unsafe { libc::recvmsg(socket.as_raw_fd(), to, flags) })?;
    if let Some(from) = from {
        from.len = header.msg_namelen;
    }
    #[allow(clippy::unnecessary_cast)] // as above
    Ok(Received {
        len: len as usize,
        control_len: header.msg_controllen as usize,
        flags: header.msg_flags,
    })
}
