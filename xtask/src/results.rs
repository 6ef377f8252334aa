//! What the suites have shown, kept below `target/results` for the tables of PLATFORMS.md.
//!
//! A step leaves a file, in lines of tab-separated fields, the first of which says what the line
//! is: `run` (target, system, backend), `date`, `count` (a backend, passed, failed), `ignored`
//! (test, reason), `linked` and `checked`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::command::Command;
use crate::harness;
use crate::step::{Context, Note, Stop};

/// Where a step runs the suites.
pub(crate) struct Place<'a> {
    /// The step's name.
    pub(crate) step: &'a str,
    pub(crate) target: &'a str,
    /// What it runs on, as a reader would say it.
    pub(crate) system: String,
    /// The backend that serves there.
    pub(crate) backend: &'a str,
    /// Parts of the names of tests that cannot pass there, each with the reason.
    pub(crate) unable: Vec<(&'a str, &'a str)>,
    /// Why everything else that does not run does not.
    pub(crate) otherwise: &'a str,
}

/// Backends that run over an emulation of their system, by parts of their tests' names.
const EMULATED: [(&str, &str); 2] = [("kqueue", "kqueue"), ("event_ports", "event ports")];

/// How the tests of a run ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tests {
    /// Passed and failed, of the backend that serves and of [`EMULATED`].
    counts: [(u32, u32); 1 + EMULATED.len()],
    ignored: BTreeMap<String, String>,
}

impl Place<'_> {
    /// Runs tests with these arguments for Rust's harness, and keeps what it showed. `tests` makes
    /// the command without them, and `all` one that knows all tests there are.
    pub(crate) fn run(
        &self,
        context: &Context,
        tests: Command,
        all: Command,
        args: &[&str],
    ) -> Result<Note, Stop> {
        let listed = all.args(["--", "--list", "--format=terse"]).read()?;
        let tests = tests.arg("--").args(args.iter().copied());
        let tests = tests.args(self.skips());
        let words = tests.words();
        let output = tests.watch_all()?;
        let log = String::from_utf8_lossy(&output.stdout);
        let note = self.keep(context, &log, &listed)?;
        if !output.status.success() {
            let status = output.status;
            return Err(Stop::failed(format!(
                "`{words}` ended with {status}: {note}\n{}",
                harness::failures(&log)
            )));
        }
        Ok(note)
    }

    /// The arguments that leave out what cannot pass.
    pub(crate) fn skips(&self) -> impl Iterator<Item = &str> {
        self.unable.iter().flat_map(|(part, _)| ["--skip", *part])
    }

    /// Keeps what a log of the harness shows. That no test ran at all is a failure: a filter that
    /// has lost its tests must not pass for ever.
    pub(crate) fn keep(&self, context: &Context, log: &str, listed: &str) -> Result<Note, Stop> {
        let tests = self.read(log, listed);
        let (passed, failed) = tests.counts.iter().fold((0, 0), |(passed, failed), count| {
            (passed + count.0, failed + count.1)
        });
        if passed == 0 {
            return Err(Stop::failed("no test ran"));
        }
        let mut lines = vec![
            format!("run\t{}\t{}\t{}", self.target, self.system, self.backend),
            format!("date\t{}", today()),
        ];
        let names = std::iter::once(self.backend).chain(EMULATED.iter().map(|(_, name)| *name));
        for (name, (passed, failed)) in names.zip(tests.counts) {
            lines.push(format!("count\t{name}\t{passed}\t{failed}"));
        }
        for (test, reason) in &tests.ignored {
            lines.push(format!("ignored\t{test}\t{reason}"));
        }
        write(context, self.step, &lines)?;
        let ignored = tests.ignored.len();
        Ok(match failed {
            0 => format!("{passed} tests passed, {ignored} ignored"),
            _ => format!("{passed} tests passed, {failed} FAILED, {ignored} ignored"),
        })
    }

    fn read(&self, log: &str, listed: &str) -> Tests {
        let mut tests = Tests::default();
        let mut seen = std::collections::BTreeSet::new();
        for (name, outcome) in log.lines().filter_map(harness::outcome) {
            seen.insert(name);
            let is_emulated = |(part, _): &(&str, &str)| name.contains(part);
            let column = EMULATED.iter().position(is_emulated).map_or(0, |at| at + 1);
            match outcome {
                "ok" => tests.counts[column].0 += 1,
                "FAILED" => tests.counts[column].1 += 1,
                _ => {
                    // Ours all say why; the harness does not, of tests that should panic.
                    let reason = outcome.split_once(", ");
                    let reason = reason.map_or("a panic ends the program there", |(_, why)| why);
                    tests.ignored.insert(name.into(), reason.into());
                }
            }
        }
        let names = listed
            .lines()
            .filter_map(|line| line.trim_end().strip_suffix(": test"));
        for name in names.filter(|name| !seen.contains(name)) {
            let why = self.unable.iter().find(|(part, _)| name.contains(part));
            let why = why.map_or(self.otherwise, |(_, why)| why);
            tests.ignored.insert(name.into(), why.into());
        }
        tests
    }
}

