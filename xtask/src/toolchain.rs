//! The pinned toolchains, and rustup to fetch them.

use crate::step::{Context, Stop};

/// The oldest Rust that builds the library: `rust-version` in Cargo.toml.
pub(crate) const MSRV: &str = "1.85.0";

/// For Miri, sanitizers and coverage. Pinned, so that a new nightly never breaks an old change.
pub(crate) const NIGHTLY: &str = "nightly-2026-05-20";

/// Makes sure the pinned toolchain is there, with these components and targets.
pub(crate) fn ensure(
    context: &Context,
    toolchain: &str,
    components: &[&str],
    targets: &[&str],
) -> Result<(), Stop> {
    let installed = rustup(context, &["toolchain", "list"])?;
    if !installed.lines().any(|line| line.starts_with(toolchain)) {
        let words = [
            "toolchain",
            "install",
            toolchain,
            "--profile",
            "minimal",
            "--no-self-update",
        ];
        fetch(context, &words)?;
    }
    add(context, "component", Some(toolchain), components)?;
    add(context, "target", Some(toolchain), targets)
}

/// Makes sure the toolchain that runs this program has these components.
pub(crate) fn ensure_components(context: &Context, components: &[&str]) -> Result<(), Stop> {
    add(context, "component", None, components)
}

/// Makes sure the toolchain that runs this program has the standard library of these targets.
pub(crate) fn ensure_targets(context: &Context, targets: &[&str]) -> Result<(), Stop> {
    add(context, "target", None, targets)
}

/// Whether rustup has a standard library for the target.
pub(crate) fn has_prebuilt_std(context: &Context, target: &str) -> Result<bool, Stop> {
    Ok(rustup(context, &["target", "list", "--quiet"])?
        .lines()
        .any(|line| line.trim() == target))
}

fn add(context: &Context, kind: &str, toolchain: Option<&str>, names: &[&str]) -> Result<(), Stop> {
    let mut list = vec![kind, "list", "--installed"];
    list.extend(toolchain.iter().flat_map(|name| ["--toolchain", *name]));
    let installed = rustup(context, &list)?;
    // Components are listed with the host's triple behind the name.
    let is_there = |name: &str| {
        installed.lines().any(|line| {
            line == name || (kind == "component" && line.starts_with(&format!("{name}-")))
        })
    };
    let missing: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| !is_there(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut words = vec![kind, "add"];
    words.extend(toolchain.iter().flat_map(|name| ["--toolchain", *name]));
    words.extend(missing);
    fetch(context, &words)
}

fn rustup(context: &Context, words: &[&str]) -> Result<String, Stop> {
    let output = context
        .command("rustup")
        .args(words.iter().copied())
        .output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().to_string();
    Err(Stop::missing(format!(
        "`rustup {}`: {why}",
        words.join(" ")
    )))
}

/// Downloads; tried again once, since a mirror's hiccup is no finding.
fn fetch(context: &Context, words: &[&str]) -> Result<(), Stop> {
    let try_once = || context.command("rustup").args(words.iter().copied()).run();
    try_once()
        .or_else(|_| try_once())
        .map_err(|stop| Stop::missing(stop.to_string()))
}
