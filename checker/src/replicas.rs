//! Replicas that have got to one position are in one state (paper §5.3: all servers apply the same commands in the same
//! order), by what living nodes answered when they were asked for it.
//!
//! A digest is compared with another only where everything else is equal: the position, up to where older states were
//! thrown away, which decides what a digest covers, and the version of who computed it. So a node that lags behind, or that
//! has compacted, contradicts nobody. Nobody can answer too late: a state at a position does not change.
//!
//! Where the nodes' files were read too, they say how that came about: with equal logs, it is what was applied that differs.

use std::collections::{BTreeMap, BTreeSet};

use squall_history::log::{Log, Positions};
use squall_history::states::{Answer, State, States};
use squall_history::{Claim, NodeName};

use crate::{Evidence, Row, Source, Verdict};

/// What every row of this module names as its engine.
pub const ENGINE: &str = "digests of states";
/// How files are named in evidence.
const STATES: &str = "states.jsonl";
const LOG: &str = "log.jsonl";

/// What must be equal before two digests are compared.
type Asked<'a> = (u64, Option<i64>, Option<&'a str>);
/// Who answered, and what: the line of the file, and the answer.
type Said<'a> = (usize, &'a Answer, &'a State);

/// Judges what nodes said of their states; `log` is what their files held afterwards.
pub fn judge(states: &States, log: Option<&Log>) -> Row {
    let mut groups: BTreeMap<Asked<'_>, Vec<Said<'_>>> = BTreeMap::new();
    for (at, answer) in states.answers.iter().enumerate() {
        let Ok(state) = &answer.state else { continue };
        let asked = (state.position, state.compacted, state.version.as_deref());
        groups.entry(asked).or_default().push((at, answer, state));
    }
    let compared: Vec<_> = groups.into_iter().filter(|(_, said)| nodes(said).len() > 1).collect();
    let mut row = match compared.iter().find(|(_, said)| digests(said).len() > 1) {
        Some((asked, said)) => differ(states, *asked, said, log),
        None => alike(states, &compared),
    };
    row.not_judged = left_out(states, &compared);
    row
}

/// Returns the row where there is nothing to judge.
pub fn not_judged(why: impl Into<String>) -> Row {
    Row::new(Claim::ReplicaStates, Verdict::NotJudged, ENGINE, why)
}

fn nodes<'a>(said: &[Said<'a>]) -> BTreeSet<&'a NodeName> {
    said.iter().map(|(_, answer, _)| &answer.node).collect()
}

fn digests<'a>(said: &[Said<'a>]) -> BTreeSet<&'a str> {
    said.iter().map(|(_, _, state)| state.digest.as_str()).collect()
}

fn alike(states: &States, compared: &[(Asked<'_>, Vec<Said<'_>>)]) -> Row {
    let Some(((position, ..), said)) = compared.iter().max_by_key(|(_, said)| nodes(said).len())
    else {
        return not_judged("no two nodes told their state at one position");
    };
    let summary = format!(
        "{} are in one state at {} {position}",
        names(nodes(said)),
        unit(states.header.positions)
    );
    Row::new(Claim::ReplicaStates, Verdict::Valid, ENGINE, summary)
}

fn differ(
    states: &States,
    (position, compacted, version): Asked<'_>,
    said: &[Said<'_>],
    log: Option<&Log>,
) -> Row {
    let mut by_digest: BTreeMap<&str, Vec<&NodeName>> = BTreeMap::new();
    for (_, answer, state) in said {
        by_digest.entry(&state.digest).or_default().push(&answer.node);
    }
    let mut camps: Vec<(&str, Vec<&NodeName>)> = by_digest.into_iter().collect();
    // The fewest first: they are who differs.
    camps.sort_by_key(|(digest, nodes)| (nodes.len(), *digest));
    let told = camps.iter().map(|(digest, nodes)| {
        let have = if nodes.len() == 1 { "has" } else { "have" };
        format!("{} {have} {digest}", names(nodes.clone()))
    });
    let (unit, told) = (unit(states.header.positions), told.collect::<Vec<_>>().join(", "));
    let mut summary = format!("at {unit} {position} the states differ: {told}");
    let agree = log.and_then(|log| what_the_log_says(log, &nodes(said)));
    summary.extend(agree.iter().map(|agree| format!("; {agree}")));
    let mut row = Row::new(Claim::ReplicaStates, Verdict::Invalid, ENGINE, summary);
    let compacted = compacted.map_or(String::new(), |compacted| format!(", compacted {compacted}"));
    let version = version.map_or(String::new(), |version| format!(", version {version}"));
    row.evidence = said
        .iter()
        .map(|(at, Answer { node, .. }, State { digest, .. })| Evidence {
            text: format!("{node}: its state at {unit} {position} is {digest}{compacted}{version}"),
            file: STATES.to_owned(),
            line: *at as u64 + 2,
            // When they were asked says nothing of when they parted.
            time: None,
            source: Source::Observed,
        })
        .collect();
    row.evidence.extend(agree.map(|agree| Evidence {
        text: format!("on disk, {agree}"),
        file: LOG.to_owned(),
        line: 1,
        time: None,
        source: Source::Observed,
    }));
    row
}

/// Says whether the logs are what differs, where all of them were read to their beginning.
fn what_the_log_says(log: &Log, nodes: &BTreeSet<&NodeName>) -> Option<String> {
    let header = &log.header;
    let all_read = header.node.is_some() && header.missing.is_empty();
    if !all_read || !header.lacks.is_empty() || !log.elsewhere.is_empty() {
        return None;
    }
    let applied: BTreeSet<u64> = header
        .applied
        .iter()
        .filter(|applied| nodes.contains(&applied.node))
        .map(|applied| applied.index)
        .collect();
    Some(match (applied.len(), applied.first()) {
        (1, Some(index)) => {
            format!("the logs are equal, and all of them is applied up to {index}")
        }
        _ => "the logs agree".to_owned(),
    })
}

/// Says whose state was not compared with any other, and why.
fn left_out(states: &States, compared: &[(Asked<'_>, Vec<Said<'_>>)]) -> Vec<String> {
    let unit = unit(states.header.positions);
    let told = compared.iter().flat_map(|(_, said)| said.iter().map(|(at, ..)| *at));
    let told: BTreeSet<usize> = told.collect();
    let others = states.answers.iter().enumerate().filter(|(at, _)| !told.contains(at));
    others
        .map(|(_, Answer { node, state, .. })| match state {
            Err(why) => format!("{node}: {why}"),
            Ok(State { position, compacted, version, .. }) => {
                let mut text = format!("{node}: nobody else told the state at {unit} {position}");
                text.extend(compacted.map(|compacted| format!(", compacted {compacted}")));
                text.extend(version.as_ref().map(|version| format!(", version {version}")));
                text
            }
        })
        .collect()
}

fn unit(positions: Positions) -> &'static str {
    match positions {
        Positions::Index => "index",
        Positions::Revision => "revision",
    }
}

fn names<'a>(nodes: impl IntoIterator<Item = &'a NodeName>) -> String {
    let names: Vec<String> = nodes.into_iter().map(ToString::to_string).collect();
    match &names[..] {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
