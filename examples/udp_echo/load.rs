//! The load: keeps a window of datagrams in flight, and times each of them.

use std::collections::VecDeque;
use std::error::Error;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use litio::net::UdpSocket;
use litio::{Events, Interest, Poll};

use crate::{LOST_AFTER, Options, SOCKET};

pub(crate) fn run(options: &Options, server: SocketAddr) -> Result<(), Box<dyn Error>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(8);
    let mut socket = UdpSocket::bind("127.0.0.1:0".parse()?)?;
    socket.connect(server)?; // from now on it sends there, and hears nobody else
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut socket, SOCKET, interest)?;

    let mut datagram = vec![b'x'; options.size.into()];
    let mut numbers = 0u64..;
    let mut under_way = VecDeque::new(); // the number of each datagram, and when it left
    let mut latencies = Histogram::<u64>::new_with_max(LOST_AFTER.as_nanos() as u64, 3)?;
    let (mut answered, mut lost) = (0, 0);
    for second in 1..=options.seconds {
        let (before, tick) = (answered, Instant::now() + Duration::from_secs(1));
        while Instant::now() < tick {
            while under_way.front().is_some_and(is_lost) {
                under_way.pop_front();
                lost += 1;
            }
            while under_way.len() < options.window {
                let number = numbers.next().expect("numbers do not run out");
                datagram[..8].copy_from_slice(&number.to_ne_bytes());
                match socket.send(&datagram) {
                    Ok(_) => under_way.push_back((number, Instant::now())),
                    Err(err) if err.kind() == ErrorKind::WouldBlock => break,
                    Err(err) => return Err(err.into()),
                }
            }
            match socket.recv(&mut datagram) {
                Ok(_) => {
                    let is_it = |(number, _): &(u64, _)| number.to_ne_bytes() == datagram[..8];
                    // One that was given up may come after all: then it is no longer in the list.
                    if let Some(i) = under_way.iter().position(is_it) {
                        let (_, since) = under_way.remove(i).expect("it was found there");
                        latencies.saturating_record(since.elapsed().as_nanos() as u64);
                        answered += 1;
                    }
                }
                // Both directions have been tried: time to wait. There is one source only, so
                // whatever the events say, the next round tries both again.
                Err(err) if err.kind() == ErrorKind::WouldBlock => {
                    let deadline = tick.min(Instant::now() + LOST_AFTER);
                    match poll.poll_until(&mut events, deadline) {
                        Err(err) if err.kind() == ErrorKind::Interrupted => {}
                        result => result?,
                    }
                }
                Err(err) => return Err(err.into()),
            }
        }
        println!("{second:3} s {:9} datagrams/s", answered - before);
    }
    let us = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    println!("{answered} answered, {lost} lost");
    println!("latency p50 {:.1} µs, p99 {:.1} µs", us(0.5), us(0.99));
    Ok(())
}

fn is_lost((_, since): &(u64, Instant)) -> bool {
    since.elapsed() > LOST_AFTER
}
