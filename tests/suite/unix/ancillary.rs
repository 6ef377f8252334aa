//! Descriptors and credentials that travel beside the bytes between Unix sockets.

use std::fs::File;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use litio::Interest;
use litio::net::ancillary::{Credentials, RecvAncillary, SendAncillary};
use litio::net::{TcpListener, UnixDatagram, UnixListener, UnixStream};

use super::SocketPath;
use super::descriptors::expect_flags;
use crate::support::*;

/// The reading ends of pipes, each with its number in it; it tells by its end when all are closed.
fn numbered_pipes(count: u8) -> (Vec<OwnedFd>, Vec<litio::unix::pipe::Sender>) {
    let pipes = (0..count).map(|number| {
        let (mut sender, receiver) = litio::unix::pipe::new().unwrap();
        sender.write_all(&[number]).unwrap();
        (OwnedFd::from(receiver), sender)
    });
    pipes.unzip()
}

#[track_caller]
fn number_of(fd: OwnedFd) -> u8 {
    let mut number = [0];
    File::from(fd).read_exact(&mut number).unwrap();
    number[0]
}

/// Fails if anybody still holds the reading end.
#[track_caller]
fn assert_closed(senders: &mut [litio::unix::pipe::Sender]) {
    for (number, sender) in senders.iter_mut().enumerate() {
        let error = sender.write(b"x").expect_err("nobody reads");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "pipe {number}");
    }
}

fn borrowed(fds: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
    fds.iter().map(AsFd::as_fd).collect()
}

#[track_caller]
fn send(socket: &UnixStream, data: &[u8], fds: &[OwnedFd]) {
    let fds = borrowed(fds);
    let ancillary = SendAncillary::new().fds(&fds);
    let sent = socket
        .send_message(&[IoSlice::new(data)], &ancillary)
        .unwrap();
    assert_eq!(sent, data.len());
}

#[track_caller]
fn receive<const FDS: usize>(socket: &UnixStream, ancillary: &mut RecvAncillary<FDS>) -> Vec<u8> {
    let mut buffer = [0; 64];
    let received = socket.recv_message(&mut [IoSliceMut::new(&mut buffer)], ancillary);
    buffer[..received.unwrap()].to_vec()
}

#[test]
fn descriptors_arrive_in_order_owned_and_close_on_exec() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (fds, mut senders) = numbered_pipes(5);
    send(&ours, b"five", &fds);
    drop(fds);
    let mut ancillary = RecvAncillary::<8>::new();
    assert_eq!(receive(&theirs, &mut ancillary), b"five");
    assert_eq!(ancillary.fd_count(), 5);
    assert!(!ancillary.is_truncated() && !ancillary.is_data_truncated());
    for number in 0..5 {
        let fd = ancillary.take_fd().unwrap();
        expect_flags("what was received", fd.as_fd());
        assert_eq!(number_of(fd), number);
    }
    assert_eq!(ancillary.fd_count(), 0);
    assert!(ancillary.take_fd().is_none());
    assert_closed(&mut senders);
}

#[test]
fn descriptors_that_are_not_taken_are_closed() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let (fds, mut senders) = numbered_pipes(6);
    for pair in fds.chunks(2) {
        send(&ours, b"two", pair);
    }
    send(&ours, b"none", &[]);
    drop(fds);
    let mut ancillary = RecvAncillary::<2>::new();
    assert_eq!(receive(&theirs, &mut ancillary), b"two");
    assert_eq!(number_of(ancillary.take_fd().unwrap()), 0);
    // By a plain read.
    assert_eq!(theirs.read(&mut [0; 3]).unwrap(), 3);
    assert_closed(&mut senders[2..4]);
    // By the next message.
    assert_eq!(receive(&theirs, &mut ancillary), b"two");
    assert_closed(&mut senders[..4]);
    assert_eq!(ancillary.fd_count(), 2);
    assert_eq!(receive(&theirs, &mut ancillary), b"none");
    assert_eq!(ancillary.fd_count(), 0);
    assert_closed(&mut senders);
    // By the end of the room.
    let (fds, mut senders) = numbered_pipes(2);
    send(&ours, b"two", &fds);
    drop(fds);
    receive(&theirs, &mut ancillary);
    drop(ancillary);
    assert_closed(&mut senders);
}

