//! Faults: every system call that the library makes, made to fail in turn with each error that its
//! manual page names.
//!
//! A *scenario* is a program made of *steps*, each one call of the library. It runs once
//! undisturbed, and what system calls each step makes is noted. Then it runs once for each of these
//! calls and each error in [`CALLS`], with that call failing so, once. The step must answer with
//! that very error (or, where [`HIDDEN`] says so, must not be disturbed at all), and when it is
//! tried again it must succeed: a failed call leaves no trace. After it everything goes on as if
//! nothing had been: all events come, all bytes arrive, and no descriptor is left open. That
//! nothing hangs is seen to by the deadlines of `alone`.
//!
//! A system call that is not in the table makes the test fail: there is none that was forgotten.

#![expect(unsafe_code, reason = "seccomp")]

mod injector;
mod scenarios;

use std::collections::BTreeSet;
use std::io;

use libc::*;

use injector::{FAULTS_MAX, Fault, Injector};

/// A system call, and the errors that its manual page in section 2 (or that of the protocol in
/// section 7) names.
struct Call {
    number: c_long,
    name: &'static str,
    errors: &'static [c_int],
}

const fn call(number: c_long, name: &'static str, errors: &'static [c_int]) -> Call {
    Call {
        number,
        name,
        errors,
    }
}

#[rustfmt::skip] // one call, one row
const CALLS: &[Call] = &[
    // Selectors
    call(SYS_epoll_create1, "epoll_create1", &[EINVAL, EMFILE, ENFILE, ENOMEM]),
    call(SYS_epoll_ctl, "epoll_ctl", &[EBADF, EEXIST, EINVAL, ELOOP, ENOENT, ENOMEM, ENOSPC, EPERM]),
    #[cfg(not(any(target_arch = "aarch64", target_arch = "loongarch64", target_arch = "riscv64")))]
    call(SYS_epoll_wait, "epoll_wait", &[EBADF, EFAULT, EINTR, EINVAL]),
    call(SYS_epoll_pwait, "epoll_wait", &[EBADF, EFAULT, EINTR, EINVAL]),
    // ENOSYS and EPERM mean that there is no such call, for good: `seccomp::fallback` has them.
    call(SYS_epoll_pwait2, "epoll_pwait2", &[EBADF, EFAULT, EINTR, EINVAL]),
    call(SYS_eventfd2, "eventfd", &[EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM]),
    #[cfg(not(any(target_arch = "aarch64", target_arch = "loongarch64", target_arch = "riscv64")))]
    call(SYS_poll, "poll", &[EFAULT, EINTR, EINVAL, ENOMEM]),
    call(SYS_ppoll, "poll", &[EFAULT, EINTR, EINVAL, ENOMEM]),
    // Sockets and pipes, made
    call(SYS_socket, "socket", &[EACCES, EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT]),
    call(SYS_socketpair, "socketpair", &[EAFNOSUPPORT, EFAULT, EMFILE, ENFILE, ENOMEM, EOPNOTSUPP, EPROTONOSUPPORT]),
    call(SYS_pipe2, "pipe2", &[EFAULT, EINVAL, EMFILE, ENFILE, ENOPKG]),
    call(SYS_bind, "bind", &[EACCES, EADDRINUSE, EADDRNOTAVAIL, EBADF, EFAULT, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM,
        ENOTDIR, ENOTSOCK, EROFS]),
    call(SYS_listen, "listen", &[EADDRINUSE, EBADF, ENOTSOCK, EOPNOTSUPP]),
    call(SYS_connect, "connect", &[EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, EALREADY, EBADF, ECONNREFUSED,
        EFAULT, EINPROGRESS, EINTR, EISCONN, ENETUNREACH, ENOTSOCK, EPERM, EPROTOTYPE, ETIMEDOUT]),
    // With the errors that are the new connection's.
    call(SYS_accept4, "accept4", &[EAGAIN, EBADF, ECONNABORTED, EFAULT, EHOSTDOWN, EHOSTUNREACH, EINTR, EINVAL, EMFILE,
        ENETDOWN, ENETUNREACH, ENFILE, ENOBUFS, ENOMEM, ENONET, ENOPROTOOPT, ENOTSOCK, EOPNOTSUPP, EPERM, EPROTO]),
    call(SYS_shutdown, "shutdown", &[EBADF, EINVAL, ENOTCONN, ENOTSOCK]),
    call(SYS_close, "close", &[EDQUOT, EINTR, EIO, ENOSPC]),
    call(SYS_fcntl, "fcntl", &[EACCES, EBADF, EINTR, EINVAL, EMFILE, ENOLCK, EPERM]),
    // ENOTTY means that an epoll cannot do what was asked, and is told so: a test beside the
    // selector has it.
    call(SYS_ioctl, "ioctl", &[EBADF, EFAULT, EINVAL, EPERM]),
    call(SYS_getsockname, "getsockname", &[EBADF, EFAULT, EINVAL, ENOBUFS, ENOTSOCK]),
    call(SYS_getpeername, "getpeername", &[EBADF, EFAULT, EINVAL, ENOBUFS, ENOTCONN, ENOTSOCK]),
    call(SYS_getsockopt, "getsockopt", &[EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK]),
    call(SYS_setsockopt, "setsockopt", &[EBADF, EFAULT, EINVAL, ENOMEM, ENOPROTOOPT, ENOTSOCK, EPERM]),
    // Bytes
    call(SYS_read, "read", READS),
    call(SYS_readv, "readv", READS),
    call(SYS_write, "write", WRITES),
    call(SYS_writev, "writev", WRITES),
    call(SYS_recvfrom, "recvfrom", RECEIVES),
    call(SYS_recvmsg, "recvmsg", RECEIVES),
    call(SYS_recvmmsg, "recvmmsg", RECEIVES_MANY),
    call(SYS_sendto, "sendto", SENDS),
    call(SYS_sendmsg, "sendmsg", SENDS),
    call(SYS_sendmmsg, "sendmmsg", SENDS_MANY),
];

