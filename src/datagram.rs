//! Datagrams in runs: plain data that a program fills to send, and the system fills on receipt.
//!
//! The public module is `litio::net::datagrams`, whose comment explains the design.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::{BitOr, BitOrAssign};
use std::time::SystemTime;

/// What a program wants done, and wants to know, when it receives: a set of flags.
///
/// # Examples
///
/// ```
/// use litio::net::datagrams::Wanted;
///
/// let wanted = Wanted::COALESCED | Wanted::ECN;
/// assert!(wanted.contains(Wanted::ECN) && !wanted.contains(Wanted::TIMESTAMP));
/// assert_eq!(format!("{wanted:?}"), "COALESCED | ECN");
/// ```
#[derive(Copy, Clone, Default, PartialEq, Eq, Hash)]
pub struct Wanted(u8);

impl Wanted {
    /// Nothing: one datagram in each buffer, and its source.
    pub const NOTHING: Wanted = Wanted(0);
    /// Let the system put several datagrams from one source into one buffer (GRO). From then on
    /// every buffer must have room for 65,535 bytes, or datagrams get lost. On Windows (URO) it
    /// must first be switched on with `windows::UdpSocketExt::set_coalescing`, which says why.
    pub const COALESCED: Wanted = Wanted(1);
    /// See [`RecvRun::destination`] and [`RecvRun::interface`].
    pub const DESTINATION: Wanted = Wanted(1 << 1);
    /// See [`RecvRun::ecn`] and [`RecvRun::dscp`], which share one byte.
    pub const ECN: Wanted = Wanted(1 << 2);
    /// See [`RecvRun::hop_limit`].
    pub const HOP_LIMIT: Wanted = Wanted(1 << 3);
    /// See [`RecvRun::timestamp`].
    pub const TIMESTAMP: Wanted = Wanted(1 << 4);
    /// See [`RecvRun::drops`].
    pub const DROPS: Wanted = Wanted(1 << 5);

    /// All flags and their names.
    pub(crate) const EACH: [(Wanted, &'static str); 6] = [
        (Wanted::COALESCED, "COALESCED"),
        (Wanted::DESTINATION, "DESTINATION"),
        (Wanted::ECN, "ECN"),
        (Wanted::HOP_LIMIT, "HOP_LIMIT"),
        (Wanted::TIMESTAMP, "TIMESTAMP"),
        (Wanted::DROPS, "DROPS"),
    ];

    /// True if every flag of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Wanted) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Wanted {
    type Output = Wanted;

    fn bitor(self, other: Wanted) -> Wanted {
        Wanted(self.0 | other.0)
    }
}

impl BitOrAssign for Wanted {
    fn bitor_assign(&mut self, other: Wanted) {
        *self = *self | other;
    }
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (_, name) in Wanted::EACH.iter().filter(|(bit, _)| self.contains(*bit)) {
            write!(f, "{separator}{name}")?;
            separator = " | ";
        }
        if *self == Wanted::NOTHING {
            f.write_str("NOTHING")
        } else {
            Ok(())
        }
    }
}

/// Explicit congestion notification: the two lowest bits of the traffic class (RFC 3168).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// The sender does not take part.
    NotCapable = 0,
    /// It takes part, and this is mark 1 (L4S).
    Capable1 = 1,
    /// It takes part, and this is mark 0 (the usual one).
    Capable0 = 2,
    /// A router on the way was congested.
    Congested = 3,
}

impl Ecn {
    #[allow(dead_code)] // few systems tell
    pub(crate) fn of(traffic_class: u8) -> Ecn {
        match traffic_class & 3 {
            0 => Ecn::NotCapable,
            1 => Ecn::Capable1,
            2 => Ecn::Capable0,
            _ => Ecn::Congested,
        }
    }
}

