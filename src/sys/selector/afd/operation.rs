//! Overlapped operations: memory shared with the kernel, for sources that are no sockets.
//!
//! Reading from a pipe, say, has no readiness to ask for. The read itself is begun, into memory
//! that the kernel fills later, and its packet says that it is done.
//!
//! # Who may touch it when
//!
//! As with poll [`request`](super::request)s: a `Box<Operation>` is *ours*; from an accepted
//! [`submit`](Operation::submit) until its packet is taken from the port it is *the kernel's*,
//! buffer included, and all that is left here is a [`Flight`], an address good for cancelling.
//! Whether it was accepted is told by the call that began it and by nothing else. No later question
//! is asked whose answer could differ.
//!
//! An operation in flight keeps its owner alive, not the selector: the selector's end calls it back
//! and waits for it.
//!
//! Beware: a file belongs to the port as an open file, whoever holds a handle to it: this program's
//! other code, by a raw handle or a duplicate, or a child that was given one. An overlapped
//! operation of theirs leaves a packet here too, with a pointer to their memory, or to something in
//! another process. So a packet's pointer is followed only if the port owes an operation there.
//! Even so, memory that is freed while its packet is in the port could become an operation of ours,
//! and the packet be taken for that one's. So whoever uses the handle is asked to keep it.
//!
//! Source: Synchronous and Asynchronous I/O,
//! <https://learn.microsoft.com/windows/win32/fileio/synchronous-and-asynchronous-i-o>; a packet is
//! queued unless the call fails with an error: `ERROR_MORE_DATA` is a warning,
//! <https://learn.microsoft.com/windows-hardware/drivers/kernel/using-ntstatus-values>

use std::fmt;
use std::io;
use std::panic::RefUnwindSafe;
use std::sync::Arc;

use windows_sys::Win32::Foundation::{
    ERROR_IO_PENDING, ERROR_MORE_DATA, HANDLE, NTSTATUS, STATUS_CANCELLED, STATUS_PENDING,
};
use windows_sys::Win32::System::IO::{CancelIoEx, OVERLAPPED, OVERLAPPED_ENTRY};

use super::port::Port;
use super::{Report, is_error, key, status_error};

/// Who began an operation, and hears of its end. A panic elsewhere leaves it whole: what changes is
/// behind a lock. A `Poll`, which holds owners, can so be used after `catch_unwind`.
pub(crate) trait Owner: fmt::Debug + Send + Sync + RefUnwindSafe {
    /// An operation is over, or a [notice](Operation::post) has arrived. Called by a `select`.
    fn land(self: Arc<Self>, operation: Box<Operation>) -> Report;

    /// An object that the owner [waits](super::Wait) for was signalled.
    fn signalled(self: Arc<Self>) -> Report {
        Report::default()
    }

    /// The time has come that a report asked for.
    fn look_after(self: Arc<Self>) -> Report;

    /// The selector, which has [adopted](super::Afd::adopt) the owner, ends, and waits for what is
    /// in flight: it is to be called back.
    fn abandon(&self) {}
}

/// An operation. See the module's page for who owns it.
#[repr(C)]
pub(crate) struct Operation {
    overlapped: OVERLAPPED,
    /// The owner's name for it.
    pub(crate) id: u64,
    pub(crate) buffer: Vec<u8>,
    /// Set while it is in flight.
    owner: Option<Arc<dyn Owner>>,
}

// SAFETY: the pointers inside are fields that are not used, or numbers to us.
unsafe impl Send for Operation {}
// SAFETY: nothing of a shared operation changes.
unsafe impl Sync for Operation {}

/// An operation that is the kernel's.
#[derive(Debug)]
pub(crate) struct Flight {
    address: *const OVERLAPPED,
}

// SAFETY: the address is a name for the operation here and not followed.
unsafe impl Send for Flight {}
// SAFETY: as above.
unsafe impl Sync for Flight {}

impl Operation {
    pub(crate) fn new(id: u64, buffer: Vec<u8>) -> Box<Operation> {
        Box::new(Operation {
            overlapped: OVERLAPPED::default(),
            id,
            buffer,
            owner: None,
        })
    }

