//! Addresses as the system has them, `sockaddr` and its kin, from and to std's types.
//!
//! Built and read field by field. The layout of std's types is its own affair: libraries that took
//! them for the C structs were broken when std changed it.

use std::ffi::OsStr;
use std::io;
use std::mem::{offset_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr as UnixSocketAddr;

use libc::{
    c_char, c_int, sa_family_t, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage, sockaddr_un,
    socklen_t,
};

use super::abstract_names;

/// An address in one of C's structs, all of whose bytes are initialised, and how many of them
/// count.
#[derive(Debug)]
pub(super) struct Address<T> {
    raw: T,
    /// At most the size of `T`, except that a system may say after `room` that it had more to
    /// write.
    len: socklen_t,
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

/// A Unix address: a path, an abstract name, or none.
pub(super) type UnixAddress = Address<sockaddr_un>;

/// Where the name begins; an address of this length is unnamed.
const NAME: usize = offset_of!(sockaddr_un, sun_path);

impl UnixAddress {
    /// Nothing yet: room for the system to write to.
    pub(super) const EMPTY: UnixAddress = Address {
        // SAFETY: a struct of integers, for which all bytes zero is a value.
        raw: unsafe { zeroed() },
        len: 0,
    };

    /// `InvalidInput` if the name does not fit.
    pub(super) fn new(address: &UnixSocketAddr) -> io::Result<UnixAddress> {
        if let Some(path) = address.as_pathname() {
            let mut new = UnixAddress::named(path.as_os_str().as_bytes(), 0)?;
            // The zero that ends a path counts, if there is room for it; systems take a path that
            // fills the struct.
            new.len = (new.len + 1).min(size_of::<sockaddr_un>() as socklen_t);
            Ok(new)
        } else if let Some(name) = abstract_names::name(address) {
            UnixAddress::named(name, 1)
        } else {
            UnixAddress::named(&[], 0)
        }
    }

    /// The address with `name` from byte `start` of `sun_path` on, behind zeroes.
    pub(super) fn named(name: &[u8], start: usize) -> io::Result<UnixAddress> {
        let mut new = UnixAddress::EMPTY;
        new.raw.sun_family = libc::AF_UNIX as sa_family_t;
        let end = start + name.len();
        let Some(place) = new.raw.sun_path.get_mut(start..end) else {
            let message =
                "the path of a Unix socket must be shorter than `sun_path`; use a shorter one";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        for (to, from) in place.iter_mut().zip(name) {
            *to = *from as c_char;
        }
        new.len = (NAME + end) as socklen_t;
        Ok(new)
    }

    /// None if std has no such address: a path without room for the zero that ends it.
    pub(super) fn to_std(&self) -> Option<UnixSocketAddr> {
        let bytes = self.raw.sun_path.map(|c| c as u8);
        let name = &bytes[..(self.len() as usize).saturating_sub(NAME)];
        match name {
            [0, name @ ..] if !name.is_empty() => abstract_names::address(name).ok(),
            // Systems differ in whether the length includes the zero at the end, or the whole
            // struct.
            path => {
                let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
                UnixSocketAddr::from_pathname(OsStr::from_bytes(path)).ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;

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
        foreign.raw.ss_family = libc::AF_UNIX as sa_family_t;
        assert_eq!(foreign.to_std(), None);
    }

    #[test]
    fn room_is_the_whole_struct_and_a_longer_answer_is_cut() {
        let mut address = UnixAddress::EMPTY;
        let (_, len) = address.room();
        // SAFETY: `room` gives a pointer to a field of `address`, which lives.
        let given = unsafe { len.read() };
        assert_eq!(given as usize, size_of::<sockaddr_un>());
        address.len += 1;
        assert_eq!(address.len() as usize, size_of::<sockaddr_un>());
    }

    #[track_caller]
    fn assert_comes_back(address: &UnixSocketAddr, len: usize) {
        let raw = UnixAddress::new(address).unwrap();
        assert_eq!(c_int::from(raw.raw.sun_family), libc::AF_UNIX);
        assert_eq!(raw.len() as usize, NAME + len);
        assert_eq!(
            format!("{:?}", raw.to_std().unwrap()),
            format!("{address:?}")
        );
    }

    #[test]
    fn unix_paths_come_back_as_they_went_and_count_the_zero_at_the_end() {
        let longest = "p".repeat(size_of::<sockaddr_un>() - NAME - 1);
        for path in ["a", "/tmp/socket", "\u{fffd}/\u{1}", &longest] {
            let address = UnixSocketAddr::from_pathname(path).unwrap();
            assert_comes_back(&address, path.len() + 1);
        }
        let not_utf8 = UnixSocketAddr::from_pathname(OsStr::from_bytes(b"\xff\xfe")).unwrap();
        assert_comes_back(&not_utf8, 3);
    }

    #[test]
    fn unnamed_unix_address_has_no_bytes() {
        let unnamed = UnixSocketAddr::from_pathname("").unwrap();
        assert!(unnamed.is_unnamed());
        assert_comes_back(&unnamed, 0);
        // Some systems write nothing at all, some the family and a zero.
        assert!(UnixAddress::EMPTY.to_std().unwrap().is_unnamed());
        let mut one_zero = UnixAddress::new(&unnamed).unwrap();
        one_zero.len += 1;
        assert!(one_zero.to_std().unwrap().is_unnamed());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn abstract_names_come_back_as_they_went_zeroes_included() {
        let longest = [b'n'; 107];
        for name in [&b"x"[..], b"\0", b"a\0b\0", b"\xff", &longest] {
            let address = abstract_names::address(name).unwrap();
            assert_comes_back(&address, name.len() + 1);
        }
    }

    #[test]
    fn path_that_fills_the_struct_needs_no_zero_and_a_longer_one_is_invalid_input() {
        let size = size_of::<sockaddr_un>() - NAME;
        let full = UnixAddress::named(&vec![b'p'; size], 0).unwrap();
        assert_eq!(full.len() as usize, size_of::<sockaddr_un>());
        assert!(full.to_std().is_none(), "std has no such address");
        let error = UnixAddress::named(&vec![b'p'; size + 1], 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn path_ends_at_the_first_zero_whatever_the_length_says() {
        let mut raw = UnixAddress::named(b"path\0rest", 0).unwrap();
        for len in [NAME + 4, NAME + 5, NAME + 9, size_of::<sockaddr_un>()] {
            raw.len = len as socklen_t;
            assert_eq!(raw.to_std().unwrap().as_pathname(), Some(Path::new("path")));
        }
    }
}
