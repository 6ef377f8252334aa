//! The contenders that say what is ready and leave reading and writing to the program: raw epoll,
//! Litio, mio, polling.
//!
//! They stand behind one trait, so that every loop of this suite is written once and compiled for
//! each. All are used as their documentation asks, edge-triggered, with their own types of sockets
//! where they have any.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// As many events as one wait takes at most.
pub const CAPACITY: usize = 1024;

/// Rouses an engine from another thread.
pub trait Wake: Send + Sync + 'static {
    fn wake(&self);
}

/// A queue of readiness.
pub trait Engine: Sized + Send + 'static {
    const NAME: &'static str;
    type Listener;
    type Stream: Send;
    type Waker: Wake;

    fn new() -> io::Result<Self>;

    /// Takes over a socket that does not block.
    fn listener(listener: TcpListener) -> Self::Listener;
    /// Likewise.
    fn stream(stream: TcpStream) -> Self::Stream;

    fn accept(listener: &Self::Listener) -> io::Result<Self::Stream>;
    /// Both halves of a stream: every contender reads and writes through a shared reference.
    fn io(stream: &Self::Stream) -> impl Read + Write;

    fn listen(&self, listener: &mut Self::Listener, token: usize) -> io::Result<()>;
    fn register(&self, stream: &mut Self::Stream, token: usize) -> io::Result<()>;
    fn reregister(&self, stream: &mut Self::Stream, token: usize) -> io::Result<()>;
    fn deregister(&self, stream: &mut Self::Stream) -> io::Result<()>;
    /// Closes a registered stream with as little as the contender allows.
    fn close(&self, stream: Self::Stream) {
        drop(stream);
    }

    fn waker(&self, token: usize) -> io::Result<Self::Waker>;

    /// Asks so long before sleeping: only Litio knows how.
    fn spin(&mut self, _: Duration) {}
    /// Waits until something is ready. Signals are passed over.
    fn wait(&mut self, timeout: Option<Duration>);
    /// The tokens of what the last wait found to be readable.
    fn ready(&self) -> impl Iterator<Item = usize>;

    /// The queue's own descriptor.
    fn queue(&self) -> RawFd;

    /// Adds a descriptor behind the contender's back, with epoll's own words: alike in all of them,
    /// and level-triggered where a row wants it to stay ready.
    fn add(&self, fd: RawFd, token: usize, events: i32) {
        let mut event = epoll_event(token, events);
        let result = unsafe { libc::epoll_ctl(self.queue(), libc::EPOLL_CTL_ADD, fd, &mut event) };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
    }
}

/// What a program would write by hand: the limit.
pub struct Raw {
    epoll: OwnedFd,
    events: Box<[libc::epoll_event]>,
    len: usize,
}

/// What every contender asks of epoll for a stream.
const READABLE: i32 = libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET;

fn epoll_event(token: usize, events: i32) -> libc::epoll_event {
    libc::epoll_event {
        events: events as u32,
        u64: token as u64,
    }
}

impl Raw {
    fn control(&self, operation: i32, fd: RawFd, token: usize) -> io::Result<()> {
        let mut event = epoll_event(token, READABLE);
        match unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Engine for Raw {
    const NAME: &'static str = "raw epoll";
    type Listener = TcpListener;
    type Stream = Descriptor;
    type Waker = EventFd;

    fn new() -> io::Result<Raw> {
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Raw {
            epoll: unsafe { OwnedFd::from_raw_fd(fd) },
            events: vec![epoll_event(0, 0); CAPACITY].into(),
            len: 0,
        })
    }

    fn listener(listener: TcpListener) -> TcpListener {
        listener
    }

    fn stream(stream: TcpStream) -> Descriptor {
        Descriptor(stream.into())
    }

    fn accept(listener: &TcpListener) -> io::Result<Descriptor> {
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let fd = listener.as_raw_fd();
        // std would ask for the flags with two calls, and every library asks for the peer's
        // address: so do we.
        let mut address: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        let mut len = size_of_val(&address) as libc::socklen_t;
        match unsafe { libc::accept4(fd, (&raw mut address).cast(), &mut len, flags) } {
            ..0 => Err(io::Error::last_os_error()),
            fd => Ok(Descriptor(unsafe { OwnedFd::from_raw_fd(fd) })),
        }
    }

    #[inline(always)]
    fn io(stream: &Descriptor) -> impl Read + Write {
        stream
    }

    fn listen(&self, listener: &mut TcpListener, token: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, listener.as_raw_fd(), token)
    }

