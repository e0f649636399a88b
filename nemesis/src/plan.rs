//! Deals a timeline of faults from the seed, before the run begins.
//!
//! ```text
//! time   0 ─┬─ lead-in ─┬── slot 1 ──┬── slot 2 ──┬── slot 3 ──┬── … ──┬─ healed ─┐ time limit
//! faults    │           │  pause     │ partition  │  kill      │       │          │
//! ```
//!
//! Every slot holds one fault. The families are dealt like cards, round by round, so that each comes at least once and
//! none twice before the others; so are the targets within a family. Faults of the first round begin at fixed times.
//! Later ones may hang on what happened before: on the heal of the fault before them, on the election that it caused, or
//! on its installation, which makes the two overlap.

use std::time::Duration;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use squall_history::NodeName;
use squall_history::schedule::{Condition, Ending, Fault, Planned, Shape, Target, Trigger};

use crate::Family;
use crate::Versions;
use crate::random::plan_stream;

/// Everything that the plan is a function of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanSpec {
    /// The families that were asked for.
    pub families: Vec<Family>,
    /// The nodes.
    pub nodes: Vec<NodeName>,
    /// How long load and faults last.
    pub time_limit: Duration,
    /// Time from one fault to the next; [`default_interval`] where it is absent.
    pub interval: Option<Duration>,
    /// The seed of the run.
    pub seed: u64,
    /// How fast the system is.
    pub timing: Timing,
    /// The versions of the system.
    pub versions: Versions,
}

/// What the lengths of faults are measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The longest time without a word from the leader after which a follower stands for election.
    pub election_timeout: Duration,
}

impl Default for Timing {
    /// The paper's 300 ms (§9.3).
    fn default() -> Timing {
        Timing { election_timeout: Duration::from_millis(300) }
    }
}

/// Returns the time limit divided by twice the number of families, at most 5 s.
pub fn default_interval(time_limit: Duration, families: usize) -> Duration {
    let parts = u32::try_from(families.max(1) * 2).unwrap_or(u32::MAX);
    (time_limit / parts).min(Duration::from_secs(5))
}

/// Returns the moment of the load by which every fault is healed: the last tenth, and at least the last second where a
/// run is long enough for that, is left for the system to come to rest.
pub fn heal_by(time_limit: Duration) -> Duration {
    let rest = (time_limit / 10).max(Duration::from_secs(1).min(time_limit / 3));
    time_limit - rest
}

/// Faults closer together than this would not take hold before they are healed.
const CLOSEST: Duration = Duration::from_millis(50);

/// Deals the faults of a run. The same spec gives the same plan.
pub fn plan(spec: &PlanSpec) -> Vec<Planned> {
    if spec.families.is_empty() {
        return Vec::new();
    }
    let mut dealer = Dealer::new(spec);
    for slot in slots(spec) {
        if dealer.deal(slot).is_none() {
            break;
        }
    }
    dealer.dealt.into_iter().map(|dealt| dealt.planned).collect()
}

/// A stretch of time for one fault.
#[derive(Clone, Copy, Debug)]
struct Slot {
    begins: Duration,
    length: Duration,
    is_last: bool,
}

fn slots(spec: &PlanSpec) -> Vec<Slot> {
    let families = spec.families.len();
    let until = heal_by(spec.time_limit);
    let lead_in = (until / 10).min(Duration::from_secs(1));
    let interval = spec.interval.unwrap_or(default_interval(spec.time_limit, families));
    let window = until - lead_in;
    let fitting = window.as_millis() / interval.max(CLOSEST).as_millis();
    let count = usize::try_from(fitting).unwrap_or(usize::MAX).max(families);
    let count = count.max(for_upgrades(spec, window));
    let length = window / u32::try_from(count).unwrap_or(u32::MAX);
    let mut begins = lead_in;
    let mut slots = Vec::new();
    for number in 1..=count {
        slots.push(Slot { begins, length, is_last: number == count });
        begins += length;
    }
    slots
}

/// Faults that make room for upgrades come no closer together than this.
const ROLLING: Duration = Duration::from_millis(500);

/// Returns how many slots it takes for every node to come to the newest version, as far as they fit; none where the
/// user said how far apart faults are.
fn for_upgrades(spec: &PlanSpec, window: Duration) -> usize {
    if spec.interval.is_some() || !spec.families.contains(&Family::Upgrade) {
        return 0;
    }
    let wanted = spec.versions.steps(spec.nodes.len()) * spec.families.len();
    let fitting = window.as_millis() / ROLLING.as_millis();
    wanted.min(usize::try_from(fitting).unwrap_or(usize::MAX))
}

