//! The suites on older kernels: static test programs in a first root folder, booted by QEMU.
//!
//! The kernels are Debian's, of releases that need not be this machine's: a package list of our
//! own, below `target/tools`, leaves the machine's lists alone.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use crate::command::Command;
use crate::cpio::Archive;
use crate::results::Place;
use crate::step::{Context, Note, Stop};
use crate::steps::suites::{FINE_TIMEOUTS, suites};
use crate::{toolchain, tools};

const MUSL: &str = "x86_64-unknown-linux-musl";

/// Needs the source tree, which the guest has not.
const NOT_IN_THE_GUEST: &str = "tidy";

pub(crate) fn linux_5_10(context: &Context) -> Result<Note, Stop> {
    run_on(context, "kernel-5.10", "bullseye", FINE_TIMEOUTS.into())
}

pub(crate) fn linux_6_1(context: &Context) -> Result<Note, Stop> {
    run_on(context, "kernel-6.1", "bookworm", Vec::new())
}

/// Boots the kernel of a Debian release and runs the suites as its first process.
fn run_on(
    context: &Context,
    step: &str,
    release: &str,
    unable: Vec<(&str, &str)>,
) -> Result<Note, Stop> {
    let packages = ["qemu-system-x86", "busybox-static"];
    tools::debian(context, &["qemu-system-x86_64", "busybox"], &packages)?;
    let folder = context.target_dir("tools").join("kernels").join(release);
    let kernel = kernel(context, release, &folder)?;
    let root = folder.join("root.cpio");
    let programs = test_programs(context)?;
    let modules = modules(&folder)?;
    let mut place = Place {
        step,
        target: MUSL,
        system: String::new(),
        backend: "epoll",
        unable,
        otherwise: "did not run",
    };
    let skips: Vec<&str> = place.skips().collect();
    pack(&programs, &modules, &skips.join(" "), &root)
        .map_err(|error| Stop::failed(format!("{}: {error}", root.display())))?;

    let log = context
        .command("qemu-system-x86_64")
        .args([
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
            "-m",
            "512",
            "-smp",
            "2",
        ])
        .args(["-nographic", "-no-reboot", "-net", "none", "-kernel"])
        .arg(kernel)
        .arg("-initrd")
        .arg(root)
        .args(["-append", "console=ttyS0 panic=-1 quiet loglevel=1"])
        .watch()?;
    // The firmware's last words may stand before ours on the same line.
    let said = |word: &str| {
        log.lines()
            .find_map(|line| line.split_once(word))
            .map_or("", |(_, rest)| rest.trim())
    };
    let numbers: Vec<&str> = said("GUEST-RUNS ").split('.').take(2).collect();
    place.system = format!("Linux {}, QEMU", numbers.join("."));
    let mut listed = String::new();
    for program in &programs {
        let list = context.command(&program.to_string_lossy());
        listed += &list.args(["--list", "--format=terse"]).read()?;
    }
    let note = place.keep(context, &log, &listed)?;
    match said("GUEST-ENDS ") {
        "0" => Ok(format!("{}, {note}", place.system)),
        "" => Err(Stop::failed("the guest did not come to its end")),
        failed => Err(Stop::failed(format!(
            "{failed} test programs failed in the guest: {note}"
        ))),
    }
}

/// The newest small kernel of the release, unpacked.
fn kernel(context: &Context, release: &str, folder: &Path) -> Result<PathBuf, Stop> {
    let failed = |error: io::Error| Stop::failed(format!("{}: {error}", folder.display()));
    let boot = folder.join("unpacked").join("boot");
    if let Some(kernel) = entry_with(&boot, "vmlinuz-") {
        return Ok(kernel);
    }
    for part in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(folder.join(part)).map_err(failed)?;
    }
    let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
    if !Path::new(keys).exists() {
        return Err(Stop::missing(format!(
            "{keys}: Debian's kernels are fetched with Debian's apt"
        )));
    }
    let source = format!(
        "deb [signed-by={keys}] {} {release} main\n",
        tools::debian_mirror()
    );
    fs::write(folder.join("sources.list"), source).map_err(failed)?;
    let apt = |program: &str| apt(context.command(program), folder);
    let missing = |stop: Stop| Stop::missing(stop.to_string());
    apt("apt-get")
        .args(["update", "-q"])
        .run()
        .map_err(missing)?;
    let names = apt("apt-cache")
        .args([
            "search",
            "--names-only",
            "^linux-image-[0-9].*-cloud-amd64$",
        ])
        .read()?;
    let newest = names
        .lines()
        .filter_map(|line| line.split(' ').next())
        .max_by_key(|name| numbers(name))
        .ok_or_else(|| Stop::missing(format!("{release} lists no cloud kernel")))?;
    apt("apt-get")
        .args(["download", "-q", newest])
        .directory(folder)
        .run()
        .map_err(missing)?;
    let package = entry_with(folder, newest).ok_or_else(|| Stop::failed("no package came"))?;
    let unpack = context.command("dpkg-deb").arg("-x").arg(package);
    unpack.arg(folder.join("unpacked")).run()?;
    entry_with(&boot, "vmlinuz-").ok_or_else(|| Stop::failed("the package holds no kernel"))
}

