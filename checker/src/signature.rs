//! Signatures: a fingerprint of what broke, the same in each run that breaks in the same way.
//!
//! Two hundred failures of a night have a handful of causes. A signature names the property and the shape of the
//! contradiction: the sentence without the numbers, nodes and values of this one run. Rows that another broken property of
//! their run explains are folded under it, since one lost entry breaks half a dozen promises one after another.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use squall_history::{Claim, F, Nanos};

use crate::{EdgeKind, Row, RunVerdict, Verdict};

/// What broke, comparable between runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signature {
    /// The property and a hash of the shape: `commit-rule-5f0c19ab`.
    pub id: String,
    /// The property.
    pub claim: Claim,
    /// The sentence of the run that showed it, with its numbers.
    pub says: String,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

impl RunVerdict {
    /// Returns the signatures of what broke and is not explained by anything else that broke, in the order of time.
    pub fn signatures(&self) -> Vec<Signature> {
        let mut broken: Vec<&Row> =
            self.rows.iter().filter(|row| row.verdict == Verdict::Invalid).collect();
        broken.sort_by_key(|row| times(row).max());
        let mut found: Vec<Signature> = Vec::new();
        for row in &broken {
            let one = signature(row);
            let explained = broken.iter().any(|cause| explains(cause, row));
            if !explained && found.iter().all(|known| known.id != one.id) {
                found.push(one);
            }
        }
        found
    }

    /// Returns whether this run broke something in one of these ways, be it explained here by something else that broke:
    /// what one run shows by positions alone another shows by its reads as well.
    pub fn shows(&self, wanted: &[Signature]) -> bool {
        let broken = self.rows.iter().filter(|row| row.verdict == Verdict::Invalid).map(signature);
        broken.into_iter().any(|found| wanted.iter().any(|one| one.id == found.id))
    }
}

fn times(row: &Row) -> impl Iterator<Item = Nanos> {
    row.evidence.iter().filter_map(|line| line.time)
}

fn signature(row: &Row) -> Signature {
    let shape = circle(row).unwrap_or_else(|| shape(&row.summary));
    let id = format!("{}-{:08x}", row.claim.name(), crc32c::crc32c(shape.as_bytes()));
    Signature { id, claim: row.claim, says: row.summary.clone() }
}

/// Returns what a contradiction about the order of operations comes down to, where it is a circle: that something was seen
/// after it had been replaced, or that the object's own order was broken. Who saw it, by how many steps, and whether it was
/// written or compared and set, is of one run: the lease that ran out unnoticed shows in a hundred ways.
fn circle(row: &Row) -> Option<String> {
    let cycle = row.explanation.as_ref()?.cycle.as_ref()?;
    let of_time = [EdgeKind::RealTime, EdgeKind::ReadsFrom];
    let kinds: BTreeSet<EdgeKind> =
        cycle.edges.iter().map(|edge| edge.kind).filter(|kind| !of_time.contains(kind)).collect();
    let names: Vec<&str> = kinds.into_iter().map(EdgeKind::name).collect();
    Some(names.join(" "))
}

/// Whether a broken property is reason enough for another one.
///
/// Raft's promises build on each other (paper §5.4.3 proves each from those before it), so a rule of one server that is
/// broken explains the promise of the cluster that rests on it, and that explains what a client sees; never the reverse, and
/// never what was complete before the cause began.
fn explains(cause: &Row, effect: &Row) -> bool {
    let in_time = match (times(cause).min(), times(effect).max()) {
        (Some(began), Some(complete)) => began <= complete,
        (None, _) | (_, None) => true,
    };
    // Positions and the log say the same of the same operations, sooner or later.
    let same = cause.claim == Claim::Linearizable
        && matches!(
            effect.claim,
            Claim::Positions | Claim::LogWitness | Claim::LinearizableSettled
        );
    depth(cause.claim) < depth(effect.claim) && (in_time || same)
}

