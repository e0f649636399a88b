//! Leader Completeness: a committed entry is present in the logs of the leaders of all higher terms (paper §5.4).
//!
//! A matter of terms, not of clocks, judged once all is said: whatever was committed in a term before T, the leader of T
//! must have had at its election, whenever that was. A paused candidate that wins an old term late owes nothing to later
//! terms. The end of the log at the election is the leader's own word, so a log that ends too early is a conflict;
//! what stood inside it is judged as far as its lines tell.

use squall_history::Claim;
use squall_history::trace::{Epoch, TraceEvent};

use super::check::{Check, End, Ruling, count};
use super::facts::Facts;
use super::findings::{Findings, Said, said};
use super::leaders::Leader;
use super::place::Place;
use super::settled::Cover;

/// Leaders and commits are remembered by the facts; nothing is left to look at.
#[derive(Debug, Default)]
pub(super) struct LeaderCompleteness;

impl Check for LeaderCompleteness {
    fn look(&mut self, _at: Place, _event: &TraceEvent, _facts: &Facts) {}

    fn rule(&self, end: &End<'_>) -> Ruling {
        let mut findings = Findings::default();
        let (mut held_to, mut unknown) = (0, 0);
        for leader in end.facts.leaders.iter() {
            let Some(cover) = end.settled.before(leader.term) else { continue };
            held_to += 1;
            let inside = leader.last.index > cover.index;
            unknown += u64::from(inside && leader.log.term_at(cover.index).is_none());
            if let Some(lack) = lack(leader, cover, end) {
                findings.add(lack.at.max(leader.at), || tell(leader, &lack, end));
            }
        }
        let leaders = end.facts.leaders.iter().count() as u64;
        let committed = end.settled.end();
        let scope = match (leaders, committed) {
            (0, _) => Err("no election was traced".to_owned()),
            (_, 0) => Err("no commit was traced".to_owned()),
            _ => Ok(format!(
                "{} held to what was committed in earlier terms, up to index {committed}",
                count(held_to, "leader", "leaders"),
            )),
        };
        let inside = (unknown > 0).then(|| {
            let leaders = count(unknown, "leader", "leaders");
            format!("the inside of the logs of {leaders}: only their ends are known")
        });
        Ruling::new(Claim::LeaderCompleteness, findings, scope)
            .figure("leaders", leaders)
            .figure("leaders with a duty", held_to)
            .figure("committed entries", end.settled.len() as u64)
            .figure("terms with derived commits", end.settled.derived() as u64)
            .not_judged(inside)
    }
}

/// A committed entry that a leader did not have.
struct Lack {
    index: u64,
    /// The term of the committed entry, where it is known.
    term: Option<Epoch>,
    /// The term of what the leader had in its place.
    instead: Option<Epoch>,
    at: Place,
    proof: Vec<Said>,
}

fn lack(leader: &Leader, cover: &Cover, end: &End<'_>) -> Option<Lack> {
    shorter(leader, cover, end).or_else(|| differs(leader, cover, end))
}

/// The log ends before what is committed, or ends in an older term.
fn shorter(leader: &Leader, cover: &Cover, end: &End<'_>) -> Option<Lack> {
    let term = end.settled.term_before(cover.index, leader.term);
    let short = leader.last.index < cover.index;
    // Terms never go down along a log, so an end of an older term has no newer entry before it.
    let older = term.is_some_and(|term| leader.last.term < term);
    let other =
        leader.last.index == cover.index && term.is_some_and(|term| leader.last.term != term);
    (short || older || other).then(|| Lack {
        index: cover.index,
        term,
        instead: (other && !short).then_some(leader.last.term),
        at: cover.at,
        proof: end.settled.proof(cover),
    })
}

/// Another entry stands where one is committed.
fn differs(leader: &Leader, cover: &Cover, end: &End<'_>) -> Option<Lack> {
    let held_to = end.settled.segments.iter().take_while(|segment| segment.from <= cover.index);
    held_to.filter(|segment| segment.since < leader.term).find_map(|segment| {
        let to = segment.to.min(leader.last.index);
        let (index, instead) = leader.log.first_other(segment.from, to, segment.term)?;
        let (_, at, proof) = end.settled.since(index, segment.term)?;
        Some(Lack { index, term: Some(segment.term), instead: Some(instead), at, proof })
    })
}

fn tell(leader: &Leader, lack: &Lack, end: &End<'_>) -> (String, Vec<Said>) {
    let facts = end.facts;
    let (node, term) = (facts.name(leader.at.node), leader.term);
    let index = lack.index;
    let entry = lack.term.map_or(index.to_string(), |term| format!("{index}@{term}"));
    let had = match lack.instead {
        Some(instead) => format!("it had {index}@{instead} there"),
        None => format!("its log ended at {}@{}", leader.last.index, leader.last.term),
    };
    let summary = format!(
        "{node}@{term} was elected without {entry}, which was committed in an earlier term: {had}"
    );
    let mut lines = lack.proof.clone();
    lines.truncate(4);
    let last = leader.last;
    let text = format!(
        "{node} becomes leader of term {term} with a log that ends at {}@{}",
        last.index, last.term
    );
    lines.push(said(leader.at, text));
    (summary, lines)
}
