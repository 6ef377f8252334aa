//! What the clauses share: a poller that remembers what it has seen, pairs of sources and peers,
//! deadlines.
//!
//! Sources are made here and nowhere else, so that a platform without Unix sockets can put others
//! in their place.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::expected::Subject;
use crate::event::Readiness;
use crate::events::Events;
use crate::interest::Interest;
use crate::io_source::Attached;
use crate::poll::Reactor;
use crate::registry::Hub;
use crate::sys::handle::AsRawSource;
use crate::token::Token;

pub(super) const R: Interest = Interest::READABLE;
pub(super) const W: Interest = Interest::WRITABLE;
pub(super) const RW: Interest = Interest::READABLE.add(Interest::WRITABLE);
pub(super) const READABLE: Readiness = Readiness::READABLE;
pub(super) const WRITABLE: Readiness = Readiness::WRITABLE;
pub(super) const BOTH: Readiness = Readiness::READABLE.union(Readiness::WRITABLE);

/// What a source that has become readable must show at the least. A one-shot source has one event,
/// and that may be of the direction in which it was ready before.
pub(super) fn readable_at_least(interest: Interest) -> Readiness {
    if interest.is_oneshot() && interest.is_writable() {
        Readiness::EMPTY
    } else {
        READABLE
    }
}

/// How long to wait for what must come. Long, because it is waited for in full only by a test that
/// fails.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
/// How long to wait for what must not come. Short, because it is always waited for.
pub(super) const QUIET: Duration = Duration::from_millis(5);

/// A connected byte stream, the cheapest that the system has.
#[cfg(all(unix, not(miri)))]
pub(super) type Stream = std::os::unix::net::UnixStream;
#[cfg(any(not(unix), miri))]
pub(super) type Stream = TcpStream;

