//! One socket: its registration, and for each direction a request that is on the ground or in the
//! air.
//!
//! A poll request answers once. So a direction goes round in a circle, and edges come about by
//! *not* asking again after an event until an operation would have blocked:
//!
//! ```text
//!                   ┌─────────┐  next select
//!   rearm (edge):   │  armed  │  (at once, if one is running)
//!       ┌─────────▶ │ ground  │ ──────────────┐
//!       │           └─────────┘               ▼
//!  ┌─────────┐   register, reregister,     ┌─────────┐
//!  │ at rest │   next select (level),      │  armed  │ ─┐ lands without an answer:
//!  │ ground  │   after a `Rest` (paced)    │   air   │ ◀┘ submitted again
//!  └─────────┘ ──────────────────────────▶ └─────────┘
//!      ▲ ▲                                   │  │  ▲
//!      │ └───────────────────────────────────┘  │  │
//!      │        lands: an event is reported     │  │
//!      │                                        │  │ reregister, rearm:
//!      │        one-shot: the other direction   │  │ nothing to submit
//!      │        had the event; reregister       ▼  │
//!      │        without this direction     ┌──────────┐
//!      └────────────────────────────────── │ disarmed │
//!               lands: nothing             │   air    │
//!                                          └──────────┘
//! ```
//!
//! Each direction has a request of its own. One for both would have to be cancelled and submitted
//! again whenever the other direction is to be armed as well, after every write that would have
//! blocked; and it would tell readiness that nobody asked for anew. Two never disturb each other.
//!
//! Any request answers to failures. When both directions rest, though, a reset would go unnoticed
//! until the program tries an operation. So the next `select` sends a third request then, for
//! failures only, which stays in the air beside the others. A socket that is drained after each
//! event, or waits in one direction, never has one.
//!
//! `deregister` marks the socket as gone and cancels what is in the air. What lands later finds the
//! mark and is dropped; the memory was the kernel's until then (see [`request`](super::request)). A
//! socket registered anew is another `Socket`, even under the same number, so a late request cannot
//! speak for it.

use std::io;
use std::os::windows::io::RawSocket;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use windows_sys::Win32::Foundation::HANDLE;

use super::agenda::Agenda;
use super::device::Seat;
use super::port::Port;
use super::request::{
    ABORT, ACCEPT, Answer, CONNECT_FAIL, DISCONNECT, Flight, LOCAL_CLOSE, RECEIVE, Request, SEND,
};
use super::{NO_PANIC, Report};
use crate::events::Event;
use crate::interest::{Interest, Mode};
use crate::readiness::Readiness;
use crate::sys::selector::registration::not_registered;
use crate::sys::selector::rest::Rest;
use crate::token::Token;

const BOTH: Readiness = Readiness::READABLE.union(Readiness::WRITABLE);

/// A registered socket.
#[derive(Debug)]
pub(super) struct Socket {
    /// What the program knows it by.
    source: RawSocket,
    /// What the driver knows it by.
    base: BaseHandle,
    seat: Seat,
    state: Mutex<State>,
}

/// The socket of the system's own provider, below any that programs have layered over it.
#[derive(Copy, Clone, Debug)]
pub(super) struct BaseHandle(pub(super) HANDLE);

// SAFETY: a handle is a number and means the same on every thread.
unsafe impl Send for BaseHandle {}
// SAFETY: as above; there is nothing behind it in our memory.
unsafe impl Sync for BaseHandle {}

/// What a request asks about.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Read,
    Write,
    /// Whether the connection has failed.
    End,
}

#[derive(Debug)]
struct State {
    /// None before it is registered and once it has left.
    registered: Option<Registered>,
    read: Way,
    write: Way,
    end: Way,
}

#[derive(Copy, Clone, Debug)]
struct Registered {
    token: Token,
    interest: Interest,
    /// The next `select` is to look after the socket.
    is_listed: bool,
    /// How long a paced source rests after an event of reading, and of writing.
    rests: [Rest; 2],
    /// When such a rest ends that has begun. What is due at another time is not of this
    /// registration, or not any more.
    dues: [Option<Instant>; 2],
}

/// One question, and the request that asks it.
#[derive(Debug)]
struct Way {
    question: Question,
    /// An answer would be news.
    is_armed: bool,
    request: Place,
}

#[derive(Debug)]
enum Place {
    /// With the memory of the last request, if there was one.
    Ground(Option<Box<Request>>),
    Air(Flight),
}

