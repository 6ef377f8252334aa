//! Registering, reregistering and deregistering: what replaces what, what mistakes are told, and
//! that a refusal changes nothing.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use litio::event::Source;
use litio::net::{TcpListener, TcpStream, UdpSocket};
use litio::{Interest, Poll, Registry};

use crate::support::*;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

fn socket() -> UdpSocket {
    UdpSocket::bind(any_v4()).unwrap()
}

/// One source of each portable type, by name.
fn one_of_each() -> Vec<(&'static str, Box<dyn Source>)> {
    let (stream, _peer) = stream_and_peer();
    vec![
        ("TcpStream", Box::new(stream)),
        (
            "TcpListener",
            Box::new(TcpListener::bind(any_v4()).unwrap()),
        ),
        ("UdpSocket", Box::new(socket())),
    ]
}

#[test]
fn reregister_replaces_the_token() {
    let mut rig = Rig::new();
    let mut socket = socket();
    rig.register(&mut socket, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    rig.reregister(&mut socket, B, Interest::WRITABLE);
    rig.expect(B, WRITABLE);
    rig.expect_nothing();
}

#[test]
fn reregister_before_the_first_poll_leaves_no_event_of_the_old_token() {
    let mut rig = Rig::new();
    let mut socket = socket();
    rig.register(&mut socket, A, Interest::WRITABLE);
    rig.reregister(&mut socket, B, Interest::WRITABLE);
    assert_eq!(rig.poll_once(DEADLINE), [(B, WRITABLE)]);
    rig.expect_nothing();
}

#[test]
fn reregister_replaces_the_interest_and_does_not_add_to_it() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    peer.write_all(b"x").unwrap();
    rig.register(&mut stream, A, BOTH);
    rig.expect(A, READABLE | WRITABLE);
    rig.reregister(&mut stream, A, Interest::READABLE);
    assert!(!rig.expect(A, READABLE).has(WRITABLE));
    rig.reregister(&mut stream, A, Interest::WRITABLE);
    assert!(!rig.expect(A, WRITABLE).has(READABLE));
    rig.reregister(&mut stream, A, BOTH);
    rig.expect(A, READABLE | WRITABLE);
}

#[test]
fn a_deregistered_source_reports_nothing() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, BOTH);
    rig.expect(A, WRITABLE);
    rig.deregister(&mut stream);
    peer.write_all(b"x").unwrap();
    drop(peer);
    rig.expect_nothing();
}

#[test]
fn readiness_that_was_pending_at_deregister_is_not_reported() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    peer.write_all(b"x").unwrap();
    rig.register(&mut stream, A, BOTH);
    rig.deregister(&mut stream);
    rig.expect_nothing();
}

#[test]
fn readiness_beyond_the_capacity_is_not_reported_after_deregister() {
    // What a selector holds back because `Events` was full must not outlive the registration.
    let mut rig = Rig::with_capacity(1);
    let mut sockets: Vec<UdpSocket> = (0..4).map(|_| socket()).collect();
    for (i, socket) in sockets.iter_mut().enumerate() {
        rig.register(socket, litio::Token(i), Interest::WRITABLE);
    }
    let came = rig.poll_once(DEADLINE);
    assert_eq!(came.len(), 1);
    let kept = came[0].0;
    for (i, socket) in sockets.iter_mut().enumerate() {
        if litio::Token(i) != kept {
            rig.deregister(socket);
        }
    }
    rig.expect_nothing();
}

#[test]
fn readiness_beyond_the_capacity_is_not_reported_after_drop() {
    let mut rig = Rig::with_capacity(1);
    let mut sockets: Vec<UdpSocket> = (0..4).map(|_| socket()).collect();
    for (i, socket) in sockets.iter_mut().enumerate() {
        rig.register(socket, litio::Token(i), Interest::WRITABLE);
    }
    assert_eq!(rig.poll_once(DEADLINE).len(), 1);
    drop(sockets);
    rig.expect_nothing();
}

#[test]
fn a_deregistered_source_keeps_working_and_can_be_registered_again() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    for token in [A, B, C] {
        rig.register(&mut stream, token, Interest::READABLE);
        peer.write_all(b"in").unwrap();
        rig.expect(token, READABLE);
        assert_eq!(drain(&stream), b"in");
        rig.deregister(&mut stream);
        stream.write_all(b"out").unwrap();
        peer.read_exact(&mut [0; 3]).unwrap();
        expect_would_block(stream.read(&mut [0; 1]));
    }
    rig.expect_nothing();
}

