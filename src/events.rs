//! Events: plain data that a backend fills once and a program reads as often as it likes.
//!
//! The file is not named `event.rs` because `litio::event`, the public module, also holds
//! [`Source`](crate::event::Source), which lives floors above.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::{BitOr, BitOrAssign};
use std::{slice, vec};

use crate::token::Token;

/// What a source is ready for: a set of eight bits.
///
/// An [`Event`] carries one; a test or a simulator makes one to construct events of its own.
///
/// # Examples
///
/// ```
/// use litio::event::Readiness;
///
/// let hung_up = Readiness::READABLE | Readiness::READ_CLOSED;
/// assert!(hung_up.contains(Readiness::READ_CLOSED));
/// assert!(!hung_up.contains(Readiness::READABLE | Readiness::WRITABLE));
/// assert_eq!(format!("{hung_up:?}"), "READABLE | READ_CLOSED");
/// ```
#[derive(Copy, Clone, Default, PartialEq, Eq, Hash)]
pub struct Readiness(u8);

impl Readiness {
    /// Nothing.
    pub const EMPTY: Readiness = Readiness(0);
    /// See [`Event::is_readable`].
    pub const READABLE: Readiness = Readiness(1);
    /// See [`Event::is_writable`].
    pub const WRITABLE: Readiness = Readiness(1 << 1);
    /// See [`Event::is_error`].
    pub const ERROR: Readiness = Readiness(1 << 2);
    /// See [`Event::is_read_closed`].
    pub const READ_CLOSED: Readiness = Readiness(1 << 3);
    /// See [`Event::is_write_closed`].
    pub const WRITE_CLOSED: Readiness = Readiness(1 << 4);
    /// See [`Event::is_priority`].
    pub const PRIORITY: Readiness = Readiness(1 << 5);
    /// See [`Event::is_aio`].
    pub const AIO: Readiness = Readiness(1 << 6);
    /// See [`Event::is_lio`].
    pub const LIO: Readiness = Readiness(1 << 7);

    /// True if every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Readiness) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if no bit is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These bits if `condition` holds, else none: a backend's translation is a union of these.
    #[inline]
    pub(crate) const fn when(self, condition: bool) -> Readiness {
        if condition { self } else { Readiness::EMPTY }
    }

    /// The bits that `other` has not.
    #[allow(dead_code)] // of those backends that report both directions of a failure
    pub(crate) const fn without(self, other: Readiness) -> Readiness {
        Readiness(self.0 & !other.0)
    }

    /// The same as `|`, usable in constants.
    pub(crate) const fn union(self, other: Readiness) -> Readiness {
        Readiness(self.0 | other.0)
    }
}

impl BitOr for Readiness {
    type Output = Readiness;

    #[inline]
    fn bitor(self, other: Readiness) -> Readiness {
        self.union(other)
    }
}

impl BitOrAssign for Readiness {
    fn bitor_assign(&mut self, other: Readiness) {
        *self = *self | other;
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(Readiness, &str); 8] = [
            (Readiness::READABLE, "READABLE"),
            (Readiness::WRITABLE, "WRITABLE"),
            (Readiness::ERROR, "ERROR"),
            (Readiness::READ_CLOSED, "READ_CLOSED"),
            (Readiness::WRITE_CLOSED, "WRITE_CLOSED"),
            (Readiness::PRIORITY, "PRIORITY"),
            (Readiness::AIO, "AIO"),
            (Readiness::LIO, "LIO"),
        ];
        let mut separator = "";
        for (_, name) in NAMES.iter().filter(|(bit, _)| self.contains(*bit)) {
            write!(f, "{separator}{name}")?;
            separator = " | ";
        }
        if self.is_empty() {
            f.write_str("EMPTY")
        } else {
            Ok(())
        }
    }
}

