//! Cases for one kind of source or one part of the interface each, in the words that both libraries
//! share.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{self, Ipv4Addr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net as unix_net;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::library::event::{Event, Source};
use super::library::net::{
    TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream,
};
use super::library::unix::{SourceFd, pipe};
use super::library::{Events, Interest, Poll, Token, Waker};
use crate::log::Log;

pub type Case = fn(&mut Log);

/// Names and programs.
pub const ALL: &[(&str, Case)] = &[
    ("tcp_connects_and_echoes", tcp_connects_and_echoes),
    ("tcp_connect_is_refused", tcp_connect_is_refused),
    ("tcp_peer_closes_its_half", tcp_peer_closes_its_half),
    ("tcp_peer_closes", tcp_peer_closes),
    ("tcp_peer_resets", tcp_peer_resets),
    ("tcp_resets_with_data_pending", tcp_resets_with_data_pending),
    ("tcp_shuts_down_reading", tcp_shuts_down_reading),
    ("tcp_shuts_down_writing", tcp_shuts_down_writing),
    ("tcp_shuts_down_both", tcp_shuts_down_both),
    (
        "tcp_peer_gone_before_registration",
        tcp_peer_gone_before_registration,
    ),
    (
        "tcp_reregisters_with_data_pending",
        tcp_reregisters_with_data_pending,
    ),
    (
        "tcp_new_data_after_unread_data",
        tcp_new_data_after_unread_data,
    ),
    ("tcp_full_buffer_is_drained", tcp_full_buffer_is_drained),
    ("tcp_accepts_bursts", tcp_accepts_bursts),
    ("tcp_urgent_data", tcp_urgent_data),
    ("tcp_urgent_data_is_read", tcp_urgent_data_is_read),
    ("tcp_listener_goes", tcp_listener_goes),
    ("tcp_vectored_and_peek", tcp_vectored_and_peek),
    ("tcp_options", tcp_options),
    ("tcp_binds_twice", tcp_binds_twice),
    ("tcp_ipv6", tcp_ipv6),
    ("udp_passes_datagrams", udp_passes_datagrams),
    ("udp_peer_is_gone", udp_peer_is_gone),
    ("udp_truncates", udp_truncates),
    ("udp_options", udp_options),
    ("unix_stream_life", unix_stream_life),
    ("unix_stream_connect_fails", unix_stream_connect_fails),
    ("unix_stream_queue_is_full", unix_stream_queue_is_full),
    ("unix_stream_shutdowns", unix_stream_shutdowns),
    (
        "unix_stream_closes_with_data_unread",
        unix_stream_closes_with_data_unread,
    ),
    ("unix_stream_full_is_drained", unix_stream_full_is_drained),
    ("unix_stream_urgent_data", unix_stream_urgent_data),
    ("unix_accepts_bursts", unix_accepts_bursts),
    ("unix_addresses", unix_addresses),
    ("unix_abstract_peer", unix_abstract_peer),
    ("unix_datagrams", unix_datagrams),
    ("unix_datagram_senders", unix_datagram_senders),
    ("unix_datagram_peer_is_gone", unix_datagram_peer_is_gone),
    ("unix_datagram_queue_is_full", unix_datagram_queue_is_full),
    ("pipe_passes_bytes", pipe_passes_bytes),
    ("pipe_writer_goes", pipe_writer_goes),
    ("pipe_reader_goes", pipe_reader_goes),
    ("pipe_full_is_drained", pipe_full_is_drained),
    ("pipe_of_a_child", pipe_of_a_child),
    ("source_fd", source_fd),
    ("source_fd_of_files", source_fd_of_files),
    ("wakes", wakes),
    ("second_waker", second_waker),
    ("waker_after_the_poll", waker_after_the_poll),
    ("capacities", capacities),
    ("no_capacity", no_capacity),
    ("timeouts", timeouts),
    ("short_timeouts", short_timeouts),
    ("tokens", tokens),
    ("interests", interests),
    ("registers_twice", registers_twice),
    ("not_registered", not_registered),
    ("other_registry", other_registry),
    (
        "refused_registration_then_another",
        refused_registration_then_another,
    ),
    (
        "failed_registration_then_another",
        failed_registration_then_another,
    ),
    ("deregisters", deregisters),
    ("dropped_sources", dropped_sources),
    ("iterators", iterators),
    ("debug_texts", debug_texts),
    ("try_io", try_io),
    ("flags", flags),
    // poll(2) has no queue with a descriptor.
    #[cfg(not(mio_unsupported_force_poll_poll))]
    ("flags_of_the_queue", flags_of_the_queue),
    #[cfg(not(mio_unsupported_force_poll_poll))]
    ("polls_in_polls", polls_in_polls),
    ("a_signal_interrupts", a_signal_interrupts),
    ("changes_during_a_poll", changes_during_a_poll),
    ("changes_and_the_timeout", changes_and_the_timeout),
    ("blocked_directions", blocked_directions),
    ("no_edge_is_lost", no_edge_is_lost),
    ("no_wake_is_lost", no_wake_is_lost),
];

/// What may take this long on a machine that is busy otherwise. Nothing waits for it when all is
/// well; but with poll(2), mio often reports nothing.
const PATIENCE: Duration = if cfg!(mio_unsupported_force_poll_poll) {
    Duration::from_millis(500)
} else {
    Duration::from_secs(5)
};

/// How long silence is observed before it counts.
const SILENCE: Duration = Duration::from_millis(20);

/// A source that is reported more often than this in a row does not rest at all.
const BATCHES_MAX: usize = 20;

pub const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// A poll with its events.
pub struct World {
    pub poll: Poll,
    events: Events,
}

impl World {
    pub fn new() -> World {
        World {
            poll: Poll::new().unwrap(),
            events: Events::with_capacity(64),
        }
    }

    pub fn register(&self, source: &mut impl Source, token: usize, interest: Interest) {
        self.poll
            .registry()
            .register(source, Token(token), interest)
            .unwrap();
    }

    /// Waits for events and tells all of them, until none come any more.
    pub fn see(&mut self, log: &mut Log, what: &str) {
        self.tell(log, what, PATIENCE);
    }

    /// Tells what events there are, where none are expected.
    pub fn see_silence(&mut self, log: &mut Log, what: &str) {
        self.tell(log, what, SILENCE);
    }

    fn tell(&mut self, log: &mut Log, what: &str, first: Duration) {
        let mut timeout = first;
        let mut batches = Vec::new();
        loop {
            let start = Instant::now();
            self.poll.poll(&mut self.events, Some(timeout)).unwrap();
            if self.events.is_empty() {
                break;
            }
            // Found only because the time was up.
            if start.elapsed() >= PATIENCE {
                batches.push("too late".to_string());
            }
            let mut batch: Vec<String> = self.events.iter().map(text).collect();
            // Ready at once, in whichever order.
            batch.sort();
            batches.push(format!("[{}]", batch.join(", ")));
            if batches.len() == BATCHES_MAX {
                batches.push("without end".to_string());
                break;
            }
            timeout = SILENCE;
        }
        log.say(what, batches.join(" then "));
    }
}

/// Token and predicates of an event.
fn text(event: &Event) -> String {
    let predicates = [
        (event.is_readable(), "readable"),
        (event.is_writable(), "writable"),
        (event.is_error(), "error"),
        (event.is_read_closed(), "read closed"),
        (event.is_write_closed(), "write closed"),
        (event.is_priority(), "priority"),
        (event.is_aio(), "aio"),
        (event.is_lio(), "lio"),
    ];
    let names = predicates.iter().filter(|(is_so, _)| *is_so);
    let names: Vec<&str> = names.map(|(_, name)| *name).collect();
    format!("{}: {}", event.token().0, names.join(" "))
}

pub fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// A stream of the library's, connected, and its peer of std's, which blocks.
pub fn tcp_pair() -> (TcpStream, net::TcpStream) {
    let listener = net::TcpListener::bind(loopback()).unwrap();
    let ours = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    ours.set_nonblocking(true).unwrap();
    let (peer, _) = listener.accept().unwrap();
    (TcpStream::from_std(ours), peer)
}

/// The same with a registration for both directions, the first writable event taken.
fn tcp_world(log: &mut Log) -> (World, TcpStream, net::TcpStream) {
    let mut world = World::new();
    let (mut stream, peer) = tcp_pair();
    world.register(&mut stream, 1, BOTH);
    world.see(log, "registered");
    (world, stream, peer)
}

fn unix_world(log: &mut Log) -> (World, UnixStream, unix_net::UnixStream) {
    let mut world = World::new();
    let (ours, peer) = unix_net::UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut stream = UnixStream::from_std(ours);
    world.register(&mut stream, 1, BOTH);
    world.see(log, "registered");
    (world, stream, peer)
}

