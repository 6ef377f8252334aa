//! Unix sockets that speak mio 0.8's address type. Each method does what Litio's of the same name
//! does; and a path that begins with a zero byte is a name in the abstract namespace, as with 0.8,
//! which had no other way to say one.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
#[cfg(target_os = "android")]
use std::os::android::net::SocketAddrExt;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd};
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net as std_net;
use std::path::Path;

use litio::event::Source;
use litio::{Interest, Registry, Token, net};

/// The address of a Unix socket.
pub struct SocketAddr(std_net::SocketAddr);

impl SocketAddr {
    /// Whether the socket has no name.
    pub fn is_unnamed(&self) -> bool {
        self.0.is_unnamed()
    }

    /// The path, if the name is one.
    pub fn as_pathname(&self) -> Option<&Path> {
        self.0.as_pathname()
    }

    /// The name in the abstract namespace, without the leading zero byte, if it is one. Elsewhere
    /// than on Linux and Android there is no such namespace.
    pub fn as_abstract_namespace(&self) -> Option<&[u8]> {
        #[cfg(any(target_os = "android", target_os = "linux"))]
        return self.0.as_abstract_name();
        #[cfg(not(any(target_os = "android", target_os = "linux")))]
        None
    }
}

impl fmt::Debug for SocketAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The address that a path with a zero byte in front stands for; none if there is no such byte, or
/// no such namespace.
fn abstract_address(path: &Path) -> Option<io::Result<std_net::SocketAddr>> {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    {
        use std::os::unix::ffi::OsStrExt;

        let name = path.as_os_str().as_bytes().strip_prefix(b"\0")?;
        Some(std_net::SocketAddr::from_abstract_name(name))
    }
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    {
        let _ = path;
        None
    }
}

/// A datagram socket of the Unix domain.
pub struct UnixDatagram(net::UnixDatagram);

impl UnixDatagram {
    /// Makes a socket with a path for a name.
    ///
    /// # Errors
    /// As the system gives them.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        match abstract_address(path.as_ref()) {
            Some(address) => net::UnixDatagram::bind_addr(&address?).map(UnixDatagram),
            None => net::UnixDatagram::bind(path).map(UnixDatagram),
        }
    }

    /// Takes a socket of std's, which must be non-blocking.
    pub fn from_std(socket: std_net::UnixDatagram) -> UnixDatagram {
        UnixDatagram(net::UnixDatagram::from_std(socket))
    }

    /// Sets where `send` sends to.
    ///
    /// # Errors
    /// As the system gives them.
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        match abstract_address(path.as_ref()) {
            Some(address) => self.0.connect_addr(&address?),
            None => self.0.connect(path),
        }
    }

    /// Makes a socket without a name.
    ///
    /// # Errors
    /// As the system gives them.
    pub fn unbound() -> io::Result<UnixDatagram> {
        net::UnixDatagram::unbound().map(UnixDatagram)
    }

    /// Makes two sockets that are connected with each other.
    ///
    /// # Errors
    /// As the system gives them.
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, other) = net::UnixDatagram::pair()?;
        Ok((UnixDatagram(one), UnixDatagram(other)))
    }

    /// Receives a datagram and tells from whom.
    ///
    /// # Errors
    /// `WouldBlock` if there is none.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (length, sender) = self.0.recv_from(buffer)?;
        Ok((length, SocketAddr(sender)))
    }

    /// Receives a datagram.
    ///
    /// # Errors
    /// `WouldBlock` if there is none.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer)
    }

    /// Sends a datagram to a path.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room for it.
    pub fn send_to<P: AsRef<Path>>(&self, buffer: &[u8], path: P) -> io::Result<usize> {
        match abstract_address(path.as_ref()) {
            Some(address) => self.0.send_to_addr(buffer, &address?),
            None => self.0.send_to(buffer, path),
        }
    }

    /// Sends a datagram to the connected peer.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room for it.
    pub fn send(&self, buffer: &[u8]) -> io::Result<usize> {
        self.0.send(buffer)
    }
}

/// A listener of the Unix domain.
pub struct UnixListener(net::UnixListener);

