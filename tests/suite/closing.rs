//! The end of connections: shutdowns, closes, resets and refusals, and what the events say of them.
//!
//! That an event comes is promised everywhere; what it says beyond readable and writable is a hint,
//! which these tests hold Linux to.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use litio::Interest;
use litio::net::TcpStream;

use crate::support::*;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

#[test]
fn closing_a_registered_stream_sends_fin() {
    let rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, BOTH);
    drop(stream);
    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_peer_that_closes_is_readable_and_read_closed() {
    let mut rig = Rig::new();
    let (mut stream, peer) = stream_and_peer();
    rig.register(&mut stream, A, BOTH);
    let before = rig.expect(A, WRITABLE);
    assert!(!before.has(READ_CLOSED) && !before.has(WRITE_CLOSED) && !before.has(ERROR));
    drop(peer);
    let seen = rig.expect(A, READABLE);
    if LINUX_HINTS {
        assert!(seen.has(READ_CLOSED), "{seen:?}");
        assert!(
            !seen.has(WRITE_CLOSED) && !seen.has(ERROR),
            "half closed only: {seen:?}"
        );
    }
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_peer_that_shuts_its_write_half_can_still_be_written_to() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, BOTH);
    peer.write_all(b"last words").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let mut seen = rig.expect(A, READABLE);
    let mut heard = String::new();
    while let Err(error) = stream.read_to_string(&mut heard) {
        assert!(is_would_block(&error), "{error}");
        seen = seen | rig.expect(A, READABLE);
    }
    assert_eq!(heard, "last words");
    assert!(!LINUX_HINTS || !seen.has(WRITE_CLOSED), "{seen:?}");
    stream.write_all(b"heard").unwrap();
    let mut buffer = [0; 5];
    peer.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"heard");
}

#[test]
#[cfg_attr(windows, ignore = "AFD does not tell of this side's own shutdowns")]
fn the_own_shutdown_of_reading_is_told_as_read_closed() {
    let mut rig = Rig::new();
    let (mut stream, _peer) = stream_and_peer();
    rig.register(&mut stream, A, BOTH);
    rig.expect(A, WRITABLE);
    stream.shutdown(Shutdown::Read).unwrap();
    let seen = rig.expect(A, READABLE);
    if LINUX_HINTS {
        assert!(seen.has(READ_CLOSED) && !seen.has(WRITE_CLOSED), "{seen:?}");
    }
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    // The other half goes on.
    assert_eq!(stream.write(b"x").unwrap(), 1);
}

#[test]
fn the_own_shutdown_of_writing_ends_the_peers_reading_only() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, BOTH);
    rig.expect(A, WRITABLE);
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
    if cfg!(windows) {
        stream.write(b"x").unwrap_err(); // WSAESHUTDOWN, for which std has no kind
    } else {
        expect_error(ErrorKind::BrokenPipe, stream.write(b"x"));
    }
    peer.write_all(b"still").unwrap();
    let seen = rig.expect(A, READABLE);
    // epoll(7) has no word for it: false positives are worse than none.
    assert!(!LINUX_HINTS || !seen.has(READ_CLOSED), "{seen:?}");
    assert_eq!(read_exactly(&mut rig, A, &stream, 5), b"still");
}

#[test]
#[cfg_attr(windows, ignore = "AFD does not tell of this side's own shutdowns")]
fn the_own_shutdown_of_both_halves_is_told_as_such() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, BOTH);
    rig.expect(A, WRITABLE);
    stream.shutdown(Shutdown::Both).unwrap();
    rig.expect(
        A,
        if LINUX_HINTS {
            READABLE | READ_CLOSED | WRITE_CLOSED
        } else {
            READABLE
        },
    );
    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn data_and_fin_that_arrive_together_are_one_last_event() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    peer.write_all(b"all").unwrap();
    drop(peer);
    while stream.peek(&mut [0; 8]).is_err() {
        std::thread::yield_now();
    }
    rig.register(&mut stream, A, Interest::READABLE);
    let seen = rig.expect(A, READABLE);
    if LINUX_HINTS && !REARMED_BY_WOULD_BLOCK && !seen.has(READ_CLOSED) {
        rig.expect(A, READ_CLOSED); // the FIN was a moment late
    }
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"all");
}

#[test]
fn a_reset_is_an_error_for_whoever_registered_any_direction() {
    for interest in [Interest::READABLE, Interest::WRITABLE, BOTH] {
        let mut rig = Rig::new();
        let (mut stream, peer) = stream_and_peer();
        rig.register(&mut stream, A, interest);
        if interest.is_writable() {
            rig.expect(A, WRITABLE);
        }
        // A close with a linger of zero sends RST instead of FIN.
        socket2::SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        let seen = rig.expect(A, NOTHING);
        if LINUX_HINTS {
            assert!(
                seen.has(ERROR | READ_CLOSED | WRITE_CLOSED),
                "{interest:?}: {seen:?}"
            );
        }
        let error = stream.take_error().unwrap();
        if cfg!(target_os = "linux") {
            assert_eq!(
                error.map(|error| error.kind()),
                Some(ErrorKind::ConnectionReset)
            );
        }
    }
}

#[test]
#[cfg_attr(windows, ignore = "Wine reads the end of the stream")]
fn a_read_after_a_reset_says_so() {
    let mut rig = Rig::new();
    let (mut stream, peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    socket2::SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(peer);
    rig.expect(A, READABLE);
    expect_error(ErrorKind::ConnectionReset, stream.read(&mut [0; 1]));
}

#[test]
fn a_refused_connection_is_an_event_and_an_error_to_take() {
    for interest in [Interest::WRITABLE, BOTH] {
        let mut rig = Rig::new();
        let mut stream = match TcpStream::connect(refused_address()) {
            Ok(stream) => stream,
            // Some systems know at once.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
            Err(error) => panic!("{error}"),
        };
        rig.register(&mut stream, A, interest);
        let seen = rig.expect(A, NOTHING);
        assert!(seen.has(WRITABLE) || seen.has(ERROR), "{seen:?}");
        if LINUX_HINTS {
            assert!(seen.has(WRITABLE | ERROR | WRITE_CLOSED), "{seen:?}");
        }
        let error = stream.take_error().unwrap().expect("why it failed");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        expect_error(ErrorKind::NotConnected, stream.peer_addr());
    }
}

#[test]
#[cfg_attr(windows, ignore = "Wine keeps the reason of a failed connection")]
fn an_error_is_taken_only_once() {
    let mut rig = Rig::new();
    let mut stream = TcpStream::connect(refused_address()).unwrap();
    rig.register(&mut stream, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    assert!(stream.take_error().unwrap().is_some());
    assert!(stream.take_error().unwrap().is_none());
}

#[test]
fn a_dropped_listener_refuses_and_its_port_is_free() {
    let listener = litio::net::TcpListener::bind(any_v4_apart()).unwrap();
    let address = listener.local_addr().unwrap();
    std::net::TcpStream::connect(address).unwrap();
    drop(listener);
    let error = std::net::TcpStream::connect(address).unwrap_err();
    assert!(
        [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset].contains(&error.kind()),
        "{error}"
    );
}
