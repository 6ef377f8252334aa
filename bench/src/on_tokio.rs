//! tokio, on mio: a task for each connection, on a runtime of one thread.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::counts::Turns;
use crate::measure::Contender;
use crate::server::BUFFER;

pub const NAME: &str = "tokio";

fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

pub fn serve(listener: TcpListener, once: bool) -> io::Result<Infallible> {
    runtime()?.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            tokio::spawn(async move { while answer(&mut stream).await.is_ok() && !once {} });
        }
    })
}

/// Sends back what there is to read. An error is the end of the connection.
async fn answer(stream: &mut TcpStream) -> io::Result<()> {
    poll_fn(|context| poll_answer(stream, context)).await
}

fn poll_answer(stream: &mut TcpStream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    thread_local! {
        // One for all tasks, as the other servers have it: a task that waits holds no buffer.
        static SHARED: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
    }
    SHARED.with_borrow_mut(|buffer| {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
        Poll::Ready(match buffer.filled() {
            [] => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                assert_eq!(stream.try_write(read)?, read.len(), "a message fits");
                Ok(())
            }
        })
    })
}

/// The server of [`crate::counts`].
pub struct Counted {
    runtime: Runtime,
    tasks: LocalSet,
    answered: Rc<Cell<usize>>,
    all_answered: Rc<Notify>,
}

impl Turns for Counted {
    fn new(streams: Vec<std::net::TcpStream>, _: bool) -> io::Result<Counted> {
        let (runtime, tasks) = (runtime()?, LocalSet::new());
        let (answered, all_answered) = (Rc::new(Cell::new(0)), Rc::new(Notify::new()));
        let (inside, connections) = (runtime.enter(), streams.len());
        for stream in streams {
            let mut stream = TcpStream::from_std(stream)?;
            let (answered, all_answered) = (Rc::clone(&answered), Rc::clone(&all_answered));
            tasks.spawn_local(async move {
                while answer(&mut stream).await.is_ok() {
                    answered.set(answered.get() + 1);
                    if answered.get() == connections {
                        all_answered.notify_one();
                    }
                }
            });
        }
        drop(inside);
        Ok(Counted {
            runtime,
            tasks,
            answered,
            all_answered,
        })
    }

    #[inline(never)]
    fn serve_what_is_ready(&mut self) -> io::Result<usize> {
        self.tasks
            .block_on(&self.runtime, self.all_answered.notified());
        Ok(self.answered.take())
    }
}

/// Two threads with a runtime each, that notify each other.
pub fn ping_pong() -> io::Result<Option<Contender<'static>>> {
    let (ours, theirs) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (here, there) = (runtime()?, runtime()?);
    let (to_us, us_to_them) = (Arc::clone(&ours), Arc::clone(&theirs));
    std::thread::spawn(move || {
        there.block_on(async {
            // Until nobody is left who could notify.
            while Arc::strong_count(&theirs) > 1 {
                theirs.notified().await;
                to_us.notify_one();
            }
        });
    });
    Ok(Some(Contender::timed(NAME, move |iterations| {
        here.block_on(async {
            let start = Instant::now();
            for _ in 0..iterations {
                us_to_them.notify_one();
                ours.notified().await;
            }
            start.elapsed()
        })
    })))
}

pub fn timeout(asked: Duration) -> io::Result<Option<Contender<'static>>> {
    let runtime = runtime()?;
    Ok(Some(Contender::timed(NAME, move |iterations| {
        runtime.block_on(async {
            let mut late = Duration::ZERO;
            for _ in 0..iterations {
                let start = Instant::now();
                tokio::time::sleep(asked).await;
                late += start.elapsed().saturating_sub(asked);
            }
            late
        })
    })))
}
