//! The systems that the library must build for, and the type check for each.

use std::time::Duration;

use crate::command::Command;
use crate::step::{Context, Note, Stop, each};
use crate::{results, toolchain};

/// For all of the table, most of it with a standard library built from source.
pub(crate) const LIMIT: Duration = Duration::from_secs(4 * 3600);

/// A system, the port that it belongs to, and whether every change is checked for it.
pub(crate) struct Target {
    pub(crate) triple: &'static str,
    port: Port,
    is_quick: bool,
}

/// What must be written before the library builds for a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    /// epoll, and the socket dialect with flags.
    Linux,
    /// kqueue: Apple's systems and the BSDs.
    Kqueue,
    /// Event ports: Solaris, illumos.
    EventPorts,
    /// poll(2), or an epoll of another kernel, and the socket dialect with fcntl.
    OtherUnix,
    /// AFD on completion ports.
    Windows,
    /// poll(2), over `poll_oneoff` on preview 1.
    Wasi,
}

/// The ports that exist. A target of another one is named as not ready instead of failing every
/// run.
const READY: &[Port] = &[
    Port::Linux,
    Port::Kqueue,
    Port::EventPorts,
    Port::OtherUnix,
    Port::Windows,
    Port::Wasi,
];

/// One row per system. The eight quick ones stand for families: a libc, a selector or an OS trait
/// set of their own.
const TABLE: &[Target] = &[
    quick("x86_64-unknown-linux-musl", Port::Linux),
    quick("aarch64-linux-android", Port::Linux),
    quick("aarch64-apple-darwin", Port::Kqueue),
    quick("x86_64-unknown-freebsd", Port::Kqueue),
    quick("x86_64-unknown-netbsd", Port::Kqueue),
    quick("x86_64-unknown-illumos", Port::EventPorts),
    quick("x86_64-pc-windows-msvc", Port::Windows),
    quick("wasm32-wasip2", Port::Wasi),
    row("aarch64-unknown-linux-gnu", Port::Linux),
    row("armv7-unknown-linux-gnueabihf", Port::Linux),
    row("armv7-unknown-linux-musleabihf", Port::Linux),
    row("i686-unknown-linux-gnu", Port::Linux),
    row("riscv64gc-unknown-linux-gnu", Port::Linux),
    row("s390x-unknown-linux-gnu", Port::Linux),
    row("i686-linux-android", Port::Linux),
    row("x86_64-unknown-redox", Port::OtherUnix),
    row("x86_64-apple-darwin", Port::Kqueue),
    row("aarch64-apple-ios", Port::Kqueue),
    row("aarch64-apple-tvos", Port::Kqueue),
    row("aarch64-apple-watchos", Port::Kqueue),
    row("aarch64-apple-visionos", Port::Kqueue),
    row("x86_64-unknown-openbsd", Port::Kqueue),
    row("x86_64-unknown-dragonfly", Port::Kqueue),
    row("x86_64-pc-solaris", Port::EventPorts),
    row("sparcv9-sun-solaris", Port::EventPorts),
    row("powerpc64-ibm-aix", Port::OtherUnix),
    row("x86_64-unknown-haiku", Port::OtherUnix),
    row("x86_64-unknown-hurd-gnu", Port::OtherUnix),
    row("x86_64-unknown-fuchsia", Port::OtherUnix),
    row("x86_64-unknown-hermit", Port::OtherUnix),
    row("x86_64-pc-cygwin", Port::OtherUnix),
    row("x86_64-pc-nto-qnx710", Port::OtherUnix),
    row("riscv32imac-esp-espidf", Port::OtherUnix),
    row("armv7-sony-vita-newlibeabihf", Port::OtherUnix),
    row("armv6k-nintendo-3ds", Port::OtherUnix),
    row("x86_64-pc-windows-gnu", Port::Windows),
    row("x86_64-pc-windows-gnullvm", Port::Windows),
    row("i686-pc-windows-msvc", Port::Windows),
    row("i686-pc-windows-gnu", Port::Windows),
    row("aarch64-pc-windows-msvc", Port::Windows),
    row("wasm32-wasip1", Port::Wasi),
    row("wasm32-unknown-emscripten", Port::OtherUnix),
];

const fn quick(triple: &'static str, port: Port) -> Target {
    Target {
        triple,
        port,
        is_quick: true,
    }
}

const fn row(triple: &'static str, port: Port) -> Target {
    Target {
        triple,
        port,
        is_quick: false,
    }
}

/// All targets of the table.
pub(crate) fn triples() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|target| target.triple)
}

/// Targets whose standard library compiles with the oldest Rust that we support, and not with
/// today's.
const WITH_OLDEST: &[&str] = &["powerpc64-ibm-aix"];

/// Targets whose tests are not checked, and why.
const WITHOUT_TESTS: &[(&str, &[&str])] = &[
    (
        "programs cannot make the sockets that they are about",
        &["wasm32-wasip1"],
    ),
    (
        "they need signals, limits of resources and 64-bit atomics",
        &[
            "riscv32imac-esp-espidf",
            "armv6k-nintendo-3ds",
            "armv7-sony-vita-newlibeabihf",
        ],
    ),
    ("they need limits of resources", &["x86_64-unknown-fuchsia"]),
    (
        "packages that they use need a newer Rust",
        &["powerpc64-ibm-aix"],
    ),
    (
        "the crate socket2, which they use, does not compile there",
        &["x86_64-unknown-hermit"],
    ),
];

