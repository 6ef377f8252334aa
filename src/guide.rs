//! The guide: how to use Litio well, one topic per chapter.
//!
//! A program registers *sources* (sockets, pipes, its own) under *tokens*, waits in
//! [`Poll::poll`](crate::Poll::poll), and is told by *events* which of them are worth a try. It
//! tries until the operation returns [`WouldBlock`](std::io::ErrorKind::WouldBlock), and waits
//! again. There is no more to it than that, but each of these words has its fine print:
//!
//! 1. [Draining](draining): why to go on until `WouldBlock`, how to write, how to accept, how to
//!    stay fair.
//! 2. [Spurious events](spurious_events): why to believe the operation and not the event.
//! 3. [Connecting](connecting) without blocking.
//! 4. [Waking](waking): from other threads and from signal handlers.
//! 5. [Trigger modes](trigger_modes): edge, level, one-shot.
//! 6. [Errors](errors), signals among them.
//! 7. [Closing](closing) and deregistering.
//! 8. [Sources of your own](own_sources).
//! 9. [Several threads](threads).
//! 10. [Short reads](short_reads): how to skip the call that only returns `WouldBlock`.
//! 11. [Datagrams](datagrams): many UDP datagrams per call, and when it pays.
//! 12. [Scaling out](scaling_out): when one thread, or one machine, is no longer enough.
//! 13. [Diagnostics](diagnostics): counters, and a checker that finds the classic mistakes.
//! 14. [Portability](portability): what differs from system to system.
//! 15. [Coming from mio](migrating).
//!
//! Whole programs are in the repository's `examples/`: `quickstart`, `tcp_echo`, `udp_echo`,
//! `unix_chat`, `custom_source`, `thread_per_core`, `pass_listener`.
//!
//! The four rules to remember:
//!
//! - After an event, **repeat the operation until `WouldBlock`**.
//! - **Expect `WouldBlock`** even on the first try: events may be spurious.
//! - **Call `poll` again** when it returns `Interrupted`.
//! - **Deregister** what you do not close, and what has duplicates.

/// Draining: after an event, repeat the operation until it returns `WouldBlock`.
///
/// By default a registration is *edge-triggered*: an event says that the source became ready, not
/// that it still is. After an event, the same readiness may stay unreported until an operation has
/// returned [`WouldBlock`](std::io::ErrorKind::WouldBlock). On some systems new data makes a new
/// event before that; on others it does not. A program that stops early works on the former and
/// stalls on the latter.
///
/// ```
/// use litio::net::UdpSocket;
/// use litio::{Events, Interest, Poll, Token};
/// use std::io::{self, ErrorKind};
///
/// # fn main() -> io::Result<()> {
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
/// poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
///
/// for datagram in [b"one", b"two", b"six"] {
///     socket.send_to(datagram, socket.local_addr()?)?;
/// }
///
/// let mut received = Vec::new();
/// while received.len() < 3 {
///     poll.poll(&mut events, None)?;
///     for _event in &events {
///         loop {
///             let mut buffer = [0; 16];
///             match socket.recv_from(&mut buffer) {
///                 Ok((n, _)) => received.push(buffer[..n].to_vec()),
///                 Err(err) if err.kind() == ErrorKind::WouldBlock => break, // drained
///                 Err(err) => return Err(err),
///             }
///         }
///     }
/// }
/// assert_eq!(received, [b"one", b"two", b"six"]);
/// # Ok(())
/// # }
/// ```
///
/// # Each direction on its own
///
/// A read that would block re-arms the readable direction, a write the writable one, and neither
/// touches the other: a socket with room to write is not reported as writable each time a read has
/// drained it.
///
/// # Writing
///
/// Write first, and wait only when that would block. Keep what was not taken, and go on with it at
/// the next event:
///
/// ```
/// use std::io::{self, ErrorKind, Write};
///
/// /// Writes as much of `unsent` as it can. If some is left (false), an event says when to go on.
/// fn flush(stream: &mut impl Write, unsent: &mut Vec<u8>) -> io::Result<bool> {
///     while !unsent.is_empty() {
///         match stream.write(unsent) {
///             Ok(n) => drop(unsent.drain(..n)),
///             Err(err) if err.kind() == ErrorKind::WouldBlock => return Ok(false),
///             Err(err) => return Err(err),
///         }
///     }
///     Ok(true)
/// }
/// # let mut unsent = b"hello".to_vec();
/// # assert!(flush(&mut Vec::new(), &mut unsent).unwrap() && unsent.is_empty());
/// ```
///
/// `write_all` and `read_exact` are no use here: when they meet `WouldBlock`, they do not tell how
/// far they got. (`read_to_end` keeps what it has read.) Registering for both directions from the
/// start wastes nothing: writable is reported when it comes about, not over and over.
///
/// While a peer does not read, stop reading from it too, or limit what you keep for it. Otherwise
/// the peer decides how much memory you use.
///
/// # Accepting
///
/// One event may stand for many connections, so `accept` is repeated like any other operation. Its
/// errors often concern a single connection: after `ConnectionAborted`, take the next one. When
/// descriptors have run out (`EMFILE`), the waiting connections go on waiting, and no event is
/// promised for them: once a descriptor is free again, call `accept` again, or
/// [reregister](crate::Registry::reregister) the listener to be told of them.
///
/// # Staying fair
///
/// A peer that sends as fast as you read keeps such a loop busy for ever, and keeps everybody else
/// waiting. If that matters, stop after a number of rounds and *reregister*: what is ready is then
/// reported again, after the others' events. It costs one system call; [level
/// triggering](trigger_modes) needs none.
///
/// ```
/// # use litio::net::UdpSocket;
/// # use litio::{Events, Interest, Poll, Token};
/// # use std::io::{self, ErrorKind};
/// # fn main() -> io::Result<()> {
/// # let mut poll = Poll::new()?;
/// # let mut events = Events::with_capacity(8);
/// # let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
/// # poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
/// # for i in 0..40u8 { socket.send_to(&[i], socket.local_addr()?)?; }
/// # let mut received = 0;
/// # while received < 40 {
/// # poll.poll(&mut events, None)?;
/// # for event in &events {
/// let mut rounds_left = 16;
/// loop {
///     if rounds_left == 0 {
///         poll.registry().reregister(&mut socket, event.token(), Interest::READABLE)?;
///         break; // there will be another event if there is more
///     }
///     rounds_left -= 1;
///     match socket.recv(&mut [0; 1500]) {
///         Ok(n) => received += n,
///         Err(err) if err.kind() == ErrorKind::WouldBlock => break,
///         Err(err) => return Err(err),
///     }
/// }
/// # }
/// # }
/// # Ok(())
/// # }
/// ```
pub mod draining {}

