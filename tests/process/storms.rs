//! Signals a thousand times a second, into whatever system call is running: everything arrives that
//! was sent.

#![expect(unsafe_code, reason = "sigaction, pthread_kill")]
// On systems whose thread-locals are std's own work, clippy does not see the `const`.
#![allow(clippy::missing_const_for_thread_local)]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use litio::net::{TcpListener, TcpStream, UdpSocket};
use litio::unix::pipe;
use litio::{Events, Interest, Poll, Token, Waker};

use crate::alone;

const R: Interest = Interest::READABLE;
const RW: Interest = Interest::READABLE.add(Interest::WRITABLE);

const CONNECTIONS: usize = 16;
/// How many signals each thread must have taken before the work may end.
const SIGNALS_MIN: usize = 1000;
const MESSAGE: usize = 24;
const DEADLINE: Duration = Duration::from_secs(60);

const LISTENER: Token = Token(1000);
const DATAGRAMS: Token = Token(1001);
const PIPE: Token = Token(1002);
const WAKER: Token = Token(1003);

static IS_OVER: AtomicBool = AtomicBool::new(false);
static INTERRUPTIONS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static TAKEN: AtomicUsize = const { AtomicUsize::new(0) };
}

extern "C" fn take(_: libc::c_int) {
    TAKEN.with(|taken| taken.fetch_add(1, Ordering::Relaxed));
}

fn taken() -> usize {
    TAKEN.with(|taken| taken.load(Ordering::Relaxed))
}

/// Polls on after interruptions, until the deadline.
fn poll(poll: &mut Poll, events: &mut Events, deadline: Instant) {
    loop {
        match poll.poll_until(events, deadline) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                assert!(events.is_empty());
                INTERRUPTIONS.fetch_add(1, Ordering::Relaxed);
            }
            result => {
                result.unwrap();
                assert!(!events.is_empty(), "nothing more comes");
                return;
            }
        }
    }
}

/// None if it would block. What does not wait is not interrupted.
fn now<T>(result: io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error:?}"),
    }
}

/// Gives back what comes, by stream and by datagram, until it is over and everybody has hung up.
fn serve(listener: TcpListener, datagrams: UdpSocket) {
    let deadline = Instant::now() + DEADLINE;
    let (mut listener, mut datagrams) = (listener, datagrams);
    let mut queue = Poll::new().unwrap();
    let mut events = Events::with_capacity(4); // fewer than there are sources
    queue
        .registry()
        .register(&mut listener, LISTENER, R)
        .unwrap();
    queue
        .registry()
        .register(&mut datagrams, DATAGRAMS, RW)
        .unwrap();
    let mut streams: Vec<Option<(TcpStream, Vec<u8>)>> = Vec::new();
    let mut ended = 0;
    let mut buffer = [0; 4096];
    while ended < CONNECTIONS {
        poll(&mut queue, &mut events, deadline);
        for event in &events {
            match event.token() {
                LISTENER => {
                    while let Some((mut stream, _)) = now(listener.accept()) {
                        let token = Token(streams.len());
                        queue.registry().register(&mut stream, token, RW).unwrap();
                        streams.push(Some((stream, Vec::new())));
                    }
                }
                DATAGRAMS => {
                    while let Some((len, from)) = now(datagrams.recv_from(&mut buffer)) {
                        now(datagrams.send_to(&buffer[..len], from))
                            .expect("there is room for one");
                    }
                }
                Token(index) => {
                    let Some((stream, unsent)) = &mut streams[index] else {
                        continue; // events of one batch
                    };
                    let mut is_over = false;
                    while let Some(len) = now(stream.read(&mut buffer)) {
                        unsent.extend(&buffer[..len]);
                        is_over = len == 0;
                        if is_over {
                            break;
                        }
                    }
                    while !unsent.is_empty() {
                        let Some(len) = now(stream.write(unsent)) else {
                            break;
                        };
                        unsent.drain(..len);
                    }
                    if is_over {
                        assert!(unsent.is_empty());
                        streams[index] = None;
                        ended += 1;
                    }
                }
            }
        }
    }
    assert!(taken() > 0, "no signal came");
}

