//! Wakes: who asked the poller to return, and whether it takes a knock to make it hear.
//!
//! One word per [`Poll`](crate::Poll), shared with its registries and wakers. A *wake* sets the
//! waker's bit; only when nobody has done so yet and the poller sleeps (or may) does it cost a
//! *knock*, the system call that makes a `select` return. The code here is safe and does no I/O: it
//! answers whether to knock, and the caller does.
//!
//! ```text
//! bit   BITS-1  BITS-2  BITS-3  BITS-4   BITS-5   BITS-6   BITS-7    BITS-8 … 0
//!       ASLEEP  HANDED  RETRY   ENABLED  COUNTED  CHECKED  OVERFLOW  one bit for each of the
//!                                                                    first wakers
//! ```
//!
//! * `ASLEEP`: the poller may be in a `select` that blocks. Set from the beginning, so that a
//!   program without wakers never writes the word; cleared when a poller that has wakers returns.
//!   That it is set too long costs a knock, never a wake.
//! * `HANDED`: the poller's descriptor was given out, so an outer poller may be the one that
//!   sleeps: every first wake knocks.
//! * `ENABLED`: a waker exists or has existed, so the poller clears `ASLEEP` when it returns.
//! * `RETRY`: a knock failed. The next wake knocks, whatever is pending.
//! * `COUNTED`: polls and wakes are counted. `CHECKED`: the program is checked for mistakes. Either
//!   makes polls take the long way, as a pending wake does: the same test finds them, so that they
//!   cost nothing while they are not set.
//! * `OVERFLOW`: a waker of a chunk behind the word has its bit set there.
//!
//! # Why one word, and why the fences
//!
//! "Announce sleep, then look for wakes" against "set a wake, then look for sleep" in two words is
//! Dekker's handshake, which needs sequential consistency everywhere. In one word the order of
//! modifications is total: a wake comes before the poller's announcement, which then fails to be
//! made, or after it, and then sees `ASLEEP`.
//!
//! The fast path of [`wake`](WakeState::wake) only loads. Between "the bit is still set, so I need
//! do nothing" and the poller that takes the bit at that moment, a fence on either side makes sure
//! that the poller, once it has taken the bit, sees what the waker wrote before. Without them the
//! wake would be lost. The tests at the foot explore this with loom.

use std::sync::OnceLock;

#[cfg(all(test, litio_loom))]
use loom::sync::atomic::{AtomicUsize, Ordering, fence};
#[cfg(not(all(test, litio_loom)))]
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use crate::counters::{Counting, Tally};
use crate::events::{Event, Room};
use crate::readiness::Readiness;
use crate::token::Token;

/// So many of the highest bits leave a poll as it is; all others make it take the long way.
const STATES: u32 = 4;
const ASLEEP: usize = 1 << (usize::BITS - 1);
const HANDED: usize = 1 << (usize::BITS - 2);
const RETRY: usize = 1 << (usize::BITS - 3);
const ENABLED: usize = 1 << (usize::BITS - STATES);
const COUNTED: usize = 1 << (usize::BITS - 5);
const CHECKED: usize = 1 << (usize::BITS - 6);
const OVERFLOW: usize = 1 << (usize::BITS - 7);
/// Wakers in the word itself, and in each chunk behind it. Few under loom, so that chunks are
/// explored as well.
const SLOTS: usize = if cfg!(all(test, litio_loom)) {
    2
} else {
    usize::BITS as usize - 7
};
const WAKES: usize = OVERFLOW | ((1 << SLOTS) - 1);
/// The bits that say that somebody wants to know of each poll.
const OBSERVED: usize = COUNTED | CHECKED;

/// The wakes of one poller. See the module's page.
#[derive(Debug)]
pub(crate) struct WakeState {
    word: AtomicUsize,
    slots: Slots,
    overflow: OnceLock<Box<Chunk>>,
    /// What was counted while `COUNTED` was set.
    pub(crate) tally: Tally,
}

