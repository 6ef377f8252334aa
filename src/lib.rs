//! The lightest metal I/O: non-blocking sockets and event notification with as little overhead as possible over the
//! operating system.

#[macro_use]
mod trace;

// Under loom the wakes work only inside of a model.
#[cfg(all(test, not(litio_loom)))]
mod conformance;
mod events;
pub mod guide;
mod interest;
mod io_source;
pub mod net;
mod poll;
mod registry;
mod sys;
mod token;
#[cfg(unix)]
pub mod unix;
mod wake_state;
mod waker;

pub use events::Events;
pub use interest::Interest;
pub use io_source::IoSource;
pub use poll::Poll;
pub use registry::Registry;
pub use token::Token;
pub use waker::Waker;

/// Events, what they say, and where they come from.
pub mod event {
    pub use crate::events::{Event, Events, Iter, Readiness};
    pub use crate::registry::Source;
}
