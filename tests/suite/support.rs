//! What the tests stand on: facts about the platform, a [`Rig`] that waits for events with a
//! deadline and says what came instead, and pairs of connected sockets.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::BitOr;
use std::time::{Duration, Instant};

use litio::event::{Event, Source};
use litio::net::{TcpListener, TcpStream};
use litio::{Events, Interest, Poll, Registry, Token};

/// How long an event may take before a test fails. Generous: some runs are emulated, all share
/// cores.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// How long silence must last before a test believes that nothing comes.
pub(crate) const QUIET: Duration = Duration::from_millis(40);

/// poll(2) was chosen at build time instead of the platform's best selector.
pub(crate) const FORCED_POLL: bool =
    cfg!(any(litio_backend = "poll", mio_unsupported_force_poll_poll));
/// The selector reports again only after an operation would have blocked, as all emulated edges do.
pub(crate) const REARMED_BY_WOULD_BLOCK: bool =
    FORCED_POLL || !cfg!(any(target_os = "linux", target_os = "android"));
/// One event carries all that is known of a source: epoll and poll(2), but not kqueue's two
/// filters.
pub(crate) const COMBINED_EVENTS: bool = cfg!(any(target_os = "linux", target_os = "android"));
/// The kernel tells of errors, closed halves and urgent data as epoll(7) describes.
pub(crate) const LINUX_HINTS: bool = cfg!(any(target_os = "linux", target_os = "android"));

pub(crate) const A: Token = Token(1);
pub(crate) const B: Token = Token(2);
pub(crate) const C: Token = Token(3);

/// The readiness of one or more events, in the test's own words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen(u8);

pub(crate) const NOTHING: Seen = Seen(0);
pub(crate) const READABLE: Seen = Seen(1);
pub(crate) const WRITABLE: Seen = Seen(2);
pub(crate) const ERROR: Seen = Seen(4);
pub(crate) const READ_CLOSED: Seen = Seen(8);
pub(crate) const WRITE_CLOSED: Seen = Seen(16);
pub(crate) const PRIORITY: Seen = Seen(32);

impl Seen {
    pub(crate) fn of(event: &Event) -> Seen {
        let mut seen = NOTHING;
        for (is_set, bit) in [
            (event.is_readable(), READABLE),
            (event.is_writable(), WRITABLE),
            (event.is_error(), ERROR),
            (event.is_read_closed(), READ_CLOSED),
            (event.is_write_closed(), WRITE_CLOSED),
            (event.is_priority(), PRIORITY),
        ] {
            if is_set {
                seen = seen | bit;
            }
        }
        seen
    }

    pub(crate) fn has(self, bits: Seen) -> bool {
        self.0 & bits.0 == bits.0
    }
}

impl BitOr for Seen {
    type Output = Seen;

    fn bitor(self, other: Seen) -> Seen {
        Seen(self.0 | other.0)
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            "READABLE",
            "WRITABLE",
            "ERROR",
            "READ_CLOSED",
            "WRITE_CLOSED",
            "PRIORITY",
        ];
        let set = names
            .iter()
            .enumerate()
            .filter(|(bit, _)| self.0 & (1 << bit) != 0);
        let set: Vec<&str> = set.map(|(_, name)| *name).collect();
        f.write_str(if set.is_empty() { "NOTHING" } else { "" })?;
        f.write_str(&set.join(" | "))
    }
}

/// A poll with its events, and the reports that no test has asked for yet.
pub(crate) struct Rig {
    pub(crate) poll: Poll,
    pub(crate) events: Events,
    unclaimed: Vec<(Token, Seen)>,
}

impl Rig {
    #[track_caller]
    pub(crate) fn new() -> Rig {
        Rig::with_capacity(64)
    }

    #[track_caller]
    pub(crate) fn with_capacity(capacity: usize) -> Rig {
        let poll = Poll::new().expect("a new Poll");
        Rig {
            poll,
            events: Events::with_capacity(capacity),
            unclaimed: Vec::new(),
        }
    }

    pub(crate) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    #[track_caller]
    pub(crate) fn register(&self, source: &mut dyn Source, token: Token, interest: Interest) {
        self.registry()
            .register(source, token, interest)
            .expect("register");
    }

    #[track_caller]
    pub(crate) fn reregister(&self, source: &mut dyn Source, token: Token, interest: Interest) {
        self.registry()
            .reregister(source, token, interest)
            .expect("reregister");
    }

