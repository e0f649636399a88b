//! Log positions: where a system tells at which index of its log an operation took effect, the order is known.
//!
//! Ordered by position, the operations must respect real time and the model; a contradiction is a violation of its own.
//! A read carries the position of the state that it saw: the write at that position comes first, then the reads.
//!
//! Real time is checked over all keys, since they share one log. The model is then asked about each key: the operations
//! with a position are put one behind the other, those without one (in doubt, or without an answer that tells) may
//! stand anywhere after what had certainly happened before they began.

use std::collections::HashMap;

use squall_history::{Claim, History, Operation, Outcome};

use super::core::Relaxed;
use super::decide::{Question, Rules, decide};
use super::judgement::{CoreOperation, Finding};
use super::part::{Entry, NEVER, Part};
use super::story;
use crate::budget::Meter;
use crate::{Call, Evidence, Model, Row, Verdict};
use squall_history::Reading;

/// What is held for an entry while positions are judged: where it stands, its two events, and its new times.
const BYTES_PER_ENTRY: u64 = 320;

/// Whether reported positions agree with real time and with the model.
#[derive(Clone, Debug)]
pub enum Positions {
    /// No operation carries one.
    Absent,
    /// They agree, for so many operations.
    Agree(usize),
    /// They do not.
    Contradict {
        /// How, in one sentence.
        contradiction: String,
        /// The operations that show it.
        operations: Vec<CoreOperation>,
    },
    /// The budget was used up first.
    Unknown(String),
}

impl Positions {
    /// Returns the verdict.
    pub fn verdict(&self) -> Verdict {
        match self {
            Positions::Absent => Verdict::NotJudged,
            Positions::Agree(_) => Verdict::Valid,
            Positions::Contradict { .. } => Verdict::Invalid,
            Positions::Unknown(_) => Verdict::Unknown,
        }
    }

    /// Returns the row of a verdict.
    pub(super) fn row(&self, file: &str) -> Row {
        let summary = match self {
            Positions::Absent => "no operation carries a position".to_owned(),
            Positions::Agree(count) => {
                format!("{count} positions agree with real time and with the model")
            }
            Positions::Contradict { contradiction, .. } => contradiction.clone(),
            Positions::Unknown(why) => why.clone(),
        };
        let mut row = Row::new(Claim::Positions, self.verdict(), "positions", summary);
        if let Positions::Contradict { operations, .. } = self {
            row.key = operations
                .first()
                .and_then(|op| op.operation.op.key.as_ref())
                .map(|key| key.to_string());
            row.evidence = operations.iter().map(|op| evidence(op, file)).collect();
        }
        row
    }
}

fn evidence(op: &CoreOperation, file: &str) -> Evidence {
    let mut evidence = op.evidence(file);
    if let Some(pos) = op.operation.pos {
        evidence.text = format!("{} at position {pos}", evidence.text);
    }
    evidence
}

/// Where an operation stands among those with a position: behind the write there, if it only reads.
type Place = (u64, bool);

/// Judges the positions of a history.
pub(super) fn judge<M: Model>(
    history: &History,
    model: &M,
    rules: Rules,
    reading: &Reading,
    parts: &[Part],
    meter: &Meter,
) -> Positions {
    let operations = history.operations();
    let place = |entry: &Entry| place(model, &operations[entry.op as usize]);
    let placed = parts.iter().flat_map(|part| &part.entries).filter_map(place).count();
    if placed == 0 {
        return Positions::Absent;
    }
    let all: usize = parts.iter().map(|part| part.entries.len()).sum();
    let _room = match meter.poll().and_then(|()| meter.reserve(all as u64 * BYTES_PER_ENTRY)) {
        Ok(room) => room,
        Err(why) => return Positions::Unknown(why.to_string()),
    };
    if let Some(found) = against_time(operations, parts, &place) {
        return found;
    }
    for part in parts {
        if let Err(why) = meter.poll() {
            return Positions::Unknown(why.to_string());
        }
        if let Some(found) = against_model(operations, model, rules, reading, part, &place, meter) {
            return found;
        }
    }
    Positions::Agree(placed)
}

fn place<M: Model>(model: &M, operation: &Operation) -> Option<Place> {
    let Outcome::Ok(_) = operation.outcome else { return None };
    Some((operation.pos?, model.only_observes(&Call::from(operation))))
}

/// Finds two operations of which the first had returned before the second began, and stands behind it.
fn against_time(
    operations: &[Operation],
    parts: &[Part],
    place: &impl Fn(&Entry) -> Option<Place>,
) -> Option<Positions> {
    let mut events: Vec<(u32, Place, Entry)> = Vec::new();
    for entry in parts.iter().flat_map(|part| &part.entries) {
        let Some(at) = place(entry) else { continue };
        events.push((entry.inv, at, *entry));
        events.push((entry.ret, at, *entry));
    }
    events.sort_unstable_by_key(|(event, ..)| *event);
    let mut highest: Option<(Place, Entry)> = None;
    for (event, at, entry) in events {
        match highest {
            Some((before, first)) if event == entry.inv && before > at => {
                return Some(backwards(operations, first, entry));
            }
            Some((before, _)) if event == entry.inv || before >= at => {}
            _ if event == entry.inv => {}
            _ => highest = Some((at, entry)),
        }
    }
    None
}

