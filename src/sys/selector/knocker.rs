//! What a knock is where the selector has no call for it: a descriptor that becomes readable.
//!
//! `Eventfd` where there is one, else `Pipe`; [`Silent`] where there is neither.

use std::fmt::Debug;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// Becomes readable when rung.
pub(crate) trait Knocker: Debug + Send + Sync + Sized + 'static {
    /// The longest that a poller may sleep, because ringing does not rouse it.
    const SLEEP_MAX: Option<Duration> = None;

    fn new() -> io::Result<Self>;

    /// Makes the descriptor readable, with a new edge. Safe in a signal handler; keeps `errno` when
    /// it succeeds, unless it was full.
    fn ring(&self) -> io::Result<()>;

    /// Makes the descriptor unreadable. It may have been so.
    fn drain(&self) -> io::Result<()>;

    /// What to watch for being readable, if there is something.
    fn descriptor(&self) -> Option<RawFd>;

    #[cfg(test)]
    fn is_rung(&self) -> bool {
        let mut pollfd = libc::pollfd {
            fd: self.descriptor().unwrap(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd is given and one is counted.
        crate::sys::check(unsafe { libc::poll(&mut pollfd, 1, 0) }).unwrap() == 1
    }
}

/// No knocker, for systems that have neither eventfd nor pipe.
///
/// Where there are threads nevertheless, a poller looks up from its sleep every 10 ms to see what
/// they changed, and whether they knocked. Where there are none, nobody can knock while it sleeps.
#[derive(Debug)]
#[allow(dead_code)] // few systems need it
pub(crate) struct Silent;

impl Knocker for Silent {
    const SLEEP_MAX: Option<Duration> =
        if cfg!(all(target_family = "wasm", not(target_feature = "atomics"))) {
            None
        } else {
            Some(Duration::from_millis(10))
        };

    fn new() -> io::Result<Silent> {
        Ok(Silent)
    }

    fn ring(&self) -> io::Result<()> {
        Ok(())
    }

    fn drain(&self) -> io::Result<()> {
        Ok(())
    }

    fn descriptor(&self) -> Option<RawFd> {
        None
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::PollKnocker;
    use super::super::pipe::Pipe;
    use super::*;

    fn is_readable_from_the_ring_to_the_drain<K: Knocker>() {
        let knocker = K::new().unwrap();
        assert!(!knocker.is_rung());
        knocker.drain().unwrap();
        knocker.ring().unwrap();
        knocker.ring().unwrap();
        assert!(knocker.is_rung());
        knocker.drain().unwrap();
        assert!(!knocker.is_rung());
    }

    #[test]
    fn what_serves_is_readable_from_the_ring_to_the_drain() {
        is_readable_from_the_ring_to_the_drain::<PollKnocker>();
    }

    #[test]
    fn a_pipe_is_readable_from_the_ring_to_the_drain() {
        is_readable_from_the_ring_to_the_drain::<Pipe>();
    }
}
