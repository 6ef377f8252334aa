//! Messages between Unix sockets, with what travels beside the bytes: descriptors, credentials.
//!
//! A descriptor arrives in the receiving process when recvmsg(2) returns, whether the program looks
//! or not: from then on it is open, and somebody must close it. So every number in the answer is
//! made an [`OwnedFd`] before anything else happens, and what there is no place for is closed at
//! once. Where the system cannot make them close-on-exec as they arrive, fcntl(2) follows.
//!
//! Source: unix(7), cmsg(3), recvmsg(2), getpeereid(3)

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::SocketAddr;

use libc::c_int;

use super::control::{ControlBuffer, ControlMessages, ControlWriter, control_space};
use super::unix_address::UnixAddress;
use super::{RECV_CLOSES_ON_EXEC, RECV_CUTS_CLEANLY, SCM_CREDENTIALS, SCM_PIDFD, msghdr, peer};

/// How many descriptors a message may carry: `SCM_MAX_FD` of Linux; others take at least as many.
const FDS_MAX: usize = 253;

/// The size of a `struct ucred`: process, user, group.
const CREDENTIALS: usize = 12;

const CONTROL: usize = control_space(FDS_MAX * size_of::<RawFd>()) + control_space(CREDENTIALS);

/// Who a process is, or was when it connected or sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The process. None where the system does not tell, nor of a process that it cannot name: one
    /// outside of this one's PID namespace.
    pub pid: Option<u32>,
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Credentials {
    /// Those of this process: its number, effective user and effective group.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::ancillary::Credentials;
    ///
    /// assert_eq!(Credentials::own().pid, Some(std::process::id()));
    /// ```
    pub fn own() -> Credentials {
        // SAFETY: geteuid(2) takes nothing and cannot fail.
        let uid = unsafe { libc::geteuid() };
        // SAFETY: getegid(2) takes nothing and cannot fail.
        let gid = unsafe { libc::getegid() };
        Credentials {
            pid: Some(std::process::id()),
            uid,
            gid,
        }
    }

    /// Of process, user and group.
    fn of([pid, uid, gid]: [u32; 3]) -> Credentials {
        Credentials {
            // Of whom it cannot name, the system says 0, by which kill(2) means one's own group.
            pid: Some(pid).filter(|pid| *pid != 0),
            uid,
            gid,
        }
    }

    /// From and to the bytes of a `struct ucred`.
    fn from_raw(data: [u8; CREDENTIALS]) -> Credentials {
        let field =
            |at: usize| u32::from_ne_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
        Credentials::of([field(0), field(4), field(8)])
    }

    fn to_raw(self) -> [u8; CREDENTIALS] {
        let mut data = [0; CREDENTIALS];
        data[..4].copy_from_slice(&self.pid.unwrap_or_else(std::process::id).to_ne_bytes());
        data[4..8].copy_from_slice(&self.uid.to_ne_bytes());
        data[8..].copy_from_slice(&self.gid.to_ne_bytes());
        data
    }
}

/// What is sent along with the bytes of a message.
///
/// # Examples
///
/// See [the module's](crate::net::ancillary#examples).
#[derive(Copy, Clone, Debug, Default)]
pub struct SendAncillary<'a> {
    fds: &'a [BorrowedFd<'a>],
    credentials: Option<Credentials>,
}

