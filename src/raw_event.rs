//! What an event is made of.
//!
//! Where epoll serves, it is the kernel's `struct epoll_event`, bit for bit. `epoll_wait` writes
//! right into the program's list of events; nothing is copied or translated, and a predicate is
//! worked out when a program asks for it. Events that no epoll has made (wakes, a test's own, those
//! of the other backends, which run on Linux too) say the same in bits that the kernel never sets.
//!
//! Elsewhere the systems' structs are larger, or do not mean the same in each: there the backend
//! translates, once.

#[cfg(any(target_os = "android", target_os = "linux"))]
pub(crate) use self::epoll::RawEvent;
#[cfg(not(any(target_os = "android", target_os = "linux")))]
pub(crate) use self::translated::RawEvent;

#[cfg(any(target_os = "android", target_os = "linux"))]
mod epoll {
    use crate::readiness::Readiness;
    use crate::token::Token;

    /// A `struct epoll_event`: packed on this architecture, so that 32-bit programs find the same.
    #[derive(Copy, Clone)]
    #[cfg_attr(target_arch = "x86_64", repr(C, packed))]
    #[cfg_attr(not(target_arch = "x86_64"), repr(C))]
    pub(crate) struct RawEvent {
        /// `EPOLLIN` and the like. Or else, if no epoll has made the event, 8 bits of what was
        /// said instead, the 8 of a [`Readiness`], and 16 that are zero.
        pub(crate) bits: u32,
        /// The token, in as many bits as there are; on small machines it has but half.
        pub(crate) data: u64,
    }

    const IN: u32 = libc::EPOLLIN as u32;
    const PRI: u32 = libc::EPOLLPRI as u32;
    const OUT: u32 = libc::EPOLLOUT as u32;
    const ERR: u32 = libc::EPOLLERR as u32;
    const HUP: u32 = libc::EPOLLHUP as u32;
    const RDHUP: u32 = libc::EPOLLRDHUP as u32;

    impl RawEvent {
        #[inline]
        pub(crate) const fn new(token: Token, readiness: Readiness, details: u64) -> RawEvent {
            RawEvent {
                bits: (details as u32) << 24 | (readiness.0 as u32) << 16,
                data: token.0 as u64,
            }
        }

        #[inline]
        pub(crate) const fn token(&self) -> Token {
            Token(self.data as usize)
        }

        /// The table is in [`Event`](crate::events::Event)'s documentation.
        #[inline]
        pub(crate) const fn readiness(&self) -> Readiness {
            let bits = self.bits;
            let is_closed = bits & HUP != 0;
            let is_read_closed = bits & (IN | RDHUP) == IN | RDHUP;
            let is_write_closed = bits & (OUT | ERR) == OUT | ERR || bits == ERR;
            Readiness((bits >> 16) as u8)
                .union(Readiness::READABLE.when(bits & (IN | PRI) != 0))
                .union(Readiness::WRITABLE.when(bits & OUT != 0))
                .union(Readiness::PRIORITY.when(bits & PRI != 0))
                .union(Readiness::ERROR.when(bits & ERR != 0))
                .union(Readiness::READ_CLOSED.when(is_closed || is_read_closed))
                .union(Readiness::WRITE_CLOSED.when(is_closed || is_write_closed))
        }

