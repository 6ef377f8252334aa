//! Many UDP datagrams in runs: Windows.
//!
//! *Segmentation offload* (USO): `WSASendMsg` takes a run in one piece, and the control message
//! `UDP_SEND_MSG_SIZE` says where to cut. *Coalescing* (URO): the system puts what came alike into
//! one buffer, and `UDP_COALESCED_INFO` says where to cut. Both are there since version 2004 of
//! Windows 10. There is no call for several messages.
//!
//! Offload may be refused at any time, by the system, a driver or a route. Then the run goes out
//! datagram by datagram, and if that succeeds the refusal was not the run's fault; several without
//! a success in between switch offload off for the socket, as on Linux. Congestion marks that are
//! refused are left out.
//!
//! Beware of coalescing: there are drivers that put datagrams together and do not say where to cut
//! (quinn-rs/quinn#2041, microsoft/msquic#4955). So it is granted only if the program has switched
//! it on for this socket before. Beware of Wine: `WSASendMsg` there ignores control messages, and
//! `WSARecvMsg` may bring some that nobody asked for, with made-up contents.
//!
//! All system calls go through [`Calls`], so that the tests can refuse them, or play a system that
//! has what Wine lacks.
//!
//! Source: `IPPROTO_UDP` socket options,
//! <https://learn.microsoft.com/windows/win32/winsock/ipproto-udp-socket-options>; `WSASendMsg`,
//! <https://learn.microsoft.com/windows/win32/api/winsock2/nf-winsock2-wsasendmsg>; Winsock
//! explicit congestion notification,
//! <https://learn.microsoft.com/windows/win32/winsock/winsock-ecn>

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::windows::io::AsRawSocket;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use windows_sys::Win32::Networking::WinSock::{
    self, IN_PKTINFO, IN6_PKTINFO, IP_ECN, IP_HOPLIMIT, IP_PKTINFO, IP_RECVECN, IP_RECVTOS,
    IP_RECVTTL, IP_TOS, IP_TTL, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, IPV6_ECN, IPV6_HOPLIMIT,
    IPV6_PKTINFO, IPV6_RECVECN, IPV6_RECVTCLASS, IPV6_TCLASS, LPFN_WSARECVMSG, MSG_CTRUNC,
    MSG_TRUNC, SIO_GET_EXTENSION_FUNCTION_POINTER, SOCKET, UDP_COALESCED_INFO,
    UDP_RECV_MAX_COALESCED_SIZE, UDP_SEND_MSG_SIZE, WSABUF, WSAEINVAL, WSAEMSGSIZE, WSAENOPROTOOPT,
    WSAEOPNOTSUPP, WSAID_WSARECVMSG, WSAIoctl, WSAMSG,
};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::core::{s, w};

use super::address::InetAddress;
use super::control::{
    ControlBuffer, ControlBufferFull, ControlMessages, ControlWriter, control_space,
};
use super::segmentation::{Segmentation, piece_count_max};
use crate::datagram::{Ecn, Received, RecvRun, SendRun, Wanted};

/// Segment size, mark, source address.
const SEND_CONTROL: usize = 2 * control_space(4) + control_space(size_of::<IN6_PKTINFO>());

/// Segment size; mark, class, hop limit and destination, by either version of IP.
const RECV_CONTROL: usize = 4 * control_space(4)
    + control_space(size_of::<IN6_PKTINFO>())
    + control_space(size_of::<IN_PKTINFO>());

/// What is known of a socket: which of the mechanisms work, as found so far, and what it was asked
/// to tell.
#[derive(Debug)]
pub(crate) struct Offload {
    segmentation: Segmentation,
    takes_marks: AtomicBool,
    sends_control: bool,
    granted: Wanted,
    is_ipv6: bool,
}

impl Offload {
    pub(crate) fn new(socket: &UdpSocket, wanted: Wanted) -> io::Result<Offload> {
        Offload::with(&System, socket, wanted)
    }

    fn with(calls: &impl Calls, socket: &UdpSocket, wanted: Wanted) -> io::Result<Offload> {
        let is_ipv6 = socket.local_addr()?.is_ipv6();
        let mut granted = Wanted::NOTHING;
        let hears = wanted != Wanted::NOTHING && calls.receives_control(socket);
        for (flag, _) in Wanted::EACH {
            if hears && wanted.contains(flag) && ask_for(calls, socket, flag, is_ipv6)? {
                granted |= flag;
            }
        }
        let sends_control = calls.sends_control();
        let has_offload = sends_control
            && present(calls.option(socket, IPPROTO_UDP, UDP_SEND_MSG_SIZE))?.is_some();
        Ok(Offload {
            segmentation: Segmentation::new(has_offload),
            takes_marks: AtomicBool::new(sends_control),
            sends_control,
            granted,
            is_ipv6,
        })
    }

    pub(crate) fn granted(&self) -> Wanted {
        self.granted
    }

    pub(crate) fn max_segments(&self) -> usize {
        self.segmentation.segments_max()
    }

    /// The system promises no less than one byte each.
    pub(crate) fn max_coalesced(&self) -> usize {
        if self.granted.contains(Wanted::COALESCED) {
            u16::MAX.into()
        } else {
            1
        }
    }
}

/// Lets the system coalesce what the socket receives, or not any more.
pub(crate) fn set_coalescing(socket: &UdpSocket, is_on: bool) -> io::Result<()> {
    let bytes_max = if is_on { u16::MAX.into() } else { 0 };
    System.set_option(socket, IPPROTO_UDP, UDP_RECV_MAX_COALESCED_SIZE, bytes_max)
}

