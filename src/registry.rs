//! The registry: where sources are registered, and the trait that makes a source.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::checker::{Checker, Watcher};
use crate::counters::{Counters, Counting};
use crate::interest::Interest;
use crate::sys::selector::{Backend, Serving};
use crate::token::Token;
use crate::wake_state::WakeState;

/// Registers [sources](Source) with a [`Poll`](crate::Poll), from any thread, even while it polls.
///
/// Obtained from [`Poll::registry`](crate::Poll::registry). It stays usable after the `Poll` is
/// gone, but then nothing is reported.
///
/// # Examples
///
/// ```
/// use litio::net::UdpSocket;
/// use litio::{Interest, Poll, Token};
///
/// # fn main() -> std::io::Result<()> {
/// let poll = Poll::new()?;
/// let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
/// poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
///
/// // A clone can register from another thread.
/// let registry = poll.registry().try_clone()?;
/// std::thread::spawn(move || {
///     registry.reregister(&mut socket, Token(1), Interest::READABLE | Interest::WRITABLE)
/// })
/// .join()
/// .unwrap()?;
/// # Ok(())
/// # }
/// ```
pub struct Registry {
    hub: Hub<Serving>,
}

impl Registry {
    pub(crate) fn new(hub: Hub<Serving>) -> Registry {
        Registry { hub }
    }

    pub(crate) fn hub(&self) -> &Hub<Serving> {
        &self.hub
    }

    /// The selector, for sources that register raw descriptors.
    #[allow(dead_code)] // SourceFd's and SourceSocket's; not every system has one
    pub(crate) fn selector(&self) -> &Serving {
        &self.hub.selector
    }

    /// Registers a source: from now on `poll` reports its readiness under `token`.
    ///
    /// If the source is ready already, the next `poll` reports it. In the default mode, edge, later
    /// events are promised only after an operation on the source returned
    /// [`WouldBlock`](io::ErrorKind::WouldBlock); see [`Interest`] for the others.
    ///
    /// The call is forwarded to [`Source::register`].
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if the source is registered already, with
    /// this `Poll` or with another. (That it is another is noticed in debug builds, and always on
    /// poll(2), event ports and Windows. In release builds kqueue does not notice the second
    /// registration with the same `Poll` either: it replaces the first in the directions it asks
    /// for.)
    /// [`Unsupported`](io::ErrorKind::Unsupported) if the system cannot detect a direction of
    /// `interests`. Otherwise the system's error, such as `EPERM` for a regular file on epoll. A
    /// call that fails leaves no trace.
    ///
    /// # System calls
    ///
    /// epoll_ctl(2), kevent(2), port_associate(3C); none for poll(2) unless the poller sleeps; on
    /// Windows `WSAIoctl`, and `NtDeviceIoControlFile` for each direction.
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn register<S>(&self, source: &mut S, token: Token, interests: Interest) -> io::Result<()>
    where
        S: Source + ?Sized,
    {
        trace!("registering event source with poller: token={token:?}, interests={interests:?}");
        let known = self.hub.watcher.announce(token);
        self.located(|registry| source.register(registry, token, interests))?;
        self.hub.watcher.note_stranger(token, known);
        Ok(())
    }

    /// Replaces a source's token and interest, and re-arms it: what is ready is reported again.
    ///
    /// Nothing of the old registration is kept or merged. No `poll` that begins after this has
    /// returned reports the old token.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) if the source is not registered (in release builds
    /// kqueue does not notice), [`AlreadyExists`](io::ErrorKind::AlreadyExists) if it is registered
    /// with another `Poll` and that is noticed (else `NotFound`). A call that fails leaves the
    /// registration as it was.
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn reregister<S>(&self, source: &mut S, token: Token, interests: Interest) -> io::Result<()>
    where
        S: Source + ?Sized,
    {
        trace!("reregistering event source with poller: token={token:?}, interests={interests:?}");
        self.located(|registry| source.reregister(registry, token, interests))?;
        self.hub.watcher.note_stranger(token, 0);
        Ok(())
    }

