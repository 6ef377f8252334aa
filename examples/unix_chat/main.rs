//! A chat room over Unix sockets. Left alone it plays a scene with guests of its own.
//!
//! ```text
//! cargo run --example unix_chat
//! cargo run --example unix_chat -- --serve /tmp/chat      (and, more than once: nc -U /tmp/chat)
//! ```

#[cfg(unix)]
mod chat;
#[cfg(unix)]
mod room;

fn main() {
    #[cfg(unix)]
    chat::main();
    #[cfg(not(unix))]
    eprintln!("unix_chat needs Unix sockets, which Litio has on Unix only");
}
