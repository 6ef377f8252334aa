//! An HTTP client, reqwest, in its blocking and its async form, against a server in the same
//! process. Says how many answers were right; anything else is an error.

use std::convert::Infallible;
use std::error::Error;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const TIMEOUT: Duration = Duration::from_secs(30);

const CONCURRENT: usize = 50;

/// Larger than any socket's buffer, so that both directions block in between.
const LARGE: usize = 8 << 20;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let url = format!("http://{}/", listener.local_addr()?);
    runtime.spawn(serve(listener));
    let count = runtime.block_on(fetch(&url))?;
    println!("async: {count} right answers");
    // The blocking client has a runtime of its own, and must not be used inside another.
    let blocking = thread::spawn(move || fetch_blocking(&url));
    let count = blocking
        .join()
        .map_err(|_| "the blocking client panicked")??;
    println!("blocking: {count} right answers");
    Ok(())
}

async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async {
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(echo))
                .await;
        });
    }
}

/// Answers the body, or the path if there is none.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_string();
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let answer = if body.is_empty() { path.into() } else { body };
    Ok(Response::new(Full::new(answer)))
}

async fn fetch(url: &str) -> Outcome<usize> {
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .no_proxy()
        .build()?;
    let mut tasks = JoinSet::new();
    for number in 0..CONCURRENT {
        let request = client.get(format!("{url}{number}"));
        tasks.spawn(async move {
            let text = request.send().await?.text().await?;
            Ok::<bool, reqwest::Error>(text == format!("/{number}"))
        });
    }
    let mut count = 0;
    while let Some(answer) = tasks.join_next().await {
        count += usize::from(right(answer??)?);
    }
    let body = vec![b'x'; LARGE];
    let answer = client.post(url).body(body.clone()).send().await?;
    count += usize::from(right(answer.bytes().await? == body)?);
    Ok(count)
}

fn fetch_blocking(url: &str) -> Outcome<usize> {
    let client = reqwest::blocking::Client::builder()
        .timeout(TIMEOUT)
        .no_proxy()
        .build()?;
    let mut count = 0;
    for number in 0..CONCURRENT {
        let text = client.get(format!("{url}{number}")).send()?.text()?;
        count += usize::from(right(text == format!("/{number}"))?);
    }
    let body = vec![b'x'; LARGE];
    let answer = client.post(url).body(body.clone()).send()?;
    count += usize::from(right(answer.bytes()? == body)?);
    Ok(count)
}

fn right(is_right: bool) -> Outcome<bool> {
    if is_right {
        Ok(true)
    } else {
        Err("a wrong answer".into())
    }
}