impl Socket {
    pub(super) fn new(source: RawSocket, base: BaseHandle, seat: Seat) -> Arc<Socket> {
        Arc::new(Socket {
            source,
            base,
            seat,
            state: Mutex::new(State {
                registered: None,
                read: Way::new(Question::Read),
                write: Way::new(Question::Write),
                end: Way::new(Question::End),
            }),
        })
    }

    pub(super) fn source(&self) -> RawSocket {
        self.source
    }

    pub(super) fn base_handle(&self) -> HANDLE {
        self.base.0
    }

    pub(super) fn port(&self) -> &Port {
        self.seat.port()
    }

    /// Registers a new socket, which `make_known` lets others find. Whoever does so while it is
    /// being registered waits until that is over.
    pub(super) fn register(
        self: &Arc<Self>,
        token: Token,
        interest: Interest,
        make_known: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.lock();
        make_known()?;
        state.registered = Some(Registered::new(token, interest));
        let result = state.ask(self, interest);
        if result.is_err() {
            state.leave(self);
        }
        result.map(drop)
    }

    pub(super) fn reregister(self: &Arc<Self>, token: Token, interest: Interest) -> io::Result<()> {
        let mut state = self.lock();
        let Some(before) = state.registered else {
            return Err(not_registered());
        };
        let were_armed = state.ways().map(|way| way.is_armed);
        state.registered = Some(Registered {
            is_listed: before.is_listed,
            ..Registered::new(token, interest)
        });
        for way in state.ways() {
            way.is_armed = false;
        }
        let result = state.ask(self, interest);
        if result.is_err() {
            // A request that did take off meanwhile does no harm: it lands unasked for.
            state.registered = Some(before);
            for (way, was_armed) in state.ways().into_iter().zip(were_armed) {
                way.is_armed = was_armed;
            }
        } else {
            // If it is in the air still, it may as well be heard.
            state.end.is_armed = interest.mode() != Mode::OneShot && state.end.is_in_the_air();
        }
        result.map(drop)
    }

    /// From now on nothing is reported. False if that was so already.
    pub(super) fn deregister(&self) -> bool {
        self.lock().leave(self)
    }

    /// Arms the directions of `blocked` that are registered. What is on the ground may be put off.
    pub(super) fn rearm(self: &Arc<Self>, blocked: Interest, agenda: &Agenda) -> io::Result<()> {
        let mut state = self.lock();
        let Some(registered) = state.registered else {
            return Ok(());
        };
        match registered.interest.mode() {
            Mode::Edge => {}
            Mode::Paced => return state.ask(self, blocked).map(drop),
            Mode::Level | Mode::OneShot => return Ok(()),
        }
        if !state.arm(registered.interest, blocked) {
            return Ok(());
        }
        if agenda.put_off(self, registered.is_listed) {
            if let Some(registered) = &mut state.registered {
                registered.is_listed = true;
            }
            return Ok(());
        }
        state.submit_armed(self)
    }

    /// Takes back a request of this socket.
    pub(super) fn land<'a>(self: &'a Arc<Self>, request: Box<Request>) -> Landing<'a> {
        let mut landing = Landing {
            socket: self,
            state: self.lock(),
            readiness: Readiness::EMPTY,
            raw: 0,
            is_closed: false,
        };
        landing.add(request);
        landing
    }

    /// Does what a socket needs later. As a `select` begins (due at no time): submits what was put
    /// off, asks again by level, watches for the end of what rests. When it is due: asks for what
    /// is paced.
    pub(super) fn look_after(self: &Arc<Self>, due: Option<Instant>) -> Report {
        let mut state = self.lock();
        let Some(registered) = &mut state.registered else {
            return Report::default();
        };
        let interest = registered.interest;
        registered.is_listed &= due.is_some();
        let result = match (due, interest.mode()) {
            (Some(due), _) => state.ask_again(self, due),
            (None, Mode::Level) => state.ask(self, interest).map(drop),
            (None, Mode::Edge) if state.rests() => state.end.arm(self).map(drop),
            (None, Mode::Edge) => state.submit_armed(self),
            (None, Mode::OneShot | Mode::Paced) => Ok(()),
        };
        match result {
            Ok(()) => Report::default(),
            // An operation will tell the owner what the matter is.
            Err(_) => state.report(Readiness::ERROR | BOTH, 0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(NO_PANIC)
    }
}

/// Requests of one socket that have landed together: one event.
#[derive(Debug)]
pub(super) struct Landing<'a> {
    socket: &'a Arc<Socket>,
    state: MutexGuard<'a, State>,
    readiness: Readiness,
    raw: u32,
    is_closed: bool,
}

