//! The catalog of fault families: their names, what they need and what they find.

use std::fmt;

/// Names a kind of fault, as `--nemesis` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// SIGKILL and restart.
    Kill,
    /// SIGSTOP and SIGCONT.
    Pause,
    /// Cut links.
    Partition,
    /// SIGTERM or SIGKILL and restart as another version.
    Upgrade,
    /// Out of the cluster, and in again.
    Member,
}

impl Family {
    /// Every family, in the order in which they are listed.
    pub const ALL: [Family; 5] =
        [Family::Kill, Family::Pause, Family::Partition, Family::Upgrade, Family::Member];

    /// Those that every system can suffer, whatever its page says.
    pub const COMMON: [Family; 3] = [Family::Kill, Family::Pause, Family::Partition];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// Returns what there is to say of it.
    pub fn info(self) -> &'static FamilyInfo {
        match self {
            Family::Kill => &FAMILIES[0],
            Family::Pause => &FAMILIES[1],
            Family::Partition => &FAMILIES[2],
            Family::Upgrade => &FAMILIES[3],
            Family::Member => &FAMILIES[4],
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What `squall list faults` says of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyInfo {
    /// The family.
    pub family: Family,
    /// Its name for `--nemesis`.
    pub name: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// What the machine must allow.
    pub needs: &'static str,
    /// Which mistakes it brings to light.
    pub finds: &'static str,
    /// The assumption of Raft that it breaks.
    pub breaks: Assumption,
}

/// What Raft assumes of its world. A fault that breaks one voids the claims that rest on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assumption {
    /// Nothing: a correct Raft survives the fault.
    None,
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Assumption::None => f.write_str("none"),
        }
    }
}

static FAMILIES: [FamilyInfo; 5] = [
    FamilyInfo {
        family: Family::Kill,
        name: "kill",
        summary: "SIGKILL to one, a minority, a majority, all, the leader or some; restart on the same data",
        needs: "signals to the nodes' processes",
        finds: "answers before durability, forgotten votes and terms, torn logs, lost sessions",
        breaks: Assumption::None,
    },
    FamilyInfo {
        family: Family::Pause,
        name: "pause",
        summary: "SIGSTOP to one, a minority, a majority, all, the leader or some; SIGCONT later",
        needs: "signals to the nodes' processes",
        finds: "leaders that sleep through an election and still answer, stale timers and leases",
        breaks: Assumption::None,
    },
    FamilyInfo {
        family: Family::Partition,
        name: "partition",
        summary: "cut links: isolate, halves, majorities-ring, bridge, one-way in and out",
        needs: "network namespaces and a firewall in them (iptables or nftables), or proxies; 2 nodes or more",
        finds: "stale reads, two leaders that both answer, commits without a majority, bad truncation",
        breaks: Assumption::None,
    },
    FamilyInfo {
        family: Family::Upgrade,
        name: "upgrade",
        summary: "roll the nodes to the next version, one at a time: SIGTERM or SIGKILL, restart on the same data",
        needs: "a page with [node.versions]; part of all where there is one",
        finds: "formats that the other version misreads, mixed clusters that disagree on what an entry does",
        breaks: Assumption::None,
    },
    FamilyInfo {
        family: Family::Member,
        name: "member",
        summary: "take one node out of the cluster and end it; later make it a member again and start it, empty",
        needs: "a page with [member] add and remove; 3 nodes or more; never part of all, for it leaves clients as the only judges",
        finds: "quorums that count who is gone, removed leaders that go on, joiners that vote for what they never saw",
        breaks: Assumption::None,
    },
];

/// Returns the catalog.
pub fn families() -> &'static [FamilyInfo] {
    &FAMILIES
}

/// A word after `--nemesis` that names no family.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown fault family {word:?}{}; there are {}, all and none",
    .nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default(),
    Family::ALL.map(Family::name).join(", ")
)]
pub struct UnknownFamily {
    /// The word.
    pub word: String,
    /// A known word that is spelled almost like it.
    pub nearest: Option<&'static str>,
}

/// Reads `kill,pause,partition`, `all` or `none`. A family named twice counts once.
///
/// `all` means those that break no assumption, which a correct Raft survives, and that need nothing of the system's page.
pub fn parse_families(text: &str) -> Result<Vec<Family>, UnknownFamily> {
    let mut chosen = Vec::new();
    for word in text.split(',').map(str::trim) {
        for family in parse_word(word)? {
            if !chosen.contains(&family) {
                chosen.push(family);
            }
        }
    }
    Ok(chosen)
}

fn parse_word(word: &str) -> Result<Vec<Family>, UnknownFamily> {
    match word {
        "none" => Ok(Vec::new()),
        "all" => Ok(sparing(Assumption::None)),
        _ => Family::ALL
            .into_iter()
            .find(|family| family.name() == word)
            .map(|family| vec![family])
            .ok_or_else(|| unknown(word)),
    }
}

fn sparing(assumption: Assumption) -> Vec<Family> {
    Family::COMMON.into_iter().filter(|family| family.info().breaks == assumption).collect()
}

fn unknown(word: &str) -> UnknownFamily {
    let words = Family::ALL.into_iter().map(Family::name).chain(["all", "none"]);
    UnknownFamily { word: word.to_owned(), nearest: nearest(word, words) }
}

/// Returns the known word that is spelled most like this one, if any is close.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, name)| *distance <= 1.max(name.len() / 3))
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_named_in_a_list() {
        assert_eq!(parse_families("pause, kill,pause"), Ok(vec![Family::Pause, Family::Kill]));
        assert_eq!(parse_families("all"), Ok(Family::COMMON.to_vec()));
        assert_eq!(parse_families("none"), Ok(Vec::new()));
    }

    #[test]
    fn an_unknown_family_gets_the_nearest_one() {
        let error = parse_families("kill,partion").unwrap_err();
        assert_eq!(error.nearest, Some("partition"));
        assert_eq!(
            error.to_string(),
            "unknown fault family \"partion\"; did you mean partition?; \
             there are kill, pause, partition, upgrade, member, all and none"
        );
        assert_eq!(parse_families("earthquake").unwrap_err().nearest, None);
        assert!(parse_families("").is_err());
    }

    #[test]
    fn the_catalog_lists_every_family_under_its_own_name() {
        for family in Family::ALL {
            assert_eq!(family.info().family, family);
        }
    }
}
