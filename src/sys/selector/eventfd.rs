//! A knocker made of an eventfd: one descriptor, and a counter that never fills.
//!
//! Each write is a new edge even if the counter was not read since, so an edge-triggered backend
//! never drains it; a level-triggered one does.
//!
//! Source: eventfd(2)

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::knocker::Knocker;
use crate::sys::check;

/// Non-blocking and close-on-exec.
#[derive(Debug)]
pub(crate) struct Eventfd {
    eventfd: OwnedFd,
}

impl Knocker for Eventfd {
    fn new() -> io::Result<Eventfd> {
        // SAFETY: takes no memory.
        let fd = check(unsafe { libc::eventfd(0, super::EVENTFD_FLAGS) })?;
        Ok(Eventfd {
            // SAFETY: the call above made this descriptor, and nobody else has it.
            eventfd: unsafe { OwnedFd::from_raw_fd(fd) },
        })
    }

    fn ring(&self) -> io::Result<()> {
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

    fn drain(&self) -> io::Result<()> {
        loop {
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
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn descriptor(&self) -> Option<RawFd> {
        Some(self.eventfd.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn a_full_eventfd_still_rings() {
        let knocker = Eventfd::new().unwrap();
        let most = (u64::MAX - 1).to_ne_bytes();
        // SAFETY: write reads the eight bytes of `most`.
        let written = unsafe { libc::write(knocker.eventfd.as_raw_fd(), most.as_ptr().cast(), 8) };
        assert_eq!(written, 8);
        knocker.ring().unwrap();
        assert!(knocker.is_rung());
    }

    #[test]
    fn errors_of_the_system_are_told() {
        let null = |options: &mut OpenOptions| Eventfd {
            eventfd: options.open("/dev/null").unwrap().into(),
        };
        let unwritable = null(OpenOptions::new().read(true));
        let unreadable = null(OpenOptions::new().write(true));
        for result in [unwritable.ring(), unreadable.drain()] {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBADF));
        }
    }
}