#[test]
fn descriptors_without_room_are_closed_and_said_to_have_come() {
    fn try_with<const FDS: usize>(count: u8) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (fds, mut senders) = numbered_pipes(count);
        send(&ours, b"x", &fds);
        drop(fds);
        let mut ancillary = RecvAncillary::<FDS>::new();
        assert_eq!(receive(&theirs, &mut ancillary), b"x");
        assert_eq!(ancillary.is_truncated(), usize::from(count) > FDS);
        assert_eq!(ancillary.fd_count(), FDS.min(count.into()));
        let (kept, closed) = senders.split_at_mut(FDS.min(count.into()));
        assert_closed(closed);
        for number in 0..kept.len() {
            assert_eq!(usize::from(number_of(ancillary.take_fd().unwrap())), number);
        }
        assert_closed(&mut senders);
    }
    for count in [1, 2, 3, 4, 5, 9, 20, 100] {
        try_with::<0>(count);
        try_with::<1>(count);
        try_with::<2>(count);
        try_with::<5>(count);
    }
}

#[test]
fn a_message_carries_253_descriptors_and_no_more() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let null = File::open("/dev/null").unwrap();
    let fds = vec![null.as_fd(); 254];
    let data = [IoSlice::new(b"x")];
    let ancillary = SendAncillary::new().fds(&fds);
    expect_error(
        ErrorKind::InvalidInput,
        ours.send_message(&data, &ancillary),
    );
    let ancillary = SendAncillary::new().fds(&fds[1..]);
    assert_eq!(ours.send_message(&data, &ancillary).unwrap(), 1);
    let mut ancillary = RecvAncillary::<300>::new();
    assert_eq!(receive(&theirs, &mut ancillary), b"x");
    assert_eq!(ancillary.fd_count(), 253);
    assert!(!ancillary.is_truncated());
}

#[test]
fn descriptors_without_data_are_refused_on_a_stream() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let null = File::open("/dev/null").unwrap();
    let fds = [null.as_fd()];
    let ancillary = SendAncillary::new().fds(&fds);
    expect_error(ErrorKind::InvalidInput, ours.send_message(&[], &ancillary));
    let empty = [IoSlice::new(b"")];
    expect_error(
        ErrorKind::InvalidInput,
        ours.send_message(&empty, &ancillary),
    );
}

#[test]
fn a_listener_goes_on_listening_where_it_is_received() {
    let mut rig = Rig::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    rig.register(&mut theirs, A, Interest::READABLE);
    let mut ancillary = RecvAncillary::<1>::new();
    expect_would_block(theirs.recv_message(&mut [IoSliceMut::new(&mut [0])], &mut ancillary));
    let listener = TcpListener::bind(any_v4()).unwrap();
    let address = listener.local_addr().unwrap();
    send(&ours, b"x", &[listener.into()]);
    rig.expect(A, READABLE);
    assert_eq!(receive(&theirs, &mut ancillary), b"x");
    let mut listener = TcpListener::from(ancillary.take_fd().unwrap());
    rig.register(&mut listener, B, Interest::READABLE);
    let _client = std::net::TcpStream::connect(address).unwrap();
    accept_from(&mut rig, B, &listener);
    // Each message is an event again, once the last one is drained.
    for _ in 0..3 {
        expect_would_block(theirs.recv_message(&mut [IoSliceMut::new(&mut [0])], &mut ancillary));
        rig.expect_nothing();
        send(&ours, b"y", &[]);
        rig.expect(A, READABLE);
        assert_eq!(receive(&theirs, &mut ancillary), b"y");
    }
}

#[test]
fn bytes_are_gathered_and_scattered() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let data = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
    assert_eq!(ours.send_message(&data, &SendAncillary::new()).unwrap(), 5);
    let (mut first, mut second) = ([0; 1], [0; 16]);
    let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    let received = theirs.recv_message(&mut buffers, &mut RecvAncillary::<0>::new());
    assert_eq!(received.unwrap(), 5);
    assert_eq!((&first, &second[..4]), (b"a", &b"bcde"[..]));
    drop(ours);
    let end = theirs.recv_message(
        &mut [IoSliceMut::new(&mut second)],
        &mut RecvAncillary::<0>::new(),
    );
    assert_eq!(end.unwrap(), 0);
}