#[test]
fn a_dropped_source_reports_nothing() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, BOTH);
    drop(stream);
    peer.write_all(b"x").ok();
    rig.expect_nothing();
}

#[test]
fn a_socket_that_follows_a_dropped_one_is_a_stranger() {
    // Descriptors and sockets numbers are used again; registrations must not be.
    let mut rig = Rig::new();
    for round in 0..50 {
        let mut first = socket();
        rig.register(&mut first, A, Interest::WRITABLE);
        drop(first);
        let mut second = socket();
        let token = if round % 2 == 0 { B } else { C };
        rig.register(&mut second, token, Interest::WRITABLE);
        assert_eq!(rig.poll_once(DEADLINE), [(token, WRITABLE)]);
    }
}

#[test]
fn registering_twice_is_already_exists() {
    for (name, mut source) in one_of_each() {
        let rig = Rig::new();
        rig.register(&mut source, A, Interest::READABLE);
        let error = rig
            .registry()
            .register(&mut source, B, Interest::READABLE)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{name}: {error}");
        // Also through a clone of the registry.
        let clone = rig.registry().try_clone().unwrap();
        let error = clone
            .register(&mut source, B, Interest::READABLE)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{name}: {error}");
    }
}

#[test]
fn a_refused_second_registration_changes_nothing() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    expect_error(
        ErrorKind::AlreadyExists,
        rig.registry().register(&mut stream, B, Interest::WRITABLE),
    );
    rig.expect_nothing();
    peer.write_all(b"x").unwrap();
    assert!(!rig.expect(A, READABLE).has(WRITABLE));
    rig.reregister(&mut stream, C, Interest::READABLE);
    rig.expect(C, READABLE);
    rig.deregister(&mut stream);
    rig.expect_nothing();
}

#[test]
fn reregister_and_deregister_of_a_stranger_are_not_found() {
    for (name, mut source) in one_of_each() {
        let rig = Rig::new();
        let error = rig
            .registry()
            .reregister(&mut source, A, Interest::READABLE)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}: {error}");
        let error = rig.registry().deregister(&mut source).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}: {error}");
        // No trace: the proper order works as if nothing had been.
        rig.register(&mut source, A, Interest::READABLE);
        rig.reregister(&mut source, A, Interest::READABLE);
        rig.deregister(&mut source);
    }
}

#[test]
fn reregister_and_deregister_after_deregister_are_not_found() {
    for (name, mut source) in one_of_each() {
        let rig = Rig::new();
        rig.register(&mut source, A, Interest::READABLE);
        rig.deregister(&mut source);
        let error = rig
            .registry()
            .reregister(&mut source, A, Interest::READABLE)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}: {error}");
        let error = rig.registry().deregister(&mut source).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}: {error}");
    }
}

#[test]
fn a_foreign_registry_is_refused_and_leaves_no_trace() {
    for (name, mut source) in one_of_each() {
        let (rig, other) = (Rig::new(), Rig::new());
        rig.register(&mut source, A, Interest::READABLE);

        let error = other
            .registry()
            .reregister(&mut source, B, Interest::READABLE)
            .unwrap_err();
        // A debug build knows where the source belongs; a release build knows what the kernel says.
        let kinds = [ErrorKind::AlreadyExists, ErrorKind::NotFound];
        let is_told = if cfg!(debug_assertions) {
            &kinds[..1]
        } else {
            &kinds[..]
        };
        assert!(is_told.contains(&error.kind()), "{name}: {error}");

        let error = other.registry().deregister(&mut source).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}: {error}");

        // The right registry still knows it, for both calls.
        rig.reregister(&mut source, A, Interest::READABLE);
        rig.deregister(&mut source);
    }
}

#[cfg(debug_assertions)]
#[test]
fn registering_with_a_second_poll_is_refused_and_leaves_no_trace() {
    for (name, mut source) in one_of_each() {
        let (rig, mut other) = (Rig::new(), Rig::new());
        rig.register(&mut source, A, BOTH);
        let error = other.registry().register(&mut source, B, BOTH).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{name}: {error}");
        other.expect_nothing();
        rig.reregister(&mut source, A, BOTH);
        expect_error(
            ErrorKind::NotFound,
            other.registry().deregister(&mut source),
        );
        rig.deregister(&mut source);
    }
}

