//! Descriptors in and out of every source that owns one, stamped by one macro.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use crate::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use crate::unix::pipe::{Receiver, Sender};

macro_rules! descriptors {
    ($($source:ident),*) => { $(
        /// The descriptor. I/O on it is not seen by the source: run it in
        #[doc = concat!("[`try_io_for`](", stringify!($source), "::try_io_for).")]
        impl AsFd for $source {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.as_std().as_fd()
            }
        }

        /// As [`as_fd`](AsFd::as_fd), without a lifetime.
        impl AsRawFd for $source {
            fn as_raw_fd(&self) -> RawFd {
                self.as_std().as_raw_fd()
            }
        }

        /// Takes a descriptor, which must be of the right kind and non-blocking. None of its flags
        /// is changed.
        impl From<OwnedFd> for $source {
            fn from(fd: OwnedFd) -> $source {
                $source::from_std(fd.into())
            }
        }

        /// As `From<OwnedFd>`, with the duty to see to it that nobody else owns the descriptor.
        impl FromRawFd for $source {
            unsafe fn from_raw_fd(fd: RawFd) -> $source {
                // SAFETY: the caller promises an open descriptor that nobody else owns.
                unsafe { OwnedFd::from_raw_fd(fd) }.into()
            }
        }

        /// Gives the descriptor. It stays non-blocking and, on epoll and kqueue, registered until
        /// it is closed: deregister it first if it lives on.
        impl From<$source> for OwnedFd {
            fn from(source: $source) -> OwnedFd {
                source.into_std().into()
            }
        }

        /// As `From<…> for OwnedFd`, with the duty to close it.
        impl IntoRawFd for $source {
            fn into_raw_fd(self) -> RawFd {
                OwnedFd::from(self).into_raw_fd()
            }
        }
    )* };
}

descriptors!(
    TcpListener,
    TcpStream,
    UdpSocket,
    UnixDatagram,
    UnixListener,
    UnixStream,
    Sender,
    Receiver
);

#[cfg(test)]
mod tests {
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
        let (sender, receiver) = crate::unix::pipe::new().unwrap();
        assert_goes_round(sender);
        assert_goes_round(receiver);
    }
}
