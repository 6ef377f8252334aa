//! The completion port: the one queue on which everything that was begun is answered.
//!
//! A file handle is *associated* with a port once and for all. From then on each operation on it
//! ends with a *packet* in the port: the key given at the association, a pointer given with the
//! operation, the status and a length. A program may also post packets of its own, which is how the
//! poller is knocked.
//!
//! An operation that fails at once leaves no packet; one that succeeds at once does, as one that is
//! pending. So every pointer that went in with an accepted operation comes out of the port exactly
//! once, and that is what releases the memory behind it. The port counts these debts, so that it
//! can be emptied before it is closed.
//!
//! Beware: timeouts count in milliseconds of a clock that ticks every 1 to 16 of them, and a wait
//! may end within a tick *before* its time. `u32::MAX` means for ever.
//!
//! Source: I/O Completion Ports,
//! <https://learn.microsoft.com/windows/win32/fileio/i-o-completion-ports>

use std::collections::HashSet;
use std::ffi::c_void;
use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use windows_sys::Win32::Foundation::{INVALID_HANDLE_VALUE, WAIT_TIMEOUT};
use windows_sys::Win32::System::IO::{
    CreateIoCompletionPort, GetQueuedCompletionStatusEx, OVERLAPPED_ENTRY,
    PostQueuedCompletionStatus,
};

use super::NO_PANIC;

/// The most packets taken in one call, so that an enormous capacity does not mean an enormous
/// buffer.
const PACKETS_MAX: usize = 4096;

/// A completion port and what is owed to it.
#[derive(Debug)]
pub(crate) struct Port {
    handle: OwnedHandle,
    /// Accepted operations whose packets have not been taken from the port.
    owed: AtomicUsize,
    /// Where those of them are that were begun on files which others may use as well.
    addresses: Mutex<HashSet<usize>>,
    /// Makes the next `take` fail.
    #[cfg(test)]
    pub(super) fails: std::sync::atomic::AtomicBool,
    /// Makes every request for a socket be refused.
    #[cfg(test)]
    pub(super) refuses: std::sync::atomic::AtomicBool,
}

impl Port {
    pub(super) fn new() -> io::Result<Port> {
        // SAFETY: takes no memory. The null handle asks for a new port.
        let port = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, ptr::null_mut(), 0, 0) };
        if port.is_null() {
            return Err(io::Error::last_os_error());
        }
        Ok(Port {
            // SAFETY: the call above made this handle, and nobody else has it.
            handle: unsafe { OwnedHandle::from_raw_handle(port) },
            owed: AtomicUsize::new(0),
            addresses: Mutex::default(),
            #[cfg(test)]
            fails: false.into(),
            #[cfg(test)]
            refuses: false.into(),
        })
    }

    /// Lets the operations on a file end in this port, with packets under `key`. It cannot be
    /// undone.
    pub(super) fn associate(&self, file: BorrowedHandle<'_>, key: usize) -> io::Result<()> {
        // SAFETY: takes no memory, and both handles are open.
        let port = unsafe {
            CreateIoCompletionPort(file.as_raw_handle(), self.handle.as_raw_handle(), key, 0)
        };
        if port.is_null() {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Posts a packet. The pointer only travels: whoever takes the packet must know what it is by
    /// the key.
    pub(super) fn post(&self, key: usize, pointer: *mut c_void) -> io::Result<()> {
        // SAFETY: the system does not look at what the pointer points to.
        let is_posted = unsafe {
            PostQueuedCompletionStatus(self.handle.as_raw_handle(), 0, key, pointer.cast())
        };
        if is_posted == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Replaces `packets` by at most `limit` of those that are there, or the first that come within
    /// `timeout_ms`; by none if none came.
    pub(super) fn take(
        &self,
        packets: &mut Vec<OVERLAPPED_ENTRY>,
        limit: usize,
        timeout_ms: u32,
    ) -> io::Result<()> {
        packets.clear();
        let limit = limit.min(PACKETS_MAX);
        packets.reserve(limit);
        let mut count = 0;
        #[cfg(test)]
        if self.fails.swap(false, Ordering::Relaxed) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        // SAFETY: at most `limit` entries are written, for which there is room, and the number of
        // them.
        let is_taken = unsafe {
            GetQueuedCompletionStatusEx(
                self.handle.as_raw_handle(),
                packets.as_mut_ptr(),
                limit as u32,
                &mut count,
                timeout_ms,
                0,
            )
        };
        if is_taken == 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(code) if code == WAIT_TIMEOUT as i32 => Ok(()),
                _ => Err(error),
            };
        }
        // SAFETY: the call above wrote the first `count` entries.
        unsafe { packets.set_len(count as usize) };
        Ok(())
    }

    /// An operation is about to be begun that will, if it is accepted, end with a packet.
    pub(super) fn owe(&self) {
        self.owed.fetch_add(1, Ordering::Relaxed);
    }

    /// The packet of an operation was taken, or the operation was not accepted.
    pub(super) fn settle(&self) {
        self.owed.fetch_sub(1, Ordering::Relaxed);
    }

    /// As [`owe`](Port::owe), for an operation at this address.
    pub(super) fn owe_at(&self, address: usize) {
        self.owe();
        self.addresses().insert(address);
    }

    /// As [`settle`](Port::settle). False if no operation is owed at this address: it is somebody
    /// else's.
    pub(super) fn settle_at(&self, address: usize) -> bool {
        let is_ours = self.addresses().remove(&address);
        if is_ours {
            self.settle();
        }
        is_ours
    }

    fn addresses(&self) -> MutexGuard<'_, HashSet<usize>> {
        self.addresses.lock().expect(NO_PANIC)
    }

    /// How many operations have no answer yet. Exact only when nobody begins any more.
    pub(super) fn owed(&self) -> usize {
        self.owed.load(Ordering::Relaxed)
    }
}

impl AsHandle for Port {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.handle.as_handle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(port: &Port, limit: usize, timeout_ms: u32) -> Vec<usize> {
        let mut packets = Vec::new();
        port.take(&mut packets, limit, timeout_ms).unwrap();
        packets
            .iter()
            .map(|packet| packet.lpCompletionKey)
            .collect()
    }

    #[test]
    fn packets_come_in_order_and_no_more_than_asked_for() {
        let port = Port::new().unwrap();
        for key in 1..=5 {
            port.post(key, ptr::null_mut()).unwrap();
        }
        assert_eq!(keys(&port, 2, 0), [1, 2]);
        assert_eq!(keys(&port, 9, 1000), [3, 4, 5]);
    }

    #[test]
    fn an_empty_port_gives_nothing_after_the_timeout() {
        let port = Port::new().unwrap();
        assert_eq!(keys(&port, 4, 0), []);
        assert_eq!(keys(&port, 4, 3), []);
    }
}
