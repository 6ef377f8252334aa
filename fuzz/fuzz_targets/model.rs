//! Registering, reading, writing, closing, waking and polling in any order, on every backend that
//! runs here, held against the conformance suite's model of what must be reported, what may be and
//! what must not.
//!
//! `cargo +nightly fuzz run model -- -max_len=1024`

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let steps = bytes.chunks_exact(4);
    let script: Vec<[u8; 4]> = steps.map(|step| step.try_into().expect("four")).collect();
    litio::conformance::play_everywhere(&script);
});
