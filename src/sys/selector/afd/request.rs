//! Poll requests: the memory that is shared with the kernel.
//!
//! `IOCTL_AFD_POLL` asks the driver to answer as soon as one of several conditions holds for a
//! socket, at once if one holds already. The kernel writes the answer into the request's memory
//! *when it is ready*, long after the call that asked.
//!
//! # Who may touch it when
//!
//! A request belongs to one side at a time:
//!
//! * *ours* is a `Box<Request>`: it can be read, changed, dropped or submitted like anything else;
//! * *the kernel's* is everything from an accepted [`submit`](Request::submit) until its packet is
//!   taken from the port. All that is left on this side is a [`Flight`], an address that is good
//!   for cancelling and never followed.
//!
//! The packet's pointer is the request itself, so [`from_packet`](Request::from_packet) is the one
//! way back. Nothing else releases the memory: not cancelling (a cancelled request lands as well),
//! not closing the socket or the device. Before the port closes, it is emptied until every request
//! has landed.
//!
//! A request in flight keeps its socket, and so its seat at the device, alive; one on the ground
//! does not, for it is the socket that owns it.
//!
//! Source: `NtDeviceIoControlFile`,
//! <https://learn.microsoft.com/windows/win32/api/winternl/nf-winternl-ntdeviceiocontrolfile>; the
//! request's form and the conditions: wepoll, <https://github.com/piscisaureus/wepoll>

use std::io;
use std::ptr;
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::Ordering;

use windows_sys::Wdk::System::IO::NtDeviceIoControlFile;
#[cfg(test)]
use windows_sys::Win32::Foundation::STATUS_INVALID_HANDLE;
use windows_sys::Win32::Foundation::{HANDLE, NTSTATUS, STATUS_CANCELLED, STATUS_PENDING};
use windows_sys::Win32::System::IO::{CancelIoEx, IO_STATUS_BLOCK, OVERLAPPED_ENTRY};

use super::device::Device;
use super::socket::{Question, Socket};
use super::{is_error, status_error};

const IOCTL_AFD_POLL: u32 = 0x0001_2024;

// The conditions. Data, urgent data, room to send, the end of the stream, a reset, the socket
// closed on this side, connected, a connection to accept, a connection that was refused.
pub(super) const RECEIVE: u32 = 1;
pub(super) const SEND: u32 = 1 << 2;
pub(super) const DISCONNECT: u32 = 1 << 3;
pub(super) const ABORT: u32 = 1 << 4;
pub(super) const LOCAL_CLOSE: u32 = 1 << 5;
pub(super) const ACCEPT: u32 = 1 << 7;
pub(super) const CONNECT_FAIL: u32 = 1 << 8;

/// `AFD_POLL_INFO` for one socket: question and answer in the same place.
#[repr(C)]
struct PollInfo {
    timeout: i64,
    count: u32,
    /// Would end other such requests for the same socket.
    is_exclusive: u32,
    handle: HANDLE,
    events: u32,
    status: NTSTATUS,
}

/// A poll request. See the module's page for who owns it.
#[repr(C)]
pub(super) struct Request {
    status_block: IO_STATUS_BLOCK,
    info: PollInfo,
    question: Question,
    /// Set while it is in flight.
    socket: Option<Arc<Socket>>,
}

// SAFETY: the pointers inside are a handle and a field of the status block that is only a number to
// us; both mean the same on every thread.
unsafe impl Send for Request {}

/// What the kernel answered.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The conditions that hold; at least one.
    Events(u32),
    /// Nothing: the request was cancelled, by us or because the thread that made it has ended, or
    /// it ended without a reason. Ask again.
    Nothing,
    /// The driver could not say.
    Failed,
}

/// A request that is the kernel's: where it is, and whether its packet was in the port when it was
/// accepted.
#[derive(Debug)]
pub(super) struct Flight {
    address: *mut IO_STATUS_BLOCK,
    pub(super) has_landed_at_once: bool,
}

// SAFETY: the address is a name for the request here and not followed.
unsafe impl Send for Flight {}

