//! Unix sockets, streams only: listening, connecting, accepting.
