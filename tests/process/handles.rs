//! Handles of Windows: none leaks, on whatever path, and child processes inherit none.

#![expect(unsafe_code, reason = "asking for handles")]

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsRawSocket, FromRawSocket, OwnedHandle};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use litio::net::{TcpListener, TcpStream, UdpSocket, UnixListener};
use litio::windows::{NamedPipe, NamedPipeOptions, SourceHandle, SourceSocket};
use litio::{Events, Interest, Poll, Token, Waker};
use windows_sys::Win32::Foundation::{GetHandleInformation, HANDLE, HANDLE_FLAG_INHERIT};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetProcessHandleCount};

use crate::{alone, refusing};

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
const DEADLINE: Duration = Duration::from_secs(20);
const FILE_FLAG_OVERLAPPED: u32 = 0x4000_0000;

fn any_v4() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn unique_name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!(r"\\.\pipe\litio-process-{}-{next}", std::process::id())
}

/// The flags of a handle, or none if it is not open.
fn flags(handle: usize) -> Option<u32> {
    let mut flags = 0;
    // SAFETY: the flags are written. What is no handle is answered with an error.
    let is_open = unsafe { GetHandleInformation(handle as HANDLE, &mut flags) };
    (is_open != 0).then_some(flags)
}

/// The open handles, which are multiples of four.
fn open_handles() -> Vec<usize> {
    (4..16_384)
        .step_by(4)
        .filter(|&handle| flags(handle).is_some())
        .collect()
}

/// How many the system itself counts. Wine 8.0 says 0.
fn count() -> u32 {
    let mut count = 0;
    // SAFETY: takes no memory; the handle it gives need not be closed.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: a number is written.
    assert_ne!(unsafe { GetProcessHandleCount(process, &mut count) }, 0);
    count
}

/// Fails if more handles are open after many times `body` than after the first few.
#[track_caller]
fn expect_no_leak(mut body: impl FnMut()) {
    const ROUNDS: usize = 60;
    // What the system opens once for all.
    for _ in 0..5 {
        body();
    }
    let (before, count_before) = (open_handles(), count());
    for _ in 0..ROUNDS {
        body();
    }
    let (after, count_after) = (open_handles(), count());
    // The system's own threads may come and go.
    let slack = ROUNDS / 6;
    let new: Vec<_> = after
        .iter()
        .filter(|handle| !before.contains(handle))
        .collect();
    assert!(
        after.len() < before.len() + slack,
        "handles leaked: {new:?} of {}",
        after.len()
    );
    assert!(
        count_after < count_before + slack as u32,
        "handles leaked: {count_before} have become {count_after}"
    );
}

fn poll_until(poll: &mut Poll, token: Token) {
    let mut events = Events::with_capacity(16);
    let start = Instant::now();
    while !events.iter().any(|event| event.token() == token) {
        assert!(start.elapsed() < DEADLINE, "no event of {token:?}");
        poll.poll(&mut events, Some(DEADLINE)).unwrap();
    }
}

/// The client's end of a pipe.
fn open(name: &str) -> NamedPipe {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(FILE_FLAG_OVERLAPPED)
        .open(name)
        .unwrap();
    NamedPipe::from(OwnedHandle::from(file))
}