/// A fault, and when it will begin and end if all goes as planned.
struct Dealt {
    planned: Planned,
    begins: Duration,
    ends: Duration,
    /// Nothing but the heal before the time limit can keep it from happening.
    certain: bool,
}

struct Dealer<'a> {
    spec: &'a PlanSpec,
    rng: ChaCha8Rng,
    families: Vec<Family>,
    crashes: Vec<Target>,
    stops: Vec<Target>,
    cuts: Vec<(Shape, Target)>,
    rolls: Vec<Target>,
    removals: Vec<Target>,
    /// How many upgrades were dealt.
    upgrades: usize,
    dealt: Vec<Dealt>,
}

impl Dealer<'_> {
    fn new(spec: &PlanSpec) -> Dealer<'_> {
        Dealer {
            spec,
            rng: plan_stream(spec.seed),
            families: Vec::new(),
            crashes: Vec::new(),
            stops: Vec::new(),
            cuts: Vec::new(),
            rolls: Vec::new(),
            removals: Vec::new(),
            upgrades: 0,
            dealt: Vec::new(),
        }
    }

    /// Deals one fault; none once there is nothing left to deal.
    fn deal(&mut self, slot: Slot) -> Option<()> {
        let family = self.family()?;
        let (fault, target) = self.choose(family);
        let start = self.begin(slot, family);
        let room = self.room(slot, start.nominal);
        let lasts = self.lasts(&fault, &target, room);
        let id = self.dealt.len() as u32 + 1;
        let planned =
            Planned { delay: start.delay, ..Planned::new(id, start.trigger, fault, target, lasts) };
        let (begins, ends) = (start.nominal, start.nominal + lasts);
        self.dealt.push(Dealt { planned, begins, ends, certain: start.certain });
        Some(())
    }

    /// Returns the next family. Upgrades end when every node runs the newest version.
    fn family(&mut self) -> Option<Family> {
        let families = &self.spec.families;
        for _ in 0..=families.len() {
            let family = draw(&mut self.families, families, &mut self.rng);
            if family != Family::Upgrade || self.goal().is_some() {
                return Some(family);
            }
        }
        None
    }

    /// Returns to which version the next upgrade goes.
    fn goal(&self) -> Option<String> {
        let goal = self.spec.versions.goal(self.upgrades, self.spec.nodes.len());
        goal.map(str::to_owned)
    }

    fn choose(&mut self, family: Family) -> (Fault, Target) {
        let nodes = self.spec.nodes.len();
        match family {
            Family::Kill => {
                (Fault::Kill, draw(&mut self.crashes, &process_targets(nodes), &mut self.rng))
            }
            Family::Pause => {
                (Fault::Pause, draw(&mut self.stops, &process_targets(nodes), &mut self.rng))
            }
            Family::Partition => {
                let (shape, target) = draw(&mut self.cuts, &partitions(nodes), &mut self.rng);
                (Fault::Partition { shape }, target)
            }
            Family::Member => {
                (Fault::Member, draw(&mut self.removals, &one_at_a_time(nodes), &mut self.rng))
            }
            Family::Upgrade => {
                let version = self.goal();
                self.upgrades += 1;
                let signal = match self.rng.random_range(0..2) {
                    0 => Ending::Sigterm,
                    _ => Ending::Sigkill,
                };
                let target = draw(&mut self.rolls, &one_at_a_time(nodes), &mut self.rng);
                (Fault::Upgrade { version, signal }, target)
            }
        }
    }

    fn begin(&mut self, slot: Slot, family: Family) -> Start {
        let at = slot.begins + self.between(Duration::ZERO, slot.length / 8);
        let first_round = self.dealt.len() < self.spec.families.len();
        let roll = self.rng.random_range(0..12);
        let delay = self.between(Duration::ZERO, self.spec.timing.election_timeout);
        match self.dealt.last() {
            Some(before) if before.certain && !first_round => hang_on(before, roll, delay, family)
                .filter(|start| start.nominal <= slot.begins + slot.length / 2)
                // The roll goes on, whoever leads.
                .filter(|start| start.certain || family != Family::Upgrade)
                .unwrap_or(Start::at(at)),
            Some(_) | None => Start::at(at),
        }
    }

    /// Returns how long a fault may last that begins then. One in four runs into the next slot.
    fn room(&mut self, slot: Slot, begins: Duration) -> Duration {
        let ends = slot.begins + slot.length;
        let overlaps = self.rng.random_range(0..4) == 0 && self.spec.families.len() > 1;
        let latest = match overlaps && !slot.is_last {
            true => ends + slot.length * 2 / 5,
            false => ends - slot.length / 10,
        };
        latest.min(heal_by(self.spec.time_limit)).saturating_sub(begins)
    }

    /// Draws a length, in election timeouts: mostly long enough for another leader, now and then too short for one.
    fn lasts(&mut self, fault: &Fault, target: &Target, room: Duration) -> Duration {
        let timeout = self.spec.timing.election_timeout;
        let (least, most) = match (fault, target) {
            // It is meant to come back.
            (Fault::Upgrade { .. }, _) => (0, 2),
            // Nothing is acknowledged without a majority: long enough to see that, and no longer.
            (Fault::Kill | Fault::Pause, Target::Majority | Target::All) => (1, 5),
            // The others elect a leader, and the old one has time to be wrong about it.
            (_, Target::Leader) => (4, 12),
            _ if self.rng.random_range(0..5) == 0 => (0, 1),
            _ => (2, 12),
        };
        let shortest = (timeout * least).max(timeout / 4).min(room);
        let longest = (timeout * most).min(room);
        self.between(shortest, longest.max(shortest))
    }

    /// Draws a time of whole milliseconds, which people can read.
    fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let millis = |duration: Duration| duration.as_millis() as u64;
        Duration::from_millis(self.rng.random_range(millis(low)..=millis(high)))
    }
}