/// Reads until nothing is left and tells what came.
fn drain(log: &mut Log, what: &str, mut source: impl Read) {
    let mut buffer = [0; 65536];
    let mut count = 0;
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return log.say(what, format_args!("{count} bytes, then the end")),
            Ok(n) => count += n,
            Err(error) => {
                log.say(what, format_args!("{count} bytes"));
                return log.error(what, &error);
            }
        }
    }
}

/// Writes until nothing goes in any more; answers how much went.
fn fill(log: &mut Log, what: &str, mut sink: impl Write) -> usize {
    let buffer = [7; 65536];
    let mut count = 0;
    loop {
        match sink.write(&buffer) {
            Ok(n) => count += n,
            Err(error) => {
                log.error(what, &error);
                return count;
            }
        }
    }
}

/// A path below the folder of temporary files that nobody has yet, removed at the end.
struct TemporaryPath(PathBuf);

impl TemporaryPath {
    fn new() -> TemporaryPath {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // The address of the counter tells the two sides apart.
        let side = (&raw const COUNT).addr();
        let name = format!("litio-parity-{}-{side:x}-{count}", std::process::id());
        TemporaryPath(std::env::temp_dir().join(name))
    }
}

impl Drop for TemporaryPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

// -------------------------------------------------------------------------------------------------
// TCP
// -------------------------------------------------------------------------------------------------

fn tcp_connects_and_echoes(log: &mut Log) {
    let mut world = World::new();
    let mut listener = TcpListener::bind(loopback()).unwrap();
    world.register(&mut listener, 0, Interest::READABLE);
    world.see_silence(log, "nobody");
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    world.register(&mut client, 1, BOTH);
    world.see(log, "connected");
    log.result("error of the client", client.take_error());
    log.say(
        "peer is the listener",
        client.peer_addr().unwrap() == address,
    );
    let (mut served, peer) = listener.accept().unwrap();
    log.say("accepted the client", peer == client.local_addr().unwrap());
    log.success("nobody else", listener.accept());
    world.register(&mut served, 2, BOTH);
    world.see(log, "accepted");
    log.result("write", client.write(b"ping"));
    world.see(log, "ping");
    drain(log, "ping", &served);
    log.result("write", served.write(b"pong!"));
    world.see(log, "pong");
    drain(log, "pong", &client);
    drop(served);
    world.see(log, "server closed");
    drain(log, "server closed", &client);
    log.result("write after the end", client.write(b"x"));
    world.see(log, "reset");
    log.result("write after the reset", client.write(b"x"));
    log.result("error of the client", client.take_error());
}

fn tcp_connect_is_refused(log: &mut Log) {
    let mut world = World::new();
    // Bound, so that nobody else gets the port, and not listening.
    let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    bound.bind(&loopback().into()).unwrap();
    let address = bound.local_addr().unwrap().as_socket().unwrap();
    let Some(mut client) = log.success("connect", TcpStream::connect(address)) else {
        return;
    };
    world.register(&mut client, 1, BOTH);
    world.see(log, "refused");
    log.result("peer", client.peer_addr());
    log.result("take_error", client.take_error());
    log.result("take_error again", client.take_error());
    log.result("read", client.read(&mut [0; 8]));
    log.result("write", client.write(b"x"));
}

fn tcp_peer_closes_its_half(log: &mut Log) {
    let (mut world, mut stream, mut peer) = tcp_world(log);
    peer.write_all(b"last words").unwrap();
    world.see(log, "data");
    peer.shutdown(Shutdown::Write).unwrap();
    world.see(log, "half-closed");
    drain(log, "read", &stream);
    log.result("write still", stream.write(b"answer"));
    world.see_silence(log, "after the answer");
    let mut answer = [0; 6];
    peer.read_exact(&mut answer).unwrap();
    drop(peer);
    world.see_silence(log, "closed");
}

fn tcp_peer_closes(log: &mut Log) {
    let (mut world, mut stream, peer) = tcp_world(log);
    drop(peer);
    world.see(log, "closed");
    drain(log, "read", &stream);
    log.result("write", stream.write(b"x"));
    world.see(log, "reset");
    log.result("read", stream.read(&mut [0; 8]));
    log.result("write again", stream.write(b"x"));
}

fn tcp_peer_resets(log: &mut Log) {
    let (mut world, mut stream, peer) = tcp_world(log);
    SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(peer);
    world.see(log, "reset");
    log.result("read", stream.read(&mut [0; 8]));
    log.result("read again", stream.read(&mut [0; 8]));
    log.result("write", stream.write(b"x"));
    log.result("take_error", stream.take_error());
    log.result("peer", stream.peer_addr().map(|_| ()));
}

fn tcp_resets_with_data_pending(log: &mut Log) {
    let (mut world, stream, mut peer) = tcp_world(log);
    peer.write_all(b"lost").unwrap();
    world.see(log, "data");
    SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(peer);
    world.see(log, "reset");
    drain(log, "read", &stream);
}

fn tcp_shuts_down_reading(log: &mut Log) {
    let (mut world, mut stream, mut peer) = tcp_world(log);
    log.result("shutdown", stream.shutdown(Shutdown::Read));
    world.see(log, "shut down");
    log.result("read", stream.read(&mut [0; 8]));
    peer.write_all(b"late").unwrap();
    world.see(log, "late data");
    log.result("read", stream.read(&mut [0; 8]));
}

fn tcp_shuts_down_writing(log: &mut Log) {
    let (mut world, mut stream, mut peer) = tcp_world(log);
    log.result("shutdown", stream.shutdown(Shutdown::Write));
    world.see_silence(log, "shut down");
    log.result("write", stream.write(b"x"));
    log.result("shutdown again", stream.shutdown(Shutdown::Write));
    peer.write_all(b"still").unwrap();
    world.see(log, "data");
    drain(log, "read", &stream);
    drop(peer);
    world.see(log, "closed");
    drain(log, "read", &stream);
    log.result(
        "shutdown of what is closed",
        stream.shutdown(Shutdown::Both),
    );
}

fn tcp_shuts_down_both(log: &mut Log) {
    let (mut world, mut stream, _peer) = tcp_world(log);
    log.result("shutdown", stream.shutdown(Shutdown::Both));
    world.see(log, "shut down");
    log.result("read", stream.read(&mut [0; 8]));
    log.result("write", stream.write(b"x"));
}

fn tcp_peer_gone_before_registration(log: &mut Log) {
    for what in ["nothing sent", "something sent", "reset"] {
        let mut world = World::new();
        let (mut stream, mut peer) = tcp_pair();
        match what {
            "something sent" => peer.write_all(b"bye").unwrap(),
            "reset" => SockRef::from(&peer)
                .set_linger(Some(Duration::ZERO))
                .unwrap(),
            _ => {}
        }
        drop(peer);
        world.register(&mut stream, 1, BOTH);
        world.see(log, what);
        drain(log, what, &stream);
        world.see_silence(log, what);
    }
}

fn tcp_reregisters_with_data_pending(log: &mut Log) {
    let (mut world, mut stream, mut peer) = tcp_world(log);
    peer.write_all(b"pending").unwrap();
    world.see(log, "data");
    world.see_silence(log, "unread");
    let registry = world.poll.registry().try_clone().unwrap();
    let mut again = |world: &mut World, log: &mut Log, token, interest| {
        registry
            .reregister(&mut stream, Token(token), interest)
            .unwrap();
        world.see(log, "reregistered");
    };
    again(&mut world, log, 2, Interest::READABLE);
    again(&mut world, log, 3, Interest::WRITABLE);
    again(&mut world, log, 4, BOTH);
    again(&mut world, log, 4, BOTH);
    drain(log, "read", &stream);
    world.see_silence(log, "drained");
    registry
        .reregister(&mut stream, Token(5), Interest::READABLE)
        .unwrap();
    world.see_silence(log, "nothing to read");
}

fn tcp_new_data_after_unread_data(log: &mut Log) {
    let (mut world, mut stream, mut peer) = tcp_world(log);
    for _ in 0..3 {
        peer.write_all(b"more").unwrap();
        world.see(log, "data");
    }
    log.result("a short read", stream.read(&mut [0; 64]));
    peer.write_all(b"again").unwrap();
    world.see(log, "data after a short read");
    log.result("half of it", stream.read(&mut [0; 2]));
    world.see_silence(log, "half is left");
    peer.write_all(b"and more").unwrap();
    world.see(log, "data");
    drain(log, "read", &stream);
}