        /// What the system said, for `{:#?}`.
        pub(crate) const fn details(&self) -> u64 {
            let is_kernels = self.bits >> 16 == 0;
            (if is_kernels {
                self.bits
            } else {
                self.bits >> 24
            }) as u64
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn each_kernel_bit_means_what_the_table_says() {
            use Readiness as R;
            let closed = R::READ_CLOSED | R::WRITE_CLOSED;
            for (bits, expected) in [
                (0, R::EMPTY),
                (IN, R::READABLE),
                (PRI, R::READABLE | R::PRIORITY),
                (OUT, R::WRITABLE),
                (ERR, R::ERROR | R::WRITE_CLOSED),
                (IN | ERR, R::READABLE | R::ERROR),
                (OUT | ERR, R::WRITABLE | R::ERROR | R::WRITE_CLOSED),
                (HUP, closed),
                (RDHUP, R::EMPTY),
                (IN | RDHUP, R::READABLE | R::READ_CLOSED),
                (OUT | RDHUP, R::WRITABLE),
                (
                    IN | OUT | ERR | HUP | RDHUP,
                    R::READABLE | R::WRITABLE | R::ERROR | closed,
                ),
            ] {
                let event = RawEvent { bits, data: 7 };
                assert_eq!(event.readiness(), expected, "{bits:#x}");
                assert_eq!((event.token(), event.details()), (Token(7), bits.into()));
            }
        }

        /// All of them, so that there is nothing left to fuzz.
        #[test]
        fn every_word_of_the_kernel_means_what_the_table_says() {
            use Readiness as R;
            for bits in (0..=u32::from(u16::MAX)).step_by(if cfg!(miri) { 97 } else { 1 }) {
                let has = |bit| bits & bit != 0;
                let row = [
                    (R::READABLE, has(IN) || has(PRI)),
                    (R::WRITABLE, has(OUT)),
                    (R::ERROR, has(ERR)),
                    (R::READ_CLOSED, has(HUP) || has(IN) && has(RDHUP)),
                    (
                        R::WRITE_CLOSED,
                        has(HUP) || has(OUT) && has(ERR) || bits == ERR,
                    ),
                    (R::PRIORITY, has(PRI)),
                    (R::AIO, false),
                    (R::LIO, false),
                ];
                let must = row.iter().filter(|(_, must)| *must);
                let must = must.fold(R::EMPTY, |all, (bit, _)| all | *bit);
                let event = RawEvent { bits, data: 7 };
                assert_eq!(event.readiness(), must, "{bits:#x}");
                assert_eq!(event.details(), bits.into());
            }
        }

        #[test]
        fn whatever_no_epoll_has_made_comes_back_as_it_was_made() {
            for readiness in (0..=u8::MAX).map(Readiness) {
                for details in [0, 1, 0x55, 0xff] {
                    let event = RawEvent::new(Token(usize::MAX), readiness, details);
                    assert_eq!(
                        (event.token(), event.readiness()),
                        (Token(usize::MAX), readiness)
                    );
                    assert_eq!(event.details(), details);
                }
            }
        }
    }
}

#[cfg(any(test, not(any(target_os = "android", target_os = "linux"))))]
mod translated {
    use crate::readiness::Readiness;
    use crate::token::Token;

    /// Two words.
    #[derive(Copy, Clone)]
    pub(crate) struct RawEvent {
        token: Token,
        /// The readiness in the low byte, what the system said above it.
        word: u64,
    }

    impl RawEvent {
        /// The upper eight bits of `details` are dropped.
        #[inline]
        pub(crate) const fn new(token: Token, readiness: Readiness, details: u64) -> RawEvent {
            RawEvent {
                token,
                word: details << 8 | readiness.0 as u64,
            }
        }

        #[inline]
        pub(crate) const fn token(&self) -> Token {
            self.token
        }

        #[inline]
        pub(crate) const fn readiness(&self) -> Readiness {
            Readiness(self.word as u8)
        }

        /// What the system said, for `{:#?}`.
        pub(crate) const fn details(&self) -> u64 {
            self.word >> 8
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn it_is_two_words_and_keeps_token_readiness_and_details_apart() {
            assert!(size_of::<RawEvent>() <= 16);
            for (token, readiness, details) in [
                (usize::MAX, Readiness::EMPTY, u64::MAX >> 8),
                (0, Readiness(u8::MAX), 0),
                (1, Readiness::AIO, 0x80_0000_0000_0000),
            ] {
                let event = RawEvent::new(Token(token), readiness, details);
                assert_eq!(
                    (event.token(), event.readiness(), event.details()),
                    (Token(token), readiness, details)
                );
            }
        }
    }
}
