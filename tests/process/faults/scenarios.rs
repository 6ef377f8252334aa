//! The programs that are disturbed. Each uses everything that it makes until the end, so that what
//! a failed call has broken shows.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr as UnixAddress;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use litio::net::ancillary::{RecvAncillary, SendAncillary};
use litio::net::datagrams::{Batch, RecvRun, SendRun, Wanted};
use litio::net::{
    TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixSeqpacket,
    UnixSeqpacketListener, UnixStream,
};
use litio::unix::pipe;
use litio::{BusyPoll, Events, Interest, IoSource, Poll, Token, Waker};

use super::injector::{Fault, Injector};
use super::{Steps, with_every_fault};
use crate::alone;

const R: Interest = Interest::READABLE;
const W: Interest = Interest::WRITABLE;
const RW: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// How long to wait for what must come.
const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn pollers_and_wakers_survive_every_fault() {
    alone(|| with_every_fault(poller));
}

#[test]
fn a_sleeping_poller_survives_every_fault() {
    alone(|| with_every_fault(sleeper));
}

#[test]
fn tcp_survives_every_fault() {
    alone(|| with_every_fault(tcp));
}

#[test]
fn udp_survives_every_fault() {
    alone(|| with_every_fault(udp));
}

#[test]
fn runs_of_datagrams_survive_every_fault() {
    alone(|| with_every_fault(runs));
}

#[test]
fn unix_streams_survive_every_fault() {
    alone(|| with_every_fault(unix_streams));
}

#[test]
fn unix_datagrams_survive_every_fault() {
    alone(|| with_every_fault(unix_datagrams));
}

#[test]
fn packets_survive_every_fault() {
    alone(|| with_every_fault(packets));
}

#[test]
fn pipes_survive_every_fault() {
    alone(|| with_every_fault(pipes));
}

/// epoll_wait(2) and poll(2) count milliseconds in an `int`, which is less than a month. Nobody
/// waits so long here: the first call is made to answer that its time is up.
#[test]
fn a_timeout_of_months_goes_on_after_the_first_weeks() {
    alone(|| {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let (mut near, far) = UnixStream::pair().unwrap();
        poll.registry().register(&mut near, Token(1), R).unwrap();
        (&far).write_all(b"x").unwrap();
        let Some(injector) = Injector::new_or_said() else {
            return;
        };
        let time_is_up = Fault {
            index: 0,
            errno: 0,
            is_done: false,
        };
        let months = Duration::from_secs(60 * 60 * 24 * 100);
        let (result, seen) = injector.watch(&[time_is_up], || poll.poll(&mut events, Some(months)));
        result.unwrap();
        assert_eq!((seen.failures, seen.calls.len()), (1, 2), "asked again");
        assert_eq!(
            events.iter().map(|event| event.token()).collect::<Vec<_>>(),
            [Token(1)]
        );
        // And one that is shorter than that is over.
        let weeks = Duration::from_secs(60 * 60 * 24 * 20);
        poll.registry().reregister(&mut near, Token(1), R).unwrap();
        let (result, seen) = injector.watch(&[time_is_up], || poll.poll(&mut events, Some(weeks)));
        result.unwrap();
        let is_epoll = seen.calls.len() == 1;
        assert_eq!(events.is_empty(), is_epoll, "poll(2) looks at the clock");
    });
}

impl Steps<'_> {
    /// Polls until each of these tokens has come. An error comes with no events, and takes none
    /// away.
    #[track_caller]
    fn events(
        &mut self,
        name: &'static str,
        poll: &mut Poll,
        timeout: Duration,
        awaited: &[usize],
    ) {
        let mut events = Events::with_capacity(8);
        let mut left = awaited.to_vec();
        while !left.is_empty() {
            self.step(name, || {
                let result = poll.poll(&mut events, Some(timeout));
                assert!(
                    result.is_ok() || events.is_empty(),
                    "{result:?} with {events:?}"
                );
                result
            });
            assert!(
                !events.is_empty(),
                "{name}: {left:?} of {awaited:?} do not come"
            );
            for event in &events {
                assert!(event.token().0 < 100, "{name}: {event:?}");
                left.retain(|token| Token(*token) != event.token());
            }
        }
    }
}

/// After an event, the next one is promised only then.
#[track_caller]
fn expect_no_more<T: std::fmt::Debug>(result: io::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::WouldBlock);
}

