//! The rows: what is judged, and what is aimed at.

use std::fs::{self, File};
use std::io::BufWriter;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use squall_checker::generate::{self, Shape};
use squall_checker::online::{Limits, Monitor};
use squall_checker::{Budget, Judgement, ModelKind, Reading, Verdict, judge};
use squall_history::{Event, History, Invoke, Outcome, edn, formats, jsonl};

use crate::Failure;

/// The rows for the curious: more of G6, to see how much depends on luck.
pub(crate) const LUCK: &str = "luck";

/// One row.
pub(crate) struct Row {
    /// Which goal it belongs to.
    pub(crate) goal: &'static str,
    /// What is judged.
    pub(crate) work: String,
    /// Who does it.
    pub(crate) threads: Threads,
    /// How long it may take.
    pub(crate) aim: Duration,
    /// How much memory it may take, where that is part of the goal.
    pub(crate) megabytes: Option<u64>,
    /// What should be said.
    pub(crate) expected: Verdict,
    /// Why the aim is missed, where it is.
    pub(crate) why: &'static str,
    /// Generates what is judged.
    pub(crate) prepare: Box<dyn Fn() -> Result<Work, Failure>>,
}

/// How many threads judge, and so which clock counts.
#[derive(Clone, Copy)]
pub(crate) enum Threads {
    One,
    Two,
}

/// What is measured.
pub(crate) struct Work {
    pub(crate) operations: usize,
    pub(crate) in_doubt: usize,
    /// How large the file is that is held in memory meanwhile.
    pub(crate) file_bytes: u64,
    /// Does it once.
    pub(crate) run: Box<dyn FnMut() -> Result<Said, Failure> + Send>,
}

/// What came out.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) verdict: Verdict,
    pub(crate) engine: String,
    pub(crate) summary: String,
    /// How late it came, for work that has a deadline.
    pub(crate) late: Option<Duration>,
}

impl Said {
    fn of(judgement: &Judgement) -> Said {
        Said {
            verdict: judgement.verdict,
            engine: judgement.engine.clone(),
            summary: judgement.rows("history")[0].summary.clone(),
            late: None,
        }
    }
}

/// Returns all rows.
pub(crate) fn all() -> Vec<Row> {
    [registers(), files(), others(), online(), budgets(), lucky()].into_iter().flatten().collect()
}

/// Judges a history that is held in memory. No row may take longer than this.
const DEADLINE: Duration = Duration::from_secs(20);

fn row(goal: &'static str, work: &str, milliseconds: u64, shape: Shape) -> Row {
    let make = move || generate::history(&shape);
    held(goal, work, milliseconds, shape.model, Verdict::Valid, make)
}

fn held(
    goal: &'static str,
    work: &str,
    milliseconds: u64,
    model: ModelKind,
    expected: Verdict,
    make: impl Fn() -> History + 'static,
) -> Row {
    let budget = Budget { deadline: Some(DEADLINE), memory: Some(4 << 30) };
    let prepare = move || {
        let history = make();
        let operations = history.operations();
        let in_doubt = operations.iter().filter(|op| matches!(op.outcome, Outcome::Info { .. }));
        Ok(Work {
            operations: operations.len(),
            in_doubt: in_doubt.count(),
            file_bytes: 0,
            run: Box::new(move || {
                Ok(Said::of(&judge(&history, model, &Reading::default(), &budget)))
            }),
        })
    };
    Row {
        goal,
        work: work.to_owned(),
        threads: Threads::One,
        aim: Duration::from_millis(milliseconds),
        megabytes: None,
        expected,
        why: "",
        prepare: Box::new(prepare),
    }
}

/// Registers: the rows G1 to G8, without the files of G1.
fn registers() -> Vec<Row> {
    let unique = Shape::register;
    let few = |operations, clients| Shape { values: Some(5), ..unique(operations, clients) };
    let crashed = |operations, share| Shape { crashes: share, ..unique(operations, 10) };
    let keys = Shape { keys: 100, ..unique(1_000_000, 50) };
    let why = "most of the time goes to the one walk over the operations, 216 bytes each, and to the cas' pairs, each an \
               allocation of its own";
    let stale = || {
        let mut events = generate::events(&Shape::register(100_000, 30));
        assert!(generate::stale_read(&mut events, 0.95), "there is a read to make stale");
        History::from_events(events).expect("well formed")
    };
    let large = |clients: usize| Row {
        megabytes: Some(250),
        why,
        ..row("G1", &format!("1 M unique, {clients} clients"), 100, unique(1_000_000, clients))
    };
    vec![
        large(5),
        large(100),
        row("G2", "100 k unique, 5 clients", 10, unique(100_000, 5)),
        row("G3", "10 k unique, 10 clients", 20, crashed(10_000, 0.0167)),
        row("G3", "100 k unique, 10 clients", 100, crashed(100_000, 0.167)),
        Row {
            megabytes: Some(50),
            ..row("G4", "100 k of 5 values, 10 clients", 100, few(100_000, 10))
        },
        row("G5", "1 k of 5 values, 30 clients", 20, few(1_000, 30)),
        row("G5", "10 k of 5 values, 30 clients", 100, few(10_000, 30)),
        row("G5", "100 k of 5 values, 30 clients", 1000, few(100_000, 30)),
        row("G6", "100 k of 5 values, 50 clients", 2000, few(100_000, 50)),
        row("G6", "100 k of 5 values, 100 clients", 2000, few(100_000, 100)),
        held(
            "G7",
            "100 k unique, 30 clients, a stale read",
            20,
            ModelKind::CasRegister,
            Verdict::Invalid,
            stale,
        ),
        Row {
            threads: Threads::Two,
            why: "the walk over the operations is done by one thread, whatever the number of keys",
            ..row("G8", "1 M unique, 100 keys, 50 clients", 150, keys)
        },
    ]
}