/// Ends the program if it lives too long, for want of a timeout.
#[derive(Debug)]
struct Watchdog(#[expect(dead_code, reason = "what counts is when it is dropped")] Sender<()>);

impl Watchdog {
    fn new() -> Watchdog {
        let (sender, receiver) = mpsc::channel();
        let test = thread::current().name().map(String::from);
        let watch = move || {
            if receiver.recv_timeout(6 * DEADLINE) == Err(RecvTimeoutError::Timeout) {
                eprintln!("{test:?}: a poll without a timeout goes on and on");
                process::abort();
            }
        };
        // On systems without threads nobody watches.
        let _ = thread::Builder::new().spawn(watch);
        Watchdog(sender)
    }
}

/// A poller, its events, and what it has seen of them.
#[derive(Debug)]
pub(super) struct Rig<B: Subject> {
    pub(super) reactor: Reactor<B>,
    events: Events,
    /// Set if [`next`](Rig::next) has no timeout.
    watchdog: Option<Watchdog>,
}

impl<B: Subject> Rig<B> {
    pub(super) fn new() -> Rig<B> {
        Rig::with_capacity(64)
    }

    /// A rig whose poller reports at most `capacity` events a call.
    pub(super) fn with_capacity(capacity: usize) -> Rig<B> {
        let hub = Hub::new().expect("a selector can be made");
        Rig {
            reactor: Reactor::new(hub),
            events: Events::with_capacity(capacity),
            watchdog: None,
        }
    }

    /// From now on, [`next`](Rig::next) has no timeout: a poll with one takes another way.
    pub(super) fn without_timeouts(mut self) -> Rig<B> {
        self.watchdog = Some(Watchdog::new());
        self
    }

    pub(super) fn hub(&self) -> Hub<B> {
        self.reactor.hub.clone()
    }

    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.events = Events::with_capacity(capacity);
    }

    pub(super) fn try_poll(&mut self, timeout: Option<Duration>) -> io::Result<Seen> {
        let start = Instant::now();
        let result = self.reactor.poll(&mut self.events, timeout);
        // A short one may be up for other reasons.
        let is_late = timeout.is_some_and(|it| it > DEADLINE / 8 && start.elapsed() >= it);
        assert!(
            self.events.is_empty() || !is_late,
            "reported when the time was up, and no sooner: {:?}",
            Seen::of(&self.events)
        );
        assert!(
            self.events.len() <= self.events.capacity(),
            "{} events where {} were asked for",
            self.events.len(),
            self.events.capacity()
        );
        result.map(|()| Seen::of(&self.events))
    }

    #[track_caller]
    pub(super) fn poll(&mut self, timeout: Duration) -> Seen {
        self.try_poll(Some(timeout)).expect("poll succeeds")
    }

    /// Waits until something comes.
    #[track_caller]
    pub(super) fn next(&mut self) -> Seen {
        let timeout = self.watchdog.is_none().then_some(DEADLINE);
        let seen = self.try_poll(timeout).expect("poll succeeds");
        assert!(!seen.is_empty(), "awaited anything, came nothing");
        seen
    }

    /// What is there now.
    #[track_caller]
    pub(super) fn poll_now(&mut self) -> Seen {
        self.poll(Duration::ZERO)
    }

    /// Polls until `token` has been reported with every bit of `awaited`, and nothing else has.
    #[track_caller]
    pub(super) fn expect(&mut self, token: usize, awaited: Readiness) -> Seen {
        self.expect_all(&[(token, awaited)])
    }

    /// Polls until each of these tokens has been reported with every bit that is awaited. Any other
    /// token is an error.
    #[track_caller]
    pub(super) fn expect_all(&mut self, awaited: &[(usize, Readiness)]) -> Seen {
        let mut seen = Seen::default();
        let deadline = Instant::now() + DEADLINE;
        loop {
            let is_complete = awaited
                .iter()
                .all(|(token, bits)| seen.contains(*token, *bits));
            if is_complete {
                return seen;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "awaited {awaited:?}, came {seen:?}");
            seen.extend(self.poll(left));
            for (token, readiness) in &seen.0 {
                assert!(
                    awaited.iter().any(|(awaited, _)| awaited == token),
                    "awaited {awaited:?}, came token {token:#x} with {readiness:?}"
                );
            }
        }
    }

    /// Polls with this timeout until `token` has been reported, and nothing else has.
    #[track_caller]
    pub(super) fn expect_within(&mut self, timeout: Duration, token: usize) {
        let mut seen = Seen::default();
        until("the token is reported", || {
            seen.extend(self.poll(timeout));
            !seen.is_empty()
        });
        assert_eq!(seen.counts(), [(token, 1)].into());
    }

    /// Polls for a moment, in which nothing may come.
    #[track_caller]
    pub(super) fn expect_nothing(&mut self) {
        let seen = self.poll(QUIET);
        assert!(seen.is_empty(), "awaited nothing, came {seen:?}");
    }

    /// Polls, and asserts that it took no longer than what a busy machine may need, and nothing
    /// came before `timeout`.
    #[track_caller]
    pub(super) fn expect_timeout(&mut self, timeout: Duration) {
        let start = Instant::now();
        let seen = self.poll(timeout);
        let elapsed = start.elapsed();
        assert!(seen.is_empty(), "awaited nothing, came {seen:?}");
        assert!(
            elapsed >= timeout,
            "a timeout of {timeout:?} ended after {elapsed:?}"
        );
        assert!(
            elapsed < timeout + DEADLINE / 4,
            "a timeout of {timeout:?} took {elapsed:?}"
        );
    }

    /// Registers and takes the first event that comes of it, so that edges are spent.
    #[track_caller]
    pub(super) fn register<T: AsRawSource>(
        &self,
        source: &mut Attached<B, T>,
        token: usize,
        interest: Interest,
    ) {
        source
            .register(&self.reactor.hub, Token(token), interest)
            .expect("register succeeds");
    }

    #[track_caller]
    pub(super) fn reregister<T: AsRawSource>(
        &self,
        source: &mut Attached<B, T>,
        token: usize,
        interest: Interest,
    ) {
        source
            .reregister(&self.reactor.hub, Token(token), interest)
            .expect("reregister succeeds");
    }

    #[track_caller]
    pub(super) fn deregister<T: AsRawSource>(&self, source: &mut Attached<B, T>) {
        source
            .deregister(&self.reactor.hub)
            .expect("deregister succeeds");
    }
}