#[cfg(debug_assertions)]
#[test]
fn what_a_mistake_is_told_says_what_to_do() {
    let (rig, other) = (Rig::new(), Rig::new());
    let mut socket = socket();
    let registry = rig.registry();
    let never = registry.deregister(&mut socket).unwrap_err().to_string();
    assert!(never.contains("not registered"), "{never}");
    registry.register(&mut socket, A, BOTH).unwrap();
    let twice = registry
        .register(&mut socket, A, BOTH)
        .unwrap_err()
        .to_string();
    assert!(twice.contains("already registered"), "{twice}");
    let foreign = other
        .registry()
        .reregister(&mut socket, A, BOTH)
        .unwrap_err()
        .to_string();
    assert!(foreign.to_lowercase().contains("registry"), "{foreign}");
}

#[test]
fn many_sources_come_and_go_in_any_order() {
    let mut rig = Rig::new();
    let mut sockets: Vec<UdpSocket> = (0..60).map(|_| socket()).collect();
    for round in 0..3 {
        for (i, socket) in sockets.iter_mut().enumerate() {
            rig.register(socket, litio::Token(round * 1000 + i), Interest::WRITABLE);
        }
        for (i, socket) in sockets
            .iter_mut()
            .enumerate()
            .filter(|(i, _)| i % 3 == round)
        {
            rig.deregister(socket);
            rig.register(
                socket,
                litio::Token(round * 1000 + 500 + i),
                Interest::WRITABLE,
            );
        }
        for i in 0..sockets.len() {
            let moved = if i % 3 == round { 500 } else { 0 };
            rig.expect(litio::Token(round * 1000 + moved + i), WRITABLE);
        }
        rig.expect_nothing();
        for socket in sockets.iter_mut().rev() {
            rig.deregister(socket);
        }
    }
}

#[test]
fn an_event_already_taken_survives_the_deregistration() {
    let mut rig = Rig::new();
    let mut socket = socket();
    rig.register(&mut socket, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    rig.deregister(&mut socket);
    assert_eq!(rig.events.iter().next().map(|event| event.token()), Some(A));
}

#[test]
fn a_closed_connection_can_still_be_reregistered_and_deregistered() {
    // Some selectors forget a descriptor that hung up; its owner must not notice.
    let mut rig = Rig::new();
    let (mut stream, peer) = stream_and_peer();
    rig.register(&mut stream, A, BOTH);
    rig.expect(A, WRITABLE);
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    drop(peer);
    rig.expect(A, READABLE);
    while !rig.poll_once(QUIET).is_empty() {}
    rig.reregister(&mut stream, B, BOTH);
    rig.expect(B, READABLE);
    rig.deregister(&mut stream);
    rig.expect_nothing();
}

#[test]
fn operations_after_a_reported_hang_up_keep_their_own_errors() {
    let mut rig = Rig::new();
    let mut socket = TcpStream::connect(refused_address()).expect("refused later");
    rig.register(&mut socket, A, BOTH);
    rig.expect(A, WRITABLE);
    let error = socket.take_error().unwrap().expect("the refusal");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    // Whatever reading a failed socket says, it is not about registrations.
    if let Err(error) = socket.read(&mut [0; 1]) {
        assert_ne!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    rig.deregister(&mut socket);
}

/// Registers its second half only if the first was accepted.
struct Pair {
    first: UdpSocket,
    second: UdpSocket,
}

impl Source for Pair {
    fn register(&mut self, to: &Registry, token: litio::Token, asked: Interest) -> io::Result<()> {
        self.first.register(to, token, asked)?;
        self.second.register(to, token, asked)
    }

    fn reregister(
        &mut self,
        to: &Registry,
        token: litio::Token,
        asked: Interest,
    ) -> io::Result<()> {
        self.first.reregister(to, token, asked)?;
        self.second.reregister(to, token, asked)
    }

    fn deregister(&mut self, from: &Registry) -> io::Result<()> {
        self.first.deregister(from)?;
        self.second.deregister(from)
    }
}

#[test]
fn a_source_of_several_sources_reports_each() {
    let mut poll = Poll::new().unwrap();
    let mut pair = Pair {
        first: socket(),
        second: socket(),
    };
    poll.registry()
        .register(&mut pair, A, Interest::WRITABLE)
        .unwrap();
    let mut events = litio::Events::with_capacity(8);
    let mut count = 0;
    let deadline = std::time::Instant::now() + DEADLINE;
    while count < 2 && std::time::Instant::now() < deadline {
        poll.poll(&mut events, Some(Duration::from_secs(1)))
            .unwrap();
        count += events.iter().filter(|event| event.token() == A).count();
    }
    assert_eq!(count, 2);
    poll.registry().deregister(&mut pair).unwrap();
}
