//! Registering: what is refused, that a refusal leaves no trace, and changes by other threads
//! during a poll.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::expected::Subject;
use super::support::*;
use crate::interest::Interest;
use crate::io_source::Attached;
use crate::sys::handle::raw_source;
use crate::sys::selector::Registration;
use crate::token::Token;

/// True if the objects that own their descriptor notice mistakes by themselves.
fn sources_notice_mistakes<B: Subject>() -> bool {
    B::Registration::REARMS || cfg!(debug_assertions)
}

/// The error that a source has found by itself, and says in words what to do about.
#[track_caller]
fn expect_refusal(result: io::Result<()>, kind: ErrorKind, advice: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind);
    let says = error.to_string();
    assert!(says.contains(advice), "{says}");
}

pub(super) fn registering_twice_is_refused_and_leaves_the_first<B: Subject>() {
    if !sources_notice_mistakes::<B>() && !B::EXPECTED.notices_mistakes {
        return;
    }
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    for _ in 0..2 {
        let again = source.register(&rig.hub(), Token(8), W);
        if sources_notice_mistakes::<B>() {
            expect_refusal(again, ErrorKind::AlreadyExists, "use `reregister`");
        } else {
            assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
        }
        rig.expect_nothing(); // it would be writable
    }
    send(&peer, 1);
    rig.expect(7, READABLE);
    rig.reregister(&mut source, 9, R);
    rig.expect(9, READABLE);
    rig.deregister(&mut source);
}

pub(super) fn what_is_not_registered_cannot_be_changed<B: Subject>() {
    if !sources_notice_mistakes::<B>() && !B::EXPECTED.notices_mistakes {
        return;
    }
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    send(&peer, 1);
    for _ in 0..2 {
        let changed = source.reregister(&rig.hub(), Token(8), R);
        assert_eq!(changed.unwrap_err().kind(), ErrorKind::NotFound);
        let removed = source.deregister(&rig.hub());
        assert_eq!(removed.unwrap_err().kind(), ErrorKind::NotFound);
        rig.expect_nothing();
        // Once more, after it has been.
        rig.register(&mut source, 7, R);
        rig.expect(7, READABLE);
        rig.deregister(&mut source);
    }
}

/// Raw sources have nothing in which a mistake could be noted, so the selector has to see it.
pub(super) fn the_selector_itself_notices_mistakes<B: Subject>() {
    if !B::EXPECTED.notices_mistakes {
        return;
    }
    let mut rig = Rig::<B>::new();
    let selector = rig.hub().selector;
    let (ours, peer) = pair();
    let raw = raw_source(&ours);
    let kind = |result: io::Result<()>| result.unwrap_err().kind();
    assert_eq!(
        kind(selector.reregister(raw, Token(1), R)),
        ErrorKind::NotFound
    );
    assert_eq!(kind(selector.deregister(raw)), ErrorKind::NotFound);
    selector.rearm(raw, R).unwrap();
    selector.register(raw, Token(2), R).unwrap();
    assert_eq!(
        kind(selector.register(raw, Token(3), W)),
        ErrorKind::AlreadyExists
    );
    send(&peer, 1);
    rig.expect(2, READABLE);
    selector.deregister(raw).unwrap();
    assert_eq!(kind(selector.deregister(raw)), ErrorKind::NotFound);
}

/// Debug builds of mio forget, or overwrite, whose a source is when another registry refuses it.
pub(super) fn another_registry_is_refused_and_changes_nothing<B: Subject>() {
    if !sources_notice_mistakes::<B>() {
        return;
    }
    let mut rig = Rig::<B>::new();
    let mut other = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    for token in 8..10 {
        let (elsewhere, advice) = (ErrorKind::AlreadyExists, "deregister it there first");
        let registered = source.register(&other.hub(), Token(1), W);
        expect_refusal(registered, elsewhere, advice);
        let changed = source.reregister(&other.hub(), Token(1), W);
        expect_refusal(changed, elsewhere, advice);
        let removed = source.deregister(&other.hub());
        expect_refusal(removed, ErrorKind::NotFound, "use `register` first");
        other.expect_nothing();
        send(&peer, 1);
        rig.expect(token - 1, READABLE);
        rig.reregister(&mut source, token, R);
        rig.expect(token, READABLE);
        drain(&source);
    }
    rig.deregister(&mut source);
    other.register(&mut source, 7, W);
    other.expect(7, WRITABLE);
}

