//! Descriptors: none leaks, none is inherited, and running out of them is an error like any other.

#![expect(unsafe_code, reason = "setrlimit, fork")]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use litio::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use litio::unix::{SourceFd, pipe};
use litio::{Events, Interest, Poll, Token, Waker};

use crate::{alone, refusing};

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

fn any_v4() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// Accepts what has connected, as soon as the listener knows.
fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match listener.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(Instant::now() < deadline, "nobody came");
                std::thread::yield_now();
            }
            accepted => return accepted.unwrap(),
        }
    }
}

/// The numbers of the open descriptors below 1000.
pub(crate) fn open_descriptors() -> Vec<i32> {
    // SAFETY: asks for flags; a number that is no descriptor is answered with an error.
    (0..1000)
        .filter(|&fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } != -1)
        .collect()
}

/// Fails if other descriptors are open after `body` than before.
#[track_caller]
pub(crate) fn expect_no_leak<T>(body: impl FnOnce() -> T) -> T {
    let before = open_descriptors();
    let value = body();
    assert_eq!(before, open_descriptors(), "descriptors leaked");
    value
}

/// Makes one of everything but TCP, uses it, and drops it.
fn one_round() {
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(16);
    let registry = poll.registry().try_clone().unwrap();
    let first = Waker::new(&registry, Token(1)).unwrap();
    let second = Waker::new(&registry, Token(2)).unwrap();
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    let (mut near, mut far) = UnixStream::pair().unwrap();
    let (mut sender, mut receiver) = pipe::new().unwrap();
    let _datagrams = UnixDatagram::pair().unwrap();
    registry.register(&mut socket, Token(3), BOTH).unwrap();
    registry.register(&mut near, Token(4), BOTH).unwrap();
    registry.register(&mut far, Token(5), BOTH).unwrap();
    registry
        .register(&mut sender, Token(6), Interest::WRITABLE)
        .unwrap();
    registry
        .register(&mut receiver, Token(7), Interest::READABLE)
        .unwrap();
    // Some are deregistered, some just dropped; the poll goes before them or after.
    registry.deregister(&mut far).unwrap();
    first.wake().unwrap();
    poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
    drop((first, near));
    second.wake().unwrap();
    drop(poll);
}

/// Makes, accepts and drops a connection.
fn one_connection() {
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(16);
    let mut listener = TcpListener::bind(any_v4()).unwrap();
    poll.registry()
        .register(&mut listener, Token(1), Interest::READABLE)
        .unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    poll.registry()
        .register(&mut client, Token(2), BOTH)
        .unwrap();
    poll.poll(&mut events, Some(Duration::from_secs(20)))
        .unwrap();
    let _accepted = listener.accept();
}

/// The threads of this process.
#[cfg(target_os = "linux")]
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_starts_a_thread() {
    alone(|| {
        let before = threads();
        let mut poll = Poll::new().unwrap();
        poll.set_spin(Duration::from_micros(1));
        let _wakers = [1, 2].map(|token| Waker::new(poll.registry(), Token(token)).unwrap());
        let mut socket = UdpSocket::bind(any_v4()).unwrap();
        poll.registry()
            .register(&mut socket, Token(3), BOTH)
            .unwrap();
        poll.poll(&mut Events::with_capacity(4), None).unwrap();
        assert_eq!(threads(), before);
        one_round();
        assert_eq!(threads(), before);
        // And that they are counted at all:
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || receiver.recv());
        assert_eq!(threads(), before + 1);
        drop(sender);
        assert!(thread.join().unwrap().is_err());
    });
}

#[test]
fn nothing_leaks_over_ten_thousand_rounds() {
    alone(|| {
        one_round();
        one_connection();
        expect_no_leak(|| {
            for round in 0..10_000 {
                one_round();
                // Closed connections stay with the kernel for a minute, so there are fewer of them.
                if round % 50 == 0 {
                    one_connection();
                }
            }
        });
    });
}

