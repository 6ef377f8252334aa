//! What Rust's test harness printed, as data: read, compared, written down.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use crate::step::Stop;

/// How one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Ignored,
}

impl Outcome {
    const ALL: [(Outcome, &'static str, &'static str); 3] = [
        (Outcome::Passed, "ok", "ok"),
        (Outcome::Failed, "FAILED", "failed"),
        (Outcome::Ignored, "ignored", "ignored"),
    ];

    /// From the harness's word.
    fn printed(word: &str) -> Option<Outcome> {
        let word = word.split(',').next()?;
        let row = Outcome::ALL.iter().find(|(_, printed, _)| word == *printed);
        row.map(|(outcome, ..)| *outcome)
    }

    /// From the word in our lists.
    fn listed(word: &str) -> Option<Outcome> {
        let row = Outcome::ALL.iter().find(|(.., listed)| word == *listed);
        row.map(|(outcome, ..)| *outcome)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = Outcome::ALL.iter().find(|(outcome, ..)| outcome == self);
        f.write_str(row.map_or("", |(.., listed)| listed))
    }
}

/// Outcomes by binary and test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Results {
    outcomes: BTreeMap<(String, String), Outcome>,
    /// Binaries that did not come to their end, or not in a way that we can read. Nothing is known
    /// of their tests: if it happens on both sides, that they agree means nothing.
    unfinished: BTreeSet<String>,
}

impl Results {
    /// Those of a binary that did not come to its end.
    pub(crate) fn unfinished(label: &str) -> Results {
        Results {
            unfinished: BTreeSet::from([label.to_string()]),
            ..Results::default()
        }
    }

    /// A line for each binary that did not come to its end on the side of that name.
    pub(crate) fn gaps(&self, side: &str) -> Vec<String> {
        let gap = |label: &String| format!("{label}: did not come to its end on {side}");
        self.unfinished.iter().map(gap).collect()
    }

    pub(crate) fn passed(&self) -> usize {
        self.count(Outcome::Passed)
    }

    fn count(&self, wanted: Outcome) -> usize {
        self.outcomes
            .values()
            .filter(|outcome| **outcome == wanted)
            .count()
    }

    pub(crate) fn tally(&self) -> String {
        format!(
            "{} passed, {} failed, {} ignored",
            self.passed(),
            self.count(Outcome::Failed),
            self.count(Outcome::Ignored),
        )
    }

    /// How many passed and, if any, failed.
    pub(crate) fn verdict(&self) -> String {
        match self.count(Outcome::Failed) {
            0 => self.passed().to_string(),
            failed => format!("{}, {failed} failed", self.passed()),
        }
    }

    pub(crate) fn merge(&mut self, other: Results) {
        self.outcomes.extend(other.outcomes);
        self.unfinished.extend(other.unfinished);
    }

    /// The names of the failed tests.
    pub(crate) fn failures(&self) -> Vec<String> {
        let failed = self
            .outcomes
            .iter()
            .filter(|(_, outcome)| **outcome == Outcome::Failed);
        failed.map(|((_, test), _)| test.clone()).collect()
    }

    pub(crate) fn set_passed(&mut self, label: &str, test: &str) {
        let key = (label.to_string(), test.to_string());
        self.outcomes.insert(key, Outcome::Passed);
    }

    /// A line for each test that ended differently or is missing on one side, and for each binary
    /// that did not come to its end on either.
    pub(crate) fn differences(&self, our_name: &str, other: &Results, name: &str) -> Vec<String> {
        let mut keys: Vec<_> = self.outcomes.keys().chain(other.outcomes.keys()).collect();
        keys.sort();
        keys.dedup();
        let word = |results: &Results, key| {
            let outcome: Option<&Outcome> = results.outcomes.get(key);
            outcome.map_or("did not run".to_string(), ToString::to_string)
        };
        let differing = keys
            .into_iter()
            .filter(|key| self.outcomes.get(*key) != other.outcomes.get(*key))
            .map(|key| {
                let (ours, theirs) = (word(self, key), word(other, key));
                format!(
                    "{} {}: {ours} on {our_name}, {theirs} on {name}",
                    key.0, key.1
                )
            });
        let gaps = self.gaps(our_name).into_iter().chain(other.gaps(name));
        gaps.chain(differing).collect()
    }

    /// Writes a list that [`Results::read`] reads.
    pub(crate) fn write(&self, path: &Path, head: &str) -> Result<(), Stop> {
        let mut text = format!("# {head}\n");
        let mut current = "";
        for ((label, test), outcome) in &self.outcomes {
            if label != current {
                text += &format!("\n{label}\n");
                current = label;
            }
            text += &format!("    {outcome} {test}\n");
        }
        fs::write(path, text).map_err(|error| Stop::failed(format!("{}: {error}", path.display())))
    }

