//! Random clusters: what is right is never accused, what is planted is found, and what is missing accuses nobody.

mod world;

use std::collections::BTreeSet;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use squall_checker::raft::{BootId, Judge};
use squall_checker::{Row, Verdict};
use squall_history::Claim;
use squall_history::trace::{
    CommitBy, EntryHash, Epoch, Line, LogPosition, Missing, Survey, Trace, TraceEvent,
};
use world::{Broken, World, name};

const STEPS: usize = 400;

fn nodes(traces: &[Trace]) -> BTreeSet<squall_history::NodeName> {
    traces.iter().map(|trace| trace.header.node.clone()).collect()
}

fn file(trace: &Trace) -> String {
    format!("trace/{}.{}.jsonl", trace.header.node, trace.header.boot)
}

fn judge(traces: &[Trace]) -> Vec<Row> {
    let mut judge = Judge::new(nodes(traces));
    for trace in traces {
        judge.feed_trace(&file(trace), trace);
    }
    judge.finish(None, 0)
}

fn accused(rows: &[Row]) -> BTreeSet<Claim> {
    rows.iter().filter(|row| row.verdict == Verdict::Invalid).map(|row| row.claim).collect()
}

fn told(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let lines =
            row.evidence.iter().map(|one| format!("\n   {}:{} {}", one.file, one.line, one.text));
        format!(
            "\n{} {} {}{}",
            row.verdict.name(),
            row.claim,
            row.summary,
            lines.collect::<String>()
        )
    };
    rows.iter().filter(|row| row.verdict == Verdict::Invalid).map(line).collect()
}

/// So many seeds, times `$SQUALL_SEEDS` for a longer search.
fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let times = std::env::var("SQUALL_SEEDS").ok().and_then(|times| times.parse().ok());
    0..count * times.unwrap_or(1)
}

#[test]
fn a_right_cluster_is_never_accused() {
    let mut judged = BTreeSet::new();
    for seed in seeds(400) {
        let rows = judge(&World::new(seed, None).run(STEPS).traces());
        assert!(accused(&rows).is_empty(), "seed {seed}{}", told(&rows));
        judged.extend(rows.iter().filter(|row| row.verdict == Verdict::Valid).map(|row| row.claim));
    }
    // All but the one that needs a history.
    assert_eq!(judged.len(), squall_checker::raft::CLAIMS.len() - 1, "{judged:?}");
}

/// Each rule that is broken shows in some run as the contradiction that it must lead to.
#[test]
fn a_broken_rule_is_named() {
    for (broken, claim) in [
        (Broken::UpToDate, Claim::LeaderCompleteness),
        (Broken::VoteOnce, Claim::VoteOnce),
        (Broken::VoteOnce, Claim::ElectionSafety),
        (Broken::VoteDurable, Claim::AckNotBeyondDurable),
        (Broken::TermDurable, Claim::MonotoneTerms),
        (Broken::PrevTerm, Claim::LogMatching),
        (Broken::CommitRule, Claim::CommitRule),
        (Broken::Quorum, Claim::CommitQuorum),
        (Broken::AckDurable, Claim::AckNotBeyondDurable),
        (Broken::AckLogLength, Claim::TrueAcks),
        (Broken::TruncateAlways, Claim::TruncateNotCommitted),
        (Broken::CommitPastMatch, Claim::StateMachineSafety),
        (Broken::NoNoop, Claim::ReadIndex),
    ] {
        let found = seeds(60).find(|seed| {
            let traces = World::new(*seed, Some(broken)).run(2 * STEPS).traces();
            accused(&judge(&traces)).contains(&claim)
        });
        assert!(found.is_some(), "{broken:?} never shows as {claim}");
    }
}

/// Puts a line at the end of a node's last boot.
fn add(traces: &mut [Trace], node: &squall_history::NodeName, events: Vec<TraceEvent>) {
    let last = traces.iter_mut().rev().find(|trace| trace.header.node == *node).expect("a boot");
    let time = 1 + last.lines.last().map_or(0, |(_, line)| line.time);
    for event in events {
        let seq = last.lines.len() as u64;
        last.lines.push((seq as u32 + 2, Line { seq, time, event }));
    }
}

/// What a planted contradiction needs to know of the end of a run.
struct Ends {
    /// By node: its term, the terms of its log, how far it has committed.
    nodes: Vec<(u64, Vec<u64>, u64)>,
    /// The last leader of all.
    leader: Option<(usize, u64)>,
}

