//! Control messages, `cmsghdr` and its data, written and read as bytes.
//!
//! Beside its data a message of sendmsg(2) and recvmsg(2) carries a list of control messages: a
//! header (length, level, kind), padding, data, padding. C programs walk it with macros that trust
//! the lengths and the alignment. This code trusts neither: [`ControlWriter`] refuses what does not
//! fit, and [`ControlMessages`] gives the part of a message that lies within the bytes, and ends at
//! nonsense. Both are pure functions of bytes.
//!
//! Windows has the same, under other names.
//!
//! Source: cmsg(3), RFC 3542 section 20; `WSAMSG`,
//! <https://learn.microsoft.com/windows/win32/api/ws2def/ns-ws2def-wsamsg>

use std::ffi::{c_int, c_uint};
use std::fmt;
use std::mem::{MaybeUninit, zeroed};

use self::system::{ALIGNMENT, DATA, cmsghdr};

/// What is the system's: the header, where the data begins, and what the next header is aligned to.
#[cfg(unix)]
mod system {
    pub(super) use libc::cmsghdr;

    // SAFETY: CMSG_LEN is arithmetic.
    pub(super) const DATA: usize = unsafe { libc::CMSG_LEN(0) } as usize;

    /// The step in which the space of a message grows. (On 64-bit SPARC the header alone does not
    /// fill one.)
    pub(super) const ALIGNMENT: usize = {
        let mut len = 1;
        while space(len) == space(0) {
            len += 1;
        }
        (space(len) - space(0)) as usize
    };

    const fn space(len: std::ffi::c_uint) -> std::ffi::c_uint {
        // SAFETY: CMSG_SPACE is arithmetic.
        unsafe { libc::CMSG_SPACE(len) }
    }
}

/// As above. The macros of Windows align the header to itself, and the data to the largest number
/// that the processor takes at once: the same.
#[cfg(windows)]
mod system {
    pub(super) use windows_sys::Win32::Networking::WinSock::CMSGHDR as cmsghdr;

    pub(super) const ALIGNMENT: usize = align_of::<usize>();
    pub(super) const DATA: usize = size_of::<cmsghdr>().next_multiple_of(ALIGNMENT);
}

/// How many bytes a control message with `data_len` bytes of data takes, padding included.
///
/// Sums of it, as a constant, are the size of a buffer for several. Lengths beyond any buffer give
/// the largest number.
#[must_use]
pub const fn control_space(data_len: usize) -> usize {
    if data_len >= (c_uint::MAX / 2) as usize {
        return usize::MAX;
    }
    (DATA + data_len).next_multiple_of(ALIGNMENT)
}

/// The control message did not fit into the buffer, of which nothing has changed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ControlBufferFull;

impl fmt::Display for ControlBufferFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the buffer has no room for the control message")
    }
}

impl std::error::Error for ControlBufferFull {}

/// Writes control messages into a buffer, one behind the other. It cannot write past the end, and
/// the buffer need not be aligned: systems copy it before they look.
///
/// # Examples
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// use litio::unix::control::{ControlMessages, ControlWriter, control_space};
///
/// let mut buffer = [0; control_space(4)];
/// let mut writer = ControlWriter::new(&mut buffer);
/// writer.push(libc::IPPROTO_IP, libc::IP_TTL, &64i32.to_ne_bytes())?;
/// assert!(writer.push(libc::IPPROTO_IP, libc::IP_TOS, &[0]).is_err()); // full
///
/// let message = ControlMessages::new(writer.into_bytes()).next().unwrap();
/// assert_eq!((message.level, message.kind), (libc::IPPROTO_IP, libc::IP_TTL));
/// assert_eq!(message.data, 64i32.to_ne_bytes());
/// # }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct ControlWriter<'a> {
    buffer: &'a mut [MaybeUninit<u8>],
    /// How many bytes of it have been written.
    len: usize,
}

