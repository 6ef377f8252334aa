//! Streams between virtual machines and their host.

use std::fmt;
use std::io;
use std::net::{self, Shutdown};
use std::os::fd::{AsFd, AsRawFd};

use super::{operations, reads, rearm_if_connecting, source, writes};
use crate::interest::Interest;
use crate::io_source::IoSource;
use crate::sys::socket::vsock;

pub use crate::sys::socket::vsock::VsockAddr;

/// A connection between a virtual machine and its host (vsock): like a TCP stream, without a
/// network between them.
///
/// Read and written through [`Read`](io::Read) and [`Write`](io::Write), of the type or of a
/// reference to it. Go on until `WouldBlock`: under some hypervisors a read ends where the peer's
/// write did, so a short one has not drained the socket.
///
/// # Platform notes
///
/// Linux and Android, as guests and as hosts; where the kernel has no vsock,
/// [`connect`](VsockStream::connect) gives `EAFNOSUPPORT`. Datagrams exist only under VMware, and
/// are not here.
///
/// # Examples
///
/// See [`VsockListener`](VsockListener#examples).
pub struct VsockStream {
    /// std has no type for it. That of TCP makes the same system calls, but knows no such address.
    inner: IoSource<net::TcpStream>,
}

impl VsockStream {
    pub(crate) fn from_std(stream: net::TcpStream) -> VsockStream {
        VsockStream {
            inner: IoSource::new(stream),
        }
    }

    /// Makes a stream and starts to connect it. `Ok` does not mean that it is connected.
    ///
    /// Go on as after [`TcpStream::connect`](super::TcpStream::connect): at the first event that
    /// says writable, [`take_error`](VsockStream::take_error) has the error, if there is one, and
    /// [`peer_addr`](VsockStream::peer_addr) tells whether it is connected. The kernel gives up
    /// after two seconds.
    ///
    /// # Errors
    ///
    /// `ENODEV` or `EHOSTUNREACH` if there is no way to the machine, `EAFNOSUPPORT` if the kernel
    /// has no vsock; otherwise those of connect(2). Later, as the error that is taken,
    /// [`ConnectionReset`](io::ErrorKind::ConnectionReset) if nobody listens there, and
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// # System calls
    ///
    /// socket(2), connect(2)
    ///
    /// # Examples
    ///
    /// See [`VsockListener`](VsockListener#examples).
    pub fn connect(address: VsockAddr) -> io::Result<VsockStream> {
        vsock::connect(address).map(VsockStream::from_std)
    }

    /// The address of this end. On a stream that was connected, not accepted, only the port is
    /// known; the CID is [`CID_ANY`](VsockAddr::CID_ANY).
    ///
    /// # Errors
    ///
    /// Those of getsockname(2); [`InvalidInput`](io::ErrorKind::InvalidInput) for a descriptor of
    /// another family.
    ///
    /// # Examples
    ///
    /// See [`VsockListener`](VsockListener#examples).
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<VsockAddr> {
        vsock::local_addr(self.inner.get().as_fd())
    }

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) while connecting; the source is then armed
    /// again for writing.
    ///
    /// # Examples
    ///
    /// See [`VsockListener`](VsockListener#examples).
    #[doc(alias = "getpeername")]
    pub fn peer_addr(&self) -> io::Result<VsockAddr> {
        let result = vsock::peer_addr(self.inner.get().as_fd());
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
    /// See [`TcpStream::take_error`](super::TcpStream::take_error).
    #[doc(alias = "SO_ERROR")]
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let taken = self.inner.get().take_error()?;
        if taken.is_none() && IoSource::<net::TcpStream>::IS_REARMED {
            rearm_if_connecting(&self.inner, &vsock::peer_addr(self.inner.get().as_fd()))?;
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
    /// See [`TcpStream::peek`](super::TcpStream::peek).
    #[doc(alias = "MSG_PEEK")]
    #[inline]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner
            .do_io(Interest::READABLE, |stream| stream.peek(buffer))
    }

    /// Shuts down reading, writing or both, for everyone who shares the socket. After `Write` the
    /// peer reads the end of the stream.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected); otherwise those of shutdown(2).
    ///
    /// # Examples
    ///
    /// See [`TcpStream::shutdown`](super::TcpStream::shutdown).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.get().shutdown(how)
    }

    operations! {
        /// # Examples
        ///
        /// See [`TcpStream::try_io_for`](super::TcpStream::try_io_for).
    }
}

reads!(VsockStream, super::receive);
writes!(VsockStream, super::send);
source!(VsockStream, net::TcpStream);