/// A waker's place; given back with [`WakeState::remove`].
#[derive(Debug)]
pub(crate) struct Slot(usize);

/// What a poller sees before it calls `select`.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Approach(usize);

impl Approach {
    /// Zero if no wake is pending and nobody observes the poller.
    #[inline]
    pub(crate) fn obstacles(self) -> usize {
        self.0 << STATES
    }

    /// Whether a wake is pending.
    #[inline]
    fn is_woken(self) -> bool {
        self.0 & WAKES != 0
    }

    /// Whether there is, or has been, somebody to wake a poller that sleeps. One without wakers is
    /// [`ASLEEP`] all the time and need not announce it.
    #[inline]
    pub(crate) fn is_attended(self) -> bool {
        self.0 & ENABLED != 0
    }
}

/// Wakers beyond those that fit into the word.
#[derive(Debug)]
struct Chunk {
    word: AtomicUsize,
    slots: Slots,
    next: OnceLock<Box<Chunk>>,
}

/// Which slots are used, and the token of each.
#[derive(Debug)]
struct Slots {
    used: AtomicUsize,
    tokens: [AtomicUsize; SLOTS],
}

impl WakeState {
    pub(crate) fn new() -> WakeState {
        WakeState {
            word: AtomicUsize::new(ASLEEP),
            slots: Slots::new(),
            overflow: OnceLock::new(),
            tally: Tally::default(),
        }
    }

    // For observers

    /// Chooses what is counted.
    pub(crate) fn set_counting(&self, counting: Counting) {
        self.tally.set_timed(counting == Counting::WithTime);
        match counting {
            Counting::Off => self.word.fetch_and(!COUNTED, Ordering::AcqRel),
            Counting::On | Counting::WithTime => self.word.fetch_or(COUNTED, Ordering::AcqRel),
        };
    }

    /// The program is checked for mistakes from now on.
    pub(crate) fn set_checked(&self) {
        self.word.fetch_or(CHECKED, Ordering::AcqRel);
    }

    #[inline]
    pub(crate) fn is_counted(&self) -> bool {
        self.word.load(Ordering::Relaxed) & COUNTED != 0
    }

    /// True if polls are counted or checked.
    #[inline]
    pub(crate) fn is_observed(&self) -> bool {
        self.word.load(Ordering::Relaxed) & OBSERVED != 0
    }

    /// True if a waker has this token.
    pub(crate) fn has_token(&self, token: Token) -> bool {
        let mut place = &self.overflow;
        let mut has_token = self.slots.has_token(token);
        while let Some(chunk) = place.get() {
            has_token |= chunk.slots.has_token(token);
            place = &chunk.next;
        }
        has_token
    }

    // For wakers

    /// Finds a place for a waker. Allocates when a chunk is full, here and nowhere else.
    pub(crate) fn add(&self, token: Token) -> Slot {
        let slot = match self.slots.claim(token) {
            Some(slot) => slot,
            None => self.claim_in_chunk(token),
        };
        self.word.fetch_or(ENABLED, Ordering::AcqRel);
        Slot(slot)
    }

    fn claim_in_chunk(&self, token: Token) -> usize {
        let mut place = &self.overflow;
        let mut first = SLOTS;
        loop {
            let chunk = place.get_or_init(|| Box::new(Chunk::new()));
            if let Some(slot) = chunk.slots.claim(token) {
                return first + slot;
            }
            place = &chunk.next;
            first += SLOTS;
        }
    }

    /// Frees a waker's place. A `take` that begins later does not report its token.
    pub(crate) fn remove(&self, slot: &Slot) {
        let bit = 1 << (slot.0 % SLOTS);
        let (word, slots) = match self.chunk(slot) {
            None => (&self.word, &self.slots),
            Some(chunk) => (&chunk.word, &chunk.slots),
        };
        word.fetch_and(!bit, Ordering::AcqRel);
        slots.used.fetch_and(!bit, Ordering::AcqRel);
    }

