//! Addresses as the system has them, `sockaddr` and its kin, from and to std's types.
//!
//! Built and read field by field. The layout of std's types is its own affair: libraries that took
//! them for the C structs were broken when std changed it.
//!
//! Windows has the same structs under other names, with unions in them.

use std::mem::zeroed;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use self::system::{AF_INET, AF_INET6, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage};

/// The number of a family, as socket(2) takes it, and the length of an address.
pub(super) use self::system::{Family, Length};

/// What is the system's: the structs, and the fields of them that have not one name everywhere.
#[cfg(not(windows))]
mod system {
    pub(super) use libc::{
        AF_INET, AF_INET6, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage,
    };

    pub(in super::super) type Family = libc::c_int;
    pub(in super::super) type Length = libc::socklen_t;

    pub(super) fn family(raw: &sockaddr_in) -> Family {
        raw.sin_family.into()
    }

    pub(super) fn octets_v4(raw: &sockaddr_in) -> [u8; 4] {
        raw.sin_addr.s_addr.to_ne_bytes()
    }

    pub(super) fn set_octets_v4(raw: &mut sockaddr_in, octets: [u8; 4]) {
        raw.sin_addr.s_addr = u32::from_ne_bytes(octets);
    }

    pub(super) fn octets_v6(raw: &sockaddr_in6) -> [u8; 16] {
        raw.sin6_addr.s6_addr
    }

    pub(super) fn set_octets_v6(raw: &mut sockaddr_in6, octets: [u8; 16]) {
        raw.sin6_addr.s6_addr = octets;
    }

    pub(super) fn scope(raw: &sockaddr_in6) -> u32 {
        raw.sin6_scope_id
    }

    pub(super) fn set_scope(raw: &mut sockaddr_in6, scope: u32) {
        raw.sin6_scope_id = scope;
    }
}

/// As above.
#[cfg(windows)]
mod system {
    pub(super) use windows_sys::Win32::Networking::WinSock::{
        AF_INET, AF_INET6, SOCKADDR as sockaddr, SOCKADDR_IN as sockaddr_in,
        SOCKADDR_IN6 as sockaddr_in6, SOCKADDR_STORAGE as sockaddr_storage,
    };

    pub(in super::super) type Family = u16;
    pub(in super::super) type Length = i32;

    pub(super) fn family(raw: &sockaddr_in) -> Family {
        raw.sin_family
    }

    pub(super) fn octets_v4(raw: &sockaddr_in) -> [u8; 4] {
        // SAFETY: every view of these bytes is of integers.
        unsafe { raw.sin_addr.S_un.S_addr }.to_ne_bytes()
    }

    pub(super) fn set_octets_v4(raw: &mut sockaddr_in, octets: [u8; 4]) {
        raw.sin_addr.S_un.S_addr = u32::from_ne_bytes(octets);
    }

    pub(super) fn octets_v6(raw: &sockaddr_in6) -> [u8; 16] {
        // SAFETY: as above.
        unsafe { raw.sin6_addr.u.Byte }
    }

    pub(super) fn set_octets_v6(raw: &mut sockaddr_in6, octets: [u8; 16]) {
        raw.sin6_addr.u.Byte = octets;
    }

    pub(super) fn scope(raw: &sockaddr_in6) -> u32 {
        // SAFETY: as above.
        unsafe { raw.Anonymous.sin6_scope_id }
    }

    pub(super) fn set_scope(raw: &mut sockaddr_in6, scope: u32) {
        raw.Anonymous.sin6_scope_id = scope;
    }
}

/// An address in one of C's structs, all of whose bytes are initialised, and how many of them
/// count.
#[derive(Debug)]
pub(super) struct Address<T> {
    pub(super) raw: T,
    /// At most the size of `T`, except that a system may say after `room` that it had more to
    /// write.
    pub(super) len: Length,
}

impl<T> Address<T> {
    /// What bind(2) and connect(2) read.
    pub(super) fn as_ptr(&self) -> *const sockaddr {
        (&raw const self.raw).cast()
    }

    /// How many bytes are at `as_ptr`.
    pub(super) fn len(&self) -> Length {
        self.len.min(size_of::<T>() as Length)
    }

    /// Where a system call may write an address, and its length, which first says how much room
    /// there is.
    pub(super) fn room(&mut self) -> (*mut sockaddr, *mut Length) {
        self.len = size_of::<T>() as Length;
        ((&raw mut self.raw).cast(), &raw mut self.len)
    }
}

