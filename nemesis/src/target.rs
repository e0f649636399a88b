//! Turns a symbolic target into nodes, at the moment in which its fault begins.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use squall_history::NodeName;
use squall_history::schedule::{Pick, Role, Target};

/// What is known at the moment in which a target is resolved.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    /// Every node.
    pub nodes: &'a [NodeName],
    /// Those that run; a random choice takes them first, because a dead node cannot be hurt.
    pub running: &'a [NodeName],
    /// Who leads, if one is known to.
    pub leader: Option<&'a NodeName>,
    /// Whom earlier faults hit.
    pub hits: &'a BTreeMap<u32, Vec<NodeName>>,
}

/// Returns whether somebody must ask who leads before this target can be resolved.
pub fn asks_for_leader(target: &Target) -> bool {
    match target {
        Target::Leader | Target::NotLeader => true,
        Target::Pick(pick) => pick.who.is_some(),
        Target::One
        | Target::Minority
        | Target::Majority
        | Target::All
        | Target::Random
        | Target::Previous(_)
        | Target::Nodes(_) => false,
    }
}

/// Returns whom the target means, at least one node, or why there is none.
pub fn resolve(
    target: &Target,
    scene: &Scene<'_>,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<NodeName>, String> {
    let total = scene.nodes.len();
    let chosen = match target {
        Target::One => draw(scene, scene.nodes, 1, rng),
        Target::Minority => draw(scene, scene.nodes, total.saturating_sub(1) / 2, rng),
        Target::Majority => draw(scene, scene.nodes, total / 2 + 1, rng),
        Target::All => scene.nodes.to_vec(),
        Target::Leader => leader(scene, rng),
        Target::Random => {
            let count = rng.random_range(1..=total.max(1));
            draw(scene, scene.nodes, count, rng)
        }
        Target::NotLeader => draw(scene, &in_role(scene, scene.nodes, Role::Followers), 1, rng),
        Target::Previous(id) => hit_by(scene, *id)?.to_vec(),
        Target::Pick(pick) => choose(pick, scene, rng)?,
        Target::Nodes(named) => named.clone(),
    };
    if chosen.is_empty() {
        return Err(nobody(target, total));
    }
    Ok(in_order(scene.nodes, chosen))
}

fn nobody(target: &Target, total: usize) -> String {
    match target {
        Target::Minority => format!("{total} node(s) have no minority"),
        Target::One
        | Target::Majority
        | Target::All
        | Target::Leader
        | Target::Random
        | Target::NotLeader
        | Target::Previous(_)
        | Target::Pick(_)
        | Target::Nodes(_) => "the target is nobody".to_owned(),
    }
}

fn leader(scene: &Scene<'_>, rng: &mut ChaCha8Rng) -> Vec<NodeName> {
    match scene.leader {
        Some(leader) => vec![leader.clone()],
        None => draw(scene, scene.nodes, 1, rng),
    }
}

fn choose(pick: &Pick, scene: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Vec<NodeName>, String> {
    let wanted = hit_by_any(scene, &pick.of)?;
    let barred = hit_by_any(scene, &pick.not)?;
    let mut pool = scene.nodes.to_vec();
    pool.retain(|node| (pick.of.is_empty() || wanted.contains(&node)) && !barred.contains(&node));
    if let Some(role) = pick.who {
        // A recipe that builds on roles is lost where they are not known; better to say so than to guess.
        scene.leader.ok_or("nobody is known to lead")?;
        pool = in_role(scene, &pool, role);
    }
    let count = pick.count.map_or(pool.len(), |count| count as usize);
    Ok(draw(scene, &pool, count, rng))
}

fn in_role(scene: &Scene<'_>, pool: &[NodeName], role: Role) -> Vec<NodeName> {
    let leads = |node: &NodeName| scene.leader == Some(node);
    let mut pool = pool.to_vec();
    match role {
        Role::Leader => pool.retain(leads),
        Role::Followers => pool.retain(|node| !leads(node)),
    }
    pool
}

fn hit_by<'a>(scene: &Scene<'a>, id: u32) -> Result<&'a [NodeName], String> {
    let nodes = scene.hits.get(&id).map(Vec::as_slice);
    nodes.ok_or_else(|| format!("fault {id}, which the target refers to, hit nobody"))
}

fn hit_by_any<'a>(scene: &Scene<'a>, ids: &[u32]) -> Result<Vec<&'a NodeName>, String> {
    let mut nodes = Vec::new();
    for id in ids {
        nodes.extend(hit_by(scene, *id)?);
    }
    Ok(nodes)
}

/// Draws nodes from a pool, those that run before those that do not.
fn draw(scene: &Scene<'_>, pool: &[NodeName], count: usize, rng: &mut ChaCha8Rng) -> Vec<NodeName> {
    let mut pool: Vec<_> = pool.to_vec();
    pool.shuffle(rng);
    // The sort is stable: within the two groups the order stays random.
    pool.sort_by_key(|node| !scene.running.contains(node));
    pool.truncate(count);
    pool
}

