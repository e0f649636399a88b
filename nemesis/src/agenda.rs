//! What is due: the plan as a function of what was observed so far. Knows no clock; times are since the start of the load.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use squall_history::NodeName;
use squall_history::schedule::{Condition, Planned, Trigger};

/// A fault that would be healed sooner than this is not worth its installation.
const SHORTEST: Duration = Duration::from_millis(50);

/// What the executor must do next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Let it go wrong.
    Install(Planned),
    /// Make it good again.
    Heal(u32),
    /// Write down that the fault will not be, and why.
    Skip(Planned, String),
}

/// Who leads, as far as one knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// The leader, if somebody named one.
    pub(crate) leader: Option<NodeName>,
    /// When the question was asked, so that an old answer is not taken for news.
    pub(crate) asked: Duration,
    /// How many times the answer has named another leader than before.
    pub(crate) changes: u32,
}

/// The plan, and what has come of it.
#[derive(Debug)]
pub(crate) struct Agenda {
    heal_by: Duration,
    waiting: Vec<Planned>,
    due: BTreeMap<(Duration, u32), Planned>,
    active: BTreeMap<u32, Active>,
    seen: Seen,
}

#[derive(Debug)]
struct Active {
    ends: Duration,
    until: Option<Condition>,
}

/// Everything that a condition may ask for.
#[derive(Debug, Default)]
struct Seen {
    installed: BTreeMap<u32, Installed>,
    healed: BTreeMap<u32, Duration>,
    gone: BTreeSet<u32>,
    acknowledged: u64,
    sighting: Sighting,
}

#[derive(Debug)]
struct Installed {
    at: Duration,
    nodes: Vec<NodeName>,
    changes: u32,
}

impl Agenda {
    /// Takes a plan. Whatever is in force at `heal_by` is healed then, and nothing begins after it.
    pub(crate) fn new(plan: Vec<Planned>, heal_by: Duration) -> Agenda {
        Agenda {
            heal_by,
            waiting: plan,
            due: BTreeMap::new(),
            active: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    /// Returns whether nothing is left to be done.
    pub(crate) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.due.is_empty() && self.active.is_empty()
    }

    /// Returns what is to be done now, heals first. Ask again after it is done.
    pub(crate) fn next(&mut self, now: Duration) -> Option<Step> {
        self.next_heal(now).map(Step::Heal).or_else(|| {
            if now >= self.heal_by {
                return self.skip_any("everything is healed before the time limit");
            }
            self.skip_the_impossible().or_else(|| {
                self.arm(now);
                self.next_install(now)
            })
        })
    }

    fn next_heal(&mut self, now: Duration) -> Option<u32> {
        let seen = &self.seen;
        let ended = |active: &Active| {
            active.ends <= now || active.until.as_ref().is_some_and(|until| seen.holds(until))
        };
        let id = self.active.iter().find(|(_, active)| ended(active)).map(|(id, _)| *id)?;
        self.active.remove(&id);
        Some(id)
    }

    fn skip_any(&mut self, why: &str) -> Option<Step> {
        let planned = match self.due.pop_first() {
            Some((_, planned)) => planned,
            None if self.waiting.is_empty() => return None,
            None => self.waiting.remove(0),
        };
        self.seen.gone.insert(planned.id);
        Some(Step::Skip(planned, why.to_owned()))
    }

    fn skip_the_impossible(&mut self) -> Option<Step> {
        let hopeless = |planned: &Planned| self.missing_cause(planned).is_some();
        let index = self.waiting.iter().position(hopeless)?;
        let cause = self.missing_cause(&self.waiting[index])?;
        let planned = self.waiting.remove(index);
        self.seen.gone.insert(planned.id);
        Some(Step::Skip(planned, format!("fault {cause}, on which it waits, did not happen")))
    }

    /// Returns the fault on which this one waits, where that will never happen.
    fn missing_cause(&self, planned: &Planned) -> Option<u32> {
        let Trigger::After(condition) = &planned.trigger else { return None };
        cause(condition).filter(|id| self.seen.gone.contains(id) || !self.knows(*id))
    }

    fn knows(&self, id: u32) -> bool {
        self.seen.installed.contains_key(&id)
            || self.waiting.iter().any(|planned| planned.id == id)
            || self.due.keys().any(|(_, due)| *due == id)
    }

    /// Gives a time to every fault whose trigger has come.
    fn arm(&mut self, now: Duration) {
        let seen = &self.seen;
        let armed = self.waiting.extract_if(.., |planned| seen.has_come(&planned.trigger));
        for planned in armed {
            let at = seen.since(&planned.trigger, now) + planned.delay;
            self.due.insert((at, planned.id), planned);
        }
    }

    fn next_install(&mut self, now: Duration) -> Option<Step> {
        let (at, _) = *self.due.first_key_value()?.0;
        if at > now {
            return None;
        }
        let left = self.heal_by - now;
        let (_, planned) = self.due.pop_first()?;
        if left < SHORTEST.min(planned.lasts) {
            self.seen.gone.insert(planned.id);
            let why = format!("only {left:?} was left before everything is healed");
            return Some(Step::Skip(planned, why));
        }
        Some(Step::Install(planned))
    }

    /// Returns when [`Agenda::next`] must be asked again at the latest.
    pub(crate) fn wake(&self) -> Option<Duration> {
        let due = self.due.keys().map(|(at, _)| *at);
        let ends = self.active.values().map(|active| active.ends);
        let timed = self.waiting.iter().filter_map(|planned| match planned.trigger {
            Trigger::At(at) => Some(at + planned.delay),
            Trigger::After(_) => None,
        });
        let limit = (!self.is_done()).then_some(self.heal_by);
        due.chain(ends).chain(timed).chain(limit).min()
    }

    /// Returns whether somebody must keep asking who leads.
    pub(crate) fn wants_leader(&self) -> bool {
        self.conditions().any(|condition| self.seen.asks_for_leader(condition))
    }

    /// Returns whether somebody must keep counting acknowledged operations.
    pub(crate) fn wants_count(&self) -> bool {
        self.conditions().any(|condition| matches!(condition, Condition::Acknowledged(_)))
    }

    /// Returns what the plan waits for.
    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let triggers = self.waiting.iter().filter_map(|planned| match &planned.trigger {
            Trigger::At(_) => None,
            Trigger::After(condition) => Some(condition),
        });
        triggers.chain(self.active.values().filter_map(|active| active.until.as_ref()))
    }