fn any_v4() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// A Unix address that nobody has.
fn fresh_name() -> UnixAddress {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("litio-faults-{}-{number}", std::process::id());
    UnixAddress::from_abstract_name(name).unwrap()
}

fn poller(steps: &mut Steps<'_>) {
    let mut poll = steps.step("Poll::new", Poll::new);
    let registry = steps.step("Registry::try_clone", || poll.registry().try_clone());
    let first = steps.step("Waker::new", || Waker::new(&registry, Token(1)));
    let second = steps.step("Waker::new, the second", || Waker::new(&registry, Token(2)));
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let mut source = IoSource::new(near);
    // A poller that was never awake counts as asleep, so that there is a knock.
    steps.step("Waker::wake", || first.wake());
    steps.step("Waker::wake, the second", || second.wake());
    steps.events("poll with a wake, asleep", &mut poll, DEADLINE, &[1, 2]);

    steps.step("register", || {
        poll.registry().register(&mut source, Token(3), RW)
    });
    steps.events("poll, whole milliseconds", &mut poll, DEADLINE, &[3]);
    steps.step("reregister", || {
        poll.registry()
            .reregister(&mut source, Token(4), R.oneshot())
    });
    (&far).write_all(b"x").unwrap();
    steps.events("poll, nanoseconds", &mut poll, Duration::new(20, 1), &[4]);
    steps.step("reregister to level", || {
        poll.registry().reregister(&mut source, Token(5), R.level())
    });
    steps.events("poll, level", &mut poll, Duration::ZERO, &[5]);
    steps.step("deregister", || poll.registry().deregister(&mut source));

    if poll.set_busy_poll(BusyPoll::OFF).is_ok() {
        steps.step("Poll::set_busy_poll", || poll.set_busy_poll(BusyPoll::OFF));
    }

    // To a poller that is awake.
    steps.step("Waker::wake, awake", || first.wake());
    steps.events("poll with a wake, awake", &mut poll, DEADLINE, &[1]);
    // What the knock has left, if anything, is cleared away without a word.
    let mut events = Events::with_capacity(8);
    let briefly = Some(Duration::from_millis(1));
    steps.step("poll for nothing", || poll.poll(&mut events, briefly));
    assert!(events.is_empty(), "{events:?}");

    steps.step("register again", || {
        poll.registry().register(&mut source, Token(6), R)
    });
    steps.events("poll for what is left", &mut poll, DEADLINE, &[6]);
    let mut all = Some((first, second, source, registry, poll));
    steps.step("drop", || {
        drop(all.take());
        Ok(())
    });
}

/// The poller sleeps on another thread, for ever; what this one does must reach it.
fn sleeper(steps: &mut Steps<'_>) {
    let mut poll = Poll::new().unwrap();
    let registry = poll.registry().try_clone().unwrap();
    let mut first = Some(Waker::new(&registry, Token(1)).unwrap());
    let second = Waker::new(&registry, Token(2)).unwrap();
    let (mut near, far) = UnixStream::pair().unwrap();
    (&far).write_all(b"x").unwrap();
    let (tell, told) = mpsc::channel();
    let poller = thread::spawn(move || {
        let mut events = Events::with_capacity(8);
        loop {
            poll.poll(&mut events, None).unwrap();
            for event in &events {
                if event.token() == Token(99) {
                    return;
                }
                tell.send(event.token()).unwrap();
            }
        }
    });
    let expect = |token| {
        // A wake whose knock failed counts all the same, so that the second attempt may give a
        // second event.
        while told.recv_timeout(DEADLINE).expect("the poller sleeps on") != Token(token) {}
        // It is about to sleep again; where it is not yet, there is less to be done and less to
        // fail.
        thread::sleep(Duration::from_millis(1));
    };
    let waker = first.as_ref().unwrap();
    steps.step("Waker::wake, asleep", || waker.wake());
    expect(1);
    steps.step("Waker::wake, asleep again", || second.wake());
    expect(2);
    steps.step("register, asleep", || {
        registry.register(&mut near, Token(3), R)
    });
    expect(3);
    steps.step("reregister, asleep", || {
        registry.reregister(&mut near, Token(4), R)
    });
    expect(4);
    // Exactly what is there, so that only the next one says that there is no more.
    assert_eq!((&near).read(&mut [0]).unwrap(), 1);
    steps.step("read, asleep", || match (&near).read(&mut [0]) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        result => result.map(drop),
    });
    (&far).write_all(b"y").unwrap();
    expect(4);
    steps.step("deregister, asleep", || registry.deregister(&mut near));
    steps.step("drop a waker, asleep", || {
        drop(first.take());
        Ok(())
    });
    let mut last = Some(steps.step("Waker::new, asleep", || Waker::new(&registry, Token(99))));
    steps.step("Waker::wake, the last", || last.as_ref().unwrap().wake());
    poller.join().unwrap();
    let mut all = Some((last.take(), second, near, registry));
    steps.step("drop", || {
        drop(all.take());
        Ok(())
    });
}