/// Plants a contradiction, where the run allows it.
fn plant(claim: Claim, traces: &mut [Trace], ends: &Ends, random: &mut ChaCha8Rng) -> Option<()> {
    let any = random.random_range(0..ends.nodes.len());
    let (term, ref log, commit) = ends.nodes[any];
    let end = log.len() as u64;
    let own_last = LogPosition { index: end, term: log.last().copied().unwrap_or(0).into() };
    let committed = ends.nodes.iter().map(|(_, _, commit)| *commit).max().unwrap_or(0);
    let top = ends.nodes.iter().map(|(term, _, _)| *term).max().unwrap_or(0);
    let append = |index: u64, term: u64, prev: u64| TraceEvent::Append {
        index,
        term: term.into(),
        prev_term: prev.into(),
        hashes: vec![EntryHash(0xbad)],
        recovered: false,
    };
    match claim {
        Claim::ElectionSafety => {
            let (leader, led) =
                ends.leader.filter(|(leader, led)| *leader != any && *led >= term)?;
            assert_ne!(leader, any);
            add(
                traces,
                &name(any),
                vec![TraceEvent::BecomeLeader { term: led.into(), last: own_last }],
            );
        }
        Claim::LeaderAppendOnly => {
            let (leader, led) = ends.leader?;
            let (_, log, _) = &ends.nodes[leader];
            let from = log.len() as u64;
            let prev = log.iter().rev().nth(1).copied().unwrap_or(0);
            if from == 0 {
                return None;
            }
            let events = vec![TraceEvent::Truncate { from }, append(from, led, prev)];
            add(traces, &name(leader), events);
        }
        Claim::LogMatching => {
            // The entry as one node that committed it had it: told with another command.
            let commits = |trace: &Trace| {
                trace.lines.iter().any(|(_, line)| {
                    matches!(line.event, TraceEvent::Commit { index, .. } if index == committed)
                })
            };
            let trace = traces.iter_mut().find(|trace| commits(trace))?;
            let slot = trace.lines.iter_mut().rev().find_map(|(_, line)| match &mut line.event {
                TraceEvent::Append { index, hashes, .. }
                    if (*index..*index + hashes.len() as u64).contains(&committed) =>
                {
                    hashes.get_mut((committed - *index) as usize)
                }
                _ => None,
            });
            if committed == 0 || ends.nodes.len() < 2 {
                return None;
            }
            slot?.0 ^= 0xbad;
        }
        Claim::StateMachineSafety => {
            let applies = traces.iter().flat_map(|trace| &trace.lines).filter_map(|(_, line)| {
                match &line.event {
                    TraceEvent::Apply { index, term, .. } => Some((*index, *term)),
                    _ => None,
                }
            });
            let applies: BTreeSet<(u64, Epoch)> = applies.collect();
            let (index, term) = *applies.iter().next_back()?;
            let apply = TraceEvent::Apply { index, term, hash: EntryHash(0xbad), digest: None };
            add(traces, &name(any), vec![apply]);
        }
        Claim::LeaderCompleteness => {
            if committed == 0 {
                return None;
            }
            let last = LogPosition::default();
            add(
                traces,
                &name(any),
                vec![TraceEvent::BecomeLeader { term: (top + 1).into(), last }],
            );
        }
        Claim::VoteOnce => {
            let vote = |to: usize| TraceEvent::Vote {
                to: name(to),
                term: (top + 1).into(),
                prevote: false,
            };
            add(traces, &name(any), vec![vote(0), vote(1)]);
        }
        Claim::MonotoneTerms => {
            let back = TraceEvent::HardState { term: term.checked_sub(1)?.into(), vote: None };
            let here = TraceEvent::HardState { term: term.into(), vote: None };
            add(traces, &name(any), vec![here, back]);
        }
        Claim::CommitRule => {
            let old = log.iter().position(|entry| *entry < term)? as u64 + 1;
            let by = Some(CommitBy::Count);
            add(traces, &name(any), vec![TraceEvent::Commit { index: old, term: term.into(), by }]);
        }
        Claim::CommitQuorum => {
            let (leader, led) = ends.leader?;
            let (_, log, _) = &ends.nodes[leader];
            let index = log.len() as u64 + 1;
            let prev = log.last().copied().unwrap_or(0);
            let commit = TraceEvent::Commit { index, term: led.into(), by: Some(CommitBy::Count) };
            // Where nobody ever acknowledged anything, acknowledgements are not traced.
            let mut lines = traces.iter().flat_map(|trace| &trace.lines);
            if !lines.any(|(_, line)| matches!(line.event, TraceEvent::Ack { .. })) {
                return None;
            }
            let durable = TraceEvent::Durable { upto: index };
            add(traces, &name(leader), vec![append(index, led, prev), durable, commit]);
        }
        Claim::TrueAcks | Claim::AckNotBeyondDurable => {
            let ack = TraceEvent::Ack {
                to: name(0),
                index: end + 2,
                term: (top + 1).into(),
                prev: end,
                entries: 2,
            };
            let durable = TraceEvent::Durable { upto: end };
            add(traces, &name(any), vec![durable, ack]);
        }
        Claim::TruncateNotCommitted => {
            if commit == 0 {
                return None;
            }
            add(traces, &name(any), vec![TraceEvent::Truncate { from: commit }]);
        }
        Claim::ReadIndex => {
            let index = committed.checked_sub(1)?;
            let token = "1".to_owned();
            let read = TraceEvent::ReadIndex { token, index, term: (top + 1).into(), mode: None };
            add(traces, &name(any), vec![read]);
        }
        Claim::Linearizable
        | Claim::Positions
        | Claim::LogWitness
        | Claim::LinearizableSettled
        | Claim::ReplicaStates
        | Claim::Exercised
        | Claim::AcknowledgedSurvive => {
            return None;
        }
    }
    Some(())
}

