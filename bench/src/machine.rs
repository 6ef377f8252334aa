//! What the suite asks of the operating system: a processor to stay on, limits, and what a process
//! has used.

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The processors of servers and of the load; the same one where there is only one.
pub const SERVER: usize = 0;
pub const LOAD: usize = 1;

/// Keeps this thread on a processor, if the machine has it.
pub fn stay_on(processor: usize) {
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    unsafe { libc::CPU_SET(processor, &mut set) };
    // Refused where there is no such processor: then there is no choice either.
    unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) };
}

/// Lets this thread go to any processor again.
pub fn stay_anywhere() {
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for processor in 0..libc::CPU_SETSIZE as usize {
        unsafe { libc::CPU_SET(processor, &mut set) };
    }
    unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) };
}

/// Keeps the processors of servers and of the load from sleeping while it lives: on each a thread
/// spins whenever nothing else wants to run. In a virtual machine it takes longer to wake a
/// processor than to answer a message, and a different time at each try.
pub struct Awake(Arc<AtomicBool>);

impl Awake {
    pub fn new() -> Awake {
        let is_over = Arc::<AtomicBool>::default();
        for processor in [SERVER, LOAD] {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || {
                stay_on(processor);
                let priority: libc::sched_param = unsafe { std::mem::zeroed() };
                // Whatever wakes up takes the processor from a thread of this class at once. Of
                // another class it would be in the way.
                let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &priority) };
                while result == 0 && !is_over.load(Ordering::Relaxed) {
                    // Not `spin_loop`: its instruction is one for which a hypervisor may step in.
                    (0..1000).for_each(|turn| _ = black_box(turn));
                }
            });
        }
        Awake(is_over)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ends this process with the one that started it, however that one ends.
pub fn die_with_the_parent() {
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Allows as many descriptors as the system lets us have, and says how many those are.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit: libc::rlimit = unsafe { std::mem::zeroed() };
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    // First as a privileged process may, then as any may.
    let most = number_in("/proc/sys/fs/nr_open").unwrap_or(limit.rlim_max);
    for most in [most.max(limit.rlim_max), limit.rlim_max] {
        let wanted = libc::rlimit {
            rlim_cur: most,
            rlim_max: most,
        };
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &wanted) } == 0 {
            return most;
        }
    }
    limit.rlim_cur
}

/// The number that is all there is in a file of the kernel's.
pub fn number_in(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// What a process has used so far.
pub struct Used {
    pub processor: Duration,
    /// In memory, of its own or shared, in bytes.
    pub resident: u64,
}

/// Of a process, all its threads.
pub fn used(process: u32) -> Used {
    let mut clock = 0;
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    unsafe { libc::clock_getcpuclockid(process as libc::pid_t, &mut clock) };
    unsafe { libc::clock_gettime(clock, &mut time) };
    let pages = fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
    let resident: u64 = pages
        .split(' ')
        .nth(1)
        .map_or(0, |n| n.parse().unwrap_or(0));
    Used {
        processor: Duration::new(time.tv_sec as u64, time.tv_nsec as u32),
        resident: resident * 4096,
    }
}
