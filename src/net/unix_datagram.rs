//! Datagrams between Unix sockets.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;

use super::{debug_as_std, into_std, operations, source};
use crate::interest::Interest;
use crate::io_source::IoSource;
use crate::sys::socket::{if_control_messages, peek, unix};

if_control_messages! {
    use std::io::{IoSlice, IoSliceMut};

    use super::ancillary::{Credentials, RecvAncillary, SendAncillary};
    use crate::sys::socket::message;
}

/// A Unix socket for datagrams. They arrive whole and in order, and none is lost on the way.
///
/// A datagram larger than the receiver's buffer is cut silently. An empty one makes the socket
/// readable, and is received as 0 bytes.
///
/// # Examples
///
/// ```
/// use litio::net::UnixDatagram;
/// use litio::{Events, Interest, Poll, Token};
///
/// # fn main() -> std::io::Result<()> {
/// let (mut ours, theirs) = UnixDatagram::pair()?;
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// poll.registry().register(&mut ours, Token(0), Interest::READABLE)?;
///
/// theirs.send(b"hello")?;
/// poll.poll(&mut events, None)?;
/// let mut buffer = [0; 16];
/// assert_eq!(ours.recv(&mut buffer)?, 5);
/// # Ok(())
/// # }
/// ```
pub struct UnixDatagram {
    inner: IoSource<net::UnixDatagram>,
}

