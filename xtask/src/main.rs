//! Litio's checks: `cargo xtask ci` is exactly what CI runs.
//!
//! Written in Rust so that it runs wherever the library does. Every check is a *step*
//! ([`steps::ALL`] is the table): a name, a time limit and a function. Steps install the tools they
//! need, with pinned versions, so a machine with nothing but rustup's Rust can run them.

mod changelog;
mod command;
mod compat;
mod cpio;
mod harness;
mod platforms;
mod results;
mod runner;
mod step;
mod steps;
mod targets;
mod toolchain;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::runner::Budget;
use crate::step::{Context, Note, Step, Stop, Tier};

/// Litio's checks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the checks of every change, or with --full all of them
    Ci(Ci),
    /// Run single steps by name
    Step {
        /// Names as `ci --list` prints them
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Run the whole suite on each backend that serves on this system
    Backends,
    /// Run the suites and the examples as Windows programs, under Wine 8.0
    Wine {
        /// Under Wine 10, with the stress tests at length
        #[arg(long)]
        ten: bool,
    },
    /// Type-check the library and its tests for other systems
    CheckTargets {
        /// Only those of every change
        #[arg(long, conflicts_with = "targets")]
        quick: bool,
        /// Target triples; all of the table when none is given
        targets: Vec<String>,
    },
    /// Run the dependents' own tests on mio and on Litio, and print the table of both
    Compat {
        /// Only those that drive I/O, on Litio, against the committed lists
        #[arg(long, conflicts_with = "dependents")]
        quick: bool,
        /// With --quick: run them on real mio instead and write the lists
        #[arg(long, requires = "quick")]
        record: bool,
        /// Names of packages, as `tokio` or `tokio@0.8` for that line of mio; all when none is
        /// given
        dependents: Vec<String>,
    },
    /// Put servers over tokio under load, on mio and on Litio in turns, and print the table of both
    Load {
        /// How often each is measured
        #[arg(default_value_t = 5)]
        rounds: u32,
    },
    /// Write what the runs on this machine have shown into the tables of PLATFORMS.md
    Platforms,
    /// Put everything under random load at once, and watch memory and descriptors
    Soak {
        /// How long
        #[arg(default_value_t = steps::SOAK_MINUTES)]
        minutes: u64,
    },
    /// Give the fuzz targets as long as you like
    Fuzz {
        /// How long each
        #[arg(default_value_t = steps::FUZZ_SECONDS)]
        seconds: u64,
        /// All when none is given
        targets: Vec<String>,
    },
    /// Check CHANGELOG.md and print what the next release brings
    Changelog,
}

#[derive(Args)]
struct Ci {
    /// Also what takes long: all targets, emulated systems, old kernels, coverage, mutants
    #[arg(long)]
    full: bool,
    /// Only these steps
    #[arg(long, value_delimiter = ',', value_name = "STEP")]
    only: Vec<String>,
    /// Leave out these steps
    #[arg(long, value_delimiter = ',', value_name = "STEP")]
    skip: Vec<String>,
    /// Print the steps instead of running them
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    if let Some(code) = steps::act_as_linker().or_else(steps::act_as_runner) {
        return code;
    }
    let root = root();
    match Cli::parse().task {
        Task::Ci(ci) => run_ci(root, &ci),
        Task::Step { names } => run_steps(&root, &names),
        Task::Backends => run_steps(&root, &steps::BACKENDS),
        Task::Wine { ten } => run_steps(&root, &[if ten { "wine10" } else { "wine" }]),
        Task::CheckTargets { quick, targets } => check_targets(root, quick, &targets),
        Task::Compat {
            quick,
            record,
            dependents,
        } => {
            let run = |context: &Context| match (quick, record) {
                (_, true) => compat::record(context),
                (true, false) => compat::quick(context),
                (false, false) => compat::full(context, &dependents),
            };
            compat(root, run)
        }
        Task::Load { rounds } => compat(root, |context| compat::load(context, rounds)),
        Task::Platforms => {
            let context = Context::new(root, targets::LIMIT);
            finish(platforms::write(&context).map(|note| println!("{note}")))
        }
        Task::Soak { minutes } => {
            let limit = Duration::from_secs(60 * (minutes + 20));
            let context = Context::new(root, limit);
            conclude(steps::soak_for(&context, minutes))
        }
        Task::Fuzz { seconds, targets } => {
            let context = Context::new(root, Duration::MAX / 4);
            conclude(steps::fuzz_for(&context, seconds, &targets))
        }
        Task::Changelog => {
            finish(changelog::check(&root).map(|unreleased| println!("{unreleased}")))
        }
    }
}

fn run_ci(root: PathBuf, ci: &Ci) -> ExitCode {
    let (only, skip) = match (find_all(&ci.only), find_all(&ci.skip)) {
        (Ok(only), Ok(skip)) => (only, skip),
        (Err(unknown), _) | (_, Err(unknown)) => return usage(&unknown),
    };
    let chosen: Vec<&Step> = steps::ALL
        .iter()
        .filter(|step| ci.full || step.tier == Tier::Change || !only.is_empty())
        .filter(|step| only.is_empty() || only.iter().any(|other| other.name == step.name))
        .filter(|step| !skip.iter().any(|other| other.name == step.name))
        .collect();
    if ci.list {
        steps::print(&chosen);
        return ExitCode::SUCCESS;
    }
    let budget = if ci.full {
        Budget::PerStep
    } else {
        Budget::Change
    };
    runner::run(&root, &chosen, budget)
}

fn run_steps(root: &Path, names: &[impl AsRef<str>]) -> ExitCode {
    match find_all(names) {
        Ok(steps) => runner::run(root, &steps, Budget::PerStep),
        Err(unknown) => usage(&unknown),
    }
}

fn check_targets(root: PathBuf, quick: bool, triples: &[String]) -> ExitCode {
    let context = Context::new(root, targets::LIMIT);
    let chosen = match targets::choose(quick, triples) {
        Ok(chosen) => chosen,
        Err(unknown) => return usage(&unknown),
    };
    finish(
        targets::check(&context, &chosen)
            .map(|note| println!("{note}"))
            .map_err(|stop| stop.to_string()),
    )
}

fn compat(root: PathBuf, run: impl FnOnce(&Context) -> Result<Note, Stop>) -> ExitCode {
    command::forward_interrupts();
    let context = Context::new(root, compat::LIMIT);
    conclude(run(&context))
}

fn conclude(result: Result<Note, Stop>) -> ExitCode {
    finish(
        result
            .map(|note| println!("{note}"))
            .map_err(|stop| stop.to_string()),
    )
}

fn find_all(names: &[impl AsRef<str>]) -> Result<Vec<&'static Step>, String> {
    let find = |name: &str| {
        steps::ALL
            .iter()
            .find(|step| step.name == name)
            .ok_or_else(|| format!("no step `{name}`; `cargo xtask ci --full --list` names them"))
    };
    names.iter().map(|name| find(name.as_ref())).collect()
}

fn usage(message: &str) -> ExitCode {
    eprintln!("xtask: {message}");
    ExitCode::from(2)
}

fn finish(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder: this package's parent, wherever the command was started.
fn root() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package
        .parent()
        .map_or_else(|| package.clone(), PathBuf::from)
}
