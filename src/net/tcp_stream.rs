//! TCP connections.

use std::io;
use std::net::{self, Shutdown, SocketAddr};

use super::{debug_as_std, into_std, operations, reads, rearm_if_connecting, source, writes};
use crate::interest::Interest;
use crate::io_source::IoSource;
#[cfg(not(all(target_os = "wasi", target_env = "p1")))]
use crate::sys::socket::tcp;

/// A TCP connection.
///
/// Read and write it through [`Read`](io::Read) and [`Write`](io::Write), on the stream or on a
/// shared reference to it.
///
/// # Examples
///
/// Connecting, and the end of a stream:
///
/// ```
/// use litio::net::{TcpListener, TcpStream};
/// use litio::{Events, Interest, Poll, Token};
/// use std::io::{self, ErrorKind, Read};
///
/// # fn main() -> io::Result<()> {
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let mut stream = TcpStream::connect(listener.local_addr()?)?;
///
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// poll.registry().register(&mut stream, Token(0), Interest::WRITABLE)?;
/// loop {
///     poll.poll(&mut events, None)?;
///     if let Some(error) = stream.take_error()? {
///         return Err(error); // refused, for instance
///     }
///     match stream.peer_addr() {
///         Ok(_) => break, // connected
///         Err(error) if error.kind() == ErrorKind::NotConnected => {} // not yet: wait again
///         Err(error) => return Err(error),
///     }
/// }
///
/// poll.registry().reregister(&mut stream, Token(0), Interest::READABLE)?;
/// drop(listener.accept()?);
/// poll.poll(&mut events, None)?;
/// assert_eq!(stream.read(&mut [0; 16])?, 0);
/// # Ok(())
/// # }
/// ```
pub struct TcpStream {
    inner: IoSource<net::TcpStream>,
}

impl TcpStream {
    /// True: a read of fewer bytes than were asked for has drained the socket.
    ///
    /// A program may then wait for the next event at once, and skip the read that would only return
    /// `WouldBlock`. On every platform such a read counts as one that returned it, so that the next
    /// byte to arrive makes an event.
    ///
    /// Read on nevertheless, until `WouldBlock`, `Ok(0)` or an error,
    ///
    /// * if the last event was [`is_read_closed`](crate::event::Event::is_read_closed),
    ///   [`is_write_closed`](crate::event::Event::is_write_closed) or
    ///   [`is_error`](crate::event::Event::is_error): data and the end of the stream that arrived
    ///   together are one edge, and nothing announces the end again;
    /// * if the peer sends urgent data, which ends a read early.
    ///
    /// This holds for [`Read::read`](io::Read::read) and
    /// [`Read::read_vectored`](io::Read::read_vectored) (where the sum of the buffers is what was
    /// asked for). It does not hold for [`peek`](TcpStream::peek), which takes nothing out, nor for
    /// what runs in [`try_io`](TcpStream::try_io).
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::TcpStream;
    /// use std::io::{self, Read};
    ///
    /// /// Reads what there is. `is_ending`: the event was read-closed, write-closed or an error.
    /// fn drain(stream: &mut TcpStream, buffer: &mut [u8], is_ending: bool) -> io::Result<()> {
    ///     loop {
    ///         match stream.read(buffer) {
    ///             Ok(0) => return Ok(()), // the end
    ///             Ok(n) => {
    ///                 // … use buffer[..n] …
    ///                 if n < buffer.len() && TcpStream::SHORT_READ_DRAINS && !is_ending {
    ///                     return Ok(());
    ///                 }
    ///             }
    ///             Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
    ///             Err(error) => return Err(error),
    ///         }
    ///     }
    /// }
    /// ```
    pub const SHORT_READ_DRAINS: bool = true;

    /// True: a write of fewer bytes than were asked for has filled the socket.
    ///
    /// A program may then wait for the next event at once, and skip the write that would only
    /// return `WouldBlock`: the same rule as [`SHORT_READ_DRAINS`](TcpStream::SHORT_READ_DRAINS),
    /// with the first of its exceptions.
    pub const SHORT_WRITE_FILLS: bool = true;