/// Spurious events: an event is a reason to try, not a promise.
///
/// An operation may return `WouldBlock` in spite of an event: another thread was faster, the kernel
/// dropped a datagram with a wrong checksum, an earlier operation has already taken everything. No
/// event is ever lost, but one too many is allowed. So:
///
/// - `WouldBlock` after an event is not a failure. Wait for the next event.
/// - `poll` may, rarely, return before its timeout without any event. Look at the clock, not at
///   whether `events` is empty; or call [`poll_until`](crate::Poll::poll_until), which looks at the
///   clock for you.
/// - Beyond readable and writable, what an [`Event`](crate::event::Event) says is a hint.
///   [`is_read_closed`](crate::event::Event::is_read_closed) and
///   [`is_write_closed`](crate::event::Event::is_write_closed) are never wrong when set, but need
///   not be set; the proof is that `read` returns `Ok(0)`, or that `write` fails.
/// - A source may have one event with two directions or two events with one each, as the system
///   likes. Look at the source, not at the number of its events.
///
/// # Events that come too late
///
/// [`Events`](crate::Events) is a copy of how things stood when `poll` returned. If you handle an
/// event by closing another source, that source's event may still follow in the same batch. If its
/// token has been given to a new source in the meantime, the event seems to be the newcomer's. That
/// does no harm if you follow the first rule; but if something dangerous depends on a token, such
/// as an index that must be valid, never use a token twice:
///
/// ```
/// use litio::Token;
/// use std::collections::HashMap;
///
/// let mut tokens = (0..).map(Token); // no token is used twice
/// let mut connections = HashMap::new();
///
/// let token = tokens.next().unwrap();
/// connections.insert(token, "a connection");
/// connections.remove(&token);
///
/// // A late event: nothing has that token any more, and nothing new has it either.
/// assert!(connections.get_mut(&token).is_none());
/// assert_ne!(tokens.next().unwrap(), token);
/// ```
///
/// What is promised: a `poll` that begins after [`deregister`](crate::Registry::deregister) has
/// returned does not report the token.
pub mod spurious_events {}

/// Connecting: start, wait, ask how it went.
///
/// [`TcpStream::connect`](crate::net::TcpStream::connect) only starts to connect. Register the
/// stream with `WRITABLE`, wait for an event, and ask in this order:
///
/// 1. [`take_error`](crate::net::TcpStream::take_error): `Some` means that it failed, and says how.
/// 2. [`peer_addr`](crate::net::TcpStream::peer_addr): `Ok` means that it is connected,
///    `NotConnected` that the event was spurious. Wait for the next one: asking has re-armed the
///    source where that is needed.
///
/// ```
/// use litio::net::{TcpListener, TcpStream};
/// use litio::{Events, Interest, Poll, Token};
/// use std::io::{self, ErrorKind};
/// use std::time::{Duration, Instant};
///
/// /// Connects, or fails after `limit`. A server would have this in its one loop.
/// fn connect(poll: &mut Poll, mut stream: TcpStream, limit: Duration) -> io::Result<TcpStream> {
///     let mut events = Events::with_capacity(8);
///     let deadline = Instant::now() + limit;
///     poll.registry().register(&mut stream, Token(0), Interest::WRITABLE)?;
///     loop {
///         match poll.poll_until(&mut events, deadline) {
///             Err(err) if err.kind() == ErrorKind::Interrupted => continue,
///             result => result?,
///         }
///         if let Some(err) = stream.take_error()? {
///             return Err(err);
///         }
///         match stream.peer_addr() {
///             Ok(_) => return Ok(stream),
///             Err(err) if err.kind() == ErrorKind::NotConnected => {}
///             Err(err) => return Err(err),
///         }
///         if Instant::now() >= deadline {
///             return Err(ErrorKind::TimedOut.into());
///         }
///     }
/// }
///
/// # fn main() -> io::Result<()> {
/// let mut poll = Poll::new()?;
/// let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
/// let stream = TcpStream::connect(listener.local_addr()?)?;
/// let stream = connect(&mut poll, stream, Duration::from_secs(5))?;
/// assert_eq!(stream.peer_addr()?, listener.local_addr()?);
///
/// // Nobody listens here any more. `connect` itself says so, or an event, as the system likes.
/// let address = listener.local_addr()?;
/// drop((listener, stream));
/// let refused = TcpStream::connect(address)
///     .and_then(|stream| connect(&mut poll, stream, Duration::from_secs(5)));
/// assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
/// # Ok(())
/// # }
/// ```
///
/// Unix sockets are connected at once or not at all: `UnixStream::connect` may return `WouldBlock`
/// when the listener's queue is full, and then there is no stream. Try again later.
pub mod connecting {}

/// Waking: make a poller return because of something that is not I/O.
///
/// A [`Waker`](crate::Waker) makes the running `poll`, or else the next one, return with a readable
/// event under the waker's token. A `Poll` may have many wakers, each with a token of its own: one
/// for a queue, one for shutting down, one for a signal.
///
/// Wakes *coalesce*: any number of them, before the poller gets to them, make one event. So a waker
/// says "look", not "how often". Put the message somewhere else **before** you wake, and take
/// everything that is there when you see the event:
///
/// ```
/// use litio::{Events, Poll, Token, Waker};
/// use std::sync::{Arc, mpsc};
/// use std::thread;
///
/// const QUEUE: Token = Token(0);
/// const QUIT: Token = Token(1);
///
/// # fn main() -> std::io::Result<()> {
/// let mut poll = Poll::new()?;
/// let queue_waker = Arc::new(Waker::new(poll.registry(), QUEUE)?);
/// let quit_waker = Waker::new(poll.registry(), QUIT)?;
/// let (sender, queue) = mpsc::channel();
///
/// let producers: Vec<_> = (0..4)
///     .map(|i| {
///         let (sender, waker) = (sender.clone(), Arc::clone(&queue_waker));
///         thread::spawn(move || {
///             sender.send(i).unwrap(); // first the message,
///             waker.wake() // then the wake
///         })
///     })
///     .collect();
/// # let supervisor =
/// thread::spawn(move || {
///     for producer in producers {
///         producer.join().unwrap()?;
///     }
///     quit_waker.wake()?;
///     Ok::<_, std::io::Error>(quit_waker) // not dropped yet: a wake counts while its waker lives
/// });
///
/// let mut events = Events::with_capacity(8);
/// let mut received = Vec::new();
/// let mut quitting = false;
/// while !quitting {
///     poll.poll(&mut events, None)?;
///     quitting = events.iter().any(|event| event.token() == QUIT);
///     received.extend(queue.try_iter()); // all there is, however many wakes there were
/// }
/// received.sort();
/// assert_eq!(received, [0, 1, 2, 3]);
/// # supervisor.join().unwrap()?;
/// # Ok(())
/// # }
/// ```
///
/// A wake counts while its waker lives: dropping the waker frees its place and takes back a wake
/// that has not been delivered yet. Share it in an [`Arc`](std::sync::Arc). It may outlive the
/// `Poll`, and then does nothing.
///
/// # Cost
///
/// Waking a poller that is busy, or that has been woken already, costs a few nanoseconds and no
/// system call; waking one that is asleep costs one system call. There is no need to find out first
/// whether the poller is asleep.
///
/// Where a `Poll` is a descriptor (epoll, kqueue, event ports), it can be watched by another
/// poller, which sees wakes too. Once its descriptor has been asked for, the first wake of each
/// batch always makes the system call.
///
/// # Signal handlers
///
/// [`wake`](crate::Waker::wake) takes no lock, allocates nothing and keeps `errno`, so a signal
/// handler may call it:
///
/// ```
/// # #[cfg(unix)] fn main() -> std::io::Result<()> {
/// use litio::{Events, Poll, Token, Waker};
/// use std::io::ErrorKind;
/// use std::sync::OnceLock;
///
/// const SIGNAL: Token = Token(0);
/// static ON_SIGNAL: OnceLock<Waker> = OnceLock::new();
///
/// extern "C" fn handler(_signal: libc::c_int) {
///     if let Some(waker) = ON_SIGNAL.get() {
///         let _ = waker.wake(); // there is nobody to tell here
///     }
/// }
///
/// let mut poll = Poll::new()?;
/// ON_SIGNAL.set(Waker::new(poll.registry(), SIGNAL)?).unwrap();
/// let handler: extern "C" fn(libc::c_int) = handler;
/// // SAFETY: `handler` is an async-signal-safe function: it loads an atomic and wakes.
/// unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
/// // SAFETY: no preconditions.
/// unsafe { libc::raise(libc::SIGUSR1) };
///
/// let mut events = Events::with_capacity(8);
/// loop {
///     match poll.poll(&mut events, None) {
///         // The signal itself. The event comes with the next call.
///         Err(err) if err.kind() == ErrorKind::Interrupted => continue,
///         result => result?,
///     }
///     if events.iter().any(|event| event.token() == SIGNAL) {
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// # #[cfg(not(unix))] fn main() {}
/// ```
pub mod waking {}

