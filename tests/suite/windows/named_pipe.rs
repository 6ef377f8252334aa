//! Named pipes: both ends of each are Litio's.

use std::fs::OpenOptions;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsHandle, OwnedHandle};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use litio::net::UdpSocket;
use litio::windows::{NamedPipe, NamedPipeOptions};
use litio::{Events, Interest, Poll, Token};

use crate::support::*;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
const FILE_FLAG_OVERLAPPED: u32 = 0x4000_0000;

fn unique_name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!(r"\\.\pipe\litio-suite-{}-{next}", std::process::id())
}

#[track_caller]
fn client(name: &str) -> NamedPipe {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(FILE_FLAG_OVERLAPPED)
        .open(name)
        .expect("a client can open the pipe");
    NamedPipe::from(OwnedHandle::from(file))
}

/// A server as A and a client as B, connected and registered for both directions.
#[track_caller]
fn pair_of(rig: &mut Rig, options: &NamedPipeOptions) -> (NamedPipe, NamedPipe, String) {
    let name = unique_name();
    let mut server = options.create(&name).unwrap();
    rig.register(&mut server, A, BOTH);
    expect_would_block(server.connect());
    let mut client = client(&name);
    rig.expect(A, WRITABLE);
    assert!(server.take_error().unwrap().is_none());
    rig.register(&mut client, B, BOTH);
    rig.expect(B, WRITABLE);
    (server, client, name)
}

pub(super) fn pair(rig: &mut Rig) -> (NamedPipe, NamedPipe) {
    let (server, client, _) = pair_of(rig, &NamedPipeOptions::new());
    (server, client)
}

/// Writes, after the last write if that is still under way.
#[track_caller]
fn send(rig: &mut Rig, token: Token, mut pipe: &NamedPipe, bytes: &[u8]) {
    loop {
        match pipe.write(bytes) {
            Ok(written) => return assert_eq!(written, bytes.len()),
            Err(error) if is_would_block(&error) => drop(rig.expect(token, WRITABLE)),
            Err(error) => panic!("write failed: {error}"),
        }
    }
}

#[test]
fn bytes_go_both_ways() {
    let mut rig = Rig::new();
    let (mut server, mut client) = pair(&mut rig);
    for round in 0..50_u8 {
        send(&mut rig, B, &client, &[b'a', round]);
        assert_eq!(read_exactly(&mut rig, A, &server, 2), [b'a', round]);
        send(&mut rig, A, &server, &[b'b', round, b'c']);
        assert_eq!(read_exactly(&mut rig, B, &client, 3), [b'b', round, b'c']);
    }
    expect_would_block(server.read(&mut [0]));
    expect_would_block(client.read(&mut [0]));
}

#[test]
fn before_it_is_registered_a_pipe_would_block_and_remembers_to_connect() {
    let name = unique_name();
    let mut server = NamedPipe::new(&name).unwrap();
    expect_would_block(server.read(&mut [0]));
    expect_would_block(server.write(b"x"));
    expect_would_block(server.connect());
    expect_would_block(server.connect());

    let mut rig = Rig::new();
    rig.register(&mut server, A, BOTH);
    rig.expect_nothing();
    let mut client = client(&name);
    rig.expect(A, WRITABLE);
    rig.register(&mut client, B, BOTH);
    rig.expect(B, WRITABLE);
    server.write_all(b"hello").unwrap();
    assert_eq!(read_exactly(&mut rig, B, &client, 5), b"hello");
}

#[test]
fn a_client_that_came_first_is_connected_at_once() {
    let mut rig = Rig::new();
    let name = unique_name();
    let mut server = NamedPipe::new(&name).unwrap();
    let mut client = client(&name);
    rig.register(&mut server, A, BOTH);
    server.connect().unwrap();
    rig.register(&mut client, B, BOTH);
    rig.expect(A, WRITABLE);
    client.write_all(b"first").unwrap();
    assert_eq!(read_exactly(&mut rig, A, &server, 5), b"first");
}

