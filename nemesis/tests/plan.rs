//! What a plan promises, whatever the seed: every family comes, everything is healed in time, the same spec gives the
//! same plan.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use squall_history::NodeName;
use squall_history::schedule::{Condition, Line, Planned, Trigger, Writer};
use squall_nemesis::{
    Family, PlanSpec, Timing, Versions, default_interval, heal_by, plan, schedule_file,
};

fn names(count: usize) -> Vec<NodeName> {
    (1..=count).map(|i| NodeName::from(format!("n{i}").as_str())).collect()
}

fn spec(nodes: usize, seconds: u64, seed: u64) -> PlanSpec {
    PlanSpec {
        families: Family::COMMON.to_vec(),
        nodes: names(nodes),
        time_limit: Duration::from_secs(seconds),
        interval: None,
        seed,
        timing: Timing::default(),
        versions: Versions::default(),
    }
}

fn specs() -> impl Strategy<Value = PlanSpec> {
    let families = prop::sample::subsequence(Family::COMMON.to_vec(), 1..=3).prop_shuffle();
    let nodes = prop::sample::select(vec![1usize, 2, 3, 4, 5, 7]);
    let interval = prop::option::of((50u64..20_000).prop_map(Duration::from_millis));
    let timeout = (20u64..2000).prop_map(Duration::from_millis);
    (families, nodes, 500u64..120_000, interval, any::<u64>(), timeout).prop_map(
        |(families, nodes, limit, interval, seed, election_timeout)| PlanSpec {
            families,
            nodes: names(nodes),
            time_limit: Duration::from_millis(limit),
            interval,
            seed,
            timing: Timing { election_timeout },
            versions: Versions::default(),
        },
    )
}

/// When a fault begins and ends if all goes as planned; none where that hangs on an election.
fn nominal(plan: &[Planned]) -> BTreeMap<u32, Option<(Duration, Duration)>> {
    let mut times: BTreeMap<u32, Option<(Duration, Duration)>> = BTreeMap::new();
    for planned in plan {
        let from = match &planned.trigger {
            Trigger::At(at) => Some(*at),
            Trigger::After(Condition::Installed(id)) => times[id].map(|(begins, _)| begins),
            Trigger::After(Condition::Healed(id)) => times[id].map(|(_, ends)| ends),
            Trigger::After(_) => None,
        };
        let span = from.map(|from| (from + planned.delay, from + planned.delay + planned.lasts));
        times.insert(planned.id, span);
    }
    times
}

fn printed(plan: &[Planned]) -> String {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out).expect("memory can be written");
    for planned in plan {
        writer.line(&Line::Plan(planned.clone())).expect("memory can be written");
    }
    String::from_utf8(out).expect("JSON is UTF-8")
}

proptest! {
    #[test]
    fn every_family_comes_at_a_fixed_time_and_none_twice_before_the_others(spec in specs()) {
        let plan = plan(&spec);
        let count = spec.families.len();
        for round in plan.chunks_exact(count) {
            let families: BTreeSet<_> = round.iter().map(|it| it.fault.family()).collect();
            prop_assert_eq!(families.len(), count);
        }
        prop_assert!(plan.len() >= count);
        for planned in &plan[..count] {
            prop_assert!(matches!(planned.trigger, Trigger::At(_)));
        }
    }

    #[test]
    fn everything_is_healed_before_the_time_limit(spec in specs()) {
        let healed_by = heal_by(spec.time_limit);
        prop_assert!(healed_by <= spec.time_limit * 9 / 10);
        if spec.time_limit >= Duration::from_secs(3) {
            prop_assert!(spec.time_limit - healed_by >= Duration::from_secs(1));
        }
        for (id, span) in nominal(&plan(&spec)) {
            if let Some((_, ends)) = span {
                prop_assert!(ends <= healed_by, "fault {id} ends at {ends:?} of {healed_by:?}");
            }
        }
    }

    #[test]
    fn the_same_spec_gives_the_same_plan(spec in specs()) {
        prop_assert_eq!(plan(&spec), plan(&spec));
    }

    #[test]
    fn a_plan_that_is_printed_can_be_run_again(spec in specs()) {
        let plan = plan(&spec);
        let file = schedule_file::parse("plan", &printed(&plan), &spec.nodes, &[]).unwrap();
        prop_assert_eq!(file.plan, plan);
    }
}

#[test]
fn another_seed_gives_another_plan() {
    let plans: BTreeSet<_> = (0..50).map(|seed| printed(&plan(&spec(5, 30, seed)))).collect();
    assert_eq!(plans.len(), 50);
}

#[test]
fn in_half_a_minute_a_leader_is_almost_always_hit_for_long_enough_to_lose_its_place() {
    let hit = |seed: &u64| {
        plan(&spec(5, 30, *seed)).iter().any(|planned| {
            printed(std::slice::from_ref(planned)).contains("\"target\":\"leader\"")
                && planned.lasts >= Duration::from_millis(900)
        })
    };
    let hits = (0..100).filter(hit).count();
    assert!(hits >= 80, "only {hits} plans of 100");
}

#[test]
fn over_many_seeds_every_shape_target_and_trigger_comes() {
    let text: String = (0..200).map(|seed| printed(&plan(&spec(5, 60, seed)))).collect();
    for word in [
        "isolate",
        "halves",
        "majorities-ring",
        "bridge",
        "one-way-in",
        "one-way-out",
        "one",
        "minority",
        "majority",
        "all",
        "leader",
        "random",
        "healed",
        "installed",
        "elected-after",
    ] {
        assert!(text.contains(&format!("\"{word}\"")), "{word} never comes");
    }
}

#[test]
fn no_family_gives_no_plan() {
    assert!(plan(&PlanSpec { families: Vec::new(), ..spec(5, 30, 1) }).is_empty());
}

#[test]
fn the_interval_is_the_limit_by_twice_the_families_at_most_five_seconds() {
    assert_eq!(default_interval(Duration::from_secs(12), 3), Duration::from_secs(2));
    assert_eq!(default_interval(Duration::from_secs(300), 1), Duration::from_secs(5));
}

#[test]
fn the_default_plan_of_half_a_minute() {
    insta::assert_snapshot!(printed(&plan(&spec(5, 30, 1))));
}

#[test]
fn a_plan_of_three_seconds_for_three_nodes() {
    insta::assert_snapshot!(printed(&plan(&spec(3, 3, 7))));
}

#[test]
fn a_plan_for_a_lone_node() {
    insta::assert_snapshot!(printed(&plan(&spec(1, 6, 2))));
}
