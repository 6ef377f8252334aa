//! Sockets of Windows: made, bound, connected and accepted, always non-blocking and never inherited
//! by child processes.
//!
//! `tcp`, `udp` and `unix` say, per family, what to do in which order, as on Unix. What std makes
//! in the same system calls is left to it. It cannot make a socket and then connect it without
//! waiting, so below are `address` (`SOCKADDR` from and to std's types) and the calls for that.
//!
//! Source: Winsock, <https://learn.microsoft.com/windows/win32/winsock/winsock-reference>

use std::io;
use std::os::windows::io::{AsRawSocket, FromRawSocket, OwnedSocket};
use std::ptr;
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::{HANDLE, HANDLE_FLAG_INHERIT, SetHandleInformation};
use windows_sys::Win32::Networking::WinSock::{
    self, FIONBIO, INVALID_SOCKET, SOCKET, SOCKET_ERROR, WSA_FLAG_NO_HANDLE_INHERIT,
    WSA_FLAG_OVERLAPPED, WSADATA, WSAEWOULDBLOCK, WSASocketW, WSAStartup,
};

use self::address::Address;

#[path = "../address.rs"]
mod address;
pub(crate) mod batch;
#[allow(dead_code, unreachable_pub)] // public on Unix
#[path = "../control.rs"]
mod control;
#[path = "../segmentation.rs"]
mod segmentation;
pub(crate) mod tcp;
pub(crate) mod udp;
pub(crate) mod unix;
mod unix_address;
#[path = "../vectored.rs"]
pub(crate) mod vectored;

/// Turns Winsock's convention, `SOCKET_ERROR` and `WSAGetLastError`, into a `Result`.
fn check(result: i32) -> io::Result<()> {
    if result == SOCKET_ERROR {
        // std asks the same place for the last error of either kind.
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Takes a socket that a call has just made.
///
/// # Safety
///
/// `socket` is `INVALID_SOCKET`, or open and owned by nobody.
unsafe fn own(socket: SOCKET) -> io::Result<OwnedSocket> {
    if socket == INVALID_SOCKET {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller has seen to it that it is open and nobody else's.
    Ok(unsafe { OwnedSocket::from_raw_socket(socket as _) })
}

/// Makes a socket.
fn socket(family: u16, kind: i32) -> io::Result<OwnedSocket> {
    start()?;
    // SAFETY: takes no memory.
    let socket = unsafe {
        WSASocketW(
            family.into(),
            kind,
            0,
            ptr::null(),
            0,
            WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT,
        )
    };
    // SAFETY: the call above made it, and nobody else knows it.
    let socket = unsafe { own(socket) }?;
    set_nonblocking(&socket)?;
    Ok(socket)
}

/// Starts Winsock, once for the process. std does so too, but only when it makes a socket itself.
fn start() -> io::Result<()> {
    static STARTED: OnceLock<i32> = OnceLock::new();
    let code = *STARTED.get_or_init(|| {
        let mut data = WSADATA::default();
        // SAFETY: what the system says of itself is written to `data`.
        unsafe { WSAStartup(0x202, &mut data) } // version 2.2
    });
    match code {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

fn set_nonblocking(socket: &OwnedSocket) -> io::Result<()> {
    let mut is_nonblocking = 1;
    // SAFETY: an unsigned long is read, and may be written.
    check(unsafe { WinSock::ioctlsocket(raw(socket), FIONBIO, &mut is_nonblocking) })
}

/// Keeps an accepted socket from child processes: there is no flag for accept as there is for
/// making one. A process started at this very moment by another thread may get it all the same.
fn forbid_inheriting(socket: &OwnedSocket) {
    // SAFETY: takes no memory, and the socket is open. It fails only for sockets that are no
    // handles of the system, which old layers over Winsock may hand out; these are not inherited
    // either.
    unsafe { SetHandleInformation(raw(socket) as HANDLE, HANDLE_FLAG_INHERIT, 0) };
}

/// Starts to connect. `Ok` says that it has begun, not that it has succeeded.
fn connect<T>(socket: &OwnedSocket, address: &Address<T>) -> io::Result<()> {
    // SAFETY: `len` bytes of the address are read, which are initialised.
    match check(unsafe { WinSock::connect(raw(socket), address.as_ptr(), address.len()) }) {
        Err(error) if error.raw_os_error() == Some(WSAEWOULDBLOCK) => Ok(()),
        result => result,
    }
}

/// Accepts a connection and says from whom.
fn accept<T>(listener: &impl AsRawSocket, peer: &mut Address<T>) -> io::Result<OwnedSocket> {
    let (address, len) = peer.room();
    // SAFETY: at most `len` bytes of an address are written, for which there is room, and how many.
    let socket = unsafe { WinSock::accept(listener.as_raw_socket() as SOCKET, address, len) };
    // SAFETY: the call above made it, and nobody else knows it.
    let socket = unsafe { own(socket) }?;
    forbid_inheriting(&socket);
    set_nonblocking(&socket)?;
    Ok(socket)
}

fn raw(socket: &OwnedSocket) -> SOCKET {
    socket.as_raw_socket() as SOCKET
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::net::{TcpListener, TcpStream};
    use std::os::windows::io::AsSocket;

    use windows_sys::Win32::Foundation::GetHandleInformation;

    use super::*;

    fn is_inheritable(socket: &impl AsSocket) -> bool {
        let mut flags = 0;
        let handle = socket.as_socket().as_raw_socket() as HANDLE;
        // SAFETY: the flags are written.
        assert_ne!(unsafe { GetHandleInformation(handle, &mut flags) }, 0);
        flags & HANDLE_FLAG_INHERIT != 0
    }

    fn accepted(listener: &TcpListener) -> TcpStream {
        loop {
            match tcp::accept(listener) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                result => return result.unwrap().0,
            }
        }
    }

    #[test]
    fn sockets_are_nonblocking_and_not_inherited() {
        let any = "127.0.0.1:0".parse().unwrap();
        let listener = tcp::listen(any).unwrap();
        let mut stream = tcp::connect(listener.local_addr().unwrap()).unwrap();
        let mut accepted = accepted(&listener);
        let udp = udp::bind(any).unwrap();
        for end in [&mut stream, &mut accepted] {
            assert!(!is_inheritable(end));
            // A stream that is still connecting has another reason to refuse.
            let error = end.read(&mut [0]).unwrap_err().kind();
            assert!(matches!(
                error,
                ErrorKind::WouldBlock | ErrorKind::NotConnected
            ));
        }
        assert!(!is_inheritable(&listener));
        assert_eq!(
            tcp::accept(&listener).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        assert!(!is_inheritable(&udp));
        assert_eq!(
            udp.recv(&mut [0]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
    }

    #[test]
    fn accepted_connection_tells_its_peer() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let listener = match tcp::listen(any.parse().unwrap()) {
                // A machine without IPv6.
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable => continue,
                result => result.unwrap(),
            };
            let client = tcp::connect(listener.local_addr().unwrap()).unwrap();
            let accepted = accepted(&listener);
            assert_eq!(accepted.peer_addr().unwrap(), client.local_addr().unwrap());
        }
    }

    #[test]
    fn two_listeners_cannot_share_a_port() {
        let listener = tcp::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = tcp::listen(listener.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }
}
