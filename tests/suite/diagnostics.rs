//! Counters and the checker, as programs use them.

use std::io::{Read, Write};
use std::panic::Location;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use litio::diagnostics::{Checker, Counters, Counting, Finding, Mistake};
use litio::event::Source;
use litio::net::{TcpListener, TcpStream, UdpSocket};
use litio::{Interest, Poll, Registry, Token};

use crate::support::*;

/// Longer than a busy machine takes from an event to what is done about it.
const PATIENCE: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_millis(300);

/// A rig with a checker, and what that finds; `None` where the library checks nothing.
fn checked() -> Option<(Rig, mpsc::Receiver<Finding>)> {
    let mut rig = Rig::new();
    let (sender, findings) = mpsc::channel();
    let checker = Checker::new(move |finding| drop(sender.send(finding.clone())));
    let is_checked = rig.poll.set_checker(checker.patience(PATIENCE));
    assert_eq!(is_checked, cfg!(debug_assertions));
    is_checked.then_some((rig, findings))
}

#[track_caller]
fn expect_finding(findings: &mpsc::Receiver<Finding>, mistake: Mistake, token: Token) -> Finding {
    let finding = findings.try_recv().expect("the mistake is found");
    assert_eq!((finding.mistake(), finding.token()), (mistake, token));
    finding
}

/// Lets time pass in which nothing may be found. If the machine was so slow before that patience
/// may have been lost, `is_prompt` is false, and nothing is asserted.
#[track_caller]
fn expect_no_finding_if(is_prompt: bool, rig: &mut Rig, findings: &mpsc::Receiver<Finding>) {
    if is_prompt {
        expect_no_finding(rig, findings);
    }
}

/// Lets time pass in which nothing may be found.
#[track_caller]
fn expect_no_finding(rig: &mut Rig, findings: &mpsc::Receiver<Finding>) {
    rig.poll_once(LONG);
    let found: Vec<_> = findings.try_iter().collect();
    assert!(found.is_empty(), "found {found:?}");
}

/// The line above that of the call.
#[track_caller]
fn line_above() -> u32 {
    Location::caller().line() - 1
}

#[test]
fn counters_are_read_and_counting_is_turned_on_by_any_registry() {
    let mut rig = Rig::new();
    let registry = rig.registry().try_clone().unwrap();
    assert_eq!(registry.counters(), Counters::default());
    rig.poll_once(Duration::ZERO);
    registry.set_counting(Counting::On);
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, Interest::WRITABLE);
    rig.expect(A, WRITABLE);
    rig.poll_once(Duration::ZERO);
    drop(rig);
    let counters = registry.counters();
    assert_eq!((counters.events, counters.failed_polls), (1, 0));
    assert_eq!(counters.polls, counters.events + counters.empty_polls);
}

#[test]
fn poll_until_and_a_spin_budget_are_counted_by_the_call() {
    let mut rig = Rig::new();
    rig.registry().set_counting(Counting::WithTime);
    rig.poll.set_spin(Duration::from_millis(1));
    let start = Instant::now();
    let mut waited = Duration::ZERO;
    // On a busy machine most of the time may have passed before the wait begins, now and then.
    while waited < Duration::from_millis(4) {
        assert!(start.elapsed() < DEADLINE, "{waited:?} at most");
        let before = rig.registry().counters();
        let deadline = Instant::now() + Duration::from_millis(5);
        rig.poll.poll_until(&mut rig.events, deadline).unwrap();
        let counters = rig.registry().counters().since(&before);
        assert!((1..=2).contains(&counters.polls), "{counters:?}");
        waited = waited.max(counters.waited);
    }
}

#[test]
fn a_finding_says_who_it_is_where_it_was_registered_and_what_to_do() {
    let Some((mut rig, findings)) = checked() else {
        return;
    };
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, Token(4711), Interest::READABLE);
    let line = line_above();
    peer.write_all(b"0123456789").unwrap();
    rig.expect(Token(4711), READABLE);
    stream.read_exact(&mut [0; 4]).unwrap();
    rig.poll_once(LONG);
    let finding = expect_finding(&findings, Mistake::Undrained, Token(4711));
    assert_eq!(finding.registered_at().line(), line);
    assert_eq!(finding.called_at(), None);
    let text = finding.to_string();
    let place = format!("{}:{line}", file!());
    for word in ["4711", &place, "readable", "would block"] {
        assert!(text.contains(word), "`{word}` is not in `{text}`");
    }
}

