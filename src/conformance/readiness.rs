//! Clauses 1 to 3 and 5: what is ready is reported, once for each edge, and never more than fits.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

#[cfg(not(target_family = "wasm"))]
use socket2::SockRef;

use super::expected::Subject;
use super::support::*;
use crate::event::Readiness;
use crate::interest::Interest;
use crate::io_source::Attached;

pub(super) fn a_source_that_was_ready_before_register_is_reported<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    send(&peer, 3);
    rig.register(&mut source, 7, R);
    rig.expect(7, READABLE);
}

pub(super) fn a_source_that_becomes_ready_after_register_is_reported<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    rig.expect_nothing();
    send(&peer, 3);
    rig.expect(7, READABLE);
}

pub(super) fn a_source_that_becomes_ready_during_a_poll_ends_it<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    thread::scope(|scope| {
        scope.spawn(|| {
            let_it_fall_asleep();
            send(&peer, 1);
        });
        rig.expect(7, READABLE);
    });
}

pub(super) fn an_empty_stream_is_writable_and_not_readable<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, _peer) = source();
    rig.register(&mut source, 7, RW);
    let mut seen = rig.expect(7, WRITABLE);
    seen.extend(rig.poll(QUIET));
    assert_eq!(seen.readiness(7), WRITABLE);
}

pub(super) fn directions_that_were_not_asked_for_are_not_reported<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut reader, reader_peer) = source();
    let (mut writer, writer_peer) = source();
    rig.register(&mut reader, 1, R);
    rig.register(&mut writer, 2, W);
    send(&reader_peer, 1);
    send(&writer_peer, 1);
    let mut seen = rig.expect_all(&[(1, READABLE), (2, WRITABLE)]);
    seen.extend(rig.poll(QUIET));
    assert_eq!(seen.readiness(1), READABLE);
    assert_eq!(seen.readiness(2), WRITABLE);
}

pub(super) fn readiness_in_both_directions_is_reported<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    send(&peer, 1);
    rig.register(&mut source, 7, RW);
    let seen = rig.expect(7, BOTH);
    let expected = if B::EXPECTED.are_directions_apart {
        2
    } else {
        1
    };
    assert_eq!(seen.count(7), expected, "{seen:?}");
}

pub(super) fn an_edge_is_reported_once<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    send(&peer, 1);
    rig.register(&mut source, 7, RW);
    rig.expect(7, BOTH);
    for _ in 0..3 {
        rig.expect_nothing();
    }
}

pub(super) fn a_partial_read_is_no_edge<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    send(&peer, 10);
    rig.register(&mut source, 7, R);
    rig.expect(7, READABLE);
    assert_eq!(read(&source, 5).unwrap(), 5);
    rig.expect_nothing();
}

pub(super) fn a_drained_source_is_reported_again_and_again<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    for round in 1..20 {
        send(&peer, round);
        rig.expect(7, READABLE);
        assert_eq!(drain(&source), round);
    }
    rig.expect_nothing();
}

pub(super) fn a_full_stream_is_reported_writable_when_it_has_room<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, W);
    for _ in 0..4 {
        rig.expect(7, WRITABLE);
        fill(&source);
        rig.expect_nothing();
        drain_raw(&peer);
    }
    rig.expect(7, WRITABLE);
}

/// A read that would block says nothing of writing. Backends that re-arm everything report a
/// writable source each time somebody tries to read from it, which turns an idle loop into a busy
/// one (tokio-rs/mio#1963).
pub(super) fn a_blocked_read_does_not_report_writable_again<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, _peer) = source();
    rig.register(&mut source, 7, RW);
    rig.expect(7, WRITABLE);
    let mut reports = Vec::new();
    for _ in 0..4 {
        assert_eq!(drain(&source), 0);
        reports.push(rig.poll(QUIET).count(7));
    }
    assert_eq!(reports, [0, 0, 0, 0]);
}

pub(super) fn a_blocked_write_does_not_report_readable_again<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    send(&peer, 1);
    rig.register(&mut source, 7, RW);
    rig.expect(7, BOTH);
    fill(&source);
    let mut reports = Vec::new();
    for _ in 0..4 {
        fill(&source);
        reports.push(rig.poll(QUIET).count(7));
    }
    assert_eq!(reports, [0, 0, 0, 0]);
}

/// Between the read that would block and the backend's hearing of it, data may come.
pub(super) fn rearm_reports_what_became_ready_before_it<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    for _ in 0..10 {
        send(&peer, 1);
        rig.expect(7, READABLE);
        drain_raw(&source.inner);
        send(&peer, 1);
        source.rearm(R).unwrap();
        rig.expect(7, READABLE);
        drain(&source);
    }
}

