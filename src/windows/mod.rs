//! What only Windows has: named pipes, and sockets going in and out of every type of
//! [`net`](crate::net).
//!
//! Every socket has `AsSocket`, `AsRawSocket`, `FromRawSocket`, `IntoRawSocket`, `From<OwnedSocket>`
//! and `From<…> for OwnedSocket`. Taking a socket changes nothing about it: make it non-blocking
//! first.

// Sockets and handles change hands here.
#![allow(unsafe_code)]

mod named_pipe;
mod socket;

pub use named_pipe::{NamedPipe, NamedPipeOptions};
