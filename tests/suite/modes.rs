//! Trigger modes: level and one-shot beside the edge.

use std::io::{Read, Write};

use litio::Interest;
use litio::net::{TcpListener, UdpSocket};

use crate::support::*;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

#[test]
fn a_level_source_is_reported_by_every_poll_while_it_is_ready() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE.level());
    rig.expect_nothing();
    for _ in 0..2 {
        peer.write_all(b"abc").unwrap();
        for _ in 0..5 {
            assert_eq!(rig.poll_once(DEADLINE), [(A, READABLE)]);
        }
        // Until the last byte is gone, in whatever portions, with no `WouldBlock` to be seen.
        stream.read_exact(&mut [0; 2]).unwrap();
        assert_eq!(rig.poll_once(DEADLINE), [(A, READABLE)]);
        stream.read_exact(&mut [0; 1]).unwrap();
        rig.expect_nothing();
    }
}

#[test]
fn a_level_source_is_writable_while_there_is_room() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::WRITABLE.level());
    for _ in 0..3 {
        assert_eq!(rig.poll_once(DEADLINE), [(A, WRITABLE)]);
    }
    // There is no longer silence to be asked for: an acknowledgement that comes late makes room.
    let (written, _) = fill_until_quiet(&mut rig, &stream);
    peer.read_exact(&mut vec![0; written]).unwrap();
    for _ in 0..3 {
        assert_eq!(rig.poll_once(DEADLINE), [(A, WRITABLE)]);
    }
}

#[test]
fn a_level_listener_is_reported_until_the_queue_is_empty() {
    let mut rig = Rig::new();
    let mut listener = TcpListener::bind(any_v4()).unwrap();
    rig.register(&mut listener, A, Interest::READABLE.level());
    let address = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..3)
        .map(|_| std::net::TcpStream::connect(address).unwrap())
        .collect();
    for _ in &clients {
        assert_eq!(rig.poll_once(DEADLINE), [(A, READABLE)]);
        listener.accept().unwrap();
    }
    rig.expect_nothing();
}

#[test]
fn a_level_source_does_not_starve_its_neighbours() {
    let mut rig = Rig::with_capacity(1);
    let mut sockets: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind(any_v4()).unwrap()).collect();
    for (i, socket) in sockets.iter_mut().enumerate() {
        rig.register(socket, litio::Token(i), Interest::WRITABLE.level());
    }
    let mut counts = [0; 3];
    for _ in 0..60 {
        let came = rig.poll_once(DEADLINE);
        assert_eq!(came.len(), 1);
        counts[came[0].0.0] += 1;
    }
    assert!(
        counts.iter().all(|&count| count >= 10),
        "an unfair share: {counts:?}"
    );
}

#[test]
fn a_one_shot_source_is_reported_once_and_then_not_until_reregister() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE.oneshot());
    rig.expect_nothing();
    for round in 0..3_u8 {
        peer.write_all(&[round]).unwrap();
        rig.expect(A, READABLE);
        assert_eq!(drain(&stream), [round]);
        peer.write_all(b"more").unwrap();
        rig.expect_nothing();
        rig.reregister(&mut stream, A, Interest::READABLE.oneshot());
        // What came in between is not lost, only not told.
        rig.expect(A, READABLE);
        assert_eq!(drain(&stream), b"more");
        rig.expect_nothing();
        rig.reregister(&mut stream, A, Interest::READABLE.oneshot());
    }
}

#[test]
fn one_event_of_either_direction_spends_a_one_shot_registration() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, BOTH.oneshot());
    assert_eq!(rig.poll_once(DEADLINE), [(A, WRITABLE)]);
    peer.write_all(b"x").unwrap();
    rig.expect_nothing();
    drop(peer);
    rig.expect_nothing();
    rig.reregister(&mut stream, A, BOTH.oneshot());
    // Both are true by now, and it is still one event.
    let came = rig.poll_once(DEADLINE);
    assert_eq!(came.len(), 1, "{came:?}");
    rig.expect_nothing();
}

#[test]
fn a_would_block_does_not_bring_a_one_shot_source_back() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE.oneshot());
    peer.write_all(b"x").unwrap();
    rig.expect(A, READABLE);
    drain(&stream);
    expect_would_block(stream.read(&mut [0; 1]));
    peer.write_all(b"y").unwrap();
    rig.expect_nothing();
}