    fn register(&self, stream: &mut Descriptor, token: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, stream.0.as_raw_fd(), token)
    }

    fn reregister(&self, stream: &mut Descriptor, token: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, stream.0.as_raw_fd(), token)
    }

    fn deregister(&self, stream: &mut Descriptor) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, stream.0.as_raw_fd(), 0)
    }

    fn waker(&self, token: usize) -> io::Result<EventFd> {
        let waker = EventFd::new()?;
        self.add(waker.0.as_raw_fd(), token, libc::EPOLLIN | libc::EPOLLET);
        Ok(waker)
    }

    #[inline(always)]
    fn wait(&mut self, timeout: Option<Duration>) {
        let (epoll, events) = (self.epoll.as_raw_fd(), self.events.as_mut_ptr());
        let count = match timeout {
            None => unsafe { libc::epoll_wait(epoll, events, CAPACITY as i32, -1) },
            Some(timeout) if timeout.subsec_nanos() % 1_000_000 == 0 => {
                let millis = timeout.as_millis() as i32;
                unsafe { libc::epoll_wait(epoll, events, CAPACITY as i32, millis) }
            }
            Some(timeout) => {
                let timeout = libc::timespec {
                    tv_sec: timeout.as_secs() as i64,
                    tv_nsec: timeout.subsec_nanos().into(),
                };
                let (call, no_mask) = (libc::SYS_epoll_pwait2, ptr::null::<libc::sigset_t>());
                unsafe { libc::syscall(call, epoll, events, CAPACITY, &timeout, no_mask, 0) as i32 }
            }
        };
        self.len = usize::try_from(count).unwrap_or_else(|_| failed(io::Error::last_os_error()));
    }

    #[inline(always)]
    fn ready(&self) -> impl Iterator<Item = usize> {
        let readable = |event: &&libc::epoll_event| {
            event.events & (libc::EPOLLIN | libc::EPOLLPRI) as u32 != 0
        };
        let events = self.events[..self.len].iter().filter(readable);
        events.map(|event| event.u64 as usize)
    }

    fn queue(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

/// A socket by hand: std's own, which all others build on, has its calls behind functions that are
/// not inlined.
pub struct Descriptor(OwnedFd);

impl Read for &Descriptor {
    #[inline(always)]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (fd, start) = (self.0.as_raw_fd(), buffer.as_mut_ptr().cast());
        transferred(unsafe { libc::recv(fd, start, buffer.len(), 0) })
    }
}

impl Write for &Descriptor {
    #[inline(always)]
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let (fd, start) = (self.0.as_raw_fd(), buffer.as_ptr().cast());
        transferred(unsafe { libc::send(fd, start, buffer.len(), libc::MSG_NOSIGNAL) })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[inline(always)]
fn transferred(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Wakes as one would by hand: a write each time.
pub struct EventFd(OwnedFd);

impl EventFd {
    pub fn new() -> io::Result<EventFd> {
        match unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) } {
            ..0 => Err(io::Error::last_os_error()),
            fd => Ok(EventFd(unsafe { OwnedFd::from_raw_fd(fd) })),
        }
    }

    pub fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Wake for EventFd {
    fn wake(&self) {
        let one = 1_u64.to_ne_bytes();
        let written = unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        assert_eq!(written, 8);
    }
}

/// A wait ended without events: a signal is none, and anything else is a bug of ours.
#[cold]
fn failed(error: io::Error) -> usize {
    assert_eq!(error.kind(), io::ErrorKind::Interrupted, "{error}");
    0
}

/// Litio and mio have the same names for everything here.
macro_rules! engine {
    ($name:ident, $text:literal, $library:ident, $($own:item)*) => {
        #[doc = $text]
        pub struct $name {
            poll: $library::Poll,
            events: $library::Events,
        }

        impl Engine for $name {
            const NAME: &'static str = $text;
            type Listener = $library::net::TcpListener;
            type Stream = $library::net::TcpStream;
            type Waker = $library::Waker;

            fn new() -> io::Result<$name> {
                Ok($name {
                    poll: $library::Poll::new()?,
                    events: $library::Events::with_capacity(CAPACITY),
                })
            }

            fn listener(listener: TcpListener) -> Self::Listener {
                $library::net::TcpListener::from_std(listener)
            }

            fn stream(stream: TcpStream) -> Self::Stream {
                $library::net::TcpStream::from_std(stream)
            }

            fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
                listener.accept().map(|(stream, _)| stream)
            }

            #[inline(always)]
            fn io(stream: &Self::Stream) -> impl Read + Write {
                stream
            }

            fn listen(&self, listener: &mut Self::Listener, token: usize) -> io::Result<()> {
                let (token, interest) = ($library::Token(token), $library::Interest::READABLE);
                self.poll.registry().register(listener, token, interest)
            }

            fn register(&self, stream: &mut Self::Stream, token: usize) -> io::Result<()> {
                let (token, interest) = ($library::Token(token), $library::Interest::READABLE);
                self.poll.registry().register(stream, token, interest)
            }

            fn reregister(&self, stream: &mut Self::Stream, token: usize) -> io::Result<()> {
                let (token, interest) = ($library::Token(token), $library::Interest::READABLE);
                self.poll.registry().reregister(stream, token, interest)
            }

            fn deregister(&self, stream: &mut Self::Stream) -> io::Result<()> {
                self.poll.registry().deregister(stream)
            }

            fn waker(&self, token: usize) -> io::Result<Self::Waker> {
                $library::Waker::new(self.poll.registry(), $library::Token(token))
            }

            #[inline(always)]
            fn wait(&mut self, timeout: Option<Duration>) {
                if let Err(error) = self.poll.poll(&mut self.events, timeout) {
                    failed(error);
                }
            }

            #[inline(always)]
            fn ready(&self) -> impl Iterator<Item = usize> {
                let readable = self.events.iter().filter(|event| event.is_readable());
                readable.map(|event| event.token().0)
            }

            fn queue(&self) -> RawFd {
                self.poll.as_raw_fd()
            }

            $($own)*
        }

        impl Wake for $library::Waker {
            fn wake(&self) {
                self.wake().expect("a waker wakes");
            }
        }
    };
}

