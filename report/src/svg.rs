//! Drawing: one time axis that every figure shares, and marks whose colours the page's style decides.
//!
//! Own code, because the figures must line up on one axis, carry the same fault bands and take the page's colours (dark,
//! light, print); a plotting library fixes colours and margins as it draws.

use std::fmt::Write as _;

/// The width of every figure, in its own units; the page scales it.
pub(crate) const WIDTH: f64 = 1000.0;
/// Room for labels on the left.
pub(crate) const LEFT: f64 = 80.0;
/// Room on the right, so that the last tick's label fits.
pub(crate) const RIGHT: f64 = 20.0;

/// Maps the run's seconds to the figure's x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TimeAxis {
    /// The first second that is shown.
    pub(crate) from: f64,
    /// The last.
    pub(crate) to: f64,
}

impl TimeAxis {
    /// Returns an axis over at least a millisecond.
    pub(crate) fn new(from: f64, to: f64) -> TimeAxis {
        TimeAxis { from, to: to.max(from + 0.001) }
    }

    /// Returns where a second stands, clipped to the figure.
    pub(crate) fn x(&self, seconds: f64) -> f64 {
        let part = (seconds - self.from) / (self.to - self.from);
        LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    /// Returns whether an interval is seen at all.
    pub(crate) fn shows(&self, from: f64, to: f64) -> bool {
        to >= self.from && from <= self.to
    }

    /// Returns round seconds to label.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        let step = round_step((self.to - self.from) / 8.0);
        let first = (self.from / step).ceil() as i64;
        let last = (self.to / step).floor() as i64;
        (first..=last).map(|n| n as f64 * step).collect()
    }
}

/// Returns the next of 1, 2, 5 × 10ⁿ.
pub(crate) fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.max(1e-9).log10().floor());
    let factor = least / power;
    power
        * if factor <= 1.0 {
            1.0
        } else if factor <= 2.0 {
            2.0
        } else if factor <= 5.0 {
            5.0
        } else {
            10.0
        }
}

/// A figure as it grows.
#[derive(Debug)]
pub(crate) struct Figure {
    height: f64,
    body: String,
}

impl Figure {
    /// Returns an empty figure.
    pub(crate) fn new(height: f64) -> Figure {
        Figure { height, body: String::new() }
    }

    /// Draws a filled box with a tooltip.
    pub(crate) fn rect(&mut self, class: &str, (x, y): (f64, f64), (w, h): (f64, f64), tip: &str) {
        let w = w.max(1.0);
        let _ = write!(
            self.body,
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{w:.1}" height="{h:.1}">{}</rect>"#,
            title(tip)
        );
    }

    /// Draws a line.
    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = write!(
            self.body,
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        );
    }

    /// Draws a path through points.
    pub(crate) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(self.body, r#"<polyline class="{class}" points="{}"/>"#, points.join(" "));
    }

    /// Writes a text; `anchor` is SVG's `start`, `middle` or `end`.
    pub(crate) fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
        let _ = write!(
            self.body,
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
            escape(text)
        );
    }

    /// Draws the seconds along the bottom, and thin lines up from them.
    pub(crate) fn time_axis(&mut self, axis: TimeAxis, top: f64, bottom: f64) {
        for tick in axis.ticks() {
            let x = axis.x(tick);
            self.line("grid", (x, top), (x, bottom));
            self.text("tick", (x, bottom + 14.0), "middle", &seconds(tick));
        }
        self.line("axis", (LEFT, bottom), (WIDTH - RIGHT, bottom));
    }

    /// Returns the finished figure.
    pub(crate) fn finish(self, label: &str) -> String {
        format!(
            r#"<svg viewBox="0 0 {WIDTH} {}" role="img" aria-label="{}">{}</svg>"#,
            self.height,
            escape(label),
            self.body
        )
    }
}

/// Microseconds are told where the axis is that short, so that neighbours never have one name.
fn seconds(value: f64) -> String {
    let text = format!("{value:.6}");
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

fn title(tip: &str) -> String {
    if tip.is_empty() { String::new() } else { format!("<title>{}</title>", escape(tip)) }
}

/// Makes hostile text harmless: values, keys and log lines come from the system under test.
pub(crate) fn escape(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut safe = String::with_capacity(text.len().min(LONGEST));
    for (n, c) in text.chars().enumerate() {
        if n == LONGEST {
            safe.push('…');
            break;
        }
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(' '),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_harmless_and_cut() {
        assert_eq!(escape("</script>\u{0}'\""), "&lt;/script&gt;\u{fffd}&#39;&quot;");
        assert_eq!(escape(&"x".repeat(5000)).chars().count(), 301);
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = TimeAxis::new(0.0, 30.0);
        assert_eq!(axis.ticks(), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert_eq!(TimeAxis::new(1.0, 1.0).ticks().first(), Some(&1.0));
    }
}