#[test]
fn a_spent_one_shot_source_is_still_registered() {
    let mut rig = Rig::new();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, Interest::WRITABLE.oneshot());
    rig.expect(A, WRITABLE);
    let again = rig
        .registry()
        .register(&mut socket, A, Interest::WRITABLE.oneshot());
    expect_error(std::io::ErrorKind::AlreadyExists, again);
    rig.deregister(&mut socket);
    rig.register(&mut socket, B, Interest::WRITABLE.oneshot());
    rig.expect(B, WRITABLE);
    rig.expect_nothing();
}

#[test]
fn reregister_changes_the_mode() {
    let mut rig = Rig::new();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    rig.expect_nothing();
    rig.reregister(&mut socket, A, Interest::WRITABLE.level());
    for _ in 0..3 {
        assert_eq!(rig.poll_once(DEADLINE), [(A, WRITABLE)]);
    }
    rig.reregister(&mut socket, A, Interest::WRITABLE.oneshot());
    rig.expect(A, WRITABLE);
    rig.expect_nothing();
    rig.reregister(&mut socket, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    rig.expect_nothing();
}

#[test]
fn the_stronger_of_two_modes_wins() {
    let (edge, level, oneshot) = (
        Interest::READABLE,
        Interest::WRITABLE.level(),
        Interest::WRITABLE.oneshot(),
    );
    assert!(!edge.is_level() && !edge.is_oneshot());
    assert!((edge | level).is_level() && (level | edge).is_level());
    assert!((edge | oneshot).is_oneshot() && (oneshot | level).is_oneshot());
    assert!(!(oneshot | level).is_level());
    assert_eq!(edge | level, BOTH.level());
    assert!((edge | level).is_readable() && (edge | level).is_writable());
    // The last word counts when a mode is asked for, and directions are kept.
    assert_eq!(BOTH.level().oneshot(), BOTH.oneshot());
    assert_ne!(BOTH.level(), BOTH);
}

#[test]
fn removing_directions_keeps_the_mode() {
    assert_eq!(
        BOTH.level().remove(Interest::WRITABLE),
        Some(Interest::READABLE.level())
    );
    assert_eq!(
        BOTH.oneshot().remove(Interest::READABLE),
        Some(Interest::WRITABLE.oneshot())
    );
    assert_eq!(BOTH.oneshot().remove(BOTH.level()), None);
    assert_eq!(
        BOTH.remove(Interest::READABLE.level()),
        Some(Interest::WRITABLE)
    );
}

#[test]
fn debug_of_an_interest_names_its_mode_only_if_it_is_not_edge() {
    assert_eq!(format!("{BOTH:?}"), "READABLE | WRITABLE");
    let (level, oneshot) = (
        format!("{:?}", BOTH.level()),
        format!("{:?}", BOTH.oneshot()),
    );
    assert!(
        level.contains("READABLE | WRITABLE") && level != "READABLE | WRITABLE",
        "{level}"
    );
    assert!(
        oneshot.contains("READABLE | WRITABLE") && oneshot != level,
        "{oneshot}"
    );
}

#[test]
fn directions_the_system_lacks_are_unsupported_and_leave_no_trace() {
    let mut rig = Rig::new();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    let mut lacking = Vec::new();
    if cfg!(target_os = "linux") {
        lacking.extend([Interest::AIO, Interest::LIO]);
    } else if !cfg!(target_os = "android") {
        lacking.push(Interest::PRIORITY);
    }
    for interest in lacking {
        for interest in [interest, interest | Interest::READABLE] {
            let result = rig.registry().register(&mut socket, A, interest);
            expect_error(std::io::ErrorKind::Unsupported, result);
        }
        rig.register(&mut socket, A, Interest::WRITABLE);
        let result = rig.registry().reregister(&mut socket, B, interest);
        expect_error(std::io::ErrorKind::Unsupported, result);
        rig.expect(A, WRITABLE);
        rig.deregister(&mut socket);
    }
}

#[test]
fn a_level_source_that_is_deregistered_is_silent() {
    let mut rig = Rig::new();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, Interest::WRITABLE.level());
    rig.expect(A, WRITABLE);
    rig.deregister(&mut socket);
    rig.expect_nothing();
    rig.register(&mut socket, A, Interest::WRITABLE.level());
    rig.expect(A, WRITABLE);
    drop(socket);
    rig.expect_nothing();
}

#[test]
fn a_closed_level_source_keeps_saying_so() {
    let mut rig = Rig::new();
    let (mut stream, peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE.level());
    drop(peer);
    for _ in 0..3 {
        let came = rig.poll_once(DEADLINE);
        assert!(came.len() == 1 && came[0].1.has(READABLE), "{came:?}");
        if LINUX_HINTS {
            assert!(came[0].1.has(READ_CLOSED), "{came:?}");
        }
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    }
}
