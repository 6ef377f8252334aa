//! The systems that the library must build for, and the type check for each.

use std::time::Duration;

use crate::step::{Context, Note, Stop, each};
use crate::toolchain;

/// For all of the table, most of it with a standard library built from source.
pub(crate) const LIMIT: Duration = Duration::from_secs(4 * 3600);

/// A system, the backend that serves there, and whether every change is checked for it.
pub(crate) struct Target {
    pub(crate) triple: &'static str,
    backend: Backend,
    is_quick: bool,
}

/// The selectors, as in the library's `src/sys/selector`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    dead_code,
    reason = "names stand ready for the backends that are still to come"
)]
enum Backend {
    Epoll,
    Poll,
    Kqueue,
    EventPorts,
    Afd,
    Wasi,
}

/// The backends that exist. A target of another one is listed as not ready instead of failing every run.
const READY: &[Backend] = &[Backend::Epoll, Backend::Poll];

/// One row per system. The eight quick ones stand for families: a libc, a backend or an OS trait set of their own.
const TABLE: &[Target] = &[
    quick("x86_64-unknown-linux-musl", Backend::Epoll),
    quick("aarch64-linux-android", Backend::Epoll),
    quick("aarch64-apple-darwin", Backend::Kqueue),
    quick("x86_64-unknown-freebsd", Backend::Kqueue),
    quick("x86_64-unknown-netbsd", Backend::Kqueue),
    quick("x86_64-unknown-illumos", Backend::EventPorts),
    quick("x86_64-pc-windows-msvc", Backend::Afd),
    quick("wasm32-wasip2", Backend::Poll),
    row("aarch64-unknown-linux-gnu", Backend::Epoll),
    row("armv7-unknown-linux-gnueabihf", Backend::Epoll),
    row("armv7-unknown-linux-musleabihf", Backend::Epoll),
    row("i686-unknown-linux-gnu", Backend::Epoll),
    row("riscv64gc-unknown-linux-gnu", Backend::Epoll),
    row("s390x-unknown-linux-gnu", Backend::Epoll),
    row("i686-linux-android", Backend::Epoll),
    row("x86_64-unknown-redox", Backend::Epoll),
    row("x86_64-apple-darwin", Backend::Kqueue),
    row("aarch64-apple-ios", Backend::Kqueue),
    row("aarch64-apple-tvos", Backend::Kqueue),
    row("aarch64-apple-watchos", Backend::Kqueue),
    row("aarch64-apple-visionos", Backend::Kqueue),
    row("x86_64-unknown-openbsd", Backend::Kqueue),
    row("x86_64-unknown-dragonfly", Backend::Kqueue),
    row("x86_64-pc-solaris", Backend::EventPorts),
    row("x86_64-unknown-haiku", Backend::Poll),
    row("x86_64-unknown-hurd-gnu", Backend::Poll),
    row("x86_64-unknown-fuchsia", Backend::Poll),
    row("x86_64-unknown-hermit", Backend::Poll),
    row("x86_64-pc-cygwin", Backend::Poll),
    row("x86_64-pc-nto-qnx710", Backend::Poll),
    row("riscv32imac-esp-espidf", Backend::Poll),
    row("armv7-sony-vita-newlibeabihf", Backend::Poll),
    row("armv6k-nintendo-3ds", Backend::Poll),
    row("x86_64-pc-windows-gnu", Backend::Afd),
    row("x86_64-pc-windows-gnullvm", Backend::Afd),
    row("i686-pc-windows-msvc", Backend::Afd),
    row("i686-pc-windows-gnu", Backend::Afd),
    row("aarch64-pc-windows-msvc", Backend::Afd),
    row("wasm32-wasip1", Backend::Wasi),
];

const fn quick(triple: &'static str, backend: Backend) -> Target {
    Target {
        triple,
        backend,
        is_quick: true,
    }
}

const fn row(triple: &'static str, backend: Backend) -> Target {
    Target {
        triple,
        backend,
        is_quick: false,
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

/// Whether the backend of this target, which stands in the table, is written.
pub(crate) fn is_ready(triple: &str) -> bool {
    TABLE
        .iter()
        .any(|target| target.triple == triple && READY.contains(&target.backend))
}

/// Type-checks the library and its tests for each of these systems.
pub(crate) fn check(context: &Context, targets: &[&Target]) -> Result<Note, Stop> {
    let (ready, waiting): (Vec<&Target>, Vec<&Target>) = targets
        .iter()
        .partition(|target| READY.contains(&target.backend));
    for target in &waiting {
        println!(
            "!!! {} is NOT CHECKED: {:?} is not written yet",
            target.triple, target.backend
        );
    }
    each(
        &ready,
        |target| target.triple.into(),
        |target| check_one(context, target),
    )?;
    Ok(format!(
        "{} targets checked, {} wait for their backend",
        ready.len(),
        waiting.len()
    ))
}

fn check_one(context: &Context, target: &Target) -> Result<Note, Stop> {
    let folder = context.target_dir("check").join(target.triple);
    let check = || {
        let command = context
            .cargo()
            .args(["check", "-p", "litio", "--target", target.triple]);
        command
            .env("CARGO_TARGET_DIR", &folder)
            .env("CARGO_INCREMENTAL", "0")
    };
    if toolchain::has_prebuilt_std(context, target.triple)? {
        toolchain::ensure_targets(context, &[target.triple])?;
        check().args(["--lib", "--tests", "--all-features"]).run()?;
        check().args(["--lib", "--no-default-features"]).run()?;
        return Ok(Note::new());
    }
    toolchain::ensure_components(context, &["rust-src"])?;
    // The flag is unstable, so that a stable compiler must be told that we mean it.
    let from_source = || {
        check()
            .arg("-Zbuild-std=std,panic_abort")
            .env("RUSTC_BOOTSTRAP", "1")
    };
    let outcome = from_source()
        .args(["--lib", "--all-features"])
        .run()
        .and_then(|()| from_source().args(["--lib", "--no-default-features"]).run());
    // A quarter of a gigabyte each, of no use to any other.
    let _ = std::fs::remove_dir_all(&folder);
    outcome.map(|()| Note::new())
}

#[cfg(test)]
mod tests {
    use super::*;

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
