//! Any bytes are a trace or an error that names the file, and a line that is written again reads as the same.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use squall_history::trace::{Line, Reader};

fuzz_target!(|bytes: &[u8]| {
    let reader = match Reader::new(bytes, Path::new("n1.0.jsonl")) {
        Ok(reader) => reader,
        Err(error) => return assert!(error.to_string().starts_with("n1.0.jsonl:"), "{error}"),
    };
    for line in reader {
        let Ok((_, line)) = line else { return };
        let written = serde_json::to_string(&line).expect("a line is plain data");
        let again: Line = serde_json::from_str(&written).expect("reads what it wrote");
        assert_eq!(line, again);
    }
});
