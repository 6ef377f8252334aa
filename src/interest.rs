//! Interest: which readiness a registration asks for, and how it is triggered.
//!
//! One non-zero byte: five bits of directions and two of trigger mode, so that every
//! [`Source`](crate::event::Source) passes the mode on without knowing of it.

use std::fmt;
use std::num::NonZeroU8;
use std::ops::{BitOr, BitOrAssign};

const READABLE: u8 = 1;
const WRITABLE: u8 = 1 << 1;
const AIO: u8 = 1 << 2;
const LIO: u8 = 1 << 3;
const PRIORITY: u8 = 1 << 4;
const DIRECTIONS: u8 = READABLE | WRITABLE | AIO | LIO | PRIORITY;
const MODE_SHIFT: u32 = 5;

/// What a registration asks for: directions ([`READABLE`](Interest::READABLE),
/// [`WRITABLE`](Interest::WRITABLE), …) and a trigger mode (edge unless told otherwise).
///
/// Combined with `|`. Only `READABLE` and `WRITABLE` work everywhere; the other constants exist on
/// every platform, and [`Registry::register`](crate::Registry::register) returns
/// [`Unsupported`](std::io::ErrorKind::Unsupported) where the system lacks them.
///
/// Errors, and that both ends are closed, are reported whether asked for or not; that the peer has
/// only stopped sending, to whoever asks for `READABLE`.
///
/// # Trigger modes
///
/// | mode | an event is reported |
/// |---|---|
/// | edge (the default) | when the source becomes ready; again only after an operation returned `WouldBlock` or after `reregister` (sooner is allowed) |
/// | [level](Interest::level) | by every `poll` while the source is ready |
/// | [one-shot](Interest::oneshot) | once, whatever the direction; then nothing until `reregister` |
///
/// `|` takes the stronger of two modes (one-shot over level over edge).
///
/// # Examples
///
/// ```
/// use litio::Interest;
///
/// let both = Interest::READABLE | Interest::WRITABLE;
/// assert!(both.is_readable() && both.is_writable());
/// assert_eq!(both.remove(Interest::WRITABLE), Some(Interest::READABLE));
/// assert_eq!(Interest::READABLE.remove(Interest::READABLE), None);
///
/// let once = both.oneshot();
/// assert!(once.is_oneshot());
/// assert_eq!(format!("{both:?}"), "READABLE | WRITABLE");
/// ```
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interest(NonZeroU8);

/// How a registration is triggered. In the order of strength: `|` takes the greater.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    Edge = 0,
    Level = 1,
    OneShot = 2,
    /// Edge, for a source without a hook in its operations (`SourceFd`, `SourceSocket`): a
    /// backend that needs to be told of `WouldBlock` cannot be, so it offers what is still ready
    /// again after a bounded time.
    Paced = 3,
}

impl Interest {
    /// Readiness to read: data, a connection to accept, or the end of the stream.
    pub const READABLE: Interest = Interest::of(READABLE);
    /// Readiness to write, or the end of a connection attempt.
    pub const WRITABLE: Interest = Interest::of(WRITABLE);
    /// Completion of POSIX asynchronous I/O. Apple, FreeBSD, DragonFly BSD; `Unsupported`
    /// elsewhere.
    pub const AIO: Interest = Interest::of(AIO);
    /// Completion of a `lio_listio(2)` list. FreeBSD; `Unsupported` elsewhere.
    pub const LIO: Interest = Interest::of(LIO);
    /// Urgent data and other exceptional conditions (`EPOLLPRI`, `POLLPRI`). Linux and Android;
    /// `Unsupported` elsewhere.
    pub const PRIORITY: Interest = Interest::of(PRIORITY);

    const fn of(bits: u8) -> Interest {
        match NonZeroU8::new(bits) {
            Some(bits) => Interest(bits),
            None => panic!("an Interest has at least one direction"),
        }
    }

    const fn bits(self) -> u8 {
        self.0.get()
    }

    const fn with_mode(self, mode: Mode) -> Interest {
        Interest::of(self.bits() & DIRECTIONS | (mode as u8) << MODE_SHIFT)
    }

