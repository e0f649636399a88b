//! What the page's script draws: the whole run, packed small enough for a page of 100,000 operations.
//!
//! ```text
//! operation = varint(µs since the invocation before) varint(µs that it took + 1, or 0 for no answer)
//!             byte(function | outcome << 5) byte(node + 1, or 0) varint(process) varint(lines since the one before)
//! ```
//! All operations, one after another, in base64. The rest is plain JSON. A run that is larger than the page can hold is
//! thinned: what failed or is in doubt, and what belongs to the violation, before the rest; the curves count all.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use squall_history::{Operation, Outcome};

use crate::availability::Gap;
use crate::bands::Band;
use crate::lanes::{Curve, Lane};
use crate::recorded::Recorded;
use crate::timeline::{cut, label};

/// How many operations are drawn one by one.
pub(crate) const MOST: usize = 120_000;
/// Up to how many operations each carries its text.
const TEXTS: usize = 4_000;
/// The longest of those texts.
const TEXT: usize = 56;
/// How many points the curves over the whole run have.
const BINS: usize = 1_500;
/// How many changes of role and points of an index a node's lane has.
const POINTS: usize = 3_000;
/// How many different functions a byte tells apart; the rest share the last.
const FUNCTIONS: usize = 32;

/// The whole run, for the script.
#[derive(Debug, Serialize)]
struct Run {
    end: f64,
    nodes: Vec<Node>,
    faults: Vec<Fault>,
    gaps: Vec<(f64, f64)>,
    ops: Operations,
    bins: Bins,
    /// The seconds of the violation's first and last line.
    moment: Option<(f64, f64)>,
}

#[derive(Debug, Serialize)]
struct Node {
    name: String,
    /// From, to, `l`, `c` or `f`, and the term.
    roles: Vec<(f64, f64, char, String)>,
    boots: Vec<f64>,
    commit: Vec<(f64, u64)>,
    applied: Vec<(f64, u64)>,
    snapshots: Vec<(f64, u64)>,
}

#[derive(Debug, Serialize)]
struct Fault {
    from: f64,
    to: f64,
    family: String,
    text: String,
    /// Which of the nodes it hit.
    nodes: Vec<usize>,
}

#[derive(Debug, Serialize)]
struct Operations {
    /// How many there were.
    all: usize,
    /// How many are here.
    here: usize,
    functions: Vec<String>,
    packed: String,
    texts: Vec<String>,
    /// The lines of the operations that contradict each other.
    core: Vec<u32>,
}

#[derive(Debug, Default, Serialize)]
struct Bins {
    /// Seconds of each.
    step: f64,
    ok: Vec<u32>,
    fail: Vec<u32>,
    info: Vec<u32>,
    /// Median and 99th percentile of acknowledged operations, in µs; 0 where there were none.
    p50: Vec<u32>,
    p99: Vec<u32>,
}

