//! libuv, where pkg-config found it when this was built. The few declarations that are needed stand
//! here; handles are opaque memory of the size that the library asks for.

use std::alloc::{Layout, alloc_zeroed};
use std::cell::{Cell, UnsafeCell};
use std::convert::Infallible;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::time::{Duration, Instant};

use crate::counts::Turns;
use crate::measure::Contender;
use crate::server::BUFFER;

pub const NAME: &str = "libuv";

#[repr(C)]
struct Loop(UnsafeCell<u8>);
#[repr(C)]
struct Handle(UnsafeCell<u8>);
#[repr(C)]
struct Buffer {
    base: *mut c_char,
    len: usize,
}

type AllocCallback = unsafe extern "C" fn(*mut Handle, usize, *mut Buffer);
type ReadCallback = unsafe extern "C" fn(*mut Handle, isize, *const Buffer);
type ConnectionCallback = unsafe extern "C" fn(*mut Handle, c_int);
type Callback = unsafe extern "C" fn(*mut Handle);

unsafe extern "C" {
    fn uv_version_string() -> *const c_char;
    fn uv_loop_size() -> usize;
    fn uv_loop_init(uv: *mut Loop) -> c_int;
    fn uv_run(uv: *mut Loop, mode: c_int) -> c_int;
    fn uv_update_time(uv: *mut Loop);
    fn uv_handle_size(kind: c_int) -> usize;
    fn uv_handle_get_loop(handle: *const Handle) -> *mut Loop;
    fn uv_close(handle: *mut Handle, closed: Option<Callback>);
    fn uv_tcp_init(uv: *mut Loop, handle: *mut Handle) -> c_int;
    fn uv_tcp_open(handle: *mut Handle, socket: c_int) -> c_int;
    fn uv_listen(handle: *mut Handle, backlog: c_int, connection: ConnectionCallback) -> c_int;
    fn uv_accept(listener: *mut Handle, handle: *mut Handle) -> c_int;
    fn uv_read_start(handle: *mut Handle, alloc: AllocCallback, read: ReadCallback) -> c_int;
    fn uv_try_write(handle: *mut Handle, buffers: *const Buffer, count: c_uint) -> c_int;
    fn uv_async_init(uv: *mut Loop, handle: *mut Handle, woken: Option<Callback>) -> c_int;
    fn uv_async_send(handle: *mut Handle) -> c_int;
    fn uv_timer_init(uv: *mut Loop, handle: *mut Handle) -> c_int;
    fn uv_timer_start(handle: *mut Handle, fired: Callback, millis: u64, repeat: u64) -> c_int;
}

pub fn version() -> Option<String> {
    let version = unsafe { CStr::from_ptr(uv_version_string()) };
    Some(version.to_string_lossy().into_owned())
}

const ASYNC: c_int = 1;
const TCP: c_int = 12;
const TIMER: c_int = 13;
const RUN_DEFAULT: c_int = 0;
const RUN_ONCE: c_int = 1;
const RUN_NOWAIT: c_int = 2;

/// Memory for a loop or a handle. Never freed: processes of this suite are short.
fn opaque(size: usize) -> *mut c_void {
    let layout = Layout::from_size_align(size, 16).expect("a size");
    unsafe { alloc_zeroed(layout) }.cast()
}

fn new_loop() -> *mut Loop {
    let uv = opaque(unsafe { uv_loop_size() }).cast();
    checked(unsafe { uv_loop_init(uv) });
    uv
}

fn new_handle(kind: c_int) -> *mut Handle {
    opaque(unsafe { uv_handle_size(kind) }).cast()
}

fn checked(result: c_int) {
    assert!(
        result >= 0,
        "libuv: {}",
        io::Error::from_raw_os_error(-result)
    );
}

thread_local! {
    static SHARED: Cell<*mut c_char> = Cell::new(opaque(BUFFER).cast());
    static ANSWERED: Cell<usize> = const { Cell::new(0) };
    static ONCE: Cell<bool> = const { Cell::new(false) };
}

