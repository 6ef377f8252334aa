//! UDP in runs on loopback: one socket sends a run, the other receives all of it, on one thread, so
//! that a figure is the whole way of a datagram. Raw calls are the limit, quinn-udp is the peer.

use std::io;
use std::mem::zeroed;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use litio::net::datagrams::{Batch, RecvRun, SendRun, Wanted};

use crate::measure::{Contender, row_per};

/// The length of a run; so many datagrams the kernel takes in one piece.
const RUN: usize = 64;

/// By which means datagrams travel. Each does what the one before it does, and more.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum By {
    /// A call to send each, a call to receive each.
    Singles,
    /// sendmmsg and recvmmsg (quinn-udp has only the latter).
    Mmsg,
    Gso,
    GsoGro,
}

impl By {
    fn is_segmented(self) -> bool {
        self >= By::Gso
    }

    fn is_coalesced(self) -> bool {
        self == By::GsoGro
    }

    /// Buffers to receive into: how many, and how long.
    fn buffers(self) -> (usize, usize) {
        match self {
            By::Singles => (1, 2048),
            By::Mmsg | By::Gso => (32, 2048),
            By::GsoGro => (4, 65_535),
        }
    }
}

pub fn run(rounds: usize, only: &str) -> io::Result<()> {
    println!("| datagrams, each sent and received | who | ns | quartiles | ratio to the first |");
    println!("|---|---|---:|---|---:|");
    for length in [1, 2, 4, 8, 16, 32, 64] {
        let name = format!("by length, runs of {length}, 64 B");
        if name.contains(only) {
            let [gso, both] = [By::Gso, By::GsoGro].map(|by| OnLitio::new(by, plain(by)));
            let (mut singles, mut gso, mut both) = (RawSingle::new(64)?, gso?, both?);
            let mut quinn = OnQuinn::new(By::GsoGro)?;
            let contents = vec![7; length * 64];
            let contenders = &mut [
                Contender::new("single, raw", || singles.turn(&contents)),
                Contender::new("litio GSO", || gso.turn(&contents, 64)),
                Contender::new("litio GSO + GRO", || both.turn(&contents, 64)),
                Contender::new("quinn-udp GSO + GRO", || quinn.turn(&contents, 64)),
            ];
            row_per(length, &name, rounds, contenders);
        }
    }
    for size in [64, 1200] {
        let name = format!("single calls and the rest, runs of {RUN}, {size} B");
        if name.contains(only) {
            overview(&name, rounds, size)?;
        }
        for (by, title) in [
            (By::Singles, "single"),
            (By::Mmsg, "mmsg"),
            (By::Gso, "GSO"),
            (By::GsoGro, "GSO + GRO"),
        ] {
            let name = format!("{title}, runs of {RUN}, {size} B");
            if name.contains(only) {
                side_by_side(by, &name, rounds, size)?;
            }
        }
    }
    Ok(())
}

/// What Litio is asked for to do what the others do.
fn plain(by: By) -> Wanted {
    if by.is_coalesced() {
        Wanted::COALESCED
    } else {
        Wanted::NOTHING
    }
}

/// What all rows are measured against: one call for each datagram.
fn overview(name: &str, rounds: usize, size: usize) -> io::Result<()> {
    let contents = vec![7; RUN * size];
    let mut singles = RawSingle::new(size)?;
    let mut mmsg = OnLitio::new(By::Mmsg, Wanted::NOTHING)?;
    let mut gso = OnLitio::new(By::Gso, Wanted::NOTHING)?;
    let mut both = OnLitio::new(By::GsoGro, Wanted::COALESCED)?;
    let mut quinn = OnQuinn::new(By::GsoGro)?;
    let contenders = &mut [
        Contender::new("single, raw", || singles.turn(&contents)),
        Contender::new("litio mmsg", || mmsg.turn(&contents, size)),
        Contender::new("litio GSO", || gso.turn(&contents, size)),
        Contender::new("litio GSO + GRO", || both.turn(&contents, size)),
        Contender::new("quinn-udp GSO + GRO", || quinn.turn(&contents, size)),
    ];
    row_per(RUN, name, rounds, contenders);
    Ok(())
}

