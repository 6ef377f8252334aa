//! Named pipes.
//!
//! A pipe has no readiness to ask for, only operations to begin. So one read is always under way,
//! into a buffer of the pipe's, and `read` hands out what it has brought; `write` copies, and the
//! next one waits for it.
//!
//! ```text
//!            begin           lands            handed out to the end
//!  at rest ────────▶ in the air ────▶ ready ───────────────────────▶ at rest, and begun again
//!    ▲  ▲                │  │                                          (reading)
//!    │  └────────────────┘  └────▶ failed ──▶ at rest
//!    │    lands (writing)    lands with     an operation returned the error,
//!    │                       an error       but for the end of the stream, which stays
//!    └── disconnect, from anywhere: what is in the air lands as nobody's
//! ```
//!
//! Each operation has memory of its own, which is the kernel's until its packet is taken; see
//! [`Operation`]. It has a number, too, and what lands with another number than the state waits for
//! is dropped: of a client that was disconnected, or a pipe that is gone. Whether an operation was
//! begun is told by the call that begins it, and nothing else is ever asked.
//!
//! Source: Named Pipes, <https://learn.microsoft.com/windows/win32/ipc/named-pipes>

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{
    AsHandle, AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle, RawHandle,
};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard};

use windows_sys::Win32::Foundation::{
    ERROR_BROKEN_PIPE, ERROR_HANDLE_EOF, ERROR_NO_DATA, ERROR_PIPE_CONNECTED, ERROR_PIPE_LISTENING,
    ERROR_PIPE_NOT_CONNECTED, INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, PIPE_ACCESS_DUPLEX, ReadFile, WriteFile,
};
use windows_sys::Win32::System::Pipes::{
    ConnectNamedPipe, CreateNamedPipeW, DisconnectNamedPipe, PIPE_ACCEPT_REMOTE_CLIENTS,
    PIPE_READMODE_BYTE, PIPE_READMODE_MESSAGE, PIPE_REJECT_REMOTE_CLIENTS, PIPE_TYPE_BYTE,
    PIPE_TYPE_MESSAGE, PIPE_UNLIMITED_INSTANCES, PIPE_WAIT,
};

use crate::events::Event;
use crate::interest::Interest;
use crate::readiness::Readiness;
use crate::registry::{Registry, Source};
use crate::sys::selector::Backend;
use crate::sys::selector::afd::{Afd, Flight, Operation, Owner, Report};
use crate::token::Token;

/// What one read brings at most. A longer message comes in several.
const READ_BYTES_MAX: usize = 16 << 10;
/// How much the system keeps for each direction between writer and reader.
const QUOTA_BYTES: u32 = 64 << 10;
/// The number of a notice, which is no operation.
const NOTICE: u64 = 0;

/// A named pipe: one end, server's or client's, of a connection between processes.
///
/// A server makes an instance with [`new`](NamedPipe::new) (or [`NamedPipeOptions`]), registers it
/// and calls [`connect`](NamedPipe::connect). When a client has come, a writable event says so. A
/// client opens the pipe as a file, with `FILE_FLAG_OVERLAPPED`, and makes a `NamedPipe` of the
/// handle.
///
/// It belongs to the first `Poll` with which it is registered, for life. Before, reading and
/// writing answer [`WouldBlock`](io::ErrorKind::WouldBlock), and `connect` is remembered.
///
/// What is written is copied and sent in the background, one write at a time: `Ok` does not mean
/// that it has arrived, and an error shows with the next write. Dropping the pipe does not call
/// back a write that is under way; dropping the `Poll` as well does: what the pipe has not taken by
/// then is lost. A write of nothing does nothing.
///
/// At the end of the stream, when the other end is closed, reading answers `Ok(0)`. So does a write
/// of nothing by the other end, which the system passes on; the event of the end says
/// [`is_read_closed`](crate::event::Event::is_read_closed).
///
/// In message mode a read returns bytes of one message only; a message that is longer than the
/// buffer comes in pieces, and no byte is lost. The buffers of a vectored write are one message. A
/// client's end reads bytes, whatever the pipe, until it has been told otherwise with
/// `SetNamedPipeHandleState`.
///
/// # Examples
///
/// ```no_run
/// use litio::windows::NamedPipe;
/// use litio::{Events, Interest, Poll, Token};
/// use std::io::{self, Read, Write};
///
/// # fn main() -> io::Result<()> {
/// let mut poll = Poll::new()?;
/// let mut events = Events::with_capacity(16);
/// let mut pipe = NamedPipe::new(r"\\.\pipe\example")?;
/// poll.registry().register(&mut pipe, Token(0), Interest::READABLE | Interest::WRITABLE)?;
/// match pipe.connect() {
///     Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
///     result => result?,
/// }
/// loop {
///     poll.poll(&mut events, None)?;
///     for event in &events {
///         if event.is_writable() {
///             if let Some(error) = pipe.take_error()? {
///                 return Err(error);
///             }
///             pipe.write_all(b"hello")?;
///         }
///         let mut buffer = [0; 512];
///         while event.is_readable() {
///             match pipe.read(&mut buffer) {
///                 Ok(0) => return Ok(()),
///                 Ok(read) => println!("{:?}", &buffer[..read]),
///                 Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
///                 Err(error) => return Err(error),
///             }
///         }
///     }
/// }
/// # }
/// ```
pub struct NamedPipe {
    handle: Arc<OwnedHandle>,
    pipe: Arc<Pipe>,
}

