//! What UDP sockets can be told on Windows only.

use std::io;

use crate::net::UdpSocket;
use crate::sys::socket::udp;

/// What a [`UdpSocket`] can be told on Windows.
pub trait UdpSocketExt {
    /// Sets whether receiving fails with `WSAECONNRESET` or `WSAENETRESET` because a datagram that
    /// was sent before could not be delivered, or has outlived its hops.
    ///
    /// Windows does so unless told otherwise, and receive loops that take the error for the end of
    /// the socket die of one peer that is gone. A socket made by [`UdpSocket::bind`] does not; one
    /// that was made otherwise is as it was made.
    ///
    /// # Errors
    ///
    /// Those of `WSAIoctl`.
    ///
    /// # System calls
    ///
    /// `WSAIoctl` with `SIO_UDP_CONNRESET` and `SIO_UDP_NETRESET`.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    /// use litio::windows::UdpSocketExt;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
    /// socket.set_report_resets(true)?;
    /// # Ok(())
    /// # }
    /// ```
    fn set_report_resets(&self, are_reported: bool) -> io::Result<()>;
}

impl UdpSocketExt for UdpSocket {
    fn set_report_resets(&self, are_reported: bool) -> io::Result<()> {
        udp::report_resets(self.as_std(), are_reported)
    }
}
