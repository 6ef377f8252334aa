//! The descriptor of the event queue, for nesting a poller in another one.

use crate::sys::selector::if_selector_is_descriptor;

if_selector_is_descriptor! {
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

    use crate::poll::Poll;
    use crate::registry::Registry;

    /// The descriptor of the event queue: readable when a `poll` would report something, so that
    /// another poller can watch it.
    ///
    /// From the first use on, every first [wake](crate::Waker::wake) makes a system call, because
    /// it may be the other poller that is asleep.
    ///
    /// Exists where the queue is a descriptor: epoll, kqueue and event ports. On event ports a
    /// `SourceFd` that rests does not show on it, because only a `poll` looks after it: register it
    /// level-triggered or one-shot, or watch with a timeout.
    impl AsRawFd for Registry {
        fn as_raw_fd(&self) -> RawFd {
            self.hub().hand_out().as_raw_fd()
        }
    }

    /// As [`AsRawFd`](#impl-AsRawFd-for-Registry), with a lifetime.
    impl AsFd for Registry {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.hub().hand_out().as_fd()
        }
    }

    /// As [`Registry`](Registry#impl-AsRawFd-for-Registry).
    impl AsRawFd for Poll {
        fn as_raw_fd(&self) -> RawFd {
            self.registry().as_raw_fd()
        }
    }

    /// As [`Registry`](Registry#impl-AsRawFd-for-Registry).
    impl AsFd for Poll {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.registry().as_fd()
        }
    }
}