const READS: &[c_int] = &[
    EAGAIN, EBADF, ECONNRESET, EFAULT, EINTR, EINVAL, EIO, EISDIR, ENOTCONN, ETIMEDOUT,
];
const WRITES: &[c_int] = &[
    EAGAIN,
    EBADF,
    ECONNRESET,
    EDESTADDRREQ,
    EDQUOT,
    EFAULT,
    EFBIG,
    EINTR,
    EINVAL,
    EIO,
    ENOSPC,
    EPERM,
    EPIPE,
];
const RECEIVES: &[c_int] = &[
    EAGAIN,
    EBADF,
    ECONNREFUSED,
    ECONNRESET,
    EFAULT,
    EHOSTUNREACH,
    EINTR,
    EINVAL,
    ENOMEM,
    ENOTCONN,
    ENOTSOCK,
    ETIMEDOUT,
];
const RECEIVES_MANY: &[c_int] = &[
    EAGAIN,
    EBADF,
    ECONNREFUSED,
    EFAULT,
    EINTR,
    EINVAL,
    ENOMEM,
    ENOSYS,
    ENOTCONN,
    ENOTSOCK,
];
const SENDS: &[c_int] = &[
    EACCES,
    EAGAIN,
    EALREADY,
    EBADF,
    ECONNREFUSED,
    ECONNRESET,
    EDESTADDRREQ,
    EFAULT,
    EHOSTUNREACH,
    EINTR,
    EINVAL,
    EIO,
    EISCONN,
    EMSGSIZE,
    ENETDOWN,
    ENETUNREACH,
    ENOBUFS,
    ENOMEM,
    ENOTCONN,
    ENOTSOCK,
    EOPNOTSUPP,
    EPERM,
    EPIPE,
    ETOOMANYREFS,
];
const SENDS_MANY: &[c_int] = &[
    EACCES,
    EAGAIN,
    EBADF,
    ECONNREFUSED,
    EFAULT,
    EINTR,
    EINVAL,
    EIO,
    EMSGSIZE,
    ENETUNREACH,
    ENOBUFS,
    ENOMEM,
    ENOSYS,
    ENOTSOCK,
    EOPNOTSUPP,
    EPERM,
];

/// Errors that whoever calls the library does not see.
struct Hidden {
    /// How the step's name begins.
    step: &'static str,
    call: &'static str,
    errors: &'static [c_int],
    /// The call was done nevertheless, as the kernel does it.
    is_done: bool,
    #[expect(dead_code, reason = "for whoever reads the table")]
    why: &'static str,
}

const fn hidden(
    step: &'static str,
    call: &'static str,
    errors: &'static [c_int],
    is_done: bool,
    why: &'static str,
) -> Hidden {
    Hidden {
        step,
        call,
        errors,
        is_done,
        why,
    }
}

