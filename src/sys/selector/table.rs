//! What is registered, and what of it is news: the table of poll(2) and of event ports.
//!
//! Both systems say that a descriptor *is* ready, not that it has become so. An edge is made of it
//! by no longer asking for what was reported (*disarming*), until an operation has said
//! `WouldBlock` ([`Table::rearm`]). The table knows what is to be asked for
//! ([`Entry::watched`]) and what is being asked for ([`Entry::listed`]); whoever keeps it carries
//! the difference over to the system.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;

use super::pace::{Pace, Way};
use super::poll_bits;
use super::pollfd::{Bits, DIRECTIONS, NVAL, PRI, UNASKED, bits, is_open, readiness};
use super::registration::{already_registered, not_registered};
use super::rest::Rest;
use crate::events::{Event, Room};
use crate::interest::{Interest, Mode};
use crate::token::Token;

/// Everything that is registered.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Indexed by descriptor, which are small numbers by the rule that `open` takes the lowest.
    pub(super) entries: Vec<Entry>,
    /// The descriptors whose entries the system does not follow yet, each once.
    pub(super) changed: Vec<RawFd>,
    /// What the next `select` has to probe.
    pub(super) to_probe: VecDeque<Pace>,
}

impl Table {
    pub(super) fn entry(&mut self, fd: RawFd) -> &mut Entry {
        &mut self.entries[fd as usize]
    }

    /// The entry of a descriptor, if there is one in use.
    #[inline]
    pub(super) fn registered(&mut self, fd: RawFd) -> Option<&mut Entry> {
        // A negative number is beyond every table.
        self.entries
            .get_mut(fd as usize)
            .filter(|entry| entry.is_registered())
    }

    /// Makes the table long enough. A number beyond it is asked after first: it may be none of a
    /// descriptor, and huge.
    pub(super) fn make_room(&mut self, fd: RawFd) -> io::Result<()> {
        const LEAST: usize = 64;
        let index = fd as usize;
        if index < self.entries.len() {
            return Ok(());
        }
        if fd < 0 || !is_open(fd)? {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        let length = (index + 1).next_power_of_two().max(LEAST);
        self.entries.try_reserve(length - self.entries.len())?;
        self.entries.resize(length, Entry::VACANT);
        Ok(())
    }

    pub(super) fn register(
        &mut self,
        fd: RawFd,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.make_room(fd)?;
        let entry = self.entry(fd);
        if entry.is_registered() {
            return Err(already_registered());
        }
        entry.is_fresh = true;
        entry.set(token, interest);
        Ok(())
    }

    pub(super) fn reregister(
        &mut self,
        fd: RawFd,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        let entry = self.registered(fd).ok_or_else(not_registered)?;
        entry.set(token, interest);
        Ok(())
    }

    pub(super) fn deregister(&mut self, fd: RawFd) -> io::Result<()> {
        self.registered(fd).ok_or_else(not_registered)?.clear();
        Ok(())
    }

    #[inline]
    pub(super) fn rearm(&mut self, fd: RawFd, blocked: Interest) {
        if let Some(entry) = self.registered(fd) {
            entry.rearm(bits(blocked));
        }
    }

    /// Notes that an entry changed, if the system is concerned. True if it is.
    #[inline]
    pub(super) fn note_change(&mut self, fd: RawFd) -> bool {
        let Some(entry) = self.entries.get_mut(fd as usize) else {
            return false;
        };
        if !entry.is_fresh && entry.watched() == entry.listed() {
            return false;
        }
        if !entry.is_changed {
            entry.is_changed = true;
            self.changed.push(fd);
        }
        true
    }

    /// Makes an event of what the system has found, as far as that is news, which it is no longer
    /// then. A descriptor that is closed is forgotten.
    #[inline]
    pub(super) fn report(&mut self, fd: RawFd, found: Bits, room: &mut Room<'_>) {
        let entry = self.entry(fd);
        if found & NVAL != 0 {
            entry.clear();
            self.note_change(fd);
            return;
        }
        let news = found & entry.armed;
        if news == 0 {
            return;
        }
        room.push(entry.event(news));
        if entry.mode == Mode::Level {
            return;
        }
        entry.disarm(news);
        self.note_change(fd);
        self.pace(fd);
    }

    /// Has the ways of an entry that need a pace, and have none yet, probed by the next `select`.
    #[inline]
    pub(super) fn pace(&mut self, fd: RawFd) {
        let entry = &mut self.entries[fd as usize];
        if entry.without_hook() == 0 && entry.armed & UNASKED == UNASKED {
            return; // as most
        }
        for way in Way::ALL {
            if entry.paced & way.flag() == 0 && entry.needs_pace(way) {
                entry.paced |= way.flag();
                self.to_probe.push_back(Pace {
                    fd,
                    way,
                    number: entry.paces,
                    is_after_rest: false,
                });
            }
        }
    }
}

/// A descriptor's registration. It stays, vacant, when that ends: the system may still have the
/// descriptor.
#[derive(Copy, Clone, Debug)]
pub(super) struct Entry {
    pub(super) token: Token,
    /// Where the system has it, or [`NOWHERE`]: its slot in poll(2)'s list, the number of its
    /// association with a port.
    pub(super) place: u32,
    /// Tells the paces that are in force from those that are over.
    pub(super) paces: u32,
    /// What is to be reported. None: not registered.
    pub(super) asked: Bits,
    /// What is news: `asked` and [`UNASKED`] without what was reported.
    pub(super) armed: Bits,
    /// What the system is asked for there.
    pub(super) listed: Bits,
    /// How long each way rests.
    pub(super) rests: [Rest; Way::ALL.len()],
    pub(super) mode: Mode,
    /// The ways that have a pace, by their flags.
    pub(super) paced: u8,
    /// Registered since the system was last told: what poll(2) says is about a predecessor.
    pub(super) is_fresh: bool,
    /// Is in [`Table::changed`].
    pub(super) is_changed: bool,
}

/// The system does not have it.
pub(super) const NOWHERE: u32 = u32::MAX;

impl Entry {
    pub(super) const VACANT: Entry = Entry {
        token: Token(0),
        place: NOWHERE,
        paces: 0,
        asked: 0,
        armed: 0,
        listed: 0,
        rests: [Rest::NONE; Way::ALL.len()],
        mode: Mode::Edge,
        paced: 0,
        is_fresh: false,
        is_changed: false,
    };

