//! What UDP sockets can be told on Windows only.

use std::io;

use crate::net::UdpSocket;
use crate::sys::socket::{batch, udp};

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

    /// Sets whether the system may put several datagrams from one source into one buffer (URO); off
    /// at first.
    ///
    /// Make the [`Batch`](crate::net::datagrams::Batch) afterwards: it grants
    /// [`COALESCED`](crate::net::datagrams::Wanted::COALESCED) if this is on. Receive with
    /// [`recv_runs`](UdpSocket::recv_runs) only from then on.
    ///
    /// It has to be switched on apart because it cannot be relied on everywhere. There are drivers
    /// of network cards, and systems with Windows Subsystem for Linux on ARM, that put datagrams
    /// together without saying where to cut, so that several look like one. Switch it on where the
    /// machines are known, or where the contents tell a long datagram from several.
    ///
    /// # Errors
    ///
    /// `WSAENOPROTOOPT` or `WSAEINVAL` before version 2004 of Windows 10, and on Wine. Otherwise
    /// those of setsockopt.
    ///
    /// # System calls
    ///
    /// setsockopt with `UDP_RECV_MAX_COALESCED_SIZE`.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    /// use litio::net::datagrams::{Batch, Wanted};
    /// use litio::windows::UdpSocketExt;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
    /// let is_on = socket.set_coalescing(true).is_ok();
    /// let batch = Batch::new(&socket, Wanted::COALESCED)?;
    /// assert_eq!(batch.granted().contains(Wanted::COALESCED), is_on);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "UDP_RECV_MAX_COALESCED_SIZE")]
    #[doc(alias = "URO")]
    fn set_coalescing(&self, is_on: bool) -> io::Result<()>;
}

impl UdpSocketExt for UdpSocket {
    fn set_report_resets(&self, are_reported: bool) -> io::Result<()> {
        udp::report_resets(self.as_std(), are_reported)
    }

    fn set_coalescing(&self, is_on: bool) -> io::Result<()> {
        batch::set_coalescing(self.as_std(), is_on)
    }
}
