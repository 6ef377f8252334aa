//! Mutants: the tests must notice when a line of the library is broken.

use std::io::{BufRead, BufReader};
use std::process::{self, Child, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::harness;
use crate::step::{Context, Note, Stop};
use crate::tools;

const CARGO_MUTANTS: &str = "27.1.0";

/// Where a broken line must not go unnoticed.
const MUTATED: [&str; 10] = [
    "src/token.rs",
    "src/interest.rs",
    "src/events.rs",
    "src/registry.rs",
    "src/poll.rs",
    "src/waker.rs",
    "src/io_source.rs",
    "src/sys/selector/*.rs",
    "src/sys/selector/kqueue/*.rs",
    "src/sys/selector/event_ports/*.rs",
];

/// Makes this program act as a runner of tests: [`act_as_runner`].
const RUNNER: &str = "LITIO_XTASK_RUNNER";

/// For so long, not one test ends: they all wait for what never comes.
const SILENCE: Duration = Duration::from_secs(10);

/// Fails when a mutant survives. One that cannot be told from the original is named in
/// `.cargo/mutants.toml`, with the reason. It takes hours: `LITIO_MUTANTS=0/8` is the first eighth.
pub(crate) fn mutants(context: &Context) -> Result<Note, Stop> {
    let program = tools::cargo_program(context, "cargo-mutants", CARGO_MUTANTS)?;
    let files = MUTATED.into_iter().flat_map(|file| ["--file", file]);
    let shard = std::env::var("LITIO_MUTANTS").ok();
    let shard = shard.iter().flat_map(|shard| ["--shard", shard]);
    let mutants = context
        .command(&program.to_string_lossy())
        .args(["mutants", "--package", "litio", "--all-features"])
        .args(["--jobs", "2", "--timeout", "60", "--output"])
        .arg(context.target_dir("mutants"))
        .args(files)
        .args(shard)
        .args(["--", "--lib", "--test", "suite", "--test", "process"])
        // Most of their time they sleep.
        .env("RUST_TEST_THREADS", "16")
        // On other systems each mutant takes as long as all of the tests.
        .env(
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER",
            tools::this_program()?,
        )
        .env(RUNNER, "1")
        .env("CARGO_PROFILE_TEST_DEBUG", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    let status = mutants.watch_all()?.status;
    let lists = context.target_dir("mutants").join("mutants.out");
    let list = |name: &str| -> Result<Vec<String>, Stop> {
        let path = lists.join(name);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Stop::failed(format!("{}: {error} ({status})", path.display())))?;
        Ok(text.lines().map(String::from).collect())
    };
    let found = list("caught.txt")?.len() + list("timeout.txt")?.len();
    let survivors = list("missed.txt")?;
    match (found, survivors.len()) {
        (0, 0) => Err(Stop::failed(format!("no mutant was tested: {status}"))),
        (found, 0) => Ok(format!("{found} found, none survived")),
        (found, left) => Err(Stop::failed(format!(
            "{found} found, {left} survived\n{}",
            survivors.join("\n")
        ))),
    }
}

/// If it was asked for, runs the test program that the arguments name until a test fails, or none
/// ends any more: the rest tells nothing new, and where something is broken it takes long.
pub(crate) fn act_as_runner() -> Option<ExitCode> {
    std::env::var_os(RUNNER)?;
    let mut args = std::env::args_os().skip(1);
    let mut command = process::Command::new(args.next()?);
    match command.args(args).stdout(Stdio::piped()).spawn() {
        Ok(child) => Some(run_until_failure(child)),
        Err(error) => {
            eprintln!("xtask: the tests cannot be started: {error}");
            Some(ExitCode::FAILURE)
        }
    }
}

fn run_until_failure(mut child: Child) -> ExitCode {
    let (sender, lines) = mpsc::channel();
    let stdout = child.stdout.take().expect("it is piped");
    thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    loop {
        match lines.recv_timeout(SILENCE) {
            Ok(line) => {
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                if harness::outcome(&line).is_some_and(|(_, outcome)| outcome == "FAILED") {
                    break;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                println!("no test has ended for {SILENCE:?}");
                break;
            }
            Err(RecvTimeoutError::Disconnected) => {
                let is_success = child.wait().is_ok_and(|status| status.success());
                return ExitCode::from(u8::from(!is_success));
            }
        }
    }
    let _ = child.kill(); // or it has ended by itself
    let _ = child.wait();
    ExitCode::FAILURE
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Instant;

    use super::*;

    fn run(script: &str) -> ExitCode {
        let mut command = process::Command::new("sh");
        let child = command.args(["-c", script]).stdout(Stdio::piped()).spawn();
        run_until_failure(child.unwrap())
    }

    #[test]
    fn a_run_ends_with_the_first_failure() {
        let start = Instant::now();
        let code = run("echo 'test a ... ok'; echo 'test b ... FAILED'; exec sleep 60");
        assert_eq!(code, ExitCode::FAILURE);
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn without_a_failure_a_run_ends_as_the_program_does() {
        assert_eq!(run("echo 'test a ... ok'"), ExitCode::SUCCESS);
        assert_eq!(run("echo 'test a ... ok'; exit 7"), ExitCode::FAILURE);
    }
}
