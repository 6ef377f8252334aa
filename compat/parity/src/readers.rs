//! The same moments in the life of everything that can be read: streams, datagrams and pipes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net;
use std::os::fd::OwnedFd;
use std::os::unix::net as unix_net;

use super::cases::{BOTH, Case, World, loopback, tcp_pair};
use super::library::event::Source;
use super::library::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};
use super::library::unix::pipe;
use super::library::{Interest, Token};
use crate::log::Log;

/// Names and programs.
pub const ALL: &[(&str, Case)] = &[
    (
        "all_ready_before_registration",
        all_ready_before_registration,
    ),
    ("all_drained_and_filled", all_drained_and_filled),
    ("all_filled_undrained", all_filled_undrained),
    ("all_read_in_part", all_read_in_part),
    ("all_reregistered_with_data", all_reregistered_with_data),
    (
        "all_filled_while_deregistered",
        all_filled_while_deregistered,
    ),
    ("all_asked_for_writing_only", all_asked_for_writing_only),
    ("all_peers_gone", all_peers_gone),
    (
        "all_peers_gone_before_registration",
        all_peers_gone_before_registration,
    ),
    (
        "all_peers_gone_with_data_left",
        all_peers_gone_with_data_left,
    ),
    (
        "all_deregistered_after_the_end",
        all_deregistered_after_the_end,
    ),
    ("all_dropped_when_ready", all_dropped_when_ready),
    ("all_moved_to_another_poll", all_moved_to_another_poll),
];

/// A source of the library's and its peer of std's, which blocks.
struct Pair {
    name: &'static str,
    source: Box<dyn Readable>,
    peer: File,
}

