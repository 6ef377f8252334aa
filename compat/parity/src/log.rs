//! What a case sees, as lines of text that two libraries can agree on.

use std::fmt::{Debug, Display};
use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{FdFlags, fcntl_getfd};

#[derive(Default)]
pub struct Log(Vec<String>);

impl Log {
    pub fn into_lines(self) -> Vec<String> {
        self.0
    }

    pub fn say(&mut self, what: &str, value: impl Display) {
        self.0.push(format!("{what}: {value}"));
    }

    /// The value, or the error's kind and the system's code.
    pub fn result<T: Debug>(&mut self, what: &str, result: io::Result<T>) {
        match result {
            Ok(value) => self.say(what, format_args!("{value:?}")),
            Err(error) => self.error(what, &error),
        }
    }

    /// As `result`, for values that differ from run to run.
    pub fn success<T>(&mut self, what: &str, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                self.say(what, "ok");
                Some(value)
            }
            Err(error) => {
                self.error(what, &error);
                None
            }
        }
    }

    /// Whether it went well, or the error's kind alone: where the library itself refuses, there is
    /// no code.
    pub fn kind(&mut self, what: &str, result: io::Result<()>) {
        match result {
            Ok(()) => self.say(what, "ok"),
            Err(error) => self.say(what, format_args!("error {:?}", error.kind())),
        }
    }

    pub fn error(&mut self, what: &str, error: &io::Error) {
        let kind = error.kind();
        let code = error.raw_os_error();
        self.say(what, format_args!("error {kind:?}, code {code:?}"));
    }

    /// Whether the descriptor blocks and whether children inherit it.
    pub fn flags(&mut self, what: &str, fd: RawFd) {
        // SAFETY: the caller owns the descriptor and keeps it open during the call.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let nonblocking = fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK);
        let cloexec = fcntl_getfd(fd).unwrap().contains(FdFlags::CLOEXEC);
        self.say(
            what,
            format_args!("non-blocking {nonblocking}, close-on-exec {cloexec}"),
        );
    }
}
