//! What the operating system calls the things that can be registered, chosen once.

#[cfg(not(windows))]
pub(crate) use std::os::fd::{AsRawFd as AsRawSource, RawFd as RawSource};
#[cfg(windows)]
pub(crate) use std::os::windows::io::{AsRawSocket as AsRawSource, RawSocket as RawSource};

/// The raw source of an object.
#[inline]
pub(crate) fn raw_source(object: &impl AsRawSource) -> RawSource {
    #[cfg(not(windows))]
    return object.as_raw_fd();
    #[cfg(windows)]
    return object.as_raw_socket();
}