/// How to make an instance of a named pipe.
///
/// # Examples
///
/// ```no_run
/// use litio::windows::NamedPipeOptions;
///
/// # fn main() -> std::io::Result<()> {
/// let first = NamedPipeOptions::new().message_mode(true).create(r"\\.\pipe\messages")?;
/// let second = NamedPipeOptions::new()
///     .message_mode(true)
///     .first_instance(false)
///     .create(r"\\.\pipe\messages")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct NamedPipeOptions {
    is_message_mode: bool,
    are_remote_clients_accepted: bool,
    is_first_instance: bool,
}

impl NamedPipeOptions {
    /// Bytes, local clients only, and the first instance: what [`NamedPipe::new`] makes.
    #[must_use]
    pub fn new() -> NamedPipeOptions {
        NamedPipeOptions {
            is_message_mode: false,
            are_remote_clients_accepted: false,
            is_first_instance: true,
        }
    }

    /// Messages instead of a stream of bytes: each write is a message. All instances of a pipe are
    /// of one kind.
    #[must_use]
    pub fn message_mode(mut self, is_on: bool) -> NamedPipeOptions {
        self.is_message_mode = is_on;
        self
    }

    /// Whether clients on other machines may connect. Off unless asked for: every pipe can be
    /// reached over the network otherwise.
    #[must_use]
    pub fn remote_clients(mut self, are_accepted: bool) -> NamedPipeOptions {
        self.are_remote_clients_accepted = are_accepted;
        self
    }

    /// Whether it must be the first instance, so that nobody else has made the pipe before and
    /// could be taken for this server. On unless asked for; off for the second and further
    /// instances.
    #[must_use]
    pub fn first_instance(mut self, is_required: bool) -> NamedPipeOptions {
        self.is_first_instance = is_required;
        self
    }

    /// Makes an instance. Its name begins with `\\.\pipe\`. Child processes do not inherit it.
    ///
    /// # Errors
    ///
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) if it should be the first instance and
    /// is not. [`InvalidInput`](io::ErrorKind::InvalidInput) if the name contains a zero. Otherwise
    /// those of `CreateNamedPipeW`.
    ///
    /// # System calls
    ///
    /// `CreateNamedPipeW`, with `FILE_FLAG_OVERLAPPED`, for as many instances as the system allows.
    pub fn create<A: AsRef<OsStr>>(&self, name: A) -> io::Result<NamedPipe> {
        let mut name: Vec<u16> = name.as_ref().encode_wide().collect();
        if name.contains(&0) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the name of a pipe must not contain a zero",
            ));
        }
        name.push(0);
        let first = if self.is_first_instance {
            FILE_FLAG_FIRST_PIPE_INSTANCE
        } else {
            0
        };
        let kind = if self.is_message_mode {
            PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE
        } else {
            PIPE_TYPE_BYTE | PIPE_READMODE_BYTE
        };
        let remote = if self.are_remote_clients_accepted {
            PIPE_ACCEPT_REMOTE_CLIENTS
        } else {
            PIPE_REJECT_REMOTE_CLIENTS
        };
        // SAFETY: the name ends with a zero and lives through the call. Without security attributes
        // the handle is not inherited.
        let handle = unsafe {
            CreateNamedPipeW(
                name.as_ptr(),
                PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | first,
                kind | PIPE_WAIT | remote,
                PIPE_UNLIMITED_INSTANCES,
                QUOTA_BYTES,
                QUOTA_BYTES,
                0,
                ptr::null(),
            )
        };
        if handle == INVALID_HANDLE_VALUE {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above made this handle, and nobody else has it.
        Ok(NamedPipe::from(unsafe {
            OwnedHandle::from_raw_handle(handle)
        }))
    }
}

