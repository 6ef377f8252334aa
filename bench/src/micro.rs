//! The library's own costs, against the system call beneath.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::measure::{Contender, row};

/// Raw epoll: what a program would write by hand.
struct Raw {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Raw {
    fn new(capacity: usize) -> Raw {
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(fd >= 0);
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        Raw {
            epoll,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; capacity],
        }
    }

    fn add(&self, fd: RawFd, token: usize, events: i32) {
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: token as u64,
        };
        let result =
            unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) };
        assert_eq!(result, 0);
    }

    #[inline]
    fn wait(&mut self, timeout_ms: i32) -> &[libc::epoll_event] {
        let count = unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len() as i32,
                timeout_ms,
            )
        };
        assert!(count >= 0);
        &self.events[..count as usize]
    }
}

/// A pipe with a byte in it.
fn readable_pipe() -> io::Result<(mio::unix::pipe::Sender, mio::unix::pipe::Receiver)> {
    let (mut sender, receiver) = mio::unix::pipe::new()?;
    io::Write::write_all(&mut sender, b"x")?;
    Ok((sender, receiver))
}

fn eventfd() -> OwnedFd {
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    assert!(fd >= 0);
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// For the idle ones: as many descriptors as the system lets us have.
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    limit.rlim_cur = limit.rlim_max;
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
}

/// Measures a row under this name, in so many rounds.
type Row = fn(&str, usize) -> io::Result<()>;

pub fn run(rounds: usize, only: &str) -> io::Result<()> {
    raise_descriptor_limit();
    println!("| operation | who | ns | quartiles | ratio to the first |");
    println!("|---|---|---:|---|---:|");
    let rows: [(&str, Row); 9] = [
        ("poll(0), nothing registered", empty_poll),
        ("poll(0), a waker exists", empty_poll_with_waker),
        ("poll(None), 1 ready, level", blocking_poll),
        (
            "poll(1 s), 1 ready, level, a waker exists",
            blocking_poll_with_waker,
        ),
        ("ready events", ready_events),
        ("64 ready among idle ones", idle),
        ("wake, poller awake", wake_awake),
        ("wake ping-pong of two threads", wake_ping_pong),
        ("register + deregister", register),
    ];
    for (name, run) in rows {
        if name.contains(only) {
            run(name, rounds)?;
        }
    }
    Ok(())
}

fn empty_poll(name: &str, rounds: usize) -> io::Result<()> {
    let mut raw = Raw::new(128);
    let (mut litio, mut litio_events) = (litio::Poll::new()?, litio::Events::with_capacity(128));
    let (mut mio, mut mio_events) = (mio::Poll::new()?, mio::Events::with_capacity(128));
    let (polling, mut polling_events) = (polling::Poller::new()?, polling::Events::new());
    row(
        name,
        rounds,
        &mut [
            Contender::new("raw epoll", || {
                raw.wait(0);
            }),
            Contender::new("litio", || {
                litio.poll(&mut litio_events, Some(Duration::ZERO)).unwrap();
            }),
            Contender::new("mio", || {
                mio.poll(&mut mio_events, Some(Duration::ZERO)).unwrap();
            }),
            Contender::new("polling", || {
                polling_events.clear();
                polling
                    .wait(&mut polling_events, Some(Duration::ZERO))
                    .unwrap();
            }),
        ],
    );
    Ok(())
}

fn empty_poll_with_waker(name: &str, rounds: usize) -> io::Result<()> {
    let mut raw = Raw::new(128);
    let eventfd = eventfd();
    raw.add(eventfd.as_raw_fd(), 0, libc::EPOLLIN | libc::EPOLLET);
    let (mut litio, mut litio_events) = (litio::Poll::new()?, litio::Events::with_capacity(128));
    let _litio_waker = litio::Waker::new(litio.registry(), litio::Token(0))?;
    let (mut mio, mut mio_events) = (mio::Poll::new()?, mio::Events::with_capacity(128));
    let _mio_waker = mio::Waker::new(mio.registry(), mio::Token(0))?;
    row(
        name,
        rounds,
        &mut [
            Contender::new("raw epoll", || {
                raw.wait(0);
            }),
            Contender::new("litio", || {
                litio.poll(&mut litio_events, Some(Duration::ZERO)).unwrap();
            }),
            Contender::new("mio", || {
                mio.poll(&mut mio_events, Some(Duration::ZERO)).unwrap();
            }),
        ],
    );
    Ok(())
}

/// A poll that may block but finds something: a level-triggered descriptor that stays ready.
fn blocking_poll(name: &str, rounds: usize) -> io::Result<()> {
    let pipe = readable_pipe()?;
    let fd = pipe.1.as_raw_fd();
    let mut raw = Raw::new(128);
    raw.add(fd, 0, libc::EPOLLIN);
    let (mut litio, mut litio_events) = (litio::Poll::new()?, litio::Events::with_capacity(128));
    add_level(&litio, fd)?;
    let (mut mio, mut mio_events) = (mio::Poll::new()?, mio::Events::with_capacity(128));
    add_level(&mio, fd)?;
    row(
        name,
        rounds,
        &mut [
            Contender::new("raw epoll", || {
                raw.wait(-1);
            }),
            Contender::new("litio", || {
                litio.poll(&mut litio_events, None).unwrap();
            }),
            Contender::new("mio", || {
                mio.poll(&mut mio_events, None).unwrap();
            }),
        ],
    );
    Ok(())
}