/// Trigger modes: edge, level and one-shot, per registration.
///
/// | | an event comes | and the next |
/// |---|---|---|
/// | edge (default) | when the source becomes ready | is promised after `WouldBlock` or `reregister` |
/// | `.level()` | from every `poll` while the source is ready | from the next `poll` |
/// | `.oneshot()` | once, whatever the direction | only after `reregister` |
///
/// The mode is part of the [`Interest`](crate::Interest), so every source accepts it, your own
/// included: see [`Interest::level`](crate::Interest::level) and
/// [`Interest::oneshot`](crate::Interest::oneshot). `|` takes the stronger of two modes: one-shot
/// over level over edge.
///
/// **Edge** costs least: once drained, a source needs no further system call to be reported again.
///
/// **Level** is for when you do not want to drain: one message per event for fairness, a reader
/// that must leave data for somebody else, a descriptor that has to stay blocking. Do not ask for
/// `WRITABLE` in this mode while you have nothing to write: a socket is writable nearly all the
/// time, and `poll` will not sleep.
///
/// ```
/// use litio::net::UdpSocket;
/// use litio::{Events, Interest, Poll, Token};
///
/// # fn main() -> std::io::Result<()> {
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
/// poll.registry().register(&mut socket, Token(0), Interest::READABLE.level())?;
/// for datagram in [b"one", b"two"] {
///     socket.send_to(datagram, socket.local_addr()?)?;
/// }
///
/// for datagram in [b"one", b"two"] {
///     poll.poll(&mut events, None)?; // reports it each time
///     let mut buffer = [0; 3];
///     socket.recv(&mut buffer)?; // one receive is enough
///     assert_eq!(&buffer, datagram);
/// }
/// # Ok(())
/// # }
/// ```
///
/// **One-shot** is for handing the source to somebody else who gives it back with `reregister`: to
/// a pool of workers, say, no two of which may be at the same connection.
///
/// ```
/// use litio::net::UdpSocket;
/// use litio::{Events, Interest, Poll, Token};
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
/// let once = Interest::READABLE.oneshot();
/// poll.registry().register(&mut socket, Token(0), once)?;
///
/// socket.send_to(b"one", socket.local_addr()?)?;
/// poll.poll(&mut events, None)?;
/// assert_eq!(events.len(), 1);
///
/// socket.send_to(b"two", socket.local_addr()?)?;
/// poll.poll(&mut events, Some(Duration::from_millis(10)))?;
/// assert!(events.is_empty());
///
/// poll.registry().reregister(&mut socket, Token(0), once)?;
/// poll.poll(&mut events, None)?;
/// assert_eq!(events.len(), 1); // for both datagrams
/// # Ok(())
/// # }
/// ```
pub mod trigger_modes {}

/// Errors: which are not failures, and where the others come from.
///
/// # From `poll`
///
/// `Interrupted` means that a signal arrived. Call again; with
/// [`poll_until`](crate::Poll::poll_until) the deadline stays what it was, with
/// [`poll`](crate::Poll::poll) the timeout starts over. Programs without signal handlers need this
/// too: on Linux, stopping a program and continuing it is enough. Whenever `poll` returns an error,
/// `events` is empty: anything there is to report is reported first.
///
/// ```
/// use litio::{Events, Poll};
/// use std::io::{self, ErrorKind};
/// use std::time::{Duration, Instant};
///
/// fn wait(poll: &mut Poll, events: &mut Events, deadline: Instant) -> io::Result<()> {
///     loop {
///         match poll.poll_until(events, deadline) {
///             Err(err) if err.kind() == ErrorKind::Interrupted => {}
///             result => return result,
///         }
///     }
/// }
/// # let mut poll = Poll::new().unwrap();
/// # let deadline = Instant::now() + Duration::from_millis(1);
/// # wait(&mut poll, &mut Events::with_capacity(1), deadline).unwrap();
/// ```
///
/// `InvalidInput` means that `events` has capacity 0. Anything else comes from the system and means
/// trouble.
///
/// # From operations
///
/// - `WouldBlock`: not now. Wait for an event.
/// - `Interrupted`: hardly ever, from an operation that does not wait. Repeat it.
/// - Everything else is about the source. [`is_error`](crate::event::Event::is_error) is only a
///   hint that the next operation, or `take_error`, will say so; on some systems it is never set. A
///   program that tries the operation at every event learns of all errors without looking at it.
/// - A datagram socket may report what happened to an *earlier* datagram, for example
///   `ConnectionRefused` because a peer is gone. It goes on working for all other peers.
///
/// # From registering
///
/// | | means |
/// |---|---|
/// | `AlreadyExists` | the source is registered already. Use `reregister`, or deregister it first |
/// | `NotFound` | the source is not registered, or not with this `Poll` |
/// | `Unsupported` | this system cannot detect a direction that was asked for, such as `PRIORITY` |
/// | the system's own | for example `EPERM` from epoll for a regular file |
///
/// A `register` that fails leaves no trace: remove the cause and try again. In release builds
/// kqueue does not notice a double registration, and replaces the first.
///
/// The system's error code is kept: [`raw_os_error`](std::io::Error::raw_os_error).
pub mod errors {}

