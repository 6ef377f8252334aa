//! Raw descriptors as sources.

use std::os::fd::RawFd;

use crate::registry::borrowed_source;

/// A descriptor that somebody else owns, as a [source](crate::event::Source): a terminal, a timer,
/// a socket of another library.
///
/// It borrows the number and nothing more. Make a new one for every call: the registration belongs
/// to the descriptor, not to this value. Make the descriptor non-blocking first, unless you
/// register it with [`Interest::level`](crate::Interest::level), and deregister it before it is
/// closed: on epoll, closing it does not end the registration if it has duplicates, and where Litio
/// keeps the registrations itself (poll(2), event ports), closing never does.
///
/// # Re-arming
///
/// Litio does not see the I/O. On epoll and kqueue it need not: the descriptor is edge-triggered,
/// like every source. Elsewhere (poll(2), WASI, event ports) it is *paced*, each direction on its
/// own. If the next `poll` finds it drained, new readiness is an edge again, and is reported at
/// once. If that `poll` finds it still ready, it is reported again after a millisecond, and then
/// less and less often as long as it is never found drained: 64 times every millisecond, 64 times
/// every two, and so on down to every 64 ms. No edge is lost and nothing spins; but a program that
/// wants an exact source everywhere wraps its object in an [`IoSource`](crate::IoSource) instead.
/// [`Interest::level`](crate::Interest::level) and
/// [`Interest::oneshot`](crate::Interest::oneshot) do what they say, everywhere.
///
/// # Terminals and other devices on macOS
///
/// kqueue refuses `/dev/tty` and some other descriptors. They can be registered all the same: as
/// long as there are any, the thread that polls watches them, together with the queue, by means of
/// select(2), and they are *paced*, whatever their type. They must be deregistered before they are
/// closed, and another poller that watches this `Poll`'s descriptor does not see them. If the first
/// of them is registered while a `poll` sleeps, that `poll` may return early.
///
/// # Errors
///
/// Those of [`Registry`](crate::Registry). Mistakes are noticed by the system, not by Litio: kqueue
/// takes a second registration for a change to the first. `EPERM` on epoll for what cannot be
/// waited for, such as regular files and `/dev/null`; `EBADF` for a descriptor that is closed.
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
