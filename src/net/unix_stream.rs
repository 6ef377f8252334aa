//! Connections of Unix sockets.

use std::io;
use std::net::Shutdown;
#[cfg(unix)]
use std::os::fd::AsFd;
use std::path::Path;

#[cfg(unix)]
use super::into_std;
use super::{debug_as_std, operations, reads, rearm_if_connecting, source, writes};
#[cfg(unix)]
use crate::interest::Interest;
use crate::io_source::IoSource;
use crate::sys::socket::unix;
use crate::sys::socket::unix::net::{self, SocketAddr};
#[cfg(unix)]
use crate::sys::socket::{if_control_messages, peek};

#[cfg(unix)]
if_control_messages! {
    use std::io::{IoSlice, IoSliceMut};

    use super::ancillary::{Credentials, RecvAncillary, SendAncillary};
    use crate::sys::socket::message;
}

/// A connection between two processes of a machine, or two parts of one.
///
/// Read and written through [`Read`](io::Read) and [`Write`](io::Write), of the type or of a
/// reference to it.
///
/// # Platform notes
///
/// Unix, and Windows since version 10 of 2018: there, addresses are
/// `windows::UnixSocketAddr`, paths are Unicode and the only names, and there are no pairs. Older
/// systems answer [`Unsupported`](io::ErrorKind::Unsupported).
///
/// # Examples
///
/// ```
/// # #[cfg(unix)] fn main() -> std::io::Result<()> {
/// use litio::net::UnixStream;
/// use litio::{Events, Interest, Poll, Token};
/// use std::io::{Read, Write};
///
/// let (mut ours, mut theirs) = UnixStream::pair()?;
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// poll.registry().register(&mut ours, Token(0), Interest::READABLE)?;
///
/// theirs.write_all(b"hello")?;
/// poll.poll(&mut events, None)?;
/// let mut buffer = [0; 16];
/// assert_eq!(ours.read(&mut buffer)?, 5);
/// assert_eq!(&buffer[..5], b"hello");
/// # Ok(())
/// # }
/// # #[cfg(not(unix))] fn main() {}
/// ```
pub struct UnixStream {
    inner: IoSource<net::UnixStream>,
}

impl UnixStream {
    /// True: a read of fewer bytes than were asked for has drained the socket.
    ///
    /// The same as [`TcpStream::SHORT_READ_DRAINS`](super::TcpStream::SHORT_READ_DRAINS), with an
    /// example there. Read on nevertheless, until `WouldBlock`, `Ok(0)` or an error,
    ///
    /// * if the last event was [`is_read_closed`](crate::event::Event::is_read_closed),
    ///   [`is_write_closed`](crate::event::Event::is_write_closed) or
    ///   [`is_error`](crate::event::Event::is_error);
    /// * if the peer passes descriptors or credentials: a read ends where they are attached.
    pub const SHORT_READ_DRAINS: bool = true;

    /// True: a write of fewer bytes than were asked for has filled the socket.
    ///
    /// The same as [`TcpStream::SHORT_WRITE_FILLS`](super::TcpStream::SHORT_WRITE_FILLS).
    pub const SHORT_WRITE_FILLS: bool = true;

    /// Makes a stream and connects it to the listener at `path`.
    ///
    /// Most systems are done at once. On one that is not, go on as after
    /// [`TcpStream::connect`](super::TcpStream::connect).
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the listener's backlog is full (Linux): try
    /// again later, no event will tell when.
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if nobody listens,
    /// [`NotFound`](io::ErrorKind::NotFound) if there is no such file.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the path contains a zero or is longer than
    /// the system takes: 107 bytes on Linux, 103 on Apple systems and the BSDs.
    ///
    /// # System calls
    ///
    /// socket(2), connect(2); also fcntl(2), except on Linux, illumos, Solaris and the BSDs; also
    /// setsockopt(2) on the BSDs and on Apple systems.
    ///
    /// # Examples
    ///
    /// See [`UnixListener`](super::UnixListener#examples).
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        UnixStream::connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// Makes a stream and connects it to the listener at an address: a path, or an abstract name.
    ///
    /// # Errors
    ///
    /// As [`connect`](UnixStream::connect).
    ///
    /// # Examples
    ///
    /// See [`UnixListener::bind_addr`](super::UnixListener::bind_addr).
    pub fn connect_addr(address: &SocketAddr) -> io::Result<UnixStream> {
        unix::connect(address).map(UnixStream::from_std)
    }

