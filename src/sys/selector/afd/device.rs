//! AFD devices: handles to the driver behind all sockets, to which poll requests are sent.
//!
//! `\Device\Afd` is opened like a file. One handle could carry the requests of all sockets, but the
//! system looks for a request to cancel by walking all those of its handle; one handle for each
//! socket would double the handles of the process. So up to [`SEATS`] sockets share one, as in
//! wepoll. A device closes when its last socket and its last request are gone.
//!
//! Source: wepoll, <https://github.com/piscisaureus/wepoll>; `NtCreateFile`,
//! <https://learn.microsoft.com/windows/win32/api/winternl/nf-winternl-ntcreatefile>

use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{FILE_OPEN, NtCreateFile};
use windows_sys::Win32::Foundation::{HANDLE, UNICODE_STRING};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_SHARE_READ, FILE_SHARE_WRITE, SYNCHRONIZE, SetFileCompletionNotificationModes,
};
use windows_sys::Win32::System::IO::IO_STATUS_BLOCK;
use windows_sys::Win32::System::WindowsProgramming::FILE_SKIP_SET_EVENT_ON_HANDLE;

use super::port::Port;
use super::{NO_PANIC, key, status_error};

/// Sockets that share a device.
const SEATS: usize = 32;

/// The devices of a selector that have seats left.
#[derive(Debug)]
pub(super) struct Devices {
    port: Arc<Port>,
    with_seats: Mutex<Vec<Arc<Device>>>,
}

impl Devices {
    pub(super) fn new(port: Arc<Port>) -> Devices {
        Devices {
            port,
            with_seats: Mutex::new(Vec::new()),
        }
    }

    /// Finds a seat for a socket, opening a device if all are full.
    pub(super) fn seat(self: &Arc<Self>) -> io::Result<Seat> {
        let mut with_seats = self.lock();
        if with_seats.is_empty() {
            with_seats.push(Arc::new(Device::open(&self.port)?));
        }
        // The fullest one is last: the others get a chance to empty.
        let device = Arc::clone(with_seats.last().expect("one was made if there was none"));
        if device.taken.fetch_add(1, Ordering::Relaxed) + 1 == SEATS {
            with_seats.pop();
        }
        Ok(Seat {
            device,
            devices: Arc::clone(self),
        })
    }

    fn give_back(&self, device: &Arc<Device>) {
        let mut with_seats = self.lock();
        let before = device.taken.fetch_sub(1, Ordering::Relaxed);
        if before == SEATS {
            with_seats.push(Arc::clone(device));
        } else if before == 1 && with_seats.len() > 1 {
            // One is kept, so that a program with a single socket at a time does not open and close
            // devices.
            with_seats.retain(|other| !Arc::ptr_eq(other, device));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Device>>> {
        self.with_seats.lock().expect(NO_PANIC)
    }
}

/// A socket's right to send its requests to a device, given back on drop.
#[derive(Debug)]
pub(super) struct Seat {
    device: Arc<Device>,
    devices: Arc<Devices>,
}

impl Seat {
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    pub(super) fn port(&self) -> &Port {
        &self.devices.port
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.devices.give_back(&self.device);
    }
}

/// An open handle to the driver, associated with the port.
#[derive(Debug)]
pub(super) struct Device {
    handle: OwnedHandle,
    /// Changed only while the list of devices is locked.
    taken: AtomicUsize,
}

impl Device {
    fn open(port: &Port) -> io::Result<Device> {
        // What follows `Afd\` is free, and only shows in lists of handles.
        let mut name: Vec<u16> = r"\Device\Afd\Litio".encode_utf16().collect();
        let bytes = (name.len() * 2) as u16;
        let name = UNICODE_STRING {
            Length: bytes,
            MaximumLength: bytes,
            Buffer: name.as_mut_ptr(),
        };
        let attributes = OBJECT_ATTRIBUTES {
            Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
            RootDirectory: ptr::null_mut(),
            ObjectName: &name,
            Attributes: 0, // without OBJ_INHERIT: child processes do not get it
            SecurityDescriptor: ptr::null(),
            SecurityQualityOfService: ptr::null(),
        };
        let mut handle: HANDLE = ptr::null_mut();
        let mut status_block = IO_STATUS_BLOCK::default();
        // SAFETY: the attributes and the name they point to live through the call, which writes a
        // handle and a status. Without FILE_SYNCHRONOUS_IO_* in the options the handle is
        // asynchronous.
        let status = unsafe {
            NtCreateFile(
                &mut handle,
                SYNCHRONIZE,
                &attributes,
                &mut status_block,
                ptr::null(),
                0,
                FILE_SHARE_READ | FILE_SHARE_WRITE,
                FILE_OPEN,
                0,
                ptr::null(),
                0,
            )
        };
        if status != 0 {
            return Err(status_error(status));
        }
        let device = Device {
            // SAFETY: the call above made this handle, and nobody else has it.
            handle: unsafe { OwnedHandle::from_raw_handle(handle) },
            taken: AtomicUsize::new(0),
        };
        port.associate(device.handle.as_handle(), key::poll())?;
        // SAFETY: takes no memory, and the handle is open.
        unsafe {
            // Nobody waits for the handle itself, so the system need not signal it. It saves a
            // little; without it all works.
            SetFileCompletionNotificationModes(handle, FILE_SKIP_SET_EVENT_ON_HANDLE as u8)
        };
        Ok(device)
    }

    pub(super) fn as_raw_handle(&self) -> HANDLE {
        self.handle.as_raw_handle()
    }
}

impl AsHandle for Device {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.handle.as_handle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_shared_by_as_many_sockets_as_they_seat_and_close_when_empty() {
        let devices = Arc::new(Devices::new(Arc::new(Port::new().unwrap())));
        let mut seats: Vec<_> = (0..3 * SEATS).map(|_| devices.seat().unwrap()).collect();
        let mut handles: Vec<_> = seats
            .iter()
            .map(|seat| seat.device.as_raw_handle())
            .collect();
        handles.dedup();
        assert_eq!(handles.len(), 3);
        assert!(devices.lock().is_empty(), "all are full");

        let last = Arc::downgrade(&seats.last().unwrap().device);
        seats.truncate(2 * SEATS - 1);
        assert!(last.upgrade().is_none(), "an empty device is closed");
        assert_eq!(devices.lock().len(), 1);

        drop(seats);
        assert_eq!(devices.lock().len(), 1, "one is kept for the next socket");
    }
}