fn blocking_poll_with_waker(name: &str, rounds: usize) -> io::Result<()> {
    let pipe = readable_pipe()?;
    let fd = pipe.1.as_raw_fd();
    let mut raw = Raw::new(128);
    raw.add(fd, 0, libc::EPOLLIN);
    let (mut litio, mut litio_events) = (litio::Poll::new()?, litio::Events::with_capacity(128));
    let waker = litio::Waker::new(litio.registry(), litio::Token(9))?;
    add_level(&litio, fd)?;
    // The first wake of all knocks: it belongs to the start, not to the steady state.
    waker.wake()?;
    litio.poll(&mut litio_events, None)?;
    let (mut mio, mut mio_events) = (mio::Poll::new()?, mio::Events::with_capacity(128));
    let _mio_waker = mio::Waker::new(mio.registry(), mio::Token(9))?;
    add_level(&mio, fd)?;
    let second = Some(Duration::from_secs(1));
    row(
        name,
        rounds,
        &mut [
            Contender::new("raw epoll", || {
                raw.wait(1000);
            }),
            Contender::new("litio", || {
                litio.poll(&mut litio_events, second).unwrap();
            }),
            Contender::new("litio, no timeout", {
                let mut poll = litio::Poll::new()?;
                let mut events = litio::Events::with_capacity(128);
                let waker = litio::Waker::new(poll.registry(), litio::Token(9))?;
                add_level(&poll, fd)?;
                waker.wake()?;
                poll.poll(&mut events, None)?;
                move || {
                    let _ = &waker;
                    poll.poll(&mut events, None).unwrap();
                }
            }),
            Contender::new("mio", || {
                mio.poll(&mut mio_events, second).unwrap();
            }),
        ],
    );
    Ok(())
}

