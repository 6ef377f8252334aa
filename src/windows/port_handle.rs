//! The handle of the completion port, for nesting a poller in another loop.

use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, RawHandle};

use crate::poll::Poll;
use crate::registry::Registry;

/// The handle of the completion port. It is signalled while packets are in it, that is, when a
/// `poll` may report something: another loop can wait for it, as for any object, and poll then.
///
/// What does not show on it is a [`SourceSocket`](super::SourceSocket) that rests, which only a
/// `poll` looks after: register it level-triggered or one-shot, or wait with a timeout.
///
/// A packet that the program posts to the port (`PostQueuedCompletionStatus`) is reported as a
/// readable event, with the packet's key as its token. Taking packets from it, or associating files
/// with it, is left to Litio.
///
/// From the first use on, every first [wake](crate::Waker::wake) makes a system call, and so does
/// every operation that re-arms a source, because the other loop may be the one that sleeps.
impl AsRawHandle for Registry {
    fn as_raw_handle(&self) -> RawHandle {
        self.as_handle().as_raw_handle()
    }
}

/// As [`AsRawHandle`](#impl-AsRawHandle-for-Registry), with a lifetime.
impl AsHandle for Registry {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.hub().hand_out().as_handle()
    }
}

/// As [`Registry`](Registry#impl-AsRawHandle-for-Registry).
impl AsRawHandle for Poll {
    fn as_raw_handle(&self) -> RawHandle {
        self.registry().as_raw_handle()
    }
}

/// As [`Registry`](Registry#impl-AsRawHandle-for-Registry).
impl AsHandle for Poll {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.registry().as_handle()
    }
}
