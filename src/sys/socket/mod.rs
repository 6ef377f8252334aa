//! Sockets and pipes: made, bound, connected and accepted, on every system non-blocking and
//! close-on-exec.
//!
//! `tcp`, `udp` and `unix` say, per family, what to do in which order. They take and return std's
//! types, so nothing above this folder knows what a socket is made of; and what std's types can do
//! themselves is left to them. Below are `address` and `unix_address` (`sockaddr` from and to
//! std's types), `posix` (the calls that are the same everywhere), `msghdr` (those for messages of
//! several parts, where there are any) and one of two *dialects*:
//!
//! * [`flags`]: the system takes `SOCK_NONBLOCK | SOCK_CLOEXEC` when it makes a descriptor. One
//!   call, and no moment at which another thread's `fork` and `exec` could carry the descriptor
//!   away.
//! * [`fcntl`]: it does not, or not everywhere, and two calls of fcntl(2) follow. Right on any
//!   POSIX system.
//!
//! Both have the same functions. On Linux both are tested; see the foot of this file.
//!
//! Windows has other calls, which are in `winsock`; it shares `address`, `control`, `segmentation`
//! and `vectored`.
//!
//! This file is the one place under `sys/socket` that names operating systems.

use std::io;
use std::os::fd::OwnedFd;

use libc::c_int;

mod address;
#[cfg(all(fuzzing, unix))]
pub(crate) mod any_address;
pub(crate) mod plain_batch;
pub(crate) mod plain_vectored;
mod posix;
pub(crate) mod tcp;
pub(crate) mod udp;
#[cfg(unix)]
pub(crate) mod unix;
#[cfg(unix)]
mod unix_address;

#[cfg(unix)]
pub(crate) use posix::{peek, receive, send, set_nonblocking};

// The dialects

mod fcntl;
#[cfg(any(
    target_os = "android",
    target_os = "cygwin",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "hurd",
    target_os = "illumos",
    target_os = "linux",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "solaris",
))]
mod flags;

/// The dialect that serves: a name that `flags` has hides the one of `fcntl`.
mod dialect {
    #[allow(unused_imports)] // all hidden where the flags are spoken
    pub(super) use super::fcntl::*;

    #[cfg(any(
        target_os = "android",
        target_os = "cygwin",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "hurd",
        target_os = "illumos",
        target_os = "linux",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "solaris",
    ))]
    pub(super) use super::flags::{accept, pair, pipe, socket};
}

// Control messages

/// Keeps its items where the system has control messages, and drops them elsewhere. (Cygwin has
/// them too, but the macros of the libc crate are no constants there.)
macro_rules! if_control_messages {
    ($($item:item)*) => {
        $(
            #[cfg(any(
                target_os = "android",
                target_os = "dragonfly",
                target_os = "freebsd",
                target_os = "fuchsia",
                target_os = "haiku",
                target_os = "hurd",
                target_os = "illumos",
                target_os = "linux",
                target_os = "netbsd",
                target_os = "openbsd",
                target_os = "solaris",
                target_vendor = "apple",
            ))]
            $item
        )*
    };
}

#[allow(unused_imports)] // used by `net` and `unix`
pub(crate) use if_control_messages;

if_control_messages! {
    pub(crate) mod control;
    pub(crate) mod message;
}

/// For recvmsg(2): descriptors that arrive are close-on-exec. 0 where fcntl(2) must follow.
#[cfg(any(
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "linux",
    target_os = "netbsd",
    target_os = "openbsd",
))]
const RECV_CLOSES_ON_EXEC: c_int = libc::MSG_CMSG_CLOEXEC;
#[cfg(not(any(
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "linux",
    target_os = "netbsd",
    target_os = "openbsd",
)))]
#[allow(dead_code)] // where there are no control messages
const RECV_CLOSES_ON_EXEC: c_int = 0;

/// Whether the system itself closes descriptors for which the program left no room. Others may
/// leave them open and not tell their numbers; they are given room for all.
#[allow(dead_code)] // as above
const RECV_CUTS_CLEANLY: bool = cfg!(any(target_os = "android", target_os = "linux"));

/// For send(2) and sendmsg(2): EPIPE and no signal. Apple's systems know an option of the socket
/// instead, which `silence` sets; Redox knows neither, and on Vita there are no signals.
#[cfg(all(
    unix,
    not(any(target_os = "redox", target_os = "vita", target_vendor = "apple"))
))]
#[allow(dead_code)] // as above
const SEND_QUIETLY: c_int = libc::MSG_NOSIGNAL;
#[cfg(any(target_os = "redox", target_os = "vita", target_vendor = "apple"))]
const SEND_QUIETLY: c_int = 0;