#[rustfmt::skip] // as above
const HIDDEN: &[Hidden] = &[
    hidden("", "close", &[EDQUOT, EINTR, EIO, ENOSPC], true, "the descriptor is closed all the same, and nobody can be told"),
    hidden("TcpStream::connect", "connect", &[EINPROGRESS, EINTR], true, "the connection goes on in the background"),
    hidden("UnixStream::connect", "connect", &[EINPROGRESS, EINTR], true, "as above"),
    hidden("UnixSeqpacket::connect", "connect", &[EINPROGRESS, EINTR], true, "as above"),
    hidden("UdpSocket::connect", "connect", &[EINTR], false, "std calls again"),
    hidden("", "accept4", &[EINTR], false, "it is called again, as std does"),
    hidden("Waker::wake", "write", &[EINTR], false, "it is called again"),
    hidden("Waker::wake", "write", &[EAGAIN], false, "the counter is full: it is emptied and written to again"),
    hidden("Waker::wake", "read", &[EAGAIN, EINTR], false, "somebody has emptied it; it is called again"),
    hidden("register", "write", &[EAGAIN, EINTR], false, "a poller that sleeps is roused by the same means"),
    hidden("register", "read", &[EAGAIN, EINTR], false, "as above"),
    hidden("reregister", "write", &[EAGAIN, EINTR], false, "as above"),
    hidden("reregister", "read", &[EAGAIN, EINTR], false, "as above"),
    hidden("read, asleep", "write", &[EAGAIN, EINTR], false, "as above"),
    hidden("read, asleep", "read", &[EAGAIN, EINTR], false, "as above"),
    hidden("read, asleep", "recvfrom", &[EAGAIN], false, "is what it gives undisturbed"),
    hidden("deregister", "write", WRITES, false, "who sleeps on is told of nothing"),
    hidden("deregister", "read", READS, false, "as above"),
    hidden("register", "poll", &[EINTR], false, "whether there is such a descriptor is asked again"),
    hidden("TcpStream::take_error", "getpeername", PEER, false, "whether it is connected yet: else no harm is done"),
    hidden("UnixStream::take_error", "getpeername", PEER, false, "as above"),
    hidden("poll with a wake", "epoll_wait", &[EBADF, EFAULT, EINTR, EINVAL], false, "what is delivered beats the error"),
    hidden("poll with a wake", "poll", &[EFAULT, EINTR, EINVAL, ENOMEM], false, "as above"),
    hidden("poll with a wake", "read", READS, false, "as above; the next poll empties the ring"),
    hidden("Batch::new", "setsockopt", &[EINVAL, ENOPROTOOPT], false, "what is missing is not granted"),
    hidden("Batch::new", "getsockopt", &[EINVAL, ENOPROTOOPT], false, "there is no offload then"),
    hidden("send_runs", "sendmsg", REFUSALS, false, "the run goes out datagram by datagram"),
    hidden("send_runs", "sendmmsg", REFUSALS_OF_MANY, false, "as above; or there is no such call, and others serve"),
    hidden("recv_runs", "recvmmsg", &[ENOSYS], false, "there is no such call; recvmsg serves"),
];

const PEER: &[c_int] = &[EBADF, EFAULT, EINVAL, ENOBUFS, ENOTCONN, ENOTSOCK];
const REFUSALS: &[c_int] = &[EINVAL, EIO, EMSGSIZE, EOPNOTSUPP];
const REFUSALS_OF_MANY: &[c_int] = &[EINVAL, EIO, EMSGSIZE, ENOSYS, EOPNOTSUPP];

/// What a step does when one of its calls fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// It gives the error.
    Error,
    /// It does what it was asked to.
    Success,
    /// Either: it may have done a part of what it was asked to.
    Any,
}

/// Which calls of which step are to fail, and what is to come of it.
#[derive(Clone, Debug)]
struct Target {
    step: &'static str,
    #[expect(dead_code, reason = "printed")]
    call: &'static str,
    faults: Vec<Fault>,
    expected: Expected,
}

/// What a scenario runs its steps through.
struct Steps<'a> {
    injector: &'a Injector,
    target: Option<&'a Target>,
    /// What was seen of the step that is the target, if it was disturbed as it should be.
    disturbed: Option<Vec<c_long>>,
    /// Of the steps that ran: their names, and the calls that each has made when it first ran.
    seen: Vec<(&'static str, Vec<c_long>)>,
}

