//! Short transfers: a stream that gave or took less than it was asked is re-armed, so that the call
//! which would only say `WouldBlock` can be left out. The exceptions are tests of their own.
//!
//! Where the system reports edges by itself, new data is a new edge whatever was read, so these
//! tests tell more where edges are emulated.

use std::io::{IoSlice, IoSliceMut, Read, Write};

use litio::Interest;
use litio::net::{TcpStream, UdpSocket};

use crate::support::*;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

#[test]
fn a_short_read_re_arms_reading() {
    const { assert!(TcpStream::SHORT_READ_DRAINS) };
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, BOTH);
    rig.expect(A, WRITABLE);
    for round in 0..5 {
        peer.write_all(b"abc").unwrap();
        let seen = rig.expect(A, READABLE);
        assert!(
            !REARMED_BY_WOULD_BLOCK || !seen.has(WRITABLE),
            "round {round}: {seen:?}"
        );
        assert_eq!(stream.read(&mut [0; 64]).unwrap(), 3);
        rig.expect_nothing();
    }
}

#[test]
fn a_short_vectored_read_counts_the_sum() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    for _ in 0..3 {
        peer.write_all(b"abcdef").unwrap();
        rig.expect(A, READABLE);
        // Fills the first buffer and a part of the second.
        let (mut first, mut second) = ([0; 4], [0; 4]);
        let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(stream.read_vectored(&mut buffers).unwrap(), 6);
    }
}

#[test]
fn a_short_write_re_arms_writing() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    let block = vec![0; 64 << 20];
    for round in 0..2 {
        // More than any socket takes: the one write is short, and no second is tried.
        let mut written = if round == 0 {
            stream.write(&block).unwrap()
        } else {
            let half = block.len() / 2;
            let halves = [IoSlice::new(&block[..half]), IoSlice::new(&block[half..])];
            stream.write_vectored(&halves).unwrap()
        };
        if cfg!(windows) && written == block.len() {
            return; // Windows, and Wine since 10, take a write of any length whole
        }
        assert!(written < block.len());
        peer.read_exact(&mut vec![0; written]).unwrap();
        rig.expect(A, WRITABLE);
        written = 0;
        assert_eq!(written, 0);
    }
}

#[test]
fn an_exact_read_is_not_short_and_leaves_the_rest_to_be_found() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    peer.write_all(b"abcdef").unwrap();
    rig.expect(A, READABLE);
    stream.read_exact(&mut [0; 3]).unwrap();
    rig.expect_nothing();
    assert_eq!(drain(&stream), b"def");
}

#[test]
fn an_end_of_stream_re_arms_nothing() {
    // It stays readable for good: re-arming would report it again and again.
    let mut rig = Rig::new();
    let (mut stream, peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    drop(peer);
    rig.expect(A, READABLE);
    while !rig.poll_once(QUIET).is_empty() {}
    for _ in 0..3 {
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
        rig.expect_nothing();
    }
}

#[test]
fn an_empty_buffer_re_arms_nothing() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    peer.write_all(b"abc").unwrap();
    rig.expect(A, READABLE);
    assert_eq!(stream.read(&mut []).unwrap(), 0);
    assert_eq!(stream.read_vectored(&mut []).unwrap(), 0);
    assert_eq!(stream.write(&[]).unwrap(), 0);
    assert_eq!(stream.write_vectored(&[]).unwrap(), 0);
    rig.expect_nothing();
}

#[test]
fn a_short_peek_re_arms_nothing() {
    // The bytes are still there: re-arming would report them at once, for ever.
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    peer.write_all(b"abc").unwrap();
    rig.expect(A, READABLE);
    assert_eq!(stream.peek(&mut [0; 64]).unwrap(), 3);
    rig.expect_nothing();
}

#[test]
fn a_short_datagram_re_arms_nothing() {
    // The next datagram may be waiting; a datagram is as long as it is.
    let mut rig = Rig::new();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    let peer = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, Interest::READABLE);
    for _ in 0..2 {
        peer.send_to(b"abc", socket.local_addr().unwrap()).unwrap();
    }
    rig.expect(A, READABLE);
    while !rig.poll_once(QUIET).is_empty() {}
    assert_eq!(socket.recv(&mut [0; 64]).unwrap(), 3);
    rig.expect_nothing();
    assert_eq!(socket.recv(&mut [0; 64]).unwrap(), 3);
}

