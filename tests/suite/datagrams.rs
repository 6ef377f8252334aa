//! Many datagrams per call: what `send_runs` and `recv_runs` promise, whatever mechanism serves.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use litio::Interest;
use litio::net::UdpSocket;
use litio::net::datagrams::{Batch, Ecn, RecvRun, SendRun, Wanted};

use crate::support::*;

/// Linux tells all that can be asked. Windows tells some, which the tests beside its code look at;
/// elsewhere plain calls serve, which tell nothing.
const TELLS: bool = cfg!(any(target_os = "linux", target_os = "android"));

const ALL: [Wanted; 6] = [
    Wanted::COALESCED,
    Wanted::DESTINATION,
    Wanted::ECN,
    Wanted::HOP_LIMIT,
    Wanted::TIMESTAMP,
    Wanted::DROPS,
];

fn all() -> Wanted {
    ALL.into_iter().fold(Wanted::NOTHING, |all, one| all | one)
}

/// A socket that is registered as A, what is known of it, and its address.
#[track_caller]
fn receiver(rig: &Rig, address: SocketAddr, wanted: Wanted) -> (UdpSocket, Batch, SocketAddr) {
    let mut socket = UdpSocket::bind(address).unwrap();
    rig.register(&mut socket, A, Interest::READABLE);
    let batch = Batch::new(&socket, wanted).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, batch, address)
}

#[track_caller]
fn sender(address: SocketAddr) -> (UdpSocket, Batch) {
    let socket = UdpSocket::bind(address).unwrap();
    let batch = Batch::new(&socket, Wanted::NOTHING).unwrap();
    (socket, batch)
}

fn buffers<const N: usize>() -> [RecvRun<Vec<u8>>; N] {
    std::array::from_fn(|_| RecvRun::new(vec![0; 65_535]))
}

/// Waits for datagrams until there are `count`; nothing else may come.
#[track_caller]
fn receive(rig: &mut Rig, socket: &UdpSocket, batch: &Batch, count: usize) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    let mut runs = buffers::<5>();
    while datagrams.len() < count {
        match socket.recv_runs(batch, &mut runs) {
            Ok(filled) => {
                assert!((1..=5).contains(&filled));
                for run in &runs[..filled] {
                    assert_eq!(run.datagrams().len(), run.count());
                    assert!(run.count() <= batch.max_coalesced());
                    assert!(!run.is_truncated());
                    datagrams.extend(run.datagrams().map(<[u8]>::to_vec));
                }
            }
            Err(error) if is_would_block(&error) => drop(rig.expect(A, READABLE)),
            Err(error) => panic!("recv_runs failed: {error}"),
        }
    }
    expect_would_block(socket.recv_runs(batch, &mut runs));
    datagrams
}

/// Datagrams of `len` bytes, the last of `last`, all different.
fn numbered(count: usize, len: usize, last: usize) -> Vec<u8> {
    let bytes = (count - 1) * len + last;
    (0..bytes).map(|at| (at / len + at % 251) as u8).collect()
}

#[test]
fn runs_arrive_whole_and_in_order() {
    for wanted in [Wanted::NOTHING, Wanted::COALESCED] {
        for address in [Some(any_v4()), any_v6()].into_iter().flatten() {
            let mut rig = Rig::new();
            let (socket, batch, there) = receiver(&rig, address, wanted);
            let (peer, peer_batch) = sender(address);
            // Below, at and above what goes in one piece: 64 datagrams, 65,487 bytes.
            let shapes = [
                (1, 5, 5),
                (2, 100, 1),
                (16, 64, 64),
                (64, 64, 64),
                (65, 64, 7),
                (130, 10, 3),
                (40, 1200, 1200),
                (60, 1200, 11),
                (2, 40_000, 40_000),
            ];
            for (count, len, last) in shapes {
                let contents = numbered(count, len, last);
                let run = SendRun::new(&contents).segment_len(len).to(there);
                assert_eq!(run.count(), count);
                assert_eq!(peer.send_runs(&peer_batch, &[run]).unwrap(), count);
                let arrived = receive(&mut rig, &socket, &batch, count);
                let expected: Vec<_> = contents.chunks(len).collect();
                assert_eq!(arrived, expected, "{count} of {len} bytes");
            }
        }
    }
}

