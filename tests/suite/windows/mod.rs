//! What only Windows has.

mod costs;
mod named_pipe;
mod poison;
mod source_socket;
mod stress;
mod unix_sockets;

/// All tests of the suite run on it.
#[global_allocator]
static ALLOCATOR: poison::Poisoning = poison::Poisoning::new();