pub(super) fn rearm_during_a_poll_takes_effect<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    rig.register(&mut source, 7, R);
    for _ in 0..5 {
        send(&peer, 1);
        rig.expect(7, READABLE);
        drain_raw(&source.inner);
        thread::scope(|scope| {
            scope.spawn(|| {
                let_it_fall_asleep();
                source.rearm(R).unwrap();
                send(&peer, 1);
            });
            rig.expect(7, READABLE);
        });
        drain(&source);
    }
}

pub(super) fn rearm_of_what_is_armed_changes_nothing<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    source.rearm(RW).unwrap(); // not registered
    rig.register(&mut source, 7, R);
    for _ in 0..3 {
        source.rearm(R).unwrap();
    }
    rig.expect_nothing();
    send(&peer, 1);
    rig.expect(7, READABLE);
    rig.expect_nothing();
}

pub(super) fn reregister_reports_what_is_ready_again<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    send(&peer, 1);
    rig.register(&mut source, 7, RW);
    for _ in 0..5 {
        rig.expect(7, BOTH);
        rig.expect_nothing();
        rig.reregister(&mut source, 7, RW);
    }
    rig.expect(7, BOTH);
}

pub(super) fn reregister_replaces_the_interest<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut source, peer) = source();
    send(&peer, 1);
    rig.register(&mut source, 7, R);
    for (interest, expected) in [(R, READABLE), (W, WRITABLE), (RW, BOTH), (R, READABLE)] {
        rig.reregister(&mut source, 7, interest);
        let mut seen = rig.expect(7, expected);
        seen.extend(rig.poll(QUIET));
        assert_eq!(seen.readiness(7), expected);
    }
}

pub(super) fn no_more_events_than_fit_and_none_is_lost<B: Subject>() {
    for capacity in [1, 2, 3, 7, 8] {
        let mut rig = Rig::<B>::with_capacity(capacity);
        let mut sources: Vec<_> = (0..7).map(|_| source::<B>()).collect();
        for (token, (source, _)) in sources.iter_mut().enumerate() {
            rig.register(source, token, R);
        }
        let awaited: Vec<_> = (0..sources.len()).map(|token| (token, READABLE)).collect();
        for _ in 0..3 {
            sources.iter().for_each(|(_, peer)| send(peer, 1));
            // That the capacity is kept is asserted by each poll of a rig.
            let seen = rig.expect_all(&awaited);
            assert_eq!(seen.len(), sources.len(), "capacity {capacity}: {seen:?}");
            for (source, _) in &sources {
                drain(source);
            }
            rig.expect_nothing();
        }
    }
}

pub(super) fn a_small_poll_leaves_what_it_did_not_report_for_a_large_one<B: Subject>() {
    let mut rig = Rig::<B>::with_capacity(1);
    let mut sources: Vec<_> = (0..20).map(|_| source::<B>()).collect();
    for (token, (source, peer)) in sources.iter_mut().enumerate() {
        send(&*peer, 1);
        rig.register(source, token, R);
    }
    let mut seen = rig.next();
    rig.set_capacity(5);
    seen.extend(rig.next());
    rig.set_capacity(64);
    while seen.len() < sources.len() {
        seen.extend(rig.next());
    }
    assert_eq!(seen.counts(), (0..20).map(|token| (token, 1)).collect());
}

pub(super) fn no_level_triggered_source_starves_with_room_for_one<B: Subject>() {
    let mut rig = Rig::<B>::with_capacity(1);
    let mut sources: Vec<_> = (0..6).map(|_| source::<B>()).collect();
    for (token, (source, peer)) in sources.iter_mut().enumerate() {
        send(&*peer, 1);
        rig.register(source, token, R.level());
    }
    let mut seen = Seen::default();
    for _ in 0..10 * sources.len() {
        seen.extend(rig.next());
    }
    let counts = seen.counts();
    for token in 0..sources.len() {
        let count = counts.get(&token).copied().unwrap_or(0);
        assert!(
            count >= 5,
            "token {token} came {count} times of 10: {counts:?}"
        );
    }
}

pub(super) fn no_edge_triggered_source_starves_with_room_for_one<B: Subject>() {
    let mut rig = Rig::<B>::with_capacity(1);
    let mut sources: Vec<_> = (0..6).map(|_| source::<B>()).collect();
    for (token, (source, peer)) in sources.iter_mut().enumerate() {
        send(&*peer, 1);
        rig.register(source, token, R);
    }
    let mut seen = Seen::default();
    for _ in 0..10 * sources.len() {
        let now = rig.next();
        // Whoever had its turn is ready again at once.
        for (token, _) in &now.0 {
            let (source, peer) = &sources[*token];
            drain(source);
            send(peer, 1);
        }
        seen.extend(now);
    }
    let counts = seen.counts();
    for token in 0..sources.len() {
        let count = counts.get(&token).copied().unwrap_or(0);
        assert!(
            count >= 5,
            "token {token} came {count} times of 10: {counts:?}"
        );
    }
}