impl Default for NamedPipeOptions {
    fn default() -> NamedPipeOptions {
        NamedPipeOptions::new()
    }
}

impl NamedPipe {
    /// Makes the first instance of a pipe of bytes, for local clients.
    ///
    /// The same as `NamedPipeOptions::new().create(name)`; see [`NamedPipeOptions::create`].
    ///
    /// # Errors
    ///
    /// Those of [`NamedPipeOptions::create`].
    pub fn new<A: AsRef<OsStr>>(name: A) -> io::Result<NamedPipe> {
        NamedPipeOptions::new().create(name)
    }

    /// Waits for a client, in the background.
    ///
    /// `Ok` if one is there already, or has come and gone: what it wrote can be read, then the end.
    /// Otherwise [`WouldBlock`](io::ErrorKind::WouldBlock), and later a writable event;
    /// [`take_error`](NamedPipe::take_error) says then whether it was in vain. Before the pipe is
    /// registered it is remembered, and begun with the registration.
    ///
    /// # Errors
    ///
    /// Those of `ConnectNamedPipe`.
    pub fn connect(&self) -> io::Result<()> {
        let mut state = self.pipe.lock();
        if matches!(state.connecting, Connecting::No) {
            state.connecting = Connecting::Wanted;
            if state.selector.is_some() {
                return state.begin_connect(&self.pipe);
            }
        }
        Err(would_block())
    }

    /// Throws the client out, with all that has not been read or sent. The pipe may
    /// [`connect`](NamedPipe::connect) again.
    ///
    /// # Errors
    ///
    /// Those of `DisconnectNamedPipe`.
    pub fn disconnect(&self) -> io::Result<()> {
        let mut state = self.pipe.lock();
        // SAFETY: takes no memory, and the handle is open.
        if unsafe { DisconnectNamedPipe(self.handle.as_raw_handle()) } == 0 {
            return Err(io::Error::last_os_error());
        }
        state.forget_connection();
        Ok(())
    }

    /// Takes the error of the last [`connect`](NamedPipe::connect), if it failed in the background.
    ///
    /// # Errors
    ///
    /// None today; the `Result` is mio's.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(self.pipe.lock().connect_error.take())
    }
}

impl Read for NamedPipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(buffers)
    }
}

impl Read for &NamedPipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Not by way of `read_vectored`: an `IoSliceMut` of more than 4 GiB panics.
        if buffer.is_empty() {
            return Ok(0);
        }
        self.pipe.lock().read(&self.pipe, [buffer])
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            return Ok(0);
        }
        let buffers = buffers.iter_mut().map(|buffer| &mut **buffer);
        self.pipe.lock().read(&self.pipe, buffers)
    }
}

/// Nothing is buffered that could be flushed: a write is on its way when it has returned.
impl Write for NamedPipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for &NamedPipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Not by way of `write_vectored`: as above.
        if bytes.is_empty() {
            return Ok(0);
        }
        self.pipe.lock().write(&self.pipe, [bytes])
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            return Ok(0);
        }
        let buffers = buffers.iter().map(|buffer| &**buffer);
        self.pipe.lock().write(&self.pipe, buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for NamedPipe {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        let selector = &registry.hub().selector;
        Afd::check_interest(interests)?;
        let mut state = self.pipe.lock();
        state.check_selector(selector)?;
        if state.registered.is_some() {
            return Err(already_registered());
        }
        if state.selector.is_none() {
            selector.attach(self.handle.as_handle())?;
            state.selector = Some(Arc::clone(selector));
            state.begin(&self.pipe);
        }
        state.registered = Some(Registered::new(token, interests));
        state
            .notice(&self.pipe)
            .inspect_err(|_| state.registered = None)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        Afd::check_interest(interests)?;
        let mut state = self.pipe.lock();
        state.check_selector(&registry.hub().selector)?;
        let Some(before) = state.registered else {
            return Err(not_registered());
        };
        state.registered = Some(Registered {
            is_listed: before.is_listed,
            ..Registered::new(token, interests)
        });
        state
            .notice(&self.pipe)
            .inspect_err(|_| state.registered = Some(before))
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        let mut state = self.pipe.lock();
        state.check_selector(&registry.hub().selector)?;
        match state.registered.take() {
            Some(_) => Ok(()),
            None => Err(not_registered()),
        }
    }
}

/// The handle. I/O on it is not seen by the pipe; the packets of overlapped operations that others
/// begin on it end in the port of the `Poll`, and are ignored. The `OVERLAPPED` of such an
/// operation has to stay where it is until a `poll` has taken the packet, or an operation of the
/// pipe could be given its place and be taken for it. If the lowest bit of `hEvent` is set there is
/// no packet.
impl AsHandle for NamedPipe {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.handle.as_handle()
    }
}

