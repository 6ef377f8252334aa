//! An emulation of wait completion packets for the tests, over the thread pool: Wine has none.
//!
//! It answers as the manual says (see [`wait`](super::wait)), but cannot take a packet back that is
//! in the port already. So packets come late here that Windows would have removed, and the tests
//! see that nobody minds.

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::{LazyLock, Mutex, MutexGuard};

use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Win32::Foundation::{
    HANDLE, INVALID_HANDLE_VALUE, NTSTATUS, STATUS_INVALID_HANDLE, STATUS_INVALID_PARAMETER_1,
    WAIT_OBJECT_0,
};
use windows_sys::Win32::System::IO::PostQueuedCompletionStatus;
use windows_sys::Win32::System::Threading::{
    CreateEventW, INFINITE, RegisterWaitForSingleObject, UnregisterWaitEx, WT_EXECUTEONLYONCE,
    WaitForSingleObject,
};

/// The associations that have not ended, by the handles of their packets: each is an event's, so
/// that it can be closed.
static ASSOCIATIONS: LazyLock<Mutex<HashMap<usize, Association>>> = LazyLock::new(Mutex::default);

struct Association {
    /// The thread pool's wait.
    wait: usize,
    /// Lent to the thread pool until the wait is unregistered.
    post: *mut Post,
}

// SAFETY: the pointer is followed by the thread pool only, until it has let go.
unsafe impl Send for Association {}

/// What is posted when the object is signalled.
struct Post {
    packet: usize,
    port: HANDLE,
    key: usize,
    context: *mut (),
}

impl Post {
    fn send(&self) {
        // SAFETY: the system does not look at what the pointer points to.
        unsafe { PostQueuedCompletionStatus(self.port, 0, self.key, self.context.cast()) };
    }
}

/// `NtCreateWaitCompletionPacket`
///
/// # Safety
///
/// At `packet` is a place for a handle.
pub(super) unsafe extern "system" fn create(
    packet: *mut HANDLE,
    _: u32,
    _: *const OBJECT_ATTRIBUTES,
) -> NTSTATUS {
    // SAFETY: takes no memory but names and attributes, of which there are none.
    let event = unsafe { CreateEventW(ptr::null(), 0, 0, ptr::null()) };
    assert!(!event.is_null());
    // SAFETY: the caller gives a place for a handle.
    unsafe { packet.write(event) };
    0
}

/// `NtAssociateWaitCompletionPacket`
///
/// # Safety
///
/// The handles are open, and stay so until the packet came or was cancelled.
pub(super) unsafe extern "system" fn associate(
    packet: HANDLE,
    port: HANDLE,
    target: HANDLE,
    key: *mut (),
    context: *mut (),
    _: NTSTATUS,
    _: usize,
    _: *mut u8,
) -> NTSTATUS {
    let mut associations = lock();
    if associations.contains_key(&packet.addr()) {
        return STATUS_INVALID_PARAMETER_1; // in use
    }
    let post = Post {
        packet: packet.addr(),
        port,
        key: key.addr(),
        context,
    };
    // SAFETY: takes no memory.
    if unsafe { WaitForSingleObject(target, 0) } == WAIT_OBJECT_0 {
        post.send();
        return 0;
    }
    let post = Box::into_raw(Box::new(post));
    let mut wait = ptr::null_mut();
    // SAFETY: a handle is written. `post` stays where it is until the wait is unregistered.
    let is_registered = unsafe {
        RegisterWaitForSingleObject(
            &mut wait,
            target,
            Some(signalled),
            post.cast(),
            INFINITE,
            WT_EXECUTEONLYONCE,
        )
    };
    if is_registered == 0 {
        // SAFETY: nobody was given it.
        drop(unsafe { Box::from_raw(post) });
        return STATUS_INVALID_HANDLE;
    }
    let wait = wait.addr();
    associations.insert(packet.addr(), Association { wait, post });
    0
}

/// `NtCancelWaitCompletionPacket`
///
/// # Safety
///
/// The handle is open.
pub(super) unsafe extern "system" fn cancel(packet: HANDLE, _: u8) -> NTSTATUS {
    let association = lock().remove(&packet.addr());
    let Some(Association { wait, post }) = association else {
        return 0;
    };
    // Waits until the callback is over, if it runs.
    // SAFETY: takes no memory, and the wait was not unregistered: it was in the map.
    unsafe { UnregisterWaitEx(ptr::without_provenance_mut(wait), INVALID_HANDLE_VALUE) };
    // SAFETY: the thread pool has let go, and nobody else has it.
    drop(unsafe { Box::from_raw(post) });
    0
}

/// What the thread pool calls.
///
/// # Safety
///
/// It is a [`Post`] that `associate` has lent, and this is called once.
unsafe extern "system" fn signalled(post: *mut c_void, _: bool) {
    let post = post.cast::<Post>();
    // SAFETY: whoever cancels waits for this callback before the memory is freed.
    let packet = unsafe { (*post).packet };
    // Before the packet is in the port: whoever takes it may associate it again.
    let association = lock().remove(&packet);
    // SAFETY: as above.
    unsafe { (*post).send() };
    let Some(Association { wait, post }) = association else {
        return; // cancelled, but too late
    };
    // Not waited for: this is its callback.
    // SAFETY: takes no memory, and the wait was not unregistered: it was in the map.
    unsafe { UnregisterWaitEx(ptr::without_provenance_mut(wait), ptr::null_mut()) };
    // SAFETY: it was in the map, so it is nobody else's.
    drop(unsafe { Box::from_raw(post) });
}

fn lock() -> MutexGuard<'static, HashMap<usize, Association>> {
    ASSOCIATIONS
        .lock()
        .expect("nothing panics while this is held")
}