    /// Learns that a fault was installed, or may have been, and on whom.
    pub(crate) fn installed(&mut self, planned: &Planned, nodes: Vec<NodeName>, at: Duration) {
        let ends = (at + planned.lasts).min(self.heal_by);
        self.active.insert(planned.id, Active { ends, until: planned.until.clone() });
        let changes = self.seen.sighting.changes;
        self.seen.installed.insert(planned.id, Installed { at, nodes, changes });
    }

    /// Learns that a fault could not be installed.
    pub(crate) fn skipped(&mut self, id: u32) {
        self.seen.gone.insert(id);
    }

    /// Learns that a fault was healed.
    pub(crate) fn healed(&mut self, id: u32, at: Duration) {
        self.seen.healed.insert(id, at);
    }

    /// Learns who leads.
    pub(crate) fn sighted(&mut self, sighting: Sighting) {
        self.seen.sighting = sighting;
    }

    /// Learns how many operations were acknowledged.
    pub(crate) fn acknowledged(&mut self, count: u64) {
        self.seen.acknowledged = count;
    }

    /// Returns whom earlier faults hit.
    pub(crate) fn hits(&self) -> BTreeMap<u32, Vec<NodeName>> {
        let hits = self.seen.installed.iter();
        hits.map(|(id, installed)| (*id, installed.nodes.clone())).collect()
    }

    /// Ends the plan: returns what must be healed and what will not be.
    pub(crate) fn abandon(&mut self, why: &str) -> Vec<Step> {
        let mut steps: Vec<_> =
            std::mem::take(&mut self.active).into_keys().map(Step::Heal).collect();
        while let Some(step) = self.skip_any(why) {
            steps.push(step);
        }
        steps
    }
}

impl Seen {
    fn has_come(&self, trigger: &Trigger) -> bool {
        match trigger {
            Trigger::At(_) => true,
            Trigger::After(condition) => self.holds(condition),
        }
    }

