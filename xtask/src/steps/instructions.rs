//! What single calls of the library, and whole messages of a server, cost in user instructions:
//! diagnostics that are off must cost nothing, and so must whatever else is added beside the short
//! way.

use crate::step::{Context, Note, Stop, each};
use crate::tools;

/// Calls, by their names in `bench/src/calls.rs`, and the instructions that one may take, a loop
/// and a call around it included. What was counted when this was written, and a twentieth more, for
/// compilers differ; lower them as the library gets better.
const CEILINGS: &[(&str, u32)] = &[
    ("poll", 96),
    ("poll-ready", 90),
    ("poll-ready-attended", 129),
    ("wake", 33),
    ("wake-and-poll", 447),
    ("register", 84),
];

/// The same for a server's whole message, with the C library's share; the flags are those of the
/// command `echo`. A hand-written loop on epoll takes 183, 116, 134, 67 and 332.
const ECHO_CEILINGS: &[(&str, &[&str], u32)] = &[
    ("echo", &[], 219),
    ("echo, short reads", &["--short-reads"], 145),
    ("echo, 10 ready", &["--connections=10"], 150),
    (
        "echo, 10 ready, short reads",
        &["--connections=10", "--short-reads"],
        75,
    ),
    ("churn", &["--churn", "--short-reads"], 499),
];

/// The method of the server in `bench/src/counts.rs`.
const SERVER_ONLY: &str = "--toggle-collect=*serve_what_is_ready*";

/// The difference of two runs is the loop's alone.
const TIMES: [u32; 2] = [1000, 3000];

pub(crate) fn instructions(context: &Context) -> Result<Note, Stop> {
    tools::debian(context, &["valgrind"], &["valgrind"])?;
    let target = context.target_dir("bench");
    context
        .cargo()
        .args(["build", "--release"])
        .args(["--manifest-path", "bench/Cargo.toml"])
        .env("CARGO_TARGET_DIR", &target)
        .run()?;
    let program = target.join("release/litio-bench");
    let count = |option: &str, times: u32, flags: &[&str]| -> Result<u64, Stop> {
        let said = context
            .command("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            // Of an echo, the server's turns only; other programs have no such function.
            .args(flags.contains(&"echo").then_some(SERVER_ONLY))
            .arg("--log-fd=1")
            .arg(&program)
            .args(flags.iter().copied())
            .args([option, &times.to_string()])
            .read()?;
        collected(&said).ok_or_else(|| Stop::failed(format!("callgrind says:\n{said}")))
    };
    let each_time = |option: &str, flags: &[&str]| -> Result<u64, Stop> {
        let [few, many] = TIMES;
        let more = count(option, many, flags)? - count(option, few, flags)?;
        Ok(more / u64::from(many - few))
    };
    let allowed = |instructions: u64, ceiling: u32| match instructions > u64::from(ceiling) {
        true => Err(Stop::failed(format!(
            "{instructions} instructions, {ceiling} allowed"
        ))),
        false => Ok(()),
    };
    let calls = each(
        CEILINGS,
        |(call, _)| (*call).into(),
        |(call, ceiling)| {
            let off = each_time("--times", &["calls", "--call", call])?;
            let on = each_time("--times", &["calls", "--call", call, "--counted"])?;
            allowed(off, *ceiling)?;
            Ok(format!("{off} (counted: {on})"))
        },
    )?;
    let messages = each(
        ECHO_CEILINGS,
        |(name, _, _)| (*name).into(),
        |(_, flags, ceiling)| {
            let flags = [&["echo", "--who", "litio"], *flags].concat();
            let instructions = each_time("--messages", &flags)?;
            allowed(instructions, *ceiling)?;
            Ok(instructions.to_string())
        },
    )?;
    Ok(format!("{calls}; {messages}"))
}

/// The number in callgrind's line `Collected : 12345`.
fn collected(said: &str) -> Option<u64> {
    let (_, number) = said.split_once("Collected : ")?;
    number.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_found_in_what_callgrind_says() {
        let said = "==7== Events    : Ir\n==7== Collected : 424242\n==7== \n";
        assert_eq!(collected(said), Some(424_242));
        assert_eq!(collected("valgrind: no such file"), None);
    }
}
