//! Any bytes are a schedule or an error, and a line that is written again reads as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squall_history::schedule;

fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = schedule::read(bytes) else { return };
    let mut written = Vec::new();
    let mut writer = schedule::Writer::new(&mut written).expect("memory takes it");
    for line in &read.lines {
        writer.line(line).expect("memory takes it");
    }
    let again = schedule::read(&written[..]).expect("reads what it wrote");
    assert_eq!(read.lines, again.lines);
});
