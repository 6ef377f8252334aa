//! `Events`, `Iter`, `Event`, `Interest`, `Token`: the plain data.

use std::io::Write;
use std::time::Instant;

use litio::event::Iter;
use litio::net::UdpSocket;
use litio::{Events, Interest, Poll, Token};

use crate::support::*;

/// `count` events with the tokens 0, 1, 2, … in some order.
fn events(count: usize) -> Events {
    let mut poll = Poll::new().unwrap();
    let mut sockets: Vec<UdpSocket> = (0..count)
        .map(|_| UdpSocket::bind(any_v4()).unwrap())
        .collect();
    for (i, socket) in sockets.iter_mut().enumerate() {
        poll.registry()
            .register(socket, Token(i), Interest::WRITABLE)
            .unwrap();
    }
    let mut events = Events::with_capacity(64);
    let start = Instant::now();
    loop {
        poll.poll(&mut events, Some(DEADLINE)).unwrap();
        if events.iter().fold(0, |n, _| n + 1) == count {
            return events;
        }
        // WASI may find some of them a moment later.
        let may_repeat = cfg!(target_family = "wasm") && start.elapsed() < DEADLINE;
        assert!(may_repeat, "all at once: {events:?}");
        for (i, socket) in sockets.iter_mut().enumerate() {
            poll.registry()
                .reregister(socket, Token(i), Interest::WRITABLE)
                .unwrap();
        }
    }
}

#[test]
fn iter_counts_what_is_left_and_not_what_there_was() {
    let events = events(3);
    let mut iter = events.iter();
    for left in (0..=3).rev() {
        assert_eq!(iter.size_hint(), (left, Some(left)));
        assert_eq!(iter.clone().count(), left);
        iter.next();
    }
    assert_eq!(iter.size_hint(), (0, Some(0)));
    assert_eq!(iter.count(), 0);
}

#[test]
fn iter_ends_for_good() {
    let events = events(1);
    let mut iter = events.iter();
    assert!(iter.next().is_some());
    assert!(iter.next().is_none());
    assert!(iter.next().is_none());
}

#[test]
fn a_cloned_iter_goes_on_from_the_same_place() {
    let events = events(3);
    let mut iter = events.iter();
    iter.next();
    let rest = |iter: Iter<'_>| iter.map(|event| event.token()).collect::<Vec<_>>();
    let (original, clone) = (rest(iter.clone()), rest(iter));
    assert_eq!(original.len(), 2);
    assert_eq!(original, clone);
}

#[test]
fn events_are_iterated_by_reference_too() {
    let events = events(3);
    let mut tokens = Vec::new();
    for event in &events {
        tokens.push(event.token());
    }
    assert_eq!(
        tokens,
        events.iter().map(|event| event.token()).collect::<Vec<_>>()
    );
    tokens.sort();
    assert_eq!(tokens, [Token(0), Token(1), Token(2)]);
}

#[test]
fn clear_empties_and_keeps_the_capacity() {
    let mut events = events(3);
    assert!(!events.is_empty());
    events.clear();
    assert!(events.is_empty());
    assert!(events.iter().next().is_none());
    assert_eq!(events.capacity(), 64);
}

#[test]
fn an_event_can_be_cloned_and_kept_beyond_its_events() {
    let kept = {
        let mut events = events(1);
        let kept = events.iter().next().unwrap().clone();
        events.clear();
        kept
    };
    assert_eq!(kept.token(), Token(0));
    assert_eq!(Seen::of(&kept), WRITABLE);
}

#[test]
fn an_event_of_one_direction_shows_only_that() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    peer.write_all(b"x").unwrap();
    assert_eq!(rig.expect(A, READABLE), READABLE);
    rig.reregister(&mut stream, A, Interest::WRITABLE);
    assert_eq!(rig.expect(A, WRITABLE), WRITABLE);
    for event in &rig.events {
        assert!(!event.is_aio() && !event.is_lio());
    }
}

