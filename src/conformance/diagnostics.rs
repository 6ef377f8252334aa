//! Diagnostics: counters that are right, a checker that finds what is wrong and nothing else.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::expected::Subject;
use super::support::*;
use crate::checker::{Checker, Finding, Mistake};
use crate::counters::{Counters, Counting};
use crate::events::Events;
use crate::io_source::Attached;
use crate::token::Token;
use crate::waker::WakeHandle;

fn counting<B: Subject>(counting: Counting) -> Rig<B> {
    let rig = Rig::new();
    rig.hub().wakes.set_counting(counting);
    rig
}

fn counters<B: Subject>(rig: &Rig<B>) -> Counters {
    rig.hub().wakes.tally.counters()
}

pub(super) fn polls_are_counted_by_how_they_end<B: Subject>() {
    let mut rig = counting::<B>(Counting::On);
    let (mut source, peer) = source();
    rig.register(&mut source, 1, R);
    rig.poll_now();
    rig.poll(Duration::from_millis(1));
    send(&peer, 1);
    let seen = rig.next();
    rig.reactor
        .poll(&mut Events::with_capacity(0), None)
        .expect_err("there is no room");
    let expected = Counters {
        polls: 4,
        empty_polls: 2,
        failed_polls: 1,
        events: seen.len() as u64,
        ..Counters::default()
    };
    assert_eq!(counters(&rig), expected);
}

pub(super) fn a_poll_that_is_counted_reports_as_much<B: Subject>() {
    let mut rig = counting::<B>(Counting::On);
    rig.set_capacity(1);
    let (mut source, _peer) = source();
    rig.register(&mut source, 1, W.level());
    rig.expect(1, WRITABLE);
    for _ in 0..4 {
        assert!(rig.poll_now().contains(1, WRITABLE));
    }
}

pub(super) fn nothing_is_counted_unless_asked_for<B: Subject>() {
    let mut rig = Rig::<B>::new();
    rig.poll_now();
    assert_eq!(counters(&rig), Counters::default());
    let wakes = rig.hub().wakes;
    wakes.set_counting(Counting::WithTime);
    rig.poll(Duration::from_millis(1));
    wakes.set_counting(Counting::Off);
    let before = counters(&rig);
    assert_eq!(before.polls, 1);
    rig.poll(Duration::from_millis(1));
    assert_eq!(counters(&rig), before);
}

pub(super) fn the_time_that_polls_wait_is_measured_on_request<B: Subject>() {
    let mut rig = counting::<B>(Counting::On);
    rig.poll(QUIET);
    assert_eq!(counters(&rig).waited, Duration::ZERO);
    rig.hub().wakes.set_counting(Counting::WithTime);
    rig.poll_now();
    assert_eq!(counters(&rig).waited, Duration::ZERO);
    rig.poll(QUIET);
    let waited = counters(&rig).waited;
    assert!((QUIET..DEADLINE).contains(&waited), "{waited:?}");
}

/// Whoever wakes a poller that was never awake with a waker there must knock; one that is awake
/// needs none.
pub(super) fn wakes_are_counted_with_those_that_knocked<B: Subject>() {
    let mut rig = counting::<B>(Counting::On);
    let wakers = [1, 2].map(|token| WakeHandle::new(&rig.hub(), Token(token)).unwrap());
    let wakes_and_knocks = |rig: &Rig<B>| (counters(rig).wakes, counters(rig).knocks);
    wakers[0].wake().unwrap();
    wakers[0].wake().unwrap();
    wakers[1].wake().unwrap();
    assert_eq!(wakes_and_knocks(&rig), (3, 1));
    rig.next();
    wakers[0].wake().unwrap();
    wakers[1].wake().unwrap();
    assert_eq!(wakes_and_knocks(&rig), (5, 1));
    assert_eq!(rig.next().len(), 2);
    rig.poll(Duration::from_millis(1));
    assert_eq!(counters(&rig).events, 4);
    rig.hub().wakes.set_counting(Counting::Off);
    wakers[0].wake().unwrap();
    assert_eq!(wakes_and_knocks(&rig), (5, 1));
}

pub(super) fn stale_knocks_are_counted<B: Subject>() {
    let mut rig = counting::<B>(Counting::On);
    let waker = WakeHandle::new(&rig.hub(), Token(1)).unwrap();
    waker.wake().unwrap();
    drop(waker);
    rig.poll(QUIET);
    let counters = counters(&rig);
    assert_eq!((counters.knocks, counters.stale_knocks), (1, 1));
}

pub(super) fn counting_may_begin_while_the_poller_sleeps<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let hub = rig.hub();
    let waker = WakeHandle::new(&hub, Token(1)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let_it_fall_asleep();
            hub.wakes.set_counting(Counting::On);
            waker.wake().unwrap();
        });
        rig.next();
    });
    rig.poll_now();
    let counters = counters(&rig);
    // The one that slept was counted if it did not sleep yet.
    assert!((1..=2).contains(&counters.polls), "{counters:?}");
    assert_eq!(counters.wakes, 1);
}

