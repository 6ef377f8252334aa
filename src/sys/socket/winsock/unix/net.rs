//! What std has on Unix and not on Windows: the types of Unix sockets, as `std::os::unix::net` has
//! them.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::windows::io::{
    AsRawSocket, AsSocket, BorrowedSocket, FromRawSocket, IntoRawSocket, OwnedSocket, RawSocket,
};
use std::path::{Path, PathBuf};

use super::super::unix_address::UnixAddress;

/// The address of a Unix socket: a path, or none.
///
/// The methods are those of `std::os::unix::net::SocketAddr`.
///
/// # Examples
///
/// ```
/// use litio::windows::UnixSocketAddr;
/// use std::path::Path;
///
/// # fn main() -> std::io::Result<()> {
/// let address = UnixSocketAddr::from_pathname(r"C:\Temp\server.socket")?;
/// assert_eq!(address.as_pathname(), Some(Path::new(r"C:\Temp\server.socket")));
/// assert!(!address.is_unnamed());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SocketAddr {
    /// Empty if there is none.
    path: PathBuf,
}

impl SocketAddr {
    /// The address of the socket at a path; of none if it is empty.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the path contains a zero, is no Unicode, or
    /// has more than 107 bytes in UTF-8.
    pub fn from_pathname<P: AsRef<Path>>(path: P) -> io::Result<SocketAddr> {
        let address = SocketAddr {
            path: path.as_ref().to_path_buf(),
        };
        UnixAddress::new(&address)?;
        Ok(address)
    }

    /// The path, if there is one.
    #[must_use]
    pub fn as_pathname(&self) -> Option<&Path> {
        (!self.is_unnamed()).then_some(&self.path)
    }

    /// True if there is none: of a client, as a rule.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        self.path.as_os_str().is_empty()
    }

    pub(in super::super) fn unchecked(path: PathBuf) -> SocketAddr {
        SocketAddr { path }
    }
}

impl fmt::Debug for SocketAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_pathname() {
            Some(path) => write!(f, "{path:?} (pathname)"),
            None => f.write_str("(unnamed)"),
        }
    }
}

/// A stream. Of std's `TcpStream` it uses what is the same for every stream of Winsock: receiving,
/// sending, shutting down, `SO_ERROR`.
pub(crate) struct UnixStream(TcpStream);

/// A listener.
pub(crate) struct UnixListener(OwnedSocket);

impl UnixStream {
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        UnixAddress::of_socket(self).map(|address| address.to_socket_addr())
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        UnixAddress::of_peer(self).map(|address| address.to_socket_addr())
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }
}

impl UnixListener {
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        UnixAddress::of_socket(self).map(|address| address.to_socket_addr())
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        // The option is one of every socket; the type is borrowed for the call.
        // SAFETY: the socket is open, and given up again below, so that it is not closed.
        let borrowed = unsafe { TcpStream::from_raw_socket(self.as_raw_socket()) };
        let result = borrowed.take_error();
        let _ = borrowed.into_raw_socket();
        result
    }
}

impl Read for &UnixStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&self.0).read_vectored(buffers)
    }
}

impl Write for &UnixStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0).write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        (&self.0).write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

macro_rules! sockets {
    ($($name:ident),*) => { $(
        impl From<OwnedSocket> for $name {
            fn from(socket: OwnedSocket) -> $name {
                $name(socket.into())
            }
        }

        impl From<$name> for OwnedSocket {
            fn from(socket: $name) -> OwnedSocket {
                socket.0.into()
            }
        }

        impl AsSocket for $name {
            fn as_socket(&self) -> BorrowedSocket<'_> {
                self.0.as_socket()
            }
        }

        impl AsRawSocket for $name {
            fn as_raw_socket(&self) -> RawSocket {
                self.0.as_raw_socket()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut debug = f.debug_struct(stringify!($name));
                debug.field("socket", &self.as_raw_socket());
                if let Ok(address) = self.local_addr() {
                    debug.field("local", &address);
                }
                debug.finish()
            }
        }
    )* };
}

sockets!(UnixStream, UnixListener);
