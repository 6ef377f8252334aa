//! Accepting connections on Unix sockets.

use std::io;
use std::path::Path;

#[cfg(unix)]
use super::into_std;
use super::{UnixStream, debug_as_std, operations, source};
use crate::interest::Interest;
use crate::io_source::IoSource;
use crate::sys::socket::unix;
use crate::sys::socket::unix::net::{self, SocketAddr};

/// A Unix socket that accepts connections from this machine.
///
/// Readable means that a connection is waiting. One event may stand for several: accept until
/// `WouldBlock`.
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
/// use litio::net::{UnixListener, UnixStream};
/// use litio::{Events, Interest, Poll, Token};
/// use std::io::ErrorKind::WouldBlock;
///
/// # let path = std::env::temp_dir().join(format!("litio-doc-listener-{}", std::process::id()));
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// let mut listener = UnixListener::bind(&path)?;
/// poll.registry().register(&mut listener, Token(0), Interest::READABLE)?;
///
/// let client = UnixStream::connect(&path)?;
/// std::fs::remove_file(&path)?; // it is in use, but nobody else shall find it
/// poll.poll(&mut events, None)?;
/// loop {
///     match listener.accept() {
///         Ok((_stream, peer)) => assert!(peer.is_unnamed()),
///         Err(error) if error.kind() == WouldBlock => break,
///         Err(error) => return Err(error),
///     }
/// }
/// # Ok(())
/// # }
/// # #[cfg(not(unix))] fn main() {}
/// ```
pub struct UnixListener {
    inner: IoSource<net::UnixListener>,
}

impl UnixListener {
    /// Makes a listener, and a file at `path` by which it is found.
    ///
    /// The file stays when the listener is gone. Remove it then, or before `bind`, if it is known
    /// to be stale.
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
    /// socket(2), bind(2), listen(2), with the largest backlog that the system allows (std's);
    /// also fcntl(2), except on Linux, illumos, Solaris and the BSDs.
    ///
    /// # Examples
    ///
    /// See [the type's](UnixListener#examples).
    #[doc(alias = "listen")]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        UnixListener::bind_addr(&SocketAddr::from_pathname(path)?)
    }

    /// Makes a listener on an address: a path, or an abstract name, which needs no file.
    ///
    /// # Errors
    ///
    /// As [`bind`](UnixListener::bind).
    ///
    /// # Platform notes
    ///
    /// Abstract names exist on Linux, Android and Cygwin. There, listening on the unnamed address
    /// makes the system choose one.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(target_os = "linux")]
    /// # fn main() -> std::io::Result<()> {
    /// use litio::net::{UnixListener, UnixStream};
    /// use std::os::linux::net::SocketAddrExt;
    /// use std::os::unix::net::SocketAddr;
    ///
    /// let name = format!("litio-doc-{}", std::process::id());
    /// let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    /// let client = UnixStream::connect_addr(&listener.local_addr()?)?;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(target_os = "linux"))] fn main() {}
    /// ```
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixListener> {
        unix::listen(address).map(UnixListener::from_std)
    }

    /// Wraps a listener of std's, which must be non-blocking. Nothing about it is changed.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(unix)] fn main() -> std::io::Result<()> {
    /// use litio::net::UnixListener;
    ///
    /// # let name = format!("litio-doc-from-std-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let listener = std::os::unix::net::UnixListener::bind(&path)?;
    /// listener.set_nonblocking(true)?;
    /// let listener = UnixListener::from_std(listener);
    /// # std::fs::remove_file(&path)
    /// # }
    /// # #[cfg(not(unix))] fn main() {}
    /// ```
    #[cfg(unix)]
    #[must_use]
    pub fn from_std(listener: net::UnixListener) -> UnixListener {
        UnixListener {
            inner: IoSource::new(listener),
        }
    }

    /// std has no such type here.
    #[cfg(windows)]
    pub(crate) fn from_std(listener: net::UnixListener) -> UnixListener {
        UnixListener {
            inner: IoSource::new(listener),
        }
    }

    /// Accepts a connection: a stream, non-blocking and close-on-exec whatever the listener is, and
    /// its peer's address, which is unnamed if the peer was not bound.
    ///
    /// The stream is not registered. No connection is lost because its peer has an odd name.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if none waits. `ECONNABORTED` concerns one
    /// connection only: go on. `EMFILE` and `ENFILE` leave the connection waiting, without a new
    /// event: try again when descriptors are free. A signal is no error here; the call is repeated.
    ///
    /// # System calls
    ///
    /// accept4(2); accept(2) and fcntl(2) where that is missing, and on 32-bit x86 Android.
    ///
    /// # Examples
    ///
    /// See [the type's](UnixListener#examples).
    #[inline]
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, peer) = self.inner.do_io(Interest::READABLE, unix::accept)?;
        Ok((UnixStream::from_std(stream), peer))
    }

    /// The address on which it listens.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2), which has none for a socket that is open.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(unix)] fn main() -> std::io::Result<()> {
    /// use litio::net::UnixListener;
    ///
    /// # let path = std::env::temp_dir().join(format!("litio-doc-local-{}", std::process::id()));
    /// let listener = UnixListener::bind(&path)?;
    /// assert_eq!(listener.local_addr()?.as_pathname(), Some(path.as_path()));
    /// # std::fs::remove_file(&path)
    /// # }
    /// # #[cfg(not(unix))] fn main() {}
    /// ```
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get().local_addr()
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
    /// # #[cfg(unix)] fn main() -> std::io::Result<()> {
    /// use litio::net::UnixListener;
    ///
    /// # let path = std::env::temp_dir().join(format!("litio-doc-error-{}", std::process::id()));
    /// let listener = UnixListener::bind(&path)?;
    /// assert!(listener.take_error()?.is_none());
    /// # std::fs::remove_file(&path)
    /// # }
    /// # #[cfg(not(unix))] fn main() {}
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
        /// use litio::net::UnixListener;
        /// use std::os::fd::AsFd;
        ///
        /// # let path = std::env::temp_dir().join(format!("litio-doc-for-{}", std::process::id()));
        /// let listener = UnixListener::bind(&path)?;
        /// let same = listener.as_fd().try_clone_to_owned()?;
        /// let same = std::os::unix::net::UnixListener::from(same);
        /// let error = listener.try_io_for(Interest::READABLE, || same.accept()).unwrap_err();
        /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        /// # std::fs::remove_file(&path)
        /// # }
        /// # #[cfg(not(unix))] fn main() {}
        /// ```
    }
}

source!(UnixListener, net::UnixListener);
debug_as_std!(UnixListener);
#[cfg(unix)]
into_std!(UnixListener, net::UnixListener);