/// Closing and deregistering: what happens to a source at the end.
///
/// **Dropping** one of Litio's sources while it is registered is fine: that deregisters and closes
/// it. The exception is a source whose descriptor has duplicates (`dup`, `try_clone_to_owned`, a
/// forked process): epoll forgets it only when the last duplicate is closed, and reports it until
/// then. Deregister it first.
///
/// **Deregister**, too, what lives on outside the loop: a stream that is handed to blocking code,
/// or to another `Poll`. It stays non-blocking.
///
/// ```
/// use litio::net::TcpStream;
/// # use litio::net::TcpListener;
/// # use litio::{Interest, Poll, Token};
/// # fn main() -> std::io::Result<()> {
/// # let poll = Poll::new()?;
/// # let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
/// # let mut stream = TcpStream::connect(listener.local_addr()?)?;
/// # poll.registry().register(&mut stream, Token(0), Interest::READABLE)?;
/// poll.registry().deregister(&mut stream)?;
/// let stream = std::net::TcpStream::from(stream);
/// stream.set_nonblocking(false)?;
/// # Ok(())
/// # }
/// ```
///
/// **Dropping the `Poll`** leaves its sources open and usable; nothing reports them any more. A
/// source that is to go to another `Poll` must be deregistered first: before the `Poll` is dropped,
/// or afterwards with a clone of the [`Registry`](crate::Registry).
///
/// **After `fork`**, the child must not use a `Poll` that it inherited from its parent, nor that
/// `Poll`'s wakers and registered sources. On epoll both would share one event queue: what the
/// child polls or deregisters is lost to the parent. Dropping it all, or executing another program,
/// disturbs nothing.
///
/// # The end of a stream
///
/// The peer has finished when `read` returns `Ok(0)`. That comes after all that it sent, so read on
/// until then, even if the event says [`is_read_closed`](crate::event::Event::is_read_closed). The
/// peer may still be reading what *you* write.
///
/// To finish politely yourself: write everything, `shutdown(Shutdown::Write)`, read until `Ok(0)`,
/// drop. If you drop a stream that has unread data in it, TCP resets the connection, and the peer
/// may lose what was on its way.
///
/// # What comes after deregistering
///
/// No `poll` that begins after `deregister` has returned reports the token. Events that are already
/// in an [`Events`](crate::Events) stay there: see [late
/// events](spurious_events#events-that-come-too-late).
pub mod closing {}

/// Sources of your own: anything with a descriptor, and things without.
///
/// # A type that holds a source
///
/// A type that holds a source becomes one itself by forwarding the three methods of
/// [`Source`](crate::event::Source). The trigger mode travels in the interest.
///
/// ```
/// use litio::event::Source;
/// use litio::net::TcpStream;
/// use litio::{Interest, Registry, Token};
/// use std::io;
///
/// struct Session {
///     stream: TcpStream,
///     unsent: Vec<u8>,
/// }
///
/// impl Source for Session {
///     fn register(
///         &mut self,
///         registry: &Registry,
///         token: Token,
///         interests: Interest,
///     ) -> io::Result<()> {
///         self.stream.register(registry, token, interests)
///     }
///
///     fn reregister(
///         &mut self,
///         registry: &Registry,
///         token: Token,
///         interests: Interest,
///     ) -> io::Result<()> {
///         self.stream.reregister(registry, token, interests)
///     }
///
///     fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
///         self.stream.deregister(registry)
///     }
/// }
/// ```
///
/// # A descriptor
///
/// What Litio has no type for goes into an [`IoSource`](crate::IoSource): a timerfd, inotify, a
/// netlink socket, a terminal, a socket of another library. It must be non-blocking. Do its I/O
/// through [`do_io`](crate::IoSource::do_io) and name the direction in which it can block: where
/// the system has no edges of its own, that is how Litio learns when to re-arm.
///
/// ```
/// # #[cfg(unix)] fn main() -> std::io::Result<()> {
/// use litio::{Events, Interest, IoSource, Poll, Token};
/// use std::io::{ErrorKind, Write};
/// use std::os::unix::net::UnixDatagram;
///
/// let (ours, theirs) = UnixDatagram::pair()?; // std's
/// ours.set_nonblocking(true)?;
/// let mut source = IoSource::new(ours);
///
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// poll.registry().register(&mut source, Token(0), Interest::READABLE)?;
/// theirs.send(b"hello")?;
/// poll.poll(&mut events, None)?;
///
/// let mut buffer = [0; 16];
/// loop {
///     match source.do_io(Interest::READABLE, |socket| socket.recv(&mut buffer)) {
///         Ok(n) => assert_eq!(&buffer[..n], b"hello"),
///         Err(err) if err.kind() == ErrorKind::WouldBlock => break,
///         Err(err) => return Err(err),
///     }
/// }
/// # Ok(())
/// # }
/// # #[cfg(not(unix))] fn main() {}
/// ```
///
/// There is no `Deref`: I/O that bypasses the source would go unseen. What cannot block (addresses,
/// options) may go through [`get`](crate::IoSource::get).
///
/// Operations that Litio's own types lack, such as `recvmsg`, go through their `try_io_for` in the
/// same way. Mio's `try_io` is there too; it does not know the direction and re-arms all of them,
/// so it may cause a spurious event.
///
/// # A borrowed descriptor
///
/// `unix::SourceFd` registers a descriptor that belongs to somebody else. Litio then sees nothing
/// of its I/O. On epoll and kqueue that makes no difference. On the other systems it behaves as if
/// level-triggered, with limits: what has been reported and is still ready is reported again after
/// 1 ms, and then less and less often as long as that lasts, down to every 64 ms. No readiness is
/// lost, but `IoSource` is quicker and costs less.
///
/// # Something without a descriptor
///
/// A source need not be known to the system. A queue, for instance, makes a
/// [`Waker`](crate::Waker) in `register`, with the token it is given, and wakes when there is
/// something in it. `examples/custom_source` has such a channel, and a timer of the Linux kernel.
pub mod own_sources {}

/// Several threads: who may do what at the same time.
///
/// - **One thread polls** a `Poll`: `poll` takes `&mut self`.
/// - **Any thread registers**, with a clone of the [`Registry`](crate::Registry), even while the
///   poller is asleep. It takes effect at once.
/// - **Any thread wakes** ([Waking](waking)).
/// - **Any thread does I/O.** All of Litio's sources are `Send` and `Sync`, and their operations
///   take `&self` (streams are read and written as `&TcpStream`, like std's). If two threads read
///   from the same stream, each byte goes to one of them, and it does not matter which of them gets
///   the `WouldBlock`.
///
/// ```
/// use litio::net::UdpSocket;
/// use litio::{Events, Interest, Poll, Token};
/// use std::thread;
///
/// # fn main() -> std::io::Result<()> {
/// let mut poll = Poll::new()?;
/// let registry = poll.registry().try_clone()?;
/// let other = thread::spawn(move || {
///     let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
///     registry.register(&mut socket, Token(7), Interest::WRITABLE)?;
///     Ok::<_, std::io::Error>(socket) // dropping it would deregister it
/// });
///
/// let mut events = Events::with_capacity(8);
/// while events.is_empty() {
///     poll.poll(&mut events, None)?;
/// }
/// assert_eq!(events.iter().next().unwrap().token(), Token(7));
/// # other.join().unwrap()?;
/// # Ok(())
/// # }
/// ```
///
/// # Using all processors
///
/// Give each thread a `Poll` of its own, and each connection to one of the threads: then nothing is
/// shared, and nobody waits for anybody. One thread accepts and hands out the streams, through a
/// queue and a waker for each of the others. Or each thread has its own listener on the same
/// address, with `SO_REUSEPORT` (through the crate socket2), and the kernel hands out the
/// connections. `examples/thread_per_core.rs` does the former.
///
/// If it is the work that takes long and not the I/O, one `Poll` and a pool of workers will do; the
/// workers answer through a queue and a waker. [One-shot](trigger_modes) registrations keep two of
/// them away from the same source.
pub mod threads {}

