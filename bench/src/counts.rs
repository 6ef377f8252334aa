//! What an echoed message costs a server in user instructions and in system calls. Both are
//! counted, not timed, so that they do not depend on what else the machine does.
//!
//! Client and server take turns on one thread: the client writes a message on every connection, the
//! server waits once and answers all of them, the client reads the answers. So each turn is like
//! every other. callgrind counts the instructions of the server's turns only, with what they call
//! in the C library; strace counts the calls of both, and the client's one write and one read are
//! subtracted. Each count is the difference of a long and a short run, in which all that happens
//! once cancels out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::engine::{Engine, OnLitio, OnMio, OnPolling, Raw, loopback};
use crate::measure::Row;
use crate::on_tokio;
use crate::server::{Who, accepted};

/// A server and its clients in turns: the program that is counted.
#[derive(Args, Clone)]
pub struct Echo {
    #[arg(long, value_enum)]
    who: Who,
    #[arg(long, default_value_t = 10_000)]
    messages: u32,
    #[command(flatten)]
    shape: Shape,
}

/// What a turn is like.
#[derive(Args, Clone, Copy)]
struct Shape {
    /// Connections, on all of which a message waits when the server's turn comes.
    #[arg(long, default_value_t = 1)]
    connections: u32,
    /// The server takes a short read for the end of what there is, and spares the read that says
    /// only `WouldBlock`.
    #[arg(long)]
    short_reads: bool,
    /// Each message on a connection of its own, which the server accepts, registers and closes.
    #[arg(long)]
    churn: bool,
}

const SIZE: usize = 64;

/// A server that takes turns. callgrind finds them by the method's name.
pub trait Turns: Sized {
    fn new(streams: Vec<TcpStream>, short_reads: bool) -> io::Result<Self>;
    /// Waits, and answers what has come. Returns how many messages that were.
    fn serve_what_is_ready(&mut self) -> io::Result<usize>;
}

/// Runs the program that is counted.
pub fn echo(echo: &Echo) -> io::Result<()> {
    match echo.who {
        Who::Raw if echo.shape.churn => churn::<Raw>(echo),
        Who::Litio if echo.shape.churn => churn::<OnLitio>(echo),
        Who::Mio if echo.shape.churn => churn::<OnMio>(echo),
        Who::Polling if echo.shape.churn => churn::<OnPolling>(echo),
        Who::Raw => drive::<Readiness<Raw>>(echo),
        Who::Litio => drive::<Readiness<OnLitio>>(echo),
        Who::Mio => drive::<Readiness<OnMio>>(echo),
        Who::Polling => drive::<Readiness<OnPolling>>(echo),
        Who::Tokio => drive::<on_tokio::Counted>(echo),
        #[cfg(libuv)]
        Who::Libuv => drive::<crate::libuv::Counted>(echo),
    }
}