pub(super) fn each_poll_replaces_the_events_of_the_last<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (mut one, peer_of_one) = source();
    let (mut two, peer_of_two) = source();
    rig.register(&mut one, 1, R);
    rig.register(&mut two, 2, R);
    send(&peer_of_one, 1);
    rig.expect(1, READABLE);
    send(&peer_of_two, 1);
    let seen = rig.next();
    assert_eq!(seen.counts(), [(2, 1)].into());
    assert!(rig.poll_now().is_empty());
}

pub(super) fn many_sources_ready_at_once_are_all_reported<B: Subject>() {
    let mut rig = Rig::<B>::with_capacity(256);
    let mut sources: Vec<_> = (0..100).map(|_| source::<B>()).collect();
    for (token, (source, _)) in sources.iter_mut().enumerate() {
        rig.register(source, token, RW);
    }
    let all = |bits: Readiness| Vec::from_iter((0..100).map(|token| (token, bits)));
    rig.expect_all(&all(WRITABLE));
    for (_, peer) in &sources {
        send(peer, 1);
    }
    rig.expect_all(&all(READABLE));
}

/// On backends that are told of `WouldBlock`, `accept` has to tell as `read` does
/// (tokio-rs/mio#1998).
pub(super) fn a_listener_reports_each_connection<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (listener, address) = listener();
    let mut listener = Attached::<B, _>::new(listener);
    rig.register(&mut listener, 7, R);
    for _ in 0..4 {
        let _client = TcpStream::connect(address).unwrap();
        rig.expect(7, READABLE);
        let mut accepted = 0;
        while listener.do_io(R, |listener| listener.accept()).is_ok() {
            accepted += 1;
        }
        assert!(accepted >= 1);
    }
}

pub(super) fn a_connecting_stream_becomes_writable<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (listener, address) = listener();
    let mut stream = Attached::<B, _>::new(connecting(address).unwrap());
    rig.register(&mut stream, 7, W);
    rig.expect(7, WRITABLE);
    assert_eq!(stream.inner.peer_addr().unwrap(), address);
    assert!(stream.inner.take_error().unwrap().is_none());
    drop(listener);
}

pub(super) fn a_datagram_socket_reports_each_arrival<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (socket, peer) = udp_pair();
    let mut socket = Attached::<B, _>::new(socket);
    rig.register(&mut socket, 7, R);
    for round in 0..5 {
        for _ in 0..=round {
            sent(|| peer.send(b"")); // an empty datagram is one too
        }
        rig.expect(7, READABLE);
        let mut received = 0;
        // They arrive one after the other; the last of them ends the round.
        until("all datagrams have arrived", || {
            while socket.do_io(R, |socket| socket.recv(&mut [0; 9])).is_ok() {
                received += 1;
            }
            received == round + 1
        });
        while !rig.poll(Duration::ZERO).is_empty() {}
    }
}

/// Of some systems an error ends every wait, until it is cleared: they must not be asked.
pub(super) fn an_error_that_stands_does_not_hide_what_arrives<B: Subject>() {
    let mut rig = Rig::<B>::new();
    let (ours, theirs) = udp_pair();
    // One that is connected with itself hears nobody else: its port is as good as closed.
    theirs.connect(theirs.local_addr().unwrap()).unwrap();
    let mut source = Attached::<B, _>::new(ours);
    rig.register(&mut source, 7, R);
    sent(|| source.do_io(W, |ours| ours.send(b"nobody is there")));
    loop {
        let seen = rig.poll(QUIET);
        if seen.is_empty() {
            break;
        }
        if seen.readiness(7).contains(READABLE) {
            return; // whoever does not read now has no claim to another event
        }
    }
    theirs
        .connect(source.do_io(R, |ours| ours.local_addr()).unwrap())
        .unwrap();
    sent(|| theirs.send(b"here I am"));
    rig.expect(7, READABLE);
}

/// Where the system detects it: urgent data is an exceptional condition, and readable too.
pub(super) fn urgent_data_shows_as_priority<B: Subject>() {
    if !Interest::PRIORITY.is_within(B::DETECTS) {
        return;
    }
    for interest in [Interest::PRIORITY, R | Interest::PRIORITY] {
        let mut rig = Rig::<B>::new();
        let (ours, peer) = tcp_pair();
        let mut source = Attached::<B, _>::new(ours);
        rig.register(&mut source, 7, interest);
        rig.expect_nothing();
        #[cfg(not(target_family = "wasm"))] // there is no such thing
        SockRef::from(&peer).send_out_of_band(b"!").unwrap();
        rig.expect(7, Readiness::PRIORITY | READABLE);
        // Without being asked for it is not reported.
        rig.reregister(&mut source, 8, R);
        send(&peer, 1);
        let seen = rig.expect(8, READABLE);
        assert!(!seen.contains(8, Readiness::PRIORITY), "{seen:?}");
    }
}