/// The kind of control message that carries a `struct ucred`.
#[cfg(any(target_os = "android", target_os = "linux"))]
const SCM_CREDENTIALS: Option<c_int> = Some(libc::SCM_CREDENTIALS);
#[cfg(not(any(target_os = "android", target_os = "linux")))]
#[allow(dead_code)] // as above
const SCM_CREDENTIALS: Option<c_int> = None;

/// The kind that carries a descriptor of the sending process, if the socket was told to pass it
/// (`SO_PASSPIDFD`); the libc crate does not know it.
#[allow(dead_code)] // as above
const SCM_PIDFD: Option<c_int> = if cfg!(any(target_os = "android", target_os = "linux")) {
    Some(4)
} else {
    None
};

/// Who is at the other end of a connection: process, or 0 where the system does not tell, user and
/// group.
#[allow(dead_code)] // as above
mod peer {
    use std::io;
    #[allow(unused_imports)] // where nothing can be asked
    use std::os::fd::{AsRawFd, BorrowedFd};

    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub(super) fn credentials(socket: BorrowedFd<'_>) -> io::Result<[u32; 3]> {
        let mut raw = [0; 3]; // a `struct ucred`
        let mut len = size_of_val(&raw) as libc::socklen_t;
        let (fd, to) = (socket.as_raw_fd(), raw.as_mut_ptr().cast());
        let (level, option) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
        // SAFETY: getsockopt(2) writes at most `len` bytes to `to`, which are on our stack.
        crate::sys::check(unsafe { libc::getsockopt(fd, level, option, to, &raw mut len) })?;
        // What the kernel says of a socket without a peer.
        if raw[..2] == [0, u32::MAX] {
            return Err(io::ErrorKind::NotConnected.into());
        }
        Ok(raw)
    }

    #[cfg(any(
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_vendor = "apple",
    ))]
    pub(super) fn credentials(socket: BorrowedFd<'_>) -> io::Result<[u32; 3]> {
        let (mut uid, mut gid) = (0, 0);
        let fd = socket.as_raw_fd();
        // SAFETY: getpeereid(3) writes to the two numbers, which are on our stack.
        crate::sys::check(unsafe { libc::getpeereid(fd, &raw mut uid, &raw mut gid) })?;
        #[cfg(target_vendor = "apple")]
        let pid = super::posix::option(socket, libc::SOL_LOCAL, libc::LOCAL_PEERPID)
            .ok()
            .and_then(|pid| pid.try_into().ok())
            .unwrap_or(0);
        #[cfg(not(target_vendor = "apple"))]
        let pid = 0;
        Ok([pid, uid, gid])
    }

    #[cfg(not(any(
        target_os = "android",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "linux",
        target_os = "netbsd",
        target_os = "openbsd",
        target_vendor = "apple",
    )))]
    pub(super) fn credentials(_: BorrowedFd<'_>) -> io::Result<[u32; 3]> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

// Sockets between a virtual machine and its host

#[cfg(any(target_os = "android", target_os = "linux"))]
pub(crate) mod vsock;

/// Keeps its items where the system has vsock, and drops them elsewhere.
#[allow(unused_macros)]
macro_rules! if_vsock {
    ($($item:item)*) => {
        $(
            #[cfg(any(target_os = "android", target_os = "linux"))]
            $item
        )*
    };
}

#[allow(unused_imports)] // used by `net` and `unix`
pub(crate) use if_vsock;

// Many datagrams per call

#[cfg(any(target_os = "android", target_os = "linux"))]
pub(crate) mod batch;
#[cfg(any(target_os = "android", target_os = "linux"))]
mod segmentation;
#[cfg(not(any(target_os = "android", target_os = "linux")))]
pub(crate) use plain_batch as batch;

// Datagrams of several buffers

#[cfg(any(target_os = "hermit", target_os = "horizon", target_os = "wasi"))]
pub(crate) use plain_vectored as vectored;
#[cfg(not(any(target_os = "hermit", target_os = "horizon", target_os = "wasi")))]
mod msghdr;
#[cfg(not(any(target_os = "hermit", target_os = "horizon", target_os = "wasi")))]
pub(crate) mod vectored;

// Multicast from one source

/// The options of an IPv6 socket to join a group for one source and to leave it (RFC 3678), and the
/// struct that they take. The libc crate has them for some of these systems only.
mod source_group {
    use libc::{c_int, sockaddr_storage};

    use super::address::InetAddress;

    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub(super) const JOIN_AND_LEAVE: Option<[c_int; 2]> = Some([46, 47]);
    #[cfg(any(target_os = "freebsd", target_vendor = "apple"))]
    pub(super) const JOIN_AND_LEAVE: Option<[c_int; 2]> = Some([82, 83]);
    #[cfg(not(any(
        target_os = "android",
        target_os = "freebsd",
        target_os = "linux",
        target_vendor = "apple"
    )))]
    pub(super) const JOIN_AND_LEAVE: Option<[c_int; 2]> = None;

    /// A `struct group_source_req`.
    #[cfg_attr(target_vendor = "apple", repr(C, packed(4)))]
    #[cfg_attr(not(target_vendor = "apple"), repr(C))]
    pub(super) struct SourceGroup {
        pub(super) interface: u32,
        pub(super) group: sockaddr_storage,
        pub(super) source: sockaddr_storage,
    }

    /// The address as such structs hold it: with its length in it, where there is a field for that.
    #[allow(unused_mut)]
    pub(super) fn storage(address: &InetAddress) -> sockaddr_storage {
        let mut storage = address.to_storage();
        #[cfg(any(target_os = "freebsd", target_vendor = "apple"))]
        {
            storage.ss_len = address.len() as u8;
        }
        storage
    }
}

