//! Writes the history as it happens.

use std::fs::File;
use std::io::{self, BufWriter};

use squall_history::{Invoke, Outcome, Process, Return, jsonl};

/// What the run did so far, for the progress line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Operations that were acknowledged.
    pub ok: u64,
    /// Operations that certainly did not happen.
    pub fail: u64,
    /// Operations in doubt.
    pub info: u64,
}

/// Owns `history.jsonl`. Events reach it in the order of their stamps, because one task makes both.
#[derive(Debug)]
pub(crate) struct Recorder {
    file: jsonl::Writer<BufWriter<File>>,
    counts: Counts,
    next_process: u64,
}

impl Recorder {
    /// Starts a history in an empty file.
    pub(crate) fn new(file: File) -> io::Result<Recorder> {
        let file = jsonl::Writer::new(BufWriter::with_capacity(1 << 16, file))?;
        Ok(Recorder { file, counts: Counts::default(), next_process: 0 })
    }

    /// Returns a process number that was never used.
    pub(crate) fn fresh_process(&mut self) -> Process {
        let process = Process(self.next_process);
        self.next_process += 1;
        process
    }

    /// Records an invocation.
    pub(crate) fn invoke(&mut self, invoke: &Invoke) -> io::Result<()> {
        self.file.invoke(invoke)
    }

    /// Records how an invocation ended.
    pub(crate) fn complete(&mut self, invoke: &Invoke, ret: &Return) -> io::Result<()> {
        match ret.outcome {
            Outcome::Ok(_) => self.counts.ok += 1,
            Outcome::Fail { .. } => self.counts.fail += 1,
            Outcome::Info { .. } => self.counts.info += 1,
        }
        self.file.complete(invoke, ret)
    }

    /// Hands what was recorded to the kernel, where it survives the harness.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// Returns the outcomes so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }
}
