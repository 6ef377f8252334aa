//! What the fuzz target `addresses` calls: addresses made of any bytes, as if a system had written
//! them.

use std::os::unix::net::SocketAddr as UnixSocketAddr;

use super::address::{Address, InetAddress, Length};
use super::unix_address::UnixAddress;

/// Reads the bytes as an address of each family, and as long as the first two of them say. What can
/// be read comes back when it is written and read again.
///
/// # Panics
///
/// If it does not.
pub fn read_as_addresses(bytes: &[u8]) {
    let Some((len, bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let len = u16::from_ne_bytes(*len).into();

    let address = holding(InetAddress::EMPTY, bytes, len);
    if let Some(read) = address.to_std() {
        assert_eq!(InetAddress::new(read).to_std(), Some(read));
    }

    let address = holding(UnixAddress::EMPTY, bytes, len);
    if let Some(read) = address.to_std() {
        let again = UnixAddress::new(&read).expect("it fitted once");
        let again = again.to_std().expect("it was readable once");
        assert_eq!(parts(&again), parts(&read));
    }
}

/// `address` with these bytes from the beginning, as far as there is room.
fn holding<T>(mut address: Address<T>, bytes: &[u8], len: Length) -> Address<T> {
    let count = bytes.len().min(size_of::<T>());
    let to = (&raw mut address.raw).cast::<u8>();
    // SAFETY: `address` is ours and has room for so many; it is made of integers, so any bytes do.
    unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), count) };
    address.len = len;
    address
}

/// What two addresses have in common if they are equal: std cannot compare them.
fn parts(address: &UnixSocketAddr) -> (Option<&std::path::Path>, bool, String) {
    (
        address.as_pathname(),
        address.is_unnamed(),
        format!("{address:?}"),
    )
}