#[test]
fn several_runs_go_with_one_call_each_to_its_place() {
    let mut rig = Rig::new();
    let (socket, batch, there) = receiver(&rig, any_v4(), Wanted::COALESCED);
    let other = UdpSocket::bind(any_v4()).unwrap();
    let (peer, peer_batch) = sender(any_v4());
    let runs = [
        SendRun::new(b"aabbc").segment_len(2).to(there),
        SendRun::new(b"elsewhere").to(other.local_addr().unwrap()),
        SendRun::new(b"").to(there),
        SendRun::new(b"single").to(there),
    ];
    assert_eq!(peer.send_runs(&peer_batch, &runs).unwrap(), 6);
    let arrived = receive(&mut rig, &socket, &batch, 5);
    let expected: [&[u8]; 5] = [b"aa", b"bb", b"c", b"", b"single"];
    assert_eq!(arrived, expected);
    assert_eq!(other.recv(&mut [0; 16]).unwrap(), 9);
}

#[test]
fn connected_sockets_need_no_destination() {
    let mut rig = Rig::new();
    let (socket, batch, there) = receiver(&rig, any_v4(), Wanted::COALESCED);
    let (peer, peer_batch) = sender(any_v4());
    let run = SendRun::new(b"aabb").segment_len(2);
    let error = peer.send_runs(&peer_batch, &[run]).unwrap_err();
    assert!(!is_would_block(&error), "{error:?}");
    peer.connect(there).unwrap();
    assert_eq!(peer.send_runs(&peer_batch, &[run]).unwrap(), 2);
    assert_eq!(receive(&mut rig, &socket, &batch, 2), [b"aa", b"bb"]);
}

#[test]
fn nothing_asked_is_nothing_done() {
    let (socket, batch) = sender(any_v4());
    assert_eq!(socket.send_runs(&batch, &[]).unwrap(), 0);
    assert_eq!(socket.recv_runs::<Vec<u8>>(&batch, &mut []).unwrap(), 0);
}

#[test]
fn receiving_nothing_would_block_and_new_datagrams_make_an_event() {
    let mut rig = Rig::new();
    let (socket, batch, there) = receiver(&rig, any_v4(), Wanted::COALESCED);
    let (peer, peer_batch) = sender(any_v4());
    for count in [1, 3, 20] {
        expect_would_block(socket.recv_runs(&batch, &mut buffers::<1>()));
        expect_would_block(socket.recv_runs(&batch, &mut buffers::<3>()));
        rig.expect_nothing();
        let contents = vec![1; count * 10];
        let run = SendRun::new(&contents).segment_len(10).to(there);
        assert_eq!(peer.send_runs(&peer_batch, &[run]).unwrap(), count);
        rig.expect(A, READABLE);
        receive(&mut rig, &socket, &batch, count);
    }
}

/// A partial count is no `WouldBlock`: where edges are emulated, what is left makes no event.
#[test]
fn fewer_datagrams_than_buffers_are_counted_and_the_next_call_would_block() {
    let mut rig = Rig::new();
    let (socket, batch, there) = receiver(&rig, any_v4(), Wanted::NOTHING);
    let (peer, peer_batch) = sender(any_v4());
    let runs = [SendRun::new(b"x").to(there); 40];
    assert_eq!(peer.send_runs(&peer_batch, &runs).unwrap(), 40);
    rig.expect(A, READABLE);
    let mut three = buffers::<3>();
    assert_eq!(socket.recv_runs(&batch, &mut three).unwrap(), 3);
    let mut many = buffers::<50>();
    assert_eq!(socket.recv_runs(&batch, &mut many).unwrap(), 37);
    expect_would_block(socket.recv_runs(&batch, &mut many));
}

