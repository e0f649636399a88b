//! Any bytes are a history or an error, and operations that are written again read as the same.
#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use squall_history::{Invoke, Nanos, Operation, Outcome, Process, Return, jsonl};

fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = jsonl::read(bytes) else { return };
    let operations = read.history.operations();
    let mut written = Vec::new();
    write(operations, &mut written).expect("memory takes it");
    let again = jsonl::read(&written[..]).expect("reads what it wrote").history;
    assert_eq!(operations.len(), again.operations().len());
    for (before, after) in operations.iter().zip(again.operations()) {
        assert_eq!((&before.op, &before.outcome), (&after.op, &after.outcome));
        assert_eq!((&before.node, before.request), (&after.node, after.request));
    }
});

/// Writes each operation for itself, on a process of its own, so that the order of events does not matter.
fn write(operations: &[Operation], out: &mut Vec<u8>) -> io::Result<()> {
    let mut writer = jsonl::Writer::new(out)?;
    for (n, operation) in operations.iter().enumerate() {
        let (time, process) = (Nanos(0), Process(n as u64));
        let Operation { op, outcome, node, request, pos, .. } = operation.clone();
        let invoke = Invoke { time, process, op, node, request };
        writer.invoke(&invoke)?;
        let open = matches!(&outcome, Outcome::Info { error } if &*error.0 == "open");
        if !open {
            writer.complete(&invoke, &Return { time, process, outcome, pos })?;
        }
    }
    writer.flush()
}
