//! Stretches of time that are covered without a gap by the elements that are certainly there, while elements are taken away.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::elements::Element;

/// Places in time, counted by what can change at them: returns of what puts an element in, and invocations of what takes it
/// out. Place k stands for the time from the k-th of these to the next.
pub(crate) struct Stretches {
    /// The doubled events.
    places: Vec<u64>,
    cover: Cover,
    /// For each element, the places that it covers, from the first to before the last; none where it has been taken away.
    covers: Vec<Option<(u32, u32)>>,
    /// The elements by when they were put in, so that those in one lane follow each other.
    lanes: Vec<Vec<u32>>,
}

impl Stretches {
    /// Begins with all elements.
    pub(crate) fn new(elements: &[Element]) -> Stretches {
        let stays = |element: &Element| element.stays();
        let present = || elements.iter().filter(|element| element.presence().is_some());
        let mut places: Vec<u64> = present().map(|element| element.put_until).collect();
        places.extend(present().filter(|element| !stays(element)).map(|e| e.take_from));
        places.sort_unstable();
        let place = |time: u64| places.partition_point(|known| *known < time) as u32;
        let covered = |element: &Element| {
            element.presence().map(|_| (place(element.put_until), place(element.take_from)))
        };
        let covers: Vec<Option<(u32, u32)>> = elements.iter().map(covered).collect();
        let cover = Cover::new(places.len(), covers.iter().copied().flatten());
        Stretches { lanes: lanes(elements), places, cover, covers }
    }

    /// Returns how many places there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns the places that an element covers, unless it has been taken away.
    pub(crate) fn covers(&self, n: usize) -> Option<(usize, usize)> {
        self.covers[n].map(|(from, to)| (from as usize, to as usize))
    }

    /// Returns the stretches between two places, the last first.
    pub(crate) fn between(&self, from: usize, to: usize) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let mut place = from;
        while let Some(first) = self.cover.next(place, to, true) {
            let last = self.cover.next(first, to, false).unwrap_or(to);
            found.push((first, last));
            place = last;
        }
        found.reverse();
        found
    }

    /// Finds an element of a stretch that can be there all along: put in before the stretch begins, and taken out behind it.
    pub(crate) fn bottom(&self, elements: &[Element], from: usize, to: usize) -> Option<usize> {
        let begins = self.places[from];
        let ends = self.places.get(to).copied();
        let lies = |n: &usize| {
            let element = &elements[*n];
            let inside = self.covers(*n).is_some_and(|(first, last)| from <= first && last <= to);
            // A stretch that never ends has an element that stays, and only such a one can lie below it.
            let leaves = ends.map_or(element.take_until == super::elements::NEVER, |ends| {
                element.take_until > ends
            });
            inside && leaves
        };
        let open = self.lanes.iter().filter_map(|lane| {
            let next = lane.partition_point(|n| elements[*n as usize].put_from < begins);
            next.checked_sub(1).map(|last| lane[last] as usize)
        });
        open.filter(|n| elements[*n].put_until >= begins).find(lies)
    }

    /// Takes an element away.
    pub(crate) fn take_away(&mut self, n: usize) {
        if let Some((from, to)) = self.covers[n].take() {
            self.cover.add(from as usize, to as usize, -1);
        }
    }
}

/// Sorts what puts elements in into lanes in which no two overlap.
fn lanes(elements: &[Element]) -> Vec<Vec<u32>> {
    let mut order: Vec<u32> = (0..elements.len() as u32).collect();
    order.retain(|n| elements[*n as usize].presence().is_some());
    order.sort_unstable_by_key(|n| elements[*n as usize].put_from);
    let mut lanes: Vec<Vec<u32>> = Vec::new();
    let mut free: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    for n in order {
        let element = &elements[n as usize];
        let lane = match free.peek() {
            Some(Reverse((until, lane))) if *until < element.put_from => *lane,
            Some(_) | None => lanes.len(),
        };
        if lane == lanes.len() {
            lanes.push(Vec::new());
        } else {
            free.pop();
        }
        lanes[lane].push(n);
        free.push(Reverse((element.put_until, lane)));
    }
    lanes
}

/// How often each place is covered: a tree of which each node knows the least and the most below it.
struct Cover {
    leaves: usize,
    /// The least and the most below each node, without what was added to its ancestors as a whole.
    nodes: Vec<(i32, i32)>,
    /// What was added to all below each node.
    added: Vec<i32>,
}

impl Cover {
    fn new(places: usize, covers: impl Iterator<Item = (u32, u32)>) -> Cover {
        let leaves = places.next_power_of_two();
        let mut steps = vec![0; leaves + 1];
        for (from, to) in covers {
            steps[from as usize] += 1;
            steps[to as usize] -= 1;
        }
        let mut nodes = vec![(0, 0); 2 * leaves];
        let mut count = 0;
        for place in 0..leaves {
            count += steps[place];
            nodes[leaves + place] = (count, count);
        }
        let mut cover = Cover { leaves, nodes, added: vec![0; 2 * leaves] };
        for node in (1..leaves).rev() {
            cover.sum(node);
        }
        cover
    }

    fn sum(&mut self, node: usize) {
        let (one, two) = (self.nodes[2 * node], self.nodes[2 * node + 1]);
        let added = self.added[node];
        self.nodes[node] = (one.0.min(two.0) + added, one.1.max(two.1) + added);
    }

    fn add(&mut self, from: usize, to: usize, what: i32) {
        self.add_below(1, (0, self.leaves), (from, to), what);
    }

    fn add_below(&mut self, node: usize, span: (usize, usize), part: (usize, usize), what: i32) {
        if part.1 <= span.0 || span.1 <= part.0 {
            return;
        }
        if part.0 <= span.0 && span.1 <= part.1 {
            self.added[node] += what;
            self.nodes[node].0 += what;
            self.nodes[node].1 += what;
            return;
        }
        let middle = span.0.midpoint(span.1);
        self.add_below(2 * node, (span.0, middle), part, what);
        self.add_below(2 * node + 1, (middle, span.1), part, what);
        self.sum(node);
    }

    /// Finds the first place of some that is covered, or the first that is not.
    fn next(&self, from: usize, to: usize, covered: bool) -> Option<usize> {
        self.next_below(1, (0, self.leaves), (from, to), (covered, 0))
    }

    fn next_below(
        &self,
        node: usize,
        span: (usize, usize),
        part: (usize, usize),
        (covered, above): (bool, i32),
    ) -> Option<usize> {
        let (least, most) = self.nodes[node];
        let found = if covered { most + above > 0 } else { least + above == 0 };
        if !found || part.1 <= span.0 || span.1 <= part.0 {
            return None;
        }
        if node >= self.leaves {
            return Some(span.0);
        }
        let (middle, below) = (span.0.midpoint(span.1), above + self.added[node]);
        self.next_below(2 * node, (span.0, middle), part, (covered, below))
            .or_else(|| self.next_below(2 * node + 1, (middle, span.1), part, (covered, below)))
    }
}
