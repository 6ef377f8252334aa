//! Paced sources: edges for a descriptor whose operations nobody hears of (`SourceFd`).
//!
//! Where the system reports edges by itself, paced is edge. Elsewhere a source that is still ready
//! is reported again: after a millisecond, then after twice the time, and so on up to 64 ms. So no
//! edge is lost, and nothing spins.

use std::time::{Duration, Instant};

use super::expected::Subject;
use super::support::*;
use crate::sys::selector::Registration;

/// Polls for `time` and returns what came.
fn watch<B: Subject>(rig: &mut Rig<B>, time: Duration) -> (Seen, usize) {
    let end = Instant::now() + time;
    let mut seen = Seen::default();
    let mut polls = 0;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return (seen, polls);
        }
        seen.extend(rig.poll(left));
        polls += 1;
    }
}

pub(super) fn a_paced_source_is_repeated_at_growing_intervals_at_most<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    send(&peer, 1);
    rig.register(&mut source, 7, R.paced());
    for token in [7, 8] {
        let (seen, polls) = watch(&mut rig, Duration::from_millis(300));
        // At 0, 1, 3, 7, 15, 31, 63, 127, 191, 255 ms: fewer if the machine is slow, and then in
        // larger steps.
        let expected = if B::Registration::REARMS {
            4..=11
        } else {
            1..=1
        };
        assert!(
            expected.contains(&seen.count(token)),
            "awaited {expected:?}, came {seen:?}"
        );
        assert!(
            polls <= seen.len() + 2,
            "{polls} polls for {} events",
            seen.len()
        );
        // Reregistering begins anew.
        rig.reregister(&mut source, token + 1, R.paced());
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
    rig.register(&mut source, 7, RW.paced());
    let (seen, _) = watch(&mut rig, Duration::from_millis(100));
    assert!((1..=9).contains(&seen.len()), "{seen:?}");
    // Repeats of one direction do not hide the other.
    send(&peer, 1);
    rig.expect(7, READABLE);
}
