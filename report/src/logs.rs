//! The logs of all nodes side by side, around the index that the violation is about.

use std::collections::{BTreeMap, BTreeSet};

use squall_checker::Row;
use squall_history::Operation;
use squall_history::trace::Epoch;

use crate::lanes::Lane;
use crate::recorded::Recorded;
use crate::trail::Held;

/// How many indices stand before the guilty one, and after it.
const BEFORE: u64 = 3;
const AFTER: u64 = 4;
/// How many colours the page has for terms, taken in the order of the terms; each cell says its term too.
const COLOURS: usize = 6;
/// What happens a moment after the violation's last line belongs to it: one step of a node takes less.
const MOMENT: f64 = 0.000_5;

/// The table.
#[derive(Debug, PartialEq)]
pub(crate) struct Logs {
    /// The indices across the top; whether it is the guilty one.
    pub(crate) indices: Vec<(u64, bool)>,
    /// One line a node, or two where its files were read.
    pub(crate) rows: Vec<LogRow>,
    /// The sentence above it.
    pub(crate) says: String,
}

/// One node's log.
#[derive(Debug, PartialEq)]
pub(crate) struct LogRow {
    /// `n1`, or `n1 on disk`.
    pub(crate) name: String,
    /// What it was at that moment.
    pub(crate) role: String,
    /// Its commit index then.
    pub(crate) commit: String,
    /// One cell an index.
    pub(crate) cells: Vec<Cell>,
}

/// What one log holds at one index.
#[derive(Debug, PartialEq)]
pub(crate) struct Cell {
    /// `t7`, with a mark where another node holds another command of the same term.
    pub(crate) now: String,
    /// Which of the colours.
    pub(crate) colour: String,
    /// What stood there before, struck out.
    pub(crate) before: String,
    /// Whether the node held it for committed.
    pub(crate) committed: bool,
    /// The whole of it, in words.
    pub(crate) tip: String,
}

/// Returns the logs around what a row is about; none where no node said anything.
pub(crate) fn around(recorded: &Recorded, row: &Row) -> Option<Logs> {
    let lanes = &recorded.lanes;
    if lanes.iter().all(|lane| lane.trail.is_empty() && lane.disk.is_empty()) {
        return None;
    }
    let at = row.evidence.iter().filter_map(|line| line.time).max()?.as_secs_f64() + MOMENT;
    let (focus, why) = focus(recorded, row, at)?;
    let indices = focus.saturating_sub(BEFORE).max(1)..=focus.saturating_add(AFTER);
    let mut rows = Vec::new();
    for lane in lanes {
        if !lane.trail.is_empty() {
            let cells = lane.trail.succession(indices.clone(), at);
            rows.push((lane, false, cells));
        }
        if !lane.disk.is_empty() {
            let cells = lane.disk.succession(indices.clone(), f64::INFINITY);
            rows.push((lane, true, cells));
        }
    }
    let marks = Marks::of(rows.iter().map(|(_, _, cells)| cells));
    let rows = rows
        .into_iter()
        .map(|(lane, disk, cells)| log_row(lane, disk, &cells, indices.clone(), at, &marks))
        .collect();
    Some(Logs {
        indices: indices.map(|index| (index, index == focus)).collect(),
        rows,
        says: format!("Around index {focus}, {why}; as it stood at {at:.3} s by the traces."),
    })
}

/// Chooses the index to look at: the one that the evidence is about, else where the logs part.
fn focus(recorded: &Recorded, row: &Row, at: f64) -> Option<(u64, &'static str)> {
    let trails = || recorded.lanes.iter().flat_map(|lane| [&lane.trail, &lane.disk]);
    let told = row.evidence.iter().rev();
    let told = told.flat_map(|line| trails().filter_map(|t| t.index_at(&line.file, line.line)));
    if let Some(index) = told.min() {
        return Some((index, "which the evidence is about"));
    }
    if let Some(index) = position(recorded, row) {
        return Some((index, "the last position in the log that the operations above name"));
    }
    let traced = || recorded.lanes.iter().filter(|lane| !lane.trail.is_empty());
    // What every node holds for committed is the same, or a check of the traces would have named an index.
    let from = traced().filter_map(|lane| lane.commits.at(at)).min().unwrap_or(1).max(1);
    let logs: Vec<_> = traced().map(|lane| lane.trail.held_at(from, at)).collect();
    let all: BTreeSet<u64> = logs.iter().flat_map(|log| log.keys().copied()).collect();
    let part = |index: &u64| {
        let mut held = logs.iter().map(|log| log.get(index));
        let first = held.next().flatten();
        held.any(|other| other != first)
    };
    match all.iter().copied().find(part) {
        Some(index) => Some((index, "where the logs part")),
        None => Some((*all.last()?, "the end of the logs, which are the same")),
    }
}

