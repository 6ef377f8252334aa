//! The lightest metal I/O: non-blocking TCP, UDP and Unix sockets, and event notification, with as
//! little overhead as possible over the operating system.
//!
//! Litio offers everything that mio 1.2 offers, under the same names, and things that mio's users
//! have asked for. It is the floor on which runtimes, servers and clients are built: no tasks, no
//! timers, no threads, and no allocation in a running loop.
//!
//! # How to use it
//!
//! Make a [`Poll`], [register](Registry::register) *sources* with it (the sockets of [`net`],
//! pipes, [your own](IoSource)), wait in [`Poll::poll`], and try what the [events](event::Event)
//! announce until it returns [`WouldBlock`](std::io::ErrorKind::WouldBlock). The [`guide`] has a
//! chapter on each topic.
//!
//! ```
//! use litio::net::UdpSocket;
//! use litio::{Events, Interest, Poll, Token};
//! use std::io;
//!
//! # fn main() -> io::Result<()> {
//! let mut poll = Poll::new()?;
//! let mut events = Events::with_capacity(128);
//!
//! let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
//! poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
//! socket.send_to(b"hello", socket.local_addr()?)?;
//!
//! poll.poll(&mut events, None)?;
//! for event in &events {
//!     let mut buffer = [0; 64];
//!     while event.token() == Token(0) {
//!         match socket.recv_from(&mut buffer) {
//!             Ok((length, _)) => assert_eq!(&buffer[..length], b"hello"),
//!             Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
//!             Err(error) => return Err(error),
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Coming from mio
//!
//! Change one line of Cargo.toml: `mio = { package = "litio", version = "0.1" }`. mio's [feature
//! names](features) are accepted. [`guide::migrating`] says what differs.
//!
//! # Platforms
//!
//! The event queue is epoll on Linux and Android, kqueue on Apple's systems and the BSDs, event
//! ports on Solaris and illumos, a completion port with AFD on Windows, and poll(2) elsewhere. In
//! the repository, PLATFORMS.md says how each system was tested, and RELIABILITY.md names the tests
//! behind what is promised here.

#[macro_use]
mod trace;

mod busy_poll;
mod checker;
// Under loom the wakes work only inside of a model.
#[cfg(all(test, not(litio_loom)))]
mod conformance;
/// For the targets in `fuzz/`, which alone set this cfg.
#[cfg(all(fuzzing, not(test)))]
#[doc(hidden)]
pub mod conformance;
/// Likewise.
#[cfg(all(fuzzing, unix, not(test)))]
#[doc(hidden)]
pub use sys::socket::any_address::read_as_addresses;
mod counters;
#[cfg(not(all(target_os = "wasi", target_env = "p1")))]
mod datagram;
mod events;
#[cfg(not(windows))]
mod fd;
pub mod guide;
#[cfg(target_os = "hermit")]
pub mod hermit;
mod interest;
mod io_source;
pub mod net;
mod poll;
mod raw_event;
mod readiness;
mod registry;
mod sys;
mod token;
#[cfg(unix)]
pub mod unix;
mod wake_state;
mod waker;
#[cfg(target_os = "wasi")]
pub mod wasi;
#[cfg(windows)]
pub mod windows;

pub use busy_poll::BusyPoll;
pub use events::Events;
pub use interest::Interest;
pub use io_source::IoSource;
pub use poll::Poll;
pub use registry::Registry;
pub use token::Token;
pub use waker::Waker;

/// Events, what they say, and where they come from.
pub mod event {
    pub use crate::events::{Event, Events, Iter};
    pub use crate::readiness::Readiness;
    pub use crate::registry::Source;
}

/// What a [`Poll`] does, and what a program does wrong with it: counters and a checker.
///
/// Both are off by default, and cost nothing then; the guide has [a chapter](guide::diagnostics) on
/// how they find bugs.
///
/// - [`Counters`](diagnostics::Counters): polls, events, wakes and time, in any build. Turned on
///   with [`Registry::set_counting`] and read with [`Registry::counters`], by any thread at any
///   time.
/// - [`Checker`](diagnostics::Checker): reports sources that are not drained, loops that spin and
///   the like, with the token and the place in the program, in debug builds. Turned on with
///   [`Poll::set_checker`], or for a whole program with `LITIO_CHECK=report` in its environment.
pub mod diagnostics {
    pub use crate::checker::{Checker, Finding, Mistake};
    pub use crate::counters::{Counters, Counting};
}

/// The features of the crate.
///
/// | feature | default | what it does |
/// |---|---|---|
/// | `log` | yes | logs register, reregister and deregister at trace level, through the crate `log` |
/// | `os-poll`, `os-ext`, `net` | no | nothing: mio's names, accepted so that its users need to change only one line. What they stand for is always there |
pub mod features {}