#[test]
fn what_reads_at_its_leisure_is_given_patience() {
    let Some((mut rig, findings)) = checked() else {
        return;
    };
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    peer.write_all(&[0; 8]).unwrap();
    rig.expect(A, READABLE);
    let mut is_prompt = true;
    for _ in 0..8 {
        let start = Instant::now();
        stream.read_exact(&mut [0]).unwrap();
        rig.poll_once(PATIENCE / 5);
        is_prompt &= start.elapsed() < PATIENCE;
    }
    expect_would_block(stream.read(&mut [0; 8]));
    expect_no_finding_if(is_prompt, &mut rig, &findings);
}

#[test]
fn each_way_to_drain_counts() {
    let Some((mut rig, findings)) = checked() else {
        return;
    };
    let mut listener = TcpListener::bind(any_v4()).unwrap();
    rig.register(&mut listener, A, Interest::READABLE);
    let address = listener.local_addr().unwrap();
    let clients = [(); 3].map(|()| std::net::TcpStream::connect(address).unwrap());
    rig.expect(A, READABLE);
    let mut accepted: Vec<TcpStream> = Vec::new();
    while let Ok((mut stream, _)) = listener.accept() {
        let token = Token(100 + accepted.len());
        rig.register(&mut stream, token, Interest::READABLE);
        accepted.push(stream);
    }
    // Each is drained before the next poll, so that it does not matter how slow the machine is.
    let [short, tried, closed] = clients;
    // The end may be an event of its own, and WASI tells of some once more.
    let drain_others = |came: &[(Token, Seen)], expected: usize| {
        let others = came.iter().map(|(token, _)| token.0 - 100);
        others
            .filter(|other| *other != expected)
            .for_each(|other| drop(drain(&accepted[other])));
    };
    let hello = |rig: &mut Rig, mut client: &std::net::TcpStream, expected| {
        client.write_all(b"hello").unwrap();
        let mut is_there = false;
        while !is_there {
            let came = rig.poll_once(DEADLINE);
            assert!(!came.is_empty());
            drain_others(&came, expected);
            is_there = came.iter().any(|(token, _)| token.0 == 100 + expected);
        }
    };
    hello(&mut rig, &short, 0);
    assert_eq!((&accepted[0]).read(&mut [0; 64]).unwrap(), 5); // fewer than asked for
    hello(&mut rig, &tried, 1);
    while accepted[1]
        .try_io(|| (&accepted[1]).read(&mut [0; 5]))
        .is_ok()
    {}
    hello(&mut rig, &closed, 2);
    drop(closed);
    while (&accepted[2]).read(&mut [0; 64]).unwrap_or(1) > 0 {} // to the end
    loop {
        let came = rig.poll_once(QUIET);
        drain_others(&came, usize::MAX);
        if came.is_empty() {
            break;
        }
    }
    expect_no_finding(&mut rig, &findings);
}

/// What a type of one's own registers is found at the place where it was registered itself.
#[test]
fn the_place_is_where_the_program_registered_the_outermost_source() {
    struct Wrapping(UdpSocket);

    impl Source for Wrapping {
        fn register(
            &mut self,
            registry: &Registry,
            token: Token,
            interests: Interest,
        ) -> std::io::Result<()> {
            registry.register(&mut self.0, token, interests)
        }

        fn reregister(
            &mut self,
            registry: &Registry,
            token: Token,
            interests: Interest,
        ) -> std::io::Result<()> {
            registry.reregister(&mut self.0, token, interests)
        }

        fn deregister(&mut self, registry: &Registry) -> std::io::Result<()> {
            registry.deregister(&mut self.0)
        }
    }

    let Some((rig, findings)) = checked() else {
        return;
    };
    const R: Interest = Interest::READABLE;
    let mut source = Wrapping(UdpSocket::bind(any_v4()).unwrap());
    let registry = rig.registry();
    registry.register(&mut source, A, R).unwrap();
    let registered = line_above();
    registry.register(&mut source, B, R).unwrap_err();
    let called = line_above();
    let finding = expect_finding(&findings, Mistake::RegisteredTwice, A);
    assert_eq!(finding.registered_at().line(), registered);
    assert_eq!(finding.called_at().unwrap().line(), called);
    registry.reregister(&mut source, C, R).unwrap();
    let reregistered = line_above();
    let other = Poll::new().unwrap();
    other.registry().deregister(&mut source).unwrap_err();
    let finding = expect_finding(&findings, Mistake::RegisteredElsewhere, C);
    assert_eq!(finding.registered_at().line(), reregistered);
    registry.deregister(&mut source).unwrap();
    other.registry().register(&mut source, A, R).unwrap();
    assert!(findings.try_recv().is_err());
}

