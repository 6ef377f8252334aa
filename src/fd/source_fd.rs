//! Raw descriptors as sources.

use std::os::fd::RawFd;

use crate::registry::borrowed_source;

/// A descriptor that somebody else owns, as a [source](crate::event::Source): a terminal, a timer,
/// a socket of another library.
///
/// It borrows the number and nothing more. Make it anew for every call; the registration belongs to
/// the descriptor, not to this value. Put the descriptor into non-blocking mode first, and
/// deregister it before it is closed: if it was duplicated, closing is not enough on any system,
/// and where the system does not keep the registrations itself, it never is.
///
/// # Re-arming
///
/// Litio does not see the I/O. On epoll and kqueue it need not: the descriptor is edge-triggered,
/// as every source. Elsewhere (poll(2), WASI, event ports) it is *paced*, each direction for
/// itself. What was drained by the next `poll` is an edge when it comes again, and reported at
/// once. What is ready then is reported again after a millisecond; and as long as it is never seen
/// otherwise, less and less often: 64 times every millisecond, 64 times every two, and so on down
/// to every 64 ms. No edge is lost and nothing spins; but a program that wants an exact source
/// everywhere wraps its object in an [`IoSource`](crate::IoSource) instead. With
/// [`Interest::level`](crate::Interest::level) and
/// [`Interest::oneshot`](crate::Interest::oneshot) it does what they say, everywhere.
///
/// # Terminals and other devices on macOS
///
/// kqueue refuses `/dev/tty` and some other descriptors. They can be registered all the same: the
/// thread that polls watches them with select(2), and the queue with them, as long as there are
/// any, and they are *paced*, whatever their type. They must be deregistered before they are
/// closed, and another poller that watches this `Poll`'s descriptor does not see them. If the first
/// of them is registered while a `poll` sleeps, that `poll` may return early.
///
/// # Errors
///
/// Those of [`Registry`](crate::Registry). Mistakes are noticed by the system, not here: kqueue
/// takes a second registration for a change of the first. `EPERM` on epoll for what cannot be
/// waited for, such as regular files; `EBADF` for a descriptor that is closed.
///
/// # Examples
///
/// ```
/// use litio::unix::SourceFd;
/// use litio::{Events, Interest, Poll, Token};
/// use std::io::Write;
/// use std::os::fd::AsRawFd;
/// use std::os::unix::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// let (ours, mut theirs) = UnixStream::pair()?;
/// ours.set_nonblocking(true)?;
///
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// let fd = ours.as_raw_fd();
/// poll.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE)?;
///
/// theirs.write_all(b"ready")?;
/// poll.poll(&mut events, None)?;
/// assert!(events.iter().any(|event| event.token() == Token(0) && event.is_readable()));
/// poll.registry().deregister(&mut SourceFd(&fd))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SourceFd<'a>(
    /// The descriptor.
    pub &'a RawFd,
);

borrowed_source!(SourceFd);