    /// Marks the slot as woken. True if the caller must knock; if that fails, it says so with
    /// [`knock_failed`](WakeState::knock_failed).
    ///
    /// No lock, no allocation: safe to call in a signal handler.
    #[inline]
    pub(crate) fn wake(&self, slot: &Slot) -> bool {
        if slot.0 < SLOTS {
            return self.wake_word(1 << slot.0);
        }
        self.wake_in_chunk(slot)
    }

    #[cold]
    fn wake_in_chunk(&self, slot: &Slot) -> bool {
        let bit = 1 << (slot.0 % SLOTS);
        let Some(chunk) = self.chunk(slot) else {
            return self.wake_word(bit);
        };
        // The chunk's bit alone is not enough: the waker that set it may not have come to
        // `OVERFLOW` yet.
        chunk.word.fetch_or(bit, Ordering::AcqRel);
        self.wake_word(OVERFLOW)
    }

    #[inline]
    fn wake_word(&self, bit: usize) -> bool {
        // Pairs with the fence in `deliver`: if the bit is still set below, the poller that is
        // going to clear it will see everything written before.
        fence(Ordering::SeqCst);
        if self.word.load(Ordering::Relaxed) & (bit | RETRY | COUNTED) == bit {
            return false;
        }
        let old = self.word.fetch_or(bit, Ordering::AcqRel);
        if old & (RETRY | COUNTED) != 0 {
            return self.wake_retrying_or_counted(old);
        }
        needs_knock(old)
    }

    #[cold]
    fn wake_retrying_or_counted(&self, old: usize) -> bool {
        let must_knock = old & RETRY != 0 || needs_knock(old);
        if old & RETRY != 0 {
            self.word.fetch_and(!RETRY, Ordering::AcqRel);
        }
        if old & COUNTED != 0 {
            self.tally.wake(must_knock);
        }
        must_knock
    }

    /// Remembers that a knock was owed and could not be made: the next wake makes it.
    pub(crate) fn knock_failed(&self) {
        self.word.fetch_or(RETRY, Ordering::AcqRel);
    }

    /// Notes that the poller's descriptor was given out. True if the caller must knock, so that a
    /// wake which is pending already shows on the descriptor.
    #[allow(dead_code)] // only where the selector is a descriptor
    pub(crate) fn hand_out(&self) -> bool {
        if self.word.load(Ordering::Relaxed) & HANDED != 0 {
            return false;
        }
        let old = self.word.fetch_or(HANDED, Ordering::AcqRel);
        old & HANDED == 0 && old & WAKES != 0
    }

    fn chunk(&self, slot: &Slot) -> Option<&Chunk> {
        let mut chunk = None;
        for _ in 0..slot.0 / SLOTS {
            let place = match chunk {
                None => &self.overflow,
                Some::<&Chunk>(chunk) => &chunk.next,
            };
            chunk = place.get().map(Box::as_ref);
        }
        chunk
    }

    // For the poller, which is one thread at a time

    /// How many wakes are pending: at least this many events are owed. Zero if none.
    #[inline]
    pub(crate) fn pending(&self) -> usize {
        (self.word.load(Ordering::Relaxed) & WAKES).count_ones() as usize
    }

    /// How things stand before a `select`.
    #[inline]
    pub(crate) fn approach(&self) -> Approach {
        Approach(self.word.load(Ordering::Relaxed))
    }

