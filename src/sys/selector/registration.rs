//! What a source keeps of its registration.
//!
//! | | remembers | on `WouldBlock` | on drop | size |
//! |---|---|---|---|---|
//! | [`Untracked`] | nothing; in debug builds, selector and raw source | nothing | nothing: the system forgets closed descriptors | 0 |
//! | [`Tracked`] | the selector and the raw source | `rearm` | `deregister`, before the object closes | two words |

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use super::Backend;
#[cfg(debug_assertions)]
use super::SelectorId;
use crate::interest::Interest;
use crate::sys::handle::RawSource;
use crate::token::Token;

/// A source's ticket to a selector. It changes only after the system has accepted a call, so that a
/// refused one leaves it as it was.
pub(crate) trait Registration<B: Backend>: Default + Debug + Send + Sync {
    /// True if operations must report short transfers and `WouldBlock`: known at compile time, so
    /// that what is not needed costs nothing.
    const REARMS: bool;

    fn register(
        &mut self,
        selector: &Arc<B>,
        source: RawSource,
        token: Token,
        interest: Interest,
    ) -> io::Result<()>;

    fn reregister(
        &mut self,
        selector: &Arc<B>,
        source: RawSource,
        token: Token,
        interest: Interest,
    ) -> io::Result<()>;

    fn deregister(&mut self, selector: &Arc<B>, source: RawSource) -> io::Result<()>;

    /// An operation would have blocked in these directions.
    fn rearm(&self, blocked: Interest) -> io::Result<()>;
}

/// For systems that are edge-triggered by nature and forget a descriptor when it is closed.
///
/// Release builds leave it to the system to notice mistakes. Debug builds notice them here, in the
/// same words on every system.
#[derive(Debug, Default)]
#[allow(dead_code)] // not every target has a backend that uses it
pub(crate) struct Untracked {
    #[cfg(debug_assertions)]
    selector: Option<(SelectorId, RawSource)>,
}

impl<B: Backend> Registration<B> for Untracked {
    const REARMS: bool = false;

    fn register(
        &mut self,
        selector: &Arc<B>,
        source: RawSource,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        #[cfg(debug_assertions)]
        match self.selector {
            Some((id, _)) if id == selector.id() => return Err(already_registered()),
            Some(_) => return Err(registered_elsewhere()),
            None => {}
        }
        selector.register(source, token, interest)?;
        #[cfg(debug_assertions)]
        {
            self.selector = Some((selector.id(), source));
        }
        Ok(())
    }

    fn reregister(
        &mut self,
        selector: &Arc<B>,
        source: RawSource,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        #[cfg(debug_assertions)]
        match self.selector {
            Some((id, registered)) if id == selector.id() => check_same(registered, source),
            Some(_) => return Err(registered_elsewhere()),
            None => return Err(not_registered()),
        }
        selector.reregister(source, token, interest)
    }

    fn deregister(&mut self, selector: &Arc<B>, source: RawSource) -> io::Result<()> {
        #[cfg(debug_assertions)]
        match self.selector {
            Some((id, registered)) if id == selector.id() => check_same(registered, source),
            _ => return Err(not_registered()),
        }
        selector.deregister(source)?;
        #[cfg(debug_assertions)]
        {
            self.selector = None;
        }
        Ok(())
    }

    #[inline]
    fn rearm(&self, _: Interest) -> io::Result<()> {
        Ok(())
    }
}

/// For systems that must be told what would have blocked, and that a source is going away.
#[derive(Debug)]
pub(crate) struct Tracked<B: Backend> {
    registered: Option<(Arc<B>, RawSource)>,
}

impl<B: Backend> Registration<B> for Tracked<B> {
    const REARMS: bool = true;

    fn register(
        &mut self,
        selector: &Arc<B>,
        source: RawSource,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        match &self.registered {
            Some((registered, _)) if Arc::ptr_eq(registered, selector) => {
                return Err(already_registered());
            }
            Some(_) => return Err(registered_elsewhere()),
            None => {}
        }
        selector.register(source, token, interest)?;
        self.registered = Some((Arc::clone(selector), source));
        Ok(())
    }

    fn reregister(
        &mut self,
        selector: &Arc<B>,
        now: RawSource,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        match &self.registered {
            Some((registered, source)) if Arc::ptr_eq(registered, selector) => {
                check_same(*source, now);
                selector.reregister(*source, token, interest)
            }
            Some(_) => Err(registered_elsewhere()),
            None => Err(not_registered()),
        }
    }

    fn deregister(&mut self, selector: &Arc<B>, now: RawSource) -> io::Result<()> {
        match &self.registered {
            Some((registered, source)) if Arc::ptr_eq(registered, selector) => {
                check_same(*source, now);
                selector.deregister(*source)?;
                self.registered = None;
                Ok(())
            }
            _ => Err(not_registered()),
        }
    }

    fn rearm(&self, blocked: Interest) -> io::Result<()> {
        match &self.registered {
            Some((selector, source)) => selector.rearm(*source, blocked),
            None => Ok(()),
        }
    }
}

impl<B: Backend> Default for Tracked<B> {
    fn default() -> Tracked<B> {
        Tracked { registered: None }
    }
}

impl<B: Backend> Drop for Tracked<B> {
    fn drop(&mut self) {
        if let Some((selector, source)) = &self.registered {
            // Nobody is left to be told of an error, and the source is about to close either way.
            let _ = selector.deregister(*source);
        }
    }
}

/// In debug builds: the object of a registered source must stay in its place.
fn check_same(registered: RawSource, now: RawSource) {
    debug_assert_eq!(
        registered, now,
        "the object of a source was replaced while it was registered; deregister it first"
    );
}

/// The source is registered with this registry.
pub(super) fn already_registered() -> io::Error {
    io::Error::new(
        io::ErrorKind::AlreadyExists,
        "source is already registered with this registry; use `reregister` to change it",
    )
}

fn registered_elsewhere() -> io::Error {
    io::Error::new(
        io::ErrorKind::AlreadyExists,
        "source is registered with a different `Registry`; deregister it there first",
    )
}

/// The source is not registered with this registry.
pub(super) fn not_registered() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        "source is not registered with this registry; use `register` first",
    )
}
