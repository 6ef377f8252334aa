//! What a run leaves behind: `results.json` with every sample, `results.md` with the tables, and the charts.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::charts;
use crate::measure::{Cell, Quartiles, Row};

/// All that was measured, and where.
#[derive(Serialize)]
pub struct Report {
    pub machine: Machine,
    pub chapters: Vec<Chapter>,
}

/// Rows that belong together.
#[derive(Serialize)]
pub struct Chapter {
    pub title: &'static str,
    /// What is measured and how.
    pub text: &'static str,
    pub rows: Vec<Row>,
}

/// Figures mean nothing without it.
#[derive(Serialize)]
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
    pub fn new(seconds: u64, is_quick: bool) -> Machine {
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
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Machine {
            processor: model.map_or("unknown", |(_, model)| model).to_string(),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            system: format!("Linux {}", first_line("uname", "-r")),
            compiler: first_line("rustc", "--version"),
            versions: versions(),
            seconds,
            is_quick,
        }
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
    if !cfg!(libuv) {
        versions.push("**libuv: not installed, so not measured**".into());
    }
    versions
}

/// Between these, results.md has what README shows.
const MARKS: [&str; 2] = ["<!-- bench: begin -->", "<!-- bench: end -->"];

impl Report {
    /// Writes everything into a folder.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(
            folder.join("results.json"),
            serde_json::to_vec_pretty(self)?,
        )?;
        std::fs::write(folder.join("results.md"), self.markdown())?;
        charts::draw(self, folder).map_err(io::Error::other)
    }

    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let machine = &self.machine;
        let quick = if machine.is_quick {
            " This was a quick run: its spread is wide."
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "# Results\n\nWritten by `cargo run --release` in `bench/`, in {} s, on {} × {}, {}, {}.{quick}\n\n{}.\n",
            machine.seconds,
            machine.processors,
            machine.processor,
            machine.system,
            machine.compiler,
            machine.versions.join(", ")
        );
        text.push_str(
            "Less is better everywhere. The first column is the limit, in its unit; the others are ratios to the limit of the \
             same round: median, and quartiles in brackets.\n",
        );
        for chapter in &self.chapters {
            let _ = writeln!(text, "\n## {}\n\n{}\n", chapter.title, chapter.text);
            table(&mut text, &chapter.rows);
        }
        text
    }
}

/// As many contenders as a table is wide; more, and each is a line.
const COLUMNS: usize = 6;

fn table(text: &mut String, rows: &[Row]) {
    let cells = rows.iter().flat_map(|row| &row.cells);
    let mut seen = BTreeSet::new();
    let who: Vec<_> = cells
        .map(|cell| cell.who)
        .filter(|who| seen.insert(*who))
        .collect();
    if who.len() <= COLUMNS {
        let _ = writeln!(
            text,
            "| | {} |\n|---|{}",
            who.join(" | "),
            "---:|".repeat(who.len())
        );
        for row in rows {
            let _ = write!(text, "| {} |", row.name);
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
        for row in rows {
            for cell in &row.cells {
                let (value, ratio) = (value(row, cell), ratio(cell));
                let _ = writeln!(text, "| {} | {} | {value} | {ratio} |", row.name, cell.who);
            }
        }
    }
}

fn value(row: &Row, cell: &Cell) -> String {
    match (row.unit, cell.value.median) {
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
