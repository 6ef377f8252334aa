//! Pipes: bytes from a [`Sender`] to a [`Receiver`], between processes or within one.
//!
//! [`new`] makes a pipe. The pipes to and from a child process become ends with `From`; they are
//! blocking, so change that first:
//!
//! ```standalone_crate
//! use litio::unix::pipe::Receiver;
//! use litio::{Events, Interest, Poll, Token};
//! use std::io::{ErrorKind, Read};
//! use std::process::{Command, Stdio};
//!
//! # fn main() -> std::io::Result<()> {
//! # // "standalone_crate": it forks, and other examples would run beside it.
//! # if cfg!(miri) { return Ok(()) }
//! let mut child = Command::new("echo").arg("hello").stdout(Stdio::piped()).spawn()?;
//! let mut output = Receiver::from(child.stdout.take().expect("it is piped"));
//! output.set_nonblocking(true)?;
//!
//! let mut poll = Poll::new()?;
//! let mut events = Events::with_capacity(8);
//! poll.registry().register(&mut output, Token(0), Interest::READABLE)?;
//!
//! let mut said = Vec::new();
//! // `read_to_end` keeps what it has read when it stops with `WouldBlock`.
//! while let Err(error) = output.read_to_end(&mut said) {
//!     assert_eq!(error.kind(), ErrorKind::WouldBlock);
//!     poll.poll(&mut events, None)?;
//! }
//! assert_eq!(said, b"hello\n");
//! child.wait()?;
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{ChildStderr, ChildStdin, ChildStdout};

use crate::io_source::IoSource;
use crate::net::{operations, reads, source, writes};
use crate::sys::socket;

/// Makes a pipe. **The sender comes first.** Both ends are non-blocking and close-on-exec.
///
/// # Errors
///
/// Those of pipe(2): `EMFILE` or `ENFILE` when descriptors have run out.
///
/// # System calls
///
/// pipe2(2); pipe(2) and fcntl(2) on Apple systems and others that lack it.
///
/// # Examples
///
/// ```
/// use litio::unix::pipe;
/// use litio::{Events, Interest, Poll, Token};
/// use std::io::{Read, Write};
///
/// # fn main() -> std::io::Result<()> {
/// let (mut sender, mut receiver) = pipe::new()?;
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// poll.registry().register(&mut receiver, Token(0), Interest::READABLE)?;
///
/// sender.write_all(b"hello")?;
/// poll.poll(&mut events, None)?;
/// let mut buffer = [0; 16];
/// assert_eq!(receiver.read(&mut buffer)?, 5);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "pipe2")]
pub fn new() -> io::Result<(Sender, Receiver)> {
    let [reads, writes] = socket::pipe()?.map(File::from);
    Ok((Sender::from_std(writes), Receiver::from_std(reads)))
}

/// The end of a pipe that is written to. Made by [`new`], from a child's [`stdin`](ChildStdin), or
/// from a descriptor.
///
/// When the receiver is gone, there is an event with
/// [`is_write_closed`](crate::event::Event::is_write_closed), and writing fails with
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe) (in a Rust program, which ignores SIGPIPE; otherwise
/// that signal comes first). Where the system does not say so clearly (some that have only
/// poll(2)), the event may be an error or merely writable.
///
/// # Examples
///
/// ```
/// use litio::unix::pipe;
/// use litio::{Events, Interest, Poll, Token};
/// use std::io::{ErrorKind, Write};
///
/// # fn main() -> std::io::Result<()> {
/// let (mut sender, receiver) = pipe::new()?;
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// poll.registry().register(&mut sender, Token(0), Interest::WRITABLE)?;
///
/// drop(receiver);
/// poll.poll(&mut events, None)?;
/// assert_eq!(sender.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
/// # Ok(())
/// # }
/// ```
pub struct Sender {
    inner: IoSource<File>,
}

impl Sender {
    /// True: a write of fewer bytes than were asked for has filled the pipe.
    ///
    /// A program may then wait for the next event at once, and skip the write that would only
    /// return `WouldBlock`; but not if the last event was
    /// [`is_write_closed`](crate::event::Event::is_write_closed) or
    /// [`is_error`](crate::event::Event::is_error), nor with packet pipes (`O_DIRECT`). See
    /// [`TcpStream::SHORT_READ_DRAINS`](crate::net::TcpStream::SHORT_READ_DRAINS) for the rule and
    /// an example.
    pub const SHORT_WRITE_FILLS: bool = true;

    pub(crate) fn from_std(file: File) -> Sender {
        Sender {
            inner: IoSource::new(file),
        }
    }

    /// Sets whether writing returns `WouldBlock` (true) or waits (false). A registered end must be
    /// non-blocking.
    ///
    /// It is a property of the open pipe: a process that inherited or was passed the same end is
    /// affected too.
    ///
    /// # Errors
    ///
    /// Those of fcntl(2).
    ///
    /// # Examples
    ///
    /// See [the module's](crate::unix::pipe).
    #[doc(alias = "O_NONBLOCK")]
    pub fn set_nonblocking(&self, is_nonblocking: bool) -> io::Result<()> {
        socket::set_nonblocking(self.inner.get().as_fd(), is_nonblocking)
    }

    operations! {
        /// # Examples
        ///
        /// Writing by other means, here std's:
        ///
        /// ```
        /// use litio::Interest;
        /// use litio::unix::pipe;
        /// use std::fs::File;
        /// use std::io::Write;
        /// use std::os::fd::AsFd;
        ///
        /// # fn main() -> std::io::Result<()> {
        /// let (sender, _receiver) = pipe::new()?;
        /// let mut same = File::from(sender.as_fd().try_clone_to_owned()?);
        /// assert_eq!(sender.try_io_for(Interest::WRITABLE, || same.write(b"hello"))?, 5);
        /// # Ok(())
        /// # }
        /// ```
    }
}

writes!(Sender, crate::net::write);
source!(Sender, File);

/// Names the end and its descriptor.
impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(self.inner.get()).finish()
    }
}

