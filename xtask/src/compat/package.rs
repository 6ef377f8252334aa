//! A dependent's published source in a folder of its own, with the `mio` of one side.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::command::Command;
use crate::step::{Context, Stop};

use super::{Dependent, Line, Side};

/// A copy of a published package that builds against one side's `mio`.
pub(crate) struct Package {
    name: &'static str,
    line: &'static Line,
    outdated: &'static [&'static str],
    stand_ins: &'static [&'static str],
    version: String,
    side: Side,
    pub(crate) folder: PathBuf,
}

/// A test binary that cargo has built.
pub(crate) struct Binary {
    /// The file of its `main`, relative to the package.
    pub(crate) label: String,
    pub(crate) path: PathBuf,
}

impl Package {
    /// Copies the package that the line's workspace pins, unless that has been done, and proves
    /// which `mio` it gets.
    pub(crate) fn prepare(
        context: &Context,
        dependent: &Dependent,
        side: Side,
    ) -> Result<Package, Stop> {
        let version = pinned(context, dependent.line, dependent.name)?;
        let manifest = context.root.join(dependent.line.pins).join("Cargo.toml");
        let source = unpacked(context, &manifest, dependent.name, &version)?;
        let folder = format!("{}-{version}", dependent.name);
        let folder = context.target_dir("compat").join(side.name()).join(folder);
        let package = Package {
            name: dependent.name,
            line: dependent.line,
            outdated: dependent.outdated,
            stand_ins: dependent.stand_ins,
            version,
            side,
            folder,
        };
        let addition = package.addition(context, &source)?;
        let stamp = package.folder.join("compat-stamp");
        if !fs::read_to_string(&stamp).is_ok_and(|have| have == addition) {
            let _ = fs::remove_dir_all(&package.folder);
            copy(&source, &package.folder).map_err(|error| package.failed(&error))?;
            package.patch(context, &addition)?;
            fs::write(&stamp, &addition).map_err(|error| package.failed(&error))?;
        }
        package.prove(context, dependent)?;
        Ok(package)
    }

    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// Cargo in the package's folder. Both sides share a folder of compiled dependencies; the
    /// package itself and what depends on `mio` differ by path and version, and so have files of
    /// their own.
    pub(crate) fn cargo(&self, context: &Context) -> Command {
        let built = context.target_dir("compat").join("build");
        let cargo = context.cargo().directory(&self.folder);
        cargo.env("CARGO_TARGET_DIR", built)
    }

    /// Builds the tests that the flags select and answers their binaries in the order of their
    /// labels.
    pub(crate) fn build(
        &self,
        context: &Context,
        flags: &[impl AsRef<str>],
    ) -> Result<Vec<Binary>, Stop> {
        let args = ["test", "--no-run"];
        let format = "--message-format=json-render-diagnostics";
        let flags = flags.iter().map(|flag| flag.as_ref().to_string());
        let build = self.cargo(context).args(args).arg(format).args(flags);
        let messages = build.read()?;
        let mut binaries: Vec<Binary> = messages
            .lines()
            .filter_map(|message| self.binary(message))
            .collect();
        binaries.sort_by(|a, b| a.label.cmp(&b.label));
        if binaries.is_empty() {
            return Err(Stop::failed(format!("{}: no test binary", self.title())));
        }
        Ok(binaries)
    }

