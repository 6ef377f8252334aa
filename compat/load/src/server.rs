//! What both servers share: a port that is told, and accounts at the end.

use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rustix::time::{ClockId, clock_gettime};
use tokio::net::{TcpListener, TcpStream};

/// Requests answered.
pub static ANSWERED: AtomicU64 = AtomicU64::new(0);

/// Serves each connection in a task of its own, all on one thread. Tells its port on standard
/// output; when standard input ends, the number of requests and the processor time in microseconds.
pub fn run<F>(serve: impl Fn(TcpStream) -> F + 'static) -> io::Result<()>
where
    F: Future<Output = ()> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        say(listener.local_addr()?.port());
        thread::spawn(tell_at_the_end);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(serve(stream));
        }
    })
}

fn tell_at_the_end() {
    let _ = io::stdin().read_to_end(&mut Vec::new());
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let micros = time.tv_sec * 1_000_000 + time.tv_nsec / 1_000;
    say(format_args!(
        "{} {micros}",
        ANSWERED.load(Ordering::Relaxed)
    ));
    process::exit(0);
}

fn say(what: impl std::fmt::Display) {
    println!("{what}");
    let _ = io::stdout().flush();
}