/// One answer of [`Poll::poll`](crate::Poll::poll): which source, and what it is ready for.
///
/// Readiness is a hint. An event may be *spurious*: the operation it announces can still answer
/// `WouldBlock`. Only [`is_readable`](Event::is_readable) and [`is_writable`](Event::is_writable)
/// are portable; the other predicates have no false positives but, depending on the platform, false
/// negatives. One source may have one event with both directions (epoll) or one for each (kqueue).
///
/// # Examples
///
/// An event loop's dispatch can be tested without sockets:
///
/// ```
/// use litio::Token;
/// use litio::event::{Event, Readiness};
///
/// let event = Event::new(Token(7), Readiness::READABLE | Readiness::READ_CLOSED);
/// assert_eq!(event.token(), Token(7));
/// assert!(event.is_readable() && event.is_read_closed() && !event.is_writable());
/// ```
///
/// # Platform notes
///
/// What sets each predicate:
///
/// | | epoll | kqueue | poll(2) | event ports | AFD (Windows) |
/// |---|---|---|---|---|---|
/// | readable | `EPOLLIN` or `EPOLLPRI` | `EVFILT_READ`, `EVFILT_USER` | `POLLIN`, `POLLPRI` or `POLLRDHUP` | as poll(2) | `RECEIVE`, `DISCONNECT`, `ACCEPT`, `ABORT`, `CONNECT_FAIL` |
/// | writable | `EPOLLOUT` | `EVFILT_WRITE` | `POLLOUT` | `POLLOUT` | `SEND`, `ABORT`, `CONNECT_FAIL` |
/// | error | `EPOLLERR` | `EV_ERROR`, or `EV_EOF` with `fflags` not zero | `POLLERR` | `POLLERR` | `CONNECT_FAIL` |
/// | read closed | `EPOLLHUP`, or `EPOLLIN` with `EPOLLRDHUP` | `EVFILT_READ` with `EV_EOF` | `POLLHUP` or `POLLRDHUP` | as poll(2) | `DISCONNECT`, `ABORT`, `CONNECT_FAIL` |
/// | write closed | `EPOLLHUP`, `EPOLLOUT` with `EPOLLERR`, or `EPOLLERR` alone | `EVFILT_WRITE` with `EV_EOF` | as epoll | as epoll | `ABORT`, `CONNECT_FAIL` |
/// | priority | `EPOLLPRI` | never | `POLLPRI` | `POLLPRI` | never |
/// | aio / lio | never | `EVFILT_AIO` / `EVFILT_LIO` | never | never | never |
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    token: Token,
    /// The readiness in the low byte, what the system said above it: two words in all.
    word: u64,
}

impl Event {
    /// Makes an event as if a source had reported it; for tests and simulations.
    #[must_use]
    pub const fn new(token: Token, readiness: Readiness) -> Event {
        Event::with_raw(token, readiness, 0)
    }

    /// An event as a backend makes it. The upper eight bits of `raw` are dropped.
    #[inline]
    pub(crate) const fn with_raw(token: Token, readiness: Readiness, raw: u64) -> Event {
        Event {
            token,
            word: raw << 8 | readiness.0 as u64,
        }
    }

    /// The token that the source was last registered with.
    #[inline]
    #[must_use]
    pub fn token(&self) -> Token {
        self.token
    }

    /// All the predicates as one set.
    #[inline]
    #[must_use]
    pub const fn readiness(&self) -> Readiness {
        Readiness(self.word as u8)
    }

    /// True if reading, receiving or accepting is worth a try. Also true, on most systems, when the
    /// read end is closed.
    #[inline]
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.readiness().contains(Readiness::READABLE)
    }

    /// True if writing or sending is worth a try, or a connection attempt has ended.
    #[inline]
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.readiness().contains(Readiness::WRITABLE)
    }

    /// True if the source is in an error state; `take_error` or the next operation tells which. A
    /// hint.
    #[inline]
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.readiness().contains(Readiness::ERROR)
    }

    /// True if no more data will arrive: the peer shut down writing or is gone, or this side shut
    /// down reading. What arrived before can still be read. No false positives; no promise that it
    /// is ever set.
    #[inline]
    #[must_use]
    pub fn is_read_closed(&self) -> bool {
        self.readiness().contains(Readiness::READ_CLOSED)
    }

    /// True if nothing more can be written: both ends are shut down, or the source failed. No false
    /// positives; no promise that it is ever set.
    #[inline]
    #[must_use]
    pub fn is_write_closed(&self) -> bool {
        self.readiness().contains(Readiness::WRITE_CLOSED)
    }

    /// True if urgent data or another exceptional condition is present. Asked for with
    /// [`Interest::PRIORITY`](crate::Interest::PRIORITY); Linux and Android.
    #[inline]
    #[must_use]
    pub fn is_priority(&self) -> bool {
        self.readiness().contains(Readiness::PRIORITY)
    }

    /// True if a POSIX asynchronous operation has completed. Apple, FreeBSD, DragonFly BSD.
    #[inline]
    #[must_use]
    pub fn is_aio(&self) -> bool {
        self.readiness().contains(Readiness::AIO)
    }

    /// True if a `lio_listio(2)` list has completed. FreeBSD.
    #[inline]
    #[must_use]
    pub fn is_lio(&self) -> bool {
        self.readiness().contains(Readiness::LIO)
    }
}

