//! Signals: they interrupt a poll and nothing else, and their handlers may wake.

#![expect(unsafe_code, reason = "sigaction, pthread_kill, raise")]

use std::io::{ErrorKind, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use litio::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use litio::{Events, Interest, Poll, Token, Waker};

use crate::alone;

static SIGNALS: AtomicUsize = AtomicUsize::new(0);
static WAKER: OnceLock<Waker> = OnceLock::new();

extern "C" fn count(_: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn wake(_: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::SeqCst);
    if WAKER.get().expect("set before the signal").wake().is_err() {
        std::process::abort();
    }
}

/// Installs a handler for SIGALRM, with SA_RESTART where it exists: polling must not be restarted
/// even so.
fn handle(handler: extern "C" fn(libc::c_int)) {
    // SAFETY: all zeros is a valid `sigaction`, with an empty mask and the default handler.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    #[cfg(not(target_os = "nto"))]
    {
        action.sa_flags = libc::SA_RESTART;
    }
    // SAFETY: the handler does what is safe in one: it counts, and wakes.
    let result = unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

/// Runs `body` while another thread sends SIGALRM to this one, again and again: however late `body`
/// falls asleep, a signal meets it there.
fn under_signals<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: takes nothing.
    let target = unsafe { libc::pthread_self() } as usize;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(10));
                // SAFETY: the target waits for this thread at the end of the scope, so it is alive.
                unsafe { libc::pthread_kill(target as libc::pthread_t, libc::SIGALRM) };
            }
        });
        let value = body();
        is_over.store(true, Ordering::SeqCst);
        value
    })
}

#[test]
fn a_signal_interrupts_a_sleeping_poll() {
    alone(|| {
        handle(count);
        // For ever, whole milliseconds, and nanoseconds: each may be another system call.
        let timeouts = [
            None,
            Some(Duration::from_secs(20)),
            Some(Duration::new(20, 1)),
            Some(Duration::MAX),
        ];
        for has_waker in [false, true] {
            let mut poll = Poll::new().unwrap();
            let mut events = Events::with_capacity(4);
            let _waker = has_waker.then(|| Waker::new(poll.registry(), Token(1)).unwrap());
            for timeout in timeouts {
                let before = SIGNALS.load(Ordering::SeqCst);
                let start = Instant::now();
                let result = under_signals(|| poll.poll(&mut events, timeout));
                let error = result.expect_err("the signal was swallowed");
                assert_eq!(
                    error.kind(),
                    ErrorKind::Interrupted,
                    "{timeout:?}: {error:?}"
                );
                assert_eq!(error.raw_os_error(), Some(libc::EINTR), "the code was lost");
                assert!(events.is_empty() && start.elapsed() < Duration::from_secs(10));
                assert!(SIGNALS.load(Ordering::SeqCst) > before);
            }
        }
    });
}

#[test]
fn an_interrupted_poll_loses_no_event() {
    alone(|| {
        handle(count);
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let waker = Waker::new(poll.registry(), Token(1)).unwrap();
        let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        poll.registry()
            .register(&mut socket, Token(2), Interest::READABLE)
            .unwrap();
        for _ in 0..3 {
            let error = under_signals(|| poll.poll(&mut events, None)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Interrupted);
            waker.wake().unwrap();
            socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            let mut tokens = Vec::new();
            while tokens.len() < 2 {
                poll.poll(&mut events, Some(Duration::from_secs(20)))
                    .unwrap();
                assert!(!events.is_empty(), "only {tokens:?}");
                tokens.extend(events.iter().map(|event| event.token()));
            }
            tokens.sort();
            assert_eq!(tokens, [Token(1), Token(2)]);
            while socket.recv(&mut [0; 8]).is_ok() {}
        }
    });
}

#[test]
fn a_wake_in_a_signal_handler_is_an_event_and_no_error() {
    alone(|| {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        assert!(
            WAKER
                .set(Waker::new(poll.registry(), Token(1)).unwrap())
                .is_ok()
        );
        handle(wake);
        for timeout in [
            None,
            Some(Duration::from_secs(20)),
            Some(Duration::new(20, 1)),
        ] {
            // What there is to deliver beats the interruption.
            under_signals(|| poll.poll(&mut events, timeout).unwrap());
            let tokens: Vec<Token> = events.iter().map(|event| event.token()).collect();
            assert_eq!(tokens, [Token(1)], "with {timeout:?}");
        }
        // And one that comes while the poller is awake, when no other is left.
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        // SAFETY: runs the handler installed above.
        assert_eq!(unsafe { libc::raise(libc::SIGALRM) }, 0);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(!events.is_empty());
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_wake_in_a_signal_handler_keeps_errno() {
    alone(|| {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        assert!(
            WAKER
                .set(Waker::new(poll.registry(), Token(1)).unwrap())
                .is_ok()
        );
        handle(wake);
        // The first finds a poller that may sleep, the second one that is woken, the third one that
        // is awake. SAFETY: the call takes nothing; the place stays this thread's.
        let errno = unsafe { libc::__errno_location() };
        for round in 0..3 {
            // SAFETY: `errno` is this thread's.
            unsafe { *errno = 1234 };
            // SAFETY: runs the handler installed above.
            let raised = unsafe { libc::raise(libc::SIGALRM) };
            // SAFETY: `errno` is this thread's.
            let left = unsafe { *errno };
            assert_eq!((raised, left), (0, 1234), "round {round}");
            if round > 0 {
                poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
                assert_eq!(events.iter().count(), 1);
            }
        }
    });
}

#[test]
fn writing_to_a_closed_peer_is_an_error_and_no_sigpipe() {
    alone(|| {
        // Rust's runtime ignores the signal; a program that wants it back must not die of a socket.
        // SAFETY: the default action needs no handler.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let (mut near, far) = UnixStream::pair().unwrap();
        drop(far);
        assert_eq!(near.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);

        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let plain = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        plain.set_nonblocking(true).unwrap();
        let mut stream = TcpStream::from_std(plain);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(
            stream.write(b"x").unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
    });
}
