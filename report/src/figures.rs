//! Latency and rate over time, with the fault bands behind them.

use squall_history::{Operation, Outcome};

use crate::bands::{self, Band};
use crate::svg::{Figure, LEFT, RIGHT, TimeAxis, WIDTH, round_step};

const TOP: f64 = 12.0;
const BOTTOM: f64 = 150.0;
const HEIGHT: f64 = 172.0;
/// How many points a curve has at most: more than a page can show says nothing new.
const POINTS: usize = 240;

/// Draws acknowledged, failed and doubtful operations a second.
pub(crate) fn rate(operations: &[Operation], bands: &[Band], axis: TimeAxis) -> String {
    let step = ((axis.to - axis.from) / POINTS as f64).max(0.1);
    let buckets = ((axis.to - axis.from) / step).ceil() as usize + 1;
    let mut counts = vec![[0u32; 3]; buckets];
    for operation in operations {
        let Some(ended) = operation.return_time else { continue };
        let bucket = ((ended.as_secs_f64() - axis.from) / step) as usize;
        if let Some(count) = counts.get_mut(bucket) {
            count[class(&operation.outcome)] += 1;
        }
    }
    let most = counts.iter().flatten().copied().max().unwrap_or(0) as f64 / step;
    let mut figure = Figure::new(HEIGHT);
    frame(&mut figure, bands, axis, Scale::linear(most), "ops/s");
    for (n, name) in ["ok", "fail", "info"].iter().enumerate() {
        let points: Vec<_> = counts
            .iter()
            .enumerate()
            .map(|(bucket, count)| {
                let at = axis.from + (bucket as f64 + 0.5) * step;
                (axis.x(at), Scale::linear(most).y(f64::from(count[n]) / step))
            })
            .collect();
        figure.path(&format!("curve {name}"), &points);
    }
    figure.finish("Operations a second over time: acknowledged, failed, in doubt")
}

/// Draws the median, 99th percentile and maximum of the latency of acknowledged operations, in milliseconds.
pub(crate) fn latency(operations: &[Operation], bands: &[Band], axis: TimeAxis) -> String {
    let step = ((axis.to - axis.from) / POINTS as f64).max(0.1);
    let buckets = ((axis.to - axis.from) / step).ceil() as usize + 1;
    let mut samples = vec![Vec::new(); buckets];
    for operation in operations {
        let (Outcome::Ok(_), Some(ended)) = (&operation.outcome, operation.return_time) else {
            continue;
        };
        let bucket = ((ended.as_secs_f64() - axis.from) / step) as usize;
        if let Some(sample) = samples.get_mut(bucket) {
            sample.push(ended.0.saturating_sub(operation.invoke_time.0) as f64 / 1e6);
        }
    }
    samples.iter_mut().for_each(|sample| sample.sort_by(f64::total_cmp));
    let most = samples.iter().filter_map(|sample| sample.last()).copied().fold(1.0, f64::max);
    let scale = Scale::logarithmic(most);
    let mut figure = Figure::new(HEIGHT);
    frame(&mut figure, bands, axis, scale, "ms");
    for (name, quantile) in [("max", 1.0), ("p99", 0.99), ("p50", 0.5)] {
        for run in runs(&samples) {
            let points: Vec<_> = run
                .map(|bucket| {
                    let sample = &samples[bucket];
                    let at = axis.from + (bucket as f64 + 0.5) * step;
                    let rank = ((sample.len() - 1) as f64 * quantile).round() as usize;
                    (axis.x(at), scale.y(sample[rank]))
                })
                .collect();
            figure.path(&format!("curve {name}"), &points);
        }
    }
    figure.finish("Latency of acknowledged operations over time: median, 99th percentile, maximum")
}

/// Returns the stretches of buckets that have samples: a gap in service is a gap in the curve.
fn runs(samples: &[Vec<f64>]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (bucket, _) in samples.iter().enumerate().filter(|(_, sample)| !sample.is_empty()) {
        match runs.last_mut() {
            Some(run) if run.end == bucket => run.end += 1,
            _ => runs.push(bucket..bucket + 1),
        }
    }
    runs
}

fn class(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Ok(_) => 0,
        Outcome::Fail { .. } => 1,
        Outcome::Info { .. } => 2,
    }
}

/// Maps a value to the figure's y.
#[derive(Clone, Copy)]
enum Scale {
    Linear { most: f64 },
    Logarithmic { most: f64 },
}

impl Scale {
    /// The smallest latency that a logarithmic scale tells from nothing, in ms.
    const LEAST: f64 = 0.1;

    fn linear(most: f64) -> Scale {
        let step = round_step(most.max(1.0) / 4.0);
        Scale::Linear { most: (most.max(1.0) / step).ceil() * step }
    }

    fn logarithmic(most: f64) -> Scale {
        Scale::Logarithmic { most: 10f64.powf(most.max(1.0).log10().ceil()) }
    }

    fn y(self, value: f64) -> f64 {
        let part = match self {
            Scale::Linear { most } => value / most,
            Scale::Logarithmic { most } => {
                (value.max(Scale::LEAST) / Scale::LEAST).log10() / (most / Scale::LEAST).log10()
            }
        };
        BOTTOM - part.clamp(0.0, 1.0) * (BOTTOM - TOP)
    }

    fn ticks(self) -> Vec<f64> {
        match self {
            Scale::Linear { most } => (0..=4).map(|n| most * f64::from(n) / 4.0).collect(),
            Scale::Logarithmic { most } => {
                let mut ticks = vec![Scale::LEAST];
                while ticks.last().is_some_and(|last| *last < most * 0.99) {
                    ticks.push(ticks[ticks.len() - 1] * 10.0);
                }
                ticks
            }
        }
    }
}

fn frame(figure: &mut Figure, bands: &[Band], axis: TimeAxis, scale: Scale, unit: &str) {
    bands::draw(figure, bands, axis, (TOP, BOTTOM));
    for tick in scale.ticks() {
        let y = scale.y(tick);
        figure.line("grid", (LEFT, y), (WIDTH - RIGHT, y));
        let digits = usize::from(tick < 1.0 && tick > 0.0);
        figure.text("tick", (LEFT - 6.0, y + 4.0), "end", &format!("{tick:.digits$} {unit}"));
    }
    figure.time_axis(axis, TOP, BOTTOM);
}