#[test]
fn accepting_one_of_two_connections_re_arms_nothing() {
    let mut rig = Rig::new();
    let mut listener = litio::net::TcpListener::bind(any_v4()).unwrap();
    rig.register(&mut listener, A, Interest::READABLE);
    let address = listener.local_addr().unwrap();
    let _clients = [
        std::net::TcpStream::connect(address).unwrap(),
        std::net::TcpStream::connect(address).unwrap(),
    ];
    rig.expect(A, READABLE);
    while !rig.poll_once(QUIET).is_empty() {}
    listener.accept().unwrap();
    rig.expect_nothing();
    listener.accept().unwrap();
}

#[test]
fn data_and_fin_together_leave_no_second_edge_so_the_probe_is_needed() {
    // Why a short read must not be trusted after an event with `is_read_closed`.
    if !cfg!(target_os = "linux") {
        return;
    }
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    peer.write_all(b"last").unwrap();
    drop(peer);
    let mut seen = NOTHING;
    while !seen.has(READ_CLOSED) {
        seen = rig.expect(A, READABLE);
        if !seen.has(READ_CLOSED) && REARMED_BY_WOULD_BLOCK {
            rig.reregister(&mut stream, A, Interest::READABLE); // the FIN came a moment later
        }
    }
    // The event says so: read to the end, do not stop at the short read.
    assert_eq!(stream.read(&mut [0; 64]).unwrap(), 4);
    assert_eq!(stream.read(&mut [0; 64]).unwrap(), 0);
}

#[cfg(unix)]
mod unix {
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;

    use litio::Interest;
    use litio::net::{UnixDatagram, UnixStream};
    use litio::unix::pipe;

    use crate::support::*;

    #[test]
    fn short_reads_of_unix_streams_and_pipes_re_arm_reading() {
        const { assert!(UnixStream::SHORT_READ_DRAINS && pipe::Receiver::SHORT_READ_DRAINS) };
        let mut rig = Rig::new();
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let (mut sender, mut receiver) = pipe::new().unwrap();
        rig.register(&mut near, A, Interest::READABLE);
        rig.register(&mut receiver, B, Interest::READABLE);
        for _ in 0..4 {
            far.write_all(b"abc").unwrap();
            rig.expect(A, READABLE);
            assert_eq!(near.read(&mut [0; 64]).unwrap(), 3);
            sender.write_all(b"abc").unwrap();
            rig.expect(B, READABLE);
            assert_eq!(receiver.read(&mut [0; 64]).unwrap(), 3);
            rig.expect_nothing();
        }
    }

    #[test]
    fn short_writes_to_unix_streams_and_pipes_re_arm_writing() {
        let mut rig = Rig::new();
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let (mut sender, mut receiver) = pipe::new().unwrap();
        rig.register(&mut near, A, Interest::WRITABLE);
        rig.register(&mut sender, B, Interest::WRITABLE);
        rig.expect(A, WRITABLE);
        rig.expect(B, WRITABLE);
        let block = vec![0; 16 << 20];
        for _ in 0..2 {
            let written = near.write(&block).unwrap();
            assert!(written < block.len());
            far.read_exact(&mut vec![0; written]).unwrap();
            rig.expect(A, WRITABLE);
            let written = sender.write(&block).unwrap();
            assert!(written < block.len());
            receiver.read_exact(&mut vec![0; written]).unwrap();
            rig.expect(B, WRITABLE);
        }
    }

    #[test]
    fn a_short_unix_datagram_re_arms_nothing() {
        let mut rig = Rig::new();
        let (near, mut far) = UnixDatagram::pair().unwrap();
        rig.register(&mut far, A, Interest::READABLE);
        near.send(b"one").unwrap();
        near.send(b"two").unwrap();
        rig.expect(A, READABLE);
        while !rig.poll_once(QUIET).is_empty() {}
        assert_eq!(far.recv(&mut [0; 64]).unwrap(), 3);
        rig.expect_nothing();
    }

    #[test]
    fn after_a_short_packet_another_one_is_found_by_draining() {
        // A stream type around SOCK_SEQPACKET cannot know that a short read says nothing there;
        // whoever drains is safe.
        let (near, far) =
            socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::SEQPACKET, None).unwrap();
        near.set_nonblocking(true).unwrap();
        let mut near = UnixStream::from(OwnedFd::from(near));
        let mut rig = Rig::new();
        rig.register(&mut near, A, Interest::READABLE);
        for _ in 0..3 {
            far.send(b"one").unwrap();
            far.send(b"two").unwrap();
            rig.expect(A, READABLE);
            assert_eq!(drain(&near), b"onetwo");
            while !rig.poll_once(QUIET).is_empty() {}
        }
    }
}
