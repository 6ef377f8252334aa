//! The suites on this machine: as the README says, on the other backend, and under tools that see
//! more than tests do.
//!
//! What is compiled with other flags has a target folder of its own, so that no two steps evict
//! each other's work.

use crate::command::Command;
use crate::results::Place;
use crate::step::{Context, Note, Stop};
use crate::toolchain::{self, NIGHTLY};

/// The only triple of the sanitizers' steps; named, so that build scripts and macros are built
/// without the sanitizer.
const HOST: &str = "x86_64-unknown-linux-gnu";

/// Word for word the command of the README.
pub(crate) fn test(context: &Context) -> Result<Note, Stop> {
    context
        .cargo()
        .args(["test", "--workspace", "--all-features"])
        .run_tests()
}

/// As programs are shipped: sources take no room of their own, and it is the kernel that notices
/// mistakes.
pub(crate) fn release(context: &Context) -> Result<Note, Stop> {
    let suites = suites(context.cargo()).arg("--release");
    here("release", "epoll", String::new()).run(context, suites.clone(), suites, &[])
}

/// The tests that make mistakes on purpose, which the checker finds. All others are programs
/// without mistakes, in which it must find none.
const MISTAKEN: &[(&str, &str)] = &[
    ("a_new_poller_is_not_taken_for_one_that_is_gone", ELSEWHERE),
    ("another_registry_is_refused_and_changes_nothing", ELSEWHERE),
    (
        "another_registry_that_knows_the_descriptor_does_not_give_it_up",
        ELSEWHERE,
    ),
    ("registering_twice_is_refused_and_leaves_the_first", TWICE),
    ("registration_mistakes_are_told_as_for_the_sockets", TWICE),
    ("a_spent_one_shot_source_is_still_registered", TWICE),
    (
        "a_foreign_registry_is_refused_and_leaves_no_trace",
        ELSEWHERE,
    ),
    ("a_refused_second_registration_changes_nothing", TWICE),
    ("registering_twice_is_already_exists", TWICE),
    (
        "registering_with_a_second_poll_is_refused_and_leaves_no_trace",
        ELSEWHERE,
    ),
    ("what_a_mistake_is_told_says_what_to_do", TWICE),
    ("registering_each_end_twice_is_already_exists", TWICE),
    ("random_operations_leave_nothing_due", TWICE),
    ("scripts_leave_nothing_due", TWICE),
    (
        "registering_allocates_nothing_on_epoll",
        "the checker allocates",
    ),
];
const TWICE: &str = "it registers twice, on purpose";
const ELSEWHERE: &str = "it registers elsewhere, on purpose";

/// All `Poll`s have a checker, by the environment. It has patience with busy machines.
pub(crate) fn checked(context: &Context) -> Result<Note, Stop> {
    let mut suites = suites(context.cargo())
        .env("LITIO_CHECK", "panic,1000")
        .arg("--");
    for (name, why) in MISTAKEN {
        println!("!!! {name} is NOT RUN: {why}");
        suites = suites.args(["--skip", *name]);
    }
    suites.run_tests()
}

pub(crate) fn poll(context: &Context) -> Result<Note, Stop> {
    let suites = suites(context.cargo())
        .env("RUSTFLAGS", "--cfg litio_backend=\"poll\"")
        .env("CARGO_TARGET_DIR", context.target_dir("poll"));
    here("poll", "poll(2)", String::new()).run(context, suites.clone(), suites, &[])
}

/// This system, and what is between it and the tests.
fn here<'a>(step: &'a str, backend: &'a str, between: String) -> Place<'a> {
    Place {
        step,
        target: HOST,
        system: format!("Linux {}{between}", kernel()),
        backend,
        unable: Vec::new(),
        otherwise: "did not run",
    }
}

/// The running kernel's version, in two numbers.
pub(crate) fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.split('.').take(2).collect::<Vec<_>>().join(".")
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
    let suites = sanitized(context, "address", "asan");
    here("asan", "epoll", ", AddressSanitizer".into()).run(context, suites.clone(), suites, &[])
}

/// Builds the standard library too: a race between it and us is seen only if both are instrumented.
pub(crate) fn tsan(context: &Context) -> Result<Note, Stop> {
    toolchain::ensure(context, NIGHTLY, &["rust-src"], &[])?;
    let suites = sanitized(context, "thread", "tsan").arg("-Zbuild-std");
    let place = Place {
        unable: UNSEEN_BY_TSAN.to_vec(),
        ..here("tsan", "epoll", ", ThreadSanitizer".into())
    };
    place.run(context, suites.clone(), suites, &[])
}

/// The emulations learn from the kernel that a descriptor was closed, and free what belonged to it.
/// ThreadSanitizer does not see an order that the kernel keeps.
const UNSEEN_BY_TSAN: &[(&str, &str)] = &[
    ("kqueue", "an emulation, ordered by the kernel"),
    ("event_ports", "an emulation, ordered by the kernel"),
];

fn sanitized(context: &Context, sanitizer: &str, folder: &str) -> Command {
    suites(context.cargo_on(NIGHTLY))
        .args(["--target", HOST])
        .env("RUSTFLAGS", format!("-Zsanitizer={sanitizer}"))
        .env("CARGO_TARGET_DIR", context.target_dir(folder))
}

/// What Miri can emulate, as parts of tests' names. It knows epoll, eventfd, pipes and streams, but
/// no poll(2), no datagrams, no level-triggered epoll and no `epoll_pwait2`; and it is slow, so
/// that nothing which measures time is here. The first call that it does not know would end the
/// whole run.
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
        .args(["miri", "test", "-p", "litio", "--lib", "--all-features"])
        .env(
            "MIRIFLAGS",
            "-Zmiri-disable-isolation -Zmiri-strict-provenance",
        )
        .env("CARGO_TARGET_DIR", context.target_dir("miri"));
    let place = Place {
        system: "Miri".into(),
        otherwise: "unknown to Miri, which ends at the first such call, or too slow there",
        ..here("miri", "epoll", String::new())
    };
    place.run(context, tests.clone(), tests, UNDER_MIRI)
}

/// The library's unit and integration tests, with all features; but not those of the sources' form.
pub(crate) fn suites(cargo: Command) -> Command {
    cargo.args([
        "test",
        "-p",
        "litio",
        "--lib",
        "--test",
        "suite",
        "--test",
        "process",
        "--all-features",
        "--no-fail-fast",
    ])
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
