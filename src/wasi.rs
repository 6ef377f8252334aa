//! What WASI has beyond the portable: sources that are raw descriptors, and descriptors going in
//! and out of every type.
//!
//! Every socket of [`net`](crate::net) has `AsFd`, `AsRawFd`, `FromRawFd`, `IntoRawFd`,
//! `From<OwnedFd>` and `From<…> for OwnedFd`. Taking a descriptor changes none of its flags: make
//! it non-blocking first.
//!
//! There is no `Waker`: no other thread could use it, and the system has nothing that would
//! interrupt a sleeping `poll`. On preview 1 a program cannot make sockets; it accepts from
//! listeners that it was given, so there is neither `TcpListener::bind` nor `TcpStream::connect`
//! nor `UdpSocket`.

pub use crate::fd::SourceFd;
