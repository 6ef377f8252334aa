//! Events as a program may make and keep them: what goes in comes out, from either end, and prints.
//!
//! What a kernel's bits mean is not fuzzed: the tests beside each backend try all of them.
//!
//! `cargo +nightly fuzz run events`

#![no_main]

use std::collections::VecDeque;

use libfuzzer_sys::fuzz_target;
use litio::event::{Event, Events, Readiness};
use litio::{Interest, Token};

const BITS: [Readiness; 8] = [
    Readiness::READABLE,
    Readiness::WRITABLE,
    Readiness::ERROR,
    Readiness::READ_CLOSED,
    Readiness::WRITE_CLOSED,
    Readiness::PRIORITY,
    Readiness::AIO,
    Readiness::LIO,
];

fn readiness(bits: u8) -> Readiness {
    let chosen = BITS.iter().zip(0..).filter(|(_, bit)| bits >> bit & 1 == 1);
    chosen.fold(Readiness::EMPTY, |all, (bit, _)| all | *bit)
}

/// A set of directions, made and taken apart: what is left is what was not taken.
fn interests(made: u8, taken: u8) {
    let directions = [
        Interest::READABLE,
        Interest::WRITABLE,
        Interest::AIO,
        Interest::LIO,
        Interest::PRIORITY,
    ];
    let choose = |bits: u8| {
        let chosen = directions
            .iter()
            .zip(0..)
            .filter(move |(_, bit)| bits >> bit & 1 == 1);
        chosen
            .map(|(direction, _)| *direction)
            .reduce(|all, direction| all | direction)
    };
    let (Some(all), Some(some)) = (choose(made), choose(taken)) else {
        return;
    };
    assert_eq!(all.remove(some), choose(made & !taken));
    assert!(!format!("{all:?}").is_empty());
}

fuzz_target!(|bytes: &[u8]| {
    let mut model = VecDeque::new();
    for word in bytes.chunks_exact(10) {
        let token = u64::from_le_bytes(word[..8].try_into().expect("eight")) as usize;
        model.push_back((Token(token), readiness(word[8]), word[9]));
        interests(word[8], word[9]);
    }
    let made = model
        .iter()
        .map(|(token, bits, _)| Event::new(*token, *bits));
    let events: Events = made.collect();
    assert_eq!(
        (events.len(), events.is_empty()),
        (model.len(), model.is_empty())
    );
    assert!(events.capacity() >= events.len());
    assert!(!format!("{events:?} {events:#?}").is_empty());
    let mut iter = events.iter();
    while let Some((_, _, from_behind)) = model.front() {
        assert_eq!(iter.len(), model.len());
        let (event, expected) = if from_behind % 2 == 0 {
            (iter.next(), model.pop_front())
        } else {
            (iter.next_back(), model.pop_back())
        };
        let (event, (token, bits, _)) = (event.expect("not less"), expected.expect("not less"));
        assert_eq!((event.token(), event.readiness()), (token, bits));
        let predicates = [
            event.is_readable(),
            event.is_writable(),
            event.is_error(),
            event.is_read_closed(),
            event.is_write_closed(),
            event.is_priority(),
            event.is_aio(),
            event.is_lio(),
        ];
        assert_eq!(predicates, BITS.map(|bit| bits.contains(bit)));
    }
    assert_eq!((iter.next(), iter.next_back()), (None, None));
});
