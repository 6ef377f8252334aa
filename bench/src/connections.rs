//! As many idle connections as a machine has room for: what each costs in memory, and what they cost the active ones.
//!
//! The server is that of the other workloads, in a process of its own; this process holds the other ends. An address has room
//! for some ten thousands of connections to the same port, so that the clients use one loopback address after another.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use socket2::{Domain, Socket, Type};

use crate::machine;
use crate::server::{Server, Who, settle};

/// How many, and what to do with them.
#[derive(clap::Args)]
pub struct Connections {
    /// Idle connections: fewer if limits or memory do not allow so many.
    #[arg(long, default_value_t = 1_000_000)]
    count: usize,
    /// Connections that are used, one at a time, while the others idle.
    #[arg(long, default_value_t = 64)]
    active: usize,
    /// Who serves.
    #[arg(long, value_enum, default_value = "litio")]
    who: Who,
    /// Memory to leave to others, in MiB.
    #[arg(long, default_value_t = 2048)]
    spare: u64,
    /// Where the table goes.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    into: PathBuf,
}

/// Connections from one address: less than it has ports, because a search for the last free ones takes long.
const PER_ADDRESS: usize = 20_000;

/// Connections between two looks at how it goes.
const STEP: usize = 1000;

pub fn run(connections: &Connections) -> io::Result<()> {
    machine::stay_on(machine::LOAD);
    let mut report = String::new();
    let (count, notes) = allowed(connections.count, connections.active);
    for note in &notes {
        println!("{note}");
    }
    let server = Server::start(connections.who, false)?;
    let active = (0..connections.active)
        .map(|_| connect(0, server.address))
        .collect::<io::Result<Vec<_>>>()?;
    settle(server.address)?;

    let heading = format!(
        "| connections on {} | kernel, both ends | server, user | client, user | a second | median | p99 | p99.9 |\n\
         |---:|---:|---:|---:|---:|---:|---:|---:|",
        connections.who.name()
    );
    println!("{heading}");
    let _ = writeln!(report, "{heading}");
    let mut idle = Vec::with_capacity(count);
    let (before, mut connecting) = (Memory::now(&server), Duration::ZERO);
    let mut next = 0;
    loop {
        if idle.len() == next || idle.len() == count {
            let line = line(
                &idle,
                &before,
                &Memory::now(&server),
                connecting,
                &round_trips(&active)?,
            );
            println!("{line}");
            let _ = writeln!(report, "{line}");
            next = (next * 10).max(10_000);
        }
        if idle.len() == count {
            break;
        }
        if available() < connections.spare << 20 {
            let note = format!(
                "Stopped at {}: {} MiB are to be spared.",
                idle.len(),
                connections.spare
            );
            println!("{note}");
            let _ = writeln!(report, "\n{note}");
            break;
        }
        let start = Instant::now();
        for _ in 0..STEP.min(count - idle.len()) {
            idle.push(connect(1 + idle.len() / PER_ADDRESS, server.address)?);
        }
        settle(server.address)?;
        connecting += start.elapsed();
    }
    fs::create_dir_all(&connections.into)?;
    let notes = notes.join("\n\n");
    fs::write(
        connections.into.join("connections.md"),
        format!("# Idle connections\n\n{notes}\n\n{report}"),
    )
}

/// How many connections the limits allow after all has been raised that can be, and what was done for it.
fn allowed(count: usize, active: usize) -> (usize, Vec<String>) {
    let mut notes = Vec::new();
    // Each process has one end of every connection, the system has both.
    let mine = (count + active + 100) as u64;
    for (path, needed) in [
        ("/proc/sys/fs/nr_open", mine),
        ("/proc/sys/fs/file-max", 2 * mine),
    ] {
        let now = machine::number_in(path).unwrap_or(0);
        if now < needed {
            notes.push(match fs::write(path, needed.to_string()) {
                Ok(()) => format!("Raised {path} from {now} to {needed}."),
                Err(error) => format!("Could not raise {path} from {now} to {needed}: {error}."),
            });
        }
    }
    let descriptors = machine::raise_descriptor_limit();
    notes.push(format!("Descriptors for each process: {descriptors}."));
    let system = machine::number_in("/proc/sys/fs/file-max").unwrap_or(u64::MAX);
    let room = descriptors
        .min(system / 2)
        .saturating_sub(active as u64 + 100) as usize;
    if room < count {
        notes.push(format!(
            "**{room} connections instead of {count}: the limits allow no more.**"
        ));
    }
    (count.min(room), notes)
}

/// A connection from the nth loopback address after the first.
fn connect(address: usize, server: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // Reset when closed: a million connections must not linger when this ends.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_nodelay(true)?;
    let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 0, 2)) + address as u32);
    // The port is found when it is known to whom: only then may others use it as well.
    bind_address_no_port(&socket);
    socket.bind(&SocketAddrV4::new(source, 0).into())?;
    socket.connect(&server.into())?;
    Ok(socket)
}

fn bind_address_no_port(socket: &Socket) {
    let on: libc::c_int = 1;
    let fd = std::os::fd::AsRawFd::as_raw_fd(socket);
    let (option, len) = (libc::IP_BIND_ADDRESS_NO_PORT, size_of_val(&on) as u32);
    unsafe { libc::setsockopt(fd, libc::IPPROTO_IP, option, (&raw const on).cast(), len) };
}

/// Sends a message on one connection after another, each time waiting for the answer.
fn round_trips(active: &[Socket]) -> io::Result<Histogram<u64>> {
    let mut histogram = Histogram::new(3).expect("three digits are possible");
    let mut message = [7; 64];
    let start = Instant::now();
    for mut socket in active.iter().cycle() {
        let sent = Instant::now();
        socket.write_all(&message)?;
        socket.read_exact(&mut message)?;
        histogram.saturating_record(sent.elapsed().as_nanos() as u64);
        if start.elapsed() > Duration::from_secs(2) {
            break;
        }
    }
    Ok(histogram)
}

/// What is in use, in bytes.
struct Memory {
    /// Of the kernel, in slabs: sockets, files, entries of epoll.
    kernel: u64,
    server: u64,
    client: u64,
}

impl Memory {
    fn now(server: &Server) -> Memory {
        Memory {
            kernel: meminfo("Slab:"),
            server: server.used().resident,
            client: machine::used(std::process::id()).resident,
        }
    }
}

fn available() -> u64 {
    meminfo("MemAvailable:")
}

fn meminfo(field: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = value.and_then(|value| value.trim().split(' ').next()?.parse().ok());
    kibibytes.map_or(0, |kibibytes: u64| kibibytes << 10)
}

fn line(
    idle: &[Socket],
    before: &Memory,
    now: &Memory,
    connecting: Duration,
    round_trips: &Histogram<u64>,
) -> String {
    let count = idle.len();
    if count == 0 {
        return format!("| 0 | | | | | {} |", latencies(round_trips));
    }
    let each = |now: u64, before: u64| now.saturating_sub(before) / count as u64;
    format!(
        "| {count} | {} B | {} B | {} B | {:.0} | {} |",
        each(now.kernel, before.kernel),
        each(now.server, before.server),
        each(now.client, before.client),
        count as f64 / connecting.as_secs_f64(),
        latencies(round_trips)
    )
}

fn latencies(round_trips: &Histogram<u64>) -> String {
    let at = |quantile| round_trips.value_at_quantile(quantile) as f64 / 1000.0;
    format!(
        "{:.1} µs | {:.1} µs | {:.1} µs",
        at(0.5),
        at(0.99),
        at(0.999)
    )
}
