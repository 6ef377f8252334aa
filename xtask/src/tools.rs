//! Tools from outside: Debian's packages, pinned programs from crates.io, pinned packages from
//! PyPI.
//!
//! All of them are looked for first and fetched only when missing. Programs of ours go below
//! `target/tools`, never into the user's own folders; only Debian's packages change the machine.

use std::fs;
use std::path::PathBuf;

use crate::command::Command;
use crate::step::{Context, Stop};

/// This very program, which can be more than one tool.
pub(crate) fn this_program() -> Result<PathBuf, Stop> {
    std::env::current_exe().map_err(|error| Stop::failed(error.to_string()))
}

/// Makes sure these programs can be started, else installs the packages that bring them.
pub(crate) fn debian(context: &Context, programs: &[&str], packages: &[&str]) -> Result<(), Stop> {
    let missing: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|name| find(name).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(context, packages)?;
    match programs.iter().find(|name| find(name).is_none()) {
        Some(name) => Err(Stop::missing(format!(
            "{name}: not in {}",
            packages.join(", ")
        ))),
        None => Ok(()),
    }
}

/// Installs Debian's packages.
fn install(context: &Context, packages: &[&str]) -> Result<(), Stop> {
    if find("apt-get").is_none() {
        let names = packages.join(", ");
        return Err(Stop::missing(format!(
            "no apt-get here; install what Debian calls {names}"
        )));
    }
    let try_once = || {
        as_root(context, "apt-get")
            .args(["install", "-y", "-q", "--no-install-recommends"])
            .args(packages.iter().copied())
            .env("DEBIAN_FRONTEND", "noninteractive")
            .run()
    };
    // A fresh machine has no package lists, or stale ones.
    let installed = try_once().or_else(|_| {
        as_root(context, "apt-get").args(["update", "-q"]).run()?;
        try_once()
    });
    installed.map_err(|stop| Stop::missing(stop.to_string()))
}

/// The command, through sudo where we are not root.
pub(crate) fn as_root(context: &Context, program: &str) -> Command {
    let is_root = context
        .command("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if is_root {
        context.command(program)
    } else {
        context.command("sudo").args(["-n", "-E", program])
    }
}

/// The machine's own mirror, if it is a Debian.
pub(crate) fn debian_mirror() -> String {
    let sources = fs::read_to_string("/etc/apt/sources.list.d/debian.sources").unwrap_or_default();
    let line = sources.lines().find_map(|line| line.strip_prefix("URIs:"));
    line.and_then(|line| line.split_whitespace().next())
        .unwrap_or("http://deb.debian.org/debian")
        .into()
}

/// Makes sure a program from crates.io is there in exactly this version, and answers its path.
pub(crate) fn cargo_program(context: &Context, name: &str, version: &str) -> Result<PathBuf, Stop> {
    let root = context.target_dir("tools");
    let path = root
        .join("bin")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let listed = context
        .cargo()
        .args(["install", "--list", "--root"])
        .arg(&root)
        .output()?;
    let wanted = format!("{name} v{version}:");
    if path.exists()
        && String::from_utf8_lossy(&listed.stdout)
            .lines()
            .any(|line| line == wanted)
    {
        return Ok(path);
    }
    let install = context
        .cargo()
        .args(["install", "--locked", "--quiet", "--version", version]);
    // Its own target folder: a build of a tool and one of ours share nothing.
    install
        .arg("--root")
        .arg(&root)
        .arg(name)
        .env(
            "CARGO_TARGET_DIR",
            context.target_dir("tools").join("build"),
        )
        .run()
        .map_err(|stop| Stop::missing(stop.to_string()))?;
    Ok(path)
}

/// Makes sure a virtual environment with exactly these packages is there, and answers the folder of
/// its programs.
pub(crate) fn python(context: &Context, name: &str, packages: &[&str]) -> Result<PathBuf, Stop> {
    let folder = context.target_dir("tools").join(name);
    let bin = folder.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let wanted = packages.join("\n");
    let stamp = folder.join("packages");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(bin);
    }
    let make = || {
        context
            .command("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder)
            .run()
    };
    // Debian splits the module off, and Python itself may be missing.
    make()
        .or_else(|_| install(context, &["python3", "python3-venv"]).and_then(|()| make()))
        .map_err(|stop| Stop::missing(stop.to_string()))?;
    context
        .command(&bin.join("pip").to_string_lossy())
        .args(["install", "--quiet"])
        .args(packages.iter().copied())
        .run()
        .map_err(|stop| Stop::missing(stop.to_string()))?;
    fs::write(&stamp, wanted).map_err(|error| Stop::failed(error.to_string()))?;
    Ok(bin)
}

/// What a program says of its version: the first word that begins with a digit.
pub(crate) fn version(context: &Context, program: &str) -> Result<String, Stop> {
    let said = context.command(program).arg("--version").read()?;
    let mut words = said.split([' ', '-', '\n', '(']);
    let is_number =
        |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
    Ok(words.find(is_number).unwrap_or("of unknown version").into())
}

/// The program's path, as the shell would find it.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(&file))
        .find(|path| path.is_file())
}
