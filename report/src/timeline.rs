//! The failing key, operation by operation, on a time axis with the faults as bands.

use squall_history::{Operation, Outcome};

use crate::bands::{self, Band};
use crate::lanes::Lane;
use crate::svg::{Figure, LEFT, TimeAxis, WIDTH};

/// How many operations a drawing holds; the core always, and its neighbours in time.
const MOST: usize = 40;
const ROW: f64 = 22.0;
/// The height of a leader's row above the operations.
const LEADER: f64 = 18.0;
/// The longest label beside a bar; the tooltip has the rest.
const LABEL: usize = 44;

/// An operation, and whether it belongs to the core of the violation.
pub(crate) struct Drawn<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) core: bool,
}

/// Picks the core and what surrounds it on the same key.
pub(crate) fn pick<'a>(
    operations: &'a [Operation],
    key: Option<&str>,
    core_lines: &[u64],
) -> Vec<Drawn<'a>> {
    let of_key = operations
        .iter()
        .filter(|operation| key.is_none() || operation.op.key.as_ref().map(|own| &*own.0) == key);
    let mut drawn: Vec<Drawn<'a>> = of_key
        .map(|operation| {
            let lines = [u64::from(operation.invoke_line), u64::from(operation.return_line)];
            Drawn { operation, core: lines.iter().any(|line| core_lines.contains(line)) }
        })
        .collect();
    let core: Vec<usize> = (0..drawn.len()).filter(|&n| drawn[n].core).collect();
    let (Some(&first), Some(&last)) = (core.first(), core.last()) else {
        drawn.truncate(MOST);
        return drawn;
    };
    if last - first < MOST {
        let spare = (MOST - (last - first)) / 2;
        let from = first.saturating_sub(spare);
        let to = (last + spare).min(drawn.len() - 1);
        return drawn.drain(from..=to).collect();
    }
    drawn.retain(|drawn| drawn.core);
    drawn
}

/// Draws them, one row a process, the core in strong colours, below the leaders and their terms.
pub(crate) fn draw(drawn: &[Drawn<'_>], bands: &[Band], lanes: &[Lane], end: f64) -> String {
    let begin = |d: &Drawn<'_>| d.operation.invoke_time.as_secs_f64();
    let finish = |d: &Drawn<'_>| d.operation.return_time.map_or(end, |time| time.as_secs_f64());
    let from = drawn.iter().map(begin).fold(f64::INFINITY, f64::min);
    let to = drawn.iter().filter(|d| d.operation.returned.is_some()).map(finish);
    let to = to.fold(from, f64::max);
    let margin = (to - from) * 0.03 + 0.0005;
    let axis = TimeAxis::new((from - margin).max(0.0), to + margin);

    let mut processes: Vec<_> = drawn.iter().map(|d| d.operation.process).collect();
    processes.sort_unstable();
    processes.dedup();
    let led: Vec<&Lane> = lanes.iter().filter(|lane| leads(lane, axis)).collect();
    let top = 10.0 + led.len() as f64 * LEADER;
    let bottom = top + processes.len() as f64 * ROW;
    let mut figure = Figure::new(bottom + 24.0);
    bands::draw(&mut figure, bands, axis, (6.0, bottom));
    figure.time_axis(axis, 6.0, bottom);
    for (row, lane) in led.iter().enumerate() {
        draw_leader(&mut figure, lane, axis, 6.0 + row as f64 * LEADER);
    }
    for (row, process) in processes.iter().enumerate() {
        let y = top + row as f64 * ROW;
        figure.text("tick", (LEFT - 6.0, y + 13.0), "end", &format!("process {process}"));
        for d in drawn.iter().filter(|d| d.operation.process == *process) {
            let (x1, x2) = (axis.x(begin(d)), axis.x(finish(d)));
            let class = format!("op {} {}", outcome_word(d.operation), core_word(d.core));
            figure.rect(&class, (x1, y), (x2 - x1, ROW - 5.0), &describe(d.operation));
            let (x, anchor) =
                if x1 > WIDTH - 320.0 { (x2 - 3.0, "end") } else { (x1 + 3.0, "start") };
            if d.core {
                figure.text("label", (x, y + 12.5), anchor, &cut(&label(d.operation), LABEL));
            }
        }
    }
    figure.finish("Operations on the failing key over time, the contradiction in strong colours")
}

fn leads(lane: &Lane, axis: TimeAxis) -> bool {
    lane.stretches.iter().any(|one| one.role == "leader" && axis.shows(one.from, one.to))
}

/// Draws when a node led, with the terms.
fn draw_leader(figure: &mut Figure, lane: &Lane, axis: TimeAxis, y: f64) {
    figure.text("tick", (LEFT - 6.0, y + 12.0), "end", &format!("{} leads", lane.node));
    let led = lane.stretches.iter().filter(|one| one.role == "leader");
    for stretch in led.filter(|one| axis.shows(one.from, one.to)) {
        let (x1, x2) = (axis.x(stretch.from), axis.x(stretch.to.min(axis.to)));
        let until =
            if stretch.to > axis.to { "on".to_owned() } else { format!("{:.3} s", stretch.to) };
        let tip = format!(
            "{} leads term {} from {:.3} s to {until}",
            lane.node, stretch.term, stretch.from
        );
        figure.rect("role leader", (x1, y), (x2 - x1, LEADER - 5.0), &tip);
        if x2 - x1 > 60.0 {
            let says = format!("term {}", stretch.term);
            figure.text("term", ((x1 + x2) / 2.0, y + 10.5), "middle", &says);
        }
    }
}

fn core_word(core: bool) -> &'static str {
    if core { "core" } else { "context" }
}

