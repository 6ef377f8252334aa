//! Segmentation offload as far as it is the same on every system: how much of a run goes in one
//! piece, and whether it is still tried.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

use crate::datagram::SendRun;

/// How many datagrams go in one piece: `UDP_MAX_SEGMENTS` of Linux up to 6.8. Later ones take twice
/// as many, and Windows is known to take more.
pub(super) const SEGMENTS_MAX: usize = 64;

/// How many bytes go in one piece, on IPv4 and IPv6: 65,535 less the largest headers.
const PIECE_LEN_MAX: usize = 65_535 - 40 - 8;

/// After so many refusals in a row, offload is no longer tried.
pub(super) const REFUSALS_MAX: u8 = 8;

/// What was found out about the offload of a socket.
#[derive(Debug)]
pub(super) struct Segmentation {
    /// 1 if there is no offload.
    segments_max: AtomicUsize,
    /// Since the last success.
    refusals: AtomicU8,
}

impl Segmentation {
    pub(super) fn new(is_there: bool) -> Segmentation {
        Segmentation {
            segments_max: AtomicUsize::new(if is_there { SEGMENTS_MAX } else { 1 }),
            refusals: AtomicU8::new(0),
        }
    }

    /// How many datagrams go in one piece.
    pub(super) fn segments_max(&self) -> usize {
        self.segments_max.load(Relaxed)
    }

    /// A run that was refused in one piece went out datagram by datagram.
    #[cold]
    pub(super) fn was_refused(&self, is_hopeless: bool) {
        let refusals = self.refusals.fetch_add(1, Relaxed).saturating_add(1);
        if refusals >= REFUSALS_MAX || is_hopeless {
            self.segments_max.store(1, Relaxed);
        }
    }

    /// A run went out in one piece.
    pub(super) fn was_accepted(&self) {
        if self.refusals.load(Relaxed) != 0 {
            self.refusals.store(0, Relaxed);
        }
    }
}

/// How many datagrams of the run may go in one piece.
pub(super) fn piece_count_max(run: &SendRun<'_>, segments_max: usize) -> usize {
    match run.segment {
        0 => 1,
        segment => (PIECE_LEN_MAX / segment).min(segments_max).max(1),
    }
}