/// Returns the last index that a system named for one of the operations.
fn position(recorded: &Recorded, row: &Row) -> Option<u64> {
    let of_row = |operation: &&Operation| {
        row.evidence.iter().any(|line| {
            line.file.ends_with("history.jsonl") && line.line == u64::from(operation.invoke_line)
        })
    };
    let named = recorded.history.operations().iter().filter(of_row);
    named.filter_map(|operation| operation.pos).max()
}

/// What the cells of a table share.
#[derive(Debug, Default)]
struct Marks {
    /// Every term, so that neighbours in time differ in colour.
    terms: Vec<Epoch>,
    /// Where two logs held different commands at one index and term, which Raft forbids (paper §5.3).
    clash: BTreeSet<(u64, Epoch)>,
}

impl Marks {
    fn of<'a>(rows: impl Iterator<Item = &'a BTreeMap<u64, Vec<Option<Held>>>>) -> Marks {
        let mut seen: BTreeMap<(u64, Epoch), u64> = BTreeMap::new();
        let mut clash = BTreeSet::new();
        for (index, cell) in rows.flatten() {
            for held in cell.iter().flatten() {
                let place = (*index, held.term);
                if *seen.entry(place).or_insert(held.hash) != held.hash {
                    clash.insert(place);
                }
            }
        }
        let terms: BTreeSet<Epoch> = seen.keys().map(|(_, term)| *term).collect();
        Marks { terms: terms.into_iter().collect(), clash }
    }

    fn colour(&self, term: Epoch) -> String {
        let rank = self.terms.iter().position(|known| *known == term).unwrap_or(0);
        format!("t{}", rank % COLOURS)
    }
}

fn log_row(
    lane: &Lane,
    disk: bool,
    cells: &BTreeMap<u64, Vec<Option<Held>>>,
    indices: std::ops::RangeInclusive<u64>,
    at: f64,
    marks: &Marks,
) -> LogRow {
    let commit = if disk { None } else { lane.commits.at(at) };
    let was = lane.stretches.iter().rev().find(|stretch| stretch.from <= at);
    let role = match was {
        _ if disk => "at the end".to_owned(),
        Some(was) if was.to < at - 2.0 * MOMENT => "silent".to_owned(),
        Some(was) => format!("{}, term {}", was.role, was.term),
        None => String::new(),
    };
    let cell = |index: u64| {
        let held = cells.get(&index).map_or(&[][..], Vec::as_slice);
        Cell::new(index, held, commit.is_some_and(|commit| index <= commit), marks)
    };
    LogRow {
        name: if disk { format!("{} on disk", lane.node) } else { lane.node.to_string() },
        role,
        commit: commit.map_or_else(String::new, |commit| commit.to_string()),
        cells: indices.map(cell).collect(),
    }
}

impl Cell {
    fn new(index: u64, held: &[Option<Held>], committed: bool, marks: &Marks) -> Cell {
        let word = |held: &Held| {
            let clashes = marks.clash.contains(&(index, held.term));
            let command =
                if clashes { format!(" #{:04x}", held.hash >> 48) } else { String::new() };
            format!("term {}{command}", held.term)
        };
        let (now, before) = match held.split_last() {
            Some((now, before)) => (*now, before),
            None => (None, held),
        };
        let gone: Vec<String> = before.iter().flatten().map(word).collect();
        let tip = now.map_or_else(
            || format!("nothing at {index}"),
            |held| format!("{index}@{}, command {:016x}", held.term, held.hash),
        );
        Cell {
            now: now.as_ref().map_or_else(String::new, word),
            colour: now.map_or_else(|| "none".to_owned(), |held| marks.colour(held.term)),
            before: gone.join(", "),
            committed: committed && now.is_some(),
            tip,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(term: u64, hash: u64) -> Option<Held> {
        Some(Held { term: term.into(), hash })
    }

    #[test]
    fn a_cell_says_what_stands_there_and_what_stood_there() {
        let log = BTreeMap::from([(5, vec![held(2, 1), None, held(8, 2)])]);
        let marks = Marks::of([&log].into_iter());
        let cell = Cell::new(5, &log[&5], true, &marks);
        assert_eq!((&*cell.now, &*cell.before, &*cell.colour), ("term 8", "term 2", "t1"));
        assert!(cell.committed);
        let gone = Cell::new(5, &[held(2, 1), None], true, &marks);
        assert_eq!((&*gone.now, &*gone.before, gone.committed), ("", "term 2", false));
    }

    #[test]
    fn two_commands_of_one_term_at_one_index_are_told_apart() {
        let log = |hash: u64| BTreeMap::from([(7, vec![held(3, hash << 48)])]);
        let logs = [log(0xaaaa), log(0xbbbb)];
        let cell = Cell::new(7, &logs[0][&7], false, &Marks::of(logs.iter()));
        assert_eq!(cell.now, "term 3 #aaaa");
    }
}
