//! Any bytes are a log or an error that names the file.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use squall_history::{Format, formats};

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = formats::read_bytes(Path::new("h"), bytes, Some(Format::EtcdLog)) {
        assert!(error.to_string().starts_with('h'), "{error}");
    }
});
