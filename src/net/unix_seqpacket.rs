//! Unix sockets of type `SOCK_SEQPACKET`: connections that keep messages apart.

use std::io;
use std::io::{IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;

use super::ancillary::{Credentials, RecvAncillary, SendAncillary};
use super::{debug_as_std, operations, source};
use crate::interest::Interest;
use crate::io_source::IoSource;
use crate::sys::socket::{message, peek, unix};

/// A connection that carries messages. Like a [`UnixStream`](super::UnixStream) it is connected and
/// accepted, and has an end; as with a [`UnixDatagram`](super::UnixDatagram), what was sent with
/// one call is received with one call.
///
/// A message larger than the receiver's buffer is cut silently. 0 bytes mean that the peer is gone,
/// or that it sent an empty message: do not send empty messages. Only a receive that returns
/// `WouldBlock` drains the socket.
///
/// # Platform notes
///
/// Linux, Android, the BSDs, illumos. Apple's systems have the type's name but not the type: making
/// one gives `EPROTONOSUPPORT`.
///
/// # Examples
///
/// ```
/// # #[cfg(any(target_os = "linux", target_os = "android"))]
/// # fn main() -> std::io::Result<()> {
/// use litio::net::UnixSeqpacket;
/// use litio::{Events, Interest, Poll, Token};
///
/// let (mut ours, theirs) = UnixSeqpacket::pair()?;
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// poll.registry().register(&mut ours, Token(0), Interest::READABLE)?;
///
/// theirs.send(b"one")?;
/// theirs.send(b"two")?;
/// poll.poll(&mut events, None)?;
/// let mut buffer = [0; 16];
/// assert_eq!(ours.recv(&mut buffer)?, 3); // the first one only
/// # Ok(())
/// # }
/// # #[cfg(not(any(target_os = "linux", target_os = "android")))] fn main() {}
/// ```
pub struct UnixSeqpacket {
    /// std has no type for it. That of datagrams makes the same system calls.
    inner: IoSource<net::UnixDatagram>,
}

impl UnixSeqpacket {
    pub(crate) fn from_std(socket: net::UnixDatagram) -> UnixSeqpacket {
        UnixSeqpacket {
            inner: IoSource::new(socket),
        }
    }

    /// Connects to the listener at `path`, at once.
    ///
    /// # Errors
    ///
    /// As [`UnixStream::connect`](super::UnixStream::connect).
    ///
    /// # System calls
    ///
    /// socket(2), connect(2); also fcntl(2), except on Linux, illumos, Solaris and the BSDs.
    ///
    /// # Examples
    ///
    /// See [`UnixSeqpacketListener`].
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixSeqpacket> {
        UnixSeqpacket::connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// As [`connect`](UnixSeqpacket::connect), to an address: a path, or an abstract name.
    ///
    /// # Errors
    ///
    /// As [`connect`](UnixSeqpacket::connect).
    ///
    /// # Examples
    ///
    /// See [`UnixSeqpacketListener`].
    pub fn connect_addr(address: &SocketAddr) -> io::Result<UnixSeqpacket> {
        unix::connect_seqpacket(address).map(UnixSeqpacket::from_std)
    }

    /// Makes two sockets that are connected with each other.
    ///
    /// # Errors
    ///
    /// Those of socketpair(2).
    ///
    /// # Examples
    ///
    /// See [the type's](UnixSeqpacket#examples).
    #[doc(alias = "socketpair")]
    pub fn pair() -> io::Result<(UnixSeqpacket, UnixSeqpacket)> {
        let [one, other] = unix::seqpacket_pair()?;
        Ok((UnixSeqpacket::from_std(one), UnixSeqpacket::from_std(other)))
    }

    /// Sends a message, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room. `EMSGSIZE` if it is larger
    /// than the system allows. [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the peer is gone.
    ///
    /// # System calls
    ///
    /// sendmsg(2)
    ///
    /// # Examples
    ///
    /// See [the type's](UnixSeqpacket#examples).
    pub fn send(&self, buffer: &[u8]) -> io::Result<usize> {
        self.send_message(&[IoSlice::new(buffer)], &SendAncillary::new())
    }

    /// Receives a message: how many bytes of `buffer` it fills; 0 if the peer is gone.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if none has arrived; otherwise those of recv(2).
    ///
    /// # System calls
    ///
    /// recv(2) or read(2)
    ///
    /// # Examples
    ///
    /// See [the type's](UnixSeqpacket#examples).
    #[inline]
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner
            .do_io(Interest::READABLE, |socket| socket.recv(buffer))
    }

    /// As [`recv`](UnixSeqpacket::recv), but leaves the message to be received again.
    ///
    /// # Errors
    ///
    /// As [`recv`](UnixSeqpacket::recv).
    ///
    /// # System calls
    ///
    /// recv(2) with `MSG_PEEK`
    ///
    /// # Examples
    ///
    /// See [`UnixDatagram::peek`](super::UnixDatagram::peek).
    #[doc(alias = "MSG_PEEK")]
    #[inline]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner
            .do_io(Interest::READABLE, |socket| peek(socket.as_fd(), buffer))
    }

    /// As [`UnixDatagram::send_message`](super::UnixDatagram::send_message).
    ///
    /// # Errors
    ///
    /// As there, and [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the peer is gone.
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

    /// As [`UnixDatagram::recv_message`](super::UnixDatagram::recv_message); whether a message was
    /// cut is known here.
    ///
    /// # Errors
    ///
    /// As there.
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

    /// As [`UnixStream::peer_credentials`](super::UnixStream::peer_credentials).
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Examples
    ///
    /// See there.
    #[doc(alias = "SO_PEERCRED")]
    pub fn peer_credentials(&self) -> io::Result<Credentials> {
        message::peer_credentials(self.inner.get().as_fd())
    }

    /// The address to which the socket is bound; unnamed, if it is not.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2), which has none for a socket that is open.
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get().local_addr()
    }

    /// The address of the peer; unnamed, if that is not bound.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) if there is none.
    #[doc(alias = "getpeername")]
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get().peer_addr()
    }

    /// Takes the pending error of the socket, if there is one, and clears it (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2); not the error that is asked for.
    #[doc(alias = "SO_ERROR")]
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.get().take_error()
    }

    /// Shuts down receiving, sending or both, for everyone who shares the socket.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected); otherwise those of shutdown(2).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.get().shutdown(how)
    }

    operations! {
        /// # Examples
        ///
        /// See [`UnixDatagram::try_io_for`](super::UnixDatagram::try_io_for).
    }
}