/// Keeps that the test programs were linked for a target.
pub(crate) fn keep_linked(context: &Context, target: &str) -> Result<(), Stop> {
    let line = format!("linked\t{}", today());
    write(context, &format!("linked-{target}"), &[line])
}

/// Keeps that a target was type-checked: with whose standard library, and how much of ours.
pub(crate) fn keep_checked(
    context: &Context,
    target: &str,
    std: &str,
    what: &str,
) -> Result<(), Stop> {
    let line = format!("checked\t{}\t{std}\t{what}", today());
    write(context, &format!("checked-{target}"), &[line])
}

fn folder(context: &Context) -> PathBuf {
    context.target_dir("results")
}

fn write(context: &Context, name: &str, lines: &[String]) -> Result<(), Stop> {
    let path = folder(context).join(name);
    let text = lines.join("\n") + "\n";
    fs::create_dir_all(folder(context))
        .and_then(|()| fs::write(&path, text))
        .map_err(|error| Stop::failed(format!("{}: {error}", path.display())))
}

/// The lines that a step has left, split into their fields; `None` if it has not run here.
pub(crate) fn read(context: &Context, name: &str) -> Option<Vec<Vec<String>>> {
    let text = fs::read_to_string(folder(context).join(name)).ok()?;
    let fields = |line: &str| line.split('\t').map(String::from).collect();
    Some(text.lines().map(fields).collect())
}

/// The date in UTC, as `2026-01-31`.
fn today() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    date(now.map_or(0, |since| since.as_secs() / 86_400))
}

/// The date of a day since 1970-01-01.
fn date(day: u64) -> String {
    let is_leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (mut year, mut left) = (1970, day);
    loop {
        let days = if is_leap(year) { 366 } else { 365 };
        if left < days {
            break;
        }
        left -= days;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < days {
            break;
        }
        left -= days;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        for (day, expected) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (20_454, "2026-01-01"),
            (20_780, "2026-11-23"),
        ] {
            assert_eq!(date(day), expected);
        }
    }

    #[test]
    fn a_log_is_read_with_the_reason_of_whatever_did_not_run() {
        let place = Place {
            step: "step",
            target: "target",
            system: "system".into(),
            backend: "epoll",
            unable: vec![("fine", "no fine timeouts")],
            otherwise: "did not run",
        };
        let log = "running 6 tests\ntest a::one ... ok\nnoise test a::two ... FAILED\n\
                   test a::kqueue::three - should panic ... ok\ntest a::four ... ignored, no UDP\ntest result: ok. 1 passed\n";
        let listed = "a::one: test\na::two: test\na::kqueue::three: test\na::four: test\n\
                      a::fine::five: test\na::six: test\n\n6 tests, 0 benchmarks\n";
        let tests = place.read(log, listed);
        assert_eq!(tests.counts, [(1, 1), (1, 0), (0, 0)]);
        let ignored: Vec<_> = tests.ignored.iter().collect();
        let ignored: Vec<_> = ignored
            .iter()
            .map(|(name, why)| (name.as_str(), why.as_str()))
            .collect();
        assert_eq!(
            ignored,
            [
                ("a::fine::five", "no fine timeouts"),
                ("a::four", "no UDP"),
                ("a::six", "did not run")
            ]
        );
    }
}
