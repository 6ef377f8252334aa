//! Lets tests that send signals to their own process run one at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits for the test that runs now. A test that panics frees the lock too.
pub fn lock() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}
