//! Interleaved measurement: contenders take turns, and what counts is the ratio to the first of
//! them in the same round. A machine that others use as well disturbs all contenders of a round
//! alike, so that the median of these ratios is steadier than any of the times.

use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What all contenders of one workload needed, round by round. The first is the limit that the
/// others are held against.
#[derive(Deserialize, Serialize)]
pub struct Row {
    pub name: String,
    /// Of the samples, which all mean: less is better.
    pub unit: String,
    pub cells: Vec<Cell>,
}

/// A contender in a row.
#[derive(Deserialize, Serialize)]
pub struct Cell {
    pub who: String,
    pub samples: Vec<f64>,
    /// To the first contender in the same round.
    pub ratio: Quartiles,
    pub value: Quartiles,
}

/// Median and spread.
#[derive(Clone, Copy, Default, Deserialize, Serialize)]
pub struct Quartiles {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Quartiles {
    fn of(mut samples: Vec<f64>) -> Quartiles {
        samples.sort_by(f64::total_cmp);
        let [low, median, high] = [1, 2, 3].map(|quarter| samples[samples.len() * quarter / 4]);
        Quartiles { low, median, high }
    }
}

impl Row {
    pub fn new(name: &str, unit: &str, who: impl IntoIterator<Item = &'static str>) -> Row {
        let cell = |who: &str| Cell {
            who: who.into(),
            samples: Vec::new(),
            ratio: Quartiles::default(),
            value: Quartiles::default(),
        };
        Row {
            name: name.into(),
            unit: unit.into(),
            cells: who.into_iter().map(cell).collect(),
        }
    }

    pub fn push(&mut self, at: usize, sample: f64) {
        self.cells[at].samples.push(sample);
    }

    /// Prints the row, and keeps it for the report.
    pub fn keep(mut self) {
        let limit = self.cells[0].samples.clone();
        for cell in &mut self.cells {
            let ratios = cell.samples.iter().zip(&limit);
            cell.ratio = Quartiles::of(ratios.map(|(sample, limit)| sample / limit).collect());
            cell.value = Quartiles::of(cell.samples.clone());
            let Quartiles { low, median, high } = cell.value;
            println!(
                "| {} | {} | {median:.1} {} | {low:.1}–{high:.1} | {:.3} |",
                self.name, cell.who, self.unit, cell.ratio.median
            );
        }
        ROWS.lock().expect("no panic").push(self);
    }
}

/// The rows measured since the last call of [`taken`]: workloads print as they go and need not know
/// who will report them.
static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());

/// Takes the rows that were kept.
pub fn taken() -> Vec<Row> {
    std::mem::take(&mut ROWS.lock().expect("no panic"))
}

/// Who is next: in each round every contender once, in each round another one first.
pub fn turns(rounds: usize, contenders: usize) -> impl Iterator<Item = usize> {
    (0..rounds).flat_map(move |round| (0..contenders).map(move |turn| (round + turn) % contenders))
}

/// One contender of a row: a name and an operation.
pub struct Contender<'a> {
    name: &'static str,
    /// Runs the operation so many times and says what that cost.
    run: Box<dyn FnMut(u32) -> Duration + 'a>,
}

impl<'a> Contender<'a> {
    pub fn new(name: &'static str, mut operation: impl FnMut() + 'a) -> Contender<'a> {
        Contender::timed(name, move |iterations| {
            let start = Instant::now();
            for _ in 0..iterations {
                operation();
            }
            start.elapsed()
        })
    }

    /// A contender that says itself what so many operations cost.
    pub fn timed(name: &'static str, run: impl FnMut(u32) -> Duration + 'a) -> Contender<'a> {
        Contender {
            name,
            run: Box::new(run),
        }
    }

    /// As many iterations as fill half a millisecond or more: a round is short against what
    /// disturbs the machine. Of three tries the shortest counts: one interruption must not end the
    /// search.
    fn iterations(&mut self) -> u32 {
        let mut iterations = 1;
        loop {
            let mut time = || {
                let start = Instant::now();
                (self.run)(iterations);
                start.elapsed()
            };
            let shortest = time().min(time()).min(time());
            if shortest >= Duration::from_micros(500) || iterations >= 1 << 20 {
                return iterations;
            }
            iterations *= 2;
        }
    }
}

/// How often each contender runs its operation in a turn: those that cost about the same, the same
/// number of times. What the kernel puts off, above all the freeing of registrations, makes a long
/// turn dearer than a short one, so that the one with fewer iterations would win.
fn iterations(contenders: &mut [Contender<'_>]) -> Vec<u32> {
    let own: Vec<u32> = contenders.iter_mut().map(Contender::iterations).collect();
    let alike = |one: u32| own.iter().copied().filter(move |other| *other <= 4 * one);
    own.iter()
        .map(|one| alike(*one).max().unwrap_or(*one))
        .collect()
}

/// Which rows are measured, and how often.
#[derive(clap::Args, Clone)]
pub struct Rounds {
    /// Rounds in which every contender takes its turn.
    #[arg(long, default_value_t = 21)]
    pub rounds: usize,
    /// Only rows whose name contains this.
    #[arg(long, default_value = "")]
    pub only: String,
}

impl Rounds {
    /// Measures one row, if it is wanted: nanoseconds per operation.
    pub fn row<'a>(
        &self,
        name: &str,
        contenders: impl FnOnce() -> io::Result<Vec<Contender<'a>>>,
    ) -> io::Result<()> {
        self.row_per(1, name, contenders)
    }

    /// As [`Rounds::row`], for operations that do `parts` of what is to be measured.
    pub fn row_per<'a>(
        &self,
        parts: usize,
        name: &str,
        contenders: impl FnOnce() -> io::Result<Vec<Contender<'a>>>,
    ) -> io::Result<()> {
        if name.contains(&self.only) {
            row_per(parts, name, self.rounds, &mut contenders()?);
        }
        Ok(())
    }
}

/// Measures one row: nanoseconds per part, of which each operation does `parts`.
pub fn row_per(parts: usize, name: &str, rounds: usize, contenders: &mut [Contender<'_>]) {
    let iterations = iterations(contenders);
    let mut row = Row::new(
        name,
        "ns",
        contenders.iter().map(|contender| contender.name),
    );
    for who in turns(rounds, contenders.len()) {
        let time = (contenders[who].run)(iterations[who]);
        let operations = f64::from(iterations[who]) * parts as f64;
        row.push(who, time.as_nanos() as f64 / operations);
    }
    row.keep();
}