    /// Begins the operation by a call, which is given the buffer and where to write the outcome. If
    /// it is not accepted, the operation comes back at once with the error, and there will be no
    /// packet.
    ///
    /// # Safety
    ///
    /// `begin` makes one call that begins an overlapped operation on a file associated with `port`,
    /// with no other memory than it is given, and returns that call's answer, the last error
    /// untouched.
    pub(crate) unsafe fn submit(
        mut self: Box<Self>,
        owner: Arc<dyn Owner>,
        port: &Port,
        begin: impl FnOnce(*mut u8, u32, *mut OVERLAPPED) -> i32,
    ) -> Result<Flight, (Box<Operation>, io::Error)> {
        self.overlapped = OVERLAPPED::default();
        self.owner = Some(owner);
        let start = self.buffer.as_mut_ptr();
        let len = self.buffer.len().try_into().unwrap_or(u32::MAX);
        let operation = Box::into_raw(self);
        port.owe_at(operation.addr());
        // SAFETY: `operation` came from a box. No reference is made, because from the call on the
        // kernel writes there.
        let overlapped = unsafe { &raw mut (*operation).overlapped };
        let is_done = begin(start, len, overlapped) != 0;
        if !is_done {
            let error = io::Error::last_os_error();
            let code = error.raw_os_error().unwrap_or(0) as u32;
            if code != ERROR_IO_PENDING && code != ERROR_MORE_DATA {
                port.settle_at(operation.addr());
                // SAFETY: an operation that was refused leaves no packet, so the box is ours again.
                let mut operation = unsafe { Box::from_raw(operation) };
                operation.owner = None;
                return Err((operation, error));
            }
        }
        Ok(Flight {
            address: overlapped,
        })
    }

    /// Sends itself through the port without an operation: a notice that the owner will get from
    /// the `select` that runs, or the next.
    pub(crate) fn post(mut self: Box<Self>, owner: Arc<dyn Owner>, port: &Port) -> io::Result<()> {
        self.owner = Some(owner);
        let operation = Box::into_raw(self);
        port.owe_at(operation.addr());
        let result = port.post(key::operation(), operation.cast());
        if result.is_err() {
            port.settle_at(operation.addr());
            // SAFETY: a packet that was not posted does not come, so the box is ours again.
            drop(unsafe { Box::from_raw(operation) });
        }
        result
    }

    /// Takes an operation back from the kernel, and its owner out of it. None if the operation is
    /// not one of ours.
    ///
    /// # Safety
    ///
    /// The packet was taken from this port, and this is called once for it.
    pub(super) unsafe fn from_packet(
        packet: &OVERLAPPED_ENTRY,
        port: &Port,
    ) -> Option<(Arc<dyn Owner>, Box<Operation>)> {
        let operation = packet.lpOverlapped.cast::<Operation>();
        if !port.settle_at(operation.addr()) {
            return None;
        }
        // SAFETY: at this address is an operation that `submit` or `post` gave up and nobody has
        // taken back, so nothing else of this process is there, nor was since the packet was sent:
        // whoever else begins operations keeps their memory until then, as the pipe's `AsHandle`
        // asks. Another process would have to have something at the very same address. And the
        // kernel is done with an operation when its packet can be taken.
        let mut operation = unsafe { Box::from_raw(operation) };
        let owner = operation.owner.take().expect("set when it was given up");
        Some((owner, operation))
    }

    /// How the operation ended: with how many bytes. A warning, as that of a message that is longer
    /// than the buffer, is a success: the bytes are there.
    pub(crate) fn outcome(&self) -> io::Result<usize> {
        let status = self.status();
        if is_error(status) {
            Err(status_error(status))
        } else {
            Ok(self.overlapped.InternalHigh)
        }
    }

    /// Nothing has come of the operation: it was cancelled, or the thread that began it has ended
    /// at a bad moment.
    pub(crate) fn was_cancelled(&self) -> bool {
        matches!(self.status(), STATUS_CANCELLED | STATUS_PENDING)
    }

    fn status(&self) -> NTSTATUS {
        self.overlapped.Internal as NTSTATUS
    }
}

impl Flight {
    /// Asks the kernel to end the operation soon. It lands in any case.
    pub(crate) fn cancel(&self, file: HANDLE) {
        // SAFETY: the address is compared with those of the file's operations in flight and not
        // followed. It fails if the operation has landed: fine.
        unsafe { CancelIoEx(file, self.address) };
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