fn tcp(steps: &mut Steps<'_>) {
    let mut poll = Poll::new().unwrap();
    let mut listener = steps.step("TcpListener::bind", || TcpListener::bind(any_v4()));
    let address = steps.step("TcpListener::local_addr", || listener.local_addr());
    steps.step("register the listener", || {
        poll.registry().register(&mut listener, Token(1), R)
    });
    let mut client = steps.step("TcpStream::connect", || TcpStream::connect(address));
    steps.step("register the client", || {
        poll.registry().register(&mut client, Token(2), RW)
    });
    steps.events("poll for the connection", &mut poll, DEADLINE, &[1, 2]);
    let (mut server, peer) = steps.step("accept", || listener.accept());
    assert_eq!(
        steps.step("TcpStream::local_addr", || client.local_addr()),
        peer
    );
    assert_eq!(
        steps.step("TcpStream::peer_addr", || client.peer_addr()),
        address
    );
    assert!(
        steps
            .step("TcpStream::take_error", || client.take_error())
            .is_none()
    );
    assert!(
        steps
            .step("TcpListener::take_error", || listener.take_error())
            .is_none()
    );
    steps.step("set_nodelay", || client.set_nodelay(true));
    assert!(steps.step("nodelay", || client.nodelay()));
    steps.step("set_ttl", || client.set_ttl(33));
    assert_eq!(steps.step("ttl", || client.ttl()), 33);
    steps.step("register the server", || {
        poll.registry().register(&mut server, Token(3), RW)
    });

    assert_eq!(steps.step("write", || (&client).write(b"hello")), 5);
    steps.events("poll for bytes", &mut poll, DEADLINE, &[3]);
    let mut buffer = [0; 16];
    assert_eq!(steps.step("peek", || server.peek(&mut buffer)), 5);
    assert_eq!(steps.step("read", || (&server).read(&mut buffer)), 5);
    assert_eq!(&buffer[..5], b"hello");
    let slices = [IoSlice::new(b"wo"), IoSlice::new(b"rld")];
    assert_eq!(
        steps.step("write_vectored", || (&server).write_vectored(&slices)),
        5
    );
    steps.events("poll for the answer", &mut poll, DEADLINE, &[2]);
    let read = steps.step("read_vectored", || {
        let (a, b) = buffer.split_at_mut(3);
        (&client).read_vectored(&mut [IoSliceMut::new(a), IoSliceMut::new(b)])
    });
    assert_eq!((read, &buffer[..5]), (5, &b"world"[..]));

    steps.step("shutdown", || client.shutdown(Shutdown::Write));
    steps.events("poll for the end", &mut poll, DEADLINE, &[3]);
    assert_eq!(
        steps.step("read the end", || (&server).read(&mut buffer)),
        0
    );
    steps.step("deregister", || poll.registry().deregister(&mut client));
    let mut all = Some((client, server, listener, poll));
    steps.step("drop", || {
        drop(all.take());
        Ok(())
    });
}