unsafe extern "C" fn lend(_: *mut Handle, _: usize, buffer: *mut Buffer) {
    let base = SHARED.get();
    unsafe { *buffer = Buffer { base, len: BUFFER } };
}

/// Sends back what was read.
unsafe extern "C" fn answer(stream: *mut Handle, read: isize, buffer: *const Buffer) {
    unsafe extern "C" fn free(handle: *mut Handle) {
        let layout = unsafe { Layout::from_size_align_unchecked(uv_handle_size(TCP), 16) };
        unsafe { std::alloc::dealloc(handle.cast(), layout) };
    }
    if read > 0 {
        let base = unsafe { (*buffer).base };
        let len = read as usize;
        let written = unsafe { uv_try_write(stream, &Buffer { base, len }, 1) };
        assert_eq!(written as isize, read, "a message fits");
        ANSWERED.set(ANSWERED.get() + 1);
    }
    if read < 0 || read > 0 && ONCE.get() {
        unsafe { uv_close(stream, Some(free)) };
    }
}

unsafe extern "C" fn accept(listener: *mut Handle, _: c_int) {
    let stream = new_handle(TCP);
    checked(unsafe { uv_tcp_init(uv_handle_get_loop(listener), stream) });
    checked(unsafe { uv_accept(listener, stream) });
    checked(unsafe { uv_read_start(stream, lend, answer) });
}

pub fn serve(listener: &TcpListener, once: bool) -> io::Result<Infallible> {
    ONCE.set(once);
    let (uv, handle) = (new_loop(), new_handle(TCP));
    checked(unsafe { uv_tcp_init(uv, handle) });
    checked(unsafe { uv_tcp_open(handle, listener.as_raw_fd()) });
    checked(unsafe { uv_listen(handle, 4096, accept) });
    loop {
        unsafe { uv_run(uv, RUN_DEFAULT) };
    }
}

/// The server of [`crate::counts`].
pub struct Counted(*mut Loop);

impl Turns for Counted {
    fn new(streams: Vec<TcpStream>, _: bool) -> io::Result<Counted> {
        let uv = new_loop();
        for stream in streams {
            let handle = new_handle(TCP);
            checked(unsafe { uv_tcp_init(uv, handle) });
            checked(unsafe { uv_tcp_open(handle, stream.into_raw_fd()) });
            checked(unsafe { uv_read_start(handle, lend, answer) });
        }
        Ok(Counted(uv))
    }

    #[inline(never)]
    fn serve_what_is_ready(&mut self) -> io::Result<usize> {
        unsafe { uv_run(self.0, RUN_ONCE) };
        Ok(ANSWERED.take())
    }
}

/// As often as asked: wakes itself so many times, and takes a turn of the loop.
pub fn burst(wakes: usize) -> io::Result<Option<Contender<'static>>> {
    unsafe extern "C" fn woken(_: *mut Handle) {}
    let (uv, handle) = (new_loop(), new_handle(ASYNC));
    checked(unsafe { uv_async_init(uv, handle, Some(woken)) });
    Ok(Some(Contender::new(NAME, move || {
        for _ in 0..wakes {
            checked(unsafe { uv_async_send(handle) });
        }
        unsafe { uv_run(uv, RUN_NOWAIT) };
    })))
}

/// Its timers know whole milliseconds only.
pub fn timeout(asked: Duration) -> io::Result<Option<Contender<'static>>> {
    unsafe extern "C" fn fired(_: *mut Handle) {}
    let (uv, handle) = (new_loop(), new_handle(TIMER));
    checked(unsafe { uv_timer_init(uv, handle) });
    Ok(Some(Contender::timed(NAME, move |iterations| {
        let late = |_| {
            let start = Instant::now();
            unsafe { uv_update_time(uv) }; // which the timer starts from
            checked(unsafe { uv_timer_start(handle, fired, 1, 0) });
            unsafe { uv_run(uv, RUN_ONCE) };
            start.elapsed().saturating_sub(asked)
        };
        (0..iterations).map(late).sum()
    })))
}
