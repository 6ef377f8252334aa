//! The lightest metal I/O.
