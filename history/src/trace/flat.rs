//! A line as it stands in the file: every field of every event, side by side.
//!
//! Serde reads an internally tagged enum by first buffering the whole map; one flat struct is read in one pass, several
//! times as fast, and a trace has millions of lines.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

use super::{CommitBy, EntryHash, Epoch, Line, LogPosition, TraceEvent, Voters};
use crate::NodeName;

/// A line before it is known whether its fields suit its event.
#[derive(Deserialize)]
pub(super) struct Flat<'a> {
    seq: u64,
    time: u64,
    #[serde(borrow)]
    event: Cow<'a, str>,
    term: Option<Epoch>,
    vote: Option<NodeName>,
    snapshot: Option<LogPosition>,
    applied: Option<u64>,
    config: Option<Voters>,
    last: Option<LogPosition>,
    index: Option<u64>,
    prev_term: Option<Epoch>,
    hashes: Option<Vec<EntryHash>>,
    hash: Option<EntryHash>,
    recovered: Option<bool>,
    upto: Option<u64>,
    from: Option<u64>,
    to: Option<NodeName>,
    prevote: Option<bool>,
    prev: Option<u64>,
    entries: Option<u64>,
    by: Option<CommitBy>,
    digest: Option<EntryHash>,
    at: Option<String>,
    voters: Option<Vec<NodeName>>,
    learners: Option<Vec<NodeName>>,
    old: Option<Vec<NodeName>>,
    token: Option<String>,
    mode: Option<String>,
    text: Option<String>,
}

/// What every line has, whatever its event.
#[derive(Deserialize)]
pub(super) struct Bare<'a> {
    /// Its place in the boot.
    pub(super) seq: u64,
    #[serde(rename = "time")]
    _time: u64,
    /// The word for its event.
    #[serde(borrow)]
    pub(super) event: Cow<'a, str>,
}

/// Why a line is no event.
pub(super) enum Unfit {
    /// The event is of a kind that this version does not know.
    Unknown,
    /// The event lacks a field.
    Missing(&'static str),
}

/// The words for events that this version knows.
pub(super) const KINDS: [&str; 19] = [
    "boot",
    "hard_state",
    "become_pre_candidate",
    "become_candidate",
    "become_leader",
    "become_follower",
    "append",
    "durable",
    "truncate",
    "vote",
    "ack",
    "commit",
    "apply",
    "snapshot",
    "install",
    "config",
    "read_request",
    "read_index",
    "note",
];

impl Flat<'_> {
    /// Sorts the fields into the event. Fields that the event does not have are left alone: a later version may.
    pub(super) fn line(mut self) -> Result<Line, Unfit> {
        let event = self.kind()?;
        Ok(Line { seq: self.seq, time: self.time, event })
    }

    fn kind(&mut self) -> Result<TraceEvent, Unfit> {
        Ok(match &*self.event {
            "append" => return self.append(),
            "durable" => TraceEvent::Durable { upto: need(self.upto, "upto")? },
            "ack" => return self.ack(),
            "commit" => {
                TraceEvent::Commit { index: self.index()?, term: self.term()?, by: self.by }
            }
            "apply" => return self.apply(),
            "hard_state" => TraceEvent::HardState { term: self.term()?, vote: self.vote.take() },
            "vote" => return self.vote(),
            "become_pre_candidate" => {
                TraceEvent::BecomePreCandidate { term: self.term()?, last: self.last()? }
            }
            "become_candidate" => {
                TraceEvent::BecomeCandidate { term: self.term()?, last: self.last()? }
            }
            "become_leader" => TraceEvent::BecomeLeader { term: self.term()?, last: self.last()? },
            "become_follower" => {
                TraceEvent::BecomeFollower { term: self.term()?, last: self.last()? }
            }
            "truncate" => TraceEvent::Truncate { from: need(self.from, "from")? },
            "read_request" => TraceEvent::ReadRequest { token: self.token()? },
            "read_index" => return self.read_index(),
            "boot" => return self.boot(),
            "snapshot" => return self.snapshot(),
            "install" => return self.install(),
            "config" => return self.config(),
            "note" => TraceEvent::Note { text: self.text.take().unwrap_or_default() },
            _ => return Err(Unfit::Unknown),
        })
    }

