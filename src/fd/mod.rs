//! Descriptors: raw ones as sources, the queue's own, and descriptors in and out of every type.
//!
//! For all systems that have them, which are more than Unix; `unix`, `wasi` and `hermit` show what
//! their systems have.

// Descriptors change hands here.
#![allow(unsafe_code)]

#[cfg(not(all(target_os = "wasi", target_env = "p1")))]
use crate::net::UdpSocket;
use crate::net::{TcpListener, TcpStream};
#[cfg(unix)]
use crate::net::{UnixDatagram, UnixListener, UnixStream};

mod queue_fd;
mod source_fd;

pub use source_fd::SourceFd;

/// Stamps the traits on types that have `as_std`, `into_std` and `from_std`.
macro_rules! descriptors {
    ($($source:ident),*) => { $(
        /// The descriptor. The source does not see I/O on it: run that in
        #[doc = concat!("[`try_io_for`](", stringify!($source), "::try_io_for).")]
        impl ::std::os::fd::AsFd for $source {
            fn as_fd(&self) -> ::std::os::fd::BorrowedFd<'_> {
                self.as_std().as_fd()
            }
        }

        /// As [`as_fd`](::std::os::fd::AsFd::as_fd), without a lifetime.
        impl ::std::os::fd::AsRawFd for $source {
            fn as_raw_fd(&self) -> ::std::os::fd::RawFd {
                self.as_std().as_raw_fd()
            }
        }

        /// Takes a descriptor, which must be of the right kind and non-blocking. None of its flags
        /// is changed.
        impl From<::std::os::fd::OwnedFd> for $source {
            fn from(fd: ::std::os::fd::OwnedFd) -> $source {
                $source::from_std(fd.into())
            }
        }

        /// As `From<OwnedFd>`; the caller makes sure that nobody else owns the descriptor.
        impl ::std::os::fd::FromRawFd for $source {
            unsafe fn from_raw_fd(fd: ::std::os::fd::RawFd) -> $source {
                // SAFETY: the caller promises an open descriptor that nobody else owns.
                unsafe { ::std::os::fd::OwnedFd::from_raw_fd(fd) }.into()
            }
        }

        /// Gives up the descriptor. It stays non-blocking and, on epoll and kqueue, registered
        /// until it is closed: deregister it first if it lives on.
        impl From<$source> for ::std::os::fd::OwnedFd {
            fn from(source: $source) -> ::std::os::fd::OwnedFd {
                source.into_std().into()
            }
        }

        /// As `From<…> for OwnedFd`; the caller closes it.
        impl ::std::os::fd::IntoRawFd for $source {
            fn into_raw_fd(self) -> ::std::os::fd::RawFd {
                ::std::os::fd::OwnedFd::from(self).into_raw_fd()
            }
        }
    )* };
}

#[cfg(unix)]
pub(crate) use descriptors;

descriptors!(TcpListener, TcpStream);
#[cfg(not(all(target_os = "wasi", target_env = "p1")))]
descriptors!(UdpSocket);
#[cfg(unix)]
descriptors!(UnixDatagram, UnixListener, UnixStream);
#[cfg(unix)]
crate::sys::socket::if_control_messages! {
    use crate::net::{UnixSeqpacket, UnixSeqpacketListener};
    descriptors!(UnixSeqpacket, UnixSeqpacketListener);
}
#[cfg(unix)]
crate::sys::socket::if_vsock! {
    use crate::net::{VsockListener, VsockStream};
    descriptors!(VsockListener, VsockStream);
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

    use super::*;

    /// Through every conversion and back, the descriptor stays the same and open.
    fn assert_goes_round<T>(source: T)
    where
        T: AsFd + AsRawFd + FromRawFd + IntoRawFd + From<OwnedFd>,
        OwnedFd: From<T>,
    {
        let number = source.as_raw_fd();
        assert_eq!(source.as_fd().as_raw_fd(), number);
        let source = T::from(OwnedFd::from(source));
        let raw = source.into_raw_fd();
        assert_eq!(raw, number);
        // SAFETY: `into_raw_fd` has just given up the ownership.
        let source = unsafe { T::from_raw_fd(raw) };
        assert_eq!(source.as_raw_fd(), number);
        source.as_fd().try_clone_to_owned().unwrap();
    }

    #[test]
    fn descriptors_stay_the_same_through_all_conversions() {
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = TcpListener::bind(address).unwrap();
        assert_goes_round(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        assert_goes_round(listener);
        assert_goes_round(UdpSocket::bind(address).unwrap());
        assert_goes_round(UnixDatagram::unbound().unwrap());
        assert_goes_round(UnixStream::pair().unwrap().0);
    }
}
