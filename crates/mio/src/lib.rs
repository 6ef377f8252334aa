//! [Litio](litio) under the name of mio, so that it takes mio's place under every program that
//! depends on it.
//!
//! ```toml
//! [patch.crates-io]
//! mio = { path = "…/litio/crates/mio" }
//! ```
//!
//! A `Cargo.lock` that names a version of mio keeps it until `cargo update -p mio`. `cargo tree -i
//! mio` says which one is in use.
//!
//! There are only re-exports here; Litio's documentation says what they do. The features are mio's:
//! `net` shows the module `net`, `os-ext` the platform's module. `Poll::new` does not need
//! `os-poll`.

#[cfg(not(target_os = "wasi"))]
pub use litio::Waker;
pub use litio::{Events, Interest, Poll, Registry, Token, event, features, guide};

#[cfg(all(feature = "os-ext", target_os = "hermit"))]
pub use litio::hermit;
#[cfg(feature = "net")]
pub use litio::net;
#[cfg(all(feature = "os-ext", unix))]
pub use litio::unix;
#[cfg(all(feature = "os-ext", target_os = "wasi"))]
pub use litio::wasi;
#[cfg(all(feature = "os-ext", windows))]
pub use litio::windows;
