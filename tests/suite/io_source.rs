//! `IoSource`, with which users make sources of their own, and `try_io_for`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use litio::{Interest, IoSource};

use crate::support::*;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// A socket of std as a source, and its blocking peer.
fn source_and_peer() -> (IoSource<TcpStream>, TcpStream) {
    let (stream, peer) = stream_and_peer();
    (IoSource::new(stream.into()), peer)
}

fn read(source: &IoSource<TcpStream>, buffer: &mut [u8]) -> io::Result<usize> {
    source.do_io(Interest::READABLE, |mut stream| stream.read(buffer))
}

#[test]
fn an_operation_that_would_block_re_arms_its_direction() {
    let mut rig = Rig::new();
    let (mut source, mut peer) = source_and_peer();
    rig.register(&mut source, A, Interest::READABLE);
    for round in 0..4_u8 {
        peer.write_all(&[round]).unwrap();
        rig.expect(A, READABLE);
        let mut byte = [0];
        assert_eq!(read(&source, &mut byte).unwrap(), 1);
        assert_eq!(byte, [round]);
        expect_would_block(read(&source, &mut byte));
        rig.expect_nothing();
    }
}

#[test]
fn try_io_re_arms_every_registered_direction() {
    let mut rig = Rig::new();
    let (mut source, mut peer) = source_and_peer();
    rig.register(&mut source, A, Interest::READABLE);
    for _ in 0..3 {
        peer.write_all(b"x").unwrap();
        rig.expect(A, READABLE);
        let read = |buffer: &mut [u8]| source.try_io(|| source.get().read(buffer));
        assert_eq!(read(&mut [0; 1]).unwrap(), 1);
        expect_would_block(read(&mut [0; 1]));
    }
}

#[test]
fn try_io_for_re_arms_only_what_it_names() {
    let mut rig = Rig::new();
    let (mut source, mut peer) = source_and_peer();
    rig.register(&mut source, A, BOTH);
    rig.expect(A, WRITABLE);
    for _ in 0..3 {
        peer.write_all(b"x").unwrap();
        let seen = rig.expect(A, READABLE);
        assert!(!REARMED_BY_WOULD_BLOCK || !seen.has(WRITABLE), "{seen:?}");
        let read = |b: &mut [u8]| source.try_io_for(Interest::READABLE, || source.get().read(b));
        assert_eq!(read(&mut [0; 1]).unwrap(), 1);
        expect_would_block(read(&mut [0; 1]));
        rig.expect_nothing();
    }
}

#[test]
fn the_sockets_have_try_io_for_too() {
    let mut rig = Rig::new();
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, BOTH);
    rig.expect(A, WRITABLE);
    let would_block = || Err::<(), _>(ErrorKind::WouldBlock.into());
    for _ in 0..3 {
        peer.write_all(b"12345678").unwrap();
        let seen = rig.expect(A, READABLE);
        assert!(!REARMED_BY_WOULD_BLOCK || !seen.has(WRITABLE), "{seen:?}");
        stream.read_exact(&mut [0; 8]).unwrap();
        expect_would_block(stream.try_io_for(Interest::READABLE, would_block));
        rig.expect_nothing();
    }
    let socket = litio::net::UdpSocket::bind(any_v4()).unwrap();
    expect_would_block(socket.try_io_for(BOTH, would_block));
    assert_eq!(socket.try_io_for(Interest::WRITABLE, || Ok(7)).unwrap(), 7);
}

#[test]
fn a_short_transfer_re_arms_and_an_end_does_not() {
    let mut rig = Rig::new();
    let (mut source, mut peer) = source_and_peer();
    rig.register(&mut source, A, Interest::READABLE);
    let read = |source: &IoSource<TcpStream>| {
        let mut buffer = [0; 64];
        source.transfer(Interest::READABLE, buffer.len(), |mut stream| {
            stream.read(&mut buffer)
        })
    };
    for _ in 0..3 {
        peer.write_all(b"abc").unwrap();
        rig.expect(A, READABLE);
        assert_eq!(read(&source).unwrap(), 3);
        rig.expect_nothing();
    }
    drop(peer);
    rig.expect(A, READABLE);
    while !rig.poll_once(QUIET).is_empty() {}
    assert_eq!(read(&source).unwrap(), 0);
    rig.expect_nothing();
}