/// Returns the run as JSON that is safe inside a script element.
pub(crate) fn json(
    recorded: &Recorded,
    bands: &[Band],
    gaps: &[Gap],
    core: &BTreeSet<u32>,
    moment: Option<(f64, f64)>,
) -> String {
    let end = recorded.end();
    let run = Run {
        end: round(end),
        nodes: recorded.lanes.iter().map(node).collect(),
        faults: faults(recorded, bands),
        gaps: gaps.iter().map(|gap| (round(gap.from), round(gap.to))).collect(),
        ops: pack(recorded, core),
        bins: bins(recorded.history.operations(), end),
        moment,
    };
    // Plain data with string keys: serialising it cannot fail; a page without a drawing still tells its story.
    let json = serde_json::to_string(&run).unwrap_or_else(|_| "null".to_owned());
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// Rounds seconds to 10 µs, which no screen shows.
fn round(seconds: f64) -> f64 {
    (seconds * 1e5).round() / 1e5
}

fn node(lane: &Lane) -> Node {
    let roles = lane.stretches.iter().take(POINTS).map(|stretch| {
        let role = stretch.role.chars().next().unwrap_or('f');
        let to = if stretch.to.is_finite() { round(stretch.to) } else { -1.0 };
        (round(stretch.from), to, role, stretch.term.to_string())
    });
    Node {
        name: cut(&lane.node.0, 40),
        roles: roles.collect(),
        boots: lane.boots.iter().take(POINTS).map(|at| round(*at)).collect(),
        commit: thin(&lane.commits),
        applied: thin(&lane.applied),
        snapshots: lane.snapshots.iter().take(POINTS).map(|(at, i)| (round(*at), *i)).collect(),
    }
}

fn thin(curve: &Curve) -> Vec<(f64, u64)> {
    let every = curve.0.len().div_ceil(POINTS).max(1);
    let kept = curve.0.iter().enumerate();
    kept.filter(|(n, _)| n % every == 0 || n + 1 == curve.0.len())
        .map(|(_, (at, index))| (round(*at), *index))
        .collect()
}

fn faults(recorded: &Recorded, bands: &[Band]) -> Vec<Fault> {
    let place = |band: &Band| -> Vec<usize> {
        let same = recorded
            .timeline
            .faults
            .iter()
            .find(|fault| fault.from.as_secs_f64() == band.from && fault.text == band.text);
        let hit = same.map_or(&[][..], |fault| &fault.nodes);
        let at = |node: &squall_history::NodeName| {
            recorded.lanes.iter().position(|lane| lane.node == *node)
        };
        hit.iter().filter_map(at).collect()
    };
    bands
        .iter()
        .take(POINTS)
        .map(|band| Fault {
            from: round(band.from),
            to: round(band.to),
            family: cut(&band.family, 20),
            text: cut(&band.text, 120),
            nodes: place(band),
        })
        .collect()
}

fn pack(recorded: &Recorded, core: &BTreeSet<u32>) -> Operations {
    let operations = recorded.history.operations();
    let kept = thinned(operations, core);
    let mut functions: Vec<String> = Vec::new();
    let mut bytes = Vec::with_capacity(kept.len() * 10);
    let (mut time, mut line) = (0, 0);
    let places: BTreeMap<_, _> =
        recorded.lanes.iter().zip(1u8..).map(|(lane, n)| (&lane.node, n)).collect();
    for operation in &kept {
        let invoked = operation.invoke_time.0 / 1000;
        varint(&mut bytes, invoked.saturating_sub(time));
        time = time.max(invoked);
        let took = operation.return_time.map(|ended| (ended.0 / 1000).saturating_sub(invoked) + 1);
        varint(&mut bytes, took.unwrap_or(0));
        let name = operation.op.f.name();
        let known = functions.iter().position(|known| known == name);
        let function = known.unwrap_or_else(|| {
            if functions.len() < FUNCTIONS {
                functions.push(cut(name, 30));
            }
            functions.len() - 1
        });
        bytes.push(function as u8 | outcome(operation) << 5);
        let node = operation.node.as_ref().and_then(|node| places.get(node));
        bytes.push(node.copied().unwrap_or(0));
        varint(&mut bytes, operation.process.0);
        varint(&mut bytes, u64::from(operation.invoke_line.saturating_sub(line)));
        line = line.max(operation.invoke_line);
    }
    let texts = if kept.len() <= TEXTS {
        kept.iter().map(|operation| cut(&label(operation), TEXT)).collect()
    } else {
        Vec::new()
    };
    Operations {
        all: operations.len(),
        here: kept.len(),
        functions,
        packed: STANDARD.encode(bytes),
        texts,
        core: core.iter().copied().collect(),
    }
}

/// Returns the operations to draw, in the order of their lines.
fn thinned<'a>(operations: &'a [Operation], core: &BTreeSet<u32>) -> Vec<&'a Operation> {
    let mut kept: Vec<&Operation> = if operations.len() <= MOST {
        operations.iter().collect()
    } else {
        let telling = |operation: &Operation| {
            core.contains(&operation.invoke_line) || !matches!(operation.outcome, Outcome::Ok(_))
        };
        let all = operations.iter().filter(|operation| telling(operation)).count();
        let (special, plain) = (all.min(MOST / 2), operations.len() - all);
        let (rare, common) = (all.div_ceil(special.max(1)), plain.div_ceil(MOST - special));
        let (mut a, mut b) = (0usize, 0usize);
        let every = |count: &mut usize, step: usize| {
            *count += 1;
            (*count - 1).is_multiple_of(step.max(1))
        };
        operations
            .iter()
            .filter(|operation| {
                core.contains(&operation.invoke_line)
                    || if telling(operation) { every(&mut a, rare) } else { every(&mut b, common) }
            })
            .collect()
    };
    kept.sort_by_key(|operation| (operation.invoke_time, operation.invoke_line));
    kept
}

