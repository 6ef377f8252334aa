//! `unix::pipe`: both ends. The pipes of child processes are in `tests/process`.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsRawFd;

use litio::Interest;
use litio::unix::pipe::{self, Receiver, Sender};

use crate::support::*;

#[test]
fn the_sender_comes_first_and_bytes_flow_to_the_receiver() {
    let mut rig = Rig::new();
    let (mut sender, mut receiver): (Sender, Receiver) = pipe::new().unwrap();
    rig.register(&mut sender, A, Interest::WRITABLE);
    rig.register(&mut receiver, B, Interest::READABLE);
    rig.expect(A, WRITABLE);
    expect_would_block(receiver.read(&mut [0; 1]));
    for round in 0..3_u8 {
        sender.write_all(&[round]).unwrap();
        sender.flush().unwrap();
        rig.expect(B, READABLE);
        assert_eq!(drain(&receiver), [round]);
        rig.expect_nothing();
    }
}

#[test]
fn shared_references_and_vectors_work_too() {
    let (mut sender, mut receiver) = pipe::new().unwrap();
    (&sender).write_all(b"ab").unwrap();
    let parts = [IoSlice::new(b"c"), IoSlice::new(b"de")];
    assert_eq!((&sender).write_vectored(&parts).unwrap(), 3);
    assert_eq!(sender.write_vectored(&[IoSlice::new(b"f")]).unwrap(), 1);
    (&sender).flush().unwrap();
    let (mut first, mut second) = ([0; 2], [0; 8]);
    let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!(receiver.read_vectored(&mut buffers).unwrap(), 6);
    assert_eq!((&first, &second[..4]), (b"ab", &b"cdef"[..]));
    expect_would_block((&receiver).read(&mut first));
    expect_would_block((&receiver).read_vectored(&mut [IoSliceMut::new(&mut first)]));
}

#[test]
fn a_dropped_sender_closes_the_receivers_reading() {
    let mut rig = Rig::new();
    let (mut sender, mut receiver) = pipe::new().unwrap();
    rig.register(&mut receiver, A, Interest::READABLE);
    sender.write_all(b"end").unwrap();
    rig.expect(A, READABLE);
    assert_eq!(drain(&receiver), b"end");
    drop(sender);
    rig.expect(A, READ_CLOSED);
    assert_eq!(receiver.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_dropped_receiver_closes_the_senders_writing() {
    let mut rig = Rig::new();
    let (mut sender, receiver) = pipe::new().unwrap();
    rig.register(&mut sender, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    drop(receiver);
    rig.expect(A, WRITE_CLOSED);
    expect_error(ErrorKind::BrokenPipe, sender.write(b"x"));
}

#[test]
fn a_full_pipe_is_writable_again_when_the_receiver_makes_room() {
    let mut rig = Rig::new();
    let (mut sender, mut receiver) = pipe::new().unwrap();
    rig.register(&mut sender, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    for _ in 0..2 {
        let written = fill(&sender);
        rig.expect_nothing();
        receiver.read_exact(&mut vec![0; written]).unwrap();
        rig.expect(A, WRITABLE);
    }
}

#[test]
fn set_nonblocking_goes_both_ways() {
    let (mut sender, mut receiver) = pipe::new().unwrap();
    receiver.set_nonblocking(false).unwrap();
    let reading = within_deadline(move || {
        let reading = std::thread::spawn(move || {
            let mut byte = [0];
            receiver.read_exact(&mut byte).map(|()| (receiver, byte[0]))
        });
        std::thread::sleep(QUIET);
        assert!(!reading.is_finished(), "a blocking read did not wait");
        sender.write_all(&[7]).unwrap();
        sender.set_nonblocking(false).unwrap();
        sender.set_nonblocking(true).unwrap();
        fill(&sender);
        reading.join().unwrap()
    });
    let (receiver, byte) = reading.unwrap();
    assert_eq!(byte, 7);
    receiver.set_nonblocking(true).unwrap();
    drain(&receiver);
}

#[test]
fn try_io_re_arms_each_end() {
    let mut rig = Rig::new();
    let (mut sender, mut receiver) = pipe::new().unwrap();
    rig.register(&mut receiver, A, Interest::READABLE);
    let would_block = || Err::<(), _>(ErrorKind::WouldBlock.into());
    for _ in 0..3 {
        sender.write_all(b"x").unwrap();
        rig.expect(A, READABLE);
        receiver.read_exact(&mut [0; 1]).unwrap();
        expect_would_block(receiver.try_io(would_block));
    }
    expect_would_block(sender.try_io(would_block));
    assert_eq!(sender.try_io(|| Ok(5)).unwrap(), 5);
}

#[test]
fn registering_each_end_twice_is_already_exists() {
    let rig = Rig::new();
    let (mut sender, mut receiver) = pipe::new().unwrap();
    rig.register(&mut sender, A, Interest::WRITABLE);
    rig.register(&mut receiver, B, Interest::READABLE);
    let again = rig.registry().register(&mut sender, A, Interest::WRITABLE);
    expect_error(ErrorKind::AlreadyExists, again);
    let again = rig
        .registry()
        .register(&mut receiver, B, Interest::READABLE);
    expect_error(ErrorKind::AlreadyExists, again);
    rig.deregister(&mut sender);
    rig.deregister(&mut receiver);
    expect_error(
        ErrorKind::NotFound,
        rig.registry().deregister(&mut receiver),
    );
}

#[test]
fn debug_shows_the_descriptor() {
    let (sender, receiver) = pipe::new().unwrap();
    for (text, fd) in [
        (format!("{sender:?}"), sender.as_raw_fd()),
        (format!("{receiver:?}"), receiver.as_raw_fd()),
    ] {
        assert!(text.contains(&fd.to_string()), "{text} does not show {fd}");
    }
}
