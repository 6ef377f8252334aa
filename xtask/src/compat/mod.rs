//! The certificate: dependents of mio run their own tests on mio and on Litio, and the results are
//! compared one by one.
//!
//! The dependents are published packages, pinned in `compat/dependents`. Each is copied into a
//! folder below `target/compat`, once for each side, with the patch that decides which `mio` it
//! gets, and with the lock file that its package carries. A test that one side passes and the other
//! does not is a failure.
//!
//! The quick run knows only Litio: it compares with a list of what real mio does (`--record` writes
//! it).

mod events;
mod package;
mod results;

use std::time::Duration;

use crate::command::Command;
use crate::step::{Context, Note, Stop};
use crate::tools;

use self::events::Received;
use self::package::{Binary, Package};
use self::results::Results;

/// A version of mio that Litio stands in for.
struct Line {
    name: &'static str,
    /// What every version of the line begins with.
    prefix: &'static str,
    /// The release of real mio to compare with.
    real: &'static str,
    /// The shim's folder and version.
    shim: &'static str,
    shim_version: &'static str,
    /// The workspace that pins the dependents.
    pins: &'static str,
}

const V1: &Line = &Line {
    name: "1",
    prefix: "1.",
    real: "1.2.5",
    shim: "crates/mio",
    shim_version: "1.2.99",
    pins: "compat/dependents",
};

const V0_8: &Line = &Line {
    name: "0.8",
    prefix: "0.8.",
    real: "0.8.11",
    shim: "compat/mio-0.8",
    shim_version: "0.8.99",
    pins: "compat/dependents-0.8",
};

/// All dependents on both sides.
pub(crate) const LIMIT: Duration = Duration::from_secs(3 * 3600);

/// What a single test binary may take. Tokio's slowest needs half a minute under strace.
const BINARY_LIMIT: Duration = Duration::from_secs(300);

/// How often a failed test is tried again, alone: some of the dependents' tests have deadlines that
/// a busy machine misses, on either side.
const RETRIES_MAX: u32 = 2;

/// A package that depends on mio.
struct Dependent {
    name: &'static str,
    line: &'static Line,
    /// Features and targets whose tests concern mio.
    flags: &'static [&'static str],
    quick: Quick,
    /// Programs that its tests start, by Debian's package of the same name.
    programs: &'static [&'static str],
    /// Locked packages whose locked version admits no later mio.
    outdated: &'static [&'static str],
    /// Unpublished packages that its tests need: folders of the workspace that pins it.
    stand_ins: &'static [&'static str],
}

impl Dependent {
    fn is_quick(&self) -> bool {
        !matches!(self.quick, Quick::Nothing)
    }
}

/// What the quick run takes of a dependent.
enum Quick {
    Nothing,
    Everything,
    /// The integration tests whose names begin so.
    Tests(&'static [&'static str]),
}

impl Dependent {
    const fn on(line: &'static Line, name: &'static str, flags: &'static [&'static str]) -> Self {
        Dependent {
            name,
            line,
            flags,
            quick: Quick::Nothing,
            programs: &[],
            outdated: &[],
            stand_ins: &[],
        }
    }

    const fn with_quick(mut self, quick: Quick) -> Self {
        self.quick = quick;
        self
    }

    const fn with_programs(mut self, programs: &'static [&'static str]) -> Self {
        self.programs = programs;
        self
    }

    const fn with_outdated(mut self, outdated: &'static [&'static str]) -> Self {
        self.outdated = outdated;
        self
    }

    const fn with_stand_ins(mut self, stand_ins: &'static [&'static str]) -> Self {
        self.stand_ins = stand_ins;
        self
    }
}

/// Tokio's tests that drive I/O.
const TOKIO_IO: &[&str] = &[
    "tcp_",
    "udp",
    "uds_",
    "net_",
    "io_async_fd",
    "process_",
    "signal_",
    "rt_",
];

