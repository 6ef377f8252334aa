//! Selectors: the operating systems' event queues behind one contract.
//!
//! This file is one of the two that name operating systems. First *the table*: every backend that
//! compiles on the target is compiled, and run through the conformance suite by its tests. Then
//! *the chain*: the first that fits serves.

mod backend;
mod registration;
mod timeout;

pub(crate) use backend::{Backend, Knocked, SelectorId};
#[allow(unused_imports)]
// each backend uses one kind, and not every target has backends of both
pub(crate) use registration::{Registration, Tracked, Untracked};

// The table: which backends compile here.

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) mod epoll;
#[cfg(unix)]
mod knocker;

// The chain: which one serves.

/// The backend behind [`Poll`](crate::Poll) on this target.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) type Serving = epoll::Epoll;

/// Keeps its items where the serving selector is a descriptor that can be given out, and drops them
/// elsewhere.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[allow(unused_macros)]
macro_rules! if_selector_is_descriptor {
    ($($item:item)*) => { $($item)* };
}

/// Keeps its items where the serving selector is a descriptor that can be given out, and drops them
/// elsewhere.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[allow(unused_macros)]
macro_rules! if_selector_is_descriptor {
    ($($item:item)*) => {};
}

#[allow(unused_imports)] // used by `unix` only
pub(crate) use if_selector_is_descriptor;
