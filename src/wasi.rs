//! What WASI has beyond the portable: sources that are raw descriptors, and descriptors going in
//! and out of every type.
//!
//! Every socket of [`net`](crate::net) has `AsFd`, `AsRawFd`, `FromRawFd`, `IntoRawFd`,
//! `From<OwnedFd>` and `From<…> for OwnedFd`. Taking a descriptor changes none of its flags: make
//! it non-blocking first.
//!
//! A [`Waker`](crate::Waker) wakes the next `poll`: nothing interrupts one that sleeps, but there
//! is no second thread that could try. On preview 1 a program cannot make sockets; it accepts from
//! listeners that it was given, so there is neither `TcpListener::bind` nor `TcpStream::connect`
//! nor `UdpSocket`.

pub use crate::fd::SourceFd;
