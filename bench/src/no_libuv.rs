//! Stands where libuv would, if it was installed.

use std::io;
use std::time::Duration;

use crate::measure::Contender;

pub fn version() -> Option<String> {
    None
}

pub fn burst(_: usize) -> io::Result<Option<Contender<'static>>> {
    Ok(None)
}

pub fn timeout(_: Duration) -> io::Result<Option<Contender<'static>>> {
    Ok(None)
}