engine!(
    OnLitio,
    "Litio",
    litio,
    fn spin(&mut self, budget: Duration) {
        self.poll.set_spin(budget);
    }
);
engine!(OnMio, "mio", mio,);

/// polling, in the edge-triggered mode that it offers beside its usual one-shot.
pub struct OnPolling {
    poller: Arc<polling::Poller>,
    events: polling::Events,
}

impl OnPolling {
    fn add_source(&self, source: &impl AsRawFd, token: usize) -> io::Result<()> {
        let (event, edge) = (polling::Event::readable(token), polling::PollMode::Edge);
        // It asks that sources be deleted before they are closed: see `close`.
        unsafe { self.poller.add_with_mode(source.as_raw_fd(), event, edge) }
    }
}

impl Engine for OnPolling {
    const NAME: &'static str = "polling";
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Waker = Arc<polling::Poller>;

    fn new() -> io::Result<OnPolling> {
        let capacity = NonZeroUsize::new(CAPACITY).expect("not zero");
        Ok(OnPolling {
            poller: Arc::new(polling::Poller::new()?),
            events: polling::Events::with_capacity(capacity),
        })
    }

    fn listener(listener: TcpListener) -> TcpListener {
        listener
    }

    fn stream(stream: TcpStream) -> TcpStream {
        stream
    }

    fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
        let (stream, _) = listener.accept()?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }

    #[inline(always)]
    fn io(stream: &TcpStream) -> impl Read + Write {
        stream
    }

    fn listen(&self, listener: &mut TcpListener, token: usize) -> io::Result<()> {
        self.add_source(listener, token)
    }

    fn register(&self, stream: &mut TcpStream, token: usize) -> io::Result<()> {
        self.add_source(stream, token)
    }

    fn reregister(&self, stream: &mut TcpStream, token: usize) -> io::Result<()> {
        let (event, edge) = (polling::Event::readable(token), polling::PollMode::Edge);
        self.poller.modify_with_mode(stream, event, edge)
    }

    fn deregister(&self, stream: &mut TcpStream) -> io::Result<()> {
        self.poller.delete(stream)
    }

    fn close(&self, mut stream: TcpStream) {
        self.deregister(&mut stream).expect("it is registered");
    }

    fn waker(&self, _: usize) -> io::Result<Arc<polling::Poller>> {
        Ok(Arc::clone(&self.poller))
    }

    #[inline(always)]
    fn wait(&mut self, timeout: Option<Duration>) {
        self.events.clear();
        if let Err(error) = self.poller.wait(&mut self.events, timeout) {
            failed(error);
        }
    }

    #[inline(always)]
    fn ready(&self) -> impl Iterator<Item = usize> {
        let readable = self.events.iter().filter(|event| event.readable);
        readable.map(|event| event.key)
    }

    fn queue(&self) -> RawFd {
        self.poller.as_raw_fd()
    }
}

impl Wake for Arc<polling::Poller> {
    fn wake(&self) {
        self.notify().expect("a poller is notified");
    }
}

/// The address of a listener of std's.
pub fn loopback() -> SocketAddr {
    SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0))
}