/// Makes one of everything and gives it to `use_them`, in the midst of operations.
fn one_of_everything(use_them: impl FnOnce()) {
    let mut poll = Poll::new().unwrap();
    let registry = poll.registry().try_clone().unwrap();
    let first = Waker::new(&registry, Token(1)).unwrap();
    let second = Waker::new(&registry, Token(2)).unwrap();

    let mut listener = TcpListener::bind(any_v4()).unwrap();
    registry
        .register(&mut listener, Token(3), Interest::READABLE)
        .unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    registry.register(&mut client, Token(4), BOTH).unwrap();
    poll_until(&mut poll, Token(3));
    let (mut accepted, _) = listener.accept().unwrap();
    registry
        .register(&mut accepted, Token(5), Interest::READABLE)
        .unwrap();

    let mut udp = UdpSocket::bind(any_v4()).unwrap();
    registry.register(&mut udp, Token(6), BOTH).unwrap();
    let raw = std::net::UdpSocket::bind(any_v4()).unwrap();
    let number = raw.as_raw_socket();
    registry
        .register(&mut SourceSocket(&number), Token(7), Interest::READABLE)
        .unwrap();

    // One end is registered and in the midst of everything, the other knows of no poller.
    let name = unique_name();
    let mut server = NamedPipe::new(&name).unwrap();
    registry.register(&mut server, Token(8), BOTH).unwrap();
    let _ = server.connect();
    let stranger = open(&name);
    poll_until(&mut poll, Token(8));
    server.write_all(&vec![0; 200_000]).unwrap();
    assert_eq!(
        server.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    let mut waiting = NamedPipe::new(unique_name()).unwrap();
    let _ = waiting.connect();
    registry.register(&mut waiting, Token(9), BOTH).unwrap();

    let object = std::fs::File::open("NUL").unwrap();
    if let Ok(mut handle) = SourceHandle::new(object) {
        // What cannot be waited for is refused.
        let _ = registry.register(&mut handle, Token(10), Interest::READABLE);
    }
    first.wake().unwrap();
    use_them();
    // Some are deregistered, some just dropped; the poller goes before them or after.
    registry.deregister(&mut SourceSocket(&number)).unwrap();
    registry.deregister(&mut accepted).unwrap();
    drop((first, client, server));
    second.wake().unwrap();
    drop((poll, registry, stranger));
}

#[test]
fn nothing_leaks_over_many_rounds_in_the_midst_of_operations() {
    alone(|| expect_no_leak(|| one_of_everything(|| {})));
}

#[test]
fn nothing_leaks_when_it_fails() {
    alone(|| {
        let taken = std::net::TcpListener::bind(any_v4()).unwrap();
        let taken = taken.local_addr().map(|address| (taken, address)).unwrap();
        expect_no_leak(|| {
            let mut poll = Poll::new().unwrap();
            let other = Poll::new().unwrap();
            // Refused before and after something was made.
            assert!(TcpListener::bind(taken.1).is_err());
            let _ = UdpSocket::bind("192.0.2.1:1".parse().unwrap()); // Wine takes any address
            let _ = TcpStream::connect("127.0.0.1:0".parse().unwrap());
            let _ = UnixListener::bind("p".repeat(200));
            assert!(NamedPipe::new("no name of a pipe").is_err());
            assert!(NamedPipe::new("\\\\.\\pipe\\a\0b").is_err());

            // Refused by the selector.
            let mut socket = UdpSocket::bind(any_v4()).unwrap();
            poll.registry()
                .register(&mut socket, Token(1), BOTH)
                .unwrap();
            assert!(
                poll.registry()
                    .register(&mut socket, Token(1), BOTH)
                    .is_err()
            );
            assert!(
                other
                    .registry()
                    .register(&mut socket, Token(1), BOTH)
                    .is_err()
            );
            let urgent = Interest::PRIORITY;
            assert!(
                poll.registry()
                    .reregister(&mut socket, Token(1), urgent)
                    .is_err()
            );
            assert!(
                other
                    .registry()
                    .register(&mut SourceSocket(&4), Token(1), BOTH)
                    .is_err()
            );

            // A connection that nobody takes, and one whose socket is closed behind its back.
            let (_bound, refusing) = refusing();
            if let Ok(mut refused) = TcpStream::connect(refusing) {
                poll.registry()
                    .register(&mut refused, Token(2), BOTH)
                    .unwrap();
                poll_until(&mut poll, Token(2));
                assert!(refused.take_error().unwrap().is_some());
            }
            let closed = UdpSocket::bind(any_v4()).unwrap();
            let number = closed.as_raw_socket();
            std::mem::forget(closed);
            poll.registry()
                .register(&mut SourceSocket(&number), Token(3), BOTH)
                .unwrap();
            // SAFETY: it was forgotten above.
            drop(unsafe { std::net::UdpSocket::from_raw_socket(number) });
            let _ = poll.registry().deregister(&mut SourceSocket(&number));

            // A pipe whose other end goes away, and one that is thrown out.
            let name = unique_name();
            let mut server = NamedPipeOptions::new().create(&name).unwrap();
            poll.registry()
                .register(&mut server, Token(4), BOTH)
                .unwrap();
            for _ in 0..2 {
                let _ = server.connect();
                let client = open(&name);
                let start = Instant::now();
                while server.write(&[0; 1000]).is_err() {
                    assert!(start.elapsed() < DEADLINE);
                    poll_until(&mut poll, Token(4));
                }
                drop(client);
                assert!(
                    other
                        .registry()
                        .register(&mut server, Token(4), BOTH)
                        .is_err()
                );
                server.disconnect().unwrap();
            }
        });
    });
}

#[test]
fn nothing_is_inherited() {
    alone(|| {
        // What the system opens for itself, once for all.
        one_of_everything(|| {});
        let before = open_handles();
        one_of_everything(|| {
            let new: Vec<usize> = open_handles()
                .into_iter()
                .filter(|handle| !before.contains(handle))
                .collect();
            assert!(new.len() > 8, "{new:?}");
            for handle in new {
                let flags = flags(handle).unwrap_or(0);
                assert_eq!(flags & HANDLE_FLAG_INHERIT, 0, "{handle:#x} is inherited");
            }
        });
    });
}
