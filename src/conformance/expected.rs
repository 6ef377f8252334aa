//! In what the backends may differ: a table for each.

use std::time::Duration;

use crate::event::Readiness;
use crate::sys::selector::Backend;

const R: Readiness = Readiness::READABLE;
const W: Readiness = Readiness::WRITABLE;
const E: Readiness = Readiness::ERROR;
const RC: Readiness = Readiness::READ_CLOSED;
const WC: Readiness = Readiness::WRITE_CLOSED;

/// A backend with its table: what the clauses are generic over.
pub(super) trait Subject: Backend {
    const EXPECTED: Expected;
}

/// What is a backend's own business.
#[derive(Copy, Clone, Debug)]
pub(super) struct Expected {
    /// A source that is ready in both directions has two events.
    pub(super) are_directions_apart: bool,
    /// The selector itself refuses to register twice and to change what is not registered.
    pub(super) notices_mistakes: bool,
    /// Regular files cannot be registered.
    #[allow(dead_code)] // asked on Unix, where a file is a descriptor
    pub(super) refuses_files: bool,
    /// Timeouts are multiples of this.
    pub(super) resolution: fn() -> Duration,
    /// Values that the backend uses among the user's tokens, for things of its own.
    pub(super) delicate_tokens: &'static [usize],
    pub(super) endings: Endings,
}

/// What a TCP stream that is registered for both directions reports, in all, when…
#[derive(Copy, Clone, Debug)]
pub(super) struct Endings {
    /// … the peer shut down writing, or closed.
    pub(super) peer_finished: Shows,
    /// … the peer shut down writing, and this side had done so.
    pub(super) both_finished: Shows,
    /// … the peer reset the connection.
    pub(super) reset: Shows,
    /// … the connection attempt was refused.
    pub(super) refused: Shows,
    /// … this side shut down reading.
    pub(super) own_shutdown_read: Shows,
    /// … this side shut down writing.
    pub(super) own_shutdown_write: Shows,
    /// … this side shut down both.
    pub(super) own_shutdown_both: Shows,
}

/// Which bits must come, and which others may.
#[derive(Copy, Clone, Debug)]
pub(super) struct Shows {
    pub(super) must: Readiness,
    pub(super) may: Readiness,
}

#[allow(dead_code)] // the one for systems that tell all, the other for those that do not
impl Shows {
    const fn exactly(bits: &[Readiness]) -> Shows {
        Shows {
            must: union(bits),
            may: Readiness::EMPTY,
        }
    }

    const fn at_least(must: &[Readiness], may: &[Readiness]) -> Shows {
        Shows {
            must: union(must),
            may: union(may),
        }
    }
}

const fn union(bits: &[Readiness]) -> Readiness {
    let mut all = Readiness::EMPTY;
    let mut i = 0;
    while i < bits.len() {
        all = all.union(bits[i]);
        i += 1;
    }
    all
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) const EPOLL: Expected = Expected {
    are_directions_apart: false,
    notices_mistakes: true,
    refuses_files: true,
    resolution: || Duration::from_nanos(1),
    // No token of 32 bits equals the knock's of 64.
    delicate_tokens: if usize::BITS == u64::BITS {
        &[crate::sys::selector::epoll::KNOCK as usize]
    } else {
        &[]
    },
    endings: LINUX_ENDINGS,
};

#[cfg(not(windows))]
pub(super) const POLL: Expected = Expected {
    are_directions_apart: false,
    notices_mistakes: true,
    refuses_files: false,
    resolution: || Duration::from_millis(1),
    delicate_tokens: &[],
    #[cfg(any(target_os = "linux", target_os = "android"))]
    endings: LINUX_ENDINGS,
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    endings: POSIX_ENDINGS,
};

