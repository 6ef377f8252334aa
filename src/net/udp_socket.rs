//! UDP.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{self, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::datagrams::{Batch, RecvRun, SendRun};
use super::{debug_as_std, into_std, operations, source};
use crate::interest::Interest;
use crate::io_source::IoSource;
use crate::sys::socket::{batch, udp, vectored};

/// A UDP socket.
///
/// It sends to and receives from anyone, or is [connected](UdpSocket::connect) to one peer. A
/// datagram is received whole or not at all; what does not fit into the buffer is lost.
///
/// # Platform notes
///
/// A datagram larger than the buffer is cut silently on Unix, and an error (`WSAEMSGSIZE`) on
/// Windows. An empty datagram makes the socket readable, and is received as 0 bytes.
///
/// # Examples
///
/// ```
/// use litio::net::UdpSocket;
/// use litio::{Events, Interest, Poll, Token};
///
/// # fn main() -> std::io::Result<()> {
/// let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
///
/// let peer = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
/// peer.send_to(b"ping", socket.local_addr()?)?;
///
/// poll.poll(&mut events, None)?;
/// let mut buffer = [0; 1500];
/// let (len, from) = socket.recv_from(&mut buffer)?;
/// assert_eq!((&buffer[..len], from), (&b"ping"[..], peer.local_addr()?));
/// # Ok(())
/// # }
/// ```
pub struct UdpSocket {
    inner: IoSource<net::UdpSocket>,
}

