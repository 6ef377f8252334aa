//! Runs steps one after the other, goes on after failures, and sums up in a table.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::command;
use crate::step::{Context, Note, Step, Stop};

/// How much time all steps together may take.
#[derive(Clone, Copy)]
pub(crate) enum Budget {
    /// Each its own limit, no more.
    PerStep,
    /// Also [`CHANGE_LIMIT`] for all of them.
    Change,
}

/// What a change may wait for its checks, on two slow cores with nothing installed. The aim is half
/// of it.
const CHANGE_LIMIT: Duration = Duration::from_secs(45 * 60);

enum Outcome {
    Passed(Note),
    Failed(String),
    /// Its tool cannot be had; tolerated outside CI.
    Missing(String),
    /// This system cannot run it: never an error, always said.
    NotHere,
}

/// Runs the steps; success only if none failed and, in CI, none was left out for want of a tool.
pub(crate) fn run(root: &Path, steps: &[&Step], budget: Budget) -> ExitCode {
    command::forward_interrupts();
    let start = Instant::now();
    let mut rows = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let left = match budget {
            Budget::PerStep => Duration::MAX,
            Budget::Change => CHANGE_LIMIT.saturating_sub(start.elapsed()),
        };
        println!(
            "\n=== [{}/{}] {}: {}",
            index + 1,
            steps.len(),
            step.name,
            step.about
        );
        let begin = Instant::now();
        let outcome = run_one(root, step, left);
        let time = begin.elapsed();
        println!("=== {}: {} in {}", step.name, outcome.word(), Seconds(time));
        rows.push((*step, outcome, time));
    }
    summarize(&rows, start.elapsed())
}

fn run_one(root: &Path, step: &Step, left: Duration) -> Outcome {
    if !step.hosts.include_this_one() {
        return Outcome::NotHere;
    }
    if left.is_zero() {
        return Outcome::Failed("not started: the time for all steps is used up".into());
    }
    let context = Context::new(root.to_path_buf(), step.limit().min(left));
    let outcome = match (step.run)(&context) {
        Ok(note) => Outcome::Passed(note),
        Err(Stop::Failed(why)) => Outcome::Failed(why),
        Err(Stop::Missing(what)) if is_ci() => {
            Outcome::Failed(format!("cannot be had here: {what}"))
        }
        Err(Stop::Missing(what)) => Outcome::Missing(what),
    };
    if let Outcome::Failed(_) | Outcome::Missing(_) = &outcome {
        let why = outcome.headline().unwrap_or_default();
        eprintln!("!!! {} {}: {why}", step.name, outcome.word());
    }
    outcome
}

fn summarize(rows: &[(&Step, Outcome, Duration)], total: Duration) -> ExitCode {
    let width = rows
        .iter()
        .map(|(step, ..)| step.name.len())
        .max()
        .unwrap_or(0);
    println!("\n=== Summary");
    for (step, outcome, time) in rows {
        let line = format!(
            "{:width$}  {:>8}  {}",
            step.name,
            Seconds(*time).to_string(),
            outcome.word()
        );
        match outcome.headline() {
            Some(remark) => println!("{line}: {remark}"),
            None => println!("{line}"),
        }
    }
    // What does not fit in a line comes last: of a long log, people often have only the end.
    for (step, outcome, _) in rows {
        if let Some((_, details)) = outcome.remark().and_then(|remark| remark.split_once('\n')) {
            println!("\n=== {}\n{details}\n", step.name);
        }
    }
    let count =
        |is: fn(&Outcome) -> bool| rows.iter().filter(|(_, outcome, _)| is(outcome)).count();
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let left_out = count(|outcome| matches!(outcome, Outcome::Missing(_) | Outcome::NotHere));
    let passed = rows.len() - failed - left_out;
    println!(
        "{passed} passed, {failed} failed, {left_out} not run, in {}",
        Seconds(total)
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Outcome::Passed(_) => "passed",
            Outcome::Failed(_) => "FAILED",
            Outcome::Missing(_) => "DID NOT RUN",
            Outcome::NotHere => "not on this system",
        }
    }

    /// The first line of the remark; what follows are details.
    fn headline(&self) -> Option<&str> {
        self.remark().and_then(|remark| remark.lines().next())
    }

    fn remark(&self) -> Option<&str> {
        match self {
            Outcome::Passed(note) if note.is_empty() => None,
            Outcome::Passed(text) | Outcome::Failed(text) | Outcome::Missing(text) => Some(text),
            Outcome::NotHere => None,
        }
    }
}

/// Whether a CI service runs this: they all set `CI`.
fn is_ci() -> bool {
    std::env::var_os("CI")
        .is_some_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// A duration in seconds, with one digit.
struct Seconds(Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}
