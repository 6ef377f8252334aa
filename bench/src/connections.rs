//! As many idle connections as a machine has room for: what each costs in memory, and what they
//! cost the active ones.
//!
//! The server is that of the other workloads, in a process of its own; another process holds the
//! other ends; this one uses some connections among them. An address has room for some ten
//! thousands of connections to the same port, so that the clients use one loopback address after
//! another. Where a process may not have as many descriptors as are needed, there are several
//! servers and several clients.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use socket2::{Domain, Socket, Type};

use crate::helper::Helper;
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

/// Connections that are only held.
#[derive(clap::Args)]
pub struct Hold {
    #[arg(long)]
    server: SocketAddr,
    #[arg(long)]
    count: usize,
    /// The first of the loopback addresses to use, counted from 127.0.0.2.
    #[arg(long)]
    address: usize,
    #[arg(long)]
    spare: u64,
}

/// Descriptors of a process for other things than connections.
const OTHERS: usize = 200;

/// Connects step by step, and after each step prints what the connections cost.
pub fn run(connections: &Connections) -> io::Result<()> {
    machine::stay_on(machine::LOAD);
    let _awake = machine::Awake::new();
    let mut report = Report::default();
    let (count, each) = report.limits(connections);
    report.line(&format!(
        "Asked for: {} connections, and {} MiB of memory to spare. The round trips are those of {} \
         more connections to the first server, one after the other.\n",
        connections.count, connections.spare, connections.active
    ));
    report.line(&format!(
        "| connections to {} | kernel, both ends | server, user | connected a second \
         | round trip, median | p99 | p99.9 |",
        connections.who.name()
    ));
    report.line("|---:|---:|---:|---:|---:|---:|---:|");

    let mut servers = vec![Server::start(connections.who, false, Duration::ZERO)?];
    let active = (0..connections.active)
        .map(|_| connect(0, servers[0].address))
        .collect::<io::Result<Vec<_>>>()?;
    settle(servers[0].address)?;
    report.line(&format!(
        "| 0 | | | | {} |",
        latencies(&round_trips(&active)?)
    ));

    let slab = meminfo("Slab:");
    let mut resident: u64 = servers[0].used().resident;
    let (mut idle, mut held) = (Vec::<Idle>::new(), 0);
    let stops = [10_000, 100_000, 300_000, 1_000_000, usize::MAX];
    for stop in stops.map(|stop| stop.min(count)) {
        let (start, held_before) = (Instant::now(), held);
        while held < stop {
            let room = servers.len() * each - held;
            if room == 0 {
                let server = Server::start(connections.who, false, Duration::ZERO)?;
                resident += server.used().resident;
                servers.push(server);
                continue;
            }
            let server = servers.last().expect("there is one").address;
            let wanted = room.min(stop - held);
            let address = 1 + idle.len() * ADDRESSES;
            let mut more = Idle::start(server, wanted, address, connections.spare)?;
            let got = more.held()?;
            idle.push(more);
            held += got;
            if got < wanted {
                break;
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        if held > 0 {
            let used: u64 = servers.iter().map(|server| server.used().resident).sum();
            report.line(&format!(
                "| {held} | {} B | {} B | {:.0} | {} |",
                meminfo("Slab:").saturating_sub(slab) / held as u64,
                used.saturating_sub(resident) / held as u64,
                (held - held_before) as f64 / seconds,
                latencies(&round_trips(&active)?)
            ));
        }
        if held < stop {
            report.line(&format!(
                "\nNo more: {} MiB are to be spared.",
                connections.spare
            ));
        }
        if held < stop || stop == count {
            break;
        }
    }
    fs::create_dir_all(&connections.into)?;
    fs::write(connections.into.join("connections.md"), report.0)
}

/// What is printed, and kept for the file.
#[derive(Default)]
struct Report(String);

impl Report {
    fn line(&mut self, line: &str) {
        println!("{line}");
        let _ = writeln!(self.0, "{line}");
    }

    /// Raises what can be raised, and says what cannot. Returns how many connections there can be,
    /// and how many of them in one process.
    fn limits(&mut self, connections: &Connections) -> (usize, usize) {
        self.line("# Idle connections\n");
        // Each process has one end of every connection, the system has both.
        let ends = connections.count + connections.active + OTHERS;
        for (path, needed) in [
            ("/proc/sys/fs/nr_open", ends as u64),
            ("/proc/sys/fs/file-max", 2 * ends as u64),
        ] {
            let now = machine::number_in(path).unwrap_or(0);
            if now < needed {
                self.line(&match fs::write(path, needed.to_string()) {
                    Ok(()) => format!("Raised {path} from {now} to {needed}.\n"),
                    Err(error) => {
                        format!("Could not raise {path} from {now} to {needed}: {error}.\n")
                    }
                });
            }
        }
        let descriptors = machine::raise_descriptor_limit() as usize;
        let each = descriptors.saturating_sub(connections.active + OTHERS);
        if each < connections.count {
            self.line(&format!(
                "Could not raise RLIMIT_NOFILE from {descriptors} to {ends}: \
                 several processes hold {each} connections each.\n"
            ));
        }
        let system = machine::number_in("/proc/sys/fs/file-max").unwrap_or(u64::MAX) as usize;
        let count = connections.count.min(system / 2 - OTHERS);
        if count < connections.count {
            self.line(&format!("The system has no more than {system} files.\n"));
        }
        (count, each)
    }
}

/// A process that holds connections.
pub struct Idle(Helper);

impl Idle {
    pub fn start(server: SocketAddr, count: usize, address: usize, spare: u64) -> io::Result<Idle> {
        let server = server.to_string();
        let [count, address] = [count, address].map(|number| number.to_string());
        Ok(Idle(Helper::start([
            "hold",
            "--server",
            &server,
            "--count",
            &count,
            "--address",
            &address,
            "--spare",
            &spare.to_string(),
        ])?))
    }

    /// Waits until it holds them all, or as many as there is memory for.
    pub fn held(&mut self) -> io::Result<usize> {
        Ok(self.0.number()? as usize)
    }
}

/// Connections from one address. Less than half of its ports: Linux tries the even ones first, and
/// a search for the last free ones takes long.
const PER_ADDRESS: usize = 10_000;

/// Addresses of one process, at most.
const ADDRESSES: usize = 256;

/// Connections between two looks at memory, and less than a server's queue.
const STEP: usize = 1000;

/// Connects, prints how many connections there are, and holds them.
pub fn hold(hold: &Hold) -> io::Result<Infallible> {
    machine::die_with_the_parent();
    machine::stay_on(machine::LOAD);
    machine::raise_descriptor_limit();
    let mut held = Vec::with_capacity(hold.count);
    while held.len() < hold.count && meminfo("MemAvailable:") > hold.spare << 20 {
        for _ in 0..STEP.min(hold.count - held.len()) {
            let address = hold.address + held.len() / PER_ADDRESS;
            held.push(connect(address, hold.server)?);
        }
        settle(hold.server)?;
    }
    println!("{}", held.len());
    loop {
        std::thread::park();
    }
}

/// A connection from one of the loopback addresses.
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
    let (option, len) = (libc::IP_BIND_ADDRESS_NO_PORT, size_of_val(&on) as u32);
    let (fd, on) = (socket.as_raw_fd(), (&raw const on).cast());
    unsafe { libc::setsockopt(fd, libc::IPPROTO_IP, option, on, len) };
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
        let nanos = sent.elapsed().as_nanos() as u64;
        histogram.record(nanos).expect("it grows as needed");
        if start.elapsed() > Duration::from_secs(2) {
            break;
        }
    }
    Ok(histogram)
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

/// A field of the kernel's account of memory, in bytes.
fn meminfo(field: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = value.and_then(|value| value.trim().split(' ').next()?.parse().ok());
    kibibytes.map_or(0, |kibibytes: u64| kibibytes << 10)
}