impl<'a> ControlWriter<'a> {
    /// Starts at the beginning of the buffer.
    pub fn new(buffer: &'a mut [u8]) -> ControlWriter<'a> {
        let buffer: *mut [u8] = buffer;
        // SAFETY: the same bytes; only initialised ones are written to them.
        ControlWriter::over(unsafe { &mut *(buffer as *mut [MaybeUninit<u8>]) })
    }

    pub(crate) fn over(buffer: &'a mut [MaybeUninit<u8>]) -> ControlWriter<'a> {
        ControlWriter { buffer, len: 0 }
    }

    /// Appends a control message.
    ///
    /// # Errors
    ///
    /// [`ControlBufferFull`] if it does not fit; it needs [`control_space`] of `data.len()` bytes.
    #[inline]
    pub fn push(
        &mut self,
        level: c_int,
        kind: c_int,
        data: &[u8],
    ) -> Result<(), ControlBufferFull> {
        let place = self.buffer.get_mut(self.len..).unwrap_or_default();
        let place = place
            .get_mut(..control_space(data.len()))
            .ok_or(ControlBufferFull)?;
        // Padding too: nothing uninitialised goes to the kernel.
        place.fill(MaybeUninit::new(0));
        // SAFETY: a struct of integers, for which all bytes zero is a value.
        let mut header: cmsghdr = unsafe { zeroed() };
        header.cmsg_len = (DATA + data.len()) as _; // `socklen_t` or `size_t`; no more than `place`
        header.cmsg_level = level;
        header.cmsg_type = kind;
        // SAFETY: `place` has room for a header and padding behind it, `DATA` bytes, at the least.
        unsafe { place.as_mut_ptr().cast::<cmsghdr>().write_unaligned(header) };
        let bytes: *const [u8] = data;
        // SAFETY: initialised bytes, seen as bytes that may be.
        let bytes = unsafe { &*(bytes as *const [MaybeUninit<u8>]) };
        place[DATA..][..data.len()].copy_from_slice(bytes);
        self.len += place.len();
        Ok(())
    }

    /// What has been written: `msg_control` and `msg_controllen`.
    pub fn into_bytes(self) -> &'a [u8] {
        let written: *const [MaybeUninit<u8>] = &self.buffer[..self.len];
        // SAFETY: `push` has initialised these bytes, and the buffer stays borrowed for `'a`.
        unsafe { &*(written as *const [u8]) }
    }
}

/// Prints how much is written.
impl fmt::Debug for ControlWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlWriter")
            .field("written", &self.len)
            .field("capacity", &self.buffer.len())
            .finish()
    }
}

/// A control message: what it is about, and its data.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ControlMessage<'a> {
    /// The protocol, such as `SOL_SOCKET` (`cmsg_level`).
    pub level: c_int,
    /// What it is within the protocol, such as `SCM_RIGHTS` (`cmsg_type`).
    pub kind: c_int,
    /// Its data, without padding; cut where the bytes end.
    pub data: &'a [u8],
}

/// Reads control messages from any bytes: those which recvmsg(2) wrote, or nonsense.
///
/// It ends at the end of the bytes, or at a header that claims to be shorter than a header. A
/// message that claims to be longer than what is left is cut: a kernel that had more to say than
/// room for it leaves such.
///
/// # Examples
///
/// See [`ControlWriter`].
#[derive(Clone, Debug)]
pub struct ControlMessages<'a> {
    rest: &'a [u8],
}

impl<'a> ControlMessages<'a> {
    /// Starts at the beginning of the bytes, which need not be aligned.
    pub fn new(bytes: &'a [u8]) -> ControlMessages<'a> {
        ControlMessages { rest: bytes }
    }
}

impl<'a> Iterator for ControlMessages<'a> {
    type Item = ControlMessage<'a>;

    #[inline]
    fn next(&mut self) -> Option<ControlMessage<'a>> {
        let head = self.rest.get(..DATA.max(size_of::<cmsghdr>()))?;
        // SAFETY: there are enough bytes, all initialised, and any are a `cmsghdr`.
        let header = unsafe { head.as_ptr().cast::<cmsghdr>().read_unaligned() };
        #[allow(clippy::unnecessary_cast)] // `socklen_t` or `size_t`
        let len = header.cmsg_len as usize;
        let data = self.rest[DATA..].get(..len.checked_sub(DATA)?);
        let next = control_space(len - DATA);
        let message = ControlMessage {
            level: header.cmsg_level,
            kind: header.cmsg_type,
            data: data.unwrap_or(&self.rest[DATA..]),
        };
        // The last one may lack its padding.
        self.rest = self.rest.get(next..).unwrap_or_default();
        Some(message)
    }
}

impl std::iter::FusedIterator for ControlMessages<'_> {}

/// Room for control messages, aligned as the system's macros would want it.
#[repr(C)]
pub(super) struct ControlBuffer<const N: usize> {
    alignment: [cmsghdr; 0],
    pub(super) bytes: [MaybeUninit<u8>; N],
}

impl<const N: usize> ControlBuffer<N> {
    pub(super) const fn new() -> ControlBuffer<N> {
        ControlBuffer {
            alignment: [],
            bytes: [MaybeUninit::uninit(); N],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The usual generator of test data (xorshift), from a fixed seed.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % bound as u64) as usize
        }