#[test]
fn buffers_may_be_of_any_kind() {
    let mut rig = Rig::new();
    let (socket, batch, there) = receiver(&rig, any_v4(), Wanted::NOTHING);
    let (peer, peer_batch) = sender(any_v4());
    let runs = [SendRun::new(b"hello").to(there); 3];
    peer.send_runs(&peer_batch, &runs).unwrap();
    rig.expect(A, READABLE);
    let mut bytes = [0; 16];
    let mut borrowed = [RecvRun::new(&mut bytes[..])];
    assert_eq!(socket.recv_runs(&batch, &mut borrowed).unwrap(), 1);
    assert_eq!(borrowed[0].contents(), b"hello");
    let mut array = [RecvRun::new([0; 16])];
    assert_eq!(socket.recv_runs(&batch, &mut array).unwrap(), 1);
    assert_eq!(array[0].contents(), b"hello");
    let mut boxed = [RecvRun::new(vec![0; 16].into_boxed_slice())];
    assert_eq!(socket.recv_runs(&batch, &mut boxed).unwrap(), 1);
    assert_eq!(boxed[0].contents(), b"hello");
    let [boxed] = boxed;
    assert_eq!(boxed.into_buffer()[..6], *b"hello\0");
}

#[test]
fn datagram_that_does_not_fit_is_cut_and_said_to_be() {
    if !TELLS && !cfg!(windows) {
        return;
    }
    let mut rig = Rig::new();
    let (socket, batch, there) = receiver(&rig, any_v4(), Wanted::NOTHING);
    let (peer, peer_batch) = sender(any_v4());
    let runs = [SendRun::new(b"0123456789").to(there); 2];
    peer.send_runs(&peer_batch, &runs).unwrap();
    rig.expect(A, READABLE);
    let mut runs = [RecvRun::new(vec![0; 4]), RecvRun::new(vec![0; 10])];
    assert_eq!(socket.recv_runs(&batch, &mut runs).unwrap(), 2);
    assert_eq!(runs[0].source(), peer.local_addr().unwrap());
    assert!(runs[0].is_truncated() && !runs[1].is_truncated());
    assert_eq!(runs[0].contents(), b"0123");
    assert_eq!((runs[0].count(), runs[1].count()), (1, 1));
}

#[test]
fn what_was_not_wanted_is_not_told() {
    let mut rig = Rig::new();
    let (socket, batch, there) = receiver(&rig, any_v4(), Wanted::NOTHING);
    let (peer, peer_batch) = sender(any_v4());
    peer.send_runs(&peer_batch, &[SendRun::new(b"x").to(there)])
        .unwrap();
    rig.expect(A, READABLE);
    let [mut run] = buffers();
    assert_eq!(run.source(), "0.0.0.0:0".parse().unwrap());
    assert_eq!(
        socket
            .recv_runs(&batch, std::slice::from_mut(&mut run))
            .unwrap(),
        1
    );
    assert_eq!(run.source(), peer.local_addr().unwrap());
    assert_eq!((run.destination(), run.interface()), (None, None));
    assert_eq!((run.ecn(), run.dscp(), run.hop_limit()), (None, None, None));
    assert_eq!((run.timestamp(), run.drops()), (None, None));
}

