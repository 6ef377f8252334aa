//! What only Windows has.

mod named_pipe;
mod source_socket;
mod unix_sockets;