#[test]
fn datagrams_carry_descriptors_and_say_where_they_come_from() {
    let mut rig = Rig::new();
    let (here, there) = (SocketPath::new(), SocketPath::new());
    let sender = UnixDatagram::bind(&here).unwrap();
    let mut receiver = UnixDatagram::bind(&there).unwrap();
    rig.register(&mut receiver, A, Interest::READABLE);
    let (fds, mut senders) = numbered_pipes(1);
    let data = [IoSlice::new(b"hello")];
    {
        let fds = borrowed(&fds);
        let ancillary = SendAncillary::new().fds(&fds);
        let address = receiver.local_addr().unwrap();
        assert_eq!(
            sender.send_message_to(&data, &ancillary, &address).unwrap(),
            5
        );
        sender.connect(&there).unwrap();
        assert_eq!(sender.send_message(&data, &ancillary).unwrap(), 5);
    }
    drop(fds);
    rig.expect(A, READABLE);
    let mut ancillary = RecvAncillary::<1>::new();
    let mut buffer = [0; 3];
    let mut buffers = [IoSliceMut::new(&mut buffer)];
    let (len, from) = receiver
        .recv_message_from(&mut buffers, &mut ancillary)
        .unwrap();
    assert_eq!((len, from.as_pathname()), (3, Some(here.as_ref())));
    assert!(ancillary.is_data_truncated() && !ancillary.is_truncated());
    assert_eq!(number_of(ancillary.take_fd().unwrap()), 0);
    let mut buffer = [0; 8];
    let mut buffers = [IoSliceMut::new(&mut buffer)];
    assert_eq!(
        receiver.recv_message(&mut buffers, &mut ancillary).unwrap(),
        5
    );
    assert!(!ancillary.is_data_truncated());
    assert_eq!(ancillary.fd_count(), 1);
    expect_would_block(receiver.recv_message(&mut buffers, &mut ancillary));
    assert_closed(&mut senders);
}

/// As a stream cannot: there they belong to a byte.
#[test]
fn a_descriptor_may_travel_alone_in_a_datagram() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let (fds, mut senders) = numbered_pipes(1);
    {
        let fds = borrowed(&fds);
        let ancillary = SendAncillary::new().fds(&fds);
        assert_eq!(ours.send_message(&[], &ancillary).unwrap(), 0);
        assert_eq!(ours.send_message(&[], &ancillary).unwrap(), 0);
    }
    drop(fds);
    let mut ancillary = RecvAncillary::<1>::new();
    let mut buffer = [0; 4];
    let mut buffers = [IoSliceMut::new(&mut buffer)];
    for count in [0, 1] {
        let received = theirs.recv_message(&mut buffers[..count], &mut ancillary);
        assert_eq!(received.unwrap(), 0);
        assert_eq!(ancillary.fd_count(), 1);
    }
    assert_eq!(number_of(ancillary.take_fd().unwrap()), 0);
    expect_would_block(theirs.recv_message(&mut buffers, &mut ancillary));
    assert_closed(&mut senders);
}

#[test]
fn peers_have_credentials() {
    let own = Credentials::own();
    let path = SocketPath::new();
    let listener = UnixListener::bind(&path).unwrap();
    let client = UnixStream::connect(&path).unwrap();
    let (server, _) = listener.accept().unwrap();
    let (one, other) = UnixStream::pair().unwrap();
    for stream in [&client, &server, &one, &other] {
        match stream.peer_credentials() {
            Ok(peer) => {
                assert_eq!((peer.uid, peer.gid), (own.uid, own.gid));
                assert!(peer.pid.is_none_or(|pid| pid == std::process::id()));
                assert!(peer.pid.is_some() || !cfg!(target_os = "linux"));
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported),
        }
    }
    if cfg!(target_os = "linux") {
        let (one, _other) = UnixDatagram::pair().unwrap();
        assert_eq!(one.peer_credentials().unwrap(), own);
    }
    assert!(UnixDatagram::unbound().unwrap().peer_credentials().is_err());
}