impl<'a> SendAncillary<'a> {
    /// Nothing.
    #[must_use]
    pub const fn new() -> SendAncillary<'a> {
        SendAncillary {
            fds: &[],
            credentials: None,
        }
    }

    /// Descriptors, at most 253. The receiver gets duplicates: the open files are shared, positions
    /// and flags such as `O_NONBLOCK` included.
    #[doc(alias = "SCM_RIGHTS")]
    #[must_use]
    pub const fn fds(mut self, fds: &'a [BorrowedFd<'a>]) -> SendAncillary<'a> {
        self.fds = fds;
        self
    }

    /// Credentials, which the system checks: only a privileged process may give others than its
    /// own. Linux and Android; elsewhere sending answers
    /// [`Unsupported`](std::io::ErrorKind::Unsupported).
    ///
    /// A receiver that has asked for credentials gets the sender's without this.
    #[doc(alias = "SCM_CREDENTIALS")]
    #[must_use]
    pub const fn credentials(mut self, credentials: Credentials) -> SendAncillary<'a> {
        self.credentials = Some(credentials);
        self
    }

    pub(crate) fn has_fds(&self) -> bool {
        !self.fds.is_empty()
    }

    fn write(&self, writer: &mut ControlWriter<'_>) -> io::Result<()> {
        if let Some(credentials) = self.credentials {
            let kind = SCM_CREDENTIALS.ok_or(io::ErrorKind::Unsupported)?;
            let written = writer.push(libc::SOL_SOCKET, kind, &credentials.to_raw());
            written.expect("there is room for credentials");
        }
        if self.fds.len() > FDS_MAX {
            let message = "a message carries at most 253 descriptors; send several";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        if !self.fds.is_empty() {
            let mut data = [0; FDS_MAX * size_of::<RawFd>()];
            for (place, fd) in data.chunks_exact_mut(size_of::<RawFd>()).zip(self.fds) {
                place.copy_from_slice(&fd.as_raw_fd().to_ne_bytes());
            }
            let data = &data[..size_of_val(self.fds)];
            let written = writer.push(libc::SOL_SOCKET, libc::SCM_RIGHTS, data);
            written.expect("there is room for the descriptors");
        }
        Ok(())
    }
}

/// Room for what comes along with the bytes of a message: up to `FDS` descriptors, and credentials.
///
/// Descriptors are owned, and close-on-exec; what is not taken is closed when the next message is
/// received, or when this is dropped.
///
/// # Examples
///
/// See [the module's](crate::net::ancillary#examples).
pub struct RecvAncillary<const FDS: usize> {
    fds: [Option<OwnedFd>; FDS],
    /// How many came, and how many of them have been taken.
    len: usize,
    taken: usize,
    credentials: Option<Credentials>,
    is_truncated: bool,
    is_data_truncated: bool,
}

impl<const FDS: usize> RecvAncillary<FDS> {
    /// Empty.
    #[must_use]
    pub const fn new() -> RecvAncillary<FDS> {
        RecvAncillary {
            fds: [const { None }; FDS],
            len: 0,
            taken: 0,
            credentials: None,
            is_truncated: false,
            is_data_truncated: false,
        }
    }

    /// Takes the next descriptor, in the order in which they were sent.
    pub fn take_fd(&mut self) -> Option<OwnedFd> {
        let fd = self.fds[..self.len].get_mut(self.taken)?.take();
        self.taken += 1;
        fd
    }

    /// How many descriptors wait to be taken.
    pub fn fd_count(&self) -> usize {
        self.len - self.taken
    }

    /// Who sent the message, if the socket was told to receive that: `SO_PASSCRED`, which
    /// `socket2` sets. Linux and Android.
    pub fn credentials(&self) -> Option<Credentials> {
        self.credentials
    }

    /// Whether descriptors came that there was no room for, here or in the process's table. They
    /// are closed.
    #[doc(alias = "MSG_CTRUNC")]
    pub fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// Whether the buffers were too small for the datagram, and the rest of it is lost.
    #[doc(alias = "MSG_TRUNC")]
    pub fn is_data_truncated(&self) -> bool {
        self.is_data_truncated
    }

    /// Keeps a descriptor, or closes it if there is no room.
    fn keep(&mut self, fd: OwnedFd) {
        match self.fds.get_mut(self.len) {
            Some(place) => {
                *place = Some(fd);
                self.len += 1;
            }
            None => self.is_truncated = true,
        }
    }

