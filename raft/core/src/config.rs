//! What an operator and the shell decide: who votes, how long to wait, how much to send at once.
//!
//! The core counts ticks; how long a tick lasts is the shell's choice, 5 or 10 ms. [`Config::new`] translates the
//! paper's milliseconds, and [`Config::set`] those of an operator.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::types::{Entry, HardState, Index, Membership, NodeId, Term};

/// The paper's election timeout (§9.3).
const ELECTION_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_millis(150)..=Duration::from_millis(300);
/// A third of the shortest election timeout: two heartbeats may be lost before a follower stands.
const HEARTBEAT: Duration = Duration::from_millis(50);
/// How long an RPC may stay unanswered before it is sent again.
const RETRY: Duration = Duration::from_millis(100);
/// Twice the longest election timeout: enough to survive one change of leader.
const READ_TIMEOUT: Duration = Duration::from_millis(600);

/// The names that [`Config::set`] knows.
pub const SETTINGS: [&str; 6] =
    ["pre-vote", "check-quorum", "max-entries", "max-inflight", "election-timeout", "heartbeat"];

/// What a server is told at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The server's own name.
    pub id: NodeId,
    /// Who votes, as long as the log holds no configuration.
    pub membership: Membership,
    /// A follower stands for election after so many silent ticks, drawn anew each time (paper §5.2).
    pub election_ticks: RangeInclusive<u32>,
    /// A leader speaks to each follower at least once in so many ticks.
    pub heartbeat_ticks: u32,
    /// An RPC without an answer is sent again after so many ticks.
    pub retry_ticks: u32,
    /// A read that nobody confirmed is refused after so many ticks.
    pub read_ticks: u32,
    /// How many entries one AppendEntries may carry.
    pub max_entries: usize,
    /// How many AppendEntries with entries a follower may owe an answer to (thesis §10.2.1, pipelining). Proposals
    /// that come while the window is full travel together in the next one.
    pub max_inflight: usize,
    /// A candidate asks whether it could win before it raises its term (thesis §9.6).
    pub pre_vote: bool,
    /// A leader that has not heard of a majority for an election timeout steps down (thesis §6.2), and who hears a
    /// leader ignores candidates (thesis §4.2.3).
    pub check_quorum: bool,
}

impl Config {
    /// Returns the paper's timeouts, counted in ticks of the given length.
    pub fn new(id: NodeId, membership: Membership, tick: Duration) -> Config {
        Config {
            id,
            membership,
            election_ticks: ticks(*ELECTION_TIMEOUT.start(), tick)
                ..=ticks(*ELECTION_TIMEOUT.end(), tick),
            heartbeat_ticks: ticks(HEARTBEAT, tick),
            retry_ticks: ticks(RETRY, tick),
            read_ticks: ticks(READ_TIMEOUT, tick),
            max_entries: 128,
            max_inflight: 4,
            pre_vote: true,
            check_quorum: true,
        }
    }

    /// Changes the setting of the given name (see [`SETTINGS`]), as an operator or a planted bug writes it: `false`,
    /// `1`, `100ms`, `150ms..300ms`.
    pub fn set(&mut self, name: &str, value: &str, tick: Duration) -> Result<(), SettingError> {
        let wrong = |expected| SettingError::new(name, value, expected);
        match name {
            "pre-vote" => self.pre_vote = value.parse().map_err(|_| wrong("true or false"))?,
            "check-quorum" => {
                self.check_quorum = value.parse().map_err(|_| wrong("true or false"))?;
            }
            "max-entries" => self.max_entries = count(value).ok_or(wrong("a number above 0"))?,
            "max-inflight" => self.max_inflight = count(value).ok_or(wrong("a number above 0"))?,
            "heartbeat" => {
                let interval = duration(value).ok_or(wrong("a duration such as 50ms"))?;
                self.heartbeat_ticks = ticks(interval, tick);
            }
            "election-timeout" => {
                let range = range(value).ok_or(wrong("a range such as 150ms..300ms"))?;
                self.election_ticks = ticks(*range.start(), tick)..=ticks(*range.end(), tick);
                self.read_ticks = ticks(*range.end() * 2, tick);
            }
            _ => return Err(wrong("another name: see SETTINGS")),
        }
        Ok(())
    }

    /// Says what makes these values useless together.
    pub fn problem(&self) -> Option<&'static str> {
        if self.election_ticks.is_empty() {
            return Some("the election timeout's range is empty");
        }
        if self.heartbeat_ticks == 0 || self.heartbeat_ticks >= *self.election_ticks.start() {
            return Some("the heartbeat interval must lie between 0 and the election timeout");
        }
        if self.max_entries == 0 || self.max_inflight == 0 || self.retry_ticks == 0 {
            return Some("max-entries, max-inflight and the retry interval must be above 0");
        }
        None
    }
}

/// A setting that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    /// The setting's name, as given.
    pub name: String,
    /// Its value, as given.
    pub value: String,
    /// What was expected.
    pub expected: &'static str,
}

impl SettingError {
    fn new(name: &str, value: &str, expected: &'static str) -> SettingError {
        SettingError { name: name.to_owned(), value: value.to_owned(), expected }
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "setting {}={}: expected {}", self.name, self.value, self.expected)
    }
}

impl std::error::Error for SettingError {}

/// What a server finds on its disk when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Term and vote.
    pub hard_state: HardState,
    /// Index and term of the last entry that a snapshot replaced; zeros where there is none.
    pub base: (Index, Term),
    /// The log above the base, without gaps.
    pub entries: Vec<Entry>,
}

/// Returns how many ticks make up a duration: at least one, and rather too many than too few.
fn ticks(duration: Duration, tick: Duration) -> u32 {
    let count = duration.as_nanos().div_ceil(tick.as_nanos().max(1)).max(1);
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn count(value: &str) -> Option<usize> {
    value.parse().ok().filter(|count| *count > 0)
}

fn duration(value: &str) -> Option<Duration> {
    if let Some(millis) = value.strip_suffix("ms") {
        return millis.parse().ok().map(Duration::from_millis);
    }
    value.strip_suffix('s').and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs)
}

/// Reads `150ms..300ms`, and `300ms` as a range of one value.
fn range(value: &str) -> Option<RangeInclusive<Duration>> {
    let (start, end) = value.split_once("..").unwrap_or((value, value));
    let (start, end) = (duration(start)?, duration(end)?);
    (start <= end && !start.is_zero()).then_some(start..=end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(10);

    fn config() -> Config {
        Config::new(NodeId(1), [NodeId(1)].into_iter().collect(), TICK)
    }

    #[test]
    fn defaults_are_the_papers_timeouts() {
        let config = config();
        assert_eq!(config.election_ticks, 15..=30);
        assert_eq!(config.heartbeat_ticks, 5);
        assert_eq!(config.problem(), None);
    }

    #[test]
    fn settings_are_read_as_an_operator_writes_them() {
        let mut config = config();
        config.set("pre-vote", "false", TICK).unwrap();
        config.set("max-entries", "1", TICK).unwrap();
        config.set("election-timeout", "500ms..1s", TICK).unwrap();
        assert!(!config.pre_vote);
        assert_eq!(config.max_entries, 1);
        assert_eq!(config.election_ticks, 50..=100);
    }

    #[test]
    fn a_senseless_setting_is_refused_with_what_was_expected() {
        let refused = config().set("election-timeout", "300ms..150ms", TICK).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "setting election-timeout=300ms..150ms: expected a range such as 150ms..300ms"
        );
        assert!(config().set("max-entries", "0", TICK).is_err());
        assert!(config().set("colour", "red", TICK).is_err());
    }
}
