//! Datagrams gathered from several buffers and scattered into several, by copying them: for systems
//! whose calls take one buffer.

// Compiled on every system, so that it is tested on Linux.
#![cfg_attr(not(test), allow(dead_code))]

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};

/// No datagram is longer.
const LEN_MAX: usize = 65_535;

/// Sends the buffers as one datagram, to an address or to the peer.
pub(crate) fn send(
    socket: &UdpSocket,
    data: &[IoSlice<'_>],
    to: Option<SocketAddr>,
) -> io::Result<usize> {
    // One byte too many is enough for the system to refuse it, and all that is copied then.
    let lens = data.iter().map(|slice| slice.len());
    let len = lens.fold(0, usize::saturating_add).min(LEN_MAX + 1);
    let mut whole = Vec::with_capacity(len);
    for slice in data {
        let left = len - whole.len();
        whole.extend_from_slice(&slice[..slice.len().min(left)]);
    }
    match to {
        Some(to) => socket.send_to(&whole, to),
        None => socket.send(&whole),
    }
}

/// Receives a datagram into the buffers, one after the other.
pub(crate) fn receive(socket: &UdpSocket, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let mut whole = room(buffers);
    let received = socket.recv(&mut whole)?;
    scatter(&whole[..received], buffers);
    Ok(received)
}

/// As [`receive`], and from where it came.
pub(crate) fn receive_from(
    socket: &UdpSocket,
    buffers: &mut [IoSliceMut<'_>],
) -> io::Result<(usize, SocketAddr)> {
    let mut whole = room(buffers);
    let (received, from) = socket.recv_from(&mut whole)?;
    scatter(&whole[..received], buffers);
    Ok((received, from))
}

fn room(buffers: &[IoSliceMut<'_>]) -> Vec<u8> {
    let lens = buffers.iter().map(|buffer| buffer.len().min(LEN_MAX));
    vec![0; lens.sum::<usize>().min(LEN_MAX)]
}

fn scatter(mut from: &[u8], buffers: &mut [IoSliceMut<'_>]) {
    for buffer in buffers {
        let (now, later) = from.split_at(from.len().min(buffer.len()));
        buffer[..now.len()].copy_from_slice(now);
        from = later;
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "no UDP")]
    #[cfg_attr(target_family = "wasm", ignore = "the first datagram has to wait")]
    fn datagrams_are_gathered_and_scattered() {
        let [one, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        other.set_nonblocking(true).unwrap();
        let there = other.local_addr().unwrap();
        let data = [&b"ab"[..], b"", b"cde"].map(IoSlice::new);
        assert_eq!(send(&one, &data, Some(there)).unwrap(), 5);
        one.connect(there).unwrap();
        for data in [&data[..], &data[..1], &[]] {
            let len: usize = data.iter().map(|slice| slice.len()).sum();
            assert_eq!(send(&one, data, None).unwrap(), len);
        }
        let (mut first, mut second) = ([0; 3], [0; 8]);
        let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        let here = one.local_addr().unwrap();
        assert_eq!(receive_from(&other, &mut buffers).unwrap(), (5, here));
        assert_eq!((&*buffers[0], &buffers[1][..2]), (&b"abc"[..], &b"de"[..]));
        // Too short for it.
        assert_eq!(receive(&other, &mut buffers[..1]).unwrap(), 3);
        assert_eq!(receive(&other, &mut buffers).unwrap(), 2);
        assert_eq!(receive(&other, &mut []).unwrap(), 0);
        let error = receive(&other, &mut buffers).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }

    #[test]
    #[cfg_attr(miri, ignore = "no UDP")]
    fn what_is_longer_than_any_datagram_is_refused() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let part = vec![0; 40_000];
        let there = Some(socket.local_addr().unwrap());
        send(&socket, &[IoSlice::new(&part); 3], there).unwrap_err();
        // More than any memory: the buffers to send may be the same.
        let part = vec![0; 1 << 20];
        send(&socket, &vec![IoSlice::new(&part); 1 << 20], there).unwrap_err();
    }
}
