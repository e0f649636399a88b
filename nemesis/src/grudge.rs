//! A partition is who refuses whom: turns a shape and its target into the directed pairs to cut.
//!
//! ```text
//! isolate n1          halves (n1,n2 | n3,n4,n5)   majorities-ring      bridge n3           one-way-in n1
//! n1   n2─n3          n1─n2   n3─n4               n1─n2─n3             n1─n2   n4─n5       n1 ──► n2…n5
//!      │ × │                   \ │                │       \              \ │ ×  │ /        n1 ◄╳─ n2…n5
//!      n4─n5                    n5                n5───────n4               └ n3 ┘
//! ```

use std::collections::BTreeSet;

use squall_cluster::Cut;
use squall_history::NodeName;
use squall_history::schedule::Shape;

/// A partition, ready to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grudge {
    /// Whom the shape singles out: the isolated, the smaller half, the bridge, every node of a ring.
    pub nodes: Vec<NodeName>,
    /// Who is not heard by whom.
    pub cut: Cut,
}

/// Returns the grudge of a shape around its targets, or why the shape cannot be had.
///
/// `ring` holds every node; its order says who fills up the smaller half, who stands on which side of a bridge, and who
/// is whose neighbour.
pub fn grudge(shape: Shape, targets: &[NodeName], ring: &[NodeName]) -> Result<Grudge, String> {
    if ring.len() < 2 {
        return Err("a partition takes two nodes".to_owned());
    }
    let (nodes, pairs) = match shape {
        Shape::Isolate => isolate(targets, ring),
        Shape::Halves => halves(targets, ring)?,
        Shape::MajoritiesRing => majorities_ring(ring)?,
        Shape::Bridge => bridge(targets, ring)?,
        Shape::OneWayIn => (targets.to_vec(), between(&others(targets, ring), targets)),
        Shape::OneWayOut => (targets.to_vec(), between(targets, &others(targets, ring))),
    };
    if pairs.is_empty() {
        return Err("the target is everybody, and nobody is left on the other side".to_owned());
    }
    let mut nodes = nodes;
    nodes.sort();
    Ok(Grudge { nodes, cut: Cut { pairs } })
}

type Pairs = BTreeSet<(NodeName, NodeName)>;

fn others(targets: &[NodeName], ring: &[NodeName]) -> Vec<NodeName> {
    ring.iter().filter(|node| !targets.contains(node)).cloned().collect()
}

/// Nobody in `to` hears anybody in `from`.
fn between(from: &[NodeName], to: &[NodeName]) -> Pairs {
    from.iter().flat_map(|a| to.iter().map(move |b| (a.clone(), b.clone()))).collect()
}

fn both_ways(left: &[NodeName], right: &[NodeName]) -> Pairs {
    let mut pairs = between(left, right);
    pairs.extend(between(right, left));
    pairs
}

fn isolate(targets: &[NodeName], ring: &[NodeName]) -> (Vec<NodeName>, Pairs) {
    (targets.to_vec(), both_ways(targets, &others(targets, ring)))
}

fn halves(targets: &[NodeName], ring: &[NodeName]) -> Result<(Vec<NodeName>, Pairs), String> {
    let half = ring.len() / 2;
    if targets.len() > half {
        let (count, total) = (targets.len(), ring.len());
        return Err(format!("{count} targets do not fit in the smaller half of {total} nodes"));
    }
    let mut smaller = targets.to_vec();
    smaller.extend(others(targets, ring).into_iter().take(half - targets.len()));
    let pairs = both_ways(&smaller, &others(&smaller, ring));
    Ok((smaller, pairs))
}

fn bridge(targets: &[NodeName], ring: &[NodeName]) -> Result<(Vec<NodeName>, Pairs), String> {
    let [bridge] = targets else {
        return Err(format!("a bridge is one node, not {}", targets.len()));
    };
    if ring.len() < 3 {
        return Err("a bridge takes three nodes".to_owned());
    }
    let banks = others(targets, ring);
    let (left, right) = banks.split_at(banks.len() / 2);
    Ok((vec![bridge.clone()], both_ways(left, right)))
}

