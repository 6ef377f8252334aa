//! What makes a `kevent` that waits return: a user event of the queue, or a descriptor in it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use super::os::{self, Filter, kevent};
use super::{change, submit};
use crate::sys::check;
use crate::sys::selector::knocker::Knocker;
use crate::sys::selector::pipe::Pipe;

/// Rung by any thread; seen by the one that waits, once.
///
/// It is told from the program's events by filter and identifier, never by `udata`, where all
/// values are legal tokens.
#[derive(Debug)]
pub(super) enum Bell {
    /// `EVFILT_USER` with this identifier. FreeBSD 8.1, Mac OS X 10.6, DragonFly 4.0, NetBSD 10,
    /// OpenBSD 7.8.
    User(usize),
    /// What older systems get: `EVFILT_READ` of a pipe, whose end to read is this.
    Pipe(RawFd, Pipe),
}

impl Bell {
    /// Hangs a bell into the queue.
    pub(super) fn new(queue: &OwnedFd, ident: usize) -> io::Result<Bell> {
        if user_events_work()? && add(queue, os::EVFILT_USER, ident)? {
            return Ok(Bell::User(ident));
        }
        Bell::with_pipe(queue)
    }

    fn with_pipe(queue: &OwnedFd) -> io::Result<Bell> {
        let pipe = Pipe::new()?;
        let reader = pipe.descriptor().expect("a pipe has an end to read");
        if add(queue, os::EVFILT_READ, reader as usize)? {
            return Ok(Bell::Pipe(reader, pipe));
        }
        Err(io::Error::from_raw_os_error(libc::EINVAL))
    }

    /// Safe in a signal handler; keeps `errno` when it succeeds.
    pub(super) fn ring(&self, queue: &OwnedFd) -> io::Result<()> {
        match self {
            Bell::User(ident) => trigger(queue, *ident),
            Bell::Pipe(_, pipe) => pipe.ring(),
        }
    }

    /// True if this is what an event says.
    #[inline]
    pub(super) fn has_rung(&self, event: &kevent) -> bool {
        match self {
            Bell::User(ident) => event.filter == os::EVFILT_USER && event.ident == *ident,
            Bell::Pipe(reader, _) => {
                event.filter == os::EVFILT_READ && event.ident == *reader as usize
            }
        }
    }
}

/// Adds an edge-triggered filter; false if this system does not have it.
fn add(queue: &OwnedFd, filter: Filter, ident: usize) -> io::Result<bool> {
    let flags = os::EV_ADD | os::EV_CLEAR | os::EV_RECEIPT;
    let mut changes = [change(ident, filter, flags, 0)];
    submit(queue, &mut changes)?;
    match super::errno(&changes[0]) {
        0 => Ok(true),
        libc::EINVAL => Ok(false),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

fn trigger(queue: &OwnedFd, ident: usize) -> io::Result<()> {
    // Without EV_ADD: on some systems that would take EV_CLEAR away.
    let mut trigger = change(ident, os::EVFILT_USER, 0, 0);
    trigger.fflags = os::NOTE_TRIGGER;
    // SAFETY: kevent reads one change, which is given, and writes nothing.
    check(unsafe {
        os::kevent(
            queue.as_raw_fd(),
            &trigger,
            1,
            ptr::null_mut(),
            0,
            ptr::null(),
        )
    })?;
    Ok(())
}

/// True if a user event is reported when it is triggered, each time and once, as tried once per
/// process: a bell that nobody hears, or that never stops, would be worse than a pipe, and the
/// filter is younger than some of these systems.
fn user_events_work() -> io::Result<bool> {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    if let Some(answer) = ANSWER.get() {
        return Ok(*answer);
    }
    let queue = super::new_queue()?;
    let mut heard = Vec::new();
    let mut hears = |expected: usize| {
        super::wait(&queue, &mut heard, 2, Some(Duration::ZERO)).is_ok() && heard.len() == expected
    };
    let mut answer = add(&queue, os::EVFILT_USER, 1)? && hears(0);
    for _ in 0..2 {
        answer = answer && trigger(&queue, 1).is_ok() && hears(1) && hears(0);
    }
    Ok(*ANSWER.get_or_init(|| answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The emulation has them.
    #[cfg(target_os = "linux")]
    #[test]
    fn user_events_are_used_where_they_work() {
        assert!(user_events_work().unwrap());
    }

    #[test]
    fn bells_ring_once_and_not_for_each_other() {
        let queue = crate::sys::selector::kqueue::new_queue().unwrap();
        let bells = [
            Bell::new(&queue, 1).unwrap(),
            Bell::new(&queue, 2).unwrap(),
            Bell::with_pipe(&queue).unwrap(),
        ];
        let mut heard = Vec::new();
        for (i, bell) in bells.iter().enumerate() {
            for rings in 0..3 {
                for _ in 0..rings {
                    bell.ring(&queue).unwrap();
                }
                super::super::wait(&queue, &mut heard, 8, Some(Duration::ZERO)).unwrap();
                assert_eq!(heard.len(), rings.min(1));
                if let Some(event) = heard.first() {
                    let own = bells.iter().position(|bell| bell.has_rung(event));
                    assert_eq!(own, Some(i));
                }
            }
        }
    }
}