    /// Asks for the directions of both; the stronger trigger mode wins. The same as `|`, usable in
    /// constants.
    ///
    /// ```
    /// # use litio::Interest;
    /// const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
    /// assert_eq!(BOTH, Interest::READABLE | Interest::WRITABLE);
    /// ```
    #[must_use = "returns the union, changes nothing"]
    // Mio's name; there is no `Add` because `|` is the operator for sets.
    #[allow(clippy::should_implement_trait)]
    pub const fn add(self, other: Interest) -> Interest {
        let (a, b) = (self.bits() >> MODE_SHIFT, other.bits() >> MODE_SHIFT);
        let mode = if a > b { a } else { b };
        Interest::of((self.bits() | other.bits()) & DIRECTIONS | mode << MODE_SHIFT)
    }

    /// Removes the directions of `other` and keeps the trigger mode; `None` if no direction is
    /// left.
    #[must_use = "returns the difference, changes nothing"]
    pub fn remove(self, other: Interest) -> Option<Interest> {
        let left = self.bits() & DIRECTIONS & !other.bits();
        (left != 0).then(|| Interest::of(left).with_mode(self.mode()))
    }

    /// The same directions, level-triggered: every `poll` reports the source while it is ready.
    ///
    /// ```
    /// # use litio::Interest;
    /// assert!(Interest::READABLE.level().is_level());
    /// ```
    #[must_use = "returns the changed interest, changes nothing"]
    pub const fn level(self) -> Interest {
        self.with_mode(Mode::Level)
    }

    /// The same directions, one-shot: after one event, whatever its direction, nothing more is
    /// reported until [`reregister`](crate::Registry::reregister).
    ///
    /// ```
    /// # use litio::Interest;
    /// assert!((Interest::READABLE.oneshot() | Interest::WRITABLE).is_oneshot());
    /// ```
    #[must_use = "returns the changed interest, changes nothing"]
    pub const fn oneshot(self) -> Interest {
        self.with_mode(Mode::OneShot)
    }

    /// True if it asks for [`READABLE`](Interest::READABLE).
    #[must_use]
    pub const fn is_readable(self) -> bool {
        self.bits() & READABLE != 0
    }

    /// True if it asks for [`WRITABLE`](Interest::WRITABLE).
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.bits() & WRITABLE != 0
    }

    /// True if it asks for [`AIO`](Interest::AIO).
    #[must_use]
    pub const fn is_aio(self) -> bool {
        self.bits() & AIO != 0
    }

    /// True if it asks for [`LIO`](Interest::LIO).
    #[must_use]
    pub const fn is_lio(self) -> bool {
        self.bits() & LIO != 0
    }

    /// True if it asks for [`PRIORITY`](Interest::PRIORITY).
    #[must_use]
    pub const fn is_priority(self) -> bool {
        self.bits() & PRIORITY != 0
    }

    /// True if it is [level-triggered](Interest::level).
    #[must_use]
    pub const fn is_level(self) -> bool {
        matches!(self.mode(), Mode::Level)
    }

    /// True if it is [one-shot](Interest::oneshot).
    #[must_use]
    pub const fn is_oneshot(self) -> bool {
        matches!(self.mode(), Mode::OneShot)
    }

    pub(crate) const fn mode(self) -> Mode {
        match self.bits() >> MODE_SHIFT {
            0 => Mode::Edge,
            1 => Mode::Level,
            2 => Mode::OneShot,
            _ => Mode::Paced,
        }
    }

    /// The same interest for a source that cannot tell when its operations would block. Edge only:
    /// the other modes do not depend on being told.
    #[allow(dead_code)] // SourceFd's and SourceSocket's; not every system has one
    pub(crate) const fn paced(self) -> Interest {
        match self.mode() {
            Mode::Edge => self.with_mode(Mode::Paced),
            _ => self,
        }
    }

    /// True if no direction is asked for but those that `detected` names.
    pub(crate) fn is_within(self, detected: Interest) -> bool {
        self.bits() & DIRECTIONS & !detected.bits() == 0
    }
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        self.add(other)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Interest) {
        *self = *self | other;
    }
}

