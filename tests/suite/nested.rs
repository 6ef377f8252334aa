//! The poller's own descriptor: a poll inside another poll, or in somebody else's loop.
//!
//! It is readable while an event waits inside. Wakes have no descriptor of their own, so that each
//! of them shows outside is a promise to be tested by itself.

#![expect(unsafe_code, reason = "poll(2), as a foreign loop would call it")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

use litio::net::UdpSocket;
use litio::unix::SourceFd;
use litio::{Interest, Token, Waker};

use crate::support::*;

/// An outer rig in which the inner one is registered as A.
fn inner_in_outer() -> (Rig, Rig) {
    let (inner, outer) = (Rig::new(), Rig::new());
    outer.register(
        &mut SourceFd(&inner.poll.as_raw_fd()),
        A,
        Interest::READABLE,
    );
    (inner, outer)
}

/// Whether poll(2) finds the descriptor readable within `timeout`.
fn is_readable(fd: BorrowedFd<'_>, timeout: Duration) -> bool {
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let millis = timeout.as_millis().try_into().unwrap();
    // SAFETY: one entry is given, and it lives through the call.
    let count = unsafe { libc::poll(&raw mut entry, 1, millis) };
    assert!(count >= 0, "{}", std::io::Error::last_os_error());
    count == 1
}

#[test]
fn poll_and_registry_give_the_same_descriptor() {
    let rig = Rig::new();
    let fd = rig.poll.as_raw_fd();
    assert_eq!(rig.registry().as_raw_fd(), fd);
    assert_eq!(rig.registry().as_fd().as_raw_fd(), fd);
    assert!(rig.registry().try_clone().unwrap().as_fd().as_raw_fd() >= 0);
}

#[test]
fn the_pollers_descriptor_is_close_on_exec() {
    let rig = Rig::new();
    // SAFETY: asks for the flags of a descriptor that `rig` keeps open.
    let flags = unsafe { libc::fcntl(rig.poll.as_raw_fd(), libc::F_GETFD) };
    assert_ne!(flags & libc::FD_CLOEXEC, 0);
    let clone = rig.registry().try_clone().unwrap();
    // SAFETY: as above, for `clone`.
    let flags = unsafe { libc::fcntl(clone.as_raw_fd(), libc::F_GETFD) };
    assert_ne!(flags & libc::FD_CLOEXEC, 0);
}

#[test]
fn a_ready_source_inside_shows_outside() {
    let (mut inner, mut outer) = inner_in_outer();
    outer.expect_nothing();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    inner.register(&mut socket, B, Interest::READABLE);
    let peer = UdpSocket::bind(any_v4()).unwrap();
    for _ in 0..3 {
        peer.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        outer.expect(A, READABLE);
        inner.expect(B, READABLE);
        socket.recv(&mut [0; 8]).unwrap();
        expect_would_block(socket.recv(&mut [0; 8]));
        inner.expect_nothing();
        outer.expect_nothing();
    }
}

#[test]
fn a_wake_inside_shows_outside_every_time() {
    let (mut inner, mut outer) = inner_in_outer();
    let waker = Waker::new(inner.registry(), B).unwrap();
    for round in 0..50 {
        waker.wake().unwrap();
        outer.expect(A, READABLE);
        assert_eq!(
            inner.poll_once(Duration::ZERO),
            [(B, READABLE)],
            "round {round}"
        );
        assert_eq!(outer.poll_once(Duration::ZERO), [], "round {round}");
    }
    outer.expect_nothing();
}

#[test]
fn a_waker_that_is_older_than_the_nesting_shows_outside_too() {
    let mut inner = Rig::new();
    let waker = Waker::new(inner.registry(), B).unwrap();
    waker.wake().unwrap();
    inner.expect(B, READABLE);
    let mut outer = Rig::new();
    outer.register(
        &mut SourceFd(&inner.registry().as_raw_fd()),
        A,
        Interest::READABLE,
    );
    outer.expect_nothing();
    waker.wake().unwrap();
    outer.expect(A, READABLE);
    inner.expect(B, READABLE);
}