/// A *run* to send: one datagram, or several of the same length to the same place, one behind the
/// other in one slice; the last may be shorter.
///
/// # Examples
///
/// ```
/// use litio::net::datagrams::SendRun;
///
/// let run = SendRun::new(b"abcabcab").segment_len(3).to("127.0.0.1:7".parse().unwrap());
/// assert_eq!(run.count(), 3); // "abc", "abc" and "ab"
/// ```
#[derive(Copy, Clone, Debug)]
pub struct SendRun<'a> {
    pub(crate) contents: &'a [u8],
    /// 0: one datagram, whatever its length.
    pub(crate) segment: usize,
    pub(crate) to: Option<SocketAddr>,
    pub(crate) from: Option<IpAddr>,
    /// 0: the system's choice.
    pub(crate) interface: u32,
    pub(crate) traffic_class: Option<u8>,
    pub(crate) hop_limit: Option<u8>,
}

impl<'a> SendRun<'a> {
    /// One datagram to the peer to which the socket is connected.
    #[must_use]
    pub const fn new(contents: &'a [u8]) -> SendRun<'a> {
        SendRun {
            contents,
            segment: 0,
            to: None,
            from: None,
            interface: 0,
            traffic_class: None,
            hop_limit: None,
        }
    }

    /// Cuts the contents into datagrams of `length` bytes; the last may be shorter. 0 does not cut.
    #[must_use]
    pub const fn segment_len(mut self, length: usize) -> SendRun<'a> {
        self.segment = length;
        self
    }

    /// Names the destination. A connected socket needs none, and most systems refuse it one.
    #[must_use]
    pub const fn to(mut self, destination: SocketAddr) -> SendRun<'a> {
        self.to = Some(destination);
        self
    }

    /// Names the address to send from, for a socket that is bound to all: the
    /// [destination](RecvRun::destination) of what is answered. It must be of the version of IP of
    /// where it goes; a link-local one needs its [interface](SendRun::interface) too.
    ///
    /// Linux and Windows. Elsewhere sending answers
    /// [`Unsupported`](std::io::ErrorKind::Unsupported).
    #[must_use]
    pub const fn from(mut self, source: IpAddr) -> SendRun<'a> {
        self.from = Some(source);
        self
    }

    /// Names the interface to send through, by its index. 0 leaves it to the system.
    ///
    /// Linux and Windows. Elsewhere sending answers
    /// [`Unsupported`](std::io::ErrorKind::Unsupported).
    #[must_use]
    pub const fn interface(mut self, index: u32) -> SendRun<'a> {
        self.interface = index;
        self
    }

    /// Marks the datagrams. Together with [`dscp`](SendRun::dscp) it replaces the traffic class of
    /// the socket for this run; what is not given counts as 0.
    ///
    /// Linux, and without the code point Windows 11. Elsewhere it is left out: a network may clear
    /// it anyway.
    #[must_use]
    pub const fn ecn(mut self, ecn: Ecn) -> SendRun<'a> {
        let others = match self.traffic_class {
            Some(class) => class & !3,
            None => 0,
        };
        self.traffic_class = Some(others | ecn as u8);
        self
    }

    /// Sets the differentiated-services code point, six bits. See [`ecn`](SendRun::ecn).
    ///
    /// # Panics
    ///
    /// If `dscp` exceeds 63.
    #[must_use]
    pub const fn dscp(mut self, dscp: u8) -> SendRun<'a> {
        assert!(dscp < 64, "a code point has six bits");
        let ecn = match self.traffic_class {
            Some(class) => class & 3,
            None => 0,
        };
        self.traffic_class = Some(dscp << 2 | ecn);
        self
    }

    /// Sets the hop limit (time to live). 0 is refused by the system on IPv4.
    ///
    /// Linux only. Elsewhere sending answers [`Unsupported`](std::io::ErrorKind::Unsupported).
    #[must_use]
    pub const fn hop_limit(mut self, hops: u8) -> SendRun<'a> {
        self.hop_limit = Some(hops);
        self
    }

    /// How many datagrams it is: at least one, which may be empty.
    #[must_use]
    pub const fn count(&self) -> usize {
        if self.segment == 0 || self.contents.is_empty() {
            1
        } else {
            self.contents.len().div_ceil(self.segment)
        }
    }

    /// The bytes of the datagrams from number `first` on, at most `count` of them.
    pub(crate) fn piece(&self, first: usize, count: usize) -> &'a [u8] {
        if self.segment == 0 {
            return self.contents;
        }
        let len = self.contents.len();
        let start = first.saturating_mul(self.segment).min(len);
        let end = start.saturating_add(count.saturating_mul(self.segment));
        &self.contents[start..end.min(len)]
    }

    /// Takes the first `count` datagrams, which have been sent, off the runs: what is left is the
    /// argument for the next attempt.
    ///
    /// # Panics
    ///
    /// If there are not that many.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::datagrams::SendRun;
    ///
    /// let mut runs = [SendRun::new(b"aabbcc").segment_len(2), SendRun::new(b"single")];
    /// let mut unsent = &mut runs[..];
    /// SendRun::advance_runs(&mut unsent, 1);
    /// assert_eq!(unsent[0].count(), 2);
    /// SendRun::advance_runs(&mut unsent, 3);
    /// assert!(unsent.is_empty());
    /// ```
    pub fn advance_runs(runs: &mut &mut [SendRun<'a>], mut count: usize) {
        while let Some(run) = runs.first_mut() {
            if count < run.count() {
                run.contents = run.piece(count, usize::MAX);
                return;
            }
            count -= run.count();
            *runs = &mut std::mem::take(runs)[1..];
        }
        assert_eq!(count, 0, "more datagrams than the runs have");
    }
}