pub(super) fn another_registry_that_knows_the_descriptor_does_not_give_it_up<B: Subject>() {
    if !sources_notice_mistakes::<B>() {
        return;
    }
    let mut rig = Rig::<B>::new();
    let mut other = Rig::<B>::new();
    let (ours, peer) = pair();
    let raw = raw_source(&ours);
    let mut source = Attached::new(ours);
    rig.register(&mut source, 7, R);
    let selector = other.hub().selector;
    selector.register(raw, Token(8), R).unwrap();
    let removed = source.deregister(&other.hub());
    expect_refusal(removed, ErrorKind::NotFound, "use `register` first");
    send(&peer, 1);
    other.expect(8, READABLE);
    rig.expect(7, READABLE);
    selector.deregister(raw).unwrap();
}

/// The directions that this system cannot detect.
fn undetectable<B: Subject>() -> Vec<Interest> {
    [Interest::AIO, Interest::LIO, Interest::PRIORITY]
        .into_iter()
        .filter(|direction| !direction.is_within(B::DETECTS))
        .collect()
}

pub(super) fn a_register_that_fails_leaves_no_trace<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let directions = undetectable::<B>();
    assert!(!directions.is_empty(), "no system has them all");
    let (mut source, peer) = source();
    send(&peer, 1);
    for direction in directions {
        for interest in [direction, RW | direction, direction.oneshot()] {
            let refused = source.register(&rig.hub(), Token(1), interest);
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
            rig.expect_nothing();
            rig.register(&mut source, 7, R);
            rig.expect(7, READABLE);
            rig.deregister(&mut source);
        }
    }
}

pub(super) fn a_reregister_that_fails_leaves_the_registration<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    for direction in undetectable::<B>() {
        let refused = source.reregister(&rig.hub(), Token(1), W | direction);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
        rig.expect_nothing(); // it would be writable
        send(&peer, 1);
        rig.expect(7, READABLE);
        rig.expect_nothing(); // still by edges
        drain(&source);
    }
}

pub(super) fn register_during_a_poll_takes_effect<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let hub = rig.hub();
    for _ in 0..5 {
        let (mut source, peer) = source::<B>();
        send(&peer, 1);
        thread::scope(|scope| {
            scope.spawn(|| {
                let_it_fall_asleep();
                source.register(&hub, Token(7), R).unwrap();
            });
            rig.expect(7, READABLE);
        });
        rig.deregister(&mut source);
        // Not ready when it is registered, but later.
        thread::scope(|scope| {
            scope.spawn(|| {
                drain(&source);
                let_it_fall_asleep();
                source.register(&hub, Token(8), R).unwrap();
                send(&peer, 1);
            });
            rig.expect(8, READABLE);
        });
    }
}

pub(super) fn reregister_during_a_poll_takes_effect<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let hub = rig.hub();
    for _ in 0..5 {
        let (mut source, _peer) = source::<B>();
        rig.register(&mut source, 7, R);
        thread::scope(|scope| {
            scope.spawn(|| {
                let_it_fall_asleep();
                source.reregister(&hub, Token(8), W).unwrap();
            });
            rig.expect(8, WRITABLE);
        });
    }
}

pub(super) fn deregister_during_a_poll_takes_effect<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let hub = rig.hub();
    for interest in [R, R.level(), R.oneshot(), R.paced()] {
        let (mut source, peer) = source::<B>();
        rig.register(&mut source, 7, interest);
        thread::scope(|scope| {
            scope.spawn(|| {
                let_it_fall_asleep();
                source.deregister(&hub).unwrap();
                send(&peer, 1);
            });
            rig.expect_timeout(Duration::from_millis(30));
        });
    }
}

