//! The registry and the sources at work while another thread polls.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use litio::net::UdpSocket;
use litio::{Interest, Token, Waker};

use crate::support::*;

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn a_source_registered_during_a_poll_is_reported_by_that_poll() {
    let mut rig = Rig::new();
    let registry = rig.registry().try_clone().unwrap();
    let polling = thread::spawn(move || {
        let start = Instant::now();
        let came = rig.poll_once(DEADLINE);
        (came, start.elapsed())
    });
    thread::sleep(QUIET);
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    registry
        .register(&mut socket, A, Interest::WRITABLE)
        .unwrap();
    let (came, took) = within_deadline(|| polling.join().unwrap());
    assert_eq!(came, [(A, WRITABLE)]);
    assert!(took < DEADLINE / 2, "only after {took:?}");
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn a_source_reregistered_during_a_poll_is_reported_by_that_poll() {
    let mut rig = Rig::new();
    let registry = rig.registry().try_clone().unwrap();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    registry
        .register(&mut socket, A, Interest::READABLE)
        .unwrap();
    let polling = thread::spawn(move || rig.poll_once(DEADLINE));
    thread::sleep(QUIET);
    registry
        .reregister(&mut socket, B, Interest::WRITABLE)
        .unwrap();
    assert_eq!(within_deadline(|| polling.join().unwrap()), [(B, WRITABLE)]);
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn a_source_deregistered_during_a_poll_is_silent() {
    let mut rig = Rig::new();
    let registry = rig.registry().try_clone().unwrap();
    let (mut stream, mut peer) = stream_and_peer();
    registry
        .register(&mut stream, A, Interest::READABLE)
        .unwrap();
    let polling = thread::spawn(move || rig.poll_once(QUIET * 3));
    thread::sleep(QUIET);
    registry.deregister(&mut stream).unwrap();
    peer.write_all(b"x").unwrap();
    assert_eq!(within_deadline(|| polling.join().unwrap()), []);
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn a_source_dropped_during_a_poll_is_silent() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    let polling = thread::spawn(move || rig.poll_once(QUIET * 3));
    thread::sleep(QUIET);
    drop(stream);
    peer.write_all(b"x").ok();
    assert_eq!(within_deadline(|| polling.join().unwrap()), []);
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn a_timeout_is_kept_while_others_register() {
    // A changed set may wake the selector inside; the timeout must not start anew each time.
    let mut rig = Rig::new();
    let registry = rig.registry().try_clone().unwrap();
    let (is_over, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let timeout = Duration::from_millis(200);
    let deadline = Instant::now() + DEADLINE;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut socket = UdpSocket::bind(any_v4()).unwrap();
            while !is_over.load(Ordering::Relaxed) && Instant::now() < deadline {
                registry
                    .register(&mut socket, A, Interest::READABLE)
                    .unwrap();
                registry
                    .reregister(&mut socket, B, Interest::READABLE)
                    .unwrap();
                registry.deregister(&mut socket).unwrap();
                rounds.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(1));
            }
        });
        // On a busy machine the other thread may be late.
        let mut came_between = 0;
        while came_between < 4 {
            assert!(Instant::now() < deadline, "only {came_between} changes");
            let before = rounds.load(Ordering::Relaxed);
            let start = Instant::now();
            assert_eq!(rig.poll_once(timeout), []);
            let took = start.elapsed();
            came_between = rounds.load(Ordering::Relaxed) - before;
            assert!(took >= timeout, "cut short to {took:?}");
            // Started anew each time, it would last as long as there are changes.
            assert!(took < DEADLINE / 4, "{timeout:?} became {took:?}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn threads_register_and_deregister_their_own_sources_at_once() {
    let mut rig = Rig::new();
    let start = Arc::new(Barrier::new(4));
    let threads: Vec<_> = (0..4)
        .map(|i| {
            let registry = rig.registry().try_clone().unwrap();
            let start = start.clone();
            thread::spawn(move || {
                let mut socket = UdpSocket::bind(any_v4()).unwrap();
                start.wait();
                for _ in 0..200 {
                    registry
                        .register(&mut socket, Token(i), Interest::WRITABLE)
                        .unwrap();
                    registry
                        .reregister(&mut socket, Token(i), Interest::READABLE)
                        .unwrap();
                    registry.deregister(&mut socket).unwrap();
                }
                registry
                    .register(&mut socket, Token(100 + i), Interest::WRITABLE)
                    .unwrap();
                socket
            })
        })
        .collect();
    let deadline = Instant::now() + DEADLINE;
    while threads.iter().any(|thread| !thread.is_finished()) {
        assert!(Instant::now() < deadline);
        rig.poll_once(Duration::from_millis(1));
    }
    let mut sockets: Vec<_> = threads
        .into_iter()
        .map(|thread| within_deadline(|| thread.join().unwrap()))
        .collect();
    // Each has ended as registered; asked again, since some have reported already.
    for (i, socket) in sockets.iter_mut().enumerate() {
        rig.reregister(socket, Token(100 + i), Interest::WRITABLE);
    }
    for i in 0..sockets.len() {
        rig.expect(Token(100 + i), WRITABLE);
    }
    rig.expect_nothing();
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn a_stream_is_read_by_another_thread_than_the_one_that_polls() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    let stream = Arc::new(stream);
    for round in 0..20_u8 {
        peer.write_all(&[round]).unwrap();
        rig.expect(A, READABLE);
        let reader = stream.clone();
        let heard = within_deadline(move || drain(&*reader));
        assert_eq!(heard, [round]);
    }
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn nothing_of_a_deregistered_token_comes_after_the_fact() {
    // Whoever frees what a token points to, once `deregister` has returned, must be safe.
    let mut rig = Rig::new();
    let waker = Arc::new(Waker::new(rig.registry(), Token(usize::MAX)).unwrap());
    let registry = rig.registry().try_clone().unwrap();
    let woken = waker.clone();
    let (gone, news) = std::sync::mpsc::channel();
    let changing = thread::spawn(move || {
        let (mut stream, mut peer) = stream_and_peer();
        for round in 0..500 {
            registry
                .register(&mut stream, Token(round), Interest::READABLE)
                .unwrap();
            peer.write_all(b"x").unwrap();
            if round % 3 == 0 {
                thread::yield_now();
            }
            registry.deregister(&mut stream).unwrap();
            gone.send(round).unwrap();
            woken.wake().unwrap();
        }
    });
    let mut dead = None;
    loop {
        // What is known to be gone before the poll starts must not come back from it.
        dead = news.try_iter().last().or(dead);
        for (token, _) in rig.poll_once(Duration::from_secs(1)) {
            assert!(
                token.0 == usize::MAX || dead.is_none_or(|dead| token.0 > dead),
                "{token:?} was reported although {dead:?} and all before it were gone"
            );
        }
        if dead == Some(499) {
            break;
        }
    }
    changing.join().unwrap();
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn a_poll_moves_between_threads() {
    let mut rig = Rig::new();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, Interest::WRITABLE);
    let mut rig = within_deadline(move || {
        rig.expect(A, WRITABLE);
        rig
    });
    rig.reregister(&mut socket, B, Interest::WRITABLE);
    rig.expect(B, WRITABLE);
}
