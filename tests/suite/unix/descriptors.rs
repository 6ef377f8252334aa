//! Descriptors: the flags of all that Litio opens, and the conversions in and out.

#![expect(unsafe_code, reason = "fcntl, and FromRawFd's method")]

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use litio::Interest;
use litio::event::Source;
use litio::net::{TcpListener, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use litio::unix::pipe;

use super::SocketPath;
use crate::support::*;

#[track_caller]
pub(super) fn expect_flags(name: &str, fd: BorrowedFd<'_>) {
    // SAFETY: asks for the flags of a descriptor that is borrowed for the call.
    let status = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    assert_ne!(status & libc::O_NONBLOCK, 0, "{name} is blocking");
    // SAFETY: as above.
    let descriptor = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
    assert_ne!(
        descriptor & libc::FD_CLOEXEC,
        0,
        "{name} is inherited by child processes"
    );
}

#[test]
fn everything_opened_or_accepted_is_non_blocking_and_close_on_exec() {
    let (near, far) = tcp_pair();
    expect_flags("TcpStream::connect", near.as_fd());
    expect_flags("TcpListener::accept", far.as_fd());
    expect_flags(
        "TcpListener::bind",
        TcpListener::bind(any_v4()).unwrap().as_fd(),
    );
    expect_flags(
        "UdpSocket::bind",
        UdpSocket::bind(any_v4()).unwrap().as_fd(),
    );

    let path = SocketPath::new();
    let listener = UnixListener::bind(&path).unwrap();
    expect_flags("UnixListener::bind", listener.as_fd());
    expect_flags(
        "UnixStream::connect",
        UnixStream::connect(&path).unwrap().as_fd(),
    );
    expect_flags("UnixListener::accept", listener.accept().unwrap().0.as_fd());
    let (near, far) = UnixStream::pair().unwrap();
    expect_flags("UnixStream::pair.0", near.as_fd());
    expect_flags("UnixStream::pair.1", far.as_fd());

    let (near, far) = UnixDatagram::pair().unwrap();
    expect_flags("UnixDatagram::pair.0", near.as_fd());
    expect_flags("UnixDatagram::pair.1", far.as_fd());
    expect_flags(
        "UnixDatagram::unbound",
        UnixDatagram::unbound().unwrap().as_fd(),
    );
    let path = SocketPath::new();
    expect_flags(
        "UnixDatagram::bind",
        UnixDatagram::bind(&path).unwrap().as_fd(),
    );

    let (sender, receiver) = pipe::new().unwrap();
    expect_flags("pipe::Sender", sender.as_fd());
    expect_flags("pipe::Receiver", receiver.as_fd());
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn addresses_given_as_such_open_the_same_sockets() {
    let (address, _) = super::abstract_address();
    let listener = UnixListener::bind_addr(&address).unwrap();
    expect_flags("UnixListener::bind_addr", listener.as_fd());
    expect_flags(
        "UnixStream::connect_addr",
        UnixStream::connect_addr(&address).unwrap().as_fd(),
    );
    let (address, _) = super::abstract_address();
    expect_flags(
        "UnixDatagram::bind_addr",
        UnixDatagram::bind_addr(&address).unwrap().as_fd(),
    );
    if let Some(address) = any_v6() {
        expect_flags(
            "TcpListener::bind on IPv6",
            TcpListener::bind(address).unwrap().as_fd(),
        );
        expect_flags(
            "UdpSocket::bind on IPv6",
            UdpSocket::bind(address).unwrap().as_fd(),
        );
    }
}

/// Sends an object through each conversion and returns what came out at the end.
fn through_all_conversions<T>(object: T) -> T
where
    T: AsFd + AsRawFd + IntoRawFd + FromRawFd + From<OwnedFd> + Into<OwnedFd>,
{
    let number = object.as_raw_fd();
    assert_eq!(object.as_fd().as_raw_fd(), number);
    let raw = object.into_raw_fd();
    assert_eq!(raw, number);
    // SAFETY: `into_raw_fd` has just given up the descriptor.
    let object = unsafe { T::from_raw_fd(raw) };
    let owned: OwnedFd = object.into();
    assert_eq!(owned.as_raw_fd(), number);
    T::from(owned)
}

#[track_caller]
fn expect_readable(source: &mut dyn Source, send: impl FnOnce()) {
    let mut rig = Rig::new();
    rig.register(source, A, Interest::READABLE);
    send();
    rig.expect(A, READABLE);
}

#[test]
fn every_type_goes_through_raw_and_owned_descriptors_and_still_works() {
    let (near, mut far) = tcp_pair();
    let mut near = through_all_conversions(near);
    expect_readable(&mut near, || far.write_all(b"x").unwrap());
    assert_eq!(drain(&near), b"x");

    let listener = TcpListener::bind(any_v4()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut listener = through_all_conversions(listener);
    expect_readable(&mut listener, || {
        drop(std::net::TcpStream::connect(address).unwrap())
    });

    let socket = UdpSocket::bind(any_v4()).unwrap();
    let mut socket = through_all_conversions(socket);
    let address = socket.local_addr().unwrap();
    let sender = UdpSocket::bind(any_v4()).unwrap();
    expect_readable(&mut socket, || {
        assert_eq!(sender.send_to(b"x", address).unwrap(), 1)
    });

    let (near, mut far) = UnixStream::pair().unwrap();
    let mut near = through_all_conversions(near);
    expect_readable(&mut near, || far.write_all(b"x").unwrap());

    let path = SocketPath::new();
    let mut listener = through_all_conversions(UnixListener::bind(&path).unwrap());
    expect_readable(&mut listener, || drop(UnixStream::connect(&path).unwrap()));

    let (near, far) = UnixDatagram::pair().unwrap();
    let mut near = through_all_conversions(near);
    expect_readable(&mut near, || assert_eq!(far.send(b"x").unwrap(), 1));

    let (sender, receiver) = pipe::new().unwrap();
    let mut sender = through_all_conversions(sender);
    let mut receiver = through_all_conversions(receiver);
    expect_readable(&mut receiver, || sender.write_all(b"x").unwrap());
}

#[test]
fn descriptors_from_elsewhere_keep_their_blocking_mode() {
    let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
    far.write_all(b"x").unwrap();
    let mut near = UnixStream::from(OwnedFd::from(near));
    // SAFETY: asks for the flags of a descriptor that `near` keeps open.
    let flags = unsafe { libc::fcntl(near.as_raw_fd(), libc::F_GETFL) };
    assert_eq!(
        flags & libc::O_NONBLOCK,
        0,
        "the conversion changed the flags"
    );
    assert_eq!(near.read(&mut [0; 8]).unwrap(), 1);
}

#[test]
fn a_raw_descriptor_stays_open_when_the_object_is_taken_apart() {
    let (near, mut far) = UnixStream::pair().unwrap();
    let raw = near.into_raw_fd();
    expect_would_block(far.read(&mut [0; 1]));
    // SAFETY: `into_raw_fd` has just given up the descriptor.
    drop(unsafe { UnixStream::from_raw_fd(raw) });
    assert_eq!(far.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_socket_of_another_kind_can_be_a_stream() {
    // SOCK_SEQPACKET, for which Litio has no type.
    let (near, far) =
        socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::SEQPACKET, None).unwrap();
    near.set_nonblocking(true).unwrap();
    let mut near = UnixStream::from(OwnedFd::from(near));
    let mut rig = Rig::new();
    rig.register(&mut near, A, Interest::READABLE);
    for _ in 0..3 {
        far.send(b"packet").unwrap();
        rig.expect(A, READABLE);
        assert_eq!(drain(&near), b"packet");
    }
}