/// On IPv4, on IPv6, and on IPv6 sockets that talk IPv4.
#[test]
fn metadata_travels_with_single_datagrams_and_runs() {
    if !TELLS {
        return;
    }
    let mut cases = vec![(any_v4(), any_v4(), IpAddr::from(Ipv4Addr::LOCALHOST))];
    if let Some(v6) = any_v6() {
        let all: SocketAddr = "[::]:0".parse().unwrap();
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:0".parse().unwrap();
        cases.push((v6, v6, v6.ip()));
        cases.push((all, any_v4(), Ipv4Addr::LOCALHOST.into()));
        cases.push((all, v6, v6.ip()));
        cases.push((all, mapped, Ipv4Addr::LOCALHOST.into()));
    }
    for (address, peer_address, destination) in cases {
        for is_connected in [false, true] {
            let mut rig = Rig::new();
            let (socket, batch, here) = receiver(&rig, address, all());
            assert_eq!(batch.granted(), all());
            let there = SocketAddr::new(
                if peer_address.is_ipv4() {
                    destination
                } else {
                    peer_address.ip()
                },
                here.port(),
            );
            let (peer, peer_batch) = sender(peer_address);
            let mut run = SendRun::new(&[1; 48]).segment_len(16);
            if is_connected {
                peer.connect(there).unwrap();
            } else {
                run = run.to(there);
            }
            run = run.ecn(Ecn::Capable1).dscp(46).hop_limit(9);
            let before = SystemTime::now() - Duration::from_secs(60);
            for run in [run, run.segment_len(0)] {
                let what = format!("{address} {peer_address} {is_connected} {run:?}");
                assert_eq!(
                    peer.send_runs(&peer_batch, &[run]).expect(&what),
                    run.count()
                );
                rig.expect(A, READABLE);
                let mut runs = buffers::<8>();
                let filled = socket.recv_runs(&batch, &mut runs).unwrap();
                let count: usize = runs[..filled].iter().map(RecvRun::count).sum();
                assert_eq!(count, run.count(), "{what}");
                for run in &runs[..filled] {
                    let (source, from) = (run.source(), peer.local_addr().unwrap());
                    assert_eq!(source.port(), from.port());
                    assert_eq!(source.ip().to_canonical(), from.ip().to_canonical());
                    assert_eq!(run.destination(), Some(destination), "{what}");
                    #[cfg(unix)]
                    assert_eq!(run.interface(), Some(loopback_index()), "{what}");
                    assert_eq!(
                        (run.ecn(), run.dscp()),
                        (Some(Ecn::Capable1), Some(46)),
                        "{what}"
                    );
                    assert_eq!(run.hop_limit(), Some(9), "{what}");
                    let after = before + Duration::from_secs(120);
                    assert!(
                        run.timestamp()
                            .is_some_and(|time| time > before && time < after)
                    );
                    assert_eq!(run.drops(), Some(0));
                }
                expect_would_block(socket.recv_runs(&batch, &mut runs));
            }
        }
    }
}

#[test]
fn every_mark_arrives_as_it_was_sent() {
    if !TELLS {
        return;
    }
    for address in [Some(any_v4()), any_v6()].into_iter().flatten() {
        let mut rig = Rig::new();
        let (socket, batch, there) = receiver(&rig, address, Wanted::ECN);
        let (peer, peer_batch) = sender(address);
        let mut marks_of = |sent: SendRun<'_>| {
            peer.send_runs(&peer_batch, &[sent.to(there)]).unwrap();
            rig.expect(A, READABLE);
            let mut runs = buffers::<2>();
            assert_eq!(socket.recv_runs(&batch, &mut runs).unwrap(), 1);
            let marks = (runs[0].ecn(), runs[0].dscp());
            expect_would_block(socket.recv_runs(&batch, &mut runs));
            marks
        };
        let marks = [
            Ecn::NotCapable,
            Ecn::Capable0,
            Ecn::Capable1,
            Ecn::Congested,
        ];
        for ecn in marks {
            for dscp in [0, 1, 46, 63] {
                let sent = SendRun::new(b"x").ecn(ecn).dscp(dscp);
                assert_eq!(marks_of(sent), (Some(ecn), Some(dscp)));
            }
        }
        // One that is not marked is told to be so.
        let unmarked = (Some(Ecn::NotCapable), Some(0));
        assert_eq!(marks_of(SendRun::new(b"x")), unmarked);
    }
}