/// `--lib` and `--tests` leave out what the packages also carry: programs to look at and to
/// measure.
const DEPENDENTS: &[Dependent] = &[
    Dependent::on(V1, "tokio", &["--features", "full", "--lib", "--tests"])
        .with_quick(Quick::Tests(TOKIO_IO)),
    Dependent::on(
        V1,
        "tokio-util",
        &["--features", "full", "--lib", "--tests"],
    ),
    Dependent::on(V1, "notify", &["--lib"]).with_quick(Quick::Everything),
    Dependent::on(
        V1,
        "signal-hook-mio",
        &[
            "--no-default-features",
            "--features",
            "support-v1_0",
            "--test",
            "mio_1_0",
        ],
    )
    .with_quick(Quick::Everything)
    .with_stand_ins(&["serial_test"]),
    Dependent::on(V1, "mio-serial", &["--tests"]).with_programs(&["socat"]),
    Dependent::on(
        V1,
        "ipc-channel",
        &["--features", "async", "--lib", "--tests"],
    ),
    Dependent::on(
        V1,
        "netlink-sys",
        &["--features", "mio_socket,tokio_socket", "--lib"],
    ),
    Dependent::on(V1, "crossterm", &["--features", "event-stream", "--lib"])
        .with_outdated(&["signal-hook-mio"]),
    Dependent::on(V1, "actix-server", &["--lib", "--tests"]),
    Dependent::on(V0_8, "message-io", &["--lib", "--tests"]),
    Dependent::on(V0_8, "notify", &["--lib"]),
    Dependent::on(V0_8, "tokio", &["--features", "full", "--lib", "--tests"]),
];

/// Which `mio` a dependent gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Mio,
    Litio,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Side::Mio => "mio",
            Side::Litio => "litio",
        }
    }
}

/// The quick run: the tests that drive I/O, on Litio, against the committed lists.
pub(crate) fn quick(context: &Context) -> Result<Note, Stop> {
    let mut notes = Vec::new();
    let mut differences = Vec::new();
    for dependent in DEPENDENTS.iter().filter(|one| one.is_quick()) {
        let (package, ours) = run_quick(context, dependent, Side::Litio)?;
        let listed = Results::read(&list(context, &package))?;
        differences.extend(prefixed(
            &package,
            listed.differences("mio", &ours, "litio"),
        ));
        notes.push(format!("{}: {}", package.title(), ours.tally()));
    }
    notes.push(parity(context)?);
    notes.push(format!("mio 0.8: {}", shim_0_8(context)?));
    conclude(notes, &differences)
}

/// Writes the lists for the quick run: its tests, on real mio.
pub(crate) fn record(context: &Context) -> Result<Note, Stop> {
    let mut notes = Vec::new();
    for dependent in DEPENDENTS.iter().filter(|one| one.is_quick()) {
        let (package, theirs) = run_quick(context, dependent, Side::Mio)?;
        let title = package.title();
        let head = format!(
            "{title} on mio {}; written by `cargo xtask compat --quick --record`",
            dependent.line.real,
        );
        theirs.write(&list(context, &package), &head)?;
        notes.push(format!("{title}: {}", theirs.tally()));
    }
    conclude(notes, &[])
}

fn run_quick(
    context: &Context,
    dependent: &Dependent,
    side: Side,
) -> Result<(Package, Results), Stop> {
    let package = Package::prepare(context, dependent, side)?;
    let flags = quick_flags(dependent, &package)?;
    let binaries = package.build(context, &flags)?;
    let results = run_all(context, &package, &binaries)?;
    Ok((package, results))
}

/// The full run: everything on both sides; prints the table of the README.
pub(crate) fn full(context: &Context, only: &[String]) -> Result<Note, Stop> {
    let mut rows = Vec::new();
    let mut differences = Vec::new();
    for dependent in DEPENDENTS {
        let title = format!("{}@{}", dependent.name, dependent.line.name);
        let is_named = |name: &String| *name == dependent.name || *name == title;
        if !only.is_empty() && !only.iter().any(is_named) {
            continue;
        }
        tools::debian(context, dependent.programs, dependent.programs)?;
        let row = compare(context, dependent, &mut differences)?;
        println!("{row}");
        rows.push(row);
    }
    if only.is_empty() {
        readme_0_8(context)?;
        parity(context)?;
        fetch(context)?;
    }
    let table = rows.join("\n");
    println!("\n{HEAD}\n{table}\n");
    let note = format!("{} dependents", rows.len());
    conclude(vec![note], &differences)
}

