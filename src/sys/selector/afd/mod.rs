//! AFD on a completion port: Windows, and Wine.
//!
//! Windows has no call that waits for the readiness of many sockets, but the driver behind all of
//! them has an operation that `select` is made of: "answer when this socket is readable". Sent
//! without waiting, through a handle of the driver that is associated with a completion port, its
//! answer arrives in the port like that of any other operation. That is wepoll's discovery, and the
//! strategy here.
//!
//! * [`port`]: the completion port, and how many answers are owed to it.
//! * [`device`]: handles of the driver, each shared by a group of sockets.
//! * [`request`]: one question, and the memory in which the kernel writes its answer.
//! * [`socket`]: the state machine of a registered socket, with a diagram.
//! * [`operation`]: what pipes and the like begin, and its memory; their machines are in `windows`.
//! * [`wait`]: packets of objects that were signalled. Tests may run over an emulation of them.
//! * [`agenda`]: what the next `select` begins with.
//! * this file: the sockets by number, and `select`.
//!
//! Whoever registers submits the requests at once: they serve a `select` that sleeps as well, and
//! if one fails its owner is told. What an operation rearms waits for the next `select`, unless one
//! is running. That submits it, asks again about sources triggered by level or paced, and watches
//! for the ends of those that rest. None of this can make a `select` fail: an error becomes an
//! event of the source that it concerns.
//!
//! Locks: one socket, then either the agenda or the map of sockets (in which it is not yet); or one
//! owner of operations, then either the port's addresses or the list of orphans. With any of these
//! the list of devices, which comes last. The kernel calls of a socket or an owner are made under
//! its lock, so that what was begun cannot land before it is known to fly.
//!
//! Beware: other packets than the sockets' arrive in the port. Each kind has its key, and keys are
//! addresses in this library, so that they are nobody else's. A packet under a foreign key was
//! posted by the program through the port's handle, and becomes an event with the key as its token.
//!
//! Source: wepoll, <https://github.com/piscisaureus/wepoll>; I/O Completion Ports,
//! <https://learn.microsoft.com/windows/win32/fileio/i-o-completion-ports>; `SIO_BASE_HANDLE`,
//! <https://learn.microsoft.com/windows/win32/winsock/winsock-ioctls>

mod agenda;
mod device;
#[cfg(test)]
mod emulation;
mod operation;
mod port;
mod request;
mod socket;
mod wait;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io;
use std::os::windows::io::{AsHandle, BorrowedHandle, RawSocket};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockWriteGuard, Weak};
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::{HANDLE, NTSTATUS, RtlNtStatusToDosError};
use windows_sys::Win32::Networking::WinSock::{
    SIO_BASE_HANDLE, SIO_BSP_HANDLE_POLL, SOCKET, SOCKET_ERROR, WSAIoctl,
};
use windows_sys::Win32::System::IO::OVERLAPPED_ENTRY;

use self::agenda::{Again, Agenda, Who};
use self::device::Devices;
pub(crate) use self::operation::{Flight, Operation, Owner};
pub(crate) use self::port::Port;
use self::request::Request;
use self::socket::{BaseHandle, Socket};
pub(crate) use self::wait::Wait;
use super::registration::{already_registered, not_registered};
use super::{Backend, Knocked, SelectorId, Tracked, timeout};
use crate::events::{Event, Room};
use crate::interest::Interest;
use crate::readiness::Readiness;
use crate::token::Token;

/// How long a port that is about to close waits for answers that are owed to it. They come at once;
/// if they should not, their memory is left to the kernel rather than the program made to wait.
const LAST_ANSWERS_MS_MAX: u32 = 2_000;

/// Why a lock cannot be poisoned.
const NO_PANIC: &str = "nothing panics while this is held";

/// What a packet is, by its key.
mod key {
    /// Each key is the address of a byte of its own.
    static PLACES: [u8; 4] = [0; 4];

    /// Somebody knocked.
    pub(super) fn knock() -> usize {
        (&raw const PLACES[0]).addr()
    }

    /// A poll request has landed.
    pub(super) fn poll() -> usize {
        (&raw const PLACES[1]).addr()
    }

    /// An operation of another source has landed.
    pub(super) fn operation() -> usize {
        (&raw const PLACES[2]).addr()
    }

    /// An object that is waited for was signalled.
    pub(super) fn wait() -> usize {
        (&raw const PLACES[3]).addr()
    }
}

/// The kernel's packets and what they carry, before it becomes [`Event`]s.
#[derive(Default)]
pub(crate) struct Buffer {
    packets: Vec<OVERLAPPED_ENTRY>,
    landed: Vec<(Arc<Socket>, Box<Request>)>,
    /// Changes places with the selector's list, so that neither has to be allocated anew.
    again: Vec<Again>,
}

// SAFETY: the pointers in the packets are followed once, by the `select` that took them from the
// port; what is left behind is overwritten by the next.
unsafe impl Send for Buffer {}
// SAFETY: as above: nothing can be done with a shared buffer.
unsafe impl Sync for Buffer {}

/// A completion port and the sockets that are asked about on it.
#[derive(Debug)]
pub(crate) struct Afd {
    id: SelectorId,
    port: Arc<Port>,
    devices: Arc<Devices>,
    sockets: RwLock<HashMap<RawSocket, Arc<Socket>>>,
    /// Those who wait for objects, by the number that their packets carry.
    waits: Mutex<HashMap<usize, Arc<dyn Owner>>>,
    /// The last of these numbers.
    last_wait: AtomicUsize,
    /// Whose operations may be in flight though nobody holds them any more.
    orphans: Mutex<Vec<Weak<dyn Owner>>>,
    agenda: Agenda,
}