    #[track_caller]
    pub(crate) fn deregister(&self, source: &mut dyn Source) {
        self.registry().deregister(source).expect("deregister");
    }

    /// Polls once and returns what this call reported, in order.
    #[track_caller]
    pub(crate) fn poll_once(&mut self, timeout: Duration) -> Vec<(Token, Seen)> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Vec::new(),
            Err(error) => panic!("poll failed: {error}"),
        }
        self.events
            .iter()
            .map(|event| (event.token(), Seen::of(event)))
            .collect()
    }

    /// Waits until the events of `token`, taken together, show all of `wanted`; returns what they
    /// showed. Reports of other tokens are kept for later.
    #[track_caller]
    pub(crate) fn expect(&mut self, token: Token, wanted: Seen) -> Seen {
        let deadline = Instant::now() + DEADLINE;
        let mut seen = NOTHING;
        loop {
            self.unclaimed.retain(|&(owner, report)| {
                if owner == token {
                    seen = seen | report;
                }
                owner != token
            });
            if seen.has(wanted) && seen != NOTHING {
                return seen;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "awaited {wanted:?} on {token:?} for {DEADLINE:?}; it showed {seen:?}; others: {:?}",
                self.unclaimed,
            );
            let came = self.poll_once(left.min(Duration::from_secs(1)));
            self.unclaimed.extend(came);
        }
    }

    /// Fails if any event is left over or comes within [`QUIET`].
    #[track_caller]
    pub(crate) fn expect_nothing(&mut self) {
        let mut came = std::mem::take(&mut self.unclaimed);
        let deadline = Instant::now() + QUIET;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            came.extend(self.poll_once(left));
            assert!(
                came.is_empty(),
                "awaited silence for {QUIET:?}; there came {came:?}"
            );
            if left.is_zero() {
                return;
            }
        }
    }
}

/// Whether timeouts are kept to the nanosecond, not rounded up to a millisecond: the selector has a
/// call for it, and so have the kernel and its emulators here.
pub(crate) fn has_fine_timeouts() -> bool {
    #[cfg(all(target_os = "linux", not(miri)))]
    let answers = {
        let null = std::ptr::null::<u8>();
        #[expect(unsafe_code, reason = "not every C library has epoll_pwait2")]
        // SAFETY: there is no such descriptor, so nothing is read or written.
        let result = unsafe { libc::syscall(libc::SYS_epoll_pwait2, -1, null, 1, null, null, 8) };
        let error = io::Error::last_os_error().raw_os_error();
        result != -1 || ![Some(libc::ENOSYS), Some(libc::EPERM)].contains(&error)
    };
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let answers = false;
    answers && !FORCED_POLL
}

/// The address whose port the system chooses, on the IPv4 loopback.
pub(crate) fn any_v4() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// The same on an address that no other test takes, where all of 127.0.0.0/8 is this machine: a
/// port that is given up there is not somebody else's a moment later.
pub(crate) fn any_v4_apart() -> SocketAddr {
    let is_there = cfg!(any(target_os = "linux", target_os = "android", windows));
    let apart = if is_there { 77 } else { 0 };
    (Ipv4Addr::new(127, apart, 0, 1), 0).into()
}

/// The address whose port the system chooses, on the IPv6 loopback, if this machine has it:
/// containers often do not.
pub(crate) fn any_v6() -> Option<SocketAddr> {
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    std::net::UdpSocket::bind(address).ok().map(|_| address)
}

/// The index of the loopback's network interface.
#[cfg(unix)]
#[expect(unsafe_code, reason = "std has no if_nametoindex")]
pub(crate) fn loopback_index() -> u32 {
    let name = if cfg!(target_os = "linux") {
        c"lo"
    } else {
        c"lo0"
    };
    // SAFETY: `name` is a C string that lives through the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    assert_ne!(index, 0, "no interface {name:?}");
    index
}

/// A Litio stream and its peer, a blocking stream of std.
#[track_caller]
pub(crate) fn stream_and_peer() -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind(any_v4()).expect("bind");
    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).expect("connect");
    let (stream, _) = listener.accept().expect("accept");
    peer.set_read_timeout(Some(DEADLINE)).ok();
    stream.set_nonblocking(true).unwrap();
    (TcpStream::from_std(stream), peer)
}

