//! Puts the servers on real mio and on Litio under load, in turns, and prints what they did.
//!
//! `drive [ROUNDS]`, beside the built servers. Needs `wrk`, `redis-benchmark` and `strace`.
//! Throughput and latency on a small machine wander by a third and more from run to run, so each
//! round runs mio, Litio and mio again: how far the same mio is from itself is the measure for the
//! rest. System calls are counted with one connection, where they do not depend on how many
//! requests a poll happens to find.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::{env, fs};

type Outcome<T> = Result<T, Box<dyn Error>>;

const HEAD: &str = "\
| load | server on | requests/s | p99, ms | server's CPU µs/request | its system calls/request |
|---|---|---|---|---|---|";

/// What is told and the ends of the programs' names.
const SIDES: [(&str, &str); 3] = [("mio", "mio"), ("Litio", "litio"), ("mio again", "mio")];

fn main() -> Outcome<()> {
    let rounds = env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    let program = env::current_exe()?;
    let folder = program.parent().ok_or("no folder")?;
    println!("{HEAD}");
    for load in LOADS {
        let mut measured: [Vec<Measured>; 3] = [const { Vec::new() }; 3];
        let server = |end: &str| folder.join(format!("{}-{end}", load.server));
        for round in 0..rounds {
            // Whoever comes first or last has no advantage of it.
            for turn in 0..SIDES.len() {
                let index = (round + turn) % SIDES.len();
                measured[index].push(measure(load, &server(SIDES[index].1))?);
            }
        }
        for ((side, end), list) in SIDES.iter().zip(&measured) {
            let calls = count_calls(load, &server(end))?;
            println!(
                "| {} | {side} | {} | {} | {} | {calls:.2} |",
                load.name,
                spread(list, |one| one.rate, 0),
                spread(list, |one| one.p99_millis, 2),
                spread(list, |one| one.cpu_micros, 2),
            );
        }
    }
    Ok(())
}

struct Load {
    name: &'static str,
    server: &'static str,
    connections: &'static str,
    client: fn(port: &str, connections: &str) -> Command,
    read: fn(&str) -> Option<(f64, f64)>,
}

const LOADS: &[Load] = &[
    Load {
        name: "hyper, wrk, 64 connections",
        server: "hello",
        connections: "64",
        client: |port, connections| {
            let mut wrk = Command::new("wrk");
            wrk.args([
                "--threads",
                "1",
                "--connections",
                connections,
                "--duration",
                "2",
            ]);
            wrk.args(["--latency", &format!("http://127.0.0.1:{port}/")]);
            wrk
        },
        read: read_wrk,
    },
    Load {
        name: "Redis's protocol, SET, 50 connections",
        server: "redis",
        connections: "50",
        client: |port, connections| {
            redis_benchmark(port, &["-c", connections, "-t", "set", "-n", "50000"])
        },
        read: read_redis_benchmark,
    },
    Load {
        name: "the same, GET in pipelines of 16",
        server: "redis",
        connections: "50",
        client: |port, connections| {
            redis_benchmark(
                port,
                &["-c", connections, "-t", "get", "-n", "400000", "-P", "16"],
            )
        },
        read: read_redis_benchmark,
    },
];

fn redis_benchmark(port: &str, args: &[&str]) -> Command {
    let mut command = Command::new("redis-benchmark");
    command.args(["-p", port, "--csv"]).args(args);
    command
}

struct Measured {
    rate: f64,
    p99_millis: f64,
    cpu_micros: f64,
}

fn measure(load: &Load, server: &Path) -> Outcome<Measured> {
    let server = Server::start(Command::new(server))?;
    let output = run(&mut (load.client)(&server.port, load.connections))?;
    let (rate, p99_millis) =
        (load.read)(&output).ok_or_else(|| format!("no result in: {output}"))?;
    let (count, micros) = server.stop()?;
    Ok(Measured {
        rate,
        p99_millis,
        cpu_micros: micros / count,
    })
}

/// System calls of the server for each request; those of starting and stopping hardly matter.
fn count_calls(load: &Load, server: &Path) -> Outcome<f64> {
    let log = env::temp_dir().join(format!("litio-drive-{}", std::process::id()));
    let mut strace = Command::new("strace");
    strace.args(["--follow-forks", "--summary-only", "--output"]);
    strace.arg(&log).arg(server);
    let server = Server::start(strace)?;
    run(&mut (load.client)(&server.port, "1"))?;
    let (count, _) = server.stop()?;
    let table = fs::read_to_string(&log)?;
    fs::remove_file(&log)?;
    // `100.00    0.123456           1    123456        12 total`
    let total = table.lines().find(|line| line.ends_with(" total"));
    let calls = total.and_then(|line| line.split_whitespace().nth(3));
    let calls: f64 = calls.ok_or("no sum in strace's table")?.parse()?;
    Ok(calls / count)
}

struct Server {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    port: String,
}

impl Server {
    fn start(mut command: Command) -> Outcome<Server> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take().ok_or("no standard input")?;
        let output = process.stdout.take().ok_or("no standard output")?;
        let mut output = BufReader::new(output);
        let mut port = String::new();
        output.read_line(&mut port)?;
        Ok(Server {
            process,
            input,
            output,
            port: port.trim().to_string(),
        })
    }

    /// Ends it; answers how many requests it has answered, and its processor time in microseconds.
    fn stop(mut self) -> Outcome<(f64, f64)> {
        drop(self.input);
        let mut accounts = String::new();
        self.output.read_line(&mut accounts)?;
        self.process.wait()?;
        let (count, micros) = accounts.trim().split_once(' ').ok_or("no accounts")?;
        Ok((count.parse()?, micros.parse()?))
    }
}

fn run(command: &mut Command) -> Outcome<String> {
    let output = command.output()?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        let why = String::from_utf8_lossy(&output.stderr);
        Err(format!("{command:?} ended with {}: {why}", output.status).into())
    }
}

/// `    99%    1.23ms` and `Requests/sec:  12345.67`.
fn read_wrk(output: &str) -> Option<(f64, f64)> {
    let after = |mark: &str| output.split(mark).nth(1)?.split_whitespace().next();
    let rate = after("Requests/sec:")?.parse().ok()?;
    let p99 = after(" 99%")?;
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    let millis = units.iter().find_map(|(unit, factor)| {
        let number: f64 = p99.strip_suffix(unit)?.parse().ok()?;
        Some(number * factor)
    })?;
    Some((rate, millis))
}

/// A table with a head: test, requests per second, latencies: average, least, p50, p95, p99, most.
fn read_redis_benchmark(output: &str) -> Option<(f64, f64)> {
    let last = output.lines().last()?;
    let columns: Vec<&str> = last.split(',').map(|cell| cell.trim_matches('"')).collect();
    Some((columns.get(1)?.parse().ok()?, columns.get(6)?.parse().ok()?))
}

/// Median and, in parentheses, least and most.
fn spread(list: &[Measured], value: impl Fn(&Measured) -> f64, digits: usize) -> String {
    let mut values: Vec<f64> = list.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    let median = values[values.len() / 2];
    let (least, most) = (values[0], values[values.len() - 1]);
    format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
}