/// How far a property is from the rules of one server: what lies deeper rests on what lies above.
fn depth(claim: Claim) -> u8 {
    match claim {
        Claim::VoteOnce
        | Claim::MonotoneTerms
        | Claim::AckNotBeyondDurable
        | Claim::LeaderAppendOnly
        | Claim::TrueAcks
        | Claim::CommitRule
        | Claim::CommitQuorum => 0,
        Claim::ElectionSafety => 1,
        Claim::LogMatching => 2,
        Claim::LeaderCompleteness => 3,
        Claim::TruncateNotCommitted => 4,
        Claim::StateMachineSafety
        | Claim::ReplicaStates
        | Claim::AcknowledgedSurvive
        | Claim::ReadIndex => 5,
        Claim::Linearizable => 6,
        Claim::Positions | Claim::LogWitness | Claim::LinearizableSettled => 7,
        Claim::Exercised => 8,
    }
}

/// Returns whether a word names what was asked of an object.
fn is_operation(word: &str) -> bool {
    !matches!(F::from_name(word), F::Other(_))
}

/// Returns a sentence without what belongs to one run: numbers, names of nodes and operations, how often it came again.
fn shape(summary: &str) -> String {
    let once = summary.rsplit_once(" (and ").map_or(summary, |(before, _)| before);
    let mut shape = String::new();
    for word in once.split_whitespace() {
        let blank: String = if is_operation(word) {
            "operation".to_owned()
        } else if word.contains(|c: char| c.is_ascii_digit()) {
            blanked(word)
        } else {
            word.to_owned()
        };
        // A list of any length has one shape: `n1, n2 and n3` is `# # and #`.
        let repeated = blank.contains('#') && shape.ends_with(&format!(" {blank} "));
        if !repeated {
            shape.push_str(&blank);
            shape.push(' ');
        }
    }
    shape
}

