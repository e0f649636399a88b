//! Hand-written moments, each with what it is.

use squall_history::schedule::{FaultInterval, FaultOutcome};
use squall_history::trace::EntryHash;

use super::*;

fn fault(family: &str, nodes: &[&str], from: u64, to: u64) -> FaultInterval {
    FaultInterval {
        id: 1,
        family: family.to_owned(),
        text: String::new(),
        nodes: nodes.iter().map(|name| NodeName::from(*name)).collect(),
        cut: Vec::new(),
        from: Nanos(from),
        to: Some(Nanos(to)),
        outcome: FaultOutcome::Installed,
        healed: None,
    }
}

fn cut(mut fault: FaultInterval, pairs: &[(&str, &str)]) -> FaultInterval {
    fault.cut = pairs.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect();
    fault
}

/// Three nodes that have booted.
struct Story {
    walk: Walk,
    faults: Vec<FaultInterval>,
}

impl Story {
    fn begin() -> Story {
        let nodes = ["n1", "n2", "n3"];
        let walk = Walk::new(nodes.map(NodeName::from));
        let mut story = Story { walk, faults: Vec::new() };
        nodes.iter().for_each(|node| story.boot(0, node, 0));
        story
    }

    fn say(&mut self, time: u64, node: &str, event: &TraceEvent) {
        self.walk.feed(&node.into(), Nanos(time), event);
    }

    fn boot(&mut self, time: u64, node: &str, term: u64) {
        let boot = TraceEvent::Boot {
            term: term.into(),
            vote: None,
            snapshot: LogPosition::default(),
            applied: 0,
            config: squall_history::trace::Voters::default(),
        };
        self.say(time, node, &boot);
    }

    fn lead(&mut self, time: u64, node: &str, term: u64) {
        let last = LogPosition::default();
        self.say(time, node, &TraceEvent::BecomeLeader { term: term.into(), last });
    }

    fn follow(&mut self, time: u64, node: &str, term: u64) {
        let last = LogPosition::default();
        self.say(time, node, &TraceEvent::BecomeFollower { term: term.into(), last });
    }

    fn append(&mut self, time: u64, node: &str, index: u64, count: usize, term: u64) {
        let append = TraceEvent::Append {
            index,
            term: term.into(),
            prev_term: Epoch::default(),
            hashes: vec![EntryHash(0); count],
            recovered: false,
        };
        self.say(time, node, &append);
    }

    fn end(self) -> Visited {
        self.walk.finish(&Timeline { faults: self.faults, ..Timeline::default() })
    }
}

#[test]
fn a_calm_run_visits_little() {
    let mut story = Story::begin();
    story.lead(1, "n1", 1);
    story.follow(2, "n2", 1);
    story.follow(3, "n3", 1);
    let visited = story.end();
    assert!(visited.situations.is_empty(), "{visited:?}");
    let states: Vec<&str> = visited.states.iter().map(String::as_str).collect();
    assert_eq!(states, ["F1= F1= L==", "F1= F== L==", "F== F== F==", "F== F== L=="]);
}

#[test]
fn a_cut_off_leader_with_entries_of_its_own_returns_after_another_was_elected() {
    let mut story = Story::begin();
    story.lead(1, "n1", 1);
    let pairs = [("n1", "n2"), ("n1", "n3"), ("n2", "n1"), ("n3", "n1")];
    story.faults.push(cut(fault("partition", &["n1"], 10, 100), &pairs));
    story.append(20, "n1", 1, 3, 1);
    story.lead(30, "n2", 2);
    story.append(40, "n2", 1, 1, 2);
    story.follow(110, "n1", 2);
    story.say(120, "n1", &TraceEvent::Truncate { from: 1 });
    let visited = story.end();
    for situation in [
        Situation::LeaderPartitioned,
        Situation::LeaderCutOff,
        Situation::EntriesOfOne,
        Situation::ElectedInPartition,
        Situation::ElectedBehind,
        Situation::TwoLeaders,
        Situation::LongerButOlder,
        Situation::DeposedReturns,
        Situation::Truncated,
    ] {
        assert!(visited.situations.contains(&situation), "{situation:?} in {visited:?}");
    }
    for situation in [Situation::LeaderOneWay, Situation::LeaderKilled, Situation::NoLeader] {
        assert!(!visited.situations.contains(&situation), "{situation:?} in {visited:?}");
    }
    assert!(visited.states.contains("F2< L1>| L=="), "{visited:?}");
}

#[test]
fn kills_and_pauses_at_once_are_a_combination() {
    let mut story = Story::begin();
    story.lead(1, "n1", 1);
    story.faults.push(fault("pause", &["n1"], 10, 2_000_000_000));
    story.faults.push(fault("kill", &["n2", "n3"], 20, 1_500_000_000));
    story.boot(1_500_000_000, "n2", 1);
    story.lead(1_600_000_000, "n2", 2);
    let visited = story.end();
    assert_eq!(visited.combinations.iter().collect::<Vec<_>>(), ["kill + pause"]);
    for situation in [Situation::LeaderPaused, Situation::MajorityDown, Situation::DeposedWakes] {
        assert!(visited.situations.contains(&situation), "{situation:?} in {visited:?}");
    }
    assert!(!visited.situations.contains(&Situation::AllDown), "{visited:?}");
}

#[test]
fn without_traces_faults_are_all_that_is_known() {
    let mut walk = Walk::new(["n1", "n2", "n3"].map(NodeName::from));
    walk.feed(&"n9".into(), Nanos(0), &TraceEvent::Truncate { from: 1 });
    let faults = vec![fault("pause", &["n1"], 10, 30), fault("kill", &["n2"], 20, 40)];
    let visited = walk.finish(&Timeline { faults, ..Timeline::default() });
    assert!(!visited.traced && visited.states.is_empty() && visited.situations.is_empty());
    assert_eq!(visited.combinations.len(), 1);
}

#[test]
fn every_situation_has_a_sentence_of_its_own() {
    let texts: BTreeSet<&str> = Situation::ALL.iter().map(|one| one.text()).collect();
    assert_eq!(texts.len(), Situation::ALL.len());
}
