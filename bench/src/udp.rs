//! UDP in runs on loopback: one socket sends a run, the other receives all of it, on one thread, so that a figure is the whole
//! way of a datagram. Raw calls are the limit, quinn-udp is the peer.

use std::io;
use std::mem::zeroed;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use litio::net::datagrams::{Batch, RecvRun, SendRun, Wanted};

use crate::measure::{Contender, row_per};

const RUN: usize = 64;
const BUFFERS: usize = 4;

/// Measures a row under this name, in so many rounds, with datagrams of this size.
type Row = fn(&str, usize, usize) -> io::Result<()>;

pub fn run(rounds: usize, only: &str) -> io::Result<()> {
    println!("| datagrams, each sent and received | who | ns | quartiles | ratio to the first |");
    println!("|---|---|---:|---|---:|");
    for length in [1, 2, 4, 8, 16, 32, 64] {
        let name = format!("by length, runs of {length}, 64 B");
        if name.contains(only) {
            by_length(&name, rounds, length)?;
        }
    }
    for size in [64, 1200] {
        let rows: [(&str, Row); 5] = [
            ("single calls and the rest", overview),
            ("single", single),
            ("mmsg", mmsg),
            ("GSO", gso),
            ("GSO + GRO", gso_gro),
        ];
        for (name, run) in rows {
            let name = format!("{name}, runs of {RUN}, {size} B");
            if name.contains(only) {
                run(&name, rounds, size)?;
            }
        }
    }
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

/// From which length on a run pays.
fn by_length(name: &str, rounds: usize, length: usize) -> io::Result<()> {
    let size = 64;
    let contents = vec![7; length * size];
    let mut singles = RawSingle::new(size)?;
    let mut gso = OnLitio::new(Wanted::NOTHING, true)?;
    let mut both = OnLitio::new(Wanted::COALESCED, true)?;
    row_per(
        length,
        name,
        rounds,
        &mut [
            Contender::new("single, raw", || singles.turn(&contents)),
            Contender::new("litio GSO", || gso.turn(&contents, size)),
            Contender::new("litio GSO + GRO", || both.turn(&contents, size)),
        ],
    );
    Ok(())
}

/// What all rows are measured against: one call for each datagram.
fn overview(name: &str, rounds: usize, size: usize) -> io::Result<()> {
    let contents = vec![7; RUN * size];
    let mut singles = RawSingle::new(size)?;
    let mut mmsg = OnLitio::new(Wanted::NOTHING, false)?;
    let mut gso = OnLitio::new(Wanted::NOTHING, true)?;
    let mut both = OnLitio::new(Wanted::COALESCED, true)?;
    row_per(
        RUN,
        name,
        rounds,
        &mut [
            Contender::new("single, raw", || singles.turn(&contents)),
            Contender::new("litio mmsg", || mmsg.turn(&contents, size)),
            Contender::new("litio GSO", || gso.turn(&contents, size)),
            Contender::new("litio GSO + GRO", || both.turn(&contents, size)),
        ],
    );
    Ok(())
}

fn single(name: &str, rounds: usize, size: usize) -> io::Result<()> {
    let contents = vec![7; RUN * size];
    let mut raw = RawSingle::new(size)?;
    let [one, other] = pair()?.map(litio::net::UdpSocket::from_std);
    let mut buffer = vec![0; 2048];
    let [batch_one, batch_other] = [&one, &other].map(|s| Batch::new(s, Wanted::NOTHING).unwrap());
    let [near, far] = pair()?.map(litio::net::UdpSocket::from_std);
    let mut run = [RecvRun::new(vec![0; 2048])];
    row_per(
        RUN,
        name,
        rounds,
        &mut [
            Contender::new("raw", || raw.turn(&contents)),
            Contender::new("litio send, recv", || {
                for datagram in contents.chunks(size) {
                    one.send(datagram).unwrap();
                    assert_eq!(other.recv(&mut buffer).unwrap(), size);
                }
            }),
            Contender::new("litio runs of one", || {
                for datagram in contents.chunks(size) {
                    near.send_runs(&batch_one, &[SendRun::new(datagram)])
                        .unwrap();
                    far.recv_runs(&batch_other, &mut run).unwrap();
                    assert_eq!(run[0].contents().len(), size);
                }
            }),
        ],
    );
    Ok(())
}

fn mmsg(name: &str, rounds: usize, size: usize) -> io::Result<()> {
    let contents = vec![7; RUN * size];
    let mut raw = Raw::new(size, false, false)?;
    let mut litio = OnLitio::new(Wanted::NOTHING, false)?;
    row_per(
        RUN,
        name,
        rounds,
        &mut [
            Contender::new("raw", || raw.turn(&contents)),
            Contender::new("litio", || litio.turn(&contents, size)),
        ],
    );
    Ok(())
}

fn gso(name: &str, rounds: usize, size: usize) -> io::Result<()> {
    let contents = vec![7; RUN * size];
    let mut raw = Raw::new(size, true, false)?;
    let mut litio = OnLitio::new(Wanted::NOTHING, true)?;
    row_per(
        RUN,
        name,
        rounds,
        &mut [
            Contender::new("raw", || raw.turn(&contents)),
            Contender::new("litio", || litio.turn(&contents, size)),
        ],
    );
    Ok(())
}

fn gso_gro(name: &str, rounds: usize, size: usize) -> io::Result<()> {
    let contents = vec![7; RUN * size];
    let mut raw = Raw::new(size, true, true)?;
    let mut litio = OnLitio::new(Wanted::COALESCED, true)?;
    // What quinn-udp always asks for.
    let all = Wanted::COALESCED | Wanted::DESTINATION | Wanted::ECN | Wanted::TIMESTAMP;
    let mut all = OnLitio::new(all, true)?;
    let mut quinn = OnQuinn::new()?;
    row_per(
        RUN,
        name,
        rounds,
        &mut [
            Contender::new("raw", || raw.turn(&contents)),
            Contender::new("litio", || litio.turn(&contents, size)),
            Contender::new("litio, metadata as quinn-udp", || all.turn(&contents, size)),
            Contender::new("quinn-udp", || quinn.turn(&contents, size)),
        ],
    );
    Ok(())
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
    fn new(size: usize, is_segmented: bool, is_coalesced: bool) -> io::Result<Raw> {
        let sockets = pair()?;
        if is_coalesced {
            set_option(&sockets[1], libc::SOL_UDP, libc::UDP_GRO, 1);
        }
        let count = if is_coalesced { BUFFERS } else { 32 };
        let mut raw = Raw {
            sockets,
            size,
            is_segmented,
            buffers: vec![vec![0; if is_coalesced { 65_535 } else { 2048 }]; count],
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
            if is_coalesced {
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
    sockets: [litio::net::UdpSocket; 2],
    batches: [Batch; 2],
    is_segmented: bool,
    runs: Vec<RecvRun<Vec<u8>>>,
}

impl OnLitio {
    fn new(wanted: Wanted, is_segmented: bool) -> io::Result<OnLitio> {
        let sockets = pair()?.map(litio::net::UdpSocket::from_std);
        let is_coalesced = wanted.contains(Wanted::COALESCED);
        let batches = [
            Batch::new(&sockets[0], Wanted::NOTHING)?,
            Batch::new(&sockets[1], wanted)?,
        ];
        let (count, len) = if is_coalesced {
            (BUFFERS, 65_535)
        } else {
            (32, 2048)
        };
        Ok(OnLitio {
            sockets,
            batches,
            is_segmented,
            runs: (0..count).map(|_| RecvRun::new(vec![0; len])).collect(),
        })
    }

    fn turn(&mut self, contents: &[u8], size: usize) {
        let [one, other] = &self.sockets;
        let [batch_one, batch_other] = &self.batches;
        let sent = if self.is_segmented {
            one.send_runs(batch_one, &[SendRun::new(contents).segments(size)])
        } else {
            let mut chunks = contents.chunks(size);
            let runs: [_; RUN] = std::array::from_fn(|_| SendRun::new(chunks.next().unwrap()));
            one.send_runs(batch_one, &runs)
        };
        let count = contents.len() / size;
        assert_eq!(sent.unwrap(), count);
        let mut datagrams = 0;
        while datagrams < count {
            let filled = other.recv_runs(batch_other, &mut self.runs).unwrap();
            let counts = self.runs[..filled].iter().map(RecvRun::count);
            datagrams += counts.sum::<usize>();
        }
    }
}

struct OnQuinn {
    sockets: [UdpSocket; 2],
    states: [quinn_udp::UdpSocketState; 2],
    destination: SocketAddr,
    buffers: Vec<Vec<u8>>,
    metas: [quinn_udp::RecvMeta; BUFFERS],
}

impl OnQuinn {
    fn new() -> io::Result<OnQuinn> {
        let sockets = pair()?;
        let states = [
            quinn_udp::UdpSocketState::new((&sockets[0]).into())?,
            quinn_udp::UdpSocketState::new((&sockets[1]).into())?,
        ];
        let destination = sockets[1].local_addr()?;
        Ok(OnQuinn {
            sockets,
            states,
            destination,
            buffers: vec![vec![0; 65_535]; BUFFERS],
            metas: [quinn_udp::RecvMeta::default(); BUFFERS],
        })
    }

    fn turn(&mut self, contents: &[u8], size: usize) {
        // It takes one piece at a time.
        for piece in contents.chunks(size * (65_487 / size).min(64)) {
            let transmit = quinn_udp::Transmit {
                destination: self.destination,
                ecn: None,
                contents: piece,
                segment_size: Some(size),
                src_ip: None,
            };
            let socket = (&self.sockets[0]).into();
            self.states[0].try_send(socket, &transmit).unwrap();
        }
        let mut datagrams = 0;
        while datagrams < RUN {
            let mut buffers = self.buffers.iter_mut();
            let mut slices: [io::IoSliceMut<'_>; BUFFERS] =
                std::array::from_fn(|_| io::IoSliceMut::new(buffers.next().unwrap()));
            let socket = (&self.sockets[1]).into();
            let filled = self.states[1]
                .recv(socket, &mut slices, &mut self.metas)
                .unwrap();
            for meta in &self.metas[..filled] {
                datagrams += meta.len.div_ceil(meta.stride);
            }
        }
    }
}
