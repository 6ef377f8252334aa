//! Sources made of one object: its registration, and operations that re-arm it.

use std::fmt;
use std::io;

use crate::checker::Watch;
use crate::interest::Interest;
use crate::registry::{Hub, Registry, Source};
use crate::sys::handle::{AsRawSource, raw_source};
use crate::sys::selector::{Backend, Registration, Serving};
use crate::token::Token;

/// Every direction in which an operation can block.
const ALL: Interest = Interest::READABLE
    .add(Interest::WRITABLE)
    .add(Interest::PRIORITY);

/// Turns an object that owns a descriptor (a socket on Windows) into a [`Source`] whose operations
/// re-arm it correctly on every platform. All of Litio's sockets are made of it.
///
/// The object must be non-blocking, and its I/O must go through [`do_io`](IoSource::do_io),
/// [`transfer`](IoSource::transfer), [`try_io`](IoSource::try_io) or
/// [`try_io_for`](IoSource::try_io_for): where the system does not report edges by itself (Windows,
/// poll(2), Solaris, illumos), a source that was reported ready is reported again only after one of
/// these saw [`WouldBlock`](io::ErrorKind::WouldBlock). There is no `Deref`, so that no I/O
/// bypasses them by accident; use [`get`](IoSource::get) for what cannot block.
///
/// Dropping it deregisters it before the object closes. It costs nothing on epoll and kqueue: in
/// release builds `size_of::<IoSource<T>>()` is `size_of::<T>()`.
///
/// # Examples
///
/// ```
/// # #[cfg(unix)] fn main() -> std::io::Result<()> {
/// use litio::{Events, Interest, IoSource, Poll, Token};
/// use std::io::{self, Read, Write};
/// use std::os::unix::net::UnixStream;
///
/// // Any object with a descriptor, here one of the standard library's.
/// let (mut ours, theirs) = UnixStream::pair()?;
/// theirs.set_nonblocking(true)?;
/// let mut source = IoSource::new(theirs);
///
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// poll.registry().register(&mut source, Token(0), Interest::READABLE)?;
///
/// ours.write_all(b"hello")?;
/// poll.poll(&mut events, None)?;
/// assert!(events.iter().any(|event| event.is_readable()));
///
/// let mut buffer = [0; 16];
/// let read = source.do_io(Interest::READABLE, |mut stream| stream.read(&mut buffer))?;
/// assert_eq!(&buffer[..read], b"hello");
/// let drained = source.do_io(Interest::READABLE, |mut stream| stream.read(&mut buffer));
/// assert_eq!(drained.unwrap_err().kind(), io::ErrorKind::WouldBlock);
/// # Ok(())
/// # }
/// # #[cfg(not(unix))] fn main() {}
/// ```
pub struct IoSource<T>(Attached<Serving, T>);

impl<T> IoSource<T> {
    /// True where the system does not report edges by itself, so that [`rearm`](IoSource::rearm)
    /// does something.
    pub(crate) const IS_REARMED: bool =
        <<Serving as Backend>::Registration as Registration<Serving>>::REARMS;

    /// Wraps an object, which must be non-blocking. Nothing is registered yet.
    #[must_use]
    pub fn new(object: T) -> IoSource<T> {
        IoSource(Attached::new(object))
    }

    /// The object, for what cannot block: addresses, options. I/O directly on it goes unseen, and
    /// does not re-arm the source.
    pub fn get(&self) -> &T {
        &self.0.inner
    }

