//! The side of Litio.

pub use litio as library;

// The same file once more, which is the whole idea.
#[allow(clippy::duplicate_mod)]
#[path = "cases.rs"]
pub mod cases;

#[allow(clippy::duplicate_mod)]
#[path = "readers.rs"]
pub mod readers;

/// All cases: names and programs.
pub fn all() -> impl Iterator<Item = &'static (&'static str, cases::Case)> {
    cases::ALL.iter().chain(readers::ALL)
}