/// Makes a pipe: the end that reads, then the end that writes.
///
/// pipe2(2), or pipe(2) and fcntl(2).
#[cfg(unix)]
pub(crate) fn pipe() -> io::Result<[OwnedFd; 2]> {
    dialect::pipe()
}

// What differs between systems, apart from the dialect

/// On Android for x86, accept4 goes through socketcall(2), and the filter of older releases kills a
/// process for it.
#[allow(dead_code)] // of interest to `flags` only
const ACCEPT4_MAY_KILL: bool = cfg!(all(target_os = "android", target_arch = "x86"));

/// How many connections may wait to be accepted: what std asks for.
const TCP_BACKLOG: c_int = if cfg!(target_os = "horizon") {
    20 // a larger one may be refused
} else if cfg!(target_os = "haiku") {
    32 // a larger one is refused
} else {
    128
};

/// The same for Unix sockets. -1 is the largest that the administrator allows.
#[cfg(any(
    target_os = "freebsd",
    target_os = "linux",
    target_os = "openbsd",
    target_vendor = "apple"
))]
const UNIX_BACKLOG: c_int = -1;
#[cfg(any(target_os = "espidf", target_os = "horizon", target_os = "redox"))]
const UNIX_BACKLOG: c_int = 128;
#[cfg(all(
    unix,
    not(any(
        target_os = "espidf",
        target_os = "freebsd",
        target_os = "horizon",
        target_os = "linux",
        target_os = "openbsd",
        target_os = "redox",
        target_vendor = "apple"
    ))
))]
const UNIX_BACKLOG: c_int = libc::SOMAXCONN;

/// Asks that writing to a socket whose peer is gone gives EPIPE and no signal, for calls that take
/// no `MSG_NOSIGNAL`.
///
/// Sockets accepted from such a listener need it again on Apple systems; the BSDs hand the option
/// down.
#[cfg(any(
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "netbsd",
    target_vendor = "apple"
))]
fn silence(socket: &OwnedFd) -> io::Result<()> {
    posix::set_option(socket, libc::SOL_SOCKET, libc::SO_NOSIGPIPE, 1)
}
#[cfg(not(any(
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "netbsd",
    target_vendor = "apple"
)))]
#[allow(clippy::unnecessary_wraps)] // of one shape with the other
fn silence(_: &OwnedFd) -> io::Result<()> {
    Ok(())
}

