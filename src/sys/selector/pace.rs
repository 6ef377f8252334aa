//! Pacing: looking after what was reported and still holds.
//!
//! A condition that was reported and still holds must not be asked for, or every wait would end at
//! once; yet when it ceases and comes again, that is news. For some entries nobody says when to ask
//! again: those of sources without a hook in their operations
//! ([`Mode::Paced`](crate::interest::Mode::Paced)); those where POLLERR or POLLHUP, which cannot be
//! masked, was reported and stands before directions that are still armed; and those where POLLPRI
//! was, for urgent data is read past our operations. They are *probed*, on their own and without
//! waiting: in the next `select`, to see whether the condition has ceased (then it is armed again
//! and nothing is late), and if it has not, after a [`Rest`]. A probe after a rest reports what
//! still holds once more, unless it only stands before others.
//!
//! Each [`Way`] of an entry has a pace of its own: a direction that is always ready, and rests
//! long, delays no other; and one that is reported ever again does not keep another from its turn.
//! Idle sources have no pace, and a pace no cost but its probes.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use libc::pollfd;

use super::pollfd::{Bits, IN, NVAL, OUT, PRI, RDHUP, UNASKED, poll, request};
use super::rest::Rest;
use super::table::Table;
use crate::events::Room;

/// What is looked after on its own.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Read,
    Write,
    /// What comes unasked. If it was reported, nothing else of the entry is asked for.
    End,
}

impl Way {
    pub(super) const ALL: [Way; 3] = [Way::Read, Way::Write, Way::End];

    pub(super) const fn bits(self) -> Bits {
        match self {
            Way::Read => IN | PRI | RDHUP,
            Way::Write => OUT,
            Way::End => UNASKED,
        }
    }

    /// A bit for each.
    pub(super) const fn flag(self) -> u8 {
        1 << self as u8
    }
}

/// How many are probed by one call. A descriptor is there once for each way, and poll(2) refuses a
/// list that is longer than the number of descriptors which the process may open. POSIX lets every
/// process open as many as this.
const PROBES_MAX: usize = 20;

/// A way of an entry that is probed until nothing hides its news any more. It is over when the
/// entry's paces have another number.
#[derive(Copy, Clone, Debug)]
pub(super) struct Pace {
    pub(super) fd: RawFd,
    pub(super) way: Way,
    pub(super) number: u32,
    pub(super) is_after_rest: bool,
}

impl Pace {
    fn is_over(&self, table: &Table) -> bool {
        table.entries[self.fd as usize].paces != self.number
    }
}

/// Those that are paced.
#[derive(Default)]
pub(super) struct Paces {
    /// For each length of rest those that take it, in the order in which they began, which is that
    /// in which they end.
    resting: [VecDeque<(Instant, Pace)>; Rest::LENGTHS],
    /// How many rest.
    count: usize,
    /// What is asked of the system, and for whom. Not empty between calls if the system failed to
    /// answer.
    probes: Vec<pollfd>,
    probed: Vec<Pace>,
    /// With room for one event, probes and the list take turns: whose turn it is.
    is_turn_of_probes: bool,
}

impl Paces {
    #[inline]
    pub(super) fn is_idle(&self, table: &Table) -> bool {
        self.count == 0 && table.to_probe.is_empty() && self.probed.is_empty()
    }

    /// Probes what is due. Returns how much of `left` may be slept before something else is.
    #[cold]
    pub(super) fn probe(
        &mut self,
        table: &mut Table,
        room: &mut Room<'_>,
        left: Option<Duration>,
    ) -> io::Result<Option<Duration>> {
        let now = Instant::now();
        let limit = self.limit(room.left());
        if self.collect(table, now, limit) {
            for probes in self.probes.chunks_mut(PROBES_MAX) {
                poll(probes, 0)?;
            }
            self.settle(table, now, room);
        }
        let rest = self.shortest_rest(table, now);
        Ok(match (left, rest) {
            (Some(left), Some(rest)) => Some(left.min(rest)),
            (left, rest) => left.or(rest),
        })
    }

