//! Many UDP datagrams per system call: Linux.
//!
//! Two mechanisms, which add up. *Segmentation offload* (GSO): sendmsg(2) takes a run in one piece,
//! the control message `UDP_SEGMENT` says where to cut, and everything down to the device sees one
//! packet; the receiving side of it (GRO, a socket option) puts what came alike into one buffer,
//! and `UDP_GRO` says where to cut. That is what pays. *Several messages per call*, sendmmsg(2) and
//! recvmmsg(2), saves the system call only.
//!
//! Either may be refused at any time: by the kernel (older than 4.18: no such option), by a filter
//! (`ENOSYS`), by a device without checksums (`EIO`), for a route whose packets are smaller
//! (`EINVAL`, `EMSGSIZE`). Then the run goes out datagram by datagram. If that succeeds the refusal
//! was not the run's fault, and [`Segmentation`] remembers: `EIO` switches offload off for this
//! socket; of the others it takes several without a success in between, because the next run may
//! have another destination.
//!
//! All system calls go through [`Calls`], so that the tests can refuse them.
//!
//! Source: udp(7), ip(7), ipv6(7), sendmmsg(2), recvmmsg(2), socket(7); the kernel's
//! Documentation/networking/segmentation-offloads.rst

use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use libc::{c_int, c_uint, iovec, mmsghdr, msghdr};

use super::address::InetAddress;
use super::control::{
    ControlBuffer, ControlBufferFull, ControlMessages, ControlWriter, control_space,
};
use super::posix;
use super::segmentation::{Segmentation, piece_count_max};
use crate::datagram::{Received, RecvRun, SendRun, Wanted};
use crate::sys::check;

/// How many datagrams the kernel puts into one buffer: what a program of this machine sent in one
/// piece, which since 6.9 may be as many, stays together; what came from elsewhere is half of that
/// at most.
const COALESCED_MAX: usize = 128;

/// How many messages go into one system call. More save nothing, and all are on the stack.
const MESSAGES_MAX: usize = 32;

/// Segment size, traffic class and hop limit for both versions of IP, source address.
const SEND_CONTROL: usize =
    control_space(2) + 4 * control_space(size_of::<c_int>()) + PACKET_INFO_SPACE;

/// The above, timestamp, drops; an IPv6 socket hears both versions of IP.
const RECV_CONTROL: usize = 5 * control_space(size_of::<c_int>())
    + PACKET_INFO_SPACE
    + control_space(size_of::<libc::in_pktinfo>())
    + control_space(16)
    + control_space(size_of::<u32>());

const PACKET_INFO_SPACE: usize = control_space(size_of::<libc::in6_pktinfo>());

/// What is known of a socket: which of the mechanisms work, as found so far, and what it was asked
/// to tell.
#[derive(Debug)]
pub(crate) struct Offload {
    segmentation: Segmentation,
    has_sendmmsg: AtomicBool,
    has_recvmmsg: AtomicBool,
    granted: Wanted,
    is_ipv6: bool,
}

impl Offload {
    pub(crate) fn new(socket: &UdpSocket, wanted: Wanted) -> io::Result<Offload> {
        Offload::with(
            &System,
            socket.as_fd(),
            wanted,
            socket.local_addr()?.is_ipv6(),
        )
    }