fn tcp_full_buffer_is_drained(log: &mut Log) {
    let (mut world, stream, mut peer) = tcp_world(log);
    let mut left = fill(log, "fill", &stream);
    world.see_silence(log, "full");
    let mut buffer = vec![0; 1 << 16];
    while left > 0 {
        left -= peer.read(&mut buffer).unwrap();
    }
    // How many edges the kernel makes of one draining is its affair.
    let mut is_writable = false;
    let deadline = Instant::now() + PATIENCE;
    while !is_writable && Instant::now() < deadline {
        world.poll.poll(&mut world.events, Some(PATIENCE)).unwrap();
        is_writable = world.events.iter().any(Event::is_writable);
    }
    log.say("writable again", is_writable);
    log.result("write", (&stream).write(b"x"));
}

fn tcp_accepts_bursts(log: &mut Log) {
    let mut world = World::new();
    let mut listener = TcpListener::bind(loopback()).unwrap();
    world.register(&mut listener, 0, Interest::READABLE);
    let address = listener.local_addr().unwrap();
    let mut burst = |log: &mut Log, count| {
        let clients: Vec<_> = (0..count)
            .map(|_| net::TcpStream::connect(address).unwrap())
            .collect();
        world.see(log, "burst");
        clients
    };
    let _kept = burst(log, 5);
    let accept = |log: &mut Log| {
        let mut count = 0;
        while log.success("accept", listener.accept()).is_some() {
            count += 1;
        }
        log.say("accepted", count);
    };
    accept(log);
    let _kept = (burst(log, 2), burst(log, 1));
    accept(log);
    log.result("error of the listener", listener.take_error());
}

fn tcp_urgent_data(log: &mut Log) {
    for interest in [
        Interest::READABLE,
        Interest::PRIORITY,
        Interest::READABLE | Interest::PRIORITY,
    ] {
        let mut world = World::new();
        let (mut stream, peer) = tcp_pair();
        world.register(&mut stream, 1, interest);
        SockRef::from(&peer).send_out_of_band(b"!").unwrap();
        world.see(log, "urgent");
        (&peer).write_all(b"plain").unwrap();
        world.see(log, "plain");
        drain(log, "read", &stream);
    }
}

fn tcp_urgent_data_is_read(log: &mut Log) {
    let mut world = World::new();
    let (mut stream, peer) = tcp_pair();
    world.register(&mut stream, 1, Interest::READABLE | Interest::PRIORITY);
    let peer = SockRef::from(&peer);
    let read_urgent = |log: &mut Log| {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 8];
        let read = stream.try_io(|| SockRef::from(&stream).recv_out_of_band(&mut buffer));
        log.result("read what is urgent", read);
    };
    read_urgent(log);
    for _ in 0..2 {
        peer.send(b"before").unwrap();
        world.see(log, "before");
        peer.send_out_of_band(b"!").unwrap();
        world.see(log, "urgent");
        read_urgent(log);
        read_urgent(log);
        world.see_silence(log, "read");
        drain(log, "read", &stream);
        world.see_silence(log, "drained");
    }
}

fn tcp_listener_goes(log: &mut Log) {
    let mut world = World::new();
    let mut listener = TcpListener::bind(loopback()).unwrap();
    world.register(&mut listener, 0, Interest::READABLE);
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    world.register(&mut client, 1, BOTH);
    world.see(log, "connected");
    drop(listener);
    world.see(log, "nobody accepted");
    log.result("take_error", client.take_error());
    log.result("read", client.read(&mut [0; 8]));
}

fn tcp_vectored_and_peek(log: &mut Log) {
    let (mut world, mut stream, mut peer) = tcp_world(log);
    log.result(
        "write_vectored",
        stream.write_vectored(&[IoSlice::new(b"one"), IoSlice::new(b"two")]),
    );
    let mut both = [0; 6];
    peer.read_exact(&mut both).unwrap();
    log.say("peer has", String::from_utf8_lossy(&both));
    log.result("peek at nothing", stream.peek(&mut [0; 8]));
    peer.write_all(b"abcdef").unwrap();
    world.see(log, "data");
    log.result("peek", stream.peek(&mut [0; 8]));
    let (mut one, mut two) = ([0; 2], [0; 8]);
    let buffers = &mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
    log.result("read_vectored", stream.read_vectored(buffers));
    log.say("read", format_args!("{one:?} {two:?}"));
    log.result("read nothing", stream.read_vectored(buffers_of(&mut two)));
    log.result("empty buffer", stream.read(&mut []));
    log.result("write of nothing", stream.write(&[]));
    log.result("flush", stream.flush());
}

/// One buffer as the slice that vectored calls want.
fn buffers_of(buffer: &mut [u8]) -> &mut [IoSliceMut<'_>] {
    Box::leak(Box::new([IoSliceMut::new(Box::leak(
        buffer.to_vec().into_boxed_slice(),
    ))]))
}

fn tcp_options(log: &mut Log) {
    let (stream, _peer) = tcp_pair();
    log.result("nodelay", stream.nodelay());
    log.result("set_nodelay", stream.set_nodelay(true));
    log.result("nodelay", stream.nodelay());
    log.result("ttl", stream.ttl());
    log.result("set_ttl", stream.set_ttl(61));
    log.result("ttl", stream.ttl());
    log.result("ttl of 0", stream.set_ttl(0));
    let listener = TcpListener::bind(loopback()).unwrap();
    log.result("ttl of a listener", listener.ttl());
    log.result("set_ttl of a listener", listener.set_ttl(62));
    log.result("ttl of a listener", listener.ttl());
    let reuse = SockRef::from(&listener).reuse_address();
    log.result("reuse_address of a listener", reuse);
}

fn tcp_binds_twice(log: &mut Log) {
    let listener = TcpListener::bind(loopback()).unwrap();
    let address = listener.local_addr().unwrap();
    log.success("bind again", TcpListener::bind(address));
    // Of a network for documentation, which nobody has.
    let foreign = SocketAddr::from(([192, 0, 2, 1], 0));
    log.success("bind to a foreign address", TcpListener::bind(foreign));
    log.success("UDP on a foreign address", UdpSocket::bind(foreign));
    drop(listener);
    log.success("bind when it is free", TcpListener::bind(address));
    let broadcast = SocketAddr::from(([255, 255, 255, 255], 1));
    log.success("connect to everybody", TcpStream::connect(broadcast));
}

fn tcp_ipv6(log: &mut Log) {
    let address = SocketAddr::from((net::Ipv6Addr::LOCALHOST, 0));
    let Some(mut listener) = log.success("bind", TcpListener::bind(address)) else {
        return;
    };
    let mut world = World::new();
    world.register(&mut listener, 0, Interest::READABLE);
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    world.register(&mut client, 1, BOTH);
    world.see(log, "connected");
    let (_served, peer) = listener.accept().unwrap();
    log.say("accepted the client", peer == client.local_addr().unwrap());
}

// -------------------------------------------------------------------------------------------------
// UDP
// -------------------------------------------------------------------------------------------------

fn udp_passes_datagrams(log: &mut Log) {
    let mut world = World::new();
    let mut one = UdpSocket::bind(loopback()).unwrap();
    let mut two = UdpSocket::bind(loopback()).unwrap();
    let (first, second) = (one.local_addr().unwrap(), two.local_addr().unwrap());
    world.register(&mut one, 1, BOTH);
    world.register(&mut two, 2, Interest::READABLE);
    world.see(log, "registered");
    log.result("recv of nothing", two.recv(&mut [0; 8]));
    log.result("send unconnected", one.send(b"x"));
    log.success("peer unconnected", one.peer_addr());
    for text in ["one", "", "three"] {
        log.result("send_to", one.send_to(text.as_bytes(), second));
        world.see(log, "datagram");
    }
    log.result("peek", two.peek(&mut [0; 8]));
    let mut buffer = [0; 8];
    log.result(
        "peek_from",
        two.peek_from(&mut buffer)
            .map(|(n, from)| (n, from == first)),
    );
    for _ in 0..4 {
        let came = two.recv_from(&mut buffer);
        log.result("recv_from", came.map(|(n, from)| (n, from == first)));
    }
    log.result("connect", two.connect(first));
    log.say("peer", two.peer_addr().unwrap() == first);
    log.result("send", two.send(b"back"));
    world.see(log, "answer");
    log.result("recv", one.recv(&mut buffer));
    log.result("send_to connected", two.send_to(b"x", first));
}

