//! Prints the goals' table: how long the checker takes on histories of every kind, generated from seeds.
//!
//! `cargo run --release -p squall-checker --example goals [row …]`
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::time::{Duration, Instant};

use squall_checker::generate::{self, Shape};
use squall_checker::{Budget, Judgement, ModelKind, Reading, Verdict, judge};
use squall_history::{History, Outcome};

/// One row: what is checked, on how many threads, and what is aimed at.
struct Goal {
    name: &'static str,
    work: String,
    threads: usize,
    goal: Duration,
    history: Box<dyn Fn() -> History>,
    model: ModelKind,
    expected: Verdict,
}

fn goal(name: &'static str, work: &str, goal_ms: u64, shape: Shape) -> Goal {
    Goal {
        name,
        work: work.to_owned(),
        threads: 1,
        goal: Duration::from_millis(goal_ms),
        history: Box::new(move || generate::history(&shape)),
        model: shape.model,
        expected: Verdict::Valid,
    }
}

fn of(model: ModelKind, operations: usize, clients: usize) -> Shape {
    Shape { model, ..Shape::register(operations, clients) }
}

/// Registers: the rows G1 to G8.
fn registers() -> Vec<Goal> {
    let unique = Shape::register;
    let few = |operations, clients| Shape { values: Some(5), ..unique(operations, clients) };
    let crashed = |operations, share| Shape { crashes: share, ..unique(operations, 10) };
    let keys = Shape { keys: 100, ..unique(1_000_000, 50) };
    let stale = move || {
        let mut events = generate::events(&unique(100_000, 30));
        assert!(generate::stale_read(&mut events, 0.95), "there is a read to make stale");
        History::from_events(events).expect("well formed")
    };
    vec![
        goal("G1", "1 M unique, 5 clients", 100, unique(1_000_000, 5)),
        goal("G1", "1 M unique, 100 clients", 100, unique(1_000_000, 100)),
        goal("G2", "100 k unique, 5 clients", 10, unique(100_000, 5)),
        goal("G3", "10 k unique, 10 clients, 100 crashed", 20, crashed(10_000, 0.0167)),
        goal("G3", "100 k unique, 10 clients, 10 k crashed", 100, crashed(100_000, 0.167)),
        goal("G4", "100 k of 5 values, 10 clients", 100, few(100_000, 10)),
        goal("G5", "1 k of 5 values, 30 clients", 20, few(1_000, 30)),
        goal("G5", "10 k of 5 values, 30 clients", 100, few(10_000, 30)),
        goal("G5", "100 k of 5 values, 30 clients", 1000, few(100_000, 30)),
        goal("G6", "100 k of 5 values, 50 clients", 2000, few(100_000, 50)),
        goal("G6", "100 k of 5 values, 100 clients", 2000, few(100_000, 100)),
        Goal {
            history: Box::new(stale),
            expected: Verdict::Invalid,
            ..goal("G7", "100 k unique, 30 clients, a stale read", 20, unique(0, 1))
        },
        Goal { threads: 2, ..goal("G8", "1 M unique, 100 keys, 50 clients, 2 threads", 150, keys) },
    ]
}

/// The other models: the row G10.
fn others() -> Vec<Goal> {
    let mut goals = Vec::new();
    for crashes in [0.0, 0.014] {
        let queue = Shape { crashes, ..of(ModelKind::FifoQueue, 1_000_000, 10) };
        let doubt = if crashes > 0.0 { ", with crashes" } else { "" };
        goals.push(goal("G10", &format!("queue 1 M, 10 clients{doubt}"), 200, queue));
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
            let shape = Shape { keys, crashes, ..of(model, 100_000, 10) };
            goals.push(goal("G10", &format!("{model} 100 k, 10 clients{doubt}"), 100, shape));
        }
    }
    goals
}

/// More of G6, to see how much depends on luck.
fn lucky() -> Vec<Goal> {
    let shape =
        |seed, clients| Shape { values: Some(5), seed, ..Shape::register(100_000, clients) };
    let row = |(seed, clients)| {
        let work = format!("100 k of 5 values, {clients} clients, seed {seed}");
        goal("luck", &work, 2000, shape(seed, clients))
    };
    (2..9).flat_map(|seed| [20, 30, 40, 50, 70].map(|clients| (seed, clients))).map(row).collect()
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    println!(
        "| goal | work | time | aim | operations/s | peak memory | verdict | engine |\n\
         |---|---|---|---|---|---|---|---|"
    );
    let usual = |name: &str| wanted.is_empty() && name != "luck";
    for goal in registers().into_iter().chain(others()).chain(lucky()) {
        if usual(goal.name) || wanted.iter().any(|name| name == goal.name) {
            measure(&goal);
        }
    }
}

fn measure(goal: &Goal) {
    let (history, model) = ((goal.history)(), goal.model);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(goal.threads).build();
    let pool = pool.expect("a thread pool");
    let budget = Budget { deadline: Some(Duration::from_secs(20)), memory: Some(4 << 30) };
    let before = memory::reset();
    let mut best: Option<(Duration, Judgement)> = None;
    for _ in 0..3 {
        let started = Instant::now();
        let (judgement, took) = pool.install(|| {
            let before = processor();
            let judgement = judge(&history, model, &Reading::default(), &budget);
            (judgement, processor().saturating_sub(before))
        });
        let took = if goal.threads == 1 { took } else { started.elapsed() };
        if best.as_ref().is_none_or(|(time, _)| took < *time) {
            best = Some((took, judgement));
        }
        if took > Duration::from_secs(5) {
            break;
        }
    }
    let peak = memory::peak().saturating_sub(before);
    let Some((time, judgement)) = best else { return };
    let count = history.operations().len();
    let doubt = history.operations().iter().filter(|op| matches!(op.outcome, Outcome::Info { .. }));
    let note = if judgement.verdict == goal.expected { "" } else { " (!)" };
    println!(
        "| {} | {} ({} in doubt) | {:.4} s | {:.3} s{} | {:.1} M | {} MB | {}{note} | {} |",
        goal.name,
        goal.work,
        doubt.count(),
        time.as_secs_f64(),
        goal.goal.as_secs_f64(),
        if time > goal.goal { " missed" } else { "" },
        count as f64 / time.as_secs_f64() / 1e6,
        peak >> 20,
        judgement.verdict.name(),
        judgement.engine,
    );
    if judgement.verdict != goal.expected || goal.expected == Verdict::Invalid {
        println!("|  | {} |", judgement.rows("history")[0].summary);
    }
}

/// Returns the processor time of this thread, so that a busy machine does not count.
fn processor() -> Duration {
    let path = "/proc/thread-self/schedstat";
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let nanos = text.split_whitespace().next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

mod memory {
    //! The resident set's peak, as Linux counts it.

    use std::fs;

    /// Starts a new peak, and returns what is resident now.
    pub(crate) fn reset() -> u64 {
        // A kernel that cannot do this leaves the peak of the whole process, which is only larger.
        let _ = fs::write("/proc/self/clear_refs", "5");
        field("VmRSS:")
    }

    /// Returns the peak since then.
    pub(crate) fn peak() -> u64 {
        field("VmHWM:")
    }

    fn field(name: &str) -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or(0) << 10
    }
}
