//! What Hermit has beyond the portable: sources that are raw descriptors, and descriptors going in
//! and out of every type.
//!
//! Every socket of [`net`](crate::net) has `AsFd`, `AsRawFd`, `FromRawFd`, `IntoRawFd`,
//! `From<OwnedFd>` and `From<…> for OwnedFd`. Taking a descriptor changes none of its flags: make
//! it non-blocking first.

pub use crate::fd::SourceFd;
