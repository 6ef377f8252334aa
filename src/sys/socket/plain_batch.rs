//! Many UDP datagrams by plain calls, one each: any system.
//!
//! What a run asks that std cannot do is refused if it would be missed (a source address, an
//! interface, a hop limit) and left out if not (marks). Nothing is told but lengths and sources.

// Compiled on every system, so that it is tested on Linux.
#![cfg_attr(not(test), allow(dead_code))]

use std::io;
use std::net::UdpSocket;

use crate::datagram::{Received, RecvRun, SendRun, Wanted};

/// What is known of a socket: nothing, and nothing is granted.
#[derive(Debug)]
pub(crate) struct Offload;

impl Offload {
    #[allow(clippy::unnecessary_wraps)] // of one shape with the other
    pub(crate) fn new(_: &UdpSocket, _: Wanted) -> io::Result<Offload> {
        Ok(Offload)
    }

    #[allow(clippy::unused_self)]
    pub(crate) fn granted(&self) -> Wanted {
        Wanted::NOTHING
    }

    #[allow(clippy::unused_self)]
    pub(crate) fn max_segments(&self) -> usize {
        1
    }

    #[allow(clippy::unused_self)]
    pub(crate) fn max_coalesced(&self) -> usize {
        1
    }
}

/// Sends runs; see `UdpSocket::send_runs`.
pub(crate) fn send(socket: &UdpSocket, _: &Offload, runs: &[SendRun<'_>]) -> io::Result<usize> {
    let mut sent = 0;
    for run in runs {
        let result = check(run).and_then(|()| send_run(socket, run, &mut sent));
        match result {
            Ok(()) => {}
            Err(_) if sent > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

fn send_run(socket: &UdpSocket, run: &SendRun<'_>, sent: &mut usize) -> io::Result<()> {
    for number in 0..run.count() {
        let datagram = run.piece(number, 1);
        match run.to {
            Some(destination) => socket.send_to(datagram, destination)?,
            None => socket.send(datagram)?,
        };
        *sent += 1;
    }
    Ok(())
}

fn check(run: &SendRun<'_>) -> io::Result<()> {
    if run.from.is_none() && run.interface == 0 && run.hop_limit.is_none() {
        return Ok(());
    }
    let message = "source, interface and hop limit of a datagram cannot be chosen on this system; \
                   bind a socket to the address, or set options of the socket";
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

/// Receives runs; see `UdpSocket::recv_runs`.
pub(crate) fn receive<B: AsMut<[u8]>>(
    socket: &UdpSocket,
    _: &Offload,
    runs: &mut [RecvRun<B>],
) -> io::Result<usize> {
    for (received, run) in runs.iter_mut().enumerate() {
        match socket.recv_from(run.buffer.as_mut()) {
            Ok((len, source)) => {
                run.received = Received {
                    source,
                    ..Received::NOTHING
                };
                run.received.cut(len, 0);
            }
            Err(_) if received > 0 => return Ok(received),
            Err(error) => return Err(error),
        }
    }
    Ok(runs.len())
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    fn socket() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    #[test]
    #[cfg_attr(miri, ignore = "no UDP")]
    #[cfg_attr(target_family = "wasm", ignore = "the first datagram has to wait")]
    fn runs_go_out_and_come_in_one_by_one() {
        let (one, other) = (socket(), socket());
        let offload = Offload::new(&one, Wanted::COALESCED).unwrap();
        assert_eq!(offload.granted(), Wanted::NOTHING);
        assert_eq!((offload.max_segments(), offload.max_coalesced()), (1, 1));
        one.connect(other.local_addr().unwrap()).unwrap();
        let there = other.local_addr().unwrap();
        let sends = [
            SendRun::new(b"aab").segment_len(2),
            SendRun::new(b"").to(there),
        ];
        assert_eq!(send(&one, &offload, &sends).unwrap(), 3);
        let mut runs = [(); 4].map(|()| RecvRun::new([0; 8]));
        assert_eq!(receive(&other, &offload, &mut runs).unwrap(), 3);
        let expected: [&[u8]; 3] = [b"aa", b"b", b""];
        for (run, expected) in runs.iter().zip(expected) {
            assert_eq!(run.datagrams().collect::<Vec<_>>(), [expected]);
            assert_eq!(run.source(), one.local_addr().unwrap());
        }
        let error = receive(&other, &offload, &mut runs).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }

    #[test]
    #[cfg_attr(miri, ignore = "no UDP")]
    #[cfg_attr(target_family = "wasm", ignore = "the first datagram has to wait")]
    fn error_before_the_first_datagram_is_told_and_after_it_ends_with_the_count() {
        let (one, other) = (socket(), socket());
        let there = SendRun::new(b"x").to(other.local_addr().unwrap());
        let refused = there.hop_limit(3);
        let error = send(&one, &Offload, &[refused, there]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(send(&one, &Offload, &[there, refused, there]).unwrap(), 1);
    }
}
