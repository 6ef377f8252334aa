//! The load: what each thread does, over and over.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use litio::net::datagrams::{Batch, RecvRun, SendRun, Wanted};
use litio::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use litio::unix::pipe;
use litio::{Events, Interest, Poll, Token, Waker};

use super::{Post, Random, any_v4};

const R: Interest = Interest::READABLE;
const W: Interest = Interest::WRITABLE;
const RW: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// How often everybody looks whether it is over.
const TICK: Duration = Duration::from_millis(50);
/// What has not come after this time is lost.
const LOST: Duration = Duration::from_secs(15);

#[derive(Clone, Copy)]
pub(super) struct Servers {
    tcp: SocketAddr,
    udp: SocketAddr,
}

type Work = fn(&Post, Servers);

pub(super) const ALL: &[(&str, Work)] = &[
    ("clients", clients),
    ("clients", clients),
    ("datagrams", datagrams),
    ("wakes", wakes),
    ("pipes", pipes),
    ("timeouts", timeouts),
    ("pollers", pollers),
];

/// None if it would block, or if the peer has broken off where that is expected.
fn now<T>(result: io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error:?}"),
    }
}

/// Starts what gives everything back: streams and datagrams.
pub(super) fn servers<'scope>(
    scope: &'scope Scope<'scope, '_>,
    is_over: &'static AtomicBool,
) -> Servers {
    let listener = TcpListener::bind(any_v4()).unwrap();
    let socket = UdpSocket::bind(any_v4()).unwrap();
    let servers = Servers {
        tcp: listener.local_addr().unwrap(),
        udp: socket.local_addr().unwrap(),
    };
    scope.spawn(move || echo_streams(listener, is_over));
    scope.spawn(move || echo_datagrams(socket, is_over));
    servers
}

fn echo_streams(mut listener: TcpListener, is_over: &AtomicBool) {
    struct Served {
        stream: TcpStream,
        unsent: Vec<u8>,
        has_ended: bool,
    }
    const LISTENER: Token = Token(usize::MAX - 1);
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(32);
    poll.registry()
        .register(&mut listener, LISTENER, R)
        .unwrap();
    let mut served: Vec<Option<Served>> = Vec::new();
    let mut buffer = vec![0; 1 << 14];
    while !is_over.load(Ordering::Relaxed) {
        poll.poll(&mut events, Some(TICK)).unwrap();
        for event in &events {
            if event.token() == LISTENER {
                while let Some((mut stream, _)) = now(listener.accept()) {
                    let free = served.iter().position(Option::is_none);
                    let index = free.unwrap_or_else(|| {
                        served.push(None);
                        served.len() - 1
                    });
                    poll.registry()
                        .register(&mut stream, Token(index), RW)
                        .unwrap();
                    served[index] = Some(Served {
                        stream,
                        unsent: Vec::new(),
                        has_ended: false,
                    });
                }
                continue;
            }
            let place = &mut served[event.token().0];
            let Some(Served {
                stream,
                unsent,
                has_ended,
            }) = place
            else {
                continue; // of one that ended in this very batch
            };
            // What was read is sent on before more is read, so that memory is bounded.
            let mut go = || -> io::Result<()> {
                loop {
                    while !unsent.is_empty() {
                        let len = stream.write(unsent)?;
                        unsent.drain(..len);
                    }
                    if *has_ended {
                        return Ok(());
                    }
                    let len = stream.read(&mut buffer)?;
                    unsent.extend(&buffer[..len]);
                    *has_ended = len == 0;
                }
            };
            // Clients break off, too.
            let result = go();
            if !matches!(&result, Err(error) if error.kind() == ErrorKind::WouldBlock) {
                *place = None;
            }
        }
    }
}

fn echo_datagrams(mut socket: UdpSocket, is_over: &AtomicBool) {
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(4);
    poll.registry().register(&mut socket, Token(0), R).unwrap();
    let batch = Batch::new(&socket, Wanted::COALESCED).unwrap();
    let mut runs = [(); 4].map(|()| RecvRun::new(vec![0; 65_535]));
    while !is_over.load(Ordering::Relaxed) {
        poll.poll(&mut events, Some(TICK)).unwrap();
        while let Some(filled) = now(socket.recv_runs(&batch, &mut runs)) {
            for run in &runs[..filled] {
                for datagram in run.datagrams() {
                    // A client that is gone, or a full buffer: datagrams may be lost.
                    let _ = socket.send_to(datagram, run.source());
                }
            }
        }
    }
}