fn udp_peer_is_gone(log: &mut Log) {
    let mut world = World::new();
    // Connected, with itself, it hears nobody else, and nobody else gets its port.
    let deaf = net::UdpSocket::bind(loopback()).unwrap();
    let gone = deaf.local_addr().unwrap();
    deaf.connect(gone).unwrap();
    let mut socket = UdpSocket::bind(loopback()).unwrap();
    socket.connect(gone).unwrap();
    world.register(&mut socket, 1, BOTH);
    world.see(log, "registered");
    log.result("send", socket.send(b"anybody?"));
    world.see(log, "unreachable");
    log.result("recv", socket.recv(&mut [0; 8]));
    log.result("recv again", socket.recv(&mut [0; 8]));
    log.result("send", socket.send(b"anybody?"));
    world.see(log, "unreachable");
    log.result("take_error", socket.take_error());
    log.result("take_error again", socket.take_error());
    log.result("send to port 0", socket.send_to(b"x", loopback()));
    log.result("too long", socket.send(&[0; 70_000]));
}

fn udp_truncates(log: &mut Log) {
    let receiver = UdpSocket::bind(loopback()).unwrap();
    let sender = UdpSocket::bind(loopback()).unwrap();
    let to = receiver.local_addr().unwrap();
    sender.send_to(b"four", to).unwrap();
    sender.send_to(b"five!", to).unwrap();
    log.result("two of four", receiver.recv(&mut [0; 2]));
    log.result("none of five", receiver.recv(&mut []));
    log.result("nothing left", receiver.recv(&mut [0; 8]));
}

fn udp_options(log: &mut Log) {
    let socket = UdpSocket::bind(loopback()).unwrap();
    log.result("broadcast", socket.broadcast());
    log.result("set_broadcast", socket.set_broadcast(true));
    log.result("broadcast", socket.broadcast());
    log.result("multicast_loop_v4", socket.multicast_loop_v4());
    log.result("set_multicast_loop_v4", socket.set_multicast_loop_v4(false));
    log.result("multicast_loop_v4", socket.multicast_loop_v4());
    log.result("multicast_ttl_v4", socket.multicast_ttl_v4());
    log.result("set_multicast_ttl_v4", socket.set_multicast_ttl_v4(9));
    log.result("multicast_ttl_v4", socket.multicast_ttl_v4());
    log.result("ttl", socket.ttl());
    log.result("set_ttl", socket.set_ttl(60));
    log.result("ttl", socket.ttl());
    log.result("only_v6 of IPv4", socket.only_v6());
    log.result("multicast_loop_v6 of IPv4", socket.multicast_loop_v6());
    let group = Ipv4Addr::new(224, 0, 0, 251);
    let here = Ipv4Addr::LOCALHOST;
    log.result("join", socket.join_multicast_v4(&group, &here));
    log.result("join again", socket.join_multicast_v4(&group, &here));
    log.result("leave", socket.leave_multicast_v4(&group, &here));
    log.result("leave again", socket.leave_multicast_v4(&group, &here));
    let no_group = Ipv4Addr::new(127, 0, 0, 9);
    log.result("join no group", socket.join_multicast_v4(&no_group, &here));
    let Ok(socket) = UdpSocket::bind(SocketAddr::from((net::Ipv6Addr::LOCALHOST, 0))) else {
        return log.say("IPv6", "not here");
    };
    log.result("only_v6", socket.only_v6());
    log.result("multicast_loop_v6", socket.multicast_loop_v6());
    log.result("set_multicast_loop_v6", socket.set_multicast_loop_v6(false));
    log.result("multicast_loop_v6", socket.multicast_loop_v6());
    let group = net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
    log.result("leave", socket.leave_multicast_v6(&group, 1));
}

// -------------------------------------------------------------------------------------------------
// Unix sockets
// -------------------------------------------------------------------------------------------------

fn unix_stream_life(log: &mut Log) {
    let mut world = World::new();
    let path = TemporaryPath::new();
    let mut listener = UnixListener::bind(&path.0).unwrap();
    world.register(&mut listener, 0, Interest::READABLE);
    world.see_silence(log, "nobody");
    log.success("nobody", listener.accept());
    let mut client = UnixStream::connect(&path.0).unwrap();
    world.register(&mut client, 1, BOTH);
    world.see(log, "connected");
    let (mut served, peer) = listener.accept().unwrap();
    log.say("peer", format_args!("{peer:?}"));
    world.register(&mut served, 2, BOTH);
    world.see(log, "accepted");
    log.result("write", client.write(b"ping"));
    world.see(log, "ping");
    drain(log, "ping", &served);
    drop(client);
    world.see(log, "client closed");
    drain(log, "end", &served);
    log.result("write", served.write(b"x"));
    log.result("take_error", served.take_error());
    log.result("error of the listener", listener.take_error());
}

fn unix_stream_connect_fails(log: &mut Log) {
    let path = TemporaryPath::new();
    log.success("no such file", UnixStream::connect(&path.0));
    drop(unix_net::UnixListener::bind(&path.0).unwrap());
    log.success("nobody listens", UnixStream::connect(&path.0));
    log.success("file exists", UnixListener::bind(&path.0));
    let long = PathBuf::from("/".to_string() + &"x".repeat(200));
    log.success("too long", UnixStream::connect(&long));
    log.success("too long", UnixListener::bind(&long));
    log.success("too long", UnixDatagram::bind(&long));
    log.success("with a zero", UnixStream::connect("/tmp/a\0b"));
    log.success("no folder", UnixListener::bind(path.0.join("below")));
}

fn unix_stream_queue_is_full(log: &mut Log) {
    let path = TemporaryPath::new();
    let raw = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    raw.bind(&socket2::SockAddr::unix(&path.0).unwrap())
        .unwrap();
    raw.listen(1).unwrap();
    let mut kept = Vec::new();
    while let Some(stream) = log.success("connect", UnixStream::connect(&path.0)) {
        kept.push(stream);
    }
    log.say("connected", kept.len());
}

fn unix_stream_shutdowns(log: &mut Log) {
    for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        let (mut world, mut stream, mut peer) = unix_world(log);
        log.result("shutdown", stream.shutdown(how));
        world.see_silence(log, "ours");
        log.result("read", stream.read(&mut [0; 8]));
        log.result("write", stream.write(b"x"));
        log.success("peer writes", peer.write(b"y"));
        drop(peer);
        world.see_silence(log, "closed");
        let (mut world, mut stream, peer) = unix_world(log);
        peer.shutdown(how).unwrap();
        world.see_silence(log, "theirs");
        log.result("read", stream.read(&mut [0; 8]));
        log.result("write", stream.write(b"x"));
    }
}

fn unix_stream_closes_with_data_unread(log: &mut Log) {
    let (mut world, mut stream, peer) = unix_world(log);
    stream.write_all(b"never read").unwrap();
    drop(peer);
    world.see(log, "closed");
    log.result("read", stream.read(&mut [0; 8]));
    log.result("read again", stream.read(&mut [0; 8]));
    log.result("write", stream.write(b"x"));
}

fn unix_stream_full_is_drained(log: &mut Log) {
    let (mut world, stream, mut peer) = unix_world(log);
    let mut left = fill(log, "fill", &stream);
    log.say("filled", left);
    world.see_silence(log, "full");
    let mut buffer = vec![0; 1 << 16];
    while left > 0 {
        left -= peer.read(&mut buffer).unwrap();
    }
    world.see(log, "drained");
    log.result("write", (&stream).write(b"x"));
    world.see_silence(log, "written");
}

fn unix_stream_urgent_data(log: &mut Log) {
    let (mut world, stream, peer) = unix_world(log);
    // Linux has it since 5.15.
    let sent = SockRef::from(&peer).send_out_of_band(b"!");
    log.result("send", sent);
    world.see_silence(log, "urgent");
    drain(log, "read", &stream);
    world.see_silence(log, "read");
}

fn unix_accepts_bursts(log: &mut Log) {
    let mut world = World::new();
    let path = TemporaryPath::new();
    let mut listener = UnixListener::bind(&path.0).unwrap();
    world.register(&mut listener, 0, Interest::READABLE);
    for count in [4, 1] {
        let _clients: Vec<_> = (0..count)
            .map(|_| unix_net::UnixStream::connect(&path.0).unwrap())
            .collect();
        world.see(log, "burst");
        let mut accepted = 0;
        while log.success("accept", listener.accept()).is_some() {
            accepted += 1;
        }
        log.say("accepted", accepted);
    }
}

/// A name in the abstract namespace that nobody has yet.
fn abstract_address() -> unix_net::SocketAddr {
    let name = TemporaryPath::new();
    unix_net::SocketAddr::from_abstract_name(name.0.to_str().unwrap()).unwrap()
}

