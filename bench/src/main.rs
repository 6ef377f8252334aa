//! Litio, mio, polling and raw epoll side by side, in one run.
//!
//! `cargo run --release -- micro`. Figures are ratios to the limit (raw epoll) or to mio from the same run: the contenders take
//! turns round by round, and the median of the rounds counts, because these machines are noisy.

mod echo;
mod measure;
mod micro;
mod udp;

use clap::Parser;

/// Litio, mio, polling and raw epoll side by side.
#[derive(Parser)]
enum Command {
    /// The library's own costs: poll, events, wakes, registration.
    Micro {
        /// Rounds in which every contender takes its turn.
        #[arg(long, default_value_t = 21)]
        rounds: usize,
        /// Only rows whose name contains this.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// UDP datagrams in runs: single calls, mmsg, GSO, GSO and GRO, against raw calls and quinn-udp.
    Udp {
        /// Rounds in which every contender takes its turn.
        #[arg(long, default_value_t = 21)]
        rounds: usize,
        /// Only rows whose name contains this.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Echoes on one connection: to be run under strace or valgrind.
    Echo {
        #[arg(long, value_enum)]
        who: echo::Who,
        #[arg(long, default_value_t = 10_000)]
        messages: u32,
    },
}

fn main() -> std::io::Result<()> {
    match Command::parse() {
        Command::Micro { rounds, only } => micro::run(rounds, &only),
        Command::Udp { rounds, only } => udp::run(rounds, &only),
        Command::Echo { who, messages } => echo::run(who, messages),
    }
}
