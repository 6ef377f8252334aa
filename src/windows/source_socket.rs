//! Raw sockets as sources.

use std::os::windows::io::RawSocket;

use crate::registry::borrowed_source;

/// A socket that somebody else owns, as a [source](crate::event::Source): of another library, of
/// another family (Bluetooth, Hyper-V), made with options of one's own.
///
/// It borrows the number and nothing more. Make it anew for every call; the registration belongs to
/// the socket, not to this value. Put the socket into non-blocking mode first, and deregister it
/// before it is closed.
///
/// # Re-arming
///
/// Litio does not see the I/O, and the system reports no edges by itself. So the socket is *paced*:
/// while it stays ready, the same readiness is reported again after a millisecond, and if it is
/// never seen otherwise, less and less often: 64 times every millisecond, 64 times every two, and
/// so on down to every 64 ms, each direction for itself. No edge is lost as long as the program
/// polls, and nothing spins; but a program that wants an exact source wraps its object in an
/// [`IoSource`](crate::IoSource) instead. With [`Interest::level`](crate::Interest::level) and
/// [`Interest::oneshot`](crate::Interest::oneshot) it does what they say.
///
/// # Errors
///
/// Those of [`Registry`](crate::Registry). `WSAENOTSOCK` or `ERROR_INVALID_HANDLE` for what is no
/// socket, or closed.
///
/// # Examples
///
/// ```
/// use litio::windows::SourceSocket;
/// use litio::{Events, Interest, Poll, Token};
/// use std::net::UdpSocket;
/// use std::os::windows::io::AsRawSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.set_nonblocking(true)?;
///
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// let raw = socket.as_raw_socket();
/// poll.registry().register(&mut SourceSocket(&raw), Token(0), Interest::READABLE)?;
///
/// socket.send_to(b"ready", socket.local_addr()?)?;
/// poll.poll(&mut events, None)?;
/// assert!(events.iter().any(|event| event.token() == Token(0) && event.is_readable()));
/// poll.registry().deregister(&mut SourceSocket(&raw))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SourceSocket<'a>(
    /// The socket.
    pub &'a RawSocket,
);

borrowed_source!(SourceSocket);