/// Points a program of apt at our own lists. Those of an old release may say that they are out of
/// date: they are.
fn apt(program: Command, folder: &Path) -> Command {
    let options = [
        format!(
            "Dir::Etc::SourceList={}",
            folder.join("sources.list").display()
        ),
        "Dir::Etc::SourceParts=/nonexistent".into(),
        format!("Dir::State::Lists={}", folder.join("lists").display()),
        format!("Dir::Cache={}", folder.join("cache").display()),
        "Dir::State::status=/dev/null".into(),
        "APT::Sandbox::User=".into(),
        "Acquire::Check-Valid-Until=false".into(),
    ];
    options
        .into_iter()
        .fold(program, |program, option| program.arg("-o").arg(option))
}

/// Builds the suites static and answers their paths.
fn test_programs(context: &Context) -> Result<Vec<PathBuf>, Stop> {
    toolchain::ensure_targets(context, &[MUSL])?;
    let build = || suites(context.cargo()).args(["--target", MUSL, "--no-run"]);
    build().run()?;
    // The second time there is nothing to do but to name the programs.
    let names = String::from_utf8_lossy(&build().output()?.stderr).into_owned();
    let programs: Vec<PathBuf> = executables(&names)
        .map(|path| context.root.join(path))
        .collect();
    if programs.is_empty() {
        return Err(Stop::failed(format!(
            "cargo named no test program: {names}"
        )));
    }
    Ok(programs)
}

/// Reads lines like `  Executable tests/suite/main.rs (target/…/suite-0123456789abcdef)`.
fn executables(log: &str) -> impl Iterator<Item = &str> {
    log.lines()
        .filter(|line| line.trim_start().starts_with("Executable "))
        .filter_map(|line| line.rsplit_once('(')?.1.strip_suffix(')'))
        .filter(|path| !path.contains(&format!("/{NOT_IN_THE_GUEST}-")))
}

/// The modules for vsock between the guest and itself, in the order in which they are loaded.
fn modules(folder: &Path) -> Result<Vec<PathBuf>, Stop> {
    let all = folder.join("unpacked").join("lib").join("modules");
    let release = entry_with(&all, "").ok_or_else(|| Stop::failed("the package has no modules"))?;
    let vsock = release.join("kernel").join("net").join("vmw_vsock");
    let names = [
        "vsock",
        "vmw_vsock_virtio_transport_common",
        "vsock_loopback",
    ];
    let paths = names.map(|name| vsock.join(format!("{name}.ko")));
    match paths.iter().find(|path| !path.exists()) {
        Some(path) => Err(Stop::failed(format!("no {}", path.display()))),
        None => Ok(paths.into()),
    }
}

/// Packs programs, modules, BusyBox and the script that runs them.
fn pack(programs: &[PathBuf], modules: &[PathBuf], args: &str, path: &Path) -> io::Result<()> {
    let mut archive = Archive::new(BufWriter::new(File::create(path)?));
    for folder in ["bin", "m", "t", "proc", "sys", "dev", "tmp"] {
        archive.folder(folder)?;
    }
    let busybox = tools::find("busybox").ok_or(io::ErrorKind::NotFound)?;
    archive.program("bin/busybox", &fs::read(busybox)?)?;
    archive.program("init", INIT.replace("ARGS", args).as_bytes())?;
    for (number, module) in modules.iter().enumerate() {
        archive.program(&format!("m/{number}.ko"), &fs::read(module)?)?;
    }
    for program in programs {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        archive.program(&format!("t/{name}"), &fs::read(program)?)?;
    }
    archive.finish()
}

/// `ARGS` is filled in. There is no network card: multicast needs a route through the loopback.
/// With the modules there is vsock, which its tests are told, so that they do not pass for want of
/// it.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
ip link set lo up
ip link set lo multicast on
ip route add 224.0.0.0/4 dev lo
for module in /m/*; do insmod $module; done
export LITIO_TEST_VSOCK=1
echo \"GUEST-RUNS $(uname -r)\"
cd /tmp
failed=0
for program in /t/*; do
  echo \"$program\"
  timeout 480 $program ARGS || failed=$((failed + 1))
done
echo \"GUEST-ENDS $failed\"
poweroff -f
";

/// The entry of the folder whose name starts so.
fn entry_with(folder: &Path, prefix: &str) -> Option<PathBuf> {
    let mut entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let entry = entries.find(|entry| entry.file_name().to_string_lossy().starts_with(prefix))?;
    Some(entry.path())
}

/// The numbers in a name, so that 5.10.0-9 comes before 5.10.0-30.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_read_from_cargos_words_without_the_one_that_needs_sources() {
        let log = "    Finished `test` profile\n  Executable unittests src/lib.rs (target/x/litio-0a)\n  \
                   Executable tests/suite/main.rs (target/x/suite-0b)\n  Executable tests/tidy/main.rs (target/x/tidy-0c)\n";
        let programs: Vec<&str> = executables(log).collect();
        assert_eq!(programs, ["target/x/litio-0a", "target/x/suite-0b"]);
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(numbers("linux-image-5.10.0-9-cloud") < numbers("linux-image-5.10.0-30-cloud"));
    }
}