impl Request {
    pub(super) fn new(question: Question) -> Box<Request> {
        Box::new(Request {
            status_block: IO_STATUS_BLOCK::default(),
            info: PollInfo {
                timeout: 0,
                count: 0,
                is_exclusive: 0,
                handle: ptr::null_mut(),
                events: 0,
                status: 0,
            },
            question,
            socket: None,
        })
    }

    /// Asks for an answer as soon as one of the question's conditions holds. If the call fails the
    /// request is dropped and there will be no packet.
    pub(super) fn submit(
        mut self: Box<Self>,
        device: &Device,
        socket: &Arc<Socket>,
    ) -> io::Result<Flight> {
        #[cfg(test)]
        if socket.port().refuses.load(Ordering::Relaxed) {
            return Err(status_error(STATUS_INVALID_HANDLE));
        }
        // What is read again if the kernel does not write here. Wine does not when the thread that
        // asked ends just as the answer comes.
        self.status_block.Anonymous.Status = STATUS_PENDING;
        self.info = PollInfo {
            timeout: i64::MAX, // none
            count: 1,
            is_exclusive: 0,
            handle: socket.base_handle(),
            events: self.question.conditions(),
            status: 0,
        };
        self.socket = Some(Arc::clone(socket));
        socket.port().owe();
        let request = Box::into_raw(self);
        // SAFETY: `request` came from a box. No reference is made, because from the call below on
        // the kernel writes there.
        let status_block = unsafe { &raw mut (*request).status_block };
        // SAFETY: as above.
        let info = unsafe { &raw mut (*request).info };
        // SAFETY: both places stay valid until the packet is taken: the box was given up, and only
        // `from_packet` takes it back. Question and answer may be one place, and are of the size
        // that is said.
        let status = unsafe {
            NtDeviceIoControlFile(
                device.as_raw_handle(),
                ptr::null_mut(),
                None,
                request.cast(), // the packet's pointer
                status_block,
                IOCTL_AFD_POLL,
                info.cast(),
                size_of::<PollInfo>() as u32,
                info.cast(),
                size_of::<PollInfo>() as u32,
            )
        };
        if is_error(status) {
            socket.port().settle();
            // SAFETY: a request that was refused leaves no packet, so the box is ours again, and
            // nobody else's.
            drop(unsafe { Box::from_raw(request) });
            return Err(status_error(status));
        }
        Ok(Flight {
            address: status_block,
            has_landed_at_once: status == 0,
        })
    }

    /// Takes a request back from the kernel, and its socket out of it.
    ///
    /// # Safety
    ///
    /// The packet was taken from the port under the key of poll requests, and this is called once
    /// for it.
    pub(super) unsafe fn from_packet(packet: &OVERLAPPED_ENTRY) -> (Arc<Socket>, Box<Request>) {
        // SAFETY: under that key come only requests that `submit` gave up, each once, and the
        // kernel is done with a request when its packet can be taken.
        let mut request = unsafe { Box::from_raw(packet.lpOverlapped.cast::<Request>()) };
        let socket = request.socket.take().expect("`submit` has set it");
        socket.port().settle();
        (socket, request)
    }

    pub(super) fn question(&self) -> Question {
        self.question
    }

    pub(super) fn answer(&self) -> Answer {
        // SAFETY: a status was written by `submit`, and by the kernel when the request landed.
        let status = unsafe { self.status_block.Anonymous.Status };
        match status {
            STATUS_CANCELLED | STATUS_PENDING => Answer::Nothing,
            _ if is_error(status) => Answer::Failed,
            _ if self.info.count == 0 || self.info.events == 0 => Answer::Nothing,
            _ => Answer::Events(self.info.events),
        }
    }
}

impl Flight {
    /// Asks the kernel to end the request soon. It lands in any case.
    pub(super) fn cancel(&self, device: &Device) {
        // SAFETY: the address is compared with those of the device's requests in flight and not
        // followed. It is no other request's, since the memory is not used again before this one's
        // packet was taken.
        unsafe { CancelIoEx(device.as_raw_handle(), self.address.cast()) };
        // It fails if the request has landed: fine. Any other failure leaves it in flight until the
        // socket closes: fine too.
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("question", &self.question)
            .finish_non_exhaustive()
    }
}
