//! Events that a program makes itself, `Events` as a collection, and polling until an instant.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use litio::diagnostics::Counting;
use litio::event::{Event, Readiness};
use litio::net::UdpSocket;
use litio::{BusyPoll, Events, Interest, Poll, Token};

use crate::support::*;

#[test]
fn a_made_event_answers_like_a_reported_one() {
    let event = Event::new(Token(7), Readiness::READABLE | Readiness::READ_CLOSED);
    assert_eq!(event.token(), Token(7));
    assert!(event.is_readable() && event.is_read_closed());
    assert!(!event.is_writable() && !event.is_write_closed() && !event.is_error());
    assert!(!event.is_priority() && !event.is_aio() && !event.is_lio());
    assert_eq!(
        event.readiness(),
        Readiness::READABLE | Readiness::READ_CLOSED
    );
    assert_eq!(Seen::of(&event), READABLE | READ_CLOSED);
}

#[test]
fn each_bit_of_readiness_is_one_predicate() {
    type Case = (Readiness, fn(&Event) -> bool);
    let cases: [Case; 8] = [
        (Readiness::READABLE, Event::is_readable),
        (Readiness::WRITABLE, Event::is_writable),
        (Readiness::ERROR, Event::is_error),
        (Readiness::READ_CLOSED, Event::is_read_closed),
        (Readiness::WRITE_CLOSED, Event::is_write_closed),
        (Readiness::PRIORITY, Event::is_priority),
        (Readiness::AIO, Event::is_aio),
        (Readiness::LIO, Event::is_lio),
    ];
    for (made_of, _) in cases {
        let event = Event::new(Token(0), made_of);
        for (bit, is_set) in cases {
            assert_eq!(is_set(&event), bit == made_of, "{bit:?} of {event:?}");
            assert_eq!(event.readiness().contains(bit), bit == made_of);
        }
    }
}

#[test]
fn a_reported_event_shows_its_readiness_as_a_set() {
    let mut rig = Rig::new();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    let event = rig.events.iter().next().unwrap();
    assert_eq!(event.readiness(), Readiness::WRITABLE);
    assert!(!event.readiness().contains(Readiness::READABLE));
    assert_eq!(format!("{:?}", event.readiness()), "WRITABLE");
}

#[test]
fn events_can_be_collected_for_a_test_of_the_program() {
    let made = (0..3).map(|i| Event::new(Token(i), Readiness::WRITABLE));
    let events: Events = made.collect();
    assert_eq!(events.len(), 3);
    assert!(events.capacity() >= 3);
    let tokens: Vec<usize> = events.iter().map(|event| event.token().0).collect();
    assert_eq!(tokens, [0, 1, 2]);
    assert!(Events::from_iter([]).is_empty());
}

#[test]
fn collected_events_serve_a_poll_like_any_others() {
    let mut rig = Rig::new();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, Interest::WRITABLE);
    let mut events: Events = [Event::new(B, Readiness::READABLE)].into_iter().collect();
    rig.poll.poll(&mut events, Some(DEADLINE)).unwrap();
    let tokens: Vec<Token> = events.iter().map(|event| event.token()).collect();
    assert_eq!(tokens, [A]);
}

#[test]
fn iter_knows_its_length_and_goes_both_ways() {
    let events: Events = (0..4)
        .map(|i| Event::new(Token(i), Readiness::READABLE))
        .collect();
    let mut iter = events.iter();
    assert_eq!(iter.len(), 4);
    assert_eq!(iter.next().unwrap().token(), Token(0));
    assert_eq!(iter.next_back().unwrap().token(), Token(3));
    assert_eq!((iter.len(), iter.size_hint()), (2, (2, Some(2))));
    let rest: Vec<Token> = iter.by_ref().rev().map(|event| event.token()).collect();
    assert_eq!(rest, [Token(2), Token(1)]);
    assert!(iter.next().is_none() && iter.next_back().is_none());
    let mut iter = events.iter();
    assert_eq!(iter.nth(2).unwrap().token(), Token(2));
    assert_eq!(iter.next().unwrap().token(), Token(3));
    assert!(iter.nth(1).is_none());
    fn fused<'a>(_: impl std::iter::FusedIterator<Item = &'a Event> + ExactSizeIterator) {}
    fused(events.iter());
}

