//! What only Unix has: descriptors as such, Unix sockets, pipes, urgent data, vsock.

// Where there are control messages.
#[cfg(not(any(
    target_os = "aix",
    target_os = "cygwin",
    target_os = "emscripten",
    target_os = "nto",
    target_os = "redox"
)))]
mod ancillary;
mod datagram;
mod descriptors;
mod listener;
mod pipe;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod priority;
// As above, and not on Apple's systems.
#[cfg(not(any(
    target_os = "aix",
    target_os = "cygwin",
    target_os = "emscripten",
    target_os = "nto",
    target_os = "redox",
    target_vendor = "apple"
)))]
mod seqpacket;
mod source_fd;
mod stream;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod vsock;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The path of a socket that does not exist yet; whatever is there is removed at the end.
struct SocketPath(PathBuf);

impl SocketPath {
    fn new() -> SocketPath {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Short: the name of a Unix socket has room for about a hundred bytes.
        let name = format!("litio-suite-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::remove_file(&path).ok();
        SocketPath(path)
    }
}

impl AsRef<Path> for SocketPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// An address in Linux's abstract namespace, where no file is.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_address() -> (std::os::unix::net::SocketAddr, Vec<u8>) {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // A NUL within is legal there and must survive.
    let name = format!("litio\0suite-{}-{number}", std::process::id()).into_bytes();
    (
        std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap(),
        name,
    )
}

/// The name that an abstract address carries.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_name(address: &std::os::unix::net::SocketAddr) -> Option<Vec<u8>> {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;
    address.as_abstract_name().map(<[u8]>::to_vec)
}
