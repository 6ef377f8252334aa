//! Addresses as the system has them, `sockaddr` and its kin, from and to std's types.
//!
//! Built and read field by field. The layout of std's types is its own affair: libraries that took
//! them for the C structs were broken when std changed it.

use std::mem::zeroed;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use libc::{c_int, sa_family_t, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t};

/// An address in one of C's structs, all of whose bytes are initialised, and how many of them
/// count.
#[derive(Debug)]
pub(super) struct Address<T> {
    pub(super) raw: T,
    /// At most the size of `T`, except that a system may say after `room` that it had more to
    /// write.
    pub(super) len: socklen_t,
}

impl<T> Address<T> {
    /// What bind(2) and connect(2) read.
    pub(super) fn as_ptr(&self) -> *const sockaddr {
        (&raw const self.raw).cast()
    }

    /// How many bytes are at `as_ptr`.
    pub(super) fn len(&self) -> socklen_t {
        self.len.min(size_of::<T>() as socklen_t)
    }

    /// Where a system call may write an address, and its length, which first says how much room
    /// there is.
    pub(super) fn room(&mut self) -> (*mut sockaddr, *mut socklen_t) {
        self.len = size_of::<T>() as socklen_t;
        ((&raw mut self.raw).cast(), &raw mut self.len)
    }
}

/// An IPv4 or IPv6 address.
pub(super) type InetAddress = Address<sockaddr_storage>;

impl InetAddress {
    /// Nothing yet: room for the system to write to.
    pub(super) const EMPTY: InetAddress = Address {
        // SAFETY: a struct of integers, for which all bytes zero is a value.
        raw: unsafe { zeroed() },
        len: 0,
    };

    pub(super) fn new(address: SocketAddr) -> InetAddress {
        match address {
            SocketAddr::V4(v4) => InetAddress::holding(sockaddr_v4(v4)),
            SocketAddr::V6(v6) => InetAddress::holding(sockaddr_v6(v6)),
        }
    }

    fn holding<T: Inet>(specific: T) -> InetAddress {
        let mut address = InetAddress::EMPTY;
        let place = (&raw mut address.raw).cast::<T>();
        // SAFETY: a `sockaddr_storage` has room and alignment for the struct of every family;
        // `Inet` are two of them.
        unsafe { place.write(specific) };
        address.len = size_of::<T>() as socklen_t;
        address
    }

    fn read<T: Inet>(&self) -> T {
        // SAFETY: a `sockaddr_storage` has the size and alignment, all its bytes are initialised,
        // and any are an `Inet`.
        unsafe { (&raw const self.raw).cast::<T>().read() }
    }

    /// None if the system wrote no address, or one of another family.
    pub(super) fn to_std(&self) -> Option<SocketAddr> {
        // SAFETY: every `sockaddr_storage` begins with a `sockaddr`.
        let any = unsafe { self.as_ptr().read() };
        let len = self.len() as usize;
        match c_int::from(any.sa_family) {
            libc::AF_INET if len >= size_of::<sockaddr_in>() => {
                let v4 = self.read::<sockaddr_in>();
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 if len >= size_of::<sockaddr_in6>() => {
                let v6 = self.read::<sockaddr_in6>();
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

/// The family of an address, for socket(2).
pub(super) fn family(address: SocketAddr) -> c_int {
    if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    }
}

/// The structs that an [`InetAddress`] holds: of integers only, no larger than a
/// `sockaddr_storage`.
trait Inet {}
impl Inet for sockaddr_in {}
impl Inet for sockaddr_in6 {}

fn sockaddr_v4(address: SocketAddrV4) -> sockaddr_in {
    // SAFETY: a struct of integers, for which all bytes zero is a value.
    let mut raw: sockaddr_in = unsafe { zeroed() };
    raw.sin_family = libc::AF_INET as sa_family_t;
    raw.sin_port = address.port().to_be();
    // The octets stand in memory in network order.
    raw.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
    raw
}

fn sockaddr_v6(address: SocketAddrV6) -> sockaddr_in6 {
    // SAFETY: a struct of integers, for which all bytes zero is a value.
    let mut raw: sockaddr_in6 = unsafe { zeroed() };
    raw.sin6_family = libc::AF_INET6 as sa_family_t;
    raw.sin6_port = address.port().to_be();
    raw.sin6_addr.s6_addr = address.ip().octets();
    // Not swapped: std does not either, and hands it out as it came.
    raw.sin6_flowinfo = address.flowinfo();
    raw.sin6_scope_id = address.scope_id();
    raw
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inet_addresses_come_back_as_they_went() {
        let v6 = |ip: &str, port, flowinfo, scope| {
            SocketAddr::from(SocketAddrV6::new(
                ip.parse().unwrap(),
                port,
                flowinfo,
                scope,
            ))
        };
        let addresses = [
            "0.0.0.0:0".parse().unwrap(),
            "127.0.0.1:80".parse().unwrap(),
            "255.254.253.252:65535".parse().unwrap(),
            v6("::", 0, 0, 0),
            v6("fe80::102:304:506:708", 0x1234, 0x000a_bcde, 7),
            v6(
                "ffff:eeee:dddd:cccc:bbbb:aaaa:9999:8888",
                65535,
                u32::MAX,
                u32::MAX,
            ),
        ];
        for address in addresses {
            assert_eq!(InetAddress::new(address).to_std(), Some(address));
        }
    }

    #[test]
    fn inet_addresses_are_in_network_order() {
        let v4 = sockaddr_v4("1.2.3.4:258".parse().unwrap());
        assert_eq!(c_int::from(v4.sin_family), libc::AF_INET);
        assert_eq!(v4.sin_port.to_ne_bytes(), [1, 2]);
        assert_eq!(v4.sin_addr.s_addr.to_ne_bytes(), [1, 2, 3, 4]);
        let v6 = sockaddr_v6("[102:304::ff]:258".parse().unwrap());
        assert_eq!(c_int::from(v6.sin6_family), libc::AF_INET6);
        assert_eq!(v6.sin6_port.to_ne_bytes(), [1, 2]);
        assert_eq!(
            v6.sin6_addr.s6_addr,
            [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff]
        );
    }

    #[test]
    fn inet_address_has_the_length_of_its_family() {
        let len = |address: &str| InetAddress::new(address.parse().unwrap()).len() as usize;
        assert_eq!(len("127.0.0.1:1"), size_of::<sockaddr_in>());
        assert_eq!(len("[::1]:1"), size_of::<sockaddr_in6>());
    }

    #[test]
    fn what_is_no_inet_address_is_none() {
        assert_eq!(InetAddress::EMPTY.to_std(), None);
        let mut short = InetAddress::new("127.0.0.1:1".parse().unwrap());
        short.len -= 1;
        assert_eq!(short.to_std(), None);
        let mut foreign = InetAddress::new("[::1]:1".parse().unwrap());
        foreign.raw.ss_family = sa_family_t::MAX;
        assert_eq!(foreign.to_std(), None);
    }
}
