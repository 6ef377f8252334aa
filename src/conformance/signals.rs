//! Signals: they interrupt a poll, lose nothing, and may wake.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::expected::Subject;
use super::support::*;
use super::wakes::was_knocked;
use crate::sys::signals::with_handler;
use crate::token::Token;
use crate::waker::WakeHandle;

/// Signals the thread that polls until it says that it is over. Often, since one that comes before
/// the poll sleeps is lost. In the end the source that belongs to `peer` ends a poll that goes on.
#[track_caller]
fn poll_interrupted<B: Subject>(
    rig: &mut Rig<B>,
    timeout: Option<Duration>,
    peer: &Stream,
) -> io::Result<Seen> {
    let is_over = AtomicBool::new(false);
    with_handler(&|| {}, |this_thread| {
        thread::scope(|scope| {
            scope.spawn(|| {
                let end = Instant::now() + DEADLINE;
                while !is_over.load(Ordering::Relaxed) && Instant::now() < end {
                    thread::sleep(Duration::from_millis(1));
                    this_thread.interrupt();
                }
                rescue(&is_over, || send(peer, 1));
            });
            let result = rig.try_poll(timeout);
            is_over.store(true, Ordering::Relaxed);
            result
        })
    })
}

pub(super) fn a_signal_ends_the_poll_with_interrupted<B: Subject>() {
    for has_waker in [false, true] {
        for timeout in [
            None,
            Some(DEADLINE * 2),
            Some(DEADLINE * 2 + Duration::from_nanos(1)),
            Some(Duration::MAX),
        ] {
            let mut rig = Rig::<B>::new();
            let (mut source, peer) = source();
            rig.register(&mut source, 7, R);
            let waker = has_waker.then(|| WakeHandle::new(&rig.hub(), Token(1)).unwrap());
            let error = poll_interrupted(&mut rig, timeout, &peer).expect_err("a signal came");
            assert_eq!(error.kind(), io::ErrorKind::Interrupted);
            if let Some(waker) = waker {
                waker.wake().unwrap();
                assert!(!was_knocked(&rig.hub()), "the poller is awake");
                rig.expect(1, READABLE);
            }
            // Nothing was lost by it.
            send(&peer, 1);
            rig.expect(7, READABLE);
        }
    }
}

/// A wake whose poll was interrupted has left its knock to the next poll.
pub(super) fn a_wake_in_a_signal_handler_is_reported<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let waker = WakeHandle::new(&rig.hub(), Token(1)).unwrap();
    let failures = AtomicUsize::new(0);
    let wake = || {
        if waker.wake().is_err() {
            failures.fetch_add(1, Ordering::Relaxed);
        }
    };
    with_handler(&wake, |this_thread| {
        for pause in 0..20 {
            thread::scope(|scope| {
                scope.spawn(move || {
                    // At different moments of a poll's beginning, and in the middle.
                    thread::sleep(Duration::from_micros(pause * 200));
                    this_thread.interrupt();
                });
                assert_eq!(rig.next().counts(), [(1, 1)].into());
            });
        }
    });
    assert_eq!(failures.into_inner(), 0);
}

/// The wake comes first, then the signal that makes the system's call fail: the poll may report
/// either first, and the wake in any case.
pub(super) fn an_interruption_loses_no_wake<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let waker = WakeHandle::new(&rig.hub(), Token(1)).unwrap();
    with_handler(&|| {}, |this_thread| {
        for round in 0..100 {
            thread::scope(|scope| {
                let waker = &waker;
                scope.spawn(move || {
                    thread::sleep(Duration::from_micros(round % 10 * 50));
                    waker.wake().unwrap();
                    this_thread.interrupt();
                });
                let mut seen = Seen::default();
                until("the wake is reported", || {
                    match rig.try_poll(Some(DEADLINE)) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        result => seen.extend(result.expect("no error but the interruption")),
                    }
                    !seen.is_empty()
                });
                assert_eq!(seen.counts(), [(1, 1)].into(), "round {round}");
            });
        }
    });
}

/// A handler that changes `errno` disturbs the code that it interrupts.
pub(super) fn a_wake_keeps_errno<B: Subject>() {
    let rig = Rig::<B>::new();
    let waker = WakeHandle::new(&rig.hub(), Token(1)).unwrap();
    for _ in 0..2 {
        std::fs::metadata("/nonexistent").expect_err("sets errno");
        let before = io::Error::last_os_error().raw_os_error();
        let result = waker.wake();
        let after = io::Error::last_os_error().raw_os_error();
        result.unwrap();
        assert_eq!((before, after), (Some(libc::ENOENT), Some(libc::ENOENT)));
    }
}
