//! Edge triggering: what is reported, what is not reported again, and what re-arms.

use std::io::{self, Read, Write};
use std::time::Duration;

use litio::Interest;
use litio::net::{TcpListener, TcpStream, UdpSocket};

use crate::support::*;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

#[test]
fn readable_is_reported_once_per_edge() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    peer.write_all(b"first").unwrap();
    rig.expect(A, READABLE);
    rig.expect_nothing();
}

#[test]
fn writable_is_reported_once_per_edge() {
    let mut rig = Rig::new();
    let (mut stream, _peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    rig.expect_nothing();
    stream.write_all(b"x").unwrap();
    rig.expect_nothing();
}

#[test]
fn readable_again_after_would_block() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    for round in 0..5_u8 {
        peer.write_all(&[round]).unwrap();
        rig.expect(A, READABLE);
        assert_eq!(drain(&stream), [round]);
        rig.expect_nothing();
    }
}

#[test]
fn readable_when_data_was_there_before_the_registration() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    peer.write_all(b"early").unwrap();
    // Until it has arrived: then no later edge can be what is reported.
    let mut byte = [0];
    while stream.peek(&mut byte).is_err() {
        std::thread::yield_now();
    }
    rig.register(&mut stream, A, Interest::READABLE);
    rig.expect(A, READABLE);
    assert_eq!(drain(&stream), b"early");
}

#[test]
fn readable_when_data_came_between_would_block_and_poll() {
    // An operation that would have blocked re-arms; what arrives before the next poll is not lost.
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    expect_would_block(stream.read(&mut [0; 8]));
    peer.write_all(b"now").unwrap();
    rig.expect(A, READABLE);
    drain(&stream);
    peer.write_all(b"again").unwrap();
    rig.expect(A, READABLE);
}

#[test]
fn writable_again_when_the_peer_makes_room() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    for _ in 0..2 {
        let (written, _) = fill_until_quiet(&mut rig, &stream);
        assert!(written > 0);
        peer.read_exact(&mut vec![0; written]).unwrap();
        rig.expect(A, WRITABLE);
    }
}

#[test]
fn new_data_is_a_new_edge_even_without_draining() {
    // epoll and kqueue do so by nature and programs rely on it; emulated edges wait for WouldBlock.
    if REARMED_BY_WOULD_BLOCK {
        return;
    }
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    for _ in 0..3 {
        peer.write_all(b"more").unwrap();
        rig.expect(A, READABLE);
        rig.expect_nothing();
    }
    assert_eq!(drain(&stream), b"moremoremore");
}

#[test]
fn reregister_reports_pending_readiness_again() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, BOTH);
    peer.write_all(b"x").unwrap();
    rig.expect(A, READABLE | WRITABLE);
    for _ in 0..3 {
        rig.reregister(&mut stream, A, BOTH);
        rig.expect(A, READABLE | WRITABLE);
        rig.expect_nothing();
    }
}

#[test]
fn only_what_was_asked_for_is_reported() {
    let mut rig = Rig::new();
    let (mut reader, mut peer) = stream_and_peer();
    rig.register(&mut reader, A, Interest::READABLE);
    // Writable all the while, yet silent.
    rig.expect_nothing();
    peer.write_all(b"x").unwrap();
    assert!(!rig.expect(A, READABLE).has(WRITABLE));

    let (mut writer, mut peer) = stream_and_peer();
    rig.register(&mut writer, B, Interest::WRITABLE);
    assert!(!rig.expect(B, WRITABLE).has(READABLE));
    peer.write_all(b"x").unwrap();
    rig.expect_nothing();
    rig.reregister(&mut writer, B, Interest::WRITABLE);
    assert!(!rig.expect(B, WRITABLE).has(READABLE));
}

#[test]
fn a_source_registered_for_reading_hears_of_the_peers_close() {
    let mut rig = Rig::new();
    let (mut stream, peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    drop(peer);
    rig.expect(A, READABLE);
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn a_read_that_would_block_does_not_report_writable_again() {
    // Re-arming everything at every WouldBlock livelocks readers of writable sockets.
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, BOTH);
    let mut writable = Vec::new();
    for _ in 0..4 {
        peer.write_all(b"x").unwrap();
        let seen = rig.expect(A, READABLE);
        writable.push(seen.has(WRITABLE));
        drain(&stream);
        rig.expect_nothing();
    }
    if REARMED_BY_WOULD_BLOCK {
        assert_eq!(writable, [true, false, false, false]);
    } else {
        // A new edge may carry all that is true; between edges there must be silence, as seen
        // above.
        assert!(writable[0]);
    }
}

#[test]
fn a_write_that_would_block_does_not_report_readable_again() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    peer.write_all(b"unread").unwrap();
    rig.register(&mut stream, A, BOTH);
    rig.expect(A, READABLE | WRITABLE);
    let (_, seen) = fill_until_quiet(&mut rig, &stream);
    assert!(!REARMED_BY_WOULD_BLOCK || !seen.has(READABLE));
}