#[test]
fn rearm_says_what_an_operation_elsewhere_has_found() {
    let mut rig = Rig::new();
    let (mut source, mut peer) = source_and_peer();
    source.rearm(BOTH).unwrap(); // not registered: nothing to do
    rig.register(&mut source, A, Interest::READABLE);
    for _ in 0..3 {
        peer.write_all(b"x").unwrap();
        rig.expect(A, READABLE);
        assert_eq!(drain(source.get()), b"x");
        source.rearm(Interest::READABLE).unwrap();
        rig.expect_nothing();
    }
}

#[test]
fn results_and_errors_pass_through_untouched() {
    let (source, _peer) = source_and_peer();
    assert_eq!(source.do_io(BOTH, |_| Ok("value")).unwrap(), "value");
    let error = source
        .do_io(BOTH, |_| Err::<(), _>(io::Error::from_raw_os_error(7)))
        .unwrap_err();
    assert_eq!(error.raw_os_error(), Some(7));
    let would_block = source.try_io(|| Err::<(), _>(io::Error::from_raw_os_error(WOULD_BLOCK)));
    assert_eq!(
        would_block.unwrap_err().raw_os_error(),
        Some(WOULD_BLOCK),
        "the code was lost"
    );
}

#[cfg(unix)]
const WOULD_BLOCK: i32 = libc::EWOULDBLOCK;
#[cfg(windows)]
const WOULD_BLOCK: i32 = 10035;
#[cfg(target_os = "wasi")]
const WOULD_BLOCK: i32 = 6;

#[test]
fn get_and_get_mut_reach_the_object() {
    let (mut source, peer) = source_and_peer();
    assert_eq!(
        source.get().peer_addr().unwrap(),
        peer.local_addr().unwrap()
    );
    source.get_mut().set_nodelay(true).unwrap();
    assert!(source.get().nodelay().unwrap());
    assert!(format!("{source:?}").contains("TcpStream"), "{source:?}");
}

#[test]
fn into_inner_gives_the_object_back_usable_and_free() {
    let mut rig = Rig::new();
    let (mut source, mut peer) = source_and_peer();
    rig.register(&mut source, A, Interest::READABLE);
    rig.deregister(&mut source);
    let mut stream = source.into_inner();
    peer.write_all(b"x").unwrap();
    rig.expect_nothing();
    let mut source = IoSource::new(stream.try_clone().unwrap());
    rig.register(&mut source, B, Interest::READABLE);
    rig.expect(B, READABLE);
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 1);
}

#[test]
fn dropping_it_closes_the_object_and_ends_the_registration() {
    let mut rig = Rig::new();
    let (mut source, mut peer) = source_and_peer();
    rig.register(&mut source, A, BOTH);
    drop(source);
    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
    rig.expect_nothing();
}

#[test]
fn registration_mistakes_are_told_as_for_the_sockets() {
    let (rig, other) = (Rig::new(), Rig::new());
    let (mut source, _peer) = source_and_peer();
    let registry = rig.registry();
    expect_error(ErrorKind::NotFound, registry.deregister(&mut source));
    expect_error(
        ErrorKind::NotFound,
        registry.reregister(&mut source, A, BOTH),
    );
    registry.register(&mut source, A, BOTH).unwrap();
    expect_error(
        ErrorKind::AlreadyExists,
        registry.register(&mut source, A, BOTH),
    );
    expect_error(
        ErrorKind::NotFound,
        other.registry().deregister(&mut source),
    );
    registry.deregister(&mut source).unwrap();
}

#[cfg(unix)]
#[test]
fn any_object_with_a_descriptor_can_be_a_source() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::{UnixDatagram, UnixStream};
    let mut rig = Rig::new();
    let (near, mut far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    // The bare descriptor, then a type of std's, then one behind a Box.
    let mut bare = IoSource::new(OwnedFd::from(near.try_clone().unwrap()));
    rig.register(&mut bare, A, Interest::READABLE);
    far.write_all(b"x").unwrap();
    rig.expect(A, READABLE);
    rig.deregister(&mut bare);
    let (one, two) = UnixDatagram::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    let mut boxed = IoSource::new(Box::new(one));
    rig.register(&mut boxed, B, Interest::READABLE);
    for _ in 0..3 {
        two.send(b"x").unwrap();
        rig.expect(B, READABLE);
        let receive = || boxed.do_io(Interest::READABLE, |socket| socket.recv(&mut [0; 8]));
        assert_eq!(receive().unwrap(), 1);
        expect_would_block(receive());
    }
}

#[test]
fn a_source_can_be_sent_and_shared_if_its_object_can() {
    fn check<T: Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe + Unpin>() {}
    check::<IoSource<TcpStream>>();
    check::<IoSource<u8>>();
}
