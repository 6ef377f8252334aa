//! Addresses as the system has them, `SOCKADDR` and its kin, from and to std's types.
//!
//! Built and read field by field. The layout of std's types is its own affair: libraries that took
//! them for the C structs were broken when std changed it.

use std::mem::zeroed;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use windows_sys::Win32::Networking::WinSock::{
    AF_INET, AF_INET6, IN_ADDR, IN_ADDR_0, IN6_ADDR, IN6_ADDR_0, SOCKADDR, SOCKADDR_IN,
    SOCKADDR_IN6, SOCKADDR_IN6_0, SOCKADDR_STORAGE,
};

/// An address in one of C's structs, all of whose bytes are initialised, and how many of them
/// count.
pub(super) struct Address<T> {
    pub(super) raw: T,
    pub(super) len: i32,
}

impl<T> Address<T> {
    /// What bind and connect read.
    pub(super) fn as_ptr(&self) -> *const SOCKADDR {
        (&raw const self.raw).cast()
    }

    /// How many bytes are at `as_ptr`.
    pub(super) fn len(&self) -> i32 {
        self.len.min(size_of::<T>() as i32)
    }

    /// Where a system call may write an address, and its length, which first says how much room
    /// there is.
    pub(super) fn room(&mut self) -> (*mut SOCKADDR, *mut i32) {
        self.len = size_of::<T>() as i32;
        ((&raw mut self.raw).cast(), &raw mut self.len)
    }
}

/// An IPv4 or IPv6 address.
pub(super) type InetAddress = Address<SOCKADDR_STORAGE>;

impl InetAddress {
    /// Nothing yet: room for the system to write to.
    pub(super) fn empty() -> InetAddress {
        Address {
            // SAFETY: a struct of integers, for which all bytes zero is a value.
            raw: unsafe { zeroed() },
            len: 0,
        }
    }

    pub(super) fn new(address: SocketAddr) -> InetAddress {
        match address {
            SocketAddr::V4(v4) => InetAddress::holding(sockaddr_v4(v4)),
            SocketAddr::V6(v6) => InetAddress::holding(sockaddr_v6(v6)),
        }
    }

    fn holding<T: Inet>(specific: T) -> InetAddress {
        let mut address = InetAddress::empty();
        let place = (&raw mut address.raw).cast::<T>();
        // SAFETY: a `SOCKADDR_STORAGE` has room and alignment for the struct of every family;
        // `Inet` are two of them.
        unsafe { place.write(specific) };
        address.len = size_of::<T>() as i32;
        address
    }

    fn read<T: Inet>(&self) -> T {
        // SAFETY: a `SOCKADDR_STORAGE` has the size and alignment, all its bytes are initialised,
        // and any are an `Inet`.
        unsafe { (&raw const self.raw).cast::<T>().read() }
    }

    /// None if the system wrote no address, or one of another family.
    pub(super) fn to_std(&self) -> Option<SocketAddr> {
        let len = self.len() as usize;
        match self.raw.ss_family {
            AF_INET if len >= size_of::<SOCKADDR_IN>() => {
                let v4 = self.read::<SOCKADDR_IN>();
                // SAFETY: every view of these bytes is of integers.
                let ip = unsafe { v4.sin_addr.S_un.S_addr };
                let ip = Ipv4Addr::from(ip.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            AF_INET6 if len >= size_of::<SOCKADDR_IN6>() => {
                let v6 = self.read::<SOCKADDR_IN6>();
                // SAFETY: as above.
                let ip = Ipv6Addr::from(unsafe { v6.sin6_addr.u.Byte });
                // SAFETY: as above.
                let scope = unsafe { v6.Anonymous.sin6_scope_id };
                let port = u16::from_be(v6.sin6_port);
                Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, scope).into())
            }
            _ => None,
        }
    }
}

/// The family of an address, for `WSASocketW`.
pub(super) fn family(address: SocketAddr) -> u16 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

/// The structs that an [`InetAddress`] holds: of integers only, no larger than a
/// `SOCKADDR_STORAGE`.
trait Inet {}
impl Inet for SOCKADDR_IN {}
impl Inet for SOCKADDR_IN6 {}

fn sockaddr_v4(address: SocketAddrV4) -> SOCKADDR_IN {
    SOCKADDR_IN {
        sin_family: AF_INET,
        sin_port: address.port().to_be(),
        sin_addr: IN_ADDR {
            // The octets stand in memory in network order.
            S_un: IN_ADDR_0 {
                S_addr: u32::from_ne_bytes(address.ip().octets()),
            },
        },
        sin_zero: [0; 8],
    }
}

fn sockaddr_v6(address: SocketAddrV6) -> SOCKADDR_IN6 {
    SOCKADDR_IN6 {
        sin6_family: AF_INET6,
        sin6_port: address.port().to_be(),
        // Not swapped: std does not either, and hands it out as it came.
        sin6_flowinfo: address.flowinfo(),
        sin6_addr: IN6_ADDR {
            u: IN6_ADDR_0 {
                Byte: address.ip().octets(),
            },
        },
        Anonymous: SOCKADDR_IN6_0 {
            sin6_scope_id: address.scope_id(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inet_addresses_come_back_as_they_went() {
        let v6 = |ip: &str, port, flowinfo, scope| {
            let ip = ip.parse().unwrap();
            SocketAddr::from(SocketAddrV6::new(ip, port, flowinfo, scope))
        };
        for address in [
            "0.0.0.0:0".parse().unwrap(),
            "127.0.0.1:80".parse().unwrap(),
            "255.254.253.252:65535".parse().unwrap(),
            v6("::", 0, 0, 0),
            v6("fe80::102:304:506:708", 0x1234, 0x000a_bcde, 7),
            v6("ffff::8888", 65535, u32::MAX, u32::MAX),
        ] {
            assert_eq!(InetAddress::new(address).to_std(), Some(address));
        }
    }

    #[test]
    fn inet_addresses_are_in_network_order_and_have_the_length_of_their_family() {
        let v4 = InetAddress::new("1.2.3.4:258".parse().unwrap());
        assert_eq!(v4.len() as usize, size_of::<SOCKADDR_IN>());
        let raw = v4.read::<SOCKADDR_IN>();
        assert_eq!(raw.sin_port.to_ne_bytes(), [1, 2]);
        // SAFETY: every view of these bytes is of integers.
        let octets = unsafe { raw.sin_addr.S_un.S_addr };
        assert_eq!(octets.to_ne_bytes(), [1, 2, 3, 4]);
        let v6 = InetAddress::new("[102::ff]:258".parse().unwrap());
        assert_eq!(v6.len() as usize, size_of::<SOCKADDR_IN6>());
        let raw = v6.read::<SOCKADDR_IN6>();
        assert_eq!(raw.sin6_port.to_ne_bytes(), [1, 2]);
        // SAFETY: as above.
        let octets = unsafe { raw.sin6_addr.u.Byte };
        assert_eq!((octets[0], octets[1], octets[15]), (1, 2, 0xff));
    }

    #[test]
    fn what_is_no_inet_address_is_none() {
        assert_eq!(InetAddress::empty().to_std(), None);
        let mut short = InetAddress::new("127.0.0.1:1".parse().unwrap());
        short.len -= 1;
        assert_eq!(short.to_std(), None);
        let mut foreign = InetAddress::new("[::1]:1".parse().unwrap());
        foreign.raw.ss_family = 1;
        assert_eq!(foreign.to_std(), None);
    }
}