/// A rig whose checker has little patience, and what it finds; `None` in release builds, which
/// check nothing.
fn checked<B: Subject>(patience: Duration) -> Option<(Rig<B>, Findings)> {
    let rig = Rig::new();
    let findings = Findings::default();
    let report = findings.clone();
    let checker = Checker::new(move |finding| report.0.lock().unwrap().push(finding.clone()));
    let is_set = rig.hub().set_checker(checker.patience(patience));
    assert_eq!(is_set, cfg!(debug_assertions));
    is_set.then_some((rig, findings))
}

#[derive(Clone, Debug, Default)]
struct Findings(Arc<Mutex<Vec<Finding>>>);

impl Findings {
    #[track_caller]
    fn expect(&self, expected: &[(Mistake, usize)]) {
        let found = std::mem::take(&mut *self.0.lock().unwrap());
        let brief: Vec<_> = found.iter().map(|f| (f.mistake(), f.token().0)).collect();
        assert_eq!(brief, expected, "found {found:?}");
    }
}

/// Of token 7. What takes a slow machine so long is no spinning, and need not be found there.
#[track_caller]
fn expect_spinning(findings: &Findings, start: Instant) {
    if start.elapsed() < Duration::from_secs(1) {
        findings.expect(&[(Mistake::Spinning, 7)]);
    }
}

/// Longer than a busy machine takes from an event to what is done about it.
const PATIENCE: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_millis(150);

/// In the middle of the sleep, so that a poll without a timeout tells it too.
pub(super) fn an_edge_that_is_not_drained_is_found_once<B: Subject>() {
    let Some((mut rig, findings)) = checked::<B>(PATIENCE) else {
        return;
    };
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    send(&peer, 100);
    rig.expect(7, READABLE);
    read(&source, 10).unwrap();
    findings.expect(&[]);
    rig.expect_timeout(LONG);
    findings.expect(&[(Mistake::Undrained, 7)]);
    rig.expect_timeout(LONG);
    findings.expect(&[]);
}

pub(super) fn what_was_drained_reregistered_or_removed_is_not_found<B: Subject>() {
    let Some((mut rig, findings)) = checked::<B>(PATIENCE) else {
        return;
    };
    let mut pairs = [(); 5].map(|()| source::<B>());
    for (token, (source, peer)) in pairs.iter_mut().enumerate() {
        rig.register(source, token, R);
        send(&*peer, 10);
    }
    let start = Instant::now();
    rig.expect_all(&[0, 1, 2, 3, 4].map(|token| (token, READABLE)));
    // They may have come with several polls, on a slow machine with a long time in between.
    let is_prompt = start.elapsed() < PATIENCE;
    let [drained, short, rearmed, gone, reregistered] = pairs;
    drain(&drained.0);
    transfer_in(&short.0, 100);
    drain_raw(&rearmed.0.inner); // unseen
    rearmed.0.rearm(R).unwrap();
    drop(gone);
    let (mut source, _peer) = reregistered;
    rig.reregister(&mut source, 4, W);
    rig.expect(4, WRITABLE);
    rig.expect_timeout(LONG);
    if is_prompt {
        findings.expect(&[]);
    }
}

/// Reads as the streams of `net` do.
#[track_caller]
fn transfer_in<B: Subject>(source: &Attached<B, Stream>, asked: usize) -> usize {
    use std::io::Read;
    let read = |mut stream: &Stream| stream.read(&mut vec![0; asked]);
    source.transfer(R, asked, read).expect("there are bytes")
}

pub(super) fn what_is_not_an_edge_need_not_be_drained<B: Subject>() {
    let Some((mut rig, findings)) = checked::<B>(PATIENCE) else {
        return;
    };
    let (mut once, peer) = source();
    rig.register(&mut once, 1, R.oneshot());
    let (mut writable, _peer) = source();
    rig.register(&mut writable, 2, RW);
    send(&peer, 10);
    rig.expect_all(&[(1, READABLE), (2, WRITABLE)]);
    rig.expect_timeout(LONG);
    let (mut level, peer) = source();
    rig.register(&mut level, 3, R.level());
    send(&peer, 10);
    for _ in 0..4 {
        rig.expect(3, READABLE);
        thread::sleep(PATIENCE / 2);
    }
    findings.expect(&[]);
}

pub(super) fn a_poll_that_spins_is_found<B: Subject>() {
    let Some((mut rig, findings)) = checked::<B>(PATIENCE) else {
        return;
    };
    let (mut source, peer) = source();
    rig.register(&mut source, 7, RW.level());
    send(&peer, 1);
    for _ in 0..100 {
        rig.expect(7, WRITABLE);
    }
    rig.expect(7, READABLE); // it was readable, too
    drain(&source);
    let start = Instant::now();
    for _ in 0..500 {
        rig.expect(7, WRITABLE);
        read(&source, 1).expect_err("nothing is there"); // but it is writable
    }
    expect_spinning(&findings, start);
}