pub(super) fn dropping_a_source_during_a_poll_takes_effect<B: Subject>() {
    let mut rig = Rig::<B>::new();
    for _ in 0..3 {
        let (mut source, peer) = source::<B>();
        rig.register(&mut source, 7, R);
        thread::scope(|scope| {
            scope.spawn(move || {
                let_it_fall_asleep();
                drop(source);
                drop(peer);
            });
            rig.expect_timeout(Duration::from_millis(30));
        });
    }
}

pub(super) fn sources_registered_by_many_threads_are_all_reported<B: Subject>() {
    const THREADS: usize = 4;
    const EACH: usize = 25;
    let mut rig = Rig::<B>::with_capacity(8);
    let hub = rig.hub();
    let unseen = AtomicUsize::new(THREADS * EACH);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (hub, unseen) = (&hub, &unseen);
            scope.spawn(move || {
                let mut sources: Vec<_> = (0..EACH).map(|_| source::<B>()).collect();
                for (i, (source, peer)) in sources.iter_mut().enumerate() {
                    // Ready before or after, by turns.
                    if i % 2 == 0 {
                        send(&*peer, 1);
                    }
                    let token = Token(thread * EACH + i);
                    source.register(hub, token, R).unwrap();
                    if i % 2 == 1 {
                        send(&*peer, 1);
                    }
                }
                until("all have been seen", || unseen.load(Ordering::SeqCst) == 0);
                for (source, _) in &mut sources {
                    source.deregister(hub).unwrap();
                }
            });
        }
        let mut seen = Seen::default();
        let deadline = Instant::now() + DEADLINE / 2;
        while seen.counts().len() < THREADS * EACH && Instant::now() < deadline {
            seen.extend(rig.poll(DEADLINE / 2));
        }
        unseen.store(0, Ordering::SeqCst);
        assert_eq!(seen.counts().len(), THREADS * EACH, "{:?}", seen.counts());
    });
    rig.expect_nothing();
}

pub(super) fn no_capacity_is_an_error_and_takes_no_event<B: Subject>() {
    let mut rig = Rig::<B>::with_capacity(0);
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    send(&peer, 1);
    for timeout in [None, Some(Duration::ZERO), Some(DEADLINE)] {
        let error = rig.try_poll(timeout).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    rig.set_capacity(1);
    rig.expect(7, READABLE);
}

/// The system's own refusal, with its code, as often as it is tried (mio's debug builds answer
/// "already registered" then).
#[cfg(unix)]
pub(super) fn a_refusal_of_the_system_leaves_no_trace<B: Subject>() {
    if !B::EXPECTED.refuses_files {
        return;
    }
    let rig = Rig::<B>::new();
    let path = std::env::current_exe().expect("a test has a file");
    let mut file = Attached::<B, _>::new(std::fs::File::open(path).unwrap());
    for _ in 0..3 {
        let refused = file.register(&rig.hub(), Token(1), R).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
        assert!(refused.raw_os_error().is_some(), "{refused:?}");
        let removed = file.deregister(&rig.hub()).unwrap_err();
        assert!(
            [ErrorKind::NotFound, ErrorKind::PermissionDenied].contains(&removed.kind()),
            "{removed:?}"
        );
    }
}

/// A mistake of the program, told where it can be: the registration belongs to the old object.
pub(super) fn an_object_replaced_while_registered_panics_in_debug_builds<B: Subject>() {
    if !cfg!(debug_assertions) {
        return;
    }
    let rig = Rig::<B>::new();
    let (mut source, _peer) = source::<B>();
    rig.register(&mut source, 7, R);
    let (other, _other_peer) = pair();
    let registered = std::mem::replace(&mut source.inner, other);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        source.reregister(&rig.hub(), Token(8), R)
    }));
    let message = *result.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("was replaced"), "{message}");
    source.inner = registered;
    rig.deregister(&mut source);
}