trait Readable: Source {
    fn take(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

macro_rules! readable {
    ($($source:ty => $operation:ident),*) => { $(
        impl Readable for $source {
            fn take(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.$operation(buffer)
            }
        }
    )* };
}

readable!(
    TcpStream => read,
    UnixStream => read,
    pipe::Receiver => read,
    UdpSocket => recv,
    UnixDatagram => recv
);

/// One of each kind.
fn pairs() -> Vec<Pair> {
    let pair = |name, source, peer: OwnedFd| Pair {
        name,
        source,
        peer: File::from(peer),
    };
    let (stream, peer) = tcp_pair();
    let tcp = pair("TcpStream", Box::new(stream) as Box<_>, peer.into());

    let (stream, peer) = unix_net::UnixStream::pair().unwrap();
    stream.set_nonblocking(true).unwrap();
    let stream = UnixStream::from_std(stream);
    let unix = pair("UnixStream", Box::new(stream), peer.into());

    let (sender, receiver) = pipe::new().unwrap();
    sender.set_nonblocking(false).unwrap();
    let pipe = pair("Receiver", Box::new(receiver), sender.into());

    let socket = UdpSocket::bind(loopback()).unwrap();
    let peer = net::UdpSocket::bind(loopback()).unwrap();
    socket.connect(peer.local_addr().unwrap()).unwrap();
    peer.connect(socket.local_addr().unwrap()).unwrap();
    let udp = pair("UdpSocket", Box::new(socket), peer.into());

    let (socket, peer) = unix_net::UnixDatagram::pair().unwrap();
    socket.set_nonblocking(true).unwrap();
    let socket = UnixDatagram::from_std(socket);
    let datagram = pair("UnixDatagram", Box::new(socket), peer.into());

    vec![tcp, unix, pipe, udp, datagram]
}

impl Pair {
    fn send(&mut self) {
        self.peer.write_all(b"data").unwrap();
    }

    /// What a pipe's end can be asked for is only one direction.
    fn interest(&self) -> Interest {
        match self.name {
            "Receiver" => Interest::READABLE,
            _ => BOTH,
        }
    }

    /// Reads until nothing is left and tells each result.
    fn drain(&mut self, log: &mut Log) {
        loop {
            let result = self.source.take(&mut [0; 64]);
            let is_end = !matches!(result, Ok(1..));
            log.result("read", result);
            if is_end {
                return;
            }
        }
    }

    /// Drops the peer; tells what the poll sees, and what is left to read.
    fn part(self, world: &mut World, log: &mut Log) -> Box<dyn Readable> {
        let Pair {
            mut source, peer, ..
        } = self;
        drop(peer);
        world.see_silence(log, "the peer is gone");
        log.result("read", source.take(&mut [0; 64]));
        log.result("read", source.take(&mut [0; 64]));
        world.see_silence(log, "read");
        source
    }
}

/// Runs the same with each kind, in a poll of its own.
fn each(log: &mut Log, mut run: impl FnMut(&mut Log, &mut World, Pair)) {
    for pair in pairs() {
        log.say("with a", pair.name);
        run(log, &mut World::new(), pair);
    }
}

fn register(world: &World, pair: &mut Pair, token: usize) {
    let interest = pair.interest();
    world.register(&mut pair.source, token, interest);
}

fn all_ready_before_registration(log: &mut Log) {
    each(log, |log, world, mut pair| {
        pair.send();
        register(world, &mut pair, 1);
        world.see(log, "registered");
        pair.drain(log);
        world.see_silence(log, "drained");
    });
}

fn all_drained_and_filled(log: &mut Log) {
    each(log, |log, world, mut pair| {
        register(world, &mut pair, 1);
        world.see_silence(log, "registered");
        for _ in 0..3 {
            pair.send();
            world.see(log, "data");
            pair.drain(log);
            world.see_silence(log, "drained");
        }
    });
}

fn all_filled_undrained(log: &mut Log) {
    each(log, |log, world, mut pair| {
        register(world, &mut pair, 1);
        for _ in 0..3 {
            pair.send();
            world.see_silence(log, "data");
        }
        pair.drain(log);
    });
}

fn all_read_in_part(log: &mut Log) {
    each(log, |log, world, mut pair| {
        register(world, &mut pair, 1);
        pair.send();
        pair.send();
        world.see(log, "data");
        log.result("two bytes", pair.source.take(&mut [0; 2]));
        world.see_silence(log, "more is left");
        pair.send();
        world.see_silence(log, "more came");
        pair.drain(log);
        pair.send();
        world.see(log, "data");
    });
}

fn all_reregistered_with_data(log: &mut Log) {
    each(log, |log, world, mut pair| {
        register(world, &mut pair, 1);
        pair.send();
        world.see(log, "data");
        let registry = world.poll.registry().try_clone().unwrap();
        for token in [2, 3] {
            let reregistered =
                registry.reregister(&mut pair.source, Token(token), Interest::READABLE);
            log.result("reregister", reregistered);
            world.see(log, "as another");
            world.see_silence(log, "once");
        }
        pair.drain(log);
        pair.send();
        world.see(log, "data");
    });
}

fn all_filled_while_deregistered(log: &mut Log) {
    each(log, |log, world, mut pair| {
        register(world, &mut pair, 1);
        let registry = world.poll.registry().try_clone().unwrap();
        log.result("deregister", registry.deregister(&mut pair.source));
        pair.send();
        world.see_silence(log, "deregistered");
        register(world, &mut pair, 2);
        world.see(log, "registered again");
        pair.drain(log);
        pair.send();
        world.see(log, "data");
    });
}

fn all_asked_for_writing_only(log: &mut Log) {
    each(log, |log, world, mut pair| {
        world.register(&mut pair.source, 1, Interest::WRITABLE);
        world.see_silence(log, "registered");
        pair.send();
        world.see_silence(log, "data");
        pair.drain(log);
        pair.part(world, log);
    });
}

fn all_peers_gone(log: &mut Log) {
    each(log, |log, world, mut pair| {
        register(world, &mut pair, 1);
        world.see_silence(log, "registered");
        pair.part(world, log);
    });
}

fn all_peers_gone_before_registration(log: &mut Log) {
    each(log, |log, world, pair| {
        let interest = pair.interest();
        let Pair {
            mut source, peer, ..
        } = pair;
        drop(peer);
        world.register(&mut source, 1, interest);
        world.see_silence(log, "registered");
        log.result("read", source.take(&mut [0; 64]));
        world.see_silence(log, "read");
    });
}

fn all_peers_gone_with_data_left(log: &mut Log) {
    each(log, |log, world, mut pair| {
        register(world, &mut pair, 1);
        world.see_silence(log, "registered");
        pair.send();
        pair.part(world, log);
    });
}

fn all_deregistered_after_the_end(log: &mut Log) {
    each(log, |log, world, mut pair| {
        register(world, &mut pair, 1);
        world.see_silence(log, "registered");
        let mut source = pair.part(world, log);
        let registry = world.poll.registry();
        let again = registry.reregister(&mut source, Token(2), Interest::READABLE);
        log.result("reregister", again);
        log.result("deregister", registry.deregister(&mut source));
        world.see_silence(log, "deregistered");
    });
}

fn all_dropped_when_ready(log: &mut Log) {
    each(log, |log, world, mut pair| {
        register(world, &mut pair, 1);
        pair.send();
        drop(pair);
        world.see_silence(log, "dropped");
    });
}

/// Unspecified in mio's documentation, and done all the same.
fn all_moved_to_another_poll(log: &mut Log) {
    each(log, |log, world, mut pair| {
        register(world, &mut pair, 1);
        let deregistered = world.poll.registry().deregister(&mut pair.source);
        log.result("deregister", deregistered);
        let mut other = World::new();
        let interest = pair.interest();
        let registered = other
            .poll
            .registry()
            .register(&mut pair.source, Token(2), interest);
        log.kind("register elsewhere", registered);
        pair.send();
        other.see_silence(log, "there");
        world.see_silence(log, "here");
    });
}
