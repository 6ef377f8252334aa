//! Clause 7: level-triggered sources are reported by every poll, one-shot ones once.

use super::expected::Subject;
use super::support::*;
use crate::interest::Interest;

pub(super) fn a_level_triggered_source_is_reported_by_every_poll<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R.level());
    rig.expect_timeout(QUIET);
    send(&peer, 10);
    rig.expect(7, READABLE);
    for _ in 0..5 {
        assert_eq!(rig.next().0, [(7, READABLE)]);
    }
    // Also after a part of it was read.
    read(&source, 5).unwrap();
    for _ in 0..3 {
        assert_eq!(rig.next().0, [(7, READABLE)]);
    }
    drain(&source);
    rig.expect_nothing();
    send(&peer, 1);
    rig.expect(7, READABLE);
}

pub(super) fn a_level_triggered_source_needs_no_operation_to_be_reported_again<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R.level());
    for _ in 0..3 {
        send(&peer, 1);
        rig.expect(7, READABLE);
        drain_raw(&source.inner); // behind the backend's back
        rig.expect_nothing();
    }
}

pub(super) fn level_holds_for_both_directions<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, RW.level());
    for _ in 0..3 {
        assert_eq!(rig.next().readiness(7), WRITABLE);
    }
    send(&peer, 1);
    rig.expect(7, BOTH);
    for _ in 0..3 {
        rig.expect(7, BOTH);
    }
    drain(&source);
    for _ in 0..3 {
        assert_eq!(rig.next().readiness(7), WRITABLE);
    }
    fill(&source);
    rig.expect_nothing();
    drain_raw(&peer);
    rig.expect(7, WRITABLE);
}

/// Events of both directions count as one, however the system reports them.
pub(super) fn a_one_shot_source_is_reported_once<B: Subject>() {
    for (interest, is_readable, expected) in [
        (R, true, READABLE),
        (W, false, WRITABLE),
        (RW, false, WRITABLE),
        (RW, true, READABLE),
        (RW, true, WRITABLE),
    ] {
        let mut rig = Rig::<B>::new();
        let (mut source, peer) = source();
        if is_readable {
            send(&peer, 1);
        }
        rig.register(&mut source, 7, interest.oneshot());
        for token in 8..11 {
            let mut seen = rig.next();
            for _ in 0..3 {
                seen.extend(rig.poll(QUIET));
            }
            assert_eq!(seen.len(), 1, "{interest:?}: {seen:?}");
            if interest != RW {
                assert_eq!(seen.0[0].1, expected);
            }
            rig.reregister(&mut source, token, interest.oneshot());
        }
    }
}

pub(super) fn a_one_shot_source_is_not_reported_with_both_directions_apart<B: Subject>() {
    let mut rig = Rig::<B>::with_capacity(1);
    let (mut source, peer) = source();
    let (mut other, _other_peer) = self::source();
    send(&peer, 1);
    rig.register(&mut source, 7, RW.oneshot());
    rig.register(&mut other, 8, W.oneshot());
    // With room for one, a second event would come with the next poll.
    let mut seen = Seen::default();
    for _ in 0..4 {
        seen.extend(rig.poll(QUIET));
    }
    assert_eq!(seen.counts(), [(7, 1), (8, 1)].into());
}

pub(super) fn after_its_event_nothing_re_arms_a_one_shot_source<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, RW.oneshot());
    rig.expect(7, WRITABLE);
    send(&peer, 1);
    rig.expect_nothing(); // the other direction
    assert_eq!(drain(&source), 1);
    source.rearm(RW).unwrap();
    send(&peer, 1);
    rig.expect_nothing();
    fill(&source);
    drain_raw(&peer);
    rig.expect_nothing();
    rig.reregister(&mut source, 8, RW.oneshot());
    rig.next();
    drop(peer); // nor does the end
    rig.expect_nothing();
    rig.reregister(&mut source, 9, R.oneshot());
    rig.expect(9, READABLE);
    rig.expect_nothing();
}

pub(super) fn a_one_shot_source_is_not_spent_before_its_event<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R.oneshot());
    for _ in 0..3 {
        rig.expect_timeout(QUIET);
        assert_eq!(drain(&source), 0);
    }
    send(&peer, 1);
    rig.expect(7, READABLE);
}

pub(super) fn reregister_changes_the_mode<B: Subject>() {
    let modes: [fn(Interest) -> Interest; 3] = [|edge| edge, Interest::level, Interest::oneshot];
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 0, R);
    send(&peer, 1);
    for (token, step) in [0, 1, 0, 2, 1, 2, 0, 1, 2, 2, 1, 1, 0, 0]
        .into_iter()
        .enumerate()
    {
        rig.reregister(&mut source, token, modes[step](R));
        rig.expect(token, READABLE);
        if step == 1 {
            rig.expect(token, READABLE);
            drain(&source);
            rig.expect_nothing();
            send(&peer, 1);
            rig.expect(token, READABLE);
            rig.expect(token, READABLE);
            continue;
        }
        rig.expect_nothing();
        drain(&source);
        send(&peer, 1);
        if step == 0 {
            rig.expect(token, READABLE);
        }
        rig.expect_nothing();
    }
}

pub(super) fn sources_of_all_modes_live_together<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let interests = [R, R.level(), R.oneshot(), R.paced()];
    let mut sources: Vec<_> = interests.iter().map(|_| source::<B>()).collect();
    for ((token, (source, peer)), interest) in sources.iter_mut().enumerate().zip(interests) {
        rig.register(source, token, interest);
        send(&*peer, 1);
    }
    let all: Vec<_> = (0..interests.len())
        .map(|token| (token, READABLE))
        .collect();
    rig.expect_all(&all);
    let mut seen = Seen::default();
    for _ in 0..4 {
        seen.extend(rig.next());
    }
    assert_eq!((seen.count(0), seen.count(2)), (0, 0), "{seen:?}");
    assert_eq!(seen.count(1), 4, "{seen:?}");
}