/// What a source wants of the `select` that has told it something.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) event: Option<Event>,
    /// The next `select` begins with looking after the source.
    pub(crate) is_next: bool,
    /// When to look after a paced source; twice if its directions rest for different times.
    pub(crate) dues: [Option<Instant>; 2],
    /// The socket was closed without having been deregistered, and has left.
    pub(crate) is_closed: bool,
}

/// When it is that sources are looked after.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Occasion {
    /// A `select` begins: those triggered by level, too.
    Beginning,
    Meanwhile,
}

impl Backend for Afd {
    type Buffer = Buffer;
    type Registration = Tracked<Afd>;
    const DETECTS: Interest = Interest::READABLE.add(Interest::WRITABLE);

    fn new() -> io::Result<Afd> {
        let port = Arc::new(Port::new()?);
        Ok(Afd {
            id: SelectorId::unique(),
            devices: Arc::new(Devices::new(Arc::clone(&port))),
            port,
            sockets: RwLock::new(HashMap::new()),
            waits: Mutex::new(HashMap::new()),
            last_wait: AtomicUsize::new(0),
            orphans: Mutex::new(Vec::new()),
            agenda: Agenda::default(),
        })
    }

    fn id(&self) -> SelectorId {
        self.id
    }

    fn select(
        &self,
        buffer: &mut Buffer,
        mut room: Room<'_>,
        timeout: Option<Duration>,
    ) -> io::Result<Knocked> {
        let result = self.wait(buffer, &mut room, timeout);
        if self.agenda.end_select() {
            // If it fails there is nobody to tell: it is the next `poll` that finds it then.
            let _ = self.knock();
        }
        result
    }

    fn register(&self, source: RawSocket, token: Token, interest: Interest) -> io::Result<()> {
        Self::check_interest(interest)?;
        let base = base_handle(source)?;
        let socket = Socket::new(source, base, self.devices.seat()?);
        let make_known = || match self.sockets_mut().entry(source) {
            Entry::Occupied(_) => Err(already_registered()),
            Entry::Vacant(place) => {
                place.insert(Arc::clone(&socket));
                Ok(())
            }
        };
        let result = socket.register(token, interest, make_known);
        if result.is_err() {
            self.forget(&socket);
        }
        result
    }

    fn reregister(&self, source: RawSocket, token: Token, interest: Interest) -> io::Result<()> {
        Self::check_interest(interest)?;
        match self.socket(source) {
            Some(socket) => socket.reregister(token, interest),
            None => Err(not_registered()),
        }
    }

    fn deregister(&self, source: RawSocket) -> io::Result<()> {
        let socket = self.sockets_mut().remove(&source);
        match socket {
            Some(socket) if socket.deregister() => Ok(()),
            _ => Err(not_registered()),
        }
    }

    fn rearm(&self, source: RawSocket, blocked: Interest) -> io::Result<()> {
        match self.socket(source) {
            Some(socket) => socket.rearm(blocked, &self.agenda),
            None => Ok(()),
        }
    }

    fn knock(&self) -> io::Result<()> {
        self.port.post(key::knock(), ptr::null_mut())
    }
}

impl Afd {
    /// A `select`, but for its end.
    fn wait(
        &self,
        buffer: &mut Buffer,
        room: &mut Room<'_>,
        timeout: Option<Duration>,
    ) -> io::Result<Knocked> {
        let until = Until::after(timeout);
        let places = room.left();
        let mut knocked = Knocked::No;
        let mut due = self.look_after(buffer, room, Occasion::Beginning);
        while room.left() > 0 {
            // Something to return already: only what is there is added.
            let is_done = knocked == Knocked::Yes || room.left() < places;
            let wait_ms = if is_done { 0 } else { until.wait_ms(due) };
            match self.port.take(&mut buffer.packets, room.left(), wait_ms) {
                Err(error) if !is_done => return Err(error),
                _ if is_done && buffer.packets.is_empty() => break,
                _ => {}
            }
            let is_empty = buffer.packets.is_empty();
            knocked = knocked.or(self.deliver(buffer, room));
            if knocked == Knocked::Yes || room.left() < places || is_empty && until.has_passed() {
                break;
            }
            // Nothing but housekeeping so far, or it is time for a paced source.
            if due.is_some() {
                due = self.look_after(buffer, room, Occasion::Meanwhile);
            }
        }
        Ok(knocked)
    }

    /// The port, for sources that begin operations of their own.
    pub(crate) fn port(&self) -> &Arc<Port> {
        &self.port
    }

    /// Lets the operations on a file end here. It cannot be undone.
    pub(crate) fn attach(&self, file: BorrowedHandle<'_>) -> io::Result<()> {
        self.port.associate(file, key::operation())
    }