/// Events, in the order in which they came.
#[derive(Clone, Default)]
pub(super) struct Seen(pub(super) Vec<(usize, Readiness)>);

impl Seen {
    fn of(events: &Events) -> Seen {
        Seen(
            events
                .iter()
                .map(|event| (event.token().0, event.readiness()))
                .collect(),
        )
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn extend(&mut self, other: Seen) {
        self.0.extend(other.0);
    }

    /// Everything that was reported of a token.
    pub(super) fn readiness(&self, token: usize) -> Readiness {
        self.0
            .iter()
            .filter(|(seen, _)| *seen == token)
            .fold(Readiness::EMPTY, |all, (_, readiness)| all | *readiness)
    }

    /// True if the token was reported, with every one of these bits.
    pub(super) fn contains(&self, token: usize, bits: Readiness) -> bool {
        self.count(token) > 0 && self.readiness(token).contains(bits)
    }

    /// How many events the token had.
    pub(super) fn count(&self, token: usize) -> usize {
        self.0.iter().filter(|(seen, _)| *seen == token).count()
    }

    /// How many events each token had.
    pub(super) fn counts(&self) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        for (token, _) in &self.0 {
            *counts.entry(*token).or_default() += 1;
        }
        counts
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

// Sources

/// Two ends of a stream, both non-blocking.
pub(super) fn pair() -> (Stream, Stream) {
    #[cfg(all(unix, not(miri)))]
    let (a, b) = Stream::pair().expect("a pair of streams can be made");
    #[cfg(any(not(unix), miri))]
    let (a, b) = tcp_pair();
    a.set_nonblocking(true)
        .expect("streams can be non-blocking");
    b.set_nonblocking(true)
        .expect("streams can be non-blocking");
    (a, b)
}

/// A source that is ready to be registered, and its peer.
pub(super) fn source<B: Subject>() -> (Attached<B, Stream>, Stream) {
    let (ours, theirs) = pair();
    (Attached::new(ours), theirs)
}

/// Two ends of a TCP connection, both non-blocking.
pub(super) fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback can be bound");
    let address = listener.local_addr().expect("a listener has an address");
    let client = TcpStream::connect(address).expect("a listener can be connected to");
    loop {
        let (server, peer) = listener.accept().expect("the connection arrives");
        // Somebody else on this machine may have connected.
        if peer == client.local_addr().expect("a client has an address") {
            client.set_nonblocking(true).expect("non-blocking");
            server.set_nonblocking(true).expect("non-blocking");
            return (client, server);
        }
    }
}

/// A non-blocking listener and its address.
pub(super) fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback can be bound");
    listener.set_nonblocking(true).expect("non-blocking");
    let address = listener.local_addr().expect("a listener has an address");
    (listener, address)
}

/// Two datagram sockets, non-blocking, connected with each other.
pub(super) fn udp_pair() -> (UdpSocket, UdpSocket) {
    let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback can be bound");
    let (a, b) = (bind(), bind());
    a.connect(b.local_addr().expect("bound")).expect("connect");
    b.connect(a.local_addr().expect("bound")).expect("connect");
    a.set_nonblocking(true).expect("non-blocking");
    b.set_nonblocking(true).expect("non-blocking");
    (a, b)
}

/// A connection that has been asked for and not waited for.
pub(super) fn connecting(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)
        .expect("a socket can be made");
    socket.set_nonblocking(true).expect("non-blocking");
    match socket.connect(&address.into()) {
        Err(error) if !is_in_progress(&error) => Err(error),
        _ => Ok(socket.into()),
    }
}

