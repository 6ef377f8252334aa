//! The suites on this machine: as the README says, on the other backend, and under tools that see more than tests do.
//!
//! What is compiled with other flags has a target folder of its own, so that no two steps evict each other's work.

use crate::command::Command;
use crate::step::{Context, Note, Stop};
use crate::toolchain::{self, NIGHTLY};

/// The only triple of the sanitizers' steps; named, so that build scripts and macros are built without the sanitizer.
const HOST: &str = "x86_64-unknown-linux-gnu";

/// Word for word the command of the README.
pub(crate) fn test(context: &Context) -> Result<Note, Stop> {
    context
        .cargo()
        .args(["test", "--workspace", "--all-features"])
        .run_tests()
}

/// As programs are shipped: sources take no room of their own, and it is the kernel that notices mistakes.
pub(crate) fn release(context: &Context) -> Result<Note, Stop> {
    suites(context.cargo()).arg("--release").run_tests()
}

pub(crate) fn poll(context: &Context) -> Result<Note, Stop> {
    let suites = suites(context.cargo()).env("RUSTFLAGS", "--cfg litio_backend=\"poll\"");
    suites
        .env("CARGO_TARGET_DIR", context.target_dir("poll"))
        .run_tests()
}

/// Under a cfg of our own: a plain `--cfg loom` would reconfigure the dependencies too.
pub(crate) fn loom(context: &Context) -> Result<Note, Stop> {
    let models = context
        .cargo()
        .args(["test", "-p", "litio", "--release", "--lib", "loom"]);
    models
        .env("RUSTFLAGS", "--cfg litio_loom")
        .env("CARGO_TARGET_DIR", context.target_dir("loom"))
        .run_tests()
}

pub(crate) fn asan(context: &Context) -> Result<Note, Stop> {
    toolchain::ensure(context, NIGHTLY, &[], &[])?;
    sanitized(context, "address", "asan").run_tests()
}

/// Builds the standard library too: a race between it and us is seen only if both are instrumented.
pub(crate) fn tsan(context: &Context) -> Result<Note, Stop> {
    toolchain::ensure(context, NIGHTLY, &["rust-src"], &[])?;
    sanitized(context, "thread", "tsan")
        .arg("-Zbuild-std")
        .run_tests()
}

fn sanitized(context: &Context, sanitizer: &str, folder: &str) -> Command {
    suites(context.cargo_on(NIGHTLY))
        .args(["--target", HOST])
        .env("RUSTFLAGS", format!("-Zsanitizer={sanitizer}"))
        .env("CARGO_TARGET_DIR", context.target_dir(folder))
}

/// What Miri can emulate, as parts of tests' names. It knows epoll, eventfd, pipes and streams, but no poll(2), no datagrams,
/// no level-triggered epoll and no `epoll_pwait2`; and it is slow, so that nothing which measures time is here. The first
/// call that it does not know would end the whole run.
const UNDER_MIRI: &[&str] = &[
    "events::",
    "interest::",
    "wake_state::",
    "sys::selector::epoll::",
    "sys::selector::timeout::",
    "conformance::epoll::a_blocked_read_does_not_report_writable_again",
    "conformance::epoll::a_deregistered_source_may_be_registered_again",
    "conformance::epoll::a_drained_source_is_reported_again_and_again",
    "conformance::epoll::a_knock_ends_the_select_that_runs_or_the_next_one",
    "conformance::epoll::a_listener_reports_each_connection",
    "conformance::epoll::a_small_poll_leaves_what_it_did_not_report_for_a_large_one",
    "conformance::epoll::a_source_that_becomes_ready_during_a_poll_ends_it",
];

/// Tests beside the code. Isolation is off since sockets and clocks are the system's.
pub(crate) fn miri(context: &Context) -> Result<Note, Stop> {
    toolchain::ensure(context, NIGHTLY, &["miri", "rust-src"], &[])?;
    let tests = context
        .cargo_on(NIGHTLY)
        .args(["miri", "test", "-p", "litio", "--lib"]);
    tests
        .args(["--all-features", "--"])
        .args(UNDER_MIRI.iter().copied())
        .env(
            "MIRIFLAGS",
            "-Zmiri-disable-isolation -Zmiri-strict-provenance",
        )
        .env("CARGO_TARGET_DIR", context.target_dir("miri"))
        .run_tests()
}

/// The library's unit and integration tests, with all features.
pub(crate) fn suites(cargo: Command) -> Command {
    cargo.args([
        "test",
        "-p",
        "litio",
        "--tests",
        "--all-features",
        "--no-fail-fast",
    ])
}

/// The arguments that leave out tests which cannot pass on a system, each given with the reason, which goes to the log.
pub(crate) fn skip(tests: &[(&'static str, &str)]) -> Vec<&'static str> {
    let mut args = Vec::new();
    for (name, why) in tests {
        println!("!!! {name} is NOT RUN: {why}");
        args.extend(["--skip", *name]);
    }
    args
}

/// Where `epoll_pwait2` is missing, milliseconds are the finest timeouts.
pub(crate) const FINE_TIMEOUTS: [(&str, &str); 3] = [
    (
        "a_short_timeout_is_kept_to_the_systems_resolution",
        "no epoll_pwait2",
    ),
    (
        "a_timeout_below_a_millisecond_is_kept_below_it",
        "no epoll_pwait2",
    ),
    (
        "a_timeout_between_milliseconds_is_kept_too",
        "no epoll_pwait2",
    ),
];
