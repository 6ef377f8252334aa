//! How many tests receive an event at all: a suite that never polls would pass on anything.
//!
//! Each binary runs once more under strace, its tests one after the other. The harness prints a
//! test's name before it starts, so the events that epoll hands out belong to the name printed
//! last. Nothing in the tested program changes.

use std::collections::BTreeSet;
use std::ops::AddAssign;

use crate::step::{Context, Stop};
use crate::tools;

use super::package::{Binary, Package};
use super::results::test_line;
use super::{BINARY_LIMIT, in_package};

/// The epoll backend's own token: an event with it is a knock, which a wake causes.
const KNOCK: u64 = 0x6c69_7469_6f3a_6b6f;

/// Numbers of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// Received an event of any kind, wakes included.
    pub(crate) any: usize,
    /// Received one from a source: a socket, a pipe, a descriptor.
    pub(crate) from_source: usize,
}

impl AddAssign for Received {
    fn add_assign(&mut self, other: Received) {
        self.any += other.any;
        self.from_source += other.from_source;
    }
}

/// Counts the tests of a binary, built on Litio, that receive events.
pub(crate) fn count(
    context: &Context,
    package: &Package,
    binary: &Binary,
) -> Result<Received, Stop> {
    tools::debian(context, &["strace"], &["strace"])?;
    let log = context.target_dir("compat").join("strace.log");
    let strace = context
        .command("strace")
        .args(["--follow-forks", "--seccomp-bpf", "--quiet=all"])
        .args(["-e", "trace=write,epoll_wait,epoll_pwait,epoll_pwait2"])
        .args(["-e", "signal=none", "-s", "200", "-o"])
        .arg(&log)
        .arg(&binary.path)
        .arg("--test-threads=1");
    match in_package(strace, package).within(BINARY_LIMIT).output() {
        // A test may fail under strace, which is slow. It counts only what happened.
        Ok(_) => {}
        // Killed at its limit: what it did until then counts.
        Err(Stop::Failed(why)) => eprintln!("{why}"),
        Err(missing) => return Err(missing),
    }
    let trace =
        std::fs::read(&log).map_err(|error| Stop::failed(format!("{}: {error}", log.display())))?;
    Ok(received(&String::from_utf8_lossy(&trace)))
}

fn received(trace: &str) -> Received {
    let mut test = String::new();
    let knock = format!("u64={KNOCK}}}");
    let (mut any, mut from_source) = (BTreeSet::new(), BTreeSet::new());
    for line in trace.lines() {
        if let Some(text) = line.split("write(1, \"").nth(1) {
            if let Some((name, _)) = test_line(text) {
                test = name.to_string();
            }
        } else if line.contains("epoll_") && line.contains("{events=") && !test.is_empty() {
            any.insert(test.clone());
            // `{events=EPOLLIN, data={u32=3, u64=3}}` each.
            let events = line.split("{events=").skip(1);
            if events.into_iter().any(|event| !event.contains(&knock)) {
                from_source.insert(test.clone());
            }
        }
    }
    Received {
        any: any.len(),
        from_source: from_source.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_belong_to_the_test_printed_last_and_knocks_to_no_source() {
        let trace = "\
            1 write(1, \"\\nrunning 2 tests\\n\", 17) = 17\n\
            1 write(1, \"test a ... \", 11) = 11\n\
            1 epoll_wait(3, [], 1024, 0) = 0\n\
            1 write(1, \"ok\\n\", 3) = 3\n\
            1 write(1, \"test b ... \", 11) = 11\n\
            2 epoll_wait(3, [{events=EPOLLIN, data={u32=1866099567, u64=7811903024837323631}}], 1024, -1) = 1\n\
            1 write(1, \"test c ... \", 11) = 11\n\
            2 <... epoll_wait resumed>[{events=EPOLLIN, data={u32=2, u64=2}}], 1024, -1) = 1\n";
        let counted = received(trace);
        assert_eq!((counted.any, counted.from_source), (2, 1));
    }
}
