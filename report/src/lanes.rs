//! The Raft view: who led which term when, who was down, and how far each log was committed.

use squall_history::NodeName;
use squall_history::trace::{Epoch, TraceEvent};

use crate::bands::{self, Band};
use crate::svg::{Figure, LEFT, TimeAxis};
use crate::trail::Trail;

const ROW: f64 = 26.0;
const TOP: f64 = 8.0;

/// A node's role over a stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stretch {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) role: &'static str,
    pub(crate) term: Epoch,
}

/// What one node was, over the run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lane {
    pub(crate) node: NodeName,
    pub(crate) stretches: Vec<Stretch>,
    /// When each boot began.
    pub(crate) boots: Vec<f64>,
    /// The commit index over time.
    pub(crate) commits: Curve,
    /// The last applied index over time.
    pub(crate) applied: Curve,
    /// Snapshots taken and installed: when, and the last index in each.
    pub(crate) snapshots: Vec<(f64, u64)>,
    /// Its log, as its traces tell it.
    pub(crate) trail: Trail,
    /// Its log, as its files held it at the end; empty where nobody read them.
    pub(crate) disk: Trail,
}

/// An index over time, thinned to one value a millisecond, the last of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Curve(pub(crate) Vec<(f64, u64)>);

impl Curve {
    /// How close two points may be, in seconds: nobody sees more, and a busy node applies an entry every few microseconds.
    const CLOSEST: f64 = 0.001;

    fn push(&mut self, seconds: f64, index: u64) {
        match self.0.as_mut_slice() {
            [.., before, last] if last.0 - before.0 < Curve::CLOSEST => *last = (seconds, index),
            _ => self.0.push((seconds, index)),
        }
    }

    /// Returns the value in force at a moment.
    pub(crate) fn at(&self, seconds: f64) -> Option<u64> {
        let after = self.0.partition_point(|(time, _)| *time <= seconds);
        after.checked_sub(1).map(|last| self.0[last].1)
    }
}

impl Lane {
    /// Returns an empty lane.
    pub(crate) fn new(node: NodeName) -> Lane {
        Lane {
            node,
            stretches: Vec::new(),
            boots: Vec::new(),
            commits: Curve::default(),
            applied: Curve::default(),
            snapshots: Vec::new(),
            trail: Trail::default(),
            disk: Trail::default(),
        }
    }

    /// Takes the next event of the node.
    pub(crate) fn feed(&mut self, seconds: f64, event: &TraceEvent) {
        self.trail.feed(seconds, event);
        match event {
            TraceEvent::Boot { term, applied, .. } => {
                self.boots.push(seconds);
                self.applied.push(seconds, *applied);
                self.begin(seconds, "follower", *term);
            }
            TraceEvent::BecomeLeader { term, .. } => self.begin(seconds, "leader", *term),
            TraceEvent::BecomeCandidate { term, .. } => self.begin(seconds, "candidate", *term),
            TraceEvent::BecomePreCandidate { term, .. } => self.begin(seconds, "candidate", *term),
            TraceEvent::BecomeFollower { term, .. } => self.begin(seconds, "follower", *term),
            TraceEvent::Commit { index, .. } => self.commits.push(seconds, *index),
            TraceEvent::Apply { index, .. } => self.applied.push(seconds, *index),
            TraceEvent::Snapshot { index, .. } | TraceEvent::Install { index, .. } => {
                self.snapshots.push((seconds, *index));
            }
            TraceEvent::HardState { term, .. } => self.learns(seconds, *term),
            TraceEvent::Append { .. }
            | TraceEvent::Durable { .. }
            | TraceEvent::Truncate { .. }
            | TraceEvent::Vote { .. }
            | TraceEvent::Ack { .. }
            | TraceEvent::Config { .. }
            | TraceEvent::ReadRequest { .. }
            | TraceEvent::ReadIndex { .. }
            | TraceEvent::Note { .. } => {}
        }
    }

    /// Ends what a node was at its last word, since a dead node says nothing.
    pub(crate) fn ends(&mut self, seconds: f64) {
        if let Some(last) = self.stretches.last_mut() {
            last.to = seconds.max(last.from);
        }
    }

