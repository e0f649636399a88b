//! Runs for tests and figures: an exhibit with another history, or with what a hostile system might have said.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use squall_checker::generate::{self, Shape};
use squall_checker::{Budget, ModelKind, Reading, RunVerdict, judge};
use squall_history::{Event, Invoke, RunDir, formats, jsonl};

/// Returns where an exhibit lies.
pub(crate) fn exhibit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/exhibits").join(name)
}

/// Makes a run like an exhibit, with so many operations of 30 clients, a stale read among them, and its verdict.
pub(crate) fn large(dir: &Path, operations: usize) -> (RunDir, RunVerdict) {
    let run = copy(dir, |_, text| text);
    let mut events = generate::events(&Shape::register(operations, 30));
    assert!(generate::stale_read(&mut events, 0.95), "there is a read to make stale");
    write(&events, &run.history());
    // Read back, since the lines of the file are those that a verdict names.
    let history = formats::read_file(&run.history(), None).expect("readable").history;
    let model = ModelKind::CasRegister;
    let judgement = judge(&history, model, &Reading::default(), &Budget::unlimited());
    (run, RunVerdict::of(judgement.rows("history.jsonl"), Vec::new()))
}

/// Copies the exhibit of a stale read, each text file changed by its name.
pub(crate) fn copy(dir: &Path, change: impl Fn(&str, String) -> String) -> RunDir {
    let from = exhibit("read-local-leader");
    for name in ["run.json", "history.jsonl", "schedule.jsonl", "verdict.json"] {
        let text = fs::read_to_string(from.join(name)).expect("the exhibit is whole");
        fs::write(dir.join(name), change(name, text)).expect("the copy is written");
    }
    RunDir::open(dir).expect("a run")
}

fn write(events: &[Event], path: &Path) {
    let file = BufWriter::new(File::create(path).expect("the history is made"));
    let mut out = jsonl::Writer::new(file).expect("written");
    let mut open: BTreeMap<u64, &Invoke> = BTreeMap::new();
    for event in events {
        match event {
            Event::Invoke(invoke) => {
                out.invoke(invoke).expect("written");
                open.insert(invoke.process.0, invoke);
            }
            Event::Return(ret) => {
                let invoke = open.remove(&ret.process.0).expect("it was invoked");
                out.complete(invoke, ret).expect("written");
            }
        }
    }
    out.flush().expect("written");
}
