//! The side of mio.

pub use mio as library;

#[path = "cases.rs"]
pub mod cases;