fn udp(steps: &mut Steps<'_>) {
    let mut poll = Poll::new().unwrap();
    let mut one = steps.step("UdpSocket::bind", || UdpSocket::bind(any_v4()));
    let other = UdpSocket::bind(any_v4()).unwrap();
    let address = steps.step("UdpSocket::local_addr", || one.local_addr());
    let from = other.local_addr().unwrap();
    steps.step("register", || {
        poll.registry().register(&mut one, Token(1), R)
    });
    assert_eq!(steps.step("send_to", || other.send_to(b"one", address)), 3);
    steps.events("poll", &mut poll, DEADLINE, &[1]);
    let mut buffer = [0; 16];
    assert_eq!(
        steps.step("peek_from", || one.peek_from(&mut buffer)),
        (3, from)
    );
    assert_eq!(
        steps.step("recv_from", || one.recv_from(&mut buffer)),
        (3, from)
    );
    expect_no_more(one.recv(&mut buffer));
    steps.step("UdpSocket::connect", || other.connect(address));
    assert_eq!(
        steps.step("UdpSocket::peer_addr", || other.peer_addr()),
        address
    );
    assert_eq!(steps.step("send", || other.send(b"three")), 5);
    steps.events("poll again", &mut poll, DEADLINE, &[1]);
    assert_eq!(steps.step("peek", || one.peek(&mut buffer)), 5);
    assert_eq!(steps.step("recv", || one.recv(&mut buffer)), 5);
    assert_eq!(&buffer[..5], b"three");
    assert!(steps.step("take_error", || one.take_error()).is_none());

    steps.step("set_broadcast", || one.set_broadcast(true));
    assert!(steps.step("broadcast", || one.broadcast()));
    steps.step("set_ttl", || one.set_ttl(9));
    assert_eq!(steps.step("ttl", || one.ttl()), 9);
    steps.step("set_multicast_loop_v4", || one.set_multicast_loop_v4(false));
    assert!(!steps.step("multicast_loop_v4", || one.multicast_loop_v4()));
    steps.step("set_multicast_ttl_v4", || one.set_multicast_ttl_v4(3));
    assert_eq!(steps.step("multicast_ttl_v4", || one.multicast_ttl_v4()), 3);
    let mut all = Some((one, other, poll));
    steps.step("drop", || {
        drop(all.take());
        Ok(())
    });
}

/// All arrive, each once and in its order, whatever was refused.
fn runs(steps: &mut Steps<'_>) {
    let mut poll = Poll::new().unwrap();
    let mut receiver = UdpSocket::bind(any_v4()).unwrap();
    let sender = UdpSocket::bind(any_v4()).unwrap();
    let to = receiver.local_addr().unwrap();
    poll.registry()
        .register(&mut receiver, Token(1), R)
        .unwrap();
    let wanted = Wanted::COALESCED | Wanted::DESTINATION | Wanted::ECN | Wanted::HOP_LIMIT;
    let batch = steps.step("Batch::new, wanting much", || Batch::new(&receiver, wanted));
    let plain = steps.step("Batch::new, wanting nothing", || {
        Batch::new(&sender, Wanted::NOTHING)
    });

    let contents: Vec<u8> = (0..20u8).flat_map(|number| [number; 100]).collect();
    let (long, rest) = contents.split_at(1000);
    let (short, last) = rest.split_at(900);
    let mut several = [
        SendRun::new(long).segment_len(100).to(to),
        SendRun::new(short).segment_len(100).to(to),
        SendRun::new(last).to(to),
    ];
    let (single, rest) = several.split_at_mut(1);
    for (name, mut unsent) in [("send_runs, one", single), ("send_runs, two", rest)] {
        while !unsent.is_empty() {
            let sent = steps.step(name, || sender.send_runs(&plain, unsent));
            SendRun::advance_runs(&mut unsent, sent);
        }
    }
    let mut heard = Vec::new();
    let mut into = [(); 3].map(|()| RecvRun::new(vec![0; 65_535]));
    while heard.len() < 20 {
        steps.events("poll", &mut poll, DEADLINE, &[1]);
        // One after the other and several at once.
        for (name, count) in [("recv_runs, one", 1), ("recv_runs, several", 3)] {
            if heard.len() == 20 {
                continue;
            }
            let filled = steps.step(name, || receiver.recv_runs(&batch, &mut into[..count]));
            for run in &into[..filled] {
                heard.extend(run.datagrams().map(<[u8]>::to_vec));
            }
        }
        // An edge is promised after `WouldBlock` only.
        poll.registry()
            .reregister(&mut receiver, Token(1), R)
            .unwrap();
    }
    assert_eq!(heard.concat(), contents);
    let mut all = Some((receiver, sender, poll));
    steps.step("drop", || {
        drop(all.take());
        Ok(())
    });
}