/// A buffer to receive into and, afterwards, the *run* of datagrams that it holds, with what is
/// known about them.
///
/// The buffer is the program's: a `&mut [u8]`, a `Vec<u8>` (whose length counts, not its capacity),
/// an array. What is known holds for the whole run: the system coalesces only what is alike.
///
/// # Examples
///
/// See [the module's](crate::net::datagrams#examples).
#[derive(Clone)]
pub struct RecvRun<B> {
    pub(crate) buffer: B,
    pub(crate) received: Received,
}

/// What the system told of a run.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Received {
    pub(crate) len: usize,
    /// How many datagrams; 0 if nothing has been received.
    pub(crate) count: usize,
    /// The length of each but the last.
    pub(crate) segment: usize,
    pub(crate) is_truncated: bool,
    pub(crate) source: SocketAddr,
    pub(crate) destination: Option<IpAddr>,
    pub(crate) interface: Option<u32>,
    pub(crate) ecn: Option<Ecn>,
    pub(crate) dscp: Option<u8>,
    pub(crate) hop_limit: Option<u8>,
    pub(crate) timestamp: Option<SystemTime>,
    pub(crate) drops: Option<u32>,
}

impl Received {
    pub(crate) const NOTHING: Received = Received {
        len: 0,
        count: 0,
        segment: 0,
        is_truncated: false,
        source: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        destination: None,
        interface: None,
        ecn: None,
        dscp: None,
        hop_limit: None,
        timestamp: None,
        drops: None,
    };

    /// Takes down both that stand in the traffic class.
    #[allow(dead_code)] // few systems tell
    pub(crate) fn set_traffic_class(&mut self, class: u8) {
        self.ecn = Some(Ecn::of(class));
        self.dscp = Some(class >> 2);
    }

    /// Takes down the lengths: `len` bytes in datagrams of `segment` bytes; 0 is one datagram.
    pub(crate) fn cut(&mut self, len: usize, segment: usize) {
        self.len = len;
        let is_one = segment == 0 || segment >= len;
        self.segment = if is_one { len } else { segment };
        self.count = if is_one { 1 } else { len.div_ceil(segment) };
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> RecvRun<B> {
    /// A buffer in which nothing has been received yet.
    pub const fn new(buffer: B) -> RecvRun<B> {
        RecvRun {
            buffer,
            received: Received::NOTHING,
        }
    }

    /// Gives the buffer back.
    pub fn into_buffer(self) -> B {
        self.buffer
    }

    /// The datagrams, in the order in which they arrived.
    pub fn datagrams(&self) -> Datagrams<'_> {
        Datagrams {
            rest: self.contents(),
            left: self.received.count,
            segment: self.received.segment,
        }
    }

    /// As [`datagrams`](RecvRun::datagrams), but mutable: to decrypt them in place, for example.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::datagrams::RecvRun;
    ///
    /// fn decrypt_all(run: &mut RecvRun<Vec<u8>>, decrypt: impl Fn(&mut [u8])) {
    ///     run.datagrams_mut().for_each(decrypt);
    /// }
    /// # decrypt_all(&mut RecvRun::new(Vec::new()), |_| ());
    /// ```
    pub fn datagrams_mut(&mut self) -> DatagramsMut<'_> {
        let buffer = self.buffer.as_mut();
        let len = self.received.len.min(buffer.len());
        DatagramsMut {
            rest: &mut buffer[..len],
            left: self.received.count,
            segment: self.received.segment,
        }
    }