/// From a file to the verdict: the other half of G1.
fn files() -> Vec<Row> {
    let from = |work: &str, why, prepare: fn() -> Result<Work, Failure>| Row {
        goal: "G1",
        work: format!("1 M unique, 5 clients, from {work} to the verdict"),
        threads: Threads::One,
        aim: Duration::from_millis(500),
        megabytes: Some(250),
        expected: Verdict::Valid,
        why,
        prepare: Box::new(prepare),
    };
    let why = "one thread reads two lines an operation, and makes operations of 216 bytes of them";
    vec![
        from("a JSONL file", why, || read("history.jsonl", write_jsonl)),
        from("an EDN file", why, || read("history.edn", write_edn)),
    ]
}

fn read(
    name: &'static str,
    write: fn(Vec<Event>, File) -> Result<(), Failure>,
) -> Result<Work, Failure> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join(name);
    write(generate::events(&Shape::register(1_000_000, 5)), File::create(&path)?)?;
    let size = fs::metadata(&path)?.len();
    let run = move || {
        let read = formats::read_file(&dir.path().join(name), None)?;
        let reading = read.format.default_reading();
        let budget = Budget::within(DEADLINE);
        Ok(Said::of(&judge(&read.history, ModelKind::CasRegister, &reading, &budget)))
    };
    // Ours is read as a stream; EDN is held as a whole.
    let file_bytes = if name.ends_with(".edn") { size } else { 0 };
    Ok(Work { operations: 1_000_000, in_doubt: 0, file_bytes, run: Box::new(run) })
}

fn write_jsonl(events: Vec<Event>, file: File) -> Result<(), Failure> {
    let mut out = jsonl::Writer::new(BufWriter::new(file))?;
    let mut open: std::collections::BTreeMap<u64, Invoke> = std::collections::BTreeMap::new();
    for event in events {
        match event {
            Event::Invoke(invoke) => {
                out.invoke(&invoke)?;
                open.insert(invoke.process.0, invoke);
            }
            Event::Return(ret) => {
                let invoke = open.remove(&ret.process.0).ok_or("a return without an invocation")?;
                out.complete(&invoke, &ret)?;
            }
        }
    }
    Ok(out.flush()?)
}

fn write_edn(events: Vec<Event>, file: File) -> Result<(), Failure> {
    Ok(edn::write(&History::from_events(events)?, BufWriter::new(file))?)
}

/// The other models: the row G10.
fn others() -> Vec<Row> {
    let of = |model, operations, keys, crashes| Shape {
        model,
        keys,
        crashes,
        ..Shape::register(operations, 10)
    };
    let mut rows = Vec::new();
    for crashes in [0.0, 0.014] {
        let queue = of(ModelKind::FifoQueue, 1_000_000, 1, crashes);
        rows.push(Row { why: why(&queue), ..row("G10", "queue 1 M, 10 clients", 200, queue) });
        for (model, keys) in [
            (ModelKind::ListAppend, 400),
            (ModelKind::Set, 1),
            (ModelKind::OwnerLock, 1),
            (ModelKind::Mutex, 1),
            (ModelKind::Fencing, 1),
            (ModelKind::Counter, 1),
            (ModelKind::UnorderedQueue, 1),
            (ModelKind::Stack, 1),
        ] {
            let shape = of(model, 100_000, keys, crashes);
            let work = format!("{model} 100 k, 10 clients");
            rows.push(Row { why: why(&shape), ..row("G10", &work, 100, shape) });
        }
    }
    rows
}

/// Says why a model's row is missed, where it is.
fn why(shape: &Shape) -> &'static str {
    match shape.model {
        ModelKind::Set => "the lists that reads returned are as long as all else together",
        ModelKind::ListAppend => "the lists that reads returned are as long as all else together",
        ModelKind::Counter => "a heap orders the increments by their return",
        _ => "",
    }
}

