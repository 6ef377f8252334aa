//! Descriptors that kqueue refuses, watched by select(2) beside the queue.
//!
//! It is the poller's own thread that watches them, together with the queue's descriptor, and only
//! while there are such. select(2) tells what is, not what has changed: see
//! [`Pace`](super::special::Pace).

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use super::watch::{TO_READ, TO_WRITE, Watch};
use super::{Buffer, Kqueue, is_open, silence, submit, wait};
use crate::events::{Event, Room};
use crate::readiness::Readiness;
use crate::sys::selector::Knocked;

impl Kqueue {
    /// A `select` that watches the refused descriptors too.
    #[cold]
    pub(super) fn select_beside(
        &self,
        buffer: &mut Buffer,
        room: &mut Room<'_>,
        timeout: Option<Duration>,
    ) -> io::Result<Knocked> {
        // What the clock cannot count to is for ever.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.release(&mut buffer.watch);
        loop {
            let now = Instant::now();
            let held_until = self.ask(&mut buffer.watch, now, false);
            let until = deadline.into_iter().chain(held_until).min();
            let timeout = until.map(|until| until.saturating_duration_since(now));
            match buffer.watch.wait(timeout) {
                Err(error) if error.raw_os_error() == Some(libc::EBADF) && self.forget_closed() => {
                    continue;
                }
                result => result?,
            }
            let before = room.left();
            let knocked = self.collect(buffer, room, now)?;
            let is_over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if knocked == Knocked::Yes || room.left() < before || is_over {
                return Ok(knocked);
            }
        }
    }

    /// Asks for the queue and for every refused direction that is held (or is not), and returns
    /// when the first of them is held no longer.
    fn ask(&self, watch: &mut Watch, now: Instant, is_held: bool) -> Option<Instant> {
        watch.clear();
        watch.insert(TO_READ, self.queue.as_raw_fd());
        let mut first = None;
        for (source, entry) in self.special.lock().refused() {
            for direction in [TO_READ, TO_WRITE] {
                let Some(pace) = entry.refused[direction] else {
                    continue;
                };
                let held_until = pace.held_after(now);
                if held_until.is_some() == is_held {
                    watch.insert(direction, source);
                }
                first = first.into_iter().chain(held_until).min();
            }
        }
        first
    }

    /// Releases what is held but was drained since it was reported, as the program that calls again
    /// has done with most of it.
    fn release(&self, watch: &mut Watch) {
        let now = Instant::now();
        if self.ask(watch, now, true).is_none() || watch.wait(Some(Duration::ZERO)).is_err() {
            return; // an error will be met again
        }
        for (source, entry) in self.special.lock().refused() {
            for (direction, pace) in entry.refused.iter_mut().enumerate() {
                if let Some(pace) = pace {
                    if pace.held_after(now).is_some() && !watch.contains(direction, source) {
                        pace.reset();
                    }
                }
            }
        }
    }

    /// Takes what the queue has and reports the refused descriptors that are ready. `asked` is when
    /// they were asked.
    fn collect(
        &self,
        buffer: &mut Buffer,
        room: &mut Room<'_>,
        asked: Instant,
    ) -> io::Result<Knocked> {
        let mut knocked = Knocked::No;
        if buffer.watch.contains(TO_READ, self.queue.as_raw_fd()) {
            let limit = match (room.left(), self.sift(&buffer.watch, asked)) {
                (left, 0) => left,
                (1, _) => {
                    buffer.is_turn_of_refused = !buffer.is_turn_of_refused;
                    usize::from(!buffer.is_turn_of_refused)
                }
                (left, ready) => left.saturating_sub(ready).max(1),
            };
            if limit > 0 {
                wait(&self.queue, &mut buffer.raw, limit, Some(Duration::ZERO))?;
                knocked = self.deliver(&buffer.raw, room);
            }
        } else {
            self.sift(&buffer.watch, asked);
        }
        let mut special = self.special.lock();
        let mut silenced = Vec::new();
        for source in special.refused_after(buffer.last_refused) {
            if room.left() == 0 {
                break;
            }
            let Some(entry) = special.get_mut(source).filter(|entry| !entry.is_spent) else {
                continue;
            };
            let mut readiness = Readiness::EMPTY;
            for (direction, bit) in [
                (TO_READ, Readiness::READABLE),
                (TO_WRITE, Readiness::WRITABLE),
            ] {
                if entry.refused[direction].is_some() && buffer.watch.contains(direction, source) {
                    readiness |= bit;
                    entry.has_reported(direction, asked);
                }
            }
            if !readiness.is_empty() {
                if entry.is_spent {
                    silence(&mut silenced, source, entry, readiness);
                }
                room.push(Event::new(entry.token, readiness));
                buffer.last_refused = source;
            }
        }
        if !silenced.is_empty() {
            let _ = submit(&self.queue, &mut silenced); // as in `deliver`
        }
        Ok(knocked)
    }