    /// A number for a wait that no other has or had.
    pub(crate) fn next_wait(&self) -> usize {
        self.last_wait.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Tells the owner when a packet with this number comes.
    pub(crate) fn know_wait(&self, number: usize, owner: Arc<dyn Owner>) {
        self.waits().insert(number, owner);
    }

    /// Packets with this number are nobody's from now on.
    pub(crate) fn forget_wait(&self, number: usize) {
        let owner = self.waits().remove(&number);
        drop(owner); // not while the list is locked
    }

    /// Calls back what the owner has in flight when the selector ends.
    pub(crate) fn adopt(&self, owner: Weak<dyn Owner>) {
        let mut orphans = self.orphans.lock().expect(NO_PANIC);
        orphans.retain(|orphan| orphan.strong_count() > 0);
        orphans.push(owner);
    }

    /// Makes events of the packets in `buffer`.
    fn deliver(&self, buffer: &mut Buffer, room: &mut Room<'_>) -> Knocked {
        let mut knocked = Knocked::No;
        for packet in buffer.packets.drain(..) {
            match packet.lpCompletionKey {
                known if known == key::poll() => {
                    // SAFETY: the packet came from the port under this key, and is drained: nobody
                    // sees it again.
                    let landed = unsafe { Request::from_packet(&packet) };
                    buffer.landed.push(landed);
                }
                known if known == key::operation() => {
                    // SAFETY: as above.
                    let landed = unsafe { Operation::from_packet(&packet, &self.port) };
                    if let Some((owner, operation)) = landed {
                        let report = Arc::clone(&owner).land(operation);
                        self.take_note(Who::Owner(owner), report, room);
                    }
                }
                known if known == key::wait() => {
                    let number = packet.lpOverlapped.addr();
                    let owner = self.waits().get(&number).cloned();
                    if let Some(owner) = owner {
                        let report = Arc::clone(&owner).signalled();
                        self.take_note(Who::Owner(owner), report, room);
                    }
                }
                known if known == key::knock() => knocked = Knocked::Yes,
                foreign => room.push(Event::new(Token(foreign), Readiness::READABLE)),
            }
        }
        let mut landed = buffer.landed.drain(..).peekable();
        while let Some((socket, request)) = landed.next() {
            // What concerns both directions, a failure say, lands the requests of a socket one
            // after the other: one event.
            let mut landing = socket.land(request);
            while let Some((_, request)) = landed.next_if(|(other, _)| Arc::ptr_eq(other, &socket))
            {
                landing.add(request);
            }
            let report = landing.report();
            self.take_note(Who::Socket(socket), report, room);
        }
        knocked
    }

    /// Looks after the sources on the list for which it is time. Says when the next one will be
    /// due.
    fn look_after(
        &self,
        buffer: &mut Buffer,
        room: &mut Room<'_>,
        occasion: Occasion,
    ) -> Option<Instant> {
        match occasion {
            Occasion::Beginning => self.agenda.begin_select(&mut buffer.again),
            Occasion::Meanwhile => self.agenda.take(&mut buffer.again),
        }
        if buffer.again.is_empty() {
            return None;
        }
        let now = Instant::now();
        for again in buffer.again.drain(..) {
            let is_time = match again.due {
                Some(due) => due <= now,
                None => occasion == Occasion::Beginning,
            };
            // If it fails there is an event to report, so a place must be free for it.
            if is_time && room.left() > 0 {
                let report = match &again.who {
                    Who::Socket(socket) => socket.look_after(again.due),
                    Who::Owner(owner) => Arc::clone(owner).look_after(),
                };
                self.take_note(again.who, report, room);
            } else {
                self.agenda.put(again);
            }
        }
        self.agenda.next_due()
    }

    /// Does what a source's report asks for.
    fn take_note(&self, who: Who, report: Report, room: &mut Room<'_>) {
        if let Some(event) = report.event {
            room.push(event);
        }
        match &who {
            Who::Socket(socket) if report.is_closed => self.forget(socket),
            _ => {}
        }
        for due in report.dues.into_iter().flatten() {
            let (who, due) = (who.clone(), Some(due));
            self.agenda.put(Again { who, due });
        }
        if report.is_next {
            self.agenda.put(Again { who, due: None });
        }
    }

    /// Removes this very socket, not another one that has its number by now.
    fn forget(&self, socket: &Arc<Socket>) {
        if let Entry::Occupied(place) = self.sockets_mut().entry(socket.source()) {
            if Arc::ptr_eq(place.get(), socket) {
                place.remove();
            }
        }
    }

    fn socket(&self, source: RawSocket) -> Option<Arc<Socket>> {
        let sockets = self.sockets.read().expect(NO_PANIC);
        sockets.get(&source).cloned()
    }

    fn sockets_mut(&self) -> RwLockWriteGuard<'_, HashMap<RawSocket, Arc<Socket>>> {
        self.sockets.write().expect(NO_PANIC)
    }

    fn waits(&self) -> MutexGuard<'_, HashMap<usize, Arc<dyn Owner>>> {
        self.waits.lock().expect(NO_PANIC)
    }
}

/// For the program, which may wait for it.
impl AsHandle for Afd {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        if self.agenda.hand_out() {
            let _ = self.knock(); // as at the end of a `select`
        }
        self.port.as_handle()
    }
}

