//! Random operations against a model of what the guarantee promises.
//!
//! The model knows for each source in which directions it is *armed*. A source that is armed and
//! ready is *due*: it must be reported before the poller may sleep. More may come (spurious events
//! are allowed), but never under a token that is not, or no longer, registered; never in a
//! direction that was not asked for; never again of a one-shot source. Mistakes, such as
//! registering twice, are refused and change nothing.
//!
//! A *script* says what is done, four bytes a step. Three write them: a generator with a seed (long
//! ones, the same each time), proptest (which, when one fails, looks for the shortest that does),
//! and the fuzz target `model`, which looks for those that reach new code.

use std::io::{self, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use super::expected::Subject;
use super::support::*;
use crate::event::Readiness;
use crate::interest::{Interest, Mode};
use crate::io_source::Attached;
use crate::token::Token;
use crate::waker::WakeHandle;

const SEEDS: u64 = 40;
const STEPS: usize = 300;
const SOURCES: usize = 6;
const WAKERS: usize = 3;

/// What to do, for which source or waker, and two numbers of which the step makes something.
pub(super) type Step = [u8; 4];

pub(super) fn random_operations_leave_nothing_due<B: Subject>() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let script: Vec<Step> = (0..STEPS)
            .map(|_| [(); 4].map(|()| random.below(256) as u8))
            .collect();
        play::<B>(&script);
    }
}

/// Scripts from proptest. They are short, and there are few, because most of the time goes into
/// making the sources.
#[cfg(all(test, any(unix, windows)))]
pub(super) fn scripts_leave_nothing_due<B: Subject>() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

    let config = Config {
        // Winsock takes its time over a pair of streams.
        cases: if cfg!(windows) { 16 } else { 48 },
        failure_persistence: None,
        ..Config::default()
    };
    // The same each time: what a change breaks must not show in somebody else's.
    let generator = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let scripts = proptest::collection::vec(any::<Step>(), 1..80);
    TestRunner::new_with_rng(config, generator)
        .run(&scripts, |script| {
            play::<B>(&script);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// Plays a script to its end and asserts that nothing is due then.
pub(super) fn play<B: Subject>(script: &[Step]) {
    let mut world = World::<B>::new();
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.run(script))) {
        let last = world.log.len().saturating_sub(40);
        eprintln!("the last steps: {:#?}", &world.log[last..]);
        resume_unwind(panic);
    }
}

#[derive(Debug)]
struct World<B: Subject> {
    rig: Rig<B>,
    wakers: Vec<Waking<B>>,
    ends: Vec<End<B>>,
    last_token: usize,
    log: Vec<String>,
}

/// A waker, and what the model knows of it.
#[derive(Debug)]
struct Waking<B: Subject> {
    handle: WakeHandle<B>,
    token: usize,
    is_pending: bool,
}

/// A source, its peer, and what the model knows of them.
#[derive(Debug)]
struct End<B: Subject> {
    source: Attached<B, Stream>,
    /// `None` once it is closed.
    peer: Option<Stream>,
    /// Bytes that the peer has sent and the source has not read.
    unread: usize,
    /// A write to the source would block.
    is_full: bool,
    registered: Option<Registered>,
}

#[derive(Clone, Copy, Debug)]
struct Registered {
    token: usize,
    interest: Interest,
    /// Of the directions in [`DIRECTIONS`].
    armed: [bool; 2],
}

const DIRECTIONS: [Readiness; 2] = [READABLE, WRITABLE];
const READS: usize = 0;
const WRITES: usize = 1;

impl Registered {
    fn new(token: usize, interest: Interest) -> Registered {
        Registered {
            token,
            interest,
            armed: asked(interest),
        }
    }
}

fn asked(interest: Interest) -> [bool; 2] {
    [interest.is_readable(), interest.is_writable()]
}

impl<B: Subject> End<B> {
    fn new() -> End<B> {
        let (source, peer) = source();
        End {
            source,
            peer: Some(peer),
            unread: 0,
            is_full: false,
            registered: None,
        }
    }

    fn is_ready(&self, direction: usize) -> bool {
        match direction {
            READS => self.unread > 0 || self.peer.is_none(),
            // What an end means for writing differs too much to be promised.
            _ => !self.is_full && self.peer.is_some(),
        }
    }

    /// An operation in this direction would have blocked.
    fn blocked(&mut self, direction: usize) {
        if let Some(registered) = &mut self.registered {
            if registered.interest.mode() == Mode::Edge {
                registered.armed[direction] = asked(registered.interest)[direction];
            }
        }
    }

    fn due(&self) -> impl Iterator<Item = (usize, usize)> {
        let registered = self.registered;
        let is_due = |direction| {
            registered.is_some_and(|registered| registered.armed[direction])
                && self.is_ready(direction)
        };
        [
            is_due(READS).then_some(READS),
            is_due(WRITES).then_some(WRITES),
        ]
        .into_iter()
        .flatten()
        .filter_map(move |direction| Some((registered?.token, direction)))
    }
}

