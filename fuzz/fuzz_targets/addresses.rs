//! Addresses of sockets, made of any bytes of any length: they can be read or not, and what can be
//! read comes back when it is written and read again.
//!
//! `cargo +nightly fuzz run addresses -- -max_len=160`

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| litio::read_as_addresses(bytes));
