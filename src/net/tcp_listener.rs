//! Accepting TCP connections.

use std::io;
use std::net::{self, SocketAddr};

use super::{TcpStream, debug_as_std, into_std, operations, source};
use crate::interest::Interest;
use crate::io_source::IoSource;
use crate::sys::socket::tcp;

/// A TCP socket that accepts connections.
///
/// Readable means that a connection is waiting. One event may stand for several: accept until
/// `WouldBlock`.
///
/// # Examples
///
/// ```
/// use litio::net::TcpListener;
/// use litio::{Events, Interest, Poll, Token};
/// use std::io::ErrorKind::WouldBlock;
///
/// # fn main() -> std::io::Result<()> {
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// let mut listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
/// poll.registry().register(&mut listener, Token(0), Interest::READABLE)?;
///
/// let client = std::net::TcpStream::connect(listener.local_addr()?)?;
/// poll.poll(&mut events, None)?;
/// loop {
///     match listener.accept() {
///         Ok((_stream, peer)) => assert_eq!(peer, client.local_addr()?),
///         Err(error) if error.kind() == WouldBlock => break,
///         Err(error) => return Err(error),
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct TcpListener {
    inner: IoSource<net::TcpListener>,
}

impl TcpListener {
    /// Makes a listener on an address; with port 0, on a free port, which
    /// [`local_addr`](TcpListener::local_addr) tells.
    ///
    /// It accepts connections from the start. A port whose last connections are still in
    /// `TIME_WAIT` can be used again, one that has a listener cannot. The backlog is that of std:
    /// 128 connections, or fewer if the system allows no more.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) or
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable), as the system judges; otherwise the
    /// error of the system call that failed.
    ///
    /// # Platform notes
    ///
    /// `SO_REUSEADDR` is set, except on Windows, where it would let two listeners share a port.
    /// Whether a listener on `[::]` accepts IPv4 as well is the system's choice; use `socket2` and
    /// [`from_std`](TcpListener::from_std) to make it yours.
    ///
    /// # System calls
    ///
    /// socket(2), setsockopt(2), bind(2), listen(2); also fcntl(2), except on Linux, illumos,
    /// Solaris and the BSDs.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::TcpListener;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
    /// let again = TcpListener::bind(listener.local_addr()?).unwrap_err();
    /// assert_eq!(again.kind(), std::io::ErrorKind::AddrInUse);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(not(all(target_os = "wasi", target_env = "p1")))]
    #[doc(alias = "listen")]
    pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        tcp::listen(address).map(TcpListener::from_std)
    }

    /// Wraps a listener of std's, which must be non-blocking. Nothing about it is changed.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::TcpListener;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// listener.set_nonblocking(true)?;
    /// let listener = TcpListener::from_std(listener);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn from_std(listener: net::TcpListener) -> TcpListener {
        TcpListener {
            inner: IoSource::new(listener),
        }
    }

    /// Accepts a connection: returns a stream, non-blocking and close-on-exec whatever the listener
    /// is, and its peer's address.
    ///
    /// The stream is not registered. Which options it inherits from the listener depends on the
    /// system.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if no connection is waiting. Of the others,
    /// `ECONNABORTED` and, on Linux, network errors of the new connection (accept(2) lists them)
    /// concern one connection only: go on. `EMFILE` and `ENFILE` leave the connection waiting,
    /// without a new event: try again when descriptors are free. A signal is not an error here; the
    /// call is repeated.
    ///
    /// # System calls
    ///
    /// accept4(2); accept(2) and fcntl(2) where that is missing, and on 32-bit x86 Android.
    ///
    /// # Examples
    ///
    /// See [the type's](TcpListener#examples).
    #[inline]
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.inner.do_io(Interest::READABLE, tcp::accept)?;
        Ok((TcpStream::from_std(stream), peer))
    }

    /// The address on which it listens, with the port that the system chose if it was 0.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2), which do not occur for an open socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::TcpListener;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
    /// assert_ne!(listener.local_addr()?.port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get().local_addr()
    }

    /// Sets the time to live, in hops, of IPv4 packets that connections accepted later send
    /// (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2): `EINVAL` for 0 and for more than 255, and on some systems for a
    /// listener on an IPv6 address.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::TcpListener;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
    /// listener.set_ttl(42)?;
    /// assert_eq!(listener.ttl()?, 42);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "IP_TTL")]
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.inner.get().set_ttl(ttl)
    }

    /// The time to live, in hops; see [`set_ttl`](TcpListener::set_ttl), also for an example.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    pub fn ttl(&self) -> io::Result<u32> {
        self.inner.get().ttl()
    }

    /// Takes the pending error of the socket, if there is one, and clears it (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2) itself; the pending error is in the `Option`.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::TcpListener;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
    /// assert!(listener.take_error()?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "SO_ERROR")]
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.get().take_error()
    }

    operations! {
        /// # Examples
        ///
        /// Accepting by other means, here std's:
        ///
        /// ```
        /// # #[cfg(unix)] fn main() -> std::io::Result<()> {
        /// use litio::Interest;
        /// use litio::net::TcpListener;
        /// use std::os::fd::AsFd;
        ///
        /// let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
        /// let same = std::net::TcpListener::from(listener.as_fd().try_clone_to_owned()?);
        /// let error = listener.try_io_for(Interest::READABLE, || same.accept()).unwrap_err();
        /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        /// # Ok(())
        /// # }
        /// # #[cfg(not(unix))] fn main() {}
        /// ```
    }
}

source!(TcpListener, net::TcpListener);
debug_as_std!(TcpListener);
into_std!(TcpListener, net::TcpListener);
