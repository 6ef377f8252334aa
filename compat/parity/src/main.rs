//! The same programs on mio and on Litio: what they see must be the same, line by line.
//!
//! The cases stand in `cases.rs` and `readers.rs`, which are compiled twice. Each writes what it
//! sees into a log: events with all their predicates, results, kinds and codes of errors, flags of
//! descriptors. Where Litio differs on purpose, [`BETTER`] says why; a reason that no longer
//! applies is a failure too.
//!
//! `cargo run` prints a line for each case, `cargo run -- NAME…` the logs of some.

mod log;
mod on_litio;
mod on_mio;

use std::panic::AssertUnwindSafe;
use std::process::{self, ExitCode};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::log::Log;
use crate::on_mio::cases::Case;

/// Why Litio differs on purpose, with which selectors, and the cases in which it shows.
struct Better {
    why: &'static str,
    on: &'static [Selector],
    cases: &'static [&'static str],
}

/// What both libraries poll with in this build: `--cfg mio_unsupported_force_poll_poll` forces both
/// onto poll(2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Selector {
    Epoll,
    Poll,
}

const EVERYWHERE: &[Selector] = &[Selector::Epoll, Selector::Poll];
const EPOLL: &[Selector] = &[Selector::Epoll];
const POLL: &[Selector] = &[Selector::Poll];

const HERE: Selector = if cfg!(mio_unsupported_force_poll_poll) {
    Selector::Poll
} else {
    Selector::Epoll
};

const BETTER: &[Better] = &[
    Better {
        why: "accept tells the abstract name of the peer, which mio loses",
        on: EVERYWHERE,
        cases: &["unix_abstract_peer"],
    },
    Better {
        why: "any number of wakers; mio panics in debug builds, even when the first is gone",
        on: EVERYWHERE,
        cases: &["second_waker"],
    },
    Better {
        why: "no capacity is refused on every system, in words; mio passes on what the system \
              answers, if it does",
        on: EVERYWHERE,
        cases: &["no_capacity"],
    },
    Better {
        why: "timeouts below a millisecond are kept; mio rounds them up to one",
        on: EPOLL,
        cases: &["short_timeouts"],
    },
    Better {
        why: "what another registry refuses leaves no trace; mio's debug builds forget the right one",
        on: EVERYWHERE,
        cases: &["refused_registration_then_another"],
    },
    Better {
        why: "what the system refuses leaves no trace; mio's debug builds say it is registered",
        on: EPOLL,
        cases: &["failed_registration_then_another"],
    },
    Better {
        why: "size_hint and count know how far the iterator is; mio's tell the whole every time",
        on: EVERYWHERE,
        cases: &["iterators"],
    },
    // What mio's poll(2) does not do as its epoll does.
    Better {
        why: "only the direction that would block is re-armed; mio re-arms all",
        on: POLL,
        cases: &[
            "tcp_connects_and_echoes",
            "tcp_shuts_down_writing",
            "tcp_reregisters_with_data_pending",
            "tcp_vectored_and_peek",
            "unix_stream_life",
            "unix_stream_shutdowns",
            "unix_stream_urgent_data",
            "unix_datagrams",
            "blocked_directions",
            "all_ready_before_registration",
            "all_drained_and_filled",
            "all_read_in_part",
            "all_filled_while_deregistered",
            "all_asked_for_writing_only",
            "all_peers_gone",
            "all_peers_gone_before_registration",
        ],
    },
    Better {
        why: "a short read re-arms, as it does with epoll; mio reports nothing until one would block",
        on: POLL,
        cases: &["tcp_new_data_after_unread_data", "pipe_passes_bytes"],
    },
    Better {
        why: "an end shows as readable too, and once more if a short read left it unread",
        on: POLL,
        cases: &[
            "tcp_peer_closes_its_half",
            "tcp_resets_with_data_pending",
            "tcp_peer_gone_before_registration",
            "pipe_writer_goes",
            "interests",
            "all_peers_gone_with_data_left",
        ],
    },
    Better {
        why: "what no operation of ours ends is reported again, at growing intervals; mio never does",
        on: POLL,
        cases: &["source_fd", "tcp_urgent_data", "tcp_urgent_data_is_read"],
    },
    Better {
        why: "a source that was hung up or has failed stays registered; mio forgets it",
        on: POLL,
        cases: &["udp_peer_is_gone", "all_deregistered_after_the_end"],
    },
    Better {
        why: "no more events than the capacity; mio reports all",
        on: POLL,
        cases: &["capacities"],
    },
    Better {
        why: "what another thread registers does not restart the timeout, as it does mio's",
        on: POLL,
        cases: &["changes_and_the_timeout"],
    },
];

