//! What only Unix has: raw descriptors as sources, pipes, and conversions between every type and
//! its descriptor.
//!
//! Every socket of [`net`](crate::net) and every end of a [`pipe`] has `AsFd`, `AsRawFd`,
//! `FromRawFd`, `IntoRawFd`, `From<OwnedFd>` and `From<…> for OwnedFd`. Taking a descriptor changes
//! none of its flags: make it non-blocking first.

// Descriptors change hands here.
#![allow(unsafe_code)]

pub mod pipe;

pub use crate::fd::SourceFd;

use crate::sys::socket::if_control_messages;

if_control_messages! {
    /// Control messages, for programs that call sendmsg(2) or recvmsg(2) themselves: built without
    /// overflow or misalignment, and read without trust.
    ///
    /// Run the call itself in `try_io_for` of the socket. Exists on systems whose `libc` describes
    /// control messages.
    ///
    /// # Examples
    ///
    /// See [`ControlWriter`](control::ControlWriter).
    pub mod control {
        pub use crate::sys::socket::control::{
            ControlBufferFull, ControlMessage, ControlMessages, ControlWriter, control_space,
        };
    }
}