/// Each node hears itself and its nearest neighbours on both sides, as many as make a majority. Windows of one length
/// that start at different nodes differ, as long as they do not cover the ring.
fn majorities_ring(ring: &[NodeName]) -> Result<(Vec<NodeName>, Pairs), String> {
    let total = ring.len();
    match total {
        0..3 => return Err("a majorities ring takes three nodes".to_owned()),
        // A window that is a majority covers a ring of three; a path of three does what is asked.
        3 => return Ok((ring.to_vec(), both_ways(&ring[..1], &ring[2..]))),
        4.. => {}
    }
    let majority = total / 2 + 1;
    let neighbours = (majority - 1).div_ceil(2);
    let mut pairs = Pairs::new();
    for (i, a) in ring.iter().enumerate() {
        for distance in neighbours + 1..total - neighbours {
            pairs.insert((a.clone(), ring[(i + distance) % total].clone()));
        }
    }
    Ok((ring.to_vec(), pairs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(count: usize) -> Vec<NodeName> {
        (1..=count).map(|i| NodeName::from(format!("n{i}").as_str())).collect()
    }

    fn heard_by(node: &NodeName, ring: &[NodeName], cut: &Cut) -> BTreeSet<NodeName> {
        let silent = |from: &&NodeName| cut.pairs.contains(&((*from).clone(), node.clone()));
        ring.iter().filter(|from| !silent(from)).cloned().collect()
    }

    fn is_symmetric(cut: &Cut) -> bool {
        cut.pairs.iter().all(|(a, b)| cut.pairs.contains(&(b.clone(), a.clone())))
    }

    /// A ring in any order, and some of its nodes.
    fn ring_and_targets() -> impl Strategy<Value = (Vec<NodeName>, Vec<NodeName>)> {
        (1usize..9).prop_flat_map(|total| {
            (Just(names(total)).prop_shuffle(), prop::sample::subsequence(names(total), 1..=total))
        })
    }

    fn shape() -> impl Strategy<Value = Shape> {
        prop::sample::select(&Shape::ALL[..])
    }

    proptest! {
        #[test]
        fn in_a_majorities_ring_each_node_sees_a_majority_and_no_two_the_same(
            ring in (3usize..10).prop_flat_map(|total| Just(names(total)).prop_shuffle())
        ) {
            let cut = grudge(Shape::MajoritiesRing, &ring, &ring).unwrap().cut;
            let views: BTreeSet<_> =
                ring.iter().map(|node| heard_by(node, &ring, &cut)).collect();
            prop_assert_eq!(views.len(), ring.len());
            for view in views {
                prop_assert!(view.len() * 2 > ring.len());
            }
            prop_assert!(is_symmetric(&cut));
        }

        #[test]
        fn the_halves_of_a_bridge_meet_only_in_it(
            ring in (3usize..9).prop_flat_map(|total| Just(names(total)).prop_shuffle())
        ) {
            let target = [ring[0].clone()];
            let Grudge { nodes, cut } = grudge(Shape::Bridge, &target, &ring).unwrap();
            prop_assert_eq!(&nodes[..], &target[..]);
            prop_assert_eq!(heard_by(&ring[0], &ring, &cut).len(), ring.len());
            let sides: BTreeSet<_> =
                ring[1..].iter().map(|node| heard_by(node, &ring, &cut)).collect();
            prop_assert_eq!(sides.len(), 2);
            let mut sides = sides.into_iter();
            let (left, right) = (sides.next().unwrap(), sides.next().unwrap());
            prop_assert_eq!(left.intersection(&right).collect::<Vec<_>>(), vec![&ring[0]]);
            prop_assert!(left.len().abs_diff(right.len()) <= 1);
        }

        #[test]
        fn one_way_cuts_are_each_others_mirror((ring, targets) in ring_and_targets()) {
            let inward = grudge(Shape::OneWayIn, &targets, &ring);
            let outward = grudge(Shape::OneWayOut, &targets, &ring);
            let (Ok(inward), Ok(outward)) = (inward, outward) else {
                prop_assert!(targets.len() == ring.len());
                return Ok(());
            };
            for (a, b) in &inward.cut.pairs {
                prop_assert!(!targets.contains(a) && targets.contains(b));
                prop_assert!(outward.cut.pairs.contains(&(b.clone(), a.clone())));
                prop_assert!(!inward.cut.pairs.contains(&(b.clone(), a.clone())));
            }
            prop_assert_eq!(inward.cut.pairs.len(), targets.len() * (ring.len() - targets.len()));
        }

        #[test]
        fn cuts_are_not_empty_and_only_one_way_cuts_have_a_direction(
            shape in shape(), (ring, targets) in ring_and_targets()
        ) {
            let Ok(Grudge { nodes, cut }) = grudge(shape, &targets, &ring) else { return Ok(()) };
            prop_assert!(!cut.is_healed() && !nodes.is_empty());
            prop_assert!(cut.pairs.iter().all(|(a, b)| a != b));
            prop_assert_eq!(
                is_symmetric(&cut),
                !matches!(shape, Shape::OneWayIn | Shape::OneWayOut)
            );
        }

        #[test]
        fn the_isolated_hear_one_another_and_nobody_else((ring, targets) in ring_and_targets()) {
            let Ok(Grudge { cut, .. }) = grudge(Shape::Isolate, &targets, &ring) else {
                return Ok(());
            };
            let inside: BTreeSet<_> = targets.iter().cloned().collect();
            for node in &ring {
                let heard = heard_by(node, &ring, &cut);
                prop_assert_eq!(heard == inside, inside.contains(node));
                prop_assert!(heard == inside || heard.is_disjoint(&inside));
            }
        }

        #[test]
        fn of_two_halves_the_target_is_in_the_smaller((ring, targets) in ring_and_targets()) {
            let Ok(Grudge { nodes, cut }) = grudge(Shape::Halves, &targets, &ring) else {
                prop_assert!(targets.len() > ring.len() / 2);
                return Ok(());
            };
            prop_assert_eq!(nodes.len(), ring.len() / 2);
            prop_assert!(targets.iter().all(|target| nodes.contains(target)));
            let isolated = grudge(Shape::Isolate, &nodes, &ring).unwrap();
            prop_assert_eq!(cut, isolated.cut);
        }
    }

    #[test]
    fn a_lone_node_cannot_be_partitioned() {
        for shape in Shape::ALL {
            let why = grudge(shape, &names(1), &names(1)).unwrap_err();
            assert_eq!(why, "a partition takes two nodes");
        }
    }
}
