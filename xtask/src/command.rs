//! Commands with a deadline: echoed before they run, killed with all their children when the time
//! is up.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{self, Tally};
use crate::step::{Note, Stop};

/// A command to be run inside a step.
#[derive(Clone)]
pub(crate) struct Command {
    program: OsString,
    args: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    directory: PathBuf,
    deadline: Instant,
}

impl Command {
    pub(crate) fn new(program: &str, directory: &Path, deadline: Instant) -> Command {
        Command {
            program: program.into(),
            args: Vec::new(),
            environment: BTreeMap::new(),
            directory: directory.to_path_buf(),
            deadline,
        }
    }

    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Command {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Command {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl Into<OsString>) -> Command {
        self.environment
            .insert(name.as_ref().to_os_string(), value.into());
        self
    }

    pub(crate) fn directory(mut self, directory: impl Into<PathBuf>) -> Command {
        self.directory = directory.into();
        self
    }

    /// Ends no later than this, whatever the step's limit.
    pub(crate) fn within(mut self, limit: Duration) -> Command {
        self.deadline = self.deadline.min(Instant::now() + limit);
        self
    }

    /// Runs it with its output in the log; anything but success fails the step.
    pub(crate) fn run(self) -> Result<(), Stop> {
        self.succeed(Sink::Log).map(drop)
    }

    /// Runs it and answers what it wrote to its standard output; its errors go to the log.
    pub(crate) fn read(self) -> Result<String, Stop> {
        self.succeed(Sink::Keep)
    }

    /// Runs it with its output in the log and answers its standard output as well.
    pub(crate) fn watch(self) -> Result<String, Stop> {
        self.succeed(Sink::Both)
    }

    /// Runs it with its output in the log and answers status and standard output, whatever they
    /// are.
    pub(crate) fn watch_all(self) -> Result<Output, Stop> {
        self.echo();
        self.wait(Sink::Both)
    }

    /// Runs `cargo test` or the like and answers its tally for the summary. That no test ran at all
    /// is a failure: a filter that has lost its tests must not pass for ever.
    pub(crate) fn run_tests(self) -> Result<Note, Stop> {
        let words = self.words();
        let output = self.watch_all()?;
        let log = String::from_utf8_lossy(&output.stdout);
        let tally = Tally::of(&log);
        if !output.status.success() {
            let (status, failures) = (output.status, harness::failures(&log));
            return Err(Stop::failed(format!(
                "`{words}` ended with {status}\n{failures}"
            )));
        }
        if tally.passed == 0 {
            return Err(Stop::failed(format!("`{words}` ran no test")));
        }
        Ok(tally.to_string())
    }

    /// Runs it silently and answers status and output, whatever they are.
    pub(crate) fn output(self) -> Result<Output, Stop> {
        self.wait(Sink::Silent)
    }

    fn succeed(self, sink: Sink) -> Result<String, Stop> {
        self.echo();
        let words = self.words();
        let output = self.wait(sink)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Stop::failed(format!(
            "`{words}` ended with {}",
            output.status
        )))
    }

    fn echo(&self) {
        let mut line = String::from("$");
        for (name, value) in &self.environment {
            line += &format!(" {}='{}'", name.to_string_lossy(), value.to_string_lossy());
        }
        println!("{line} {}", self.words());
    }

    /// The command line.
    pub(crate) fn words(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.args);
        words
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn wait(self, sink: Sink) -> Result<Output, Stop> {
        let words = self.words();
        let mut command = process::Command::new(&self.program);
        command.args(&self.args).current_dir(&self.directory);
        command.stdin(Stdio::null());
        command.stdout(if sink == Sink::Log {
            Stdio::inherit()
        } else {
            Stdio::piped()
        });
        command.stderr(if sink == Sink::Silent {
            Stdio::piped()
        } else {
            Stdio::inherit()
        });
        // Cargo's words to *this* package would make build scripts of others run again, and the
        // library path of one toolchain must not reach another.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let is_ours = ["CARGO_PKG_", "CARGO_MANIFEST_"]
                .iter()
                .any(|p| text.starts_with(p));
            if is_ours || matches!(&*text, "CARGO" | "LD_LIBRARY_PATH") {
                command.env_remove(&name);
            }
        }
        command.envs(&self.environment);
        own_group(&mut command);
        let child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Stop::missing(format!("`{words}`: no such program")),
            _ => Stop::failed(format!("`{words}`: {error}")),
        })?;
        wait_until(child, sink, self.deadline)
            .ok_or_else(|| {
                Stop::failed(format!("`{words}` was killed: the time limit is reached"))
            })?
            .map_err(|error| Stop::failed(format!("`{words}`: {error}")))
    }
}