    /// The names of the files in `tests`, without extension.
    pub(crate) fn integration_tests(&self) -> Result<Vec<String>, Stop> {
        let mut names = Vec::new();
        let folder = self.folder.join("tests");
        for entry in fs::read_dir(folder).map_err(|error| self.failed(&error))? {
            let path = entry.map_err(|error| self.failed(&error))?.path();
            if path.extension().is_some_and(|kind| kind == "rs") {
                names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into()));
            }
        }
        names.sort();
        Ok(names)
    }

    /// What the package's manifest gets besides its own text.
    fn addition(&self, context: &Context, source: &Path) -> Result<String, Stop> {
        let lock = fs::read_to_string(source.join("Cargo.lock")).ok();
        let mut patches = String::new();
        if self.side == Side::Litio {
            let shim = context.root.join(self.line.shim);
            patches += &format!("mio = {{ path = {shim:?} }}\n");
        }
        // A development dependency depends on the published package in turn: it must get this one.
        // Without a lock file that is not known yet, and a patch in vain does no harm.
        if lock.is_none_or(|lock| locked_versions(&lock, self.name).len() > 1) {
            patches += &format!("{} = {{ path = \".\" }}\n", self.name);
        }
        let mut stand_ins = String::new();
        for name in self.stand_ins {
            let folder = context.root.join(self.line.pins).join(name);
            stand_ins += &format!("\n[dev-dependencies.{name}]\npath = {folder:?}\n");
        }
        Ok(format!(
            "{stand_ins}\n[workspace]\n\n[patch.crates-io]\n{patches}\n\
             [profile.dev]\ndebug = false\nincremental = false\n"
        ))
    }

    /// Adds the patch and brings it into the lock file that the package carries.
    fn patch(&self, context: &Context, addition: &str) -> Result<(), Stop> {
        let manifest = self.folder.join("Cargo.toml");
        let text = read(&manifest)? + addition;
        fs::write(&manifest, text).map_err(|error| self.failed(&error))?;
        let lock = self.folder.join("Cargo.lock");
        if !lock.exists() {
            // Older releases carry none.
            self.cargo(context).arg("generate-lockfile").run()?;
        }
        let lock = read(&lock)?;
        let update = |what: String| self.cargo(context).args(["update", &what]);
        for version in locked_versions(&lock, self.name) {
            if version != self.version {
                update(format!("{}@{version}", self.name)).run()?;
            }
        }
        for name in self.outdated {
            update((*name).to_string()).run()?;
        }
        let lock = read(&self.folder.join("Cargo.lock"))?;
        for version in locked_versions(&lock, "mio") {
            if version.starts_with(self.line.prefix) {
                let update = update(format!("mio@{version}"));
                match self.side {
                    Side::Mio => update.args(["--precise", self.line.real]).run()?,
                    Side::Litio => update.run()?,
                }
            }
        }
        Ok(())
    }

    /// Makes sure that this side's `mio` is in the dependency graph, and no other of its line.
    fn prove(&self, context: &Context, dependent: &Dependent) -> Result<(), Stop> {
        let args = ["tree", "--prefix", "none", "--format", "{p}"];
        let mut tree = self.cargo(context).args(args);
        let is_feature = |flag: &&&str| flag.contains("features");
        let mut flags = dependent.flags.iter();
        while let Some(flag) = flags.find(is_feature) {
            tree = tree.arg(*flag);
            if *flag == "--features" {
                tree = tree.args(flags.next().copied());
            }
        }
        let output = tree.output()?;
        let tree = String::from_utf8_lossy(&output.stdout);
        let prefix = format!("mio v{}", self.line.prefix);
        let mut found: Vec<&str> = tree
            .lines()
            .filter(|line| line.starts_with(&prefix))
            .map(|line| line.trim_end_matches(" (*)"))
            .collect();
        found.sort_unstable();
        found.dedup();
        let shim = context.root.join(self.line.shim);
        let wanted = match self.side {
            Side::Mio => format!("mio v{}", self.line.real),
            Side::Litio => format!("mio v{} ({})", self.line.shim_version, shim.display()),
        };
        println!("{} with {}", self.title(), found.join(", "));
        if found == [wanted.as_str()] {
            return Ok(());
        }
        Err(Stop::failed(format!(
            "{}: {wanted} should be the one mio in its graph, but cargo tree finds {found:?} {}",
            self.title(),
            String::from_utf8_lossy(&output.stderr),
        )))
    }

    /// The test binary that one of cargo's messages tells of.
    fn binary(&self, message: &str) -> Option<Binary> {
        let profile = message.split(r#""profile":{"#).nth(1)?.split('}').next()?;
        if !profile.contains(r#""test":true"#) {
            return None;
        }
        let text_of = |key: &str| message.split(key).nth(1)?.split('"').next();
        let path = PathBuf::from(text_of(r#""executable":""#)?);
        let source = PathBuf::from(text_of(r#""src_path":""#)?);
        let label = source.strip_prefix(&self.folder).ok()?;
        let label = label.to_string_lossy().into_owned();
        Some(Binary { label, path })
    }

    fn failed(&self, error: &io::Error) -> Stop {
        Stop::failed(format!("{}: {error}", self.folder.display()))
    }
}

/// The version that the line's workspace pins: `name = "=1.2.3"`, or `version = "=1.2.3"` among
/// more.
fn pinned(context: &Context, line: &Line, name: &str) -> Result<String, Stop> {
    let text = read(&context.root.join(line.pins).join("Cargo.toml"))?;
    let mut entries = text.lines().filter_map(|entry| entry.split_once(" = "));
    let version = entries
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.split("\"=").nth(1)?.split('"').next());
    let missing = || Stop::failed(format!("{} does not pin {name}", line.pins));
    version.map(ToString::to_string).ok_or_else(missing)
}

/// The folder into which cargo has unpacked a package that the manifest's workspace depends on.
pub(crate) fn unpacked(
    context: &Context,
    manifest: &Path,
    name: &str,
    version: &str,
) -> Result<PathBuf, Stop> {
    let metadata = context
        .cargo()
        .args(["metadata", "--format-version", "1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .arg("--manifest-path")
        .arg(manifest)
        .output()?;
    let text = String::from_utf8_lossy(&metadata.stdout);
    let wanted = format!("{name}-{version}");
    let mut folders = text
        .split(r#""manifest_path":""#)
        .filter_map(|rest| Path::new(rest.split('"').next()?).parent());
    let found = folders.find(|folder| folder.ends_with(&wanted));
    found.map(Path::to_path_buf).ok_or_else(|| {
        let why = String::from_utf8_lossy(&metadata.stderr);
        Stop::missing(format!("{wanted}: cargo did not get it: {}", why.trim()))
    })
}

/// The versions of a package that a lock file names.
fn locked_versions(lock: &str, name: &str) -> Vec<String> {
    let wanted = format!("name = \"{name}\"");
    let lines: Vec<&str> = lock.lines().collect();
    let pairs = lines.windows(2).filter(|pair| pair[0] == wanted);
    pairs
        .filter_map(|pair| pair[1].strip_prefix("version = \""))
        .map(|version| version.trim_end_matches('"').to_string())
        .collect()
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::write(&target, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Stop> {
    fs::read_to_string(path).map_err(|error| Stop::failed(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_locked_version_is_found() {
        let lock = "[[package]]\nname = \"mio\"\nversion = \"0.7.14\"\n\n\
                    [[package]]\nname = \"mio-aio\"\nversion = \"2.0.0\"\n\n\
                    [[package]]\nname = \"mio\"\nversion = \"1.2.4\"\n";
        assert_eq!(locked_versions(lock, "mio"), ["0.7.14", "1.2.4"]);
    }
}