fn unix_addresses(log: &mut Log) {
    let kind = |address: &unix_net::SocketAddr| {
        let is_abstract = address.as_abstract_name().is_some();
        let is_path = address.as_pathname().is_some();
        format!(
            "unnamed {}, path {is_path}, abstract {is_abstract}",
            address.is_unnamed()
        )
    };
    let mut tell = |what: &str, address: io::Result<unix_net::SocketAddr>| match address {
        Ok(address) => log.say(what, kind(&address)),
        Err(error) => log.error(what, &error),
    };
    let path = TemporaryPath::new();
    let listener = UnixListener::bind(&path.0).unwrap();
    tell("listener at a path", listener.local_addr());
    let stream = UnixStream::connect(&path.0).unwrap();
    tell("its client", stream.local_addr());
    tell("its client's peer", stream.peer_addr());
    tell("accepted", listener.accept().map(|(_, peer)| peer));
    let (one, _two) = UnixStream::pair().unwrap();
    tell("pair", one.local_addr());
    tell("pair's peer", one.peer_addr());
    let address = abstract_address();
    let listener = UnixListener::bind_addr(&address).unwrap();
    tell("abstract listener", listener.local_addr());
    let stream = UnixStream::connect_addr(&address).unwrap();
    tell("its client", stream.local_addr());
    tell("its client's peer", stream.peer_addr());
    tell("accepted", listener.accept().map(|(_, peer)| peer));
    let socket = UnixDatagram::unbound().unwrap();
    tell("datagram", socket.local_addr());
    tell("datagram's peer", socket.peer_addr());
    let socket = UnixDatagram::bind_addr(&abstract_address()).unwrap();
    tell("abstract datagram", socket.local_addr());
    let unnamed = UnixDatagram::unbound().unwrap().local_addr().unwrap();
    tell(
        "bound to no name",
        UnixListener::bind_addr(&unnamed).and_then(|l| l.local_addr()),
    );
    tell(
        "connected to no name",
        UnixStream::connect_addr(&unnamed).and_then(|s| s.peer_addr()),
    );
}

fn unix_abstract_peer(log: &mut Log) {
    let (address, name) = (abstract_address(), abstract_address());
    let listener = UnixListener::bind_addr(&address).unwrap();
    let raw = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    let to_socket2 = |address: &unix_net::SocketAddr| {
        let name = [b"\0", address.as_abstract_name().unwrap()].concat();
        let path = std::ffi::OsString::from(String::from_utf8(name).unwrap());
        socket2::SockAddr::unix(path).unwrap()
    };
    raw.bind(&to_socket2(&name)).unwrap();
    raw.connect(&to_socket2(&address)).unwrap();
    let (stream, peer) = listener.accept().unwrap();
    let is_name =
        |address: &unix_net::SocketAddr| address.as_abstract_name() == name.as_abstract_name();
    log.say(
        "peer_addr has the name",
        is_name(&stream.peer_addr().unwrap()),
    );
    log.say("accept told the name", is_name(&peer));
}

fn unix_datagrams(log: &mut Log) {
    let mut world = World::new();
    let (first, second) = (TemporaryPath::new(), TemporaryPath::new());
    let mut one = UnixDatagram::bind(&first.0).unwrap();
    let mut two = UnixDatagram::bind(&second.0).unwrap();
    world.register(&mut one, 1, BOTH);
    world.register(&mut two, 2, Interest::READABLE);
    world.see(log, "registered");
    log.result("send unconnected", one.send(b"x"));
    log.result("recv of nothing", one.recv(&mut [0; 8]));
    log.result("to nobody", one.send_to(b"x", first.0.join("below")));
    for text in ["one", "", "three"] {
        log.result("send_to", one.send_to(text.as_bytes(), &second.0));
        world.see(log, "datagram");
    }
    let mut buffer = [0; 2];
    for _ in 0..4 {
        let came = two.recv_from(&mut buffer);
        log.result(
            "recv_from",
            came.map(|(n, from)| (n, from.as_pathname() == Some(first.0.as_path()))),
        );
    }
    log.result("connect", two.connect(&first.0));
    log.result("send", two.send(b"back"));
    world.see(log, "answer");
    log.result("recv", one.recv(&mut buffer));
    let unbound = UnixDatagram::unbound().unwrap();
    // Connected sockets take nothing from others.
    log.result("a stranger's send", unbound.send_to(b"who?", &second.0));
    log.result(
        "recv",
        two.recv_from(&mut buffer)
            .map(|(n, from)| (n, from.is_unnamed())),
    );
    log.result("take_error", two.take_error());
    for how in [Shutdown::Read, Shutdown::Write] {
        let (one, two) = UnixDatagram::pair().unwrap();
        log.result("shutdown", one.shutdown(how));
        log.result("recv", one.recv(&mut buffer));
        log.result("send", one.send(b"x"));
        log.result("other's send", two.send(b"x"));
    }
}

fn unix_datagram_senders(log: &mut Log) {
    let (path, other) = (TemporaryPath::new(), TemporaryPath::new());
    let receiver = UnixDatagram::bind(&path.0).unwrap();
    let name = abstract_address();
    let senders = [
        ("path", UnixDatagram::bind(&other.0)),
        ("abstract", UnixDatagram::bind_addr(&name)),
        ("unnamed", UnixDatagram::unbound()),
    ];
    for (kind, sender) in senders {
        let sender = sender.unwrap();
        log.result(kind, sender.send_to(b"datagram", &path.0));
        let (count, from) = receiver.recv_from(&mut [0; 16]).unwrap();
        log.say("received", count);
        log.say(
            "from",
            format_args!(
                "unnamed {}, the path {}, the abstract name {}",
                from.is_unnamed(),
                from.as_pathname() == Some(other.0.as_path()),
                from.as_abstract_name().is_some()
                    && from.as_abstract_name() == name.as_abstract_name(),
            ),
        );
        log.result("connect", sender.connect(&path.0));
        let peer = sender.peer_addr().unwrap();
        log.say("connected", peer.as_pathname() == Some(path.0.as_path()));
    }
}

fn unix_datagram_peer_is_gone(log: &mut Log) {
    let mut world = World::new();
    let (mut one, two) = UnixDatagram::pair().unwrap();
    world.register(&mut one, 1, BOTH);
    world.see(log, "registered");
    drop(two);
    world.see_silence(log, "gone");
    log.result("send", one.send(b"x"));
    log.result("recv", one.recv(&mut [0; 8]));
}

