//! Addresses of Unix sockets as the system has them: `SOCKADDR_UN`.

use std::io;
use std::mem::{offset_of, zeroed};
use std::os::windows::io::AsRawSocket;

use windows_sys::Win32::Networking::WinSock::{self, AF_UNIX, SOCKADDR_UN, SOCKET};

use super::address::Address;
use super::unix::net::SocketAddr;

/// A path, in UTF-8, or none.
pub(super) type UnixAddress = Address<SOCKADDR_UN>;

/// Where the path begins; an address of this length is unnamed.
const PATH: usize = offset_of!(SOCKADDR_UN, sun_path);
/// With the zero that ends it.
const PATH_BYTES_MAX: usize = size_of::<SOCKADDR_UN>() - PATH;

impl UnixAddress {
    /// Nothing yet: room for the system to write to.
    pub(super) fn empty() -> UnixAddress {
        Address {
            // SAFETY: a struct of integers, for which all bytes zero is a value.
            raw: unsafe { zeroed() },
            len: 0,
        }
    }

    /// `InvalidInput` if the path does not fit, or is none that the system could have.
    pub(super) fn new(address: &SocketAddr) -> io::Result<UnixAddress> {
        let mut new = UnixAddress::empty();
        new.raw.sun_family = AF_UNIX;
        new.len = PATH as i32;
        let Some(path) = address.as_pathname() else {
            return Ok(new);
        };
        let invalid = |message| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        let Some(path) = path.to_str() else {
            return invalid("the path of a Unix socket must be Unicode; use another one");
        };
        if path.contains('\0') {
            return invalid("the path of a Unix socket must not contain a zero");
        }
        if path.len() >= PATH_BYTES_MAX {
            return invalid("the path of a Unix socket must be shorter than 108 bytes in UTF-8");
        }
        for (to, from) in new.raw.sun_path.iter_mut().zip(path.bytes()) {
            *to = from as _;
        }
        new.len = (PATH + path.len() + 1) as i32;
        Ok(new)
    }

    /// Unnamed if the path is none that std could have: a connection is not given up for it.
    pub(super) fn to_socket_addr(&self) -> SocketAddr {
        let bytes = self.raw.sun_path.map(|byte| byte as u8);
        let len = (self.len() as usize).saturating_sub(PATH);
        let path = bytes[..len].split(|byte| *byte == 0).next();
        let path = std::str::from_utf8(path.unwrap_or_default()).unwrap_or_default();
        SocketAddr::unchecked(path.into())
    }

    pub(super) fn of_socket(socket: &impl AsRawSocket) -> io::Result<UnixAddress> {
        let mut address = UnixAddress::empty();
        let (place, len) = address.room();
        // SAFETY: at most `len` bytes of an address are written, for which there is room, and how
        // many.
        super::check(unsafe {
            WinSock::getsockname(socket.as_raw_socket() as SOCKET, place, len)
        })?;
        Ok(address)
    }

    pub(super) fn of_peer(socket: &impl AsRawSocket) -> io::Result<UnixAddress> {
        let mut address = UnixAddress::empty();
        let (place, len) = address.room();
        // SAFETY: as in `of_socket`.
        super::check(unsafe {
            WinSock::getpeername(socket.as_raw_socket() as SOCKET, place, len)
        })?;
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::windows::ffi::OsStringExt;
    use std::path::Path;

    use super::*;

    #[track_caller]
    fn assert_comes_back(path: &str) {
        let address = SocketAddr::from_pathname(path).unwrap();
        let raw = UnixAddress::new(&address).unwrap();
        assert_eq!(raw.raw.sun_family, AF_UNIX);
        assert_eq!(raw.len() as usize, PATH + path.len() + 1);
        assert_eq!(raw.to_socket_addr(), address);
        assert_eq!(raw.to_socket_addr().as_pathname(), Some(Path::new(path)));
    }

    #[test]
    fn paths_come_back_as_they_went() {
        for path in [
            "a",
            r"C:\Temp\server.socket",
            "\u{fffd}/ä",
            &"p".repeat(107),
        ] {
            assert_comes_back(path);
        }
    }

    #[test]
    fn no_path_is_unnamed() {
        let unnamed = SocketAddr::from_pathname("").unwrap();
        assert!(unnamed.is_unnamed() && unnamed.as_pathname().is_none());
        assert_eq!(UnixAddress::new(&unnamed).unwrap().len() as usize, PATH);
        assert_eq!(UnixAddress::empty().to_socket_addr(), unnamed);
        assert_eq!(format!("{unnamed:?}"), "(unnamed)");
    }

    #[test]
    fn what_cannot_be_a_path_of_a_socket_is_invalid_input() {
        let surrogate = OsString::from_wide(&[0xd800]);
        for path in [OsString::from("p".repeat(108)), "a\0b".into(), surrogate] {
            let error = SocketAddr::from_pathname(path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_path_ends_at_the_first_zero_and_one_that_is_no_unicode_is_unnamed() {
        let mut raw = UnixAddress::new(&SocketAddr::from_pathname("path").unwrap()).unwrap();
        for len in [PATH + 4, PATH + 5, PATH + 9, size_of::<SOCKADDR_UN>(), 500] {
            raw.len = len as i32;
            let address = raw.to_socket_addr();
            assert_eq!(address.as_pathname(), Some(Path::new("path")), "{len}");
        }
        raw.raw.sun_path[0] = 0xff_u8 as _;
        assert!(raw.to_socket_addr().is_unnamed());
    }
}
