//! What only Windows has: named pipes, raw sockets and waitable handles as sources, the handle of
//! the completion port, and sockets going in and out of every type of [`net`](crate::net).
//!
//! Every socket has `AsSocket`, `AsRawSocket`, `FromRawSocket`, `IntoRawSocket`,
//! `From<OwnedSocket>` and `From<…> for OwnedSocket`. Taking a socket changes nothing about it:
//! make it non-blocking first. [`Poll`](crate::Poll) and [`Registry`](crate::Registry) have
//! `AsHandle` and `AsRawHandle`.

// Sockets and handles change hands here.
#![allow(unsafe_code)]

mod named_pipe;
mod port_handle;
mod socket;
mod source_handle;
mod source_socket;
mod udp;

pub use crate::sys::socket::unix::net::SocketAddr as UnixSocketAddr;
pub use named_pipe::{NamedPipe, NamedPipeOptions};
pub use source_handle::SourceHandle;
pub use source_socket::SourceSocket;
pub use udp::UdpSocketExt;
