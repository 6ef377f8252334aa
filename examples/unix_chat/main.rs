//! A chat room over Unix sockets. Left alone it plays a scene with guests of its own.
//!
//! ```text
//! cargo run --example unix_chat
//! cargo run --example unix_chat -- --serve /tmp/chat      (and, more than once: nc -U /tmp/chat)
//! ```

#[cfg(any(unix, windows))]
mod chat;
#[cfg(any(unix, windows))]
mod guest;
#[cfg(any(unix, windows))]
mod room;

fn main() {
    #[cfg(any(unix, windows))]
    chat::main();
    #[cfg(not(any(unix, windows)))]
    eprintln!("unix_chat needs Unix sockets, which Litio has on Unix and Windows only");
}
