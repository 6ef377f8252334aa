//! The side of Litio.

pub use litio as library;

// The same file once more, which is the whole idea.
#[allow(clippy::duplicate_mod)]
#[path = "cases.rs"]
pub mod cases;