impl UnixListener {
    /// Listens at a path.
    ///
    /// # Errors
    /// As the system gives them; `AddrInUse` if the path exists.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        match abstract_address(path.as_ref()) {
            Some(address) => net::UnixListener::bind_addr(&address?).map(UnixListener),
            None => net::UnixListener::bind(path).map(UnixListener),
        }
    }

    /// Listens at an address.
    ///
    /// # Errors
    /// As the system gives them.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixListener> {
        net::UnixListener::bind_addr(&address.0).map(UnixListener)
    }

    /// Takes a listener of std's, which must be non-blocking.
    pub fn from_std(listener: std_net::UnixListener) -> UnixListener {
        UnixListener(net::UnixListener::from_std(listener))
    }

    /// Accepts a connection and tells from whom.
    ///
    /// # Errors
    /// `WouldBlock` if nobody is waiting.
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, peer) = self.0.accept()?;
        Ok((UnixStream(stream), SocketAddr(peer)))
    }
}

/// A stream of the Unix domain.
pub struct UnixStream(net::UnixStream);

impl UnixStream {
    /// Connects to a path.
    ///
    /// # Errors
    /// As the system gives them; `WouldBlock` if the listener's queue is full.
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        match abstract_address(path.as_ref()) {
            Some(address) => net::UnixStream::connect_addr(&address?).map(UnixStream),
            None => net::UnixStream::connect(path).map(UnixStream),
        }
    }

    /// Connects to an address.
    ///
    /// # Errors
    /// As for [`connect`](UnixStream::connect).
    pub fn connect_addr(address: &SocketAddr) -> io::Result<UnixStream> {
        net::UnixStream::connect_addr(&address.0).map(UnixStream)
    }

    /// Takes a stream of std's, which must be non-blocking.
    pub fn from_std(stream: std_net::UnixStream) -> UnixStream {
        UnixStream(net::UnixStream::from_std(stream))
    }

    /// Makes two streams that are connected with each other.
    ///
    /// # Errors
    /// As the system gives them.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = net::UnixStream::pair()?;
        Ok((UnixStream(one), UnixStream(other)))
    }
}

macro_rules! common {
    ($($socket:ident),*) => { $(
        impl $socket {
            /// The socket's own address.
            ///
            /// # Errors
            /// As the system gives them.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                self.0.local_addr().map(SocketAddr)
            }

            /// The socket's pending error, which is cleared.
            ///
            /// # Errors
            /// As the system gives them.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.0.take_error()
            }
        }

        impl Source for $socket {
            fn register(
                &mut self,
                registry: &Registry,
                token: Token,
                interests: Interest,
            ) -> io::Result<()> {
                self.0.register(registry, token, interests)
            }

            fn reregister(
                &mut self,
                registry: &Registry,
                token: Token,
                interests: Interest,
            ) -> io::Result<()> {
                self.0.reregister(registry, token, interests)
            }

            fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
                self.0.deregister(registry)
            }
        }

        impl fmt::Debug for $socket {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl AsRawFd for $socket {
            fn as_raw_fd(&self) -> RawFd {
                self.0.as_raw_fd()
            }
        }

        impl IntoRawFd for $socket {
            fn into_raw_fd(self) -> RawFd {
                self.0.into_raw_fd()
            }
        }

        #[allow(unsafe_code)]
        impl FromRawFd for $socket {
            unsafe fn from_raw_fd(fd: RawFd) -> $socket {
                // SAFETY: the caller promises an open descriptor of this kind that nobody else
                // owns.
                $socket(unsafe { net::$socket::from_raw_fd(fd) })
            }
        }
    )* };
}

macro_rules! connected {
    ($($socket:ident),*) => { $(
        impl $socket {
            /// The peer's address.
            ///
            /// # Errors
            /// `NotConnected` if there is none.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                self.0.peer_addr().map(SocketAddr)
            }

            /// Ends one direction or both.
            ///
            /// # Errors
            /// As the system gives them.
            pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                self.0.shutdown(how)
            }

            /// Runs an operation on the descriptor; its `WouldBlock` counts as one of the socket's
            /// own.
            ///
            /// # Errors
            /// Those of the operation.
            pub fn try_io<F, T>(&self, operation: F) -> io::Result<T>
            where
                F: FnOnce() -> io::Result<T>,
            {
                self.0.try_io(operation)
            }
        }
    )* };
}

common!(UnixDatagram, UnixListener, UnixStream);
connected!(UnixDatagram, UnixStream);

macro_rules! streams {
    ($($stream:ty),*) => { $(
        impl Read for $stream {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                (&self.0).read(buffer)
            }

            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                (&self.0).read_vectored(buffers)
            }
        }

        impl Write for $stream {
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                (&self.0).write(buffer)
            }

            fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
                (&self.0).write_vectored(buffers)
            }

            fn flush(&mut self) -> io::Result<()> {
                (&self.0).flush()
            }
        }
    )* };
}

streams!(UnixStream, &UnixStream);
