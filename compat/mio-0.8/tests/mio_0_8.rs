//! What differs between mio 0.8 and 1.x: the addresses of Unix sockets.

#![cfg(unix)]

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::path::PathBuf;
use std::time::Duration;

use mio::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use mio::{Events, Interest, Poll, Token};

/// A path below the folder of temporary files that nobody has yet.
fn fresh_path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("mio-0-8-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

/// Polls until the token comes.
#[track_caller]
fn wait(poll: &mut Poll, token: Token) {
    let mut events = Events::with_capacity(8);
    for _ in 0..50 {
        poll.poll(&mut events, Some(Duration::from_millis(200)))
            .unwrap();
        if events.iter().any(|event| event.token() == token) {
            return;
        }
    }
    panic!("no event for {token:?} within ten seconds");
}

#[test]
fn an_accepted_stream_tells_names_and_passes_bytes() {
    let path = fresh_path("listener");
    let mut poll = Poll::new().unwrap();
    let mut listener = UnixListener::bind(&path).unwrap();
    poll.registry()
        .register(&mut listener, Token(0), Interest::READABLE)
        .unwrap();
    assert_eq!(
        listener.local_addr().unwrap().as_pathname(),
        Some(path.as_path())
    );

    let mut client = UnixStream::connect_addr(&listener.local_addr().unwrap()).unwrap();
    wait(&mut poll, Token(0));
    let (mut served, peer): (UnixStream, SocketAddr) = listener.accept().unwrap();
    assert!(peer.is_unnamed());
    assert_eq!(peer.as_pathname(), None);
    assert_eq!(peer.as_abstract_namespace(), None);
    assert_eq!(
        client.peer_addr().unwrap().as_pathname(),
        Some(path.as_path())
    );

    poll.registry()
        .register(&mut served, Token(1), Interest::READABLE)
        .unwrap();
    client.write_all(b"hello").unwrap();
    wait(&mut poll, Token(1));
    let mut buffer = [0; 8];
    assert_eq!(served.read(&mut buffer).unwrap(), 5);
    let blocked = served.try_io(|| Err::<(), _>(io::Error::from(ErrorKind::WouldBlock)));
    assert_eq!(blocked.unwrap_err().kind(), ErrorKind::WouldBlock);

    client.shutdown(Shutdown::Write).unwrap();
    wait(&mut poll, Token(1));
    assert_eq!((&served).read(&mut buffer).unwrap(), 0);
    poll.registry().deregister(&mut served).unwrap();
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_datagram_tells_its_sender() {
    let (ours, theirs) = (fresh_path("ours"), fresh_path("theirs"));
    let receiver = UnixDatagram::bind(&ours).unwrap();
    let named = UnixDatagram::bind(&theirs).unwrap();
    let mut buffer = [0; 8];
    assert_eq!(
        receiver.recv_from(&mut buffer).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    named.send_to(b"one", &ours).unwrap();
    let (length, sender) = receiver.recv_from(&mut buffer).unwrap();
    assert_eq!((length, sender.as_pathname()), (3, Some(theirs.as_path())));
    assert!(!sender.is_unnamed());

    let unnamed = UnixDatagram::unbound().unwrap();
    unnamed.connect(&ours).unwrap();
    unnamed.send(b"two").unwrap();
    let (length, sender) = receiver.recv_from(&mut buffer).unwrap();
    assert_eq!(length, 3);
    assert!(sender.is_unnamed());
    for path in [ours, theirs] {
        std::fs::remove_file(path).unwrap();
    }
}

#[cfg(any(target_os = "android", target_os = "linux"))]
#[test]
fn an_abstract_name_is_told_without_its_zero_byte() {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;

    let name = format!("mio-0-8-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = UnixListener::from_std(listener);
    let address = listener.local_addr().unwrap();
    assert_eq!(address.as_abstract_namespace(), Some(name.as_bytes()));
    assert!(!address.is_unnamed());
    let client = UnixStream::connect_addr(&address).unwrap();
    assert_eq!(
        client.peer_addr().unwrap().as_abstract_namespace(),
        Some(name.as_bytes())
    );
}

/// With 0.8 there was no other way to bind to one.
#[cfg(any(target_os = "android", target_os = "linux"))]
#[test]
fn a_path_that_begins_with_a_zero_byte_is_an_abstract_name() {
    let name = |of: &str| format!("mio-0-8-path-{}-{of}", std::process::id());
    let path = |of: &str| format!("\0{}", name(of));

    let listener = UnixListener::bind(path("listener")).unwrap();
    let local = listener.local_addr().unwrap();
    assert_eq!(
        local.as_abstract_namespace(),
        Some(name("listener").as_bytes())
    );
    let _client = UnixStream::connect(path("listener")).unwrap();
    listener.accept().unwrap();

    let ours = UnixDatagram::bind(path("ours")).unwrap();
    let theirs = UnixDatagram::bind(path("theirs")).unwrap();
    theirs.send_to(b"one", path("ours")).unwrap();
    theirs.connect(path("ours")).unwrap();
    theirs.send(b"two").unwrap();
    for _ in 0..2 {
        let (length, sender) = ours.recv_from(&mut [0; 8]).unwrap();
        assert_eq!(length, 3);
        let sender = sender.as_abstract_namespace();
        assert_eq!(sender, Some(name("theirs").as_bytes()));
    }
}

#[test]
#[allow(unsafe_code)]
fn a_descriptor_goes_out_and_comes_back() {
    let (one, mut other) = UnixStream::pair().unwrap();
    let number = one.as_raw_fd();
    let raw = one.into_raw_fd();
    assert_eq!(raw, number);
    // SAFETY: the line above has given it away.
    let mut one = unsafe { UnixStream::from_raw_fd(raw) };
    other.write_all(b"x").unwrap();
    assert_eq!(one.read(&mut [0; 4]).unwrap(), 1);
}