    /// Announces that the poller is about to sleep, if nothing has changed since it looked and
    /// found no wake pending. False if something has.
    #[inline]
    pub(crate) fn announce_sleep_at(&self, Approach(word): Approach) -> bool {
        self.word
            .compare_exchange(word, word | ASLEEP, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Announces that the poller is about to sleep. False if it must not, for a wake is pending or
    /// something else is just being changed.
    #[inline]
    pub(crate) fn announce_sleep(&self) -> bool {
        let approach = self.approach();
        !approach.is_woken() && (!approach.is_attended() || self.announce_sleep_at(approach))
    }

    /// Notes that the poller is awake, if no wake is pending. False if one is, or is just being
    /// made: [`take`](WakeState::take) it.
    #[inline]
    pub(crate) fn end_sleep_if_unwoken(&self) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        word & (WAKES | RETRY) == 0
            && self
                .word
                .compare_exchange(word, word & !ASLEEP, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    /// Whether a poller that has come back from a `select` must [`take`](WakeState::take): wakes
    /// are pending, or it has announced its sleep and there are wakers to be told that it is over.
    #[inline]
    pub(crate) fn must_take(&self, slept: bool) -> bool {
        let reasons = if slept { WAKES | ENABLED } else { WAKES };
        self.word.load(Ordering::Relaxed) & reasons != 0
    }

    /// Notes that the poller is awake and makes events of the pending wakes as far as there is
    /// room. The others stay pending. True if the caller must knock: if some are left and the
    /// poller's descriptor was given out, which is kept readable so.
    #[inline]
    pub(crate) fn take(&self, room: &mut Room<'_>) -> bool {
        let pending = self.word.load(Ordering::Relaxed) & WAKES;
        let taken = if pending == 0 {
            0
        } else {
            lowest_bits(pending, room.left())
        };
        let old = self
            .word
            .fetch_and(!(taken | ASLEEP | RETRY), Ordering::AcqRel);
        old & WAKES != 0 && self.deliver(taken, old, room)
    }

    fn deliver(&self, taken: usize, old: usize, room: &mut Room<'_>) -> bool {
        // Pairs with the fence in `wake_word`.
        fence(Ordering::SeqCst);
        self.slots.deliver(taken & !OVERFLOW, room);
        let mut are_left = old & WAKES & !taken != 0;
        if taken & OVERFLOW != 0 && self.take_chunks(room) {
            self.word.fetch_or(OVERFLOW, Ordering::AcqRel);
            are_left = true;
        }
        are_left && old & HANDED != 0
    }

    /// Takes from the chunks what fits; true if something is left.
    fn take_chunks(&self, room: &mut Room<'_>) -> bool {
        let mut are_left = false;
        let mut place = &self.overflow;
        while let Some(chunk) = place.get() {
            let taken = lowest_bits(chunk.word.load(Ordering::Relaxed), room.left());
            let old = chunk.word.fetch_and(!taken, Ordering::AcqRel);
            chunk.slots.deliver(taken, room);
            are_left |= old & !taken != 0;
            place = &chunk.next;
        }
        are_left
    }
}

impl Chunk {
    fn new() -> Chunk {
        Chunk {
            word: AtomicUsize::new(0),
            slots: Slots::new(),
            next: OnceLock::new(),
        }
    }
}

impl Slots {
    fn new() -> Slots {
        Slots {
            used: AtomicUsize::new(0),
            tokens: std::array::from_fn(|_| AtomicUsize::new(0)),
        }
    }

    fn claim(&self, token: Token) -> Option<usize> {
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let slot = used.trailing_ones() as usize;
            if slot >= SLOTS {
                return None;
            }
            match self.used.compare_exchange_weak(
                used,
                used | 1 << slot,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    // Seen by the poller that takes this slot's bit: the bit is set after, by the
                    // waker made here.
                    self.tokens[slot].store(token.0, Ordering::Relaxed);
                    return Some(slot);
                }
                Err(now) => used = now,
            }
        }
    }

    fn has_token(&self, token: Token) -> bool {
        let used = self.used.load(Ordering::Acquire);
        let mut slots = (0..SLOTS).filter(|slot| used & 1 << slot != 0);
        slots.any(|slot| self.tokens[slot].load(Ordering::Relaxed) == token.0)
    }

    /// Makes an event of each bit of `taken` whose waker still exists.
    fn deliver(&self, taken: usize, room: &mut Room<'_>) {
        let mut left = taken & self.used.load(Ordering::Acquire);
        while left != 0 {
            let slot = left.trailing_zeros() as usize;
            left &= left - 1;
            let token = Token(self.tokens[slot].load(Ordering::Relaxed));
            room.push(Event::new(token, Readiness::READABLE));
        }
    }
}

/// Whether the wake that has found this word must knock.
#[inline]
fn needs_knock(old: usize) -> bool {
    old & WAKES == 0 && old & (ASLEEP | HANDED) != 0
}

/// The lowest `n` bits that are set in `bits`.
fn lowest_bits(bits: usize, n: usize) -> usize {
    let mut left = bits;
    for _ in 0..n.min(bits.count_ones() as usize) {
        left &= left - 1;
    }
    bits & !left
}

#[cfg(all(test, not(litio_loom)))]
mod tests {
    use super::*;
    use crate::events::Events;