fn unix_streams(steps: &mut Steps<'_>) {
    let mut poll = Poll::new().unwrap();
    let name = fresh_name();
    let mut listener = steps.step("UnixListener::bind_addr", || UnixListener::bind_addr(&name));
    steps.step("UnixListener::local_addr", || listener.local_addr());
    assert!(
        steps
            .step("UnixListener::take_error", || listener.take_error())
            .is_none()
    );
    steps.step("register the listener", || {
        poll.registry().register(&mut listener, Token(1), R)
    });
    let mut client = steps.step("UnixStream::connect_addr", || {
        UnixStream::connect_addr(&name)
    });
    steps.step("register the client", || {
        poll.registry().register(&mut client, Token(2), RW)
    });
    steps.events("poll for the connection", &mut poll, DEADLINE, &[1, 2]);
    let (mut server, _) = steps.step("accept", || listener.accept());
    steps.step("register the server", || {
        poll.registry().register(&mut server, Token(3), R)
    });
    steps.step("UnixStream::local_addr", || server.local_addr());
    steps.step("UnixStream::peer_addr", || client.peer_addr());
    assert!(
        steps
            .step("UnixStream::take_error", || client.take_error())
            .is_none()
    );
    steps.step("peer_credentials", || client.peer_credentials());

    assert_eq!(steps.step("write", || (&client).write(b"hello")), 5);
    steps.events("poll for bytes", &mut poll, DEADLINE, &[3]);
    let mut buffer = [0; 16];
    assert_eq!(steps.step("peek", || server.peek(&mut buffer)), 5);
    assert_eq!(steps.step("read", || (&server).read(&mut buffer)), 5);

    // Descriptors: whoever gets an error has them still, or has nothing.
    let null = std::fs::File::open("/dev/null").unwrap();
    let fds = [null.as_fd(), null.as_fd()];
    let message = SendAncillary::new().fds(&fds);
    let sent = steps.step("send_message", || {
        client.send_message(&[IoSlice::new(b"fds")], &message)
    });
    assert_eq!(sent, 3);
    steps.events("poll for descriptors", &mut poll, DEADLINE, &[3]);
    let mut ancillary = RecvAncillary::<1>::new();
    let received = steps.step("recv_message", || {
        server.recv_message(&mut [IoSliceMut::new(&mut buffer)], &mut ancillary)
    });
    assert_eq!(
        (received, ancillary.fd_count(), ancillary.is_truncated()),
        (3, 1, true)
    );
    expect_no_more((&server).read(&mut buffer));
    let mut kept = Some((ancillary.take_fd(), ancillary));
    steps.step("drop descriptors", || {
        drop(kept.take());
        Ok(())
    });

    let mut pair = Some(steps.step("UnixStream::pair", UnixStream::pair));
    steps.step("drop the pair", || {
        drop(pair.take());
        Ok(())
    });
    steps.step("shutdown", || client.shutdown(Shutdown::Write));
    steps.events("poll for the end", &mut poll, DEADLINE, &[3]);
    assert_eq!(
        steps.step("read the end", || (&server).read(&mut buffer)),
        0
    );
    let mut all = Some((client, server, listener, poll));
    steps.step("drop", || {
        drop(all.take());
        Ok(())
    });
}

fn unix_datagrams(steps: &mut Steps<'_>) {
    let mut poll = Poll::new().unwrap();
    let name = fresh_name();
    let mut bound = steps.step("UnixDatagram::bind_addr", || UnixDatagram::bind_addr(&name));
    let unbound = steps.step("UnixDatagram::unbound", UnixDatagram::unbound);
    steps.step("register", || {
        poll.registry().register(&mut bound, Token(1), R)
    });
    steps.step("UnixDatagram::local_addr", || bound.local_addr());
    assert_eq!(
        steps.step("send_to_addr", || unbound.send_to_addr(b"one", &name)),
        3
    );
    steps.events("poll", &mut poll, DEADLINE, &[1]);
    let mut buffer = [0; 16];
    assert_eq!(
        steps.step("recv_from", || bound.recv_from(&mut buffer)).0,
        3
    );
    expect_no_more(bound.recv(&mut buffer));
    steps.step("UnixDatagram::connect_addr", || unbound.connect_addr(&name));
    steps.step("UnixDatagram::peer_addr", || unbound.peer_addr());
    assert_eq!(steps.step("send", || unbound.send(b"three")), 5);
    steps.events("poll again", &mut poll, DEADLINE, &[1]);
    assert_eq!(steps.step("peek", || bound.peek(&mut buffer)), 5);
    assert_eq!(steps.step("recv", || bound.recv(&mut buffer)), 5);
    assert!(steps.step("take_error", || bound.take_error()).is_none());
    expect_no_more(bound.recv(&mut buffer));
    let nothing = SendAncillary::new();
    let data = [IoSlice::new(b"message")];
    let sent = steps.step("send_message_to", || {
        unbound.send_message_to(&data, &nothing, &name)
    });
    assert_eq!(sent, 7);
    steps.events("poll for a message", &mut poll, DEADLINE, &[1]);
    let mut ancillary = RecvAncillary::<1>::new();
    let received = steps.step("recv_message_from", || {
        bound.recv_message_from(&mut [IoSliceMut::new(&mut buffer)], &mut ancillary)
    });
    assert_eq!(received.0, 7);
    steps.step("shutdown", || unbound.shutdown(Shutdown::Both));
    let mut pair = Some(steps.step("UnixDatagram::pair", UnixDatagram::pair));
    steps.step("drop the pair", || {
        drop(pair.take());
        Ok(())
    });
    let mut all = Some((bound, unbound, poll));
    steps.step("drop", || {
        drop(all.take());
        Ok(())
    });
}

