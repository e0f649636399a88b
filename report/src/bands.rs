//! The bands behind every figure: which fault was in force when.

use squall_history::schedule::{FaultOutcome, Timeline};

use crate::svg::{Figure, TimeAxis};

/// A fault as an interval of seconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Band {
    /// From when.
    pub(crate) from: f64,
    /// Until when.
    pub(crate) to: f64,
    /// `kill`, `pause`, `partition`: also the band's class.
    pub(crate) family: String,
    /// What it was, for the tooltip.
    pub(crate) text: String,
}

/// Returns the faults that took hold, or may have.
pub(crate) fn bands(timeline: &Timeline, end: f64) -> Vec<Band> {
    let tried = timeline.faults.iter();
    let tried = tried.filter(|fault| !matches!(fault.outcome, FaultOutcome::Skipped(_)));
    tried
        .map(|fault| Band {
            from: fault.from.as_secs_f64(),
            to: fault.to.map_or(end, |to| to.as_secs_f64()),
            family: fault.family.clone(),
            text: fault.text.clone(),
        })
        .collect()
}

/// Draws the bands from `top` to `bottom`.
pub(crate) fn draw(figure: &mut Figure, bands: &[Band], axis: TimeAxis, (top, bottom): (f64, f64)) {
    for band in bands.iter().filter(|band| axis.shows(band.from, band.to)) {
        let (left, right) = (axis.x(band.from), axis.x(band.to));
        let class = format!("band {}", band.family);
        let tip = format!("{}, {:.3} s to {:.3} s", band.text, band.from, band.to);
        figure.rect(&class, (left, top), (right - left, bottom - top), &tip);
    }
}
