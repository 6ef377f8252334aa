//! `TcpListener` and `TcpStream`, method by method.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;

use litio::Interest;
use litio::net::{TcpListener, TcpStream};

use crate::support::*;

#[test]
fn a_connection_is_made_the_prescribed_way() {
    // Connect, wait for writable, ask for the error, ask for the peer.
    let mut rig = Rig::new();
    let mut listener = TcpListener::bind(any_v4()).unwrap();
    let address = listener.local_addr().unwrap();
    rig.register(&mut listener, A, Interest::READABLE);
    let mut client = TcpStream::connect(address).unwrap();
    rig.register(&mut client, B, Interest::WRITABLE);
    rig.expect(B, WRITABLE);
    assert!(client.take_error().unwrap().is_none());
    assert_eq!(client.peer_addr().unwrap(), address);
    let (server, from) = accept_from(&mut rig, A, &listener);
    assert_eq!(from, client.local_addr().unwrap());
    assert_eq!(server.local_addr().unwrap(), address);
    assert_eq!(server.peer_addr().unwrap(), from);
}

#[test]
fn a_connection_in_progress_that_stalls_is_not_connected_yet() {
    // A full backlog keeps the handshake waiting on Linux; others answer in their own ways.
    if !cfg!(target_os = "linux") {
        return;
    }
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&any_v4().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut streams: Vec<TcpStream> = (0..3)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let mut rig = Rig::new();
    for (i, stream) in streams.iter_mut().enumerate() {
        rig.register(
            stream,
            litio::Token(i),
            Interest::READABLE | Interest::WRITABLE,
        );
    }
    let connected: Vec<bool> = {
        while !rig.poll_once(QUIET).is_empty() {}
        streams
            .iter()
            .map(|stream| stream.peer_addr().is_ok())
            .collect()
    };
    let stalled = connected
        .iter()
        .position(|is_connected| !is_connected)
        .expect("one waits");
    expect_error(ErrorKind::NotConnected, streams[stalled].peer_addr());
    assert!(streams[stalled].take_error().unwrap().is_none());
    expect_would_block(streams[stalled].read(&mut [0; 1]));
    expect_would_block(streams[stalled].write(b"x"));
    // Room in the backlog lets it through, and its owner hears of it: asking has re-armed it.
    for _ in 0..2 {
        listener.accept().unwrap();
    }
    rig.expect(litio::Token(stalled), WRITABLE);
    assert_eq!(streams[stalled].peer_addr().unwrap(), address);
}

#[test]
fn a_local_address_in_use_is_an_error() {
    let listener = TcpListener::bind(any_v4()).unwrap();
    let again = TcpListener::bind(listener.local_addr().unwrap());
    expect_error(ErrorKind::AddrInUse, again);
}

#[test]
fn a_port_whose_connections_linger_can_be_bound_again_at_once() {
    // SO_REUSEADDR, which Windows must not have: the side that closes first keeps TIME_WAIT.
    if cfg!(windows) {
        return;
    }
    let mut rig = Rig::new();
    let mut listener = TcpListener::bind(any_v4()).unwrap();
    rig.register(&mut listener, A, Interest::READABLE);
    let address = listener.local_addr().unwrap();
    let mut client = std::net::TcpStream::connect(address).unwrap();
    let (server, _) = accept_from(&mut rig, A, &listener);
    drop(server);
    client.read_to_end(&mut Vec::new()).unwrap();
    drop(client);
    drop(listener);
    let again = TcpListener::bind(address).expect("the port is only in TIME_WAIT");
    assert_eq!(again.local_addr().unwrap(), address);
}

#[test]
fn a_new_listener_has_nothing_to_accept() {
    let listener = TcpListener::bind(any_v4()).unwrap();
    expect_would_block(listener.accept());
    assert!(listener.take_error().unwrap().is_none());
}