/// A case that differs is run again: what the kernel does in one step, it may do in two on a busy
/// machine. A difference of the libraries is there every time.
const ATTEMPTS_MAX: u32 = 3;

/// How many cases may need another attempt. If more do, something happens only now and then.
const RETRIED_MAX: u32 = 4;

/// A case that takes longer blocks, or never rests. The slowest needs seconds on a busy machine.
const CASE_LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let begun = watch();
    let names: Vec<String> = std::env::args().skip(1).collect();
    let sides = on_mio::all().zip(on_litio::all());
    let (mut count, mut failures, mut retried) = (0, 0, 0);
    for ((name, mio), (_, litio)) in sides {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        count += 1;
        // The watch ends with this program.
        let _ = begun.send(*name);
        let is_concerned =
            |better: &&Better| better.on.contains(&HERE) && better.cases.contains(name);
        let better = BETTER.iter().find(is_concerned);
        let attempts_max = if better.is_none() { ATTEMPTS_MAX } else { 1 };
        let (theirs, ours, attempts) = compare(*mio, *litio, attempts_max);
        retried += u32::from(attempts > 1);
        let is_equal = theirs == ours;
        match (is_equal, better) {
            (true, None) if attempts > 1 => println!("{name}: same at attempt {attempts}"),
            (true, None) => println!("{name}: same, {} lines", ours.len()),
            (false, Some(better)) => println!("{name}: better: {}", better.why),
            (true, Some(_)) => println!("{name}: FAILED: it is said to differ, but does not"),
            (false, None) => println!("{name}: FAILED: it differs"),
        }
        let is_failure = is_equal == better.is_some();
        failures += u32::from(is_failure);
        if is_failure || !names.is_empty() {
            print_both(&theirs, &ours);
        }
    }
    println!("{count} cases, {failures} failed, {retried} tried more than once");
    if failures == 0 && count > 0 && retried <= RETRIED_MAX {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Ends the program when a case does not end; answers where to name each that begins.
fn watch() -> Sender<&'static str> {
    let (begun, cases) = mpsc::channel();
    thread::spawn(move || {
        let mut running = "";
        loop {
            match cases.recv_timeout(CASE_LIMIT) {
                Ok(name) => running = name,
                Err(RecvTimeoutError::Timeout) => {
                    println!("{running}: FAILED: it does not end");
                    process::exit(1);
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    });
    begun
}

/// What both see in the end, and how many attempts it took.
fn compare(mio: Case, litio: Case, attempts_max: u32) -> (Vec<String>, Vec<String>, u32) {
    let run = |case: Case| {
        let mut log = Log::default();
        if std::panic::catch_unwind(AssertUnwindSafe(|| case(&mut log))).is_err() {
            log.say("the case", "panicked");
        }
        log.into_lines()
    };
    let mut attempt = 1;
    loop {
        let (theirs, ours) = (run(mio), run(litio));
        if theirs == ours || attempt == attempts_max {
            return (theirs, ours, attempt);
        }
        attempt += 1;
    }
}

/// Both logs; lines that differ are marked with the side.
fn print_both(theirs: &[String], ours: &[String]) {
    for index in 0..theirs.len().max(ours.len()) {
        match (theirs.get(index), ours.get(index)) {
            (Some(one), Some(other)) if one == other => println!("          {one}"),
            (one, other) => {
                one.iter().for_each(|line| println!("    mio   {line}"));
                other.iter().for_each(|line| println!("    litio {line}"));
            }
        }
    }
}
