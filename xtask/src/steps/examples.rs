//! The examples run, each for short, and answer bad input as a command should.

use std::net::TcpListener;
use std::time::Duration;

use crate::command::Command;
use crate::step::{Context, Note, Stop, each};

/// Every example, a file or a folder of `examples/`, with the arguments that make it end by itself.
pub(crate) const EXAMPLES: &[(&str, &[&str])] = &[
    ("custom_source", &[]),
    ("pass_listener", &[]),
    ("quickstart", &[]),
    ("tcp_echo", &["--seconds", "1"]),
    ("thread_per_core", &[]),
    ("udp_echo", &["--seconds", "1"]),
    ("udp_echo", &["--seconds", "1", "--window", "64", "--batch"]),
    ("unix_chat", &[]),
];

/// None of them needs half of it.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn examples(context: &Context) -> Result<Note, Stop> {
    every_example_has_a_row(context)?;
    // As the test command builds them, so that little is left to do.
    let build = context
        .cargo()
        .args(["build", "--workspace", "--examples", "--all-features"]);
    build
        .env("CARGO_TARGET_DIR", context.root.join("target"))
        .run()?;
    each(
        EXAMPLES,
        |(name, _)| (*name).into(),
        |(name, args)| {
            example(context, name, args).run()?;
            example(context, name, &["--help"]).read()?;
            Ok(Note::new())
        },
    )?;
    refuses_bad_addresses(context)?;
    Ok(format!("{} examples", EXAMPLES.len()))
}

fn example(context: &Context, name: &str, args: &[&str]) -> Command {
    let program = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let path = context.target_dir("debug").join("examples").join(program);
    context
        .command(&path.to_string_lossy())
        .args(args.iter().copied())
        .env("LITIO_CHECK", "panic,1000")
        .within(LIMIT)
}

fn every_example_has_a_row(context: &Context) -> Result<(), Stop> {
    let failed = |error: std::io::Error| Stop::failed(format!("examples/: {error}"));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(context.root.join("examples")).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_file = path.extension().is_some_and(|extension| extension == "rs");
        if is_file || path.join("main.rs").exists() {
            names.extend(
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned()),
            );
        }
    }
    names.sort();
    let mut rows: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
    rows.dedup(); // some run in several ways
    if names == rows {
        return Ok(());
    }
    Err(Stop::failed(format!(
        "examples/ has {names:?}, xtask's table has {rows:?}"
    )))
}

/// A port in use and an address that is none: one clear line, status 2.
fn refuses_bad_addresses(context: &Context) -> Result<(), Stop> {
    let failed = |error: std::io::Error| Stop::failed(error.to_string());
    let taken = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let address = taken.local_addr().map_err(failed)?.to_string();
    for address in [address.as_str(), "nonsense"] {
        let output = example(context, "tcp_echo", &["--serve", address]).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(2) || errors.trim().is_empty() {
            let status = output.status;
            return Err(Stop::failed(format!(
                "tcp_echo --serve {address}: wanted one line and status 2, got {status}: {errors}"
            )));
        }
    }
    Ok(())
}