    /// Takes over what recvmsg(2) has told.
    fn take_over(&mut self, control: &[u8], flags: c_int, closes_on_exec: bool) {
        self.is_truncated = flags & libc::MSG_CTRUNC != 0;
        self.is_data_truncated = flags & libc::MSG_TRUNC != 0;
        for message in ControlMessages::new(control) {
            if message.level != libc::SOL_SOCKET {
                continue;
            }
            if message.kind == libc::SCM_RIGHTS {
                own(message.data, closes_on_exec).for_each(|fd| self.keep(fd));
            } else if Some(message.kind) == SCM_PIDFD {
                // The program has switched it on, and there is no place for it.
                own(message.data, closes_on_exec).for_each(drop);
            } else if Some(message.kind) == SCM_CREDENTIALS {
                let raw = message
                    .data
                    .get(..CREDENTIALS)
                    .and_then(|data| data.try_into().ok());
                self.credentials = raw.map(Credentials::from_raw);
            }
        }
    }
}

impl<const FDS: usize> Default for RecvAncillary<FDS> {
    fn default() -> RecvAncillary<FDS> {
        RecvAncillary::new()
    }
}

/// Prints what is left to be taken.
impl<const FDS: usize> fmt::Debug for RecvAncillary<FDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvAncillary")
            .field("fds", &&self.fds[self.taken..self.len])
            .field("credentials", &self.credentials)
            .field("is_truncated", &self.is_truncated)
            .field("is_data_truncated", &self.is_data_truncated)
            .finish()
    }
}

/// The descriptors that a control message has brought, close-on-exec.
fn own(data: &[u8], closes_on_exec: bool) -> impl Iterator<Item = OwnedFd> {
    let numbers = data.chunks_exact(size_of::<RawFd>());
    let numbers = numbers.filter_map(|number| number.try_into().map(RawFd::from_ne_bytes).ok());
    // Some systems say -1 of what they could not pass.
    numbers.filter(|number| *number >= 0).map(move |number| {
        // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        if !closes_on_exec {
            // SAFETY: F_SETFD takes an int. It cannot fail for a descriptor that is open.
            unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        }
        fd
    })
}

/// Sends a message, to an address or to the peer.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    data: &[IoSlice<'_>],
    ancillary: &SendAncillary<'_>,
    to: Option<&SocketAddr>,
) -> io::Result<usize> {
    let address = to.map(UnixAddress::new).transpose()?;
    let mut buffer = ControlBuffer::<CONTROL>::new();
    let mut writer = ControlWriter::over(&mut buffer.bytes);
    ancillary.write(&mut writer)?;
    msghdr::send(socket, data, address.as_ref(), writer.into_bytes())
}