    /// Wraps a stream of std's, which must be non-blocking. Nothing about it is changed.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(unix)] fn main() -> std::io::Result<()> {
    /// use litio::net::UnixStream;
    ///
    /// let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    /// ours.set_nonblocking(true)?;
    /// let ours = UnixStream::from_std(ours);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))] fn main() {}
    /// ```
    #[cfg(unix)]
    #[must_use]
    pub fn from_std(stream: net::UnixStream) -> UnixStream {
        UnixStream {
            inner: IoSource::new(stream),
        }
    }

    /// std has no such type here.
    #[cfg(windows)]
    pub(crate) fn from_std(stream: net::UnixStream) -> UnixStream {
        UnixStream {
            inner: IoSource::new(stream),
        }
    }

    /// Makes two streams that are connected with each other. Neither has a name.
    ///
    /// # Errors
    ///
    /// Those of socketpair(2).
    ///
    /// # System calls
    ///
    /// socketpair(2); also fcntl(2), except on Linux, illumos, Solaris and the BSDs.
    ///
    /// # Examples
    ///
    /// See [the type's](UnixStream#examples).
    #[doc(alias = "socketpair")]
    #[cfg(unix)]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let [one, other] = unix::stream_pair()?;
        Ok((UnixStream::from_std(one), UnixStream::from_std(other)))
    }

    /// The address of this end; unnamed, unless it was accepted or bound.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2), which has none for a socket that is open.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(unix)] fn main() -> std::io::Result<()> {
    /// use litio::net::UnixStream;
    ///
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// assert!(ours.local_addr()?.is_unnamed());
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))] fn main() {}
    /// ```
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get().local_addr()
    }

    /// The address of the peer; unnamed, unless it was bound.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) while connecting; the source is then armed
    /// again for writing. `EINVAL` on macOS once the connection is shut down.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(unix)] fn main() -> std::io::Result<()> {
    /// use litio::net::UnixStream;
    ///
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// assert!(ours.peer_addr()?.is_unnamed());
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))] fn main() {}
    /// ```
    #[doc(alias = "getpeername")]
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        let result = self.inner.get().peer_addr();
        rearm_if_connecting(&self.inner, &result)?;
        result
    }

    /// Takes the pending error of the socket, if there is one, and clears it (`SO_ERROR`). If there
    /// is none and the stream is still connecting, the source is re-armed for writing.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2); not the error that is asked for.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(unix)] fn main() -> std::io::Result<()> {
    /// use litio::net::UnixStream;
    ///
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// assert!(ours.take_error()?.is_none());
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))] fn main() {}
    /// ```
    #[doc(alias = "SO_ERROR")]
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let taken = self.inner.get().take_error()?;
        if taken.is_none() && IoSource::<net::UnixStream>::IS_REARMED {
            rearm_if_connecting(&self.inner, &self.inner.get().peer_addr())?;
        }
        Ok(taken)
    }

    /// Reads what is there, and leaves it to be read again.
    ///
    /// However little it gives, it does not re-arm the source: go on until `WouldBlock`, or read.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing yet; otherwise those of
    /// recv(2). `Ok(0)` is the end of the stream.
    ///
    /// # System calls
    ///
    /// recv(2) with `MSG_PEEK`
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UnixStream;
    /// use std::io::{Read, Write};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (mut ours, mut theirs) = UnixStream::pair()?;
    /// theirs.write_all(b"peeked")?;
    /// let mut buffer = [0; 16];
    /// assert_eq!(ours.peek(&mut buffer)?, 6);
    /// assert_eq!(ours.read(&mut buffer)?, 6);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(unix)]
    #[doc(alias = "MSG_PEEK")]
    #[inline]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner
            .do_io(Interest::READABLE, |stream| peek(stream.as_fd(), buffer))
    }

    /// Shuts down reading, writing or both, for everyone who shares the socket. After `Write` the
    /// peer reads the end of the stream; after `Read` this end does, and the peer's writes fail.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected); otherwise those of shutdown(2).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(unix)] fn main() -> std::io::Result<()> {
    /// use litio::net::UnixStream;
    /// use std::io::Read;
    /// use std::net::Shutdown;
    ///
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// ours.shutdown(Shutdown::Write)?;
    /// assert_eq!(theirs.read(&mut [0; 16])?, 0);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))] fn main() {}
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.get().shutdown(how)
    }

    operations! {
        /// # Examples
        ///
        /// Reading by other means, here std's:
        ///
        /// ```
        /// # #[cfg(unix)] fn main() -> std::io::Result<()> {
        /// use litio::Interest;
        /// use litio::net::UnixStream;
        /// use std::io::Read;
        /// use std::os::fd::AsFd;
        ///
        /// let (ours, _theirs) = UnixStream::pair()?;
        /// let mut same = std::os::unix::net::UnixStream::from(ours.as_fd().try_clone_to_owned()?);
        /// let mut buffer = [0; 16];
        /// let error = ours.try_io_for(Interest::READABLE, || same.read(&mut buffer)).unwrap_err();
        /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        /// # Ok(())
        /// # }
        /// # #[cfg(not(unix))] fn main() {}
        /// ```
    }
}

