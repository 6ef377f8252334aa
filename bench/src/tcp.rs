//! Servers over TCP, under a load that is the same for all: what a message costs the server's
//! processor, and how long it takes.
//!
//! Every server runs in a process of its own, all at the same time, and those whose turn it is not
//! sleep. The load is this process, on another processor, by hand on epoll, and closed: a
//! connection sends again when it has its answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::connections::Idle;
use crate::engine::{Engine, Raw};
use crate::machine;
use crate::measure::{Row, turns};
use crate::server::{BUFFER, Server, Who, settle};

/// How long the workloads are.
#[derive(clap::Args, Clone)]
pub struct Length {
    /// Rounds in which every contender takes its turn.
    #[arg(long, default_value_t = 11)]
    pub rounds: usize,
    /// Milliseconds of a turn.
    #[arg(long, default_value_t = 150)]
    pub turn_ms: u64,
    /// Only rows whose name contains this.
    #[arg(long, default_value = "")]
    pub only: String,
}

/// Ping-pong, echo on many connections, churn, and active connections among idle ones.
pub fn run(length: &Length) -> io::Result<()> {
    let descriptors = machine::raise_descriptor_limit();
    machine::stay_on(machine::LOAD);
    ping_pong(length)?;
    for connections in [64, 1024] {
        for (size, text) in [(64, "64 B"), (16 << 10, "16 KiB")] {
            length.measure(
                &format!("echo, {connections} connections, {text}"),
                echo(connections, size, 0),
            )?;
        }
    }
    length.measure("connect, request, close", churn(16, 64))?;
    let idle = 10_000.min(descriptors as usize / 2);
    let name = format!("echo, 64 active among {idle} idle, 64 B");
    length.measure(&name, echo(64, 64, idle))
}

/// One message at a time, so that server and load sleep in turns.
fn ping_pong(length: &Length) -> io::Result<()> {
    let _awake = machine::Awake::new();
    length.measure("ping-pong, 64 B", echo(1, 64, 0))?;
    let spinning = Load {
        who: &[Who::Raw, Who::Litio],
        spin: Duration::from_micros(50),
        ..echo(1, 64, 0)
    };
    length.measure("ping-pong, 64 B, Litio spins for 50 µs", spinning)
}

/// What the load does, and to whom.
struct Load {
    who: &'static [Who],
    /// How long servers ask again before they sleep, if they know how.
    spin: Duration,
    is_churn: bool,
    connections: usize,
    idle: usize,
    size: usize,
}

fn echo(connections: usize, size: usize, idle: usize) -> Load {
    Load {
        who: Who::all(),
        spin: Duration::ZERO,
        is_churn: false,
        connections,
        idle,
        size,
    }
}

fn churn(connections: usize, size: usize) -> Load {
    Load {
        is_churn: true,
        ..echo(connections, size, 0)
    }
}

impl Length {
    /// Measures one workload, if it is wanted: two rows, three where there are idle connections,
    /// and only time where a server spins, for then its processor is always busy.
    fn measure(&self, name: &str, load: Load) -> io::Result<()> {
        if !name.contains(&self.only) {
            return Ok(());
        }
        let mut clients = Vec::new();
        for who in load.who {
            clients.push(Client::start(*who, &load)?);
        }
        let names = || clients.iter().map(|client| client.server.who.name());
        let mut processor = Row::new(&format!("{name}: processor time"), "ns", names());
        let mut wall = Row::new(&format!("{name}: time"), "ns", names());
        let mut memory = Row::new(&format!("{name}: memory per idle one"), "B", names());
        for client in &mut clients {
            client.run(&load, Duration::from_millis(self.turn_ms / 4))?; // warm
        }
        for (at, client) in clients.iter().enumerate() {
            memory.push(at, client.idle_bytes);
        }
        for at in turns(self.rounds, clients.len()) {
            let cost = clients[at].run(&load, Duration::from_millis(self.turn_ms))?;
            processor.push(at, cost.processor);
            wall.push(at, cost.wall);
        }
        if load.spin.is_zero() {
            processor.keep();
        }
        wall.keep();
        if load.idle > 0 {
            memory.keep();
        }
        Ok(())
    }
}

