//! Selectors: the operating systems' event queues behind one contract.
//!
//! This file is one of the two that name operating systems. First *the table*: every backend that
//! compiles on the target is compiled, and run through the conformance suite by its tests. Then
//! *the chain*: the first that fits serves.

mod backend;
#[cfg(not(windows))]
#[allow(dead_code)] // `Silent`, where there is something better
mod knocker;
mod registration;
#[allow(dead_code)] // epoll needs none
mod rest;
mod timeout;

pub(crate) use backend::{Backend, Knocked, SelectorId};
#[allow(unused_imports)] // not every target has backends of both kinds
pub(crate) use registration::{Registration, Tracked, Untracked};

// The table: which backends compile here, and which knockers.

#[cfg(windows)]
pub(crate) mod afd;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[cfg_attr(
    any(litio_backend = "poll", mio_unsupported_force_poll_poll),
    allow(dead_code) // it does not serve
)]
pub(crate) mod epoll;
#[cfg(any(
    target_os = "illumos",
    target_os = "solaris",
    all(any(test, fuzzing), target_os = "linux", not(miri)), // over an emulation
))]
#[cfg_attr(
    any(litio_backend = "poll", mio_unsupported_force_poll_poll),
    allow(dead_code) // it does not serve
)]
pub(crate) mod event_ports;
#[cfg(any(
    target_vendor = "apple",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    all(any(test, fuzzing), target_os = "linux", not(miri)), // over an emulation
))]
#[cfg_attr(
    any(litio_backend = "poll", mio_unsupported_force_poll_poll),
    allow(dead_code) // it does not serve
)]
pub(crate) mod kqueue;
#[cfg(not(windows))]
#[allow(dead_code)] // it does not serve where there is something better
pub(crate) mod poll;

// What poll(2) and event ports share.

#[cfg(not(windows))]
mod pace;
#[cfg(not(windows))]
mod pollfd;
#[cfg(not(windows))]
mod table;

#[cfg(any(
    target_os = "android",
    target_os = "espidf",
    target_os = "fuchsia",
    target_os = "hermit",
    target_os = "linux",
    target_os = "nuttx",
))]
pub(crate) mod eventfd;
#[cfg(all(unix, not(target_os = "horizon")))]
#[allow(dead_code)] // where there is an eventfd, only tests use it
pub(crate) mod pipe;

/// What interrupts a sleeping poll(2).
#[cfg(any(
    target_os = "android",
    target_os = "espidf",
    target_os = "fuchsia",
    target_os = "hermit",
    target_os = "linux",
    target_os = "nuttx",
))]
#[allow(dead_code)] // where epoll serves
pub(crate) type PollKnocker = eventfd::Eventfd;
/// What interrupts a sleeping poll(2).
#[cfg(any(target_os = "horizon", target_os = "wasi"))]
pub(crate) type PollKnocker = knocker::Silent;
#[cfg(all(any(test, fuzzing), target_os = "linux"))]
pub(crate) use knocker::Silent;

/// Flags of eventfd(2). On ESP-IDF there are none: all are non-blocking, and there is no exec.
#[cfg(any(
    target_os = "android",
    target_os = "fuchsia",
    target_os = "linux",
    target_os = "nuttx"
))]
const EVENTFD_FLAGS: libc::c_int = libc::EFD_CLOEXEC | libc::EFD_NONBLOCK;
#[cfg(target_os = "espidf")]
const EVENTFD_FLAGS: libc::c_int = 0;
#[cfg(target_os = "hermit")]
const EVENTFD_FLAGS: i16 = libc::EFD_CLOEXEC | libc::EFD_NONBLOCK;

/// What poll(2) has on this system beyond POSIX, or lacks of it.
#[cfg(not(windows))]
mod poll_bits {
    use libc::c_short;

    /// The peer has shut down writing.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "illumos"))]
    pub(super) const RDHUP: c_short = libc::POLLRDHUP;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "illumos")))]
    pub(super) const RDHUP: c_short = 0;

    /// The descriptor is closed. ESP-IDF says nothing of the kind.
    #[cfg(not(target_os = "espidf"))]
    pub(super) const NVAL: c_short = libc::POLLNVAL as c_short;
    #[cfg(target_os = "espidf")]
    pub(super) const NVAL: c_short = 0;

    /// Urgent data: offered as a direction where epoll offers it.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) const PRI: c_short = libc::POLLPRI;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) const PRI: c_short = 0;

    /// `POLLHUP` and `POLLERR` are reported even if nothing is asked for. WASI reports neither, and
    /// a UDP socket without a request as ready for nothing, again and again.
    pub(super) const COMES_UNASKED: bool = cfg!(not(target_os = "wasi"));
}

// The chain: which one serves.

/// What serves where nothing better does: the names of the chain hide these.
#[cfg(not(windows))]
mod otherwise {
    #[cfg(all(unix, not(target_os = "horizon")))]
    #[allow(dead_code)] // hidden, or poll(2) does not serve
    pub(crate) type PollKnocker = super::pipe::Pipe;
    #[allow(dead_code)] // as above
    pub(crate) type Serving = super::poll::Poll<super::PollKnocker>;
}
#[cfg(not(windows))]
#[allow(unused_imports)] // as above
pub(crate) use otherwise::*;

/// The backend behind [`Poll`](crate::Poll) on this target.
#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    not(any(litio_backend = "poll", mio_unsupported_force_poll_poll))
))]
pub(crate) type Serving = epoll::Epoll;
/// The backend behind [`Poll`](crate::Poll) on this target.
#[cfg(all(
    any(target_os = "illumos", target_os = "solaris"),
    not(any(litio_backend = "poll", mio_unsupported_force_poll_poll))
))]
pub(crate) type Serving = event_ports::EventPorts;
/// The backend behind [`Poll`](crate::Poll) on this target.
#[cfg(all(
    any(
        target_vendor = "apple",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
    ),
    not(any(litio_backend = "poll", mio_unsupported_force_poll_poll))
))]
pub(crate) type Serving = kqueue::Kqueue;
/// The backend behind [`Poll`](crate::Poll) on this target.
#[cfg(windows)]
pub(crate) type Serving = afd::Afd;

/// Keeps its items where the serving selector is a descriptor that can be given out, and drops them
/// elsewhere.
#[allow(unused_macros)]
macro_rules! if_selector_is_descriptor {
    ($($item:item)*) => {
        $(
            #[cfg(all(
                any(
                    target_os = "linux",
                    target_os = "android",
                    target_vendor = "apple",
                    target_os = "dragonfly",
                    target_os = "freebsd",
                    target_os = "netbsd",
                    target_os = "openbsd",
                    target_os = "illumos",
                    target_os = "solaris",
                ),
                not(any(litio_backend = "poll", mio_unsupported_force_poll_poll))
            ))]
            $item
        )*
    };
}

#[allow(unused_imports)] // used by `unix` only
pub(crate) use if_selector_is_descriptor;