/// By the same means: the system calls themselves, Litio, and quinn-udp.
fn side_by_side(by: By, name: &str, rounds: usize, size: usize) -> io::Result<()> {
    let contents = vec![7; RUN * size];
    let mut litio = OnLitio::new(by, plain(by))?;
    // What quinn-udp always asks for.
    let all = plain(by) | Wanted::DESTINATION | Wanted::ECN | Wanted::TIMESTAMP;
    let mut all = OnLitio::new(by, all)?;
    let mut quinn = OnQuinn::new(by)?;
    let mut raw = Raw::new(size, by)?;
    let (mut raw_single, mut calls) = (RawSingle::new(size)?, LitioSingle::new(size)?);
    let runs = match by {
        By::Singles => [
            "litio, runs of one",
            "litio, runs of one, metadata as quinn-udp",
        ],
        _ => ["litio", "litio, metadata as quinn-udp"],
    };
    let mut contenders = vec![
        Contender::new("raw", || match by {
            By::Singles => raw_single.turn(&contents),
            _ => raw.turn(&contents),
        }),
        Contender::new(runs[0], || litio.turn(&contents, size)),
        Contender::new(runs[1], || all.turn(&contents, size)),
        Contender::new("quinn-udp", || quinn.turn(&contents, size)),
    ];
    if by == By::Singles {
        contenders.insert(1, Contender::new("litio", || calls.turn(&contents)));
    }
    row_per(RUN, name, rounds, &mut contenders);
    Ok(())
}

/// Two sockets that are connected with each other and do not block.
fn pair() -> io::Result<[UdpSocket; 2]> {
    let [one, other] = [
        UdpSocket::bind("127.0.0.1:0")?,
        UdpSocket::bind("127.0.0.1:0")?,
    ];
    one.connect(other.local_addr()?)?;
    other.connect(one.local_addr()?)?;
    for socket in [&one, &other] {
        socket.set_nonblocking(true)?;
        // Room for a whole run, so that none is lost.
        let size: libc::c_int = 4 << 20;
        set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, size);
    }
    Ok([one, other])
}

fn set_option(socket: &UdpSocket, level: libc::c_int, option: libc::c_int, value: libc::c_int) {
    let len = size_of_val(&value) as libc::socklen_t;
    let value = (&raw const value).cast();
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, len) };
    assert_eq!(result, 0, "setsockopt({level}, {option})");
}

struct RawSingle {
    sockets: [UdpSocket; 2],
    buffer: Vec<u8>,
    size: usize,
}

impl RawSingle {
    fn new(size: usize) -> io::Result<RawSingle> {
        Ok(RawSingle {
            sockets: pair()?,
            buffer: vec![0; 2048],
            size,
        })
    }

    fn turn(&mut self, contents: &[u8]) {
        let [one, other] = &self.sockets;
        for datagram in contents.chunks(self.size) {
            let sent =
                unsafe { libc::send(one.as_raw_fd(), datagram.as_ptr().cast(), datagram.len(), 0) };
            assert_eq!(sent, self.size as isize);
            let room = self.buffer.len();
            let got =
                unsafe { libc::recv(other.as_raw_fd(), self.buffer.as_mut_ptr().cast(), room, 0) };
            assert_eq!(got, self.size as isize);
        }
    }
}

/// Plain calls, which look at nothing but the socket.
struct LitioSingle {
    sockets: [litio::net::UdpSocket; 2],
    buffer: Vec<u8>,
    size: usize,
}

impl LitioSingle {
    fn new(size: usize) -> io::Result<LitioSingle> {
        Ok(LitioSingle {
            sockets: pair()?.map(litio::net::UdpSocket::from_std),
            buffer: vec![0; 2048],
            size,
        })
    }

    fn turn(&mut self, contents: &[u8]) {
        let [one, other] = &self.sockets;
        for datagram in contents.chunks(self.size) {
            one.send(datagram).unwrap();
            assert_eq!(other.recv(&mut self.buffer).unwrap(), self.size);
        }
    }
}

/// By hand, with headers prepared once: the least that the system calls cost.
struct Raw {
    sockets: [UdpSocket; 2],
    size: usize,
    is_segmented: bool,
    buffers: Vec<Vec<u8>>,
    names: Vec<libc::sockaddr_storage>,
    iovecs: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    send_iovecs: Vec<libc::iovec>,
    send_headers: Vec<libc::mmsghdr>,
    control: Vec<[u64; 4]>,
    send_control: [u64; 3],
}