/// Events as they arrive: the row G11.
fn online() -> Vec<Row> {
    let unique = || generate::events(&Shape::register(1_000_000, 30));
    let stale = || {
        let mut events = generate::events(&Shape::register(1_000_000, 30));
        assert!(generate::stale_read(&mut events, 0.95), "there is a read to make stale");
        events
    };
    let lists = || {
        let shape = Shape::register(100_000, 30);
        generate::events(&Shape { model: ModelKind::ListAppend, keys: 400, ..shape })
    };
    let fed = |work: &str, milliseconds, model, events: fn() -> Vec<Event>, late| Row {
        prepare: Box::new(move || Ok(watched(model, events(), late))),
        ..row("G11", work, milliseconds, Shape::register(0, 1))
    };
    let register = ModelKind::CasRegister;
    vec![
        fed("1 M unique, 30 clients, 2 M events one by one", 2000, register, unique, Late::No),
        fed("the same: the slowest event", 10, register, unique, Late::Slowest),
        Row {
            expected: Verdict::Invalid,
            ..fed("the same, a stale read: its return", 10, register, stale, Late::Violation)
        },
        fed(
            "list-append 100 k, 400 keys, 30 clients, 200 k events one by one",
            200,
            ModelKind::ListAppend,
            lists,
            Late::No,
        ),
    ]
}

/// Which event's time counts.
#[derive(Clone, Copy, PartialEq)]
enum Late {
    /// All of them together.
    No,
    /// The one that takes longest.
    Slowest,
    /// The one that is the violation.
    Violation,
}

/// Feeds a monitor event by event.
fn watched(model: ModelKind, events: Vec<Event>, late: Late) -> Work {
    let operations = events.len() / 2;
    let run = move || {
        let mut monitor = Monitor::new(model, Reading::default(), Limits::default());
        let (mut slowest, mut last) = (Duration::ZERO, Duration::ZERO);
        let violation = events.iter().find_map(|event| {
            if late == Late::No {
                return monitor.feed(event);
            }
            let started = Instant::now();
            let violation = monitor.feed(event);
            last = started.elapsed();
            slowest = slowest.max(last);
            violation
        });
        let (verdict, summary) = match (violation, monitor.gave_up().first()) {
            (Some(violation), _) => (Verdict::Invalid, violation.to_string()),
            (None, Some(gave_up)) => (Verdict::Unknown, gave_up.to_string()),
            (None, None) => (Verdict::Valid, String::new()),
        };
        let late = match late {
            Late::No => None,
            Late::Slowest => Some(slowest),
            Late::Violation => Some(last),
        };
        Ok(Said { verdict, engine: "monitor".to_owned(), summary, late })
    };
    Work { operations, in_doubt: 0, file_bytes: 0, run: Box::new(run) }
}

/// Deadlines and budgets: the row G12.
fn budgets() -> Vec<Row> {
    let late = |deadline: u64| {
        let limit = Duration::from_millis(deadline);
        let budget = Budget::within(limit);
        Row {
            prepare: Box::new(move || Ok(hard(budget, move |took| took.saturating_sub(limit)))),
            expected: Verdict::Unknown,
            ..row("G12", &format!("a deadline of {deadline} ms"), 100, Shape::register(0, 1))
        }
    };
    let memory = Budget { deadline: Some(DEADLINE), memory: Some(64 << 20) };
    vec![
        late(100),
        late(1000),
        Row {
            prepare: Box::new(move || Ok(hard(memory, |took| took))),
            megabytes: Some(68),
            expected: Verdict::Unknown,
            ..row("G12", "a budget of 64 MiB", DEADLINE.as_millis() as u64, Shape::register(0, 1))
        },
    ]
}

/// A bag of few values at high concurrency, with crashes: nothing can decide it soon.
fn hard(budget: Budget, late: impl Fn(Duration) -> Duration + Send + 'static) -> Work {
    let model = ModelKind::UnorderedQueue;
    let shape = Shape { model, values: Some(3), crashes: 0.1, ..Shape::register(20_000, 40) };
    let history = generate::history(&shape);
    let run = move || {
        let started = Instant::now();
        let judgement = judge(&history, model, &Reading::default(), &budget);
        let late = Some(late(started.elapsed()));
        Ok(Said { late, ..Said::of(&judgement) })
    };
    Work { operations: shape.operations, in_doubt: 0, file_bytes: 0, run: Box::new(run) }
}

fn lucky() -> Vec<Row> {
    let shape =
        |seed, clients| Shape { values: Some(5), seed, ..Shape::register(100_000, clients) };
    let lucky = |(seed, clients)| {
        let work = format!("100 k of 5 values, {clients} clients, seed {seed}");
        row(LUCK, &work, 2000, shape(seed, clients))
    };
    (2..9).flat_map(|seed| [20, 30, 40, 50, 70].map(|clients| (seed, clients))).map(lucky).collect()
}