fn outcome_word(operation: &Operation) -> &'static str {
    match operation.outcome {
        Outcome::Ok(_) => "ok",
        Outcome::Fail { .. } => "fail",
        Outcome::Info { .. } => "info",
    }
}

/// Cuts a text in its middle, where a long list is least telling: what was appended last stands at its end.
pub(crate) fn cut(text: &str, longest: usize) -> String {
    let length = text.chars().count();
    if length <= longest {
        return text.to_owned();
    }
    let half = longest / 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(length - half).collect();
    format!("{head} … {tail}")
}

/// Returns the operation with its answer, in as few words as possible: `read 7 → 4`.
pub(crate) fn label(operation: &Operation) -> String {
    match &operation.outcome {
        Outcome::Ok(value) if operation.op.f.is_read() => format!("{} → {value}", operation.op),
        Outcome::Ok(_) => format!("{} ok", operation.op),
        Outcome::Fail { error, seen: Some(seen) } => {
            format!("{} fail: {error}, saw {seen}", operation.op)
        }
        Outcome::Fail { error, seen: None } => format!("{} fail: {error}", operation.op),
        Outcome::Info { error } => format!("{} in doubt: {error}", operation.op),
    }
}

fn describe(operation: &Operation) -> String {
    let node = operation.node.as_ref().map_or_else(String::new, |node| format!(" at {node}"));
    let ended = operation.return_time.map_or_else(|| "never".to_owned(), |time| time.to_string());
    format!(
        "process {}{node}: {} [{} to {ended}, line {}]",
        operation.process,
        label(operation),
        operation.invoke_time,
        operation.invoke_line
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_history::{Event, History, Invoke, Nanos, Op, Process, Return, Value};

    fn history() -> History {
        let events = (0..200u64).flat_map(|n| {
            let op = Op::write("7", n as i64);
            let (time, process) = (Nanos(n * 10), Process(n % 4));
            let outcome = Outcome::Ok(Value::Int(n as i64));
            let invoke = Invoke { time, process, op, node: None, request: None };
            let ret = Return { time: Nanos(n * 10 + 5), process, outcome, pos: None };
            [Event::Invoke(invoke), Event::Return(ret)]
        });
        History::from_events(events).expect("a history")
    }

    #[test]
    fn the_core_is_drawn_with_its_neighbours_and_no_more() {
        let history = history();
        let drawn = pick(history.operations(), Some("7"), &[201, 203]);
        assert!(drawn.len() <= MOST + 1, "{}", drawn.len());
        assert_eq!(drawn.iter().filter(|drawn| drawn.core).count(), 2);
    }

    #[test]
    fn a_core_that_is_far_apart_is_drawn_alone() {
        let history = history();
        let drawn = pick(history.operations(), None, &[1, 399]);
        assert_eq!(drawn.len(), 2);
    }

    #[test]
    fn hostile_values_never_become_markup() {
        let op = Op::write("<script>", "</svg><script>alert(1)</script>");
        let invoke = Invoke { time: Nanos(1), process: Process(0), op, node: None, request: None };
        let history = History::from_events([Event::Invoke(invoke)]).expect("a history");
        let svg = draw(&pick(history.operations(), None, &[1]), &[], &[], 1.0);
        assert!(!svg.contains("<script"), "{svg}");
    }

    #[test]
    fn long_texts_are_cut_in_the_middle() {
        assert_eq!(cut("0123456789", 4), "01 … 89");
        assert_eq!(cut("0123", 4), "0123");
    }
}
