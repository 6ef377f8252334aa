//! Makes system calls of one thread fail: seccomp hands each call to a *supervisor*, a thread of
//! the same process, which says whether the kernel does it or which error it gives instead.
//!
//! The supervisor shares memory and descriptors with the thread it watches. So it can also do what
//! the kernel would have done before it reported an error (`close` closes all the same), and say
//! so.
//!
//! Beware: the watched thread may be stopped inside the allocator, so the supervisor allocates
//! nothing and takes no lock.
//!
//! Source: seccomp_unotify(2), Linux 5.5

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::thread;

use libc::{c_int, c_long};

/// Calls that belong to the allocator, to locks, to clocks and to the end of a process: not the
/// library's business.
const BYPASSED: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
];

/// How many calls between [`Injector::watch`] and the end of that are remembered.
const REMEMBERED: usize = 64;

/// A call that is made to fail while a piece of code is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Which of the calls, from 0 on.
    pub(super) index: usize,
    /// 0: it succeeds, and its answer is 0.
    pub(super) errno: c_int,
    /// The kernel does what was asked, and reports an error even so.
    pub(super) is_done: bool,
}

/// What was seen while a piece of code was watched.
#[derive(Debug)]
pub(super) struct Seen {
    /// The numbers of the system calls.
    pub(super) calls: Vec<c_long>,
    /// How many of the faults were met.
    pub(super) failures: usize,
}

/// The filter on the thread that made it, for good.
#[derive(Debug)]
pub(super) struct Injector(());

/// Shared with the supervisor. One for the process, because a filter is for good.
static IS_WATCHING: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicUsize = AtomicUsize::new(0);
static CALLS: [AtomicI32; REMEMBERED] = [const { AtomicI32::new(0) }; REMEMBERED];
static FAULTS: [Place; FAULTS_MAX] = [const { Place::new() }; FAULTS_MAX];
static FAILURES: AtomicUsize = AtomicUsize::new(0);
static LISTENER: AtomicI32 = AtomicI32::new(-1);
/// The thread that is watched. Those that it starts inherit the filter, and are let be.
static THREAD: AtomicI32 = AtomicI32::new(0);

/// How many calls may fail in one piece of code.
pub(super) const FAULTS_MAX: usize = 2;

/// A [`Fault`] for another thread to read.
struct Place {
    index: AtomicUsize,
    errno: AtomicI32,
    is_done: AtomicBool,
}

impl Place {
    const fn new() -> Place {
        Place {
            index: AtomicUsize::new(usize::MAX),
            errno: AtomicI32::new(0),
            is_done: AtomicBool::new(false),
        }
    }
}

impl Injector {
    /// Puts the filter on this thread, or says that it cannot be had.
    pub(super) fn new_or_said() -> Option<Injector> {
        Injector::new()
            .inspect_err(|error| {
                eprintln!("!!! faults are NOT TESTED: no supervisor of system calls here: {error}");
            })
            .ok()
    }

    /// Puts the filter on this thread.
    ///
    /// # Errors
    ///
    /// Where filters, or supervisors of them, are not allowed or not known.
    fn new() -> io::Result<Injector> {
        // SAFETY: takes numbers only.
        if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: takes nothing.
        THREAD.store(unsafe { libc::gettid() }, Ordering::Relaxed);
        // First, so that the filter is not on it.
        let supervisor = thread::spawn(supervise);
        let listener = install();
        let number = *listener.as_ref().unwrap_or(&-2);
        LISTENER.store(number, Ordering::Release);
        supervisor.thread().unpark();
        listener?;
        // Any call.
        // SAFETY: takes numbers only.
        if unsafe { libc::fcntl(0, libc::F_GETFD) } == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(Injector(()))
    }

