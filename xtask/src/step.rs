//! A step: a named check with a time limit, and what it is given and answers.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::command::Command;

/// A named check. All of them stand in [`crate::steps::ALL`].
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// What it proves, for `ci --list` and the log.
    pub(crate) about: &'static str,
    pub(crate) tier: Tier,
    pub(crate) hosts: Hosts,
    /// Cold, on two slow cores, installing its tools included. What runs longer is killed.
    pub(crate) limit_minutes: u64,
    pub(crate) run: fn(&Context) -> Result<Note, Stop>,
}

impl Step {
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.limit_minutes * 60)
    }
}

/// When a step runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    /// On every change: `cargo xtask ci`.
    Change,
    /// On demand: `cargo xtask ci --full`.
    Full,
}

/// The systems on which a step can run at all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hosts {
    Any,
    Unix,
    /// Needs this very system: sanitizers' runtimes, emulators of Linux programs, Debian's
    /// packages.
    LinuxX86_64,
}

impl Hosts {
    pub(crate) fn include_this_one(self) -> bool {
        match self {
            Hosts::Any => true,
            Hosts::Unix => cfg!(unix),
            Hosts::LinuxX86_64 => cfg!(all(target_os = "linux", target_arch = "x86_64")),
        }
    }
}

/// What a passed step has to say in the summary, such as how many tests ran; may be empty.
pub(crate) type Note = String;

/// Why a step did not pass.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The check found something, or could not end.
    Failed(String),
    /// A tool that it needs cannot be had on this machine. In CI that is a failure; elsewhere it is
    /// said loudly.
    Missing(String),
}

impl Stop {
    pub(crate) fn failed(why: impl Into<String>) -> Stop {
        Stop::Failed(why.into())
    }

    pub(crate) fn missing(why: impl Into<String>) -> Stop {
        Stop::Missing(why.into())
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Failed(why) => f.write_str(why),
            Stop::Missing(why) => write!(f, "cannot be had here: {why}"),
        }
    }
}

/// What a step is given: the place and the time left.
pub(crate) struct Context {
    pub(crate) root: PathBuf,
    deadline: Instant,
}

impl Context {
    pub(crate) fn new(root: PathBuf, limit: Duration) -> Context {
        Context {
            root,
            deadline: Instant::now() + limit,
        }
    }

    /// A command that runs in the workspace's folder and is killed at the step's limit.
    pub(crate) fn command(&self, program: &str) -> Command {
        Command::new(program, &self.root, self.deadline)
    }

    /// Cargo of the toolchain that runs this program.
    pub(crate) fn cargo(&self) -> Command {
        self.command("cargo")
    }

    /// Cargo of a pinned toolchain, which must have been asked for with
    /// [`crate::toolchain::ensure`].
    pub(crate) fn cargo_on(&self, toolchain: &str) -> Command {
        self.command("cargo").arg(format!("+{toolchain}"))
    }

    /// A folder below `target`: what is built with other flags must not evict what is built without
    /// them.
    pub(crate) fn target_dir(&self, name: &str) -> PathBuf {
        self.root.join("target").join(name)
    }
}

/// Runs every part even when one fails, so that one run tells everything; failures and notes carry
/// the part's name.
pub(crate) fn each<T>(
    parts: impl IntoIterator<Item = T>,
    name: impl Fn(&T) -> String,
    run: impl Fn(&T) -> Result<Note, Stop>,
) -> Result<Note, Stop> {
    let (mut failures, mut notes) = (Vec::new(), Vec::new());
    for part in parts {
        match run(&part) {
            Ok(note) if note.is_empty() => {}
            Ok(note) => notes.push(format!("{}: {note}", name(&part))),
            Err(Stop::Failed(why)) => failures.push(format!("{}: {why}", name(&part))),
            Err(missing) => return Err(missing),
        }
    }
    if failures.is_empty() {
        Ok(notes.join("; "))
    } else {
        Err(Stop::Failed(failures.join("\n")))
    }
}