#[test]
fn a_listener_that_cannot_accept_spins() {
    let Some((mut rig, findings)) = checked() else {
        return;
    };
    let mut listener = TcpListener::bind(any_v4()).unwrap();
    rig.register(&mut listener, A, Interest::READABLE.level());
    let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut turn = || {
        rig.expect(A, READABLE);
        // As if descriptors had run out.
        let refused = listener.try_io(|| Err::<(), _>(std::io::Error::other("no descriptors")));
        refused.unwrap_err();
    };
    // What is slow is no spinning, and a busy machine may be slow for a while.
    let start = Instant::now();
    let finding = loop {
        turn();
        if let Ok(finding) = findings.try_recv() {
            break finding;
        }
        assert!(start.elapsed() < DEADLINE, "the mistake is not found");
    };
    assert_eq!((finding.mistake(), finding.token()), (Mistake::Spinning, A));
    for _ in 0..300 {
        turn();
    }
    assert!(findings.try_recv().is_err(), "told once");
}

#[cfg(panic = "unwind")]
#[test]
fn a_finding_may_panic_and_all_goes_on() {
    let mut rig = Rig::new();
    if !rig
        .poll
        .set_checker(Checker::new(|finding| panic!("{finding}")))
    {
        return;
    }
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, Interest::READABLE);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = rig.registry().register(&mut socket, A, Interest::READABLE);
    }));
    let text = *panicked.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("registered again"), "{text}");
    socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
    rig.expect(A, READABLE);
    rig.deregister(&mut socket);
}

#[test]
fn a_finding_may_register() {
    let mut rig = Rig::new();
    let registry = rig.registry().try_clone().unwrap();
    let (sender, sockets) = mpsc::channel();
    let held = Arc::new(());
    let witness = Arc::downgrade(&held);
    let is_checked = rig.poll.set_checker(Checker::new(move |_| {
        let _ = &held;
        let mut socket = UdpSocket::bind(any_v4()).unwrap();
        registry
            .register(&mut socket, B, Interest::WRITABLE)
            .unwrap();
        sender.send(socket).unwrap();
    }));
    if !is_checked {
        return;
    }
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, Interest::READABLE);
    let _ = rig.registry().register(&mut socket, A, Interest::READABLE);
    rig.expect(B, WRITABLE);
    assert!(sockets.try_recv().is_ok());
    // It holds a registry of the poller that holds it, and ends with the poller all the same.
    drop((socket, rig));
    assert_eq!(witness.strong_count(), 0);
}

/// As one that sends its findings away.
#[test]
fn a_checker_that_holds_a_source_ends_with_the_poller() {
    let mut rig = Rig::new();
    let place = Arc::new(OnceLock::new());
    let witness = Arc::downgrade(&place);
    let held = Arc::clone(&place);
    rig.poll.set_checker(Checker::new(move |finding| {
        let socket: &UdpSocket = held.get().unwrap();
        let _ = socket.send(finding.to_string().as_bytes());
    }));
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, Interest::READABLE);
    place.set(socket).unwrap();
    drop((place, rig));
    assert_eq!(witness.strong_count(), 0, "the socket is open still");
}

/// It may hold what does things when it is dropped.
#[cfg(not(target_family = "wasm"))]
#[test]
fn a_checker_that_is_replaced_may_register_when_it_goes() {
    struct Registers(Registry);

    impl Drop for Registers {
        fn drop(&mut self) {
            let mut socket = UdpSocket::bind(any_v4()).unwrap();
            self.0.register(&mut socket, B, Interest::WRITABLE).unwrap();
        }
    }

    let mut poll = Poll::new().unwrap();
    let registers = Registers(poll.registry().try_clone().unwrap());
    let (sender, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        poll.set_checker(Checker::new(move |_| {
            let _ = &registers;
        }));
        poll.set_checker(Checker::new(|_| {}));
        sender.send(()).unwrap();
    });
    is_done.recv_timeout(DEADLINE).expect("it does not hang");
}