    /// The object, mutably. See [`get`](IoSource::get). Replacing it while it is registered is a
    /// mistake: the registration belongs to the old one. (Debug builds panic when such a source is
    /// reregistered or deregistered.)
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.0.inner
    }

    /// Gives the object back. On epoll and kqueue it stays registered until it is closed:
    /// deregister it first if it lives on. Elsewhere this deregisters it.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }

    /// Runs an operation on the object and, if it would have blocked, re-arms the directions of
    /// `interest`: those in which it can block.
    ///
    /// # Errors
    ///
    /// Those of `operation`. If it would have blocked but the source cannot be re-armed, the error
    /// of re-arming.
    #[inline]
    pub fn do_io<R>(
        &self,
        interest: Interest,
        operation: impl FnOnce(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.0.do_io(interest, operation)
    }

    /// Runs an operation that uses the object by other means (a raw descriptor, a foreign library)
    /// and, if it would have blocked, re-arms *every* direction that is registered.
    /// [`try_io_for`](IoSource::try_io_for) is the precise one.
    ///
    /// # Errors
    ///
    /// As [`do_io`](IoSource::do_io).
    #[inline]
    pub fn try_io<R>(&self, operation: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.0.do_io(ALL, |_| operation())
    }

    /// Runs an operation that uses the object by other means and, if it would have blocked, re-arms
    /// the directions of `interest`.
    ///
    /// # Errors
    ///
    /// As [`do_io`](IoSource::do_io).
    #[inline]
    pub fn try_io_for<R>(
        &self,
        interest: Interest,
        operation: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        self.0.do_io(interest, |_| operation())
    }

    /// Runs a read or a write of a byte stream: like [`do_io`](IoSource::do_io), but a transfer of
    /// fewer bytes than were `asked` for re-arms too.
    ///
    /// A stream that gave or took less than it was asked for has nothing more for now, so the
    /// program may wait for the next event without the call that would only return `WouldBlock`;
    /// [`TcpStream::SHORT_READ_DRAINS`](crate::net::TcpStream::SHORT_READ_DRAINS) names the
    /// exceptions. The end of a stream (`Ok(0)`) and errors other than `WouldBlock` re-arm nothing.
    ///
    /// # Errors
    ///
    /// As [`do_io`](IoSource::do_io), except that an error of re-arming after a short transfer is
    /// not returned, because the bytes have been moved.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(unix)] fn main() -> std::io::Result<()> {
    /// use litio::{Events, Interest, IoSource, Poll, Token};
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (mut ours, theirs) = UnixStream::pair()?;
    /// theirs.set_nonblocking(true)?;
    /// let mut source = IoSource::new(theirs);
    /// let mut poll = Poll::new()?;
    /// let mut events = Events::with_capacity(8);
    /// poll.registry().register(&mut source, Token(0), Interest::READABLE)?;
    ///
    /// let mut buffer = [0; 16];
    /// for _ in 0..2 {
    ///     ours.write_all(b"hello")?;
    ///     poll.poll(&mut events, None)?; // comes each time, without a read that would block
    ///     let asked = buffer.len();
    ///     let read = source.transfer(Interest::READABLE, asked, |mut stream| {
    ///         stream.read(&mut buffer)
    ///     })?;
    ///     assert_eq!(&buffer[..read], b"hello");
    /// }
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))] fn main() {}
    /// ```
    #[inline]
    pub fn transfer(
        &self,
        interest: Interest,
        asked: usize,
        operation: impl FnOnce(&T) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.0.transfer(interest, asked, operation)
    }

    /// Declares that the directions of `interest` would block, as if an operation had said so. Does
    /// nothing where the system reports edges by itself, or if the object is not registered.
    ///
    /// For I/O that none of the other methods can run, such as that of another thread or library.
    ///
    /// # Errors
    ///
    /// Those of the selector, if it has to be told.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(unix)] fn main() -> std::io::Result<()> {
    /// use litio::{Interest, IoSource};
    /// use std::io::{ErrorKind, Read};
    /// use std::os::unix::net::UnixStream;
    ///
    /// # let (_ours, theirs) = UnixStream::pair()?;
    /// # theirs.set_nonblocking(true)?;
    /// let mut same = theirs.try_clone()?; // used elsewhere
    /// let source = IoSource::new(theirs);
    /// let result = same.read(&mut [0; 16]);
    /// if result.is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
    ///     source.rearm(Interest::READABLE)?;
    /// }
    /// # Ok(())
    /// # }
    /// # #[cfg(not(unix))] fn main() {}
    /// ```
    #[inline]
    pub fn rearm(&self, interest: Interest) -> io::Result<()> {
        self.0.rearm(interest)
    }
}

impl<T: AsRawSource> Source for IoSource<T> {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.0.register(registry.hub(), token, interests)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.0.reregister(registry.hub(), token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.0.deregister(registry.hub())
    }
}

/// Prints the object.
impl<T: fmt::Debug> fmt::Debug for IoSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.inner.fmt(f)
    }
}

/// [`IoSource`] on any backend.
#[derive(Debug)]
pub(crate) struct Attached<B: Backend, T> {
    // First, so that it is dropped first: a tracked registration ends before the object closes.
    registration: B::Registration,
    pub(crate) inner: T,
    // Last, so that it calls the source gone when the object has closed. Empty in release builds.
    watch: Watch,
}

impl<B: Backend, T> Attached<B, T> {
    pub(crate) fn new(inner: T) -> Attached<B, T> {
        Attached {
            registration: B::Registration::default(),
            inner,
            watch: Watch::new(),
        }
    }

    pub(crate) fn into_inner(self) -> T {
        let Attached {
            registration,
            inner,
            watch,
        } = self;
        drop(registration);
        watch.given_away();
        inner
    }

    #[inline]
    pub(crate) fn do_io<R>(
        &self,
        interest: Interest,
        operation: impl FnOnce(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        let result = self.rearming(interest, operation);
        self.watch.operated(interest, &result);
        result
    }

    #[inline]
    fn rearming<R>(
        &self,
        interest: Interest,
        operation: impl FnOnce(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        let result = operation(&self.inner);
        if B::Registration::REARMS {
            if let Err(error) = &result {
                if error.kind() == io::ErrorKind::WouldBlock {
                    self.registration.rearm(interest)?;
                }
            }
        }
        result
    }

    #[inline]
    pub(crate) fn transfer(
        &self,
        interest: Interest,
        asked: usize,
        operation: impl FnOnce(&T) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let result = self.rearming(interest, operation);
        self.watch.transferred(interest, asked, &result);
        if B::Registration::REARMS {
            if let Ok(done) = result {
                if 0 < done && done < asked {
                    // The bytes are moved already, and an error here must not lose them. A selector
                    // that could not be told now is told by the next operation, which would block.
                    let _ = self.registration.rearm(interest);
                }
            }
        }
        result
    }

    #[inline]
    pub(crate) fn rearm(&self, interest: Interest) -> io::Result<()> {
        self.watch.blocked(interest);
        self.registration.rearm(interest)
    }
}

impl<B: Backend, T: AsRawSource> Attached<B, T> {
    pub(crate) fn register(
        &mut self,
        hub: &Hub<B>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        hub.watcher.announce(token);
        let source = raw_source(&self.inner);
        let result = self
            .registration
            .register(&hub.selector, source, token, interest);
        self.watch
            .registered(&hub.watcher, source, token, interest, &result);
        result
    }

    pub(crate) fn reregister(
        &mut self,
        hub: &Hub<B>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        hub.watcher.announce(token);
        let source = raw_source(&self.inner);
        let result = self
            .registration
            .reregister(&hub.selector, source, token, interest);
        self.watch
            .reregistered(&hub.watcher, source, token, interest, &result);
        result
    }

    pub(crate) fn deregister(&mut self, hub: &Hub<B>) -> io::Result<()> {
        let source = raw_source(&self.inner);
        let result = self.registration.deregister(&hub.selector, source);
        self.watch.deregistered(&hub.watcher, &result);
        result
    }
}