    fn take(wakes: &WakeState, slept: bool, room: usize) -> (Vec<usize>, bool) {
        let mut events = Events::with_capacity(room);
        let knock = wakes.must_take(slept) && wakes.take(&mut events.room(usize::MAX));
        (events.iter().map(|event| event.token().0).collect(), knock)
    }

    /// A poller that has been through one sleep with a waker there is awake and announces its sleep
    /// from now on.
    fn awake_poller() -> (WakeState, Slot) {
        let wakes = WakeState::new();
        let slot = wakes.add(Token(7));
        assert_eq!(take(&wakes, true, 1), (vec![], false));
        (wakes, slot)
    }

    #[test]
    fn without_wakers_the_poller_never_writes_the_word() {
        let wakes = WakeState::new();
        assert!(wakes.announce_sleep());
        take(&wakes, true, 1);
        assert_eq!(wakes.word.load(Ordering::Relaxed), ASLEEP);
    }

    #[test]
    fn a_poller_that_slept_before_the_first_waker_is_knocked() {
        let wakes = WakeState::new();
        assert!(wakes.announce_sleep());
        let slot = wakes.add(Token(1));
        assert!(wakes.wake(&slot));
        assert_eq!(take(&wakes, true, 1), (vec![1], false));
    }

    #[test]
    fn an_awake_poller_is_not_knocked_and_does_not_sleep() {
        let (wakes, slot) = awake_poller();
        assert!(!wakes.wake(&slot));
        assert!(!wakes.announce_sleep());
        assert_eq!(take(&wakes, false, 1), (vec![7], false));
        assert!(wakes.announce_sleep());
    }

    #[test]
    fn a_sleeping_poller_is_knocked_once() {
        let (wakes, slot) = awake_poller();
        let other = wakes.add(Token(8));
        assert!(wakes.announce_sleep());
        assert!(wakes.wake(&slot));
        assert!(!wakes.wake(&slot));
        assert!(!wakes.wake(&other));
        assert_eq!(take(&wakes, true, 2), (vec![7, 8], false));
        assert_eq!(take(&wakes, false, 2), (vec![], false));
    }

    #[test]
    fn what_does_not_fit_stays_pending() {
        let wakes = WakeState::new();
        let slots: Vec<_> = (0..3 * SLOTS)
            .map(|token| wakes.add(Token(token)))
            .collect();
        for slot in &slots {
            wakes.wake(slot);
        }
        let mut seen = Vec::new();
        while wakes.pending() > 0 {
            assert!(!wakes.announce_sleep());
            let (tokens, knock) = take(&wakes, false, 5);
            assert!((1..=5).contains(&tokens.len()) && !knock);
            seen.extend(tokens);
        }
        assert_eq!(seen, Vec::from_iter(0..3 * SLOTS));
    }

    #[test]
    fn once_handed_out_every_first_wake_knocks() {
        let (wakes, slot) = awake_poller();
        assert!(!wakes.wake(&slot));
        assert!(
            wakes.hand_out(),
            "the pending wake must show on the descriptor"
        );
        assert!(!wakes.hand_out());
        take(&wakes, false, 1);
        assert!(wakes.wake(&slot));
        assert!(!wakes.wake(&slot));
    }