/// What epoll(7) and poll(2) say on Linux.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) const LINUX_ENDINGS: Endings = Endings {
    peer_finished: Shows::exactly(&[R, W, RC]),
    both_finished: Shows::exactly(&[R, W, RC, WC]),
    reset: Shows::exactly(&[R, W, E, RC, WC]),
    refused: Shows::exactly(&[R, W, E, RC, WC]),
    own_shutdown_read: Shows::exactly(&[R, W, RC]),
    own_shutdown_write: Shows::exactly(&[W]),
    own_shutdown_both: Shows::exactly(&[R, W, RC, WC]),
};

/// What port_associate(3C) says, whose bits are those of poll(2).
#[cfg(not(windows))]
#[allow(dead_code)] // where there are no event ports
pub(super) const EVENT_PORTS: Expected = Expected {
    are_directions_apart: false,
    notices_mistakes: true,
    refuses_files: false,
    resolution: || Duration::from_nanos(1),
    delicate_tokens: &[],
    endings: PORT_ENDINGS,
};

/// Over the emulation they are Linux's.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PORT_ENDINGS: Endings = LINUX_ENDINGS;
/// Nobody has looked yet at Solaris and illumos.
#[cfg(not(any(windows, target_os = "linux", target_os = "android")))]
const PORT_ENDINGS: Endings = POSIX_ENDINGS;

/// What POSIX says of poll, which is little: an end is readable.
#[cfg(not(any(windows, target_os = "linux", target_os = "android")))]
const POSIX_ENDINGS: Endings = Endings {
    peer_finished: Shows::at_least(&[R, W], &[RC]),
    both_finished: Shows::at_least(&[R], &[W, RC, WC]),
    reset: Shows::at_least(&[], &[R, W, E, RC, WC]),
    refused: Shows::at_least(&[], &[R, W, E, RC, WC]),
    own_shutdown_read: Shows::at_least(&[W], &[R, RC]),
    own_shutdown_write: Shows::at_least(&[], &[W, RC, WC]),
    own_shutdown_both: Shows::at_least(&[], &[R, W, RC, WC]),
};

/// What kqueue(2) says. The emulation on Linux has the last word of none of it.
#[allow(dead_code)] // where there is no kqueue
pub(super) const KQUEUE: Expected = Expected {
    are_directions_apart: true,
    notices_mistakes: false,
    refuses_files: false,
    resolution: || Duration::from_nanos(1),
    delicate_tokens: &[],
    endings: Endings {
        peer_finished: Shows::exactly(&[R, W, RC]),
        both_finished: Shows::exactly(&[R, W, RC, WC]),
        reset: Shows::exactly(&[R, W, E, RC, WC]),
        refused: Shows::exactly(&[R, W, E, RC, WC]),
        own_shutdown_read: Shows::exactly(&[R, W, RC]),
        // Of a connection whose other direction is open, epoll does not tell, so the emulation
        // cannot.
        own_shutdown_write: Shows::at_least(&[W], &[WC]),
        own_shutdown_both: Shows::exactly(&[R, W, RC, WC]),
    },
};

/// What AFD says. Its `ABORT` does not count as an error, and what it has to say of this side's own
/// shutdowns differs between Windows and Wine.
#[cfg(windows)]
pub(super) const AFD: Expected = Expected {
    are_directions_apart: false,
    notices_mistakes: true,
    refuses_files: true,
    resolution: || Duration::from_millis(16), // a tick of the system's clock
    delicate_tokens: &[], // packets are told apart by their keys, which are no tokens
    endings: Endings {
        peer_finished: Shows::exactly(&[R, W, RC]),
        both_finished: Shows {
            must: union(&[R, RC]),
            may: union(&[W, WC]),
        },
        reset: Shows::exactly(&[R, W, RC, WC]),
        refused: Shows::exactly(&[R, W, E, RC, WC]),
        own_shutdown_read: Shows {
            must: W,
            may: union(&[R, RC]),
        },
        own_shutdown_write: Shows {
            must: Readiness::EMPTY,
            may: union(&[W, WC]),
        },
        own_shutdown_both: Shows {
            must: Readiness::EMPTY,
            may: union(&[R, W, RC, WC]),
        },
    },
};
