//! When no write was acknowledged, and whether a fault allowed that.

use squall_history::{Operation, Outcome};

use crate::bands::Band;

/// The shortest gap between acknowledged writes that counts, in seconds: an election takes less.
pub(crate) const SHORTEST: f64 = 0.5;
/// How long after a fault a cluster may take to serve again, in seconds: an election timeout or two, and lost connections.
pub(crate) const GRACE: f64 = 3.0;

/// A time without acknowledged writes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gap {
    /// From when, in seconds.
    pub(crate) from: f64,
    /// Until when.
    pub(crate) to: f64,
    /// For how many of its seconds a fault was in force, or had been within the grace.
    pub(crate) under_faults: f64,
    /// The faults that it met.
    pub(crate) faults: Vec<String>,
}

impl Gap {
    /// Returns how long it was.
    pub(crate) fn seconds(&self) -> f64 {
        self.to - self.from
    }

    /// Returns for how many seconds no fault accounts.
    pub(crate) fn unexplained(&self) -> f64 {
        (self.seconds() - self.under_faults).max(0.0)
    }
}

/// Returns the gaps between acknowledged writes while somebody asked for writes.
pub(crate) fn gaps(operations: &[Operation], bands: &[Band]) -> Vec<Gap> {
    let writes = || operations.iter().filter(|operation| !operation.op.f.is_read());
    let mut moments: Vec<f64> = writes()
        .filter(|operation| matches!(operation.outcome, Outcome::Ok(_)))
        .filter_map(|operation| operation.return_time)
        .map(|time| time.as_secs_f64())
        .collect();
    let (Some(first), Some(last)) = (
        writes().map(|write| write.invoke_time).min(),
        writes().map(|write| write.return_time.unwrap_or(write.invoke_time)).max(),
    ) else {
        return Vec::new();
    };
    moments.push(first.as_secs_f64());
    moments.push(last.as_secs_f64());
    moments.sort_by(f64::total_cmp);
    moments
        .windows(2)
        .filter(|pair| pair[1] - pair[0] >= SHORTEST)
        .map(|pair| gap(pair[0], pair[1], bands))
        .collect()
}

fn gap(from: f64, to: f64, bands: &[Band]) -> Gap {
    let met: Vec<&Band> =
        bands.iter().filter(|band| band.from <= to && from <= band.to + GRACE).collect();
    let mut spans: Vec<(f64, f64)> =
        met.iter().map(|band| (band.from.max(from), (band.to + GRACE).min(to))).collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut covered, mut reached) = (0.0, from);
    for (begin, end) in spans {
        covered += (end - begin.max(reached)).max(0.0);
        reached = reached.max(end);
    }
    let faults = met.iter().map(|band| band.text.clone()).collect();
    Gap { from, to, under_faults: covered, faults }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_history::{Event, History, Invoke, Nanos, Op, Process, Return, Value};

    fn acknowledged_at(seconds: &[u64]) -> History {
        let events = seconds.iter().flat_map(|second| {
            let (time, process) = (Nanos(second * 1_000_000_000), Process(0));
            let op = Op::write("1", 1);
            let outcome = Outcome::Ok(Value::Nil);
            let invoke = Invoke { time, process, op, node: None, request: None };
            let ret = Return { time: Nanos(time.0 + 1), process, outcome, pos: None };
            [Event::Invoke(invoke), Event::Return(ret)]
        });
        History::from_events(events).expect("a history")
    }

    fn band(from: f64, to: f64) -> Band {
        Band { from, to, family: "kill".to_owned(), text: "kill n1".to_owned() }
    }

    #[test]
    fn a_gap_under_a_fault_is_told_from_one_that_nothing_explains() {
        let history = acknowledged_at(&[1, 10, 20]);
        let gaps = gaps(history.operations(), &[band(2.0, 5.0), band(4.0, 5.5)]);
        assert_eq!(gaps.len(), 2);
        assert!((gaps[0].under_faults - 6.5).abs() < 0.01, "{gaps:?}");
        assert_eq!(gaps[0].faults.len(), 2);
        assert!((gaps[1].unexplained() - 10.0).abs() < 0.01, "{gaps:?}");
    }

    #[test]
    fn a_run_without_writes_has_no_gap() {
        assert!(gaps(&[], &[band(0.0, 1.0)]).is_empty());
    }
}
