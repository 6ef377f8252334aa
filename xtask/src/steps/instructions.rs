//! What single calls of the library cost in user instructions: diagnostics that are off must cost
//! nothing, and so must whatever else is added beside the short way.

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
    let count = |call: &str, times: u32, flags: &[&str]| -> Result<u64, Stop> {
        let said = context
            .command("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg("--log-fd=1")
            .arg(&program)
            .args(["calls", "--call", call, "--times", &times.to_string()])
            .args(flags.iter().copied())
            .read()?;
        collected(&said).ok_or_else(|| Stop::failed(format!("callgrind says:\n{said}")))
    };
    let per_call = |call: &str, flags: &[&str]| -> Result<u64, Stop> {
        let [few, many] = TIMES;
        let more = count(call, many, flags)? - count(call, few, flags)?;
        Ok(more / u64::from(many - few))
    };
    each(
        CEILINGS,
        |(call, _)| (*call).into(),
        |(call, ceiling)| {
            let (off, on) = (per_call(call, &[])?, per_call(call, &["--counted"])?);
            if off > u64::from(*ceiling) {
                return Err(Stop::failed(format!(
                    "{off} instructions, {ceiling} allowed"
                )));
            }
            Ok(format!("{off} (counted: {on})"))
        },
    )
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
