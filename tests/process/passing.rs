//! Descriptors that are passed: none leaks, and what cannot be taken is said to be lost.

#![cfg_attr(
    any(target_os = "android", target_os = "linux"),
    expect(unsafe_code, reason = "setsockopt")
)]

use std::io::{IoSlice, IoSliceMut, Read};
use std::os::fd::AsFd;
#[cfg(any(target_os = "android", target_os = "linux"))]
use std::os::fd::AsRawFd;

use litio::net::UnixStream;
use litio::net::ancillary::{RecvAncillary, SendAncillary};

use crate::alone;
use crate::descriptors::{expect_no_leak, open_descriptors, with_spare_descriptors};

/// In all ways to receive them: taken, left, without room, by a plain read.
#[test]
fn a_million_descriptors_are_passed_and_none_leaks() {
    alone(|| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let fds = [null.as_fd(); 25];
        expect_no_leak(|| {
            let mut some = RecvAncillary::<3>::new();
            let mut all = RecvAncillary::<25>::new();
            let mut byte = [0];
            for round in 0..40_000 {
                let sent = SendAncillary::new().fds(&fds);
                ours.send_message(&[IoSlice::new(b"x")], &sent).unwrap();
                let mut buffers = [IoSliceMut::new(&mut byte)];
                let received = match round % 3 {
                    0 => theirs.recv_message(&mut buffers, &mut some),
                    1 => theirs.recv_message(&mut buffers, &mut all),
                    _ => theirs.read(&mut byte),
                };
                assert_eq!(received.unwrap(), 1);
                assert!(some.is_truncated());
                drop(all.take_fd());
            }
        });
    });
}

/// Linux can be asked to send a descriptor of the sending process along with every message.
#[test]
#[cfg(any(target_os = "android", target_os = "linux"))]
fn descriptors_of_the_sending_process_do_not_leak() {
    const SO_PASSPIDFD: libc::c_int = 76;
    alone(|| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let on: libc::c_int = 1;
        let (value, len) = ((&raw const on).cast(), size_of_val(&on) as libc::socklen_t);
        let (fd, level) = (theirs.as_raw_fd(), libc::SOL_SOCKET);
        // SAFETY: setsockopt reads `len` bytes of `value`, which are those of `on`.
        if unsafe { libc::setsockopt(fd, level, SO_PASSPIDFD, value, len) } == -1 {
            let error = std::io::Error::last_os_error();
            assert_eq!(error.raw_os_error(), Some(libc::ENOPROTOOPT)); // before 6.5
            return;
        }
        let fds = [ours.as_fd()];
        expect_no_leak(|| {
            for sent in [SendAncillary::new(), SendAncillary::new().fds(&fds)] {
                let mut ancillary = RecvAncillary::<1>::new();
                let mut byte = [0];
                ours.send_message(&[IoSlice::new(b"x")], &sent).unwrap();
                let mut buffers = [IoSliceMut::new(&mut byte)];
                assert_eq!(
                    theirs.recv_message(&mut buffers, &mut ancillary).unwrap(),
                    1
                );
            }
        });
    });
}

#[test]
fn descriptors_that_come_when_the_table_is_full_are_said_to_be_lost() {
    alone(|| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        for spare in 0..4 {
            let fds = [null.as_fd(); 3];
            let sent = SendAncillary::new().fds(&fds);
            ours.send_message(&[IoSlice::new(b"x")], &sent).unwrap();
            let mut ancillary = RecvAncillary::<3>::new();
            let mut byte = [0];
            let mut buffers = [IoSliceMut::new(&mut byte)];
            let before = open_descriptors();
            let received =
                with_spare_descriptors(spare, || theirs.recv_message(&mut buffers, &mut ancillary));
            // The data is not lost with them.
            assert_eq!(received.unwrap(), 1);
            assert_eq!(
                (ancillary.fd_count(), ancillary.is_truncated()),
                (spare, spare < 3)
            );
            drop(ancillary);
            assert_eq!(before, open_descriptors(), "descriptors leaked");
        }
    });
}
