//! What only Windows has.

mod named_pipe;
