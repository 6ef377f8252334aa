//! The handful of C items that the backend needs, so that it is one file for nine systems; and
//! where the systems differ.
//!
//! On Linux, where the unit tests run, an emulation of our own stands in for the kernel.

#[cfg(target_os = "linux")]
pub(super) use super::emulation::{
    EV_ADD, EV_CLEAR, EV_DELETE, EV_EOF, EV_ERROR, EV_ONESHOT, EV_RECEIPT, EVFILT_AIO, EVFILT_READ,
    EVFILT_USER, EVFILT_WRITE, NOTE_TRIGGER, kevent, kqueue,
};
#[cfg(not(target_os = "linux"))]
pub(super) use libc::{
    EV_ADD, EV_CLEAR, EV_DELETE, EV_EOF, EV_ERROR, EV_ONESHOT, EV_RECEIPT, EVFILT_AIO, EVFILT_READ,
    EVFILT_WRITE, kevent, kqueue,
};
#[cfg(not(any(target_os = "linux", target_os = "openbsd")))]
pub(super) use libc::{EVFILT_USER, NOTE_TRIGGER};

use crate::interest::Interest;

/// `kevent::filter`, and below `kevent::flags`.
#[cfg(not(target_os = "netbsd"))]
pub(super) type Filter = i16;
#[cfg(not(target_os = "netbsd"))]
pub(super) type Flags = u16;
#[cfg(target_os = "netbsd")]
pub(super) type Filter = u32;
#[cfg(target_os = "netbsd")]
pub(super) type Flags = u32;

// OpenBSD has it since 7.8, the libc crate since later than the oldest that serves here.
#[cfg(target_os = "openbsd")]
pub(super) const EVFILT_USER: Filter = -10;
#[cfg(target_os = "openbsd")]
pub(super) const NOTE_TRIGGER: u32 = 0x0100_0000;

/// FreeBSD alone reports completed lists.
pub(super) const EVFILT_LIO: Option<Filter> = {
    #[cfg(target_os = "freebsd")]
    {
        Some(libc::EVFILT_LIO)
    }
    #[cfg(not(target_os = "freebsd"))]
    None
};

const SOCKETS: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// What a program may ask for. Completions are not registered with the selector: `aio_read(2)` and
/// its siblings name the queue and the token in their `sigevent`.
pub(super) const DETECTS: Interest = if cfg!(target_os = "freebsd") {
    SOCKETS.add(Interest::AIO).add(Interest::LIO)
} else if cfg!(any(
    target_vendor = "apple",
    target_os = "dragonfly",
    target_os = "linux"
)) {
    SOCKETS.add(Interest::AIO)
} else {
    SOCKETS
};

#[cfg(not(target_vendor = "apple"))]
pub(super) use libc::select;
#[cfg(target_vendor = "apple")]
// SAFETY: this is its C declaration in <sys/select.h>.
unsafe extern "C" {
    /// The one that takes sets of any length; plain `select` refuses descriptors over `FD_SETSIZE`.
    #[link_name = "select$DARWIN_EXTSN"]
    pub(super) fn select(
        nfds: libc::c_int,
        readfds: *mut libc::fd_set,
        writefds: *mut libc::fd_set,
        errorfds: *mut libc::fd_set,
        timeout: *mut libc::timeval,
    ) -> libc::c_int;
}