impl UnixDatagram {
    /// Makes a socket, and a file at `path` by which it is found.
    ///
    /// The file stays when the socket is gone. Remove it then, or before `bind`, if it is known to
    /// be stale.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if there is a file, stale or not.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the path contains a zero or is longer than
    /// the system takes: 107 bytes on Linux, 103 on Apple systems and the BSDs. Otherwise the error
    /// of the system call that failed.
    ///
    /// # System calls
    ///
    /// socket(2), bind(2); also fcntl(2), except on Linux, illumos, Solaris and the BSDs.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("litio-doc-datagram-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let bound = UnixDatagram::bind(&path)?;
    /// let sender = UnixDatagram::unbound()?;
    /// sender.send_to(b"hello", &path)?;
    /// let mut buffer = [0; 16];
    /// let (len, from) = bound.recv_from(&mut buffer)?;
    /// assert_eq!(&buffer[..len], b"hello");
    /// assert!(from.is_unnamed());
    /// # std::fs::remove_file(&path)
    /// # }
    /// ```
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_addr(&SocketAddr::from_pathname(path)?)
    }

    /// Makes a socket on an address: a path, or an abstract name, which needs no file.
    ///
    /// # Errors
    ///
    /// As [`bind`](UnixDatagram::bind).
    ///
    /// # Platform notes
    ///
    /// Abstract names exist on Linux, Android and Cygwin. There, binding to the unnamed address
    /// makes the system choose one.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(target_os = "linux")]
    /// # fn main() -> std::io::Result<()> {
    /// use litio::net::UnixDatagram;
    /// use std::os::linux::net::SocketAddrExt;
    /// use std::os::unix::net::SocketAddr;
    ///
    /// let name = format!("litio-doc-datagram-{}", std::process::id());
    /// let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    /// assert_eq!(socket.local_addr()?.as_abstract_name(), Some(name.as_bytes()));
    /// # Ok(())
    /// # }
    /// # #[cfg(not(target_os = "linux"))] fn main() {}
    /// ```
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixDatagram> {
        unix::bind_datagram(address).map(UnixDatagram::from_std)
    }

    /// Wraps a socket of std's, which must be non-blocking. Nothing about it is changed.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = std::os::unix::net::UnixDatagram::unbound()?;
    /// socket.set_nonblocking(true)?;
    /// let socket = UnixDatagram::from_std(socket);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn from_std(socket: net::UnixDatagram) -> UnixDatagram {
        UnixDatagram {
            inner: IoSource::new(socket),
        }
    }

    /// Makes the socket at `path` the peer: [`send`](UnixDatagram::send) sends to it, and datagrams
    /// of others are not received any more, but for those that wait already. Connecting again
    /// replaces the peer.
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if nobody is bound there,
    /// [`NotFound`](io::ErrorKind::NotFound) if there is no such file; otherwise those of
    /// connect(2).
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("litio-doc-connect-{}", std::process::id()));
    /// let bound = UnixDatagram::bind(&path)?;
    /// let sender = UnixDatagram::unbound()?;
    /// sender.connect(&path)?;
    /// sender.send(b"hello")?;
    /// assert_eq!(bound.recv(&mut [0; 16])?, 5);
    /// # std::fs::remove_file(&path)
    /// # }
    /// ```
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.inner.get().connect(path)
    }

    /// As [`connect`](UnixDatagram::connect), to an address: a path, or an abstract name.
    ///
    /// # Errors
    ///
    /// As [`connect`](UnixDatagram::connect).
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("litio-doc-connect-addr-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let bound = UnixDatagram::bind(&path)?;
    /// let sender = UnixDatagram::unbound()?;
    /// sender.connect_addr(&bound.local_addr()?)?;
    /// assert_eq!(sender.send(b"hello")?, 5);
    /// # std::fs::remove_file(&path)
    /// # }
    /// ```
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        self.inner.get().connect_addr(address)
    }

    /// Makes a socket without an address. It can send, and once connected receive.
    ///
    /// # Errors
    ///
    /// Those of socket(2).
    ///
    /// # Examples
    ///
    /// See [`bind`](UnixDatagram::bind).
    pub fn unbound() -> io::Result<UnixDatagram> {
        unix::datagram().map(UnixDatagram::from_std)
    }

    /// Makes two sockets that are connected with each other. Neither has a name.
    ///
    /// # Errors
    ///
    /// Those of socketpair(2).
    ///
    /// # Examples
    ///
    /// See [the type's](UnixDatagram#examples).
    #[doc(alias = "socketpair")]
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let [one, other] = unix::datagram_pair()?;
        Ok((UnixDatagram::from_std(one), UnixDatagram::from_std(other)))
    }

    /// The address to which the socket is bound; unnamed, if it is not.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2), which has none for a socket that is open.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// assert!(UnixDatagram::unbound()?.local_addr()?.is_unnamed());
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get().local_addr()
    }

    /// The address of the peer; unnamed, if that is not bound.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) if there is no peer.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (ours, _theirs) = UnixDatagram::pair()?;
    /// assert!(ours.peer_addr()?.is_unnamed());
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "getpeername")]
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get().peer_addr()
    }

    /// Receives a datagram: how many bytes of `buffer` it fills, and from where it came. A sender
    /// that is not bound has the unnamed address.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if none has arrived; otherwise those of
    /// recvfrom(2).
    ///
    /// # System calls
    ///
    /// recvfrom(2)
    ///
    /// # Examples
    ///
    /// See [`bind`](UnixDatagram::bind).
    #[doc(alias = "recvfrom")]
    #[inline]
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.inner
            .do_io(Interest::READABLE, |socket| socket.recv_from(buffer))
    }

    /// Receives a datagram: how many bytes of `buffer` it fills.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UnixDatagram::recv_from).
    ///
    /// # System calls
    ///
    /// recv(2) or read(2)
    ///
    /// # Examples
    ///
    /// See [the type's](UnixDatagram#examples).
    #[inline]
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner
            .do_io(Interest::READABLE, |socket| socket.recv(buffer))
    }

    /// As [`recv`](UnixDatagram::recv), but leaves the datagram to be received again.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UnixDatagram::recv_from).
    ///
    /// # System calls
    ///
    /// recv(2) with `MSG_PEEK`
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// theirs.send(b"peeked")?;
    /// let mut buffer = [0; 16];
    /// assert_eq!(ours.peek(&mut buffer)?, 6);
    /// assert_eq!(ours.recv(&mut buffer)?, 6);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "MSG_PEEK")]
    #[inline]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner
            .do_io(Interest::READABLE, |socket| peek(socket.as_fd(), buffer))
    }

    /// Sends a datagram to the socket at `path`.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room for it; see the platform
    /// notes. [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if nobody is bound there,
    /// [`NotFound`](io::ErrorKind::NotFound) if there is no such file, `EMSGSIZE` if the datagram
    /// is larger than the system allows; otherwise those of sendto(2).
    ///
    /// # Platform notes
    ///
    /// A full receiver gives `WouldBlock` on Linux, and an event when it has room only if it is the
    /// connected peer; the BSDs and macOS say `ENOBUFS`, for which there is no event.
    ///
    /// # System calls
    ///
    /// sendto(2)
    ///
    /// # Examples
    ///
    /// See [`bind`](UnixDatagram::bind).
    #[doc(alias = "sendto")]
    #[inline]
    pub fn send_to<P: AsRef<Path>>(&self, buffer: &[u8], path: P) -> io::Result<usize> {
        self.inner
            .do_io(Interest::WRITABLE, |socket| socket.send_to(buffer, path))
    }

    /// As [`send_to`](UnixDatagram::send_to), to an address: a path, or an abstract name.
    ///
    /// # Errors
    ///
    /// As [`send_to`](UnixDatagram::send_to).
    ///
    /// # System calls
    ///
    /// sendto(2)
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("litio-doc-send-to-addr-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let bound = UnixDatagram::bind(&path)?;
    /// let sender = UnixDatagram::unbound()?;
    /// assert_eq!(sender.send_to_addr(b"hello", &bound.local_addr()?)?, 5);
    /// # std::fs::remove_file(&path)
    /// # }
    /// ```
    #[inline]
    pub fn send_to_addr(&self, buffer: &[u8], address: &SocketAddr) -> io::Result<usize> {
        self.inner.do_io(Interest::WRITABLE, |socket| {
            socket.send_to_addr(buffer, address)
        })
    }

    /// Sends a datagram to the peer.
    ///
    /// # Errors
    ///
    /// As [`send_to`](UnixDatagram::send_to); [`NotConnected`](io::ErrorKind::NotConnected) if
    /// there is no peer.
    ///
    /// # System calls
    ///
    /// send(2) or write(2)
    ///
    /// # Examples
    ///
    /// See [the type's](UnixDatagram#examples).
    #[inline]
    pub fn send(&self, buffer: &[u8]) -> io::Result<usize> {
        self.inner
            .do_io(Interest::WRITABLE, |socket| socket.send(buffer))
    }

    /// Takes the pending error of the socket, if there is one, and clears it (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2); not the error that is asked for.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// assert!(UnixDatagram::unbound()?.take_error()?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "SO_ERROR")]
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.get().take_error()
    }

    /// Shuts down receiving, sending or both, for everyone who shares the socket.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected); otherwise those of shutdown(2).
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UnixDatagram;
    /// use std::net::Shutdown;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (ours, _theirs) = UnixDatagram::pair()?;
    /// ours.shutdown(Shutdown::Write)?;
    /// assert!(ours.send(b"too late").is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.get().shutdown(how)
    }

    operations! {
        /// # Examples
        ///
        /// Receiving by other means, here std's:
        ///
        /// ```
        /// use litio::Interest;
        /// use litio::net::UnixDatagram;
        /// use std::os::fd::AsFd;
        ///
        /// # fn main() -> std::io::Result<()> {
        /// let (ours, _theirs) = UnixDatagram::pair()?;
        /// let same = std::os::unix::net::UnixDatagram::from(ours.as_fd().try_clone_to_owned()?);
        /// let mut buffer = [0; 16];
        /// let error = ours.try_io_for(Interest::READABLE, || same.recv(&mut buffer)).unwrap_err();
        /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        /// # Ok(())
        /// # }
        /// ```
    }
}

