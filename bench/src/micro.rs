//! The library's own costs, against the system calls beneath: one function a row, one contender an
//! engine.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{CAPACITY, Engine, EventFd, OnLitio, OnMio, OnPolling, Raw, Wake, loopback};
use crate::measure::{Contender, Rounds};
use crate::{libuv, machine, on_tokio};

/// The same contender on each engine, and others besides.
macro_rules! each {
    ($contender:ident $(, $argument:expr)* $(; $other:expr)*) => {
        || {
            let engines = [
                $contender::<Raw>($($argument),*)?,
                $contender::<OnLitio>($($argument),*)?,
                $contender::<OnMio>($($argument),*)?,
                $contender::<OnPolling>($($argument),*)?,
            ];
            let others: &mut [Option<Contender<'static>>] = &mut [$($other?),*];
            Ok(engines.into_iter().chain(others.iter_mut().filter_map(Option::take)).collect())
        }
    };
}

/// Polls, events and registration.
pub fn core(rounds: &Rounds) -> io::Result<()> {
    machine::raise_descriptor_limit();
    machine::stay_on(machine::SERVER);
    rounds.row("poll(0), 0 ready", each!(empty, false))?;
    rounds.row("poll(0), 0 ready, a waker exists", each!(empty, true))?;
    for count in [1, 16, 64, 128, CAPACITY] {
        rounds.row(
            &format!("poll(0), {count} ready"),
            each!(ready, count, [].into(), NOW),
        )?;
    }
    rounds.row("poll(None), 1 ready", each!(ready, 1, [].into(), None))?;
    // One lot for all, because descriptors are few on some machines.
    let idle = (0..10_000)
        .map(|_| EventFd::new())
        .collect::<io::Result<Rc<[_]>>>()?;
    rounds.row(
        "poll(0), 64 ready among 10,000 idle",
        each!(ready, 64, Rc::clone(&idle), NOW),
    )?;
    drop(idle);
    rounds.row("register + deregister", each!(register))?;
    rounds.row("reregister", each!(reregister))
}

/// Wakes from other threads and from the poller's own.
pub fn wakes(rounds: &Rounds) -> io::Result<()> {
    machine::stay_on(machine::SERVER);
    rounds.row_per(
        BURST,
        "burst of 100 and a poll, per wake",
        each!(burst; libuv::burst(BURST)),
    )?;
    machine::stay_anywhere(); // and so will the threads of the storm
    rounds.row_per(4 * STORM, "storm of 4 threads, per wake", each!(storm))?;
    machine::stay_on(machine::SERVER);
    let _awake = machine::Awake::new();
    rounds.row(
        "ping-pong of two threads",
        each!(ping_pong, Duration::ZERO; on_tokio::ping_pong()),
    )?;
    rounds.row("ping-pong of two threads, Litio spins for 50 µs", || {
        let spin = Duration::from_micros(50);
        let limit = ping_pong::<Raw>(Duration::ZERO)?;
        Ok(vec![limit, ping_pong::<OnLitio>(spin)?])
    })
}

/// How late a timeout of 100 µs is.
pub fn timeouts(rounds: &Rounds) -> io::Result<()> {
    machine::stay_on(machine::SERVER);
    rounds.row(
        "100 µs, how late",
        each!(timeout, Duration::ZERO; on_tokio::timeout(ASKED); libuv::timeout(ASKED)),
    )?;
    rounds.row("100 µs, how late, Litio spins so long", || {
        let limit = timeout::<Raw>(Duration::ZERO)?;
        Ok(vec![limit, timeout::<OnLitio>(ASKED)?])
    })
}

const NOW: Option<Duration> = Some(Duration::ZERO);
const ASKED: Duration = Duration::from_micros(100);

fn empty<E: Engine>(has_waker: bool) -> io::Result<Contender<'static>> {
    let mut engine = E::new()?;
    let waker = has_waker.then(|| engine.waker(0)).transpose()?;
    Ok(Contender::new(E::NAME, move || {
        let _ = &waker;
        engine.wait(NOW);
    }))
}