/// A server that took the system's answer, `ERROR_NO_DATA`, for a failure would lose the client,
/// and often end.
#[test]
fn a_client_that_has_gone_before_the_server_connects_is_still_served() {
    for words in ["", "goodbye"] {
        let mut rig = Rig::new();
        let name = unique_name();
        let mut server = NamedPipe::new(&name).unwrap();
        rig.register(&mut server, A, BOTH);
        let mut client = OpenOptions::new().write(true).open(&name).unwrap();
        client.write_all(words.as_bytes()).unwrap();
        drop(client);
        server.connect().unwrap();
        let came = read_exactly(&mut rig, A, &server, words.len());
        assert_eq!(came, words.as_bytes());
        let end = loop {
            match server.read(&mut [0]) {
                Ok(read) => break read,
                Err(error) if is_would_block(&error) => drop(rig.expect(A, READABLE)),
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(end, 0);
        // As good as new afterwards.
        server.disconnect().unwrap();
        expect_would_block(server.connect());
        let _client = client_in(&mut rig, &name);
        rig.expect(A, WRITABLE);
    }
}

#[test]
fn a_disconnected_pipe_serves_the_next_client_and_none_of_the_last_ones_bytes() {
    let mut rig = Rig::new();
    let (mut server, mut last, name) = pair_of(&mut rig, &NamedPipeOptions::new());
    for round in 0..20_u8 {
        // Read ahead, in the pipe, and under way.
        last.write_all(&[1; 9]).unwrap();
        rig.expect(A, READABLE);
        rig.expect(B, WRITABLE);
        last.write_all(&[2; 9]).unwrap();
        server.write_all(&[3; 9]).unwrap();
        server.disconnect().unwrap();
        expect_would_block(server.connect());
        let mut next = client(&name);
        rig.expect(A, WRITABLE);
        assert!(server.take_error().unwrap().is_none());
        rig.deregister(&mut last);
        drop(last);
        rig.register(&mut next, B, BOTH);
        rig.expect(B, WRITABLE);
        next.write_all(&[round + 10]).unwrap();
        assert_eq!(read_exactly(&mut rig, A, &server, 1), [round + 10]);
        last = next;
    }
}

#[test]
fn the_end_of_the_stream_is_zero_bytes_as_often_as_one_reads() {
    let mut rig = Rig::new();
    let (mut server, mut client) = pair(&mut rig);
    client.write_all(b"last words").unwrap();
    rig.expect(B, WRITABLE);
    drop(client);
    assert_eq!(read_exactly(&mut rig, A, &server, 10), b"last words");
    loop {
        match server.read(&mut [0; 4]) {
            Ok(0) => break,
            Ok(_) => panic!("more than was written"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        rig.expect(A, READABLE | READ_CLOSED);
    }
    for _ in 0..3 {
        assert_eq!(server.read(&mut [0; 4]).unwrap(), 0);
    }
    // What is written now is lost, and the next write says so, or this one.
    let deadline = Instant::now() + DEADLINE;
    while server
        .write(b"x")
        .map_err(|error| error.kind() == ErrorKind::WouldBlock)
        != Err(false)
    {
        assert!(Instant::now() < deadline);
        rig.poll_once(QUIET);
    }
}

/// Mio gave `Ok(0)` until 1.2.4, which looks like the end, and lost the bytes, if the message was
/// there before the read.
#[test]
fn a_message_longer_than_any_buffer_comes_in_pieces_and_whole() {
    let mut rig = Rig::new();
    let options = NamedPipeOptions::new().message_mode(true);
    let (server, mut client, _) = pair_of(&mut rig, &options);
    for len in [1, 4096, 16_383, 16_384, 16_385, 40_000, 60_000] {
        let message: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        client.write_all(&message).unwrap();
        rig.expect(B, WRITABLE);
        // One that waits in the pipe before it is read, too.
        client.write_all(&message).unwrap();
        assert_eq!(
            read_exactly(&mut rig, A, &server, 2 * len),
            [&message[..], &message].concat()
        );
        expect_would_block((&server).read(&mut [0]));
        rig.expect(B, WRITABLE);
    }
}

#[test]
fn a_read_gives_bytes_of_one_message_only() {
    let mut rig = Rig::new();
    let options = NamedPipeOptions::new().message_mode(true);
    let (mut server, mut client, _) = pair_of(&mut rig, &options);
    for message in ["one", "two", "three"] {
        client.write_all(message.as_bytes()).unwrap();
        rig.expect(B, WRITABLE);
    }
    let mut came = Vec::new();
    while came.len() < 4 {
        let mut buffer = [0; 4];
        match server.read(&mut buffer) {
            Ok(read) => came.push(String::from_utf8(buffer[..read].to_vec()).unwrap()),
            Err(error) if is_would_block(&error) => drop(rig.expect(A, READABLE)),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(came, ["one", "two", "thre", "e"]);
}

#[test]
fn an_empty_message_is_zero_bytes_and_not_the_end() {
    let mut rig = Rig::new();
    let name = unique_name();
    let mut server = NamedPipeOptions::new()
        .message_mode(true)
        .create(&name)
        .unwrap();
    rig.register(&mut server, A, BOTH);
    expect_would_block(server.connect());
    // Litio's own end writes no empty messages.
    let mut client = OpenOptions::new().write(true).open(&name).unwrap();
    rig.expect(A, WRITABLE);
    for _ in 0..3 {
        assert_eq!(client.write(b"").unwrap(), 0);
        assert!(!rig.expect(A, READABLE).has(READ_CLOSED));
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
        client.write_all(b"a message").unwrap();
        assert_eq!(read_exactly(&mut rig, A, &server, 9), b"a message");
        expect_would_block(server.read(&mut [0; 8]));
    }
    drop(client);
    rig.expect(A, READABLE | READ_CLOSED);
    assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn a_vectored_write_is_one_message_and_a_vectored_read_fills_one_buffer_after_the_other() {
    let mut rig = Rig::new();
    let options = NamedPipeOptions::new().message_mode(true);
    let (mut server, mut client, _) = pair_of(&mut rig, &options);
    for message in [["mess", "", "age"], ["", "an", "other"]] {
        let buffers = message.map(|piece| IoSlice::new(piece.as_bytes()));
        let len = message.concat().len();
        assert_eq!(client.write_vectored(&buffers).unwrap(), len);
        rig.expect(B, WRITABLE);
    }
    for wanted in ["message", "another"] {
        let (mut one, mut two, mut three) = ([0; 3], [0; 0], [0; 9]);
        let read = loop {
            let mut buffers = [&mut one[..], &mut two, &mut three].map(IoSliceMut::new);
            match server.read_vectored(&mut buffers) {
                Ok(read) => break read,
                Err(error) if is_would_block(&error) => drop(rig.expect(A, READABLE)),
                Err(error) => panic!("{error}"),
            }
        };
        let came = [&one[..], &three].concat();
        assert_eq!(std::str::from_utf8(&came[..read]), Ok(wanted));
    }
    // Nothing to write or to read into is no message, and no reason to wait.
    assert_eq!(client.write_vectored(&[]).unwrap(), 0);
    assert_eq!(server.read_vectored(&mut []).unwrap(), 0);
    expect_would_block(server.read(&mut [0]));
}

#[test]
fn more_than_the_pipe_holds_arrives_whole() {
    let mut rig = Rig::new();
    let (mut server, client) = pair(&mut rig);
    let bytes: Vec<u8> = (0..1_000_000).map(|i| (i % 251) as u8).collect();
    assert_eq!(server.write(&bytes).unwrap(), bytes.len());
    expect_would_block(server.write(b"x"));
    assert_eq!(read_exactly(&mut rig, B, &client, bytes.len()), bytes);
    rig.expect(A, WRITABLE);
    server.write_all(b"x").unwrap();
}

#[test]
fn a_write_under_way_survives_the_pipe() {
    let mut rig = Rig::new();
    let (mut server, client) = pair(&mut rig);
    let bytes = vec![7; 300_000];
    server.write_all(&bytes).unwrap();
    drop(server);
    assert_eq!(read_exactly(&mut rig, B, &client, bytes.len()), bytes);
    let deadline = Instant::now() + DEADLINE;
    while (&client).read(&mut [0]).is_err() {
        assert!(Instant::now() < deadline, "the end never came");
        rig.poll_once(QUIET);
    }
}

/// The pipe is full, and nobody reads: the end of the poller neither waits for that nor forgets the
/// memory, in whatever order they go.
#[test]
fn a_write_under_way_does_not_hold_up_the_end_of_the_poller() {
    for pipe_goes_first in [true, false] {
        let mut rig = Rig::new();
        let mut others = Rig::new();
        let name = unique_name();
        let mut server = NamedPipe::new(&name).unwrap();
        rig.register(&mut server, A, BOTH);
        expect_would_block(server.connect());
        let client = client_in(&mut others, &name);
        rig.expect(A, WRITABLE);
        server.write_all(&vec![7; 1_000_000]).unwrap();
        let start = Instant::now();
        if pipe_goes_first {
            drop(server);
            drop(rig);
        } else {
            drop(rig);
            drop(server);
        }
        let took = start.elapsed();
        assert!(took < DEADLINE / 2, "it took {took:?}");
        // What the pipe had taken arrives, and then the end.
        let deadline = Instant::now() + DEADLINE;
        let mut buffer = vec![0; 100_000];
        loop {
            match (&client).read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => assert!(buffer[..read].iter().all(|byte| *byte == 7)),
                Err(error) => assert!(is_would_block(&error), "{error}"),
            }
            assert!(Instant::now() < deadline, "the end never came");
            others.poll_once(QUIET);
        }
    }
}

/// Mio asks a pipe, after an operation on it went pending, how much there is to be read; if that
/// fails it takes the operation for refused and frees it twice. What is freed too early is found by
/// [`poison`](super::poison), and what is never freed keeps a handle open: see `tests/process`.
#[test]
fn an_operation_that_is_pending_on_a_broken_pipe_is_released_by_its_packet_only() {
    let mut rig = Rig::new();
    for round in 0..200 {
        let (mut server, client) = pair(&mut rig);
        // Both reads are pending, and perhaps a write that nobody takes.
        if round % 2 == 0 {
            server.write_all(&vec![1; 300_000]).unwrap();
        }
        // From now on every question about the pipe is answered with an error.
        drop(client);
        if round % 4 < 2 {
            let _ = server.read(&mut [0; 8]);
            let _ = server.write(b"x");
        }
        if round % 8 < 4 {
            rig.expect(A, READABLE);
            assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
        }
        drop(server);
        rig.poll_once(Duration::ZERO);
    }
}

#[test]
fn the_other_end_learns_at_once_that_a_pipe_is_gone() {
    let mut rig = Rig::new();
    let mut others = Rig::new();
    let (server, mut client) = pair(&mut rig);
    rig.deregister(&mut client);
    drop(client);
    let name = unique_name();
    drop(server);
    let server = NamedPipe::new(&name).unwrap();
    let mut client = client_in(&mut others, &name);
    drop(server);
    // Nobody polls the server's poller any more.
    others.expect(B, READABLE);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

fn client_in(rig: &mut Rig, name: &str) -> NamedPipe {
    let mut client = client(name);
    rig.register(&mut client, B, BOTH);
    client
}

#[test]
fn every_value_of_a_token_comes_back() {
    let mut rig = Rig::new();
    let (mut server, mut client) = pair(&mut rig);
    let high = 1 << (usize::BITS - 1);
    for token in [0, 1, high, high + 1, usize::MAX - 1, usize::MAX].map(Token) {
        rig.reregister(&mut server, token, BOTH);
        rig.expect(token, WRITABLE);
        client.write_all(b"x").unwrap();
        assert_eq!(read_exactly(&mut rig, token, &server, 1), b"x");
        server.write_all(b"y").unwrap();
        rig.expect(token, WRITABLE);
        assert_eq!(read_exactly(&mut rig, B, &client, 1), b"y");
    }
    rig.deregister(&mut server);
}

#[test]
fn nothing_is_reported_after_deregister_whatever_is_under_way() {
    let mut rig = Rig::new();
    let (mut server, mut client) = pair(&mut rig);
    for _ in 0..50 {
        client.write_all(b"x").unwrap();
        server.write_all(b"y").unwrap();
        rig.deregister(&mut server);
        for (token, _) in rig.poll_once(Duration::from_millis(1)) {
            assert_eq!(token, B);
        }
        // It goes on as a pipe.
        while (&server).read(&mut [0; 8]).is_err() {
            assert!(rig.poll_once(QUIET).iter().all(|(token, _)| *token == B));
        }
        rig.register(&mut server, A, BOTH);
        read_exactly(&mut rig, B, &client, 1);
        rig.expect(A, WRITABLE);
    }
}

#[test]
fn registering_twice_changing_what_is_not_and_another_poll_are_refused() {
    let mut rig = Rig::new();
    let other = Rig::new();
    let mut pipe = NamedPipe::new(unique_name()).unwrap();
    expect_error(
        ErrorKind::NotFound,
        rig.registry().reregister(&mut pipe, A, BOTH),
    );
    expect_error(ErrorKind::NotFound, rig.registry().deregister(&mut pipe));
    rig.register(&mut pipe, A, BOTH);
    expect_error(
        ErrorKind::AlreadyExists,
        rig.registry().register(&mut pipe, A, BOTH),
    );
    rig.deregister(&mut pipe);
    expect_error(
        ErrorKind::AlreadyExists,
        other.registry().register(&mut pipe, A, BOTH),
    );
    rig.register(&mut pipe, A, BOTH);
    rig.expect_nothing();
}

/// A file opened for waiting operations, which would block in the midst of registering, and one
/// that belongs to another port.
#[test]
fn a_handle_that_cannot_be_associated_is_refused_without_a_trace() {
    let mut rig = Rig::new();
    let other = Rig::new();
    let name = unique_name();
    let mut server = NamedPipe::new(&name).unwrap();
    rig.register(&mut server, A, BOTH);
    expect_would_block(server.connect());
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&name)
        .unwrap();
    rig.expect(A, WRITABLE);
    let mut waiting = NamedPipe::from(OwnedHandle::from(file));
    let duplicate = server.as_handle().try_clone_to_owned().unwrap();
    let mut elsewhere = NamedPipe::from(duplicate);
    for _ in 0..2 {
        assert!(rig.registry().register(&mut waiting, B, BOTH).is_err());
        assert!(other.registry().register(&mut elsewhere, B, BOTH).is_err());
        expect_error(ErrorKind::NotFound, rig.registry().deregister(&mut waiting));
        expect_would_block(waiting.read(&mut [0]));
    }
    drop((waiting, elsewhere));
    rig.expect(A, READABLE);
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
}

#[test]
fn only_what_was_asked_for_is_reported() {
    let mut rig = Rig::new();
    let (mut server, mut client) = pair(&mut rig);
    rig.reregister(&mut server, A, Interest::READABLE);
    rig.expect_nothing();
    client.write_all(b"x").unwrap();
    assert!(!rig.expect(A, READABLE).has(WRITABLE));
    rig.expect(B, WRITABLE);
    rig.reregister(&mut server, A, Interest::WRITABLE);
    assert!(!rig.expect(A, WRITABLE).has(READABLE));
    rig.expect_nothing();
}

#[test]
fn level_reports_while_it_is_so_and_one_shot_once() {
    let mut rig = Rig::new();
    let (mut server, mut client) = pair(&mut rig);
    client.write_all(b"xy").unwrap();
    rig.expect(B, WRITABLE);
    rig.reregister(&mut server, A, Interest::READABLE.level());
    for _ in 0..5 {
        assert_eq!(rig.poll_once(DEADLINE), [(A, READABLE)]);
    }
    assert_eq!(drain(&server), b"xy");
    assert_eq!(rig.poll_once(QUIET), []);
    rig.reregister(&mut server, A, BOTH.oneshot());
    rig.expect(A, WRITABLE);
    client.write_all(b"z").unwrap();
    rig.expect(B, WRITABLE);
    rig.expect_nothing();
    rig.reregister(&mut server, A, BOTH.oneshot());
    rig.expect(A, READABLE);
}

/// The end is there to be read for good, so it is reported like anything else that is ready.
#[test]
fn the_end_of_the_stream_is_ready_by_level_and_after_reregister() {
    let mut rig = Rig::new();
    let (mut server, client) = pair(&mut rig);
    drop(client);
    rig.expect(A, READABLE);
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    rig.reregister(&mut server, A, Interest::READABLE);
    rig.expect(A, READABLE | READ_CLOSED);
    rig.reregister(&mut server, A, Interest::READABLE.level());
    for _ in 0..4 {
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
        assert_eq!(rig.poll_once(DEADLINE), [(A, READABLE | READ_CLOSED)]);
    }
    server.disconnect().unwrap();
    rig.poll_once(QUIET); // what was on its way
    assert_eq!(rig.poll_once(QUIET), []);
}

/// As long as no write has returned the error.
#[test]
fn a_write_that_failed_is_told_by_level_and_after_reregister() {
    let mut rig = Rig::new();
    let (mut server, client) = pair(&mut rig);
    server.write_all(&[7; 1_000_000]).unwrap();
    drop(client);
    rig.expect(A, WRITABLE | WRITE_CLOSED);
    rig.reregister(&mut server, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE | WRITE_CLOSED);
    rig.reregister(&mut server, A, Interest::WRITABLE.level());
    for _ in 0..3 {
        assert_eq!(rig.poll_once(DEADLINE), [(A, WRITABLE | WRITE_CLOSED)]);
    }
    assert!(server.write(b"x").is_err());
    // There is nothing more to tell, except that it would fail again.
    rig.poll_once(DEADLINE); // what was on its way
    assert_eq!(rig.poll_once(DEADLINE), [(A, WRITABLE)]);
}

#[test]
fn no_pipe_triggered_by_level_keeps_another_source_from_its_turn() {
    let mut rig = Rig::with_capacity(1);
    let (mut server, mut client) = pair(&mut rig);
    let socket = UdpSocket::bind(any_v4()).unwrap();
    let mut receiver = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut receiver, C, Interest::READABLE);
    rig.reregister(&mut server, A, Interest::WRITABLE.level());
    rig.reregister(&mut client, B, Interest::WRITABLE.level());
    for _ in 0..3 {
        socket
            .send_to(b"x", receiver.local_addr().unwrap())
            .unwrap();
        for token in [A, B, C, A, B] {
            let mut polls = 0;
            while rig.poll_once(DEADLINE)[0].0 != token {
                polls += 1;
                assert!(polls < 20, "{token:?} has no turn");
            }
        }
        while receiver.recv(&mut [0]).is_ok() {}
    }
}

#[test]
fn the_first_instance_is_the_first_and_others_are_made_on_purpose() {
    let name = unique_name();
    let _first = NamedPipe::new(&name).unwrap();
    // Wine does not keep the promise.
    if let Err(error) = NamedPipe::new(&name) {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
    let further = NamedPipeOptions::new().first_instance(false);
    let _second = further.create(&name).unwrap();
    let with_remotes = NamedPipeOptions::new().remote_clients(true);
    with_remotes.create(unique_name()).unwrap();
    expect_error(ErrorKind::InvalidInput, NamedPipe::new("\\\\.\\pipe\\a\0b"));
}

/// Operations of all kinds in random order, and pipes dropped in the midst of them; what is freed
/// too early is found by [`poison`](super::poison). More of them with
/// `LITIO_PIPE_OPERATIONS=100000`.
#[test]
fn random_operations_end_well() {
    let mut rig = Rig::new();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |bound: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % bound
    };
    let operations = std::env::var("LITIO_PIPE_OPERATIONS")
        .map_or(5_000, |operations| operations.parse().unwrap());
    for _ in 0..operations / 400 {
        let name = unique_name();
        let mut server = NamedPipe::new(&name).unwrap();
        rig.register(&mut server, A, BOTH);
        let mut other: Option<NamedPipe> = None;
        let mut buffer = vec![0; 100_000];
        for _ in 0..400 {
            match random(12) {
                0 => drop(server.connect()),
                1 => drop(server.disconnect()),
                2 => {
                    // There is none to open if it has a client, or waits for none.
                    let opened = OpenOptions::new()
                        .read(true)
                        .write(true)
                        .custom_flags(FILE_FLAG_OVERLAPPED)
                        .open(&name);
                    if let Ok(file) = opened {
                        let mut client = NamedPipe::from(OwnedHandle::from(file));
                        rig.register(&mut client, B, BOTH);
                        other = Some(client);
                    }
                }
                3 => other = None,
                4 | 5 => drop(server.write(&buffer[..random(100_000) as usize])),
                6 | 7 => drop(server.read(&mut buffer[..random(1000) as usize + 1])),
                8 => drop(other.as_mut().map(|other| other.write(b"some bytes"))),
                9 => drop(other.as_mut().map(|other| other.read(&mut [0; 70_000]))),
                10 => rig.reregister(&mut server, A, BOTH),
                _ => drop(rig.poll_once(Duration::ZERO)),
            }
        }
        rig.poll_once(Duration::ZERO);
    }
}

/// One thread connects and disconnects, one reads, one writes, one plays the clients, and all the
/// while another polls, so that operations land in the midst of each other. Afterwards a client is
/// served as ever.
#[test]
fn threads_that_share_a_pipe_end_well() {
    let mut poll = Poll::new().unwrap();
    let registry = poll.registry().try_clone().unwrap();
    for round in 0..4_u32 {
        let name = unique_name();
        let mut server = NamedPipe::new(&name).unwrap();
        let mode = [BOTH, BOTH.level(), BOTH.oneshot()][round as usize % 3];
        registry.register(&mut server, A, mode).unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let (server, name, is_over, registry) = (&server, &name, &is_over, &registry);
            let repeat = |mut act: Box<dyn FnMut() + Send>| {
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        act();
                        thread::yield_now();
                    }
                });
            };
            repeat(Box::new(move || {
                let _ = server.connect();
                for _ in 0..20 {
                    thread::yield_now();
                }
                let _ = server.disconnect();
                let _ = server.take_error();
            }));
            repeat(Box::new(move || {
                let mut pipe = server;
                let _ = pipe.read(&mut [0; 3000]);
            }));
            repeat(Box::new(move || {
                let mut pipe = server;
                let _ = pipe.write(&[7; 5000]);
            }));
            repeat(Box::new(move || {
                let opened = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .custom_flags(FILE_FLAG_OVERLAPPED)
                    .open(name);
                let Ok(file) = opened else {
                    return;
                };
                let mut client = NamedPipe::from(OwnedHandle::from(file));
                registry.register(&mut client, B, BOTH).unwrap();
                let _ = client.write(&[8; 5000]);
                for _ in 0..20 {
                    let _ = client.read(&mut [0; 70_000]);
                    thread::yield_now();
                }
            }));
            let mut events = Events::with_capacity(2);
            let end = Instant::now() + Duration::from_millis(200);
            while Instant::now() < end {
                poll.poll(&mut events, Some(Duration::from_millis(1)))
                    .unwrap();
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let _ = server.disconnect();
        registry.reregister(&mut server, A, BOTH).unwrap();
        expect_would_block(server.connect());
        let mut client = OpenOptions::new().write(true).open(&name).unwrap();
        client.write_all(b"after all").unwrap();
        let mut read = Vec::new();
        let mut events = Events::with_capacity(8);
        let deadline = Instant::now() + DEADLINE;
        while read.len() < 9 {
            assert!(Instant::now() < deadline, "{read:?}");
            poll.poll(&mut events, Some(DEADLINE)).unwrap();
            read.append(&mut drain(&server));
        }
        assert_eq!(read, b"after all");
    }
}
