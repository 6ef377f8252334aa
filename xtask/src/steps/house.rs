//! Form: formatting, lints, documentation, changelog, the oldest Rust, and type checks for other
//! systems.

use crate::step::{Context, Note, Stop, each};
use crate::{changelog as log, targets, toolchain};

/// The features of the library, of which clippy sees each alone; `--all-features` and none come on
/// top.
const FEATURES: [&str; 4] = ["log", "os-poll", "os-ext", "net"];

/// The workspaces of their own, each with the folder below `target` in which their steps build, and
/// whether clippy is to look at them.
const APART: [(&str, &str, bool); 9] = [
    ("bench", "bench", true),
    // Nothing but lists of dependencies, which the step `compat` builds.
    ("compat/dependents", "compat/dependents", false),
    ("compat/dependents-0.8", "compat/dependents", false),
    ("compat/dependents/serial_test", "compat/dependents", false),
    ("compat/load/on-litio", "compat/load", true),
    ("compat/load/on-mio", "compat/load", true),
    ("compat/mio-0.8", "compat/mio-0.8", true),
    ("compat/parity", "compat/parity-epoll", true),
    ("fuzz", "fuzz", true),
];

pub(crate) fn fmt(context: &Context) -> Result<Note, Stop> {
    toolchain::ensure_components(context, &["rustfmt"])?;
    context.cargo().args(["fmt", "--all", "--check"]).run()?;
    // Modules that are named inside of a macro are found by name only.
    let sources = context
        .command("git")
        .args(["ls-files", "-z", "src/*.rs"])
        .read()?;
    let sources = sources.split('\0').filter(|file| !file.is_empty());
    let rustfmt = context
        .command("rustfmt")
        .args(["--check", "--edition", "2024"]);
    rustfmt.args(sources).run()?;
    each(
        APART,
        |(folder, ..)| (*folder).into(),
        |(folder, ..)| {
            let fmt = context.cargo().directory(context.root.join(folder));
            fmt.args(["fmt", "--check"]).run().map(|()| Note::new())
        },
    )
}

/// Also proves that their lock files are up to date.
pub(crate) fn clippy_apart(context: &Context) -> Result<Note, Stop> {
    toolchain::ensure_components(context, &["clippy"])?;
    each(
        APART.iter().filter(|(.., is_linted)| *is_linted),
        |(folder, ..)| (*folder).into(),
        |(folder, built, _)| {
            let clippy = context.cargo().directory(context.root.join(folder));
            let clippy = clippy.args(["clippy", "--locked", "--all-targets", "--all-features"]);
            let clippy = clippy.args(["--", "-D", "warnings"]);
            // What cargo-fuzz sets: the model is there only then.
            let flags = ["", "--cfg fuzzing"][usize::from(*folder == "fuzz")];
            clippy
                .env("CARGO_TARGET_DIR", context.target_dir(built))
                .env("RUSTFLAGS", flags)
                // Nothing is linked here: libFuzzer need not be compiled, nor a C++ compiler be
                // there.
                .env("CUSTOM_LIBFUZZER_PATH", "./libfuzzer.a")
                .run()
                .map(|()| Note::new())
        },
    )
}

/// The packages named mio, with every combination of mio's features.
pub(crate) fn shims(context: &Context) -> Result<Note, Stop> {
    toolchain::ensure_components(context, &["clippy"])?;
    let count = 1 << FEATURES.len();
    for (folder, built) in [
        ("crates/mio", context.root.join("target")),
        ("compat/mio-0.8", context.target_dir("compat/mio-0.8")),
    ] {
        for set in 0..count {
            let chosen = FEATURES.iter().enumerate();
            let chosen = chosen.filter(|(index, _)| set >> index & 1 == 1);
            let names: Vec<&str> = chosen.map(|(_, name)| *name).collect();
            let clippy = context.cargo().directory(context.root.join(folder));
            let clippy = clippy.args(["clippy", "--no-default-features", "--features"]);
            let clippy = clippy.arg(names.join(",")).args(["--", "-D", "warnings"]);
            clippy.env("CARGO_TARGET_DIR", &built).run()?;
        }
    }
    Ok(format!("{count} combinations of each"))
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
    // Links in the comments of private items must not rot either. A link that public pages need may
    // say too much there.
    doc("-D warnings -A rustdoc::redundant-explicit-links")
        .arg("--document-private-items")
        .run()?;
    Ok(Note::new())
}

pub(crate) fn changelog(context: &Context) -> Result<Note, Stop> {
    log::check(&context.root).map_err(Stop::failed)?;
    Ok(Note::new())
}

/// The library only: a program's own tools (the command lines of the examples, say) may want a
/// newer Rust.
pub(crate) fn msrv(context: &Context) -> Result<Note, Stop> {
    toolchain::ensure(context, toolchain::MSRV, &[], &[])?;
    let check = || {
        let command = context
            .cargo_on(toolchain::MSRV)
            .args(["check", "-p", "litio", "-p", "mio", "--lib"]);
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
    use std::fs;
    use std::path::Path;

    use super::*;

    const MANIFEST: &str = include_str!("../../../Cargo.toml");

    #[test]
    fn every_workspace_of_its_own_is_in_the_table() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut found = Vec::new();
        let mut folders = vec!["bench".to_string(), "compat".into(), "fuzz".into()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(root.join(&folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let path = format!("{folder}/{name}");
                if name == "Cargo.toml" {
                    found.push(folder.clone());
                } else if name != "target" && root.join(&path).is_dir() {
                    folders.push(path);
                }
            }
        }
        found.sort();
        assert_eq!(found, APART.map(|(folder, ..)| folder));
    }

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