    /// Counts the refused sources that are ready, and takes note of the directions that are not.
    fn sift(&self, watch: &Watch, asked: Instant) -> usize {
        let mut count = 0;
        for (source, entry) in self.special.lock().refused() {
            let mut is_ready = false;
            for (direction, pace) in entry.refused.iter_mut().enumerate() {
                let Some(pace) = pace else { continue };
                if watch.contains(direction, source) {
                    is_ready = true;
                } else if pace.held_after(asked).is_none() {
                    pace.reset();
                }
            }
            count += usize::from(is_ready);
        }
        count
    }

    /// Drops the refused descriptors that were closed without being deregistered; true if there are
    /// such.
    fn forget_closed(&self) -> bool {
        let mut special = self.special.lock();
        let mut were_found = false;
        for source in special.refused_after(-1) {
            if !is_open(source) {
                special.set(source, None);
                were_found = true;
            }
        }
        were_found
    }
}

// The emulation refuses what it is told to.
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::sync::{Arc, mpsc};
    use std::thread;

    use super::super::emulation;
    use super::super::os::{self, Filter};
    use super::super::tests::{QUIET, R, RW, Rig, SOON, W, drain, pair};
    use super::*;
    use crate::events::Events;
    use crate::interest::Interest;
    use crate::sys::selector::Backend;
    use crate::token::Token;

    const READABLE: Readiness = Readiness::READABLE;
    const WRITABLE: Readiness = Readiness::WRITABLE;

    /// A rig whose queue refuses some filters of a source.
    fn rig(source: &UnixStream, filters: &'static [Filter]) -> Rig {
        let rig = Rig::new();
        let fd = source.as_raw_fd() as usize;
        emulation::refuse(rig.kqueue.as_raw_fd(), move |change| {
            (change.ident == fd && filters.contains(&change.filter)).then_some(libc::EINVAL)
        });
        rig
    }

    const BOTH: &[Filter] = &[os::EVFILT_READ, os::EVFILT_WRITE];

    #[test]
    fn devices_are_reported_all_the_same() {
        let mut rig = Rig::new();
        let null = std::fs::File::open("/dev/null").unwrap();
        rig.register(&null, 7, R);
        assert_eq!(rig.select(SOON), [(7, READABLE)]);
        rig.kqueue.deregister(null.as_raw_fd()).unwrap();
        assert_eq!(rig.select(QUIET), []);
        assert!(!rig.kqueue.special.has_refused());
    }

    /// So the BSDs refuse the end to write of a pipe without a reader; NetBSD as if it were closed.
    #[test]
    fn pipes_without_a_reader_are_reported_all_the_same() {
        for errno in [libc::EPIPE, libc::EBADF] {
            let (writer, _peer) = pair();
            let mut rig = Rig::new();
            emulation::refuse(rig.kqueue.as_raw_fd(), move |change| {
                (change.filter == os::EVFILT_WRITE).then_some(errno)
            });
            rig.register(&writer, 7, W);
            assert_eq!(rig.select(SOON), [(7, WRITABLE)]);
            rig.kqueue.deregister(writer.as_raw_fd()).unwrap();
            assert_eq!(rig.select(QUIET), []);
        }
    }

    /// While a change is made nothing counts as refused, and a poller that begins to wait then
    /// watches nothing that is.
    #[test]
    fn a_change_that_fails_leaves_a_poller_that_watches() {
        let (source, mut peer) = pair();
        drain(&source);
        let mut rig = rig(&source, &[os::EVFILT_READ]);
        rig.register(&source, 7, R);
        let kqueue = Arc::clone(&rig.kqueue);
        let (begins, begun) = mpsc::channel();
        emulation::refuse(kqueue.as_raw_fd(), move |change| {
            (change.filter == os::EVFILT_READ).then(|| {
                let _ = begins.send(());
                thread::sleep(QUIET); // so that the poller waits; if it does not, less is tested
                libc::ENOMEM
            })
        });
        thread::scope(|scope| {
            scope.spawn(|| {
                let result = kqueue.reregister(source.as_raw_fd(), Token(8), R);
                assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ENOMEM));
                peer.write_all(b"x").unwrap();
            });
            begun.recv().unwrap();
            assert_eq!(rig.select(SOON), [(7, READABLE)]);
        });
    }

    #[test]
    fn what_is_drained_is_news_at_once_and_what_is_not_comes_again() {
        let (source, mut peer) = pair();
        let mut rig = rig(&source, BOTH);
        rig.register(&source, 7, R);
        for _ in 0..20 {
            assert_eq!(rig.select(SOON), [(7, READABLE)]);
            drain(&source);
            assert_eq!(rig.select(Duration::ZERO), []);
            peer.write_all(b"x").unwrap();
        }
        for _ in 0..5 {
            assert_eq!(rig.select(SOON), [(7, READABLE)], "not drained");
        }
    }

    #[test]
    fn what_is_always_ready_does_not_spin() {
        let (source, _peer) = pair();
        let mut rig = rig(&source, BOTH);
        let start = Instant::now();
        rig.register(&source, 7, W);
        assert_eq!(rig.select(SOON), [(7, WRITABLE)]);
        // 64 rests of 1 ms, and then longer ones.
        let mut rested = Duration::ZERO;
        for times in 0..70 {
            rested += Duration::from_millis(if times < 64 { 1 } else { 2 });
            assert_eq!(rig.select(SOON), [(7, WRITABLE)]);
            assert!(start.elapsed() >= rested, "{times}");
        }
    }

    #[test]
    fn it_is_level_triggered_if_asked_for() {
        let (source, _peer) = pair();
        let mut rig = rig(&source, BOTH);
        rig.register(&source, 7, RW.level());
        for _ in 0..5 {
            assert_eq!(rig.select(Duration::ZERO), [(7, READABLE | WRITABLE)]);
        }
        drain(&source);
        assert_eq!(rig.select(Duration::ZERO), [(7, WRITABLE)]);
    }

    #[test]
    fn it_is_one_shot_if_asked_for_across_queue_and_select() {
        for filters in [&BOTH[..1], &BOTH[1..], BOTH] {
            for capacity in [1, 16] {
                let (source, _peer) = pair();
                let mut rig = rig(&source, filters);
                rig.capacity = capacity;
                rig.register(&source, 7, RW.oneshot());
                for _ in 0..4 {
                    let seen = rig.select(SOON);
                    assert_eq!(seen.len(), 1, "{seen:?}");
                    assert_eq!(rig.select(QUIET), []);
                    rig.reregister(&source, 7, RW.oneshot());
                }
            }
        }
    }

    #[test]
    fn each_direction_goes_its_own_way() {
        for filters in [&BOTH[..1], &BOTH[1..]] {
            let (source, mut peer) = pair();
            let mut rig = rig(&source, filters);
            rig.register(&source, 7, RW);
            for _ in 0..3 {
                let seen = rig.select(SOON);
                let all = seen
                    .iter()
                    .fold(Readiness::EMPTY, |all, (_, bits)| all | *bits);
                assert!(all.contains(READABLE), "{seen:?}");
                drain(&source);
                peer.write_all(b"x").unwrap();
            }
            rig.reregister(&source, 8, R);
            assert_eq!(rig.select(SOON), [(8, READABLE)]);
            rig.kqueue.deregister(source.as_raw_fd()).unwrap();
            assert_eq!(rig.select(QUIET), []);
            assert!(rig.kqueue.special.is_empty());
        }
    }

    #[test]
    fn with_room_for_one_neither_starves() {
        let (source, _peer) = pair();
        let (second, _second_peer) = pair();
        let (other, _other_peer) = pair();
        let mut rig = rig(&source, BOTH);
        rig.capacity = 1;
        let null = std::fs::File::open("/dev/null").unwrap();
        rig.register(&source, 0, RW.level());
        rig.register(&null, 1, R.level());
        rig.register(&second, 2, W.level());
        rig.register(&other, 3, W.level());
        let mut counts = [0; 4];
        for _ in 0..40 {
            for (token, _) in rig.select(SOON) {
                counts[token] += 1;
            }
        }
        assert!(counts.iter().all(|count| *count >= 8), "{counts:?}");
    }

    #[test]
    fn registering_it_rouses_the_poller_and_nothing_else() {
        let (source, mut peer) = pair();
        drain(&source);
        let mut rig = rig(&source, BOTH);
        let kqueue = Arc::clone(&rig.kqueue);
        thread::scope(|scope| {
            let (fd, peer) = (source.as_raw_fd(), &mut peer);
            scope.spawn(move || {
                thread::sleep(QUIET);
                kqueue.register(fd, Token(7), R).unwrap();
                thread::sleep(QUIET);
                peer.write_all(b"x").unwrap();
            });
            let mut events = Events::with_capacity(4);
            let room = events.room(4);
            rig.kqueue.select(&mut rig.buffer, room, None).unwrap();
            assert_eq!(events.iter().next().unwrap().token(), Token(7));
        });
        drain(&source);
        // Now that there is one, another neither shortens nor restarts the timeout.
        let null = std::fs::File::open("/dev/null").unwrap();
        let kqueue = Arc::clone(&rig.kqueue);
        let start = Instant::now();
        thread::scope(|scope| {
            let null = &null;
            scope.spawn(move || {
                thread::sleep(QUIET);
                kqueue
                    .register(null.as_raw_fd(), Token(8), Interest::AIO)
                    .unwrap();
                kqueue.deregister(null.as_raw_fd()).unwrap();
                kqueue.refresh();
            });
            assert_eq!(rig.select(4 * QUIET), []);
        });
        let elapsed = start.elapsed();
        assert!(elapsed >= 4 * QUIET, "{elapsed:?}");
    }

    #[test]
    fn a_knock_is_heard_beside_it() {
        let (source, _peer) = pair();
        drain(&source);
        let mut rig = rig(&source, BOTH);
        rig.register(&source, 7, R);
        rig.kqueue.prepare_knocks().unwrap();
        let kqueue = Arc::clone(&rig.kqueue);
        thread::scope(|scope| {
            scope.spawn(move || {
                thread::sleep(QUIET);
                kqueue.knock().unwrap();
            });
            let mut events = Events::with_capacity(4);
            let room = events.room(4);
            let knocked = rig.kqueue.select(&mut rig.buffer, room, Some(SOON));
            assert_eq!(knocked.unwrap(), Knocked::Yes);
        });
    }

    #[test]
    fn one_that_was_closed_is_forgotten() {
        let mut rig = Rig::new();
        let null = std::fs::File::open("/dev/null").unwrap();
        let high = crate::sys::high_numbers::duplicate(&null);
        rig.register(&high, 7, R.level());
        assert_eq!(rig.select(SOON), [(7, READABLE)]);
        drop(high);
        assert_eq!(rig.select(QUIET), []);
        assert!(rig.kqueue.special.is_empty());
    }
}
