//! `trace!`: a record at trace level, or nothing at all without the `log` feature.

#[cfg(feature = "log")]
macro_rules! trace {
    ($($argument:tt)*) => { ::log::trace!($($argument)*) };
}

#[cfg(not(feature = "log"))]
macro_rules! trace {
    ($($argument:tt)*) => {{
        // Checked and counted as used, never evaluated.
        if false {
            let _ = format_args!($($argument)*);
        }
    }};
}
