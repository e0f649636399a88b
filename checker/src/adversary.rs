//! The checker's own adversary: small random histories on which every engine must agree with brute force, every proof
//! must hold, and changes that cannot matter must not matter.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use squall_history::{Event, F, History, Invoke, Key, Outcome, Process, Return, Value};

use crate::linearizable::{ATTEMPTS, second_opinions};
use crate::{
    Budget, FailedCas, Finding, Judgement, ModelKind, NilRead, Reading, Verdict, brute, generate,
    judge, verify,
};

/// What became of one small history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// The engine that decided.
    pub engine: String,
    /// What it said, which is true.
    pub verdict: Verdict,
}

/// Examines one small history. Nothing, if nothing in it was acknowledged; an error tells the whole story.
pub fn examine(model: ModelKind, seed: u64) -> Result<Option<Examined>, String> {
    let events = generate::small(model, seed);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let reading = any_reading(&mut random);
    let history = History::from_events(events.clone()).map_err(|error| error.to_string())?;
    let judgement = judge(&history, model, &reading, &Budget::unlimited());
    if judgement.why.is_some() {
        return Ok(None);
    }
    let tell = |what: String| format!("{what}\n{}", told(model, seed, &history, &judgement));
    let expected =
        if brute(&model, &history, &reading) { Verdict::Valid } else { Verdict::Invalid };
    if judgement.verdict != expected {
        return Err(tell(format!("brute force says {}", expected.name())));
    }
    let replayed = verify(&history, model, &judgement).map_err(|flaw| tell(flaw.to_string()))?;
    if replayed.too_large > 0 {
        return Err(tell("a core is too large to verify".to_owned()));
    }
    // The engines see one operation where attempts at one request contradict each other.
    let contradicted = judgement.engine == ATTEMPTS;
    for (engine, verdict) in second_opinions(&history, model, &reading) {
        if verdict != expected && !contradicted {
            return Err(tell(format!("{engine} says {}", verdict.name())));
        }
    }
    changes(model, &reading, &events, expected, &mut random).map_err(tell)?;
    Ok(Some(Examined { engine: judgement.engine, verdict: expected }))
}

/// Examines a history that is too long for brute force: all engines must say the same, and an order must hold. Nothing, if
/// nothing in it was acknowledged; an error tells the whole story.
pub fn compare(model: ModelKind, seed: u64) -> Result<Option<Examined>, String> {
    let reading = any_reading(&mut ChaCha8Rng::seed_from_u64(seed));
    let events = generate::middling(model, seed);
    let history = History::from_events(events).map_err(|error| error.to_string())?;
    let judgement = judge(&history, model, &reading, &Budget::unlimited());
    if judgement.why.is_some() {
        return Ok(None);
    }
    let tell = |what: String| format!("{what}\n{}", told(model, seed, &history, &judgement));
    verify(&history, model, &judgement).map_err(|flaw| tell(flaw.to_string()))?;
    let expected = judgement.verdict;
    if judgement.engine != ATTEMPTS {
        for (engine, verdict) in second_opinions(&history, model, &reading) {
            if verdict != expected {
                let (said, other) = (expected.name(), verdict.name());
                return Err(tell(format!("{} says {said}, {engine} {other}", judgement.engine)));
            }
        }
    }
    Ok(Some(Examined { engine: judgement.engine, verdict: expected }))
}

fn any_reading(random: &mut ChaCha8Rng) -> Reading {
    Reading {
        failed_cas: [FailedCas::Observation, FailedCas::Dropped][random.random_range(0..2)],
        nil_read: [NilRead::Absent, NilRead::Absent, NilRead::Unknown][random.random_range(0..3)],
        initial: Value::Nil,
    }
}

/// Makes changes that cannot matter, or can only turn invalid into valid.
fn changes(
    model: ModelKind,
    reading: &Reading,
    events: &[Event],
    expected: Verdict,
    random: &mut ChaCha8Rng,
) -> Result<(), String> {
    let judged = |what: &str, changed: Vec<Event>| {
        let history = History::from_events(changed).map_err(|error| format!("{what}: {error}"))?;
        let judgement = judge(&history, model, reading, &Budget::unlimited());
        match judgement.why {
            Some(_) => Ok(expected),
            None => Ok::<Verdict, String>(judgement.verdict),
        }
    };
    let mut same = vec![
        ("shifted", shifted(events)),
        ("ties shuffled", untied(events, random)),
        ("with other processes", with_other_processes(events)),
        ("on another key", on_another_key(events)),
    ];
    if !matches!(model, ModelKind::Counter | ModelKind::Kv) {
        same.push(("relabelled", relabelled(events)));
    }
    for (what, changed) in same {
        let found = judged(what, changed)?;
        if found != expected {
            return Err(format!("{what}, it is {}", found.name()));
        }
    }
    let mut looser = vec![("without a read", without_read(events, random))];
    // A holder that goes on under another number could not release what it holds, unless it is named.
    let unnamed =
        |event: &Event| matches!(event, Event::Invoke(invoke) if invoke.op.value.is_nil());
    if model != ModelKind::OwnerLock || !events.iter().any(unnamed) {
        looser.push(("with an ok in doubt", doubted(events, random)));
    }
    for (what, changed) in looser {
        let found = judged(what, changed)?;
        if expected == Verdict::Valid && found != Verdict::Valid {
            return Err(format!("{what}, it is {}", found.name()));
        }
    }
    Ok(())
}