fn unix_datagram_queue_is_full(log: &mut Log) {
    let mut world = World::new();
    let (mut one, two) = UnixDatagram::pair().unwrap();
    world.register(&mut one, 1, Interest::WRITABLE);
    world.see(log, "registered");
    let mut count = 0;
    let error = loop {
        match one.send(b"datagram") {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    log.say("sent", count);
    log.error("full", &error);
    world.see_silence(log, "full");
    for _ in 0..count {
        two.recv(&mut [0; 8]).unwrap();
    }
    world.poll.poll(&mut world.events, Some(PATIENCE)).unwrap();
    log.say(
        "writable again",
        world.events.iter().any(Event::is_writable),
    );
}

// -------------------------------------------------------------------------------------------------
// Pipes and descriptors
// -------------------------------------------------------------------------------------------------

fn pipe_world(log: &mut Log) -> (World, pipe::Sender, pipe::Receiver) {
    let mut world = World::new();
    let (mut sender, mut receiver) = pipe::new().unwrap();
    world.register(&mut sender, 1, Interest::WRITABLE);
    world.register(&mut receiver, 2, Interest::READABLE);
    world.see(log, "registered");
    (world, sender, receiver)
}

fn pipe_passes_bytes(log: &mut Log) {
    let (mut world, mut sender, mut receiver) = pipe_world(log);
    log.result("read of nothing", receiver.read(&mut [0; 8]));
    log.result("write", sender.write(b"hello"));
    world.see(log, "data");
    log.result("short read", receiver.read(&mut [0; 64]));
    log.result("write", sender.write(b"hello"));
    world.see(log, "data");
    drain(log, "read", &receiver);
    let two = [IoSlice::new(b"a"), IoSlice::new(b"bc")];
    log.result("write_vectored", sender.write_vectored(&two));
    world.see(log, "data");
    let mut one = [0; 8];
    let buffers = &mut [IoSliceMut::new(&mut one)];
    log.result("read_vectored", receiver.read_vectored(buffers));
    log.result("set_nonblocking", receiver.set_nonblocking(false));
    log.flags("receiver", receiver.as_raw_fd());
    log.result("set_nonblocking", receiver.set_nonblocking(true));
    log.flags("receiver", receiver.as_raw_fd());
}

fn pipe_writer_goes(log: &mut Log) {
    for text in ["", "left"] {
        let (mut world, mut sender, receiver) = pipe_world(log);
        if !text.is_empty() {
            sender.write_all(text.as_bytes()).unwrap();
        }
        drop(sender);
        world.see(log, "gone");
        drain(log, "read", &receiver);
        world.see_silence(log, "drained");
    }
}

fn pipe_reader_goes(log: &mut Log) {
    let (mut world, mut sender, receiver) = pipe_world(log);
    sender.write_all(b"unread").unwrap();
    world.see(log, "data");
    drop(receiver);
    world.see(log, "gone");
    log.result("write", sender.write(b"x"));
}

fn pipe_full_is_drained(log: &mut Log) {
    let (mut world, sender, receiver) = pipe_world(log);
    let count = fill(log, "fill", &sender);
    log.say("filled", count);
    world.see(log, "full");
    drain(log, "drain", &receiver);
    world.see(log, "drained");
}

fn pipe_of_a_child(log: &mut Log) {
    let mut world = World::new();
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut sender = pipe::Sender::from(child.stdin.take().unwrap());
    let mut receiver = pipe::Receiver::from(child.stdout.take().unwrap());
    log.flags("as taken", sender.as_raw_fd());
    sender.set_nonblocking(true).unwrap();
    receiver.set_nonblocking(true).unwrap();
    world.register(&mut receiver, 2, Interest::READABLE);
    log.result("write", sender.write(b"through the cat"));
    world.see(log, "data");
    drain(log, "read", &receiver);
    drop(sender);
    log.say("ended well", child.wait().unwrap().success());
    world.see(log, "ended");
    drain(log, "read", &receiver);
}

fn source_fd(log: &mut Log) {
    let mut world = World::new();
    let (mut reader, mut writer) = io::pipe().unwrap();
    let fd = reader.as_raw_fd();
    world.register(&mut SourceFd(&fd), 1, Interest::READABLE);
    world.see_silence(log, "registered");
    writer.write_all(b"abc").unwrap();
    world.see(log, "data");
    world.see_silence(log, "unread");
    writer.write_all(b"def").unwrap();
    world.see(log, "more");
    let registry = world.poll.registry().try_clone().unwrap();
    let again = registry.register(&mut SourceFd(&fd), Token(2), Interest::READABLE);
    log.result("register again", again);
    log.result(
        "reregister",
        registry.reregister(&mut SourceFd(&fd), Token(2), Interest::READABLE),
    );
    world.see(log, "reregistered");
    let mut buffer = [0; 6];
    reader.read_exact(&mut buffer).unwrap();
    drop(writer);
    world.see(log, "gone");
    log.result("deregister", registry.deregister(&mut SourceFd(&fd)));
    log.result("deregister again", registry.deregister(&mut SourceFd(&fd)));
    let again = registry.reregister(&mut SourceFd(&fd), Token(2), Interest::READABLE);
    log.result("reregister what is not", again);
    log.result(
        "no descriptor",
        registry.register(&mut SourceFd(&-1), Token(3), BOTH),
    );
}

fn source_fd_of_files(log: &mut Log) {
    let world = World::new();
    for path in ["/dev/null", "/proc/self/exe", "/"] {
        let file = std::fs::File::open(path).unwrap();
        let fd = file.as_raw_fd();
        let registered = world.poll.registry();
        log.result(
            path,
            registered.register(&mut SourceFd(&fd), Token(0), BOTH),
        );
    }
}

// -------------------------------------------------------------------------------------------------
// Wakers
// -------------------------------------------------------------------------------------------------

fn wakes(log: &mut Log) {
    let mut world = World::new();
    let waker = Waker::new(world.poll.registry(), Token(9)).unwrap();
    world.see_silence(log, "new");
    log.result("wake", waker.wake());
    world.see(log, "woken");
    for _ in 0..3 {
        waker.wake().unwrap();
    }
    world.see(log, "woken thrice");
    world.see_silence(log, "consumed");
    std::thread::scope(|scope| {
        scope.spawn(|| waker.wake().unwrap());
        world.see(log, "from a thread");
    });
    let (mut stream, mut peer) = tcp_pair();
    world.register(&mut stream, 1, Interest::READABLE);
    peer.write_all(b"x").unwrap();
    waker.wake().unwrap();
    let mut tokens = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while tokens.len() < 2 && Instant::now() < deadline {
        world.poll.poll(&mut world.events, Some(PATIENCE)).unwrap();
        tokens.extend(world.events.iter().map(text));
    }
    tokens.sort();
    log.say("with data", tokens.join(", "));
    waker.wake().unwrap();
    drop(waker);
}

fn second_waker(log: &mut Log) {
    let world = World::new();
    let first = Waker::new(world.poll.registry(), Token(1)).unwrap();
    // Real mio panics in debug builds.
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let second = std::panic::catch_unwind(|| Waker::new(world.poll.registry(), Token(2)).is_ok());
    drop(first);
    let third = std::panic::catch_unwind(|| Waker::new(world.poll.registry(), Token(3)).is_ok());
    std::panic::set_hook(quiet);
    log.say("a second one", format_args!("{:?}", second.ok()));
    log.say("when the first is gone", format_args!("{:?}", third.ok()));
}

fn waker_after_the_poll(log: &mut Log) {
    let world = World::new();
    let waker = Waker::new(world.poll.registry(), Token(1)).unwrap();
    drop(world);
    log.result("wake", waker.wake());
    log.result("wake", waker.wake());
}

// -------------------------------------------------------------------------------------------------
// Polling
// -------------------------------------------------------------------------------------------------

fn capacities(log: &mut Log) {
    let mut world = World::new();
    let mut pairs: Vec<_> = (0..5).map(|_| tcp_pair()).collect();
    for (index, (stream, peer)) in pairs.iter_mut().enumerate() {
        world.register(stream, index, Interest::READABLE);
        peer.write_all(b"x").unwrap();
    }
    let mut events = Events::with_capacity(2);
    let mut tokens = Vec::new();
    for _ in 0..3 {
        world.poll.poll(&mut events, Some(PATIENCE)).unwrap();
        log.say("events", events.iter().count());
        log.say("capacity", events.capacity());
        tokens.extend(events.iter().map(|event| event.token().0));
    }
    tokens.sort_unstable();
    log.say("each once", format_args!("{tokens:?}"));
    events.clear();
    log.say("cleared", events.is_empty());
    world.poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
    log.say("nothing left", events.is_empty());
}

fn no_capacity(log: &mut Log) {
    let mut world = World::new();
    let mut none = Events::with_capacity(0);
    log.result("poll", world.poll.poll(&mut none, Some(Duration::ZERO)));
}

fn timeouts(log: &mut Log) {
    let mut world = World::new();
    for millis in [0, 1, 30] {
        let timeout = Duration::from_millis(millis);
        let start = Instant::now();
        log.result("poll", world.poll.poll(&mut world.events, Some(timeout)));
        log.say("long enough", start.elapsed() >= timeout);
        log.say("empty", world.events.is_empty());
    }
    let (mut stream, _peer) = tcp_pair();
    world.register(&mut stream, 0, Interest::WRITABLE);
    log.result(
        "the longest",
        world.poll.poll(&mut world.events, Some(Duration::MAX)),
    );
    log.say("empty", world.events.is_empty());
    log.result(
        "empties the events",
        world.poll.poll(&mut world.events, Some(Duration::ZERO)),
    );
    log.say("empty", world.events.is_empty());
}

fn short_timeouts(log: &mut Log) {
    let mut world = World::new();
    let (timeout, millisecond) = (Duration::from_micros(100), Duration::from_millis(1));
    let mut best = Duration::MAX;
    // A busy machine delays many, a timeout that is rounded up all of them.
    let end = Instant::now() + Duration::from_secs(2);
    while best >= millisecond && Instant::now() < end {
        let start = Instant::now();
        world.poll.poll(&mut world.events, Some(timeout)).unwrap();
        best = best.min(start.elapsed());
    }
    log.say("not too early", best >= timeout);
    log.say("the best took a millisecond", best >= millisecond);
}

fn tokens(log: &mut Log) {
    for token in [0, 1, usize::MAX, usize::MAX - 1, 1 << 63] {
        let mut world = World::new();
        let (mut stream, _peer) = tcp_pair();
        world.register(&mut stream, token, Interest::WRITABLE);
        world.see(log, "token");
    }
    let mut world = World::new();
    let (mut one, _peer) = tcp_pair();
    let (mut two, _peer) = tcp_pair();
    world.register(&mut one, 4, Interest::WRITABLE);
    world.register(&mut two, 4, Interest::WRITABLE);
    world.see(log, "the same token twice");
    log.say("usize", usize::from(Token(5)));
    log.say("order", Token(1) < Token(2));
}

fn interests(log: &mut Log) {
    for interest in [
        Interest::READABLE,
        Interest::WRITABLE,
        Interest::PRIORITY,
        BOTH,
        BOTH | Interest::PRIORITY,
    ] {
        let mut world = World::new();
        let (mut stream, mut peer) = tcp_pair();
        peer.write_all(b"x").unwrap();
        world.register(&mut stream, 1, interest);
        world.see_silence(log, &format!("{interest:?}"));
        drop(peer);
        world.see_silence(log, "closed");
        log.say(
            "predicates",
            format_args!(
                "{} {} {} {} {}",
                interest.is_readable(),
                interest.is_writable(),
                interest.is_priority(),
                interest.is_aio(),
                interest.is_lio()
            ),
        );
        log.say(
            "remove",
            format_args!("{:?}", interest.remove(Interest::READABLE)),
        );
        log.say(
            "remove all",
            format_args!("{:?}", interest.remove(interest)),
        );
    }
    let mut sum = Interest::READABLE;
    sum |= Interest::WRITABLE;
    log.say("sum", sum == BOTH);
}

fn registers_twice(log: &mut Log) {
    let mut world = World::new();
    let (mut stream, mut peer) = tcp_pair();
    world.register(&mut stream, 1, Interest::READABLE);
    let registry = world.poll.registry().try_clone().unwrap();
    log.kind("again", registry.register(&mut stream, Token(2), BOTH));
    peer.write_all(b"x").unwrap();
    world.see(log, "the first holds");
    let mut waker_like = UdpSocket::bind(loopback()).unwrap();
    world.register(&mut waker_like, 3, BOTH);
    log.kind("again", registry.register(&mut waker_like, Token(3), BOTH));
    let (mut sender, _receiver) = pipe::new().unwrap();
    world.register(&mut sender, 4, Interest::WRITABLE);
    log.kind(
        "again",
        registry.register(&mut sender, Token(3), Interest::WRITABLE),
    );
}

fn not_registered(log: &mut Log) {
    let world = World::new();
    let registry = world.poll.registry();
    let (mut stream, _peer) = tcp_pair();
    log.kind(
        "reregister",
        registry.reregister(&mut stream, Token(2), BOTH),
    );
    log.kind("deregister", registry.deregister(&mut stream));
    let mut listener = UnixListener::bind_addr(&abstract_address()).unwrap();
    log.kind(
        "reregister",
        registry.reregister(&mut listener, Token(2), BOTH),
    );
    log.kind("deregister", registry.deregister(&mut listener));
    world.register(&mut stream, 2, BOTH);
    log.kind("deregister", registry.deregister(&mut stream));
    log.kind("deregister again", registry.deregister(&mut stream));
}

fn other_registry(log: &mut Log) {
    let (one, two) = (World::new(), World::new());
    let (mut stream, _peer) = tcp_pair();
    one.register(&mut stream, 1, BOTH);
    let other = two.poll.registry();
    log.kind("reregister", other.reregister(&mut stream, Token(2), BOTH));
    log.kind("register", other.register(&mut stream, Token(2), BOTH));
    let (mut stream, _peer) = tcp_pair();
    one.register(&mut stream, 1, BOTH);
    log.kind("deregister", other.deregister(&mut stream));
}

fn refused_registration_then_another(log: &mut Log) {
    let (one, two) = (World::new(), World::new());
    let (mut stream, _peer) = tcp_pair();
    one.register(&mut stream, 1, BOTH);
    let registered = two.poll.registry().register(&mut stream, Token(2), BOTH);
    log.kind("refused", registered);
    let registry = one.poll.registry();
    log.kind(
        "reregister at home",
        registry.reregister(&mut stream, Token(3), BOTH),
    );
    log.kind("refused", two.poll.registry().deregister(&mut stream));
    log.kind("deregister at home", registry.deregister(&mut stream));
}

fn failed_registration_then_another(log: &mut Log) {
    let world = World::new();
    let registry = world.poll.registry();
    // A regular file behind a type that is meant for sockets: the system refuses it.
    let file = OwnedFd::from(std::fs::File::open("/proc/self/exe").unwrap());
    let mut receiver = pipe::Receiver::from(file);
    let mut register = || registry.register(&mut receiver, Token(1), Interest::READABLE);
    log.kind("register", register());
    log.kind("register once more", register());
}

fn deregisters(log: &mut Log) {
    let mut world = World::new();
    let (mut stream, mut peer) = tcp_pair();
    world.register(&mut stream, 1, Interest::READABLE);
    peer.write_all(b"x").unwrap();
    let registry = world.poll.registry().try_clone().unwrap();
    log.result("deregister", registry.deregister(&mut stream));
    world.see_silence(log, "deregistered");
    drain(log, "read", &stream);
    peer.write_all(b"x").unwrap();
    world.register(&mut stream, 2, Interest::READABLE);
    world.see(log, "registered again");
    let mut boxed: Box<dyn Source> = Box::new(stream);
    log.result("boxed", registry.deregister(&mut boxed));
    log.result(
        "boxed",
        registry.register(&mut boxed, Token(3), Interest::READABLE),
    );
    world.see(log, "boxed");
}

fn dropped_sources(log: &mut Log) {
    let mut world = World::new();
    let (mut stream, mut peer) = tcp_pair();
    world.register(&mut stream, 1, BOTH);
    drop(stream);
    world.see_silence(log, "dropped");
    log.result("peer reads", peer.read(&mut [0; 8]));
    let (mut stream, mut peer) = tcp_pair();
    world.register(&mut stream, 2, Interest::READABLE);
    let plain = net::TcpStream::from(stream);
    peer.write_all(b"x").unwrap();
    world.see(log, "as std's it stays registered");
    drop(plain);
    let (mut stream, mut peer) = tcp_pair();
    world.register(&mut stream, 3, Interest::READABLE);
    let duplicate = stream.as_fd().try_clone_to_owned().unwrap();
    drop(stream);
    peer.write_all(b"x").unwrap();
    world.see(log, "a duplicate lives");
    drop(duplicate);
}

fn iterators(log: &mut Log) {
    let mut world = World::new();
    let mut pairs: Vec<_> = (0..3).map(|_| tcp_pair()).collect();
    for (index, (stream, _)) in pairs.iter_mut().enumerate() {
        world.register(stream, index, Interest::WRITABLE);
    }
    world.poll.poll(&mut world.events, Some(PATIENCE)).unwrap();
    let mut iter = world.events.iter();
    log.say("hint", format_args!("{:?}", iter.size_hint()));
    iter.next();
    log.say("hint after one", format_args!("{:?}", iter.size_hint()));
    log.say("count after one", iter.clone().count());
    log.say("really", iter.fold(0, |sum, _| sum + 1));
    let mut count = 0;
    for event in &world.events {
        count += usize::from(event.is_writable());
    }
    log.say("in a loop", count);
}

fn debug_texts(log: &mut Log) {
    let mut world = World::new();
    let (mut stream, _peer) = tcp_pair();
    world.register(&mut stream, 7, BOTH);
    world.poll.poll(&mut world.events, Some(PATIENCE)).unwrap();
    let event = world.events.iter().next().unwrap();
    log.say("event", format_args!("{event:?}"));
    log.say("events", format_args!("{:?}", world.events));
    log.say("token", format_args!("{:?}", Token(3)));
    log.say(
        "interests",
        format_args!("{:?} {:#?}", BOTH, Interest::PRIORITY),
    );
    log.say(
        "clone of an event",
        format_args!("{:?}", event.clone().token()),
    );
}

fn try_io(log: &mut Log) {
    let (mut world, stream, mut peer) = tcp_world(log);
    let blocked = stream.try_io(|| Err::<(), _>(ErrorKind::WouldBlock.into()));
    log.result("blocked", blocked);
    log.result("value", stream.try_io(|| Ok(7)));
    log.result(
        "error",
        stream.try_io(|| Err::<(), _>(ErrorKind::TimedOut.into())),
    );
    peer.write_all(b"abc").unwrap();
    world.see(log, "data");
    let peek = || {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 8];
        SockRef::from(&stream).peek(&mut buffer)
    };
    log.result("through socket2", stream.try_io(peek));
    drain(log, "read", &stream);
    log.result("through socket2", stream.try_io(peek));
    world.see_silence(log, "drained");
}

fn flags(log: &mut Log) {
    let listener = TcpListener::bind(loopback()).unwrap();
    log.flags("TcpListener", listener.as_raw_fd());
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    log.flags("TcpStream", stream.as_raw_fd());
    let accepted = retry(|| listener.accept());
    log.flags("accepted", accepted.0.as_raw_fd());
    let socket = UdpSocket::bind(loopback()).unwrap();
    log.flags("UdpSocket", socket.as_raw_fd());
    let path = TemporaryPath::new();
    let listener = UnixListener::bind(&path.0).unwrap();
    log.flags("UnixListener", listener.as_raw_fd());
    let stream = UnixStream::connect(&path.0).unwrap();
    log.flags("UnixStream", stream.as_raw_fd());
    let accepted = retry(|| listener.accept());
    log.flags("accepted", accepted.0.as_raw_fd());
    let (one, two) = UnixStream::pair().unwrap();
    log.flags("pair", one.as_raw_fd());
    log.flags("pair", two.as_raw_fd());
    let (one, two) = UnixDatagram::pair().unwrap();
    log.flags("pair of datagrams", one.as_raw_fd());
    log.flags("pair of datagrams", two.as_raw_fd());
    let socket = UnixDatagram::unbound().unwrap();
    log.flags("unbound", socket.as_raw_fd());
    let path = TemporaryPath::new();
    let socket = UnixDatagram::bind(&path.0).unwrap();
    log.flags("bound", socket.as_raw_fd());
    let (sender, receiver) = pipe::new().unwrap();
    log.flags("Sender", sender.as_raw_fd());
    log.flags("Receiver", receiver.as_raw_fd());
    // What is taken over keeps its flags.
    let plain = net::TcpListener::bind(loopback()).unwrap();
    log.flags("from_std", TcpListener::from_std(plain).as_raw_fd());
}

#[cfg(not(mio_unsupported_force_poll_poll))]
fn flags_of_the_queue(log: &mut Log) {
    let world = World::new();
    log.flags("poll", world.poll.as_raw_fd());
    let registry = world.poll.registry().try_clone().unwrap();
    log.flags("clone of the registry", registry.as_raw_fd());
}

/// Until it does not answer `WouldBlock`.
fn retry<T>(operation: impl Fn() -> io::Result<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match operation() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(Instant::now() < deadline, "nothing came");
                std::thread::yield_now();
            }
            result => return result.unwrap(),
        }
    }
}

