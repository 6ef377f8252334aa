//! The words of poll(2), which event ports speak too: what its bits mean, and the call itself.
//!
//! Source: POSIX.1-2017, poll; poll(2)

use std::io;
use std::os::fd::RawFd;
use std::thread;

use libc::{c_int, c_short, pollfd};

use super::poll_bits;
use crate::interest::Interest;
use crate::readiness::Readiness;
use crate::sys::check;

/// A set of `POLL*` bits.
pub(super) type Bits = c_short;

pub(super) const IN: Bits = libc::POLLIN as Bits;
pub(super) const OUT: Bits = libc::POLLOUT as Bits;
pub(super) const ERR: Bits = libc::POLLERR as Bits;
pub(super) const HUP: Bits = libc::POLLHUP as Bits;
/// The descriptor is closed.
pub(super) const NVAL: Bits = poll_bits::NVAL;
/// Not in POSIX; no bit where the system lacks it.
pub(super) const RDHUP: Bits = poll_bits::RDHUP;
/// Urgent data; no bit where it is not offered as a direction.
pub(super) const PRI: Bits = poll_bits::PRI;
/// What a program waits for. `RDHUP` says no more than `HUP` does.
pub(super) const DIRECTIONS: Bits = IN | OUT | PRI;
/// What a program may ask for.
pub(super) const DETECTS: Interest = if PRI == 0 {
    Interest::READABLE.add(Interest::WRITABLE)
} else {
    Interest::READABLE
        .add(Interest::WRITABLE)
        .add(Interest::PRIORITY)
};
/// What is reported unasked.
pub(super) const UNASKED: Bits = ERR | HUP;

/// One entry of a list.
pub(super) fn request(fd: RawFd, bits: Bits) -> pollfd {
    pollfd {
        fd,
        events: bits as _,
        revents: 0,
    }
}

/// poll(2). Returns how many entries have an answer; 0 if time is up or the system has to be asked
/// again.
#[inline]
pub(super) fn poll(list: &mut [pollfd], ms: c_int) -> io::Result<usize> {
    #[cfg(all(test, unix))]
    POLLS.set(POLLS.get() + 1);
    // SAFETY: poll reads and writes as many entries as are given.
    let count = check(unsafe { libc::poll(list.as_mut_ptr(), list.len() as libc::nfds_t, ms) });
    match count {
        Ok(count) => Ok(count as usize),
        // The system is short of memory for the moment; POSIX says that a later call may succeed.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            for polled in list {
                polled.revents = 0;
            }
            thread::yield_now();
            Ok(0)
        }
        Err(error) => Err(error),
    }
}

/// Whether there is such a descriptor.
#[cold]
pub(super) fn is_open(fd: RawFd) -> io::Result<bool> {
    let mut probe = [request(fd, 0)];
    loop {
        match poll(&mut probe, 0) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(probe[0].revents as Bits & NVAL == 0),
        }
    }
}

/// What is asked of the system.
pub(super) fn bits(interest: Interest) -> Bits {
    let mut bits = 0;
    if interest.is_readable() {
        bits |= IN | RDHUP;
    }
    if interest.is_writable() {
        bits |= OUT;
    }
    if interest.is_priority() {
        bits |= PRI;
    }
    bits
}

/// What the system's answer means. The table is in [`Event`](crate::events::Event)'s documentation.
#[inline]
pub(super) fn readiness(bits: Bits) -> Readiness {
    let has = |any: Bits| bits & any != 0;
    // The end of a stream can be read, also when reading itself was reported before and is not
    // asked for.
    Readiness::READABLE.when(has(IN | PRI | RDHUP))
        | Readiness::WRITABLE.when(has(OUT))
        | Readiness::PRIORITY.when(has(PRI))
        | Readiness::ERROR.when(has(ERR))
        | Readiness::READ_CLOSED.when(has(HUP | RDHUP))
        | Readiness::WRITE_CLOSED.when(has(HUP) || has(OUT) && has(ERR) || bits == ERR)
}

#[cfg(all(test, unix))]
pub(super) use counter::POLLS;

// On systems whose thread-locals are std's own work, clippy does not see the `const`.
#[cfg(all(test, unix))]
#[allow(clippy::missing_const_for_thread_local)]
mod counter {
    use std::cell::Cell;

    thread_local! {
        /// How often this thread has called poll(2).
        pub(in super::super) static POLLS: Cell<usize> = const { Cell::new(0) };
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn each_bit_means_what_the_table_says() {
        use Readiness as Is;
        let closed = Is::READ_CLOSED | Is::WRITE_CLOSED;
        for (bits, expected) in [
            (0, Is::EMPTY),
            (IN, Is::READABLE),
            (PRI, Is::READABLE | Is::PRIORITY),
            (OUT, Is::WRITABLE),
            (ERR, Is::ERROR | Is::WRITE_CLOSED),
            (IN | ERR, Is::READABLE | Is::ERROR),
            (OUT | ERR, Is::WRITABLE | Is::ERROR | Is::WRITE_CLOSED),
            (HUP, closed),
            (RDHUP, Is::READABLE | Is::READ_CLOSED),
            (IN | RDHUP, Is::READABLE | Is::READ_CLOSED),
            (
                IN | OUT | ERR | HUP | RDHUP,
                Is::READABLE | Is::WRITABLE | Is::ERROR | closed,
            ),
        ] {
            assert_eq!(readiness(bits), expected, "{bits:#x}");
        }
    }

    /// All of them, so that there is nothing left to fuzz.
    #[test]
    fn every_answer_means_what_the_table_says() {
        use Readiness as Is;
        const KNOWN: Bits = IN | OUT | PRI | ERR | HUP | RDHUP;
        for bits in (0..=Bits::MAX).filter(|bits| !cfg!(miri) || bits % 97 == 0) {
            let bits = bits & KNOWN; // others are not asked for
            let has = |any| bits & any != 0;
            let row = [
                (Is::READABLE, has(IN) || has(PRI) || has(RDHUP)),
                (Is::WRITABLE, has(OUT)),
                (Is::ERROR, has(ERR)),
                (Is::READ_CLOSED, has(HUP) || has(RDHUP)),
                (
                    Is::WRITE_CLOSED,
                    has(HUP) || has(OUT) && has(ERR) || bits == ERR,
                ),
                (Is::PRIORITY, has(PRI)),
                (Is::AIO, false),
                (Is::LIO, false),
            ];
            let must = row.iter().filter(|(_, must)| *must);
            let must = must.fold(Is::EMPTY, |all, (bit, _)| all | *bit);
            assert_eq!(readiness(bits), must, "{bits:#x}");
        }
    }
}
