//! Draws why no order fits: a circle of operations each of which must come before the next.

use squall_checker::{Cycle, Edge, EdgeKind, Explanation};

use crate::svg::Figure;
use crate::timeline::cut;

/// The longest circle that is drawn; verdict.json has every one.
const LONGEST: usize = 12;
/// How many reasons of reasons are listed.
const LISTED: usize = 20;
/// The longest reason in the figure, and in the list below it, in letters.
const WHY: usize = 120;
const SENTENCE: usize = 300;

/// Where boxes stand, and how far apart.
const BOX: (f64, f64) = (60.0, 300.0);
const HIGH: f64 = 26.0;
const STEP: f64 = 58.0;
const TOP: f64 = 6.0;
/// Where the way back runs.
const BACK: f64 = 22.0;

/// A circle, drawn, and what its edges rest on.
pub(crate) struct Drawn {
    pub(crate) svg: String,
    pub(crate) rests_on: Vec<String>,
}

/// Draws the circle of an explanation, if it has one that can be looked at.
pub(crate) fn draw(explanation: &Explanation) -> Option<Drawn> {
    let Cycle { edges, rests_on } = explanation.cycle.as_ref()?;
    if edges.is_empty() || edges.len() > LONGEST {
        return None;
    }
    let bottom = TOP + (edges.len() - 1) as f64 * STEP + HIGH;
    let mut figure = Figure::new(bottom + 24.0);
    for (n, edge) in edges.iter().enumerate() {
        let y = TOP + n as f64 * STEP;
        figure.rect("node", (BOX.0, y), (BOX.1, HIGH), "");
        let label = cut(&label(explanation, edge.from), 42);
        figure.text("label", (BOX.0 + BOX.1 / 2.0, y + 17.0), "middle", &label);
        if n + 1 < edges.len() {
            down(&mut figure, edge, y + HIGH);
        } else {
            back(&mut figure, edge, y);
        }
    }
    let told = |edge: &Edge| cut(&format!("{}: {}", words(edge.kind), edge.why), SENTENCE);
    Some(Drawn {
        svg: figure.finish("Operations each of which must come before the next"),
        rests_on: rests_on.iter().take(LISTED).map(told).collect(),
    })
}

fn label(explanation: &Explanation, index: usize) -> String {
    let found = explanation.operations.iter().find(|told| told.index == index);
    found.map_or_else(|| format!("operation {index}"), |told| told.label.clone())
}

/// An arrow to the box below.
fn down(figure: &mut Figure, edge: &Edge, y: f64) {
    let (x, end) = (BOX.0 + BOX.1 / 2.0, y + STEP - HIGH);
    figure.path(&class(edge.kind), &[(x, y), (x, end)]);
    figure.path("tip", &[(x - 4.0, end - 7.0), (x, end), (x + 4.0, end - 7.0)]);
    figure.text("", (x + 12.0, y + 20.0), "start", &reason(edge));
}

/// The arrow that closes the circle, along the left.
fn back(figure: &mut Figure, edge: &Edge, y: f64) {
    let (from, to) = (y + HIGH / 2.0, TOP + HIGH / 2.0);
    let way = [(BOX.0, from), (BACK, from), (BACK, to), (BOX.0, to)];
    figure.path(&class(edge.kind), &way);
    figure.path("tip", &[(BOX.0 - 7.0, to - 4.0), (BOX.0, to), (BOX.0 - 7.0, to + 4.0)]);
    let says = format!("back to the first: {}", reason(edge));
    figure.text("", (BOX.0, y + HIGH + 16.0), "start", &says);
}

fn reason(edge: &Edge) -> String {
    cut(&format!("{}: {}", words(edge.kind), edge.why), WHY)
}

fn class(kind: EdgeKind) -> String {
    format!("arrow {}", kind.name())
}

/// Returns the kind as the reader knows it.
fn words(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::RealTime => "real time",
        EdgeKind::ReadsFrom => "reads from",
        EdgeKind::Overwritten => "overwritten",
        EdgeKind::Order => "order",
    }
}

#[cfg(test)]
mod tests {
    use squall_checker::Told;
    use squall_history::Nanos;

    use super::*;

    fn explanation(kinds: &[EdgeKind]) -> Explanation {
        let told = |index: usize| Told {
            index,
            process: index as u64,
            text: String::new(),
            label: format!("<op {index}>"),
            line: 1,
            return_line: 2,
            invoked: Nanos(1),
            returned: None,
        };
        let edge = |(n, kind): (usize, &EdgeKind)| Edge {
            from: n,
            to: (n + 1) % kinds.len(),
            kind: *kind,
            why: format!("why {n} & so on"),
            because: Vec::new(),
        };
        let edges: Vec<Edge> = kinds.iter().enumerate().map(edge).collect();
        let rests_on = vec![edges[0].clone()];
        Explanation {
            operations: (0..kinds.len()).map(told).collect(),
            contradiction: String::new(),
            cycle: Some(Cycle { edges, rests_on }),
        }
    }

    #[test]
    fn every_operation_of_the_circle_and_every_reason_is_drawn_and_escaped() {
        let kinds = [EdgeKind::ReadsFrom, EdgeKind::RealTime, EdgeKind::Overwritten];
        let Drawn { svg, rests_on } = draw(&explanation(&kinds)).expect("a circle");
        for n in 0..3 {
            assert!(svg.contains(&format!("&lt;op {n}&gt;")), "{svg}");
            assert!(svg.contains(&format!("why {n} &amp; so on")), "{svg}");
        }
        for class in ["arrow reads-from", "arrow real-time", "arrow overwritten"] {
            assert_eq!(svg.matches(class).count(), 1, "{svg}");
        }
        assert!(svg.contains("back to the first: overwritten: why 2"), "{svg}");
        assert_eq!(rests_on, ["reads from: why 0 & so on"]);
    }

    #[test]
    fn a_circle_too_long_to_be_looked_at_is_not_drawn() {
        assert!(draw(&explanation(&[EdgeKind::Order; LONGEST])).is_some());
        assert!(draw(&explanation(&[EdgeKind::Order; LONGEST + 1])).is_none());
        let none = Explanation { cycle: None, ..explanation(&[EdgeKind::Order]) };
        assert!(draw(&none).is_none());
    }
}