impl Landing<'_> {
    pub(super) fn add(&mut self, request: Box<Request>) {
        let (question, answer) = (request.question(), request.answer());
        let way = self.state.way(question);
        way.request = Place::Ground(Some(request));
        match answer {
            Answer::Events(events) if events & LOCAL_CLOSE != 0 => {
                self.is_closed |= self.state.leave(self.socket);
            }
            _ if !way.is_armed => {} // not news, or not any more
            Answer::Events(events) => {
                self.raw |= events;
                self.readiness |= meaning(events);
            }
            // Ask again. Only if that fails the owner has to know: an operation will tell what the
            // matter is.
            Answer::Nothing if way.submit(self.socket).is_ok() => {}
            Answer::Nothing | Answer::Failed => {
                self.readiness |= Readiness::ERROR | question.readiness();
            }
        }
    }

    pub(super) fn report(mut self) -> Report {
        Report {
            is_closed: self.is_closed,
            ..self.state.report(self.readiness, self.raw)
        }
    }
}

impl State {
    fn ways(&mut self) -> [&mut Way; 3] {
        [&mut self.read, &mut self.write, &mut self.end]
    }

    fn way(&mut self, question: Question) -> &mut Way {
        match question {
            Question::Read => &mut self.read,
            Question::Write => &mut self.write,
            Question::End => &mut self.end,
        }
    }

    /// Nothing is in the air that would tell of a failure.
    fn rests(&mut self) -> bool {
        !self.ways().iter().any(|way| way.is_armed)
    }

    /// Arms the directions of `wanted` that are registered, and submits the requests that are on
    /// the ground. True if one of them landed at once.
    fn ask(&mut self, socket: &Arc<Socket>, wanted: Interest) -> io::Result<bool> {
        let Some(Registered { interest, .. }) = self.registered else {
            return Ok(false);
        };
        let mut landed_at_once = false;
        if interest.is_readable() && wanted.is_readable() {
            landed_at_once |= self.read.arm(socket)?;
        }
        if interest.is_writable() && wanted.is_writable() {
            landed_at_once |= self.write.arm(socket)?;
        }
        Ok(landed_at_once)
    }

    /// Asks for the directions of a paced source whose rests end now, and takes note which of them
    /// is still ready. What cannot be asked for is reported, and must not be so at every turn
    /// either.
    fn ask_again(&mut self, socket: &Arc<Socket>, due: Instant) -> io::Result<()> {
        let mut result = Ok(());
        for (index, direction) in [Interest::READABLE, Interest::WRITABLE]
            .into_iter()
            .enumerate()
        {
            let Some(registered) = &mut self.registered else {
                break;
            };
            if registered.dues[index] != Some(due) {
                continue;
            }
            registered.dues[index] = None;
            let mut rest = registered.rests[index];
            match self.ask(socket, direction) {
                Ok(false) => rest = Rest::NONE,
                Ok(true) => rest.lengthen(),
                Err(error) => {
                    rest.lengthen();
                    result = Err(error);
                }
            }
            if let Some(registered) = &mut self.registered {
                registered.rests[index] = rest;
            }
        }
        result
    }

    /// Makes answers in the directions of `wanted` news that are registered. True if requests have
    /// to be submitted for it.
    fn arm(&mut self, interest: Interest, wanted: Interest) -> bool {
        let mut is_on_the_ground = false;
        for (way, is_wanted) in [
            (
                &mut self.read,
                interest.is_readable() && wanted.is_readable(),
            ),
            (
                &mut self.write,
                interest.is_writable() && wanted.is_writable(),
            ),
        ] {
            way.is_armed |= is_wanted;
            is_on_the_ground |= is_wanted && !way.is_in_the_air();
        }
        is_on_the_ground
    }

    /// Submits the requests that are armed and on the ground. What fails is at rest again.
    fn submit_armed(&mut self, socket: &Arc<Socket>) -> io::Result<()> {
        let mut result = Ok(());
        for way in self.ways().into_iter().filter(|way| way.is_armed) {
            if let Err(error) = way.arm(socket) {
                result = Err(error);
            }
        }
        result
    }