const HEAD: &str = "\
| dependent | in place of mio | passed on mio | passed on Litio | receive an event | from a source |
|---|---|---|---|---|---|";

/// One dependent on both sides; answers its row of the table.
fn compare(
    context: &Context,
    dependent: &Dependent,
    differences: &mut Vec<String>,
) -> Result<String, Stop> {
    let run = |side| -> Result<(Package, Vec<Binary>, Results), Stop> {
        let package = Package::prepare(context, dependent, side)?;
        let binaries = package.build(context, dependent.flags)?;
        let results = run_all(context, &package, &binaries)?;
        Ok((package, binaries, results))
    };
    let (_, _, theirs) = run(Side::Mio)?;
    let (package, binaries, ours) = run(Side::Litio)?;
    let found = theirs.differences("mio", &ours, "litio");
    let is_equal = found.is_empty();
    differences.extend(prefixed(&package, found));
    let mut received = Received::default();
    for binary in &binaries {
        received += events::count(context, &package, binary)?;
    }
    let mark = if is_equal { "" } else { " **differs**" };
    Ok(format!(
        "| {} | {} | {} | {}{mark} | {} | {} |",
        package.title(),
        dependent.line.real,
        theirs.verdict(),
        ours.verdict(),
        received.any,
        received.from_source,
    ))
}

/// The programs that are compiled for both libraries and must see the same: with epoll, and with
/// both forced onto poll(2).
fn parity(context: &Context) -> Result<Note, Stop> {
    let run = |selector: &str, flags: &str| {
        let run = cargo_in(context, "compat/parity", &format!("parity-{selector}"));
        let log = run
            .env("RUSTFLAGS", flags)
            .args(["run", "--quiet"])
            .watch()?;
        let sum = log.lines().last().unwrap_or_default();
        Ok(format!("parity on {selector}: {sum}"))
    };
    let notes = [
        run("epoll", "")?,
        run("poll", "--cfg mio_unsupported_force_poll_poll")?,
    ];
    Ok(notes.join("; "))
}

/// The tests of the shim for 0.8.
fn shim_0_8(context: &Context) -> Result<Note, Stop> {
    let test = cargo_in(context, V0_8.shim, "mio-0.8");
    test.args(["test", "--all-features"]).run_tests()
}

/// The program of mio 0.8's README, as its package has it, on the shim for 0.8.
fn readme_0_8(context: &Context) -> Result<(), Stop> {
    let failed = |error: std::io::Error| Stop::failed(error.to_string());
    let by_mio = |one: &&Dependent| std::ptr::eq(one.line, V0_8);
    let Some(dependent) = DEPENDENTS.iter().find(by_mio) else {
        return Ok(());
    };
    let package = Package::prepare(context, dependent, Side::Mio)?;
    let manifest = package.folder.join("Cargo.toml");
    let mio = package::unpacked(context, &manifest, "mio", V0_8.real)?;
    let readme = std::fs::read_to_string(mio.join("README.md")).map_err(failed)?;
    let block = readme.split("```rust").nth(1);
    let program = block.and_then(|rest| rest.split("```").next());
    let program = program.ok_or_else(|| Stop::failed("mio's README has no program"))?;
    let folder = context.target_dir("compat").join("readme-0.8");
    std::fs::create_dir_all(folder.join("src")).map_err(failed)?;
    std::fs::write(folder.join("src/main.rs"), program).map_err(failed)?;
    let shim = context.root.join(V0_8.shim);
    let text = format!(
        "[workspace]\n[package]\nname = \"readme\"\nedition = \"2021\"\n\
         [dependencies]\nmio = {{ path = {shim:?}, features = [\"os-poll\", \"net\"] }}\n"
    );
    std::fs::write(folder.join("Cargo.toml"), text).map_err(failed)?;
    let built = context.target_dir("compat").join("mio-0.8");
    let run = context.cargo().args(["run", "--quiet"]).directory(folder);
    run.env("CARGO_TARGET_DIR", built)
        .within(BINARY_LIMIT)
        .run()
}

