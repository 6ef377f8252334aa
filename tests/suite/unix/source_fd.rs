//! `SourceFd`: any descriptor as a source.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use litio::Interest;
use litio::unix::SourceFd;

use crate::support::*;

fn pair() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    (near, far)
}

#[test]
fn a_descriptor_is_registered_reregistered_and_deregistered() {
    let mut rig = Rig::new();
    let (near, mut far) = pair();
    rig.register(&mut SourceFd(&near.as_raw_fd()), A, Interest::READABLE);
    far.write_all(b"x").unwrap();
    rig.expect(A, READABLE);
    // Each call may use a new `SourceFd`: it only borrows the number.
    rig.reregister(&mut SourceFd(&near.as_raw_fd()), B, Interest::WRITABLE);
    assert!(!rig.expect(B, WRITABLE).has(READABLE));
    rig.deregister(&mut SourceFd(&near.as_raw_fd()));
    far.write_all(b"y").unwrap();
    rig.expect_nothing();
    // Nor does it close anything.
    assert_eq!((&near).read(&mut [0; 8]).unwrap(), 2);
}

#[test]
fn a_descriptor_reports_again_after_it_was_drained() {
    // No operation goes through `SourceFd`, so nothing tells it of `WouldBlock`; it must report all
    // the same.
    let mut rig = Rig::new();
    let (near, mut far) = pair();
    rig.register(&mut SourceFd(&near.as_raw_fd()), A, Interest::READABLE);
    for round in 0..3_u8 {
        far.write_all(&[round]).unwrap();
        rig.expect(A, READABLE);
        assert_eq!(drain(&near), [round]);
    }
}

#[test]
fn a_descriptor_is_writable_again_when_the_peer_makes_room() {
    let mut rig = Rig::new();
    let (near, mut far) = pair();
    rig.register(&mut SourceFd(&near.as_raw_fd()), A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    for _ in 0..2 {
        let written = fill(&near);
        while !rig.poll_once(QUIET).is_empty() {}
        far.read_exact(&mut vec![0; written]).unwrap();
        rig.expect(A, WRITABLE);
    }
}

#[test]
fn a_descriptor_that_stays_ready_does_not_make_the_poll_spin() {
    let mut rig = Rig::new();
    let (near, mut far) = pair();
    rig.register(&mut SourceFd(&near.as_raw_fd()), A, Interest::READABLE);
    far.write_all(b"never read").unwrap();
    rig.expect(A, READABLE);
    let deadline = std::time::Instant::now() + std::time::Duration::from_millis(200);
    let mut events = 0;
    while std::time::Instant::now() < deadline {
        events += rig.poll_once(std::time::Duration::from_millis(10)).len();
    }
    // Silence on epoll. Where edges are emulated there are reminders, further and further apart: 64
    // after a millisecond each, and after two each for the rest of this time.
    let most = if REARMED_BY_WOULD_BLOCK {
        64 + 136 / 2 + 1
    } else {
        0
    };
    assert!(events <= most, "{events} events in 200 ms");
}

#[test]
fn a_level_descriptor_is_reported_by_every_poll_while_it_is_ready() {
    let mut rig = Rig::new();
    let (near, mut far) = pair();
    rig.register(
        &mut SourceFd(&near.as_raw_fd()),
        A,
        Interest::READABLE.level(),
    );
    for _ in 0..2 {
        far.write_all(b"x").unwrap();
        for _ in 0..4 {
            assert_eq!(rig.poll_once(DEADLINE), [(A, READABLE)]);
        }
        drain(&near);
        rig.expect_nothing();
    }
}

#[test]
fn a_one_shot_descriptor_is_reported_once_until_reregister() {
    let mut rig = Rig::new();
    let (near, mut far) = pair();
    let interest = Interest::READABLE.oneshot();
    rig.register(&mut SourceFd(&near.as_raw_fd()), A, interest);
    for _ in 0..3 {
        far.write_all(b"x").unwrap();
        assert_eq!(rig.poll_once(DEADLINE), [(A, READABLE)]);
        far.write_all(b"y").unwrap();
        rig.expect_nothing();
        drain(&near);
        rig.reregister(&mut SourceFd(&near.as_raw_fd()), A, interest);
        rig.expect_nothing();
    }
}

#[test]
fn mistakes_are_told_by_the_selector() {
    let rig = Rig::new();
    let (near, _far) = pair();
    let fd = near.as_raw_fd();
    let registry = rig.registry();
    expect_error(ErrorKind::NotFound, registry.deregister(&mut SourceFd(&fd)));
    expect_error(
        ErrorKind::NotFound,
        registry.reregister(&mut SourceFd(&fd), A, Interest::READABLE),
    );
    rig.register(&mut SourceFd(&fd), A, Interest::READABLE);
    expect_error(
        ErrorKind::AlreadyExists,
        registry.register(&mut SourceFd(&fd), A, Interest::READABLE),
    );
    rig.deregister(&mut SourceFd(&fd));
    expect_error(ErrorKind::NotFound, registry.deregister(&mut SourceFd(&fd)));
}

#[test]
fn a_number_that_is_no_descriptor_is_refused() {
    if FORCED_POLL {
        return; // poll(2) is not asked until the next poll
    }
    let rig = Rig::new();
    let error = rig
        .registry()
        .register(&mut SourceFd(&-1), A, Interest::READABLE)
        .expect_err("registered -1");
    assert_eq!(error.raw_os_error(), Some(libc::EBADF));
}

#[cfg(target_os = "linux")]
#[test]
fn a_regular_file_is_refused_by_epoll_and_always_ready_for_poll() {
    let file = std::fs::File::open("/dev/null").unwrap();
    let fd = file.as_raw_fd();
    let mut rig = Rig::new();
    let result = rig
        .registry()
        .register(&mut SourceFd(&fd), A, Interest::READABLE);
    if FORCED_POLL {
        result.unwrap();
        rig.expect(A, READABLE);
        return;
    }
    let error = result.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    // And no trace is left that would make the second try a different mistake.
    let error = rig
        .registry()
        .register(&mut SourceFd(&fd), A, Interest::READABLE)
        .unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
}

#[cfg(target_os = "linux")]
#[test]
fn a_source_the_system_refused_can_be_told_so_again() {
    // A socket type around a descriptor that epoll does not take: the refusal must not make it
    // "registered".
    use std::os::fd::{FromRawFd, OwnedFd, RawFd};
    if FORCED_POLL {
        return;
    }
    let file = std::fs::File::open("/dev/null").unwrap();
    let fd: RawFd = std::os::fd::IntoRawFd::into_raw_fd(file);
    #[expect(unsafe_code, reason = "the trait's method")]
    // SAFETY: `fd` was just given up by its owner.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut receiver = litio::unix::pipe::Receiver::from(owned);
    let (rig, other) = (Rig::new(), Rig::new());
    for _ in 0..2 {
        let result = rig
            .registry()
            .register(&mut receiver, A, Interest::READABLE);
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EPERM));
    }
    let result = other
        .registry()
        .register(&mut receiver, A, Interest::READABLE);
    assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EPERM));
    // To epoll_ctl(2) any operation on it is wrong in the same way; a debug build knows better.
    let error = rig.registry().deregister(&mut receiver).unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::EPERM));
}

#[test]
fn debug_shows_the_descriptor() {
    assert_eq!(format!("{:?}", SourceFd(&7)), "SourceFd(7)");
}