#[test]
fn asking_for_an_error_that_is_not_there_does_not_report_writable_again() {
    // A loop that asks at each event would go round and round.
    let mut rig = Rig::new();
    let both = Interest::READABLE | Interest::WRITABLE;
    let (mut stream, _peer) = stream_and_peer();
    rig.register(&mut stream, A, both);
    rig.expect(A, WRITABLE);
    #[cfg(unix)]
    let (mut unix, _its_peer) = litio::net::UnixStream::pair().unwrap();
    #[cfg(unix)]
    {
        rig.register(&mut unix, B, both);
        rig.expect(B, WRITABLE);
        assert!(unix.take_error().unwrap().is_none());
        unix.peer_addr().unwrap();
    }
    assert!(stream.take_error().unwrap().is_none());
    stream.peer_addr().unwrap();
    rig.expect_nothing();
}

#[test]
fn a_datagram_socket_is_readable_again_after_would_block() {
    let mut rig = Rig::new();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    let peer = std::net::UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, BOTH);
    rig.expect(A, WRITABLE);
    for round in 0..4_u8 {
        peer.send_to(&[round], socket.local_addr().unwrap())
            .unwrap();
        rig.expect(A, READABLE);
        let mut buffer = [0; 8];
        assert_eq!(
            socket.recv_from(&mut buffer).unwrap(),
            (1, peer.local_addr().unwrap())
        );
        assert_eq!(buffer[0], round);
        expect_would_block(socket.recv_from(&mut buffer));
        rig.expect_nothing();
    }
}

#[test]
fn each_way_to_receive_a_datagram_re_arms() {
    let mut rig = Rig::new();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    let peer = std::net::UdpSocket::bind(any_v4()).unwrap();
    socket.connect(peer.local_addr().unwrap()).unwrap();
    rig.register(&mut socket, A, Interest::READABLE);
    let would_block: [fn(&UdpSocket) -> io::Result<usize>; 5] = [
        |socket| socket.recv(&mut [0; 8]),
        |socket| socket.recv_from(&mut [0; 8]).map(|(n, _)| n),
        |socket| socket.peek(&mut [0; 8]),
        |socket| socket.peek_from(&mut [0; 8]).map(|(n, _)| n),
        |socket| socket.try_io(|| Err(io::ErrorKind::WouldBlock.into())),
    ];
    for probe in would_block {
        peer.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        rig.expect(A, READABLE);
        // Taken without Litio's help where it can be told apart, then the probe re-arms.
        assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
        expect_would_block(probe(&socket));
    }
}

#[test]
fn each_way_to_read_a_stream_re_arms() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    let would_block: [fn(&TcpStream) -> io::Result<usize>; 5] = [
        |mut stream| stream.read(&mut [0; 8]),
        |mut stream| stream.read_vectored(&mut [io::IoSliceMut::new(&mut [0; 8])]),
        |stream| stream.peek(&mut [0; 8]),
        |stream| stream.try_io(|| Err(io::ErrorKind::WouldBlock.into())),
        |mut stream| stream.read_to_end(&mut Vec::new()),
    ];
    for probe in would_block {
        peer.write_all(b"12345678").unwrap();
        rig.expect(A, READABLE);
        // Exactly what is there and asked for: not a short read, so nothing re-arms but the probe.
        stream.read_exact(&mut [0; 8]).unwrap();
        expect_would_block(probe(&stream));
    }
}

#[test]
fn each_way_to_write_a_stream_re_arms() {
    let would_block: [fn(&TcpStream) -> io::Result<usize>; 3] = [
        |mut stream| stream.write(b"x"),
        |mut stream| stream.write_vectored(&[io::IoSlice::new(b"x"), io::IoSlice::new(b"y")]),
        |stream| stream.try_io(|| Err(io::ErrorKind::WouldBlock.into())),
    ];
    for probe in would_block {
        let mut rig = Rig::new();
        let (mut stream, mut peer) = stream_and_peer();
        rig.register(&mut stream, A, Interest::WRITABLE);
        rig.expect(A, WRITABLE);
        let (mut written, _) = fill_until_quiet(&mut rig, &stream);
        // A little room may be left that was too little for an event.
        let refused = loop {
            match probe(&stream) {
                Ok(n) => written += n,
                Err(error) => break error,
            }
        };
        assert!(is_would_block(&refused), "{refused}");
        peer.read_exact(&mut vec![0; written]).unwrap();
        rig.expect(A, WRITABLE);
    }
}

