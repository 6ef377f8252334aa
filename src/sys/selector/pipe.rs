//! A knocker made of a pipe to oneself, for systems without eventfd(2).
//!
//! One byte is written for each ring. An edge-triggered backend need not read them until the pipe
//! is full; a level-triggered one reads them all.
//!
//! Source: POSIX.1-2017, pipe

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::knocker::Knocker;
use crate::sys::{check, close_on_exec};

/// Both ends non-blocking and close-on-exec.
#[derive(Debug)]
pub(crate) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Knocker for Pipe {
    fn new() -> io::Result<Pipe> {
        let mut fds = [-1; 2];
        // SAFETY: pipe(2) writes two ints, for which `fds` has room.
        check(unsafe { libc::pipe(fds.as_mut_ptr()) })?;
        // SAFETY: the call above made these descriptors, and nobody else has them.
        let [reader, writer] = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        for end in [&reader, &writer] {
            close_on_exec(end)?;
            // SAFETY: F_SETFL takes an int. A new pipe has no other flags that could be lost.
            check(unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
        }
        Ok(Pipe { reader, writer })
    }

    fn ring(&self) -> io::Result<()> {
        loop {
            // SAFETY: write reads one byte, which is given.
            let written =
                check(unsafe { libc::write(self.writer.as_raw_fd(), [1u8].as_ptr().cast(), 1) });
            match written {
                Ok(_) => return Ok(()),
                // Full. It is readable then, but the write would have been the edge: make room for
                // it.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.drain()?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn drain(&self) -> io::Result<()> {
        let mut bytes = [0u8; 64];
        loop {
            let reader = self.reader.as_raw_fd();
            // SAFETY: read writes at most as many bytes as `bytes` has.
            let read = check(unsafe { libc::read(reader, bytes.as_mut_ptr().cast(), bytes.len()) });
            match read {
                Ok(read) if read as usize == bytes.len() => {}
                Ok(_) => return Ok(()), // fewer than asked for: there are no more
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn descriptor(&self) -> Option<RawFd> {
        Some(self.reader.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_pipe_still_rings_and_is_drained_whole() {
        let knocker = Pipe::new().unwrap();
        let lump = [0u8; 4096];
        // SAFETY: write reads as many bytes as `lump` has.
        while unsafe { libc::write(knocker.writer.as_raw_fd(), lump.as_ptr().cast(), 4096) } > 0 {}
        knocker.ring().unwrap();
        assert!(knocker.is_rung());
        knocker.drain().unwrap();
        assert!(!knocker.is_rung());
    }

    #[test]
    fn both_ends_are_non_blocking_and_close_on_exec() {
        let knocker = Pipe::new().unwrap();
        for end in [&knocker.reader, &knocker.writer] {
            // SAFETY: F_GETFL takes nothing.
            let status = unsafe { libc::fcntl(end.as_raw_fd(), libc::F_GETFL) };
            // SAFETY: F_GETFD takes nothing.
            let flags = unsafe { libc::fcntl(end.as_raw_fd(), libc::F_GETFD) };
            assert_ne!(status & libc::O_NONBLOCK, 0);
            assert_ne!(flags & libc::FD_CLOEXEC, 0);
        }
    }

    #[test]
    fn errors_of_the_system_are_told() {
        let ends = || Pipe::new().unwrap();
        let unwritable = Pipe {
            writer: ends().reader,
            ..ends()
        };
        let unreadable = Pipe {
            reader: ends().writer,
            ..ends()
        };
        for result in [unwritable.ring(), unreadable.drain()] {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBADF));
        }
    }
}
