//! Sockets between virtual machines and their host: vsock.
//!
//! An address is a *context identifier*, which stands for a machine, and a port. Streams behave as
//! those of TCP do, and std's types of TCP make the system calls that they need, so those hold the
//! sockets; only for addresses they must not be asked.
//!
//! Source: vsock(7)

use std::fmt;
use std::io;
use std::mem::{offset_of, zeroed};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use libc::{c_int, sa_family_t, sockaddr_vm, socklen_t};

use super::address::Address;
use super::{TCP_BACKLOG, dialect, posix};
use crate::sys::check;

/// The same on every processor; the libc crate has it not for every C library.
const AF_VSOCK: c_int = 40;

/// The address of a vsock socket: a machine, by its context identifier (CID), and a port.
///
/// # Examples
///
/// ```
/// use litio::net::VsockAddr;
///
/// let host = VsockAddr::new(VsockAddr::CID_HOST, 1024);
/// assert_eq!(host.to_string(), "2:1024");
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[doc(alias = "sockaddr_vm")]
pub struct VsockAddr {
    /// The machine.
    pub cid: u32,
    /// The port, of 32 bits. Those below 1024 are for privileged processes.
    pub port: u32,
}

impl VsockAddr {
    /// To listen: for connections from everywhere.
    #[doc(alias = "VMADDR_CID_ANY")]
    pub const CID_ANY: u32 = u32::MAX;
    /// The hypervisor itself; with most, nobody listens there.
    #[doc(alias = "VMADDR_CID_HYPERVISOR")]
    pub const CID_HYPERVISOR: u32 = 0;
    /// This machine, on Linux since 5.6, if the kernel has the module `vsock_loopback`.
    #[doc(alias = "VMADDR_CID_LOCAL")]
    pub const CID_LOCAL: u32 = 1;
    /// The host of this virtual machine.
    #[doc(alias = "VMADDR_CID_HOST")]
    pub const CID_HOST: u32 = 2;
    /// To listen: on a port of the system's choice.
    #[doc(alias = "VMADDR_PORT_ANY")]
    pub const PORT_ANY: u32 = u32::MAX;

    /// The port of a machine.
    #[must_use]
    pub const fn new(cid: u32, port: u32) -> VsockAddr {
        VsockAddr { cid, port }
    }
}

/// Prints `cid:port`.
impl fmt::Display for VsockAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.cid, self.port)
    }
}

type RawAddress = Address<sockaddr_vm>;

impl RawAddress {
    /// Nothing yet: room for the system to write to.
    const EMPTY: RawAddress = Address {
        // SAFETY: a struct of integers, for which all bytes zero is a value.
        raw: unsafe { zeroed() },
        len: 0,
    };

    fn new(address: VsockAddr) -> RawAddress {
        let mut new = RawAddress::EMPTY;
        new.raw.svm_family = AF_VSOCK as sa_family_t;
        new.raw.svm_cid = address.cid;
        new.raw.svm_port = address.port;
        new.len = size_of::<sockaddr_vm>() as socklen_t;
        new
    }

    /// An error if the system wrote no address, or one of another family: the socket is of another.
    fn to_vsock(&self) -> io::Result<VsockAddr> {
        const CID_END: usize = offset_of!(sockaddr_vm, svm_cid) + size_of::<u32>();
        let is_vsock = c_int::from(self.raw.svm_family) == AF_VSOCK;
        if is_vsock && self.len() as usize >= CID_END {
            Ok(VsockAddr::new(self.raw.svm_cid, self.raw.svm_port))
        } else {
            let message = "the socket is not of the family vsock; take the type of its own";
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}

/// Makes a listener.
pub(crate) fn listen(address: VsockAddr) -> io::Result<TcpListener> {
    let socket = dialect::socket(AF_VSOCK, libc::SOCK_STREAM)?;
    posix::bind(&socket, &RawAddress::new(address))?;
    posix::listen(&socket, TCP_BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Makes a stream and starts to connect it.
pub(crate) fn connect(address: VsockAddr) -> io::Result<TcpStream> {
    let socket = dialect::socket(AF_VSOCK, libc::SOCK_STREAM)?;
    posix::connect(&socket, &RawAddress::new(address))?;
    Ok(TcpStream::from(socket))
}

/// Accepts a connection.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, VsockAddr)> {
    let mut peer = RawAddress::EMPTY;
    let stream = TcpStream::from(dialect::accept(listener.as_fd(), &mut peer)?);
    Ok((stream, peer.to_vsock()?))
}

/// The address to which the socket is bound.
pub(crate) fn local_addr(socket: BorrowedFd<'_>) -> io::Result<VsockAddr> {
    let mut address = RawAddress::EMPTY;
    let (name, len) = address.room();
    // SAFETY: getsockname(2) writes at most `*len` bytes to `name`, which has that many, and the
    // length to `len`.
    check(unsafe { libc::getsockname(socket.as_raw_fd(), name, len) })?;
    address.to_vsock()
}

/// The address of the peer.
pub(crate) fn peer_addr(socket: BorrowedFd<'_>) -> io::Result<VsockAddr> {
    let mut address = RawAddress::EMPTY;
    let (name, len) = address.room();
    // SAFETY: as for getsockname(2).
    check(unsafe { libc::getpeername(socket.as_raw_fd(), name, len) })?;
    address.to_vsock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_went() {
        for (cid, port) in [(0, 0), (1, 1023), (0x0102_0304, 0x0506_0708), (u32::MAX, 7)] {
            let address = VsockAddr::new(cid, port);
            let raw = RawAddress::new(address);
            assert_eq!(c_int::from(raw.raw.svm_family), AF_VSOCK);
            assert_eq!(raw.len() as usize, size_of::<sockaddr_vm>());
            assert_eq!(raw.to_vsock().unwrap(), address);
        }
    }

    /// As the header of the kernel has it, in the processor's order.
    #[test]
    fn the_fields_stand_where_the_kernel_reads_them() {
        let raw = RawAddress::new(VsockAddr::new(0x0102_0304, 0x0506_0708));
        assert_eq!(raw.len(), 16);
        let mut expected = [0; 16];
        expected[..2].copy_from_slice(&40u16.to_ne_bytes());
        expected[4..8].copy_from_slice(&0x0506_0708u32.to_ne_bytes());
        expected[8..12].copy_from_slice(&0x0102_0304u32.to_ne_bytes());
        // SAFETY: 16 bytes, all of which `zeroed` has initialised.
        let bytes = unsafe { raw.as_ptr().cast::<[u8; 16]>().read() };
        assert_eq!(bytes, expected);
    }

    #[test]
    fn what_is_no_vsock_address_is_an_error() {
        RawAddress::EMPTY.to_vsock().unwrap_err();
        let mut short = RawAddress::new(VsockAddr::new(1, 2));
        short.len = 8;
        short.to_vsock().unwrap_err();
        let mut foreign = RawAddress::new(VsockAddr::new(1, 2));
        foreign.raw.svm_family = libc::AF_INET as sa_family_t;
        let error = foreign.to_vsock().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    #[cfg_attr(miri, ignore = "no getsockname of other families")]
    fn a_socket_of_another_family_has_no_vsock_address() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = local_addr(tcp.as_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