    pub(super) fn is_registered(&self) -> bool {
        self.asked != 0
    }

    pub(super) fn set(&mut self, token: Token, interest: Interest) {
        self.token = token;
        self.asked = bits(interest);
        self.mode = interest.mode();
        self.armed = self.asked | UNASKED;
        self.end_paces();
    }

    pub(super) fn clear(&mut self) {
        self.asked = 0;
        self.armed = 0;
        self.end_paces();
    }

    /// Whatever was looked after is no longer.
    pub(super) fn end_paces(&mut self) {
        self.paces = self.paces.wrapping_add(1);
        self.paced = 0;
        self.rests = [Rest::NONE; Way::ALL.len()];
    }

    /// Asks for what was asked for before. What the system has been told stays as it is.
    #[cold]
    pub(super) fn restore(&mut self, before: Entry) {
        *self = Entry {
            place: self.place,
            listed: self.listed,
            is_changed: self.is_changed,
            ..before
        };
    }

    pub(super) fn rearm(&mut self, blocked: Bits) {
        let blocked = blocked & self.asked;
        match self.mode {
            Mode::Edge | Mode::Paced if blocked != 0 => self.arm(blocked),
            _ => {}
        }
    }

    /// Makes these bits news, and with them what comes unasked.
    pub(super) fn arm(&mut self, bits: Bits) {
        self.armed |= bits | UNASKED;
        if self.paced != 0 && !Way::ALL.iter().any(|way| self.needs_pace(*way)) {
            self.end_paces();
        }
    }