/// Short reads: when the call that only returns `WouldBlock` can be skipped.
///
/// A loop that reads until `WouldBlock` makes one call more than the data needs. Usually the call
/// before has already shown that nothing is left: it got fewer bytes than it asked for. On every
/// platform, a read of `0 < n < asked` bytes from a [`TcpStream`](crate::net::TcpStream), a
/// `UnixStream` or a pipe counts as a `WouldBlock`: the next byte that arrives makes an event. (For
/// a vectored read, `asked` is the sum of the buffers.) The same holds for a short write and the
/// next room. The types say so: `SHORT_READ_DRAINS`, `SHORT_WRITE_FILLS`.
///
/// **It is not safe to stop** after a short read
///
/// - if the last event had [`is_read_closed`](crate::event::Event::is_read_closed),
///   [`is_write_closed`](crate::event::Event::is_write_closed) or
///   [`is_error`](crate::event::Event::is_error). Data and the end of the stream that arrived
///   together are one edge: after the data, nothing will announce the end;
/// - if the peer sends urgent data, passes descriptors, or writes to a pipe in packet mode
///   (`O_DIRECT`): these end a read early while there is more.
///
/// **The rule does not apply** to `Ok(0)`, to `peek`, to datagrams and `SOCK_SEQPACKET`, to
/// `accept`, to `recvmsg` and anything else that runs in `try_io`, to terminals, or to anything
/// registered through `SourceFd`. In all these cases go on until `WouldBlock`.
///
/// ```
/// use litio::event::Event;
/// use litio::net::TcpStream;
/// # use litio::net::TcpListener;
/// # use litio::{Events, Interest, Poll, Token};
/// use std::io::{self, ErrorKind, Read};
///
/// /// Reads what there is, in one call if that is enough. True at the end of the stream.
/// fn drain(mut stream: &TcpStream, event: &Event, received: &mut Vec<u8>) -> io::Result<bool> {
///     let may_stop = TcpStream::SHORT_READ_DRAINS
///         && !(event.is_read_closed() || event.is_write_closed() || event.is_error());
///     let mut buffer = [0; 4096];
///     loop {
///         match stream.read(&mut buffer) {
///             Ok(0) => return Ok(true),
///             Ok(n) => {
///                 received.extend_from_slice(&buffer[..n]);
///                 if n < buffer.len() && may_stop {
///                     return Ok(false);
///                 }
///             }
///             Err(err) if err.kind() == ErrorKind::WouldBlock => return Ok(false),
///             Err(err) => return Err(err),
///         }
///     }
/// }
/// # fn main() -> io::Result<()> {
/// # use std::io::Write;
/// # let mut poll = Poll::new()?;
/// # let mut events = Events::with_capacity(8);
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let mut stream = TcpStream::connect(listener.local_addr()?)?;
/// # let mut peer = listener.accept()?.0;
/// # poll.registry().register(&mut stream, Token(0), Interest::READABLE)?;
/// # let mut received = Vec::new();
/// # for _ in 0..3 {
/// #     peer.write_all(b"hello")?;
/// #     let wanted = received.len() + 5;
/// #     while received.len() < wanted {
/// #         poll.poll(&mut events, None)?;
/// #         for event in &events { assert!(!drain(&stream, event, &mut received)?); }
/// #     }
/// # }
/// # peer.write_all(b"bye")?;
/// # drop(peer);
/// # let mut ended = false;
/// # while !ended {
/// #     poll.poll(&mut events, None)?;
/// #     for event in &events { ended |= drain(&stream, event, &mut received)?; }
/// # }
/// # assert_eq!(received, b"hellohellohellobye");
/// # Ok(())
/// # }
/// ```
pub mod short_reads {}

/// Datagrams: many per call, and when it pays.
///
/// What costs in UDP is not so much the system call as the way through the network stack, which
/// each datagram travels alone. `sendmmsg` and `recvmmsg` therefore gain little. Datagrams that
/// travel together gain a lot: a *run* of datagrams of one length to one place, handed over in one
/// piece and cut at the end of the way, or not at all if the receiver is on the same machine and
/// coalesces. [`net::datagrams`](crate::net::datagrams) does this where the system can, and the
/// program is the same everywhere.
///
/// What a datagram of 64 bytes costs over loopback, sent and received, as a ratio to one `send` and
/// one `recv` per datagram (Linux 6.18; from `bench/results/results.md`, which `bench/` measures
/// again):
///
/// | datagrams in a run | 1 | 2 | 4 | 8 | 16 | 32 | 64 |
/// |---|---|---|---|---|---|---|---|
/// | sent in runs | 1.47 | 1.08 | 0.74 | 0.56 | 0.49 | 0.43 | 0.44 |
/// | sent and received in runs | 1.33 | 0.73 | 0.37 | 0.18 | 0.09 | 0.05 | 0.03 |
///
/// The same in runs of 64, by the mechanism that is used. To the same system calls made by hand,
/// with headers prepared once and for all, Litio adds 3 ns a datagram where whole runs are
/// received, and at most 5 % elsewhere:
///
/// | | `sendmmsg`, `recvmmsg` | sent in runs | sent and received in runs |
/// |---|---|---|---|
/// | 64 bytes | 0.99 | 0.43 | 0.02 |
/// | 1,200 bytes | 0.99 | 0.48 | 0.10 |
///
/// **It pays** when there is something to put in runs, best from 16 datagrams on: a QUIC or RTP
/// sender with a window to fill, a tunnel, a log shipper, a server whose answers have many parts.
/// Make runs as long as latency allows; runs of up to
/// [`Batch::max_segments`](crate::net::datagrams::Batch::max_segments) go in one piece, and longer
/// ones do no harm.
///
/// **It does not pay** for a datagram here and there, each to another peer: DNS, heartbeats, games.
/// [`send_to`](crate::net::UdpSocket::send_to) and [`recv_from`](crate::net::UdpSocket::recv_from)
/// are the right calls for those.
///
/// **On the receiving side** it pays if the peers send in runs, and costs memory: each buffer needs
/// 65,535 bytes, because what does not fit of a run is cut off and lost. Four to eight buffers are
/// plenty. Do not ask for metadata that you do not use: the kernel's work for each datagram grows
/// with it.
///
/// ```
/// use litio::net::UdpSocket;
/// use litio::net::datagrams::{Batch, SendRun, Wanted};
/// use litio::{Events, Interest, Poll, Token};
/// use std::io::{self, ErrorKind};
/// use std::net::SocketAddr;
///
/// /// Sends a message in packets of 1,200 bytes; waits when there is no room.
/// fn send_all(
///     poll: &mut Poll,
///     socket: &UdpSocket, // registered for writing
///     batch: &Batch,
///     message: &[u8],
///     to: SocketAddr,
/// ) -> io::Result<()> {
///     let mut events = Events::with_capacity(8);
///     let mut runs = [SendRun::new(message).segment_len(1200).to(to)];
///     let mut unsent = &mut runs[..];
///     while !unsent.is_empty() {
///         match socket.send_runs(batch, unsent) {
///             Ok(sent) => SendRun::advance_runs(&mut unsent, sent),
///             Err(err) if err.kind() == ErrorKind::WouldBlock => poll.poll(&mut events, None)?,
///             Err(err) => return Err(err),
///         }
///     }
///     Ok(())
/// }
/// # fn main() -> io::Result<()> {
/// # let mut poll = Poll::new()?;
/// # let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
/// # poll.registry().register(&mut socket, Token(0), Interest::WRITABLE)?;
/// # let batch = Batch::new(&socket, Wanted::NOTHING)?;
/// # send_all(&mut poll, &socket, &batch, &[0; 10_000], socket.local_addr()?)?;
/// # let mut buffer = [0; 2000];
/// # for _ in 0..9 { assert!(socket.recv(&mut buffer)? > 0); }
/// # assert_eq!(socket.recv(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
/// # Ok(())
/// # }
/// ```
///
/// **Draining** works as ever: go on until `WouldBlock`. A partial count does not replace it:
/// neither "fewer sent" nor "fewer received" promises an event.
///
/// **A network device** may lack what offload needs. Litio notices the refusal, sends what was
/// refused one by one, and stops trying where it is hopeless; from then on `max_segments` is 1.
pub mod datagrams {}

