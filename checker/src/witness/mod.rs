//! The log as witness: replayed, it must give every answer that clients got.
//!
//! What is committed is one order of all changes, so it is the strongest witness for or against what clients were told, and
//! replaying it costs no search. Positions tie the two together: the index of an entry, or the revision that it made.
//!
//! - A change that was acknowledged at a position is what the log holds there.
//! - A read, and a cas that failed, saw what the log amounts to at its position.
//! - Who stands at a lower position had not begun when one at a higher position had returned.
//! - A change stands in the log as often as clients asked for it, and not at all where it was refused.
//!
//! **What proves a loss.** Of all logs the one that ends in the highest term and is the longest of those has everything that
//! was ever committed, by the rule of elections (paper §5.4.1); and what is acknowledged is committed. So an acknowledged
//! change that is not in it is lost, wherever else it may still stand. This needs every log to have been read, from its
//! first entry on and after its node was dead; else what is missing proves nothing, and the verdict is unknown.
//!
//! **The replay itself** may be what is wrong: a system may apply commands by rules that nobody knows here. Where state
//! machines tell how far they have got, they are held against it. One that is elsewhere contradicts its log if another, that
//! has got as far, is where the replay is; if none is, nothing that was found behind the last that is can be certain.
//!
//! **Doubt.** An operation without an answer took effect if the log has it where others were acknowledged behind it, and
//! never did if no log has it at all. That settles what clients could not know; the black-box verdict stays as it was, and
//! [`settle`] has the history judged a second time with it.

mod asked;
mod replay;
mod settle;

use squall_history::log::{Applied, Command, Entry, Lacking, Log, Positions};
use squall_history::{Claim, F, History, Nanos, Operation, Outcome, Value};

use crate::{Evidence, Row, Source, Verdict};
use asked::{Asked, Settled, Surplus};
use replay::Replay;
pub use settle::{Settling, has_doubt, nothing_settled, settle};

/// What every row of this module names as its engine.
pub const ENGINE: &str = "log replay";
/// How many contradictions are described; the others are counted.
const DESCRIBED: usize = 100;
/// How files are named in evidence.
const HISTORY: &str = "history.jsonl";
const LOG: &str = "log.jsonl";

/// Judges what clients were told against the log.
pub fn judge(history: &History, log: &Log) -> Row {
    let Some(replay) = replayed(log) else {
        return not_judged(why_no_log(log));
    };
    let mut hearing = Hearing::new(log, &replay);
    hearing.newest_has_all();
    hearing.state_machines();
    for operation in history.operations() {
        hearing.hear(operation);
    }
    let asked = Asked::new(history, log, &replay, hearing.known_to);
    hearing.in_time(&asked);
    hearing.as_often_as_asked(&asked);
    hearing.row(&asked.settled(log))
}

/// Returns the row where there is nothing to judge.
pub fn not_judged(why: impl Into<String>) -> Row {
    Row::new(Claim::LogWitness, Verdict::NotJudged, ENGINE, why)
}

fn replayed(log: &Log) -> Option<Replay<'_>> {
    log.header.node.as_ref()?;
    Some(Replay::of(log))
}

fn why_no_log(log: &Log) -> String {
    let why = log.header.missing.first().map_or("nobody's files hold it", |why| why);
    format!("no log was read: {why}")
}

/// A contradiction between the log and the clients.
#[derive(Clone, Debug)]
struct Finding {
    /// When it was complete, for display: the first one is told.
    time: Nanos,
    summary: String,
    key: Option<String>,
    evidence: Vec<Evidence>,
}

/// Where an operation stands: its position, and behind the change there if it only observes.
type Place = (u64, bool);

struct Hearing<'a> {
    log: &'a Log,
    replay: &'a Replay<'a>,
    /// Every log was read, so that what is missing is not there.
    complete: bool,
    /// Why the replay may be wrong behind what is borne out.
    doubted: Option<String>,
    /// Up to this index a state machine is where the replay is.
    borne_out: u64,
    /// Up to this index the log is certainly committed: some node's files say so, or a client was told.
    known_to: u64,
    findings: Vec<Finding>,
    contradictions: u64,
    /// Why something could not be decided.
    unsure: Option<String>,
    /// Of those with a position in the log that is understood: changes, and reads and failed cas.
    changes: u64,
    observed: u64,
    /// Answers that tell no position.
    without_position: u64,
    /// Answers behind the last entry that is understood.
    beyond: u64,
    /// Where each operation stands whose answer fits.
    placed: Vec<(&'a Operation, Place)>,
}