/// Up to 48 connections: each is asked for, used a number of times, and given up in one of several
/// ways.
fn clients(post: &Post, servers: Servers) {
    struct Client {
        stream: TcpStream,
        is_connected: bool,
        left: usize,
        unsent: Vec<u8>,
        awaited: Vec<u8>,
        since: Instant,
    }
    let mut random = Random::new(post.seed);
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(16);
    let mut clients: Vec<Option<Client>> = (0..48).map(|_| None).collect();
    let mut buffer = vec![0; 1 << 14];
    while post.goes_on() {
        for (index, place) in clients.iter_mut().enumerate() {
            if place.is_none() && random.below(4) == 0 {
                let mut stream = TcpStream::connect(servers.tcp).unwrap();
                poll.registry()
                    .register(&mut stream, Token(index), RW)
                    .unwrap();
                *place = Some(Client {
                    stream,
                    is_connected: false,
                    left: random.below(8),
                    unsent: Vec::new(),
                    awaited: Vec::new(),
                    since: Instant::now(),
                });
            }
        }
        let timeout = Duration::from_micros(random.below(3000) as u64);
        poll.poll(&mut events, Some(timeout)).unwrap();
        for event in &events {
            let index = event.token().0;
            let Some(client) = &mut clients[index] else {
                panic!("an event of a connection that is closed: {event:?}");
            };
            if event.is_writable() && !client.is_connected {
                assert!(client.stream.take_error().unwrap().is_none());
                client.is_connected = client.stream.peer_addr().is_ok();
            }
            if !client.is_connected {
                continue;
            }
            let is_idle = client.unsent.is_empty() && client.awaited.is_empty();
            if is_idle && client.left > 0 {
                client.left -= 1;
                let len = match random.below(4) {
                    0 => 1,
                    1 => 1 + random.below(100),
                    2 => 1 + random.below(10_000),
                    _ => 1 + random.below(100_000),
                };
                let first = random.below(256);
                client.unsent = (first..first + len).map(|number| number as u8).collect();
                client.awaited = client.unsent.clone();
                client.since = Instant::now();
            }
            while !client.unsent.is_empty() {
                let Some(len) = now(client.stream.write(&client.unsent)) else {
                    break;
                };
                client.unsent.drain(..len);
            }
            while let Some(len) = now(client.stream.read(&mut buffer)) {
                assert!(len > 0, "the server hung up");
                assert_eq!(
                    buffer[..len],
                    client.awaited[..len],
                    "other bytes than were sent"
                );
                client.awaited.drain(..len);
            }
            if !client.unsent.is_empty() || !client.awaited.is_empty() {
                continue;
            }
            let mut gone = if client.left > 0 {
                // The next message wants an event: registering anew gives one.
                poll.registry()
                    .reregister(&mut client.stream, event.token(), RW)
                    .unwrap();
                continue;
            } else {
                clients[index].take().expect("it was there")
            };
            match random.below(3) {
                0 => poll.registry().deregister(&mut gone.stream).unwrap(),
                // Unread when it closes, which resets the connection.
                1 => drop(gone.stream.write(&buffer[..1000])),
                _ => gone.stream.shutdown(Shutdown::Both).unwrap(),
            }
        }
        // Events of those that were dropped in this batch do not come later.
        for client in clients.iter().flatten() {
            let is_waiting = !client.is_connected || !client.awaited.is_empty();
            assert!(
                !is_waiting || client.since.elapsed() < LOST,
                "{} bytes to be sent, {} to be received, connected: {}",
                client.unsent.len(),
                client.awaited.len(),
                client.is_connected
            );
        }
    }
}

/// Runs of datagrams, few enough at a time that none is dropped for want of room.
fn datagrams(post: &Post, servers: Servers) {
    let mut random = Random::new(post.seed);
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(4);
    while post.goes_on() {
        let mut socket = UdpSocket::bind(any_v4()).unwrap();
        let batch = Batch::new(&socket, Wanted::COALESCED).unwrap();
        poll.registry().register(&mut socket, Token(0), R).unwrap();
        let mut runs = [(); 2].map(|()| RecvRun::new(vec![0; 65_535]));
        for round in 0..20_u8 {
            let (count, len) = (1 + random.below(16), 1 + random.below(1000));
            let contents = vec![round; count * len];
            let mut unsent = &mut [SendRun::new(&contents).segment_len(len).to(servers.udp)][..];
            while !unsent.is_empty() {
                let sent = now(socket.send_runs(&batch, unsent)).expect("there is room");
                SendRun::advance_runs(&mut unsent, sent);
            }
            let (mut heard, since) = (0, Instant::now());
            while heard < count {
                poll.poll(&mut events, Some(TICK)).unwrap();
                while let Some(filled) = now(socket.recv_runs(&batch, &mut runs)) {
                    for datagram in runs[..filled].iter().flat_map(RecvRun::datagrams) {
                        assert_eq!(datagram, vec![round; len]);
                        heard += 1;
                    }
                }
                assert!(
                    since.elapsed() < LOST,
                    "{heard} of {count} datagrams came back"
                );
            }
        }
    }
}

