//! What the library writes, and what the examples in other languages do, is a whole trace.

use std::path::{Path, PathBuf};
use std::process::Command;

use squall_history::trace::{Line, Trace, TraceEvent, read};
use squall_trace::{LogPosition, Tracer, VARIABLE, hash, voters};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// Expects the four events of the examples, of the third boot of n1, without a gap.
fn expect(path: &Path) {
    let Trace { header, lines, survey } = read(path).expect("it is a trace");
    let lines: Vec<Line> = lines.into_iter().map(|(_, line)| line).collect();
    assert_eq!((header.node.to_string().as_str(), header.boot), ("n1", 2));
    assert!(survey.missing.is_empty() && survey.torn.is_none(), "{survey:?}");
    let events: Vec<&TraceEvent> = lines.iter().map(|line| &line.event).collect();
    let [
        TraceEvent::Boot { config, .. },
        TraceEvent::BecomeLeader { .. },
        TraceEvent::Append { hashes, .. },
        TraceEvent::Durable { upto: 1 },
    ] = events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(config.voters.len(), 3);
    assert_eq!(hashes[0].to_string(), "af63bd4c8601b7df");
    assert!(lines.windows(2).all(|pair| pair[0].time <= pair[1].time));
    let apart = squall_trace::now().abs_diff(lines[0].time);
    assert!(apart < 3_600_000_000_000, "another clock: {apart} ns");
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Runs a command that writes the example's trace, unless this machine lacks the program.
fn told_by(command: &mut Command) {
    let dir = directory();
    let path = dir.path().join("n1.2.jsonl");
    // A toolchain that is not there is not fetched for a test.
    command.env(VARIABLE, &path).env("GOTOOLCHAIN", "local");
    if std::env::var_os("HOME").is_none() {
        command.env("GOCACHE", dir.path().join("cache"));
    }
    match command.output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{command:?}: {errors}");
            expect(&path);
        }
        Err(error) => eprintln!("SKIPPED: {:?} cannot be run: {error}", command.get_program()),
    }
}

#[test]
fn rust_writes_a_whole_trace() {
    let dir = directory();
    let path = dir.path().join("n1.2.jsonl");
    let mut trace = Tracer::create(&path).expect("the file is made");
    let last = LogPosition::default();
    let config = voters(["n1", "n2", "n3"]);
    let (term, vote, snapshot, applied) = (0.into(), None, last, 0);
    trace.say(TraceEvent::Boot { term, vote, snapshot, applied, config });
    trace.say(TraceEvent::BecomeLeader { term: 1.into(), last });
    let (index, term, prev_term, hashes) = (1, 1.into(), 0.into(), vec![hash(b"\0")]);
    trace.say(TraceEvent::Append { index, term, prev_term, hashes, recovered: false });
    trace.flush().expect("written");
    trace.say(TraceEvent::Durable { upto: 1 });
    trace.flush().expect("written");
    expect(&path);
}

#[test]
fn a_file_that_is_not_named_by_node_and_boot_is_refused() {
    for name in ["n1.jsonl", "n1.x.jsonl", "n1.0.json"] {
        let error = Tracer::create(Path::new(name)).expect_err(name).to_string();
        assert!(error.contains("n1.0.jsonl"), "{error}");
    }
}

#[test]
fn python_writes_a_whole_trace() {
    told_by(Command::new("python3").arg(example("trace.py")));
}

#[test]
fn c_writes_a_whole_trace() {
    let dir = directory();
    let program = dir.path().join("trace");
    let compiled = Command::new("cc").arg(example("trace.c")).arg("-o").arg(&program).output();
    match compiled {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{errors}");
            told_by(&mut Command::new(program));
        }
        Err(error) => eprintln!("SKIPPED: cc cannot be run: {error}"),
    }
}

#[test]
fn go_writes_a_whole_trace() {
    told_by(Command::new("go").arg("run").arg(example("trace.go")));
}
