//! A timer of the Linux kernel: a descriptor that becomes readable every so often.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use litio::{Interest, IoSource, Registry, Token, event};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

#[derive(Debug)]
pub(crate) struct Ticker(IoSource<OwnedFd>);

impl Ticker {
    pub(crate) fn new(period: Duration) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let period = period.try_into().map_err(io::Error::other)?;
        let times = Itimerspec {
            it_interval: period,
            it_value: period,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times)?;
        Ok(Self(IoSource::new(timer)))
    }

    /// How often the timer has ticked since the last call; `WouldBlock` if not at all.
    pub(crate) fn ticks(&self) -> io::Result<u64> {
        let mut count = [0; 8];
        // Through `do_io`, so that Litio sees `WouldBlock` and watches for readiness again: some
        // selectors report it only once otherwise.
        self.0.do_io(Interest::READABLE, |timer| {
            Ok(rustix::io::read(timer, &mut count)?)
        })?;
        Ok(u64::from_ne_bytes(count))
    }
}

/// A type that holds a source becomes one itself by forwarding everything.
impl event::Source for Ticker {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.0.register(registry, token, interest)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.0.reregister(registry, token, interest)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.0.deregister(registry)
    }
}
