//! Much at a time, and everything in the midst of something, under [`poison`](super::poison).

use std::io::{ErrorKind, Read, Write};
use std::os::windows::io::AsRawSocket;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use litio::net::UdpSocket;
use litio::windows::SourceSocket;
use litio::{Events, Interest, Poll, Token};

use crate::support::*;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Four threads register, change, use and close sockets while a fifth polls.
#[test]
fn sockets_come_and_go_while_another_thread_polls() {
    let mut poll = Poll::new().unwrap();
    let at_work = AtomicUsize::new(4);
    let start = Barrier::new(5);
    thread::scope(|scope| {
        for thread in 0..4_usize {
            let registry = poll.registry().try_clone().unwrap();
            let (at_work, start) = (&at_work, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..60_usize {
                    let (mut stream, mut peer) = stream_and_peer();
                    let token = |n: usize| Token(thread * 1000 + round * 10 + n);
                    registry.register(&mut stream, token(0), BOTH).unwrap();
                    peer.write_all(b"some").unwrap();
                    match round % 4 {
                        0 => drop(peer),
                        1 => registry.deregister(&mut stream).unwrap(),
                        2 => registry
                            .reregister(&mut stream, token(1), Interest::READABLE.level())
                            .unwrap(),
                        _ => {
                            while stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
                            stream.write_all(b"more").unwrap();
                        }
                    }
                    drop(stream);
                }
                at_work.fetch_sub(1, Ordering::Release);
            });
        }
        let mut events = Events::with_capacity(7);
        start.wait();
        while at_work.load(Ordering::Acquire) > 0 {
            poll.poll(&mut events, Some(Duration::from_millis(2)))
                .unwrap();
        }
    });
    let mut events = Events::with_capacity(64);
    poll.poll(&mut events, Some(Duration::from_millis(20)))
        .unwrap();
    assert!(events.is_empty(), "all sockets are closed: {events:?}");
}

/// Three threads register, change and deregister the same sockets, in all modes, without a word to
/// each other, while a fourth polls. When all are deregistered nothing is reported; and what is
/// registered then is reported as ever.
#[test]
fn threads_that_register_the_same_sockets_leave_nothing_behind() {
    let mut poll = Poll::new().unwrap();
    let sockets: Vec<_> = (0..2)
        .map(|_| std::net::UdpSocket::bind(any_v4()).unwrap())
        .collect();
    let raw: Vec<_> = sockets.iter().map(AsRawSocket::as_raw_socket).collect();
    let at_work = AtomicUsize::new(3);
    thread::scope(|scope| {
        for thread in 0..3_usize {
            let registry = poll.registry().try_clone().unwrap();
            let (at_work, raw) = (&at_work, &raw);
            scope.spawn(move || {
                let mut seed = 0x9e37_79b9 + thread as u64;
                let mut random = |bound: u64| {
                    seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                    (seed >> 33) % bound
                };
                for round in 0..10_000 {
                    let mut source = SourceSocket(&raw[random(2) as usize]);
                    let directions = [BOTH, Interest::READABLE, Interest::WRITABLE];
                    let interest = directions[random(3) as usize];
                    let interest = match random(3) {
                        0 => interest.level(),
                        1 => interest.oneshot(),
                        _ => interest, // paced
                    };
                    // Whether it is registered just now, nobody knows.
                    let _ = match random(3) {
                        0 => registry.register(&mut source, Token(round), interest),
                        1 => registry.reregister(&mut source, Token(round), interest),
                        _ => registry.deregister(&mut source),
                    };
                }
                at_work.fetch_sub(1, Ordering::Release);
            });
        }
        let mut events = Events::with_capacity(3);
        while at_work.load(Ordering::Acquire) > 0 {
            poll.poll(&mut events, Some(Duration::from_millis(1)))
                .unwrap();
        }
    });
    for raw in &raw {
        let _ = poll.registry().deregister(&mut SourceSocket(raw));
    }
    let mut events = Events::with_capacity(64);
    poll.poll(&mut events, Some(Duration::from_millis(80)))
        .unwrap();
    assert!(events.is_empty(), "all are deregistered: {events:?}");
    for raw in &raw {
        poll.registry()
            .register(&mut SourceSocket(raw), A, Interest::WRITABLE)
            .unwrap();
        poll.poll(&mut events, Some(DEADLINE)).unwrap();
        assert_eq!(
            events.iter().next().map(litio::event::Event::token),
            Some(A)
        );
        poll.registry().deregister(&mut SourceSocket(raw)).unwrap();
    }
}

/// Pollers that end with requests in the air, and sockets that outlive them.
#[test]
fn pollers_end_with_everything_under_way() {
    for _ in 0..30 {
        let mut poll = Poll::new().unwrap();
        let mut pairs: Vec<_> = (0..10).map(|_| stream_and_peer()).collect();
        for (token, (stream, _)) in pairs.iter_mut().enumerate() {
            poll.registry()
                .register(stream, Token(token), BOTH)
                .unwrap();
        }
        let mut events = Events::with_capacity(3);
        poll.poll(&mut events, Some(DEADLINE)).unwrap();
        drop(poll);
        let (first, rest) = pairs.split_at_mut(5);
        for (_, peer) in first {
            peer.write_all(b"x").unwrap();
        }
        let mut other = Poll::new().unwrap();
        for (stream, peer) in rest {
            // Still registered with the one that is gone.
            let refused = other.registry().register(stream, Token(1), BOTH);
            expect_error(ErrorKind::AlreadyExists, refused);
            peer.write_all(b"x").unwrap();
        }
        other.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty());
    }
}

/// More sockets than one device seats by far. Ten thousand with `LITIO_SOCKETS=10000`.
#[test]
fn each_of_very_many_sockets_is_reported() {
    let count = std::env::var("LITIO_SOCKETS").map_or(400, |count| count.parse().unwrap());
    let mut poll = Poll::new().unwrap();
    let mut sockets: Vec<UdpSocket> = (0..count)
        .map(|_| UdpSocket::bind(any_v4()).unwrap())
        .collect();
    for (token, socket) in sockets.iter_mut().enumerate() {
        poll.registry()
            .register(socket, Token(token), Interest::READABLE)
            .unwrap();
    }
    let sender = UdpSocket::bind(any_v4()).unwrap();
    for _ in 0..2 {
        let mut missing = vec![true; count];
        for socket in &sockets {
            sender.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        }
        let mut left = count;
        let mut events = Events::with_capacity(128);
        let mut last = Instant::now();
        while left > 0 {
            // However long it takes for all, one or the other comes in time.
            assert!(last.elapsed() < DEADLINE, "{left} of {count} are missing");
            poll.poll(&mut events, Some(DEADLINE)).unwrap();
            for event in &events {
                last = Instant::now();
                let token = event.token().0;
                left -= usize::from(std::mem::take(&mut missing[token]));
                while sockets[token].recv(&mut [0]).is_ok() {}
            }
        }
    }
}
