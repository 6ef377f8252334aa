//! `Poll::poll`: what it clears, how much it reports, when it returns; tokens; custom sources.

use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

use litio::event::Source;
use litio::net::UdpSocket;
use litio::{Events, Interest, Poll, Registry, Token};

use crate::support::*;

/// Registers `count` sockets that stay writable, with the tokens 0, 1, 2, …
fn writable_sockets(rig: &Rig, count: usize) -> Vec<UdpSocket> {
    let open = |token| {
        let mut socket = UdpSocket::bind(any_v4()).unwrap();
        rig.register(&mut socket, Token(token), Interest::WRITABLE);
        socket
    };
    (0..count).map(open).collect()
}

#[test]
fn poll_replaces_the_events_of_the_last_call() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    peer.write_all(b"x").unwrap();
    rig.expect(A, READABLE);
    assert!(!rig.events.is_empty());
    drain(&stream);
    rig.poll_once(Duration::ZERO);
    assert!(rig.events.is_empty(), "stale: {:?}", rig.events);
}

#[test]
fn a_failed_poll_leaves_no_stale_events() {
    let mut rig = Rig::new();
    let _sockets = writable_sockets(&rig, 1);
    rig.expect(Token(0), WRITABLE);
    let mut none = Events::with_capacity(0);
    expect_error(
        ErrorKind::InvalidInput,
        rig.poll.poll(&mut none, Some(Duration::ZERO)),
    );
    assert!(none.is_empty());
}

#[test]
fn at_most_capacity_events_come_per_call_and_the_rest_with_the_next() {
    for capacity in [1, 2, 5, 7] {
        let mut rig = Rig::with_capacity(capacity);
        let sockets = writable_sockets(&rig, 5);
        let mut reported = Vec::new();
        let deadline = Instant::now() + DEADLINE;
        while reported.len() < sockets.len() {
            assert!(
                Instant::now() < deadline,
                "capacity {capacity}: only {reported:?} came"
            );
            let came = rig.poll_once(Duration::from_secs(1));
            assert!(
                came.len() <= capacity,
                "capacity {capacity}: {came:?} came in one call"
            );
            assert_eq!(rig.events.capacity(), capacity, "the capacity changed");
            reported.extend(came.into_iter().map(|(token, _)| token.0));
        }
        // Edges: each of the five is told once, none twice, none lost.
        reported.sort_unstable();
        assert_eq!(reported, [0, 1, 2, 3, 4], "capacity {capacity}");
        rig.expect_nothing();
    }
}

#[test]
fn more_sources_than_capacity_all_get_their_turn_again_and_again() {
    let mut rig = Rig::with_capacity(3);
    let mut pairs: Vec<_> = (0..10).map(|_| stream_and_peer()).collect();
    for (token, (stream, _)) in pairs.iter_mut().enumerate() {
        rig.register(stream, Token(token), Interest::READABLE);
    }
    for round in 0..3_u8 {
        for (_, peer) in &mut pairs {
            peer.write_all(&[round]).unwrap();
        }
        for (token, (stream, _)) in pairs.iter().enumerate() {
            rig.expect(Token(token), READABLE);
            assert_eq!(drain(stream), [round]);
        }
    }
}

#[test]
fn events_start_empty_with_the_capacity_asked_for() {
    for capacity in [1, 2, 1024, 100_000] {
        let events = Events::with_capacity(capacity);
        assert_eq!(events.capacity(), capacity);
        assert!(events.is_empty());
        assert!(events.iter().next().is_none());
    }
}

#[test]
fn capacity_zero_is_invalid_input() {
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(0);
    assert_eq!(events.capacity(), 0);
    expect_error(
        ErrorKind::InvalidInput,
        poll.poll(&mut events, Some(Duration::ZERO)),
    );
    expect_error(
        ErrorKind::InvalidInput,
        poll.poll(&mut events, Some(Duration::from_millis(1))),
    );
    expect_error(ErrorKind::InvalidInput, poll.poll(&mut events, None));
    // The refusal leaves nothing behind.
    poll.poll(&mut Events::with_capacity(1), Some(Duration::ZERO))
        .unwrap();
}

#[test]
fn polls_without_sources_report_nothing_and_polls_are_independent() {
    let (mut first, mut second) = (Rig::new(), Rig::new());
    let _sockets = writable_sockets(&first, 1);
    second.expect_nothing();
    first.expect(Token(0), WRITABLE);
}