#[cfg(not(mio_unsupported_force_poll_poll))]
fn polls_in_polls(log: &mut Log) {
    let mut inner = World::new();
    let mut outer = World::new();
    let fd = inner.poll.as_raw_fd();
    outer.register(&mut SourceFd(&fd), 5, Interest::READABLE);
    outer.see_silence(log, "nothing yet");
    let (mut stream, mut peer) = tcp_pair();
    inner.register(&mut stream, 1, Interest::READABLE);
    peer.write_all(b"x").unwrap();
    outer.see(log, "outer");
    inner.see(log, "inner");
    outer.see_silence(log, "taken");
    let waker = Waker::new(inner.poll.registry(), Token(2)).unwrap();
    waker.wake().unwrap();
    outer.see(log, "outer, by a wake");
    inner.see(log, "inner, by a wake");
}

fn a_signal_interrupts(log: &mut Log) {
    let arrived = Arc::new(AtomicBool::new(false));
    let handler = signal_hook::flag::register(signal_hook::consts::SIGUSR1, arrived.clone());
    let mut world = World::new();
    let is_over = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        // One may come before the poll sleeps; the system hands each to the main thread, where this
        // runs.
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let this = rustix::process::getpid();
                rustix::process::kill_process(this, rustix::process::Signal::USR1).unwrap();
                std::thread::yield_now();
            }
        });
        let result = world.poll.poll(&mut world.events, Some(PATIENCE));
        // ipc-channel reads it there.
        let errno = io::Error::last_os_error().raw_os_error();
        is_over.store(true, Ordering::Relaxed);
        log.say("errno", format_args!("{errno:?}"));
        result
    });
    log.result("poll", result);
    log.say("the handler ran", arrived.load(Ordering::Relaxed));
    log.say("empty", world.events.is_empty());
    signal_hook::low_level::unregister(handler.unwrap());
    world.see_silence(log, "afterwards");
}