/// Takes the next card, of a deck that is shuffled anew whenever it is out.
fn draw<T: Clone>(deck: &mut Vec<T>, cards: &[T], rng: &mut ChaCha8Rng) -> T {
    if deck.is_empty() {
        deck.extend_from_slice(cards);
        deck.shuffle(rng);
    }
    deck.pop().expect("no deck is without cards")
}

/// How a fault begins, and when that will be if all goes as planned.
struct Start {
    trigger: Trigger,
    delay: Duration,
    nominal: Duration,
    certain: bool,
}

impl Start {
    fn at(at: Duration) -> Start {
        Start { trigger: Trigger::At(at), delay: Duration::ZERO, nominal: at, certain: true }
    }
}

/// Hangs a fault on the one before it, for some rolls of a die with 12 sides.
fn hang_on(before: &Dealt, roll: u32, delay: Duration, family: Family) -> Option<Start> {
    let id = before.planned.id;
    let after = |condition, from: Duration, certain| {
        let trigger = Trigger::After(condition);
        Some(Start { trigger, delay, nominal: from + delay, certain })
    };
    match roll {
        // The moment after a heal, when old and new meet.
        0..2 => after(Condition::Healed(id), before.ends, true),
        // A second blow while the first one hurts.
        2 if before.planned.fault.family() != family.name() => {
            after(Condition::Installed(id), before.begins, true)
        }
        // A fresh leader, before it has committed much.
        3..5 if before.planned.target == Target::Leader => {
            after(Condition::ElectedAfter(id), before.ends, false)
        }
        _ => None,
    }
}

/// The targets of kill and pause; the leader twice, for it has most to lose.
fn process_targets(nodes: usize) -> Vec<Target> {
    let mut targets = vec![Target::One, Target::All];
    if nodes >= 2 {
        targets.extend([Target::Leader, Target::Leader, Target::Random]);
    }
    if nodes >= 3 {
        targets.extend([Target::Minority, Target::Majority]);
    }
    targets
}

/// The targets of upgrades and removals.
fn one_at_a_time(nodes: usize) -> Vec<Target> {
    match nodes {
        1 => vec![Target::One],
        _ => vec![Target::One, Target::NotLeader, Target::Leader],
    }
}

/// The partitions that differ with so many nodes.
fn partitions(nodes: usize) -> Vec<(Shape, Target)> {
    let mut cuts = vec![(Shape::Isolate, Target::One)];
    if nodes >= 2 {
        cuts.extend([
            (Shape::Isolate, Target::Leader),
            (Shape::OneWayIn, Target::Leader),
            (Shape::OneWayOut, Target::Leader),
            (Shape::OneWayIn, Target::One),
        ]);
    }
    if nodes >= 3 {
        cuts.extend([(Shape::Bridge, Target::One), (Shape::MajoritiesRing, Target::All)]);
    }
    if nodes >= 4 {
        cuts.extend([(Shape::Halves, Target::Leader), (Shape::Halves, Target::One)]);
    }
    cuts
}