    /// Makes an event of the readiness that is news, and disarms what it tells.
    fn report(&mut self, readiness: Readiness, raw: u32) -> Report {
        let Some(Registered {
            token, interest, ..
        }) = self.registered
        else {
            return Report::default();
        };
        if readiness.is_empty() {
            return Report::default();
        }
        // A failure makes ready for both directions, but only those are told that were asked for.
        let mut told = readiness;
        if !interest.is_readable() {
            told = told.without(Readiness::READABLE);
        }
        if !interest.is_writable() {
            told = told.without(Readiness::WRITABLE);
        }
        let is_failure =
            readiness.contains(Readiness::WRITE_CLOSED) || readiness.contains(Readiness::ERROR);
        for way in self.ways() {
            let is_told = match way.question {
                Question::End => is_failure,
                direction => readiness.contains(direction.readiness()),
            };
            way.is_armed &= interest.mode() != Mode::OneShot && !is_told;
        }
        let mut report = Report {
            event: Some(Event::with_details(token, told, raw.into())),
            ..Report::default()
        };
        let rests = self.rests();
        if let Some(registered) = &mut self.registered {
            report.is_next = match interest.mode() {
                Mode::Edge => rests && !is_failure && !registered.is_listed,
                Mode::Level => !registered.is_listed,
                Mode::OneShot | Mode::Paced => false,
            };
            registered.is_listed |= report.is_next;
            if interest.mode() == Mode::Paced {
                report.dues = registered.begin_rests(told);
            }
        }
        report
    }

    fn leave(&mut self, socket: &Socket) -> bool {
        for way in self.ways() {
            way.is_armed = false;
            if let Place::Air(flight) = &way.request {
                flight.cancel(socket.seat.device());
            }
        }
        self.registered.take().is_some()
    }
}

impl Registered {
    fn new(token: Token, interest: Interest) -> Registered {
        Registered {
            token,
            interest,
            is_listed: false,
            rests: [Rest::NONE; 2],
            dues: [None; 2],
        }
    }

    /// Lets the directions rest that were told. Says when they are to be looked after.
    fn begin_rests(&mut self, told: Readiness) -> [Option<Instant>; 2] {
        let now = Instant::now();
        let mut begun = [None; 2];
        for (index, direction) in [Readiness::READABLE, Readiness::WRITABLE]
            .into_iter()
            .enumerate()
        {
            if told.contains(direction) {
                begun[index] = Some(now + self.rests[index].duration());
                self.dues[index] = begun[index];
            }
        }
        if begun[0] == begun[1] {
            begun[1] = None; // one look is enough for both
        }
        begun
    }
}

impl Way {
    fn new(question: Question) -> Way {
        Way {
            question,
            is_armed: false,
            request: Place::Ground(None),
        }
    }

    fn is_in_the_air(&self) -> bool {
        matches!(self.request, Place::Air(_))
    }

    /// Makes an answer news, and sees to it that one comes. True if it has come already.
    fn arm(&mut self, socket: &Arc<Socket>) -> io::Result<bool> {
        let result = self.submit(socket);
        self.is_armed = result.is_ok();
        result
    }

    /// Lets a request on the ground take off. True if it has landed again already.
    fn submit(&mut self, socket: &Arc<Socket>) -> io::Result<bool> {
        let request = match &mut self.request {
            Place::Air(_) => return Ok(false),
            Place::Ground(request) => request.take(),
        };
        let request = request.unwrap_or_else(|| Request::new(self.question));
        let flight = request.submit(socket.seat.device(), socket)?;
        let landed_at_once = flight.has_landed_at_once;
        self.request = Place::Air(flight);
        Ok(landed_at_once)
    }
}

impl Question {
    /// What ends a request. Failures concern everybody.
    pub(super) fn conditions(self) -> u32 {
        const FAILURES: u32 = ABORT | CONNECT_FAIL | LOCAL_CLOSE;
        match self {
            Question::Read => RECEIVE | ACCEPT | DISCONNECT | FAILURES,
            Question::Write => SEND | FAILURES,
            Question::End => FAILURES,
        }
    }

    fn readiness(self) -> Readiness {
        match self {
            Question::Read => Readiness::READABLE,
            Question::Write => Readiness::WRITABLE,
            Question::End => BOTH,
        }
    }
}

/// What the driver's conditions mean. The table is in [`Event`]'s documentation.
fn meaning(events: u32) -> Readiness {
    let has = |bits: u32| events & bits != 0;
    Readiness::READABLE.when(has(RECEIVE | DISCONNECT | ACCEPT | ABORT | CONNECT_FAIL))
        | Readiness::WRITABLE.when(has(SEND | ABORT | CONNECT_FAIL))
        | Readiness::ERROR.when(has(CONNECT_FAIL))
        | Readiness::READ_CLOSED.when(has(DISCONNECT | ABORT | CONNECT_FAIL))
        | Readiness::WRITE_CLOSED.when(has(ABORT | CONNECT_FAIL))
}
