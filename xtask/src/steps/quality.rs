//! How good the tests and how sound the dependencies are.

use std::collections::BTreeSet;

use crate::step::{Context, Note, Stop};
use crate::toolchain::{self, NIGHTLY};
use crate::tools;

const CARGO_DENY: &str = "0.20.2";
const CARGO_LLVM_COV: &str = "0.9.1";
const CARGO_PUBLIC_API: &str = "0.52.0";

/// What the library offers on this system, an item a line; the next release is compared with the
/// last by its history.
const PUBLIC_API: &str = "xtask/public-api-linux.txt";

/// The least share of lines that the tests execute, in per cent. It only ever rises.
const LINES_MIN: &str = "96";

pub(crate) fn deny(context: &Context) -> Result<Note, Stop> {
    let program = tools::cargo_program(context, "cargo-deny", CARGO_DENY)?;
    let deny = || {
        context
            .command(&program.to_string_lossy())
            .args(["--all-features", "check"])
    };
    deny().args(["bans", "licenses", "sources"]).run()?;
    // The advisories are a repository to be fetched: without it that is not a finding.
    let output = deny().arg("advisories").output()?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    print!("{log}");
    if output.status.success() {
        Ok(Note::new())
    } else if log.contains("failed to fetch advisory database") {
        Err(Stop::missing(
            "the database of advisories could not be fetched",
        ))
    } else {
        Err(Stop::failed("an advisory stands against a dependency"))
    }
}

/// The library against the oldest direct dependencies, in a copy of the manifest's folder: the lock
/// file stays as it is.
pub(crate) fn min_versions(context: &Context) -> Result<Note, Stop> {
    toolchain::ensure(context, NIGHTLY, &[], &[])?;
    let failed = |error: std::io::Error| Stop::failed(error.to_string());
    let copy = context.target_dir("min-versions").join("copy");
    let _ = std::fs::remove_dir_all(&copy);
    std::fs::create_dir_all(&copy).map_err(failed)?;
    // What git knows, as it stands in the work tree.
    let files = context.command("git").args(["ls-files", "-z"]).read()?;
    for file in files.split('\0').filter(|file| !file.is_empty()) {
        let (from, to) = (context.root.join(file), copy.join(file));
        if let (true, Some(folder)) = (from.exists(), to.parent()) {
            std::fs::create_dir_all(folder).map_err(failed)?;
            std::fs::copy(from, to).map_err(failed)?;
        }
    }
    // The library alone: what its tools wish is nothing to its users.
    let manifest = copy.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).map_err(failed)?;
    let alone = text.lines().filter(|line| !line.starts_with("members = "));
    std::fs::write(&manifest, alone.collect::<Vec<_>>().join("\n")).map_err(failed)?;
    let update = context
        .cargo_on(NIGHTLY)
        .args(["update", "-Zdirect-minimal-versions"]);
    update.directory(&copy).run()?;
    let check = context
        .cargo()
        .args(["check", "-p", "litio", "--lib", "--all-features"]);
    let check = check.env("CARGO_TARGET_DIR", context.target_dir("min-versions"));
    check.directory(&copy).run()?;
    Ok(Note::new())
}

/// Of the library; the conformance suite is tests.
pub(crate) fn coverage(context: &Context) -> Result<Note, Stop> {
    toolchain::ensure_components(context, &["llvm-tools"])?;
    let program = tools::cargo_program(context, "cargo-llvm-cov", CARGO_LLVM_COV)?;
    let table = context
        .command(&program.to_string_lossy())
        .args([
            "llvm-cov",
            "-p",
            "litio",
            "--all-features",
            "--tests",
            "--summary-only",
            "--ignore-filename-regex=src/conformance",
        ])
        .args(["--fail-under-lines", LINES_MIN])
        .watch()?;
    // The last row: name, regions (3 columns), functions (3), lines (total, missed, share), …
    let total = table.lines().find(|line| line.starts_with("TOTAL"));
    let lines = total
        .and_then(|line| line.split_whitespace().nth(9))
        .unwrap_or("?");
    Ok(format!("{lines} of the lines"))
}

/// Fails when the public API is not the committed listing, and prints the difference.
/// `LITIO_BLESS=1` writes the listing.
pub(crate) fn public_api(context: &Context) -> Result<Note, Stop> {
    toolchain::ensure(context, NIGHTLY, &[], &[])?;
    let program = tools::cargo_program(context, "cargo-public-api", CARGO_PUBLIC_API)?;
    let listing = context
        .command(&program.to_string_lossy())
        // Without what every type has, or only the compiler may name.
        .args(["public-api", "-p", "litio", "--all-features", "-sss"])
        .env("RUSTUP_TOOLCHAIN", NIGHTLY)
        .env("CARGO_TARGET_DIR", context.target_dir("public-api"))
        .read()?;
    let path = context.root.join(PUBLIC_API);
    let failed = |error: std::io::Error| Stop::failed(format!("{}: {error}", path.display()));
    if std::env::var_os("LITIO_BLESS").is_some() {
        std::fs::write(&path, &listing).map_err(failed)?;
    }
    let committed = std::fs::read_to_string(&path).map_err(failed)?;
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) =
        (committed.lines().collect(), listing.lines().collect());
    let (gone, added) = (old.difference(&new), new.difference(&old));
    gone.clone().for_each(|item| println!("- {item}"));
    added.clone().for_each(|item| println!("+ {item}"));
    match (gone.count(), added.count()) {
        (0, 0) => Ok(format!("{} items", new.len())),
        (gone, added) => Err(Stop::failed(format!(
            "{gone} items gone, {added} new; \
             if that is meant, `LITIO_BLESS=1 cargo xtask step public-api` writes {PUBLIC_API}"
        ))),
    }
}
