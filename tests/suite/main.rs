//! What Litio promises, through its public API alone: one binary, safe to run in parallel.
//!
//! A test's name is the promise. Each one fails when its promise is broken, so a test that needs a
//! promise only some platforms make stands in a module that only those platforms compile: this file
//! is the table. Smaller differences (how fine a timeout is, whether one event or two report a
//! socket) are constants in `support`, to be asked at run time.

// Facts about the platform, the rig that waits for events, and pairs of connected sockets.
mod support;

// Every platform.
mod closing;
mod events;
mod polling;
mod registration;
mod tcp;
mod timeouts;
mod trigger;
mod udp;

// Second threads, and wakers.
mod threads;

// What Litio has beyond mio, on every platform.
mod datagrams;
mod diagnostics;
mod io_source;
mod modes;
mod readiness;
mod short_transfers;

// Descriptors, Unix sockets, pipes.
#[cfg(unix)]
mod unix;

// Named pipes, raw sockets.
#[cfg(windows)]
mod windows;

// The poller's own descriptor: where the selector is one.
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
mod nested;

// Costs that are counted, not timed.
#[cfg(target_os = "linux")]
mod costs;

// Mio's public API, item by item, and what makes that file.
#[cfg(target_os = "linux")]
#[rustfmt::skip]
#[allow(clippy::type_complexity)] // they are the types of mio's functions
mod surface;
#[cfg(target_os = "linux")]
mod surface_generator;
