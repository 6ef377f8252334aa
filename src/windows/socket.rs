//! Raw sockets in and out of every source that owns one, stamped by one macro.

use std::os::windows::io::{
    AsRawSocket, AsSocket, BorrowedSocket, FromRawSocket, IntoRawSocket, OwnedSocket, RawSocket,
};

use crate::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};

macro_rules! sockets {
    ($($source:ident),*) => { $(
        /// The socket. I/O on it is not seen by the source: run it in
        #[doc = concat!("[`try_io_for`](", stringify!($source), "::try_io_for).")]
        impl AsSocket for $source {
            fn as_socket(&self) -> BorrowedSocket<'_> {
                self.as_std().as_socket()
            }
        }

        /// As [`as_socket`](AsSocket::as_socket), without a lifetime.
        impl AsRawSocket for $source {
            fn as_raw_socket(&self) -> RawSocket {
                self.as_std().as_raw_socket()
            }
        }

        /// Takes a socket, which must be of the right kind and non-blocking. Nothing about it is
        /// changed.
        impl From<OwnedSocket> for $source {
            fn from(socket: OwnedSocket) -> $source {
                $source::from_std(socket.into())
            }
        }

        /// As `From<OwnedSocket>`, with the duty to see to it that nobody else owns the socket.
        impl FromRawSocket for $source {
            unsafe fn from_raw_socket(socket: RawSocket) -> $source {
                // SAFETY: the caller promises an open socket that nobody else owns.
                unsafe { OwnedSocket::from_raw_socket(socket) }.into()
            }
        }

        /// Gives the socket, deregistered. It stays non-blocking.
        impl From<$source> for OwnedSocket {
            fn from(source: $source) -> OwnedSocket {
                source.into_std().into()
            }
        }

        /// As `From<…> for OwnedSocket`, with the duty to close it.
        impl IntoRawSocket for $source {
            fn into_raw_socket(self) -> RawSocket {
                OwnedSocket::from(self).into_raw_socket()
            }
        }
    )* };
}

sockets!(TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream);

#[cfg(test)]
mod tests {
    use super::*;

    /// Through every conversion and back, the socket stays the same and open.
    fn assert_goes_round<T>(source: T)
    where
        T: AsSocket + AsRawSocket + FromRawSocket + IntoRawSocket + From<OwnedSocket>,
        OwnedSocket: From<T>,
    {
        let number = source.as_raw_socket();
        assert_eq!(source.as_socket().as_raw_socket(), number);
        let source = T::from(OwnedSocket::from(source));
        let raw = source.into_raw_socket();
        assert_eq!(raw, number);
        // SAFETY: `into_raw_socket` has just given up the ownership.
        let source = unsafe { T::from_raw_socket(raw) };
        assert_eq!(source.as_raw_socket(), number);
        source.as_socket().try_clone_to_owned().unwrap();
    }

    #[test]
    fn sockets_stay_the_same_through_all_conversions() {
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = TcpListener::bind(address).unwrap();
        assert_goes_round(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        assert_goes_round(listener);
        assert_goes_round(UdpSocket::bind(address).unwrap());
    }
}