    /// Makes a stream and starts to connect it.
    ///
    /// `Ok` only means that connecting has begun. Then:
    ///
    /// 1. register the stream with [`Interest::WRITABLE`] and wait for an event;
    /// 2. call [`take_error`](TcpStream::take_error): if there is an error, connecting failed;
    /// 3. call [`peer_addr`](TcpStream::peer_addr): an address means that the stream is connected,
    ///    [`NotConnected`](io::ErrorKind::NotConnected) that the event was spurious: wait for the
    ///    next one.
    ///
    /// Both calls re-arm the source if they find that it is still connecting.
    ///
    /// # Errors
    ///
    /// Those of socket(2) and connect(2), except `EINPROGRESS`. Failures of the connection itself,
    /// such as a refusal, come here or later, as the system likes.
    ///
    /// # System calls
    ///
    /// socket(2), connect(2); also fcntl(2), except on Linux, illumos, Solaris and the BSDs; also
    /// setsockopt(2) on the BSDs and on Apple systems.
    ///
    /// # Examples
    ///
    /// See [the type's](TcpStream#examples).
    #[cfg(not(all(target_os = "wasi", target_env = "p1")))]
    pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        tcp::connect(address).map(TcpStream::from_std)
    }

    /// Wraps a stream of std's, which must be non-blocking. Nothing about it is changed.
    ///
    /// This is the way to a stream made with `socket2`, or anything else that sets options before
    /// it connects. Connecting may still be in progress; go on as after
    /// [`connect`](TcpStream::connect).
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::TcpStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let address = listener.local_addr()?;
    /// let stream = std::net::TcpStream::connect(address)?;
    /// stream.set_nonblocking(true)?;
    /// let stream = TcpStream::from_std(stream);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn from_std(stream: net::TcpStream) -> TcpStream {
        TcpStream {
            inner: IoSource::new(stream),
        }
    }

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) while connecting; the source is then re-armed
    /// for writing. The same if connecting failed, so call
    /// [`take_error`](TcpStream::take_error) first. `EINVAL` on macOS once the connection is shut
    /// down.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::TcpStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let address = listener.local_addr()?;
    /// let stream = TcpStream::from_std(std::net::TcpStream::connect(address)?);
    /// assert_eq!(stream.peer_addr()?, address);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "getpeername")]
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        let result = self.inner.get().peer_addr();
        rearm_if_connecting(&self.inner, &result)?;
        result
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2), which do not occur for an open socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::TcpStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let address = listener.local_addr()?;
    /// let stream = TcpStream::from_std(std::net::TcpStream::connect(address)?);
    /// let (_, peer_of_the_other_end) = listener.accept()?;
    /// assert_eq!(stream.local_addr()?, peer_of_the_other_end);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get().local_addr()
    }

    /// Shuts down reading, writing or both, for everyone who shares the socket.
    ///
    /// After `Write` the peer reads the end of the stream. After `Read` this side does; whether
    /// bytes that arrive later are discarded or refused depends on the system.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected), on macOS also the second time. Otherwise
    /// those of shutdown(2).
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::TcpStream;
    /// use std::io::Read;
    /// use std::net::Shutdown;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let address = listener.local_addr()?;
    /// let stream = TcpStream::from_std(std::net::TcpStream::connect(address)?);
    /// let (mut other_end, _) = listener.accept()?;
    /// stream.shutdown(Shutdown::Write)?;
    /// assert_eq!(other_end.read(&mut [0; 16])?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.get().shutdown(how)
    }

    /// Sets whether small writes are sent at once (`TCP_NODELAY`, true) or gathered while an
    /// acknowledgement is awaited (false, the default). A program that writes whole messages wants
    /// true.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    ///
    /// # Platform notes
    ///
    /// On Windows, unspecified before the stream is connected: wait until it is writable.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::TcpStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let address = listener.local_addr()?;
    /// let stream = TcpStream::from_std(std::net::TcpStream::connect(address)?);
    /// stream.set_nodelay(true)?;
    /// assert!(stream.nodelay()?);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "TCP_NODELAY")]
    pub fn set_nodelay(&self, is_nodelay: bool) -> io::Result<()> {
        self.inner.get().set_nodelay(is_nodelay)
    }

    /// Whether small writes are sent at once; see [`set_nodelay`](TcpStream::set_nodelay), also for
    /// an example.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    pub fn nodelay(&self) -> io::Result<bool> {
        self.inner.get().nodelay()
    }

    /// Sets the time to live, in hops, of IPv4 packets (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2): `EINVAL` for 0 and for more than 255, and on some systems for an
    /// IPv6 socket.
    ///
    /// # Platform notes
    ///
    /// On Windows, unspecified before the stream is connected: wait until it is writable.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::TcpStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let address = listener.local_addr()?;
    /// let stream = TcpStream::from_std(std::net::TcpStream::connect(address)?);
    /// stream.set_ttl(42)?;
    /// assert_eq!(stream.ttl()?, 42);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "IP_TTL")]
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.inner.get().set_ttl(ttl)
    }

    /// The time to live, in hops; see [`set_ttl`](TcpStream::set_ttl), also for an example.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    pub fn ttl(&self) -> io::Result<u32> {
        self.inner.get().ttl()
    }

    /// Takes the pending error of the socket, if there is one, and clears it (`SO_ERROR`). This is
    /// where the error of a failed connect is found; see [`connect`](TcpStream::connect).
    ///
    /// If there is none and the stream is still connecting, the source is re-armed for writing.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2) itself; the pending error is in the `Option`.
    ///
    /// # Examples
    ///
    /// See [the type's](TcpStream#examples).
    #[doc(alias = "SO_ERROR")]
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let taken = self.inner.get().take_error()?;
        if taken.is_none() && IoSource::<net::TcpStream>::IS_REARMED {
            rearm_if_connecting(&self.inner, &self.inner.get().peer_addr())?;
        }
        Ok(taken)
    }

    /// Copies bytes that have arrived into `buffer`, and leaves them to be read again.
    ///
    /// `Ok(0)` at the end of the stream, or for a buffer of no bytes. Fewer bytes than asked for do
    /// not say that no more are there; see [`SHORT_READ_DRAINS`](TcpStream::SHORT_READ_DRAINS).
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if none have arrived; otherwise those of recv(2).
    ///
    /// # System calls
    ///
    /// recv(2) with `MSG_PEEK`.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::TcpStream;
    /// use std::io::{ErrorKind, Read, Write};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let address = listener.local_addr()?;
    /// let stream = std::net::TcpStream::connect(address)?;
    /// // Blocking, only here, to keep the example short.
    /// let mut stream = TcpStream::from_std(stream);
    /// let (mut other_end, _) = listener.accept()?;
    /// other_end.write_all(b"peeked")?;
    ///
    /// let mut buffer = [0; 4];
    /// assert_eq!(stream.peek(&mut buffer)?, 4);
    /// assert_eq!(stream.read(&mut buffer)?, 4);
    /// assert_eq!(&buffer, b"peek");
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "MSG_PEEK")]
    #[inline]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner
            .do_io(Interest::READABLE, |stream| stream.peek(buffer))
    }

    operations! {
        /// # Examples
        ///
        /// Reading by other means, here std's:
        ///
        /// ```
        /// # #[cfg(unix)] fn main() -> std::io::Result<()> {
        /// use litio::Interest;
        /// use litio::net::TcpStream;
        /// use std::io::Read;
        /// use std::os::fd::AsFd;
        ///
        /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        /// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
        /// stream.set_nonblocking(true)?;
        /// let stream = TcpStream::from_std(stream);
        /// let mut same = std::net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        /// let mut buffer = [0; 16];
        /// let result = stream.try_io_for(Interest::READABLE, || same.read(&mut buffer));
        /// let error = result.unwrap_err();
        /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        /// # Ok(())
        /// # }
        /// # #[cfg(not(unix))] fn main() {}
        /// ```
    }
}

reads!(TcpStream, super::receive);
writes!(TcpStream, super::send);
source!(TcpStream, net::TcpStream);
debug_as_std!(TcpStream);
into_std!(TcpStream, net::TcpStream);
