//! `LITIO_CHECK`: every `Poll` of the process has a checker, in debug builds.

use litio::net::UdpSocket;
use litio::{Interest, Poll, Token};

use crate::alone_with;

fn register_twice() {
    let poll = Poll::new().unwrap();
    let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let register = |socket: &mut UdpSocket| {
        poll.registry()
            .register(socket, Token(4711), Interest::READABLE)
    };
    register(&mut socket).unwrap();
    register(&mut socket).unwrap_err();
}

#[test]
fn the_environment_asks_for_panics() {
    alone_with(&[("LITIO_CHECK", "panic")], || {
        let result = std::panic::catch_unwind(register_twice);
        assert_eq!(result.is_err(), cfg!(debug_assertions));
    });
}

#[test]
fn the_environment_asks_for_reports_on_the_standard_error_output() {
    let said = alone_with(&[("LITIO_CHECK", "report")], || {
        register_twice();
    });
    let is_told = said.contains("litio: Token(4711), registered at ")
        && said.contains("checking.rs")
        && said.contains("registered again");
    assert_eq!(is_told, cfg!(debug_assertions), "{said}");
}

#[test]
fn nothing_is_checked_unless_asked_for() {
    for wish in ["", "off"] {
        let said = alone_with(&[("LITIO_CHECK", wish)], || {
            register_twice();
        });
        assert!(!said.contains("litio:"), "{said}");
    }
}

#[test]
fn a_wish_that_is_not_understood_is_said_to_be() {
    for wish in ["repotr", "report,soon"] {
        let said = alone_with(&[("LITIO_CHECK", wish)], || {
            register_twice();
        });
        let is_told = said.contains(&format!("litio: LITIO_CHECK={wish} is not understood"));
        assert_eq!(is_told, cfg!(debug_assertions), "{said}");
    }
}
