//! Urgent data: `Interest::PRIORITY` and the out-of-band byte of TCP.

use std::io::{Read, Write};

use litio::Interest;

use crate::support::*;

fn send_urgent(peer: &std::net::TcpStream) {
    assert_eq!(
        socket2::SockRef::from(peer).send_out_of_band(b"!").unwrap(),
        1
    );
}

#[test]
fn urgent_data_is_priority_and_readable() {
    let mut rig = Rig::new();
    let (mut stream, peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::PRIORITY);
    rig.expect_nothing();
    send_urgent(&peer);
    rig.expect(A, PRIORITY | READABLE);
    let mut byte = [std::mem::MaybeUninit::uninit()];
    assert_eq!(
        socket2::SockRef::from(&stream)
            .recv_out_of_band(&mut byte)
            .unwrap(),
        1
    );
}

#[test]
fn ordinary_data_is_not_priority() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::PRIORITY);
    peer.write_all(b"plain").unwrap();
    rig.expect_nothing();
    rig.reregister(&mut stream, A, Interest::PRIORITY | Interest::READABLE);
    assert!(!rig.expect(A, READABLE).has(PRIORITY));
    send_urgent(&peer);
    rig.expect(A, PRIORITY);
    assert_eq!(drain(&stream), b"plain");
}

#[test]
fn without_the_interest_urgent_data_is_not_priority() {
    let mut rig = Rig::new();
    let (mut stream, peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE | Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    send_urgent(&peer);
    // Whether an urgent byte alone counts as readable is the kernel's to say.
    for (_, seen) in rig.poll_once(QUIET) {
        assert!(!seen.has(PRIORITY), "{seen:?}");
    }
    expect_would_block(stream.read(&mut [0; 8]));
}

#[test]
fn the_next_urgent_byte_is_told_too() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE | Interest::PRIORITY);
    for _ in 0..3 {
        peer.write_all(b"before").unwrap();
        send_urgent(&peer);
        rig.expect(A, PRIORITY);
        // First the urgent byte: reading past its place in the stream would discard it.
        let mut byte = [std::mem::MaybeUninit::uninit()];
        assert_eq!(
            socket2::SockRef::from(&stream)
                .recv_out_of_band(&mut byte)
                .unwrap(),
            1
        );
        assert_eq!(read_exactly(&mut rig, A, &stream, 6), b"before");
        drain(&stream);
    }
}