/// Sets the options that a flag stands for; false if the system has none.
fn ask_for(
    calls: &impl Calls,
    socket: &UdpSocket,
    flag: Wanted,
    is_ipv6: bool,
) -> io::Result<bool> {
    // By either version of IP; the second pair is less, and taken where the first is missing.
    let pairs: &[(i32, i32)] = match flag {
        Wanted::COALESCED => {
            let option = calls.option(socket, IPPROTO_UDP, UDP_RECV_MAX_COALESCED_SIZE);
            return Ok(present(option)?.is_some_and(|bytes_max| bytes_max > 0));
        }
        Wanted::DESTINATION => &[(IP_PKTINFO, IPV6_PKTINFO)],
        Wanted::ECN => &[(IP_RECVTOS, IPV6_RECVTCLASS), (IP_RECVECN, IPV6_RECVECN)],
        Wanted::HOP_LIMIT => &[(IP_RECVTTL, IPV6_HOPLIMIT)],
        // The system's timestamps are not of the clock, and it does not count drops.
        _ => return Ok(false),
    };
    for &(v4, v6) in pairs {
        let told = |level, option| present(calls.set_option(socket, level, option, 1));
        let is_told_v4 = told(IPPROTO_IP, v4);
        let is_told = if is_ipv6 {
            // A socket for IPv6 only may refuse the option for IPv4, and needs none.
            told(IPPROTO_IPV6, v6)?
        } else {
            is_told_v4?
        };
        if is_told.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// None if the error says that the system does not know the option.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(WSAENOPROTOOPT | WSAEOPNOTSUPP | WSAEINVAL)
    )
}

/// Whether the error may be one about offload, and not about the datagrams.
fn is_refusal(error: &io::Error) -> bool {
    is_missing(error) || error.raw_os_error() == Some(WSAEMSGSIZE)
}

// Sending