    #[test]
    fn wakes_left_over_keep_a_handed_out_descriptor_readable() {
        let (wakes, slot) = awake_poller();
        let overflowing: Vec<_> = (0..SLOTS)
            .map(|token| wakes.add(Token(100 + token)))
            .collect();
        wakes.hand_out();
        wakes.wake(&slot);
        wakes.wake(&overflowing[0]);
        wakes.wake(&overflowing[SLOTS - 1]);
        assert_eq!(take(&wakes, false, 1), (vec![7], true));
        assert_eq!(take(&wakes, false, 1), (vec![100], true));
        assert_eq!(take(&wakes, false, 1), (vec![100 + SLOTS - 1], false));
    }

    #[test]
    fn a_failed_knock_is_made_up_for_by_the_next_wake() {
        let (wakes, slot) = awake_poller();
        let other = wakes.add(Token(8));
        wakes.announce_sleep();
        assert!(wakes.wake(&slot));
        wakes.knock_failed();
        assert!(wakes.wake(&slot), "the same waker again");
        wakes.knock_failed();
        assert!(wakes.wake(&other), "another waker");
        assert!(!wakes.wake(&other));
    }

    #[test]
    fn a_removed_wakers_token_is_not_reported_and_its_place_is_used_again() {
        let wakes = WakeState::new();
        let slots: Vec<_> = (0..2 * SLOTS)
            .map(|token| wakes.add(Token(token)))
            .collect();
        for place in [0, SLOTS - 1, SLOTS, 2 * SLOTS - 1] {
            wakes.wake(&slots[place]);
            wakes.remove(&slots[place]);
            assert_eq!(take(&wakes, true, 9), (vec![], false), "place {place}");
            let again = wakes.add(Token(1000 + place));
            assert_eq!(again.0, place);
            wakes.wake(&again);
            assert_eq!(take(&wakes, true, 9), (vec![1000 + place], false));
        }
    }

    #[test]
    fn lowest_bits_takes_the_lowest() {
        assert_eq!(lowest_bits(0b1011_0100, 2), 0b1_0100);
        assert_eq!(lowest_bits(0b11, 0), 0);
        assert_eq!(lowest_bits(usize::MAX, 1000), usize::MAX);
        assert_eq!(lowest_bits(0, 3), 0);
    }
}

/// Explores every interleaving of wakers and a poller that the memory model allows (up to loom's
/// bound on preemptions), with the kernel modelled as one edge. A lost wake shows as a poller that
/// sleeps for ever: loom calls it a deadlock.
///
/// `RUSTFLAGS="--cfg litio_loom" cargo test --release --lib loom`
#[cfg(all(test, litio_loom))]
mod loom_tests {
    use super::*;
    use crate::events::Events;
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    /// An edge-triggered kernel object: a knock is seen by one sleep, then forgotten.
    struct Kernel {
        edge: Mutex<bool>,
        knocked: Condvar,
    }

    impl Kernel {
        fn knock(&self) {
            *self.edge.lock().unwrap() = true;
            self.knocked.notify_one();
        }

        fn sleep(&self) {
            let mut edge = self.edge.lock().unwrap();
            while !*edge {
                edge = self.knocked.wait(edge).unwrap();
            }
            *edge = false;
        }
    }

    struct World {
        wakes: WakeState,
        kernel: Kernel,
        /// What the wakers write before they wake, as a program's queue: relaxed on purpose.
        queues: Vec<AtomicUsize>,
    }

    impl World {
        fn new(wakers: usize) -> (Arc<World>, Vec<Slot>) {
            let wakes = WakeState::new();
            let slots = (0..wakers).map(|token| wakes.add(Token(token))).collect();
            let kernel = Kernel {
                edge: Mutex::new(false),
                knocked: Condvar::new(),
            };
            let queues = (0..wakers).map(|_| AtomicUsize::new(0)).collect();
            (
                Arc::new(World {
                    wakes,
                    kernel,
                    queues,
                }),
                slots,
            )
        }

        fn wake(&self, slot: &Slot, value: usize) {
            self.queues[slot.0].store(value, Ordering::Relaxed);
            if self.wakes.wake(slot) {
                self.kernel.knock();
            }
        }

