//! Clauses 4 and 9: whose token an event carries. Programs put pointers into tokens, so a token
//! that appears after its source was deregistered is a use after free.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::expected::Subject;
use super::support::*;
use crate::event::Readiness;
use crate::io_source::Attached;
use crate::registry::Hub;
use crate::token::Token;
use crate::waker::WakeHandle;

/// How long the clauses with threads try to find an unlucky moment.
const HUNT: Duration = Duration::from_millis(150);

pub(super) fn every_value_of_a_token_comes_back<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let boxed = Box::new(5u64);
    let (mut source, peer) = source();
    send(&peer, 1);
    rig.register(&mut source, 2, R);
    let values = [
        0,
        1,
        usize::MAX,
        usize::MAX - 1,
        usize::MAX / 2,
        1 << (usize::BITS - 1),
        u32::MAX as usize,
        &raw const *boxed as usize,
    ];
    for token in values.iter().chain(B::EXPECTED.delicate_tokens) {
        rig.reregister(&mut source, *token, R);
        rig.expect(*token, READABLE);
    }
    for token in values.iter().chain(B::EXPECTED.delicate_tokens) {
        rig.deregister(&mut source);
        rig.register(&mut source, *token, R);
        rig.expect(*token, READABLE);
    }
}

/// The backend's own events must not be lost, nor taken for the user's, when he uses their value.
pub(super) fn a_token_that_the_backend_uses_too_disturbs_neither<B: Subject>() {
    for &token in B::EXPECTED.delicate_tokens {
        let mut rig = Rig::<B>::new();
        let waker = WakeHandle::new(&rig.hub(), Token(1)).unwrap();
        let (mut source, peer) = source();
        rig.register(&mut source, token, R);
        rig.expect_timeout(QUIET);
        send(&peer, 1);
        rig.expect(token, READABLE);
        drain(&source);
        thread::scope(|scope| {
            scope.spawn(|| {
                let_it_fall_asleep();
                waker.wake().unwrap();
            });
            rig.expect_all(&[(1, READABLE), (token, Readiness::EMPTY)]);
        });
        send(&peer, 1);
        rig.expect(token, READABLE);
    }
}

pub(super) fn sources_that_share_a_token_each_have_their_events<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let mut sources: Vec<_> = (0..3).map(|_| source::<B>()).collect();
    for (source, _) in &mut sources {
        rig.register(source, 7, R);
    }
    for _ in 0..3 {
        for (_, peer) in &sources {
            send(peer, 1);
        }
        let mut seen = Seen::default();
        while seen.len() < 3 {
            seen.extend(rig.next());
        }
        assert_eq!(seen.counts(), [(7, 3)].into());
        for (source, _) in &sources {
            drain(source);
        }
    }
    // Taking one of them away leaves the others.
    let (first, _) = &mut sources[0];
    rig.deregister(first);
    sources.iter().for_each(|(_, peer)| send(peer, 1));
    let mut seen = rig.expect(7, READABLE);
    seen.extend(rig.poll(QUIET));
    assert_eq!(seen.counts(), [(7, 2)].into());
}

pub(super) fn a_token_never_appears_after_deregister<B: Subject>() {
    for interest in [R, RW, RW.level(), RW.oneshot(), R.paced()] {
        let mut rig = Rig::<B>::new();
        let (mut source, peer) = source();
        rig.register(&mut source, 7, interest);
        send(&peer, 1); // an event that nobody has polled yet
        rig.deregister(&mut source);
        rig.expect_nothing();
        send(&peer, 1);
        rig.expect_nothing();
        // Operations on it still work, and tell nobody.
        assert_eq!(drain(&source), 2);
        send(&peer, 1);
        rig.expect_nothing();
    }
}

