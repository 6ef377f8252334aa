//! Paced sources: edges for a descriptor whose operations nobody hears of (`SourceFd`).
//!
//! Where the system reports edges by itself, paced is edge. Elsewhere a source that is still ready
//! is reported again: after a millisecond, and if it is never seen otherwise, less and less often,
//! down to every 64 ms. So no edge is lost, and nothing spins.

use std::time::{Duration, Instant};

use super::expected::Subject;
use super::support::*;
use crate::sys::selector::Registration;

/// The rests of a source that is ready whenever it is looked at.
fn rests() -> impl Iterator<Item = Duration> {
    (0..7)
        .flat_map(|doublings| [1 << doublings; 64])
        .map(Duration::from_millis)
}

pub(super) fn a_paced_source_is_repeated_at_growing_intervals_at_most<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    send(&peer, 1);
    let mut start = Instant::now();
    rig.register(&mut source, 7, R.paced());
    for token in [7, 8] {
        rig.expect(token, READABLE);
        if !B::Registration::REARMS {
            rig.expect_timeout(QUIET);
        } else {
            // Each poll waits for the next, however slow the machine is, and none comes too early.
            let mut rested = Duration::ZERO;
            for (times, rest) in rests().take(80).enumerate() {
                rested += rest;
                rig.expect(token, READABLE);
                assert!(start.elapsed() >= rested, "repeat {times} came early");
            }
        }
        // Reregistering begins anew.
        start = Instant::now();
        rig.reregister(&mut source, token + 1, R.paced());
    }
}

/// What is always ready in one direction neither delays the other nor is forgotten for it.
pub(super) fn the_directions_of_a_paced_source_do_not_disturb_each_other<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, RW.paced());
    let (mut reads, mut writes) = (0, 0);
    let end = Instant::now() + DEADLINE;
    while reads < 100 || writes < if B::Registration::REARMS { 5 } else { 1 } {
        assert!(Instant::now() < end, "{reads} reads, {writes} writes");
        send(&peer, 1);
        let seen = rig.poll(DEADLINE);
        reads += usize::from(seen.readiness(7).contains(READABLE));
        writes += usize::from(seen.readiness(7).contains(WRITABLE));
        drain_raw(&source.inner);
        rig.poll(Duration::ZERO);
    }
}

/// What is always ready in one direction, and rests long, does not make the other rest as long:
/// there are several edges of reading between two reports that there is room.
pub(super) fn a_direction_that_rests_long_does_not_slow_down_the_other<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, RW.paced());
    // Until it rests for eight milliseconds, where it does.
    let rests = if B::Registration::REARMS { 3 * 64 } else { 1 };
    for _ in 0..rests {
        rig.expect(7, WRITABLE);
    }
    let end = Instant::now() + DEADLINE;
    let mut reads = 0;
    while reads < 3 {
        assert!(Instant::now() < end, "as slow as the other direction");
        send(&peer, 1);
        let seen = rig.poll(DEADLINE);
        // An edge that the system reports by itself tells of room as well.
        if B::Registration::REARMS && seen.contains(7, WRITABLE) {
            reads = 0;
        } else if seen.contains(7, READABLE) {
            reads += 1;
        }
        drain_raw(&source.inner);
    }
}

pub(super) fn a_paced_source_reports_new_data_unasked<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R.paced());
    for _ in 0..5 {
        send(&peer, 1);
        rig.expect(7, READABLE);
        drain_raw(&source.inner); // behind the backend's back
    }
    // What was drained is not reported, once a repeat that was due has passed.
    rig.poll(Duration::from_millis(70));
    rig.expect_timeout(Duration::from_millis(70));
    send(&peer, 1);
    rig.expect(7, READABLE);
}

pub(super) fn a_paced_source_that_is_not_ready_leaves_the_timeout_alone<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, _peer) = source();
    rig.register(&mut source, 7, R.paced());
    for millis in [0, 1, 3, 20] {
        rig.expect_timeout(Duration::from_millis(millis));
    }
}

pub(super) fn a_paced_source_that_was_removed_is_not_repeated<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    send(&peer, 1);
    rig.register(&mut source, 7, R.paced());
    rig.expect(7, READABLE);
    rig.deregister(&mut source);
    rig.expect_timeout(Duration::from_millis(20));
}

pub(super) fn a_paced_source_in_both_directions_does_not_spin<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    let start = Instant::now();
    rig.register(&mut source, 7, RW.paced());
    rig.expect(7, WRITABLE);
    if B::Registration::REARMS {
        let mut rested = Duration::ZERO;
        for rest in rests().take(20) {
            rested += rest;
            rig.expect(7, WRITABLE);
            assert!(start.elapsed() >= rested);
        }
    } else {
        rig.expect_timeout(QUIET);
    }
    // Repeats of one direction do not hide the other.
    send(&peer, 1);
    rig.expect(7, READABLE);
}
