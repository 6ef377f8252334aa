//! Child processes: their pipes are sources.

use std::io::{ErrorKind, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use litio::unix::pipe::{Receiver, Sender};
use litio::{Events, Interest, Poll, Token};

use crate::alone;

#[test]
fn the_pipes_of_a_child_process_are_sources() {
    alone(|| {
        let mut poll = Poll::new().unwrap();
        let mut child = Command::new("sh")
            .args([
                "-c",
                "read line; echo \"out $line\"; echo \"err $line\" >&2",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = Sender::from(child.stdin.take().unwrap());
        let mut stdout = Receiver::from(child.stdout.take().unwrap());
        let mut stderr = Receiver::from(child.stderr.take().unwrap());
        // The conversion leaves them blocking.
        stdin.set_nonblocking(true).unwrap();
        stdout.set_nonblocking(true).unwrap();
        stderr.set_nonblocking(true).unwrap();
        let registry = poll.registry();
        let (r, w) = (Interest::READABLE, Interest::WRITABLE);
        registry.register(&mut stdin, Token(0), w).unwrap();
        registry.register(&mut stdout, Token(1), r).unwrap();
        registry.register(&mut stderr, Token(2), r).unwrap();
        assert!(wait(&mut poll).contains(&Token(0)));
        stdin.write_all(b"word\n").unwrap();
        let mut said = [Vec::new(), Vec::new()];
        let mut has_ended = [false; 2];
        while has_ended != [true; 2] {
            for token in wait(&mut poll) {
                let (pipe, at) = match token {
                    Token(1) => (&mut stdout, 0),
                    Token(2) => (&mut stderr, 1),
                    _ => continue, // nobody reads any more
                };
                match pipe.read_to_end(&mut said[at]) {
                    Ok(_) => has_ended[at] = true,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
        }
        assert_eq!(said, [b"out word\n", b"err word\n"]);
        assert!(child.wait().unwrap().success());
    });
}

/// Waits for events; a signal may say that the child has ended.
fn wait(poll: &mut Poll) -> Vec<Token> {
    let mut events = Events::with_capacity(8);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match poll.poll_until(&mut events, deadline) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => break result.unwrap(),
        }
    }
    assert!(!events.is_empty(), "nothing more comes");
    events.iter().map(|event| event.token()).collect()
}