#[test]
fn errors_leak_nothing() {
    alone(|| {
        let listener = TcpListener::bind(any_v4()).unwrap();
        let taken = listener.local_addr().unwrap();
        let elsewhere: SocketAddr = "192.0.2.1:0".parse().unwrap();
        let (_bound, refused) = refusing();
        expect_no_leak(|| {
            for _ in 0..50 {
                assert!(TcpListener::bind(taken).is_err());
                assert!(TcpListener::bind(elsewhere).is_err());
                assert!(UdpSocket::bind(elsewhere).is_err());
                assert!(UnixListener::bind("/no/such/folder/socket").is_err());
                assert!(UnixStream::connect("/no/such/folder/socket").is_err());
                assert!(UnixDatagram::bind("/no/such/folder/socket").is_err());
                drop(TcpStream::connect(refused));
                assert!(listener.accept().is_err());
                let mut poll = Poll::new().unwrap();
                assert!(poll.poll(&mut Events::with_capacity(0), None).is_err());
            }
        });
    });
}

/// Lets this process open `spare` more descriptors; gaps below are filled for the time.
pub(crate) fn with_spare_descriptors<T>(spare: usize, body: impl FnOnce() -> T) -> T {
    let mut fillers: Vec<OwnedFd> = Vec::new();
    let highest = open_descriptors().into_iter().max().unwrap();
    loop {
        let filler = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let is_above = filler.as_raw_fd() > highest;
        fillers.push(filler);
        if is_above {
            break;
        }
    }
    let first_free = fillers.pop().unwrap().as_raw_fd() as usize;
    set_limit(Some(first_free + spare));
    let value = body();
    set_limit(None);
    value
}

/// Sets the soft limit on descriptors, or what it was in the beginning.
fn set_limit(limit: Option<usize>) {
    let mut current = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `current` is there to be written.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut current) };
    assert_eq!(result, 0);
    current.rlim_cur = limit.map_or(current.rlim_max.min(4096), |limit| limit as libc::rlim_t);
    // SAFETY: `current` is read only.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const current) };
    assert_eq!(result, 0);
}

#[test]
fn running_out_of_descriptors_at_any_step_is_emfile_and_leaks_nothing() {
    type Step = (&'static str, fn() -> io::Result<()>);
    let steps: [Step; 10] = [
        ("Poll::new", || Poll::new().map(drop)),
        ("Poll and Waker", || {
            let poll = Poll::new()?;
            Waker::new(poll.registry(), Token(0)).map(drop)
        }),
        ("Poll and Registry::try_clone", || {
            let poll = Poll::new()?;
            poll.registry().try_clone().map(drop)
        }),
        ("TcpListener::bind", || {
            TcpListener::bind(any_v4()).map(drop)
        }),
        ("UdpSocket::bind", || UdpSocket::bind(any_v4()).map(drop)),
        ("a connection", || {
            let listener = TcpListener::bind(any_v4())?;
            let _client = TcpStream::connect(listener.local_addr()?)?;
            loop {
                match listener.accept() {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    accepted => return accepted.map(drop),
                }
            }
        }),
        ("UnixStream::pair", || UnixStream::pair().map(drop)),
        ("UnixDatagram::pair", || UnixDatagram::pair().map(drop)),
        ("UnixDatagram::unbound", || {
            UnixDatagram::unbound().map(drop)
        }),
        ("pipe::new", || pipe::new().map(drop)),
    ];
    alone(move || {
        for (name, step) in steps {
            let mut spare = 0;
            loop {
                let result = expect_no_leak(|| with_spare_descriptors(spare, step));
                match result {
                    Ok(()) => break,
                    Err(error) => {
                        assert_eq!(
                            error.raw_os_error(),
                            Some(libc::EMFILE),
                            "{name}: {error:?}"
                        );
                    }
                }
                spare += 1;
                assert!(spare < 10, "{name} never has enough");
            }
            assert!(spare > 0, "{name} opened nothing");
        }
    });
}

#[test]
fn a_waker_that_could_not_be_made_can_be_made_later() {
    alone(|| {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let failed = with_spare_descriptors(0, || Waker::new(poll.registry(), Token(1)).err());
        if let Some(error) = failed {
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        }
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        let waker = Waker::new(poll.registry(), Token(2)).unwrap();
        waker.wake().unwrap();
        poll.poll(&mut events, Some(Duration::from_secs(20)))
            .unwrap();
        let tokens: Vec<Token> = events.iter().map(|event| event.token()).collect();
        assert_eq!(tokens, [Token(2)]);
    });
}

#[test]
fn a_connection_that_could_not_be_accepted_is_accepted_later() {
    alone(|| {
        let listener = TcpListener::bind(any_v4()).unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let refused = with_spare_descriptors(0, || listener.accept().unwrap_err());
        assert_eq!(refused.raw_os_error(), Some(libc::EMFILE));
        let (mut stream, _) = accept(&listener);
        stream.write_all(b"late").unwrap();
        let mut heard = [0; 4];
        client.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"late");
    });
}

