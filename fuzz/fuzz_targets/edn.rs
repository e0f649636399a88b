//! Any bytes are a history or an error that names the file, and a history that is written as EDN reads as it was.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use squall_history::{Format, History, edn, formats};

fn read(bytes: &[u8], format: Option<Format>) -> Option<History> {
    match formats::read_bytes(Path::new("h"), bytes, format) {
        Ok(read) => Some(read.history),
        Err(error) => {
            assert!(error.to_string().starts_with('h'), "{error}");
            None
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    read(bytes, None);
    read(bytes, Some(Format::PorcupineKv));
    let Some(history) = read(bytes, Some(Format::JepsenEdn)) else { return };
    let mut written = Vec::new();
    edn::write(&history, &mut written).expect("memory takes it");
    let again = read(&written, Some(Format::JepsenEdn)).expect("reads what it wrote");
    assert_eq!(history.operations().len(), again.operations().len());
    assert_eq!(history.events(), again.events());
    // What is printed of a kind that EDN has twice (a text and a keyword, a list and a tuple) may be read as the other,
    // but once read it stays.
    let mut twice = Vec::new();
    edn::write(&again, &mut twice).expect("memory takes it");
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&twice));
});
