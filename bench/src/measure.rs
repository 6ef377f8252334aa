//! Interleaved measurement: contenders take turns, medians with spread are compared.

use std::time::{Duration, Instant};

/// One contender of a row: a name and an operation.
pub struct Contender<'a> {
    name: &'static str,
    operation: Box<dyn FnMut() + 'a>,
    nanos: Vec<f64>,
}

impl<'a> Contender<'a> {
    pub fn new(name: &'static str, operation: impl FnMut() + 'a) -> Contender<'a> {
        Contender {
            name,
            operation: Box::new(operation),
            nanos: Vec::new(),
        }
    }

    fn time(&mut self, iterations: u32) -> Duration {
        let start = Instant::now();
        for _ in 0..iterations {
            (self.operation)();
        }
        start.elapsed()
    }

    /// Median, and the quartiles as the spread.
    fn quartiles(&mut self) -> [f64; 3] {
        self.nanos.sort_by(f64::total_cmp);
        [1, 2, 3].map(|quarter| self.nanos[self.nanos.len() * quarter / 4])
    }
}

/// Measures one row and prints it: nanoseconds per operation and the ratio to the first contender.
pub fn row(name: &str, rounds: usize, contenders: &mut [Contender<'_>]) {
    row_per(1, name, rounds, contenders);
}

/// As [`row`], for operations that do `parts` of what is to be measured.
pub fn row_per(parts: usize, name: &str, rounds: usize, contenders: &mut [Contender<'_>]) {
    // As many iterations as fill a millisecond or so: a round is short against what disturbs the machine.
    let iterations: Vec<u32> = contenders
        .iter_mut()
        .map(|contender| {
            contender.time(100);
            let probe = contender.time(1000).as_nanos().max(1) as u64 / 1000;
            (1_000_000 / probe.max(1)).clamp(10, 100_000) as u32
        })
        .collect();
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let who = (round + turn) % contenders.len();
            let time = contenders[who].time(iterations[who]);
            contenders[who]
                .nanos
                .push(time.as_nanos() as f64 / f64::from(iterations[who]) / parts as f64);
        }
    }
    let limit = contenders[0].quartiles()[1];
    for contender in contenders {
        let [low, median, high] = contender.quartiles();
        println!(
            "| {name} | {} | {median:.1} | {low:.1}–{high:.1} | {:.3} |",
            contender.name,
            median / limit
        );
    }
}
