//! Form: formatting, lints, documentation, changelog, the oldest Rust, and type checks for other systems.

use crate::step::{Context, Note, Stop, each};
use crate::{changelog as log, targets, toolchain};

/// The features of the library, of which clippy sees each alone; `--all-features` and none come on top.
const FEATURES: [&str; 4] = ["log", "os-poll", "os-ext", "net"];

pub(crate) fn fmt(context: &Context) -> Result<Note, Stop> {
    toolchain::ensure_components(context, &["rustfmt"])?;
    context.cargo().args(["fmt", "--all", "--check"]).run()?;
    Ok(Note::new())
}

pub(crate) fn clippy(context: &Context) -> Result<Note, Stop> {
    toolchain::ensure_components(context, &["clippy"])?;
    let clippy = |flags: &[&str]| {
        let command = context.cargo().arg("clippy").args(flags.iter().copied());
        command
            .args(["--all-targets", "--", "-D", "warnings"])
            .run()
            .map(|()| Note::new())
    };
    clippy(&["--workspace", "--all-features"])?;
    clippy(&["-p", "litio", "--no-default-features"])?;
    each(
        FEATURES,
        |feature| (*feature).into(),
        |feature| {
            clippy(&[
                "-p",
                "litio",
                "--no-default-features",
                "--features",
                feature,
            ])
        },
    )
}

pub(crate) fn doc(context: &Context) -> Result<Note, Stop> {
    let doc = |flags: &str| {
        let command = context
            .cargo()
            .args(["doc", "--workspace", "--no-deps", "--all-features"]);
        command.env("RUSTDOCFLAGS", flags)
    };
    doc("-D warnings").run()?;
    // Links in the comments of private items must not rot either. A link that public pages need may say too much there.
    doc("-D warnings -A rustdoc::redundant-explicit-links")
        .arg("--document-private-items")
        .run()?;
    Ok(Note::new())
}

pub(crate) fn changelog(context: &Context) -> Result<Note, Stop> {
    log::check(&context.root).map_err(Stop::failed)?;
    Ok(Note::new())
}

/// The library only: a program's own tools (the command lines of the examples, say) may want a newer Rust.
pub(crate) fn msrv(context: &Context) -> Result<Note, Stop> {
    toolchain::ensure(context, toolchain::MSRV, &[], &[])?;
    let check = || {
        let command = context
            .cargo_on(toolchain::MSRV)
            .args(["check", "-p", "litio", "--lib"]);
        command.env("CARGO_TARGET_DIR", context.target_dir("msrv"))
    };
    check().arg("--all-features").run()?;
    check().arg("--no-default-features").run()?;
    Ok(Note::new())
}

pub(crate) fn quick_targets(context: &Context) -> Result<Note, Stop> {
    targets::check(context, &targets::choose(true, &[]).map_err(Stop::failed)?)
}

pub(crate) fn all_targets(context: &Context) -> Result<Note, Stop> {
    targets::check(context, &targets::choose(false, &[]).map_err(Stop::failed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = include_str!("../../../Cargo.toml");

    #[test]
    fn the_pinned_msrv_is_the_manifests() {
        let line = MANIFEST
            .lines()
            .find(|line| line.starts_with("rust-version"))
            .unwrap();
        let minor = line.split('"').nth(1).unwrap();
        assert!(toolchain::MSRV.starts_with(&format!("{minor}.")), "{line}");
    }

    #[test]
    fn each_feature_of_the_manifest_is_checked_alone() {
        let section = MANIFEST
            .split("[features]")
            .nth(1)
            .unwrap()
            .split("\n[")
            .next()
            .unwrap();
        let names: Vec<&str> = section
            .lines()
            .filter_map(|line| line.split_once(" = "))
            .map(|(name, _)| name)
            .filter(|name| !name.starts_with('#') && *name != "default")
            .collect();
        assert_eq!(names, FEATURES);
    }
}