pub(super) fn old_token_never_appears_after_reregister<B: Subject>() {
    for interest in [R, RW, RW.level(), RW.oneshot(), R.paced()] {
        let mut rig = Rig::<B>::new();
        let (mut source, peer) = source();
        rig.register(&mut source, 1, interest);
        send(&peer, 1);
        rig.reregister(&mut source, 2, interest);
        // Any token but 2 is an error.
        rig.expect(2, readable_at_least(interest));
        rig.reregister(&mut source, 3, interest);
        rig.expect(3, readable_at_least(interest));
        drain(&source);
        rig.poll_now(); // level-triggered, it is still writable
        send(&peer, 1);
        if !interest.is_oneshot() {
            rig.expect(3, READABLE);
        }
    }
}

pub(super) fn a_deregistered_source_may_be_registered_again<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let mut other = Rig::<B>::new();
    let (mut source, peer) = source();
    for token in 0..5 {
        rig.register(&mut source, token, R);
        send(&peer, 1);
        rig.expect(token, READABLE);
        rig.deregister(&mut source);
        // With another poller, too.
        other.register(&mut source, token, R);
        other.expect(token, READABLE);
        other.deregister(&mut source);
    }
}

/// A second thread registers under ever greater tokens, makes the source ready and takes it away
/// again, while the first polls: what was taken away before a poll began must not come of it.
pub(super) fn deregister_by_another_thread_silences_the_token_at_once<B: Subject>() {
    hunt::<B>(|quarry| {
        let token = quarry.next_token();
        quarry.source.register(&quarry.hub, token, RW).unwrap();
        send(&quarry.peer, 1);
        drain(&quarry.source);
        send(&quarry.peer, 1);
        quarry.source.deregister(&quarry.hub).unwrap();
        quarry.dead.store(token.0, Ordering::SeqCst);
        drain(&quarry.source);
    });
}

pub(super) fn reregister_by_another_thread_silences_the_old_token_at_once<B: Subject>() {
    hunt::<B>(|quarry| {
        let token = quarry.next_token();
        if token == Token(1) {
            quarry.source.register(&quarry.hub, token, RW).unwrap();
            return;
        }
        send(&quarry.peer, 1);
        quarry.source.reregister(&quarry.hub, token, RW).unwrap();
        quarry.dead.store(token.0 - 1, Ordering::SeqCst);
        drain(&quarry.source);
    });
}

/// What the second thread of a hunt works on.
#[derive(Debug)]
struct Quarry<'a, B: Subject> {
    hub: Hub<B>,
    source: Attached<B, Stream>,
    peer: Stream,
    last_token: usize,
    /// No token up to this one may be reported by a poll that begins from now on.
    dead: &'a AtomicUsize,
}

impl<B: Subject> Quarry<'_, B> {
    fn next_token(&mut self) -> Token {
        self.last_token += 1;
        Token(self.last_token)
    }
}

/// Runs `step` again and again in a second thread, while this one polls and asserts that no token
/// comes that was dead before the poll began.
fn hunt<B: Subject>(mut step: impl FnMut(&mut Quarry<'_, B>) + Send) {
    let mut rig = Rig::<B>::with_capacity(3);
    let hub = rig.hub();
    let dead = AtomicUsize::new(0);
    let seen = AtomicUsize::new(0);
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let (source, peer) = source();
            let mut quarry = Quarry {
                hub,
                source,
                peer,
                last_token: 0,
                dead: &dead,
            };
            let start = Instant::now();
            // On a busy machine the two may be a long time in getting together.
            let is_tried = || seen.load(Ordering::SeqCst) > 0 || start.elapsed() > DEADLINE;
            while start.elapsed() < HUNT || !is_tried() {
                step(&mut quarry);
            }
        });
        let mut polls = 0;
        while !other.is_finished() {
            let dead_before = dead.load(Ordering::SeqCst);
            polls += 1;
            for (token, readiness) in rig.poll(Duration::from_micros(200)).0 {
                assert!(
                    token > dead_before,
                    "poll {polls}: token {token} with {readiness:?}, dead since {dead_before}"
                );
                seen.fetch_add(1, Ordering::SeqCst);
            }
        }
        let seen = seen.load(Ordering::SeqCst);
        assert!(seen > 0, "no event in {polls} polls: nothing was tried");
    });
}