        fn take(&self, slept: bool, capacity: usize, seen: &mut [usize]) {
            let mut events = Events::with_capacity(capacity);
            let is_owed = self.wakes.must_take(slept);
            if is_owed && self.wakes.take(&mut events.room(usize::MAX)) {
                self.kernel.knock();
            }
            for event in &events {
                let token = event.token().0;
                seen[token] = self.queues[token].load(Ordering::Relaxed);
            }
        }

        /// Polls until the last value of every waker has been seen *because of an event*.
        fn poll_until(&self, last: &[usize], capacity: usize, sleep: impl Fn(&World) -> bool) {
            let mut seen = vec![0; last.len()];
            while seen != last {
                let slept = sleep(self);
                self.take(slept, capacity, &mut seen);
            }
        }
    }

    fn announced_sleep(world: &World) -> bool {
        let sleeps = world.wakes.announce_sleep();
        if sleeps {
            world.kernel.sleep();
        }
        sleeps
    }

    fn model(test: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound.get_or_insert(3);
        builder.check(test);
    }

    #[test]
    fn loom_no_wake_of_two_wakers_is_lost() {
        model(|| {
            let (world, mut slots) = World::new(2);
            let (b, a) = (slots.pop().unwrap(), slots.pop().unwrap());
            let other = world.clone();
            let first = thread::spawn(move || {
                other.wake(&a, 1);
                other.wake(&a, 2);
            });
            let other = world.clone();
            let second = thread::spawn(move || other.wake(&b, 1));
            world.poll_until(&[2, 1], 2, announced_sleep);
            first.join().unwrap();
            second.join().unwrap();
        });
    }

    #[test]
    fn loom_no_wake_is_lost_when_a_sleep_ends_for_another_reason() {
        model(|| {
            let (world, mut slots) = World::new(2);
            let (b, a) = (slots.pop().unwrap(), slots.pop().unwrap());
            let other = world.clone();
            let first = thread::spawn(move || {
                other.wake(&a, 1);
                other.wake(&a, 2);
            });
            let other = world.clone();
            let second = thread::spawn(move || other.wake(&b, 1));
            let mut seen = [0, 0];
            // The first `select` has I/O to report.
            let mut is_ready = true;
            while seen != [2, 1] {
                let approach = world.wakes.approach();
                if approach.obstacles() == 0 && world.wakes.announce_sleep_at(approach) {
                    if !std::mem::take(&mut is_ready) {
                        world.kernel.sleep();
                    }
                    if !world.wakes.end_sleep_if_unwoken() {
                        world.take(true, 2, &mut seen);
                    }
                } else {
                    let slept = announced_sleep(&world);
                    world.take(slept, 2, &mut seen);
                }
            }
            first.join().unwrap();
            second.join().unwrap();
        });
    }

    #[test]
    fn loom_no_wake_is_lost_with_room_for_one() {
        model(|| {
            let (world, mut slots) = World::new(2);
            let (b, a) = (slots.pop().unwrap(), slots.pop().unwrap());
            let other = world.clone();
            let waker = thread::spawn(move || {
                other.wake(&a, 1);
                other.wake(&b, 1);
                other.wake(&a, 2);
            });
            world.poll_until(&[2, 1], 1, announced_sleep);
            waker.join().unwrap();
        });
    }

    #[test]
    fn loom_no_wake_is_lost_in_a_chunk_behind_the_word() {
        model(|| {
            let (world, mut slots) = World::new(SLOTS + 1);
            let (behind, inside) = (slots.pop().unwrap(), slots.pop().unwrap());
            let other = world.clone();
            let first = thread::spawn(move || other.wake(&inside, 1));
            let other = world.clone();
            let second = thread::spawn(move || {
                other.wake(&behind, 1);
                other.wake(&behind, 2);
            });
            let mut last = vec![0; SLOTS + 1];
            (last[SLOTS - 1], last[SLOTS]) = (1, 2);
            world.poll_until(&last, SLOTS + 1, announced_sleep);
            first.join().unwrap();
            second.join().unwrap();
        });
    }

