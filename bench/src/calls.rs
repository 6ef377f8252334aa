//! Single calls of the library in a loop, for their instructions to be counted (`cargo xtask step
//! instructions`): none of this is a benchmark, for nothing is timed.

use std::io;
use std::time::Duration;

use clap::{Args, ValueEnum};
use litio::diagnostics::Counting;
use litio::net::UdpSocket;
use litio::{Events, Interest, Poll, Token, Waker};

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Call {
    /// `poll` that does not wait and finds nothing.
    Poll,
    /// `poll` without a timeout that finds one source.
    PollReady,
    /// The same while there is a waker.
    PollReadyAttended,
    /// `wake` of a poller that was woken already.
    Wake,
    /// `wake` and the `poll` that delivers it.
    WakeAndPoll,
    /// `register` and `deregister`.
    Register,
}

/// What is called, and how often.
#[derive(Clone, Debug, Args)]
pub struct Calls {
    #[arg(long, value_enum)]
    call: Call,
    #[arg(long)]
    times: u32,
    /// With all counters on.
    #[arg(long)]
    counted: bool,
}

pub fn run(calls: &Calls) -> io::Result<()> {
    let Calls {
        call,
        times,
        counted,
    } = *calls;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(128);
    if counted {
        poll.registry().set_counting(Counting::On);
    }
    let mut socket = UdpSocket::bind(([127, 0, 0, 1], 0).into())?;
    if matches!(call, Call::PollReady | Call::PollReadyAttended) {
        let interest = Interest::WRITABLE.level();
        poll.registry().register(&mut socket, Token(1), interest)?;
    }
    let is_attended = matches!(
        call,
        Call::PollReadyAttended | Call::Wake | Call::WakeAndPoll
    );
    let waker = match is_attended {
        true => Some(Waker::new(poll.registry(), Token(2))?),
        false => None,
    };
    for _ in 0..times {
        match (call, &waker) {
            (Call::Poll, _) => poll_once(&mut poll, &mut events, Some(Duration::ZERO)),
            (Call::PollReady | Call::PollReadyAttended, _) => {
                poll_once(&mut poll, &mut events, None)
            }
            (Call::Register, _) => {
                poll.registry()
                    .register(&mut socket, Token(1), Interest::READABLE)?;
                poll.registry().deregister(&mut socket)
            }
            (Call::Wake, Some(waker)) => wake(waker),
            (Call::WakeAndPoll, Some(waker)) => {
                wake(waker)?;
                poll_once(&mut poll, &mut events, None)
            }
            (Call::Wake | Call::WakeAndPoll, None) => Ok(()),
        }?;
    }
    Ok(())
}

#[inline(never)]
fn poll_once(poll: &mut Poll, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
    poll.poll(events, timeout)
}

#[inline(never)]
fn wake(waker: &Waker) -> io::Result<()> {
    waker.wake()
}
