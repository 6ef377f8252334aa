//! Sockets: TCP, UDP and, on Unix, Unix sockets; on Linux and Android also vsock, between virtual
//! machines and their host.
//!
//! They are std's types of the same names, non-blocking and close-on-exec, and turned into
//! [sources](crate::event::Source). Where std's methods would wait, these return
//! [`WouldBlock`](std::io::ErrorKind::WouldBlock); an event says when to try again. All methods
//! take `&self`, and all types are `Send` and `Sync`.
//!
//! # Draining
//!
//! Registrations are edge-triggered by default: after an event, repeat the operation until it
//! returns `WouldBlock`, or no further event is promised. [`TcpStream::SHORT_READ_DRAINS`] says
//! when you may stop sooner.
//!
//! # What is not here
//!
//! Socket options: `socket2::SockRef::from(&stream)` has them all, and works with these types.
//! Operations that std lacks go through `try_io_for`, which every type has, so that the source is
//! re-armed where the system does not do so itself.
//!
//! # Registration
//!
//! A socket may be dropped while it is registered; that deregisters it. The exception is a socket
//! whose descriptor has duplicates (`try_clone_to_owned`, `fork`): epoll forgets it only when the
//! last of them is closed, so deregister it first.
//!
//! # Examples
//!
//! An echo server for one connection, and its client:
//!
//! ```
//! use litio::net::{TcpListener, TcpStream};
//! use litio::{Events, Interest, Poll, Token};
//! use std::io::{self, Read, Write};
//!
//! const LISTENER: Token = Token(0);
//! const SERVER: Token = Token(1);
//! const CLIENT: Token = Token(2);
//!
//! # fn main() -> io::Result<()> {
//! let mut poll = Poll::new()?;
//! let mut events = Events::with_capacity(16);
//! let mut listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
//! let mut client = TcpStream::connect(listener.local_addr()?)?;
//! poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
//! poll.registry().register(&mut client, CLIENT, Interest::READABLE | Interest::WRITABLE)?;
//!
//! let mut server = None;
//! let mut sent = false;
//! 'running: loop {
//!     poll.poll(&mut events, None)?;
//!     for event in &events {
//!         match event.token() {
//!             LISTENER => {
//!                 let Ok((mut accepted, _peer)) = listener.accept() else { continue };
//!                 poll.registry().register(&mut accepted, SERVER, Interest::READABLE)?;
//!                 server = Some(accepted);
//!             }
//!             SERVER => {
//!                 let server = server.as_mut().unwrap();
//!                 let mut buffer = [0; 512];
//!                 while let Ok(read) = server.read(&mut buffer) {
//!                     server.write_all(&buffer[..read])?;
//!                 }
//!             }
//!             _ => {
//!                 if event.is_writable() && !sent {
//!                     client.write_all(b"echo")?;
//!                     sent = true;
//!                 }
//!                 let mut buffer = [0; 4];
//!                 if event.is_readable() && client.read(&mut buffer).is_ok() {
//!                     assert_eq!(&buffer, b"echo");
//!                     break 'running;
//!                 }
//!             }
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```

use std::io;

use crate::interest::Interest;
use crate::io_source::IoSource;

#[cfg(unix)]
crate::sys::socket::if_control_messages! {
    pub mod ancillary;
    mod unix_seqpacket;
    pub use unix_seqpacket::{UnixSeqpacket, UnixSeqpacketListener};
}
#[cfg(unix)]
crate::sys::socket::if_vsock! {
    mod vsock;
    pub use vsock::{VsockAddr, VsockListener, VsockStream};
}
#[cfg(not(all(target_os = "wasi", target_env = "p1")))]
pub mod datagrams;
mod tcp_listener;
mod tcp_stream;
#[cfg(not(all(target_os = "wasi", target_env = "p1")))]
mod udp_socket;
#[cfg(unix)]
mod unix_datagram;
#[cfg(any(unix, windows))]
mod unix_listener;
#[cfg(any(unix, windows))]
mod unix_stream;

pub use tcp_listener::TcpListener;
pub use tcp_stream::TcpStream;
#[cfg(not(all(target_os = "wasi", target_env = "p1")))]
pub use udp_socket::UdpSocket;
#[cfg(unix)]
pub use unix_datagram::UnixDatagram;
#[cfg(any(unix, windows))]
pub use unix_listener::UnixListener;
#[cfg(any(unix, windows))]
pub use unix_stream::UnixStream;

/// What every type made of an [`IoSource`](crate::IoSource) has: `struct $source { inner:
/// IoSource<$std> }`.
macro_rules! source {
    ($source:ident, $std:ty) => {
        impl $source {
            #[allow(dead_code)] // the traits of the platform use them, in the floors above
            pub(crate) fn as_std(&self) -> &$std {
                self.inner.get()
            }

            #[allow(dead_code)]
            pub(crate) fn into_std(self) -> $std {
                self.inner.into_inner()
            }
        }

        impl $crate::registry::Source for $source {
            fn register(
                &mut self,
                registry: &$crate::registry::Registry,
                token: $crate::token::Token,
                interests: $crate::interest::Interest,
            ) -> ::std::io::Result<()> {
                $crate::registry::Source::register(&mut self.inner, registry, token, interests)
            }

            fn reregister(
                &mut self,
                registry: &$crate::registry::Registry,
                token: $crate::token::Token,
                interests: $crate::interest::Interest,
            ) -> ::std::io::Result<()> {
                $crate::registry::Source::reregister(&mut self.inner, registry, token, interests)
            }

            fn deregister(
                &mut self,
                registry: &$crate::registry::Registry,
            ) -> ::std::io::Result<()> {
                $crate::registry::Source::deregister(&mut self.inner, registry)
            }
        }
    };
}

/// `Debug` as std's type has it.
macro_rules! debug_as_std {
    ($source:ident) => {
        /// Prints what std's type prints.
        impl ::std::fmt::Debug for $source {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                self.inner.get().fmt(f)
            }
        }
    };
}