    /// What the system must be asked for; `None`: it must not have the descriptor.
    #[inline]
    pub(super) fn watched(&self) -> Option<Bits> {
        if !self.is_registered() {
            return None;
        }
        let asked = match self.mode {
            Mode::Level => self.asked,
            Mode::OneShot if self.armed == 0 => return None,
            Mode::OneShot => self.asked,
            // What comes unasked was reported, and may still hold.
            Mode::Edge | Mode::Paced if self.armed & UNASKED != UNASKED => return None,
            Mode::Edge | Mode::Paced => self.armed & self.asked,
        };
        (asked != 0 || poll_bits::COMES_UNASKED).then_some(asked)
    }

    /// What the system is asked for.
    pub(super) fn listed(&self) -> Option<Bits> {
        (self.place != NOWHERE).then_some(self.listed)
    }

    /// What no operation reports to have ceased, so that it must be reported again if it still
    /// holds: it may have ceased and come again.
    #[inline]
    pub(super) fn without_hook(&self) -> Bits {
        match self.mode {
            Mode::Paced => self.asked | UNASKED,
            Mode::Edge => self.asked & PRI,
            Mode::Level | Mode::OneShot => 0,
        }
    }

    /// Something was reported, and must be looked after: either nobody will say that it has ceased,
    /// or it stands before what is armed.
    #[inline]
    pub(super) fn needs_pace(&self, way: Way) -> bool {
        let hides_news = way == Way::End
            && self.mode == Mode::Edge
            && self.armed & UNASKED != UNASKED
            && self.armed & DIRECTIONS != 0;
        let reported = self.without_hook() & !self.armed & way.bits();
        self.is_registered() && (hides_news || reported != 0)
    }

    /// Takes note that these bits are reported.
    pub(super) fn disarm(&mut self, reported: Bits) {
        match self.mode {
            Mode::Level => {}
            Mode::OneShot => self.armed = 0,
            Mode::Edge | Mode::Paced => self.armed &= !reported,
        }
    }

    pub(super) fn event(&self, bits: Bits) -> Event {
        Event::with_details(self.token, readiness(bits), bits as u16 as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::pollfd::{HUP, IN, OUT};
    use super::*;

    #[test]
    fn an_entry_is_half_a_cache_line() {
        assert!(size_of::<Entry>() <= 32);
    }

    #[cfg(unix)]
    #[test]
    fn zero_is_a_descriptor_and_what_is_below_is_none() {
        let mut table = Table::default();
        table.make_room(0).unwrap();
        let error = table.make_room(-1).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    }

    #[cfg(unix)]
    #[test]
    fn a_descriptor_is_noted_once_whatever_is_undone() {
        let mut table = Table::default();
        for _ in 0..2 {
            table.register(0, Token(7), Interest::READABLE).unwrap();
            assert!(table.note_change(0));
            table.entry(0).restore(Entry::VACANT);
        }
        assert_eq!(table.changed, [0]);
    }

    #[test]
    fn what_the_system_was_told_is_not_undone() {
        let mut entry = Entry {
            place: 3,
            listed: IN,
            ..Entry::VACANT
        };
        entry.restore(Entry::VACANT);
        assert_eq!((entry.place, entry.listed), (3, IN));
    }

    #[test]
    fn what_was_not_asked_for_re_arms_nothing() {
        let mut entry = Entry::VACANT;
        entry.set(Token(7), Interest::READABLE);
        entry.disarm(HUP);
        let armed = entry.armed;
        entry.rearm(OUT);
        assert_eq!(entry.armed, armed);
        entry.rearm(IN);
        assert_eq!(entry.armed, armed | HUP);
    }

    #[test]
    fn an_end_is_paced_while_it_stands_before_what_is_armed() {
        let mut entry = Entry::VACANT;
        entry.set(Token(7), Interest::READABLE);
        let paced = |entry: &Entry| {
            let ways = Way::ALL.into_iter();
            ways.filter(|way| entry.needs_pace(*way))
                .collect::<Vec<_>>()
        };
        assert_eq!(paced(&entry), []);
        entry.disarm(HUP);
        assert_eq!(paced(&entry), [Way::End]);
        entry.disarm(IN);
        assert_eq!(paced(&entry), []);
    }
}