    /// Returns the moment from which a trigger's delay counts.
    fn since(&self, trigger: &Trigger, now: Duration) -> Duration {
        let known = match trigger {
            Trigger::At(at) => Some(*at),
            Trigger::After(Condition::Installed(id)) => self.installed.get(id).map(|it| it.at),
            Trigger::After(Condition::Healed(id)) => self.healed.get(id).copied(),
            Trigger::After(
                Condition::LeaderElected(_)
                | Condition::Leads(_)
                | Condition::Acknowledged(_)
                | Condition::ElectedAfter(_)
                | Condition::LeadsAfter(_),
            ) => None,
        };
        known.unwrap_or(now)
    }

    fn holds(&self, condition: &Condition) -> bool {
        let sighting = &self.sighting;
        match condition {
            Condition::LeaderElected(nth) => sighting.changes >= *nth,
            Condition::Leads(node) => sighting.leader.as_ref() == Some(node),
            Condition::Acknowledged(count) => self.acknowledged >= *count,
            Condition::Installed(id) => self.installed.contains_key(id),
            Condition::Healed(id) => self.healed.contains_key(id),
            Condition::ElectedAfter(id) => {
                let news =
                    |it: &Installed| sighting.asked >= it.at && sighting.changes > it.changes;
                self.installed.get(id).is_some_and(news)
            }
            Condition::LeadsAfter(id) => {
                let fresh = self.healed.get(id).is_some_and(|healed| sighting.asked >= *healed);
                let hit =
                    |leader| self.installed.get(id).is_some_and(|it| it.nodes.contains(leader));
                fresh && sighting.leader.as_ref().is_some_and(hit)
            }
        }
    }

    fn asks_for_leader(&self, condition: &Condition) -> bool {
        match condition {
            Condition::LeaderElected(_) | Condition::Leads(_) => true,
            // The leader before the fault must be known too, to tell that there is another one.
            Condition::ElectedAfter(_) => true,
            Condition::LeadsAfter(id) => self.healed.contains_key(id),
            Condition::Acknowledged(_) | Condition::Installed(_) | Condition::Healed(_) => false,
        }
    }
}

