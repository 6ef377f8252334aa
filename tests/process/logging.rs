//! The `log` feature: a trace of what is registered, by the process-wide logger.

use std::sync::Mutex;
use std::time::Duration;

use litio::net::UdpSocket;
use litio::{Events, Interest, Poll, Token};

use crate::alone;

struct Keeping(Mutex<Vec<(log::Level, String)>>);

static LOGGER: Keeping = Keeping(Mutex::new(Vec::new()));

impl log::Log for Keeping {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let text = format!("{}: {}", record.target(), record.args());
        self.0.lock().unwrap().push((record.level(), text));
    }

    fn flush(&self) {}
}

#[test]
fn registrations_are_traced_with_token_and_interest() {
    alone(|| {
        log::set_logger(&LOGGER).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        let mut poll = Poll::new().unwrap();
        let mut socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        poll.registry()
            .register(&mut socket, Token(4711), Interest::READABLE)
            .unwrap();
        poll.registry()
            .reregister(&mut socket, Token(4712), Interest::WRITABLE)
            .unwrap();
        poll.poll(&mut Events::with_capacity(4), Some(Duration::ZERO))
            .unwrap();
        poll.registry().deregister(&mut socket).unwrap();
        let records = LOGGER.0.lock().unwrap();
        assert!(
            records.iter().all(|(level, _)| *level == log::Level::Trace),
            "{records:?}"
        );
        let told = |words: &[&str]| {
            let has_all =
                |(_, text): &&(log::Level, String)| words.iter().all(|w| text.contains(w));
            records.iter().filter(has_all).count()
        };
        assert_eq!(
            told(&["litio", "registering", "4711", "READABLE"]),
            1,
            "{records:?}"
        );
        assert_eq!(
            told(&["litio", "reregistering", "4712", "WRITABLE"]),
            1,
            "{records:?}"
        );
        assert_eq!(told(&["litio", "deregistering"]), 1, "{records:?}");
    });
}