    /// How many may be probed, so that the list has its turn.
    fn limit(&mut self, room: usize) -> usize {
        if room > 1 {
            return room - 1;
        }
        self.is_turn_of_probes = !self.is_turn_of_probes;
        usize::from(self.is_turn_of_probes)
    }

    /// Takes what is due, at most `limit`, and false if that is nothing.
    fn collect(&mut self, table: &mut Table, now: Instant, limit: usize) -> bool {
        for resting in &mut self.resting {
            while let Some((due, pace)) = resting.front() {
                if *due > now || self.probed.len() >= limit {
                    break;
                }
                if !pace.is_over(table) {
                    self.probed.push(*pace);
                }
                resting.pop_front();
                self.count -= 1;
            }
        }
        while self.probed.len() < limit {
            match table.to_probe.pop_front() {
                Some(pace) if pace.is_over(table) => {}
                Some(pace) => self.probed.push(pace),
                None => break,
            }
        }
        self.probes.clear();
        for pace in &self.probed {
            let entry = table.entry(pace.fd);
            let asked = match pace.way {
                Way::End => entry.armed,
                way => (entry.armed | entry.without_hook()) & way.bits(),
            };
            self.probes.push(request(pace.fd, entry.asked & asked));
        }
        !self.probed.is_empty()
    }

    /// Acts on the answers.
    fn settle(&mut self, table: &mut Table, now: Instant, room: &mut Room<'_>) {
        for (pace, probe) in self.probed.drain(..).zip(&self.probes) {
            if pace.is_over(table) {
                continue;
            }
            // They were more than there is room for, because a probe has failed before.
            if room.left() == 0 {
                table.to_probe.push_back(pace);
                continue;
            }
            let Pace { fd, way, .. } = pace;
            let found = probe.revents as Bits;
            let entry = table.entry(fd);
            if found & NVAL != 0 {
                entry.clear();
                table.note_change(fd);
                continue;
            }
            let news = found & entry.armed;
            let repeated = if pace.is_after_rest {
                found & !entry.armed & entry.without_hook() & way.bits()
            } else {
                0
            };
            // What has ceased is news when it comes again.
            entry.armed |= !found & (probe.events as Bits | UNASKED) & (entry.asked | UNASKED);
            if news | repeated != 0 {
                room.push(entry.event(news | repeated | found & UNASKED));
                entry.disarm(news);
            }
            let rest = &mut entry.rests[way as usize];
            if repeated != 0 {
                rest.lengthen();
            } else if news != 0 {
                *rest = Rest::NONE;
            } else if pace.is_after_rest {
                rest.double();
            }
            let rest = *rest;
            if !entry.needs_pace(way) {
                entry.rests[way as usize] = Rest::NONE;
                entry.paced &= !way.flag();
            } else if news | repeated != 0 {
                table.to_probe.push_back(Pace {
                    is_after_rest: false,
                    ..pace
                });
            } else {
                let pace = Pace {
                    is_after_rest: true,
                    ..pace
                };
                self.resting[rest.length()].push_back((now + rest.duration(), pace));
                self.count += 1;
            }
            table.note_change(fd);
            table.pace(fd);
        }
    }

    /// How long until something is due; forgets what is over on the way.
    fn shortest_rest(&mut self, table: &Table, now: Instant) -> Option<Duration> {
        if !table.to_probe.is_empty() {
            return Some(Duration::ZERO);
        }
        let mut first: Option<Instant> = None;
        for resting in &mut self.resting {
            while let Some((_, pace)) = resting.front() {
                if !pace.is_over(table) {
                    break;
                }
                resting.pop_front();
                self.count -= 1;
            }
            if let Some((due, _)) = resting.front() {
                first = Some(first.map_or(*due, |first| first.min(*due)));
            }
        }
        first.map(|due| due.saturating_duration_since(now))
    }
}
