//! The table of all steps; what each does stands in a file per theme.

mod emulated;
mod endurance;
mod examples;
mod house;
mod instructions;
mod kernels;
mod links;
mod mutants;
mod quality;
mod suites;
mod syscalls;
mod wasi;
mod wine;

pub(crate) use endurance::{FUZZ_SECONDS, SOAK_MINUTES, fuzz_for, soak_for};
pub(crate) use links::act_as_linker;
pub(crate) use mutants::act_as_runner;

use crate::compat;
use crate::step::{Context, Hosts, Note, Step, Stop, Tier};
use crate::targets;

/// All steps in the order in which they run: what fails most often and fastest comes first.
pub(crate) const ALL: &[Step] = &[
    // The house.
    any("fmt", "sources are formatted", 3, house::fmt),
    any(
        "clippy",
        "no lint of rustc or clippy fires, with each set of features",
        10,
        house::clippy,
    ),
    any(
        "clippy-apart",
        "no lint fires in bench, compat and fuzz, workspaces of their own",
        10,
        house::clippy_apart,
    ),
    any(
        "shims",
        "the packages named mio build with every combination of features",
        5,
        house::shims,
    ),
    any(
        "doc",
        "the documentation builds without a warning",
        5,
        house::doc,
    ),
    any(
        "changelog",
        "CHANGELOG.md is well-formed",
        1,
        house::changelog,
    ),
    any(
        "msrv",
        "the oldest supported Rust builds the library and the shim",
        5,
        house::msrv,
    ),
    // What the README tells a newcomer to run.
    any(
        "test",
        "the README's test command: the default backend, and all that compile here",
        12,
        suites::test,
    ),
    any(
        "examples",
        "each example runs for short and refuses bad input",
        6,
        examples::examples,
    ),
    // The same promises elsewhere.
    any(
        "release",
        "the suites in a release build",
        10,
        suites::release,
    ),
    unix(
        "checked",
        "the suites under the checker, which finds nothing that is not there",
        10,
        suites::checked,
    ),
    unix("poll", "the suites on poll(2), forced", 10, suites::poll),
    any(
        "loom",
        "the wake state machine in every interleaving",
        8,
        suites::loom,
    ),
    linux(
        "asan",
        "the suites under AddressSanitizer",
        10,
        suites::asan,
    ),
    linux(
        "miri",
        "what Miri can emulate has no undefined behaviour",
        12,
        suites::miri,
    ),
    linux("i686", "the suites on 32-bit Linux", 8, emulated::i686),
    linux(
        "s390x",
        "the suites on a big-endian Linux, under qemu-user",
        12,
        emulated::s390x,
    ),
    linux(
        "compat",
        "what drives I/O of tokio and others passes on Litio as on mio; parity with mio",
        12,
        compat::quick,
    ),
    linux(
        "syscalls",
        "a message costs the system calls of a hand-written loop, under strace",
        8,
        syscalls::syscalls,
    ),
    linux(
        "instructions",
        "calls and messages cost no more instructions than they did, under callgrind",
        8,
        instructions::instructions,
    ),
    linux(
        "wasi",
        "the suites on WASI preview 2, under wasmtime",
        15,
        wasi::p2,
    ),
    linux(
        "wine",
        "the suites and the examples as Windows programs, under Wine",
        15,
        wine::wine,
    ),
    any(
        "quick-targets",
        "library and tests type-check for eight other systems, and no lint fires there",
        10,
        house::quick_targets,
    ),
    // On demand.
    linux("tsan", "the suites under ThreadSanitizer", 20, suites::tsan).full(),
    linux("musl", "the suites on musl", 10, emulated::musl).full(),
    linux(
        "aarch64",
        "the suites on aarch64, under qemu-user",
        15,
        emulated::aarch64,
    )
    .full(),
    linux(
        "armv7",
        "the suites on 32-bit ARM, under qemu-user",
        15,
        emulated::armv7,
    )
    .full(),
    linux(
        "kernel-5.10",
        "the suites on Linux 5.10, which has no epoll_pwait2",
        20,
        kernels::linux_5_10,
    )
    .full(),
    linux(
        "kernel-6.1",
        "the suites on Linux 6.1",
        20,
        kernels::linux_6_1,
    )
    .full(),
    linux(
        "wine10",
        "the suites, their stress tests at length, and the examples, under Wine 10",
        40,
        wine::wine10,
    )
    .full(),
    linux(
        "zig-links",
        "test programs of systems that cannot run here link",
        30,
        links::links,
    )
    .full(),
    linux(
        "compat-full",
        "dependents' own tests, all of them, on mio and on Litio",
        compat::LIMIT.as_secs() / 60,
        |context| compat::full(context, &[]),
    )
    .full(),
    any(
        "targets",
        "library and tests type-check for every system of the table",
        targets::LIMIT.as_secs() / 60,
        house::all_targets,
    )
    .full(),
    any(
        "min-versions",
        "the oldest dependencies that Cargo.toml admits are enough",
        10,
        quality::min_versions,
    )
    .full(),
    any(
        "deny",
        "licences, sources and advisories of the dependencies",
        20,
        quality::deny,
    )
    .full(),
    linux(
        "public-api",
        "the public API is the committed listing",
        20,
        quality::public_api,
    )
    .full(),
    unix(
        "soak",
        "ten minutes of random load lose nothing and let nothing grow",
        25,
        endurance::soak,
    )
    .full(),
    linux("fuzz", "a minute of each fuzz target", 25, endurance::fuzz).full(),
    any(
        "coverage",
        "how much of src the tests execute",
        30,
        quality::coverage,
    )
    .full(),
    any(
        "mutants",
        "the tests notice when the code is broken",
        240,
        mutants::mutants,
    )
    .full(),
];

