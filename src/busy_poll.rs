//! Busy polling: what a poller asks of a network card before it sleeps.

use std::time::Duration;

/// How a [`Poll`](crate::Poll) polls the network card itself before it sleeps; set with
/// [`Poll::set_busy_poll`](crate::Poll::set_busy_poll).
///
/// A received packet raises an interrupt, some processor handles it, and that rouses the poller. A
/// poller that asks the card's queue instead gets the packet sooner, and handles it on its own
/// processor, at the price of that processor's time.
///
/// # Examples
///
/// ```
/// use litio::BusyPoll;
/// use std::time::Duration;
///
/// let busy = BusyPoll {
///     time: Duration::from_micros(50),
///     packets: 8,
///     is_preferred: true,
/// };
/// assert_ne!(busy, BusyPoll::OFF);
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct BusyPoll {
    /// How long one `poll` may go on asking, in whole microseconds; more than 2147 seconds are not
    /// accepted.
    pub time: Duration,
    /// How many packets are taken at a time. More than 64 require the capability `CAP_NET_ADMIN`.
    pub packets: u16,
    /// Whether interrupts stay off as long as the program keeps polling, as far as the device is
    /// set up for that (`napi_defer_hard_irqs` and `gro_flush_timeout`).
    pub is_preferred: bool,
}

impl BusyPoll {
    /// No busy polling: how every `Poll` begins.
    pub const OFF: BusyPoll = BusyPoll {
        time: Duration::ZERO,
        packets: 0,
        is_preferred: false,
    };
}
