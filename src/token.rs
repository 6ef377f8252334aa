//! Tokens: the name a program gives to a registered source.

/// Names a registered [source](crate::event::Source): the value comes back with each of its
/// [events](crate::event::Event).
///
/// All values of `usize` are legal, `usize::MAX` and pointers included, and none is reserved.
/// Several sources may share one token; each then reports its own events under it. Litio only
/// stores the value.
///
/// # Examples
///
/// A slab index, or anything else that finds the source again:
///
/// ```
/// use litio::Token;
///
/// const LISTENER: Token = Token(0);
/// let connection = Token(LISTENER.0 + 1);
/// assert_ne!(connection, LISTENER);
/// assert_eq!(usize::from(connection), 1);
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub usize);

impl From<Token> for usize {
    fn from(token: Token) -> usize {
        token.0
    }
}
