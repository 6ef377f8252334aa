//! The checker: finds the classic mistakes of programs that poll, in debug builds, on request.
//!
//! It keeps a book of the registrations of one poller, with the place in the program where each was
//! made. The sources write into it what was done with them ([`Watch`]), and the poller what it
//! reported ([`Active`]). A release build has `inert.rs` in the place of `active.rs`, in which
//! everything is empty and has no size.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::token::Token;

#[cfg(debug_assertions)]
mod active;
#[cfg(not(debug_assertions))]
#[path = "inert.rs"]
mod active;
#[cfg(debug_assertions)]
mod book;

pub(crate) use active::{Active, Watch, Watcher};

/// Whom to tell.
type Report = Box<dyn Fn(&Finding) + Send + Sync>;

/// Finds the classic mistakes of programs that poll: see [`Mistake`]. Handed to
/// [`Poll::set_checker`](crate::Poll::set_checker).
///
/// In debug builds only: in release builds (without `debug_assertions`) nothing is checked, and
/// nothing is paid for it.
///
/// # Without changing the program
///
/// In debug builds the environment variable `LITIO_CHECK` gives every `Poll` a checker when it is
/// made: `LITIO_CHECK=report` prints what is found to the standard error output,
/// `LITIO_CHECK=panic` panics. A number, after a comma, is the [patience](Checker::patience) in
/// milliseconds: `LITIO_CHECK=panic,50`. `off` asks for nothing. So does a value that is not
/// understood, and the standard error output says so.
///
/// # Limits
///
/// It sees operations where Litio does: in the methods of the sockets and pipes, and in
/// [`do_io`](crate::IoSource::do_io), `try_io` and `try_io_for`. It knows the sources that were
/// registered or reregistered after it was set. Raw descriptors and sockets (`SourceFd`,
/// `SourceSocket`), Windows' pipes and handles, and tokens that several sources share are left out,
/// because it could not tell who was meant.
///
/// # Examples
///
/// ```
/// use litio::diagnostics::{Checker, Mistake};
/// use litio::{Interest, Poll, Token, net::UdpSocket};
/// use std::sync::mpsc;
///
/// # fn main() -> std::io::Result<()> {
/// let mut poll = Poll::new()?;
/// let (sender, findings) = mpsc::channel();
/// poll.set_checker(Checker::new(move |finding| {
///     let _ = sender.send(finding.clone());
/// }));
///
/// let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
/// poll.registry().register(&mut socket, Token(7), Interest::READABLE)?;
/// assert!(poll.registry().register(&mut socket, Token(8), Interest::READABLE).is_err());
///
/// if cfg!(debug_assertions) {
///     let finding = findings.try_recv().unwrap();
///     assert_eq!(finding.mistake(), Mistake::RegisteredTwice);
///     assert_eq!(finding.token(), Token(7));
///     println!("{finding}"); // says where, too
/// }
/// # Ok(())
/// # }
/// ```
pub struct Checker {
    #[cfg_attr(not(debug_assertions), allow(dead_code))] // nobody asks
    report: Report,
    #[cfg_attr(not(debug_assertions), allow(dead_code))]
    patience: Duration,
}

impl Checker {
    /// Makes a checker that calls `report` for each mistake that it finds.
    ///
    /// `report` is called by the thread that polls or registers, from within that call. It may
    /// panic, and it may register.
    #[must_use]
    pub fn new(report: impl Fn(&Finding) + Send + Sync + 'static) -> Checker {
        Checker {
            report: Box::new(report),
            patience: Duration::from_secs(1),
        }
    }

    /// Sets for how long a source may be left undrained before that is called a mistake; a second
    /// if nothing is set.
    ///
    /// The time counts from the event, or from the last operation on the source. A program that
    /// leaves data in a socket on purpose for longer, because it has no place for them, wants more.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Checker {
        self.patience = patience;
        self
    }
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker")
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// What a [`Checker`] looks for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mistake {
    /// A readable edge was reported, no operation has drained the source since, and the
    /// [patience](Checker::patience) is over.
    ///
    /// [`WouldBlock`](std::io::ErrorKind::WouldBlock), a short read of a stream, the end of the
    /// stream and errors drain it; reregistering has the same effect. Without any of these no
    /// further event is promised, whatever arrives: the connection hangs, on some systems always,
    /// on others sometimes.
    Undrained,
    /// The source was reported by 256 polls in a row within a second, and no operation in the
    /// direction that was reported has got anywhere: the program spins.
    ///
    /// So does a level-triggered source that nobody reads, one that is registered for writing with
    /// nothing to write, one at its end that is read again and again, and a listener that has run
    /// out of descriptors. An edge for new readiness does not count, only one that a `reregister`
    /// has brought back.
    Spinning,
    /// An event came for a source that is gone: it was dropped, or unwrapped, while it was
    /// registered, and its descriptor or a duplicate of it lives on.
    ///
    /// Where the system itself keeps the registrations (epoll), they end when the last descriptor
    /// of the same object is closed. Deregister what has duplicates: by `try_clone_to_owned`, in a
    /// child process.
    Gone,
    /// A source was dropped while it was registered, and the system keeps the registration, because
    /// a duplicate of its descriptor lives on. [`Gone`](Mistake::Gone) follows with its events.
    ///
    /// Found by the next `poll`, on Linux (epoll), which can be asked.
    Leaked,
    /// A source was registered again with the registry that it is registered with.
    RegisteredTwice,
    /// A source was registered, reregistered or deregistered with another registry than the one
    /// that it is registered with.
    RegisteredElsewhere,
}

/// A mistake, and which source it is about. Handed to the [`Checker`]'s `report`.
///
/// Its `Display` says everything in one line: the token, the place in the program where the source
/// was registered, what happened and what to do.
///
/// # Examples
///
/// See [`Checker`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    mistake: Mistake,
    token: Token,
    registered_at: &'static Location<'static>,
    called_at: Option<&'static Location<'static>>,
}

impl Finding {
    /// What the mistake is.
    #[must_use]
    pub fn mistake(&self) -> Mistake {
        self.mistake
    }

    /// The token of the source that it is about.
    #[must_use]
    pub fn token(&self) -> Token {
        self.token
    }

    /// Where in the program this source was registered, or last reregistered.
    #[must_use]
    pub fn registered_at(&self) -> &'static Location<'static> {
        self.registered_at
    }

    /// Where in the program the mistaken call was made, if the mistake is a call.
    #[must_use]
    pub fn called_at(&self) -> Option<&'static Location<'static>> {
        self.called_at
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding {
            token,
            registered_at,
            ..
        } = self;
        write!(f, "{token:?}, registered at {registered_at}: ")?;
        f.write_str(match self.mistake {
            Mistake::Undrained => {
                "it was reported readable and not drained since; repeat the operation until it \
                 would block, or no further event is promised"
            }
            Mistake::Spinning => {
                "poll after poll reports it at once, and no operation gets anywhere; drain it, or \
                 do not ask for what is not wanted"
            }
            Mistake::Gone => {
                "an event came for it, but it is gone; a duplicate of its descriptor keeps the \
                 registration: deregister it before it is dropped"
            }
            Mistake::Leaked => {
                "it was dropped, and a duplicate of its descriptor keeps the registration; \
                 deregister it first"
            }
            Mistake::RegisteredTwice => {
                "it was registered again; use `reregister` to change a registration"
            }
            Mistake::RegisteredElsewhere => {
                "it was given to another registry; deregister it here first"
            }
        })?;
        match self.called_at {
            Some(called_at) => write!(f, " (at {called_at})"),
            None => Ok(()),
        }
    }
}