    fn with(
        calls: &impl Calls,
        socket: BorrowedFd<'_>,
        wanted: Wanted,
        is_ipv6: bool,
    ) -> io::Result<Offload> {
        let mut granted = Wanted::NOTHING;
        for (flag, _) in Wanted::EACH {
            if wanted.contains(flag) && ask_for(calls, socket, flag, is_ipv6)? {
                granted |= flag;
            }
        }
        let has_offload = match calls.option(socket, libc::SOL_UDP, libc::UDP_SEGMENT) {
            Ok(_) => true,
            Err(error) if is_missing(&error) => false,
            Err(error) => return Err(error),
        };
        Ok(Offload {
            segmentation: Segmentation::new(has_offload),
            has_sendmmsg: AtomicBool::new(true),
            has_recvmmsg: AtomicBool::new(true),
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

    pub(crate) fn max_coalesced(&self) -> usize {
        if self.granted.contains(Wanted::COALESCED) {
            COALESCED_MAX
        } else {
            1
        }
    }
}

/// Sets the options that a flag stands for; false if the system has none.
fn ask_for(
    calls: &impl Calls,
    socket: BorrowedFd<'_>,
    flag: Wanted,
    is_ipv6: bool,
) -> io::Result<bool> {
    // What a socket for IPv6 is told of IPv4 is a matter of options for IPv4; if it is for IPv6
    // only they do no harm.
    let (v4, v6) = match flag {
        Wanted::COALESCED => ((libc::SOL_UDP, libc::UDP_GRO), None),
        Wanted::DESTINATION => (
            (libc::IPPROTO_IP, libc::IP_PKTINFO),
            Some(libc::IPV6_RECVPKTINFO),
        ),
        Wanted::ECN => (
            (libc::IPPROTO_IP, libc::IP_RECVTOS),
            Some(libc::IPV6_RECVTCLASS),
        ),
        Wanted::HOP_LIMIT => (
            (libc::IPPROTO_IP, libc::IP_RECVTTL),
            Some(libc::IPV6_RECVHOPLIMIT),
        ),
        Wanted::TIMESTAMP => ((libc::SOL_SOCKET, libc::SO_TIMESTAMPNS), None),
        _ => ((libc::SOL_SOCKET, libc::SO_RXQ_OVFL), None),
    };
    let v6 = v6
        .filter(|_| is_ipv6)
        .map(|option| (libc::IPPROTO_IPV6, option));
    for (level, option) in [Some(v4), v6].into_iter().flatten() {
        match calls.set_option(socket, level, option, 1) {
            Ok(()) => {}
            Err(error) if is_missing(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Whether the error says that the system does not know the option.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS)
    )
}

/// Whether the error may be one about offload, and not about the datagrams.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::ENOPROTOOPT | libc::EOPNOTSUPP)
    )
}

// Sending

/// Sends runs; see `UdpSocket::send_runs`.
pub(crate) fn send(
    socket: &UdpSocket,
    offload: &Offload,
    runs: &[SendRun<'_>],
) -> io::Result<usize> {
    send_by(&System, socket.as_fd(), offload, runs)
}

fn send_by(
    calls: &impl Calls,
    socket: BorrowedFd<'_>,
    offload: &Offload,
    runs: &[SendRun<'_>],
) -> io::Result<usize> {
    let mut at = Position {
        run: 0,
        datagram: 0,
    };
    let mut segments_max = offload.max_segments();
    let mut sent = 0;
    // Of the run that is going out datagram by datagram now.
    let mut refusal: Option<io::Error> = None;
    loop {
        let is_single = match at.rest(runs) {
            [] => return Ok(sent),
            [run] => run.count() - at.datagram <= piece_count_max(run, segments_max),
            _ => false,
        };
        let result = if is_single || !offload.has_sendmmsg.load(Relaxed) {
            send_pieces::<1>(calls, socket, offload, runs, &mut at, segments_max)
        } else {
            send_pieces::<MESSAGES_MAX>(calls, socket, offload, runs, &mut at, segments_max)
        };
        match result {
            Ok(done) => {
                sent += done.datagrams;
                if let Some(error) = refusal.take() {
                    // A device without checksums, which stays so.
                    let is_hopeless = error.raw_os_error() == Some(libc::EIO);
                    offload.segmentation.was_refused(is_hopeless);
                } else if done.was_segmented {
                    offload.segmentation.was_accepted();
                }
                if done.was_cut_short {
                    // The next call says why.
                    return Ok(sent);
                }
            }
            Err(failed) if failed.was_segmented && is_refusal(&failed.error) => {
                segments_max = 1;
                refusal = Some(failed.error);
            }
            Err(failed) if failed.is_mmsg && failed.error.raw_os_error() == Some(libc::ENOSYS) => {
                offload.has_sendmmsg.store(false, Relaxed);
            }
            Err(_) if sent > 0 => return Ok(sent),
            Err(failed) => return Err(failed.error),
        }
    }
}

/// What is to be sent next: a run, and which of its datagrams.
#[derive(Clone, Copy)]
struct Position {
    run: usize,
    datagram: usize,
}

impl Position {
    fn rest<'r, 'a>(&self, runs: &'r [SendRun<'a>]) -> &'r [SendRun<'a>] {
        &runs[self.run..]
    }

    fn advance(&mut self, runs: &[SendRun<'_>], datagrams: usize) {
        self.datagram += datagrams;
        if self.datagram >= runs[self.run].count() {
            *self = Position {
                run: self.run + 1,
                datagram: 0,
            };
        }
    }
}

struct Done {
    datagrams: usize,
    /// The first piece consisted of several.
    was_segmented: bool,
    /// The kernel took fewer pieces than it was given.
    was_cut_short: bool,
}

struct Failed {
    error: io::Error,
    /// The piece that failed consisted of several datagrams.
    was_segmented: bool,
    is_mmsg: bool,
}

/// Gives up to `N` pieces to the kernel in one call, and advances by those that it took.
#[inline]
fn send_pieces<const N: usize>(
    calls: &impl Calls,
    socket: BorrowedFd<'_>,
    offload: &Offload,
    runs: &[SendRun<'_>],
    at: &mut Position,
    segments_max: usize,
) -> Result<Done, Failed> {
    let mut pieces = [const { Outgoing::EMPTY }; N];
    let mut headers = [const { MaybeUninit::<mmsghdr>::uninit() }; N];
    let mut counts = [0; N];
    let mut len = 0;
    let mut next = *at;
    for ((piece, header), count) in pieces.iter_mut().zip(&mut headers).zip(&mut counts) {
        let Some(run) = runs.get(next.run) else {
            break;
        };
        let versions = match versions(calls, socket, offload, run) {
            Ok(versions) => versions,
            Err(_) if len > 0 => break, // what stands before goes first
            Err(error) => {
                return Err(Failed {
                    error,
                    was_segmented: false,
                    is_mmsg: false,
                });
            }
        };
        *count = (run.count() - next.datagram).min(piece_count_max(run, segments_max));
        let contents = run.piece(next.datagram, *count);
        header.write(piece.fill(run, contents, *count > 1, versions));
        next.advance(runs, *count);
        len += 1;
    }
    let is_mmsg = N > 1;
    let first = headers.as_mut_ptr().cast::<mmsghdr>();
    let result = if is_mmsg {
        // SAFETY: the first `len` headers are initialised; what they point to lives in `pieces` and
        // `runs`, and is not touched meanwhile.
        unsafe { calls.sendmmsg(socket, first, len) }
    } else {
        // SAFETY: an `mmsghdr` begins with a `msghdr`; as above, `len` being 1.
        unsafe { calls.sendmsg(socket, first.cast()) }
    };
    let was_segmented = counts[0] > 1;
    match result {
        Ok(taken) => {
            let taken = if is_mmsg { taken.min(len) } else { len };
            for count in &counts[..taken] {
                at.advance(runs, *count);
            }
            Ok(Done {
                datagrams: counts[..taken].iter().sum(),
                was_segmented,
                was_cut_short: taken < len,
            })
        }
        Err(error) => Err(Failed {
            error,
            was_segmented,
            is_mmsg,
        }),
    }
}

/// What a message header points to.
struct Outgoing {
    address: MaybeUninit<InetAddress>,
    iovec: MaybeUninit<iovec>,
    control: ControlBuffer<SEND_CONTROL>,
}

impl Outgoing {
    const EMPTY: Outgoing = Outgoing {
        address: MaybeUninit::uninit(),
        iovec: MaybeUninit::uninit(),
        control: ControlBuffer::new(),
    };

    /// The header of the message; it points into `self` and to `contents`.
    #[inline]
    fn fill(
        &mut self,
        run: &SendRun<'_>,
        contents: &[u8],
        is_segmented: bool,
        versions: [bool; 2],
    ) -> mmsghdr {
        let iovec = self.iovec.write(iovec {
            iov_base: contents.as_ptr().cast_mut().cast(),
            iov_len: contents.len(),
        });
        // SAFETY: a struct of integers and pointers, for which all bytes zero is a value.
        let mut header: mmsghdr = unsafe { zeroed() };
        header.msg_hdr.msg_iov = iovec;
        header.msg_hdr.msg_iovlen = 1;
        if let Some(destination) = run.to {
            let address = self.address.write(InetAddress::new(destination));
            header.msg_hdr.msg_name = address.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = address.len();
        }
        if is_segmented || has_metadata(run) {
            let mut writer = ControlWriter::over(&mut self.control.bytes);
            write_control(&mut writer, run, is_segmented, versions)
                .expect("SEND_CONTROL has room for everything");
            let control = writer.into_bytes();
            header.msg_hdr.msg_control = control.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_controllen = control.len() as _; // `socklen_t` or `size_t`
        }
        header
    }
}

fn has_source(run: &SendRun<'_>) -> bool {
    run.from.is_some() || run.interface != 0
}

fn has_metadata(run: &SendRun<'_>) -> bool {
    has_source(run) || run.traffic_class.is_some() || run.hop_limit.is_some()
}

/// Whether the metadata of a run is to be told to IPv4, and to IPv6; to both if it goes to a peer
/// that is not named. Each passes over what is told to the other, except that IPv4 refuses a source
/// of IPv6: for that, the peer is asked for. A source that would be passed over is an error.
#[inline]
fn versions(
    calls: &impl Calls,
    socket: BorrowedFd<'_>,
    offload: &Offload,
    run: &SendRun<'_>,
) -> io::Result<[bool; 2]> {
    if !has_metadata(run) {
        return Ok([false; 2]);
    }
    let versions = if offload.is_ipv6 {
        let to = match run.to {
            None if has_source(run) => calls.peer(socket),
            to => to,
        };
        let is_to_v4 = to.map(|to| to.ip().to_canonical().is_ipv4());
        is_to_v4.map_or([true; 2], |is_to_v4| [is_to_v4, !is_to_v4])
    } else {
        [true, false]
    };
    match run.from.map(|from| from.to_canonical().is_ipv6()) {
        Some(is_v6) if !versions[usize::from(is_v6)] => {
            let message = "source and destination of a datagram must be of one version of IP";
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
        _ => Ok(versions),
    }
}

fn write_control(
    writer: &mut ControlWriter<'_>,
    run: &SendRun<'_>,
    is_segmented: bool,
    [is_v4, is_v6]: [bool; 2],
) -> Result<(), ControlBufferFull> {
    if is_segmented {
        // Two of them go in one piece, at the least.
        let segment = run.segment as u16;
        writer.push(libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes())?;
    }
    let ints = [
        (run.traffic_class, libc::IP_TOS, libc::IPV6_TCLASS),
        (run.hop_limit, libc::IP_TTL, libc::IPV6_HOPLIMIT),
    ];
    for (value, v4, v6) in ints {
        let Some(value) = value else { continue };
        let value = c_int::from(value).to_ne_bytes();
        if is_v4 {
            writer.push(libc::IPPROTO_IP, v4, &value)?;
        }
        if is_v6 {
            writer.push(libc::IPPROTO_IPV6, v6, &value)?;
        }
    }
    let from = run.from.map(|from| from.to_canonical());
    if from.is_none() && run.interface == 0 {
        return Ok(());
    }
    let interface = run.interface.to_ne_bytes();
    match from {
        // The fields of an `in_pktinfo`: interface, source, destination.
        Some(IpAddr::V4(from)) => {
            let data = pktinfo_v4(interface, from.octets());
            writer.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &data)
        }
        None if !is_v6 => {
            let data = pktinfo_v4(interface, [0; 4]);
            writer.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &data)
        }
        // The fields of an `in6_pktinfo`: source, interface.
        from => {
            let mut data = [0; size_of::<libc::in6_pktinfo>()];
            if let Some(IpAddr::V6(from)) = from {
                data[..16].copy_from_slice(&from.octets());
            }
            data[16..20].copy_from_slice(&interface);
            writer.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &data)
        }
    }
}

fn pktinfo_v4(interface: [u8; 4], from: [u8; 4]) -> [u8; size_of::<libc::in_pktinfo>()] {
    let mut data = [0; size_of::<libc::in_pktinfo>()];
    data[..4].copy_from_slice(&interface);
    data[4..8].copy_from_slice(&from);
    data
}

// Receiving

/// Receives runs; see `UdpSocket::recv_runs`.
pub(crate) fn receive<B: AsMut<[u8]>>(
    socket: &UdpSocket,
    offload: &Offload,
    runs: &mut [RecvRun<B>],
) -> io::Result<usize> {
    receive_by(&System, socket.as_fd(), offload, runs)
}

fn receive_by<B: AsMut<[u8]>>(
    calls: &impl Calls,
    socket: BorrowedFd<'_>,
    offload: &Offload,
    runs: &mut [RecvRun<B>],
) -> io::Result<usize> {
    let mut received = 0;
    while received < runs.len() {
        let left = &mut runs[received..];
        let is_mmsg = left.len() > 1 && offload.has_recvmmsg.load(Relaxed);
        let asked = if is_mmsg {
            left.len().min(MESSAGES_MAX)
        } else {
            1
        };
        let left = &mut left[..asked];
        let result = if is_mmsg {
            receive_pieces::<MESSAGES_MAX, B>(calls, socket, offload, left, received > 0)
        } else {
            receive_pieces::<1, B>(calls, socket, offload, left, received > 0)
        };
        match result {
            Ok(taken) => {
                received += taken;
                if taken < asked {
                    break;
                }
            }
            Err(error) if is_mmsg && error.raw_os_error() == Some(libc::ENOSYS) => {
                offload.has_recvmmsg.store(false, Relaxed);
            }
            Err(_) if received > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(received)
}

/// What a message header points to.
struct Incoming {
    address: InetAddress,
    iovec: MaybeUninit<iovec>,
    control: ControlBuffer<RECV_CONTROL>,
}

/// Receives into up to `N` buffers in one call.
#[inline]
fn receive_pieces<const N: usize, B: AsMut<[u8]>>(
    calls: &impl Calls,
    socket: BorrowedFd<'_>,
    offload: &Offload,
    runs: &mut [RecvRun<B>],
    is_more: bool,
) -> io::Result<usize> {
    let mut pieces = [const { MaybeUninit::<Incoming>::uninit() }; N];
    let mut headers = [const { MaybeUninit::<mmsghdr>::uninit() }; N];
    let mut answers = [const { None }; N];
    let wants_control = offload.granted != Wanted::NOTHING;
    let mut len = 0;
    let places = pieces.iter_mut().zip(&mut headers).zip(&mut answers);
    for (run, ((piece, header), answer)) in runs.iter_mut().zip(places) {
        let buffer = run.buffer.as_mut();
        let piece = piece.write(Incoming {
            address: InetAddress::EMPTY,
            iovec: MaybeUninit::uninit(),
            control: ControlBuffer::new(),
        });
        let iovec = piece.iovec.write(iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        });
        // SAFETY: a struct of integers and pointers, for which all bytes zero is a value.
        let mut raw: mmsghdr = unsafe { zeroed() };
        raw.msg_hdr.msg_iov = iovec;
        raw.msg_hdr.msg_iovlen = 1;
        let (name, name_len) = piece.address.room();
        raw.msg_hdr.msg_name = name.cast();
        // SAFETY: it points to a field of `piece`, just written.
        raw.msg_hdr.msg_namelen = unsafe { name_len.read() };
        if wants_control {
            let control = piece.control.room(RECV_CONTROL);
            raw.msg_hdr.msg_control = control.as_mut_ptr().cast();
            raw.msg_hdr.msg_controllen = control.len() as _; // `socklen_t` or `size_t`
        }
        header.write(raw);
        *answer = Some(&mut run.received);
        len += 1;
    }
    let first = headers.as_mut_ptr().cast::<mmsghdr>();
    let taken = if N > 1 {
        let flags = if is_more {
            libc::MSG_DONTWAIT
        } else {
            libc::MSG_WAITFORONE
        };
        // SAFETY: the first `len` headers are initialised; what they point to lives in `pieces` and
        // in the buffers, which are borrowed for writing.
        unsafe { calls.recvmmsg(socket, first, len, flags) }?
    } else {
        let flags = if is_more { libc::MSG_DONTWAIT } else { 0 };
        // SAFETY: an `mmsghdr` begins with a `msghdr`; as above, `len` being 1.
        let bytes = unsafe { calls.recvmsg(socket, first.cast(), flags) }?;
        // SAFETY: the first header is initialised.
        unsafe { (*first).msg_len = bytes as c_uint };
        1
    };
    for ((answer, header), piece) in answers
        .iter_mut()
        .zip(&headers)
        .zip(&mut pieces)
        .take(taken)
    {
        // SAFETY: `taken` is at most `len`; these headers are initialised.
        let header = unsafe { header.assume_init_ref() };
        // SAFETY: as above.
        let piece = unsafe { piece.assume_init_mut() };
        piece.address.len = header.msg_hdr.msg_namelen;
        #[allow(clippy::unnecessary_cast)] // `socklen_t` or `size_t`
        let control = piece
            .control
            .written(header.msg_hdr.msg_controllen as usize);
        let Some(received) = answer.take() else { break };
        received.clone_from(&Received::NOTHING);
        received.is_truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        if let Some(source) = piece.address.to_std() {
            received.source = source;
        }
        if offload.granted.contains(Wanted::DROPS) {
            received.drops = Some(0); // the kernel does not mention none
        }
        read_control(control, header.msg_len as usize, received);
    }
    Ok(taken)
}

/// Takes down what the kernel told of a message of `len` bytes.
fn read_control(control: &[u8], len: usize, received: &mut Received) {
    let mut segment = 0;
    for message in ControlMessages::new(control) {
        let data = message.data;
        match (message.level, message.kind) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                segment = int(data).and_then(|n| n.try_into().ok()).unwrap_or(0);
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // The fields of an `in_pktinfo`: interface, our address, the datagram's.
                if let (Some(interface), Some(address)) = (array(data, 0), array::<4>(data, 8)) {
                    received.interface = Some(u32::from_ne_bytes(interface));
                    received.destination = Some(IpAddr::from(address));
                }
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // The fields of an `in6_pktinfo`: the datagram's address, interface.
                if let (Some(address), Some(interface)) = (array::<16>(data, 0), array(data, 16)) {
                    received.interface = Some(u32::from_ne_bytes(interface));
                    received.destination = Some(IpAddr::from(address).to_canonical());
                }
            }
            (libc::IPPROTO_IP, libc::IP_TOS) | (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                if let Some(class) = int(data) {
                    received.set_traffic_class(class as u8);
                }
            }
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                received.hop_limit = int(data).map(|hops| hops as u8);
            }
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => received.timestamp = timestamp(data),
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                received.drops = array(data, 0).map(u32::from_ne_bytes);
            }
            _ => {}
        }
    }
    received.cut(len, segment);
}