    /// A follower that learns of a term follows in it, and need not say so.
    fn learns(&mut self, seconds: f64, term: Epoch) {
        let follows = self.stretches.last().is_some_and(|last| last.role == "follower");
        if follows {
            self.begin(seconds, "follower", term);
        }
    }

    fn begin(&mut self, seconds: f64, role: &'static str, term: Epoch) {
        if let Some(last) = self.stretches.last_mut() {
            last.to = last.to.min(seconds).max(last.from);
            if last.role == role && last.term == term {
                last.to = f64::INFINITY;
                return;
            }
        }
        self.stretches.push(Stretch { from: seconds, to: f64::INFINITY, role, term });
    }
}

/// Draws one row a node; a leader's stretch carries its term.
pub(crate) fn draw(lanes: &[Lane], bands: &[Band], axis: TimeAxis) -> String {
    let bottom = TOP + lanes.len() as f64 * ROW;
    let mut figure = Figure::new(bottom + 24.0);
    bands::draw(&mut figure, bands, axis, (TOP, bottom));
    figure.time_axis(axis, TOP, bottom);
    for (row, lane) in lanes.iter().enumerate() {
        let y = TOP + row as f64 * ROW;
        figure.text("tick", (LEFT - 6.0, y + 17.0), "end", &lane.node.0);
        for stretch in &lane.stretches {
            let to = stretch.to.min(axis.to);
            if !axis.shows(stretch.from, to) {
                continue;
            }
            let (x1, x2) = (axis.x(stretch.from), axis.x(to));
            let tip = format!(
                "{} is {} in term {}, {:.3} s to {to:.3} s",
                lane.node, stretch.role, stretch.term, stretch.from
            );
            let class = format!("role {}", stretch.role);
            figure.rect(&class, (x1, y + 4.0), (x2 - x1, ROW - 8.0), &tip);
            if stretch.role == "leader" && x2 - x1 > 14.0 {
                let at = ((x1 + x2) / 2.0, y + 17.0);
                figure.text("term", at, "middle", &stretch.term.to_string());
            }
        }
        for boot in lane.boots.iter().skip(1) {
            let x = axis.x(*boot);
            figure.line("boot", (x, y + 2.0), (x, y + ROW - 2.0));
        }
    }
    figure.finish("Roles of each node over time; a leader's stretch carries its term")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_keeps_the_last_value_of_each_millisecond() {
        let mut curve = Curve::default();
        for n in 0..10_000u32 {
            curve.push(f64::from(n) * 1e-5, u64::from(n));
        }
        assert!(curve.0.len() < 210, "{}", curve.0.len());
        assert_eq!((curve.at(9.0), curve.at(-1.0)), (Some(9999), None));
    }

    #[test]
    fn a_follower_is_of_the_term_that_it_stored() {
        let mut lane = Lane::new("n1".into());
        let last = squall_history::trace::LogPosition::default();
        lane.feed(1.0, &TraceEvent::BecomeFollower { term: 0.into(), last });
        lane.feed(1.5, &TraceEvent::HardState { term: 2.into(), vote: None });
        let seen: Vec<_> = lane.stretches.iter().map(|s| (s.role, s.term)).collect();
        assert_eq!(seen, [("follower", 0.into()), ("follower", 2.into())]);
    }

    #[test]
    fn a_role_lasts_until_the_next_one_or_the_last_word() {
        let mut lane = Lane::new("n1".into());
        let last = squall_history::trace::LogPosition::default();
        lane.feed(1.0, &TraceEvent::BecomeCandidate { term: 2.into(), last });
        lane.feed(1.5, &TraceEvent::BecomeLeader { term: 2.into(), last });
        lane.ends(3.0);
        let seen: Vec<_> = lane.stretches.iter().map(|s| (s.role, s.from, s.to)).collect();
        assert_eq!(seen, [("candidate", 1.0, 1.5), ("leader", 1.5, 3.0)]);
    }
}
