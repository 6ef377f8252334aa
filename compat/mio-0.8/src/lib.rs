//! [Litio](litio) under the name of mio 0.8, so that it takes mio's place under every program that
//! depends on it.
//!
//! ```toml
//! [patch.crates-io]
//! mio = { path = "…/litio/compat/mio-0.8" }
//! ```
//!
//! A `Cargo.lock` that names a version of mio keeps it until `cargo update -p mio`. `cargo tree -i
//! mio` says which one is in use. A workspace can have this or the shim for 1.x, not both: cargo
//! takes only one patch for a name, unless they are told apart with `package = "mio"` under two
//! keys.
//!
//! Re-exports, but for Unix sockets: mio 0.8 had an address type of its own for them,
//! [`net::SocketAddr`], with `as_abstract_namespace`, and took a path that begins with a zero byte
//! for a name in the abstract namespace. So they are Litio's in a wrapper that does this.

#[cfg(not(target_os = "wasi"))]
pub use litio::Waker;
pub use litio::{Events, Interest, Poll, Registry, Token, event, features, guide};

#[cfg(feature = "net")]
pub mod net;
#[cfg(all(feature = "os-ext", unix))]
pub use litio::unix;
#[cfg(all(feature = "os-ext", windows))]
pub use litio::windows;