/// Calls back what is in flight and waits until it has landed: the memory behind it is released
/// nowhere else.
impl Drop for Afd {
    fn drop(&mut self) {
        for (_, socket) in self.sockets_mut().drain() {
            socket.deregister();
        }
        let orphans = std::mem::take(&mut *self.orphans.lock().expect(NO_PANIC));
        for orphan in orphans.iter().filter_map(Weak::upgrade) {
            orphan.abandon();
        }
        let mut buffer = Buffer::default();
        while self.port.owed() > 0 {
            let taken = self
                .port
                .take(&mut buffer.packets, 256, LAST_ANSWERS_MS_MAX);
            if taken.is_err() || buffer.packets.is_empty() {
                return;
            }
            for packet in buffer.packets.drain(..) {
                if packet.lpCompletionKey == key::poll() {
                    // SAFETY: the packet came from the port under this key, and is drained: nobody
                    // sees it again.
                    drop(unsafe { Request::from_packet(&packet) });
                } else if packet.lpCompletionKey == key::operation() {
                    // SAFETY: as above.
                    drop(unsafe { Operation::from_packet(&packet, &self.port) });
                }
            }
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("capacity", &self.packets.capacity())
            .finish()
    }
}

/// When a `select` has to be back.
#[derive(Copy, Clone)]
enum Until {
    Now,
    Then(Instant),
    Never,
}

impl Until {
    fn after(timeout: Option<Duration>) -> Until {
        match timeout {
            Some(Duration::ZERO) => Until::Now,
            // What the clock cannot count to will not come.
            Some(timeout) => Instant::now()
                .checked_add(timeout)
                .map_or(Until::Never, Until::Then),
            None => Until::Never,
        }
    }

    /// The milliseconds to wait from now, rounded up, or less if something is `due` before.
    fn wait_ms(self, due: Option<Instant>) -> u32 {
        const INFINITE: u32 = u32::MAX;
        let first = match (self, due) {
            (Until::Now, _) => return 0,
            (Until::Never, None) => return INFINITE,
            (Until::Never, Some(due)) => due,
            (Until::Then(then), None) => then,
            (Until::Then(then), Some(due)) => then.min(due),
        };
        let (ms, _) = timeout::millis(first.saturating_duration_since(Instant::now()));
        // At most `i32::MAX`, which is far from `INFINITE`; what is left then is asked for again.
        ms as u32
    }

    /// A wait that found nothing may have ended within a tick of the clock before its time.
    fn has_passed(self) -> bool {
        match self {
            Until::Now => true,
            Until::Then(then) => Instant::now() >= then,
            Until::Never => false,
        }
    }
}

/// The handle that the driver knows. Layers that programs install over the system's sockets hand
/// out others.
fn base_handle(source: RawSocket) -> io::Result<BaseHandle> {
    lowest_handle(source as HANDLE, provider_handle).map(BaseHandle)
}

/// There are layers that refuse to tell the lowest handle, which the manual forbids them to, but
/// tell the next one below them. wepoll goes down layer by layer, too.
fn lowest_handle(
    source: HANDLE,
    ask: impl Fn(HANDLE, u32) -> io::Result<HANDLE>,
) -> io::Result<HANDLE> {
    let mut lowest = source;
    loop {
        let error = match ask(lowest, SIO_BASE_HANDLE) {
            Ok(base) => return Ok(base),
            Err(error) => error,
        };
        match ask(lowest, SIO_BSP_HANDLE_POLL) {
            Ok(below) if below != lowest => lowest = below,
            _ if lowest != source => return Ok(lowest),
            _ => return Err(error),
        }
    }
}

fn provider_handle(socket: HANDLE, question: u32) -> io::Result<HANDLE> {
    let mut base: HANDLE = ptr::null_mut();
    let mut length = 0;
    // SAFETY: a handle is written, for which there is room, and its length; nothing is read, and
    // the call is synchronous.
    let result = unsafe {
        WSAIoctl(
            socket as SOCKET,
            question,
            ptr::null(),
            0,
            (&raw mut base).cast(),
            size_of::<HANDLE>() as u32,
            &mut length,
            ptr::null_mut(),
            None,
        )
    };
    if result == SOCKET_ERROR {
        return Err(io::Error::last_os_error());
    }
    Ok(base)
}

/// The kernel's way to say that a call was not accepted. Warnings, and that it is pending, are
/// acceptance.
fn is_error(status: NTSTATUS) -> bool {
    status as u32 >> 30 == 3
}

fn status_error(status: NTSTATUS) -> io::Error {
    // SAFETY: takes no memory.
    let code = unsafe { RtlNtStatusToDosError(status) };
    io::Error::from_raw_os_error(code as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::windows::io::{AsRawHandle, AsRawSocket};
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use windows_sys::Win32::Foundation::WAIT_OBJECT_0;
    use windows_sys::Win32::System::Threading::WaitForSingleObject;

    use crate::events::Events;

    const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
    const SOON: Duration = Duration::from_secs(10);

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours, theirs)
    }

    fn select(afd: &Afd, capacity: usize, timeout: Duration) -> Vec<(usize, Readiness)> {
        let mut events = Events::with_capacity(capacity);
        let mut buffer = Buffer::default();
        afd.select(&mut buffer, events.room(usize::MAX), Some(timeout))
            .unwrap();
        events
            .iter()
            .map(|event| (event.token().0, event.readiness()))
            .collect()
    }

    fn select_now(afd: &Afd) -> Vec<(usize, Readiness)> {
        select(afd, 64, Duration::ZERO)
    }

    #[test]
    fn both_directions_ready_at_once_are_one_event() {
        let afd = Afd::new().unwrap();
        let (ours, mut theirs) = pair();
        let source = ours.as_raw_socket();
        theirs.write_all(b"x").unwrap();
        while ours.peek(&mut [0]).is_err() {
            thread::yield_now();
        }
        afd.register(source, Token(usize::MAX), BOTH).unwrap();
        let both = Readiness::READABLE | Readiness::WRITABLE;
        assert_eq!(select(&afd, 64, SOON), [(usize::MAX, both)]);
        assert_eq!(select_now(&afd), []);
        afd.deregister(source).unwrap();
    }