fn drive<S: Turns>(echo: &Echo) -> io::Result<()> {
    let listener = TcpListener::bind(loopback())?;
    let (mut clients, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..echo.shape.connections {
        let client = TcpStream::connect(listener.local_addr()?)?;
        // As a file it is read and written, where a socket receives and sends: strace tells client
        // and server apart.
        clients.push(File::from(OwnedFd::from(client)));
        let (stream, _) = listener.accept()?;
        stream.set_nonblocking(true)?;
        streams.push(stream);
    }
    let mut server = S::new(streams, echo.shape.short_reads)?;
    let mut message = [7; SIZE];
    for _ in 0..echo.messages / echo.shape.connections {
        for client in &mut clients {
            client.write_all(&message)?;
        }
        let mut answered = 0;
        while answered < clients.len() {
            answered += server.serve_what_is_ready()?;
        }
        for client in &mut clients {
            client.read_exact(&mut message)?;
        }
    }
    Ok(())
}

/// The server on raw epoll, Litio, mio and polling.
struct Readiness<E: Engine> {
    engine: E,
    streams: Vec<E::Stream>,
    buffer: Box<[u8; 4096]>,
    short_reads: bool,
}

impl<E: Engine> Turns for Readiness<E> {
    fn new(streams: Vec<TcpStream>, short_reads: bool) -> io::Result<Self> {
        let engine = E::new()?;
        let mut streams: Vec<_> = streams.into_iter().map(E::stream).collect();
        for (token, stream) in streams.iter_mut().enumerate() {
            engine.register(stream, token)?;
        }
        Ok(Readiness {
            engine,
            streams,
            buffer: Box::new([0; 4096]),
            short_reads,
        })
    }

    #[inline(never)]
    fn serve_what_is_ready(&mut self) -> io::Result<usize> {
        self.engine.wait(None);
        let mut answered = 0;
        for token in self.engine.ready() {
            let mut stream = E::io(&self.streams[token]);
            loop {
                match stream.read(&mut self.buffer[..]) {
                    Ok(read) => {
                        let written = stream.write(&self.buffer[..read])?;
                        assert_eq!(written, read, "a small message fits");
                        answered += 1;
                        if self.short_reads && read < self.buffer.len() {
                            break;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(answered)
    }
}

fn churn<E: Engine>(echo: &Echo) -> io::Result<()> {
    let listener = TcpListener::bind(loopback())?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let mut server = Doors::<E>::new(listener)?;
    let mut message = [7; SIZE];
    for _ in 0..echo.messages {
        let client = TcpStream::connect(address)?; // two calls
        let mut client = File::from(OwnedFd::from(client));
        client.write_all(&message)?;
        while server.serve_what_is_ready()? == 0 {}
        client.read_exact(&mut message)?;
    }
    Ok(())
}

/// A server that answers one message and closes.
struct Doors<E: Engine> {
    engine: E,
    listener: E::Listener,
    stream: Option<E::Stream>,
    buffer: Box<[u8; 4096]>,
}

impl<E: Engine> Doors<E> {
    const LISTENER: usize = 0;
    const STREAM: usize = 1;

    fn new(listener: TcpListener) -> io::Result<Self> {
        let (engine, mut listener) = (E::new()?, E::listener(listener));
        engine.listen(&mut listener, Self::LISTENER)?;
        Ok(Doors {
            engine,
            listener,
            stream: None,
            buffer: Box::new([0; 4096]),
        })
    }

    /// As that of [`Turns`], whose name callgrind looks for.
    #[inline(never)]
    fn serve_what_is_ready(&mut self) -> io::Result<usize> {
        self.engine.wait(None);
        let mut answered = 0;
        for token in self.engine.ready() {
            if token == Self::LISTENER {
                while let Some(mut stream) = accepted(E::accept(&self.listener))? {
                    self.engine.register(&mut stream, Self::STREAM)?;
                    self.stream = Some(stream);
                }
            } else if let Some(stream) = self.stream.take() {
                let read = E::io(&stream).read(&mut self.buffer[..])?;
                let written = E::io(&stream).write(&self.buffer[..read])?;
                assert_eq!(written, read, "a small message fits");
                self.engine.close(stream);
                answered += 1;
            }
        }
        Ok(answered)
    }
}

/// A program that counts what another does.
struct Counter {
    program: &'static str,
    /// The last of them takes the name of the file for the result.
    arguments: &'static [&'static str],
    /// What it counted, by name.
    read: fn(&str) -> BTreeMap<String, f64>,
}

const CALLGRIND: Counter = Counter {
    program: "valgrind",
    arguments: &[
        "--tool=callgrind",
        "--toggle-collect=*serve_what_is_ready*",
        "--callgrind-out-file=",
    ],
    read: |result| {
        let total = result
            .lines()
            .find_map(|line| line.strip_prefix("totals: "));
        let total = total.and_then(|total| total.trim().parse().ok());
        BTreeMap::from([("instructions".into(), total.unwrap_or(f64::NAN))])
    },
};

const STRACE: Counter = Counter {
    program: "strace",
    arguments: &["-f", "-c", "--output="],
    // Columns: part of the time, seconds, microseconds a call, calls, errors (or nothing), name.
    read: |result| {
        let rows = result.lines().filter_map(|line| {
            let mut fields = line.split_whitespace();
            let calls = fields.nth(3)?.parse().ok()?;
            Some((fields.next_back()?.to_string(), calls))
        });
        rows.filter(|(name, _)| name != "total").collect()
    },
};

/// Messages of the short run; the long one has twice as many.
const MESSAGES: u32 = 1000;

impl Counter {
    /// What one message costs, by name; nothing if the program is not installed.
    fn per_message(
        &self,
        program: &Path,
        who: Who,
        shape: Shape,
    ) -> io::Result<Option<BTreeMap<String, f64>>> {
        let (Some(short), Some(mut long)) = (
            self.count(program, who, MESSAGES, shape)?,
            self.count(program, who, 2 * MESSAGES, shape)?,
        ) else {
            return Ok(None);
        };
        for (name, count) in &mut long {
            *count = (*count - short.get(name).unwrap_or(&0.0)) / f64::from(MESSAGES);
        }
        Ok(Some(long))
    }

    fn count(
        &self,
        program: &Path,
        who: Who,
        messages: u32,
        shape: Shape,
    ) -> io::Result<Option<BTreeMap<String, f64>>> {
        let file = std::env::temp_dir().join(format!("litio-bench-{}", std::process::id()));
        let (last, others) = self.arguments.split_last().expect("there are arguments");
        let mut command = Command::new(self.program);
        command
            .args(others)
            .arg(format!("{last}{}", file.display()));
        command.arg(program).arg("echo");
        command.args([
            "--who",
            &who.argument(),
            "--messages",
            &messages.to_string(),
        ]);
        command.args(["--connections", &shape.connections.to_string()]);
        command.args(shape.short_reads.then_some("--short-reads"));
        command.args(shape.churn.then_some("--churn"));
        let output = match command.output() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            output => output?,
        };
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("{}: {why}", self.program)));
        }
        let result = fs::read_to_string(&file)?;
        fs::remove_file(&file)?;
        Ok(Some((self.read)(&result)))
    }
}

const SHAPES: [Shape; 5] = [
    shape(1, false),
    shape(1, true),
    shape(10, false),
    shape(10, true),
    Shape {
        churn: true,
        ..shape(1, true)
    },
];

const fn shape(connections: u32, short_reads: bool) -> Shape {
    Shape {
        connections,
        short_reads,
        churn: false,
    }
}

impl Shape {
    /// tokio and libuv always take a short read for the end of what there is, and accept when they
    /// see fit.
    fn fits(self, who: Who) -> bool {
        self.short_reads && !self.churn
            || matches!(who, Who::Raw | Who::Litio | Who::Mio | Who::Polling)
    }

    /// The client's own system calls: it writes and reads. In a churn it also makes a socket,
    /// connects and closes.
    fn calls_of_the_client(self) -> f64 {
        if self.churn { 5.0 } else { 2.0 }
    }

    fn name(self) -> String {
        if self.churn {
            return "connect, request, close".into();
        }
        let until = if self.short_reads {
            "a short read"
        } else {
            "`WouldBlock`"
        };
        format!("{} ready at once, read until {until}", self.connections)
    }
}

/// The user instructions of a message; with link-time optimization too, if wanted.
pub fn instructions(lto: bool) -> io::Result<()> {
    let sum = |_, counts: &BTreeMap<String, f64>| counts.values().sum();
    let program = std::env::current_exe()?;
    count(&CALLGRIND, &program, "", "instructions", sum)?;
    if lto {
        let program = built_with_lto(&program)?;
        count(&CALLGRIND, &program, "LTO, ", "instructions", sum)?;
    }
    Ok(())
}

/// Builds this program in the profile `lto`, beside the one that runs.
fn built_with_lto(program: &Path) -> io::Result<PathBuf> {
    println!("Building with link-time optimization, which takes a while.");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--quiet", "--profile", "lto", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .status()?;
    if !status.success() {
        return Err(io::Error::other("cargo build --profile lto failed"));
    }
    let (folder, name) = (program.parent(), program.file_name());
    let target = folder
        .and_then(Path::parent)
        .expect("target/release/litio-bench");
    Ok(target.join("lto").join(name.expect("a program has a name")))
}

/// The system calls of a message.
pub fn system_calls() -> io::Result<()> {
    let sum = |shape: Shape, counts: &BTreeMap<String, f64>| {
        counts.values().sum::<f64>() - shape.calls_of_the_client()
    };
    count(&STRACE, &std::env::current_exe()?, "", "calls", sum)
}

fn count(
    counter: &Counter,
    program: &Path,
    prefix: &str,
    unit: &str,
    sum: fn(Shape, &BTreeMap<String, f64>) -> f64,
) -> io::Result<()> {
    for shape in SHAPES {
        let name = format!("{prefix}{}", shape.name());
        let who: Vec<_> = Who::all().iter().filter(|who| shape.fits(**who)).collect();
        let mut row = Row::new(&name, unit, who.iter().map(|who| who.name()));
        for (at, who) in who.into_iter().enumerate() {
            match counter.per_message(program, *who, shape)? {
                Some(counts) => row.push(at, sum(shape, &counts)),
                None => {
                    println!(
                        "**{} is not installed: no {unit} counted**",
                        counter.program
                    );
                    return Ok(());
                }
            }
        }
        row.keep();
    }
    Ok(())
}