fn in_order(nodes: &[NodeName], chosen: Vec<NodeName>) -> Vec<NodeName> {
    let mut ordered: Vec<_> = nodes.iter().filter(|node| chosen.contains(node)).cloned().collect();
    ordered.dedup();
    ordered
}

/// Returns a random order of the nodes, in which a shape lays out its ring or fills up its halves.
pub(crate) fn ring(nodes: &[NodeName], rng: &mut ChaCha8Rng) -> Vec<NodeName> {
    let mut ring = nodes.to_vec();
    ring.shuffle(rng);
    ring
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::target_stream;

    fn names(count: usize) -> Vec<NodeName> {
        (1..=count).map(|i| NodeName::from(format!("n{i}").as_str())).collect()
    }

    struct World {
        nodes: Vec<NodeName>,
        running: Vec<NodeName>,
        leader: Option<NodeName>,
        hits: BTreeMap<u32, Vec<NodeName>>,
    }

    impl World {
        fn of(count: usize) -> World {
            let nodes = names(count);
            World { running: nodes.clone(), nodes, leader: None, hits: BTreeMap::new() }
        }

        fn resolve(&self, target: &Target, seed: u64) -> Result<Vec<NodeName>, String> {
            let scene = Scene {
                nodes: &self.nodes,
                running: &self.running,
                leader: self.leader.as_ref(),
                hits: &self.hits,
            };
            resolve(target, &scene, &mut target_stream(seed, 1))
        }
    }

    #[test]
    fn minorities_are_less_and_majorities_more_than_half() {
        for total in 1..=7 {
            let world = World::of(total);
            for seed in 0..20 {
                let majority = world.resolve(&Target::Majority, seed).unwrap();
                assert!(majority.len() * 2 > total);
                match world.resolve(&Target::Minority, seed) {
                    Ok(minority) => assert!(!minority.is_empty() && minority.len() * 2 < total),
                    Err(why) => assert!(total < 3, "{why}"),
                }
            }
        }
    }

    #[test]
    fn every_random_choice_reaches_every_node() {
        let world = World::of(5);
        for target in [Target::One, Target::Minority, Target::Random, Target::Leader] {
            let mut seen: Vec<_> =
                (0..100).flat_map(|seed| world.resolve(&target, seed).unwrap()).collect();
            seen.sort();
            seen.dedup();
            assert_eq!(seen, names(5), "{target:?}");
        }
    }

    #[test]
    fn the_leader_is_hit_where_one_is_known() {
        let world = World { leader: Some("n4".into()), ..World::of(5) };
        for seed in 0..20 {
            assert_eq!(world.resolve(&Target::Leader, seed).unwrap(), ["n4".into()]);
            assert_ne!(world.resolve(&Target::NotLeader, seed).unwrap(), ["n4".into()]);
        }
    }

    #[test]
    fn a_lone_leader_leaves_no_follower_to_hit() {
        let world = World { leader: Some("n1".into()), ..World::of(1) };
        assert!(world.resolve(&Target::NotLeader, 0).is_err());
    }

    #[test]
    fn random_choices_spare_the_dead_while_others_live() {
        let world = World { running: names(2), ..World::of(5) };
        for seed in 0..20 {
            let minority = world.resolve(&Target::Minority, seed).unwrap();
            assert_eq!(minority, names(2));
            assert_eq!(world.resolve(&Target::Majority, seed).unwrap().len(), 3);
        }
    }

    #[test]
    fn a_pick_takes_from_what_earlier_faults_hit() {
        let mut world = World { leader: Some("n1".into()), ..World::of(5) };
        world.hits.insert(1, vec!["n2".into(), "n3".into()]);
        world.hits.insert(2, vec!["n4".into()]);
        let followers = Pick { not: vec![1], who: Some(Role::Followers), ..Pick::default() };
        let one_of_first = Pick { of: vec![1], count: Some(1), ..Pick::default() };

        for seed in 0..20 {
            let rest = world.resolve(&Target::Pick(followers.clone()), seed).unwrap();
            assert_eq!(rest, ["n4".into(), "n5".into()]);
            let one = world.resolve(&Target::Pick(one_of_first.clone()), seed).unwrap();
            assert!(one.len() == 1 && world.hits[&1].contains(&one[0]));
        }
        assert_eq!(world.resolve(&Target::Previous(2), 0).unwrap(), ["n4".into()]);
    }

    #[test]
    fn a_pick_by_role_needs_a_leader() {
        let followers = Pick { who: Some(Role::Followers), ..Pick::default() };
        let why = World::of(5).resolve(&Target::Pick(followers), 0).unwrap_err();
        assert_eq!(why, "nobody is known to lead");
    }

    #[test]
    fn a_reference_to_a_fault_that_hit_nobody_says_so() {
        let why = World::of(3).resolve(&Target::Previous(7), 0).unwrap_err();
        assert_eq!(why, "fault 7, which the target refers to, hit nobody");
    }

    #[test]
    fn the_same_seed_hits_the_same_nodes() {
        let world = World::of(7);
        for target in [Target::One, Target::Minority, Target::Random] {
            assert_eq!(world.resolve(&target, 5), world.resolve(&target, 5));
        }
    }
}