/// Servers under load, in turns.
pub(crate) fn load(context: &Context, rounds: u32) -> Result<Note, Stop> {
    let programs = ["wrk", "redis-benchmark", "strace"];
    tools::debian(context, &programs, &["wrk", "redis-tools", "strace"])?;
    for side in ["compat/load/on-mio", "compat/load/on-litio"] {
        let build = cargo_in(context, side, "load");
        build.args(["build", "--release"]).run()?;
    }
    let drive = context.target_dir("compat").join("load/release/drive");
    let drive = context.command(&drive.to_string_lossy());
    drive.arg(rounds.to_string()).run()?;
    Ok(Note::new())
}

/// reqwest against a local server, over tokio on Litio.
fn fetch(context: &Context) -> Result<(), Stop> {
    let fetch = cargo_in(context, "compat/load/on-litio", "load");
    fetch
        .args(["run", "--release", "--quiet", "--bin", "fetch-litio"])
        .run()
}

/// Cargo in one of the workspaces of `compat`, with a folder of its own for what it builds.
fn cargo_in(context: &Context, folder: &str, built: &str) -> Command {
    let built = context.target_dir("compat").join(built);
    let cargo = context.cargo().directory(context.root.join(folder));
    cargo.env("CARGO_TARGET_DIR", built)
}

fn conclude(notes: Vec<String>, differences: &[String]) -> Result<Note, Stop> {
    for difference in differences {
        eprintln!("{difference}");
    }
    match differences.len() {
        0 => Ok(notes.join("; ")),
        count => Err(Stop::failed(format!("{count} differences, listed above"))),
    }
}

fn prefixed(package: &Package, differences: Vec<String>) -> impl Iterator<Item = String> {
    let title = package.title();
    let prefix = move |difference| format!("{title}: {difference}");
    differences.into_iter().map(prefix)
}

/// The flags of the quick run: the dependent's, with the integration tests that it selects.
fn quick_flags(dependent: &Dependent, package: &Package) -> Result<Vec<String>, Stop> {
    let mut flags: Vec<String> = dependent.flags.iter().map(ToString::to_string).collect();
    if let Quick::Tests(prefixes) = dependent.quick {
        flags.retain(|flag| !matches!(flag.as_str(), "--lib" | "--tests"));
        for name in package.integration_tests()? {
            if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                flags.extend(["--test".into(), name]);
            }
        }
    }
    Ok(flags)
}

fn list(context: &Context, package: &Package) -> std::path::PathBuf {
    let file = format!("{}.txt", package.title().replace(' ', "-"));
    context.root.join("compat/dependents/expected").join(file)
}

/// Runs the binaries one after the other. What fails is tried again, alone.
fn run_all(context: &Context, package: &Package, binaries: &[Binary]) -> Result<Results, Stop> {
    let mut all = Results::default();
    for binary in binaries {
        let output = launch(context, package, binary, &[]).output();
        let mut results = match output {
            Ok(output) => results::parse(&binary.label, &String::from_utf8_lossy(&output.stdout)),
            // Killed at its limit: the tests that it has not run are missing on this side, and so
            // differ.
            Err(Stop::Failed(why)) => {
                eprintln!("{why}");
                Results::default()
            }
            Err(missing) => return Err(missing),
        };
        for test in results.failures() {
            for _ in 0..RETRIES_MAX {
                let alone = launch(context, package, binary, &["--exact", &test]).output()?;
                let again = String::from_utf8_lossy(&alone.stdout);
                if results::parse(&binary.label, &again).passed() == 1 {
                    println!("  {} {test}: passed when tried again, alone", binary.label);
                    results.set_passed(&binary.label, &test);
                    break;
                }
            }
        }
        println!("  {}: {}", binary.label, results.tally());
        all.merge(results);
    }
    Ok(all)
}

/// The command that runs a test binary as `cargo test` would.
fn launch(context: &Context, package: &Package, binary: &Binary, args: &[&str]) -> Command {
    let command = context.command(&binary.path.to_string_lossy());
    let command = command.args(args.iter().copied()).within(BINARY_LIMIT);
    in_package(command, package)
}

fn in_package(command: Command, package: &Package) -> Command {
    command
        .directory(&package.folder)
        .env("CARGO_MANIFEST_DIR", &package.folder)
}