    fn boot(&mut self) -> Result<TraceEvent, Unfit> {
        Ok(TraceEvent::Boot {
            term: self.term()?,
            vote: self.vote.take(),
            snapshot: self.snapshot.unwrap_or_default(),
            applied: self.applied.unwrap_or(0),
            config: self.config.take().unwrap_or_default(),
        })
    }

    /// An append of one entry may say `hash` in place of `hashes`.
    fn append(&mut self) -> Result<TraceEvent, Unfit> {
        let one = self.hash.map(|hash| vec![hash]);
        Ok(TraceEvent::Append {
            index: self.index()?,
            term: self.term()?,
            prev_term: need(self.prev_term, "prev_term")?,
            hashes: need(self.hashes.take().or(one), "hashes")?,
            recovered: self.recovered.unwrap_or(false),
        })
    }

    fn vote(&mut self) -> Result<TraceEvent, Unfit> {
        Ok(TraceEvent::Vote {
            to: need(self.to.take(), "to")?,
            term: self.term()?,
            prevote: self.prevote.unwrap_or(false),
        })
    }

    fn ack(&mut self) -> Result<TraceEvent, Unfit> {
        Ok(TraceEvent::Ack {
            to: need(self.to.take(), "to")?,
            index: self.index()?,
            term: self.term()?,
            prev: self.prev.unwrap_or(0),
            entries: self.entries.unwrap_or(0),
        })
    }

    fn apply(&mut self) -> Result<TraceEvent, Unfit> {
        Ok(TraceEvent::Apply {
            index: self.index()?,
            term: self.term()?,
            hash: need(self.hash, "hash")?,
            digest: self.digest,
        })
    }

    fn snapshot(&mut self) -> Result<TraceEvent, Unfit> {
        Ok(TraceEvent::Snapshot {
            index: self.index()?,
            term: self.term()?,
            digest: self.digest,
            config: self.config.take().unwrap_or_default(),
        })
    }

    fn install(&mut self) -> Result<TraceEvent, Unfit> {
        Ok(TraceEvent::Install {
            index: self.index()?,
            term: self.term()?,
            digest: self.digest,
            config: self.config.take().unwrap_or_default(),
        })
    }

    fn config(&mut self) -> Result<TraceEvent, Unfit> {
        let config = Voters {
            voters: need(self.voters.take(), "voters")?,
            learners: self.learners.take().unwrap_or_default(),
            old: self.old.take().unwrap_or_default(),
        };
        let at = need(self.at.take(), "at")?;
        Ok(TraceEvent::Config { index: self.index()?, at, config })
    }

    fn read_index(&mut self) -> Result<TraceEvent, Unfit> {
        Ok(TraceEvent::ReadIndex {
            token: self.token()?,
            index: self.index()?,
            term: self.term()?,
            mode: self.mode.take(),
        })
    }

    fn index(&self) -> Result<u64, Unfit> {
        need(self.index, "index")
    }

    fn term(&self) -> Result<Epoch, Unfit> {
        need(self.term, "term")
    }

    fn last(&self) -> Result<LogPosition, Unfit> {
        need(self.last, "last")
    }

    fn token(&mut self) -> Result<String, Unfit> {
        need(self.token.take(), "token")
    }
}

fn need<T>(field: Option<T>, name: &'static str) -> Result<T, Unfit> {
    field.ok_or(Unfit::Missing(name))
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Line, D::Error> {
        use serde::de::Error;

        let flat = Flat::deserialize(deserializer)?;
        let event = flat.event.to_string();
        flat.line().map_err(|unfit| match unfit {
            Unfit::Unknown => D::Error::custom(format!("unknown event {event:?}")),
            Unfit::Missing(field) => {
                D::Error::custom(format!("missing field `{field}` of event {event:?}"))
            }
        })
    }
}
