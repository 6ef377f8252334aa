//! A server of Redis's protocol, as far as its benchmark goes: strings in memory, over tokio.

mod server;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Store = Rc<RefCell<HashMap<Bytes, Bytes>>>;

fn main() -> io::Result<()> {
    let store = Store::default();
    server::run(move |stream| {
        let store = store.clone();
        async move {
            // A client that goes away, or speaks nonsense, loses its connection; that is all.
            let _ = serve(stream, &store).await;
        }
    })
}

async fn serve(mut stream: TcpStream, store: &Store) -> io::Result<()> {
    let mut input = BytesMut::with_capacity(16 * 1024);
    let mut output = Vec::new();
    while stream.read_buf(&mut input).await? != 0 {
        // A pipeline of requests gets its answers in one piece.
        while let Some(words) = take_request(&mut input)? {
            answer(&words, store, &mut output);
            server::ANSWERED.fetch_add(1, Ordering::Relaxed);
        }
        stream.write_all(&output).await?;
        output.clear();
    }
    Ok(())
}

/// Takes a whole request off the input: `*2\r\n$3\r\nGET\r\n$1\r\nx\r\n`.
fn take_request(input: &mut BytesMut) -> io::Result<Option<Vec<Bytes>>> {
    let mut rest = &input[..];
    let Some(count) = number(&mut rest, b'*')? else {
        return Ok(None);
    };
    let mut ranges = Vec::with_capacity(count);
    for _ in 0..count {
        let Some(length) = number(&mut rest, b'$')? else {
            return Ok(None);
        };
        let start = input.len() - rest.len();
        if rest.len() < length + 2 {
            return Ok(None);
        }
        rest = &rest[length + 2..];
        ranges.push(start..start + length);
    }
    let length = input.len() - rest.len();
    let request = input.split_to(length).freeze();
    Ok(Some(
        ranges
            .into_iter()
            .map(|range| request.slice(range))
            .collect(),
    ))
}

/// A line such as `$3\r\n`, if it is there yet.
fn number(rest: &mut &[u8], mark: u8) -> io::Result<Option<usize>> {
    let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
        return Ok(None);
    };
    let nonsense = || io::Error::from(io::ErrorKind::InvalidData);
    let line = std::str::from_utf8(&rest[..end]).map_err(|_| nonsense())?;
    let digits = line.strip_prefix(char::from(mark)).ok_or_else(nonsense)?;
    let number = digits.parse().map_err(|_| nonsense())?;
    rest.advance(end + 2);
    Ok(Some(number))
}

fn answer(words: &[Bytes], store: &Store, output: &mut Vec<u8>) {
    let command = words.first().map(|word| word.to_ascii_uppercase());
    match (command.as_deref(), words) {
        (Some(b"PING"), _) => output.extend(b"+PONG\r\n"),
        (Some(b"SET"), [_, key, value, ..]) => {
            // Copies, so that a small value does not keep a whole buffer alive.
            let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
            store.borrow_mut().insert(key, value);
            output.extend(b"+OK\r\n");
        }
        (Some(b"GET"), [_, key]) => match store.borrow().get(key) {
            Some(value) => {
                output.extend(format!("${}\r\n", value.len()).bytes());
                output.extend(value);
                output.extend(b"\r\n");
            }
            None => output.extend(b"$-1\r\n"),
        },
        // The benchmark asks for the configuration and goes on without it.
        (Some(b"CONFIG"), _) => output.extend(b"*0\r\n"),
        _ => output.extend(b"-ERR unknown command\r\n"),
    }
}