impl<'a> Hearing<'a> {
    fn new(log: &'a Log, replay: &'a Replay<'a>) -> Hearing<'a> {
        Hearing {
            log,
            replay,
            complete: log.header.missing.is_empty(),
            doubted: None,
            borne_out: 0,
            known_to: log.header.committed,
            findings: Vec::new(),
            contradictions: 0,
            unsure: None,
            changes: 0,
            observed: 0,
            without_position: 0,
            beyond: 0,
            placed: Vec::new(),
        }
    }

    /// What is committed anywhere is in the newest log of all. Of those that were read another may be newer than one that has
    /// it: what a leader left that nobody followed.
    fn newest_has_all(&mut self) {
        for Lacking { node, index, term } in &self.log.header.lacks {
            let newest = self.node();
            let there = self.log.entries.iter().find(|entry| entry.index == *index);
            let holds = there.map_or("nothing".to_owned(), |entry| self.described(entry));
            let summary = format!(
                "{node} has committed {index}@{term}, where {newest}'s log, which is newer, holds {holds}"
            );
            let evidence = there.map(|entry| self.entry(entry, "what stands there"));
            match self.complete {
                true => self.explains(summary, evidence.into_iter().collect()),
                false => self.doubt(&summary),
            }
        }
    }

    /// Adds a contradiction that explains what clients were told, so that it is told first: nobody knows when it came to it.
    fn explains(&mut self, summary: String, evidence: Vec<Evidence>) {
        self.contradictions += 1;
        self.findings.push(Finding { time: Nanos(0), summary, key: None, evidence });
    }

    /// Holds the replay against what the state machines say of themselves.
    fn state_machines(&mut self) {
        let replayed = |applied: &&Applied| self.replay.position_at(applied.index);
        let known = self.log.header.applied.iter().filter(|applied| replayed(applied).is_some());
        let (borne_out, others): (Vec<_>, Vec<_>) =
            known.partition(|applied| replayed(applied) == Some(applied.position));
        let furthest = borne_out.into_iter().max_by_key(|applied| applied.index);
        self.borne_out = furthest.map_or(0, |applied| applied.index);
        for applied in others {
            let Applied { node, index, position } = applied;
            let amounts = replayed(&applied).unwrap_or_default();
            let summary = format!(
                "{node}'s state after entry {index} is at position {position}, and the log amounts to {amounts}"
            );
            match furthest.filter(|furthest| furthest.index >= *index) {
                Some(witness) => self.state_differs(applied, &summary, witness),
                None => self.doubted = Some(summary),
            }
        }
    }

    fn state_differs(&mut self, applied: &Applied, summary: &str, witness: &Applied) {
        let Applied { node, index, position } = witness;
        let summary =
            format!("{summary}; {node}'s, at {position} after entry {index}, is as replayed");
        let there = index_of(applied).and_then(|at| self.log.entries.get(at));
        let what = format!("the last entry that {} applied", applied.node);
        let evidence = there.map(|entry| self.entry(entry, &what)).into_iter().collect();
        self.explains(summary, evidence);
    }

    fn hear(&mut self, operation: &'a Operation) {
        let seen = match &operation.outcome {
            Outcome::Ok(value) if operation.op.f == F::Read => Some(value),
            Outcome::Ok(_) if replay::is_change(&operation.op.f) => None,
            Outcome::Fail { error, seen: Some(seen) } if error.is_precondition() => Some(seen),
            Outcome::Ok(_) | Outcome::Fail { .. } | Outcome::Info { .. } => return,
        };
        let Some(pos) = operation.pos else {
            self.without_position += 1;
            return;
        };
        if self.replay.end_of_knowledge().is_some_and(|end| pos > end) {
            self.beyond += 1;
            return;
        }
        match seen {
            Some(value) => self.observes(operation, pos, value),
            None => self.changes(operation, pos),
        }
    }

    /// A read, or a cas that failed.
    fn observes(&mut self, operation: &'a Operation, pos: u64, value: &Value) {
        if pos > self.replay.end() {
            return self.behind_the_end(operation, pos);
        }
        let key = operation.op.key.as_ref();
        if self.replay.holds(key, pos, value) {
            self.observed += 1;
            self.placed.push((operation, (pos, true)));
            return;
        }
        let certain = self.is_certain(pos);
        self.find(certain, operation, |this| {
            let (told, there) = (this.replay.value(key, pos), this.replay.last_change(key, pos));
            let summary = format!(
                "{} saw {value} at position {pos}, where the log amounts to {told}",
                short(operation)
            );
            let text = format!("it saw {value}, at position {pos}");
            let mut evidence = vec![this.client(operation, text)];
            evidence.extend(there.map(|entry| this.entry(entry, "the last change before")));
            (summary, evidence)
        });
    }

    /// An acknowledged change.
    fn changes(&mut self, operation: &'a Operation, pos: u64) {
        let Some(entry) = self.replay.change_at(pos) else {
            return match pos > self.replay.end() {
                true => self.behind_the_end(operation, pos),
                false => self.is_not_there(operation, pos),
            };
        };
        if !same_command(operation, entry) || !self.replay.gives(entry, operation) {
            return self.is_not_there(operation, pos);
        }
        self.changes += 1;
        self.known_to = self.known_to.max(entry.index);
        self.placed.push((operation, (pos, false)));
    }

    /// The position lies behind all that the log has.
    fn behind_the_end(&mut self, operation: &'a Operation, pos: u64) {
        self.find(self.complete && self.doubted.is_none(), operation, |this| {
            let summary = format!(
                "{} was acknowledged at position {pos}, but the log ends at {}: {}",
                short(operation),
                this.replay.end(),
                this.whereabouts(operation)
            );
            let text = format!("it is acknowledged at position {pos}");
            let mut evidence = vec![this.client(operation, text)];
            evidence.extend(this.log.entries.last().map(|entry| this.entry(entry, "the last one")));
            (summary, evidence)
        });
    }

    /// Something else stands at the position.
    fn is_not_there(&mut self, operation: &'a Operation, pos: u64) {
        let certain = self.is_certain(pos);
        self.find(certain, operation, |this| {
            let there = this.replay.entry_at(pos);
            let holds = there.map_or("nothing".to_owned(), |entry| this.described(entry));
            let summary = format!(
                "{} was acknowledged at position {pos}, where the log holds {holds}: {}",
                short(operation),
                this.whereabouts(operation)
            );
            let text = format!("it is acknowledged at position {pos}");
            let mut evidence = vec![this.client(operation, text)];
            evidence.extend(there.map(|entry| this.entry(entry, "what stands there")));
            (summary, evidence)
        });
    }

    /// Whether the log up to a position is beyond doubt.
    fn is_certain(&self, pos: u64) -> bool {
        self.is_certain_to(self.replay.entry_at(pos).map_or(0, |entry| entry.index))
    }

    /// Whether the log up to an index is beyond doubt: it is committed there, or no log is missing; and it is replayed as the
    /// system does.
    fn is_certain_to(&self, index: u64) -> bool {
        let committed = (1..=self.log.header.committed).contains(&index);
        let borne_out = self.doubted.is_none() || index <= self.borne_out;
        (self.complete || committed) && borne_out
    }

    /// Says where else a change stands.
    fn whereabouts(&self, operation: &Operation) -> String {
        if operation.op.f.is_read() {
            return "what it saw is in no log".to_owned();
        }
        if let Some(entry) = self.log.entries.iter().find(|entry| same_command(operation, entry)) {
            return format!("it stands at index {} (term {})", entry.index, entry.term);
        }
        let other = self.log.elsewhere.iter().find(|(_, entry)| same_command(operation, entry));
        match other {
            Some((node, entry)) => format!(
                "it stands in {node}'s log alone, at index {} (term {})",
                entry.index, entry.term
            ),
            None => "it is in no log".to_owned(),
        }
    }

    /// Describes an entry and what became of it.
    fn described(&self, entry: &Entry) -> String {
        let Entry { index, term, command } = entry;
        let what = match command {
            Command::Nothing => "no command".to_owned(),
            Command::Unknown(what) => what.clone(),
            Command::Op(op, _) if self.replay.repeats(entry) => format!("{op}, a second time"),
            Command::Op(op, _) if !self.replay.changed(entry) => format!("{op}, without effect"),
            Command::Op(op, _) => op.to_string(),
        };
        format!("{what} (index {index}, term {term})")
    }

    /// One that had returned before another began stands before it.
    fn in_time(&mut self, asked: &Asked<'a>) {
        let mut highest: Option<(&Operation, Place)> = None;
        for (_, begins, operation, place) in self.events(asked) {
            let before = highest.filter(|(_, highest)| *highest > place);
            match (before, begins) {
                (Some(first), true) => self.goes_back(first, (operation, place.0)),
                (None, false) => highest = Some((operation, place)),
                (Some(_), false) | (None, true) => {}
            }
        }
    }

    /// Returns when operations began and returned whose places are known, in that order. One that was asked for again under
    /// the same request began when it was asked for first.
    fn events(&self, asked: &Asked<'a>) -> Vec<(u32, bool, &'a Operation, Place)> {
        let located = asked.located().into_iter().map(|(operation, entry)| {
            let place = (self.replay.position(entry), false);
            (operation, place)
        });
        let mut events = Vec::new();
        for (operation, place) in self.placed.iter().copied().chain(located) {
            events.push((asked.began(operation), true, operation, place));
            events.extend(operation.returned.map(|at| (at, false, operation, place)));
        }
        events.sort_unstable_by_key(|(event, ..)| *event);
        events
    }

    fn goes_back(
        &mut self,
        (first, (before, _)): (&Operation, Place),
        (second, pos): (&Operation, u64),
    ) {
        self.find(self.is_certain(pos), second, |this| {
            let summary = format!(
                "{} took effect at position {pos}, but {}, at {before}, had returned before it began",
                short(second),
                short(first)
            );
            let evidence = vec![
                this.client(first, format!("it has returned, at position {before}")),
                this.client(second, format!("it takes effect at position {pos}")),
            ];
            (summary, evidence)
        });
    }

    fn as_often_as_asked(&mut self, asked: &Asked<'a>) {
        for Surplus { entries, asked, refused, last } in asked.surplus() {
            let index = entries.last().map_or(0, |entry| entry.index);
            self.find(self.is_certain_to(index), last, |this| {
                let indices: Vec<String> =
                    entries.iter().map(|entry| entry.index.to_string()).collect();
                let indices = indices.join(" and ");
                let summary = match refused {
                    Some((_, why)) => {
                        format!(
                            "{} was refused ({why}), and is committed at index {indices}",
                            last.op
                        )
                    }
                    None => format!(
                        "{} was asked for {}, and is committed at index {indices}",
                        last.op,
                        times(asked)
                    ),
                };
                let refused = refused.map(|(operation, why)| {
                    this.client(operation, format!("it is refused: {why}"))
                });
                let entries = entries.iter().map(|entry| this.entry(entry, "it stands"));
                (summary, refused.into_iter().chain(entries).collect())
            });
        }
    }

    /// Adds a contradiction; where it is none for certain, the first is what cannot be decided.
    fn find(
        &mut self,
        certain: bool,
        operation: &Operation,
        tell: impl FnOnce(&Hearing<'a>) -> (String, Vec<Evidence>),
    ) {
        if !certain {
            if self.unsure.is_none() {
                let (what, _) = tell(self);
                self.doubt(&what);
            }
            return;
        }
        self.contradictions += 1;
        if self.findings.len() < DESCRIBED {
            let (summary, evidence) = tell(self);
            let time = operation.return_time.unwrap_or(operation.invoke_time);
            let key = operation.op.key.as_ref().map(ToString::to_string);
            self.findings.push(Finding { time, summary, key, evidence });
        }
    }

    /// Keeps the first thing that cannot be decided.
    fn doubt(&mut self, what: &str) {
        let why = self.why_uncertain();
        self.unsure.get_or_insert_with(|| format!("{what}; but {why}"));
    }

    fn why_uncertain(&self) -> String {
        let missing = self.log.header.missing.first().map_or("", |why| why);
        match &self.doubted {
            Some(why) => why.clone(),
            None => format!("not every log was read: {missing}"),
        }
    }

    fn node(&self) -> String {
        self.log.header.node.as_ref().map_or(String::new(), ToString::to_string)
    }

    fn client(&self, operation: &Operation, text: String) -> Evidence {
        let line = match operation.return_line {
            0 => operation.invoke_line,
            line => line,
        };
        Evidence {
            text: format!("{}: {text}", short(operation)),
            file: HISTORY.to_owned(),
            line: line.into(),
            time: operation.return_time.or(Some(operation.invoke_time)),
            source: Source::Observed,
        }
    }

    fn entry(&self, entry: &Entry, what: &str) -> Evidence {
        Evidence {
            text: format!("{what}: {}'s log holds {}", self.node(), self.described(entry)),
            file: LOG.to_owned(),
            line: entry.index + 1,
            time: None,
            source: Source::Observed,
        }
    }

    fn row(mut self, settled: &Settled) -> Row {
        self.findings.sort_by_key(|finding| finding.time);
        let unsure = self.unsure.as_ref().or(self.doubted.as_ref());
        let (verdict, summary) = match (self.findings.first(), unsure) {
            (Some(found), _) => (Verdict::Invalid, self.told(found)),
            (None, Some(why)) => (Verdict::Unknown, why.clone()),
            (None, None) if self.changes + self.observed == 0 => {
                (Verdict::NotJudged, "no answer tells a position in the log".to_owned())
            }
            (None, None) => (Verdict::Valid, self.scope(settled)),
        };
        let mut row = Row::new(Claim::LogWitness, verdict, ENGINE, summary);
        if let Some(found) = self.findings.first() {
            row.key.clone_from(&found.key);
            row.evidence.clone_from(&found.evidence);
            row.figures.insert("contradictions".to_owned(), self.contradictions as f64);
        }
        row.not_judged = self.not_judged();
        for (name, figure) in [
            ("entries", self.log.entries.len() as u64),
            ("changes", self.changes),
            ("observations", self.observed),
            ("in doubt, took effect", settled.took_effect),
            ("in doubt, never did", settled.never),
            ("in doubt, open", settled.open),
        ] {
            row.figures.insert(name.to_owned(), figure as f64);
        }
        row
    }

    fn told(&self, found: &Finding) -> String {
        match self.contradictions {
            0 | 1 => found.summary.clone(),
            more => format!("{} (and {} more)", found.summary, times(more - 1)),
        }
    }

    fn scope(&self, settled: &Settled) -> String {
        let Settled { took_effect, never, open } = settled;
        let mut text = format!(
            "{}'s log, replayed, gives the answers to {} and {}",
            self.node(),
            counted(self.changes, "change", "changes"),
            counted(self.observed, "observation", "observations")
        );
        if took_effect + never + open > 0 {
            text.push_str(&format!("; of those in doubt {took_effect} took effect"));
            text.push_str(&format!(", {never} never did"));
            if *open > 0 {
                text.push_str(&format!(", {open} are open"));
            }
        }
        text
    }

    fn not_judged(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.without_position > 0 {
            let answers = counted(self.without_position, "answer tells", "answers tell");
            notes.push(format!("{answers} no position"));
        }
        if let Some(entry) = self.replay.not_understood() {
            let Entry { index, command, .. } = entry;
            let what = match command {
                Command::Unknown(what) => what,
                Command::Nothing | Command::Op(..) => "more sessions than are remembered",
            };
            notes.push(format!(
                "{} behind index {index}: {what}",
                counted(self.beyond, "answer", "answers")
            ));
        }
        for why in &self.log.header.missing {
            notes.push(format!("what is in no log that was read: {why}"));
        }
        notes
    }
}

/// Whether an entry is the command that an operation asked for.
fn same_command(operation: &Operation, entry: &Entry) -> bool {
    let Command::Op(op, request) = &entry.command else { return false };
    let same = match (operation.request, request) {
        (Some(one), Some(other)) => one == *other,
        (Some(_), None) | (None, Some(_)) | (None, None) => true,
    };
    same && *op == operation.op
}

fn short(operation: &Operation) -> String {
    format!("{} by process {}", operation.op, operation.process)
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        more => format!("{more} times"),
    }
}

fn counted(number: u64, one: &str, many: &str) -> String {
    crate::raft::count(number, one, many)
}

/// Returns the place in the list of the last entry that was applied.
fn index_of(applied: &Applied) -> Option<usize> {
    usize::try_from(applied.index.checked_sub(1)?).ok()
}

/// Returns whether positions are indices, so that each entry has one of its own.
fn has_own(positions: Positions) -> bool {
    positions == Positions::Index
}
