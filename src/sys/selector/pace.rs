//! Pacing: looking after what was reported and still holds.
//!
//! A condition that was reported and still holds must not be asked for, or every wait would end at
//! once; yet when it ceases and comes again, that is news. For some entries nobody says when to ask
//! again: those of sources without a hook in their operations
//! ([`Mode::Paced`](crate::interest::Mode::Paced)); those where POLLERR or POLLHUP, which cannot be
//! masked, was reported and stands before directions that are still armed; and those where POLLPRI
//! was, for urgent data is read past our operations. They are *probed*, on their own and without
//! waiting: in the next `select`, to see whether the condition has ceased (then it is armed again
//! and nothing is late), and if it has not, after 1 ms, 2 ms, and so on up to every 64 ms. A probe
//! after a pause reports what still holds once more, but for POLLERR and POLLHUP. Idle sources have
//! no pace, and a pace no cost but its probes.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use libc::pollfd;

use super::pollfd::{Bits, NVAL, UNASKED, poll, request};
use super::table::Table;
use crate::events::Room;

/// An entry that is probed until nothing hides its news any more. It is over when the entry has
/// another number.
#[derive(Copy, Clone, Debug)]
pub(super) struct Pace {
    pub(super) fd: RawFd,
    pub(super) number: u32,
    pub(super) is_after_pause: bool,
}

impl Pace {
    fn is_over(&self, table: &Table) -> bool {
        table.entries[self.fd as usize].pace != self.number
    }
}

/// How often a pause doubles: from 1 ms to 64 ms.
const DOUBLINGS_MAX: u8 = 6;

/// The pauses of those that are paced.
#[derive(Default)]
pub(super) struct Paces {
    /// For each length of pause those that rest, in the order in which they began, which is that in
    /// which they end.
    resting: [VecDeque<(Instant, Pace)>; DOUBLINGS_MAX as usize + 1],
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
            poll(&mut self.probes, 0)?;
            self.settle(table, now, room);
        }
        let pause = self.pause(table, now);
        Ok(match (left, pause) {
            (Some(left), Some(pause)) => Some(left.min(pause)),
            (left, pause) => left.or(pause),
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
            let asked = entry.asked & (entry.armed | entry.without_hook());
            self.probes.push(request(pace.fd, asked));
        }
        !self.probed.is_empty()
    }

    /// Acts on the answers.
    fn settle(&mut self, table: &mut Table, now: Instant, room: &mut Room<'_>) {
        for (pace, probe) in self.probed.drain(..).zip(&self.probes) {
            if pace.is_over(table) {
                continue;
            }
            let fd = pace.fd;
            let found = probe.revents as Bits;
            let entry = table.entry(fd);
            if found & NVAL != 0 {
                entry.clear();
                table.note_change(fd);
                continue;
            }
            let news = found & entry.armed;
            let repeated = if pace.is_after_pause {
                found & !entry.armed & entry.without_hook()
            } else {
                0
            };
            if news | repeated != 0 && room.left() == 0 {
                table.to_probe.push_back(pace);
                continue;
            }
            // What has ceased is news when it comes again.
            entry.armed |= !found & (probe.events as Bits | UNASKED) & (entry.asked | UNASKED);
            if news | repeated != 0 {
                room.push(entry.event(news | repeated | found & UNASKED));
                entry.doublings = match news {
                    0 => (entry.doublings + 1).min(DOUBLINGS_MAX),
                    _ => 0,
                };
                entry.disarm(news);
                table.note_change(fd);
                table.pace(fd);
            } else if entry.needs_pace() {
                if pace.is_after_pause {
                    entry.doublings = (entry.doublings + 1).min(DOUBLINGS_MAX);
                }
                let doublings = entry.doublings;
                let due = now + Duration::from_millis(1 << doublings);
                let pace = Pace {
                    is_after_pause: true,
                    ..pace
                };
                self.resting[usize::from(doublings)].push_back((due, pace));
                self.count += 1;
                table.note_change(fd);
            } else {
                entry.doublings = 0;
                table.note_change(fd);
            }
        }
    }

    /// How long until something is due; forgets what is over on the way.
    fn pause(&mut self, table: &Table, now: Instant) -> Option<Duration> {
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
