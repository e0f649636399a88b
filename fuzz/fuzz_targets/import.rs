//! Any bytes are a trace of etcd's Raft library, of CCF's, or an error; what is told of them is numbered upwards, and every
//! event comes from a line that is there.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use squall_history::trace::import::{Format, read_bytes};

fuzz_target!(|bytes: &[u8]| {
    let lines = bytes.split(|byte| *byte == b'\n').count();
    for format in [Format::EtcdRaft, Format::CcfRaft] {
        let Ok(import) = read_bytes(Path::new("trace.ndjson"), bytes, format) else { continue };
        for trace in &import.boots {
            let numbers: Vec<u64> = trace.lines.iter().map(|(_, line)| line.seq).collect();
            assert!(numbers.is_sorted_by(|one, two| one < two), "{numbers:?}");
            assert!(trace.lines.iter().all(|(line, _)| (1..=lines).contains(&(*line as usize))));
        }
    }
});