    /// The bytes of all datagrams, one behind the other.
    pub fn contents(&self) -> &[u8] {
        let buffer = self.buffer.as_ref();
        &buffer[..self.received.len.min(buffer.len())]
    }
}

impl<B> RecvRun<B> {
    /// How many datagrams it holds: 0 if nothing has been received, otherwise 1 or, if
    /// [coalescing](Wanted::COALESCED) is on, more.
    pub fn count(&self) -> usize {
        self.received.count
    }

    /// The length of each datagram but the last, which may be shorter.
    pub fn segment_len(&self) -> usize {
        self.received.segment
    }

    /// Who sent it. The unspecified address if nothing has been received.
    pub fn source(&self) -> SocketAddr {
        self.received.source
    }

    /// Whether the buffer was too small, and the rest of the datagram, or of a whole coalesced run,
    /// is lost. Not known (false) where plain calls serve: on all systems but Linux and Windows.
    pub fn is_truncated(&self) -> bool {
        self.received.is_truncated
    }

    /// The address to which it was sent, if [wanted](Wanted::DESTINATION) and granted: which of the
    /// machine's, or a multicast group. Answer [from](SendRun::from) it, unless it is a group.
    pub fn destination(&self) -> Option<IpAddr> {
        self.received.destination
    }

    /// The index of the interface through which it came, if [wanted](Wanted::DESTINATION) and
    /// granted.
    pub fn interface(&self) -> Option<u32> {
        self.received.interface
    }

    /// The congestion mark, if [wanted](Wanted::ECN) and granted.
    pub fn ecn(&self) -> Option<Ecn> {
        self.received.ecn
    }

    /// The differentiated-services code point, if [wanted](Wanted::ECN) and granted. Windows before
    /// version 11 does not tell it.
    pub fn dscp(&self) -> Option<u8> {
        self.received.dscp
    }

    /// How many more hops it could have made (time to live), if [wanted](Wanted::HOP_LIMIT) and
    /// granted.
    pub fn hop_limit(&self) -> Option<u8> {
        self.received.hop_limit
    }

    /// When the kernel got it (of a coalesced run, the first datagram), if
    /// [wanted](Wanted::TIMESTAMP) and granted.
    pub fn timestamp(&self) -> Option<SystemTime> {
        self.received.timestamp
    }

    /// How many datagrams the socket had dropped for want of room when this one was queued, since
    /// it was made, if [wanted](Wanted::DROPS) and granted. It wraps around.
    pub fn drops(&self) -> Option<u32> {
        self.received.drops
    }
}

/// Prints what was received, not the contents.
impl<B> fmt::Debug for RecvRun<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvRun")
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// The datagrams of a [`RecvRun`], in the order in which they arrived. Made by
/// [`RecvRun::datagrams`].
///
/// # Examples
///
/// See [the module's](crate::net::datagrams#examples).
#[derive(Clone, Debug)]
pub struct Datagrams<'a> {
    rest: &'a [u8],
    left: usize,
    segment: usize,
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let (datagram, rest) = self.rest.split_at(self.segment.min(self.rest.len()));
        self.rest = rest;
        Some(datagram)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Datagrams<'_> {}
impl std::iter::FusedIterator for Datagrams<'_> {}

/// The datagrams of a [`RecvRun`], mutable. Made by [`RecvRun::datagrams_mut`], which has an
/// example.
#[derive(Debug)]
pub struct DatagramsMut<'a> {
    rest: &'a mut [u8],
    left: usize,
    segment: usize,
}