/// The process that runs now, for the handler of Ctrl-C; 0 for none. Steps run one command at a
/// time.
static RUNNING: AtomicU32 = AtomicU32::new(0);

/// Makes Ctrl-C (and a polite kill) end the running command as well.
pub(crate) fn forward_interrupts() {
    let installed = ctrlc::set_handler(|| {
        let id = RUNNING.load(Ordering::SeqCst);
        if id != 0 {
            kill_tree(id);
        }
        process::exit(130);
    });
    if let Err(error) = installed {
        eprintln!("xtask: Ctrl-C will not reach the commands: {error}");
    }
}

/// Waits for the child and all it writes; `None` when it had to be killed.
fn wait_until(child: Child, sink: Sink, deadline: Instant) -> Option<io::Result<Output>> {
    let id = child.id();
    RUNNING.store(id, Ordering::SeqCst);
    let (sender, receiver) = mpsc::channel();
    let waiter = thread::spawn(move || {
        let output = if sink == Sink::Both {
            copy_out(child)
        } else {
            child.wait_with_output()
        };
        // The receiver is gone when the child was killed: nobody asks for its output then.
        let _ = sender.send(output);
    });
    let answer = receiver
        .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        .ok();
    if answer.is_none() {
        kill_tree(id);
    }
    let _ = waiter.join();
    RUNNING.store(0, Ordering::SeqCst);
    answer
}

/// Waits for the child, showing line by line what it writes.
fn copy_out(mut child: Child) -> io::Result<Output> {
    let mut kept = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? != 0 {
            io::stdout().write_all(&line)?;
            kept.append(&mut line);
        }
    }
    Ok(Output {
        stdout: kept,
        ..child.wait_with_output()?
    })
}

/// What becomes of a command's output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sink {
    /// All of it goes to the log.
    Log,
    /// Standard output is kept, errors go to the log.
    Keep,
    /// Standard output is kept *and* goes to the log with the errors.
    Both,
    /// All is kept.
    Silent,
}

#[cfg(unix)]
fn own_group(command: &mut process::Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(not(unix))]
fn own_group(_: &mut process::Command) {}

#[cfg(unix)]
fn kill_tree(id: u32) {
    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;
    if let Ok(group) = i32::try_from(id) {
        // An error means that the group is gone already.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}

#[cfg(not(unix))]
fn kill_tree(id: u32) {
    let _ = process::Command::new("taskkill")
        .args(["/F", "/T", "/PID", &id.to_string()])
        .status();
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn here(program: &str, limit: Duration) -> Command {
        Command::new(program, Path::new("."), Instant::now() + limit)
    }

    #[test]
    fn a_command_over_its_limit_is_killed_with_its_children() {
        let start = Instant::now();
        // The inner sleep holds the pipe: only when it dies too does the wait end.
        let outcome = here("sh", Duration::from_millis(200))
            .args(["-c", "sleep 60; true"])
            .output();
        assert!(matches!(outcome, Err(Stop::Failed(why)) if why.contains("time limit")));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn that_no_test_ran_is_a_failure() {
        let none = here("true", Duration::from_secs(30)).run_tests();
        assert!(matches!(none, Err(Stop::Failed(why)) if why.contains("no test")));
    }

    #[test]
    fn a_failure_brings_what_the_failed_tests_printed() {
        let words = "printf 'failures:\\n---- b stdout ----\\nwhy\\n'; exit 101";
        let failed = here("sh", Duration::from_secs(30)).args(["-c", words]);
        let failed = failed.run_tests();
        assert!(matches!(failed, Err(Stop::Failed(why)) if why.ends_with("b stdout ----\nwhy")));
    }

    #[test]
    fn a_missing_program_is_told_from_a_failing_one() {
        let limit = Duration::from_secs(30);
        assert!(matches!(
            here("no-such-program-anywhere", limit).run(),
            Err(Stop::Missing(_))
        ));
        assert!(matches!(here("false", limit).run(), Err(Stop::Failed(_))));
        assert!(here("true", limit).run().is_ok());
    }
}
