//! Unix sockets on Windows. Wine has none, and says so.

use std::io::{ErrorKind, Read, Write};

use litio::Interest;
use litio::net::{UnixListener, UnixStream};

use crate::support::*;

#[test]
fn a_connection_is_made_and_used_or_unsupported() {
    let path = std::env::temp_dir().join(format!("litio-suite-{}", std::process::id()));
    let mut listener = match UnixListener::bind(&path) {
        Ok(listener) => listener,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            expect_error(ErrorKind::Unsupported, UnixStream::connect(&path));
            return;
        }
    };
    let mut rig = Rig::new();
    rig.register(&mut listener, A, Interest::READABLE);
    assert_eq!(
        listener.local_addr().unwrap().as_pathname(),
        Some(path.as_path())
    );
    let mut client = UnixStream::connect(&path).unwrap();
    rig.register(&mut client, B, Interest::READABLE | Interest::WRITABLE);
    rig.expect(A, READABLE);
    let (mut server, peer) = listener.accept().unwrap();
    assert!(peer.is_unnamed());
    expect_would_block(server.read(&mut [0]));
    rig.expect(B, WRITABLE);
    server.write_all(b"hello").unwrap();
    assert_eq!(read_exactly(&mut rig, B, &client, 5), b"hello");
    drop(server);
    rig.expect(B, READABLE);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn what_cannot_be_a_path_is_invalid_input() {
    for path in ["a\0b", &"p".repeat(108)] {
        expect_error(ErrorKind::InvalidInput, UnixListener::bind(path));
        expect_error(ErrorKind::InvalidInput, UnixStream::connect(path));
    }
}