        fn bytes(&mut self, len: usize) -> Vec<u8> {
            (0..len).map(|_| self.below(256) as u8).collect()
        }
    }

    const ROUNDS: usize = if cfg!(miri) { 100 } else { 20_000 };

    /// Lists of messages come back as they went, in a buffer that is just large enough and at any
    /// alignment; what lies behind is not touched.
    #[test]
    fn what_is_written_is_read() {
        let mut random = Random(1);
        for _ in 0..ROUNDS {
            let messages: Vec<(c_int, c_int, Vec<u8>)> = (0..random.below(5))
                .map(|_| {
                    let len = random.below(40);
                    let data = random.bytes(len);
                    (
                        random.below(300) as c_int - 1,
                        random.below(99) as c_int,
                        data,
                    )
                })
                .collect();
            let space: usize = messages
                .iter()
                .map(|(.., data)| control_space(data.len()))
                .sum();
            let start = random.below(16);
            let mut buffer = vec![0xaa; start + space + 8];
            let mut writer = ControlWriter::new(&mut buffer[start..start + space]);
            for (level, kind, data) in &messages {
                writer.push(*level, *kind, data).unwrap();
            }
            assert_eq!(writer.push(0, 0, &[]), Err(ControlBufferFull));
            let bytes = writer.into_bytes();
            assert_eq!(bytes.len(), space);
            let read = ControlMessages::new(bytes).map(|m| (m.level, m.kind, m.data.to_vec()));
            assert_eq!(read.collect::<Vec<_>>(), messages);
            assert_eq!(buffer[start + space..], [0xaa; 8]);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_changes_nothing() {
        for len in [0, 1, 3, 4, 5, 8, 13, 1000] {
            for size in 0..control_space(len) {
                let mut buffer = vec![0xaa; size];
                let mut writer = ControlWriter::new(&mut buffer);
                assert_eq!(writer.push(1, 2, &vec![3; len]), Err(ControlBufferFull));
                assert_eq!(writer.into_bytes(), []);
                assert_eq!(buffer, vec![0xaa; size]);
            }
        }
    }

    /// Nonsense is read to an end, and no data lies outside of the bytes.
    #[test]
    fn any_bytes_can_be_read() {
        let mut random = Random(2);
        for _ in 0..ROUNDS {
            let len = random.below(120);
            let mut bytes = random.bytes(len);
            // Lengths that are nearly right get further than random ones.
            for start in (0..len).step_by(ALIGNMENT) {
                if random.below(2) == 0 {
                    let claim = random.below(64).to_ne_bytes();
                    let to = &mut bytes[start..];
                    let count = claim.len().min(to.len());
                    to[..count].copy_from_slice(&claim[..count]);
                }
            }
            let range = bytes.as_ptr_range();
            let mut count = 0;
            for message in ControlMessages::new(&bytes) {
                let data = message.data.as_ptr_range();
                assert!(range.start <= data.start && data.end <= range.end);
                count += 1;
            }
            assert!(count <= len / DATA, "each message takes a header");
        }
    }

    #[test]
    fn message_that_was_cut_off_gives_what_is_left() {
        let mut buffer = [0; 2 * control_space(8)];
        let mut writer = ControlWriter::new(&mut buffer);
        writer.push(1, 2, &[3; 8]).unwrap();
        writer.push(4, 5, &[6; 8]).unwrap();
        let bytes = writer.into_bytes();
        let lens = |end: usize| {
            let messages = ControlMessages::new(&bytes[..end]);
            messages.map(|m| m.data.len()).collect::<Vec<_>>()
        };
        let first = control_space(8);
        assert_eq!(lens(first + DATA + 8), [8, 8]);
        assert_eq!(lens(first + DATA + 5), [8, 5]);
        assert_eq!(lens(first + DATA), [8, 0]);
        assert_eq!(lens(first + DATA - 1), [8]);
        assert_eq!(lens(DATA + 7), [7]);
        assert_eq!(lens(0), []);
    }

    #[test]
    fn lengths_beyond_any_buffer_fit_in_none() {
        assert_eq!(control_space(usize::MAX), usize::MAX);
        assert_eq!(control_space(c_uint::MAX as usize), usize::MAX);
    }

    #[cfg(unix)]
    #[test]
    fn space_is_the_system_s() {
        for len in 0..200 {
            // SAFETY: CMSG_SPACE is arithmetic.
            let expected = unsafe { libc::CMSG_SPACE(len) };
            assert_eq!(control_space(len as usize), expected as usize);
        }
    }
}