    #[test]
    fn loom_a_failed_knock_is_made_up_for_by_the_next_wake() {
        model(|| {
            let (world, mut slots) = World::new(1);
            let slot = slots.pop().unwrap();
            let other = world.clone();
            let waker = thread::spawn(move || {
                other.queues[0].store(1, Ordering::Relaxed);
                if other.wakes.wake(&slot) {
                    other.wakes.knock_failed();
                }
                other.wake(&slot, 2);
            });
            world.poll_until(&[2], 1, announced_sleep);
            waker.join().unwrap();
        });
    }

    #[test]
    fn loom_a_waker_made_while_the_poller_sleeps_unannounced_is_heard() {
        model(|| {
            let (world, _) = World::new(0);
            let other = world.clone();
            let waker = thread::spawn(move || {
                let slot = other.wakes.add(Token(0));
                if other.wakes.wake(&slot) {
                    other.kernel.knock();
                }
            });
            let mut events = Events::with_capacity(1);
            while events.is_empty() {
                // As a plain poll does: there is nobody to announce it to.
                let slept = if !world.wakes.approach().is_attended() {
                    world.kernel.sleep();
                    true
                } else {
                    announced_sleep(&world)
                };
                if world.wakes.must_take(slept) {
                    world.wakes.take(&mut events.room(usize::MAX));
                }
            }
            waker.join().unwrap();
        });
    }

    #[test]
    fn loom_no_wake_is_lost_in_a_place_that_was_freed() {
        model(|| {
            let (world, mut slots) = World::new(2);
            let (_, first) = (slots.pop(), slots.pop().unwrap());
            let other = world.clone();
            let waker = thread::spawn(move || {
                other.wake(&first, 1);
                other.wakes.remove(&first);
                let second = other.wakes.add(Token(1));
                assert_eq!(second.0, first.0);
                other.queues[1].store(1, Ordering::Relaxed);
                if other.wakes.wake(&second) {
                    other.kernel.knock();
                }
            });
            // Of the first, which is gone before it must be delivered, an event may be seen or not.
            let mut seen = [0, 0];
            while seen[1] != 1 {
                let slept = announced_sleep(&world);
                world.take(slept, 2, &mut seen);
            }
            waker.join().unwrap();
        });
    }

    /// With room for one, so that something is left in the chunk, and the poller must knock.
    #[test]
    fn loom_an_outer_poller_sees_every_wake_in_a_chunk() {
        model(|| {
            let (world, mut slots) = World::new(SLOTS + 2);
            let (b, a) = (slots.pop().unwrap(), slots.pop().unwrap());
            let mut last = vec![0; SLOTS + 2];
            world.take(true, 1, &mut last.clone());
            world.wakes.hand_out();
            let other = world.clone();
            let waker = thread::spawn(move || {
                other.wake(&a, 1);
                other.wake(&b, 1);
                other.wake(&a, 2);
            });
            (last[SLOTS], last[SLOTS + 1]) = (2, 1);
            world.poll_until(&last, 1, |world| {
                world.kernel.sleep();
                false
            });
            waker.join().unwrap();
        });
    }

    #[test]
    fn loom_an_outer_poller_sees_every_wake_once_the_descriptor_is_handed_out() {
        model(|| {
            let (world, mut slots) = World::new(2);
            let (b, a) = (slots.pop().unwrap(), slots.pop().unwrap());
            // The poller is awake, as after any poll.
            world.take(true, 1, &mut [0, 0]);
            let other = world.clone();
            let first = thread::spawn(move || {
                other.wake(&a, 1);
                other.wake(&a, 2);
            });
            let other = world.clone();
            let second = thread::spawn(move || other.wake(&b, 1));
            if world.wakes.hand_out() {
                world.kernel.knock();
            }
            world.poll_until(&[2, 1], 1, |world| {
                world.kernel.sleep();
                false
            });
            first.join().unwrap();
            second.join().unwrap();
        });
    }
}