#[test]
fn one_events_value_serves_several_polls() {
    let (mut first, mut second) = (Poll::new().unwrap(), Poll::new().unwrap());
    let mut sockets = [
        UdpSocket::bind(any_v4()).unwrap(),
        UdpSocket::bind(any_v4()).unwrap(),
    ];
    first
        .registry()
        .register(&mut sockets[0], A, Interest::WRITABLE)
        .unwrap();
    second
        .registry()
        .register(&mut sockets[1], B, Interest::WRITABLE)
        .unwrap();
    let mut events = Events::with_capacity(4);
    for (poll, token) in [(&mut first, A), (&mut second, B)] {
        poll.poll(&mut events, Some(DEADLINE)).unwrap();
        let tokens: Vec<Token> = events.iter().map(|event| event.token()).collect();
        assert_eq!(tokens, [token]);
    }
}

#[test]
fn a_zero_timeout_still_reports_what_is_ready() {
    let mut rig = Rig::new();
    let _sockets = writable_sockets(&rig, 1);
    let came = rig.poll_once(Duration::ZERO);
    assert_eq!(came, [(Token(0), WRITABLE)]);
}

#[test]
fn every_token_comes_back_as_it_was_given() {
    let mut rig = Rig::new();
    let half = usize::MAX / 2;
    let values = [
        0,
        1,
        2,
        half - 1,
        half,
        half + 1,
        usize::MAX - 1,
        usize::MAX,
    ];
    let mut sockets = Vec::new();
    for value in values {
        let mut socket = UdpSocket::bind(any_v4()).unwrap();
        rig.register(&mut socket, Token(value), Interest::WRITABLE);
        sockets.push(socket);
    }
    for value in values {
        rig.expect(Token(value), WRITABLE);
    }
    rig.expect_nothing();
}

#[test]
fn every_bit_of_a_token_is_kept() {
    let mut rig = Rig::new();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, Token(0), Interest::WRITABLE);
    for bit in 0..usize::BITS {
        rig.reregister(&mut socket, Token(1 << bit), Interest::WRITABLE);
        assert_eq!(rig.poll_once(DEADLINE), [(Token(1 << bit), WRITABLE)]);
        rig.reregister(&mut socket, Token(!(1 << bit)), Interest::WRITABLE);
        assert_eq!(rig.poll_once(DEADLINE), [(Token(!(1 << bit)), WRITABLE)]);
    }
}

#[test]
fn two_sources_may_share_a_token_and_both_report() {
    let mut rig = Rig::new();
    let mut sockets = [
        UdpSocket::bind(any_v4()).unwrap(),
        UdpSocket::bind(any_v4()).unwrap(),
    ];
    for socket in &mut sockets {
        rig.register(socket, A, Interest::WRITABLE);
    }
    let mut count = 0;
    let deadline = Instant::now() + DEADLINE;
    while count < 2 {
        assert!(Instant::now() < deadline, "only {count} of 2 events came");
        count += rig.poll_once(Duration::from_secs(1)).len();
    }
    assert_eq!(count, 2);
}

#[test]
fn readable_and_writable_together_are_one_event_or_two() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    peer.write_all(b"x").unwrap();
    rig.register(&mut stream, A, Interest::READABLE | Interest::WRITABLE);
    rig.expect(A, READABLE | WRITABLE);
    if COMBINED_EVENTS {
        // The data was there before the registration, so both are known at once.
        rig.reregister(&mut stream, A, Interest::READABLE | Interest::WRITABLE);
        assert_eq!(rig.poll_once(DEADLINE), [(A, READABLE | WRITABLE)]);
    }
}

