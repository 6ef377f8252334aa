//! The suites as Windows programs, run by Wine.

use std::fs;
use std::path::Path;

use crate::command::Command;
use crate::results::Place;
use crate::step::{Context, Note, Stop};
use crate::steps::suites::suites;
use crate::{toolchain, tools};

const TRIPLE: &str = "x86_64-pc-windows-gnu";

/// `ProcessPrng`, which std imports and Debian's Wine 8.0 lacks, made of what Wine has.
const PRNG: &str = r"
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE p, SIZE_T n) {
    return SystemFunction036(p, (ULONG)n);
}
";

pub(crate) fn wine(context: &Context) -> Result<Note, Stop> {
    tools::debian(
        context,
        &["wine", "wineboot", "x86_64-w64-mingw32-gcc"],
        &["wine", "wine64", "gcc-mingw-w64-x86-64"],
    )?;
    toolchain::ensure_targets(context, &[TRIPLE])?;
    let prefix = context.target_dir("wine-prefix");
    if !prefix.join("system.reg").exists() {
        fs::create_dir_all(&prefix).map_err(|error| Stop::failed(error.to_string()))?;
        // Without the browser and .NET, for which it would ask.
        under_wine(context.command("wineboot").arg("-i"), &prefix).run()?;
        under_wine(context.command("wineserver").arg("-w"), &prefix).run()?;
    }
    let prng = prefix.join("drive_c/windows/system32/bcryptprimitives.dll");
    if !prng.exists() {
        let source = context.target_dir("wine-prng.c");
        fs::write(&source, PRNG).map_err(|error| Stop::failed(error.to_string()))?;
        context
            .command("x86_64-w64-mingw32-gcc")
            .args(["-shared", "-o"])
            .arg(&prng)
            .arg(&source)
            .arg("-ladvapi32")
            .run()?;
    }
    let on_wine = |tests: Command| {
        under_wine(tests.args(["--target", TRIPLE]), &prefix)
            .env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", "wine")
    };
    let place = Place {
        step: "wine",
        target: TRIPLE,
        system: format!("Wine {}", tools::version(context, "wine")?),
        backend: "AFD",
        unable: Vec::new(),
        otherwise: "did not run",
    };
    let suites = on_wine(suites(context.cargo()));
    let suites = place.run(context, suites.clone(), suites, &[])?;
    let examples = context.cargo().args(["test", "-p", "litio", "--doc"]);
    let examples = on_wine(examples).run_tests()?;
    Ok(format!(
        "{suites}; examples of the documentation: {examples}"
    ))
}

fn under_wine(command: Command, prefix: &Path) -> Command {
    command
        .env("WINEPREFIX", prefix)
        .env("WINEDEBUG", "-all")
        .env("WINEDLLOVERRIDES", "mscoree=;mshtml=")
}