/// The steps of `cargo xtask backends`: together they run every backend that serves or compiles on
/// this system.
pub(crate) const BACKENDS: [&str; 2] = ["test", "poll"];

/// The steps that run suites and leave what they have shown for PLATFORMS.md, in the order of its
/// table.
pub(crate) const RECORDED: [&str; 15] = [
    "release",
    "poll",
    "musl",
    "i686",
    "armv7",
    "aarch64",
    "s390x",
    "kernel-5.10",
    "kernel-6.1",
    "asan",
    "tsan",
    "miri",
    "wine",
    "wine10",
    "wasi",
];

/// Prints names, limits and purposes.
pub(crate) fn print(steps: &[&Step]) {
    for step in steps {
        let tier = if step.tier == Tier::Full { "full" } else { "" };
        println!(
            "{:14} {:4} min  {tier:5} {}",
            step.name, step.limit_minutes, step.about
        );
    }
}

type Run = fn(&Context) -> Result<Note, Stop>;

const fn step(
    name: &'static str,
    about: &'static str,
    limit_minutes: u64,
    hosts: Hosts,
    run: Run,
) -> Step {
    Step {
        name,
        about,
        tier: Tier::Change,
        hosts,
        limit_minutes,
        run,
    }
}

const fn any(name: &'static str, about: &'static str, limit_minutes: u64, run: Run) -> Step {
    step(name, about, limit_minutes, Hosts::Any, run)
}

const fn unix(name: &'static str, about: &'static str, limit_minutes: u64, run: Run) -> Step {
    step(name, about, limit_minutes, Hosts::Unix, run)
}

const fn linux(name: &'static str, about: &'static str, limit_minutes: u64, run: Run) -> Step {
    step(name, about, limit_minutes, Hosts::LinuxX86_64, run)
}

impl Step {
    /// Only for `ci --full`.
    const fn full(mut self) -> Step {
        self.tier = Tier::Full;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_the_backend_steps_exist() {
        for (index, step) in ALL.iter().enumerate() {
            assert!(
                ALL[..index].iter().all(|other| other.name != step.name),
                "{}",
                step.name
            );
        }
        assert!(
            BACKENDS
                .iter()
                .chain(&RECORDED)
                .all(|name| ALL.iter().any(|step| step.name == *name))
        );
    }
}
