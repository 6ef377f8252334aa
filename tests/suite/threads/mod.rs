//! What needs a second thread: waking, and working on the registry while a poll is under way.

mod concurrency;
mod several_wakers;
mod wakers;