#[test]
fn interface_that_is_none_is_the_systems_error() {
    if !TELLS {
        return;
    }
    for address in [Some(any_v4()), any_v6()].into_iter().flatten() {
        let (peer, batch) = sender(address);
        let run = SendRun::new(b"aabb").to(peer.local_addr().unwrap());
        for run in [run, run.segment_len(2)] {
            let error = peer
                .send_runs(&batch, &[run.interface(u32::MAX >> 1)])
                .unwrap_err();
            assert!(error.raw_os_error().is_some(), "{error:?}");
            #[cfg(unix)]
            assert_eq!(
                peer.send_runs(&batch, &[run.interface(loopback_index())])
                    .unwrap(),
                run.count()
            );
        }
    }
}

/// An IPv6 socket may be connected to a peer of either version.
#[test]
#[cfg(unix)]
fn interface_can_be_chosen_on_a_connected_socket() {
    if !TELLS {
        return;
    }
    let mut cases = vec![(any_v4(), any_v4())];
    if let Some(v6) = any_v6() {
        cases.push((v6, v6));
        cases.push((any_v4(), "[::ffff:127.0.0.1]:0".parse().unwrap()));
    }
    for (address, peer_address) in cases {
        let mut rig = Rig::new();
        let (socket, batch, mut there) = receiver(&rig, address, Wanted::NOTHING);
        let (peer, peer_batch) = sender(peer_address);
        there.set_ip(peer_address.ip());
        peer.connect(there).unwrap();
        let run = SendRun::new(b"aabb").interface(loopback_index());
        for run in [run, run.segment_len(2)] {
            let sent = peer.send_runs(&peer_batch, &[run]).unwrap();
            assert_eq!(receive(&mut rig, &socket, &batch, sent).len(), run.count());
        }
    }
}

/// The system would pass over such a source.
#[test]
fn source_of_another_version_than_the_destination_is_refused() {
    let Some(any_v6) = any_v6().filter(|_| TELLS) else {
        return;
    };
    let (v4, v4_batch) = sender(any_v4());
    let (v6, v6_batch) = sender(any_v6);
    let run = SendRun::new(b"x").to(v4.local_addr().unwrap());
    let from_v6 = run.from(any_v6.ip());
    expect_error(ErrorKind::InvalidInput, v4.send_runs(&v4_batch, &[from_v6]));
    assert_eq!(v4.send_runs(&v4_batch, &[run, from_v6, run]).unwrap(), 1);
    let from_v4 = SendRun::new(b"x").from(any_v4().ip());
    let there = v6.local_addr().unwrap();
    expect_error(
        ErrorKind::InvalidInput,
        v6.send_runs(&v6_batch, &[from_v4.to(there)]),
    );
    v6.connect(there).unwrap();
    expect_error(ErrorKind::InvalidInput, v6.send_runs(&v6_batch, &[from_v4]));
    let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    assert_eq!(v4.send_runs(&v4_batch, &[run.from(mapped)]).unwrap(), 1);
}

#[test]
fn answers_come_from_the_address_that_was_asked() {
    // Linux has all of 127.0.0.0/8.
    if !TELLS {
        return;
    }
    let mut rig = Rig::new();
    let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let (server, batch, here) = receiver(&rig, all, Wanted::DESTINATION);
    let asked = SocketAddr::from(([127, 0, 0, 5], here.port()));
    let (client, client_batch) = sender(any_v4());
    client
        .send_runs(&client_batch, &[SendRun::new(b"ask").to(asked)])
        .unwrap();
    rig.expect(A, READABLE);
    let mut runs = buffers::<1>();
    assert_eq!(server.recv_runs(&batch, &mut runs).unwrap(), 1);
    let [run] = &runs;
    assert_eq!(run.destination(), Some(asked.ip()));
    let answer = SendRun::new(b"answer")
        .segment_len(2)
        .to(run.source())
        .from(run.destination().unwrap())
        .interface(run.interface().unwrap());
    assert_eq!(server.send_runs(&batch, &[answer]).unwrap(), 3);
    let (_, from) = client.recv_from(&mut [0; 16]).unwrap();
    assert_eq!(from, asked);
}