/// An IPv4 or IPv6 address. A `sockaddr_storage` is several times as large, and would have to be
/// cleared for each connection and each datagram.
pub(super) type InetAddress = Address<Inet>;

/// Both begin with the family, in the same place.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) union Inet {
    v4: sockaddr_in,
    v6: sockaddr_in6,
}

impl InetAddress {
    /// Nothing yet: room for the system to write to.
    pub(super) const EMPTY: InetAddress = Address {
        // SAFETY: structs of integers, for which all bytes zero is a value.
        raw: unsafe { zeroed() },
        len: 0,
    };

    #[inline]
    pub(super) fn new(address: SocketAddr) -> InetAddress {
        let mut new = InetAddress::EMPTY;
        match address {
            SocketAddr::V4(v4) => {
                new.raw.v4 = sockaddr_v4(v4);
                new.len = size_of::<sockaddr_in>() as Length;
            }
            SocketAddr::V6(v6) => {
                new.raw.v6 = sockaddr_v6(v6);
                new.len = size_of::<sockaddr_in6>() as Length;
            }
        }
        new
    }

    fn v4(&self) -> &sockaddr_in {
        // SAFETY: all bytes are initialised, and any are a struct of integers.
        unsafe { &self.raw.v4 }
    }

    fn v6(&self) -> &sockaddr_in6 {
        // SAFETY: as above.
        unsafe { &self.raw.v6 }
    }

    /// None if the system wrote no address, or one of another family.
    #[inline]
    pub(super) fn to_std(&self) -> Option<SocketAddr> {
        let len = self.len() as usize;
        match system::family(self.v4()) {
            AF_INET if len >= size_of::<sockaddr_in>() => {
                let v4 = self.v4();
                let ip = Ipv4Addr::from(system::octets_v4(v4));
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            AF_INET6 if len >= size_of::<sockaddr_in6>() => {
                let v6 = self.v6();
                let ip = Ipv6Addr::from(system::octets_v6(v6));
                let (port, scope) = (u16::from_be(v6.sin6_port), system::scope(v6));
                Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, scope).into())
            }
            _ => None,
        }
    }

    /// The address at the beginning of a struct that has room for one of any family.
    pub(super) fn to_storage(&self) -> sockaddr_storage {
        // SAFETY: a struct of integers, for which all bytes zero is a value.
        let mut storage: sockaddr_storage = unsafe { zeroed() };
        // SAFETY: a `sockaddr_storage` has room and alignment for the struct of every family.
        unsafe { (&raw mut storage).cast::<Inet>().write(self.raw) };
        storage
    }
}

/// The family of an address, for socket(2).
pub(super) fn family(address: SocketAddr) -> Family {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

fn sockaddr_v4(address: SocketAddrV4) -> sockaddr_in {
    // SAFETY: a struct of integers, for which all bytes zero is a value.
    let mut raw: sockaddr_in = unsafe { zeroed() };
    raw.sin_family = AF_INET as _;
    raw.sin_port = address.port().to_be();
    // The octets stand in memory in network order.
    system::set_octets_v4(&mut raw, address.ip().octets());
    raw
}

fn sockaddr_v6(address: SocketAddrV6) -> sockaddr_in6 {
    // SAFETY: a struct of integers, for which all bytes zero is a value.
    let mut raw: sockaddr_in6 = unsafe { zeroed() };
    raw.sin6_family = AF_INET6 as _;
    raw.sin6_port = address.port().to_be();
    system::set_octets_v6(&mut raw, address.ip().octets());
    // Not swapped: std does not either, and hands it out as it came.
    raw.sin6_flowinfo = address.flowinfo();
    system::set_scope(&mut raw, address.scope_id());
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
        let v4 = InetAddress::new("1.2.3.4:258".parse().unwrap());
        let v4 = v4.v4();
        assert_eq!(system::family(v4), AF_INET);
        assert_eq!(v4.sin_port.to_ne_bytes(), [1, 2]);
        assert_eq!(system::octets_v4(v4), [1, 2, 3, 4]);
        let v6 = InetAddress::new("[102:304::ff]:258".parse().unwrap());
        assert_eq!(system::family(v6.v4()), AF_INET6);
        let v6 = v6.v6();
        assert_eq!(v6.sin6_port.to_ne_bytes(), [1, 2]);
        assert_eq!(
            system::octets_v6(v6),
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
        foreign.raw.v6.sin6_family = !0;
        assert_eq!(foreign.to_std(), None);
    }
}
