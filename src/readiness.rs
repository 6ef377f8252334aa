//! Readiness: what a source answers.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// What a source is ready for: a set of eight bits.
///
/// An [`Event`](crate::event::Event) carries one; a test or a simulator makes one to construct
/// events of its own.
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
pub struct Readiness(pub(crate) u8);

impl Readiness {
    /// Nothing.
    pub const EMPTY: Readiness = Readiness(0);
    /// See [`Event::is_readable`](crate::event::Event::is_readable).
    pub const READABLE: Readiness = Readiness(1);
    /// See [`Event::is_writable`](crate::event::Event::is_writable).
    pub const WRITABLE: Readiness = Readiness(1 << 1);
    /// See [`Event::is_error`](crate::event::Event::is_error).
    pub const ERROR: Readiness = Readiness(1 << 2);
    /// See [`Event::is_read_closed`](crate::event::Event::is_read_closed).
    pub const READ_CLOSED: Readiness = Readiness(1 << 3);
    /// See [`Event::is_write_closed`](crate::event::Event::is_write_closed).
    pub const WRITE_CLOSED: Readiness = Readiness(1 << 4);
    /// See [`Event::is_priority`](crate::event::Event::is_priority).
    pub const PRIORITY: Readiness = Readiness(1 << 5);
    /// See [`Event::is_aio`](crate::event::Event::is_aio).
    pub const AIO: Readiness = Readiness(1 << 6);
    /// See [`Event::is_lio`](crate::event::Event::is_lio).
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