/// As [`as_handle`](AsHandle::as_handle), without a lifetime.
impl AsRawHandle for NamedPipe {
    fn as_raw_handle(&self) -> RawHandle {
        self.handle.as_raw_handle()
    }
}

/// Takes a handle of either end, which must have been made with `FILE_FLAG_OVERLAPPED` and not be
/// associated with a completion port: registering is refused otherwise. Nor must it have been told
/// to skip packets (`FILE_SKIP_COMPLETION_PORT_ON_SUCCESS`), which would be waited for in vain.
impl From<OwnedHandle> for NamedPipe {
    fn from(handle: OwnedHandle) -> NamedPipe {
        let handle = Arc::new(handle);
        NamedPipe {
            pipe: Arc::new(Pipe(Mutex::new(State {
                handle: Some(Arc::clone(&handle)),
                selector: None,
                registered: None,
                operations: NOTICE,
                is_noticed: false,
                notice: None,
                is_connected: false,
                connecting: Connecting::No,
                connect_error: None,
                reading: Reading::Rest(None),
                writing: Writing::Rest(None),
            }))),
            handle,
        }
    }
}

/// As `From<OwnedHandle>`, with the duty to see to it that nobody else owns the handle.
impl FromRawHandle for NamedPipe {
    unsafe fn from_raw_handle(handle: RawHandle) -> NamedPipe {
        // SAFETY: the caller promises an open handle that nobody else owns.
        NamedPipe::from(unsafe { OwnedHandle::from_raw_handle(handle) })
    }
}

impl fmt::Debug for NamedPipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedPipe")
            .field("handle", &self.handle)
            .finish()
    }
}

impl Drop for NamedPipe {
    fn drop(&mut self) {
        let selector = {
            let mut state = self.pipe.lock();
            state.registered = None;
            if !matches!(state.writing, Writing::Air { .. }) {
                state.forget_connection();
                state.handle = None;
            } else {
                state.forget_reading();
                let pipe = Arc::downgrade(&self.pipe);
                if let Some(selector) = &state.selector {
                    selector.adopt(pipe);
                }
            }
            // What is in the air keeps the pipe alive but must not keep the selector alive, which
            // waits for it at its end.
            state.selector.take()
        };
        // Not while the state is locked: this may be the selector's end.
        drop(selector);
    }
}

/// What the handle and its operations share.
#[derive(Debug)]
struct Pipe(Mutex<State>);

#[derive(Debug)]
struct State {
    /// None once the pipe is dropped and its last write has landed.
    handle: Option<Arc<OwnedHandle>>,
    /// Where its operations end, from the first registration until the pipe is dropped.
    selector: Option<Arc<Afd>>,
    registered: Option<Registered>,
    /// The number of the last operation.
    operations: u64,
    /// A notice is on its way.
    is_noticed: bool,
    /// The memory of the last notice, for the next: by level there is one for each `select`.
    notice: Option<Box<Operation>>,
    is_connected: bool,
    connecting: Connecting,
    connect_error: Option<io::Error>,
    reading: Reading,
    writing: Writing,
}

#[derive(Copy, Clone, Debug)]
struct Registered {
    token: Token,
    interest: Interest,
    /// One-shot, and shot.
    is_silent: bool,
    /// The pipe is on the selector's list of those to be looked after.
    is_listed: bool,
}

#[derive(Debug)]
enum Connecting {
    No,
    /// To be begun with the registration.
    Wanted,
    Air {
        id: u64,
        flight: Flight,
    },
}

#[derive(Debug)]
enum Reading {
    /// With the memory of the last read, if there was one.
    Rest(Option<Box<Operation>>),
    Air {
        id: u64,
        flight: Flight,
    },
    Ready {
        operation: Box<Operation>,
        next: usize,
        end: usize,
    },
    Failed(io::Error),
}

#[derive(Debug)]
enum Writing {
    /// With the memory of the last write, if there was one.
    Rest(Option<Box<Operation>>),
    Air {
        id: u64,
        flight: Flight,
    },
    Failed(io::Error),
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while this is held")
    }
}

