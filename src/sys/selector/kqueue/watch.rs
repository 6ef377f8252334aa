//! select(2) over sets of any size.
//!
//! Not poll(2), which on macOS refuses the very descriptors that kqueue refuses.
//!
//! Source: select(2)

use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

use super::os;
use crate::sys::check;

/// The places of the two directions in arrays.
pub(super) const TO_READ: usize = 0;
pub(super) const TO_WRITE: usize = 1;

/// Descriptors in one C type's worth of a set.
const WIDTH: usize = size_of::<libc::fd_set>() * 8;

/// What select(2) is asked, and then its answer.
#[derive(Debug, Default)]
pub(super) struct Watch {
    sets: [Vec<Block>; 2],
    /// One more than the highest descriptor.
    end: RawFd,
}

/// A piece of a set: `fd_set`s in a row are one long set.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Block(libc::fd_set);

impl Watch {
    pub(super) fn clear(&mut self) {
        self.sets.iter_mut().for_each(Vec::clear);
        self.end = 0;
    }

    /// Asks for a direction of a descriptor, which must not be negative.
    pub(super) fn insert(&mut self, direction: usize, fd: RawFd) {
        let (block, bit) = place(fd);
        let set = &mut self.sets[direction];
        if set.len() <= block {
            set.resize(block + 1, Block::empty());
        }
        // SAFETY: the block is initialized and `bit` is within it.
        unsafe { libc::FD_SET(bit, &mut set[block].0) };
        self.end = self.end.max(fd + 1);
    }

    /// True if the direction was asked for or, after [`wait`](Watch::wait), is ready.
    pub(super) fn contains(&self, direction: usize, fd: RawFd) -> bool {
        let (block, bit) = place(fd);
        self.sets[direction].get(block).is_some_and(|block| {
            // SAFETY: the block is initialized and `bit` is within it.
            unsafe { libc::FD_ISSET(bit, &block.0) }
        })
    }

    /// Waits until something that was asked for is ready, at most (and perhaps less than)
    /// `timeout`, and keeps what is. Whatever the result, what was asked is gone.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let blocks = (self.end as usize).div_ceil(WIDTH);
        for set in &mut self.sets {
            set.resize(blocks, Block::empty());
        }
        let mut timeout = timeout.map(timeval);
        let [to_read, to_write] = &mut self.sets;
        // SAFETY: select reads and writes `end` bits of each set, for which there are blocks, and
        // the timeout, if there is one.
        check(unsafe {
            os::select(
                self.end,
                to_read.as_mut_ptr().cast(),
                to_write.as_mut_ptr().cast(),
                ptr::null_mut(),
                timeout.as_mut().map_or(ptr::null_mut(), ptr::from_mut),
            )
        })?;
        Ok(())
    }
}

impl Block {
    fn empty() -> Block {
        // SAFETY: an `fd_set` is an array of integers.
        Block(unsafe { std::mem::zeroed() })
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bits = 0..WIDTH as RawFd;
        // SAFETY: the block is initialized and the bits are within it.
        let set = bits.filter(|bit| unsafe { libc::FD_ISSET(*bit, &self.0) });
        f.debug_set().entries(set).finish()
    }
}

/// Which block, and which bit of it.
fn place(fd: RawFd) -> (usize, RawFd) {
    let fd = usize::try_from(fd).expect("a descriptor that is open");
    (fd / WIDTH, (fd % WIDTH) as RawFd)
}

/// Microseconds, rounded up. A timeout of more than a day is cut to one: some systems refuse long
/// ones.
fn timeval(timeout: Duration) -> libc::timeval {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let micros = timeout.min(DAY).as_nanos().div_ceil(1000);
    libc::timeval {
        tv_sec: (micros / 1_000_000) as _,
        tv_usec: (micros % 1_000_000) as _,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn only_what_is_asked_for_and_ready_is_left() {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let fd = ours.as_raw_fd();
        let mut watch = Watch::default();
        watch.insert(TO_READ, fd);
        watch.wait(Some(Duration::from_millis(1))).unwrap();
        assert!(!watch.contains(TO_READ, fd) && !watch.contains(TO_WRITE, fd));

        theirs.write_all(b"x").unwrap();
        watch.clear();
        watch.insert(TO_READ, fd);
        watch.insert(TO_WRITE, fd);
        watch.wait(None).unwrap();
        assert!(watch.contains(TO_READ, fd) && watch.contains(TO_WRITE, fd));
    }

    #[test]
    fn descriptors_over_fd_setsize_have_their_place() {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let high = WIDTH as RawFd + 70;
        // SAFETY: makes a descriptor at that number or above.
        let high = unsafe { libc::fcntl(ours.as_raw_fd(), libc::F_DUPFD_CLOEXEC, high) };
        if high < 0 {
            return; // the limit of open descriptors is lower here
        }
        theirs.write_all(b"x").unwrap();
        let mut watch = Watch::default();
        watch.insert(TO_READ, high);
        watch.wait(Some(Duration::ZERO)).unwrap();
        assert!(watch.contains(TO_READ, high));
        assert!(!watch.contains(TO_READ, high % WIDTH as RawFd));
        // SAFETY: it was made above and is used no more.
        unsafe { libc::close(high) };
    }

    #[test]
    fn timeouts_are_rounded_up_and_cut_to_a_day() {
        let parts = |timeout| -> (i64, i64) {
            let timeval = timeval(timeout);
            (timeval.tv_sec as _, timeval.tv_usec as _)
        };
        assert_eq!(parts(Duration::ZERO), (0, 0));
        assert_eq!(parts(Duration::from_nanos(1)), (0, 1));
        assert_eq!(parts(Duration::from_nanos(1_999_999_001)), (2, 0));
        assert_eq!(parts(Duration::MAX), (86_400, 0));
    }
}
