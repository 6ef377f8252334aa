//! The suites and the examples as Windows programs, run by Wine: Debian's of the machine, and a
//! newer one in a folder.

use std::fs;
use std::path::PathBuf;

use crate::command::Command;
use crate::results::Place;
use crate::step::{Context, Note, Stop, each};
use crate::steps::examples::EXAMPLES;
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

/// Tests that can be made longer.
const STRESS: [&str; 2] = [
    "random_operations_end_well",
    "each_of_very_many_sockets_is_reported",
];

/// The Debian release whose Wine is 10.0.
const NEWER: &str = "trixie";

pub(crate) fn wine(context: &Context) -> Result<Note, Stop> {
    tools::debian(
        context,
        &["wine", "wineboot", "x86_64-w64-mingw32-gcc"],
        &["wine", "wine64", "gcc-mingw-w64-x86-64"],
    )?;
    let wine = Wine {
        command: "wine".into(),
        prefix: context.target_dir("wine-prefix"),
        step: "wine",
        is_patient: false,
    };
    wine.boot(context)?;
    let prng = wine
        .prefix
        .join("drive_c/windows/system32/bcryptprimitives.dll");
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
    wine.run_all(context)
}

/// On the Wine of a newer release of Debian, in a folder of its own.
pub(crate) fn wine10(context: &Context) -> Result<Note, Stop> {
    tools::debian(
        context,
        &["debootstrap", "unshare", "x86_64-w64-mingw32-gcc"],
        &["debootstrap", "util-linux", "gcc-mingw-w64-x86-64"],
    )?;
    let folder = context.target_dir("tools").join(NEWER);
    let failed = |error: std::io::Error| Stop::failed(format!("{}: {error}", folder.display()));
    if !folder.join("usr/bin/wine").exists() {
        // What was begun before and did not come to its end cannot be continued.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(failed)?;
        }
        tools::as_root(context, "debootstrap")
            .args(["--variant=minbase", "--include=wine,wine64", NEWER])
            .arg(&folder)
            .arg(tools::debian_mirror())
            .run()
            .map_err(|stop| Stop::missing(stop.to_string()))?;
    }
    // The same paths inside as outside. The mounts are gone with the process that needed them. What
    // cargo says of libraries is of those outside; and Wine 10 falls over a folder for temporary
    // files that is not its own.
    let root = context.root.display();
    let script = format!(
        "#!/bin/sh\nexec unshare --mount --map-root-user sh -c '\n\
         unset LD_LIBRARY_PATH TMPDIR\n\
         cd / && for place in /proc /dev \"{root}\"; do\n\
         mkdir -p \"{new}$place\" && mount --rbind \"$place\" \"{new}$place\" || exit 125\n\
         done\n\
         here=$1; shift\n\
         exec chroot \"{new}\" sh -c \"cd \\\"\\$0\\\" && exec \\\"\\$@\\\"\" \"$here\" \"$@\"\n\
         ' sh \"$PWD\" \"${{0##*/}}\" \"$@\"\n",
        new = folder.display()
    );
    let bin = context.target_dir("tools").join(format!("{NEWER}-bin"));
    fs::create_dir_all(&bin).map_err(failed)?;
    for program in ["wine", "wineboot", "wineserver"] {
        let path = bin.join(program);
        fs::write(&path, &script).map_err(failed)?;
        context.command("chmod").arg("+x").arg(path).run()?;
    }
    let wine = Wine {
        command: bin.join("wine"),
        prefix: context.target_dir("wine10-prefix"),
        step: "wine10",
        is_patient: true,
    };
    wine.boot(context)?;
    wine.run_all(context)
}

/// A Wine, and the folder that is its Windows.
struct Wine {
    /// `wine`, beside `wineboot` and `wineserver` if it has a path.
    command: PathBuf,
    prefix: PathBuf,
    step: &'static str,
    /// The stress tests may take minutes.
    is_patient: bool,
}

impl Wine {
    /// Makes the folder its Windows, once.
    fn boot(&self, context: &Context) -> Result<(), Stop> {
        if self.prefix.join("system.reg").exists() {
            return Ok(());
        }
        fs::create_dir_all(&self.prefix).map_err(|error| Stop::failed(error.to_string()))?;
        let program = |name| {
            let path = self.command.with_file_name(name);
            self.under(context.command(&path.to_string_lossy()))
        };
        program("wineboot").arg("-i").run()?;
        program("wineserver").arg("-w").run()
    }

    /// The suites, the examples of the documentation, and the programs in `examples/`.
    fn run_all(&self, context: &Context) -> Result<Note, Stop> {
        toolchain::ensure_targets(context, &[TRIPLE])?;
        // rustdoc makes its programs there; a Wine in a folder sees nothing outside of ours.
        let temporary = context.target_dir("tmp");
        fs::create_dir_all(&temporary).map_err(|error| Stop::failed(error.to_string()))?;
        let run = |tests: Command| {
            self.under(tests.args(["--target", TRIPLE]))
                .env("TMPDIR", temporary.as_os_str())
                .env(
                    "CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER",
                    self.command.as_os_str(),
                )
        };
        let place = Place {
            step: self.step,
            target: TRIPLE,
            system: format!(
                "Wine {}",
                tools::version(context, &self.command.to_string_lossy())?
            ),
            backend: "AFD",
            unable: Vec::new(),
            otherwise: "did not run",
        };
        let suites = run(suites(context.cargo()));
        let suites = place.run(context, suites.clone(), suites, &[])?;
        if self.is_patient {
            // Apart from the others, some of which look at the clock.
            let stress = context
                .cargo()
                .args(["test", "-p", "litio", "--test", "suite"]);
            run(stress.arg("--all-features"))
                .args(["--", STRESS[0], STRESS[1]])
                .env("LITIO_PIPE_OPERATIONS", "100000")
                .env("LITIO_SOCKETS", "10000")
                .run_tests()?;
        }
        let documentation =
            run(context.cargo().args(["test", "-p", "litio", "--doc"])).run_tests()?;
        let build = context
            .cargo()
            .args(["build", "-p", "litio", "--examples", "--all-features"]);
        build.args(["--target", TRIPLE]).run()?;
        let examples = self.examples(context)?;
        Ok(format!(
            "{}: {suites}; examples of the documentation: {documentation}; {examples}",
            place.system
        ))
    }

    fn examples(&self, context: &Context) -> Result<Note, Stop> {
        let run = |name: &str, args: &[&str]| {
            let folder = context.target_dir(TRIPLE).join("debug").join("examples");
            self.under(self.program(context))
                .arg(folder.join(format!("{name}.exe")))
                .args(args.iter().copied())
        };
        let able = EXAMPLES.iter().filter(|(name, _)| *name != "unix_chat");
        each(
            able.clone(),
            |(name, _)| (*name).into(),
            |(name, args)| run(name, args).run().map(|()| Note::new()),
        )?;
        // Wine has no Unix sockets; what needs them has to say so.
        let output = run("unix_chat", &[]).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(2) || !errors.contains("no Unix sockets") {
            return Err(Stop::failed(format!(
                "unix_chat: wanted a clear refusal, got {}: {errors}",
                output.status
            )));
        }
        Ok(format!("{} examples", able.count() + 1))
    }

    fn program(&self, context: &Context) -> Command {
        context.command(&self.command.to_string_lossy())
    }

    fn under(&self, command: Command) -> Command {
        command
            .env("WINEPREFIX", &self.prefix)
            .env("WINEDEBUG", "-all")
            // Without the browser and .NET, for which it would ask.
            .env("WINEDLLOVERRIDES", "mscoree=;mshtml=")
    }
}
