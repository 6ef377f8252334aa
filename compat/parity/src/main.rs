//! The same programs on mio and on Litio: what they see must be the same, line by line.
//!
//! The cases stand in `cases.rs`, which is compiled twice. Each writes what it sees into a log:
//! events with all their predicates, results, kinds and codes of errors, flags of descriptors.
//! Where Litio differs on purpose, [`BETTER`] says why; a reason that no longer applies is a
//! failure too.
//!
//! `cargo run` prints a line for each case, `cargo run -- NAME…` the logs of some.

mod log;
mod on_litio;
mod on_mio;

use std::process::ExitCode;

use crate::log::Log;
use crate::on_mio::cases::Case;

/// Cases in which Litio differs on purpose, and why that is better.
const BETTER: &[(&str, &str)] = &[
    (
        "unix_abstract_peer",
        "accept tells the abstract name of the peer, which mio loses",
    ),
    (
        "second_waker",
        "any number of wakers; mio panics in debug builds, even when the first is gone",
    ),
    (
        "no_capacity",
        "refused on every system, in words; mio passes on what the system answers, if it does",
    ),
    (
        "short_timeouts",
        "timeouts below a millisecond are kept; mio rounds them up to one",
    ),
    (
        "refused_registration_then_another",
        "what another registry refuses leaves no trace; mio's debug builds forget the right one",
    ),
    (
        "failed_registration_then_another",
        "what the system refuses leaves no trace; mio's debug builds say it is registered",
    ),
    (
        "iterators",
        "size_hint and count know how far the iterator is; mio's tell the whole every time",
    ),
];

/// A case that differs is run again: what the kernel does in one step, it may do in two on a busy
/// machine. A difference of the libraries is there every time.
const ATTEMPTS_MAX: u32 = 5;

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let sides = on_mio::cases::ALL.iter().zip(on_litio::cases::ALL);
    let mut failures = 0;
    let mut count = 0;
    for ((name, mio), (_, litio)) in sides {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        count += 1;
        let (theirs, ours) = compare(*mio, *litio);
        let reason = BETTER.iter().find(|(case, _)| case == name);
        let is_equal = theirs == ours;
        match (is_equal, reason) {
            (true, None) => println!("{name}: same, {} lines", ours.len()),
            (false, Some((_, reason))) => println!("{name}: better: {reason}"),
            (true, Some(_)) => println!("{name}: FAILED: it is said to differ, but does not"),
            (false, None) => println!("{name}: FAILED: it differs"),
        }
        let is_failure = is_equal == reason.is_some();
        failures += u32::from(is_failure);
        if is_failure || !names.is_empty() {
            print_both(&theirs, &ours);
        }
    }
    println!("{count} cases, {failures} failed");
    if failures == 0 && count > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn compare(mio: Case, litio: Case) -> (Vec<String>, Vec<String>) {
    let run = |case: Case| {
        let mut log = Log::default();
        case(&mut log);
        log.into_lines()
    };
    let mut both = (run(mio), run(litio));
    for _ in 1..ATTEMPTS_MAX {
        if both.0 == both.1 {
            break;
        }
        both = (run(mio), run(litio));
    }
    both
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
