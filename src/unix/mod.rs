//! What only Unix has: sources that are raw descriptors, pipes, and descriptors going in and out of
//! every type.
//!
//! Every socket of [`net`](crate::net) and every end of a [`pipe`] has `AsFd`, `AsRawFd`,
//! `FromRawFd`, `IntoRawFd`, `From<OwnedFd>` and `From<…> for OwnedFd`. Taking a descriptor changes
//! none of its flags: make it non-blocking first.

// Descriptors change hands here.
#![allow(unsafe_code)]

pub mod pipe;

pub use crate::fd::SourceFd;
