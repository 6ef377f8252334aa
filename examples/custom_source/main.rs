//! Sources of your own, made in two ways.
//!
//! - `Inbox` (everywhere): a queue within this process, with no descriptor at all. It makes itself
//!   a `Waker` with the token under which it is registered.
//! - `Ticker` (Linux): a descriptor that Litio has no type for, here a timerfd. `IoSource` makes a
//!   source of it.

mod inbox;
#[cfg(target_os = "linux")]
mod ticker;

use std::io::{self, ErrorKind};
use std::thread;
use std::time::Duration;

use litio::{Events, Interest, Poll, Token};

const PARTS: u32 = 5;
const INBOX: Token = Token(0);
#[cfg(target_os = "linux")]
const TICKER: Token = Token(1);

fn main() -> io::Result<()> {
    if cfg!(target_family = "wasm") {
        eprintln!("custom_source needs a second thread, which WASI does not have");
        return Ok(());
    }
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(16);

    let (sender, mut inbox) = inbox::channel();
    poll.registry()
        .register(&mut inbox, INBOX, Interest::READABLE)?;

    #[cfg(target_os = "linux")]
    let mut ticker = ticker::Ticker::new(Duration::from_millis(100))?;
    #[cfg(target_os = "linux")]
    poll.registry()
        .register(&mut ticker, TICKER, Interest::READABLE)?;

    let worker = thread::spawn(move || -> io::Result<()> {
        for part in 1..=PARTS {
            thread::sleep(Duration::from_millis(150)); // stands for work
            sender.send(format!("part {part} of {PARTS} is done"))?;
        }
        Ok(())
    });

    let mut parts = 0;
    while parts < PARTS {
        match poll.poll(&mut events, None) {
            Err(err) if err.kind() == ErrorKind::Interrupted => continue, // a signal came
            result => result?,
        }
        for event in &events {
            // The same rule holds for every source: go on until there is nothing left.
            match event.token() {
                INBOX => {
                    while let Some(message) = unless_would_block(inbox.receive())? {
                        println!("{message}");
                        parts += 1;
                    }
                }
                #[cfg(target_os = "linux")]
                TICKER => {
                    while let Some(count) = unless_would_block(ticker.ticks())? {
                        println!("tick (x{count})");
                    }
                }
                token => unreachable!("nothing is registered as {token:?}"),
            }
        }
    }
    worker.join().expect("the worker does not panic")
}

fn unless_would_block<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(err) if err.kind() == ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}