/// Takes the pipe to a child's standard input, which is blocking: call
/// [`set_nonblocking`](Sender::set_nonblocking).
impl From<ChildStdin> for Sender {
    fn from(stdin: ChildStdin) -> Sender {
        Sender::from_std(OwnedFd::from(stdin).into())
    }
}

/// The end of a pipe that is read from. Made by [`new`], from a child's [`stdout`](ChildStdout) or
/// [`stderr`](ChildStderr), or from a descriptor.
///
/// When the last sender is gone, there is an event with
/// [`is_read_closed`](crate::event::Event::is_read_closed); reading returns what is left and then
/// `Ok(0)`.
///
/// # Examples
///
/// ```
/// use litio::unix::pipe;
/// use litio::{Events, Interest, Poll, Token};
/// use std::io::{Read, Write};
///
/// # fn main() -> std::io::Result<()> {
/// let (mut sender, mut receiver) = pipe::new()?;
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(8);
/// poll.registry().register(&mut receiver, Token(0), Interest::READABLE)?;
///
/// sender.write_all(b"last words")?;
/// drop(sender);
/// poll.poll(&mut events, None)?;
/// let mut all = String::new();
/// receiver.read_to_string(&mut all)?;
/// assert_eq!(all, "last words");
/// # Ok(())
/// # }
/// ```
pub struct Receiver {
    inner: IoSource<File>,
}

impl Receiver {
    /// True: a read of fewer bytes than were asked for has drained the pipe.
    ///
    /// A program may then wait for the next event at once, and skip the read that would only return
    /// `WouldBlock`; but not if the last event was
    /// [`is_read_closed`](crate::event::Event::is_read_closed) or
    /// [`is_error`](crate::event::Event::is_error), nor with packet pipes (`O_DIRECT`), where a
    /// read ends with the packet. See
    /// [`TcpStream::SHORT_READ_DRAINS`](crate::net::TcpStream::SHORT_READ_DRAINS) for the rule and
    /// an example.
    pub const SHORT_READ_DRAINS: bool = true;

    pub(crate) fn from_std(file: File) -> Receiver {
        Receiver {
            inner: IoSource::new(file),
        }
    }

    /// Sets whether reading returns `WouldBlock` (true) or waits (false). A registered end must be
    /// non-blocking.
    ///
    /// It is a property of the open pipe: a process that inherited or was passed the same end is
    /// affected too.
    ///
    /// # Errors
    ///
    /// Those of fcntl(2).
    ///
    /// # Examples
    ///
    /// See [the module's](crate::unix::pipe).
    #[doc(alias = "O_NONBLOCK")]
    pub fn set_nonblocking(&self, is_nonblocking: bool) -> io::Result<()> {
        socket::set_nonblocking(self.inner.get().as_fd(), is_nonblocking)
    }

    operations! {
        /// # Examples
        ///
        /// Reading by other means, here std's:
        ///
        /// ```
        /// use litio::Interest;
        /// use litio::unix::pipe;
        /// use std::fs::File;
        /// use std::io::{ErrorKind, Read};
        /// use std::os::fd::AsFd;
        ///
        /// # fn main() -> std::io::Result<()> {
        /// let (_sender, receiver) = pipe::new()?;
        /// let mut same = File::from(receiver.as_fd().try_clone_to_owned()?);
        /// let mut buffer = [0; 16];
        /// let result = receiver.try_io_for(Interest::READABLE, || same.read(&mut buffer));
        /// let error = result.unwrap_err();
        /// assert_eq!(error.kind(), ErrorKind::WouldBlock);
        /// # Ok(())
        /// # }
        /// ```
    }
}

reads!(Receiver, crate::net::read);
source!(Receiver, File);

/// Names the end and its descriptor.
impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(self.inner.get()).finish()
    }
}

/// Takes the pipe from a child's standard output, which is blocking: call
/// [`set_nonblocking`](Receiver::set_nonblocking).
impl From<ChildStdout> for Receiver {
    fn from(stdout: ChildStdout) -> Receiver {
        Receiver::from_std(OwnedFd::from(stdout).into())
    }
}

/// Takes the pipe from a child's standard error, which is blocking: call
/// [`set_nonblocking`](Receiver::set_nonblocking).
impl From<ChildStderr> for Receiver {
    fn from(stderr: ChildStderr) -> Receiver {
        Receiver::from_std(OwnedFd::from(stderr).into())
    }
}

crate::fd::descriptors!(Sender, Receiver);

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

    use super::*;

    #[test]
    fn descriptors_stay_the_same_through_all_conversions() {
        let (sender, receiver) = new().unwrap();
        let numbers = [sender.as_raw_fd(), receiver.as_raw_fd()];
        let sender = Sender::from(OwnedFd::from(sender)).into_raw_fd();
        let receiver = Receiver::from(OwnedFd::from(receiver)).into_raw_fd();
        assert_eq!([sender, receiver], numbers);
        // SAFETY: `into_raw_fd` has just given up the ownership.
        drop(unsafe { Sender::from_raw_fd(sender) });
        // SAFETY: as above.
        drop(unsafe { Receiver::from_raw_fd(receiver) });
    }
}