fn outcome(operation: &Operation) -> u8 {
    match operation.outcome {
        Outcome::Ok(_) => 0,
        Outcome::Fail { .. } => 1,
        Outcome::Info { .. } => 2,
    }
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn bins(operations: &[Operation], end: f64) -> Bins {
    let step = (end / BINS as f64).max(0.01);
    let count = (end / step).ceil() as usize + 1;
    let empty = || vec![0u32; count];
    let mut bins =
        Bins { step, ok: empty(), fail: empty(), info: empty(), p50: empty(), p99: empty() };
    let mut samples: Vec<Vec<u32>> = vec![Vec::new(); count];
    for operation in operations {
        let Some(ended) = operation.return_time else { continue };
        let bin = ((ended.as_secs_f64() / step) as usize).min(count - 1);
        match &operation.outcome {
            Outcome::Ok(_) => {
                bins.ok[bin] += 1;
                let took = ended.0.saturating_sub(operation.invoke_time.0) / 1000;
                samples[bin].push(u32::try_from(took).unwrap_or(u32::MAX).max(1));
            }
            Outcome::Fail { .. } => bins.fail[bin] += 1,
            Outcome::Info { .. } => bins.info[bin] += 1,
        }
    }
    for (bin, sample) in samples.iter_mut().enumerate().filter(|(_, sample)| !sample.is_empty()) {
        sample.sort_unstable();
        let rank = |quantile: f64| ((sample.len() - 1) as f64 * quantile).round() as usize;
        (bins.p50[bin], bins.p99[bin]) = (sample[rank(0.5)], sample[rank(0.99)]);
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_history::{Event, History, Invoke, Nanos, Op, Process, Return, Value};

    fn history(count: u64) -> History {
        let events = (0..count).flat_map(|n| {
            let (time, process) = (Nanos(n * 1_000_000), Process(n % 9));
            let op = Op::write("7", n as i64);
            let outcome = if n % 1000 == 0 {
                Outcome::Info { error: "timeout".into() }
            } else {
                Outcome::Ok(Value::Nil)
            };
            // A process whose operation is in doubt is never used again.
            let process = if n % 1000 == 0 { Process(1_000_000 + n) } else { process };
            let invoke = Invoke { time, process, op, node: None, request: None };
            let ret = Return { time: Nanos(time.0 + 500_000), process, outcome, pos: None };
            [Event::Invoke(invoke), Event::Return(ret)]
        });
        History::from_events(events).expect("a history")
    }

    #[test]
    fn a_large_run_is_thinned_but_never_of_what_is_in_doubt_or_contradicts() {
        let history = history(3 * MOST as u64);
        let core = BTreeSet::from([5, 77_777]);
        let kept = thinned(history.operations(), &core);
        assert!(kept.len() <= MOST + core.len(), "{}", kept.len());
        assert!(kept.len() > MOST / 2, "{}", kept.len());
        let doubtful = kept.iter().filter(|operation| outcome(operation) == 2).count();
        assert_eq!(doubtful, 3 * MOST / 1000);
        let lines: BTreeSet<u32> = kept.iter().map(|operation| operation.invoke_line).collect();
        assert!(core.is_subset(&lines));
    }

    #[test]
    fn numbers_are_packed_seven_bits_a_byte() {
        let mut bytes = Vec::new();
        varint(&mut bytes, 300);
        varint(&mut bytes, 5);
        assert_eq!(bytes, [0xac, 0x02, 0x05]);
    }

    #[test]
    fn the_curves_count_every_operation() {
        let history = history(10_000);
        let bins = bins(history.operations(), 10.0);
        assert_eq!(bins.ok.iter().sum::<u32>() + bins.info.iter().sum::<u32>(), 10_000);
        assert!(bins.p50.iter().all(|took| *took == 0 || *took == 500));
    }
}