/// Unix addresses without a file, known by a name in a space of their own.
#[cfg(unix)]
mod abstract_names {
    use std::io;
    use std::os::unix::net::SocketAddr;

    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "cygwin")]
    use std::os::cygwin::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;

    #[cfg(any(target_os = "android", target_os = "cygwin", target_os = "linux"))]
    pub(super) fn name(address: &SocketAddr) -> Option<&[u8]> {
        address.as_abstract_name()
    }
    #[cfg(not(any(target_os = "android", target_os = "cygwin", target_os = "linux")))]
    pub(super) fn name(_: &SocketAddr) -> Option<&[u8]> {
        None
    }

    /// The address with this name; the unnamed one where there are no such names.
    #[cfg(any(target_os = "android", target_os = "cygwin", target_os = "linux"))]
    pub(super) fn address(name: &[u8]) -> io::Result<SocketAddr> {
        SocketAddr::from_abstract_name(name)
    }
    #[cfg(not(any(target_os = "android", target_os = "cygwin", target_os = "linux")))]
    pub(super) fn address(_: &[u8]) -> io::Result<SocketAddr> {
        SocketAddr::from_pathname("")
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::env;
    use std::fs::File;
    use std::io::{ErrorKind, Read, Write};
    use std::os::fd::{AsFd, AsRawFd, RawFd};
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    use std::process::Command;

    use super::unix_address::UnixAddress;
    use super::*;
    use crate::sys::check;

    /// The tests of a dialect: the same for each.
    macro_rules! conformance {
        ($dialect:ident) => {
            mod $dialect {
                use super::super::$dialect as dialect;
                use super::*;

                #[test]
                fn everything_made_is_nonblocking_and_close_on_exec() {
                    assert_flags(&dialect::socket(libc::AF_INET, libc::SOCK_STREAM).unwrap());
                    assert_flags(&dialect::socket(libc::AF_INET6, libc::SOCK_DGRAM).unwrap());
                    for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
                        for socket in dialect::pair(libc::AF_UNIX, kind).unwrap() {
                            assert_flags(&socket);
                        }
                    }
                    for end in dialect::pipe().unwrap() {
                        assert_flags(&end);
                    }
                }

                #[test]
                fn what_is_accepted_is_nonblocking_whatever_the_listener_is() {
                    for is_nonblocking in [false, true] {
                        let (listener, _client) = listener_and_client();
                        listener.set_nonblocking(is_nonblocking).unwrap();
                        let mut peer = UnixAddress::EMPTY;
                        assert_flags(&dialect::accept(listener.as_fd(), &mut peer).unwrap());
                    }
                }

                #[test]
                fn accepting_nothing_would_block() {
                    let (listener, _client) = listener_and_client();
                    listener.set_nonblocking(true).unwrap();
                    let mut peer = UnixAddress::EMPTY;
                    let _accepted = dialect::accept(listener.as_fd(), &mut peer).unwrap();
                    let error = dialect::accept(listener.as_fd(), &mut peer).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                }

                #[test]
                fn first_end_of_a_pipe_reads_and_the_second_writes() {
                    let ends = dialect::pipe().unwrap();
                    ends.iter().for_each(assert_flags); // lest reading nothing waits for ever
                    let [reads, writes] = ends.map(File::from);
                    assert_eq!((&writes).write(b"abc").unwrap(), 3);
                    let mut buffer = [0; 8];
                    assert_eq!((&reads).read(&mut buffer).unwrap(), 3);
                    assert_eq!(
                        (&reads).read(&mut buffer).unwrap_err().kind(),
                        ErrorKind::WouldBlock
                    );
                }

                #[test]
                fn unknown_family_gives_the_error_of_the_system() {
                    let error = dialect::socket(-1, libc::SOCK_STREAM).unwrap_err();
                    assert!(error.raw_os_error().is_some(), "{error:?}");
                }

                #[test]
                #[cfg_attr(miri, ignore = "starts a process")]
                fn nothing_leaks_when_descriptors_run_out() {
                    let name = concat!(module_path!(), "::nothing_leaks_when_descriptors_run_out");
                    where_descriptors_may_run_out(name, || {
                        let (listener, _client) = listener_and_client();
                        let makers: [(usize, &dyn Fn() -> io::Result<()>); 4] = [
                            (1, &|| {
                                dialect::socket(libc::AF_INET, libc::SOCK_STREAM).map(drop)
                            }),
                            (2, &|| {
                                dialect::pair(libc::AF_UNIX, libc::SOCK_STREAM).map(drop)
                            }),
                            (2, &|| dialect::pipe().map(drop)),
                            (1, &|| {
                                let mut peer = UnixAddress::EMPTY;
                                dialect::accept(listener.as_fd(), &mut peer).map(drop)
                            }),
                        ];
                        let mut filler = fill_the_descriptor_table();
                        for (index, (needed, make)) in makers.into_iter().enumerate() {
                            for spare in 0..=needed {
                                let held = filler.split_off(filler.len() - spare);
                                drop(held);
                                let before = open_descriptors();
                                let result = make();
                                assert_eq!(
                                    result.is_ok(),
                                    spare == needed,
                                    "maker {index}: {result:?}"
                                );
                                if let Err(error) = result {
                                    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                                }
                                assert_eq!(
                                    open_descriptors(),
                                    before,
                                    "maker {index}, {spare} spare"
                                );
                                filler.extend((0..spare).map(|_| File::open("/dev/null").unwrap()));
                            }
                        }
                    });
                }
            }
        };
    }

    conformance!(fcntl);
    #[cfg(target_os = "linux")]
    conformance!(flags);

    #[track_caller]
    fn assert_flags(fd: &OwnedFd) {
        let fd = fd.as_raw_fd();
        // SAFETY: F_GETFD takes no argument.
        let of_descriptor = check(unsafe { libc::fcntl(fd, libc::F_GETFD) }).unwrap();
        assert_ne!(of_descriptor & libc::FD_CLOEXEC, 0, "not close-on-exec");
        // SAFETY: F_GETFL takes no argument.
        let of_file = check(unsafe { libc::fcntl(fd, libc::F_GETFL) }).unwrap();
        assert_ne!(of_file & libc::O_NONBLOCK, 0, "blocks");
    }

    /// A listener of std's, and a connection that waits to be accepted. The file is gone already.
    fn listener_and_client() -> (UnixListener, UnixStream) {
        let path = temporary_path();
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        (listener, client)
    }

    pub(super) fn temporary_path() -> std::path::PathBuf {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        env::temp_dir().join(format!("litio-{}-{n}", std::process::id()))
    }

    /// Runs `body` where descriptors may run out without harm: where the system allows it, on a
    /// thread with a table of its own.
    ///
    /// A process of its own disturbs the tests that run beside this one: until it executes its
    /// program it has a duplicate of each of their descriptors, so that what they close is not
    /// closed; and when it ends, its signal may interrupt their calls.
    fn where_descriptors_may_run_out(path: &str, body: impl FnOnce() + Send) {
        let mut body = Some(body);
        let run = || {
            let is_apart = has_a_table_of_its_own();
            if is_apart {
                body.take().expect("it runs once")();
            }
            is_apart
        };
        let is_done = std::thread::scope(|scope| scope.spawn(run).join());
        if !is_done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
            in_a_process_of_its_own(path, body.take().expect("it did not run"));
        }
    }

    /// Gives this thread a table of its own, with the standard descriptors, if that is possible and
    /// it can be filled.
    fn has_a_table_of_its_own() -> bool {
        #[cfg(target_os = "linux")]
        {
            let (first, last) = (3, libc::c_uint::MAX);
            let flags = libc::CLOSE_RANGE_UNSHARE;
            let is_small = descriptors_max() <= 1 << 20;
            // SAFETY: takes numbers; none of those above is this thread's, which has just begun.
            is_small && unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) } == 0
        }
        #[cfg(not(target_os = "linux"))]
        false
    }

    /// Runs `body` in this very test, alone in a process where few descriptors are allowed.
    fn in_a_process_of_its_own(path: &str, body: impl FnOnce()) {
        const SIGN: &str = "LITIO_TEST_IN_A_PROCESS_OF_ITS_OWN";
        if env::var_os(SIGN).is_some() {
            let limit = libc::rlimit {
                rlim_cur: 64,
                rlim_max: 64,
            };
            // SAFETY: setrlimit(2) reads the struct, which outlives the call.
            check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }).unwrap();
            return body();
        }
        let name = path.split_once("::").unwrap().1; // without the crate
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", name, "--test-threads=1"])
            .env(SIGN, "")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
    }

    fn descriptors_max() -> libc::rlim_t {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: getrlimit(2) writes the struct, which outlives the call.
        check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }).unwrap();
        limit.rlim_cur
    }

    fn fill_the_descriptor_table() -> Vec<File> {
        let null = File::open("/dev/null").unwrap();
        let mut filler: Vec<_> = std::iter::from_fn(|| null.try_clone().ok()).collect();
        filler.insert(0, null);
        filler
    }

    /// Among the highest numbers: those below are taken.
    fn open_descriptors() -> Vec<RawFd> {
        let end = descriptors_max() as RawFd;
        // SAFETY: F_GETFD takes no argument and answers EBADF for what is not open.
        let is_open = |fd: &RawFd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } != -1;
        (end - 64..end).filter(is_open).collect()
    }

    #[test]
    fn nonblocking_can_be_switched_and_other_flags_stay() {
        let [end, _other] = pipe().unwrap();
        let flags = || {
            // SAFETY: F_GETFL takes no argument.
            check(unsafe { libc::fcntl(end.as_raw_fd(), libc::F_GETFL) }).unwrap()
        };
        let with = flags() | libc::O_APPEND;
        // SAFETY: F_SETFL takes an int.
        check(unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFL, with) }).unwrap();
        for is_nonblocking in [false, false, true, true] {
            set_nonblocking(end.as_fd(), is_nonblocking).unwrap();
            let expected = if is_nonblocking { libc::O_NONBLOCK } else { 0 };
            assert_eq!(
                flags() & (libc::O_NONBLOCK | libc::O_APPEND),
                expected | libc::O_APPEND
            );
        }
    }

    #[test]
    fn port_of_a_closed_connection_can_be_listened_on_again() {
        // The side that closes first keeps the port in TIME_WAIT: that is the listener's, here.
        let listener = tcp::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = std::net::TcpStream::connect(address).unwrap();
        let (accepted, _) = tcp::accept(&listener).unwrap();
        drop(accepted);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        drop((client, listener));
        tcp::listen(address).unwrap();
    }

    #[test]
    fn two_listeners_cannot_share_a_port() {
        let listener = tcp::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = tcp::listen(listener.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }

    #[test]
    fn accepted_tcp_connection_tells_its_peer() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = match tcp::listen(address.parse().unwrap()) {
                // A machine without IPv6.
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable => continue,
                result => result.unwrap(),
            };
            listener.set_nonblocking(false).unwrap();
            let client = tcp::connect(listener.local_addr().unwrap()).unwrap();
            let (_accepted, peer) = tcp::accept(&listener).unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        }
    }

    #[test]
    fn accepted_unix_connection_tells_its_peer() {
        // Bound to a path, bound to nothing, and (D10 of mio: lost there) bound to an abstract
        // name.
        let path = temporary_path();
        let named = SocketAddr::from_pathname(&path).unwrap();
        let mut clients = vec![named, SocketAddr::from_pathname("").unwrap()];
        // (On systems that have no such names, the unnamed address again.)
        clients.extend([&b"litio"[..], b"\0with\0zeroes\0"].map(|name| {
            let name = [name, std::process::id().to_ne_bytes().as_slice()].concat();
            abstract_names::address(&name).unwrap()
        }));
        for address in clients {
            let listener_path = temporary_path();
            let listener_address = SocketAddr::from_pathname(&listener_path).unwrap();
            let listener = unix::listen(&listener_address).unwrap();
            let client = dialect::socket(libc::AF_UNIX, libc::SOCK_STREAM).unwrap();
            if !address.is_unnamed() {
                posix::bind(&client, &UnixAddress::new(&address).unwrap()).unwrap();
            }
            posix::connect(&client, &UnixAddress::new(&listener_address).unwrap()).unwrap();
            let (accepted, peer) = unix::accept(&listener).unwrap();
            assert_eq!(format!("{peer:?}"), format!("{address:?}"));
            assert_eq!(
                format!("{peer:?}"),
                format!("{:?}", accepted.peer_addr().unwrap())
            );
            std::fs::remove_file(listener_path).unwrap();
        }
        std::fs::remove_file(path).unwrap();
    }

    /// A path may fill `sun_path` without a zero; std cannot make such an address, but the
    /// connection counts.
    #[test]
    #[cfg(target_os = "linux")]
    fn peer_with_the_longest_path_is_accepted() {
        let directory = temporary_path();
        std::fs::create_dir(&directory).unwrap();
        let mut path = directory.join("x").into_os_string().into_encoded_bytes();
        path.resize(108, b'x');
        let client = dialect::socket(libc::AF_UNIX, libc::SOCK_STREAM).unwrap();
        posix::bind(&client, &UnixAddress::named(&path, 0).unwrap()).unwrap();
        let listener_address = SocketAddr::from_pathname(directory.join("listener")).unwrap();
        let listener = unix::listen(&listener_address).unwrap();
        posix::connect(&client, &UnixAddress::new(&listener_address).unwrap()).unwrap();
        let (_accepted, peer) = unix::accept(&listener).unwrap();
        let path = String::from_utf8(path).unwrap();
        assert_eq!(peer.as_pathname(), Some(std::path::Path::new(&path)));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