impl Owner for Pipe {
    fn land(self: Arc<Self>, operation: Box<Operation>) -> Report {
        let mut state = self.lock();
        let readiness = match (&state.connecting, &state.reading, &state.writing) {
            _ if operation.id == NOTICE => {
                state.is_noticed = false;
                state.notice = Some(operation);
                state.readiness()
            }
            (Connecting::Air { id, .. }, ..) if *id == operation.id => {
                state.land_connect(&self, &operation)
            }
            (_, Reading::Air { id, .. }, _) if *id == operation.id => {
                state.land_read(&self, operation)
            }
            (.., Writing::Air { id, .. }) if *id == operation.id => {
                state.land_write(&self, operation)
            }
            // Of a client that was disconnected, or a pipe that was dropped.
            _ => Readiness::EMPTY,
        };
        state.report(readiness)
    }

    fn look_after(self: Arc<Self>) -> Report {
        let mut state = self.lock();
        let Some(registered) = &mut state.registered else {
            return Report::default();
        };
        registered.is_listed = false;
        // Through the port, where all that is ready queues. What is reported here comes before
        // that, and where there is little room nothing else would have its turn.
        if !registered.interest.is_level() || state.notice(&self).is_ok() {
            return Report::default();
        }
        let readiness = state.readiness();
        state.report(readiness)
    }

    fn abandon(&self) {
        self.lock().forget_connection();
    }
}

