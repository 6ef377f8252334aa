//! Events: plain data that a backend fills once and a program reads as often as it likes.
//!
//! The file is not named `event.rs` because `litio::event`, the public module, also holds
//! [`Source`](crate::event::Source), which lives floors above.

use std::fmt;
use std::iter::FusedIterator;
use std::{slice, vec};

use crate::raw_event::RawEvent;
use crate::readiness::Readiness;
use crate::token::Token;

/// One answer of [`Poll::poll`](crate::Poll::poll): which source, and what it is ready for.
///
/// Readiness is a hint. An event may be *spurious*: the operation that it announces may still
/// return `WouldBlock`. Only [`is_readable`](Event::is_readable) and
/// [`is_writable`](Event::is_writable) are portable; the other predicates have no false positives
/// but, depending on the platform, false negatives. A source may have one event with both
/// directions (epoll) or one for each (kqueue).
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
#[derive(Clone)]
#[repr(transparent)] // so that the kernel can write it, where it makes the very same struct
pub struct Event(RawEvent);

impl Event {
    /// Makes an event as if a source had reported it, for tests and simulations.
    #[must_use]
    pub const fn new(token: Token, readiness: Readiness) -> Event {
        Event::with_details(token, readiness, 0)
    }

    /// An event as a backend makes it, with what the system said, of which `{:#?}` prints as much
    /// as there is room for.
    #[inline]
    pub(crate) const fn with_details(token: Token, readiness: Readiness, details: u64) -> Event {
        Event(RawEvent::new(token, readiness, details))
    }

    #[allow(dead_code)] // of those backends whose system makes the very same struct
    #[inline]
    pub(crate) const fn raw(&self) -> &RawEvent {
        &self.0
    }

    /// The token that the source was last registered with.
    #[inline]
    #[must_use]
    pub fn token(&self) -> Token {
        self.0.token()
    }

    /// All the predicates as one set.
    #[inline]
    #[must_use]
    pub const fn readiness(&self) -> Readiness {
        self.0.readiness()
    }

    /// True if reading, receiving or accepting is worth a try. On most systems also true when the
    /// read end is closed.
    #[inline]
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.readiness().contains(Readiness::READABLE)
    }

    /// True if writing or sending is worth a try, or if a connection attempt has ended.
    #[inline]
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.readiness().contains(Readiness::WRITABLE)
    }

    /// True if the source has an error; `take_error` or the next operation tells which. A hint: it
    /// need not be set.
    #[inline]
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.readiness().contains(Readiness::ERROR)
    }

    /// True if no more data will arrive: the peer shut down writing or is gone, or this side shut
    /// down reading. What arrived before can still be read. Never wrongly set, but need not be set.
    #[inline]
    #[must_use]
    pub fn is_read_closed(&self) -> bool {
        self.readiness().contains(Readiness::READ_CLOSED)
    }

    /// True if nothing more can be written: both ends are shut down, or the source failed. Never
    /// wrongly set, but need not be set.
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

/// Equal if token and readiness are, whatever else the system said.
impl PartialEq for Event {
    fn eq(&self, other: &Event) -> bool {
        (self.token(), self.readiness()) == (other.token(), other.readiness())
    }
}

impl Eq for Event {}

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
            event.field("details", &format_args!("{:#x}", self.0.details()));
        }
        event.finish()
    }
}

/// Where [`Poll::poll`](crate::Poll::poll) puts its answers, at most [`capacity`](Events::capacity)
/// per call.
///
/// Allocate it once and use it for every call; polling never makes it grow.
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
    /// No system is asked for more at a time: it could not say how many there were.
    const MOST: usize = 1 << 26;

    /// Makes an empty list for at most `capacity` events. More than 67,108,864 (2²⁶) count as that
    /// many. With 0, [`Poll::poll`](crate::Poll::poll) returns
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput).
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Events {
        let capacity = capacity.min(Events::MOST);
        Events {
            list: Vec::with_capacity(capacity),
            capacity,
        }
    }

    /// The most events that one call of `poll` reports: what
    /// [`with_capacity`](Events::with_capacity) was given, up to its limit.
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

    /// Removes all events. `poll` does so by itself.
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

/// Holds the given events, with room for no more; for tests and simulations.
impl FromIterator<Event> for Events {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Events {
        let list = Vec::from_iter(events);
        Events {
            capacity: list.len().min(Events::MOST),
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

/// Iterator over [`Events`], made by [`Events::iter`]. It knows how many events are left, and goes
/// both ways.
///
/// # Examples
///
/// ```
/// use litio::Token;
/// use litio::event::{Event, Events, Readiness};
///
/// let events: Events =
///     (0..3).map(|number| Event::new(Token(number), Readiness::READABLE)).collect();
/// let mut iter = events.iter();
/// assert_eq!(iter.next().map(Event::token), Some(Token(0)));
/// assert_eq!(iter.len(), 2);
/// assert_eq!(iter.next_back().map(Event::token), Some(Token(2)));
/// ```
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
    /// How many events still fit. Fits into an `i32`.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// The list itself, with space for as many as are [left](Room::left): for a system that writes
    /// events of its own accord.
    #[allow(dead_code)] // of those backends whose system makes the very same struct
    #[inline]
    pub(crate) fn list(&mut self) -> &mut Vec<Event> {
        self.list
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
    #[allow(dead_code)] // of those backends whose answers are events one to one
    #[inline]
    pub(crate) fn extend(&mut self, events: impl ExactSizeIterator<Item = Event>) {
        let count = events.len();
        assert!(count <= self.left, "{TOO_MANY}");
        self.left -= count;
        self.list.extend(events);
    }
}

const TOO_MANY: &str = "more events taken from the system than were asked for";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_two_words_at_most() {
        assert!(size_of::<Event>() <= 16);
    }

    #[test]
    fn an_event_that_a_program_makes_has_just_the_readiness_it_was_given() {
        for bits in 0..=u8::MAX {
            let event = Event::new(Token(usize::MAX), Readiness(bits));
            assert_eq!(
                (event.token(), event.readiness()),
                (Token(usize::MAX), Readiness(bits))
            );
        }
    }

    #[test]
    fn events_are_equal_if_token_and_readiness_are() {
        let event = Event::new(Token(1), Readiness::READABLE);
        assert_eq!(
            event,
            Event::with_details(Token(1), Readiness::READABLE, 0x41)
        );
        assert_ne!(event, Event::new(Token(2), Readiness::READABLE));
        assert_ne!(event, Event::new(Token(1), Readiness::WRITABLE));
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
    fn no_system_is_asked_for_more_than_it_can_count() {
        let events = Events {
            list: Vec::new(),
            capacity: Events::MOST,
        };
        assert!(i32::try_from(events.capacity() * size_of::<Event>()).is_ok());
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
        let event = Event::with_details(Token(1), Readiness::READABLE, 0x41);
        assert!(!format!("{event:?}").contains("details"));
        assert!(format!("{event:#?}").contains("details: 0x41"));
    }
}