reads!(UnixStream, super::receive);
writes!(UnixStream, super::send);
source!(UnixStream, net::UnixStream);
debug_as_std!(UnixStream);
#[cfg(unix)]
into_std!(UnixStream, net::UnixStream);

#[cfg(unix)]
if_control_messages! {
    /// Messages with descriptors and credentials; see [`ancillary`](super::ancillary).
    impl UnixStream {
        /// Sends bytes from several buffers, and what is to travel along: how many bytes were sent.
        ///
        /// Fewer than asked may be sent, as with `write`; the descriptors are then sent with them.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room.
        /// [`InvalidInput`](io::ErrorKind::InvalidInput) for more than 253 descriptors, or for
        /// descriptors without data.
        /// `ETOOMANYREFS` if too many descriptors are under way. Otherwise those of sendmsg(2).
        ///
        /// # System calls
        ///
        /// sendmsg(2)
        ///
        /// # Examples
        ///
        /// See [`ancillary`](super::ancillary#examples).
        #[doc(alias = "sendmsg")]
        pub fn send_message(
            &self,
            data: &[IoSlice<'_>],
            ancillary: &SendAncillary<'_>,
        ) -> io::Result<usize> {
            if ancillary.has_fds() && data.iter().all(|slice| slice.is_empty()) {
                let message = "descriptors travel with data on a stream; send at least a byte";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            self.inner.do_io(Interest::WRITABLE, |socket| {
                message::send(socket.as_fd(), data, ancillary, None)
            })
        }

        /// Receives bytes into several buffers, and what travels along: how many bytes there are.
        /// What `ancillary` still holds is closed first.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing yet; otherwise those of
        /// recvmsg(2).
        ///
        /// # System calls
        ///
        /// recvmsg(2); where that cannot make descriptors close-on-exec, fcntl(2) for each.
        ///
        /// # Examples
        ///
        /// See [`ancillary`](super::ancillary#examples).
        #[doc(alias = "recvmsg")]
        pub fn recv_message<const FDS: usize>(
            &self,
            buffers: &mut [IoSliceMut<'_>],
            ancillary: &mut RecvAncillary<FDS>,
        ) -> io::Result<usize> {
            self.inner.do_io(Interest::READABLE, |socket| {
                message::receive(socket.as_fd(), buffers, ancillary)
            })
        }

        /// Who is at the other end: the process that connected, listened or made the pair, as it
        /// was then.
        ///
        /// # Errors
        ///
        /// [`NotConnected`](io::ErrorKind::NotConnected) or the like if there is no peer.
        /// [`Unsupported`](io::ErrorKind::Unsupported) where the system cannot tell.
        ///
        /// # Platform notes
        ///
        /// The process is known on Linux, Android and Apple's systems, not on the BSDs.
        ///
        /// # System calls
        ///
        /// getsockopt(2) with `SO_PEERCRED`, getpeereid(3)
        ///
        /// # Examples
        ///
        /// ```
        /// use litio::net::UnixStream;
        /// use litio::net::ancillary::Credentials;
        ///
        /// # fn main() -> std::io::Result<()> {
        /// let (ours, _theirs) = UnixStream::pair()?;
        /// # #[cfg(target_os = "linux")]
        /// assert_eq!(ours.peer_credentials()?, Credentials::own());
        /// # Ok(())
        /// # }
        /// ```
        #[doc(alias = "SO_PEERCRED")]
        #[doc(alias = "getpeereid")]
        pub fn peer_credentials(&self) -> io::Result<Credentials> {
            message::peer_credentials(self.inner.get().as_fd())
        }
    }
}
