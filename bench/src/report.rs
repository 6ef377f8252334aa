//! What a run leaves behind: `results.json` with every sample, `results.md` with the tables, and
//! the charts.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter, Write};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::charts;
use crate::measure::{Cell, Quartiles, Row};

/// All that was measured, and where.
#[derive(Deserialize, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub chapters: Vec<Chapter>,
}

/// Rows that belong together.
#[derive(Deserialize, Serialize)]
pub struct Chapter {
    pub title: String,
    /// What is measured and how.
    pub text: String,
    pub rows: Vec<Row>,
}

/// Figures mean nothing without it.
#[derive(Deserialize, Serialize)]
pub struct Machine {
    processor: String,
    processors: usize,
    system: String,
    compiler: String,
    /// Of the contenders.
    versions: Vec<String>,
    seconds: u64,
    is_quick: bool,
}

impl Machine {
    pub fn new(is_quick: bool) -> Machine {
        let first_line = |program: &str, argument: &str| {
            let output = Command::new(program).arg(argument).output();
            let output = output.map_or_else(|_| Vec::new(), |output| output.stdout);
            let output = String::from_utf8_lossy(&output);
            output
                .lines()
                .next()
                .unwrap_or("unknown")
                .trim()
                .to_string()
        };
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Machine {
            processor: model.map_or("unknown", |(_, model)| model).to_string(),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            system: format!("Linux {}", first_line("uname", "-r")),
            compiler: first_line("rustc", "--version"),
            versions: versions(),
            seconds: 0,
            is_quick,
        }
    }
}

impl Machine {
    /// When all was measured.
    pub fn after(self, time: Duration) -> Machine {
        let seconds = time.as_secs();
        Machine { seconds, ..self }
    }
}

impl Display for Machine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let quick = if self.is_quick {
            " This was a quick run: its spread is wide."
        } else {
            ""
        };
        let Machine {
            seconds,
            processors,
            processor,
            system,
            compiler,
            versions,
            ..
        } = self;
        let versions = versions.join(", ");
        writeln!(
            f,
            "Measured in {seconds} s on {processors} × {processor}, {system}, {compiler}: \
             {versions}.{quick}"
        )
    }
}

/// What the lock file says of the contenders.
fn versions() -> Vec<String> {
    let mut versions = Vec::new();
    for package in include_str!("../Cargo.lock").split("[[package]]") {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.split('"').nth(1))
        };
        if let (Some(name), Some(version)) = (field("name = "), field("version = "))
            && ["litio", "mio", "polling", "quinn-udp", "tokio"].contains(&name)
        {
            versions.push(format!("{name} {version}"));
        }
    }
    versions.push(match crate::libuv::version() {
        Some(version) => format!("libuv {version}"),
        None => "**libuv is not installed, so it is not measured**".into(),
    });
    versions
}

/// Where the results go.
#[derive(clap::Args)]
pub struct Output {
    /// The folder for them.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    into: PathBuf,
    /// Puts the summary into the project's README as well.
    #[arg(long)]
    readme: bool,
}

/// What stands in README between these is the summary.
const MARKS: [&str; 2] = ["<!-- bench: begin -->\n", "<!-- bench: end -->\n"];

/// The rows of the summary: chapter and beginning of the name.
const SUMMARY: [(&str, &str); 18] = [
    (
        "System calls per message",
        "10 ready at once, read until a short read",
    ),
    (
        "Instructions per message",
        "10 ready at once, read until a short read",
    ),
    (
        "Polling and registration",
        "poll(0), 0 ready, a waker exists",
    ),
    ("Polling and registration", "poll(0), 128 ready"),
    ("Polling and registration", "poll(0), 64 ready among"),
    ("Polling and registration", "register + deregister"),
    ("Wakes", "burst"),
    ("Wakes", "storm"),
    ("Wakes", "ping-pong"),
    ("Timeouts", "100 µs"),
    ("Servers over TCP", "ping-pong, 64 B: processor"),
    ("Servers over TCP", "ping-pong, 64 B, Litio spins"),
    ("Servers over TCP", "echo, 64 connections, 64 B: processor"),
    (
        "Servers over TCP",
        "echo, 1024 connections, 64 B: processor",
    ),
    (
        "Servers over TCP",
        "echo, 1024 connections, 16 KiB: processor",
    ),
    ("Servers over TCP", "connect, request, close: processor"),
    (
        "Servers over TCP",
        "echo, 64 active among 10000 idle, 64 B: processor",
    ),
    (
        "Servers over TCP",
        "echo, 64 active among 10000 idle, 64 B: memory",
    ),
];