fn backwards(operations: &[Operation], first: Entry, second: Entry) -> Positions {
    let (a, b) = (&operations[first.op as usize], &operations[second.op as usize]);
    let pos = |operation: &Operation| operation.pos.unwrap_or_default();
    let contradiction = format!(
        "{} by process {} at position {} had returned before {} by process {} began, which took \
         effect at position {}",
        a.op,
        a.process,
        pos(a),
        b.op,
        b.process,
        pos(b)
    );
    let operations =
        [first, second].map(|entry| CoreOperation::of(operations, Relaxed::whole(entry))).into();
    Positions::Contradict { contradiction, operations }
}

/// Asks the model about one key, its operations ordered by position.
fn against_model<M: Model>(
    operations: &[Operation],
    model: &M,
    rules: Rules,
    reading: &Reading,
    part: &Part,
    place: &impl Fn(&Entry) -> Option<Place>,
    meter: &Meter,
) -> Option<Positions> {
    let mut placed: Vec<(Place, Entry)> =
        part.entries.iter().filter_map(|entry| Some((place(entry)?, *entry))).collect();
    placed.sort_by_key(|(at, entry)| (*at, entry.inv));
    if let Some(found) = same_place(operations, &placed) {
        return Some(found);
    }
    let entries = retimed(operations, model, part, &placed, place);
    let initial = &reading.initial;
    let question = Question { operations, entries: &entries, acts: None, rules, initial, meter };
    let decided = decide(model, &question).judgement(None);
    match decided.finding {
        Finding::Linearizable(_) => None,
        Finding::Unknown(why) => Some(Positions::Unknown(why)),
        Finding::Impossible(core) => {
            let told: Vec<_> = core.operations.iter().map(story::short).collect();
            let contradiction =
                format!("in the order of their positions the model forbids: {}", told.join(", "));
            Some(Positions::Contradict { contradiction, operations: core.operations })
        }
    }
}

/// Finds two changes of one key at the same position.
fn same_place(operations: &[Operation], placed: &[(Place, Entry)]) -> Option<Positions> {
    let clash = placed.windows(2).find(|pair| pair[0].0 == pair[1].0 && !pair[0].0.1)?;
    let pair =
        [clash[0].1, clash[1].1].map(|entry| CoreOperation::of(operations, Relaxed::whole(entry)));
    let contradiction = format!(
        "{} and {} both took effect at position {}",
        story::short(&pair[0]),
        story::short(&pair[1]),
        clash[0].0.0
    );
    Some(Positions::Contradict { contradiction, operations: pair.into() })
}

/// Returns the entries in the order of positions: those with one disjoint, one behind the other; the others optional,
/// from behind the last that had returned before they began. Observers without a position are left out.
///
/// This is a relaxation of what is known of those without a position, so what is impossible afterwards contradicts the
/// positions that were reported.
fn retimed<M: Model>(
    operations: &[Operation],
    model: &M,
    part: &Part,
    placed: &[(Place, Entry)],
    place: &impl Fn(&Entry) -> Option<Place>,
) -> Vec<Entry> {
    // Three events a rank: one in front for operations without a position, then invocation and return.
    let ranks: HashMap<u32, u32> =
        (0..).zip(placed).map(|(rank, (_, entry))| (entry.op, rank)).collect();
    let mut returned: Vec<(u32, u32)> =
        placed.iter().map(|(_, entry)| (entry.ret, ranks[&entry.op])).collect();
    returned.sort_unstable();
    let mut behind = 0;
    let mut next = returned.iter().peekable();
    let mut free = Vec::new();
    for entry in &part.entries {
        while let Some((_, rank)) = next.next_if(|(ret, _)| *ret < entry.inv) {
            behind = behind.max(rank + 1);
        }
        let operation = &operations[entry.op as usize];
        if place(entry).is_none() && !model.only_observes(&Call::from(operation)) {
            free.push((behind, *entry));
        }
    }
    let mut events: Vec<(u32, u32, Entry)> = (0..)
        .zip(placed)
        .map(|(rank, (_, entry))| (rank, 1, *entry))
        .chain(free.into_iter().map(|(rank, entry)| (rank, 0, entry)))
        .collect();
    events.sort_by_key(|(rank, kind, entry)| (*rank, *kind, entry.inv));
    let at = |n: usize| n as u32 * 2 + 1;
    let entry = |(n, (_, kind, entry)): (usize, &(u32, u32, Entry))| Entry {
        inv: at(n),
        ret: if *kind == 1 { at(n) + 1 } else { NEVER },
        op: entry.op,
    };
    events.iter().enumerate().map(entry).collect()
}
