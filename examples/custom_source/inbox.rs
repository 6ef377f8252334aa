//! A channel whose receiving end is a source: wake-ups with a token of their own.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, mpsc};

use litio::{Interest, Registry, Token, Waker, event};

pub(crate) fn channel<T>() -> (Sender<T>, Inbox<T>) {
    let (sender, queue) = mpsc::channel();
    let waker = Arc::new(Mutex::new(None));
    let sender = Sender {
        queue: sender,
        waker: Arc::clone(&waker),
    };
    (sender, Inbox { queue, waker })
}

pub(crate) struct Sender<T> {
    queue: mpsc::Sender<T>,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl<T> Sender<T> {
    pub(crate) fn send(&self, message: T) -> io::Result<()> {
        // The message goes first: whoever is woken finds it.
        self.queue
            .send(message)
            .map_err(|_| io::Error::new(ErrorKind::BrokenPipe, "the inbox is gone"))?;
        match &*self.waker.lock().expect("nobody panics with the lock") {
            Some(waker) => waker.wake(),
            None => Ok(()), // not registered: `register` wakes for what is waiting
        }
    }
}

pub(crate) struct Inbox<T> {
    queue: mpsc::Receiver<T>,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl<T> Inbox<T> {
    /// Takes the next message. `WouldBlock` says that there is none, as with sockets.
    pub(crate) fn receive(&self) -> io::Result<T> {
        let none = |_| ErrorKind::WouldBlock.into();
        self.queue.try_recv().map_err(none)
    }
}

impl<T> event::Source for Inbox<T> {
    /// Whatever the interest is, all that an inbox can become is readable.
    fn register(&mut self, registry: &Registry, token: Token, _: Interest) -> io::Result<()> {
        let mut waker = self.waker.lock().expect("nobody panics with the lock");
        if waker.is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        waker.insert(Waker::new(registry, token)?).wake()
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.deregister(registry)?;
        self.register(registry, token, interest)
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        let mut waker = self.waker.lock().expect("nobody panics with the lock");
        waker.take().ok_or(ErrorKind::NotFound)?;
        Ok(())
    }
}