/// Adds a descriptor behind the library's back, level-triggered, so that it stays ready in every contender alike.
fn add_level(poll: &impl AsRawFd, fd: RawFd) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: 1,
    };
    let result = unsafe { libc::epoll_ctl(poll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Taking n events and looking at each, as an event loop does.
fn ready_events(name: &str, rounds: usize) -> io::Result<()> {
    for count in [1, 16, 128, 1024] {
        let pipes = (0..count)
            .map(|_| readable_pipe())
            .collect::<io::Result<Vec<_>>>()?;
        let mut raw = Raw::new(1024);
        let (mut litio, mut litio_events) =
            (litio::Poll::new()?, litio::Events::with_capacity(1024));
        let (mut mio, mut mio_events) = (mio::Poll::new()?, mio::Events::with_capacity(1024));
        for pipe in &pipes {
            let fd = pipe.1.as_raw_fd();
            raw.add(fd, 0, libc::EPOLLIN);
            add_level(&litio, fd)?;
            add_level(&mio, fd)?;
        }
        let mut sum = 0;
        let mut sum_litio = 0;
        let mut sum_mio = 0;
        row(
            &format!("{count} {name}"),
            rounds,
            &mut [
                Contender::new("raw epoll", || {
                    for event in raw.wait(0) {
                        let bits = event.events;
                        let token = event.u64;
                        if bits & (libc::EPOLLIN | libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0 {
                            sum += token;
                        }
                    }
                }),
                Contender::new("litio", || {
                    litio.poll(&mut litio_events, Some(Duration::ZERO)).unwrap();
                    for event in &litio_events {
                        if event.is_readable() || event.is_read_closed() || event.is_error() {
                            sum_litio += event.token().0;
                        }
                    }
                }),
                Contender::new("mio", || {
                    mio.poll(&mut mio_events, Some(Duration::ZERO)).unwrap();
                    for event in &mio_events {
                        if event.is_readable() || event.is_read_closed() || event.is_error() {
                            sum_mio += event.token().0;
                        }
                    }
                }),
            ],
        );
        std::hint::black_box((sum, sum_litio, sum_mio));
    }
    Ok(())
}

/// What the idle ones cost: nothing, if the same 64 take the same time among more of them.
fn idle(name: &str, rounds: usize) -> io::Result<()> {
    for idle in [0, 10_000] {
        let active = (0..64)
            .map(|_| readable_pipe())
            .collect::<io::Result<Vec<_>>>()?;
        let idle_fds: Vec<OwnedFd> = (0..idle).map(|_| eventfd()).collect();
        let mut raw = Raw::new(128);
        let (mut litio, mut litio_events) =
            (litio::Poll::new()?, litio::Events::with_capacity(128));
        let (mut mio, mut mio_events) = (mio::Poll::new()?, mio::Events::with_capacity(128));
        for (token, fd) in idle_fds.iter().enumerate() {
            raw.add(fd.as_raw_fd(), token, libc::EPOLLIN | libc::EPOLLET);
            let interest = litio::Interest::READABLE;
            let mut source = litio::IoSource::new(fd.as_raw_fd());
            litio
                .registry()
                .register(&mut source, litio::Token(token), interest)?;
            let fd = fd.as_raw_fd();
            let (mut source, interest) = (mio::unix::SourceFd(&fd), mio::Interest::READABLE);
            mio.registry()
                .register(&mut source, mio::Token(token), interest)?;
        }
        for pipe in &active {
            let fd = pipe.1.as_raw_fd();
            raw.add(fd, 0, libc::EPOLLIN);
            add_level(&litio, fd)?;
            add_level(&mio, fd)?;
        }
        row(
            &format!("{name} ({idle})"),
            rounds,
            &mut [
                Contender::new("raw epoll", || assert_eq!(raw.wait(0).len(), 64)),
                Contender::new("litio", || {
                    litio.poll(&mut litio_events, Some(Duration::ZERO)).unwrap();
                    assert_eq!(litio_events.len(), 64);
                }),
                Contender::new("mio", || {
                    mio.poll(&mut mio_events, Some(Duration::ZERO)).unwrap();
                    assert_eq!(mio_events.iter().count(), 64);
                }),
            ],
        );
    }
    Ok(())
}

/// A thread that answers every wake with a wake, until its peer's waker is gone.
macro_rules! wake_echo {
    ($mio:ident, $ours:expr) => {{
        let mut poll = $mio::Poll::new()?;
        let theirs = std::sync::Arc::new($mio::Waker::new(poll.registry(), $mio::Token(1))?);
        let ours: std::sync::Arc<$mio::Waker> = $ours;
        let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let is_over = std::sync::Arc::clone(&over);
        std::thread::spawn(move || {
            let mut events = $mio::Events::with_capacity(4);
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                poll.poll(&mut events, None).unwrap();
                ours.wake().unwrap();
            }
        });
        (theirs, over)
    }};
}

fn wake_ping_pong(name: &str, rounds: usize) -> io::Result<()> {
    let mut mio = mio::Poll::new()?;
    let mut mio_events = mio::Events::with_capacity(4);
    let ours = std::sync::Arc::new(mio::Waker::new(mio.registry(), mio::Token(0))?);
    let (mio_peer, mio_over) = wake_echo!(mio, ours);
    let mut litio = litio::Poll::new()?;
    let mut litio_events = litio::Events::with_capacity(4);
    let ours = std::sync::Arc::new(litio::Waker::new(litio.registry(), litio::Token(0))?);
    let (litio_peer, litio_over) = wake_echo!(litio, ours);
    row(
        name,
        rounds,
        &mut [
            Contender::new("mio", || {
                mio_peer.wake().unwrap();
                mio.poll(&mut mio_events, None).unwrap();
            }),
            Contender::new("litio", || {
                litio_peer.wake().unwrap();
                litio.poll(&mut litio_events, None).unwrap();
            }),
        ],
    );
    for over in [&mio_over, &litio_over] {
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    }
    mio_peer.wake()?;
    litio_peer.wake()
}

fn wake_awake(name: &str, rounds: usize) -> io::Result<()> {
    let mut litio = litio::Poll::new()?;
    let mut events = litio::Events::with_capacity(128);
    let waker = litio::Waker::new(litio.registry(), litio::Token(9))?;
    waker.wake()?;
    litio.poll(&mut events, None)?; // awake from here on
    let mio = mio::Poll::new()?;
    let mio_waker = mio::Waker::new(mio.registry(), mio::Token(9))?;
    row(
        name,
        rounds,
        &mut [
            Contender::new("mio", || mio_waker.wake().unwrap()),
            Contender::new("litio", || waker.wake().unwrap()),
        ],
    );
    Ok(())
}

fn register(name: &str, rounds: usize) -> io::Result<()> {
    let (_litio_sender, pipe) = mio::unix::pipe::new()?;
    let fd = pipe.as_raw_fd();
    let raw = Raw::new(1);
    let litio = litio::Poll::new()?;
    let mut litio_source = litio::IoSource::new(fd);
    let mio = mio::Poll::new()?;
    row(
        name,
        rounds,
        &mut [
            Contender::new("raw epoll", || {
                raw.add(fd, 0, libc::EPOLLIN | libc::EPOLLET);
                let result = unsafe {
                    libc::epoll_ctl(
                        raw.epoll.as_raw_fd(),
                        libc::EPOLL_CTL_DEL,
                        fd,
                        std::ptr::null_mut(),
                    )
                };
                assert_eq!(result, 0);
            }),
            Contender::new("litio", || {
                let registry = litio.registry();
                let interest = litio::Interest::READABLE;
                registry
                    .register(&mut litio_source, litio::Token(0), interest)
                    .unwrap();
                registry.deregister(&mut litio_source).unwrap();
            }),
            Contender::new("mio", || {
                let registry = mio.registry();
                let mut source = mio::unix::SourceFd(&fd);
                registry
                    .register(&mut source, mio::Token(0), mio::Interest::READABLE)
                    .unwrap();
                registry.deregister(&mut source).unwrap();
            }),
        ],
    );
    Ok(())
}