/// Receives a message.
pub(crate) fn receive<const FDS: usize>(
    socket: BorrowedFd<'_>,
    buffers: &mut [IoSliceMut<'_>],
    ancillary: &mut RecvAncillary<FDS>,
) -> io::Result<usize> {
    receive_with(RECV_CLOSES_ON_EXEC, socket, buffers, ancillary, None)
}

/// As [`receive`], with the sender's address, which is unnamed if the sender is not bound.
pub(crate) fn receive_from<const FDS: usize>(
    socket: BorrowedFd<'_>,
    buffers: &mut [IoSliceMut<'_>],
    ancillary: &mut RecvAncillary<FDS>,
) -> io::Result<(usize, SocketAddr)> {
    let mut from = UnixAddress::EMPTY;
    let received = receive_with(
        RECV_CLOSES_ON_EXEC,
        socket,
        buffers,
        ancillary,
        Some(&mut from),
    )?;
    // A name that std has no address for counts as none: the message is received already.
    let from = match from.to_std() {
        Some(from) => from,
        None => SocketAddr::from_pathname("")?,
    };
    Ok((received, from))
}

fn receive_with<const FDS: usize>(
    close_on_exec: c_int,
    socket: BorrowedFd<'_>,
    buffers: &mut [IoSliceMut<'_>],
    ancillary: &mut RecvAncillary<FDS>,
    from: Option<&mut UnixAddress>,
) -> io::Result<usize> {
    *ancillary = RecvAncillary::new();
    let mut buffer = ControlBuffer::<CONTROL>::new();
    // Where the system closes what does not fit, let it; what it passes beyond `FDS` because
    // credentials left room is closed here.
    let room = if RECV_CUTS_CLEANLY {
        let fds = FDS.min(FDS_MAX) * size_of::<RawFd>();
        control_space(fds) + control_space(CREDENTIALS)
    } else {
        CONTROL
    };
    let received = msghdr::receive(socket, buffers, from, buffer.room(room), close_on_exec)?;
    let control = buffer.written(received.control_len);
    ancillary.take_over(control, received.flags, close_on_exec != 0);
    Ok(received.len)
}

/// Who the peer was when it connected, or made the pair.
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<Credentials> {
    peer::credentials(socket).map(Credentials::of)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::{AsFd, IntoRawFd};

    use super::*;
    use crate::sys::check;

    fn is_close_on_exec(fd: &OwnedFd) -> bool {
        // SAFETY: F_GETFD takes no argument.
        let flags = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) }).unwrap();
        flags & libc::FD_CLOEXEC != 0
    }

    /// As the system does it, and with fcntl(2), which serves where the system does not.
    #[test]
    #[cfg_attr(miri, ignore = "no sendmsg")]
    fn received_descriptors_are_close_on_exec_by_either_means() {
        for close_on_exec in [RECV_CLOSES_ON_EXEC, 0] {
            let [ours, theirs] = crate::sys::socket::unix::stream_pair().unwrap();
            let fds = [ours.as_fd(), theirs.as_fd()];
            let ancillary = SendAncillary::new().fds(&fds);
            send(ours.as_fd(), &[IoSlice::new(b"x")], &ancillary, None).unwrap();
            let mut ancillary = RecvAncillary::<2>::new();
            let mut byte = [0];
            let buffers = &mut [IoSliceMut::new(&mut byte)];
            let received =
                receive_with(close_on_exec, theirs.as_fd(), buffers, &mut ancillary, None);
            assert_eq!(received.unwrap(), 1);
            for _ in 0..2 {
                assert!(is_close_on_exec(&ancillary.take_fd().unwrap()));
            }
        }
    }

    #[test]
    fn credentials_come_back_as_they_went() {
        let credentials = Credentials {
            pid: Some(0x0102_0304),
            uid: u32::MAX,
            gid: 7,
        };
        assert_eq!(Credentials::from_raw(credentials.to_raw()), credentials);
    }

    #[test]
    fn a_process_that_cannot_be_named_is_none() {
        let unknown = Credentials::from_raw([0; CREDENTIALS]);
        assert_eq!((unknown.pid, unknown.uid), (None, 0));
    }

    /// As every descriptor for which there is no place.
    #[test]
    fn the_descriptor_of_a_process_is_closed() {
        let Some(kind) = SCM_PIDFD else { return };
        let [reads, writes] = crate::sys::socket::pipe().unwrap();
        let number = reads.into_raw_fd().to_ne_bytes();
        let mut buffer = [0; 100];
        let mut writer = ControlWriter::new(&mut buffer);
        writer.push(libc::SOL_SOCKET, kind, &number).unwrap();
        let mut ancillary = RecvAncillary::<3>::new();
        ancillary.take_over(writer.into_bytes(), 0, true);
        assert_eq!((ancillary.fd_count(), ancillary.is_truncated()), (0, false));
        let error = File::from(writes).write(b"x").expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    /// What no kernel should say is passed over.
    #[test]
    fn nonsense_beside_a_message_is_ignored() {
        let mut buffer = [0; 200];
        let mut writer = ControlWriter::new(&mut buffer);
        let rights = [(-1i32).to_ne_bytes(), (-9i32).to_ne_bytes()].concat();
        writer
            .push(libc::SOL_SOCKET, libc::SCM_RIGHTS, &rights)
            .unwrap();
        writer
            .push(libc::SOL_SOCKET, libc::SCM_RIGHTS, &[1, 2, 3])
            .unwrap();
        writer
            .push(libc::IPPROTO_IP, libc::SCM_RIGHTS, &[0; 4])
            .unwrap();
        if let Some(kind) = SCM_CREDENTIALS {
            writer.push(libc::SOL_SOCKET, kind, &[0; 11]).unwrap();
        }
        let mut ancillary = RecvAncillary::<3>::new();
        ancillary.take_over(writer.into_bytes(), 0, true);
        assert_eq!((ancillary.fd_count(), ancillary.credentials()), (0, None));
    }
}