fn is_in_progress(error: &io::Error) -> bool {
    #[cfg(not(any(windows, miri)))]
    if error.raw_os_error() == Some(libc::EINPROGRESS) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}

/// An address that refuses connections as long as the socket, which does not listen, exists.
pub(super) fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).expect("loopback can be bound");
    let address = socket.local_addr().expect("bound");
    (socket, address.as_socket().expect("an IPv4 address"))
}

/// Closes a connection so that the peer is told of a reset.
pub(super) fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .expect("linger can be set");
}

// Input and output

/// Sends `count` bytes, which must fit. (WASI's streams take nothing for a moment at first.)
#[track_caller]
pub(super) fn send(mut peer: impl Write, count: usize) {
    let bytes = vec![b'x'; count];
    sent(|| peer.write_all(&bytes));
}

/// Repeats on WASI what would block there for no reason that others have.
#[track_caller]
pub(super) fn sent<R>(mut send: impl FnMut() -> io::Result<R>) -> R {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match send() {
            Err(error)
                if cfg!(target_family = "wasm") && error.kind() == io::ErrorKind::WouldBlock =>
            {
                assert!(Instant::now() < deadline, "there is no room");
            }
            result => return result.expect("there is room"),
        }
    }
}

/// Reads at most `limit` bytes, telling the backend only if that would have blocked.
pub(super) fn read<B, T>(source: &Attached<B, T>, limit: usize) -> io::Result<usize>
where
    B: Subject,
    for<'a> &'a T: Read,
{
    source.do_io(R, |mut stream| stream.read(&mut vec![0; limit]))
}

/// Reads until it would block, or the stream ends; returns the number of bytes.
#[track_caller]
pub(super) fn drain<B, T>(source: &Attached<B, T>) -> usize
where
    B: Subject,
    for<'a> &'a T: Read,
{
    let mut total = 0;
    loop {
        match read(source, 1 << 16) {
            Ok(0) => return total,
            Ok(count) => total += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return total,
            Err(error) => panic!("reading failed: {error}"),
        }
    }
}

/// Writes until it would block, and goes on blocking.
#[track_caller]
pub(super) fn fill<B, T>(source: &Attached<B, T>)
where
    B: Subject,
    for<'a> &'a T: Write,
{
    let mut has_blocked = false;
    loop {
        match source.do_io(W, |mut stream| stream.write(&[b'x'; 1 << 16])) {
            Ok(_) => has_blocked = false,
            // A Unix socket's peer has the bytes at once. TCP's gets them from the buffer that was
            // full, which then is not.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if has_blocked || cfg!(unix) {
                    return;
                }
                has_blocked = true;
                thread::sleep(QUIET);
            }
            Err(error) => panic!("writing failed: {error}"),
        }
    }
}

/// Reads what a peer has, without any poller being told.
#[track_caller]
pub(super) fn drain_raw(mut peer: impl Read) -> usize {
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0;
    loop {
        match peer.read(&mut buffer) {
            Ok(0) => return total,
            Ok(count) => total += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return total,
            Err(error) => panic!("reading failed: {error}"),
        }
    }
}

// Time

/// Repeats until it is true, as a last resort where nothing can be waited for.
#[track_caller]
pub(super) fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_true() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::yield_now();
    }
}

/// Ends what another thread does in vain and without a timeout: runs `end` if it is not over by the
/// deadline.
pub(super) fn rescue(is_over: &AtomicBool, end: impl FnOnce()) {
    let deadline = Instant::now() + DEADLINE;
    while !is_over.load(Ordering::Relaxed) {
        if Instant::now() >= deadline {
            return end();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Gives another thread, which is about to poll, time to fall asleep. That it may not have does not
/// make a test fail; it makes it test less.
pub(super) fn let_it_fall_asleep() {
    thread::sleep(Duration::from_millis(10));
}

/// Numbers that look random and are the same for the same seed (xorshift64*).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number less than `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}