/// Returns the fault that a condition is about.
pub(crate) fn cause(condition: &Condition) -> Option<u32> {
    match condition {
        Condition::Installed(id)
        | Condition::Healed(id)
        | Condition::ElectedAfter(id)
        | Condition::LeadsAfter(id) => Some(*id),
        Condition::LeaderElected(_) | Condition::Leads(_) | Condition::Acknowledged(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_history::schedule::{Fault, Target};

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn kill(id: u32, trigger: Trigger) -> Planned {
        Planned::new(id, trigger, Fault::Kill, Target::One, ms(100))
    }

    fn agenda(plan: &[Planned]) -> Agenda {
        Agenda::new(plan.to_vec(), ms(1000))
    }

    fn sighting(leader: &str, asked: Duration, changes: u32) -> Sighting {
        Sighting { leader: Some(leader.into()), asked, changes }
    }

    #[test]
    fn a_timed_fault_begins_at_its_time_and_ends_when_it_has_lasted() {
        let plan = [kill(1, Trigger::At(ms(50)))];
        let mut agenda = agenda(&plan);

        assert_eq!(agenda.next(ms(49)), None);
        assert_eq!(agenda.wake(), Some(ms(50)));
        assert_eq!(agenda.next(ms(50)), Some(Step::Install(plan[0].clone())));
        agenda.installed(&plan[0], vec!["n1".into()], ms(52));
        assert_eq!((agenda.next(ms(151)), agenda.wake()), (None, Some(ms(152))));
        assert_eq!(agenda.next(ms(152)), Some(Step::Heal(1)));
        assert!(agenda.is_done());
    }

    #[test]
    fn a_delay_counts_from_the_event_and_not_from_its_discovery() {
        let after = Planned { delay: ms(30), ..kill(2, Trigger::After(Condition::Installed(1))) };
        let plan = [kill(1, Trigger::At(ms(0))), after];
        let mut agenda = agenda(&plan);
        agenda.next(ms(0));
        agenda.installed(&plan[0], vec![], ms(10));

        assert_eq!(agenda.next(ms(20)), None);
        assert_eq!(agenda.wake(), Some(ms(40)));
        assert_eq!(agenda.next(ms(40)), Some(Step::Install(plan[1].clone())));
    }

    #[test]
    fn what_is_in_force_at_the_end_is_healed_and_the_rest_skipped() {
        let long = Planned { lasts: ms(5000), ..kill(1, Trigger::At(ms(0))) };
        let never = kill(2, Trigger::After(Condition::LeaderElected(9)));
        let late = kill(3, Trigger::At(ms(990)));
        let mut agenda = agenda(&[long.clone(), never.clone(), late.clone()]);
        agenda.next(ms(0));
        agenda.installed(&long, vec![], ms(0));

        assert!(matches!(agenda.next(ms(990)), Some(Step::Skip(planned, _)) if planned == late));
        assert_eq!(agenda.next(ms(1000)), Some(Step::Heal(1)));
        assert!(matches!(agenda.next(ms(1000)), Some(Step::Skip(planned, _)) if planned == never));
        assert!(agenda.is_done());
    }

    #[test]
    fn a_fault_that_waits_on_a_skipped_one_is_skipped_too() {
        let plan = [
            kill(1, Trigger::At(ms(0))),
            kill(2, Trigger::After(Condition::Healed(1))),
            kill(3, Trigger::After(Condition::Installed(2))),
        ];
        let mut agenda = agenda(&plan);
        agenda.next(ms(0));
        agenda.skipped(1);

        for id in [2, 3] {
            let Some(Step::Skip(planned, why)) = agenda.next(ms(1)) else { panic!("no skip") };
            assert_eq!(planned.id, id);
            assert!(why.contains(&format!("fault {}", id - 1)), "{why}");
        }
        assert!(agenda.is_done());
    }

    #[test]
    fn a_condition_heals_before_the_time_is_up() {
        let held = Planned {
            lasts: ms(900),
            until: Some(Condition::Acknowledged(10)),
            ..kill(1, Trigger::At(ms(0)))
        };
        let mut agenda = agenda(std::slice::from_ref(&held));
        agenda.next(ms(0));
        agenda.installed(&held, vec![], ms(0));

        agenda.acknowledged(9);
        assert_eq!(agenda.next(ms(5)), None);
        agenda.acknowledged(10);
        assert_eq!(agenda.next(ms(5)), Some(Step::Heal(1)));
    }

    #[test]
    fn an_old_answer_does_not_count_as_leading_again() {
        let plan = [kill(1, Trigger::At(ms(0))), kill(2, Trigger::After(Condition::LeadsAfter(1)))];
        let mut agenda = agenda(&plan);
        agenda.next(ms(0));
        agenda.installed(&plan[0], vec!["n1".into()], ms(0));
        assert!(!agenda.wants_leader());
        agenda.next(ms(100));
        agenda.healed(1, ms(110));

        assert!(agenda.wants_leader());
        agenda.sighted(sighting("n1", ms(105), 0));
        assert_eq!(agenda.next(ms(120)), None);
        agenda.sighted(sighting("n2", ms(120), 1));
        assert_eq!(agenda.next(ms(125)), None);
        agenda.sighted(sighting("n1", ms(130), 2));
        assert_eq!(agenda.next(ms(135)), Some(Step::Install(plan[1].clone())));
        assert!(!agenda.wants_leader());
    }

    #[test]
    fn an_election_counts_only_after_the_fault() {
        let plan =
            [kill(1, Trigger::At(ms(0))), kill(2, Trigger::After(Condition::ElectedAfter(1)))];
        let mut agenda = agenda(&plan);
        agenda.sighted(sighting("n1", ms(0), 4));
        agenda.next(ms(0));
        agenda.installed(&plan[0], vec!["n1".into()], ms(0));
        assert_eq!(agenda.next(ms(10)), None);

        agenda.sighted(sighting("n2", ms(20), 5));
        assert_eq!(agenda.next(ms(25)), Some(Step::Install(plan[1].clone())));
    }

    #[test]
    fn an_abandoned_plan_heals_what_is_in_force_and_names_what_will_not_be() {
        let plan = [kill(1, Trigger::At(ms(0))), kill(2, Trigger::At(ms(500)))];
        let mut agenda = agenda(&plan);
        agenda.next(ms(0));
        agenda.installed(&plan[0], vec![], ms(0));

        let steps = agenda.abandon("the run was stopped");

        let skip = Step::Skip(plan[1].clone(), "the run was stopped".into());
        assert_eq!(steps, [Step::Heal(1), skip]);
        assert!(agenda.is_done());
    }
}
