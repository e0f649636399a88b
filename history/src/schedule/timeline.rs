//! What was in force when: the lines of a schedule folded into intervals, for statistics and for bands behind figures.

use std::collections::BTreeMap;

use super::{FaultOutcome, Happened, Line, Phase, Planned, Resolved};
use crate::{Nanos, NodeName};

/// A schedule, as it came to pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Every fault that was tried or skipped, in the order of their beginnings.
    pub faults: Vec<FaultInterval>,
    /// Counts by family, for each family that was planned.
    pub families: BTreeMap<String, FamilyCounts>,
}

/// A fault from its installation to its heal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultInterval {
    /// Its number in the plan.
    pub id: u32,
    /// `kill`, `pause`, `partition`.
    pub family: String,
    /// For people: `partition isolate n2`.
    pub text: String,
    /// Whom it hit.
    pub nodes: Vec<NodeName>,
    /// For a partition, the directed pairs that were cut: the first was not heard by the second.
    pub cut: Vec<(NodeName, NodeName)>,
    /// When it was installed, or skipped.
    pub from: Nanos,
    /// When it was healed; equal to `from` for one that was skipped, none where the run ended before.
    pub to: Option<Nanos>,
    /// What became of its installation.
    pub outcome: FaultOutcome,
    /// What became of its heal.
    pub healed: Option<FaultOutcome>,
}

impl FaultInterval {
    /// Returns whether the fault certainly took hold.
    pub fn is_installed(&self) -> bool {
        self.outcome == FaultOutcome::Installed
    }

    /// Returns whether the fault was in force, or may have been, at some moment of `[from, to]`.
    pub fn overlaps(&self, from: Nanos, to: Nanos) -> bool {
        !matches!(self.outcome, FaultOutcome::Skipped(_))
            && self.from <= to
            && self.to.is_none_or(|end| from <= end)
    }
}

/// How often a family was planned, and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilyCounts {
    /// Faults in the plan.
    pub planned: u32,
    /// Those that took hold.
    pub installed: u32,
    /// Those that were not tried, or could not be.
    pub skipped: u32,
    /// Those of which nobody knows.
    pub indeterminate: u32,
}

impl Timeline {
    /// Folds the lines of a schedule, in the order of the file. Lines about a fault that was never planned are left out.
    pub fn from_lines(lines: &[Line]) -> Timeline {
        let mut fold = Fold::default();
        for line in lines {
            match line {
                Line::Plan(planned) => fold.plan(planned),
                Line::Resolved(resolved) => {
                    fold.resolved.insert(resolved.id, resolved);
                }
                Line::Outcome(happened) => fold.happened(happened),
            }
        }
        fold.timeline
    }

    /// Returns the last moment at which a fault was healed.
    pub fn healed_at(&self) -> Option<Nanos> {
        self.faults.iter().filter_map(|fault| fault.to).max()
    }
}

#[derive(Default)]
struct Fold<'a> {
    planned: BTreeMap<u32, &'a Planned>,
    resolved: BTreeMap<u32, &'a Resolved>,
    timeline: Timeline,
}

impl<'a> Fold<'a> {
    fn plan(&mut self, planned: &'a Planned) {
        self.planned.insert(planned.id, planned);
        self.counts(planned).planned += 1;
    }

    fn counts(&mut self, planned: &Planned) -> &mut FamilyCounts {
        self.timeline.families.entry(planned.fault.family().to_owned()).or_default()
    }

    fn happened(&mut self, happened: &Happened) {
        match happened.phase {
            Phase::Install => self.installed(happened),
            Phase::Heal => self.healed(happened),
        }
    }

    fn installed(&mut self, happened: &Happened) {
        let Some(planned) = self.planned.get(&happened.id).copied() else { return };
        let counts = self.counts(planned);
        match happened.result {
            FaultOutcome::Installed | FaultOutcome::Healed => counts.installed += 1,
            FaultOutcome::Skipped(_) => counts.skipped += 1,
            FaultOutcome::Indeterminate(_) => counts.indeterminate += 1,
        }
        let resolved = self.resolved.get(&happened.id);
        let nodes = resolved.map_or_else(Vec::new, |resolved| resolved.nodes.clone());
        let skipped = matches!(happened.result, FaultOutcome::Skipped(_));
        self.timeline.faults.push(FaultInterval {
            id: happened.id,
            family: planned.fault.family().to_owned(),
            text: planned.fault.text(&nodes),
            cut: resolved.map_or_else(Vec::new, |resolved| resolved.cut.clone()),
            nodes,
            from: happened.time,
            to: skipped.then_some(happened.time),
            outcome: happened.result.clone(),
            healed: None,
        });
    }

    fn healed(&mut self, happened: &Happened) {
        let faults = self.timeline.faults.iter_mut();
        if let Some(fault) = faults.rev().find(|fault| fault.id == happened.id) {
            fault.to = Some(happened.time);
            fault.healed = Some(happened.result.clone());
        }
    }
}