/// Prints the addresses and the descriptor.
impl fmt::Debug for VsockStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("VsockStream");
        let stream = self.inner.get();
        if let Ok(address) = vsock::local_addr(stream.as_fd()) {
            out.field("local", &format_args!("{address}"));
        }
        if let Ok(address) = vsock::peer_addr(stream.as_fd()) {
            out.field("peer", &format_args!("{address}"));
        }
        out.field("fd", &stream.as_raw_fd()).finish()
    }
}

/// A vsock socket that accepts connections from virtual machines, from the host, or from this
/// machine itself.
///
/// Readable means that a connection waits. Several may wait behind one event: accept until
/// `WouldBlock`.
///
/// # Platform notes
///
/// As [`VsockStream`].
///
/// # Examples
///
/// A connection of this machine with itself, if the kernel has `vsock_loopback`:
///
/// ```
/// use litio::net::{VsockAddr, VsockListener, VsockStream};
/// use litio::{Events, Interest, Poll, Token};
/// use std::io::{self, Read, Write};
///
/// const LISTENER: Token = Token(0);
/// const CLIENT: Token = Token(1);
///
/// # fn main() -> io::Result<()> {
/// let here = VsockAddr::new(VsockAddr::CID_LOCAL, VsockAddr::PORT_ANY);
/// let Ok(mut listener) = VsockListener::bind(here) else {
///     println!("no vsock_loopback here");
///     return Ok(());
/// };
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
/// let mut client = VsockStream::connect(listener.local_addr()?)?;
/// let interest = Interest::READABLE | Interest::WRITABLE;
/// poll.registry().register(&mut client, CLIENT, interest)?;
/// let mut servers = Vec::new();
/// loop {
///     poll.poll(&mut events, None)?;
///     for event in &events {
///         match event.token() {
///             LISTENER => {
///                 let (mut server, peer) = listener.accept()?;
///                 assert_eq!(peer.port, client.local_addr()?.port);
///                 server.write_all(b"hello")?; // so little fits at once
///                 servers.push(server);
///             }
///             _ => match client.take_error()? {
///                 Some(error) => return Err(error),
///                 None => println!("connected to {}", client.peer_addr()?),
///             },
///         }
///     }
///     let mut word = [0; 8];
///     if client.peer_addr().is_ok() && client.read(&mut word).is_ok_and(|len| len == 5) {
///         return Ok(());
///     }
/// }
/// # }
/// ```
pub struct VsockListener {
    /// As [`VsockStream::inner`].
    inner: IoSource<net::TcpListener>,
}

impl VsockListener {
    pub(crate) fn from_std(listener: net::TcpListener) -> VsockListener {
        VsockListener {
            inner: IoSource::new(listener),
        }
    }

    /// Makes a listener on an address: usually [`CID_ANY`](VsockAddr::CID_ANY), and a port that the
    /// other side knows.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if the port has a listener;
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if the CID is not this machine's;
    /// `EACCES` for ports below 1024 without privilege; `EAFNOSUPPORT` if the kernel has no vsock.
    ///
    /// # System calls
    ///
    /// socket(2), bind(2), listen(2)
    ///
    /// # Examples
    ///
    /// See [the type's](VsockListener#examples).
    #[doc(alias = "listen")]
    pub fn bind(address: VsockAddr) -> io::Result<VsockListener> {
        vsock::listen(address).map(VsockListener::from_std)
    }

    /// Accepts a connection: a stream, non-blocking and close-on-exec, and its peer's address.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::accept`](super::TcpListener::accept).
    ///
    /// # System calls
    ///
    /// accept4(2)
    ///
    /// # Examples
    ///
    /// See [the type's](VsockListener#examples).
    pub fn accept(&self) -> io::Result<(VsockStream, VsockAddr)> {
        let (stream, peer) = self.inner.do_io(Interest::READABLE, vsock::accept)?;
        Ok((VsockStream::from_std(stream), peer))
    }

    /// The address on which it listens, with the port that the system chose if it was
    /// [`PORT_ANY`](VsockAddr::PORT_ANY).
    ///
    /// # Errors
    ///
    /// As [`VsockStream::local_addr`].
    ///
    /// # Examples
    ///
    /// See [the type's](VsockListener#examples).
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<VsockAddr> {
        vsock::local_addr(self.inner.get().as_fd())
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
        /// See [`TcpListener::try_io_for`](super::TcpListener::try_io_for).
    }
}

source!(VsockListener, net::TcpListener);

/// Prints the address and the descriptor.
impl fmt::Debug for VsockListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("VsockListener");
        let listener = self.inner.get();
        if let Ok(address) = vsock::local_addr(listener.as_fd()) {
            out.field("local", &format_args!("{address}"));
        }
        out.field("fd", &listener.as_raw_fd()).finish()
    }
}