/// Scaling out: when one thread, or one machine, is no longer enough.
///
/// A `Poll` does not get slower with what it holds: 64 active connections cost the same beside
/// 10,000 idle ones as without them, and an idle connection costs nothing in user space but your
/// own record of it (on epoll and kqueue). What it costs the kernel, and what a round trip among
/// all the idle ones takes, `cargo run --release -- connections` in `bench/` measures on your
/// machine.
///
/// # Limits that come first
///
/// Each connection is a descriptor. On Linux, `RLIMIT_NOFILE` limits a process (raise the soft
/// limit to the hard one when the program starts; the service manager sets the hard one),
/// `fs.nr_open` limits that limit, and `fs.file-max` limits the whole system. When descriptors run
/// out, `accept` returns `EMFILE` or `ENFILE`: see [Draining](draining). A burst of new connections
/// waits in the listener's queue, which is as long as `listen` asked for and `net.core.somaxconn`
/// allows. A *client* needs a local port for each connection to the same address and port
/// (`net.ipv4.ip_local_port_range`); when those run out, it needs another source address.
///
/// # One `Poll` for each processor
///
/// One loop keeps one processor busy. To use more, run a thread with its own `Poll` on each, and
/// let the kernel hand out the connections: with `SO_REUSEPORT` each thread has its own listener on
/// the same port, and nothing is shared.
///
/// ```
/// # #[cfg(target_os = "linux")]
/// # fn main() -> std::io::Result<()> {
/// use litio::net::TcpListener;
/// use litio::{Events, Interest, Poll, Token};
/// use socket2::{Domain, Socket, Type};
/// use std::io;
/// use std::net::SocketAddr;
/// use std::time::Duration;
///
/// /// One of several listeners on the same address.
/// fn shared_listener(address: SocketAddr) -> io::Result<TcpListener> {
///     let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
///     socket.set_reuse_port(true)?; // before `bind`, on all of them
///     socket.bind(&address.into())?;
///     socket.listen(1024)?;
///     socket.set_nonblocking(true)?;
///     Ok(TcpListener::from_std(socket.into()))
/// }
///
/// let first = shared_listener("127.0.0.1:0".parse().unwrap())?;
/// let address = first.local_addr()?;
/// let second = shared_listener(address)?;
///
/// // Each thread has one of them, and its own `Poll`. Here they take turns in one thread.
/// let mut threads = Vec::new();
/// for mut listener in [first, second] {
///     let poll = Poll::new()?;
///     poll.registry().register(&mut listener, Token(0), Interest::READABLE)?;
///     threads.push((poll, listener));
/// }
/// # let connect = |_| std::net::TcpStream::connect(address).unwrap();
/// # let clients: Vec<_> = (0..32).map(connect).collect();
/// let (mut events, mut accepted) = (Events::with_capacity(8), [0, 0]);
/// while accepted.iter().sum::<i32>() < 32 {
///     for ((poll, listener), accepted) in threads.iter_mut().zip(&mut accepted) {
///         poll.poll(&mut events, Some(Duration::from_millis(1)))?;
///         while listener.accept().is_ok() {
///             *accepted += 1;
///         }
///     }
/// }
/// println!("{accepted:?}"); // about half of them on each
/// # drop(clients);
/// # Ok(())
/// # }
/// # #[cfg(not(target_os = "linux"))] fn main() {}
/// ```
///
/// What to know before you build on it:
///
/// - The kernel chooses by a hash of addresses and ports, not by load. Many connections even out; a
///   few heavy ones do not. Where there are few, let one thread accept them and hand them out
///   ([Several threads](threads)).
/// - A connection belongs to its listener as soon as it is established. If that listener closes
///   before it has accepted it, the connection is reset, unless `net.ipv4.tcp_migrate_req` moves it
///   to another. To restart without loss, pass the listener on (`examples/pass_listener.rs`).
/// - All sockets of the group must belong to one user. On macOS and the BSDs the option exists, but
///   does not spread connections; FreeBSD's `SO_REUSEPORT_LB` does. Windows has nothing like it.
/// - UDP works the same way: datagrams with the same addresses and ports reach the same socket. A
///   protocol whose peers change addresses, like QUIC, must route by its own connection IDs.
///
/// # Keeping a connection on its processor
///
/// A packet is processed on the processor that the network card's queue interrupts. It is best if
/// the thread that reads runs there too:
///
/// - Pin each thread (`sched_setaffinity`), and set `SO_INCOMING_CPU` on its listener
///   (`Socket::set_cpu_affinity` in socket2): within a group, the listener set to the packet's
///   processor is then preferred. (From Linux 4.6 until this was fixed at the end of 2022, the
///   kernel ignored it within a group.)
/// - Or attach a program of two instructions to the group with `SO_ATTACH_REUSEPORT_CBPF`: load the
///   processor's number, return it. The result is the index of the listener in the group, in the
///   order in which they began to listen. With eBPF the choice can depend on anything.
/// - Spread the card's interrupts over the same processors (`/proc/irq/*/smp_affinity`), one queue
///   for each. Where the card has fewer queues, receive packet steering (`rps_cpus`) does it in
///   software.
///
/// None of this shows on loopback, where sender and receiver share the work: measure with real
/// network cards before you keep it.
///
/// # Beyond the machine
///
/// Litio ends here, but a design should not:
///
/// - **DNS or anycast** spreads clients over locations, coarsely and slowly.
/// - **A packet-level balancer** (IPVS, or routers with equal-cost paths and consistent hashing)
///   spreads connections over machines without looking into them, and sees only one direction of
///   the traffic. It breaks connections when the set of machines changes, unless it hashes
///   consistently or keeps track of them.
/// - **A proxy** (HAProxy, Envoy, nginx) terminates connections and opens its own. It can balance
///   by load and by request, retry, and speak TLS, at the price of every byte passing twice. The
///   peer's address then comes in a header, or ahead of the bytes (PROXY protocol).
///
/// What makes a server easy to put behind any of them: it shows that it is full by not accepting,
/// it can be told to finish (close the listener, let connections end, then leave), and it keeps
/// nothing about a client that another machine could not look up.
pub mod scaling_out {}