impl Target {
    fn without_tests(&self) -> Option<&'static str> {
        let row = WITHOUT_TESTS
            .iter()
            .find(|(_, triples)| triples.contains(&self.triple));
        row.map(|(why, _)| *why)
    }
}

/// The rows for these triples; the quick ones, or all, when none is given.
pub(crate) fn choose(quick: bool, triples: &[String]) -> Result<Vec<&'static Target>, String> {
    if triples.is_empty() {
        return Ok(TABLE
            .iter()
            .filter(|target| target.is_quick || !quick)
            .collect());
    }
    let find = |triple: &String| {
        TABLE
            .iter()
            .find(|target| target.triple == triple)
            .ok_or_else(|| {
                let known: Vec<&str> = TABLE.iter().map(|target| target.triple).collect();
                format!(
                    "no target `{triple}` in the table, which has: {}",
                    known.join(", ")
                )
            })
    };
    triples.iter().map(find).collect()
}

/// Whether the port of this target, which stands in the table, is written.
pub(crate) fn is_ready(triple: &str) -> bool {
    TABLE
        .iter()
        .any(|target| target.triple == triple && READY.contains(&target.port))
}

/// Type-checks the library, its tests and the shim for each of these systems.
pub(crate) fn check(context: &Context, targets: &[&Target]) -> Result<Note, Stop> {
    let (ready, waiting): (Vec<&Target>, Vec<&Target>) = targets
        .iter()
        .partition(|target| READY.contains(&target.port));
    for target in &waiting {
        println!(
            "!!! {} is NOT CHECKED: the port {:?} is not written yet",
            target.triple, target.port
        );
    }
    each(
        &ready,
        |target| target.triple.into(),
        |target| check_one(context, target),
    )?;
    Ok(format!(
        "{} targets checked, {} wait for their port",
        ready.len(),
        waiting.len()
    ))
}

fn check_one(context: &Context, target: &Target) -> Result<Note, Stop> {
    if target.is_quick {
        toolchain::ensure_components(context, &["clippy"])?;
    }
    let folder = context.target_dir("check").join(target.triple);
    let with_oldest = WITH_OLDEST.contains(&target.triple);
    let cargo = || match with_oldest {
        true => context.cargo_on(toolchain::MSRV),
        false => context.cargo(),
    };
    let check = || {
        // What is only compiled there, clippy sees nowhere else.
        let tool = if target.is_quick { "clippy" } else { "check" };
        let command = cargo().args([tool, "-p", "litio", "-p", "mio"]);
        command
            .args(["--target", target.triple])
            .env("CARGO_TARGET_DIR", &folder)
            .env("CARGO_INCREMENTAL", "0")
            // Both pass with warnings; cargo keeps them away from std and the dependencies.
            .env("RUSTFLAGS", "-D warnings")
    };
    // A mirror may lack what the list promises.
    let is_prebuilt = toolchain::has_prebuilt_std(context, target.triple)?
        && toolchain::ensure_targets(context, &[target.triple]).is_ok();
    if is_prebuilt {
        all_features(check, target)?;
        return keep(context, target, "of rustup");
    }
    if with_oldest {
        toolchain::ensure(context, toolchain::MSRV, &["rust-src"], &[])?;
    } else {
        toolchain::ensure_components(context, &["rust-src"])?;
    }
    // The flag is unstable, so that a stable compiler must be told that we mean it.
    let from_source = || {
        check()
            .arg("-Zbuild-std=std,panic_abort")
            .env("RUSTC_BOOTSTRAP", "1")
    };
    let outcome = all_features(from_source, target);
    // A quarter of a gigabyte each, of no use to any other.
    let _ = std::fs::remove_dir_all(&folder);
    outcome?;
    let std = if with_oldest {
        format!("from source, Rust {}", toolchain::MSRV)
    } else {
        "from source".into()
    };
    keep(context, target, &std)
}

/// With all features and the tests, if they can be; and with no feature.
fn all_features(check: impl Fn() -> Command, target: &Target) -> Result<(), Stop> {
    let tests = target.without_tests().is_none().then_some("--tests");
    check()
        .args(["--lib", "--all-features"])
        .args(tests)
        .run()?;
    check().args(["--lib", "--no-default-features"]).run()
}

fn keep(context: &Context, target: &Target, std: &str) -> Result<Note, Stop> {
    let what = match target.without_tests() {
        None => "library and tests".into(),
        Some(why) => format!("library; no tests: {why}"),
    };
    results::keep_checked(context, target.triple, std, &what)?;
    Ok(Note::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_targets_of_the_table_have_reasons() {
        for (_, triples) in WITHOUT_TESTS {
            for triple in *triples {
                assert!(TABLE.iter().any(|row| row.triple == *triple), "{triple}");
            }
        }
    }

    #[test]
    fn eight_targets_are_quick_and_none_stands_twice() {
        assert_eq!(choose(true, &[]).unwrap().len(), 8);
        let mut triples: Vec<&str> = TABLE.iter().map(|target| target.triple).collect();
        triples.sort_unstable();
        triples.dedup();
        assert_eq!(triples.len(), TABLE.len());
    }

    #[test]
    fn an_unknown_target_is_refused_by_name() {
        assert!(
            choose(false, &["vax-dec-ultrix".into()])
                .err()
                .unwrap()
                .contains("vax-dec")
        );
    }
}