/// Nanoseconds per message.
struct Cost {
    processor: f64,
    wall: f64,
}

/// A server with the connections to it.
struct Client {
    server: Server,
    epoll: Raw,
    connections: Vec<Option<TcpStream>>,
    /// How much of the answer is here.
    answered: Vec<usize>,
    idle: Option<Idle>,
    idle_bytes: f64,
    buffer: Vec<u8>,
}

impl Client {
    fn start(who: Who, load: &Load) -> io::Result<Client> {
        let server = Server::start(who, load.is_churn, load.spin)?;
        let mut client = Client {
            server,
            epoll: Raw::new()?,
            connections: (0..load.connections).map(|_| None).collect(),
            answered: vec![0; load.connections],
            idle: None,
            idle_bytes: 0.0,
            buffer: vec![7; BUFFER],
        };
        if !load.is_churn {
            for at in 0..load.connections {
                client.connections[at] = Some(client.connect(at)?);
            }
            settle(client.server.address)?;
        }
        if load.idle > 0 {
            let before = client.server.used().resident;
            let mut idle = Idle::start(client.server.address, load.idle, 0, 0)?;
            let held = idle.held()?;
            assert_eq!(held, load.idle, "all are held");
            let grown = client.server.used().resident - before;
            client.idle_bytes = grown as f64 / held as f64;
            client.idle = Some(idle);
        }
        Ok(client)
    }

    fn connect(&self, at: usize) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.server.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        self.epoll.add(stream.as_raw_fd(), at, libc::EPOLLIN);
        Ok(stream)
    }

    /// Drives the server for so long.
    fn run(&mut self, load: &Load, time: Duration) -> io::Result<Cost> {
        let (start, before) = (Instant::now(), self.server.used().processor);
        let mut messages = 0;
        for at in 0..load.connections {
            self.send(at, load)?;
        }
        let mut waiting = load.connections;
        while waiting > 0 {
            self.epoll.wait(None);
            let is_over = start.elapsed() >= time;
            let ready: Vec<_> = self.epoll.ready().collect();
            for at in ready {
                if !self.is_answered(at, load)? {
                    continue;
                }
                messages += 1;
                if is_over {
                    waiting -= 1;
                } else {
                    self.send(at, load)?;
                }
            }
        }
        let (wall, processor) = (start.elapsed(), self.server.used().processor - before);
        let per_message = |time: Duration| time.as_nanos() as f64 / f64::from(messages);
        Ok(Cost {
            processor: per_message(processor),
            wall: per_message(wall),
        })
    }

    fn send(&mut self, at: usize, load: &Load) -> io::Result<()> {
        if load.is_churn {
            let stream = self.connect(at)?;
            // When this end is closed, it resets what is left of the other: else the kernel would
            // remember each connection for a minute, and every turn would find more of them.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
            self.connections[at] = Some(stream);
        }
        self.answered[at] = 0;
        let mut connection = self.connections[at].as_ref().expect("it is connected");
        let written = connection.write(&self.buffer[..load.size])?;
        assert_eq!(written, load.size, "a message fits");
        Ok(())
    }

    /// Reads what has come, and says whether it is all: of a connection that the server closes, its
    /// end too.
    fn is_answered(&mut self, at: usize, load: &Load) -> io::Result<bool> {
        let mut connection = self.connections[at].as_ref().expect("it is connected");
        match connection.read(&mut self.buffer) {
            Ok(0) if load.is_churn && self.answered[at] == load.size => {
                self.connections[at] = None;
                Ok(true)
            }
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                self.answered[at] += read;
                Ok(!load.is_churn && self.answered[at] == load.size)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}