impl State {
    fn check_selector(&self, selector: &Arc<Afd>) -> io::Result<()> {
        match &self.selector {
            Some(own) if !Arc::ptr_eq(own, selector) => Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "a pipe belongs to the first `Poll` it was registered with; make another pipe",
            )),
            _ => Ok(()),
        }
    }

    // Beginning

    /// Begins what can be begun now that there is a port.
    fn begin(&mut self, pipe: &Arc<Pipe>) {
        if matches!(self.connecting, Connecting::Wanted) {
            match self.begin_connect(pipe) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    self.connect_error = Some(error);
                }
                _ => {}
            }
        } else {
            self.begin_first_read(pipe);
        }
    }

    /// `Ok` if a client is there already.
    fn begin_connect(&mut self, pipe: &Arc<Pipe>) -> io::Result<()> {
        self.connecting = Connecting::No;
        let operation = Operation::new(self.next_id(), Vec::new());
        let id = operation.id;
        match self.submit(Call::Connect, operation, pipe) {
            Ok(flight) => {
                self.connecting = Connecting::Air { id, flight };
                Err(would_block())
            }
            // The second is said of a client that has come and gone already.
            Err((_, error)) if is(&error, ERROR_PIPE_CONNECTED) || is(&error, ERROR_NO_DATA) => {
                self.begin_first_read(pipe);
                self.notice(pipe)
            }
            Err((_, error)) => Err(error),
        }
    }

    /// The first read of a connection, if there is one: that is how we learn of it.
    fn begin_first_read(&mut self, pipe: &Arc<Pipe>) {
        if !matches!(self.reading, Reading::Rest(_)) {
            return;
        }
        match self.begin_read(pipe) {
            Err(error) if is_unconnected(&error) => {}
            result => {
                self.is_connected = true;
                if let Err(error) = result {
                    self.reading = Reading::Failed(error);
                }
            }
        }
    }

    fn begin_read(&mut self, pipe: &Arc<Pipe>) -> io::Result<()> {
        let id = self.next_id();
        let operation = match mem::replace(&mut self.reading, Reading::Rest(None)) {
            Reading::Rest(Some(mut operation)) => {
                operation.id = id;
                operation
            }
            _ => Operation::new(id, vec![0; READ_BYTES_MAX]),
        };
        match self.submit(Call::Read, operation, pipe) {
            Ok(flight) => {
                self.reading = Reading::Air { id, flight };
                Ok(())
            }
            Err((operation, error)) => {
                self.reading = Reading::Rest(Some(operation));
                Err(error)
            }
        }
    }

    fn begin_write(&mut self, pipe: &Arc<Pipe>, mut operation: Box<Operation>) -> io::Result<()> {
        operation.id = self.next_id();
        let id = operation.id;
        match self.submit(Call::Write, operation, pipe) {
            Ok(flight) => {
                self.writing = Writing::Air { id, flight };
                Ok(())
            }
            Err((operation, error)) => {
                self.end_write(operation);
                Err(error)
            }
        }
    }

    /// What a large write took is not kept for as long as the pipe lives.
    fn end_write(&mut self, operation: Box<Operation>) {
        let is_kept = operation.buffer.capacity() <= QUOTA_BYTES as usize;
        self.writing = Writing::Rest(is_kept.then_some(operation));
    }

    fn submit(
        &self,
        call: Call,
        operation: Box<Operation>,
        pipe: &Arc<Pipe>,
    ) -> Result<Flight, (Box<Operation>, io::Error)> {
        let (Some(handle), Some(selector)) = (&self.handle, &self.selector) else {
            return Err((operation, io::ErrorKind::NotConnected.into()));
        };
        let handle = handle.as_raw_handle();
        let begin = |start: *mut u8, len, overlapped| match call {
            // SAFETY: `submit` keeps the memory until the outcome was written there.
            Call::Connect => unsafe { ConnectNamedPipe(handle, overlapped) },
            // SAFETY: as above, and `len` bytes at `start` may be written.
            Call::Read => unsafe { ReadFile(handle, start, len, ptr::null_mut(), overlapped) },
            // SAFETY: as above, and `len` bytes at `start` may be read.
            Call::Write => unsafe { WriteFile(handle, start, len, ptr::null_mut(), overlapped) },
        };
        let owner = Arc::clone(pipe) as Arc<dyn Owner>;
        // SAFETY: one call is made, on a file that is associated with the port since there is a
        // selector, and with the memory that is given.
        unsafe { operation.submit(owner, selector.port(), begin) }
    }

    fn next_id(&mut self) -> u64 {
        self.operations += 1;
        self.operations
    }

    // Landing

    fn land_connect(&mut self, pipe: &Arc<Pipe>, operation: &Operation) -> Readiness {
        self.connecting = Connecting::No;
        match operation.outcome() {
            // The thread that waited for a client has ended, not the wait.
            _ if operation.was_cancelled() => match self.begin_connect(pipe) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Readiness::EMPTY,
                Err(error) => self.connect_error = Some(error),
                Ok(()) => {}
            },
            Err(error) => self.connect_error = Some(error),
            Ok(_) => self.begin_first_read(pipe),
        }
        self.readiness()
    }

    fn land_read(&mut self, pipe: &Arc<Pipe>, operation: Box<Operation>) -> Readiness {
        if operation.was_cancelled() {
            self.reading = Reading::Rest(Some(operation));
            return match self.begin_read(pipe) {
                Ok(()) => Readiness::EMPTY,
                Err(error) => self.fail_read(error),
            };
        }
        match operation.outcome() {
            Ok(end) => {
                self.reading = Reading::Ready {
                    operation,
                    next: 0,
                    end,
                };
                Readiness::READABLE
            }
            Err(error) => self.fail_read(error),
        }
    }

    fn fail_read(&mut self, error: io::Error) -> Readiness {
        let end = Readiness::READ_CLOSED.when(is_end(&error));
        self.reading = Reading::Failed(error);
        Readiness::READABLE | end
    }

    fn land_write(&mut self, pipe: &Arc<Pipe>, mut operation: Box<Operation>) -> Readiness {
        self.writing = Writing::Rest(None);
        let rest = match operation.outcome() {
            _ if operation.was_cancelled() => Ok(true),
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                operation
                    .buffer
                    .drain(..written.min(operation.buffer.len()));
                Ok(!operation.buffer.is_empty())
            }
            Err(error) => Err(error),
        };
        let result = match rest {
            // What a pipe of bytes has not taken at once is sent after it.
            Ok(true) => match self.begin_write(pipe, operation) {
                Ok(()) => return Readiness::EMPTY,
                Err(error) => Err(error),
            },
            Ok(false) => {
                self.end_write(operation);
                Ok(())
            }
            Err(error) => Err(error),
        };
        if self.selector.is_none() {
            self.handle = None; // the pipe was dropped, and this was its last write
        }
        match result {
            Ok(()) => Readiness::WRITABLE,
            Err(error) => {
                self.writing = Writing::Failed(error);
                Readiness::WRITABLE | Readiness::WRITE_CLOSED
            }
        }
    }

    // What the program asks for

    fn read<'b>(
        &mut self,
        pipe: &Arc<Pipe>,
        buffers: impl IntoIterator<Item = &'b mut [u8]>,
    ) -> io::Result<usize> {
        match mem::replace(&mut self.reading, Reading::Rest(None)) {
            Reading::Ready {
                operation,
                next,
                end,
            } => {
                let count = scatter(&operation.buffer[next..end], buffers);
                if next + count < end {
                    self.reading = Reading::Ready {
                        operation,
                        next: next + count,
                        end,
                    };
                    return Ok(count);
                }
                self.reading = Reading::Rest(Some(operation));
                if let Err(error) = self.begin_read(pipe) {
                    self.reading = Reading::Failed(error); // for the next call
                }
                Ok(count)
            }
            Reading::Failed(error) => self.end_or(error),
            in_the_air @ Reading::Air { .. } => {
                self.reading = in_the_air;
                Err(would_block())
            }
            at_rest @ Reading::Rest(_) => {
                self.reading = at_rest;
                if self.selector.is_none() {
                    return Err(would_block());
                }
                match self.begin_read(pipe) {
                    Ok(()) => Err(would_block()),
                    Err(error) if is(&error, ERROR_PIPE_LISTENING) => Err(would_block()),
                    Err(error) => self.end_or(error),
                }
            }
        }
    }

    /// The end of the stream stays where it is, and is as ready as before.
    fn end_or(&mut self, error: io::Error) -> io::Result<usize> {
        if !is_end(&error) {
            return Err(error);
        }
        self.reading = Reading::Failed(error);
        Ok(0)
    }

    fn write<'b>(
        &mut self,
        pipe: &Arc<Pipe>,
        buffers: impl IntoIterator<Item = &'b [u8]>,
    ) -> io::Result<usize> {
        let operation = match mem::replace(&mut self.writing, Writing::Rest(None)) {
            Writing::Failed(error) => return Err(error),
            in_the_air @ Writing::Air { .. } => {
                self.writing = in_the_air;
                return Err(would_block());
            }
            Writing::Rest(operation) => operation,
        };
        if self.selector.is_none() {
            return Err(would_block());
        }
        let mut operation = operation.unwrap_or_else(|| Operation::new(NOTICE, Vec::new()));
        operation.buffer.clear();
        // Whole, however long, and all buffers in one: cutting a message would make two of it.
        for bytes in buffers {
            operation.buffer.extend_from_slice(bytes);
        }
        let count = operation.buffer.len();
        match self.begin_write(pipe, operation) {
            Ok(()) => Ok(count),
            Err(error) if is(&error, ERROR_PIPE_LISTENING) => Err(would_block()),
            Err(error) => Err(error),
        }
    }

    fn forget_connection(&mut self) {
        self.forget_reading();
        if let (Writing::Air { flight, .. }, Some(handle)) = (&self.writing, &self.handle) {
            flight.cancel(handle.as_raw_handle());
        }
        self.writing = Writing::Rest(None);
        self.connect_error = None;
        self.is_connected = false;
    }

    fn forget_reading(&mut self) {
        if let Some(handle) = &self.handle {
            if let Connecting::Air { flight, .. } = &self.connecting {
                flight.cancel(handle.as_raw_handle());
            }
            if let Reading::Air { flight, .. } = &self.reading {
                flight.cancel(handle.as_raw_handle());
            }
        }
        self.connecting = Connecting::No;
        self.reading = Reading::Rest(None);
    }

    // Events

    /// What an operation would find now.
    fn readiness(&self) -> Readiness {
        let is_readable = matches!(self.reading, Reading::Ready { .. } | Reading::Failed(_));
        let is_at_end = matches!(&self.reading, Reading::Failed(error) if is_end(error));
        let has_failed = matches!(self.writing, Writing::Failed(_));
        let is_writable = self.connect_error.is_some()
            || self.is_connected && !matches!(self.writing, Writing::Air { .. });
        Readiness::READABLE.when(is_readable)
            | Readiness::READ_CLOSED.when(is_at_end)
            | Readiness::WRITABLE.when(is_writable)
            | Readiness::WRITE_CLOSED.when(has_failed)
    }

    /// Sees to it that the next `select` reports what is ready already.
    fn notice(&mut self, pipe: &Arc<Pipe>) -> io::Result<()> {
        let Some(selector) = &self.selector else {
            return Ok(());
        };
        if self.is_noticed || self.readiness().is_empty() {
            return Ok(());
        }
        let notice = self.notice.take();
        let notice = notice.unwrap_or_else(|| Operation::new(NOTICE, Vec::new()));
        notice.post(Arc::clone(pipe) as Arc<dyn Owner>, selector.port())?;
        self.is_noticed = true;
        Ok(())
    }

    fn report(&mut self, readiness: Readiness) -> Report {
        let Some(registered) = &mut self.registered else {
            return Report::default();
        };
        let interest = registered.interest;
        let mut told = readiness;
        if !interest.is_readable() {
            told = told.without(Readiness::READABLE | Readiness::READ_CLOSED);
        }
        if !interest.is_writable() {
            told = told.without(Readiness::WRITABLE | Readiness::WRITE_CLOSED);
        }
        if told.is_empty() || registered.is_silent {
            return Report::default();
        }
        registered.is_silent = interest.is_oneshot();
        let is_listed_anew = interest.is_level() && !registered.is_listed;
        registered.is_listed |= is_listed_anew;
        Report {
            event: Some(Event::new(registered.token, told)),
            is_next: is_listed_anew,
            ..Report::default()
        }
    }
}