impl Steps<'_> {
    /// Runs one call of the library. Where it is made to fail, it must say so, and succeed when it
    /// is tried again.
    #[track_caller]
    fn step<T>(&mut self, name: &'static str, mut call: impl FnMut() -> io::Result<T>) -> T {
        let is_first = self.seen.iter().all(|(seen, _)| *seen != name);
        let target = self.target.filter(|target| is_first && target.step == name);
        let faults = target.map_or(&[][..], |target| &target.faults);
        let (result, seen) = self.injector.watch(faults, &mut call);
        let is_disturbed = seen.failures > 0 && seen.failures == faults.len();
        if is_disturbed {
            self.disturbed = Some(seen.calls.clone());
        }
        if is_first {
            self.seen.push((name, seen.calls));
        }
        let Some(target) = target.filter(|_| is_disturbed) else {
            return result
                .unwrap_or_else(|error| panic!("{name}: {error:?} after {:?}", self.target));
        };
        match result {
            Ok(value) => {
                assert_ne!(
                    target.expected,
                    Expected::Error,
                    "{target:?} went unnoticed"
                );
                value
            }
            Err(error) => {
                assert_ne!(
                    target.expected,
                    Expected::Success,
                    "{target:?} showed: {error:?}"
                );
                let last = target.faults.last().expect("one has failed");
                assert_eq!(
                    error.raw_os_error(),
                    Some(last.errno),
                    "{target:?} gave {error:?}"
                );
                let again = call();
                again.unwrap_or_else(|error| panic!("{target:?} left a trace: {error:?}"))
            }
        }
    }
}

/// A program that uses the library.
type Scenario = fn(&mut Steps<'_>);

/// Runs a scenario undisturbed, and then with every fault of every call; and where one is overcome
/// by other calls, with every fault of those as well.
fn with_every_fault(scenario: Scenario) {
    let Some(injector) = Injector::new_or_said() else {
        return;
    };
    run(&injector, scenario, None); // what is made once for a process
    let seen = run(&injector, scenario, None).seen;
    let open = open_descriptors();
    let mut targets_left = Vec::new();
    for (step, calls) in &seen {
        targets_left.extend(targets(step, calls, &[]));
    }
    let mut count = 0;
    while let Some(target) = targets_left.pop() {
        // Where another path was taken this time, the call is not met: then once more.
        let disturbed = (0..50).find_map(|_| run(&injector, scenario, Some(&target)).disturbed);
        let Some(calls) = disturbed else {
            panic!("{target:?} was not met");
        };
        assert_eq!(open, open_descriptors(), "{target:?} leaked a descriptor");
        if target.expected != Expected::Error && target.faults.len() < FAULTS_MAX {
            targets_left.extend(targets(target.step, &calls, &target.faults));
        }
        count += 1;
    }
    run(&injector, scenario, None);
    println!("{count} faults; the steps and their calls: {seen:?}");
}

fn run<'a>(injector: &'a Injector, scenario: Scenario, target: Option<&'a Target>) -> Steps<'a> {
    let mut steps = Steps {
        injector,
        target,
        disturbed: None,
        seen: Vec::new(),
    };
    scenario(&mut steps);
    steps
}

/// Each call of a step that comes after those which fail already, with each of its errors.
fn targets(step: &'static str, calls: &[c_long], before: &[Fault]) -> Vec<Target> {
    let mut targets = Vec::new();
    let start = before.last().map_or(0, |fault| fault.index + 1);
    for (index, number) in calls.iter().enumerate().skip(start) {
        let Some(call) = CALLS.iter().find(|call| call.number == *number) else {
            panic!("{step} makes system call {number}, which the table does not know");
        };
        for &errno in call.errors {
            let hidden = HIDDEN.iter().find(|hidden| {
                step.starts_with(hidden.step)
                    && hidden.call == call.name
                    && hidden.errors.contains(&errno)
            });
            let fault = Fault {
                index,
                errno,
                is_done: hidden.is_some_and(|hidden| hidden.is_done),
            };
            targets.push(Target {
                step,
                call: call.name,
                faults: [before, &[fault]].concat(),
                expected: match hidden {
                    // What was sent or received before is counted, and the error met again by the
                    // next call.
                    _ if !before.is_empty() && step.contains("_runs") => Expected::Any,
                    Some(_) => Expected::Success,
                    None => Expected::Error,
                },
            });
        }
    }
    targets
}

fn open_descriptors() -> BTreeSet<String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let link = |entry: io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        let to = std::fs::read_link(entry.path()).unwrap_or_default();
        format!("{:?} -> {to:?}", entry.file_name())
    };
    entries
        .map(link)
        .filter(|link| !link.contains("/fd\""))
        .collect()
}
