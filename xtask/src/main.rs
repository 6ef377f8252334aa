//! Litio's checks: `cargo xtask ci` is exactly what CI runs.
fn main() {}