/// Diagnostics: see what a poller does, and have the classic mistakes found.
///
/// Two tools, both off by default, and free while they are:
///
/// | | answers | in | turned on by |
/// |---|---|---|---|
/// | [`Counters`](crate::diagnostics::Counters) | what does the poller do all day? | every build | [`Registry::set_counting`](crate::Registry::set_counting), while it runs |
/// | [`Checker`](crate::diagnostics::Checker) | which source is it, and where was it registered? | debug builds | [`Poll::set_checker`](crate::Poll::set_checker), or `LITIO_CHECK=report` in the environment |
///
/// # A processor that is busy for nothing
///
/// A server that takes a whole processor while nobody talks to it calls `poll` too often. The
/// counters show whether it does, and their proportions show why: many `empty_polls` mean timeouts
/// that are too short; many `events` while all sources are idle mean a level-triggered source that
/// nobody serves; many `wakes` mean a waker that wakes for nothing.
///
/// Here the time until a timer is due is rounded down to whole milliseconds, so that `poll` is
/// asked not to wait at all when that is less than one:
///
/// ```
/// use litio::diagnostics::Counting;
/// use litio::{Events, Poll};
/// use std::time::{Duration, Instant};
///
/// # fn main() -> std::io::Result<()> {
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// poll.registry().set_counting(Counting::On);
///
/// for _ in 0..20 {
///     let deadline = Instant::now() + Duration::from_micros(900);
///     while Instant::now() < deadline {
///         let left = deadline.saturating_duration_since(Instant::now());
///         let ms = left.as_millis() as u64; // the bug
///         poll.poll(&mut events, Some(Duration::from_millis(ms)))?;
///     }
/// }
/// let spinning = poll.registry().counters(); // thousands of `empty_polls` for twenty timers
///
/// // As it should be: `poll` never rounds a timeout down.
/// for _ in 0..20 {
///     poll.poll_until(&mut events, Instant::now() + Duration::from_micros(900))?;
/// }
/// let sleeping = poll.registry().counters().since(&spinning); // twenty
/// # let mut spinning = spinning;
/// # spinning.empty_polls = spinning.empty_polls.max(100); // a machine may be too busy to spin
/// assert!(sleeping.empty_polls < spinning.empty_polls, "{sleeping:?} after {spinning:?}");
/// # Ok(())
/// # }
/// ```
///
/// Give the thread that serves a status page a `registry().try_clone()`: it can turn counting on,
/// look twice and turn it off again, while the poller polls.
///
/// # A connection that hangs
///
/// After an event this program receives one datagram, and waits for the next event. When two have
/// come together, the second stays where it is and so, on some systems, does everything that comes
/// after it: see [draining]. The checker waits until its *patience* is over, and then says which
/// socket it is.
///
/// ```
/// use litio::diagnostics::{Checker, Mistake};
/// use litio::net::UdpSocket;
/// use litio::{Events, Interest, Poll, Token};
/// use std::sync::mpsc;
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// let (sender, findings) = mpsc::channel();
/// let checker = Checker::new(move |finding| {
///     eprintln!("{finding}");
///     let _ = sender.send(finding.clone());
/// });
/// let is_checked = poll.set_checker(checker.patience(Duration::from_millis(10)));
///
/// let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
/// poll.registry().register(&mut socket, Token(7), Interest::READABLE)?;
/// let place = line!() - 1;
/// socket.send_to(b"one", socket.local_addr()?)?;
/// socket.send_to(b"two", socket.local_addr()?)?;
///
/// poll.poll(&mut events, None)?;
/// assert_eq!(socket.recv(&mut [0; 16])?, 3); // the bug: once, not until it would block
/// poll.poll(&mut events, Some(Duration::from_millis(50)))?;
///
/// if is_checked {
///     let finding = findings.try_recv().expect("found while `poll` was waiting");
///     assert_eq!((finding.mistake(), finding.token()), (Mistake::Undrained, Token(7)));
///     assert_eq!(finding.registered_at().line(), place);
/// }
///
/// // As it should be. Nothing is found, however long it waits.
/// while socket.recv(&mut [0; 16]).is_ok() {}
/// poll.poll(&mut events, Some(Duration::from_millis(50)))?;
/// assert!(findings.try_recv().is_err());
/// # Ok(())
/// # }
/// ```
///
/// A program that leaves bytes in a socket on purpose, because it has no room for them, is reported
/// too. Give the checker more patience than such a pause lasts, or reregister without `READABLE`
/// meanwhile: then nothing is missed and nothing reported.
///
/// # A loop that spins
///
/// A socket is writable nearly all the time. If it is registered for that with
/// [`level`](crate::Interest::level) while there is nothing to write, every `poll` returns at once:
///
/// ```
/// # use litio::diagnostics::{Checker, Mistake};
/// # use litio::net::UdpSocket;
/// # use litio::{Events, Interest, Poll, Token};
/// # use std::sync::mpsc;
/// # fn main() -> std::io::Result<()> {
/// # let mut poll = Poll::new()?;
/// # let mut events = Events::with_capacity(8);
/// # let (sender, findings) = mpsc::channel();
/// # let is_checked = poll.set_checker(Checker::new(move |finding| {
/// #     let _ = sender.send(finding.clone());
/// # }));
/// let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
/// let interest = Interest::READABLE | Interest::WRITABLE.level(); // the bug
/// poll.registry().register(&mut socket, Token(7), interest)?;
/// # let start = std::time::Instant::now();
/// for _ in 0..300 {
///     poll.poll(&mut events, None)?; // does not sleep
///     for event in &events {
///         while event.is_readable() && socket.recv(&mut [0; 16]).is_ok() {}
///     }
/// }
/// # // What takes a busy machine so long is no spinning.
/// # let is_checked = is_checked && start.elapsed().as_secs() < 1;
/// if is_checked {
///     assert_eq!(findings.try_recv().unwrap().mistake(), Mistake::Spinning);
/// }
/// # Ok(())
/// # }
/// ```
///
/// The same is found for a stream that is read again and again at its end, and for a listener whose
/// `accept` fails because descriptors have run out: what counts is whether an operation gets
/// anywhere.
///
/// # Events from nowhere
///
/// A duplicated descriptor keeps the registration alive after the source is gone: epoll goes on
/// reporting it, under a token that the program may have given to somebody else by then:
///
/// ```
/// # #[cfg(unix)] fn main() -> std::io::Result<()> {
/// # use litio::diagnostics::{Checker, Mistake};
/// # use litio::net::UnixStream;
/// # use litio::{Events, Interest, Poll, Token};
/// # use std::io::Write;
/// # use std::os::fd::AsFd;
/// # use std::sync::mpsc;
/// # use std::time::Duration;
/// # let mut poll = Poll::new()?;
/// # let mut events = Events::with_capacity(8);
/// # let (sender, findings) = mpsc::channel();
/// # let is_checked = poll.set_checker(Checker::new(move |finding| {
/// #     let _ = sender.send(finding.clone());
/// # }));
/// let (mut ours, mut theirs) = UnixStream::pair()?;
/// poll.registry().register(&mut ours, Token(7), Interest::READABLE)?;
/// let duplicate = ours.as_fd().try_clone_to_owned()?;
/// drop(ours); // the bug: not deregistered
///
/// theirs.write_all(b"anybody there?")?;
/// poll.poll(&mut events, Some(Duration::from_millis(50)))?;
/// let found: Vec<_> = findings.try_iter().map(|finding| finding.mistake()).collect();
/// if is_checked && !events.is_empty() {
///     // The first is found as `poll` begins, the second when the event comes.
///     assert_eq!(found, [Mistake::Leaked, Mistake::Gone]);
/// }
/// # drop(duplicate);
/// # Ok(())
/// # }
/// # #[cfg(not(unix))] fn main() {}
/// ```
///
/// # Registered twice, registered elsewhere
///
/// `register` refuses both, but an error that is thrown away is not seen, and it does not say where
/// the source was registered first. The checker does:
///
/// ```
/// # use litio::diagnostics::{Checker, Mistake};
/// # use litio::net::UdpSocket;
/// # use litio::{Interest, Poll, Token};
/// # use std::sync::mpsc;
/// # fn main() -> std::io::Result<()> {
/// # let mut poll = Poll::new()?;
/// # let (sender, findings) = mpsc::channel();
/// # let is_checked = poll.set_checker(Checker::new(move |finding| {
/// #     let _ = sender.send(finding.clone());
/// # }));
/// let other = Poll::new()?;
/// let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
/// poll.registry().register(&mut socket, Token(7), Interest::READABLE)?;
///
/// // The bug: the socket was handed to another thread's `Poll` and is still registered with ours.
/// let _ = other.registry().register(&mut socket, Token(1), Interest::READABLE);
/// let called = line!() - 1;
///
/// if is_checked {
///     let finding = findings.try_recv().unwrap();
///     assert_eq!(finding.mistake(), Mistake::RegisteredElsewhere);
///     assert_eq!(finding.called_at().map(|place| place.line()), Some(called));
/// }
/// # Ok(())
/// # }
/// ```
///
/// # A whole program
///
/// `LITIO_CHECK=report` in the environment of a debug build gives every `Poll` a checker that
/// prints to standard error, even where a runtime owns the `Poll`; `LITIO_CHECK=panic cargo test`
/// makes tests fail on a finding. A runtime that stores readiness for its tasks, as tokio does,
/// drains a socket only when the task gets to it: give it patience, `LITIO_CHECK=report,10000`
/// (milliseconds).
pub mod diagnostics {}

