//! What can be counted instead of timed: allocations, per thread, and sizes.

#![expect(unsafe_code, reason = "a global allocator is unsafe to implement")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::time::Duration;

use litio::net::UdpSocket;
use litio::net::datagrams::{Batch, Ecn, RecvRun, SendRun, Wanted};
use litio::{Interest, Token, Waker};

use crate::support::*;

#[global_allocator]
static COUNTING: Counting = Counting;

/// The system's allocator, which counts what the running thread asks of it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // Fails only while the thread ends, when no test counts any more.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: each method hands its arguments to `System`, which keeps the contract, and counts without
// allocating: the counter is a constant-initialized thread local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's duties are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's duties are the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's duties are the same.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's duties are the same.
        unsafe { System.dealloc(block, layout) }
    }
}

/// How often this thread allocates while `body` runs.
fn allocations(body: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    body();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
    assert_eq!(allocations(|| {}), 0);
}

#[test]
fn a_loop_of_poll_read_and_write_allocates_nothing() {
    let mut rig = Rig::new();
    let (mut near, mut far) = tcp_pair();
    let both = Interest::READABLE | Interest::WRITABLE;
    rig.register(&mut near, A, both);
    rig.register(&mut far, B, both);
    near.write_all(b"ball").unwrap();
    let mut rounds = 0;
    let mut play = |rounds_wanted: usize| {
        let mut buffer = [0; 64];
        let end = rounds + rounds_wanted;
        while rounds < end {
            rig.poll.poll(&mut rig.events, Some(DEADLINE)).unwrap();
            assert!(!rig.events.is_empty(), "the ball is lost");
            for event in &rig.events {
                let stream = if event.token() == A {
                    &mut near
                } else {
                    &mut far
                };
                while let Ok(n) = stream.read(&mut buffer) {
                    stream.write_all(&buffer[..n]).unwrap();
                    rounds += 1;
                }
            }
        }
    };
    play(10); // grows what has to grow once
    assert_eq!(allocations(|| play(1_000)), 0);
}

#[test]
fn a_loop_of_wakes_datagrams_and_timeouts_allocates_nothing() {
    let mut rig = Rig::new();
    let wakers = [
        Waker::new(rig.registry(), A).unwrap(),
        Waker::new(rig.registry(), B).unwrap(),
    ];
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    let address = socket.local_addr().unwrap();
    rig.register(&mut socket, C, Interest::READABLE);
    let mut play = |rounds: usize| {
        for _ in 0..rounds {
            wakers[0].wake().unwrap();
            wakers[1].wake().unwrap();
            socket.send_to(b"x", address).unwrap();
            let mut wanted = 3;
            while wanted > 0 {
                rig.poll.poll(&mut rig.events, Some(DEADLINE)).unwrap();
                wanted -= rig.events.iter().count();
            }
            while socket.recv_from(&mut [0; 8]).is_ok() {}
            rig.poll
                .poll(&mut rig.events, Some(Duration::from_micros(10)))
                .unwrap();
        }
    };
    play(10);
    assert_eq!(allocations(|| play(300)), 0);
}

#[test]
fn a_loop_of_batches_allocates_nothing() {
    let socket = UdpSocket::bind(any_v4()).unwrap();
    let batch = Batch::new(&socket, Wanted::COALESCED | Wanted::DESTINATION).unwrap();
    let contents = [0; 640];
    let run = SendRun::new(&contents).segment_len(10);
    let run = run.to(socket.local_addr().unwrap()).ecn(Ecn::Capable0);
    let mut runs: [_; 40] = std::array::from_fn(|_| RecvRun::new(vec![0; 65_535]));
    let mut play = |rounds| {
        for _ in 0..rounds {
            assert_eq!(socket.send_runs(&batch, &[run; 3]).unwrap(), 192);
            while socket.recv_runs(&batch, &mut runs).is_ok() {}
        }
    };
    play(1);
    assert_eq!(allocations(|| play(100)), 0);
}

#[test]
fn registering_allocates_nothing_on_epoll() {
    let rig = Rig::new();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    let mut play = || {
        for i in 0..100 {
            rig.register(&mut socket, Token(i), Interest::READABLE);
            rig.reregister(&mut socket, Token(i + 1), Interest::WRITABLE);
            rig.deregister(&mut socket);
        }
    };
    if FORCED_POLL {
        play(); // a list of descriptors has to grow once
    }
    assert_eq!(allocations(play), 0);
}

#[test]
fn an_operation_that_would_block_allocates_nothing() {
    let rig = Rig::new();
    let (mut stream, _peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    let counted = allocations(|| {
        for _ in 0..100 {
            expect_would_block(stream.read(&mut [0; 8]));
            expect_would_block(stream.peek(&mut [0; 8]));
        }
    });
    assert_eq!(counted, 0);
}

#[test]
fn a_source_is_as_large_as_what_it_is_made_of() {
    if FORCED_POLL {
        return; // a tracked source remembers its registration
    }
    // A debug build remembers selector and raw source, and its place in the checker's book.
    let memory = if cfg!(debug_assertions) {
        5 * size_of::<usize>().max(8)
    } else {
        0
    };
    let sizes = [
        (
            "TcpStream",
            size_of::<litio::net::TcpStream>(),
            size_of::<std::net::TcpStream>(),
        ),
        (
            "TcpListener",
            size_of::<litio::net::TcpListener>(),
            size_of::<std::net::TcpListener>(),
        ),
        (
            "UdpSocket",
            size_of::<litio::net::UdpSocket>(),
            size_of::<std::net::UdpSocket>(),
        ),
        (
            "UnixStream",
            size_of::<litio::net::UnixStream>(),
            size_of::<std::net::TcpStream>(),
        ),
        (
            "UnixListener",
            size_of::<litio::net::UnixListener>(),
            size_of::<std::net::TcpStream>(),
        ),
        (
            "UnixDatagram",
            size_of::<litio::net::UnixDatagram>(),
            size_of::<std::net::TcpStream>(),
        ),
        (
            "pipe::Sender",
            size_of::<litio::unix::pipe::Sender>(),
            size_of::<i32>(),
        ),
        (
            "pipe::Receiver",
            size_of::<litio::unix::pipe::Receiver>(),
            size_of::<i32>(),
        ),
        (
            "IoSource",
            size_of::<litio::IoSource<std::net::TcpStream>>(),
            size_of::<i32>(),
        ),
    ];
    for (name, ours, theirs) in sizes {
        let is_right = if cfg!(debug_assertions) {
            ours <= theirs + memory
        } else {
            ours == theirs
        };
        assert!(
            is_right,
            "{name}: {ours} bytes, what it is made of: {theirs}"
        );
    }
}