    pub(crate) fn read(path: &Path) -> Result<Results, Stop> {
        let text = fs::read_to_string(path)
            .map_err(|error| Stop::failed(format!("{}: {error}", path.display())))?;
        let mut results = Results::default();
        let mut label = "";
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let entry = line.strip_prefix("    ").and_then(|l| l.split_once(' '));
            if let Some((word, test)) = entry {
                let outcome = Outcome::listed(word)
                    .ok_or_else(|| Stop::failed(format!("{}: `{line}`", path.display())))?;
                let key = (label.to_string(), test.to_string());
                results.outcomes.insert(key, outcome);
            } else {
                label = line;
            }
        }
        Ok(results)
    }
}

/// Reads lines like `test name ... ok`. If the harness gave no sum (the process died) or its sum
/// says otherwise (a test wrote into the line), the binary has not come to its end.
pub(crate) fn parse(label: &str, log: &str) -> Results {
    let mut results = Results::default();
    let mut sum = None;
    for line in log.lines() {
        if let Some(rest) = line.strip_prefix("test result: ") {
            let counted = ["passed", "failed", "ignored"].map(|word| number_before(rest, word));
            sum = Some(sum.unwrap_or(0) + counted.iter().sum::<usize>());
            continue;
        }
        let Some((name, word)) = test_line(line) else {
            continue;
        };
        let Some(outcome) = Outcome::printed(word) else {
            continue;
        };
        let key = (label.to_string(), name.to_string());
        // Line numbers make the names of documentation's examples unique; a macro may repeat one
        // even so.
        results.outcomes.insert(key, outcome);
    }
    let lines = results.outcomes.len();
    if sum == Some(lines) {
        return results;
    }
    let sum = sum.map_or("gives no sum".to_string(), |sum| {
        format!("counts {sum} tests")
    });
    eprintln!("{label}: its harness {sum}, its lines tell of {lines}");
    Results::unfinished(label)
}

/// Name and the word behind it, of a line that tells of a test.
pub(crate) fn test_line(line: &str) -> Option<(&str, &str)> {
    let (name, word) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let name = name.split(" - should panic").next()?;
    Some((name, word))
}

fn number_before(text: &str, word: &str) -> usize {
    let before = text.split(word).next().unwrap_or_default().trim_end();
    let number = before.rsplit(' ').next().unwrap_or_default();
    number.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "running 4 tests\n\
        noise\n\
        test a::b ... ok\n\
        test c - should panic ... ok\n\
        test d ... ignored, needs a printer\n\
        test e ... FAILED\n\
        \n\
        test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out\n";

    #[test]
    fn outcomes_are_read_from_the_lines_of_the_harness() {
        let results = parse("tests/x.rs", LOG);
        assert_eq!(results.tally(), "2 passed, 1 failed, 1 ignored");
        assert_eq!(results.failures(), ["e"]);
    }

    #[test]
    fn a_binary_without_a_sum_or_with_another_is_a_difference_though_both_sides_agree() {
        let without_a_line = LOG.replace("test e ... FAILED\n", "");
        let died: String = LOG.lines().take(4).collect::<Vec<_>>().join("\n");
        for log in [&without_a_line, &died, ""] {
            let both = parse("tests/x.rs", log);
            assert_eq!(both.tally(), Results::default().tally());
            assert_eq!(
                both.differences("mio", &both, "litio"),
                [
                    "tests/x.rs: did not come to its end on mio",
                    "tests/x.rs: did not come to its end on litio",
                ]
            );
        }
        let none = parse(
            "x",
            "running 0 tests\n\ntest result: ok. 0 passed; 0 failed\n",
        );
        assert_eq!(none, Results::default());
    }

    #[test]
    fn a_test_that_is_missing_or_ends_differently_is_a_difference() {
        let one = parse("x", LOG);
        assert!(one.differences("mio", &one, "litio").is_empty());
        let mut other = one.clone();
        other.set_passed("x", "e");
        other.outcomes.remove(&("x".to_string(), "d".to_string()));
        assert_eq!(
            one.differences("mio", &other, "litio"),
            [
                "x d: ignored on mio, did not run on litio",
                "x e: failed on mio, ok on litio",
            ]
        );
    }

    #[test]
    fn a_written_list_reads_back_equal() {
        let results = parse("tests/x.rs", LOG);
        let path = std::env::temp_dir().join(format!("litio-list-{}", std::process::id()));
        results.write(&path, "head").unwrap();
        let back = Results::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(back, results);
    }
}
