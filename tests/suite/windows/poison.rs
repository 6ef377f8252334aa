//! An allocator that finds out who writes to memory that was freed, and counts.
//!
//! The kernel writes the answers of requests and operations long after the calls that asked. If one
//! of them were freed too early, nothing would be seen but a stranger's bytes changing now and
//! then. So a freed block is filled with a pattern and kept for a while. If the pattern has changed
//! when the block is given back at last, the process ends.

#![expect(unsafe_code, reason = "an allocator is unsafe by its trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::hint;
use std::process;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use windows_sys::Win32::System::Threading::GetCurrentThreadId;

/// Blocks that are kept.
const KEPT: usize = 8192;
/// Larger ones are given back at once.
const BYTES_MAX: usize = 64 << 10;
const PATTERN: u8 = 0xdb;

/// Keeps freed blocks and looks at them again.
pub(crate) struct Poisoning {
    is_locked: AtomicBool,
    ring: UnsafeCell<Ring>,
}

struct Ring {
    blocks: [(*mut u8, Layout); KEPT],
    next: usize,
}

// SAFETY: the ring is touched only by whoever holds the lock.
unsafe impl Sync for Poisoning {}

impl Poisoning {
    pub(crate) const fn new() -> Poisoning {
        Poisoning {
            is_locked: AtomicBool::new(false),
            ring: UnsafeCell::new(Ring {
                blocks: [(ptr::null_mut(), Layout::new::<()>()); KEPT],
                next: 0,
            }),
        }
    }

    /// Puts a block into the ring and takes out the oldest one.
    fn exchange(&self, block: *mut u8, layout: Layout) -> (*mut u8, Layout) {
        while self.is_locked.swap(true, Ordering::Acquire) {
            hint::spin_loop();
        }
        // SAFETY: the lock is held, so nobody else has a reference.
        let ring = unsafe { &mut *self.ring.get() };
        let oldest = std::mem::replace(&mut ring.blocks[ring.next], (block, layout));
        ring.next = (ring.next + 1) % KEPT;
        self.is_locked.store(false, Ordering::Release);
        oldest
    }
}

// SAFETY: every block comes from the system's allocator and goes back there once, with its layout.
unsafe impl GlobalAlloc for Poisoning {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTED_THREAD.load(Ordering::Relaxed) == this_thread() {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() > BYTES_MAX {
            // SAFETY: the caller's promise.
            return unsafe { System.dealloc(block, layout) };
        }
        // SAFETY: the block has this size, and is nobody's any more.
        unsafe { block.write_bytes(PATTERN, layout.size()) };
        let (oldest, layout) = self.exchange(block, layout);
        if oldest.is_null() {
            return;
        }
        for i in 0..layout.size() {
            // SAFETY: the block has this size, and is ours until it is given back below.
            let place = unsafe { oldest.add(i) };
            // SAFETY: as above.
            if unsafe { place.read_volatile() } != PATTERN {
                eprintln!("a freed block of {} bytes was written to", layout.size());
                process::abort();
            }
        }
        // SAFETY: the block came with this layout, and was kept from going back.
        unsafe { System.dealloc(oldest, layout) };
    }
}

/// Whose allocations are counted. Not a thread local for each, which would itself allocate here.
static COUNTED_THREAD: AtomicU32 = AtomicU32::new(0);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// How often this thread allocates while `body` runs.
pub(crate) fn allocations(body: impl FnOnce()) -> usize {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    ALLOCATIONS.store(0, Ordering::Relaxed);
    COUNTED_THREAD.store(this_thread(), Ordering::Relaxed);
    body();
    COUNTED_THREAD.store(0, Ordering::Relaxed); // nobody
    ALLOCATIONS.load(Ordering::Relaxed)
}

fn this_thread() -> u32 {
    // SAFETY: takes nothing.
    unsafe { GetCurrentThreadId() }
}