impl UdpSocket {
    /// Makes a socket on an address; with port 0, on a free port, which
    /// [`local_addr`](UdpSocket::local_addr) tells.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) and
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable), as the system judges; otherwise the
    /// error of the system call that failed.
    ///
    /// # System calls
    ///
    /// socket(2), bind(2); also fcntl(2), except on Linux, illumos, Solaris and the BSDs.
    ///
    /// # Examples
    ///
    /// See [the type's](UdpSocket#examples).
    pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
        udp::bind(address).map(UdpSocket::from_std)
    }

    /// Wraps a socket of std's, which must be non-blocking. Nothing about it is changed.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_nonblocking(true)?;
    /// let socket = UdpSocket::from_std(socket);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn from_std(socket: net::UdpSocket) -> UdpSocket {
        UdpSocket {
            inner: IoSource::new(socket),
        }
    }

    /// The address to which the socket is bound, with the port that the system chose if it was 0.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2), which has none for a socket that is open.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
    /// assert_ne!(socket.local_addr()?.port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get().local_addr()
    }

    /// The address of the peer to which the socket is [connected](UdpSocket::connect).
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) if there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
    /// assert_eq!(socket.peer_addr().unwrap_err().kind(), std::io::ErrorKind::NotConnected);
    /// socket.connect(socket.local_addr()?)?;
    /// assert_eq!(socket.peer_addr()?, socket.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "getpeername")]
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get().peer_addr()
    }

    /// Sends a datagram to an address, and returns how many bytes were sent: all of them, unless
    /// the system truncates.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room for it. `EMSGSIZE` if it is
    /// larger than a datagram can be. Otherwise those of sendto(2), among them errors that earlier
    /// datagrams met, such as [`ConnectionRefused`](io::ErrorKind::ConnectionRefused).
    ///
    /// # Platform notes
    ///
    /// On a connected socket an error (`EISCONN`), except on Linux, Android, Hurd, Cygwin and
    /// Windows, where the address given here is used.
    ///
    /// # System calls
    ///
    /// sendto(2)
    ///
    /// # Examples
    ///
    /// See [the type's](UdpSocket#examples).
    #[doc(alias = "sendto")]
    #[inline]
    pub fn send_to(&self, buffer: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.inner
            .do_io(Interest::WRITABLE, |socket| socket.send_to(buffer, target))
    }

    /// Receives a datagram: how many bytes of `buffer` it fills, and from where it came.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if none has arrived. Otherwise those of
    /// recvfrom(2), among them errors that datagrams sent earlier met; the socket goes on working.
    ///
    /// # Platform notes
    ///
    /// A datagram larger than the buffer is cut silently on Unix, and an error (`WSAEMSGSIZE`) on
    /// Windows. On Windows, [`ConnectionReset`](io::ErrorKind::ConnectionReset) means that a
    /// datagram sent earlier found nobody: not an end.
    ///
    /// # System calls
    ///
    /// recvfrom(2)
    ///
    /// # Examples
    ///
    /// See [the type's](UdpSocket#examples).
    #[doc(alias = "recvfrom")]
    #[inline]
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.inner
            .do_io(Interest::READABLE, |socket| socket.recv_from(buffer))
    }

    /// As [`recv_from`](UdpSocket::recv_from), but leaves the datagram to be received again.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    ///
    /// # System calls
    ///
    /// recvfrom(2) with `MSG_PEEK`
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let socket = UdpSocket::from_std(std::net::UdpSocket::bind("127.0.0.1:0")?);
    /// let here = socket.local_addr()?;
    /// socket.send_to(b"peeked", here)?;
    /// let mut buffer = [0; 16];
    /// assert_eq!(socket.peek_from(&mut buffer)?, (6, here));
    /// assert_eq!(socket.recv_from(&mut buffer)?, (6, here));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "MSG_PEEK")]
    #[inline]
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.inner
            .do_io(Interest::READABLE, |socket| socket.peek_from(buffer))
    }

    /// Sends a datagram to the peer to which the socket is [connected](UdpSocket::connect).
    ///
    /// # Errors
    ///
    /// As [`send_to`](UdpSocket::send_to); without a peer `EDESTADDRREQ` or the like.
    ///
    /// # System calls
    ///
    /// send(2)
    ///
    /// # Examples
    ///
    /// See [`connect`](UdpSocket::connect).
    #[inline]
    pub fn send(&self, buffer: &[u8]) -> io::Result<usize> {
        self.inner
            .do_io(Interest::WRITABLE, |socket| socket.send(buffer))
    }

    /// Receives a datagram: how many bytes of `buffer` it fills. From the peer, if the socket is
    /// [connected](UdpSocket::connect), else from anyone.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    ///
    /// # System calls
    ///
    /// recv(2)
    ///
    /// # Examples
    ///
    /// See [`connect`](UdpSocket::connect).
    #[inline]
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner
            .do_io(Interest::READABLE, |socket| socket.recv(buffer))
    }

    /// As [`recv`](UdpSocket::recv), but leaves the datagram to be received again.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from).
    ///
    /// # System calls
    ///
    /// recv(2) with `MSG_PEEK`
    ///
    /// # Examples
    ///
    /// See [`peek_from`](UdpSocket::peek_from).
    #[doc(alias = "MSG_PEEK")]
    #[inline]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner
            .do_io(Interest::READABLE, |socket| socket.peek(buffer))
    }

    /// As [`send`](UdpSocket::send), with the bytes of one datagram in several buffers, one behind
    /// the other.
    ///
    /// # Errors
    ///
    /// As [`send`](UdpSocket::send). `EMSGSIZE` or `EINVAL` also for more buffers than the system
    /// takes, which are 1024 on most.
    ///
    /// # System calls
    ///
    /// sendmsg(2), `WSASendTo`. WASI, Hermit and Nintendo 3DS have no such call; there the bytes
    /// are copied to one buffer first.
    ///
    /// # Examples
    ///
    /// See [`recv_vectored_from`](UdpSocket::recv_vectored_from).
    #[doc(alias = "sendmsg")]
    #[inline]
    pub fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.do_io(Interest::WRITABLE, |socket| {
            vectored::send(socket, buffers, None)
        })
    }

    /// As [`send_to`](UdpSocket::send_to), with the bytes of one datagram in several buffers, one
    /// behind the other.
    ///
    /// # Errors
    ///
    /// As [`send_to`](UdpSocket::send_to) and [`send_vectored`](UdpSocket::send_vectored).
    ///
    /// # System calls
    ///
    /// As [`send_vectored`](UdpSocket::send_vectored).
    ///
    /// # Examples
    ///
    /// See [`recv_vectored_from`](UdpSocket::recv_vectored_from).
    #[doc(alias = "sendmsg")]
    #[inline]
    pub fn send_vectored_to(
        &self,
        buffers: &[IoSlice<'_>],
        target: SocketAddr,
    ) -> io::Result<usize> {
        self.inner.do_io(Interest::WRITABLE, |socket| {
            vectored::send(socket, buffers, Some(target))
        })
    }

    /// As [`recv`](UdpSocket::recv), into several buffers, of which each is filled before the next.
    ///
    /// # Errors
    ///
    /// As [`recv`](UdpSocket::recv) and [`send_vectored`](UdpSocket::send_vectored).
    ///
    /// # System calls
    ///
    /// recvmsg(2), `WSARecvFrom`. WASI, Hermit and Nintendo 3DS have no such call; there the bytes
    /// are copied from one buffer.
    ///
    /// # Examples
    ///
    /// See [`recv_vectored_from`](UdpSocket::recv_vectored_from).
    #[doc(alias = "recvmsg")]
    #[inline]
    pub fn recv_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.inner.do_io(Interest::READABLE, |socket| {
            vectored::receive(socket, buffers)
        })
    }

    /// As [`recv_from`](UdpSocket::recv_from), into several buffers, of which each is filled before
    /// the next: a header to its place, and the rest to another.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](UdpSocket::recv_from) and [`send_vectored`](UdpSocket::send_vectored).
    ///
    /// # System calls
    ///
    /// As [`recv_vectored`](UdpSocket::recv_vectored).
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    /// use std::io::{IoSlice, IoSliceMut};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # // Blocking, so that the example needs no loop.
    /// # let socket = UdpSocket::from_std(std::net::UdpSocket::bind("127.0.0.1:0")?);
    /// let here = socket.local_addr()?;
    /// socket.send_vectored_to(&[IoSlice::new(b"head"), IoSlice::new(b"and body")], here)?;
    ///
    /// let (mut head, mut body) = ([0; 4], [0; 1500]);
    /// let mut buffers = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)];
    /// let (len, from) = socket.recv_vectored_from(&mut buffers)?;
    /// assert_eq!((len, from), (12, here));
    /// assert_eq!((&head, &body[..len - 4]), (b"head", &b"and body"[..]));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "recvmsg")]
    #[inline]
    pub fn recv_vectored_from(
        &self,
        buffers: &mut [IoSliceMut<'_>],
    ) -> io::Result<(usize, SocketAddr)> {
        self.inner.do_io(Interest::READABLE, |socket| {
            vectored::receive_from(socket, buffers)
        })
    }

    /// Sends runs of datagrams, by the best means that work for this socket; how many datagrams
    /// were sent is the answer.
    ///
    /// If it is fewer than the runs have, take them off ([`SendRun::advance_runs`]) and call again:
    /// that sends on, or says why not. See [`datagrams`](super::datagrams).
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room for the first datagram; once
    /// one is sent, there is no error. Otherwise as [`send_to`](UdpSocket::send_to).
    /// [`Unsupported`](io::ErrorKind::Unsupported) if the system cannot do what a run asks.
    ///
    /// # System calls
    ///
    /// sendmsg(2) for one piece, sendmmsg(2) for up to 32, on Linux and Android; `WSASendMsg` for a
    /// piece of several datagrams or with metadata on Windows; otherwise sendto(2) for each
    /// datagram. What the system refuses is tried again by lesser means.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    /// use litio::net::datagrams::{Batch, SendRun, Wanted};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let one = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
    /// # let (here, there) = (one.local_addr()?, one.local_addr()?);
    /// let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
    /// let batch = Batch::new(&socket, Wanted::NOTHING)?;
    /// let mut runs = [
    ///     SendRun::new(&[1; 3000]).segment_len(1200).to(here), // 1200, 1200 and 600 bytes
    ///     SendRun::new(b"a single one").to(there),
    /// ];
    /// let mut unsent = &mut runs[..];
    /// while !unsent.is_empty() {
    ///     let sent = socket.send_runs(&batch, unsent)?; // on `WouldBlock`: wait, and go on
    ///     SendRun::advance_runs(&mut unsent, sent);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "sendmmsg")]
    #[inline]
    pub fn send_runs(&self, batch: &Batch, runs: &[SendRun<'_>]) -> io::Result<usize> {
        self.inner.do_io(Interest::WRITABLE, |socket| {
            batch::send(socket, &batch.offload, runs)
        })
    }

    /// Receives runs of datagrams, one into each buffer, by the best means that work for this
    /// socket; how many of `runs` were filled, from the first on, is the answer.
    ///
    /// See [`datagrams`](super::datagrams), with an example.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if no datagram has arrived; once one is received,
    /// there is no error. Otherwise as [`recv_from`](UdpSocket::recv_from).
    ///
    /// # System calls
    ///
    /// recvmsg(2) for one buffer, recvmmsg(2) for up to 32, on Linux and Android; `WSARecvMsg` for
    /// each buffer if anything was granted, on Windows; otherwise recvfrom(2) for each datagram.
    ///
    /// # Examples
    ///
    /// See [the module's](super::datagrams#examples).
    #[doc(alias = "recvmmsg")]
    #[inline]
    pub fn recv_runs<B: AsMut<[u8]>>(
        &self,
        batch: &Batch,
        runs: &mut [RecvRun<B>],
    ) -> io::Result<usize> {
        self.inner.do_io(Interest::READABLE, |socket| {
            batch::receive(socket, &batch.offload, runs)
        })
    }

    /// Makes an address the peer, at once: [`send`](UdpSocket::send) sends to it, and datagrams of
    /// others are no longer received, but for those that wait already. Connecting again replaces
    /// the peer.
    ///
    /// # Errors
    ///
    /// Those of connect(2). That nobody listens there is not noticed.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # // Blocking, so that the example needs no loop.
    /// # let bind = || std::net::UdpSocket::bind("127.0.0.1:0").map(UdpSocket::from_std);
    /// # let (one, other) = (bind()?, bind()?);
    /// one.connect(other.local_addr()?)?;
    /// other.connect(one.local_addr()?)?;
    /// one.send(b"ping")?;
    /// let mut buffer = [0; 16];
    /// assert_eq!(other.recv(&mut buffer)?, 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect(&self, address: SocketAddr) -> io::Result<()> {
        self.inner.get().connect(address)
    }

    /// Sets whether datagrams may be sent to broadcast addresses (`SO_BROADCAST`); false at first.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
    /// socket.set_broadcast(true)?;
    /// assert!(socket.broadcast()?);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "SO_BROADCAST")]
    pub fn set_broadcast(&self, is_allowed: bool) -> io::Result<()> {
        self.inner.get().set_broadcast(is_allowed)
    }

    /// What [`set_broadcast`](UdpSocket::set_broadcast) sets: whether datagrams may be sent to
    /// broadcast addresses (`SO_BROADCAST`); false at first.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    ///
    /// # Examples
    ///
    /// See [`set_broadcast`](UdpSocket::set_broadcast).
    pub fn broadcast(&self) -> io::Result<bool> {
        self.inner.get().broadcast()
    }

    /// Sets whether multicast datagrams that are sent come back to this machine
    /// (`IP_MULTICAST_LOOP`); true at first.
    ///
    /// May have no effect on IPv6 sockets. Windows looks at it on the receiving socket, others on
    /// the sending one.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
    /// socket.set_multicast_loop_v4(false)?;
    /// assert!(!socket.multicast_loop_v4()?);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "IP_MULTICAST_LOOP")]
    pub fn set_multicast_loop_v4(&self, is_looped: bool) -> io::Result<()> {
        self.inner.get().set_multicast_loop_v4(is_looped)
    }

    /// What [`set_multicast_loop_v4`](UdpSocket::set_multicast_loop_v4) sets: whether multicast
    /// datagrams that are sent come back to this machine (`IP_MULTICAST_LOOP`); true at first.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    ///
    /// # Examples
    ///
    /// See [`set_multicast_loop_v4`](UdpSocket::set_multicast_loop_v4).
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.inner.get().multicast_loop_v4()
    }

    /// Sets the time to live, in hops, of IPv4 multicast datagrams (`IP_MULTICAST_TTL`); 1 at
    /// first, so that they stay in the local network.
    ///
    /// May have no effect on IPv6 sockets.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
    /// socket.set_multicast_ttl_v4(42)?;
    /// assert_eq!(socket.multicast_ttl_v4()?, 42);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "IP_MULTICAST_TTL")]
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        self.inner.get().set_multicast_ttl_v4(ttl)
    }

    /// What [`set_multicast_ttl_v4`](UdpSocket::set_multicast_ttl_v4) sets: the time to live, in
    /// hops, of IPv4 multicast datagrams (`IP_MULTICAST_TTL`); 1 at first, so that they stay in the
    /// local network.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    ///
    /// # Examples
    ///
    /// See [`set_multicast_ttl_v4`](UdpSocket::set_multicast_ttl_v4).
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.inner.get().multicast_ttl_v4()
    }

    /// Sets whether multicast datagrams that are sent come back to this machine
    /// (`IPV6_MULTICAST_LOOP`); true at first.
    ///
    /// May have no effect on IPv4 sockets. Windows looks at it on the receiving socket, others on
    /// the sending one.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2).
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # // A machine without IPv6.
    /// # if std::net::UdpSocket::bind("[::1]:0").is_err() { return Ok(()) }
    /// let socket = UdpSocket::bind("[::1]:0".parse().unwrap())?;
    /// socket.set_multicast_loop_v6(false)?;
    /// assert!(!socket.multicast_loop_v6()?);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "IPV6_MULTICAST_LOOP")]
    pub fn set_multicast_loop_v6(&self, is_looped: bool) -> io::Result<()> {
        self.inner.get().set_multicast_loop_v6(is_looped)
    }

    /// What [`set_multicast_loop_v6`](UdpSocket::set_multicast_loop_v6) sets: whether multicast
    /// datagrams that are sent come back to this machine (`IPV6_MULTICAST_LOOP`); true at first.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    ///
    /// # Examples
    ///
    /// See [`set_multicast_loop_v6`](UdpSocket::set_multicast_loop_v6).
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.inner.get().multicast_loop_v6()
    }

    /// Sets the time to live, in hops, of IPv4 datagrams (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2): `EINVAL` for 0 and more than 255, and on some systems for an IPv6
    /// socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
    /// socket.set_ttl(42)?;
    /// assert_eq!(socket.ttl()?, 42);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "IP_TTL")]
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.inner.get().set_ttl(ttl)
    }

    /// What [`set_ttl`](UdpSocket::set_ttl) sets: the time to live, in hops, of IPv4 datagrams
    /// (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2).
    ///
    /// # Examples
    ///
    /// See [`set_ttl`](UdpSocket::set_ttl).
    pub fn ttl(&self) -> io::Result<u32> {
        self.inner.get().ttl()
    }

    /// Joins an IPv4 multicast group (`IP_ADD_MEMBERSHIP`), on the interface that has the address
    /// `interface`, or one of the system's choice if that is [`Ipv4Addr::UNSPECIFIED`].
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2): `EINVAL` for an address that is no group, `ENODEV` or the like
    /// without a route to it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// // Not run: a machine may have no interface for it.
    /// use litio::net::UdpSocket;
    /// use std::net::Ipv4Addr;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("0.0.0.0:5353".parse().unwrap())?;
    /// let group = Ipv4Addr::new(224, 0, 0, 251);
    /// socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?;
    /// socket.leave_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "IP_ADD_MEMBERSHIP")]
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.inner.get().join_multicast_v4(group, interface)
    }

    /// Joins an IPv6 multicast group (`IPV6_ADD_MEMBERSHIP`), on the interface with the index
    /// `interface`, or one of the system's choice if that is 0.
    ///
    /// # Errors
    ///
    /// As [`join_multicast_v4`](UdpSocket::join_multicast_v4).
    ///
    /// # Examples
    ///
    /// See [`join_multicast_v4`](UdpSocket::join_multicast_v4).
    #[doc(alias = "IPV6_ADD_MEMBERSHIP")]
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.inner.get().join_multicast_v6(group, interface)
    }

    /// Leaves a group joined with [`join_multicast_v4`](UdpSocket::join_multicast_v4), with the
    /// same arguments.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2): [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if it was not
    /// joined.
    ///
    /// # Examples
    ///
    /// See [`join_multicast_v4`](UdpSocket::join_multicast_v4).
    #[doc(alias = "IP_DROP_MEMBERSHIP")]
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.inner.get().leave_multicast_v4(group, interface)
    }

    /// Leaves a group joined with [`join_multicast_v6`](UdpSocket::join_multicast_v6), with the
    /// same arguments.
    ///
    /// # Errors
    ///
    /// As [`leave_multicast_v4`](UdpSocket::leave_multicast_v4).
    ///
    /// # Examples
    ///
    /// See [`join_multicast_v4`](UdpSocket::join_multicast_v4).
    #[doc(alias = "IPV6_DROP_MEMBERSHIP")]
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.inner.get().leave_multicast_v6(group, interface)
    }

    /// Joins an IPv6 multicast group for what `source` sends to it, and nobody else
    /// (`MCAST_JOIN_SOURCE_GROUP`), on the interface with the index `interface`, or one of the
    /// system's choice if that is 0. For several sources, call it for each.
    ///
    /// What `join_ssm_v4` of `socket2` is for IPv4. Beware of the other groups of the machine: on
    /// Linux a socket that is bound to all addresses hears them too, unless `socket2` sets
    /// `IPV6_MULTICAST_ALL` to false.
    ///
    /// # Errors
    ///
    /// As [`join_multicast_v4`](UdpSocket::join_multicast_v4).
    /// [`Unsupported`](io::ErrorKind::Unsupported) except on Linux, Android, Apple's systems,
    /// FreeBSD and Windows.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// // Not run: a machine may have no interface for it.
    /// use litio::net::UdpSocket;
    /// use std::net::Ipv6Addr;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("[::]:5353".parse().unwrap())?;
    /// let source: Ipv6Addr = "2001:db8::1".parse().unwrap();
    /// let group: Ipv6Addr = "ff3e::8000:1".parse().unwrap();
    /// socket.join_ssm_v6(&source, &group, 0)?;
    /// socket.leave_ssm_v6(&source, &group, 0)?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "MCAST_JOIN_SOURCE_GROUP")]
    pub fn join_ssm_v6(
        &self,
        source: &Ipv6Addr,
        group: &Ipv6Addr,
        interface: u32,
    ) -> io::Result<()> {
        udp::set_source_membership(self.inner.get(), *source, *group, interface, true)
    }

    /// Leaves a group joined with [`join_ssm_v6`](UdpSocket::join_ssm_v6), with the same arguments.
    ///
    /// # Errors
    ///
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) or, on Linux if no other source of the
    /// group is joined, `EINVAL` if it was not joined. Otherwise as
    /// [`join_ssm_v6`](UdpSocket::join_ssm_v6).
    ///
    /// # Examples
    ///
    /// See [`join_ssm_v6`](UdpSocket::join_ssm_v6).
    #[doc(alias = "MCAST_LEAVE_SOURCE_GROUP")]
    pub fn leave_ssm_v6(
        &self,
        source: &Ipv6Addr,
        group: &Ipv6Addr,
        interface: u32,
    ) -> io::Result<()> {
        udp::set_source_membership(self.inner.get(), *source, *group, interface, false)
    }

    /// Whether an IPv6 socket keeps away from IPv4 (`IPV6_V6ONLY`). It is set before a socket is
    /// bound: with `socket2`.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2), such as `ENOPROTOOPT` for an IPv4 socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # // A machine without IPv6.
    /// # if std::net::UdpSocket::bind("[::1]:0").is_err() { return Ok(()) }
    /// let socket = UdpSocket::bind("[::1]:0".parse().unwrap())?;
    /// println!("IPv6 only: {}", socket.only_v6()?);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "IPV6_V6ONLY")]
    pub fn only_v6(&self) -> io::Result<bool> {
        udp::only_v6(self.inner.get())
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
    /// use litio::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
    /// assert!(socket.take_error()?.is_none());
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
        /// Receiving by other means, here std's:
        ///
        /// ```
        /// # #[cfg(unix)] fn main() -> std::io::Result<()> {
        /// use litio::Interest;
        /// use litio::net::UdpSocket;
        /// use std::os::fd::AsFd;
        ///
        /// let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
        /// let same = std::net::UdpSocket::from(socket.as_fd().try_clone_to_owned()?);
        /// let mut buffer = [0; 16];
        /// let result = socket.try_io_for(Interest::READABLE, || same.recv(&mut buffer));
        /// let error = result.unwrap_err();
        /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        /// # Ok(())
        /// # }
        /// # #[cfg(not(unix))] fn main() {}
        /// ```
    }
}

source!(UdpSocket, net::UdpSocket);
debug_as_std!(UdpSocket);
into_std!(UdpSocket, net::UdpSocket);
