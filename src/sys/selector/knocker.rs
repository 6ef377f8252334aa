//! What a knock is where the selector has no call for it: a descriptor that becomes readable. An
//! `eventfd`, where there is one.
//!
//! The eventfd is registered edge-triggered, or drained by the backend that polls by level: each
//! write is a new edge even if the counter was not read since, so an edge-triggered backend never
//! reads it.
//!
//! Source: eventfd(2)

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::sys::check;

/// Becomes readable when rung. Non-blocking and close-on-exec.
#[derive(Debug)]
pub(super) struct Knocker {
    eventfd: OwnedFd,
}

impl Knocker {
    pub(super) fn new() -> io::Result<Knocker> {
        // SAFETY: takes no memory.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the call above made this descriptor, and nobody else has it.
        let eventfd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Knocker { eventfd })
    }

    /// Makes the descriptor readable, with a new edge. Safe in a signal handler; keeps `errno` when
    /// it succeeds.
    pub(super) fn ring(&self) -> io::Result<()> {
        loop {
            let one = 1u64.to_ne_bytes();
            // SAFETY: write reads the eight bytes of `one`.
            let written = check(unsafe {
                libc::write(self.eventfd.as_raw_fd(), one.as_ptr().cast(), one.len())
            });
            match written {
                Ok(_) => return Ok(()),
                // The counter is full. It is readable then, but the write would have been the edge:
                // make room for it.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.drain()?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes the descriptor unreadable. It may have been so.
    pub(super) fn drain(&self) -> io::Result<()> {
        let mut count = [0; 8];
        // SAFETY: read writes at most the eight bytes of `count`.
        let read = check(unsafe {
            libc::read(
                self.eventfd.as_raw_fd(),
                count.as_mut_ptr().cast(),
                count.len(),
            )
        });
        match read {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn as_raw_fd(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_readable(knocker: &Knocker) -> bool {
        let mut poll = libc::pollfd {
            fd: knocker.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd is given and one is counted.
        check(unsafe { libc::poll(&mut poll, 1, 0) }).unwrap() == 1
    }

    #[test]
    fn a_knocker_is_readable_from_the_ring_to_the_drain() {
        let knocker = Knocker::new().unwrap();
        assert!(!is_readable(&knocker));
        knocker.drain().unwrap();
        knocker.ring().unwrap();
        knocker.ring().unwrap();
        assert!(is_readable(&knocker));
        knocker.drain().unwrap();
        assert!(!is_readable(&knocker));
    }

    #[test]
    fn a_full_knocker_still_rings() {
        let knocker = Knocker::new().unwrap();
        let most = (u64::MAX - 1).to_ne_bytes();
        // SAFETY: write reads the eight bytes of `most`.
        let written = unsafe { libc::write(knocker.as_raw_fd(), most.as_ptr().cast(), 8) };
        assert_eq!(written, 8);
        knocker.ring().unwrap();
        assert!(is_readable(&knocker));
    }
}
