//! What is process-wide: descriptors and their limit, handles, signals, fork and exec, filtered
//! system calls, the network.
//!
//! Fork and exec even where a test minds none of it: until a child executes its program it has a
//! duplicate of each descriptor of the process, also of those that other tests close meanwhile and
//! take for closed; and when it ends, its signal may interrupt their system calls.
//!
//! Each case runs in a process of its own: the test starts this very binary again, asks it for that
//! one test, and there [`alone`] runs the body. The only other thread is the test harness, which
//! waits.
#![cfg(any(unix, windows))]

mod checking;
#[cfg(unix)]
mod children;
#[cfg(unix)]
mod descriptors;
// System calls as 64-bit processors have them, and as glibc makes them: musl overcomes some errors
// by other calls.
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod faults;
#[cfg(windows)]
mod handles;
#[cfg(feature = "log")]
mod logging;
#[cfg(target_os = "linux")]
mod multicast;
// Where descriptors can be passed.
#[cfg(all(
    unix,
    not(any(
        target_os = "aix",
        target_os = "cygwin",
        target_os = "emscripten",
        target_os = "nto",
        target_os = "redox"
    ))
))]
mod passing;
#[cfg(target_os = "linux")]
mod seccomp;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod storms;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a case may take.
const DEADLINE: Duration = Duration::from_secs(120);
/// Set in the processes that run a body.
const MARK: &str = "LITIO_PROCESS_CASE";
/// The exit status of a body that came to its end: no other way to leave has it.
const DONE: i32 = 42;

/// Runs `body`, a closure of the calling test, in a process of its own.
#[track_caller]
fn alone<F: FnOnce()>(body: F) {
    alone_with(&[], body);
}

/// The same with these variables in its environment; returns what it said.
#[track_caller]
fn alone_with<F: FnOnce()>(environment: &[(&str, &str)], body: F) -> String {
    if std::env::var_os(MARK).is_some() {
        body();
        #[cfg(not(unix))]
        std::process::exit(DONE);
        #[cfg(unix)]
        #[expect(
            unsafe_code,
            reason = "std's exit would run what the case may have broken"
        )]
        // SAFETY: ends the process; nothing is left to be done in it.
        unsafe {
            libc::_exit(DONE)
        }
    }
    // The closure's type is called `process::module::test::{{closure}}`.
    let path = std::any::type_name::<F>().trim_end_matches("::{{closure}}");
    let test = path.split_once("::").expect("a test is in this crate").1;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1", "--nocapture"])
        .env(MARK, test)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > DEADLINE {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("{test} hangs; it said:\n{}", said(&output));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let status = output.status;
    assert!(
        status.code() == Some(DONE),
        "{test}: {status}; it said:\n{}",
        said(&output)
    );
    // What a case could not do here, past the test harness, which would keep it to itself.
    for line in said(&output)
        .lines()
        .filter(|line| line.starts_with("!!! "))
    {
        writeln!(std::io::stderr(), "{test}: {line}").ok();
    }
    said(&output)
}

/// An address that refuses connections as long as the socket exists, which is bound, so that no
/// other process gets the port, and does not listen.
fn refusing() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address.as_socket().unwrap())
}

fn said(output: &std::process::Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

#[test]
fn a_case_that_fails_is_seen() {
    let result = std::panic::catch_unwind(|| alone(|| panic!("on purpose")));
    if std::env::var_os(MARK).is_some() {
        std::panic::resume_unwind(result.unwrap_err());
    }
    let message = *result.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("on purpose"), "{message}");
}