#[test]
fn a_wake_that_is_pending_when_the_descriptor_is_given_out_shows_outside() {
    let mut inner = Rig::new();
    let waker = Waker::new(inner.registry(), B).unwrap();
    waker.wake().unwrap();
    let mut outer = Rig::new();
    outer.register(
        &mut SourceFd(&inner.poll.as_raw_fd()),
        A,
        Interest::READABLE,
    );
    outer.expect(A, READABLE);
    inner.expect(B, READABLE);
}

#[test]
fn a_wake_from_another_thread_ends_the_outer_poll() {
    let (mut inner, mut outer) = inner_in_outer();
    let waker = Waker::new(inner.registry(), B).unwrap();
    let waking = thread::spawn(move || {
        thread::sleep(QUIET);
        waker.wake().unwrap();
        waker
    });
    outer.expect(A, READABLE);
    let _waker = waking.join().unwrap();
    inner.expect(B, READABLE);
}

#[test]
fn wakes_of_two_threads_are_never_lost_through_the_outer_poll() {
    // The outer loop asks the inner poll only when it is told to: one wake untold and it stands
    // still.
    let (mut inner, mut outer) = inner_in_outer();
    let waker = std::sync::Arc::new(Waker::new(inner.registry(), B).unwrap());
    let done = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (waker, done) = (waker.clone(), done.clone());
            thread::spawn(move || {
                for _ in 0..2_000 {
                    waker.wake().unwrap();
                }
                done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                waker.wake().unwrap();
            })
        })
        .collect();
    loop {
        outer.expect(A, READABLE);
        for (token, seen) in inner.poll_once(Duration::ZERO) {
            assert_eq!((token, seen), (B, READABLE));
        }
        // Raised before the last wake of each, so whoever has heard that wake finds it here.
        if done.load(std::sync::atomic::Ordering::SeqCst) == 2 {
            break;
        }
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_poll_is_nested_three_deep() {
    let (mut inner, mut middle) = inner_in_outer();
    let mut outer = Rig::new();
    outer.register(
        &mut SourceFd(&middle.poll.as_raw_fd()),
        C,
        Interest::READABLE,
    );
    let waker = Waker::new(inner.registry(), B).unwrap();
    for _ in 0..3 {
        waker.wake().unwrap();
        outer.expect(C, READABLE);
        middle.expect(A, READABLE);
        inner.expect(B, READABLE);
        outer.expect_nothing();
    }
}

#[test]
fn a_foreign_loop_sees_wakes_and_silence() {
    let mut rig = Rig::new();
    let waker = Waker::new(rig.registry(), A).unwrap();
    assert!(!is_readable(rig.registry().as_fd(), QUIET));
    for _ in 0..3 {
        waker.wake().unwrap();
        assert!(is_readable(rig.registry().as_fd(), DEADLINE));
        assert_eq!(rig.poll_once(Duration::ZERO), [(A, READABLE)]);
        assert!(!is_readable(rig.registry().as_fd(), Duration::ZERO));
    }
}

#[test]
fn what_did_not_fit_keeps_the_descriptor_readable() {
    let mut rig = Rig::with_capacity(1);
    let fd = rig.registry().try_clone().unwrap();
    let waker = Waker::new(rig.registry(), A).unwrap();
    let mut sockets: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind(any_v4()).unwrap()).collect();
    for (i, socket) in sockets.iter_mut().enumerate() {
        rig.register(socket, Token(100 + i), Interest::WRITABLE);
    }
    waker.wake().unwrap();
    let mut reported = 0;
    let deadline = Instant::now() + DEADLINE;
    while reported < 4 {
        assert!(Instant::now() < deadline, "only {reported} of 4 events");
        assert!(
            is_readable(fd.as_fd(), DEADLINE),
            "silent after {reported} of 4 events"
        );
        reported += rig.poll_once(Duration::ZERO).len();
    }
    assert!(rig.poll_once(Duration::ZERO).is_empty());
    assert!(!is_readable(fd.as_fd(), QUIET));
}