/// Prints the token and every predicate; `{:#?}` adds what the system reported, as a number whose
/// meaning is the backend's.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_alternate = f.alternate();
        let mut event = f.debug_struct("Event");
        event
            .field("token", &self.token())
            .field("readable", &self.is_readable())
            .field("writable", &self.is_writable())
            .field("error", &self.is_error())
            .field("read_closed", &self.is_read_closed())
            .field("write_closed", &self.is_write_closed())
            .field("priority", &self.is_priority())
            .field("aio", &self.is_aio())
            .field("lio", &self.is_lio());
        if is_alternate {
            event.field("details", &format_args!("{:#x}", self.word >> 8));
        }
        event.finish()
    }
}

/// Where [`Poll::poll`](crate::Poll::poll) puts its answers, at most [`capacity`](Events::capacity)
/// a call.
///
/// Allocated once and used again; polling never makes it grow.
///
/// # Examples
///
/// ```
/// use litio::{Events, Poll};
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(128);
/// poll.poll(&mut events, Some(Duration::ZERO))?;
/// for event in &events {
///     println!("{event:?}");
/// }
/// assert_eq!(events.len(), 0);
/// # Ok(())
/// # }
/// ```
pub struct Events {
    list: Vec<Event>,
    /// What was asked for: `Vec::capacity` may be more.
    capacity: usize,
}

impl Events {
    /// Makes an empty list for at most `capacity` events. With 0, [`Poll::poll`](crate::Poll::poll)
    /// answers [`InvalidInput`](std::io::ErrorKind::InvalidInput).
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Events {
        Events {
            list: Vec::with_capacity(capacity),
            capacity,
        }
    }

    /// The most events that one call of `poll` reports: the number given to
    /// [`with_capacity`](Events::with_capacity).
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The number of events that the last `poll` reported.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True if the last `poll` reported nothing.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Iterates over the events in the order in which they were reported.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.list.iter())
    }

    /// Removes all events. `poll` does it by itself.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// A view that accepts at most `limit` events more, never over the capacity: what a backend
    /// fills.
    #[inline]
    pub(crate) fn room(&mut self, limit: usize) -> Room<'_> {
        let left = limit.min(self.capacity - self.list.len());
        Room {
            list: &mut self.list,
            left,
        }
    }
}

/// The events of the list, with room for no more; for tests and simulations.
impl FromIterator<Event> for Events {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Events {
        let list = Vec::from_iter(events);
        Events {
            capacity: list.len(),
            list,
        }
    }
}

impl<'a> IntoIterator for &'a Events {
    type Item = &'a Event;
    type IntoIter = Iter<'a>;

    #[inline]
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl IntoIterator for Events {
    type Item = Event;
    type IntoIter = vec::IntoIter<Event>;

    fn into_iter(self) -> vec::IntoIter<Event> {
        self.list.into_iter()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// Iterator over [`Events`]; made by [`Events::iter`]. It knows its exact length, also half-way.
#[derive(Clone, Debug)]
pub struct Iter<'a>(slice::Iter<'a, Event>);

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Event;

    #[inline]
    fn next(&mut self) -> Option<&'a Event> {
        self.0.next()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }

    #[inline]
    fn count(self) -> usize {
        self.0.count()
    }