    #[test]
    fn only_the_direction_that_blocked_is_reported_again() {
        let afd = Afd::new().unwrap();
        let (mut ours, mut theirs) = pair();
        let source = ours.as_raw_socket();
        afd.register(source, Token(1), BOTH).unwrap();
        assert_eq!(select(&afd, 64, SOON), [(1, Readiness::WRITABLE)]);
        for _ in 0..3 {
            theirs.write_all(b"x").unwrap();
            assert_eq!(select(&afd, 64, SOON), [(1, Readiness::READABLE)]);
            ours.read_exact(&mut [0]).unwrap();
            assert!(ours.read(&mut [0]).is_err());
            afd.rearm(source, Interest::READABLE).unwrap();
            assert_eq!(select_now(&afd), []);
        }
        assert_eq!(
            afd.port.owed(),
            1,
            "one request, for the direction that waits"
        );
        afd.rearm(source, Interest::WRITABLE).unwrap();
        assert_eq!(select(&afd, 64, SOON), [(1, Readiness::WRITABLE)]);
        afd.deregister(source).unwrap();
    }

    /// Mio puts a socket on its list once for each operation that would have blocked.
    #[test]
    fn however_often_a_socket_blocks_it_has_one_request_at_the_next_select() {
        let afd = Afd::new().unwrap();
        let (mut ours, mut theirs) = pair();
        let source = ours.as_raw_socket();
        afd.register(source, Token(1), BOTH).unwrap();
        assert_eq!(select(&afd, 64, SOON), [(1, Readiness::WRITABLE)]);
        for _ in 0..3 {
            theirs.write_all(b"x").unwrap();
            assert_eq!(select(&afd, 64, SOON), [(1, Readiness::READABLE)]);
            ours.read_exact(&mut [0]).unwrap();
            assert_eq!(afd.port.owed(), 0);
            for _ in 0..10 {
                afd.rearm(source, Interest::READABLE).unwrap();
            }
            assert_eq!((afd.agenda.len(), afd.port.owed()), (1, 0));
            assert_eq!(select_now(&afd), []);
            for _ in 0..10 {
                afd.rearm(source, Interest::READABLE).unwrap();
            }
            assert_eq!(select_now(&afd), []);
            assert_eq!(afd.port.owed(), 1);
        }
        // Beside a request in the air, too.
        for _ in 0..10 {
            afd.rearm(source, Interest::WRITABLE).unwrap();
        }
        assert_eq!((afd.agenda.len(), afd.port.owed()), (1, 1));
        assert_eq!(select_now(&afd), [(1, Readiness::WRITABLE)]);
        // What was put off is forgotten with the registration.
        theirs.write_all(b"x").unwrap();
        assert_eq!(select(&afd, 64, SOON), [(1, Readiness::READABLE)]);
        afd.rearm(source, BOTH).unwrap();
        afd.deregister(source).unwrap();
        assert_eq!(select_now(&afd), []);
        assert_eq!(afd.port.owed(), 0);
    }

    /// What another thread rearms while a `select` sleeps must not wait for the next one.
    #[test]
    fn rearm_during_a_select_takes_effect_at_once() {
        let afd = Afd::new().unwrap();
        let (mut ours, mut theirs) = pair();
        let source = ours.as_raw_socket();
        afd.register(source, Token(1), Interest::READABLE).unwrap();
        for _ in 0..20 {
            theirs.write_all(b"x").unwrap();
            assert_eq!(select(&afd, 64, SOON), [(1, Readiness::READABLE)]);
            ours.read_exact(&mut [0]).unwrap();
            thread::scope(|scope| {
                let selecting = scope.spawn(|| select(&afd, 64, SOON));
                // Before the select begins, as it begins, or while it sleeps.
                afd.rearm(source, Interest::READABLE).unwrap();
                theirs.write_all(b"x").unwrap();
                assert_eq!(selecting.join().unwrap(), [(1, Readiness::READABLE)]);
            });
            ours.read_exact(&mut [0]).unwrap();
            thread::scope(|scope| {
                let selecting = scope.spawn(|| select(&afd, 64, SOON));
                while !afd.agenda.is_select_running() {
                    thread::yield_now();
                }
                afd.rearm(source, Interest::READABLE).unwrap();
                theirs.write_all(b"x").unwrap();
                assert_eq!(selecting.join().unwrap(), [(1, Readiness::READABLE)]);
            });
            ours.read_exact(&mut [0]).unwrap();
            afd.rearm(source, Interest::READABLE).unwrap();
        }
        afd.deregister(source).unwrap();
    }

