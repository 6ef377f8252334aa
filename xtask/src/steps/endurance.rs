//! What takes as long as one gives it: random load, and fuzzing.

use crate::step::{Context, Note, Stop, each};
use crate::toolchain::{self, NIGHTLY};
use crate::tools;

const CARGO_FUZZ: &str = "0.13.2";

pub(crate) const SOAK_MINUTES: u64 = 10;
pub(crate) const FUZZ_SECONDS: u64 = 60;

/// The targets in `fuzz/`, and the longest input worth trying.
const TARGETS: [(&str, u32); 4] = [
    ("addresses", 160),
    ("control_messages", 4096),
    ("events", 4096),
    ("model", 1024),
];

pub(crate) fn soak(context: &Context) -> Result<Note, Stop> {
    soak_for(context, SOAK_MINUTES)
}

pub(crate) fn soak_for(context: &Context, minutes: u64) -> Result<Note, Stop> {
    let seconds = 60 * minutes;
    let output = context
        .cargo()
        .args(["test", "-p", "litio", "--release", "--test", "soak"])
        .args(["--", "--nocapture"])
        .env("LITIO_SOAK_SECONDS", seconds.to_string())
        .watch()?;
    let figures = output
        .lines()
        .filter(|line| line.starts_with("memory: ") || line.starts_with("descriptors: "));
    Ok(figures.collect::<Vec<_>>().join("; "))
}

pub(crate) fn fuzz(context: &Context) -> Result<Note, Stop> {
    fuzz_for(context, FUZZ_SECONDS, &[])
}

/// Each target begins with what it found the last time, in `fuzz/corpus`.
pub(crate) fn fuzz_for(context: &Context, seconds: u64, names: &[String]) -> Result<Note, Stop> {
    toolchain::ensure(context, NIGHTLY, &[], &[])?;
    let program = tools::cargo_program(context, "cargo-fuzz", CARGO_FUZZ)?;
    if let Some(name) = names
        .iter()
        .find(|name| TARGETS.iter().all(|(target, _)| target != name))
    {
        return Err(Stop::failed(format!(
            "no fuzz target `{name}` among {TARGETS:?}"
        )));
    }
    let chosen = TARGETS
        .into_iter()
        .filter(|(target, _)| names.is_empty() || names.iter().any(|name| name == target));
    each(
        chosen,
        |(target, _)| (*target).into(),
        |(target, len_max)| {
            context
                .command(&program.to_string_lossy())
                // Which one cargo takes is for the toolchain to say.
                .env("RUSTUP_TOOLCHAIN", NIGHTLY)
                .args(["fuzz", "run", target, "--"])
                .arg(format!("-max_total_time={seconds}"))
                .arg(format!("-max_len={len_max}"))
                // Long scripts from the beginning.
                .arg("-len_control=0")
                .run()?;
            Ok(format!("{seconds} s"))
        },
    )
}