    /// Removes a source: no `poll` that begins after this has returned reports its token.
    ///
    /// Events that are already in an [`Events`](crate::Events) stay there. The source keeps working
    /// for I/O and may be registered again.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) if the source is not registered here. A call that
    /// fails changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use litio::net::UdpSocket;
    /// use litio::{Interest, Poll, Token};
    /// use std::io::ErrorKind;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let poll = Poll::new()?;
    /// let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
    /// poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
    /// poll.registry().deregister(&mut socket)?;
    /// let again = poll.registry().deregister(&mut socket);
    /// assert_eq!(again.unwrap_err().kind(), ErrorKind::NotFound);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn deregister<S>(&self, source: &mut S) -> io::Result<()>
    where
        S: Source + ?Sized,
    {
        trace!("deregistering event source from poller");
        self.located(|registry| source.deregister(registry))
    }

    /// Chooses what the `Poll` counts: nothing, until this is called. Any thread may call it at any
    /// time; if a `poll` is asleep meanwhile, the change takes effect with the next one.
    ///
    /// Turning counting off keeps the numbers; turning it on again adds to them.
    ///
    /// # Costs
    ///
    /// None while it is off: a poll or a wake finds that out from what it looks at anyway. While it
    /// is on, some tens of nanoseconds for each call of `poll` and `wake`; with time, also two
    /// readings of the clock.
    ///
    /// # Examples
    ///
    /// See [`Counters`].
    pub fn set_counting(&self, counting: Counting) {
        self.hub.wakes.set_counting(counting);
    }

    /// What has been [counted](Registry::set_counting) so far. Any thread may call it at any time;
    /// it holds nobody up.
    ///
    /// # Examples
    ///
    /// See [`Counters`].
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.hub.wakes.tally.counters()
    }

    /// Calls a source, with a registry that knows where in the program this one was called: the
    /// checker of another registry may want to know.
    #[cfg(debug_assertions)]
    #[track_caller]
    fn located(&self, call: impl FnOnce(&Registry) -> io::Result<()>) -> io::Result<()> {
        let caller = std::panic::Location::caller();
        call(&Registry {
            hub: Hub {
                watcher: self.hub.watcher.called_at(caller),
                ..self.hub.clone()
            },
        })
    }

    #[cfg(not(debug_assertions))]
    #[inline(always)]
    fn located(&self, call: impl FnOnce(&Registry) -> io::Result<()>) -> io::Result<()> {
        call(self)
    }

    /// Makes another registry of the same `Poll`. Cheap: nothing is duplicated in the system.
    ///
    /// # Errors
    ///
    /// None today; the `Result` is mio's.
    pub fn try_clone(&self) -> io::Result<Registry> {
        Ok(Registry {
            hub: self.hub.clone(),
        })
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// Something that can be registered with a [`Poll`](crate::Poll): sockets, pipes, and types that a
/// program builds on them.
///
/// The methods are not meant to be called directly; use [`Registry::register`] and its siblings.
///
/// # Implementing it
///
/// A type that holds a source forwards to it. A type that holds a raw descriptor or socket wraps it
/// in an [`IoSource`](crate::IoSource), which re-arms correctly everywhere.
///
/// ```
/// use litio::event::Source;
/// use litio::net::UdpSocket;
/// use litio::{Interest, Registry, Token};
/// use std::io;
///
/// struct Resolver {
///     socket: UdpSocket,
/// }
///
/// impl Source for Resolver {
///     fn register(
///         &mut self,
///         registry: &Registry,
///         token: Token,
///         interests: Interest,
///     ) -> io::Result<()> {
///         self.socket.register(registry, token, interests)
///     }
///
///     fn reregister(
///         &mut self,
///         registry: &Registry,
///         token: Token,
///         interests: Interest,
///     ) -> io::Result<()> {
///         self.socket.reregister(registry, token, interests)
///     }
///
///     fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
///         self.socket.deregister(registry)
///     }
/// }
/// ```
///
/// # Dropping
///
/// Litio's own sources may be dropped while they are registered. A type of your own should say
/// whether it must be deregistered first.
pub trait Source {
    /// Registers this source with `registry`. See [`Registry::register`].
    ///
    /// # Errors
    ///
    /// As [`Registry::register`].
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()>;

    /// Replaces this source's registration. See [`Registry::reregister`].
    ///
    /// # Errors
    ///
    /// As [`Registry::reregister`].
    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()>;

    /// Removes this source from `registry`. See [`Registry::deregister`].
    ///
    /// # Errors
    ///
    /// As [`Registry::deregister`].
    fn deregister(&mut self, registry: &Registry) -> io::Result<()>;
}

impl<T: Source + ?Sized> Source for Box<T> {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        (**self).register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        (**self).reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        (**self).deregister(registry)
    }
}

