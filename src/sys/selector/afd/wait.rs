//! Wait completion packets: objects that put a packet into a port when another object is signalled.
//!
//! Any object that a thread could wait for will do: a process, an event, a timer, a console. An
//! association answers once, like a poll request. No memory is shared with the kernel: the packet
//! carries a number, and one that nobody knows any more is ignored.
//!
//! The functions are described but in no import library, and systems before Windows 8, and Wine
//! up to 10.0, do not have them. So they are looked up.
//!
//! Source: <https://learn.microsoft.com/windows/win32/devnotes/ntassociatewaitcompletionpacket>

use std::ffi::CStr;
use std::io;
use std::mem;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::sync::OnceLock;

use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Win32::Foundation::{GENERIC_ALL, HANDLE, HMODULE, NTSTATUS};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::core::w;

#[cfg(test)]
use super::emulation;
use super::{key, status_error};

type Create = unsafe extern "system" fn(*mut HANDLE, u32, *const OBJECT_ATTRIBUTES) -> NTSTATUS;
type Associate = unsafe extern "system" fn(
    packet: HANDLE,
    port: HANDLE,
    target: HANDLE,
    key: *mut (),
    context: *mut (),
    status: NTSTATUS,
    information: usize,
    is_signalled: *mut u8,
) -> NTSTATUS;
type Cancel = unsafe extern "system" fn(packet: HANDLE, removes_signalled: u8) -> NTSTATUS;

#[derive(Copy, Clone)]
struct Functions {
    create: Create,
    associate: Associate,
    cancel: Cancel,
}

/// A wait completion packet. It ends its association when it is dropped.
#[derive(Debug)]
pub(crate) struct Wait {
    packet: OwnedHandle,
}

impl Wait {
    /// `Unsupported` where the system has no such objects.
    pub(crate) fn new() -> io::Result<Wait> {
        let create = functions()?.create;
        let mut packet: HANDLE = ptr::null_mut();
        // SAFETY: a handle is written. Without attributes it is not inherited.
        let status = unsafe { create(&mut packet, GENERIC_ALL, ptr::null()) };
        if status != 0 {
            return Err(status_error(status));
        }
        Ok(Wait {
            // SAFETY: the call above made this handle, and nobody else has it.
            packet: unsafe { OwnedHandle::from_raw_handle(packet) },
        })
    }

    /// Asks for one packet with this number in the port as soon as the object is signalled, at once
    /// if it is.
    pub(crate) fn begin(
        &self,
        port: BorrowedHandle<'_>,
        object: BorrowedHandle<'_>,
        number: usize,
    ) -> io::Result<()> {
        let associate = functions()?.associate;
        // SAFETY: the handles are open. Key and context are numbers that come back in the packet.
        let status = unsafe {
            associate(
                self.packet.as_raw_handle(),
                port.as_raw_handle(),
                object.as_raw_handle(),
                ptr::without_provenance_mut(key::wait()),
                ptr::without_provenance_mut(number),
                0,
                0,
                ptr::null_mut(),
            )
        };
        if status != 0 {
            return Err(status_error(status));
        }
        Ok(())
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Ok(functions) = functions() {
            // SAFETY: takes no memory, and the handle is open. If it fails the packet is on its
            // way, and nobody will know its number.
            unsafe { (functions.cancel)(self.packet.as_raw_handle(), 1) };
        }
    }
}

fn functions() -> io::Result<Functions> {
    static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();
    #[cfg(test)]
    let look_up = || look_up().or(Some(EMULATED));
    FUNCTIONS.get_or_init(look_up).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::Unsupported,
            "this system has no wait completion packets; Windows has them since version 8",
        )
    })
}

fn look_up() -> Option<Functions> {
    // SAFETY: the name ends with a zero. The library is part of every process and is never
    // unloaded.
    let ntdll = unsafe { GetModuleHandleW(w!("ntdll.dll")) };
    let create = function(ntdll, c"NtCreateWaitCompletionPacket")?;
    let associate = function(ntdll, c"NtAssociateWaitCompletionPacket")?;
    let cancel = function(ntdll, c"NtCancelWaitCompletionPacket")?;
    Some(Functions {
        // SAFETY: the function of this name has this signature; see the manual above.
        create: unsafe { mem::transmute::<Address, Create>(create) },
        // SAFETY: as above.
        associate: unsafe { mem::transmute::<Address, Associate>(associate) },
        // SAFETY: as above.
        cancel: unsafe { mem::transmute::<Address, Cancel>(cancel) },
    })
}

#[cfg(test)]
const EMULATED: Functions = Functions {
    create: emulation::create,
    associate: emulation::associate,
    cancel: emulation::cancel,
};

type Address = unsafe extern "system" fn() -> isize;

fn function(library: HMODULE, name: &CStr) -> Option<Address> {
    // SAFETY: the name ends with a zero, and the library is loaded, or null, which finds nothing.
    unsafe { GetProcAddress(library, name.as_ptr().cast()) }
}
