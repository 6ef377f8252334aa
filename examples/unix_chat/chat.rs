//! The command line, and the scene that is played without one.

use std::error::Error;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{env, fs, process, thread};

use clap::Parser;
use litio::net::{UnixListener, UnixStream};

use crate::{guest, room};

/// A chat room over Unix sockets.
#[derive(Parser)]
struct Options {
    /// Only serve, on this path, until Ctrl-C
    #[arg(long, value_name = "PATH")]
    serve: Option<PathBuf>,
}

pub(crate) fn main() {
    let result = match Options::parse().serve {
        Some(path) => listen(&path).and_then(|listener| Ok(room::serve(listener, None)?)),
        None => play(),
    };
    if let Err(err) = result {
        eprintln!("unix_chat: {err}");
        process::exit(2);
    }
}

fn listen(path: &Path) -> Result<UnixListener, Box<dyn Error>> {
    // A socket that refuses is what a server left behind that was killed.
    if UnixStream::connect(path).is_err_and(|err| err.kind() == ErrorKind::ConnectionRefused) {
        fs::remove_file(path)?;
    }
    UnixListener::bind(path)
        .map_err(|err| format!("cannot listen on {}: {err}", path.display()).into())
}

/// Three guests come, say hello, and leave when they have been greeted by the two others.
fn play() -> Result<(), Box<dyn Error>> {
    let path = env::temp_dir().join(format!("unix_chat-{}", process::id()));
    let listener = listen(&path)?;
    let mut guests = Vec::new();
    for name in ["Ada", "Brian", "Chuck"] {
        let stream = UnixStream::connect(&path)?; // all wait at the door before it is opened
        guests.push(thread::spawn(move || guest::visit(stream, name)));
    }
    room::serve(listener, Some(guests.len()))?;
    fs::remove_file(&path)?;
    for guest in guests {
        guest.join().expect("guests do not panic")?;
    }
    Ok(())
}
