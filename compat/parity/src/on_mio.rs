//! The side of mio.

pub use mio as library;

#[path = "cases.rs"]
pub mod cases;

#[path = "readers.rs"]
pub mod readers;

/// All cases: names and programs.
pub fn all() -> impl Iterator<Item = &'static (&'static str, cases::Case)> {
    cases::ALL.iter().chain(readers::ALL)
}