#[test]
fn a_peek_takes_nothing_away() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    expect_would_block(stream.peek(&mut [0; 8]));
    peer.write_all(b"data").unwrap();
    rig.expect(A, READABLE);
    let mut buffer = [0; 8];
    for _ in 0..2 {
        assert_eq!(stream.peek(&mut buffer).unwrap(), 4);
    }
    assert_eq!(drain(&stream), b"data");
}

#[test]
fn a_listener_reports_again_once_accept_would_have_blocked() {
    let mut rig = Rig::new();
    let mut listener = TcpListener::bind(any_v4()).unwrap();
    rig.register(&mut listener, A, Interest::READABLE);
    for _ in 0..3 {
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        rig.expect(A, READABLE);
        listener.accept().unwrap();
        expect_would_block(listener.accept());
        rig.expect_nothing();
    }
}

#[test]
fn every_connection_of_a_burst_can_be_accepted_after_one_event() {
    let mut rig = Rig::new();
    let mut listener = TcpListener::bind(any_v4()).unwrap();
    rig.register(&mut listener, A, Interest::READABLE);
    let address = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..20)
        .map(|_| std::net::TcpStream::connect(address).unwrap())
        .collect();
    for _ in &clients {
        accept_from(&mut rig, A, &listener);
    }
    expect_would_block(listener.accept());
}

#[test]
fn try_io_passes_values_and_errors_through_untouched() {
    let (stream, _peer) = stream_and_peer();
    assert_eq!(stream.try_io(|| Ok("value")).unwrap(), "value");
    let error = stream
        .try_io(|| Err::<(), _>(io::Error::other("mine")))
        .unwrap_err();
    assert_eq!(error.to_string(), "mine");
    expect_would_block(stream.try_io(|| Err::<(), _>(io::ErrorKind::WouldBlock.into())));
    // Also without a registration, and the closure runs once.
    let mut runs = 0;
    let count = || {
        runs += 1;
        Ok(())
    };
    stream.try_io(count).unwrap();
    assert_eq!(runs, 1);
}

#[test]
fn operations_work_before_any_registration() {
    let (mut stream, mut peer) = stream_and_peer();
    expect_would_block(stream.read(&mut [0; 8]));
    assert_eq!(stream.write(b"hello").unwrap(), 5);
    let mut buffer = [0; 5];
    peer.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"hello");
}

#[test]
fn a_level_of_traffic_over_many_streams_loses_no_byte() {
    // A small echo service in one thread, with fewer event places than streams.
    const STREAMS: usize = 16;
    const BYTES: usize = 100_000;
    let mut rig = Rig::with_capacity(4);
    let mut pairs: Vec<(TcpStream, TcpStream)> = (0..STREAMS).map(|_| tcp_pair()).collect();
    let mut sent = [0; STREAMS];
    let mut received = [0; STREAMS];
    for (i, (near, far)) in pairs.iter_mut().enumerate() {
        rig.register(near, litio::Token(2 * i), Interest::WRITABLE);
        rig.register(far, litio::Token(2 * i + 1), Interest::READABLE);
    }
    let payload = vec![7; BYTES];
    let mut idle_since = std::time::Instant::now();
    while received.iter().any(|&n| n < BYTES) {
        for (token, _) in rig.poll_once(Duration::from_secs(1)) {
            let i = token.0 / 2;
            let (near, far) = &mut pairs[i];
            if token.0 % 2 == 0 {
                while sent[i] < BYTES {
                    match near.write(&payload[sent[i]..]) {
                        Ok(n) => sent[i] += n,
                        Err(error) if is_would_block(&error) => break,
                        Err(error) => panic!("write failed: {error}"),
                    }
                }
            } else {
                received[i] += drain(far).len();
            }
            idle_since = std::time::Instant::now();
        }
        assert!(
            idle_since.elapsed() < DEADLINE,
            "stalled: sent {sent:?}, received {received:?}"
        );
    }
    assert_eq!(received, [BYTES; STREAMS]);
}