/// Lets everything happen later.
fn shifted(events: &[Event]) -> Vec<Event> {
    let mut shifted = events.to_vec();
    for event in &mut shifted {
        match event {
            Event::Invoke(invoke) => invoke.time.0 += 1_000_000,
            Event::Return(ret) => ret.time.0 += 1_000_000,
        }
    }
    shifted
}

/// Swaps neighbours that are both invocations, or both returns: no operation comes to precede another.
fn untied(events: &[Event], random: &mut ChaCha8Rng) -> Vec<Event> {
    let mut untied = events.to_vec();
    for n in 1..untied.len() {
        let alike = matches!(
            (&untied[n - 1], &untied[n]),
            (Event::Invoke(_), Event::Invoke(_)) | (Event::Return(_), Event::Return(_))
        );
        if alike && random.random_bool(0.5) {
            generate::swap(&mut untied, n);
        }
    }
    untied
}

/// Gives every process another number, the last the first.
fn with_other_processes(events: &[Event]) -> Vec<Event> {
    let mut renumbered = events.to_vec();
    for event in &mut renumbered {
        let (Event::Invoke(Invoke { process, .. }) | Event::Return(Return { process, .. })) = event;
        process.0 = 1_000 - process.0;
    }
    renumbered
}

/// Gives the key another name.
fn on_another_key(events: &[Event]) -> Vec<Event> {
    let mut moved = events.to_vec();
    for event in &mut moved {
        if let Event::Invoke(invoke) = event {
            invoke.op.key = Some(Key::from("another"));
        }
    }
    moved
}

/// Gives every value another name; the order of numbers stays, since tokens have one.
fn relabelled(events: &[Event]) -> Vec<Event> {
    let mut relabelled = events.to_vec();
    for event in &mut relabelled {
        match event {
            Event::Invoke(invoke) => invoke.op.value = renamed(&invoke.op.value),
            Event::Return(ret) => match &mut ret.outcome {
                Outcome::Ok(value) => *value = renamed(value),
                Outcome::Fail { seen: Some(seen), .. } => *seen = renamed(seen),
                Outcome::Fail { seen: None, .. } | Outcome::Info { .. } => {}
            },
        }
    }
    relabelled
}

fn renamed(value: &Value) -> Value {
    match value {
        Value::Int(number) => Value::Int(number * 1_000_003 + 17),
        Value::List(items) => Value::list(items.iter().map(renamed)),
        Value::Nil | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => {
            value.clone()
        }
    }
}

/// Leaves a read out.
fn without_read(events: &[Event], random: &mut ChaCha8Rng) -> Vec<Event> {
    let reads: Vec<usize> = (0..events.len())
        .filter(|n| matches!(&events[*n], Event::Invoke(invoke) if invoke.op.f.is_read()))
        .collect();
    if reads.is_empty() {
        return events.to_vec();
    }
    let read = reads[random.random_range(0..reads.len())];
    let process = events[read].process();
    let returns = (read + 1..events.len()).find(|n| events[*n].process() == process);
    let stays = |n: &usize| *n != read && Some(*n) != returns;
    (0..events.len()).filter(stays).map(|n| events[n].clone()).collect()
}

/// Puts an acknowledged change in doubt; its process goes on under a new number.
fn doubted(events: &[Event], random: &mut ChaCha8Rng) -> Vec<Event> {
    let mut doubted = events.to_vec();
    let oks: Vec<usize> = (0..events.len())
        .filter(
            |n| matches!(&events[*n], Event::Return(ret) if matches!(ret.outcome, Outcome::Ok(_))),
        )
        .collect();
    if oks.is_empty() {
        return doubted;
    }
    let ok = oks[random.random_range(0..oks.len())];
    let process = events[ok].process();
    if let Event::Return(ret) = &mut doubted[ok] {
        ret.outcome = Outcome::Info { error: "timeout".into() };
    }
    for event in doubted.iter_mut().skip(ok + 1).filter(|event| event.process() == process) {
        match event {
            Event::Invoke(invoke) => invoke.process = Process(process.0 + 1000),
            Event::Return(ret) => ret.process = Process(process.0 + 1000),
        }
    }
    doubted
}

/// Returns a history and what is said of it, an operation a line.
fn told(model: ModelKind, seed: u64, history: &History, judgement: &Judgement) -> String {
    let mut lines =
        vec![format!("{model} seed {seed} by {}, {}", judgement.engine, judgement.reading)];
    for (n, operation) in history.operations().iter().enumerate() {
        let request = operation.request.map(|request| request.to_string()).unwrap_or_default();
        let returned = operation.returned.map(|event| event.to_string()).unwrap_or_default();
        let asked =
            if operation.op.f == F::Txn { operation.op.value.to_string() } else { String::new() };
        lines.push(format!(
            "  {n}: p{} {}-{returned} {} {asked} {request} {:?}",
            operation.process, operation.invoked, operation.op, operation.outcome
        ));
    }
    for key in &judgement.keys {
        match &key.finding {
            Finding::Impossible(core) => {
                lines.push(core.contradiction.clone());
                lines.extend(core.operations.iter().map(|op| {
                    let blind = if op.blind { ", blind" } else { "" };
                    format!("  {}: {}-{:?}{blind}", op.index, op.invoked, op.returned)
                }));
            }
            Finding::Linearizable(order) => lines.push(format!("order {order:?}")),
            Finding::Unknown(why) => lines.push(why.clone()),
        }
    }
    lines.join("\n")
}
