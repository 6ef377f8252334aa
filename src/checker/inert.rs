//! The checker of release builds: nothing, at no cost.

use std::io;
use std::time::Duration;

use super::Checker;
use crate::events::Events;
use crate::interest::Interest;
use crate::sys::handle::RawSource;
use crate::token::Token;

/// Nobody watches.
#[derive(Clone, Debug)]
pub(crate) struct Watcher;

impl Watcher {
    pub(crate) fn new() -> Watcher {
        Watcher
    }

    #[inline]
    pub(crate) fn end(&self) {}

    pub(crate) fn set(&self, _: Checker) -> bool {
        false
    }

    pub(crate) fn is_set(&self) -> bool {
        false
    }

    #[inline]
    pub(crate) fn announce(&self, _: Token) -> usize {
        0
    }

    #[inline]
    pub(crate) fn note_stranger(&self, _: Token, _: usize) {}

    #[inline]
    pub(crate) fn active(&self) -> Option<Active> {
        None
    }
}

/// What does not exist.
#[derive(Debug)]
pub(crate) enum Active {}

impl Active {
    pub(crate) fn poll_begins(&self, _: bool) {}

    pub(crate) fn patience_left(&self) -> Option<Duration> {
        None
    }

    pub(crate) fn suspects(&self) -> Vec<u64> {
        Vec::new()
    }

    pub(crate) fn find_leaks(&self, _: &[u64], _: &[(RawSource, Token)]) {}

    pub(crate) fn lose_patience(&self) {}

    pub(crate) fn poll_ends(&self, _: &Events, _: impl Fn(Token) -> bool) {}
}

/// Of no source.
#[derive(Debug)]
pub(crate) struct Watch;

impl Watch {
    #[inline]
    pub(crate) fn new() -> Watch {
        Watch
    }

    #[inline]
    pub(crate) fn registered(
        &self,
        _: &Watcher,
        _: RawSource,
        _: Token,
        _: Interest,
        _: &io::Result<()>,
    ) {
    }

    #[inline]
    pub(crate) fn reregistered(
        &self,
        _: &Watcher,
        _: RawSource,
        _: Token,
        _: Interest,
        _: &io::Result<()>,
    ) {
    }

    #[inline]
    pub(crate) fn deregistered(&self, _: &Watcher, _: &io::Result<()>) {}

    #[inline]
    pub(crate) fn operated<R>(&self, _: Interest, _: &io::Result<R>) {}

    #[inline]
    pub(crate) fn transferred(&self, _: Interest, _: usize, _: &io::Result<usize>) {}

    #[inline]
    pub(crate) fn given_away(self) {}

    #[inline]
    pub(crate) fn blocked(&self, _: Interest) {}
}