/// Replaces each run of letters and digits that has a digit, and what is left of values between them: `118@4,` becomes `#`.
fn blanked(word: &str) -> String {
    let mut blank = String::new();
    let mut run = String::new();
    let flush = |run: &mut String, blank: &mut String| {
        let number = run.contains(|c: char| c.is_ascii_digit());
        blank.push_str(if number { "#" } else { run.as_str() });
        run.clear();
    };
    for c in word.chars() {
        if c.is_alphanumeric() || c == '.' || c == '-' {
            run.push(c);
        } else {
            flush(&mut run, &mut blank);
            blank.push(c);
        }
    }
    flush(&mut run, &mut blank);
    // `61→81` and `[3` are values like `7`.
    let bare = blank.chars().all(|c| !c.is_alphanumeric());
    if bare && blank.contains('#') { "#".to_owned() } else { blank }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cycle, Edge, Evidence, Explanation, Source};

    fn broken(claim: Claim, says: &str, time: u64) -> Row {
        let mut row = Row::new(claim, Verdict::Invalid, "test", says);
        row.evidence.push(Evidence {
            text: String::new(),
            file: "trace/n1.0.jsonl".into(),
            line: 1,
            time: Some(Nanos(time)),
            source: Source::Reported,
        });
        row
    }

    fn ids(rows: Vec<Row>) -> Vec<Claim> {
        let verdict = RunVerdict::of(rows, Vec::new());
        verdict.signatures().into_iter().map(|signature| signature.claim).collect()
    }

    #[test]
    fn the_numbers_of_a_run_are_not_part_of_its_signature() {
        let one =
            signature(&broken(Claim::CommitRule, "n1 committed 118@4 by counting in term 5", 1));
        let other = "n3 committed 7@2 by counting in term 9 (and 12 more times)";
        let other = signature(&broken(Claim::CommitRule, other, 1));
        assert_eq!(one.id, other.id);
        assert!(one.id.starts_with("commit-rule-"), "{one}");
    }

    /// A row on a circle of these kinds.
    fn circular(says: &str, kinds: &[EdgeKind]) -> Row {
        let edge = |kind: &EdgeKind| Edge {
            from: 0,
            to: 1,
            kind: *kind,
            why: says.to_owned(),
            because: Vec::new(),
        };
        let edges = kinds.iter().map(edge).collect();
        let cycle = Some(Cycle { edges, rests_on: Vec::new() });
        let contradiction = says.to_owned();
        let explanation = Explanation { operations: Vec::new(), contradiction, cycle };
        Row { explanation: Some(explanation), ..broken(Claim::Linearizable, says, 1) }
    }

    #[test]
    fn a_stale_read_is_one_cause_however_it_shows() {
        use EdgeKind::{Order, Overwritten, ReadsFrom, RealTime};
        let id = |says, kinds: &[EdgeKind]| signature(&circular(says, kinds)).id;
        let stale = id("read of 4 began after write of 5", &[RealTime, Overwritten]);
        assert_eq!(stale, id("read of nil began after cas 4→5", &[RealTime, Overwritten]));
        assert_eq!(stale, id("read of 5, then of 4", &[ReadsFrom, RealTime, Overwritten]));
        assert_ne!(stale, id("2 was taken before 1", &[RealTime, Order]));
        assert!(stale.starts_with("linearizable-"), "{stale}");
    }

    #[test]
    fn which_operation_showed_it_is_not_part_of_a_signature() {
        let id = |says| signature(&broken(Claim::Positions, says, 1)).id;
        let read = id("read 3 at position 86 had returned before read 3 began");
        assert_eq!(read, id("append 3 25 at position 188 had returned before read 3 began"));
        assert_eq!(read, id("cas 3 61→81 at position 10 had returned before read 6 began"));
        assert_ne!(read, id("in the order of their positions the model forbids: read 3"));
    }

    #[test]
    fn another_sentence_or_another_property_is_another_signature() {
        let id = |claim, says| signature(&broken(claim, says, 1)).id;
        let lost = id(Claim::Linearizable, "read of 4 saw nothing");
        assert_ne!(lost, id(Claim::Linearizable, "read of 4 saw an older value"));
        assert_ne!(lost, id(Claim::Positions, "read of 4 saw nothing"));
    }

    #[test]
    fn what_follows_from_a_broken_rule_is_folded_under_it_whichever_came_to_light_first() {
        let rows = vec![
            broken(Claim::Linearizable, "a lost write", 90),
            broken(Claim::LeaderCompleteness, "n2 lacks 7@3", 50),
            broken(Claim::CommitRule, "n1 committed 7@3 in term 4", 40),
        ];
        assert_eq!(ids(rows), [Claim::CommitRule]);
    }

    #[test]
    fn what_is_folded_under_another_cause_is_still_shown() {
        let alone = RunVerdict::of(vec![broken(Claim::Positions, "read 3 at 5", 50)], Vec::new());
        let wanted = alone.signatures();
        let rows = vec![
            broken(Claim::Linearizable, "a stale read", 40),
            broken(Claim::Positions, "cas 7 1→2 at 9", 50),
        ];
        let both = RunVerdict::of(rows, Vec::new());
        assert!(both.signatures().iter().all(|signature| signature.claim != Claim::Positions));
        assert!(both.shows(&wanted) && !alone.shows(&both.signatures()));
    }

    #[test]
    fn what_was_complete_before_the_cause_began_keeps_its_own_signature() {
        let rows = vec![
            broken(Claim::Linearizable, "a stale read", 10),
            broken(Claim::VoteOnce, "n1 voted twice in term 4", 50),
            broken(Claim::ElectionSafety, "n1 and n2 led term 4", 60),
        ];
        assert_eq!(ids(rows), [Claim::Linearizable, Claim::VoteOnce]);
    }

    #[test]
    fn two_rules_that_are_broken_side_by_side_are_two_causes() {
        let rows = vec![
            broken(Claim::VoteOnce, "n1 voted twice in term 4", 50),
            broken(Claim::CommitRule, "n1 committed 7@3 in term 4", 40),
            broken(Claim::StateMachineSafety, "n1 and n2 applied 7 differently", 70),
        ];
        assert_eq!(ids(rows), [Claim::CommitRule, Claim::VoteOnce]);
    }

    #[test]
    fn a_run_without_a_violation_has_no_signature() {
        let unknown = Row::new(Claim::Linearizable, Verdict::Unknown, "test", "out of time");
        assert_eq!(ids(vec![unknown]), []);
    }
}
