//! The suites as WASI programs, under wasmtime.

use crate::step::{Context, Note, Stop};
use crate::{toolchain, tools};

/// The sockets of Rust 1.95's standard library for preview 2 have defects that this one has not.
const TOOLCHAIN: &str = "1.97.1";

/// Later ones, up to 50, refuse programs the network.
const WASMTIME: &str = "wasmtime==47.0.1";

/// Preview 2, which has poll(2) and sockets. Each test runs in an instance of its own: see the runner.
pub(crate) fn p2(context: &Context) -> Result<Note, Stop> {
    let triple = "wasm32-wasip2";
    toolchain::ensure(context, TOOLCHAIN, &[], &[triple])?;
    let bin = tools::python(context, "wasmtime", &[WASMTIME])?;
    let runner = context.root.join("xtask/src/steps/wasi_runner.py");
    let command = context
        .cargo_on(TOOLCHAIN)
        .args(["test", "-p", "litio", "--lib", "--test", "suite"]);
    command
        .args(["--all-features", "--no-fail-fast", "--target", triple])
        .env(
            "CARGO_TARGET_WASM32_WASIP2_RUNNER",
            format!(
                "{} {}",
                bin.join("python").to_string_lossy(),
                runner.to_string_lossy()
            ),
        )
        .env("CARGO_TARGET_DIR", context.target_dir("wasi"))
        .run_tests()
}
