//! What the next `select` begins with: sources to be looked after.
//!
//! A request costs a system call, and one that is submitted just before the poller polls costs no
//! more than one that was submitted long before, often less: by then the answer may be there. So
//! [`rearm`](crate::sys::selector::Backend::rearm) leaves it to the next `select` to submit what an
//! operation has asked for, and many operations on a socket make one request.
//!
//! That would be too late if a `select` is running, in another thread, or somebody waits for the
//! port's handle instead of polling. Then [`put_off`](Agenda::put_off) refuses. Whether a `select`
//! runs is known under the same lock as the list: it has either taken the list already, and says
//! so, or it will find what was put off.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use super::NO_PANIC;
use super::operation::Owner;
use super::socket::Socket;

/// The list, and who reads it.
#[derive(Debug, Default)]
pub(super) struct Agenda(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    entries: Vec<Again>,
    /// A `select` has taken the entries and may be asleep.
    is_select_running: bool,
    /// The port's handle was handed out: others may sleep on it.
    is_handed_out: bool,
}

/// A source that is to be looked after.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) who: Who,
    /// None: by the next `select`.
    pub(super) due: Option<Instant>,
}

#[derive(Clone, Debug)]
pub(super) enum Who {
    Socket(Arc<Socket>),
    Owner(Arc<dyn Owner>),
}

impl Agenda {
    /// A `select` begins, and [takes](Agenda::take) the entries: nothing is put off from now on.
    pub(super) fn begin_select(&self, entries: &mut Vec<Again>) {
        let mut list = self.lock();
        list.is_select_running = true;
        std::mem::swap(&mut list.entries, entries);
    }

    /// A `select` is over. True if another should follow at once, because there are sources to be
    /// looked after and whoever waits for the port's handle would not learn of them.
    pub(super) fn end_select(&self) -> bool {
        let mut list = self.lock();
        list.is_select_running = false;
        list.is_handed_out && list.has_work()
    }

    /// Somebody may wait for the port's handle from now on. True as for
    /// [`end_select`](Agenda::end_select).
    pub(super) fn hand_out(&self) -> bool {
        let mut list = self.lock();
        let was_handed_out = std::mem::replace(&mut list.is_handed_out, true);
        !was_handed_out && list.has_work()
    }

    /// Changes places with an empty list, so that neither has to be allocated anew.
    pub(super) fn take(&self, entries: &mut Vec<Again>) {
        std::mem::swap(&mut self.lock().entries, entries);
    }

    pub(super) fn put(&self, again: Again) {
        self.lock().entries.push(again);
    }

    /// Lets the next `select` look after a socket, which may be on the list already. False if that
    /// could be too late. Called while the socket is locked, so that it does not get lost between
    /// two of its callers.
    pub(super) fn put_off(&self, socket: &Arc<Socket>, is_listed: bool) -> bool {
        let mut list = self.lock();
        if list.is_select_running || list.is_handed_out {
            return false;
        }
        if !is_listed {
            list.entries.push(Again {
                who: Who::Socket(Arc::clone(socket)),
                due: None,
            });
        }
        true
    }

    /// When the first of those sources is due that are not left to the next `select`.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let list = self.lock();
        list.entries.iter().filter_map(|again| again.due).min()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    #[cfg(test)]
    pub(super) fn is_select_running(&self) -> bool {
        self.lock().is_select_running
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.lock().expect(NO_PANIC)
    }
}

impl List {
    fn has_work(&self) -> bool {
        self.entries.iter().any(|again| again.due.is_none())
    }
}
