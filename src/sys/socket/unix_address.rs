//! Addresses of Unix sockets, from and to std's type.

use std::ffi::OsStr;
use std::io;
use std::mem::{offset_of, zeroed};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;

use libc::{c_char, sa_family_t, sockaddr_un, socklen_t};

use super::abstract_names;
use super::address::Address;

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
    pub(super) fn new(address: &SocketAddr) -> io::Result<UnixAddress> {
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
            *to = c_char::from_ne_bytes([*from]); // i8 or u8
        }
        new.len = (NAME + end) as socklen_t;
        Ok(new)
    }

    /// None if std has no such address: a path without room for the zero that ends it.
    pub(super) fn to_std(&self) -> Option<SocketAddr> {
        let bytes = self.raw.sun_path.map(|c| c.to_ne_bytes()[0]);
        let end = (self.len() as usize).saturating_sub(NAME);
        match &bytes[..end.min(bytes.len())] {
            [0, name @ ..] if !name.is_empty() => abstract_names::address(name).ok(),
            // Systems differ in whether the length includes the zero at the end, or the whole
            // struct.
            path => {
                let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
                SocketAddr::from_pathname(OsStr::from_bytes(path)).ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;

    use libc::c_int;

    use super::*;

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
    fn assert_comes_back(address: &SocketAddr, len: usize) {
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
            let address = SocketAddr::from_pathname(path).unwrap();
            assert_comes_back(&address, path.len() + 1);
        }
        let not_utf8 = SocketAddr::from_pathname(OsStr::from_bytes(b"\xff\xfe")).unwrap();
        assert_comes_back(&not_utf8, 3);
    }

    #[test]
    fn unnamed_unix_address_has_no_bytes() {
        let unnamed = SocketAddr::from_pathname("").unwrap();
        assert!(unnamed.is_unnamed());
        assert_comes_back(&unnamed, 0);
        // Some systems write nothing at all, some the family and a zero.
        assert!(UnixAddress::EMPTY.to_std().unwrap().is_unnamed());
        let mut one_zero = UnixAddress::new(&unnamed).unwrap();
        one_zero.len += 1;
        assert!(one_zero.to_std().unwrap().is_unnamed());
    }

    #[test]
    fn abstract_names_come_back_as_they_went_zeroes_included() {
        let longest = [b'n'; 107];
        for name in [&b"x"[..], b"\0", b"a\0b\0", b"\xff", &longest] {
            let address = abstract_names::address(name).unwrap();
            if address.is_unnamed() {
                return; // the system has no such names
            }
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