impl<B: Subject> World<B> {
    fn new() -> World<B> {
        let rig = Rig::new();
        let waking = |token| Waking {
            handle: WakeHandle::new(&rig.hub(), Token(token)).unwrap(),
            token,
            is_pending: false,
        };
        World {
            wakers: (0..WAKERS).map(waking).collect(),
            rig,
            ends: (0..SOURCES).map(|_| End::new()).collect(),
            last_token: WAKERS,
            log: Vec::new(),
        }
    }

    fn run(&mut self, script: &[Step]) {
        for &[what, which, a, b] in script {
            let end = usize::from(which) % SOURCES;
            match what % 24 {
                0..=2 => self.register(end, a),
                3 | 4 => self.reregister(end, a),
                5 => self.deregister(end),
                6..=8 => self.send(end, 1 + usize::from(a) % 10),
                9..=11 => self.read(end, 1 + usize::from(a) % 20),
                12 => self.fill(end),
                13 => self.make_room(end),
                14 => self.close_peer(end),
                15 => self.replace(end, a % 2 == 0),
                16 | 17 => self.wake(usize::from(which) % WAKERS),
                18 => self.replace_waker(usize::from(which) % WAKERS),
                19 => self.mistake(end, a),
                20 | 21 => self.poll_once(b),
                _ => self.settle(b),
            }
        }
        self.settle(8);
    }

    fn note(&mut self, end: usize, what: std::fmt::Arguments<'_>) {
        self.log.push(format!("source {end}: {what}"));
    }

    fn next_token(&mut self) -> usize {
        self.last_token += 1;
        self.last_token
    }

    fn registration(&mut self, kind: u8) -> Registered {
        let interest = [R, W, RW][usize::from(kind) % 3];
        let interest = match kind / 3 % 4 {
            0 | 1 => interest,
            2 => interest.level(),
            _ => interest.oneshot(),
        };
        Registered::new(self.next_token(), interest)
    }

    fn register(&mut self, end: usize, kind: u8) {
        if self.ends[end].registered.is_some() {
            return;
        }
        let new = self.registration(kind);
        self.note(end, format_args!("register {new:?}"));
        let End {
            source, registered, ..
        } = &mut self.ends[end];
        self.rig.register(source, new.token, new.interest);
        *registered = Some(new);
    }

    fn reregister(&mut self, end: usize, kind: u8) {
        if self.ends[end].registered.is_none() {
            return;
        }
        let new = self.registration(kind);
        self.note(end, format_args!("reregister {new:?}"));
        let End {
            source, registered, ..
        } = &mut self.ends[end];
        self.rig.reregister(source, new.token, new.interest);
        *registered = Some(new);
    }

    fn deregister(&mut self, end: usize) {
        if self.ends[end].registered.take().is_none() {
            return;
        }
        self.note(end, format_args!("deregister"));
        self.rig.deregister(&mut self.ends[end].source);
    }

    /// Registers what is registered, or changes what is not.
    fn mistake(&mut self, end: usize, kind: u8) {
        let token = Token(self.next_token());
        let hub = self.rig.hub();
        let End {
            source, registered, ..
        } = &mut self.ends[end];
        // In release builds, systems that do not notice do as they are told.
        if !(B::EXPECTED.notices_mistakes || cfg!(debug_assertions)) {
            return;
        }
        let (result, expected) = match (registered.is_some(), kind % 2) {
            (true, _) => (source.register(&hub, token, RW), ErrorKind::AlreadyExists),
            (false, 0) => (source.reregister(&hub, token, RW), ErrorKind::NotFound),
            (false, _) => (source.deregister(&hub), ErrorKind::NotFound),
        };
        let kind = result.map_err(|error: io::Error| error.kind());
        assert_eq!(kind, Err(expected));
        self.note(end, format_args!("a mistake is refused: {expected:?}"));
    }

    fn send(&mut self, end: usize, count: usize) {
        let End { peer, unread, .. } = &mut self.ends[end];
        if let Some(peer) = peer {
            send(&*peer, count);
            *unread += count;
            self.note(end, format_args!("peer sends {count}"));
        }
    }