fn ends(world: &World) -> Ends {
    let nodes: Vec<(u64, Vec<u64>, u64)> = world
        .nodes
        .iter()
        .map(|node| {
            let log = node.log.iter().map(|entry| entry.term).collect();
            (node.term, log, node.commit as u64)
        })
        .collect();
    let leader = world.leaders().into_iter().max_by_key(|(_, term)| *term);
    Ends { nodes, leader }
}

#[test]
fn a_planted_contradiction_is_found_in_every_run_that_allows_it() {
    for claim in squall_checker::raft::CLAIMS {
        let mut planted = 0;
        for seed in seeds(120) {
            let world = World::new(seed, None).run(STEPS);
            let ends = ends(&world);
            let mut traces = world.traces();
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            if plant(claim, &mut traces, &ends, &mut random).is_some() {
                planted += 1;
                let rows = judge(&traces);
                assert!(accused(&rows).contains(&claim), "seed {seed}: {claim}{}", told(&rows));
            }
        }
        assert!(planted > 20 || claim == Claim::AcknowledgedSurvive, "{claim}: {planted}");
    }
}

/// Takes lines out as they may be lost: from the middle, or at the end of a trace that promises nothing.
fn lose_lines(trace: &mut Trace, random: &mut ChaCha8Rng) {
    if random.random_bool(0.3) {
        trace.header.write = None;
        trace.lines.truncate(random.random_range(0..=trace.lines.len()));
        trace.survey.missing.push(Missing::Buffered);
        return;
    }
    let rate = *[0.01, 0.1, 0.5].choose(random).expect("some");
    let end = trace.lines.len();
    let mut at = 0;
    trace.lines.retain(|_| {
        at += 1;
        at == end || !random.random_bool(rate)
    });
    let gap = trace.lines.iter().zip(0..).find(|((_, line), due)| line.seq != *due);
    if let Some(((line, found), expected)) = gap {
        let (line, found) = (*line, found.seq);
        trace.survey.missing.push(Missing::Gap { line, expected, found });
    }
}

#[test]
fn lines_that_are_missing_accuse_nobody() {
    for seed in seeds(400) {
        let mut traces = World::new(seed, None).run(STEPS).traces();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for trace in &mut traces {
            if random.random_bool(0.5) {
                lose_lines(trace, &mut random);
            }
        }
        let rows = judge(&traces);
        assert!(accused(&rows).is_empty(), "seed {seed}{}", told(&rows));
    }
}

/// A whole boot may be gone, if it is not a node's last.
#[test]
fn boots_that_are_missing_accuse_nobody() {
    for seed in seeds(200) {
        let mut traces = World::new(seed, None).run(STEPS).traces();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let last = |traces: &[Trace], at: usize| {
            traces.get(at + 1).is_none_or(|next| next.header.node != traces[at].header.node)
        };
        for at in (0..traces.len()).rev() {
            if !last(&traces, at) && random.random_bool(0.5) {
                traces.remove(at);
            }
        }
        let rows = judge(&traces);
        assert!(accused(&rows).is_empty(), "seed {seed}{}", told(&rows));
    }
}

/// Lines of different nodes in any order; those of one node in theirs.
#[test]
fn the_order_in_which_nodes_are_fed_changes_nothing() {
    let broken = [None, Some(Broken::UpToDate), Some(Broken::VoteOnce), Some(Broken::PrevTerm)];
    for seed in seeds(80) {
        let broken = broken[seed as usize % broken.len()];
        let traces = World::new(seed, broken).run(STEPS).traces();
        let rows = judge(&traces);
        assert_eq!(rows, interleaved(&traces, seed), "seed {seed}");
    }
}

fn interleaved(traces: &[Trace], seed: u64) -> Vec<Row> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let names = nodes(traces);
    let mut judge = Judge::new(names.clone());
    let mut queues: Vec<Vec<&Trace>> = names
        .iter()
        .map(|node| traces.iter().rev().filter(|trace| trace.header.node == *node).collect())
        .collect();
    let mut open: Vec<Option<(BootId, &Trace, usize)>> = vec![None; queues.len()];
    while queues.iter().any(|queue| !queue.is_empty()) || open.iter().any(Option::is_some) {
        let node = random.random_range(0..queues.len());
        match open[node].take() {
            None => {
                if let Some(trace) = queues[node].pop() {
                    let boot = judge.begin(&file(trace), &trace.header);
                    open[node] = Some((boot, trace, 0));
                }
            }
            Some((boot, trace, at)) => match trace.lines.get(at) {
                Some((number, line)) => {
                    judge.feed(boot, *number, line);
                    open[node] = Some((boot, trace, at + 1));
                }
                None => judge.end(boot, &Survey::default()),
            },
        }
    }
    judge.finish(None, 0)
}
