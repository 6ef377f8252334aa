//! An echo server on all processors: one thread accepts, and each of the others has a `Poll` and
//! connections of its own. It ends when its own clients have all been answered.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::{self, JoinHandle};

use litio::net::{TcpListener, TcpStream};
use litio::{Events, Interest, Poll, Token, Waker};

const CLIENTS: usize = 64;
const QUEUE: Token = Token(0);
const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

fn main() -> io::Result<()> {
    // A system without threads (WASI) says so here.
    let workers = (0..thread::available_parallelism()?.get())
        .map(|_| Worker::start())
        .collect::<io::Result<Vec<_>>>()?;
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(8));
    let mut listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address"))?;
    poll.registry()
        .register(&mut listener, Token(0), Interest::READABLE)?;
    let address = listener.local_addr()?;
    let clients = thread::spawn(move || be_clients(address));

    let mut accepted = 0;
    while accepted < CLIENTS {
        match poll.poll(&mut events, None) {
            Err(err) if err.kind() == ErrorKind::Interrupted => continue, // a signal came
            result => result?,
        }
        // There is one source only: whatever the events say, try it.
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    workers[accepted % workers.len()].hand_over(stream)?;
                    accepted += 1;
                }
                Err(err) if err.kind() == ErrorKind::WouldBlock => break,
                Err(err) if err.kind() == ErrorKind::ConnectionAborted => {} // next, please
                Err(err) => return Err(err),
            }
        }
    }
    clients.join().expect("clients do not panic")?;
    for (i, worker) in workers.into_iter().enumerate() {
        println!("worker {i} served {} connections", worker.stop()?);
    }
    Ok(())
}

/// A thread with its `Poll`, seen from outside.
struct Worker {
    streams: Sender<TcpStream>,
    waker: Waker,
    thread: JoinHandle<io::Result<usize>>,
}

impl Worker {
    fn start() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), QUEUE)?;
        let (streams, queue) = mpsc::channel();
        let thread = thread::spawn(move || work(poll, &queue));
        Ok(Self {
            streams,
            waker,
            thread,
        })
    }

    /// The stream is not registered yet: that is done by the thread that will poll it.
    fn hand_over(&self, stream: TcpStream) -> io::Result<()> {
        let failed = |_| ErrorKind::BrokenPipe; // the worker has ended with an error
        self.streams.send(stream).map_err(failed)?;
        self.waker.wake() // after the stream is in the queue, so that it is found there
    }

    fn stop(self) -> io::Result<usize> {
        drop(self.streams);
        self.waker.wake()?;
        self.thread.join().expect("workers do not panic")
    }
}

fn work(mut poll: Poll, queue: &Receiver<TcpStream>) -> io::Result<usize> {
    let mut events = Events::with_capacity(128);
    let (mut connections, mut served) = (HashMap::new(), 0);
    loop {
        match poll.poll(&mut events, None) {
            Err(err) if err.kind() == ErrorKind::Interrupted => continue, // a signal came
            result => result?,
        }
        for event in &events {
            match event.token() {
                // Wakes coalesce: one event for any number of streams.
                QUEUE => loop {
                    match queue.try_recv() {
                        Ok(mut stream) => {
                            served += 1;
                            let token = Token(served);
                            poll.registry().register(&mut stream, token, BOTH)?;
                            connections.insert(token, (stream, Vec::new()));
                        }
                        Err(TryRecvError::Empty) => break,
                        Err(TryRecvError::Disconnected) => return Ok(served),
                    }
                },
                token => {
                    if let Some((stream, unsent)) = connections.get_mut(&token) {
                        match echo(stream, unsent) {
                            Err(err) if err.kind() == ErrorKind::WouldBlock => {}
                            Ok(()) | Err(_) => drop(connections.remove(&token)),
                        }
                    }
                }
            }
        }
    }
}

/// Sends back what comes in, until the peer has finished or the stream would block.
fn echo(stream: &mut TcpStream, unsent: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        while !unsent.is_empty() {
            let n = stream.write(unsent)?;
            unsent.drain(..n);
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => unsent.extend_from_slice(&buffer[..n]),
        }
    }
}

/// Blocking clients, all connected at the same time.
fn be_clients(server: std::net::SocketAddr) -> io::Result<()> {
    let mut streams = (0..CLIENTS)
        .map(|_| std::net::TcpStream::connect(server))
        .collect::<io::Result<Vec<_>>>()?;
    for stream in &mut streams {
        stream.write_all(b"hello")?;
        stream.read_exact(&mut [0; 5])?;
    }
    Ok(())
}