impl Raw {
    fn new(size: usize, by: By) -> io::Result<Raw> {
        let sockets = pair()?;
        if by.is_coalesced() {
            set_option(&sockets[1], libc::SOL_UDP, libc::UDP_GRO, 1);
        }
        let (count, len) = by.buffers();
        let mut raw = Raw {
            sockets,
            size,
            is_segmented: by.is_segmented(),
            buffers: vec![vec![0; len]; count],
            names: vec![unsafe { zeroed() }; count],
            iovecs: Vec::new(),
            headers: Vec::new(),
            send_iovecs: vec![unsafe { zeroed() }; 32],
            send_headers: vec![unsafe { zeroed() }; 32],
            control: vec![[0; 4]; count],
            send_control: [0; 3],
        };
        for buffer in &mut raw.buffers {
            raw.iovecs.push(libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            });
        }
        for at in 0..count {
            let mut header: libc::mmsghdr = unsafe { zeroed() };
            header.msg_hdr.msg_iov = &mut raw.iovecs[at];
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = (&raw mut raw.names[at]).cast();
            if by.is_coalesced() {
                header.msg_hdr.msg_control = raw.control[at].as_mut_ptr().cast();
            }
            raw.headers.push(header);
        }
        Ok(raw)
    }

    fn turn(&mut self, contents: &[u8]) {
        self.send(contents);
        let mut datagrams = 0;
        while datagrams < RUN {
            for header in &mut self.headers {
                header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as u32;
                if !header.msg_hdr.msg_control.is_null() {
                    header.msg_hdr.msg_controllen = 32;
                }
            }
            let (fd, headers) = (self.sockets[1].as_raw_fd(), self.headers.as_mut_ptr());
            let len = self.headers.len() as u32;
            let count = unsafe { libc::recvmmsg(fd, headers, len, 0, ptr::null_mut()) };
            assert!(count > 0, "{}", io::Error::last_os_error());
            for header in &self.headers[..count as usize] {
                datagrams += (header.msg_len as usize).div_ceil(self.size);
            }
        }
    }

    fn send(&mut self, contents: &[u8]) {
        let fd = self.sockets[0].as_raw_fd();
        let piece = if self.is_segmented {
            65_487 / self.size
        } else {
            1
        };
        let mut pieces = contents.chunks(self.size * piece.min(64)).peekable();
        while pieces.peek().is_some() {
            let mut len = 0;
            for (at, piece) in pieces.by_ref().take(32).enumerate() {
                self.send_iovecs[at] = libc::iovec {
                    iov_base: piece.as_ptr().cast_mut().cast(),
                    iov_len: piece.len(),
                };
                let header = &mut self.send_headers[at].msg_hdr;
                header.msg_iov = &mut self.send_iovecs[at];
                header.msg_iovlen = 1;
                if self.is_segmented {
                    header.msg_control = self.send_control.as_mut_ptr().cast();
                    header.msg_controllen = 24;
                    unsafe {
                        let message = libc::CMSG_FIRSTHDR(header);
                        (*message).cmsg_len = libc::CMSG_LEN(2) as usize;
                        (*message).cmsg_level = libc::SOL_UDP;
                        (*message).cmsg_type = libc::UDP_SEGMENT;
                        libc::CMSG_DATA(message)
                            .cast::<u16>()
                            .write(self.size as u16);
                    }
                }
                len += 1;
            }
            let headers = self.send_headers.as_mut_ptr();
            let count = if len == 1 {
                let result = unsafe { libc::sendmsg(fd, headers.cast(), 0) };
                i32::from(result > 0)
            } else {
                unsafe { libc::sendmmsg(fd, headers, len, 0) }
            };
            assert_eq!(count, len as i32, "{}", io::Error::last_os_error());
        }
    }
}

struct OnLitio {
    by: By,
    sockets: [litio::net::UdpSocket; 2],
    batches: [Batch; 2],
    runs: Vec<RecvRun<Vec<u8>>>,
}

