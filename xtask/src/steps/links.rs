//! Test programs of systems that cannot run here are linked with Zig, which knows the symbols of
//! their libc.

use std::process::{self, ExitCode};

use crate::step::{Context, Note, Stop, each};
use crate::{results, targets, toolchain, tools};

/// `cargo zigbuild` knows these.
const BY_ZIGBUILD: [&str; 3] = [
    "x86_64-unknown-freebsd",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
];

/// This one it does not: [`act_as_linker`].
const NETBSD: &str = "x86_64-unknown-netbsd";

/// Zig's program, for [`act_as_linker`].
const ZIG: &str = "LITIO_XTASK_ZIG";

pub(crate) fn links(context: &Context) -> Result<Note, Stop> {
    let triples = BY_ZIGBUILD.into_iter().chain([NETBSD]);
    let ready: Vec<&str> = triples.filter(|triple| targets::is_ready(triple)).collect();
    if ready.is_empty() {
        return Ok("no target yet: kqueue is not written".into());
    }
    let bin = tools::python(
        context,
        "zig",
        &["ziglang==0.17.1", "cargo-zigbuild==0.24.0"],
    )?;
    let zig = bin.join("python-zig");
    each(
        ready,
        |triple| (*triple).into(),
        |triple| {
            toolchain::ensure_targets(context, &[triple])?;
            let tests = [
                "-p",
                "litio",
                "--tests",
                "--all-features",
                "--target",
                triple,
            ];
            if *triple == NETBSD {
                let build = context.cargo().args(["test", "--no-run"]).args(tests);
                let build = build.env(
                    "CARGO_TARGET_X86_64_UNKNOWN_NETBSD_LINKER",
                    tools::this_program()?,
                );
                build.env(ZIG, &zig).run()?;
            } else {
                let build = context.command(&bin.join("cargo-zigbuild").to_string_lossy());
                let build = build.arg("zigbuild").args(tests);
                build.env("CARGO_ZIGBUILD_ZIG_PATH", &zig).run()?;
            }
            results::keep_linked(context, triple)?;
            Ok(Note::new())
        },
    )?;
    Ok("linked".into())
}

/// Whether rustc started this program as its linker; then it is one: Zig for NetBSD, which does not
/// know `-m64`.
pub(crate) fn act_as_linker() -> Option<ExitCode> {
    let zig = std::env::var_os(ZIG)?;
    let args = std::env::args_os().skip(1).filter(|arg| arg != "-m64");
    let mut command = process::Command::new(zig);
    command.args(["cc", "-target", "x86_64-netbsd"]).args(args);
    match command.status() {
        Ok(status) if status.success() => Some(ExitCode::SUCCESS),
        Ok(_) => Some(ExitCode::FAILURE),
        Err(error) => {
            eprintln!("xtask: zig cannot be started: {error}");
            Some(ExitCode::FAILURE)
        }
    }
}