#[test]
fn debug_of_an_event_tells_token_and_readiness() {
    let events = events(1);
    let event = events.iter().next().unwrap();
    let text = format!("{event:?}");
    assert!(text.contains("Token(0)"), "{text}");
    for predicate in [
        "readable",
        "writable",
        "error",
        "read_closed",
        "write_closed",
        "priority",
        "aio",
        "lio",
    ] {
        assert!(text.contains(predicate), "{predicate} is missing in {text}");
    }
    assert!(
        text.contains("writable: true") && text.contains("readable: false"),
        "{text}"
    );
    // The long form has what the system said, besides.
    let long = format!("{event:#?}");
    assert!(long.contains("details"), "{long}");
    assert!(format!("{events:?}").starts_with('['), "{events:?}");
    assert!(format!("{:?}", events.iter()).contains("Iter"));
}

#[test]
fn interests_add_up_and_answer_for_their_parts() {
    const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
    assert!(BOTH.is_readable() && BOTH.is_writable());
    assert!(!BOTH.is_priority() && !BOTH.is_aio() && !BOTH.is_lio());
    assert!(Interest::READABLE.is_readable() && !Interest::READABLE.is_writable());
    assert!(Interest::WRITABLE.is_writable() && !Interest::WRITABLE.is_readable());
    assert_eq!(Interest::READABLE | Interest::WRITABLE, BOTH);
    assert_eq!(Interest::WRITABLE | Interest::READABLE, BOTH);
    assert_eq!(Interest::READABLE | Interest::READABLE, Interest::READABLE);
    let mut interest = Interest::READABLE;
    interest |= Interest::WRITABLE;
    assert_eq!(interest, BOTH);
}

#[test]
fn removing_an_interest_leaves_the_rest_or_none() {
    let both = Interest::READABLE | Interest::WRITABLE;
    assert_eq!(both.remove(Interest::READABLE), Some(Interest::WRITABLE));
    assert_eq!(both.remove(Interest::WRITABLE), Some(Interest::READABLE));
    assert_eq!(both.remove(both), None);
    assert_eq!(Interest::READABLE.remove(Interest::READABLE), None);
    assert_eq!(
        Interest::READABLE.remove(Interest::WRITABLE),
        Some(Interest::READABLE)
    );
}

#[test]
fn debug_of_an_interest_names_its_parts() {
    assert_eq!(format!("{:?}", Interest::READABLE), "READABLE");
    assert_eq!(format!("{:?}", Interest::WRITABLE), "WRITABLE");
    let both = Interest::WRITABLE | Interest::READABLE;
    assert_eq!(format!("{both:?}"), "READABLE | WRITABLE");
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn priority_is_an_interest_like_the_others() {
    let all = Interest::PRIORITY | Interest::READABLE | Interest::WRITABLE;
    assert!(all.is_priority() && !Interest::READABLE.is_priority());
    assert_eq!(format!("{all:?}"), "READABLE | WRITABLE | PRIORITY");
    assert_eq!(
        all.remove(Interest::PRIORITY),
        Some(Interest::READABLE | Interest::WRITABLE)
    );
}

#[test]
fn tokens_compare_hash_and_convert_like_their_numbers() {
    let mut tokens = std::collections::HashSet::from([Token(3), Token(usize::MAX), Token(3)]);
    assert_eq!(tokens.len(), 2);
    assert!(tokens.remove(&Token(3)));
    assert!(Token(1) < Token(2) && Token(usize::MAX) > Token(0));
    assert_eq!(usize::from(Token(7)), 7);
    assert_eq!(Token(7).0, 7);
    assert_eq!(format!("{:?}", Token(7)), "Token(7)");
}

#[test]
fn debug_of_the_poll_types_says_their_names() {
    let poll = Poll::new().unwrap();
    assert!(format!("{poll:?}").starts_with("Poll"), "{poll:?}");
    assert!(
        format!("{:?}", poll.registry()).starts_with("Registry"),
        "{:?}",
        poll.registry()
    );
}
