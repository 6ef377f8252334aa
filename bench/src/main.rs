//! Litio, mio, polling, tokio, libuv and raw epoll side by side, in one run.
//!
//! `cargo run --release` measures everything in some minutes, prints the tables and writes
//! `results/`: tables, samples, charts. Subcommands measure single parts. Figures are ratios to the
//! limit (raw epoll) in the same round, because the machines that this runs on are noisy:
//! contenders take turns, and the median of the rounds counts.

#[cfg(not(target_os = "linux"))]
compile_error!("the suite holds everything against epoll: it runs on Linux");

mod calls;
mod charts;
mod connections;
mod counts;
mod engine;
mod helper;
#[cfg(libuv)]
mod libuv;
#[cfg(not(libuv))]
#[path = "no_libuv.rs"]
mod libuv;
mod machine;
mod measure;
mod micro;
mod on_tokio;
mod report;
mod server;
mod tcp;
mod udp;

use std::io;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};

use measure::Rounds;
use report::{Chapter, Machine, Output, Report};

/// Litio, mio, polling, tokio, libuv and raw epoll side by side. Without a command: everything.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    whole: Whole,
}

#[derive(Subcommand)]
enum Command {
    /// The library's own costs: poll, events, registration, wakes, timeouts.
    Micro(Rounds),
    /// Servers over TCP: ping-pong, echo, churn, idle connections.
    Tcp(tcp::Length),
    /// UDP datagrams in runs: single calls, mmsg, GSO, GSO and GRO, against raw calls and
    /// quinn-udp.
    Udp(Rounds),
    /// User instructions of a server per message, counted by callgrind.
    Instructions {
        /// Also with link-time optimization: builds the suite once more.
        #[arg(long)]
        lto: bool,
    },
    /// System calls of a server per message, counted by strace.
    SystemCalls,
    /// As many idle connections as the machine has room for, between two processes.
    Connections(connections::Connections),
    /// Writes tables and charts anew, from results.json.
    Render(Output),
    /// Serves in a process of its own: what `tcp` starts.
    #[command(hide = true)]
    Serve(server::Serve),
    /// Holds idle connections in a process of its own: what `tcp` and `connections` start.
    #[command(hide = true)]
    Hold(connections::Hold),
    /// Single calls in a loop: what `cargo xtask step instructions` runs under callgrind.
    Calls(calls::Calls),
    /// Echoes in turns: what `instructions` and `system-calls` run.
    Echo(counts::Echo),
}

/// A run of everything.
#[derive(Args)]
struct Whole {
    /// A minute instead of some: fewer rounds.
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    output: Output,
}

fn main() -> io::Result<()> {
    let Arguments { command, whole } = Arguments::parse();
    match command {
        None => everything(&whole),
        Some(Command::Micro(rounds)) => {
            micro::core(&rounds)?;
            micro::wakes(&rounds)?;
            micro::timeouts(&rounds)
        }
        Some(Command::Tcp(length)) => tcp::run(&length),
        Some(Command::Udp(rounds)) => udp::run(rounds.rounds, &rounds.only),
        Some(Command::Instructions { lto }) => counts::instructions(lto),
        Some(Command::SystemCalls) => counts::system_calls(),
        Some(Command::Connections(connections)) => connections::run(&connections),
        Some(Command::Render(output)) => Report::read(&output)?.write(&output),
        Some(Command::Serve(serve)) => match server::run(&serve)? {},
        Some(Command::Hold(hold)) => match connections::hold(&hold)? {},
        Some(Command::Calls(calls)) => calls::run(&calls),
        Some(Command::Echo(echo)) => counts::echo(&echo),
    }
}

fn everything(whole: &Whole) -> io::Result<()> {
    let (start, machine) = (Instant::now(), Machine::new(whole.quick));
    let rounds = |rounds| Rounds {
        rounds: if whole.quick { 5 } else { rounds },
        only: String::new(),
    };
    let length = tcp::Length {
        rounds: if whole.quick { 3 } else { 11 },
        turn_ms: if whole.quick { 50 } else { 150 },
        only: String::new(),
    };
    let mut chapters = Vec::new();
    let mut chapter = |title: &str, text: &str, run: &mut dyn FnMut() -> io::Result<()>| {
        println!(
            "\n## {title}\n\n{text}\n\n| | who | | quartiles | ratio |\n|---|---|---:|---|---:|"
        );
        run()?;
        let rows = measure::taken();
        chapters.push(Chapter {
            title: title.into(),
            text: text.into(),
            rows,
        });
        io::Result::Ok(())
    };
    chapter(
        "Instructions per message",
        "User instructions of a server per echoed message of 64 bytes, with the C library's, counted \
         by callgrind. One connection is ready when the server waits, or 10 are. Those that leave \
         the choice to the program read until `WouldBlock`, or take a short read for the end of what \
         there is; tokio and libuv always do the latter. In the last row each message has a \
         connection of its own, which the server accepts, registers and closes.",
        &mut || counts::instructions(!whole.quick),
    )?;
    chapter(
        "System calls per message",
        "System calls of the same servers per message, counted by strace.",
        &mut counts::system_calls,
    )?;
    chapter(
        "Polling and registration",
        "One thread. The ready sources are level-triggered and stay ready; each event's token is \
         looked at.",
        // So many that a row is longer than the kernel's moods: it frees registrations later, and
        // then all at once.
        &mut || micro::core(&rounds(101)),
    )?;
    chapter(
        "Wakes",
        "A poller that is awake, a poller that four threads keep from sleeping, two threads that wake \
         each other. The limit is a write to an eventfd each time.",
        &mut || micro::wakes(&rounds(21)),
    )?;
    chapter(
        "Timeouts",
        "How much later than after 100 µs a wait ends. The limit is epoll_pwait2(2), which is late by \
         the thread's timer slack: 50 µs, if nobody has changed it.",
        &mut || micro::timeouts(&rounds(21)),
    )?;
    chapter(
        "Servers over TCP",
        "One server in one process on one processor, the load on another. *Processor time* is what a \
         message costs the server's processor; *time* is how long the server and the load together \
         take for one, with as many on their way as there are connections. In a ping-pong a thread of \
         the lowest class keeps each processor from sleeping, because in a virtual machine waking \
         one takes longer than all else, and a different time at each try.",
        &mut || tcp::run(&length),
    )?;
    chapter(
        "Datagrams",
        "UDP over loopback on one thread, per datagram sent and received.",
        &mut || udp::run(rounds(21).rounds, ""),
    )?;
    let report = Report {
        machine: machine.after(start.elapsed()),
        chapters,
    };
    println!("\n{}", report.markdown());
    report.write(&whole.output)
}