/// Prints `READABLE | WRITABLE`; a mode other than edge follows in parentheses: `READABLE
/// (one-shot)`.
impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(u8, &str); 5] = [
            (READABLE, "READABLE"),
            (WRITABLE, "WRITABLE"),
            (AIO, "AIO"),
            (LIO, "LIO"),
            (PRIORITY, "PRIORITY"),
        ];
        let mut separator = "";
        for (_, name) in NAMES.iter().filter(|(bit, _)| self.bits() & bit != 0) {
            write!(f, "{separator}{name}")?;
            separator = " | ";
        }
        f.write_str(match self.mode() {
            Mode::Edge | Mode::Paced => "",
            Mode::Level => " (level)",
            Mode::OneShot => " (one-shot)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn union_takes_the_stronger_mode_whatever_the_order() {
        let modes = [
            Interest::READABLE,
            Interest::READABLE.level(),
            Interest::READABLE.oneshot(),
        ];
        for (i, a) in modes.into_iter().enumerate() {
            for (j, b) in modes.into_iter().enumerate() {
                let expected = modes[i.max(j)].mode();
                assert_eq!((a | b.add(Interest::WRITABLE)).mode(), expected);
            }
        }
    }

    #[test]
    fn each_question_is_about_one_direction_or_mode() {
        type Question = fn(Interest) -> bool;
        let directions: [(Interest, Question); 5] = [
            (Interest::READABLE, Interest::is_readable),
            (Interest::WRITABLE, Interest::is_writable),
            (Interest::AIO, Interest::is_aio),
            (Interest::LIO, Interest::is_lio),
            (Interest::PRIORITY, Interest::is_priority),
        ];
        for (i, (direction, _)) in directions.into_iter().enumerate() {
            let others = directions.iter().filter(|(other, _)| *other != direction);
            let others = others.map(|(other, _)| *other).reduce(Interest::add);
            for (j, (_, asks_for)) in directions.into_iter().enumerate() {
                assert_eq!(asks_for(direction), i == j);
                assert_eq!(asks_for(others.unwrap()), i != j);
            }
            let in_modes = [direction, direction.level(), direction.oneshot()];
            assert_eq!(in_modes.map(Interest::is_level), [false, true, false]);
            assert_eq!(in_modes.map(Interest::is_oneshot), [false, false, true]);
        }
    }

    #[test]
    fn or_assign_adds() {
        let mut interest = Interest::READABLE;
        interest |= Interest::WRITABLE;
        assert_eq!(interest, Interest::READABLE.add(Interest::WRITABLE));
    }

    #[test]
    fn remove_drops_directions_and_keeps_the_mode() {
        let both = Interest::READABLE.level() | Interest::WRITABLE;
        assert_eq!(
            both.remove(Interest::READABLE.oneshot()),
            Some(Interest::WRITABLE.level())
        );
        assert_eq!(both.remove(both), None);
        assert_eq!(both.remove(Interest::AIO), Some(both));
    }

    #[test]
    fn option_of_interest_is_one_byte() {
        assert_eq!(size_of::<Option<Interest>>(), 1);
    }

    #[test]
    fn debug_names_every_direction_and_only_modes_other_than_edge() {
        let all = Interest::READABLE
            | Interest::WRITABLE
            | Interest::AIO
            | Interest::LIO
            | Interest::PRIORITY;
        assert_eq!(
            format!("{all:?}"),
            "READABLE | WRITABLE | AIO | LIO | PRIORITY"
        );
        assert_eq!(
            format!("{:?}", Interest::READABLE.level()),
            "READABLE (level)"
        );
        assert_eq!(
            format!("{:?}", Interest::WRITABLE.oneshot()),
            "WRITABLE (one-shot)"
        );
        assert_eq!(format!("{:?}", Interest::WRITABLE.paced()), "WRITABLE");
    }

    #[test]
    fn pacing_replaces_edge_only() {
        assert_eq!(Interest::READABLE.paced().mode(), Mode::Paced);
        assert_eq!(Interest::READABLE.level().paced().mode(), Mode::Level);
        assert_eq!(Interest::READABLE.oneshot().paced().mode(), Mode::OneShot);
    }
}