/// Two streams connected and accepted by Litio itself; the connecting one first.
#[track_caller]
pub(crate) fn tcp_pair() -> (TcpStream, TcpStream) {
    let mut rig = Rig::new();
    let mut listener = TcpListener::bind(any_v4()).expect("bind");
    rig.register(&mut listener, A, Interest::READABLE);
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).expect("connect");
    rig.register(&mut near, B, Interest::WRITABLE);
    let (far, _) = accept_from(&mut rig, A, &listener);
    rig.expect(B, WRITABLE);
    assert!(near.take_error().unwrap().is_none());
    near.peer_addr().expect("connected");
    rig.deregister(&mut near);
    (near, far)
}

/// Waits for `listener`, registered with `token`, and accepts.
#[track_caller]
pub(crate) fn accept_from(
    rig: &mut Rig,
    token: Token,
    listener: &TcpListener,
) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept() {
            Ok(accepted) => return accepted,
            Err(error) if is_would_block(&error) => rig.expect(token, READABLE),
            Err(error) => panic!("accept failed: {error}"),
        };
    }
}

pub(crate) fn is_would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

#[track_caller]
pub(crate) fn expect_would_block<T: fmt::Debug>(result: io::Result<T>) {
    expect_error(io::ErrorKind::WouldBlock, result);
}

#[track_caller]
pub(crate) fn expect_error<T: fmt::Debug>(kind: io::ErrorKind, result: io::Result<T>) {
    match result {
        Err(error) if error.kind() == kind => {}
        other => panic!("awaited an error of kind {kind:?}; there came {other:?}"),
    }
}

/// Reads until `WouldBlock` or the end; returns what was there.
#[track_caller]
pub(crate) fn drain(mut source: impl Read) -> Vec<u8> {
    let mut taken = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return taken,
            Ok(n) => taken.extend_from_slice(&buffer[..n]),
            Err(error) if is_would_block(&error) => return taken,
            Err(error) => panic!("read failed: {error}"),
        }
    }
}

/// Writes until `WouldBlock`; returns how many bytes were taken.
#[track_caller]
pub(crate) fn fill(mut sink: impl Write) -> usize {
    let mut written = 0;
    loop {
        match sink.write(&[b'x'; 4096]) {
            Ok(n) => written += n,
            Err(error) if is_would_block(&error) => return written,
            Err(error) => panic!("write failed: {error}"),
        }
    }
}

/// Fills `sink` until no room is made any more: what the peer's kernel takes in the background may
/// make it writable again. Returns how much was written and what was reported meanwhile.
#[track_caller]
pub(crate) fn fill_until_quiet(rig: &mut Rig, mut sink: impl Write) -> (usize, Seen) {
    let (mut written, mut seen) = (0, NOTHING);
    let deadline = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < deadline, "no end of {seen:?}");
        written += fill(&mut sink);
        let came = rig.poll_once(QUIET);
        if came.is_empty() {
            return (written, seen);
        }
        seen = came
            .into_iter()
            .fold(seen, |seen, (_, report)| seen | report);
    }
}

/// Waits for `source`, registered with `token`, until `wanted` bytes have been read from it.
#[track_caller]
pub(crate) fn read_exactly(
    rig: &mut Rig,
    token: Token,
    mut source: impl Read,
    wanted: usize,
) -> Vec<u8> {
    let mut taken = Vec::new();
    let mut buffer = [0; 65536];
    while taken.len() < wanted {
        match source.read(&mut buffer) {
            Ok(0) => panic!(
                "awaited {wanted} bytes; the stream ended after {}",
                taken.len()
            ),
            Ok(n) => taken.extend_from_slice(&buffer[..n]),
            Err(error) if is_would_block(&error) => {
                rig.expect(token, READABLE);
            }
            Err(error) => panic!("read failed: {error}"),
        }
    }
    taken
}

/// Runs `body` on a thread of its own and fails if it takes longer than [`DEADLINE`]: for calls
/// that may block for good when a promise is broken.
#[track_caller]
pub(crate) fn within_deadline<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || done.send(body()));
    match result.recv_timeout(DEADLINE) {
        Ok(value) => value,
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("blocked for {DEADLINE:?}"),
        Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => unreachable!("a thread that ended without a panic has sent its result"),
        },
    }
}

/// An address at which nobody listens.
pub(crate) fn refused_address() -> SocketAddr {
    // Bound, so that nobody else gets the port, but not listening. Kept for good: a test binary
    // ends.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&any_v4().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(socket);
    address
}
