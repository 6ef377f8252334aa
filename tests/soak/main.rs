//! Everything at once and at random, for as long as one likes: connections that come and go, wakes,
//! timeouts, datagrams, pipes, pollers made and dropped, on several threads. What was sent must
//! arrive, nobody may stall, and neither memory nor descriptors may grow.
//!
//! `cargo test` runs it for some seconds; `cargo xtask soak 60` for an hour, by way of [`SECONDS`].
#![cfg(unix)]

mod workers;

use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The environment variable that says how long.
const SECONDS: &str = "LITIO_SOAK_SECONDS";
const SECONDS_DEFAULT: u64 = 3;

/// Who makes no progress for so long stalls.
const STALL: Duration = Duration::from_secs(20);

/// What memory may grow after the first quarter: the allocator's own unrest, no more.
const GROWTH_MAX: u64 = 16 << 20;

/// The most descriptors that all workers may need at once.
const DESCRIPTORS_MAX: usize = 700;

/// What a worker tells of itself, and is told.
struct Post {
    name: &'static str,
    progress: AtomicU64,
    is_over: &'static AtomicBool,
    seed: u64,
}

impl Post {
    fn goes_on(&self) -> bool {
        self.progress.fetch_add(1, Ordering::Relaxed);
        !self.is_over.load(Ordering::Relaxed)
    }

    /// Compares with what was seen before, and when.
    fn expect_progress(&self, (progress, since): &mut (u64, Instant)) {
        let now = self.progress.load(Ordering::Relaxed);
        if now != *progress {
            (*progress, *since) = (now, Instant::now());
        }
        if since.elapsed() > STALL {
            // The stalled one would never end, so neither would an unwinding scope.
            eprintln!("{} stalls after {progress} rounds", self.name);
            std::process::abort();
        }
    }
}

/// What the monitor measures.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    memory: u64,
    descriptors: usize,
}

impl Measured {
    #[cfg(target_os = "linux")]
    fn now() -> Measured {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let resident: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
        Measured {
            memory: resident * 4096,
            descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn now() -> Measured {
        Measured::default()
    }

    fn max(self, other: Measured) -> Measured {
        Measured {
            memory: self.memory.max(other.memory),
            descriptors: self.descriptors.max(other.descriptors),
        }
    }
}

#[test]
fn under_random_load_everything_arrives_and_nothing_grows() {
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    static ARE_SERVERS_OVER: AtomicBool = AtomicBool::new(false);
    let seconds = env::var(SECONDS).map_or(SECONDS_DEFAULT, |text| {
        text.parse().expect("a number of seconds")
    });
    let length = Duration::from_secs(seconds);
    let posts: Vec<Post> = workers::ALL
        .iter()
        .zip(1..)
        .map(|((name, _), seed)| Post {
            name,
            progress: AtomicU64::new(0),
            is_over: &IS_OVER,
            seed,
        })
        .collect();
    let before = Measured::now();
    let mut settled = Measured::default();
    let mut most = Measured::default();
    thread::scope(|scope| {
        let _servers_end = EndsAll(&ARE_SERVERS_OVER);
        let addresses = workers::servers(scope, &ARE_SERVERS_OVER);
        // In its own scope, so that the servers outlive those who use them.
        thread::scope(|scope| {
            let _workers_end = EndsAll(&IS_OVER);
            for (post, (name, work)) in posts.iter().zip(workers::ALL) {
                let builder = thread::Builder::new().name((*name).into());
                let work = move || {
                    let _all_end = EndsAll(&IS_OVER);
                    work(post, addresses);
                };
                builder.spawn_scoped(scope, work).unwrap();
            }
            let start = Instant::now();
            let mut last: Vec<(u64, Instant)> = vec![(0, start); posts.len()];
            while start.elapsed() < length && !IS_OVER.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(100));
                for (post, last) in posts.iter().zip(&mut last) {
                    post.expect_progress(last);
                }
                let now = Measured::now();
                if start.elapsed() < length / 4 {
                    settled = settled.max(now);
                }
                most = most.max(now);
            }
        });
    });
    for post in &posts {
        println!(
            "{:10} {} rounds",
            post.name,
            post.progress.load(Ordering::Relaxed)
        );
    }
    let after = Measured::now();
    println!(
        "memory: {} KiB at the beginning, {} after a quarter of the time, {} at most, {} at the end",
        before.memory >> 10,
        settled.memory >> 10,
        most.memory >> 10,
        after.memory >> 10,
    );
    println!(
        "descriptors: {} at the beginning, {} at most, {} at the end",
        before.descriptors, most.descriptors, after.descriptors
    );
    // In a few seconds nothing settles, and what instruments or emulates this program has memory of
    // its own.
    let is_long = env::var_os(SECONDS).is_some();
    assert!(
        !is_long || most.memory <= settled.memory + GROWTH_MAX,
        "memory grows"
    );
    assert!(most.descriptors <= DESCRIPTORS_MAX, "descriptors pile up");
    assert_eq!(before.descriptors, after.descriptors, "descriptors leaked");
}

/// Who panics takes the others along, so that the test ends.
struct EndsAll(&'static AtomicBool);

impl Drop for EndsAll {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn any_v4() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// Numbers that look random (xorshift64*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}