/// What a poller shares with its registries and wakers: the selector, and who has woken it.
#[derive(Debug)]
pub(crate) struct Hub<B> {
    pub(crate) selector: Arc<B>,
    pub(crate) wakes: Arc<WakeState>,
    /// Empty in release builds.
    pub(crate) watcher: Watcher,
}

impl<B: Backend> Hub<B> {
    pub(crate) fn new() -> io::Result<Hub<B>> {
        let hub = Hub {
            selector: Arc::new(B::new()?),
            wakes: Arc::new(WakeState::new()),
            watcher: Watcher::new(),
        };
        if hub.watcher.is_set() {
            hub.wakes.set_checked();
        }
        Ok(hub)
    }

    pub(crate) fn set_checker(&self, checker: Checker) -> bool {
        let is_set = self.watcher.set(checker);
        if is_set {
            self.wakes.set_checked();
        }
        is_set
    }

    /// Knocks, and remembers if that failed.
    pub(crate) fn knock(&self) -> io::Result<()> {
        self.selector
            .knock()
            .inspect_err(|_| self.wakes.knock_failed())
    }

    /// To be called whenever the selector's descriptor is given out: from then on every first wake
    /// shows on it.
    #[allow(dead_code)] // only where the selector is a descriptor
    pub(crate) fn hand_out(&self) -> &B {
        if self.wakes.hand_out() {
            // Remembered for the next wake if it fails; there is nobody to tell here.
            let _ = self.knock();
        }
        &self.selector
    }
}

impl<B> Clone for Hub<B> {
    fn clone(&self) -> Hub<B> {
        Hub {
            selector: Arc::clone(&self.selector),
            wakes: Arc::clone(&self.wakes),
            watcher: self.watcher.clone(),
        }
    }
}

/// Makes a source of a type around a borrowed raw descriptor or socket. Nobody sees the I/O on it,
/// so it is paced where the system reports no edges by itself.
#[allow(unused_macros)] // not every system has such a type
macro_rules! borrowed_source {
    ($source:ident) => {
        impl $crate::registry::Source for $source<'_> {
            fn register(
                &mut self,
                registry: &$crate::registry::Registry,
                token: $crate::token::Token,
                interests: $crate::interest::Interest,
            ) -> ::std::io::Result<()> {
                let selector = registry.selector();
                $crate::sys::selector::Backend::register(
                    selector,
                    *self.0,
                    token,
                    interests.paced(),
                )
            }

            fn reregister(
                &mut self,
                registry: &$crate::registry::Registry,
                token: $crate::token::Token,
                interests: $crate::interest::Interest,
            ) -> ::std::io::Result<()> {
                let selector = registry.selector();
                $crate::sys::selector::Backend::reregister(
                    selector,
                    *self.0,
                    token,
                    interests.paced(),
                )
            }

            fn deregister(
                &mut self,
                registry: &$crate::registry::Registry,
            ) -> ::std::io::Result<()> {
                $crate::sys::selector::Backend::deregister(registry.selector(), *self.0)
            }
        }
    };
}
#[allow(unused_imports)] // as above
pub(crate) use borrowed_source;