#[test]
fn a_listener_holds_connections_until_they_are_accepted() {
    // As many as std's backlog, or nearly: 4 would be a forgotten argument.
    let mut listener = TcpListener::bind(any_v4()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut clients: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let mut rig = Rig::with_capacity(256);
    for (i, client) in clients.iter_mut().enumerate() {
        rig.register(client, litio::Token(i), Interest::WRITABLE);
    }
    for (i, client) in clients.iter().enumerate() {
        rig.expect(litio::Token(i), WRITABLE);
        client.peer_addr().unwrap();
    }
    let token = litio::Token(100);
    rig.register(&mut listener, token, Interest::READABLE);
    for _ in 0..100 {
        accept_from(&mut rig, token, &listener);
    }
}

#[test]
fn ipv6_works_like_ipv4() {
    let Some(address) = any_v6() else { return };
    let mut rig = Rig::new();
    let mut listener = TcpListener::bind(address).unwrap();
    rig.register(&mut listener, A, Interest::READABLE);
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    rig.register(&mut client, B, Interest::WRITABLE);
    let (mut server, from) = accept_from(&mut rig, A, &listener);
    rig.expect(B, WRITABLE);
    assert_eq!(client.peer_addr().unwrap(), listener.local_addr().unwrap());
    assert_eq!(from, client.local_addr().unwrap());
    assert!(from.is_ipv6() && from.ip().is_loopback());
    server.write_all(b"six").unwrap();
    rig.reregister(&mut client, B, Interest::READABLE);
    assert_eq!(read_exactly(&mut rig, B, &client, 3), b"six");
}

#[test]
fn an_impossible_address_is_the_systems_error() {
    // Documentation addresses (RFC 5737) belong to no machine.
    let elsewhere = "192.0.2.1:0".parse().unwrap();
    expect_error(ErrorKind::AddrNotAvailable, TcpListener::bind(elsewhere));
    if cfg!(windows) {
        return; // Wine binds UDP sockets to any address
    }
    let error = litio::net::UdpSocket::bind(elsewhere).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    assert!(
        error.raw_os_error().is_some(),
        "the system's code was lost: {error:?}"
    );
}

#[test]
fn options_are_set_and_read_back() {
    let (stream, _peer) = tcp_pair();
    for is_on in [true, false, true] {
        stream.set_nodelay(is_on).unwrap();
        assert_eq!(stream.nodelay().unwrap(), is_on);
    }
    let listener = TcpListener::bind(any_v4()).unwrap();
    for ttl in [1, 64, 255] {
        stream.set_ttl(ttl).unwrap();
        assert_eq!(stream.ttl().unwrap(), ttl);
        listener.set_ttl(ttl).unwrap();
        assert_eq!(listener.ttl().unwrap(), ttl);
    }
    if cfg!(target_os = "linux") {
        expect_error(ErrorKind::InvalidInput, stream.set_ttl(1000));
    }
}

#[test]
fn a_new_stream_has_the_systems_defaults() {
    let (stream, _peer) = tcp_pair();
    let plain = std::net::TcpListener::bind(any_v4()).unwrap();
    let plain = std::net::TcpStream::connect(plain.local_addr().unwrap()).unwrap();
    assert_eq!(stream.nodelay().unwrap(), plain.nodelay().unwrap());
    assert_eq!(stream.ttl().unwrap(), plain.ttl().unwrap());
    assert!(stream.take_error().unwrap().is_none());
}

#[test]
fn options_can_be_set_through_socket2() {
    let (stream, _peer) = tcp_pair();
    let socket = socket2::SockRef::from(&stream);
    socket.set_keepalive(true).unwrap();
    assert!(socket.keepalive().unwrap());
}

#[test]
fn both_ends_of_a_pair_read_and_write() {
    let mut rig = Rig::new();
    let (mut near, mut far) = tcp_pair();
    rig.register(&mut near, A, Interest::READABLE);
    rig.register(&mut far, B, Interest::READABLE);
    near.write_all(b"ping").unwrap();
    assert_eq!(read_exactly(&mut rig, B, &far, 4), b"ping");
    far.write_all(b"pong").unwrap();
    assert_eq!(read_exactly(&mut rig, A, &near, 4), b"pong");
    near.flush().unwrap();
}

#[test]
fn shared_references_read_and_write_too() {
    let mut rig = Rig::new();
    let (mut near, far) = tcp_pair();
    rig.register(&mut near, A, Interest::READABLE);
    (&far).write_all(b"shared").unwrap();
    let parts = [IoSlice::new(b" ve"), IoSlice::new(b"ctors")];
    assert_eq!((&far).write_vectored(&parts).unwrap(), 8);
    (&far).flush().unwrap();
    assert_eq!(read_exactly(&mut rig, A, &near, 14), b"shared vectors");
    far.shutdown(Shutdown::Write).unwrap();
}

#[test]
fn vectored_reads_fill_one_buffer_after_the_other() {
    let mut rig = Rig::new();
    let (mut near, mut far) = tcp_pair();
    rig.register(&mut near, A, Interest::READABLE);
    let parts = [
        IoSlice::new(b"one"),
        IoSlice::new(b""),
        IoSlice::new(b"three"),
    ];
    assert_eq!(far.write_vectored(&parts).unwrap(), 8);
    rig.expect(A, READABLE);
    let (mut first, mut second, mut third) = ([0; 2], [0; 4], [9; 4]);
    let mut buffers = [
        IoSliceMut::new(&mut first),
        IoSliceMut::new(&mut second),
        IoSliceMut::new(&mut third),
    ];
    assert_eq!(near.read_vectored(&mut buffers).unwrap(), 8);
    assert_eq!(
        (&first, &second, &third),
        (b"on", b"ethr", &[b'e', b'e', 9, 9])
    );
    expect_would_block((&near).read_vectored(&mut [IoSliceMut::new(&mut first)]));
}

#[test]
fn a_peek_sees_what_a_read_then_takes() {
    let mut rig = Rig::new();
    let (mut near, mut far) = tcp_pair();
    rig.register(&mut near, A, Interest::READABLE);
    far.write_all(b"abcdef").unwrap();
    rig.expect(A, READABLE);
    let mut buffer = [0; 4];
    assert_eq!(near.peek(&mut buffer).unwrap(), 4);
    assert_eq!(&buffer, b"abcd");
    assert_eq!(drain(&near), b"abcdef");
    expect_would_block(near.peek(&mut buffer));
    drop(far);
    rig.expect(A, READABLE);
    assert_eq!(near.peek(&mut buffer).unwrap(), 0);
}

#[test]
fn shutting_down_twice_or_unconnected_is_the_systems_answer() {
    let (near, _far) = tcp_pair();
    near.shutdown(Shutdown::Write).unwrap();
    near.shutdown(Shutdown::Read).unwrap();
    let mut rig = Rig::new();
    let mut stream = TcpStream::connect(refused_address()).unwrap();
    rig.register(&mut stream, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE); // while it connects, some systems end the attempt instead
    expect_error(ErrorKind::NotConnected, stream.shutdown(Shutdown::Both));
}

#[test]
fn streams_and_listeners_become_std_types_and_back() {
    let listener = TcpListener::bind(any_v4()).unwrap();
    let address = listener.local_addr().unwrap();
    let plain: std::net::TcpListener = listener.into();
    assert_eq!(plain.local_addr().unwrap(), address);
    // Still non-blocking: a conversion touches no flag.
    expect_would_block(plain.accept());
    let listener = TcpListener::from_std(plain);
    assert_eq!(listener.local_addr().unwrap(), address);

    let (near, mut far) = tcp_pair();
    let address = near.local_addr().unwrap();
    let mut plain: std::net::TcpStream = near.into();
    assert_eq!(plain.local_addr().unwrap(), address);
    expect_would_block(plain.read(&mut [0; 1]));
    let mut near = TcpStream::from_std(plain);
    assert_eq!(near.local_addr().unwrap(), address);
    let mut rig = Rig::new();
    rig.register(&mut near, A, Interest::READABLE);
    far.write_all(b"x").unwrap();
    rig.expect(A, READABLE);
}

#[test]
fn a_registered_stream_that_becomes_a_std_type_no_longer_belongs_to_litio() {
    // Whoever gets the descriptor may register it anew, as its owner.
    let rig = Rig::new();
    let (mut near, _far) = tcp_pair();
    rig.register(&mut near, A, Interest::READABLE);
    rig.deregister(&mut near);
    let plain: std::net::TcpStream = near.into();
    let mut near = TcpStream::from_std(plain);
    rig.register(&mut near, B, Interest::READABLE);
}

#[test]
fn from_std_leaves_blocking_as_it_is() {
    let plain = std::net::TcpListener::bind(any_v4()).unwrap();
    let stream = std::net::TcpStream::connect(plain.local_addr().unwrap()).unwrap();
    let (mut peer, _) = plain.accept().unwrap();
    peer.write_all(b"x").unwrap();
    let mut stream = TcpStream::from_std(stream);
    // A blocking read waits for the byte; a non-blocking one might have come too early.
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 1);
}