/// Sets `SO_PASSCRED`, which socket2 has not on Android.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[expect(unsafe_code, reason = "setsockopt")]
fn ask_for_credentials(socket: &UnixStream) {
    let on: libc::c_int = 1;
    let (value, len) = ((&raw const on).cast(), size_of_val(&on) as libc::socklen_t);
    let fd = std::os::fd::AsRawFd::as_raw_fd(socket);
    // SAFETY: setsockopt reads `len` bytes of `value`, which are those of `on`.
    let result = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_PASSCRED, value, len) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

#[test]
#[cfg(any(target_os = "linux", target_os = "android"))]
fn credentials_come_with_messages_if_asked_for() {
    let own = Credentials::own();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut ancillary = RecvAncillary::<2>::new();
    send(&ours, b"x", &[]);
    assert_eq!(receive(&theirs, &mut ancillary), b"x");
    assert_eq!(ancillary.credentials(), None);
    ask_for_credentials(&theirs);
    let (fds, _senders) = numbered_pipes(3);
    send(&ours, b"y", &fds[..2]);
    assert_eq!(receive(&theirs, &mut ancillary), b"y");
    assert_eq!(ancillary.credentials(), Some(own));
    assert_eq!((ancillary.fd_count(), ancillary.is_truncated()), (2, false));
    // Named by the sender, and without room for descriptors.
    let fds = borrowed(&fds);
    let all = SendAncillary::new().credentials(own).fds(&fds);
    ours.send_message(&[IoSlice::new(b"z")], &all).unwrap();
    assert_eq!(receive(&theirs, &mut ancillary), b"z");
    assert_eq!(ancillary.credentials(), Some(own));
    assert_eq!((ancillary.fd_count(), ancillary.is_truncated()), (2, true));
}

/// The system did not note it when the message was sent. It says 0, which is nobody's number.
#[test]
#[cfg(any(target_os = "linux", target_os = "android"))]
fn a_sender_that_is_not_known_has_no_process() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    send(&ours, b"x", &[]);
    ask_for_credentials(&theirs);
    let mut ancillary = RecvAncillary::<0>::new();
    assert_eq!(receive(&theirs, &mut ancillary), b"x");
    assert_eq!(ancillary.credentials().unwrap().pid, None);
}

#[test]
fn streams_and_datagrams_can_be_peeked_at() {
    let mut rig = Rig::new();
    let mut buffer = [0; 8];
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    rig.register(&mut ours, A, Interest::READABLE);
    for word in [b"one", b"two"] {
        expect_would_block(ours.peek(&mut buffer));
        rig.expect_nothing();
        theirs.write_all(word).unwrap();
        rig.expect(A, READABLE);
        for _ in 0..2 {
            assert_eq!(ours.peek(&mut buffer).unwrap(), 3);
            assert_eq!(&buffer[..3], word);
        }
        assert_eq!(ours.read(&mut buffer).unwrap(), 3);
    }
    drop(theirs);
    assert_eq!(ours.peek(&mut buffer).unwrap(), 0);

    let (mut ours, theirs) = UnixDatagram::pair().unwrap();
    rig.register(&mut ours, B, Interest::READABLE);
    for word in [b"one", b"two"] {
        expect_would_block(ours.peek(&mut buffer));
        theirs.send(word).unwrap();
        rig.expect(B, READABLE);
        assert_eq!(ours.peek(&mut buffer).unwrap(), 3);
        assert_eq!(ours.recv(&mut buffer).unwrap(), 3);
    }
}

#[test]
#[cfg(any(target_os = "linux", target_os = "android"))]
fn datagrams_go_to_abstract_names() {
    let (address, _) = super::abstract_address();
    let bound = UnixDatagram::bind_addr(&address).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    assert_eq!(sender.send_to_addr(b"to", &address).unwrap(), 2);
    sender.connect_addr(&address).unwrap();
    assert_eq!(sender.send(b"connected").unwrap(), 9);
    let mut buffer = [0; 16];
    assert_eq!(bound.recv(&mut buffer).unwrap(), 2);
    assert_eq!(bound.recv(&mut buffer).unwrap(), 9);
}