impl OnLitio {
    fn new(by: By, wanted: Wanted) -> io::Result<OnLitio> {
        let sockets = pair()?.map(litio::net::UdpSocket::from_std);
        let batches = [
            Batch::new(&sockets[0], Wanted::NOTHING)?,
            Batch::new(&sockets[1], wanted)?,
        ];
        assert_eq!(batches[1].granted(), wanted);
        let (count, len) = by.buffers();
        Ok(OnLitio {
            by,
            sockets,
            batches,
            runs: (0..count).map(|_| RecvRun::new(vec![0; len])).collect(),
        })
    }

    fn turn(&mut self, contents: &[u8], size: usize) {
        let count = contents.len() / size;
        match self.by {
            By::Singles => {
                for datagram in contents.chunks(size) {
                    assert_eq!(self.send(&[SendRun::new(datagram)]), 1);
                    self.receive(1);
                }
            }
            By::Mmsg => {
                let mut chunks = contents.chunks(size);
                let runs: [_; RUN] = std::array::from_fn(|_| SendRun::new(chunks.next().unwrap()));
                assert_eq!(self.send(&runs), count);
                self.receive(count);
            }
            By::Gso | By::GsoGro => {
                assert_eq!(
                    self.send(&[SendRun::new(contents).segment_len(size)]),
                    count
                );
                self.receive(count);
            }
        }
    }

    fn send(&self, runs: &[SendRun<'_>]) -> usize {
        self.sockets[0].send_runs(&self.batches[0], runs).unwrap()
    }

    fn receive(&mut self, count: usize) {
        let mut datagrams = 0;
        while datagrams < count {
            let received = self.sockets[1].recv_runs(&self.batches[1], &mut self.runs);
            let counts = self.runs[..received.unwrap()].iter().map(RecvRun::count);
            datagrams += counts.sum::<usize>();
        }
    }
}

/// As many buffers as quinn-udp uses in one call.
const QUINN_BUFFERS: usize = 32;

struct OnQuinn {
    by: By,
    sockets: [UdpSocket; 2],
    states: [quinn_udp::UdpSocketState; 2],
    destination: SocketAddr,
    buffers: Vec<Vec<u8>>,
    metas: [quinn_udp::RecvMeta; QUINN_BUFFERS],
}

impl OnQuinn {
    fn new(by: By) -> io::Result<OnQuinn> {
        let sockets = pair()?;
        let states = [
            quinn_udp::UdpSocketState::new((&sockets[0]).into())?,
            quinn_udp::UdpSocketState::new((&sockets[1]).into())?,
        ];
        if !by.is_coalesced() {
            // It always switches it on.
            set_option(&sockets[1], libc::SOL_UDP, libc::UDP_GRO, 0);
        }
        let destination = sockets[1].local_addr()?;
        let (count, len) = by.buffers();
        Ok(OnQuinn {
            by,
            sockets,
            states,
            destination,
            buffers: vec![vec![0; len]; count],
            metas: [quinn_udp::RecvMeta::default(); QUINN_BUFFERS],
        })
    }

    fn turn(&mut self, contents: &[u8], size: usize) {
        // It takes one piece at a time.
        let in_a_piece = match self.by {
            By::Singles | By::Mmsg => 1,
            By::Gso | By::GsoGro => (65_487 / size).min(64),
        };
        for piece in contents.chunks(size * in_a_piece) {
            let transmit = quinn_udp::Transmit {
                destination: self.destination,
                ecn: None,
                contents: piece,
                segment_size: self.by.is_segmented().then_some(size),
                src_ip: None,
            };
            let socket = (&self.sockets[0]).into();
            self.states[0].try_send(socket, &transmit).unwrap();
            if self.by == By::Singles {
                self.receive(1);
            }
        }
        if self.by != By::Singles {
            self.receive(contents.len() / size);
        }
    }

    fn receive(&mut self, count: usize) {
        let mut datagrams = 0;
        while datagrams < count {
            let mut slices: [io::IoSliceMut<'_>; QUINN_BUFFERS] =
                std::array::from_fn(|_| io::IoSliceMut::new(&mut []));
            let used = self.buffers.len();
            for (slice, buffer) in slices.iter_mut().zip(&mut self.buffers) {
                *slice = io::IoSliceMut::new(buffer);
            }
            let socket = (&self.sockets[1]).into();
            let filled = self.states[1]
                .recv(socket, &mut slices[..used], &mut self.metas[..used])
                .unwrap();
            for meta in &self.metas[..filled] {
                datagrams += meta.len.div_ceil(meta.stride);
            }
        }
    }
}