/// Sends runs; see `UdpSocket::send_runs`.
pub(crate) fn send(
    socket: &UdpSocket,
    offload: &Offload,
    runs: &[SendRun<'_>],
) -> io::Result<usize> {
    send_by(&System, socket, offload, runs)
}

fn send_by(
    calls: &impl Calls,
    socket: &UdpSocket,
    offload: &Offload,
    runs: &[SendRun<'_>],
) -> io::Result<usize> {
    let mut sent = 0;
    for run in runs {
        let result =
            check(offload, run).and_then(|()| send_run(calls, socket, offload, run, &mut sent));
        match result {
            Ok(()) => {}
            Err(_) if sent > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

/// Refuses what would be missed if it were left out.
fn check(offload: &Offload, run: &SendRun<'_>) -> io::Result<()> {
    let message = if run.hop_limit.is_some() {
        "the hop limit of a datagram cannot be chosen on this system; set the socket's"
    } else if has_source(run) && !offload.sends_control {
        "source and interface of a datagram cannot be chosen on this system; bind a socket to the \
         address"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

fn has_source(run: &SendRun<'_>) -> bool {
    run.from.is_some() || run.interface != 0
}

/// Sends what is left of a run after `sent` was counted up, piece by piece.
fn send_run(
    calls: &impl Calls,
    socket: &UdpSocket,
    offload: &Offload,
    run: &SendRun<'_>,
    sent: &mut usize,
) -> io::Result<()> {
    let is_v4 = has_metadata(run) && goes_by_v4(socket, offload, run);
    let mut mark = run
        .traffic_class
        .map(Ecn::of)
        .filter(|_| offload.takes_marks.load(Relaxed));
    let mut segments_max = offload.max_segments();
    let mut was_refused = false;
    let mut was_unmarked = false;
    let mut done = 0;
    while done < run.count() {
        let count = (run.count() - done).min(piece_count_max(run, segments_max));
        let mut control = ControlBuffer::<SEND_CONTROL>::new();
        let mut writer = ControlWriter::over(&mut control.bytes);
        write_control(&mut writer, run, count > 1, mark, is_v4)
            .expect("SEND_CONTROL has room for everything");
        let piece = run.piece(done, count);
        match calls.send(socket, piece, run.to, writer.into_bytes()) {
            Ok(()) => {
                done += count;
                *sent += count;
                if std::mem::take(&mut was_unmarked) {
                    offload.takes_marks.store(false, Relaxed);
                }
                if std::mem::take(&mut was_refused) {
                    offload.segmentation.was_refused(false);
                } else if count > 1 {
                    offload.segmentation.was_accepted();
                }
            }
            Err(error) if count > 1 && is_refusal(&error) => {
                segments_max = 1;
                was_refused = true;
            }
            Err(error) if mark.is_some() && is_missing(&error) => {
                mark = None;
                was_unmarked = true;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn has_metadata(run: &SendRun<'_>) -> bool {
    has_source(run) || run.traffic_class.is_some()
}

/// Which version of IP carries the run: control messages are of one or the other.
fn goes_by_v4(socket: &UdpSocket, offload: &Offload, run: &SendRun<'_>) -> bool {
    if !offload.is_ipv6 {
        return true;
    }
    let to = run.to.or_else(|| socket.peer_addr().ok());
    to.is_some_and(|to| to.ip().to_canonical().is_ipv4())
}

fn write_control(
    writer: &mut ControlWriter<'_>,
    run: &SendRun<'_>,
    is_segmented: bool,
    mark: Option<Ecn>,
    is_v4: bool,
) -> Result<(), ControlBufferFull> {
    if is_segmented {
        let segment = run.segment as u32; // two go in one piece
        writer.push(IPPROTO_UDP, UDP_SEND_MSG_SIZE, &segment.to_ne_bytes())?;
    }
    if let Some(mark) = mark {
        let mark = (mark as i32).to_ne_bytes();
        if is_v4 {
            writer.push(IPPROTO_IP, IP_ECN, &mark)?;
        } else {
            writer.push(IPPROTO_IPV6, IPV6_ECN, &mark)?;
        }
    }
    if !has_source(run) {
        return Ok(());
    }
    let interface = run.interface.to_ne_bytes();
    let from = run.from.map(|from| from.to_canonical());
    match from {
        Some(IpAddr::V4(from)) => {
            let data = pktinfo_v4(from.octets(), interface);
            writer.push(IPPROTO_IP, IP_PKTINFO, &data)
        }
        None if is_v4 => {
            let data = pktinfo_v4([0; 4], interface);
            writer.push(IPPROTO_IP, IP_PKTINFO, &data)
        }
        // The fields of an `IN6_PKTINFO`: address, interface.
        from => {
            let mut data = [0; size_of::<IN6_PKTINFO>()];
            if let Some(IpAddr::V6(from)) = from {
                data[..16].copy_from_slice(&from.octets());
            }
            data[16..20].copy_from_slice(&interface);
            writer.push(IPPROTO_IPV6, IPV6_PKTINFO, &data)
        }
    }
}

/// The fields of an `IN_PKTINFO`: address, interface.
fn pktinfo_v4(from: [u8; 4], interface: [u8; 4]) -> [u8; size_of::<IN_PKTINFO>()] {
    let mut data = [0; size_of::<IN_PKTINFO>()];
    data[..4].copy_from_slice(&from);
    data[4..8].copy_from_slice(&interface);
    data
}

// Receiving

/// Receives runs; see `UdpSocket::recv_runs`.
pub(crate) fn receive<B: AsMut<[u8]>>(
    socket: &UdpSocket,
    offload: &Offload,
    runs: &mut [RecvRun<B>],
) -> io::Result<usize> {
    receive_by(&System, socket, offload, runs)
}

fn receive_by<B: AsMut<[u8]>>(
    calls: &impl Calls,
    socket: &UdpSocket,
    offload: &Offload,
    runs: &mut [RecvRun<B>],
) -> io::Result<usize> {
    for (received, run) in runs.iter_mut().enumerate() {
        let mut control = ControlBuffer::<RECV_CONTROL>::new();
        let room = if offload.granted == Wanted::NOTHING {
            &mut []
        } else {
            &mut control.bytes[..]
        };
        match calls.receive(socket, run.buffer.as_mut(), room) {
            Ok(answer) => {
                run.received = Received {
                    is_truncated: answer.is_truncated,
                    source: answer.source.unwrap_or(Received::NOTHING.source),
                    ..Received::NOTHING
                };
                read_control(
                    answer.control,
                    answer.len,
                    offload.granted,
                    &mut run.received,
                );
            }
            Err(_) if received > 0 => return Ok(received),
            Err(error) => return Err(error),
        }
    }
    Ok(runs.len())
}

/// Takes down what the system told of a message of `len` bytes, as far as it was asked to.
fn read_control(control: &[u8], len: usize, granted: Wanted, received: &mut Received) {
    const COALESCED_INFO: i32 = UDP_COALESCED_INFO as i32;
    let mut segment = 0;
    for message in ControlMessages::new(control) {
        let data = message.data;
        let wanted = match (message.level, message.kind) {
            (IPPROTO_UDP, COALESCED_INFO) => Wanted::COALESCED,
            (IPPROTO_IP, IP_PKTINFO) | (IPPROTO_IPV6, IPV6_PKTINFO) => Wanted::DESTINATION,
            (IPPROTO_IP, IP_TOS | IP_ECN) | (IPPROTO_IPV6, IPV6_TCLASS | IPV6_ECN) => Wanted::ECN,
            (IPPROTO_IP, IP_TTL | IP_HOPLIMIT) | (IPPROTO_IPV6, IPV6_HOPLIMIT) => Wanted::HOP_LIMIT,
            _ => continue,
        };
        if !granted.contains(wanted) {
            continue;
        }
        match (message.level, message.kind) {
            (IPPROTO_UDP, _) => segment = int(data).and_then(|n| n.try_into().ok()).unwrap_or(0),
            (IPPROTO_IP, IP_PKTINFO) => {
                // The fields of an `IN_PKTINFO`: the datagram's address, interface.
                if let (Some(address), Some(interface)) = (array::<4>(data, 0), array(data, 4)) {
                    received.destination = Some(IpAddr::from(address));
                    received.interface = Some(u32::from_ne_bytes(interface));
                }
            }
            (IPPROTO_IPV6, IPV6_PKTINFO) => {
                // The fields of an `IN6_PKTINFO`: the same.
                if let (Some(address), Some(interface)) = (array::<16>(data, 0), array(data, 16)) {
                    received.destination = Some(IpAddr::from(address).to_canonical());
                    received.interface = Some(u32::from_ne_bytes(interface));
                }
            }
            (IPPROTO_IP, IP_TOS) | (IPPROTO_IPV6, IPV6_TCLASS) => {
                if let Some(class) = int(data) {
                    received.set_traffic_class(class as u8);
                }
            }
            (IPPROTO_IP, IP_ECN) | (IPPROTO_IPV6, IPV6_ECN) => {
                received.ecn = int(data).map(|mark| Ecn::of(mark as u8));
            }
            _ => received.hop_limit = int(data).map(|hops| hops as u8),
        }
    }
    received.cut(len, segment);
}

/// An `INT` of the data.
fn int(data: &[u8]) -> Option<i32> {
    array(data, 0).map(i32::from_ne_bytes)
}

/// `N` bytes from `start` on.
fn array<const N: usize>(data: &[u8], start: usize) -> Option<[u8; N]> {
    data.get(start..start + N)?.try_into().ok()
}

// System calls

/// What a receiving call has brought.
struct Answer<'c> {
    len: usize,
    source: Option<SocketAddr>,
    control: &'c [u8],
    /// The buffer was too small.
    is_truncated: bool,
}

/// The system calls of this file.
trait Calls {
    fn option(&self, socket: &UdpSocket, level: i32, option: i32) -> io::Result<u32>;

    fn set_option(&self, socket: &UdpSocket, level: i32, option: i32, value: u32)
    -> io::Result<()>;

    /// Whether control messages have an effect on what is sent.
    fn sends_control(&self) -> bool;

    /// Whether there is a way to hear control messages.
    fn receives_control(&self, socket: &UdpSocket) -> bool;

    /// Sends to an address, or the peer.
    fn send(
        &self,
        socket: &UdpSocket,
        contents: &[u8],
        to: Option<SocketAddr>,
        control: &[u8],
    ) -> io::Result<()>;

    /// Receives, and hears nothing if there is no room for control messages.
    fn receive<'c>(
        &self,
        socket: &UdpSocket,
        buffer: &mut [u8],
        control: &'c mut [MaybeUninit<u8>],
    ) -> io::Result<Answer<'c>>;
}

/// The real ones.
struct System;

impl Calls for System {
    fn option(&self, socket: &UdpSocket, level: i32, option: i32) -> io::Result<u32> {
        let mut value = 0u32;
        let mut len = size_of_val(&value) as i32;
        let to = (&raw mut value).cast();
        // SAFETY: at most `len` bytes are written to `to`, for which there is room, and how many.
        super::check(unsafe { WinSock::getsockopt(raw(socket), level, option, to, &mut len) })?;
        Ok(value)
    }

    fn set_option(
        &self,
        socket: &UdpSocket,
        level: i32,
        option: i32,
        value: u32,
    ) -> io::Result<()> {
        let (from, len) = ((&raw const value).cast(), size_of_val(&value) as i32);
        // SAFETY: `len` bytes are read, which are there.
        super::check(unsafe { WinSock::setsockopt(raw(socket), level, option, from, len) })
    }

    fn sends_control(&self) -> bool {
        !is_wine()
    }

    fn receives_control(&self, socket: &UdpSocket) -> bool {
        recvmsg(socket).is_some()
    }

    fn send(
        &self,
        socket: &UdpSocket,
        contents: &[u8],
        to: Option<SocketAddr>,
        control: &[u8],
    ) -> io::Result<()> {
        if control.is_empty() {
            return match to {
                Some(to) => socket.send_to(contents, to).map(drop),
                None => socket.send(contents).map(drop),
            };
        }
        let mut buffer = WSABUF {
            len: len(contents.len()),
            buf: contents.as_ptr().cast_mut(),
        };
        let address = to.map(InetAddress::new);
        let (name, namelen) = match &address {
            Some(address) => (address.as_ptr().cast_mut(), address.len()),
            None => (ptr::null_mut(), 0),
        };
        let message = WSAMSG {
            name,
            namelen,
            lpBuffers: &mut buffer,
            dwBufferCount: 1,
            Control: WSABUF {
                len: len(control.len()),
                buf: control.as_ptr().cast_mut(),
            },
            dwFlags: 0,
        };
        let mut sent = 0;
        // SAFETY: what the message points to is as long as it says and stays for the call, which
        // only reads it and, without an `OVERLAPPED`, is over when it returns.
        super::check(unsafe {
            WinSock::WSASendMsg(raw(socket), &message, 0, &mut sent, ptr::null_mut(), None)
        })
    }

    fn receive<'c>(
        &self,
        socket: &UdpSocket,
        buffer: &mut [u8],
        control: &'c mut [MaybeUninit<u8>],
    ) -> io::Result<Answer<'c>> {
        match recvmsg(socket) {
            Some(recvmsg) if !control.is_empty() => {
                receive_message(recvmsg, socket, buffer, control)
            }
            _ => receive_plainly(socket, buffer),
        }
    }
}

fn receive_plainly(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Answer<'static>> {
    let mut source = InetAddress::EMPTY;
    let (name, namelen) = source.room();
    let (start, room) = (buffer.as_mut_ptr(), len(buffer.len()).min(i32::MAX as u32));
    // SAFETY: at most `room` bytes are written, for which there is room, and an address and its
    // length.
    let result = unsafe { WinSock::recvfrom(raw(socket), start, room as i32, 0, name, namelen) };
    let truncated = truncation(super::check(result))?;
    Ok(Answer {
        len: if truncated {
            buffer.len()
        } else {
            result as usize
        },
        source: source.to_std(),
        control: &[],
        is_truncated: truncated,
    })
}

fn receive_message<'c>(
    recvmsg: RecvMsg,
    socket: &UdpSocket,
    buffer: &mut [u8],
    control: &'c mut [MaybeUninit<u8>],
) -> io::Result<Answer<'c>> {
    // Should the system claim to have written more than it has, it is zeros.
    control.fill(MaybeUninit::new(0));
    let mut source = InetAddress::EMPTY;
    let (name, namelen) = source.room();
    let mut place = WSABUF {
        len: len(buffer.len()),
        buf: buffer.as_mut_ptr(),
    };
    let mut message = WSAMSG {
        name,
        // SAFETY: it points to a field of `source`, just written.
        namelen: unsafe { namelen.read() },
        lpBuffers: &mut place,
        dwBufferCount: 1,
        Control: WSABUF {
            len: len(control.len()),
            buf: control.as_mut_ptr().cast(),
        },
        dwFlags: 0,
    };
    let mut received = 0;
    // SAFETY: the function was given out by the system under this name. What the message points to
    // is as long as it says, may be written to, and stays for the call, which without an
    // `OVERLAPPED` is over when it returns.
    let result = unsafe {
        recvmsg(
            raw(socket),
            &mut message,
            &mut received,
            ptr::null_mut(),
            None,
        )
    };
    let truncated = is_datagram_cut(truncation(super::check(result))?, message.dwFlags);
    source.len = message.namelen;
    let control_len = (message.Control.len as usize).min(control.len());
    let control: *const [MaybeUninit<u8>] = &control[..control_len];
    Ok(Answer {
        len: if truncated {
            buffer.len()
        } else {
            received as usize
        },
        source: source.to_std(),
        // SAFETY: they were all filled above, and stay borrowed for `'c`.
        control: unsafe { &*(control as *const [u8]) },
        is_truncated: truncated,
    })
}

/// That a datagram did not fit is an error here, after all that fits has been written.
fn truncation(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(false),
        Err(error) if error.raw_os_error() == Some(WSAEMSGSIZE) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether it was the datagram. It may have been control messages alone, which is the same error:
/// something that the program itself has switched on, and for which there is no room.
fn is_datagram_cut(is_something_cut: bool, flags: u32) -> bool {
    match flags & (MSG_TRUNC | MSG_CTRUNC) {
        0 => is_something_cut,
        cut => cut != MSG_CTRUNC,
    }
}

/// The function, not null.
type RecvMsg = unsafe extern "system" fn(
    SOCKET,
    *mut WSAMSG,
    *mut u32,
    *mut windows_sys::Win32::System::IO::OVERLAPPED,
    WinSock::LPWSAOVERLAPPED_COMPLETION_ROUTINE,
) -> i32;

/// `WSARecvMsg`, which is in no library: a socket is asked for it, once for the process.
fn recvmsg(socket: &UdpSocket) -> Option<RecvMsg> {
    static FUNCTION: OnceLock<LPFN_WSARECVMSG> = OnceLock::new();
    *FUNCTION.get_or_init(|| {
        let name = WSAID_WSARECVMSG;
        let mut function: LPFN_WSARECVMSG = None;
        let mut written = 0;
        // SAFETY: a GUID is read and a function's address written, for which there is room, or
        // nothing; the call is synchronous.
        let result = super::check(unsafe {
            WSAIoctl(
                raw(socket),
                SIO_GET_EXTENSION_FUNCTION_POINTER,
                (&raw const name).cast(),
                size_of_val(&name) as u32,
                (&raw mut function).cast(),
                size_of_val(&function) as u32,
                &mut written,
                ptr::null_mut(),
                None,
            )
        });
        result.ok().and(function)
    })
}

/// Wine says so itself.
fn is_wine() -> bool {
    static IS_WINE: OnceLock<bool> = OnceLock::new();
    *IS_WINE.get_or_init(|| {
        // SAFETY: the name ends with a zero. The library is part of every process.
        let ntdll = unsafe { GetModuleHandleW(w!("ntdll.dll")) };
        // SAFETY: the name ends with a zero, and the library is loaded.
        unsafe { GetProcAddress(ntdll, s!("wine_get_version")) }.is_some()
    })
}

fn raw(socket: &UdpSocket) -> SOCKET {
    socket.as_raw_socket() as SOCKET
}

/// As the system's structs have it. What is longer is no datagram, and refused.
fn len(len: usize) -> u32 {
    len.try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::io::ErrorKind;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::super::segmentation::{REFUSALS_MAX, SEGMENTS_MAX};
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    /// A system that has everything, made of plain calls: it cuts and coalesces itself. What it is
    /// asked to send is refused as told.
    struct Able {
        /// For what is to be cut. Taken from the end; 0 lets the call through.
        segmented: RefCell<Vec<i32>>,
        takes_marks: bool,
        receives_control: bool,
        coalesces: Cell<u32>,
        missing_options: &'static [i32],
        /// How many bytes, and the kinds of control messages.
        log: RefCell<Vec<(usize, Vec<i32>)>>,
    }

    impl Default for Able {
        fn default() -> Able {
            Able {
                segmented: RefCell::default(),
                takes_marks: true,
                receives_control: true,
                coalesces: Cell::new(0),
                missing_options: &[],
                log: RefCell::default(),
            }
        }
    }

    impl Calls for Able {
        fn option(&self, _: &UdpSocket, level: i32, option: i32) -> io::Result<u32> {
            if self.missing_options.contains(&option) {
                return Err(io::Error::from_raw_os_error(WSAENOPROTOOPT));
            }
            match (level, option) {
                (IPPROTO_UDP, UDP_RECV_MAX_COALESCED_SIZE) => Ok(self.coalesces.get()),
                _ => Ok(0),
            }
        }

        fn set_option(&self, _: &UdpSocket, _: i32, option: i32, _: u32) -> io::Result<()> {
            if self.missing_options.contains(&option) {
                return Err(io::Error::from_raw_os_error(WSAEINVAL));
            }
            Ok(())
        }

        fn sends_control(&self) -> bool {
            true
        }

        fn receives_control(&self, _: &UdpSocket) -> bool {
            self.receives_control
        }

        fn send(
            &self,
            socket: &UdpSocket,
            contents: &[u8],
            to: Option<SocketAddr>,
            control: &[u8],
        ) -> io::Result<()> {
            let mut segment = contents.len().max(1);
            let mut kinds = Vec::new();
            for message in ControlMessages::new(control) {
                kinds.push(message.kind);
                if (message.level, message.kind) == (IPPROTO_UDP, UDP_SEND_MSG_SIZE) {
                    segment = int(message.data).unwrap() as usize;
                }
            }
            self.log.borrow_mut().push((contents.len(), kinds.clone()));
            if kinds.contains(&IP_ECN) && !self.takes_marks {
                return Err(io::Error::from_raw_os_error(WSAEINVAL));
            }
            if kinds.contains(&UDP_SEND_MSG_SIZE) {
                match self.segmented.borrow_mut().pop() {
                    Some(0) | None => {}
                    Some(code) => return Err(io::Error::from_raw_os_error(code)),
                }
            }
            if contents.is_empty() {
                return System.send(socket, contents, to, &[]);
            }
            contents
                .chunks(segment)
                .try_for_each(|datagram| System.send(socket, datagram, to, &[]))
        }

        fn receive<'c>(
            &self,
            socket: &UdpSocket,
            buffer: &mut [u8],
            control: &'c mut [MaybeUninit<u8>],
        ) -> io::Result<Answer<'c>> {
            let mut answer = System.receive(socket, buffer, &mut [])?;
            let segment = answer.len;
            if self.coalesces.get() == 0 || control.is_empty() {
                return Ok(Answer {
                    control: &[],
                    ..answer
                });
            }
            while let Ok(next) = System.receive(socket, &mut buffer[answer.len..], &mut []) {
                answer.len += next.len;
                if next.len < segment {
                    break;
                }
            }
            let mut writer = ControlWriter::over(control);
            let info = (segment as u32).to_ne_bytes();
            writer
                .push(IPPROTO_UDP, UDP_COALESCED_INFO as i32, &info)
                .unwrap();
            writer.push(IPPROTO_IP, IP_TTL, &[9, 0, 0, 0]).unwrap();
            Ok(Answer {
                control: writer.into_bytes(),
                ..answer
            })
        }
    }

    fn socket() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    fn pair() -> (UdpSocket, UdpSocket) {
        let (one, other) = (socket(), socket());
        one.connect(other.local_addr().unwrap()).unwrap();
        (one, other)
    }

    /// Tries again until something has come.
    #[track_caller]
    fn soon<T>(mut receive: impl FnMut() -> io::Result<T>) -> T {
        let start = Instant::now();
        loop {
            match receive() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result.unwrap(),
            }
            assert!(start.elapsed() < SOON, "nothing came");
            thread::yield_now();
        }
    }

    #[track_caller]
    fn assert_arrived(socket: &UdpSocket, expected: &[&[u8]]) {
        for datagram in expected {
            let mut buffer = [0; 100];
            let len = soon(|| socket.recv(&mut buffer));
            assert_eq!(&buffer[..len], *datagram);
        }
        let error = socket.recv(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }

    const RUN: &[u8] = b"aabbccd";
    const CUT: [&[u8]; 4] = [b"aa", b"bb", b"cc", b"d"];

    #[test]
    fn run_goes_out_in_one_piece_that_says_where_to_cut() {
        let (one, other) = pair();
        let calls = Able::default();
        let offload = Offload::with(&calls, &one, Wanted::NOTHING).unwrap();
        assert_eq!(offload.max_segments(), SEGMENTS_MAX);
        let run = [SendRun::new(RUN).segment_len(2)];
        assert_eq!(send_by(&calls, &one, &offload, &run).unwrap(), 4);
        assert_eq!(calls.log.take(), [(7, vec![UDP_SEND_MSG_SIZE])]);
        assert_arrived(&other, &CUT);
    }

    #[test]
    fn refused_run_goes_out_one_by_one_in_the_same_call() {
        for code in [WSAEINVAL, WSAEMSGSIZE, WSAEOPNOTSUPP, WSAENOPROTOOPT] {
            let (one, other) = pair();
            let calls = Able::default();
            let offload = Offload::with(&calls, &one, Wanted::NOTHING).unwrap();
            calls.segmented.borrow_mut().push(code);
            let run = [SendRun::new(RUN).segment_len(2)];
            assert_eq!(send_by(&calls, &one, &offload, &run).unwrap(), 4);
            let mut expected = vec![(7, vec![UDP_SEND_MSG_SIZE])];
            expected.extend(CUT.map(|datagram| (datagram.len(), vec![])));
            assert_eq!(calls.log.take(), expected);
            assert_arrived(&other, &CUT);
            assert_eq!(offload.max_segments(), SEGMENTS_MAX);
        }
    }

    #[test]
    fn refusals_in_a_row_switch_offload_off_and_a_success_starts_anew() {
        let (one, other) = pair();
        let calls = Able::default();
        let offload = Offload::with(&calls, &one, Wanted::NOTHING).unwrap();
        let run = [SendRun::new(RUN).segment_len(2)];
        let send = |code| {
            calls.segmented.borrow_mut().push(code);
            assert_eq!(send_by(&calls, &one, &offload, &run).unwrap(), 4);
            assert_arrived(&other, &CUT);
            offload.max_segments()
        };
        for _ in 1..REFUSALS_MAX {
            assert_eq!(send(WSAEINVAL), SEGMENTS_MAX);
        }
        assert_eq!(send(0), SEGMENTS_MAX);
        for round in 1..=REFUSALS_MAX {
            let is_last = round == REFUSALS_MAX;
            assert_eq!(send(WSAEINVAL), if is_last { 1 } else { SEGMENTS_MAX });
        }
        calls.log.take();
        send(0);
        assert_eq!(calls.log.take().len(), 4, "one call for each");
    }

    /// What is wrong with the datagrams themselves says nothing about offload.
    #[test]
    fn error_of_the_run_is_told_and_not_held_against_offload() {
        let (one, _other) = pair();
        let calls = Able::default();
        let offload = Offload::with(&calls, &one, Wanted::NOTHING).unwrap();
        let large = vec![0; 140_000];
        let run = [SendRun::new(&large).segment_len(70_000)];
        for _ in 0..2 * REFUSALS_MAX {
            assert!(send_by(&calls, &one, &offload, &run).is_err());
        }
        assert_eq!(offload.max_segments(), SEGMENTS_MAX);
    }

    #[test]
    fn marks_that_are_refused_are_left_out_and_that_is_remembered() {
        let (one, other) = pair();
        let calls = Able {
            takes_marks: false,
            ..Able::default()
        };
        let offload = Offload::with(&calls, &one, Wanted::NOTHING).unwrap();
        let run = [SendRun::new(b"marked").ecn(Ecn::Capable0)];
        for expected in [&[(6, vec![IP_ECN]), (6, vec![])][..], &[(6, vec![])]] {
            assert_eq!(send_by(&calls, &one, &offload, &run).unwrap(), 1);
            assert_eq!(calls.log.take(), expected);
            assert_arrived(&other, &[b"marked"]);
        }
    }

    #[test]
    fn what_would_be_missed_is_refused_and_what_is_taken_goes_along() {
        let (one, other) = pair();
        let calls = Able::default();
        let offload = Offload::with(&calls, &one, Wanted::NOTHING).unwrap();
        let run = SendRun::new(b"x");
        let all = run
            .ecn(Ecn::Capable1)
            .from("127.0.0.1".parse().unwrap())
            .interface(1);
        assert_eq!(send_by(&calls, &one, &offload, &[all]).unwrap(), 1);
        assert_eq!(calls.log.take(), [(1, vec![IP_ECN, IP_PKTINFO])]);
        assert_arrived(&other, &[b"x"]);
        let error = send_by(&calls, &one, &offload, &[run.hop_limit(3), run]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let runs = [run, run.hop_limit(3), run];
        assert_eq!(send_by(&calls, &one, &offload, &runs).unwrap(), 1);
    }

    #[test]
    fn coalesced_datagrams_come_apart_again() {
        let (one, other) = pair();
        let calls = Able::default();
        let wanted = Wanted::COALESCED;
        let offload = Offload::with(&calls, &other, wanted).unwrap();
        assert_eq!(offload.granted(), Wanted::NOTHING, "it is not switched on");
        calls.coalesces.set(65_535);
        let offload = Offload::with(&calls, &other, wanted).unwrap();
        assert_eq!(offload.granted(), wanted);
        assert!(offload.max_coalesced() >= 4);
        for datagram in CUT {
            one.send(datagram).unwrap();
        }
        let mut datagrams = Vec::new();
        while datagrams.len() < 4 {
            let mut runs = [RecvRun::new(vec![0; 65_535])];
            soon(|| receive_by(&calls, &other, &offload, &mut runs));
            datagrams.extend(runs[0].datagrams().map(<[u8]>::to_vec));
            assert_eq!(runs[0].hop_limit(), None, "nobody asked");
            assert_eq!(runs[0].source(), one.local_addr().unwrap());
        }
        assert_eq!(datagrams, CUT);
    }

    #[test]
    fn what_the_system_lacks_is_not_granted() {
        let one = socket();
        let wanted = Wanted::EACH
            .iter()
            .fold(Wanted::NOTHING, |all, (flag, _)| all | *flag);
        let lacking = |missing_options, receives_control| {
            let calls = Able {
                missing_options,
                receives_control,
                ..Able::default()
            };
            let offload = Offload::with(&calls, &one, wanted).unwrap();
            (offload.granted(), offload.max_segments())
        };
        let most = Wanted::DESTINATION | Wanted::ECN | Wanted::HOP_LIMIT;
        assert_eq!(lacking(&[], true), (most, SEGMENTS_MAX));
        assert_eq!(lacking(&[UDP_SEND_MSG_SIZE], true), (most, 1));
        // The mark can be had without the class.
        assert_eq!(lacking(&[IP_RECVTOS], true), (most, SEGMENTS_MAX));
        let less = Wanted::DESTINATION | Wanted::HOP_LIMIT;
        assert_eq!(
            lacking(&[IP_RECVTOS, IP_RECVECN], true),
            (less, SEGMENTS_MAX)
        );
        assert_eq!(lacking(&[], false), (Wanted::NOTHING, SEGMENTS_MAX));
    }

    #[test]
    fn every_kind_of_metadata_is_read_and_only_if_granted() {
        let int = |value: i32| value.to_ne_bytes();
        let v4 = pktinfo_v4([127, 0, 0, 5], 7_u32.to_ne_bytes());
        let mut v6 = [0; 20];
        v6[15] = 1;
        v6[16..].copy_from_slice(&8_u32.to_ne_bytes());
        let read = |granted, messages: &[(i32, i32, &[u8])]| {
            let mut buffer = [0; RECV_CONTROL];
            let mut writer = ControlWriter::new(&mut buffer);
            for &(level, kind, data) in messages {
                writer.push(level, kind, data).unwrap();
            }
            let mut received = Received::NOTHING;
            read_control(writer.into_bytes(), 10, granted, &mut received);
            received
        };
        let messages: [(i32, i32, &[u8]); 4] = [
            (IPPROTO_UDP, UDP_COALESCED_INFO as i32, &4_u32.to_ne_bytes()),
            (IPPROTO_IP, IP_PKTINFO, &v4),
            (IPPROTO_IP, IP_TOS, &int(46 << 2 | 1)),
            (IPPROTO_IP, IP_TTL, &int(63)),
        ];
        let all = Wanted::EACH
            .iter()
            .fold(Wanted::NOTHING, |all, (flag, _)| all | *flag);
        let received = read(all, &messages);
        assert_eq!((received.count, received.segment), (3, 4));
        assert_eq!(received.destination, Some([127, 0, 0, 5].into()));
        assert_eq!(received.interface, Some(7));
        assert_eq!(
            (received.ecn, received.dscp),
            (Some(Ecn::Capable1), Some(46))
        );
        assert_eq!(received.hop_limit, Some(63));

        let received = read(Wanted::NOTHING, &messages);
        assert_eq!((received.count, received.segment), (1, 10));
        assert_eq!((received.destination, received.hop_limit), (None, None));
        assert_eq!((received.ecn, received.dscp), (None, None));

        let messages: [(i32, i32, &[u8]); 3] = [
            (IPPROTO_IPV6, IPV6_PKTINFO, &v6),
            (IPPROTO_IPV6, IPV6_ECN, &int(3)),
            (IPPROTO_IPV6, IPV6_HOPLIMIT, &int(1)),
        ];
        let received = read(all, &messages);
        assert_eq!(received.destination, Some("::1".parse().unwrap()));
        assert_eq!(received.interface, Some(8));
        assert_eq!((received.ecn, received.dscp), (Some(Ecn::Congested), None));
        assert_eq!(received.hop_limit, Some(1));
        // Cut off in the midst of the data.
        let received = read(all, &[(IPPROTO_IP, IP_PKTINFO, &v4[..7])]);
        assert_eq!(received.destination, None);
    }

    #[test]
    fn every_control_message_at_once_fits() {
        let all = SendRun::new(b"").interface(1);
        for run in [
            all,
            all.from("::1".parse().unwrap()),
            all.from("127.0.0.1".parse().unwrap()),
        ] {
            for is_v4 in [false, true] {
                let mut buffer = ControlBuffer::<SEND_CONTROL>::new();
                let mut writer = ControlWriter::over(&mut buffer.bytes);
                write_control(&mut writer, &run, true, Some(Ecn::Capable0), is_v4).unwrap();
            }
        }
    }

    #[test]
    fn datagram_is_whole_if_only_control_messages_were_cut() {
        for (is_error, flags, expected) in [
            (false, 0, false),
            (true, 0, true),
            (true, MSG_TRUNC, true),
            (true, MSG_TRUNC | MSG_CTRUNC, true),
            (true, MSG_CTRUNC, false),
            (false, MSG_TRUNC, true),
        ] {
            assert_eq!(is_datagram_cut(is_error, flags), expected, "{flags:#x}");
        }
    }

    /// Of the system itself: whatever it grants is right, by either way to receive.
    #[test]
    fn what_the_system_grants_it_tells_and_what_does_not_fit_is_cut() {
        let wanted = Wanted::DESTINATION | Wanted::ECN | Wanted::HOP_LIMIT;
        for wanted in [Wanted::NOTHING, wanted] {
            let (one, other) = pair();
            let offload = Offload::new(&other, wanted).unwrap();
            one.set_ttl(9).unwrap();
            one.send(b"0123456789").unwrap();
            one.send(b"0123456789").unwrap();
            one.send(b"").unwrap();
            let mut runs = [
                RecvRun::new(vec![0; 4]),
                RecvRun::new(vec![0; 10]),
                RecvRun::new(vec![0; 10]),
            ];
            let mut filled = 0;
            while filled < 3 {
                filled += soon(|| receive(&other, &offload, &mut runs[filled..]));
            }
            for (run, (contents, is_truncated)) in
                runs.iter()
                    .zip([(&b"0123"[..], true), (b"0123456789", false), (b"", false)])
            {
                assert_eq!(
                    (run.contents(), run.is_truncated()),
                    (contents, is_truncated)
                );
                assert_eq!((run.count(), run.source()), (1, one.local_addr().unwrap()));
                let granted = offload.granted();
                let is_granted = |flag| granted.contains(flag);
                if is_granted(Wanted::DESTINATION) {
                    let ip = run.destination();
                    assert!(
                        ip.is_none_or(|ip| ip == other.local_addr().unwrap().ip()),
                        "{ip:?}"
                    );
                }
                if is_granted(Wanted::HOP_LIMIT) {
                    assert_eq!(run.hop_limit(), Some(9));
                }
                if is_granted(Wanted::ECN) {
                    assert_eq!(run.ecn(), Some(Ecn::NotCapable));
                }
            }
            println!("granted {:?} of {wanted:?}", offload.granted());
        }
    }
}