#[test]
fn polling_and_registering_need_no_descriptor() {
    alone(|| {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let waker = Waker::new(poll.registry(), Token(1)).unwrap();
        let mut socket = UdpSocket::bind(any_v4()).unwrap();
        with_spare_descriptors(0, || {
            poll.registry()
                .register(&mut socket, Token(2), Interest::WRITABLE)
                .unwrap();
            waker.wake().unwrap();
            let mut count = 0;
            while count < 2 {
                poll.poll(&mut events, Some(Duration::from_secs(20)))
                    .unwrap();
                assert!(!events.is_empty());
                count += events.iter().count();
            }
            poll.poll(&mut events, Some(Duration::from_micros(100)))
                .unwrap();
            poll.registry().deregister(&mut socket).unwrap();
        });
    });
}

/// Whatever a selector asks of the system at once, it is no more than descriptors are allowed:
/// poll(2) refuses longer lists. Those may be few or many.
#[test]
fn as_many_sources_as_there_may_be_descriptors_are_polled() {
    alone(|| {
        for spare in [20, 1000] {
            let mut poll = Poll::new().unwrap();
            let mut events = Events::with_capacity(4000);
            with_spare_descriptors(spare, || {
                let pairs = std::iter::from_fn(|| std::os::unix::net::UnixStream::pair().ok());
                let ends: Vec<_> = pairs.flat_map(|(near, far)| [near, far]).collect();
                assert!(ends.len() > spare - 2);
                for (token, mut end) in ends.iter().enumerate() {
                    end.write_all(b"x").unwrap();
                    let mut source = SourceFd(&end.as_raw_fd());
                    let registered = poll.registry().register(&mut source, Token(token), BOTH);
                    registered.unwrap();
                }
                for round in 0..10 {
                    poll.poll(&mut events, Some(Duration::from_millis(5)))
                        .unwrap();
                    assert!(round > 0 || events.iter().count() >= ends.len());
                }
            });
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_that_is_executed_inherits_nothing() {
    alone(|| {
        let inherited = || {
            let listing = std::process::Command::new("ls")
                .args(["-l", "/proc/self/fd"])
                .output();
            let listing = String::from_utf8(listing.unwrap().stdout).unwrap();
            let of_ls = |line: &&str| line.contains(" -> ") && !line.contains("/proc/");
            // What stands before the arrow is the time; what follows differs by the pipes of
            // `output`.
            listing.lines().filter(of_ls).count()
        };
        let before = inherited();
        let poll = Poll::new().unwrap();
        let registry: litio::Registry = poll.registry().try_clone().unwrap();
        let _wakers = [
            Waker::new(&registry, Token(1)).unwrap(),
            Waker::new(&registry, Token(2)).unwrap(),
        ];
        let listener = TcpListener::bind(any_v4()).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _accepted = accept(&listener);
        let _socket = UdpSocket::bind(any_v4()).unwrap();
        let _streams = UnixStream::pair().unwrap();
        let _datagrams = UnixDatagram::pair().unwrap();
        let _pipe = pipe::new().unwrap();
        assert_eq!(inherited(), before, "a descriptor without close-on-exec");
        // That the listing shows what is not close-on-exec:
        // SAFETY: duplicates a descriptor that is open; the duplicate is inherited.
        assert!(unsafe { libc::dup(2) } > 2);
        assert_eq!(inherited(), before + 1);
    });
}

#[test]
#[cfg(not(any(target_os = "tvos", target_os = "watchos")))] // which let no program fork
fn a_forked_child_that_drops_everything_disturbs_nothing() {
    // An epoll set is shared by both: a child that deregistered on drop would take the parent's
    // sources away.
    alone(|| {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let waker = Waker::new(poll.registry(), Token(1)).unwrap();
        let (mut near, mut far) = UnixStream::pair().unwrap();
        poll.registry()
            .register(&mut near, Token(2), Interest::READABLE)
            .unwrap();
        // SAFETY: the only other thread waits, with no lock held that the child could need.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "{}", io::Error::last_os_error());
        if child == 0 {
            drop((waker, near, far, poll));
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: `status` is there to be written.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
            "{status}"
        );
        for token in [Token(1), Token(2)] {
            match token {
                Token(1) => waker.wake().unwrap(),
                _ => far.write_all(b"x").unwrap(),
            }
            poll.poll(&mut events, Some(Duration::from_secs(20)))
                .unwrap();
            let tokens: Vec<Token> = events.iter().map(|event| event.token()).collect();
            assert_eq!(tokens, [token]);
        }
        poll.registry().deregister(&mut near).unwrap();
    });
}

#[test]
#[cfg(not(any(target_os = "tvos", target_os = "watchos")))] // as above
fn a_forked_child_works_with_what_it_inherits_and_the_parent_with_its_own() {
    // The child has a poller of its own for an inherited end that its parent does not watch;
    // it makes a waker of its own, and it goes without a farewell.
    alone(|| {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let _waker = Waker::new(poll.registry(), Token(1)).unwrap();
        let (mut near, mut far) = UnixStream::pair().unwrap();
        poll.registry()
            .register(&mut near, Token(2), Interest::READABLE)
            .unwrap();
        // SAFETY: the only other thread waits, with no lock held that the child could need.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "{}", io::Error::last_os_error());
        if child == 0 {
            let is_good = std::panic::catch_unwind(move || {
                let mut poll = Poll::new().unwrap();
                let own = Waker::new(poll.registry(), Token(7)).unwrap();
                poll.registry()
                    .register(&mut far, Token(8), Interest::READABLE)
                    .unwrap();
                far.write_all(b"ping").unwrap();
                poll.poll(&mut events, Some(Duration::from_secs(20)))
                    .unwrap();
                assert_eq!(events.iter().next().unwrap().token(), Token(8));
                assert_eq!(far.read(&mut [0; 8]).unwrap(), 4);
                own.wake().unwrap();
                poll.poll(&mut events, Some(Duration::from_secs(20)))
                    .unwrap();
                assert_eq!(events.iter().next().unwrap().token(), Token(7));
                far.write_all(b"bye").unwrap();
            })
            .is_ok();
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(!is_good)) };
        }
        drop(far);
        for (word, answer) in [("ping", Some("pong")), ("bye", None)] {
            poll.poll(&mut events, Some(Duration::from_secs(20)))
                .unwrap();
            let tokens: Vec<Token> = events.iter().map(|event| event.token()).collect();
            assert_eq!(tokens, [Token(2)]);
            let mut buffer = [0; 8];
            let len = near.read(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], word.as_bytes());
            match near.read(&mut buffer) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                Ok(len) => assert_eq!((word, len), ("bye", 0), "the child is gone"),
            }
            if let Some(answer) = answer {
                near.write_all(answer.as_bytes()).unwrap();
            }
        }
        let mut status = 0;
        // SAFETY: `status` is there to be written.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
            "{status}"
        );
    });
}