/// The sources of the first are checked no more, rather than called another poller's, until the
/// second hears of them.
#[test]
fn a_checker_that_was_replaced_is_told_nothing() {
    let Some((mut rig, findings)) = checked() else {
        return;
    };
    let mut socket = UdpSocket::bind(any_v4()).unwrap();
    rig.register(&mut socket, A, Interest::READABLE);
    let (sender, others) = mpsc::channel();
    let report = move |finding: &Finding| drop(sender.send(finding.clone()));
    rig.poll.set_checker(Checker::new(report));
    let register_again = |socket: &mut UdpSocket| {
        let again = rig.registry().register(socket, A, Interest::READABLE);
        again.unwrap_err();
    };
    register_again(&mut socket);
    assert_eq!(others.try_iter().collect::<Vec<_>>(), []);
    rig.reregister(&mut socket, B, Interest::READABLE);
    register_again(&mut socket);
    expect_finding(&others, Mistake::RegisteredTwice, B);
    assert_eq!(findings.try_iter().collect::<Vec<_>>(), []);
}

#[cfg(not(target_family = "wasm"))]
#[test]
fn what_another_thread_drains_in_time_is_no_mistake() {
    let Some((mut rig, findings)) = checked() else {
        return;
    };
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    peer.write_all(b"hello").unwrap();
    let start = Instant::now();
    rig.expect(A, READABLE);
    let is_prompt = std::thread::scope(|scope| {
        let draining = scope.spawn(|| {
            std::thread::sleep(PATIENCE / 20); // while the other is asleep
            drain(&stream);
            start.elapsed() < PATIENCE
        });
        rig.poll_once(LONG);
        draining.join().unwrap()
    });
    expect_no_finding_if(is_prompt, &mut rig, &findings);
}

/// The kernel keeps what has a duplicate.
#[cfg(unix)]
#[test]
fn an_event_of_a_source_that_is_gone_is_found() {
    use std::os::fd::AsFd;

    let Some((mut rig, findings)) = checked() else {
        return;
    };
    let (mut stream, mut peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    let line = line_above();
    let _duplicate = stream.as_fd().try_clone_to_owned().unwrap();
    drop(stream);
    assert!(findings.try_recv().is_err(), "nothing has happened yet");
    rig.poll_once(Duration::ZERO);
    let is_kept = cfg!(target_os = "linux") && !FORCED_POLL;
    if is_kept {
        let finding = expect_finding(&findings, Mistake::Leaked, A);
        assert_eq!(finding.registered_at().line(), line);
    }
    peer.write_all(b"x").unwrap();
    let came = rig.poll_once(LONG);
    if is_kept {
        assert_eq!(came, [(A, READABLE)]);
    }
    if !came.is_empty() {
        let finding = expect_finding(&findings, Mistake::Gone, A);
        assert_eq!(finding.registered_at().line(), line);
    }
}

/// Closing is a way to deregister, and who gives the object away may know what he does.
#[cfg(unix)]
#[test]
fn what_is_closed_or_given_away_is_not_called_leaked() {
    let Some((mut rig, findings)) = checked() else {
        return;
    };
    let (mut stream, _peer) = stream_and_peer();
    rig.register(&mut stream, A, Interest::READABLE);
    drop(stream);
    let (mut stream, _peer) = stream_and_peer();
    rig.register(&mut stream, B, Interest::READABLE);
    let _std = std::net::TcpStream::from(stream);
    expect_no_finding(&mut rig, &findings);
}

#[cfg(unix)]
#[test]
fn a_token_that_was_given_to_somebody_else_is_not_called_gone() {
    let Some((mut rig, findings)) = checked() else {
        return;
    };
    for _ in 0..3 {
        let (mut stream, mut peer) = stream_and_peer();
        rig.register(&mut stream, A, Interest::READABLE);
        peer.write_all(b"x").unwrap();
        rig.expect(A, READABLE);
        drain(&stream);
    }
    expect_no_finding(&mut rig, &findings);
}

/// Nobody sees what is done with it.
#[cfg(unix)]
#[test]
fn a_raw_descriptor_accuses_nobody() {
    use litio::unix::SourceFd;
    use std::os::fd::AsRawFd;

    let Some((mut rig, findings)) = checked() else {
        return;
    };
    let (stream, mut peer) = stream_and_peer();
    let (mut other, _peer) = stream_and_peer();
    rig.register(&mut other, A, Interest::READABLE); // the same token
    let fd = stream.as_raw_fd();
    rig.register(&mut SourceFd(&fd), A, Interest::READABLE.level());
    peer.write_all(b"x").unwrap();
    for _ in 0..500 {
        rig.expect(A, READABLE);
    }
    expect_no_finding(&mut rig, &findings);
    rig.deregister(&mut SourceFd(&fd));
}