impl Report {
    /// What an earlier run has written.
    pub fn read(output: &Output) -> io::Result<Report> {
        let json = fs::read(output.into.join("results.json"))?;
        Ok(serde_json::from_slice(&json)?)
    }

    /// Writes everything.
    pub fn write(&self, output: &Output) -> io::Result<()> {
        let folder = &output.into;
        fs::create_dir_all(folder)?;
        fs::write(folder.join("results.json"), serde_json::to_vec(self)?)?;
        fs::write(folder.join("results.md"), self.markdown())?;
        charts::draw(self, folder).map_err(io::Error::other)?;
        println!("Written to {}.", folder.display());
        if output.readme {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
            let text = fs::read_to_string(path)?;
            let [begin, end] = MARKS.map(|mark| text.find(mark));
            let (Some(begin), Some(end)) = (begin, end) else {
                return Err(io::Error::other("README.md has lost its marks"));
            };
            let (before, after) = (&text[..begin + MARKS[0].len()], &text[end..]);
            fs::write(path, format!("{before}\n{}\n{after}", self.summary()))?;
        }
        Ok(())
    }

    /// The rows that say most, in one table.
    fn summary(&self) -> String {
        let rows = SUMMARY.iter().filter_map(|(title, name)| {
            let chapter = self
                .chapters
                .iter()
                .find(|chapter| chapter.title == *title)?;
            let row = chapter.rows.iter().find(|row| row.name.starts_with(name))?;
            let name = match *title {
                "Polling and registration" | "Servers over TCP" => row.name.clone(),
                title => format!("{title}: {}", row.name),
            };
            Some((name, row))
        });
        let mut text = String::new();
        table(&mut text, rows);
        let _ = write!(text, "\n{}", self.machine);
        text
    }

    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# Results\n\nWritten by `cargo run --release` in `bench/`. {}\n\
             Less is better everywhere. The first column is the limit, in its unit; the others are \
             ratios to the limit of the same round: median, and quartiles in brackets.\n",
            self.machine
        );
        for chapter in &self.chapters {
            let _ = writeln!(text, "\n## {}\n\n{}\n", chapter.title, chapter.text);
            table(
                &mut text,
                chapter.rows.iter().map(|row| (row.name.clone(), row)),
            );
        }
        text
    }
}

/// As many contenders as a table is wide; more, and each is a line.
const COLUMNS: usize = 6;

fn table<'a>(text: &mut String, rows: impl Iterator<Item = (String, &'a Row)>) {
    let rows: Vec<_> = rows.collect();
    let cells = rows.iter().flat_map(|(_, row)| &row.cells);
    let mut seen = BTreeSet::new();
    let who = cells.map(|cell| cell.who.as_str());
    let who: Vec<_> = who.filter(|who| seen.insert(*who)).collect();
    if rows.is_empty() {
        text.push_str("**Not measured: what counts it is not installed.**\n");
    } else if who.len() <= COLUMNS {
        let _ = writeln!(
            text,
            "| | {} |\n|---|{}",
            who.join(" | "),
            "---:|".repeat(who.len())
        );
        for (name, row) in rows {
            let _ = write!(text, "| {name} |");
            for who in &who {
                let at = row.cells.iter().position(|cell| cell.who == *who);
                let _ = match at {
                    None => write!(text, " |"),
                    Some(0) => write!(text, " {} |", value(row, &row.cells[0])),
                    Some(at) => write!(text, " {} |", ratio(&row.cells[at])),
                };
            }
            text.push('\n');
        }
    } else {
        text.push_str("| | | | ratio to the first |\n|---|---|---:|---:|\n");
        for (name, row) in rows {
            for cell in &row.cells {
                let (value, ratio) = (value(row, cell), ratio(cell));
                let _ = writeln!(text, "| {name} | {} | {value} | {ratio} |", cell.who);
            }
        }
    }
}

fn value(row: &Row, cell: &Cell) -> String {
    match (row.unit.as_str(), cell.value.median) {
        ("ns", nanos) if nanos >= 10_000.0 => format!("{:.1} µs", nanos / 1000.0),
        (unit, value) if value >= 100.0 => format!("{value:.0} {unit}"),
        (unit, value) => format!("{value:.1} {unit}"),
    }
}

fn ratio(cell: &Cell) -> String {
    let Quartiles { low, median, high } = cell.ratio;
    let digits = |value: f64| match value {
        10.0.. => format!("{value:.0}"),
        0.1.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    if cell.samples.len() == 1 {
        return format!("**{}**", digits(median)); // counted, not timed
    }
    format!("**{}** ({}–{})", digits(median), digits(low), digits(high))
}