    /// Runs `body` with its system calls counted, and some of them failing.
    pub(super) fn watch<T>(&self, faults: &[Fault], body: impl FnOnce() -> T) -> (T, Seen) {
        COUNT.store(0, Ordering::Relaxed);
        FAILURES.store(0, Ordering::Relaxed);
        assert!(faults.len() <= FAULTS_MAX);
        for (index, place) in FAULTS.iter().enumerate() {
            let fault = faults.get(index);
            let at = fault.map_or(usize::MAX, |fault| fault.index);
            place.index.store(at, Ordering::Relaxed);
            let errno = fault.map_or(0, |fault| fault.errno);
            place.errno.store(errno, Ordering::Relaxed);
            let is_done = fault.is_some_and(|fault| fault.is_done);
            place.is_done.store(is_done, Ordering::Relaxed);
        }
        IS_WATCHING.store(true, Ordering::SeqCst);
        let value = body();
        IS_WATCHING.store(false, Ordering::SeqCst);
        let count = COUNT.load(Ordering::SeqCst);
        assert!(count <= REMEMBERED, "{count} system calls at once");
        let calls = CALLS[..count].iter();
        let seen = Seen {
            calls: calls
                .map(|call| call.load(Ordering::Relaxed).into())
                .collect(),
            failures: FAILURES.load(Ordering::SeqCst),
        };
        (value, seen)
    }
}

/// Installs the filter and gives the descriptor at which its calls are heard.
fn install() -> io::Result<c_int> {
    let step = |code: u32, jt: usize, jf, k: u32| libc::sock_filter {
        code: code as u16,
        jt: jt as u8,
        jf,
        k,
    };
    // The number of the call, at the beginning of `seccomp_data`.
    let mut program = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for (index, call) in BYPASSED.iter().enumerate() {
        let to_allow = BYPASSED.len() - index;
        let code = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        program.push(step(code, to_allow, 0, *call as u32));
    }
    let answer = libc::BPF_RET | libc::BPF_K;
    program.push(step(answer, 0, 0, libc::SECCOMP_RET_USER_NOTIF));
    program.push(step(answer, 0, 0, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program and its steps live through the call, which copies them.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    if listener < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(listener as c_int)
}

/// Answers for each call, until there is nothing to listen at.
fn supervise() {
    let listener = loop {
        match LISTENER.load(Ordering::Acquire) {
            -1 => thread::park(),
            listener => break listener,
        }
    };
    loop {
        // SAFETY: all zeros is a valid value, and the kernel asks for it.
        let mut asked: libc::seccomp_notif = unsafe { mem::zeroed() };
        // SAFETY: the kernel writes one `seccomp_notif`.
        let result =
            unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked) };
        if result != 0 {
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR | libc::ENOENT) => continue,
                _ => return,
            }
        }
        // SAFETY: all zeros is a valid value.
        let mut answer: libc::seccomp_notif_resp = unsafe { mem::zeroed() };
        answer.id = asked.id;
        match verdict(asked.pid as i32, &asked.data) {
            None => answer.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
            Some(errno) => answer.error = -errno,
        }
        // SAFETY: the kernel reads one `seccomp_notif_resp`.
        let result =
            unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer) };
        let error = io::Error::last_os_error(); // allocates nothing
        if result != 0 && error.raw_os_error() == Some(libc::EINVAL) {
            // A kernel before 5.5 hands calls over and does not take them back.
            answer.flags = 0;
            answer.error = -libc::ENOSYS;
            // SAFETY: as above.
            unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer) };
        }
    }
}

/// The error of a call; None if the kernel shall do it.
fn verdict(thread: i32, call: &libc::seccomp_data) -> Option<c_int> {
    // std asks for the flags of what it is about to close, in debug builds, and aborts if there is
    // no such descriptor.
    let number = c_long::from(call.nr);
    let is_stds_check = number == libc::SYS_fcntl && call.args[1] == libc::F_GETFD as u64;
    let is_watched = thread == THREAD.load(Ordering::Relaxed);
    if is_stds_check || !is_watched || !IS_WATCHING.load(Ordering::SeqCst) {
        return None;
    }
    let index = COUNT.fetch_add(1, Ordering::SeqCst);
    if let Some(place) = CALLS.get(index) {
        place.store(call.nr, Ordering::Relaxed);
    }
    let mut faults = FAULTS.iter();
    let fault = faults.find(|fault| fault.index.load(Ordering::Relaxed) == index)?;
    FAILURES.fetch_add(1, Ordering::SeqCst);
    if fault.is_done.load(Ordering::Relaxed) {
        let [a, b, c, d, e, f] = call.args;
        // SAFETY: what the watched thread would do this moment, in the same memory and with the
        // same descriptors; it waits.
        unsafe { libc::syscall(number, a, b, c, d, e, f) };
    }
    Some(fault.errno.load(Ordering::Relaxed))
}