    #[inline]
    fn nth(&mut self, n: usize) -> Option<&'a Event> {
        self.0.nth(n)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back()
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl FusedIterator for Iter<'_> {}

/// The part of an [`Events`] that a `select` may fill: it can be appended to, up to a limit.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    list: &'a mut Vec<Event>,
    left: usize,
}

impl Room<'_> {
    /// How many events still fit.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Appends an event.
    ///
    /// # Panics
    ///
    /// If nothing is [left](Room::left): a backend must not take more from the system than it can
    /// hand on.
    #[inline]
    pub(crate) fn push(&mut self, event: Event) {
        assert!(self.left > 0, "{TOO_MANY}");
        self.left -= 1;
        self.list.push(event);
    }

    /// Appends several events at the price of one check.
    ///
    /// # Panics
    ///
    /// As [`push`](Room::push), before any is appended.
    #[allow(dead_code)] // only for selectors whose own events come apart
    #[inline]
    #[allow(dead_code)] // of those backends whose answers are events one to one
    pub(crate) fn extend(&mut self, events: impl ExactSizeIterator<Item = Event>) {
        let count = events.len();
        assert!(count <= self.left, "{TOO_MANY}");
        self.left -= count;
        self.list.extend(events);
    }

    /// Takes back the last `count` events.
    #[allow(dead_code)] // only for selectors whose own events come among the others
    pub(crate) fn retract(&mut self, count: usize) {
        self.list.truncate(self.list.len() - count);
        self.left += count;
    }
}

const TOO_MANY: &str = "more events taken from the system than were asked for";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_two_words_and_keeps_token_readiness_and_raw_apart() {
        assert!(size_of::<Event>() <= 16);
        let all = Readiness(u8::MAX);
        for (token, readiness, raw) in [
            (usize::MAX, Readiness::EMPTY, u64::MAX >> 8),
            (0, all, 0),
            (1, Readiness::AIO, 0x80_0000_0000_0000),
        ] {
            let event = Event::with_raw(Token(token), readiness, raw);
            assert_eq!(
                (event.token(), event.readiness()),
                (Token(token), readiness)
            );
            assert_eq!(event.word >> 8, raw);
        }
    }

    #[test]
    fn each_predicate_answers_to_its_own_bit_only() {
        let predicates: [fn(&Event) -> bool; 8] = [
            Event::is_readable,
            Event::is_writable,
            Event::is_error,
            Event::is_read_closed,
            Event::is_write_closed,
            Event::is_priority,
            Event::is_aio,
            Event::is_lio,
        ];
        for (i, predicate) in predicates.iter().enumerate() {
            for bit in 0..8 {
                let event = Event::new(Token(0), Readiness(1 << bit));
                assert_eq!(predicate(&event), bit == i, "predicate {i}, bit {bit}");
            }
        }
    }

    #[test]
    fn room_is_bounded_by_the_limit_and_by_the_capacity() {
        let mut events = Events::with_capacity(3);
        events
            .room(2)
            .push(Event::new(Token(1), Readiness::READABLE));
        assert_eq!(events.room(1).left(), 1);
        assert_eq!(events.room(9).left(), 2);
        assert_eq!(events.len(), 1);
    }

    #[test]
    #[should_panic(expected = "more events taken")]
    fn room_refuses_what_does_not_fit() {
        Events::with_capacity(1)
            .room(0)
            .push(Event::new(Token(1), Readiness::READABLE));
    }

    #[test]
    fn iter_counts_what_is_left() {
        let events: Events = (0..3)
            .map(|token| Event::new(Token(token), Readiness::READABLE))
            .collect();
        let mut iter = events.iter();
        iter.next();
        assert_eq!(
            (iter.len(), iter.size_hint(), iter.clone().count()),
            (2, (2, Some(2)), 2)
        );
        assert_eq!(iter.next_back().map(Event::token), Some(Token(2)));
        assert_eq!(iter.len(), 1);
    }

    #[test]
    fn details_are_printed_in_the_alternate_form_only() {
        let event = Event::with_raw(Token(1), Readiness::READABLE, 0x2001);
        assert!(!format!("{event:?}").contains("details"));
        assert!(format!("{event:#?}").contains("details: 0x2001"));
    }
}