source!(UnixSeqpacket, net::UnixDatagram);
debug_as_std!(UnixSeqpacket);

/// A Unix socket that accepts connections of type [`UnixSeqpacket`].
///
/// Readable means that a connection waits. Several may wait behind one event: accept until
/// `WouldBlock`.
///
/// # Examples
///
/// ```
/// # #[cfg(any(target_os = "linux", target_os = "android"))]
/// # fn main() -> std::io::Result<()> {
/// use litio::net::{UnixSeqpacket, UnixSeqpacketListener};
///
/// # let name = format!("litio-doc-seqpacket-{}", std::process::id());
/// # let path = std::env::temp_dir().join(name);
/// let listener = UnixSeqpacketListener::bind(&path)?;
/// let client = UnixSeqpacket::connect(&path)?;
/// let (server, _peer) = listener.accept()?;
/// client.send(b"hello")?;
/// assert_eq!(server.recv(&mut [0; 16])?, 5);
/// # std::fs::remove_file(&path)
/// # }
/// # #[cfg(not(any(target_os = "linux", target_os = "android")))] fn main() {}
/// ```
pub struct UnixSeqpacketListener {
    /// As [`UnixSeqpacket::inner`].
    inner: IoSource<net::UnixListener>,
}

impl UnixSeqpacketListener {
    pub(crate) fn from_std(listener: net::UnixListener) -> UnixSeqpacketListener {
        UnixSeqpacketListener {
            inner: IoSource::new(listener),
        }
    }

    /// Makes a listener, and a file at `path` by which it is found, which stays when the listener
    /// is gone.
    ///
    /// # Errors
    ///
    /// As [`UnixListener::bind`](super::UnixListener::bind).
    ///
    /// # System calls
    ///
    /// As [`UnixListener::bind`](super::UnixListener::bind).
    ///
    /// # Examples
    ///
    /// See [the type's](UnixSeqpacketListener#examples).
    #[doc(alias = "listen")]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixSeqpacketListener> {
        UnixSeqpacketListener::bind_addr(&SocketAddr::from_pathname(path)?)
    }

    /// Makes a listener on an address: a path, or an abstract name, which needs no file.
    ///
    /// # Errors
    ///
    /// As [`bind`](UnixSeqpacketListener::bind).
    ///
    /// # Examples
    ///
    /// See [the type's](UnixSeqpacketListener#examples).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixSeqpacketListener> {
        unix::listen_seqpacket(address).map(UnixSeqpacketListener::from_std)
    }

    /// Accepts a connection, non-blocking and close-on-exec, and its peer's address.
    ///
    /// # Errors
    ///
    /// As [`UnixListener::accept`](super::UnixListener::accept).
    ///
    /// # System calls
    ///
    /// As [`UnixListener::accept`](super::UnixListener::accept).
    ///
    /// # Examples
    ///
    /// See [the type's](UnixSeqpacketListener#examples).
    pub fn accept(&self) -> io::Result<(UnixSeqpacket, SocketAddr)> {
        let (socket, peer) = self
            .inner
            .do_io(Interest::READABLE, unix::accept_seqpacket)?;
        Ok((UnixSeqpacket::from_std(socket), peer))
    }

    /// The address on which it listens.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2), which has none for a socket that is open.
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get().local_addr()
    }

    /// Takes the pending error of the socket, if there is one, and clears it (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2); not the error that is asked for.
    #[doc(alias = "SO_ERROR")]
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.get().take_error()
    }

    operations! {
        /// # Examples
        ///
        /// See [`UnixListener::try_io_for`](super::UnixListener::try_io_for).
    }
}

source!(UnixSeqpacketListener, net::UnixListener);
debug_as_std!(UnixSeqpacketListener);