impl<'a> Iterator for DatagramsMut<'a> {
    type Item = &'a mut [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a mut [u8]> {
        self.left = self.left.checked_sub(1)?;
        let rest = std::mem::take(&mut self.rest);
        let (datagram, rest) = rest.split_at_mut(self.segment.min(rest.len()));
        self.rest = rest;
        Some(datagram)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for DatagramsMut<'_> {}
impl std::iter::FusedIterator for DatagramsMut<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_is_cut_into_datagrams_of_one_length_and_a_shorter_last() {
        let counts = [(0, 0), (0, 5), (1, 0), (1, 1), (10, 0), (10, 3), (9, 3)];
        let counts = counts.map(|(len, segment)| {
            let run = SendRun::new(&b"0123456789"[..len]).segment_len(segment);
            run.count()
        });
        assert_eq!(counts, [1, 1, 1, 1, 1, 4, 3]);
        let run = SendRun::new(b"0123456789").segment_len(4);
        let pieces = [(0, 1), (0, 2), (1, 1), (2, 1), (1, usize::MAX), (3, 9)];
        let pieces = pieces.map(|(first, count)| run.piece(first, count));
        let expected: [&[u8]; 6] = [b"0123", b"01234567", b"4567", b"89", b"456789", b""];
        assert_eq!(pieces, expected);
        assert_eq!(SendRun::new(b"whole").piece(0, 1), b"whole");
    }

    #[test]
    fn advancing_takes_off_whole_runs_and_parts() {
        let mut runs = [
            SendRun::new(b""),
            SendRun::new(b"aabbc").segment_len(2),
            SendRun::new(b"single"),
        ];
        let mut left = &mut runs[..];
        SendRun::advance_runs(&mut left, 0);
        assert_eq!(left.len(), 3);
        SendRun::advance_runs(&mut left, 3);
        assert_eq!((left.len(), left[0].contents), (2, &b"c"[..]));
        SendRun::advance_runs(&mut left, 1);
        assert_eq!((left.len(), left[0].contents), (1, &b"single"[..]));
        SendRun::advance_runs(&mut left, 1);
        assert!(left.is_empty());
    }

    #[test]
    #[should_panic(expected = "more datagrams than the runs have")]
    fn advancing_too_far_panics() {
        SendRun::advance_runs(&mut &mut [SendRun::new(b"one")][..], 2);
    }

    #[test]
    fn received_bytes_come_apart_into_datagrams() {
        let mut run = RecvRun::new(*b"0123456789");
        assert_eq!((run.count(), run.datagrams().count()), (0, 0));
        let cases: [(usize, usize, &[&[u8]]); 6] = [
            (0, 0, &[b""]),
            (10, 0, &[b"0123456789"]),
            (10, 10, &[b"0123456789"]),
            (10, 4, &[b"0123", b"4567", b"89"]),
            (8, 4, &[b"0123", b"4567"]),
            (3, 40, &[b"012"]),
        ];
        for (len, segment, expected) in cases {
            run.received.cut(len, segment);
            assert_eq!(run.datagrams().collect::<Vec<_>>(), expected);
            assert_eq!(run.datagrams().len(), run.count());
            assert_eq!(run.datagrams_mut().collect::<Vec<_>>(), expected);
            assert_eq!(run.datagrams_mut().len(), run.count());
        }
        run.received.cut(8, 4);
        run.datagrams_mut()
            .for_each(|datagram| datagram[3..].fill(b'!'));
        assert_eq!(run.into_buffer(), *b"012!456!89");
    }

    #[test]
    fn ecn_and_dscp_share_a_byte_and_do_not_disturb_each_other() {
        for ecn in [
            Ecn::NotCapable,
            Ecn::Capable0,
            Ecn::Capable1,
            Ecn::Congested,
        ] {
            let run = SendRun::new(b"").ecn(Ecn::Congested).dscp(46).ecn(ecn);
            assert_eq!(run.traffic_class, Some(46 << 2 | ecn as u8));
            assert_eq!(run.dscp(0).traffic_class.map(Ecn::of), Some(ecn));
        }
    }
}