/// Each wake is answered before the next one of its thread; the threads come and go.
fn wakes(post: &Post, _: Servers) {
    const WAKERS: usize = 3;
    let mut random = Random::new(post.seed);
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(2);
    while post.goes_on() {
        let counts = [const { (AtomicU64::new(0), AtomicU64::new(0)) }; WAKERS];
        let running = AtomicU64::new(WAKERS as u64);
        let registry = poll.registry().try_clone().unwrap();
        thread::scope(|scope| {
            for (index, (asked, heard)) in counts.iter().enumerate() {
                let (registry, running) = (&registry, &running);
                let mut random = Random::new(random.below(1 << 20) as u64);
                scope.spawn(move || {
                    let waker = Waker::new(registry, Token(index)).unwrap();
                    for number in 1..=100 {
                        asked.store(number, Ordering::Release);
                        waker.wake().unwrap();
                        let since = Instant::now();
                        while heard.load(Ordering::Acquire) < number {
                            if since.elapsed() > LOST {
                                eprintln!("a wake was lost");
                                std::process::abort();
                            }
                            thread::yield_now();
                        }
                        if random.below(20) == 0 {
                            thread::sleep(Duration::from_micros(random.below(500) as u64));
                        }
                    }
                    running.fetch_sub(1, Ordering::Release);
                });
            }
            while running.load(Ordering::Acquire) > 0 {
                poll.poll(&mut events, Some(Duration::from_millis(5)))
                    .unwrap();
                for event in &events {
                    let (asked, heard) = &counts[event.token().0];
                    heard.store(asked.load(Ordering::Acquire), Ordering::Release);
                }
            }
        });
    }
}

/// Numbered bytes from one thread to another, each with its own poller.
fn pipes(post: &Post, _: Servers) {
    let mut random = Random::new(post.seed);
    while post.goes_on() {
        let (mut sender, mut receiver) = pipe::new().unwrap();
        let total = random.below(1 << 20);
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut poll = Poll::new().unwrap();
                let mut events = Events::with_capacity(1);
                poll.registry().register(&mut sender, Token(0), W).unwrap();
                let bytes: Vec<u8> = (0..total).map(|number| number as u8).collect();
                let mut unsent = &bytes[..];
                while !unsent.is_empty() {
                    match now(sender.write(unsent)) {
                        Some(len) => unsent = &unsent[len..],
                        None => {
                            poll.poll(&mut events, Some(LOST)).unwrap();
                            assert!(!events.is_empty(), "room in a pipe was not told");
                        }
                    }
                }
            });
            let mut poll = Poll::new().unwrap();
            let mut events = Events::with_capacity(1);
            poll.registry()
                .register(&mut receiver, Token(0), R)
                .unwrap();
            let mut buffer = vec![0; 1 + random.below(10_000)];
            let mut at = 0_usize;
            loop {
                match now(receiver.read(&mut buffer)) {
                    Some(0) => break,
                    Some(len) => {
                        assert!(
                            (at..)
                                .zip(&buffer[..len])
                                .all(|(at, byte)| at as u8 == *byte)
                        );
                        at += len;
                    }
                    None => {
                        poll.poll(&mut events, Some(LOST)).unwrap();
                        assert!(!events.is_empty(), "bytes in a pipe were not told");
                    }
                }
            }
            assert_eq!(at, total);
        });
    }
}

/// None is shorter than it was asked for.
fn timeouts(post: &Post, _: Servers) {
    let mut random = Random::new(post.seed);
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(4);
    while post.goes_on() {
        let timeout = Duration::from_nanos(random.below(5_000_000) as u64);
        if random.below(8) == 0 {
            poll.set_spin(Duration::from_micros(random.below(100) as u64));
        }
        let start = Instant::now();
        poll.poll(&mut events, Some(timeout)).unwrap();
        let took = start.elapsed();
        assert!(
            events.is_empty() && took >= timeout,
            "{took:?} for {timeout:?}"
        );
        assert!(took < LOST, "{took:?} for {timeout:?}");
    }
}

/// Pollers with sources of all kinds, dropped in any order.
fn pollers(post: &Post, _: Servers) {
    let mut random = Random::new(post.seed);
    while post.goes_on() {
        let mut poll = Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let mut events = Events::with_capacity(1 + random.below(8));
        let mut pairs = Vec::new();
        let modes = [RW, RW.level(), RW.oneshot()];
        for index in 0..random.below(20) {
            let (mut near, far) = UnixStream::pair().unwrap();
            let mode = modes[random.below(3)];
            registry.register(&mut near, Token(index), mode).unwrap();
            (&far).write_all(b"x").unwrap();
            pairs.push((near, far, false));
        }
        let waker = Waker::new(&registry, Token(99)).unwrap();
        let since = Instant::now();
        while pairs.iter().any(|(_, _, is_seen)| !is_seen) {
            poll.poll(&mut events, Some(TICK)).unwrap();
            for event in &events {
                pairs[event.token().0].2 = true;
            }
            assert!(since.elapsed() < LOST, "{pairs:?}");
        }
        if random.below(2) == 0 {
            waker.wake().unwrap();
        }
        match random.below(3) {
            0 => drop((pairs, waker, poll, registry)),
            1 => drop((poll, registry, waker, pairs)),
            _ => {
                for (near, ..) in &mut pairs {
                    registry.deregister(near).unwrap();
                }
            }
        }
    }
}