#[test]
fn dropped_datagrams_are_counted() {
    if !TELLS {
        return;
    }
    let mut rig = Rig::new();
    let (socket, batch, there) = receiver(&rig, any_v4(), Wanted::DROPS);
    let (peer, peer_batch) = sender(any_v4());
    let contents = vec![0; 60_000];
    let run = SendRun::new(&contents).to(there);
    // More than any default buffer holds.
    for _ in 0..200 {
        peer.send_runs(&peer_batch, &[run]).unwrap();
    }
    let mut arrived = 0;
    let mut runs = buffers::<1>();
    rig.expect(A, READABLE);
    while socket.recv_runs(&batch, &mut runs).is_ok() {
        arrived += 1;
    }
    assert!(arrived < 200, "nothing was dropped");
    // Each tells of those before it.
    peer.send_runs(&peer_batch, &[run]).unwrap();
    rig.expect(A, READABLE);
    socket.recv_runs(&batch, &mut runs).unwrap();
    assert_eq!(runs[0].drops(), Some(200 - arrived));
}

#[test]
fn batch_of_another_socket_does_no_harm() {
    let mut rig = Rig::new();
    let (socket, _, there) = receiver(&rig, any_v4(), Wanted::NOTHING);
    let (peer, peer_batch) = sender(any_v4());
    let run = SendRun::new(b"aabbcc").segment_len(2).to(there);
    assert_eq!(peer.send_runs(&peer_batch, &[run]).unwrap(), 3);
    assert_eq!(receive(&mut rig, &socket, &peer_batch, 3).len(), 3);
}

#[test]
fn datagram_larger_than_any_is_an_error_that_the_others_survive() {
    let mut rig = Rig::new();
    let (socket, batch, there) = receiver(&rig, any_v4(), Wanted::NOTHING);
    let (peer, peer_batch) = sender(any_v4());
    let large = vec![0; 70_000];
    let mut runs = [
        SendRun::new(b"first").to(there),
        SendRun::new(&large).to(there),
        SendRun::new(b"last").to(there),
    ];
    let mut unsent = &mut runs[..];
    let sent = peer.send_runs(&peer_batch, unsent).unwrap();
    assert_eq!(sent, 1);
    SendRun::advance_runs(&mut unsent, sent);
    let error = peer.send_runs(&peer_batch, unsent).unwrap_err();
    assert_ne!(error.kind(), ErrorKind::WouldBlock);
    SendRun::advance_runs(&mut unsent, 1); // given up
    assert_eq!(peer.send_runs(&peer_batch, unsent).unwrap(), 1);
    assert_eq!(
        receive(&mut rig, &socket, &batch, 2),
        [&b"first"[..], b"last"]
    );
}

#[test]
fn what_plain_calls_cannot_do_is_unsupported() {
    if TELLS {
        return;
    }
    let (peer, batch) = sender(any_v4());
    let run = SendRun::new(b"x").to(peer.local_addr().unwrap());
    expect_error(
        ErrorKind::Unsupported,
        peer.send_runs(&batch, &[run.hop_limit(3)]),
    );
    for run in [run.interface(1), run.from(any_v4().ip())] {
        let result = peer.send_runs(&batch, &[run]);
        // Windows can, Wine cannot.
        if !cfg!(windows) || result.is_err() {
            expect_error(ErrorKind::Unsupported, result);
        }
    }
    peer.send_runs(&batch, &[run.ecn(Ecn::Capable0)]).unwrap();
}
