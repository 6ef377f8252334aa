//! Random operations against a model of what the guarantee promises.
//!
//! The model knows for each source in which directions it is *armed*. A source that is armed and
//! ready is *due*: it must be reported before the poller may sleep. More may come (spurious events
//! are allowed), but never under a token that is not, or no longer, registered; never in a
//! direction that was not asked for; never again of a one-shot source.

use std::io::{ErrorKind, Read};
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
/// The waker's token; the sources' are numbers from 1.
const WAKE: usize = 0;

pub(super) fn random_operations_leave_nothing_due<B: Subject>() {
    for seed in 0..SEEDS {
        let mut world = World::<B>::new(seed);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.run())) {
            let last = world.log.len().saturating_sub(40);
            eprintln!("seed {seed}; the last steps: {:#?}", &world.log[last..]);
            resume_unwind(panic);
        }
    }
}

#[derive(Debug)]
struct World<B: Subject> {
    random: Random,
    rig: Rig<B>,
    waker: WakeHandle<B>,
    is_wake_pending: bool,
    ends: Vec<End<B>>,
    last_token: usize,
    log: Vec<String>,
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
    fn new(seed: u64) -> World<B> {
        let rig = Rig::new();
        World {
            random: Random::new(seed),
            waker: WakeHandle::new(&rig.hub(), Token(WAKE)).unwrap(),
            rig,
            is_wake_pending: false,
            ends: (0..SOURCES).map(|_| End::new()).collect(),
            last_token: 0,
            log: Vec::new(),
        }
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            let end = self.random.below(SOURCES);
            match self.random.below(20) {
                0..=2 => self.register(end),
                3 | 4 => self.reregister(end),
                5 => self.deregister(end),
                6..=8 => self.send(end),
                9..=11 => self.read(end),
                12 => self.fill(end),
                13 => self.make_room(end),
                14 => self.close_peer(end),
                15 => self.replace(end),
                16 => self.wake(),
                17 => self.poll_once(),
                _ => self.settle(),
            }
        }
        self.settle();
    }

    fn note(&mut self, end: usize, what: std::fmt::Arguments<'_>) {
        self.log.push(format!("source {end}: {what}"));
    }

    fn registration(&mut self) -> Registered {
        let interest = [R, W, RW][self.random.below(3)];
        let interest = match self.random.below(4) {
            0 | 1 => interest,
            2 => interest.level(),
            _ => interest.oneshot(),
        };
        self.last_token += 1;
        Registered::new(self.last_token, interest)
    }

    fn register(&mut self, end: usize) {
        if self.ends[end].registered.is_some() {
            return;
        }
        let new = self.registration();
        self.note(end, format_args!("register {new:?}"));
        let End {
            source, registered, ..
        } = &mut self.ends[end];
        self.rig.register(source, new.token, new.interest);
        *registered = Some(new);
    }

    fn reregister(&mut self, end: usize) {
        if self.ends[end].registered.is_none() {
            return;
        }
        let new = self.registration();
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

    fn send(&mut self, end: usize) {
        let count = 1 + self.random.below(10);
        let End { peer, unread, .. } = &mut self.ends[end];
        if let Some(peer) = peer {
            send(&*peer, count);
            *unread += count;
            self.note(end, format_args!("peer sends {count}"));
        }
    }

    /// Reads as a stream does, so that a short read counts as one that would have blocked.
    fn read(&mut self, end: usize) {
        let asked = 1 + self.random.below(20);
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

    fn replace(&mut self, end: usize) {
        if self.random.is_heads() {
            // The new one first, so that it has another number.
            self.ends[end] = End::new();
        } else {
            self.ends.remove(end);
            self.ends.insert(end, End::new());
        }
        self.note(end, format_args!("is dropped, and another takes its place"));
    }

    fn wake(&mut self) {
        self.waker.wake().unwrap();
        self.is_wake_pending = true;
        self.log.push("wake".to_owned());
    }

    fn set_capacity(&mut self) {
        let capacity = 1 + self.random.below(8);
        self.rig.set_capacity(capacity);
    }

    fn poll_once(&mut self) {
        self.set_capacity();
        let seen = self.rig.poll_now();
        self.log.push(format!("poll: {seen:?}"));
        self.check(&seen);
    }

    /// Polls until nothing is due that was due at the beginning.
    fn settle(&mut self) {
        self.set_capacity();
        let mut due: Vec<_> = self.ends.iter().flat_map(End::due).collect();
        if self.is_wake_pending {
            due.push((WAKE, READS));
        }
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
            if token == WAKE {
                assert!(self.is_wake_pending, "a wake that nobody made: {seen:?}");
                self.is_wake_pending = false;
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
