//! The reader of control messages: it comes to an end with any bytes and gives none that are not
//! theirs; and what the writer made of what it gave reads the same again.
//!
//! `cargo +nightly fuzz run control_messages`

#![no_main]

use libfuzzer_sys::fuzz_target;
use litio::unix::control::{ControlMessages, ControlWriter, control_space};

fuzz_target!(|bytes: &[u8]| {
    let range = bytes.as_ptr_range();
    let messages: Vec<_> = ControlMessages::new(bytes).collect();
    for message in &messages {
        let data = message.data.as_ptr_range();
        assert!(range.start <= data.start && data.end <= range.end);
    }
    let space = messages
        .iter()
        .map(|message| control_space(message.data.len()))
        .sum();
    let mut buffer = vec![0; space];
    let mut writer = ControlWriter::new(&mut buffer);
    for message in &messages {
        writer
            .push(message.level, message.kind, message.data)
            .expect("there is room");
    }
    assert!(writer.push(0, 0, &[]).is_err(), "there is no more room");
    assert!(ControlMessages::new(writer.into_bytes()).eq(messages));
});
