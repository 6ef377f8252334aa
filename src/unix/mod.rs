//! Unix: the descriptor of the event queue.

// Descriptors change hands here.
#![allow(unsafe_code)]

mod queue_fd;
