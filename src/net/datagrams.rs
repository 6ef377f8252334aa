//! Many UDP datagrams per call: an order of magnitude where they come in runs.
//!
//! A datagram sent or received on its own costs a system call, which is the smaller part, and a way
//! through the network stack, which is the larger. Systems can take a *run* instead: datagrams of
//! one length to one place, one behind the other in one buffer, which go through the stack as one
//! packet and are cut apart at its end (*segmentation offload*). And they can put datagrams that
//! arrive alike into one buffer (*coalescing*). The [guide](crate::guide::datagrams) says when it
//! pays.
//!
//! # How it works
//!
//! - A [`SendRun`] is what to send: a slice of the program's, where to cut it, where to send it,
//!   and what else is asked for (source address, interface, congestion mark, hop limit).
//! - A [`RecvRun`] is a buffer of the program's and, after receiving, the datagrams in it and what
//!   the system said about them.
//! - A [`Batch`] is what is known about one socket: it switches on what is [`Wanted`], says what
//!   was granted, and learns which mechanism works. Make one for each socket and keep it with it.
//! - [`UdpSocket::send_runs`] and [`UdpSocket::recv_runs`] do the work. They allocate nothing;
//!   headers and control messages are on the stack.
//!
//! The program is the same everywhere. Underneath is the best that the system has for this socket
//! at this moment; what the system refuses is done by simpler means in the same call, down to one
//! plain call for each datagram, with the same results.
//!
//! Counts may be partial, as with `write`: [`WouldBlock`](std::io::ErrorKind::WouldBlock) comes
//! only before the first datagram. If fewer datagrams were sent than there are, go on with the rest
//! ([`SendRun::advance_runs`]): the next call sends on, or says why not. If fewer runs were
//! received than there are buffers, receive again: only `WouldBlock` makes the next event certain.
//! An error after the first datagram ends the call with the count, and the next call meets it
//! again; but an error from earlier datagrams (`ConnectionRefused`) may go unreported. A datagram
//! that is refused, such as one larger than the path takes (`EMSGSIZE`), is the first of those that
//! are left: advance by one to go on without it.
//!
//! # Why it is so
//!
//! The state is not in [`UdpSocket`], which stays as small as std's, and costs nothing to those who
//! do without. With the batch of another socket, a call is only wrong about what works and what is
//! known; but a socket that coalesces needs a batch to which that was granted, or several datagrams
//! look like one.
//!
//! Sending counts datagrams, because a run may be sent in part; receiving counts runs, because
//! those are what has been filled. Metadata has to be asked for, because the kernel's work for each
//! datagram grows with it.
//!
//! # Platform notes
//!
//! | system | sending | receiving | metadata |
//! |---|---|---|---|
//! | Linux, Android | GSO from 4.18 on; sendmmsg(2) | GRO from 5.0 on; recvmmsg(2) | all |
//! | Windows | USO from 10 (2004) on | URO from 10 (2004) on, to be switched on apart | all but timestamp and drops |
//! | others | one call for each datagram | one call for each datagram | source only |
//!
//! On Windows, coalescing needs `windows::UdpSocketExt::set_coalescing`, which says why; hop limits
//! cannot be chosen, nor code points; and of a datagram from the same machine the destination may
//! be unknown. Wine grants what it can tell of received datagrams, and sends without offload and
//! metadata.
//!
//! Apple's systems have calls for many datagrams, `sendmsg_x` and `recvmsg_x`, but not for
//! programs: they are declared in `bsd/sys/socket_private.h` of xnu, which is in no SDK; the App
//! Store admits public interfaces only (guideline 2.5.1); and they differ between releases (that of
//! macOS 10.15 does not say how long the control messages are). If you want them all the same, call
//! them in [`try_io_for`](UdpSocket::try_io_for).
//!
//! # Examples
//!
//! ```
//! use litio::net::UdpSocket;
//! use litio::net::datagrams::{Batch, RecvRun, SendRun, Wanted};
//! use litio::{Events, Interest, Poll, Token};
//! use std::io::ErrorKind;
//!
//! # fn main() -> std::io::Result<()> {
//! let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
//! let batch = Batch::new(&socket, Wanted::COALESCED)?;
//! let mut poll = Poll::new()?;
//! let mut events = Events::with_capacity(8);
//! poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
//!
//! let peer = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
//! let contents = [7; 16 * 100];
//! let run = SendRun::new(&contents).segment_len(100).to(socket.local_addr()?);
//! assert_eq!(peer.send_runs(&Batch::new(&peer, Wanted::NOTHING)?, &[run])?, 16);
//!
//! // 65,535 bytes each, or a coalesced run might be cut off.
//! let mut runs = [(); 4].map(|()| RecvRun::new(vec![0; 65_535]));
//! let mut count = 0;
//! while count < 16 {
//!     poll.poll(&mut events, None)?;
//!     loop {
//!         match socket.recv_runs(&batch, &mut runs) {
//!             Ok(filled) => {
//!                 for run in &runs[..filled] {
//!                     assert_eq!(run.source(), peer.local_addr()?);
//!                     assert!(run.datagrams().all(|datagram| datagram == [7; 100]));
//!                     count += run.count();
//!                 }
//!             }
//!             Err(error) if error.kind() == ErrorKind::WouldBlock => break,
//!             Err(error) => return Err(error),
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```

use std::io;

use super::UdpSocket;
use crate::sys::socket::batch::Offload;

pub use crate::datagram::{Datagrams, DatagramsMut, Ecn, RecvRun, SendRun, Wanted};

/// What is known about a UDP socket for sending and receiving many datagrams per call.
///
/// # Examples
///
/// See [the module's](self#examples).
#[derive(Debug)]
pub struct Batch {
    pub(super) offload: Offload,
}

impl Batch {
    /// Switches on what is wanted, as far as the system has it, for the socket and all its
    /// duplicates.
    ///
    /// With [`Wanted::COALESCED`] granted, receive with [`UdpSocket::recv_runs`] and this batch
    /// only: anything else would return several datagrams as one.
    ///
    /// # Errors
    ///
    /// Those of getsockopt(2) and setsockopt(2); not that something is missing, which
    /// [`granted`](Batch::granted) tells.
    ///
    /// # System calls
    ///
    /// On Linux and Windows getsockname(2), getsockopt(2), and for each flag setsockopt(2) once or,
    /// on IPv6, twice; otherwise none.
    pub fn new(socket: &UdpSocket, wanted: Wanted) -> io::Result<Batch> {
        let offload = Offload::new(socket.as_std(), wanted)?;
        Ok(Batch { offload })
    }

    /// What the system grants of what was wanted.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    /// use litio::net::datagrams::{Batch, Wanted};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
    /// let batch = Batch::new(&socket, Wanted::ECN)?;
    /// if cfg!(target_os = "linux") {
    ///     assert!(batch.granted().contains(Wanted::ECN));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn granted(&self) -> Wanted {
        self.offload.granted()
    }

    /// How many datagrams of a run the system takes in one piece, as far as is known now: 64, or 1
    /// where there is no segmentation offload or it was refused. Longer runs are cut into pieces.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    /// use litio::net::datagrams::{Batch, Wanted};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
    /// let batch = Batch::new(&socket, Wanted::NOTHING)?;
    /// println!("best in runs of {}", batch.max_segments());
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "UDP_SEGMENT")]
    #[doc(alias = "GSO")]
    pub fn max_segments(&self) -> usize {
        self.offload.max_segments()
    }

    /// How many datagrams may come in one buffer, at most: 1 unless [`Wanted::COALESCED`] was
    /// granted. Buffers of 65,535 bytes have room for them, however many and however long.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    /// use litio::net::datagrams::{Batch, Wanted};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
    /// assert_eq!(Batch::new(&socket, Wanted::NOTHING)?.max_coalesced(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "UDP_GRO")]
    #[doc(alias = "GRO")]
    pub fn max_coalesced(&self) -> usize {
        self.offload.max_coalesced()
    }
}