fn changes_during_a_poll(log: &mut Log) {
    let mut world = World::new();
    let registry = world.poll.registry().try_clone().unwrap();
    let (mut stream, mut peer) = tcp_pair();
    let (mut other, _peer) = tcp_pair();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            registry.register(&mut stream, Token(1), Interest::READABLE)?;
            registry.register(&mut other, Token(2), Interest::READABLE)?;
            registry.deregister(&mut other)?;
            peer.write_all(b"x")
        });
        world.see(log, "registered, and then data");
        log.result("thread", thread.join().unwrap());
    });
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| registry.reregister(&mut stream, Token(3), Interest::WRITABLE));
        world.see(log, "reregistered");
        log.result("thread", thread.join().unwrap());
    });
}

/// What another thread does to the set must not make a poll longer.
fn changes_and_the_timeout(log: &mut Log) {
    let timeout = Duration::from_millis(200);
    let mut world = World::new();
    let registry = world.poll.registry().try_clone().unwrap();
    let is_over = AtomicBool::new(false);
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let deadline = start + 5 * timeout;
            let (mut stream, _peer) = tcp_pair();
            while !is_over.load(Ordering::Relaxed) && Instant::now() < deadline {
                registry
                    .register(&mut stream, Token(1), Interest::READABLE)
                    .unwrap();
                registry.deregister(&mut stream).unwrap();
                std::thread::yield_now();
            }
        });
        log.result("poll", world.poll.poll(&mut world.events, Some(timeout)));
        is_over.store(true, Ordering::Relaxed);
    });
    log.say("long enough", start.elapsed() >= timeout);
    log.say("not thrice as long", start.elapsed() < 3 * timeout);
    log.say("empty", world.events.is_empty());
}

/// A read that would block says nothing about writing, nor the other way round.
fn blocked_directions(log: &mut Log) {
    let (mut world, mut stream, mut peer) = tcp_world(log);
    for _ in 0..3 {
        log.result("read", stream.read(&mut [0; 8]));
        world.see_silence(log, "nothing to read");
    }
    peer.write_all(b"x").unwrap();
    world.see(log, "data");
    let (mut world, mut stream, mut peer) = unix_world(log);
    peer.write_all(b"x").unwrap();
    world.see(log, "data");
    fill(log, "fill", &stream);
    world.see_silence(log, "full, with data unread");
    log.result("read", stream.read(&mut [0; 1]));
    world.see_silence(log, "read as much as asked for");
}

/// A ball goes to and fro between two streams, each of which is drained when it is reported.
fn no_edge_is_lost(log: &mut Log) {
    const ROUNDS: usize = 2000;
    let mut world = World::new();
    let (one, other) = UnixStream::pair().unwrap();
    let mut streams = [one, other];
    for (token, stream) in streams.iter_mut().enumerate() {
        world.register(stream, token, Interest::READABLE);
    }
    streams[0].write_all(b"x").unwrap();
    let mut passes = 0;
    while passes < ROUNDS {
        world.poll.poll(&mut world.events, Some(PATIENCE)).unwrap();
        if world.events.is_empty() {
            break;
        }
        for event in &world.events {
            let stream = &mut streams[event.token().0];
            let mut count = 0;
            while let Ok(n @ 1..) = stream.read(&mut [0; 8]) {
                count += n;
            }
            stream.write_all(&[0; 8][..count]).unwrap();
            passes += count;
        }
    }
    log.say("passes", passes);
}

/// Two threads wake each other's poll in turns.
fn no_wake_is_lost(log: &mut Log) {
    const ROUNDS: usize = 2000;
    let mut worlds = [World::new(), World::new()];
    let wakers = [0, 1].map(|token| {
        let registry = worlds[token].poll.registry();
        Waker::new(registry, Token(token)).unwrap()
    });
    let play = |world: &mut World, other: &Waker, begins: bool| {
        if begins {
            other.wake().unwrap();
        }
        for round in 0..ROUNDS {
            let start = Instant::now();
            world.poll.poll(&mut world.events, Some(PATIENCE)).unwrap();
            // A wake that was found only because the time was up is as good as lost.
            if world.events.is_empty() || start.elapsed() >= PATIENCE {
                return round;
            }
            other.wake().unwrap();
        }
        ROUNDS
    };
    let [one, other] = &mut worlds;
    let rounds = std::thread::scope(|scope| {
        let thread = scope.spawn(|| play(other, &wakers[0], false));
        let rounds = play(one, &wakers[1], true);
        (rounds, thread.join().unwrap())
    });
    log.say("rounds", format_args!("{rounds:?}"));
}
