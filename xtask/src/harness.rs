//! What Rust's test harness prints, read back.

use std::fmt;

/// The sum of the closing lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    ignored: u32,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tests passed, {} ignored", self.passed, self.ignored)
    }
}

impl Tally {
    /// Reads lines like `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered
    /// out; …`.
    pub(crate) fn of(log: &str) -> Tally {
        let mut tally = Tally::default();
        for line in log.lines().filter(|line| is_closing(line)) {
            let count = |what: &str| -> u32 {
                let before = line.split(what).next().unwrap_or_default();
                before
                    .trim_end()
                    .rsplit(' ')
                    .next()
                    .and_then(|n| n.parse().ok())
                    .unwrap_or(0)
            };
            tally.passed += count("passed;");
            tally.ignored += count("ignored;");
        }
        tally
    }
}

fn is_closing(line: &str) -> bool {
    line.trim_start().starts_with("test result: ")
}

/// Reads `test a::b ... ok`. On a console, other words may stand before it on the line.
pub(crate) fn outcome(line: &str) -> Option<(&str, &str)> {
    let (_, line) = line.split_once("test ")?;
    let (name, outcome) = line.trim_end().split_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    let is_outcome =
        matches!(outcome, "ok" | "FAILED" | "ignored") || outcome.starts_with("ignored, ");
    (is_outcome && !name.contains(' ')).then_some((name, outcome))
}

/// What the failed tests printed, each on a line of its own below its name: whoever sees only the
/// end of a log shall know why. Long words are cut in the middle. Of a harness that does not gather
/// them, the names.
pub(crate) fn failures(log: &str) -> String {
    let mut kept = Vec::new();
    let mut is_inside = false;
    for line in log.lines() {
        match line.trim_end() {
            // A binary prints it twice: before the outputs, and before the names alone.
            "failures:" => is_inside = !is_inside,
            line if is_closing(line) => is_inside = false,
            "" => {}
            line if is_inside => kept.push(line),
            _ => {}
        }
    }
    if kept.is_empty() {
        let outcomes = log.lines().filter_map(outcome);
        let failed = outcomes.filter(|(_, outcome)| *outcome == "FAILED");
        kept = failed.map(|(name, _)| name).collect();
    }
    if kept.len() > FAILURES_SHOWN {
        let left_out = kept.len() - FAILURES_SHOWN;
        kept.drain(FAILURES_SHOWN / 2..FAILURES_SHOWN / 2 + left_out);
        kept.insert(FAILURES_SHOWN / 2, "[lines left out]");
    }
    kept.join("\n")
}

/// In lines; a page of a log.
const FAILURES_SHOWN: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_over_all_binaries() {
        let log = "x\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out\n\
                   test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let (passed, ignored) = (15, 1);
        assert_eq!(Tally::of(log), Tally { passed, ignored });
    }

    #[test]
    fn the_outputs_of_failed_tests_are_kept_and_nothing_else() {
        let log = "test a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\n\
                   panicked at x.rs:1:\nleft 1\n\n\nfailures:\n    b\n\n\
                   test result: FAILED. 1 passed; 1 failed; 0 ignored\n\
                   test c ... FAILED\n\nfailures:\n---- c stdout ----\nwhy\n\nfailures:\n    c\n\n\
                   test result: FAILED. 0 passed; 1 failed; 0 ignored\nother words\n";
        let expected = "---- b stdout ----\npanicked at x.rs:1:\nleft 1\n---- c stdout ----\nwhy";
        assert_eq!(failures(log), expected);
        assert_eq!(failures("test a ... ok\ntest result: ok. 1 passed\n"), "");
        assert_eq!(failures("test a ... FAILED\ntest b ... ok\n"), "a");
    }

    #[test]
    fn long_failures_are_cut_in_the_middle() {
        let lines: Vec<_> = (0..1_000).map(|line| line.to_string()).collect();
        let kept = failures(&format!("failures:\n{}\n", lines.join("\n")));
        let kept: Vec<_> = kept.lines().collect();
        assert_eq!(kept.len(), FAILURES_SHOWN + 1);
        assert_eq!((kept[0], *kept.last().unwrap()), ("0", "999"));
        assert!(kept.contains(&"[lines left out]"));
    }
}