/// Taking events and looking at each, as an event loop does. The ready ones are level-triggered, so
/// that they stay ready.
fn ready<E: Engine>(
    count: usize,
    idle: Rc<[EventFd]>,
    timeout: Option<Duration>,
) -> io::Result<Contender<'static>> {
    let mut engine = E::new()?;
    let active = (0..count)
        .map(|_| EventFd::new())
        .collect::<io::Result<Vec<_>>>()?;
    for (token, source) in active.iter().enumerate() {
        source.wake();
        engine.add(source.as_raw_fd(), token, libc::EPOLLIN);
    }
    for source in &*idle {
        engine.add(source.as_raw_fd(), count, libc::EPOLLIN | libc::EPOLLET);
    }
    // The sum keeps the compiler from looking at none.
    let tokens = count * (count - 1) / 2;
    Ok(Contender::new(E::NAME, move || {
        let _ = (&active, &idle);
        engine.wait(timeout);
        assert_eq!(engine.ready().sum::<usize>(), tokens);
    }))
}

/// A connected stream of the engine's own kind, and its peer.
fn stream<E: Engine>() -> io::Result<(E::Stream, TcpStream)> {
    let listener = TcpListener::bind(loopback())?;
    let peer = TcpStream::connect(listener.local_addr()?)?;
    let (stream, _) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((E::stream(stream), peer))
}

fn register<E: Engine>() -> io::Result<Contender<'static>> {
    let (engine, (mut stream, peer)) = (E::new()?, stream::<E>()?);
    Ok(Contender::new(E::NAME, move || {
        let _ = &peer;
        engine.register(&mut stream, 0).expect("registers");
        engine.deregister(&mut stream).expect("deregisters");
    }))
}

fn reregister<E: Engine>() -> io::Result<Contender<'static>> {
    let (engine, (mut stream, peer)) = (E::new()?, stream::<E>()?);
    engine.register(&mut stream, 0)?;
    Ok(Contender::new(E::NAME, move || {
        let _ = &peer;
        engine.reregister(&mut stream, 0).expect("reregisters");
    }))
}

const BURST: usize = 100;
const STORM: usize = 10_000;

/// The poller is awake: it wakes itself.
fn burst<E: Engine>() -> io::Result<Contender<'static>> {
    let mut engine = E::new()?;
    let waker = engine.waker(0)?;
    Ok(Contender::new(E::NAME, move || {
        for _ in 0..BURST {
            waker.wake();
        }
        engine.wait(NOW);
    }))
}

/// All wake as fast as they can, and the poller goes back to sleep as often as they let it.
fn storm<E: Engine>() -> io::Result<Contender<'static>> {
    let mut engine = E::new()?;
    let waker = engine.waker(0)?;
    Ok(Contender::new(E::NAME, move || {
        let threads_done = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 1..STORM {
                        waker.wake();
                    }
                    threads_done.fetch_add(1, Ordering::SeqCst);
                    waker.wake();
                });
            }
            while threads_done.load(Ordering::SeqCst) < 4 {
                engine.wait(None);
            }
        });
        engine.wait(NOW); // what is left over must not end the next storm's first wait
    }))
}

/// A thread that answers every wake with a wake.
struct Peer<E: Engine> {
    theirs: Arc<E::Waker>,
    is_over: Arc<AtomicBool>,
}

impl<E: Engine> Drop for Peer<E> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.theirs.wake();
    }
}

fn ping_pong<E: Engine>(spin: Duration) -> io::Result<Contender<'static>> {
    let (mut engine, mut other) = (E::new()?, E::new()?);
    engine.spin(spin);
    other.spin(spin);
    let ours = engine.waker(0)?;
    let peer: Peer<E> = Peer {
        theirs: Arc::new(other.waker(0)?),
        is_over: Arc::default(),
    };
    let is_over = Arc::clone(&peer.is_over);
    thread::spawn(move || {
        machine::stay_on(machine::LOAD);
        while !is_over.load(Ordering::SeqCst) {
            other.wait(None);
            ours.wake();
        }
    });
    Ok(Contender::new(E::NAME, move || {
        peer.theirs.wake();
        engine.wait(None);
    }))
}

fn timeout<E: Engine>(spin: Duration) -> io::Result<Contender<'static>> {
    let mut engine = E::new()?;
    engine.spin(spin);
    Ok(Contender::timed(E::NAME, move |iterations| {
        let late = |_| {
            let start = Instant::now();
            engine.wait(Some(ASKED));
            start.elapsed().saturating_sub(ASKED)
        };
        (0..iterations).map(late).sum()
    }))
}