/// Portability: what differs from system to system.
///
/// A program that follows the rules of this guide need not know which selector serves it. These
/// differences remain:
///
/// | selector | systems | edges come from | `SourceFd` |
/// |---|---|---|---|
/// | epoll | Linux, Android | the kernel | exact |
/// | kqueue | Apple, the BSDs | the kernel | exact |
/// | event ports | Solaris, illumos | Litio, on `WouldBlock` | repeats, 1 to 64 ms |
/// | poll(2) | other Unixes, WASI | Litio, on `WouldBlock` | repeats, 1 to 64 ms |
/// | AFD | Windows | Litio, on `WouldBlock` | `SourceSocket`: repeats, 1 to 64 ms |
///
/// | selector | resolution of timeouts | more directions | is a descriptor |
/// |---|---|---|---|
/// | epoll | ns; ms before Linux 5.11, on Android | `PRIORITY` (Linux, Android) | yes |
/// | kqueue | ns | `AIO`, `LIO` where the system has them | yes |
/// | event ports | ns | none | yes |
/// | poll(2) | ms | `PRIORITY` (Linux, Android) | no |
/// | AFD | ms | none | no |
///
/// - Where edges come from the kernel, new data makes a new event even before you have drained the
///   old, and a registration takes up no space in the source (in release builds). Where they come
///   from Litio, only `WouldBlock`, a short transfer or `reregister` makes way for the next event,
///   and a registration takes 16 to 24 bytes.
/// - kqueue reports a source that is readable and writable in two events, the others in one.
/// - kqueue does not notice a double registration in release builds: the second replaces the first.
///   All others return `AlreadyExists`.
///
/// WASI has no threads, so a wake is for the next `poll`; and preview 1 only accepts connections.
/// `PLATFORMS.md` in the repository says what differs on each platform, how it is tested, and when
/// it last was.
///
/// On Linux, `RUSTFLAGS='--cfg litio_backend="poll"'` replaces epoll with poll(2): a way to see
/// whether a program relies on something that only epoll does.
///
/// The same everywhere: every socket, pipe and accepted connection is non-blocking and
/// close-on-exec; timeouts are never rounded down, and [`Duration::MAX`](std::time::Duration::MAX)
/// is fine; at most [`Events::capacity`](crate::Events::capacity) events come with a call, and the
/// rest with the next.
///
/// # Do not rely on
///
/// - which of error, read-closed and write-closed are set, and when;
/// - the order of events;
/// - a source being reported only once for two directions;
/// - an event for new data before you have drained the old.
pub mod portability {}

/// Coming from mio: one line of `Cargo.toml`.
///
/// ```toml
/// [dependencies]
/// mio = { package = "litio", version = "0.1", features = ["os-poll", "net"] }
/// ```
///
/// Everything in mio 1.2 is here under the same names, so the code stays as it is. (Or write `litio
/// = "0.1"` and rename.) Mio's features are accepted and mean nothing: everything is always there.
/// Only `log` is a real feature, on by default as in mio.
///
/// Where mio comes in through a dependency, the package named `mio` in the repository takes its
/// place everywhere:
///
/// ```toml
/// [patch.crates-io]
/// mio = { path = "…/litio/crates/mio" }
/// ```
///
/// A `Cargo.lock` keeps the mio that it names until `cargo update -p mio`.
///
/// # What behaves better
///
/// - A `Poll` may have several [`Waker`](crate::Waker)s, and a dropped one frees its place. Mio
///   allows one.
/// - `wake` makes a system call only when the poller is asleep.
/// - Only the direction that would block is re-armed. With mio, on systems without edges, draining
///   a socket that has room to write makes it report writable again each time.
/// - A registration that failed leaves no trace, so a second attempt is not refused.
/// - Timeouts below a millisecond are kept on Linux.
/// - `Iter::size_hint` and `count` are right after the iterator has advanced.
///
/// # What is new
///
/// [Level and one-shot](trigger_modes), [`IoSource`](crate::IoSource),
/// [`Poll::poll_until`](crate::Poll::poll_until), [`Poll::set_spin`](crate::Poll::set_spin),
/// [`Events::len`](crate::Events::len), [`Event::new`](crate::event::Event::new) for tests,
/// `try_io_for`, the [short-read rule](short_reads), and all five directions of
/// [`Interest`](crate::Interest) as constants on every system.
///
/// # What to look at
///
/// - Code that uses `Interest::PRIORITY`, `AIO` or `LIO` compiles on every system, and gets
///   `Unsupported` from `register` where the system lacks them.
/// - Dropping a `Waker` takes back a wake that has not been delivered yet: keep the waker until its
///   last event has been seen.
/// - The text of `{:#?}` for an event differs, as mio reserves the right to do.
///
/// # From mio 0.8
///
/// `net::SocketAddr` for Unix sockets has been std's since mio 1.0:
/// `std::os::unix::net::SocketAddr`, whose `as_abstract_name` replaces `as_abstract_namespace`.
pub mod migrating {}
