//! Writes readings into the run directory, as traces.

use squall_disk::{Layout, Reading};
use squall_history::trace::{FORMAT, Header, Line, TraceEvent, UNREAD};
use squall_history::{NodeName, RunDir};

use super::readings::{Readings, Still, Taken, told};
use crate::failure::Failure;

/// Writes what was read during the run, and what the files say that stopped nodes left in the run directory. `time` is
/// CLOCK_MONOTONIC in ns, for display. Returns how many readings there are, in words; nothing where nobody can read.
pub(crate) async fn record(
    run: &RunDir,
    layout: Option<Layout>,
    readings: &Readings,
    nodes: &[NodeName],
    time: u64,
) -> Result<Option<String>, Failure> {
    let Some(layout) = layout else { return Ok(None) };
    let (mut taken, left_out) = readings.finish().await;
    for node in nodes {
        let data = run.node(node).join("data");
        let result = squall_disk::read(layout, &data).map_err(|error| told(&error));
        taken.push(Taken { node: node.clone(), still: Still::Dead, time, result });
    }
    let whole = taken.iter_mut().filter_map(|taken| {
        let Taken { node, result, .. } = taken;
        Some((&*node, result.as_mut().ok()?))
    });
    squall_disk::name_votes(whole.collect());
    let failed = taken.iter().filter(|taken| taken.result.is_err()).count();
    let counted = counted(taken.len(), failed, left_out);
    std::fs::create_dir_all(run.disk_dir()).map_err(Failure::harness)?;
    let mut numbers = std::collections::BTreeMap::new();
    for taken in taken {
        let number = numbers.entry(taken.node.clone()).or_insert(0);
        let path = run.disk(&taken.node, *number);
        run.write_whole(&path, written(taken, *number).as_bytes())?;
        *number += 1;
    }
    Ok(Some(counted))
}

/// Says `14, 1 failed`.
pub(super) fn counted(readings: usize, failed: usize, left_out: u64) -> String {
    let mut text = readings.to_string();
    if failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    if left_out > 0 {
        text.push_str(&format!(", {left_out} more left out for their size"));
    }
    text
}

/// Returns the events of a reading as a trace.
fn written(taken: Taken, number: u32) -> String {
    let Taken { node, still, time, result } = taken;
    let state = match &result {
        Ok(_) => still.word(),
        Err(_) => UNREAD,
    };
    // Files that cannot be read say nothing of the log; why is noted.
    let reading = result.unwrap_or_else(|why| Reading { notes: vec![why], ..Reading::default() });
    let header = Header {
        squall: FORMAT.to_owned(),
        node,
        boot: number,
        write: None,
        state: Some(state.to_owned()),
        torn: (reading.torn > 0).then_some(reading.torn),
    };
    let mut text = serde_json::to_string(&header).expect("a header is plain data");
    let events = reading.events.into_iter().map(|event| match still {
        Still::Dead => event,
        Still::Paused => without_vote(event),
    });
    let notes = reading.notes.into_iter().map(|text| TraceEvent::Note { text });
    for (seq, event) in (0..).zip(events.chain(notes)) {
        let line = Line { seq, time, event };
        text.push('\n');
        text.push_str(&serde_json::to_string(&line).expect("an event is plain data"));
    }
    text.push('\n');
    text
}

/// Some systems write a term and a vote in two or three steps, so that the files of a node which stands between them have
/// a vote that nobody ever cast.
fn without_vote(event: TraceEvent) -> TraceEvent {
    match event {
        TraceEvent::HardState { term, .. } => TraceEvent::HardState { term, vote: None },
        other => other,
    }
}