#[test]
fn debug_shows_the_std_type() {
    let listener = TcpListener::bind(any_v4()).unwrap();
    let (near, _far) = tcp_pair();
    let text = format!("{listener:?} {near:?}");
    assert!(
        text.contains("TcpListener") && text.contains("TcpStream"),
        "{text}"
    );
    let port = listener.local_addr().unwrap().port().to_string();
    assert!(text.contains(&port), "{text}");
}

#[test]
fn try_io_runs_operations_on_the_stream_itself() {
    let mut rig = Rig::new();
    let (mut near, mut far) = tcp_pair();
    rig.register(&mut near, A, Interest::READABLE);
    let receive = |stream: &TcpStream| {
        stream.try_io(|| {
            let mut buffer = [std::mem::MaybeUninit::uninit(); 8];
            socket2::SockRef::from(stream).recv(&mut buffer)
        })
    };
    for _ in 0..3 {
        expect_would_block(receive(&near));
        far.write_all(b"xy").unwrap();
        rig.expect(A, READABLE);
        assert_eq!(receive(&near).unwrap(), 2);
    }
}

#[test]
fn a_large_transfer_arrives_whole_in_both_directions() {
    const BYTES: usize = 1 << 20;
    let mut rig = Rig::new();
    let (mut near, mut far) = tcp_pair();
    let pattern: Vec<u8> = (0..BYTES).map(|i| (i % 251) as u8).collect();
    let both = Interest::READABLE | Interest::WRITABLE;
    rig.register(&mut near, A, both);
    rig.register(&mut far, B, both);
    let mut sent = [0, 0];
    let mut heard = [Vec::new(), Vec::new()];
    let deadline = std::time::Instant::now() + DEADLINE;
    while heard.iter().any(|heard| heard.len() < BYTES) {
        assert!(std::time::Instant::now() < deadline, "sent {sent:?}");
        for (token, _) in rig.poll_once(std::time::Duration::from_secs(1)) {
            let end = token.0 - 1;
            let stream: &mut TcpStream = if end == 0 { &mut near } else { &mut far };
            heard[end].extend(drain(&*stream));
            while sent[end] < BYTES {
                match stream.write(&pattern[sent[end]..]) {
                    Ok(n) => sent[end] += n,
                    Err(error) if is_would_block(&error) => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
    assert!(
        heard[0] == pattern && heard[1] == pattern,
        "the bytes changed on their way"
    );
}

#[test]
fn empty_buffers_read_and_write_nothing() {
    let (mut near, mut far) = tcp_pair();
    assert_eq!(near.write(&[]).unwrap(), 0);
    assert_eq!(far.write_vectored(&[]).unwrap(), 0);
    far.write_all(b"x").unwrap();
    let result: io::Result<usize> = near.read(&mut []);
    assert_eq!(result.unwrap(), 0);
}
