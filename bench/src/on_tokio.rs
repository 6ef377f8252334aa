//! tokio, on mio: a task for each connection, on a runtime of one thread.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::sync::Notify;

use crate::counts::Turns;
use crate::machine;
use crate::measure::Contender;
use crate::server::BUFFER;

pub const NAME: &str = "tokio";

fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_io().build()
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
    answers: Arc<Answers>,
}

#[derive(Default)]
struct Answers {
    count: AtomicUsize,
    all_given: Notify,
}

impl Turns for Counted {
    fn new(streams: Vec<std::net::TcpStream>, _: bool) -> io::Result<Counted> {
        let (runtime, answers) = (runtime()?, Arc::<Answers>::default());
        let inside = runtime.enter();
        let connections = streams.len();
        for stream in streams {
            let mut stream = TcpStream::from_std(stream)?;
            let answers = Arc::clone(&answers);
            tokio::spawn(async move {
                while answer(&mut stream).await.is_ok() {
                    if answers.count.fetch_add(1, Ordering::Relaxed) + 1 == connections {
                        answers.all_given.notify_one();
                    }
                }
            });
        }
        drop(inside);
        Ok(Counted { runtime, answers })
    }

    #[inline(never)]
    fn serve_what_is_ready(&mut self) -> io::Result<usize> {
        self.runtime.block_on(self.answers.all_given.notified());
        Ok(self.answers.count.swap(0, Ordering::Relaxed))
    }
}

/// Two threads with a runtime each, that notify each other.
pub fn ping_pong() -> io::Result<Option<Contender<'static>>> {
    let (ours, theirs) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (here, there) = (runtime()?, runtime()?);
    let (to_us, us_to_them) = (Arc::clone(&ours), Arc::clone(&theirs));
    std::thread::spawn(move || {
        machine::stay_on(machine::LOAD);
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
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
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
