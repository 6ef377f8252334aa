//! Allocations, counted as on Linux.

use std::io::{Read, Write};
use std::os::windows::io::AsRawSocket;

use litio::Interest;
use litio::net::UdpSocket;
use litio::windows::SourceSocket;

use super::named_pipe::pair;
use super::poison::allocations;
use crate::support::*;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
    assert_eq!(allocations(|| {}), 0);
}

#[test]
fn a_loop_of_poll_read_and_write_allocates_nothing() {
    for mode in [BOTH, BOTH.level()] {
        let mut rig = Rig::new();
        let (mut near, mut far) = tcp_pair();
        rig.register(&mut near, A, mode);
        rig.register(&mut far, B, mode);
        near.write_all(b"ball").unwrap();
        let mut play = |rounds_wanted| {
            let mut rounds = 0;
            let mut buffer = [0; 64];
            while rounds < rounds_wanted {
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
        assert_eq!(allocations(|| play(300)), 0, "{mode:?}");
    }
}

#[test]
fn a_loop_over_a_pipe_allocates_nothing() {
    for mode in [BOTH, BOTH.level()] {
        let mut rig = Rig::new();
        let (mut server, mut client) = pair(&mut rig);
        rig.reregister(&mut server, A, mode);
        rig.reregister(&mut client, B, mode);
        client.write_all(b"ball").unwrap();
        // Whether an end has the ball.
        let mut has = [false; 2];
        let mut play = |rounds_wanted| {
            let mut rounds = 0;
            while rounds < rounds_wanted {
                rig.poll.poll(&mut rig.events, Some(DEADLINE)).unwrap();
                assert!(!rig.events.is_empty(), "the ball is lost");
                for (pipe, has) in [&mut server, &mut client].into_iter().zip(&mut has) {
                    while pipe.read(&mut [0; 64]).is_ok() {
                        *has = true;
                    }
                    // Not if its last write is still under way.
                    if *has && pipe.write(b"ball").is_ok() {
                        *has = false;
                        rounds += 1;
                    }
                }
            }
        };
        play(10);
        assert_eq!(allocations(|| play(300)), 0, "{mode:?}");
    }
}

#[test]
fn what_is_reported_again_and_again_allocates_nothing() {
    let mut rig = Rig::new();
    let (mut server, _client) = pair(&mut rig);
    rig.reregister(&mut server, A, Interest::WRITABLE.level());
    let sockets = [(); 2].map(|()| UdpSocket::bind(any_v4()).unwrap());
    let raw = sockets.each_ref().map(AsRawSocket::as_raw_socket);
    for (raw, mode) in raw
        .iter()
        .zip([Interest::WRITABLE, Interest::WRITABLE.level()])
    {
        rig.register(&mut SourceSocket(raw), C, mode);
    }
    let mut play = |rounds| {
        for _ in 0..rounds {
            rig.poll.poll(&mut rig.events, Some(DEADLINE)).unwrap();
            assert!(!rig.events.is_empty());
        }
    };
    play(100);
    assert_eq!(allocations(|| play(1_000)), 0);
    for raw in &raw {
        rig.deregister(&mut SourceSocket(raw));
    }
}
