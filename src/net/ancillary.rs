//! What travels beside the bytes between Unix sockets: descriptors and credentials.
//!
//! A process can hand an open file, a socket, a listener to another one; it arrives as a descriptor
//! of that process. [`UnixStream`](super::UnixStream) and [`UnixDatagram`](super::UnixDatagram)
//! send with `send_message` what [`SendAncillary`] holds, and receive with `recv_message` into a
//! [`RecvAncillary`]. `peer_credentials` says who is at the other end.
//!
//! - A received descriptor is owned and close-on-exec. Other flags are those of the open file,
//!   which sender and receiver share: a socket of Litio's arrives non-blocking.
//! - What the receiver has no room for, or does not take, is closed. Nothing leaks, and
//!   [`RecvAncillary::is_truncated`] tells. Do not trust strangers: whoever can send, can send
//!   descriptors; plain `read` and `recv` close them.
//! - On a stream, descriptors belong to the first byte of the data sent with them, and a receive
//!   that gets them ends with that data. Send at least a byte. Agree on which bytes come with
//!   descriptors.
//! - After an event, go on until [`WouldBlock`](std::io::ErrorKind::WouldBlock): short receives do
//!   not mean that there is no more.
//!
//! # Platform notes
//!
//! Exists where `libc` describes control messages: Linux, Android, Apple's systems, the BSDs,
//! Solaris, illumos, Haiku and some more. Where the system cannot make descriptors close-on-exec as
//! they arrive (Apple's, Solaris, illumos), a moment remains in which another thread's `fork` and
//! `exec` carries them away.
//!
//! # Examples
//!
//! A listener goes to where its connections are served:
//!
//! ```
//! use litio::net::ancillary::{RecvAncillary, SendAncillary};
//! use litio::net::{TcpListener, UnixStream};
//! use std::io::{IoSlice, IoSliceMut};
//! use std::os::fd::AsFd;
//!
//! # fn main() -> std::io::Result<()> {
//! let (ours, theirs) = UnixStream::pair()?; // in truth, two processes
//! let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
//! let address = listener.local_addr()?;
//! let fds = [listener.as_fd()];
//! ours.send_message(&[IoSlice::new(b"listen")], &SendAncillary::new().fds(&fds))?;
//! drop(listener);
//!
//! let mut word = [0; 6];
//! let mut ancillary = RecvAncillary::<1>::new();
//! let received = theirs.recv_message(&mut [IoSliceMut::new(&mut word)], &mut ancillary)?;
//! assert_eq!((received, &word), (6, b"listen"));
//! let listener = TcpListener::from(ancillary.take_fd().expect("a listener was sent"));
//! assert_eq!(listener.local_addr()?, address);
//! # Ok(())
//! # }
//! ```

pub use crate::sys::socket::message::{Credentials, RecvAncillary, SendAncillary};