    /// Reads as a stream does, so that a short read counts as one that would have blocked.
    fn read(&mut self, end: usize, asked: usize) {
        let this = &mut self.ends[end];
        let result = this
            .source
            .transfer(R, asked, |mut stream| stream.read(&mut vec![0; asked]));
        match &result {
            Ok(0) => assert!(this.peer.is_none(), "an end while the peer is there"),
            Ok(count) => {
                this.unread -= count;
                // At an end the short-transfer rule does not hold: the end is there already, and no
                // news.
                if *count < asked && this.peer.is_some() {
                    this.blocked(READS);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => this.blocked(READS),
            Err(error) => panic!("reading failed: {error}"),
        }
        self.note(end, format_args!("reads {asked}: {result:?}"));
    }

    fn fill(&mut self, end: usize) {
        let this = &mut self.ends[end];
        if this.peer.is_some() {
            fill(&this.source);
            this.is_full = true;
            this.blocked(WRITES);
            self.note(end, format_args!("is filled"));
        }
    }

    fn make_room(&mut self, end: usize) {
        let this = &mut self.ends[end];
        if let Some(peer) = &this.peer {
            drain_raw(peer);
            this.is_full = false;
            self.note(end, format_args!("peer reads everything"));
        }
    }

    fn close_peer(&mut self, end: usize) {
        // With something unread it would be a reset.
        self.make_room(end);
        self.ends[end].peer = None;
        self.note(end, format_args!("peer closes"));
    }

    fn replace(&mut self, end: usize, is_another_number: bool) {
        if is_another_number {
            // The new one first, so that it has another number.
            self.ends[end] = End::new();
        } else {
            self.ends.remove(end);
            self.ends.insert(end, End::new());
        }
        self.note(end, format_args!("is dropped, and another takes its place"));
    }

    fn wake(&mut self, waker: usize) {
        let waking = &mut self.wakers[waker];
        waking.handle.wake().unwrap();
        waking.is_pending = true;
        self.log.push(format!("wake {}", waking.token));
    }

    /// Drops a waker, with whatever it has to say, and makes another.
    fn replace_waker(&mut self, waker: usize) {
        let token = self.next_token();
        let handle = WakeHandle::new(&self.rig.hub(), Token(token)).unwrap();
        let old = &mut self.wakers[waker];
        self.log
            .push(format!("waker {} becomes {token}", old.token));
        *old = Waking {
            handle,
            token,
            is_pending: false,
        };
    }

    fn poll_once(&mut self, capacity: u8) {
        self.rig.set_capacity(1 + usize::from(capacity) % 8);
        let seen = self.rig.poll_now();
        self.log.push(format!("poll: {seen:?}"));
        self.check(&seen);
    }

    /// Polls until nothing is due that was due at the beginning.
    fn settle(&mut self, capacity: u8) {
        self.rig.set_capacity(1 + usize::from(capacity) % 8);
        let mut due: Vec<_> = self.ends.iter().flat_map(End::due).collect();
        let woken = self.wakers.iter().filter(|waking| waking.is_pending);
        due.extend(woken.map(|waking| (waking.token, READS)));
        self.log.push(format!("settle: {due:?}"));
        let deadline = Instant::now() + DEADLINE / 4;
        while !due.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                left > Duration::ZERO,
                "these are due and do not come: {due:?}"
            );
            let seen = self.rig.poll(left);
            let line = format!("poll: {seen:?}");
            if self.log.last() != Some(&line) {
                self.log.push(line);
            }
            for (token, readiness) in &seen.0 {
                let is_oneshot = self.is_oneshot(*token);
                due.retain(|(due, direction)| {
                    due != token || !is_oneshot && !readiness.contains(DIRECTIONS[*direction])
                });
            }
            self.check(&seen);
        }
    }

    fn is_oneshot(&self, token: usize) -> bool {
        let mut registered = self.ends.iter().filter_map(|end| end.registered);
        registered.any(|registered| registered.token == token && registered.interest.is_oneshot())
    }

    /// Asserts that the events are allowed, and takes note of what they disarm.
    fn check(&mut self, seen: &Seen) {
        for &(token, readiness) in &seen.0 {
            if let Some(waking) = self.wakers.iter_mut().find(|it| it.token == token) {
                assert!(waking.is_pending, "a wake that nobody made: {seen:?}");
                waking.is_pending = false;
                continue;
            }
            let has_token =
                |end: &&mut End<B>| end.registered.is_some_and(|other| other.token == token);
            let Some(end) = self.ends.iter_mut().find(has_token) else {
                panic!("token {token} is nobody's, or not any more: {seen:?}");
            };
            let has_ended = end.peer.is_none();
            let registered = end.registered.as_mut().expect("it was found by its token");
            let mode = registered.interest.mode();
            assert!(
                mode != Mode::OneShot || registered.armed != [false; 2],
                "{registered:?} had its event already: {seen:?}"
            );
            for (direction, bit) in DIRECTIONS.into_iter().enumerate() {
                if !readiness.contains(bit) {
                    continue;
                }
                assert!(
                    asked(registered.interest)[direction] || has_ended,
                    "{registered:?} did not ask for {bit:?}: {seen:?}"
                );
                registered.armed[direction] &= mode != Mode::Edge;
            }
            if mode == Mode::OneShot {
                registered.armed = [false; 2];
            }
        }
    }
}