    /// Mio's poller panics at every `poll` after one that has failed.
    #[test]
    fn a_select_that_fails_does_not_poison_the_poller() {
        let afd = Afd::new().unwrap();
        let (mut ours, mut theirs) = pair();
        let source = ours.as_raw_socket();
        afd.register(source, Token(1), Interest::READABLE).unwrap();
        for _ in 0..3 {
            theirs.write_all(b"x").unwrap();
            assert_eq!(select(&afd, 64, SOON), [(1, Readiness::READABLE)]);
            ours.read_exact(&mut [0]).unwrap();
            afd.rearm(source, Interest::READABLE).unwrap();
            afd.port.fails.store(true, Ordering::Relaxed);
            let mut events = Events::with_capacity(4);
            let room = events.room(usize::MAX);
            let result = afd.select(&mut Buffer::default(), room, Some(SOON));
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::OutOfMemory);
            assert!(!afd.agenda.is_select_running());
        }
        theirs.write_all(b"x").unwrap();
        assert_eq!(select(&afd, 64, SOON), [(1, Readiness::READABLE)]);
        afd.deregister(source).unwrap();
    }

    /// Another loop that waits for the port's handle sees what a `select` would find.
    #[test]
    fn what_is_ready_shows_on_the_handle_that_was_given_out() {
        let wait = |afd: &Afd, timeout: Duration| {
            // SAFETY: takes no memory, and the handle is open.
            let result = unsafe {
                WaitForSingleObject(
                    afd.port.as_handle().as_raw_handle(),
                    timeout.as_millis() as u32,
                )
            };
            result == WAIT_OBJECT_0
        };
        for mode in [Interest::READABLE, Interest::READABLE.level()] {
            let afd = Afd::new().unwrap();
            let (mut ours, mut theirs) = pair();
            let source = ours.as_raw_socket();
            afd.register(source, Token(1), mode).unwrap();
            theirs.write_all(b"x").unwrap();
            assert_eq!(select(&afd, 64, SOON), [(1, Readiness::READABLE)]);
            ours.read_exact(&mut [0]).unwrap();
            afd.rearm(source, Interest::READABLE).unwrap();
            // What was put off until now is no longer.
            let _ = afd.as_handle();
            for _ in 0..3 {
                theirs.write_all(b"x").unwrap();
                let start = Instant::now();
                let mut events = Vec::new();
                while events.is_empty() {
                    assert!(start.elapsed() < SOON);
                    assert!(wait(&afd, SOON));
                    events = select_now(&afd);
                }
                assert_eq!(events, [(1, Readiness::READABLE)]);
                ours.read_exact(&mut [0]).unwrap();
                // The handle is quiet when the socket is armed again.
                while wait(&afd, Duration::ZERO) {
                    assert!(start.elapsed() < SOON);
                    select_now(&afd);
                }
                afd.rearm(source, Interest::READABLE).unwrap();
            }
            let start = Instant::now();
            while wait(&afd, Duration::ZERO) {
                assert!(start.elapsed() < SOON);
                assert_eq!(select_now(&afd), []);
            }
            afd.deregister(source).unwrap();
        }
    }

    #[test]
    fn a_request_that_lands_late_does_not_speak_for_the_next_registration() {
        let afd = Afd::new().unwrap();
        let (ours, mut theirs) = pair();
        let source = ours.as_raw_socket();
        for round in 0..50 {
            // Ready, so that the packet is in the port already.
            afd.register(source, Token(round), Interest::WRITABLE)
                .unwrap();
            afd.deregister(source).unwrap();
        }
        afd.register(source, Token(1000), Interest::READABLE)
            .unwrap();
        assert_eq!(select_now(&afd), []);
        theirs.write_all(b"x").unwrap();
        assert_eq!(select(&afd, 1, SOON), [(1000, Readiness::READABLE)]);
        afd.deregister(source).unwrap();
    }

    /// Whoever finds a socket that is just being registered must not take it for one that is not.
    #[test]
    fn deregister_during_register_leaves_nothing_that_cannot_be_removed() {
        let afd = Afd::new().unwrap();
        let (ours, _theirs) = pair();
        let source = ours.as_raw_socket();
        for round in 0..2_000 {
            let is_registered = AtomicBool::new(false);
            thread::scope(|scope| {
                let deregistering = scope.spawn(|| {
                    loop {
                        let was_registered = is_registered.load(Ordering::Acquire);
                        if afd.deregister(source).is_ok() {
                            return true;
                        }
                        if was_registered {
                            return false;
                        }
                    }
                });
                afd.register(source, Token(round), BOTH).unwrap();
                is_registered.store(true, Ordering::Release);
                assert!(deregistering.join().unwrap(), "round {round}");
            });
        }
        assert_eq!(select_now(&afd), []);
        assert_eq!(afd.port.owed(), 0);
    }

    #[test]
    fn what_is_owed_is_paid_when_the_selector_is_dropped() {
        let afd = Afd::new().unwrap();
        let port = Arc::clone(&afd.port);
        let pairs: Vec<_> = (0..100).map(|_| pair()).collect();
        for (token, (ours, _)) in pairs.iter().enumerate() {
            afd.register(ours.as_raw_socket(), Token(token), BOTH)
                .unwrap();
        }
        assert_eq!(port.owed(), 200);
        drop(afd);
        assert_eq!(port.owed(), 0);
        assert_eq!(Arc::strong_count(&port), 1);
    }

    #[test]
    fn a_socket_closed_without_deregister_leaves_like_a_descriptor() {
        let afd = Afd::new().unwrap();
        let (ours, _theirs) = pair();
        let source = ours.as_raw_socket();
        afd.register(source, Token(1), BOTH).unwrap();
        assert_eq!(select(&afd, 64, SOON), [(1, Readiness::WRITABLE)]);
        drop(ours);
        let start = Instant::now();
        while afd.socket(source).is_some() && start.elapsed() < SOON {
            assert_eq!(select(&afd, 64, Duration::from_millis(1)), []);
        }
        let error = afd.deregister(source).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(afd.port.owed(), 0);
    }

    #[test]
    fn what_is_no_socket_is_refused_without_a_trace() {
        let afd = Afd::new().unwrap();
        assert!(afd.register(12345, Token(1), BOTH).is_err());
        assert_eq!(afd.port.owed(), 0);
        assert_eq!(
            afd.deregister(12345).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert_eq!(select_now(&afd), []);
    }

    #[test]
    fn the_handle_below_all_layers_is_found_though_some_refuse_to_tell_it() {
        type Answer = Option<usize>;
        // What each of the layers, by its number, answers to either question, if it does.
        fn lowest(layers: &[(Answer, Answer)]) -> io::Result<usize> {
            let answer = lowest_handle(ptr::null_mut(), |socket, question| {
                let (base, below) = layers[socket.addr()];
                let answer = if question == SIO_BASE_HANDLE {
                    base
                } else {
                    below
                };
                answer
                    .map(ptr::without_provenance_mut)
                    .ok_or_else(|| io::ErrorKind::Unsupported.into())
            });
            answer.map(|handle| handle.addr())
        }
        assert_eq!(lowest(&[(Some(0), None)]).unwrap(), 0);
        assert_eq!(lowest(&[(Some(2), Some(1))]).unwrap(), 2);
        let system = (Some(2), Some(2));
        assert_eq!(
            lowest(&[(None, Some(1)), (None, Some(2)), system]).unwrap(),
            2
        );
        assert_eq!(lowest(&[(None, Some(1)), (Some(2), Some(1))]).unwrap(), 2);
        assert_eq!(lowest(&[(None, Some(1)), (None, Some(1))]).unwrap(), 1);
        for nothing in [&[(None, None)], &[(None, Some(0))]] {
            assert_eq!(
                lowest(nothing).unwrap_err().kind(),
                io::ErrorKind::Unsupported
            );
        }
    }

    /// Not by a socket that is closed: other tests may have its number by the time that it is asked
    /// about.
    #[test]
    fn a_request_that_fails_reaches_its_source_and_nobody_else() {
        let afd = Afd::new().unwrap();
        let refuse = |is_so| afd.port.refuses.store(is_so, Ordering::Relaxed);
        let (ours, _theirs) = pair();
        let (other, _peer) = pair();
        let source = ours.as_raw_socket();
        let failure = Readiness::WRITABLE | Readiness::ERROR;
        refuse(true);
        assert!(afd.register(source, Token(0), BOTH).is_err());
        refuse(false);
        afd.register(source, Token(1), Interest::WRITABLE).unwrap();
        assert_eq!(select(&afd, 64, SOON), [(1, Readiness::WRITABLE)]);
        // Put off, it cannot be told to whoever asked; so there is an event.
        afd.rearm(source, Interest::WRITABLE).unwrap();
        refuse(true);
        assert_eq!(select(&afd, 1, SOON), [(1, failure)]);
        assert_eq!(select_now(&afd), []);
        refuse(false);
        afd.register(other.as_raw_socket(), Token(2), BOTH).unwrap();
        assert_eq!(select(&afd, 64, SOON), [(2, Readiness::WRITABLE)]);
        afd.deregister(other.as_raw_socket()).unwrap();

        let level = Interest::WRITABLE.level();
        afd.reregister(source, Token(3), level).unwrap();
        assert_eq!(select(&afd, 64, SOON), [(3, Readiness::WRITABLE)]);
        refuse(true);
        assert_eq!(select(&afd, 1, SOON), [(3, failure)]);
        refuse(false);
        assert_eq!(select(&afd, 1, SOON), [(3, Readiness::WRITABLE)]);

        // Paced, it is told ever more slowly.
        let paced = Interest::WRITABLE.paced();
        afd.reregister(source, Token(4), paced).unwrap();
        let start = Instant::now();
        assert_eq!(select(&afd, 64, SOON), [(4, Readiness::WRITABLE)]);
        refuse(true);
        for times in 1..=80_u64 {
            assert_eq!(select(&afd, 1, SOON), [(4, failure)]);
            let rested = Duration::from_millis(times.max(2 * times.saturating_sub(32)));
            assert!(start.elapsed() >= rested, "{times}");
        }
        refuse(false);
        assert_eq!(select(&afd, 1, SOON), [(4, Readiness::WRITABLE)]);

        // Not put off, it is told to whoever asks. A `select` may end early now.
        let _ = afd.as_handle();
        let next = || {
            let mut selects = (0..4).map(|_| select(&afd, 64, SOON));
            selects.find(|events| !events.is_empty())
        };
        let writable = Some(vec![(5, Readiness::WRITABLE)]);
        afd.reregister(source, Token(5), Interest::WRITABLE)
            .unwrap();
        assert_eq!(next(), writable);
        refuse(true);
        for _ in 0..2 {
            assert!(afd.rearm(source, Interest::WRITABLE).is_err());
        }
        assert!(
            afd.reregister(source, Token(6), Interest::WRITABLE)
                .is_err()
        );
        refuse(false);
        afd.rearm(source, Interest::WRITABLE).unwrap();
        assert_eq!(next(), writable);
        afd.deregister(source).unwrap();
    }

    #[test]
    fn housekeeping_neither_ends_a_select_nor_changes_its_timeout() {
        let afd = Afd::new().unwrap();
        let (ours, _theirs) = pair();
        let source = ours.as_raw_socket();
        let timeout = Duration::from_millis(100);
        let start = Instant::now();
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let events = select(&afd, 1, timeout);
                (events, start.elapsed())
            });
            // A timeout that started anew each time would last as long as this.
            while !thread.is_finished() && start.elapsed() < SOON {
                afd.register(source, Token(1), Interest::READABLE).unwrap();
                afd.deregister(source).unwrap();
                thread::yield_now();
            }
            let (events, elapsed) = thread.join().unwrap();
            assert_eq!(events, []);
            assert!(elapsed >= timeout, "{elapsed:?}");
            assert!(elapsed < SOON / 2, "{elapsed:?}");
        });
    }

    /// Windows leaves requests that end in a port to live on when the thread that made them ends;
    /// Wine does not, nor did Windows before Vista.
    #[test]
    fn a_request_outlives_the_thread_that_made_it() {
        let afd = Afd::new().unwrap();
        let (mut ours, mut theirs) = pair();
        let source = ours.as_raw_socket();
        // So that nothing is put off; but a `select` may end early.
        let _ = afd.as_handle();
        let next = || {
            let mut selects = (0..4).map(|_| select(&afd, 64, SOON));
            selects.find(|events| !events.is_empty())
        };
        let readable = Some(vec![(1, Readiness::READABLE)]);
        afd.register(source, Token(1), Interest::READABLE).unwrap();
        for _ in 0..20 {
            theirs.write_all(b"x").unwrap();
            assert_eq!(next(), readable);
            ours.read_exact(&mut [0]).unwrap();
            // Ended for certain the first time, ending just now the other.
            thread::scope(|scope| {
                let rearming = scope.spawn(|| afd.rearm(source, Interest::READABLE));
                rearming.join().unwrap().unwrap();
            });
            theirs.write_all(b"x").unwrap();
            assert_eq!(next(), readable);
            ours.read_exact(&mut [0]).unwrap();
            let (tell, told) = std::sync::mpsc::channel::<()>();
            thread::scope(|scope| {
                scope.spawn(|| {
                    afd.rearm(source, Interest::READABLE).unwrap();
                    drop(tell);
                });
                assert!(told.recv().is_err());
            });
        }
        afd.deregister(source).unwrap();
    }

    #[test]
    fn a_paced_source_comes_back_ever_more_slowly() {
        let afd = Afd::new().unwrap();
        let (ours, _theirs) = pair();
        let source = ours.as_raw_socket();
        let start = Instant::now();
        afd.register(source, Token(1), Interest::WRITABLE.paced())
            .unwrap();
        assert_eq!(select(&afd, 4, SOON), [(1, Readiness::WRITABLE)]);
        // 64 rests of 1 ms, and then longer ones.
        let mut rested = Duration::ZERO;
        for times in 0..70 {
            rested += Duration::from_millis(if times < 64 { 1 } else { 2 });
            assert_eq!(select(&afd, 4, SOON), [(1, Readiness::WRITABLE)]);
            assert!(start.elapsed() >= rested, "{times}");
        }
        afd.deregister(source).unwrap();
    }

    #[test]
    fn packets_of_the_program_become_events() {
        let afd = Afd::new().unwrap();
        afd.port.post(7, ptr::null_mut()).unwrap();
        assert_eq!(select_now(&afd), [(7, Readiness::READABLE)]);
    }

    #[test]
    fn a_registration_is_two_words() {
        assert_eq!(size_of::<Tracked<Afd>>(), 2 * size_of::<u64>());
    }

    #[test]
    fn a_wait_is_never_for_ever_unless_asked_to_be() {
        assert_eq!(Until::after(Some(Duration::ZERO)).wait_ms(None), 0);
        assert_eq!(Until::after(None).wait_ms(None), u32::MAX);
        assert_eq!(Until::after(Some(Duration::MAX)).wait_ms(None), u32::MAX);
        // The value that would mean for ever.
        let trap = Duration::from_millis(u32::MAX.into());
        for timeout in [trap - Duration::from_millis(1), trap, trap * 3] {
            assert_eq!(Until::after(Some(timeout)).wait_ms(None), i32::MAX as u32);
        }
        let wait = Until::after(Some(Duration::from_nanos(1))).wait_ms(None);
        assert!(wait <= 1, "{wait}");
        let start = Instant::now();
        let wait = Until::after(Some(Duration::from_micros(2500))).wait_ms(None);
        // Less if the machine was busy in between.
        let least = Duration::from_micros(2500).saturating_sub(start.elapsed());
        assert!(wait <= 3, "{wait}");
        assert!(Duration::from_millis(wait.into()) >= least, "{wait}");
    }

    #[test]
    fn a_wait_ends_when_something_is_due() {
        let due = Some(Instant::now() + Duration::from_millis(5));
        assert!(Until::Never.wait_ms(due) <= 5);
        assert!(Until::after(Some(Duration::from_secs(9))).wait_ms(due) <= 5);
        assert_eq!(Until::Now.wait_ms(due), 0);
    }

    #[test]
    fn only_errors_are_errors() {
        for (status, expected) in [
            (0, false),                      // STATUS_SUCCESS
            (0x103, false),                  // STATUS_PENDING
            (0x8000_0005_u32 as i32, false), // STATUS_BUFFER_OVERFLOW, a warning
            (0xC000_0008_u32 as i32, true),  // STATUS_INVALID_HANDLE
        ] {
            assert_eq!(is_error(status), expected, "{status:#x}");
        }
    }
}