/// Sends by all connections, as a datagram, through a pipe and by a waker, and awaits each answer.
/// Returns how often.
fn ask(server: SocketAddr, datagrams: SocketAddr) -> u64 {
    let deadline = Instant::now() + DEADLINE;
    let mut queue = Poll::new().unwrap();
    let mut events = Events::with_capacity(4);
    let registry = queue.registry().try_clone().unwrap();
    let connect = |index| {
        let mut stream = TcpStream::connect(server).unwrap();
        registry.register(&mut stream, Token(index), RW).unwrap();
        stream
    };
    let streams: Vec<TcpStream> = (0..CONNECTIONS).map(connect).collect();
    let mut socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    socket.connect(datagrams).unwrap();
    registry.register(&mut socket, DATAGRAMS, R).unwrap();
    let (sender, mut receiver) = pipe::new().unwrap();
    registry.register(&mut receiver, PIPE, R).unwrap();
    let waker = Waker::new(&registry, WAKER).unwrap();

    let mut is_connected = [false; CONNECTIONS];
    while is_connected.contains(&false) {
        poll(&mut queue, &mut events, deadline);
        for event in events.iter().filter(|event| event.is_writable()) {
            is_connected[event.token().0] = true;
        }
    }
    let mut round = 0_u64;
    while taken() < SIGNALS_MIN {
        round += 1;
        let message = [round; MESSAGE / 8].map(u64::to_ne_bytes).concat();
        for mut stream in &streams {
            assert_eq!(now(stream.write(&message)), Some(MESSAGE));
        }
        now(socket.send(&message)).unwrap();
        now((&sender).write(&message)).unwrap();
        // Not by this thread, which polls: another one, with whatever interrupts it.
        thread::scope(|scope| {
            if round % 16 == 0 {
                scope.spawn(|| waker.wake().unwrap());
            } else {
                waker.wake().unwrap();
            }
            let mut heard = vec![Vec::<u8>::new(); CONNECTIONS];
            let mut left = CONNECTIONS + 3;
            while left > 0 {
                poll(&mut queue, &mut events, deadline);
                for event in &events {
                    let mut buffer = [0; 2 * MESSAGE];
                    match event.token() {
                        WAKER => left -= 1,
                        DATAGRAMS => {
                            while let Some(len) = now(socket.recv(&mut buffer)) {
                                assert_eq!(buffer[..len], message);
                                left -= 1;
                            }
                        }
                        PIPE => {
                            while let Some(len) = now((&receiver).read(&mut buffer)) {
                                assert_eq!(buffer[..len], message);
                                left -= 1;
                            }
                        }
                        Token(index) => {
                            let heard = &mut heard[index];
                            while let Some(len) = now((&streams[index]).read(&mut buffer)) {
                                heard.extend(&buffer[..len]);
                                if heard.len() == MESSAGE {
                                    assert_eq!(*heard, message);
                                    left -= 1;
                                }
                                assert!(len > 0 && heard.len() <= MESSAGE);
                            }
                        }
                    }
                }
            }
        });
    }
    round
}

#[test]
fn a_storm_of_signals_loses_nothing() {
    alone(|| {
        // SAFETY: all zeros is a valid `sigaction`: no flag, so that no call is restarted.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = take as extern "C" fn(libc::c_int) as usize;
        // SAFETY: the handler counts, and does nothing else.
        let result =
            unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
        assert_eq!(result, 0);

        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(any).unwrap();
        let datagrams = UdpSocket::bind(any).unwrap();
        let addresses = (
            listener.local_addr().unwrap(),
            datagrams.local_addr().unwrap(),
        );
        let targets: Mutex<Vec<usize>> = Mutex::default();
        let enlist = || {
            // SAFETY: takes nothing.
            let this = unsafe { libc::pthread_self() };
            targets.lock().unwrap().push(this as usize);
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                while !IS_OVER.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                    for target in targets.lock().unwrap().iter() {
                        // SAFETY: the targets leave the list before they end.
                        unsafe { libc::pthread_kill(*target as libc::pthread_t, libc::SIGALRM) };
                    }
                }
            });
            let leave = || targets.lock().unwrap().clear();
            let (ready, wait) = std::sync::mpsc::channel();
            scope.spawn({
                let enlist = &enlist;
                move || {
                    enlist();
                    serve(listener, datagrams);
                    ready.send(()).unwrap();
                    // Until nobody sends it signals.
                    while !IS_OVER.load(Ordering::Relaxed) {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            });
            enlist();
            let rounds = ask(addresses.0, addresses.1);
            wait.recv().unwrap();
            leave();
            IS_OVER.store(true, Ordering::Relaxed);
            let interruptions = INTERRUPTIONS.load(Ordering::Relaxed);
            eprintln!(
                "{rounds} rounds, {} signals, {interruptions} interrupted polls",
                taken()
            );
            assert!(interruptions > 0, "no poll was interrupted");
        });
    });
}