source!(UnixDatagram, net::UnixDatagram);
debug_as_std!(UnixDatagram);
into_std!(UnixDatagram, net::UnixDatagram);

if_control_messages! {
    /// Messages with descriptors and credentials; see [`ancillary`](super::ancillary).
    impl UnixDatagram {
        /// Sends bytes from several buffers, and what is to travel along: how many bytes were sent.
        ///
        /// The datagram goes to the [peer](UnixDatagram::connect), whole or not at all.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room.
        /// [`InvalidInput`](io::ErrorKind::InvalidInput) for more than 253 descriptors.
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
            self.inner.do_io(Interest::WRITABLE, |socket| {
                message::send(socket.as_fd(), data, ancillary, None)
            })
        }

        /// As [`send_message`](UnixDatagram::send_message), to an address.
        ///
        /// # Errors
        ///
        /// As [`send_message`](UnixDatagram::send_message) and [`send_to`](UnixDatagram::send_to).
        ///
        /// # System calls
        ///
        /// sendmsg(2)
        ///
        /// # Examples
        ///
        /// See [`recv_message_from`](UnixDatagram::recv_message_from).
        pub fn send_message_to(
            &self,
            data: &[IoSlice<'_>],
            ancillary: &SendAncillary<'_>,
            address: &SocketAddr,
        ) -> io::Result<usize> {
            self.inner.do_io(Interest::WRITABLE, |socket| {
                message::send(socket.as_fd(), data, ancillary, Some(address))
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

        /// As [`recv_message`](UnixDatagram::recv_message), and from where the datagram came: the
        /// unnamed address if its sender is not bound.
        ///
        /// # Errors
        ///
        /// As [`recv_message`](UnixDatagram::recv_message).
        ///
        /// # System calls
        ///
        /// As [`recv_message`](UnixDatagram::recv_message).
        ///
        /// # Examples
        ///
        /// ```
        /// use litio::net::UnixDatagram;
        /// use litio::net::ancillary::{RecvAncillary, SendAncillary};
        /// use std::io::{IoSlice, IoSliceMut};
        /// use std::os::fd::AsFd;
        ///
        /// # fn main() -> std::io::Result<()> {
        /// # let name = format!("litio-doc-message-{}", std::process::id());
        /// # let path = std::env::temp_dir().join(name);
        /// let bound = UnixDatagram::bind(&path)?;
        /// let sender = UnixDatagram::unbound()?;
        /// let file = std::fs::File::open("/dev/null")?;
        /// let fds = [file.as_fd()];
        /// let data = [IoSlice::new(b"take "), IoSlice::new(b"this")];
        /// sender.send_message_to(&data, &SendAncillary::new().fds(&fds), &bound.local_addr()?)?;
        ///
        /// let mut buffer = [0; 16];
        /// let mut ancillary = RecvAncillary::<1>::new();
        /// let mut buffers = [IoSliceMut::new(&mut buffer)];
        /// let (len, from) = bound.recv_message_from(&mut buffers, &mut ancillary)?;
        /// assert_eq!(&buffer[..len], b"take this");
        /// assert!(from.is_unnamed() && ancillary.take_fd().is_some());
        /// # std::fs::remove_file(&path)
        /// # }
        /// ```
        pub fn recv_message_from<const FDS: usize>(
            &self,
            buffers: &mut [IoSliceMut<'_>],
            ancillary: &mut RecvAncillary<FDS>,
        ) -> io::Result<(usize, SocketAddr)> {
            self.inner.do_io(Interest::READABLE, |socket| {
                message::receive_from(socket.as_fd(), buffers, ancillary)
            })
        }

        /// Who is at the other end: the process that made the pair, as it was then.
        ///
        /// # Errors
        ///
        /// [`NotConnected`](io::ErrorKind::NotConnected) or the like if there is no peer, and on
        /// Linux for all but pairs.
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
        /// use litio::net::UnixDatagram;
        /// use litio::net::ancillary::Credentials;
        ///
        /// # fn main() -> std::io::Result<()> {
        /// let (ours, _theirs) = UnixDatagram::pair()?;
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
