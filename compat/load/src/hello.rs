//! A web server that answers "hello" to everything, over hyper and tokio.

mod server;

use std::convert::Infallible;
use std::io;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

async fn hello<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    server::ANSWERED.fetch_add(1, Ordering::Relaxed);
    Ok(Response::new(Full::from("hello")))
}

fn main() -> io::Result<()> {
    server::run(|stream| async {
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(hello));
        // A client that goes away in the middle is no concern of ours.
        let _ = connection.await;
    })
}
