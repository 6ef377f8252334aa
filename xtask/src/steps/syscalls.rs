//! What a message costs in system calls: the same event loop on raw epoll and on Litio must make
//! the same ones.

use std::collections::BTreeMap;

use crate::step::{Context, Note, Stop, each};
use crate::tools;

const MESSAGES: u32 = 2000;

/// Fewer calls than this are not the loop's: starting up, and the end.
const CALLS_MIN: u32 = MESSAGES / 2;

pub(crate) fn syscalls(context: &Context) -> Result<Note, Stop> {
    tools::debian(context, &["strace"], &["strace"])?;
    let target = context.target_dir("bench");
    context
        .cargo()
        .args(["build", "--release"])
        .args(["--manifest-path", "bench/Cargo.toml"])
        .env("CARGO_TARGET_DIR", &target)
        .run()?;
    let program = target.join("release/litio-bench");
    let calls_of = |who: &str, flags: &[&str]| -> Result<BTreeMap<String, u32>, Stop> {
        let counts = target.join(format!("strace-{who}"));
        context
            .command("strace")
            .args(["-f", "-c", "-o"])
            .arg(&counts)
            .arg(&program)
            .args(["echo", "--who", who])
            .args(["--messages", &MESSAGES.to_string()])
            .args(flags.iter().copied())
            .run()?;
        let table = std::fs::read_to_string(&counts)
            .map_err(|error| Stop::failed(format!("{}: {error}", counts.display())))?;
        Ok(parse(&table))
    };
    each(
        [
            ("on one connection", &[][..]),
            ("on a connection each", &["--churn"]),
        ],
        |(name, _)| (*name).into(),
        |(_, flags)| {
            let (raw, litio) = (calls_of("raw", flags)?, calls_of("litio", flags)?);
            if raw.is_empty() || raw != litio {
                let difference = format!("raw epoll: {raw:?}; litio: {litio:?}");
                return Err(Stop::failed(difference));
            }
            let total = raw.values().sum::<u32>();
            Ok(format!(
                "{total} calls for {MESSAGES} messages, as raw epoll"
            ))
        },
    )
}

/// The calls of the loop and how often they were made, from the table that `strace -c` prints.
fn parse(table: &str) -> BTreeMap<String, u32> {
    let rows = table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let count = fields.nth(3)?.parse().ok()?;
        Some((fields.next_back()?.to_string(), count))
    });
    rows.filter(|(name, count)| name != "total" && *count >= CALLS_MIN)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_the_loop_are_found_in_straces_table() {
        let table = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 43.88    0.034171           5      6000      2000 recvfrom
 19.00    0.014793           7      2000           epoll_wait
  0.01    0.000011           1         7           mmap
------ ----------- ----------- --------- --------- ----------------
100.00    0.077868                 12077      2001 total
";
        let calls = parse(table);
        assert_eq!(
            Vec::from_iter(calls),
            [("epoll_wait".into(), 2000), ("recvfrom".into(), 6000)]
        );
    }
}