/// Writes down what it is asked, then says no.
#[derive(Default)]
struct Refusing(Vec<(&'static str, Option<(Token, Interest)>)>);

impl Refusing {
    fn refuse(&mut self, call: &'static str, asked: Option<(Token, Interest)>) -> io::Result<()> {
        self.0.push((call, asked));
        Err(io::Error::from_raw_os_error(7))
    }
}

impl Source for Refusing {
    fn register(&mut self, _: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        self.refuse("register", Some((token, interest)))
    }

    fn reregister(&mut self, _: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        self.refuse("reregister", Some((token, interest)))
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        self.refuse("deregister", None)
    }
}

#[test]
fn a_custom_source_gets_exactly_what_was_asked_and_its_error_is_passed_on() {
    let poll = Poll::new().unwrap();
    let (both, write) = (Interest::READABLE | Interest::WRITABLE, Interest::WRITABLE);
    let mut source = Refusing::default();
    let results = [
        poll.registry().register(&mut source, A, both),
        poll.registry().reregister(&mut source, B, write),
        poll.registry().deregister(&mut source),
    ];
    for result in results {
        assert_eq!(result.unwrap_err().raw_os_error(), Some(7));
    }
    let asked = [
        ("register", Some((A, both))),
        ("reregister", Some((B, write))),
        ("deregister", None),
    ];
    assert_eq!(source.0, asked);
}

/// Delegates to its socket, as the documentation of `Source` tells users to.
struct Delegating {
    socket: UdpSocket,
}

impl Source for Delegating {
    fn register(&mut self, to: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        self.socket.register(to, token, interest)
    }

    fn reregister(&mut self, to: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        self.socket.reregister(to, token, interest)
    }

    fn deregister(&mut self, from: &Registry) -> io::Result<()> {
        self.socket.deregister(from)
    }
}

#[test]
fn a_custom_source_delegates_by_registry_or_by_source() {
    let mut rig = Rig::new();
    let mut source = Delegating {
        socket: UdpSocket::bind(any_v4()).unwrap(),
    };
    rig.register(&mut source, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    rig.reregister(&mut source, B, Interest::WRITABLE);
    rig.expect(B, WRITABLE);
    rig.deregister(&mut source);
    rig.expect_nothing();
}

#[test]
fn boxed_sources_are_sources_also_without_their_type() {
    let mut rig = Rig::new();
    let mut sized: Box<UdpSocket> = Box::new(UdpSocket::bind(any_v4()).unwrap());
    let mut erased: Box<dyn Source> = Box::new(UdpSocket::bind(any_v4()).unwrap());
    for (source, token) in [(&mut sized as &mut dyn Source, A), (&mut erased, B)] {
        rig.register(source, token, Interest::WRITABLE);
        rig.expect(token, WRITABLE);
        rig.reregister(source, C, Interest::WRITABLE);
        rig.expect(C, WRITABLE);
        rig.deregister(source);
    }
    rig.expect_nothing();
}

#[test]
fn the_registry_takes_unsized_sources() {
    let poll = Poll::new().unwrap();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    let source: &mut dyn Source = &mut socket;
    poll.registry()
        .register(source, A, Interest::WRITABLE)
        .unwrap();
}

#[test]
fn a_cloned_registry_registers_with_the_same_poll() {
    let mut rig = Rig::new();
    let clone = rig.registry().try_clone().unwrap();
    let second = clone.try_clone().unwrap();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    clone.register(&mut socket, A, Interest::WRITABLE).unwrap();
    rig.expect(A, WRITABLE);
    rig.reregister(&mut socket, B, Interest::WRITABLE);
    rig.expect(B, WRITABLE);
    second.deregister(&mut socket).unwrap();
    rig.expect_nothing();
}

#[test]
fn a_registry_outlives_its_poll_without_harm() {
    let rig = Rig::new();
    let registry = rig.registry().try_clone().unwrap();
    drop(rig);
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    registry
        .register(&mut socket, A, Interest::WRITABLE)
        .unwrap();
    registry.deregister(&mut socket).unwrap();
}

#[test]
fn sources_outlive_their_poll_and_keep_working() {
    let rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE | Interest::WRITABLE);
    drop(rig);
    stream.write_all(b"still here").unwrap();
    drop(stream);
    let mut heard = String::new();
    io::Read::read_to_string(&mut peer, &mut heard).unwrap();
    assert_eq!(heard, "still here");
}

#[test]
fn a_source_moves_to_another_poll_after_its_own_is_gone() {
    let rig = Rig::new();
    let registry = rig.registry().try_clone().unwrap();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, Interest::WRITABLE);
    drop(rig);
    let mut other = Rig::new();
    registry.deregister(&mut socket).unwrap();
    other.register(&mut socket, B, Interest::WRITABLE);
    other.expect(B, WRITABLE);
}