#[test]
fn several_wakers_left_over_keep_the_descriptor_readable() {
    let mut rig = Rig::with_capacity(1);
    let fd = rig.registry().try_clone().unwrap();
    let wakers: Vec<Waker> = (0..3)
        .map(|i| Waker::new(rig.registry(), Token(i)).unwrap())
        .collect();
    assert!(!is_readable(fd.as_fd(), Duration::ZERO));
    for waker in &wakers {
        waker.wake().unwrap();
    }
    let mut reported = 0;
    let deadline = Instant::now() + DEADLINE;
    while reported < 3 {
        assert!(Instant::now() < deadline, "only {reported} of 3 events");
        assert!(
            is_readable(fd.as_fd(), DEADLINE),
            "silent after {reported} of 3 wakes"
        );
        reported += rig.poll_once(Duration::ZERO).len();
    }
    assert!(rig.poll_once(Duration::ZERO).is_empty());
    assert!(!is_readable(fd.as_fd(), QUIET));
}

#[test]
fn a_level_triggered_outer_poll_rests_when_the_inner_one_is_empty() {
    let (mut inner, mut outer) = (Rig::new(), Rig::new());
    let fd = inner.poll.as_raw_fd();
    outer.register(&mut SourceFd(&fd), A, Interest::READABLE.level());
    let waker = Waker::new(inner.registry(), B).unwrap();
    outer.expect_nothing();
    for _ in 0..3 {
        waker.wake().unwrap();
        for _ in 0..3 {
            assert_eq!(outer.poll_once(DEADLINE), [(A, READABLE)]);
        }
        assert_eq!(inner.poll_once(Duration::ZERO), [(B, READABLE)]);
        outer.expect_nothing();
    }
}

#[test]
fn blocking_in_a_nested_poll_works_as_if_it_were_alone() {
    let (mut inner, _outer) = inner_in_outer();
    let waker = Waker::new(inner.registry(), B).unwrap();
    let start = Instant::now();
    assert_eq!(inner.poll_once(QUIET), []);
    assert!(start.elapsed() >= QUIET);
    let waking = thread::spawn(move || {
        thread::sleep(QUIET);
        waker.wake().unwrap();
        waker
    });
    assert_eq!(inner.poll_once(DEADLINE), [(B, READABLE)]);
    waking.join().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn the_mark_that_the_selector_keeps_for_itself_serves_as_a_token_too() {
    let mut rig = Rig::new();
    let waker = Waker::new(rig.registry(), A).unwrap();
    // proc(5) lists what is in an epoll set, with the number that comes back: what knocks is the
    // only entry yet.
    let path = format!("/proc/self/fdinfo/{}", rig.poll.as_raw_fd());
    let listing = std::fs::read_to_string(path).unwrap();
    let mark = listing.split_once("data:").expect("an entry").1;
    let mark = mark.split_whitespace().next().unwrap();
    let mark = Token(u64::from_str_radix(mark, 16).unwrap() as usize);
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, mark, Interest::WRITABLE);
    rig.expect(mark, WRITABLE);
    waker.wake().unwrap();
    rig.expect(A, READABLE);
    rig.reregister(&mut socket, mark, Interest::WRITABLE);
    waker.wake().unwrap();
    rig.expect(A, READABLE);
    rig.expect(mark, WRITABLE);
    rig.deregister(&mut socket);
}

#[test]
fn the_token_of_all_ones_serves_a_source_of_a_nested_poll() {
    // Whatever mark the selector keeps for itself, users may take the same number.
    let (mut inner, mut outer) = inner_in_outer();
    let waker = Waker::new(inner.registry(), B).unwrap();
    let tokens: Vec<usize> = (0..4)
        .flat_map(|i| [i, usize::MAX - i, usize::MAX / 2 - i])
        .collect();
    let mut sockets = Vec::new();
    for &token in &tokens {
        let mut socket = UdpSocket::bind(any_v4()).unwrap();
        inner.register(&mut socket, Token(token), Interest::WRITABLE);
        sockets.push(socket);
    }
    outer.expect(A, READABLE);
    waker.wake().unwrap();
    inner.expect(B, READABLE);
    for &token in &tokens {
        if Token(token) != B {
            inner.expect(Token(token), WRITABLE);
        }
    }
}
