//! Signals, for tests: an action that runs in a handler on this thread, and a way for other threads
//! to send it.
//!
//! Source: sigaction(2), pthread_kill(3), signal-safety(7)

use std::cell::Cell;
use std::ptr;
use std::sync::Once;

thread_local! {
    /// What the handler runs on this thread. Without a destructor and with a constant beginning, so
    /// that a handler may look.
    static ACTION: Cell<*const &'static dyn Fn()> = const { Cell::new(ptr::null()) };
}

/// A thread that runs [`with_handler`].
#[derive(Debug)]
pub(crate) struct Interruptible(libc::pthread_t);

// SAFETY: a `pthread_t` names a thread and may be used by any other, as long as the thread exists;
// it is lent out only to code that the thread itself waits for.
unsafe impl Sync for Interruptible {}

impl Interruptible {
    /// Sends the signal. A system call that the thread is blocked in is interrupted.
    pub(crate) fn interrupt(&self) {
        // SAFETY: takes no memory; the thread exists, since it lends `self` out.
        let error = unsafe { libc::pthread_kill(self.0, libc::SIGUSR1) };
        assert_eq!(error, 0, "a thread that exists can be sent a signal");
    }
}

/// Runs `body`, in which this thread can be interrupted. The handler runs `action`, which must be
/// safe in one: no lock, no allocation, no panic.
pub(crate) fn with_handler<R>(action: &dyn Fn(), body: impl FnOnce(&Interruptible) -> R) -> R {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(install);
    /// Forgets the action, also if `body` panics.
    struct Forget;
    impl Drop for Forget {
        fn drop(&mut self) {
            ACTION.set(ptr::null());
        }
    }
    let _forget = Forget;
    ACTION.set((&raw const action).cast());
    // SAFETY: takes no memory and cannot fail.
    let thread = Interruptible(unsafe { libc::pthread_self() });
    body(&thread)
}

/// Installs the handler, for the process and for good. Without `SA_RESTART`, so that system calls
/// are interrupted.
fn install() {
    // SAFETY: a sigaction of zeros is one: no flags, and an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = run as *const () as usize;
    // SAFETY: `action` is read, nothing is written.
    let result = unsafe { libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut()) };
    assert_eq!(result, 0, "the handler can be installed");
}

extern "C" fn run(_: libc::c_int) {
    let action = ACTION.get();
    // SAFETY: it is null, or what `with_handler` has set and, as long as it runs, keeps alive.
    if let Some(action) = unsafe { action.as_ref() } {
        action();
    }
}