/// An `int` of the data, or the byte that some systems send instead.
fn int(data: &[u8]) -> Option<c_int> {
    match data {
        [a, b, c, d, ..] => Some(c_int::from_ne_bytes([*a, *b, *c, *d])),
        [byte, ..] => Some((*byte).into()),
        [] => None,
    }
}

/// `N` bytes from `start` on.
fn array<const N: usize>(data: &[u8], start: usize) -> Option<[u8; N]> {
    data.get(start..start + N)?.try_into().ok()
}

/// Seconds and nanoseconds, both of 64 bits or, in old ABIs, of 32.
fn timestamp(data: &[u8]) -> Option<SystemTime> {
    let (seconds, nanos) = if let (Some(seconds), Some(nanos)) = (array(data, 0), array(data, 8)) {
        (i64::from_ne_bytes(seconds), i64::from_ne_bytes(nanos))
    } else {
        let narrow = |start| array(data, start).map(|bytes| i32::from_ne_bytes(bytes).into());
        (narrow(0)?, narrow(4)?)
    };
    let since =
        Duration::new(seconds.try_into().ok()?, 0) + Duration::from_nanos(nanos.try_into().ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

// System calls

/// The system calls of this file: the real ones, unless a test says otherwise.
trait Calls {
    fn option(&self, socket: BorrowedFd<'_>, level: c_int, option: c_int) -> io::Result<c_int> {
        posix::option(socket, level, option)
    }

    fn set_option(
        &self,
        socket: BorrowedFd<'_>,
        level: c_int,
        option: c_int,
        value: c_int,
    ) -> io::Result<()> {
        posix::set_option(&socket, level, option, value)
    }

    /// To whom the socket is connected.
    #[cold]
    fn peer(&self, socket: BorrowedFd<'_>) -> Option<SocketAddr> {
        let mut peer = InetAddress::EMPTY;
        let (name, len) = peer.room();
        // SAFETY: getpeername(2) writes at most `*len` bytes to `name`, which has that many, and
        // the length to `len`.
        check(unsafe { libc::getpeername(socket.as_raw_fd(), name, len) }).ok()?;
        peer.to_std()
    }

    /// # Safety
    ///
    /// - `message` points to a header that is initialised.
    /// - What that points to is as long as it says, and stays for the call.
    #[inline]
    unsafe fn sendmsg(&self, socket: BorrowedFd<'_>, message: *const msghdr) -> io::Result<usize> {
        // SAFETY: as the caller promises.
        let bytes = check(unsafe { libc::sendmsg(socket.as_raw_fd(), message, 0) })?;
        Ok(bytes as usize)
    }

    /// # Safety
    ///
    /// - As [`sendmsg`](Calls::sendmsg), for `len` headers.
    #[inline]
    unsafe fn sendmmsg(
        &self,
        socket: BorrowedFd<'_>,
        messages: *mut mmsghdr,
        len: usize,
    ) -> io::Result<usize> {
        let (fd, len) = (socket.as_raw_fd(), len as c_uint);
        // SAFETY: as the caller promises.
        let count = check(unsafe { libc::sendmmsg(fd, messages, len, 0) })?;
        Ok(count as usize)
    }

    /// # Safety
    ///
    /// - As [`sendmsg`](Calls::sendmsg), and all of it may be written to.
    #[inline]
    unsafe fn recvmsg(
        &self,
        socket: BorrowedFd<'_>,
        message: *mut msghdr,
        flags: c_int,
    ) -> io::Result<usize> {
        // SAFETY: as the caller promises.
        let bytes = check(unsafe { libc::recvmsg(socket.as_raw_fd(), message, flags) })?;
        Ok(bytes as usize)
    }

    /// # Safety
    ///
    /// - As [`recvmsg`](Calls::recvmsg), for `len` headers.
    #[inline]
    unsafe fn recvmmsg(
        &self,
        socket: BorrowedFd<'_>,
        messages: *mut mmsghdr,
        len: usize,
        flags: c_int,
    ) -> io::Result<usize> {
        let (fd, len, flags) = (socket.as_raw_fd(), len as c_uint, flags as _);
        // SAFETY: as the caller promises; without a timeout.
        let count = check(unsafe { libc::recvmmsg(fd, messages, len, flags, ptr::null_mut()) })?;
        Ok(count as usize)
    }
}

struct System;

impl Calls for System {}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::super::segmentation::{REFUSALS_MAX, SEGMENTS_MAX};
    use super::*;
    use crate::datagram::Ecn;

    /// The system calls, and for each kind of them what is answered instead of the next ones.
    #[derive(Default)]
    struct Refusing {
        /// For those of `sendmsg` and `sendmmsg` with a segment size. Taken from the end; 0 lets
        /// the call through.
        segmented: RefCell<Vec<c_int>>,
        /// For all of them.
        send: RefCell<Vec<c_int>>,
        /// For those of `recvmsg` and `recvmmsg`, as above.
        receive: RefCell<Vec<c_int>>,
        is_without_mmsg: bool,
        missing_options: &'static [(c_int, c_int)],
        log: RefCell<Vec<(&'static str, usize)>>,
    }

    impl Refusing {
        fn refuse(
            &self,
            call: &'static str,
            len: usize,
            lists: &[&RefCell<Vec<c_int>>],
        ) -> io::Result<()> {
            self.log.borrow_mut().push((call, len));
            match lists.iter().find_map(|list| list.borrow_mut().pop()) {
                Some(0) | None => Ok(()),
                Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            }
        }

        /// # Safety
        ///
        /// - As [`Calls::sendmsg`].
        unsafe fn is_segmented(message: *const msghdr) -> bool {
            // SAFETY: the caller promises an initialised header.
            let message = unsafe { &*message };
            if message.msg_control.is_null() {
                return false;
            }
            let (control, len) = (message.msg_control.cast::<u8>(), message.msg_controllen);
            // SAFETY: the caller promises that the bytes are there.
            let control = unsafe { std::slice::from_raw_parts(control, len as _) };
            ControlMessages::new(control)
                .any(|m| (m.level, m.kind) == (libc::SOL_UDP, libc::UDP_SEGMENT))
        }

        fn take_log(&self) -> Vec<(&'static str, usize)> {
            self.log.take()
        }

        fn check_option(&self, level: c_int, option: c_int) -> io::Result<()> {
            if self.missing_options.contains(&(level, option)) {
                return Err(io::Error::from_raw_os_error(libc::ENOPROTOOPT));
            }
            Ok(())
        }

        fn check_mmsg(&self) -> io::Result<()> {
            if self.is_without_mmsg {
                return Err(io::Error::from_raw_os_error(libc::ENOSYS));
            }
            Ok(())
        }
    }

    impl Calls for Refusing {
        fn option(&self, socket: BorrowedFd<'_>, level: c_int, option: c_int) -> io::Result<c_int> {
            self.check_option(level, option)?;
            System.option(socket, level, option)
        }

        fn set_option(
            &self,
            socket: BorrowedFd<'_>,
            level: c_int,
            option: c_int,
            value: c_int,
        ) -> io::Result<()> {
            self.check_option(level, option)?;
            System.set_option(socket, level, option, value)
        }

        unsafe fn sendmsg(
            &self,
            socket: BorrowedFd<'_>,
            message: *const msghdr,
        ) -> io::Result<usize> {
            // SAFETY: as the caller promises.
            let is_segmented = unsafe { Refusing::is_segmented(message) };
            let lists = [&self.send, &self.segmented];
            self.refuse("sendmsg", 1, &lists[..1 + usize::from(is_segmented)])?;
            // SAFETY: as the caller promises.
            unsafe { System.sendmsg(socket, message) }
        }

        unsafe fn sendmmsg(
            &self,
            socket: BorrowedFd<'_>,
            messages: *mut mmsghdr,
            len: usize,
        ) -> io::Result<usize> {
            // SAFETY: as the caller promises.
            let is_segmented = unsafe { Refusing::is_segmented(messages.cast()) };
            let lists = [&self.send, &self.segmented];
            self.refuse("sendmmsg", len, &lists[..1 + usize::from(is_segmented)])?;
            self.check_mmsg()?;
            // SAFETY: as the caller promises.
            unsafe { System.sendmmsg(socket, messages, len) }
        }

        unsafe fn recvmsg(
            &self,
            socket: BorrowedFd<'_>,
            message: *mut msghdr,
            flags: c_int,
        ) -> io::Result<usize> {
            self.refuse("recvmsg", 1, &[&self.receive])?;
            // SAFETY: as the caller promises.
            unsafe { System.recvmsg(socket, message, flags) }
        }

        unsafe fn recvmmsg(
            &self,
            socket: BorrowedFd<'_>,
            messages: *mut mmsghdr,
            len: usize,
            flags: c_int,
        ) -> io::Result<usize> {
            self.refuse("recvmmsg", len, &[&self.receive])?;
            self.check_mmsg()?;
            // SAFETY: as the caller promises.
            unsafe { System.recvmmsg(socket, messages, len, flags) }
        }
    }

    fn pair() -> (UdpSocket, UdpSocket) {
        let [one, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        one.connect(other.local_addr().unwrap()).unwrap();
        other.connect(one.local_addr().unwrap()).unwrap();
        other.set_nonblocking(true).unwrap();
        (one, other)
    }

    fn offload(calls: &Refusing, socket: &UdpSocket, wanted: Wanted) -> Offload {
        Offload::with(calls, socket.as_fd(), wanted, false).unwrap()
    }

    /// Loopback delivers before the sending call returns.
    #[track_caller]
    fn assert_arrived(socket: &UdpSocket, expected: &[&[u8]]) {
        let mut buffer = [0; 65_535];
        for datagram in expected {
            let len = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], *datagram);
        }
        let error = socket.recv(&mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    const RUN: &[u8] = b"aabbccd";
    const CUT: [&[u8]; 4] = [b"aa", b"bb", b"cc", b"d"];

    #[test]
    #[cfg_attr(miri, ignore = "no UDP")]
    fn run_goes_out_in_one_piece() {
        let (one, other) = pair();
        let calls = Refusing::default();
        let offload = offload(&calls, &one, Wanted::NOTHING);
        assert_eq!(offload.max_segments(), SEGMENTS_MAX);
        let run = [SendRun::new(RUN).segment_len(2)];
        assert_eq!(send_by(&calls, one.as_fd(), &offload, &run).unwrap(), 4);
        assert_eq!(calls.take_log(), [("sendmsg", 1)]);
        assert_arrived(&other, &CUT);
    }

    #[test]
    #[cfg_attr(miri, ignore = "no UDP")]
    fn refused_run_goes_out_one_by_one_in_the_same_call() {
        for errno in [libc::EIO, libc::EINVAL, libc::EMSGSIZE, libc::ENOPROTOOPT] {
            let (one, other) = pair();
            let calls = Refusing::default();
            let offload = offload(&calls, &one, Wanted::NOTHING);
            calls.segmented.borrow_mut().push(errno);
            let run = [SendRun::new(RUN).segment_len(2)];
            assert_eq!(send_by(&calls, one.as_fd(), &offload, &run).unwrap(), 4);
            assert_eq!(calls.take_log(), [("sendmsg", 1), ("sendmmsg", 4)]);
            assert_arrived(&other, &CUT);
            // A device without checksums stays so; the others may be the fault of one route.
            let expected = if errno == libc::EIO { 1 } else { SEGMENTS_MAX };
            assert_eq!(offload.max_segments(), expected);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "no UDP")]
    fn refusals_in_a_row_switch_offload_off_and_a_success_starts_anew() {
        let (one, other) = pair();
        let calls = Refusing::default();
        let offload = offload(&calls, &one, Wanted::NOTHING);
        let run = [SendRun::new(RUN).segment_len(2)];
        let send = || {
            assert_eq!(send_by(&calls, one.as_fd(), &offload, &run).unwrap(), 4);
            assert_arrived(&other, &CUT);
            offload.max_segments()
        };
        for round in 1..REFUSALS_MAX {
            calls.segmented.borrow_mut().push(libc::EINVAL);
            assert_eq!(send(), SEGMENTS_MAX, "round {round}");
        }
        assert_eq!(send(), SEGMENTS_MAX);
        for round in 1..=REFUSALS_MAX {
            calls.segmented.borrow_mut().push(libc::EINVAL);
            let expected = if round < REFUSALS_MAX {
                SEGMENTS_MAX
            } else {
                1
            };
            assert_eq!(send(), expected, "round {round}");
        }
        calls.take_log();
        send();
        assert_eq!(calls.take_log(), [("sendmmsg", 4)]);
    }

    /// What is wrong with the datagrams themselves says nothing about offload.
    #[test]
    #[cfg_attr(miri, ignore = "no UDP")]
    fn error_of_the_run_is_told_and_not_held_against_offload() {
        let (one, _other) = pair();
        let calls = Refusing::default();
        let offload = offload(&calls, &one, Wanted::NOTHING);
        let run = [SendRun::new(RUN).segment_len(2).hop_limit(0)];
        for _ in 0..2 * REFUSALS_MAX {
            let error = send_by(&calls, one.as_fd(), &offload, &run).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        }
        assert_eq!(offload.max_segments(), SEGMENTS_MAX);
    }

    #[test]
    #[cfg_attr(miri, ignore = "no UDP")]
    fn without_sendmmsg_every_datagram_is_a_call() {
        let (one, other) = pair();
        let calls = Refusing {
            is_without_mmsg: true,
            missing_options: &[(libc::SOL_UDP, libc::UDP_SEGMENT)],
            ..Refusing::default()
        };
        let offload = offload(&calls, &one, Wanted::NOTHING);
        assert_eq!(offload.max_segments(), 1);
        let run = [SendRun::new(RUN).segment_len(2)];
        assert_eq!(send_by(&calls, one.as_fd(), &offload, &run).unwrap(), 4);
        let mut expected = vec![("sendmsg", 1); 4];
        expected.insert(0, ("sendmmsg", 4));
        assert_eq!(calls.take_log(), expected);
        assert_arrived(&other, &CUT);
        assert_eq!(send_by(&calls, one.as_fd(), &offload, &run).unwrap(), 4);
        assert_eq!(calls.take_log(), expected[1..], "it is remembered");
    }

    #[test]
    #[cfg_attr(miri, ignore = "no UDP")]
    fn without_recvmmsg_every_datagram_is_a_call() {
        let (one, other) = pair();
        let calls = Refusing {
            is_without_mmsg: true,
            ..Refusing::default()
        };
        let offload = offload(&calls, &other, Wanted::NOTHING);
        for _ in 0..2 {
            for datagram in CUT {
                one.send(datagram).unwrap();
            }
            let mut runs = [(); 6].map(|()| RecvRun::new([0; 8]));
            assert_eq!(
                receive_by(&calls, other.as_fd(), &offload, &mut runs).unwrap(),
                4
            );
            let arrived = runs[..4].iter().map(RecvRun::contents);
            assert_eq!(arrived.collect::<Vec<_>>(), CUT);
        }
        let names: Vec<_> = calls.take_log().into_iter().map(|(call, _)| call).collect();
        let mut expected = vec!["recvmsg"; 10]; // the last of each round would block
        expected.insert(0, "recvmmsg");
        assert_eq!(names, expected);
        let error =
            receive_by(&calls, other.as_fd(), &offload, &mut [RecvRun::new([0; 8])]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    #[cfg_attr(miri, ignore = "no UDP")]
    fn what_the_system_lacks_is_not_granted() {
        let (one, _other) = pair();
        let calls = Refusing {
            missing_options: &[
                (libc::SOL_UDP, libc::UDP_GRO),
                (libc::IPPROTO_IP, libc::IP_RECVTOS),
            ],
            ..Refusing::default()
        };
        let wanted = Wanted::COALESCED | Wanted::ECN | Wanted::HOP_LIMIT;
        let offload = offload(&calls, &one, wanted);
        assert_eq!(offload.granted(), Wanted::HOP_LIMIT);
        assert_eq!(offload.max_coalesced(), 1);
    }

    /// Another program may send as many in one piece as the kernel takes.
    #[test]
    #[cfg_attr(miri, ignore = "no UDP")]
    fn no_buffer_holds_more_datagrams_than_is_said() {
        let (one, other) = pair();
        let calls = Refusing::default();
        let sending = offload(&calls, &one, Wanted::NOTHING);
        let receiving = offload(&calls, &other, Wanted::COALESCED);
        let run = [SendRun::new(&[7; COALESCED_MAX]).segment_len(1)];
        let mut at = Position {
            run: 0,
            datagram: 0,
        };
        let fd = one.as_fd();
        let Ok(sent) = send_pieces::<1>(&calls, fd, &sending, &run, &mut at, COALESCED_MAX) else {
            return; // before 6.9
        };
        assert_eq!(sent.datagrams, COALESCED_MAX);
        let mut runs = [RecvRun::new(vec![0; 65_535])];
        let mut arrived = 0;
        while arrived < COALESCED_MAX {
            receive_by(&calls, other.as_fd(), &receiving, &mut runs).unwrap();
            assert!(runs[0].count() <= receiving.max_coalesced());
            arrived += runs[0].count();
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "no UDP")]
    fn no_room_is_would_block_before_the_first_datagram_and_a_count_after() {
        let (one, other) = pair();
        let calls = Refusing::default();
        let offload = offload(&calls, &one, Wanted::NOTHING);
        calls.send.borrow_mut().push(libc::EAGAIN);
        let runs = [SendRun::new(b"x"); 40];
        let error = send_by(&calls, one.as_fd(), &offload, &runs).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_arrived(&other, &[]);
        // In the second call: 32 datagrams have left with the first.
        calls.send.borrow_mut().extend([libc::EAGAIN, 0]);
        assert_eq!(
            send_by(&calls, one.as_fd(), &offload, &runs).unwrap(),
            MESSAGES_MAX
        );
        assert_arrived(&other, &[&b"x"[..]; MESSAGES_MAX]);
    }

    /// Found in the second call; in the first it is told.
    #[test]
    #[cfg_attr(miri, ignore = "no UDP")]
    fn error_of_receiving_is_told_before_the_first_datagram_and_a_count_after() {
        for is_without_mmsg in [false, true] {
            let (one, other) = pair();
            let calls = Refusing {
                is_without_mmsg,
                ..Refusing::default()
            };
            let offload = offload(&calls, &other, Wanted::NOTHING);
            // Whether there is recvmmsg is known from here on.
            let mut runs = [(); MESSAGES_MAX + 3].map(|()| RecvRun::new([0; 8]));
            receive_by(&calls, other.as_fd(), &offload, &mut runs).unwrap_err();
            for errno in [libc::ECONNREFUSED, libc::EINTR, libc::EAGAIN] {
                calls.receive.borrow_mut().push(errno);
                let error = receive_by(&calls, other.as_fd(), &offload, &mut runs).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(errno));
                for _ in 0..runs.len() {
                    one.send(b"x").unwrap();
                }
                calls.receive.borrow_mut().extend([errno, 0]);
                let first = receive_by(&calls, other.as_fd(), &offload, &mut runs).unwrap();
                assert_eq!(first, if is_without_mmsg { 1 } else { MESSAGES_MAX });
                let rest = receive_by(&calls, other.as_fd(), &offload, &mut runs).unwrap();
                assert_eq!(rest, runs.len() - first);
            }
        }
    }

    /// No kernel says such things. Nothing may be read beyond the message, and a run be cut into
    /// pieces that its buffer has.
    #[test]
    fn any_metadata_can_be_read() {
        let kinds = [
            (libc::SOL_UDP, libc::UDP_GRO),
            (libc::IPPROTO_IP, libc::IP_PKTINFO),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO),
            (libc::IPPROTO_IP, libc::IP_TOS),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
            (libc::IPPROTO_IP, libc::IP_TTL),
            (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT),
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS),
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL),
        ];
        let mut state = 1u32;
        let mut random = |bound: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % bound
        };
        for _ in 0..if cfg!(miri) { 100 } else { 20_000 } {
            let mut buffer = [0; 300];
            let mut writer = ControlWriter::new(&mut buffer);
            for _ in 0..random(6) {
                let (level, kind) = kinds[random(kinds.len() as u32) as usize];
                let fill = [0, 1, 0xff, random(256) as u8][random(4) as usize];
                let data = vec![fill; random(24) as usize];
                writer.push(level, kind, &data).unwrap();
            }
            let mut run = RecvRun::new([0; 64]);
            let len = random(80) as usize;
            read_control(writer.into_bytes(), len, &mut run.received);
            assert_eq!(run.datagrams().count(), run.count());
            assert!(run.datagrams().map(<[u8]>::len).sum::<usize>() <= len);
            run.ecn();
            run.dscp();
        }
    }

    #[test]
    fn every_control_message_at_once_fits() {
        let all = SendRun::new(b"")
            .ecn(Ecn::Capable0)
            .hop_limit(1)
            .interface(1);
        let runs = [
            all,
            all.from("::1".parse().unwrap()),
            all.from("127.0.0.1".parse().unwrap()),
        ];
        for run in runs {
            for versions in [[true, false], [false, true], [true, true]] {
                let mut buffer = ControlBuffer::<SEND_CONTROL>::new();
                let mut writer = ControlWriter::over(&mut buffer.bytes);
                write_control(&mut writer, &run, true, versions).unwrap();
            }
        }
    }

    #[test]
    fn timestamps_of_both_widths_are_read() {
        let expected = SystemTime::UNIX_EPOCH + Duration::new(3, 7);
        let wide = [3i64.to_ne_bytes(), 7i64.to_ne_bytes()].concat();
        let narrow = [3i32.to_ne_bytes(), 7i32.to_ne_bytes()].concat();
        assert_eq!(timestamp(&wide), Some(expected));
        assert_eq!(timestamp(&narrow), Some(expected));
        for data in [&wide[..7], &[0xff; 16], &[]] {
            assert_eq!(timestamp(data), None);
        }
    }

    #[test]
    fn int_is_four_bytes_or_one() {
        assert_eq!(int(&0x0102_0304i32.to_ne_bytes()), Some(0x0102_0304));
        assert_eq!(int(&[7]), Some(7));
        assert_eq!(int(&[]), None);
    }
}