#[test]
fn len_is_what_the_last_poll_reported() {
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(8);
    assert_eq!(events.len(), 0);
    let mut sockets: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind(any_v4()).unwrap()).collect();
    for socket in &mut sockets {
        poll.registry()
            .register(socket, A, Interest::WRITABLE)
            .unwrap();
    }
    poll.poll(&mut events, Some(DEADLINE)).unwrap();
    assert_eq!(events.len(), events.iter().count());
    assert_eq!(events.len(), 3);
    events.clear();
    assert_eq!(events.len(), 0);
}

#[test]
fn poll_until_waits_for_its_instant_and_not_longer_than_it_must() {
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(4);
    for micros in [50, 700, 1_500, 20_000] {
        let deadline = Instant::now() + Duration::from_micros(micros);
        poll.poll_until(&mut events, deadline).unwrap();
        assert!(Instant::now() >= deadline, "{micros} µs were cut short");
        assert!(events.is_empty());
    }
}

#[test]
fn poll_until_an_instant_that_has_passed_asks_and_returns() {
    let mut rig = Rig::new();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    let past = Instant::now();
    rig.poll.poll_until(&mut rig.events, past).unwrap();
    assert!(rig.events.is_empty());
    rig.register(&mut socket, A, Interest::WRITABLE);
    rig.poll.poll_until(&mut rig.events, past).unwrap();
    assert_eq!(rig.events.len(), 1);
}

#[test]
fn poll_until_reports_events_before_its_instant() {
    let mut rig = Rig::new();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, Interest::WRITABLE);
    let start = Instant::now();
    rig.poll
        .poll_until(&mut rig.events, start + DEADLINE * 10)
        .unwrap();
    assert!(start.elapsed() < DEADLINE);
    assert_eq!(rig.events.iter().next().unwrap().token(), A);
}

#[test]
fn spinning_changes_no_answer() {
    for spin in [
        Duration::from_micros(50),
        Duration::from_millis(5),
        Duration::MAX,
    ] {
        let mut rig = Rig::new();
        rig.poll.set_spin(spin);
        // A timeout within, at the end of and beyond the budget.
        for timeout in [
            Duration::ZERO,
            Duration::from_micros(20),
            Duration::from_millis(7),
        ] {
            let start = Instant::now();
            assert_eq!(rig.poll_once(timeout), []);
            let took = start.elapsed();
            assert!(
                took >= timeout && took < DEADLINE,
                "spin {spin:?}, {timeout:?}: {took:?}"
            );
        }
        let mut socket = UdpSocket::bind(any_v4()).unwrap();
        rig.register(&mut socket, A, Interest::READABLE);
        let peer = UdpSocket::bind(any_v4()).unwrap();
        for _ in 0..3 {
            peer.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            assert_eq!(rig.poll_once(DEADLINE), [(A, READABLE)]);
            socket.recv(&mut [0; 8]).unwrap();
            expect_would_block(socket.recv(&mut [0; 8]));
        }
        rig.poll.set_spin(Duration::ZERO);
        rig.expect_nothing();
    }
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "no second thread")]
fn a_wake_reaches_a_spinning_poll_without_a_knock() {
    let mut rig = Rig::new();
    let registry = rig.registry().try_clone().unwrap();
    registry.set_counting(Counting::On);
    rig.poll.set_spin(Duration::MAX);
    let waker = litio::Waker::new(&registry, A).unwrap();
    rig.poll_once(Duration::ZERO); // not asleep, from now on
    let polling = std::thread::spawn(move || rig.poll_once(DEADLINE));
    std::thread::sleep(QUIET);
    waker.wake().unwrap();
    assert_eq!(within_deadline(|| polling.join().unwrap()), [(A, READABLE)]);
    let counters = registry.counters();
    assert_eq!((counters.wakes, counters.knocks), (1, 0));
}

#[test]
fn what_no_system_can_busy_poll_is_an_error() {
    let too_long = BusyPoll {
        time: Duration::MAX,
        ..BusyPoll::OFF
    };
    let error = Rig::new().poll.set_busy_poll(too_long).unwrap_err();
    let kinds = [ErrorKind::InvalidInput, ErrorKind::Unsupported];
    assert!(kinds.contains(&error.kind()), "{error:?}");
}