/// The way back to std's type.
macro_rules! into_std {
    ($source:ident, $std:ty) => {
        /// Gives up std's type. It stays non-blocking and, on epoll and kqueue, registered until it
        /// is closed: deregister it first if it lives on.
        impl From<$source> for $std {
            fn from(source: $source) -> $std {
                source.into_std()
            }
        }
    };
}

/// `try_io` and `try_io_for`, with an example.
macro_rules! operations {
    ($(#[$example:meta])*) => {
        /// Runs an operation that uses the descriptor (the socket on Windows) by other means and,
        /// if it would have blocked, re-arms every registered direction.
        ///
        /// The operation must return `WouldBlock` when the source was not ready, and should return
        /// it only then; otherwise it costs spurious events. [`try_io_for`](Self::try_io_for)
        /// re-arms no more than is needed, and has an example.
        ///
        /// # Errors
        ///
        /// Those of the operation. If it would have blocked but the source cannot be re-armed, the
        /// error of re-arming.
        ///
        /// # System calls
        ///
        /// Those of the operation. Re-arming takes none on epoll, kqueue and (unless the poller is
        /// asleep) poll(2); port_associate(3C) on event ports; `NtDeviceIoControlFile` on Windows.
        #[inline]
        pub fn try_io<F, T>(&self, operation: F) -> ::std::io::Result<T>
        where
            F: FnOnce() -> ::std::io::Result<T>,
        {
            self.inner.try_io(operation)
        }

        /// Runs an operation that uses the descriptor (the socket on Windows) by other means and,
        /// if it would have blocked, re-arms the directions of `interest`: those in which it can
        /// block.
        ///
        /// # Errors
        ///
        /// As [`try_io`](Self::try_io).
        ///
        /// # System calls
        ///
        /// As [`try_io`](Self::try_io).
        ///
        $(#[$example])*
        #[inline]
        pub fn try_io_for<F, T>(
            &self,
            interest: $crate::interest::Interest,
            operation: F,
        ) -> ::std::io::Result<T>
        where
            F: FnOnce() -> ::std::io::Result<T>,
        {
            self.inner.try_io_for(interest, operation)
        }
    };
}

/// `Read` of a byte stream, for the type and for a shared reference to it. `read` takes the object
/// inside and a buffer.
macro_rules! reads {
    ($source:ident, $read:path) => {
        /// One read(2), recv(2) or readv(2) per call. `WouldBlock` if there is nothing yet, `Ok(0)`
        /// at the end of the stream.
        impl ::std::io::Read for $source {
            #[inline]
            fn read(&mut self, buffer: &mut [u8]) -> ::std::io::Result<usize> {
                (&*self).read(buffer)
            }

            #[inline]
            fn read_vectored(
                &mut self,
                buffers: &mut [::std::io::IoSliceMut<'_>],
            ) -> ::std::io::Result<usize> {
                (&*self).read_vectored(buffers)
            }
        }

        impl ::std::io::Read for &$source {
            #[inline]
            fn read(&mut self, buffer: &mut [u8]) -> ::std::io::Result<usize> {
                let asked = buffer.len();
                self.inner
                    .transfer($crate::interest::Interest::READABLE, asked, |inner| {
                        $read(inner, buffer)
                    })
            }

            #[inline]
            fn read_vectored(
                &mut self,
                buffers: &mut [::std::io::IoSliceMut<'_>],
            ) -> ::std::io::Result<usize> {
                if buffers.is_empty() {
                    return Ok(0); // which Windows would call an invalid argument
                }
                let asked = $crate::net::sum(buffers.iter().map(|buffer| buffer.len()));
                self.inner
                    .transfer($crate::interest::Interest::READABLE, asked, |mut inner| {
                        inner.read_vectored(buffers)
                    })
            }
        }
    };
}

/// `Write` of a byte stream, for the type and for a shared reference to it. `write` takes the
/// object inside and a buffer.
macro_rules! writes {
    ($source:ident, $write:path) => {
        /// One write(2), send(2) or writev(2) per call. `WouldBlock` if there is no room yet.
        /// Nothing is buffered here, so there is nothing to flush.
        impl ::std::io::Write for $source {
            #[inline]
            fn write(&mut self, buffer: &[u8]) -> ::std::io::Result<usize> {
                (&*self).write(buffer)
            }

            #[inline]
            fn write_vectored(
                &mut self,
                buffers: &[::std::io::IoSlice<'_>],
            ) -> ::std::io::Result<usize> {
                (&*self).write_vectored(buffers)
            }

            #[inline]
            fn flush(&mut self) -> ::std::io::Result<()> {
                (&*self).flush()
            }
        }

        impl ::std::io::Write for &$source {
            #[inline]
            fn write(&mut self, buffer: &[u8]) -> ::std::io::Result<usize> {
                let asked = buffer.len();
                self.inner
                    .transfer($crate::interest::Interest::WRITABLE, asked, |inner| {
                        $write(inner, buffer)
                    })
            }

            #[inline]
            fn write_vectored(
                &mut self,
                buffers: &[::std::io::IoSlice<'_>],
            ) -> ::std::io::Result<usize> {
                if buffers.is_empty() {
                    return Ok(0); // as above
                }
                let asked = $crate::net::sum(buffers.iter().map(|buffer| buffer.len()));
                self.inner
                    .transfer($crate::interest::Interest::WRITABLE, asked, |mut inner| {
                        inner.write_vectored(buffers)
                    })
            }

            #[inline]
            fn flush(&mut self) -> ::std::io::Result<()> {
                self.inner
                    .do_io($crate::interest::Interest::WRITABLE, |mut inner| {
                        inner.flush()
                    })
            }
        }
    };
}

use {debug_as_std, into_std};
pub(crate) use {operations, reads, source, writes};

#[cfg(unix)]
use crate::sys::socket::{receive, send};
#[cfg(not(unix))]
use {read as receive, write as send};

/// Reads as std does.
pub(crate) fn read<S>(mut stream: &S, buffer: &mut [u8]) -> io::Result<usize>
where
    for<'a> &'a S: io::Read,
{
    io::Read::read(&mut stream, buffer)
}

/// Writes as std does.
pub(crate) fn write<S>(mut stream: &S, buffer: &[u8]) -> io::Result<usize>
where
    for<'a> &'a S: io::Write,
{
    io::Write::write(&mut stream, buffer)
}

/// Arms a stream again for writing if this answer about its peer says that it is still connecting.
///
/// Only then: for a stream that is connected and has room it would be an event for each question,
/// and a program that asks at each event would never sleep.
pub(crate) fn rearm_if_connecting<T, A>(
    stream: &IoSource<T>,
    peer: &io::Result<A>,
) -> io::Result<()> {
    match peer {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => {
            stream.rearm(Interest::WRITABLE)
        }
        _ => Ok(()),
    }
}

/// How many bytes a vectored call asks for. Slices to write may overlap, so that their sum may
/// exceed all memory.
#[inline]
pub(crate) fn sum(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the system tracks registrations itself: epoll and kqueue, in release builds.
    #[test]
    fn sockets_are_as_small_as_std_s() {
        let is_untracked = size_of::<IoSource<()>>() == 0;
        let assert_small = |ours: usize, std: usize| assert!(!is_untracked || ours == std);
        assert_small(size_of::<TcpListener>(), size_of::<std::net::TcpListener>());
        assert_small(size_of::<TcpStream>(), size_of::<std::net::TcpStream>());
        assert_small(
            size_of::<Option<TcpStream>>(),
            size_of::<Option<std::net::TcpStream>>(),
        );
        assert_small(size_of::<UdpSocket>(), size_of::<std::net::UdpSocket>());
        #[cfg(unix)]
        {
            use std::os::unix::net;
            assert_small(size_of::<UnixDatagram>(), size_of::<net::UnixDatagram>());
            assert_small(size_of::<UnixListener>(), size_of::<net::UnixListener>());
            assert_small(size_of::<UnixStream>(), size_of::<net::UnixStream>());
        }
    }

    #[test]
    fn sum_of_lengths_does_not_overflow() {
        assert_eq!(sum([].into_iter()), 0);
        assert_eq!(sum([3, 0, 4].into_iter()), 7);
        assert_eq!(sum([usize::MAX, 2].into_iter()), usize::MAX);
    }
}
