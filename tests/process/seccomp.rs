//! System calls that are refused: the fallback of timeouts, and proof that a wake makes none.

#![expect(unsafe_code, reason = "prctl")]

use std::time::{Duration, Instant};

use litio::{Events, Poll, Token, Waker};

use crate::alone;

/// What becomes of a system call.
#[derive(Clone, Copy)]
enum Verdict {
    Error(i32),
    Kill,
}

/// Filters one system call for the rest of this process. False where filters are not allowed.
fn filter(call: libc::c_long, verdict: Verdict) -> bool {
    let answer = match verdict {
        Verdict::Error(code) => libc::SECCOMP_RET_ERRNO | code as u32,
        Verdict::Kill => libc::SECCOMP_RET_KILL_PROCESS,
    };
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let mut program = [
        // The number of the call, at the beginning of `seccomp_data`.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            call as u32,
        ),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, answer),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: takes numbers only.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return false;
    }
    // SAFETY: `program` and its steps live through the call, which copies them.
    unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        ) == 0
    }
}

fn wait(timeout: Duration) -> Duration {
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(4);
    let start = Instant::now();
    poll.poll(&mut events, Some(timeout)).unwrap();
    assert!(events.is_empty());
    start.elapsed()
}

#[test]
fn whole_milliseconds_do_without_epoll_pwait2() {
    // It costs more than epoll_wait, so it serves only what that cannot do.
    alone(|| {
        if !filter(libc::SYS_epoll_pwait2, Verdict::Kill) {
            eprintln!("no seccomp here");
            return;
        }
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let waker = Waker::new(poll.registry(), Token(1)).unwrap();
        for timeout in [0, 1, 15] {
            let timeout = Duration::from_millis(timeout);
            assert!(wait(timeout) >= timeout);
            poll.poll(&mut events, Some(timeout)).unwrap();
        }
        waker.wake().unwrap();
        poll.poll(&mut events, None).unwrap();
        assert_eq!(events.iter().count(), 1);
    });
}

#[test]
fn a_wake_to_a_poller_that_is_awake_makes_no_system_call() {
    alone(|| {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let first = Waker::new(poll.registry(), Token(1)).unwrap();
        let second = Waker::new(poll.registry(), Token(2)).unwrap();
        first.wake().unwrap();
        poll.poll(&mut events, Some(Duration::from_secs(20)))
            .unwrap();
        // From here on a knock would be refused, and `wake` would have to say so.
        if !filter(libc::SYS_write, Verdict::Error(libc::EIO)) {
            return;
        }
        for round in 0..100 {
            for _ in 0..10 {
                first.wake().unwrap();
                second.wake().unwrap();
            }
            let timeout = if round % 2 == 0 {
                Duration::ZERO
            } else {
                Duration::from_secs(20)
            };
            poll.poll(&mut events, Some(timeout)).unwrap();
            let mut tokens: Vec<Token> = events.iter().map(|event| event.token()).collect();
            tokens.sort();
            assert_eq!(tokens, [Token(1), Token(2)]);
        }
    });
}

#[test]
fn a_knock_that_is_refused_is_told_and_its_wake_is_kept() {
    alone(|| {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let waker = Waker::new(poll.registry(), Token(1)).unwrap();
        // Not polled yet, so the poller counts as asleep and the wake must knock.
        if !filter(libc::SYS_write, Verdict::Error(libc::EIO)) {
            return;
        }
        let error = waker.wake().expect_err("the knock was refused");
        assert_eq!(error.raw_os_error(), Some(libc::EIO));
        // The next one tries again, and the wake itself is there.
        assert_eq!(waker.wake().unwrap_err().raw_os_error(), Some(libc::EIO));
        poll.poll(&mut events, Some(Duration::from_secs(20)))
            .unwrap();
        assert_eq!(
            events.iter().next().map(|event| event.token()),
            Some(Token(1))
        );
        waker.wake().unwrap(); // awake by now
    });
}

/// Timeouts that are not whole milliseconds, where epoll has no call for them.
#[cfg(not(any(litio_backend = "poll", mio_unsupported_force_poll_poll)))]
mod fallback {
    use litio::Interest;
    use litio::net::UdpSocket;

    use super::*;

    /// What every kernel must give, with fine timeouts or without.
    fn expect_sound_timeouts() {
        for micros in [1, 100, 999, 1_000, 1_001, 1_999, 2_500, 20_300] {
            let timeout = Duration::from_micros(micros);
            let took = wait(timeout);
            assert!(
                took >= timeout,
                "asked for {timeout:?}, came back after {took:?}"
            );
            assert!(
                took < Duration::from_secs(10),
                "asked for {timeout:?}, took {took:?}"
            );
        }
        // An event ends it all the same.
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        poll.registry()
            .register(&mut socket, Token(1), Interest::WRITABLE)
            .unwrap();
        poll.poll(&mut events, Some(Duration::new(20, 1))).unwrap();
        assert_eq!(events.iter().count(), 1);
    }

    /// Refuses epoll_pwait2 and sees that timeouts are rounded up to milliseconds from then on.
    fn expect_fallback(code: i32) {
        if !filter(libc::SYS_epoll_pwait2, Verdict::Error(code)) {
            eprintln!("no seccomp here");
            return;
        }
        expect_sound_timeouts();
        // Rounded up: the call that could do better is known to be missing.
        assert!(wait(Duration::from_micros(1)) >= Duration::from_millis(1));
        assert!(wait(Duration::from_micros(1_100)) >= Duration::from_millis(2));
        // Known for good: who calls again dies now.
        assert!(filter(libc::SYS_epoll_pwait2, Verdict::Kill));
        expect_sound_timeouts();
    }

    #[test]
    fn timeouts_are_rounded_up_where_the_kernel_lacks_epoll_pwait2() {
        alone(|| expect_fallback(libc::ENOSYS));
    }

    #[test]
    fn timeouts_are_rounded_up_where_a_container_forbids_epoll_pwait2() {
        alone(|| expect_fallback(libc::EPERM));
    }
}