fn packets(steps: &mut Steps<'_>) {
    let mut poll = Poll::new().unwrap();
    let name = fresh_name();
    let mut listener = steps.step("UnixSeqpacketListener::bind_addr", || {
        UnixSeqpacketListener::bind_addr(&name)
    });
    steps.step("register the listener", || {
        poll.registry().register(&mut listener, Token(1), R)
    });
    let client = steps.step("UnixSeqpacket::connect_addr", || {
        UnixSeqpacket::connect_addr(&name)
    });
    steps.events("poll for the connection", &mut poll, DEADLINE, &[1]);
    let (mut server, _) = steps.step("accept", || listener.accept());
    steps.step("register the server", || {
        poll.registry().register(&mut server, Token(2), R)
    });
    assert_eq!(steps.step("send", || client.send(b"packet")), 6);
    steps.events("poll for a packet", &mut poll, DEADLINE, &[2]);
    let mut buffer = [0; 16];
    assert_eq!(steps.step("peek", || server.peek(&mut buffer)), 6);
    assert_eq!(steps.step("recv", || server.recv(&mut buffer)), 6);
    let mut pair = Some(steps.step("UnixSeqpacket::pair", UnixSeqpacket::pair));
    steps.step("drop the pair", || {
        drop(pair.take());
        Ok(())
    });
    let mut all = Some((client, server, listener, poll));
    steps.step("drop", || {
        drop(all.take());
        Ok(())
    });
}

fn pipes(steps: &mut Steps<'_>) {
    let mut poll = Poll::new().unwrap();
    let (mut sender, mut receiver) = steps.step("pipe::new", pipe::new);
    steps.step("register the sender", || {
        poll.registry().register(&mut sender, Token(1), W)
    });
    steps.step("register the receiver", || {
        poll.registry().register(&mut receiver, Token(2), R)
    });
    steps.events("poll for room", &mut poll, DEADLINE, &[1]);
    steps.step("set_nonblocking", || sender.set_nonblocking(false));
    steps.step("set_nonblocking, back", || sender.set_nonblocking(true));
    assert_eq!(steps.step("write", || (&sender).write(b"hello")), 5);
    steps.events("poll for bytes", &mut poll, DEADLINE, &[2]);
    let mut buffer = [0; 16];
    assert_eq!(steps.step("read", || (&receiver).read(&mut buffer)), 5);
    let slices = [IoSlice::new(b"wo"), IoSlice::new(b"rld")];
    assert_eq!(
        steps.step("write_vectored", || (&sender).write_vectored(&slices)),
        5
    );
    steps.events("poll for more", &mut poll, DEADLINE, &[2]);
    let read = steps.step("read_vectored", || {
        let (a, b) = buffer.split_at_mut(3);
        (&receiver).read_vectored(&mut [IoSliceMut::new(a), IoSliceMut::new(b)])
    });
    assert_eq!((read, &buffer[..5]), (5, &b"world"[..]));
    let mut sender = Some(OwnedFd::from(sender));
    steps.step("drop the sender", || {
        drop(sender.take());
        Ok(())
    });
    steps.events("poll for the end", &mut poll, DEADLINE, &[2]);
    assert_eq!(
        steps.step("read the end", || (&receiver).read(&mut buffer)),
        0
    );
    let mut all = Some((receiver, poll));
    steps.step("drop", || {
        drop(all.take());
        Ok(())
    });
}