impl Registered {
    fn new(token: Token, interest: Interest) -> Registered {
        Registered {
            token,
            interest,
            is_silent: false,
            is_listed: false,
        }
    }
}

/// What begins an operation.
#[derive(Copy, Clone, Debug)]
enum Call {
    Connect,
    Read,
    Write,
}

/// Copies as much as the buffers take, one after the other, and tells how much that is.
fn scatter<'b>(bytes: &[u8], buffers: impl IntoIterator<Item = &'b mut [u8]>) -> usize {
    let mut rest = bytes;
    for buffer in buffers {
        let (now, later) = rest.split_at(rest.len().min(buffer.len()));
        buffer[..now.len()].copy_from_slice(now);
        rest = later;
    }
    bytes.len() - rest.len()
}

fn is(error: &io::Error, code: u32) -> bool {
    error.raw_os_error() == Some(code as i32)
}

/// There is no other end, yet or any more.
fn is_unconnected(error: &io::Error) -> bool {
    is(error, ERROR_PIPE_LISTENING) || is(error, ERROR_PIPE_NOT_CONNECTED)
}

/// The other end is closed.
fn is_end(error: &io::Error) -> bool {
    is(error, ERROR_BROKEN_PIPE) || is(error, ERROR_HANDLE_EOF)
}

fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}

fn already_registered() -> io::Error {
    io::Error::new(
        io::ErrorKind::AlreadyExists,
        "source is already registered with this registry; use `reregister` to change it",
    )
}

fn not_registered() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        "source is not registered with this registry; use `register` first",
    )
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::time::{Duration, Instant};

    use windows_sys::Win32::System::IO::OVERLAPPED;

    use super::*;
    use crate::events::Events;
    use crate::poll::Poll;

    const SOON: Duration = Duration::from_secs(20);

    /// The handle may be used by others too: through `as_raw_handle`, a duplicate, by a child. What
    /// they begin ends in our port, with a pointer that means nothing here.
    #[test]
    fn an_operation_that_somebody_else_began_is_ignored() {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let name = format!(r"\\.\pipe\litio-foreign-{}", std::process::id());
        let mut server = NamedPipe::new(&name).unwrap();
        poll.registry()
            .register(&mut server, Token(1), Interest::READABLE)
            .unwrap();
        let _ = server.connect();
        let mut client = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&name)
            .unwrap();
        let mut foreign = Box::new(OVERLAPPED::default());
        // SAFETY: the bytes are static, and the OVERLAPPED is dropped when the write is over and
        // its packet taken.
        let is_written = unsafe {
            WriteFile(
                server.as_raw_handle(),
                b"foreign".as_ptr(),
                7,
                ptr::null_mut(),
                &mut *foreign,
            )
        };
        assert_ne!(is_written, 0);
        poll.poll(&mut events, Some(Duration::from_millis(20)))
            .unwrap();
        assert!(events.is_empty());
        let mut bytes = [0; 7];
        client.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"foreign");
        client.write_all(b"ours").unwrap();
        poll.poll(&mut events, Some(SOON)).unwrap();
        assert_eq!(server.read(&mut bytes).unwrap(), 4);
        assert_eq!(foreign.InternalHigh, 7);
    }

    #[test]
    fn the_memory_of_a_small_write_is_kept_and_that_of_a_large_one_is_not() {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let registry = poll.registry().try_clone().unwrap();
        let mut poll_until = |is_true: &mut dyn FnMut() -> bool| {
            let start = Instant::now();
            while !is_true() {
                assert!(start.elapsed() < SOON);
                poll.poll(&mut events, Some(SOON)).unwrap();
            }
        };
        let name = format!(r"\\.\pipe\litio-unit-{}", std::process::id());
        let mut server = NamedPipe::new(&name).unwrap();
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut server, Token(1), both).unwrap();
        let _ = server.connect();
        // Nor if there is nobody to write to.
        let refused = server.write(&vec![7; 1_000_000]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        assert!(matches!(server.pipe.lock().writing, Writing::Rest(None)));
        let mut client = OpenOptions::new().read(true).open(&name).unwrap();
        for (len, is_kept) in [(100, true), (1_000_000, false), (1, true)] {
            let bytes = vec![7; len];
            poll_until(&mut || (&server).write(&bytes).is_ok());
            std::thread::scope(|scope| {
                scope.spawn(|| client.read_exact(&mut vec![0; len]).unwrap());
                poll_until(&mut || matches!(server.pipe.lock().writing, Writing::Rest(_)));
            });
            let was_kept = matches!(server.pipe.lock().writing, Writing::Rest(Some(_)));
            assert_eq!(was_kept, is_kept, "{len}");
        }
    }
}