pub(super) fn a_poll_that_spins_at_the_end_of_a_stream_is_found<B: Subject>() {
    let Some((mut rig, findings)) = checked::<B>(PATIENCE) else {
        return;
    };
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R.level());
    drop(peer);
    let start = Instant::now();
    for _ in 0..500 {
        rig.expect(7, READABLE);
        let ended = source.transfer(R, 1, |mut stream| {
            std::io::Read::read(&mut stream, &mut [0])
        });
        assert_eq!(ended.unwrap(), 0);
    }
    expect_spinning(&findings, start);
}

/// A program that lets its peer wait, and is told of each byte that comes, does not spin; patience
/// is what it asks for. One that has the same told again and again does.
pub(super) fn edges_of_news_are_no_spinning<B: Subject>() {
    let Some((mut rig, findings)) = checked::<B>(DEADLINE) else {
        return;
    };
    let (mut source, peer) = source();
    rig.register(&mut source, 7, RW);
    for _ in 0..500 {
        send(&peer, 1);
        rig.poll_now();
        drain_raw(&source.inner); // unseen, to make room
    }
    findings.expect(&[]);
    let start = Instant::now();
    for _ in 0..500 {
        rig.reregister(&mut source, 7, RW);
        rig.expect(7, WRITABLE);
    }
    expect_spinning(&findings, start);
}

pub(super) fn a_busy_poll_that_gets_somewhere_is_not_found<B: Subject>() {
    let Some((mut rig, findings)) = checked::<B>(PATIENCE) else {
        return;
    };
    let (mut reader, peer) = source();
    rig.register(&mut reader, 1, R.level());
    send(&peer, 600);
    let (mut writer, mut other) = source();
    rig.register(&mut writer, 2, W.level());
    for _ in 0..500 {
        rig.expect_all(&[(1, READABLE), (2, WRITABLE)]);
        read(&reader, 1).unwrap();
        writer.do_io(W, |mut stream| stream.write(b"x")).unwrap();
        drain_raw(&mut other);
    }
    findings.expect(&[]);
}

pub(super) fn registering_twice_is_found_with_both_places<B: Subject>() {
    let Some((rig, findings)) = checked::<B>(PATIENCE) else {
        return;
    };
    let (mut source, _peer) = source();
    rig.register(&mut source, 7, R);
    source
        .register(&rig.hub(), Token(8), R)
        .expect_err("it is registered");
    findings.expect(&[(Mistake::RegisteredTwice, 7)]);
    rig.deregister(&mut source);
    source
        .deregister(&rig.hub())
        .expect_err("it is not registered");
    findings.expect(&[]); // it was told, and nobody else is concerned
    rig.register(&mut source, 9, R);
    findings.expect(&[]);
}

pub(super) fn registering_elsewhere_is_found<B: Subject>() {
    let Some((rig, findings)) = checked::<B>(PATIENCE) else {
        return;
    };
    let other = Rig::<B>::new();
    let (mut source, _peer) = source();
    rig.register(&mut source, 7, R);
    source
        .register(&other.hub(), Token(8), R)
        .expect_err("it is registered elsewhere");
    findings.expect(&[(Mistake::RegisteredElsewhere, 7)]);
    source
        .deregister(&other.hub())
        .expect_err("it is registered elsewhere");
    findings.expect(&[(Mistake::RegisteredElsewhere, 7)]);
    rig.deregister(&mut source);
    other.register(&mut source, 8, R);
    findings.expect(&[]);
}

/// Stopping for fairness, with a wake to come back to it.
pub(super) fn a_program_that_woke_itself_has_not_forgotten<B: Subject>() {
    let Some((mut rig, findings)) = checked::<B>(Duration::ZERO) else {
        return;
    };
    let waker = WakeHandle::new(&rig.hub(), Token(1)).unwrap();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    send(&peer, 5);
    rig.expect(7, READABLE);
    for _ in 0..5 {
        read(&source, 1).unwrap();
        waker.wake().unwrap();
        rig.expect(1, READABLE);
    }
    read(&source, 1).expect_err("it is drained");
    rig.expect_timeout(QUIET);
    findings.expect(&[]);
}

/// Of several, who knows which was meant.
pub(super) fn tokens_that_are_shared_accuse_nobody<B: Subject>() {
    let Some((mut rig, findings)) = checked::<B>(PATIENCE) else {
        return;
    };
    let waker = WakeHandle::new(&rig.hub(), Token(7)).unwrap();
    let (mut one, _one) = source();
    rig.register(&mut one, 7, R);
    let (mut two, _two) = source();
    rig.register(&mut two, 8, R);
    let (mut three, peer) = source();
    rig.register(&mut three, 8, R);
    waker.wake().unwrap();
    send(&peer, 1);
    rig.expect_all(&[(7, READABLE), (8, READABLE)]);
    rig.expect_timeout(LONG);
    findings.expect(&[]);
}
