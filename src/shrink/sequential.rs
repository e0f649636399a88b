//! Whether a candidate still shows the violation often enough, by as few runs as that takes.
//!
//! Wald's sequential probability ratio test (1945): the run that is being shrunk came again with rate `p`. A candidate is kept
//! once its hits and misses are nine times likelier under `0.95 p` than under `0.7 p`, and given up once it is the other way
//! round. One lucky hit keeps nothing, so what is left in the end comes again about as often as what it was made from. (With
//! `0.8 p` and `0.4 p` a run that came again in 5 of 6 was shrunk to one that did in 5 of 10.)

/// How much likelier one must be than the other: errors of one in ten either way.
const ODDS: f64 = 9.0;
/// The most runs of one candidate. After that, whichever is likelier.
const MOST: u32 = 40;

/// A decision in progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    hit: f64,
    miss: f64,
    weight: f64,
    runs: u32,
}

impl Trial {
    /// Begins a trial against a run that came again in `hits` of `of` repetitions, at least once.
    pub(super) fn against(hits: u32, of: u32) -> Trial {
        // Half a hit and half a miss more: six of six is not certainty.
        let rate = (f64::from(hits) + 0.5) / (f64::from(of) + 1.0);
        let (often, seldom) = (0.95 * rate, 0.7 * rate);
        Trial {
            hit: (often / seldom).ln(),
            miss: ((1.0 - often) / (1.0 - seldom)).ln(),
            weight: 0.0,
            runs: 0,
        }
    }

    /// Takes in some runs; returns the decision once there is one.
    pub(super) fn learn(&mut self, hits: u32, misses: u32) -> Option<bool> {
        self.weight += f64::from(hits) * self.hit + f64::from(misses) * self.miss;
        self.runs += hits + misses;
        if self.weight.abs() >= ODDS.ln() || self.runs >= MOST {
            return Some(self.weight > 0.0);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(hits: u32, of: u32, runs: impl Iterator<Item = bool>) -> (bool, u32) {
        let mut trial = Trial::against(hits, of);
        for hit in runs {
            if let Some(kept) = trial.learn(u32::from(hit), u32::from(!hit)) {
                return (kept, trial.runs);
            }
        }
        panic!("no decision: {trial:?}");
    }

    #[test]
    fn a_row_of_hits_keeps_and_a_row_of_misses_gives_up() {
        assert_eq!(decide(6, 6, std::iter::repeat(true)), (true, 8));
        assert_eq!(decide(6, 6, std::iter::repeat(false)), (false, 3));
    }

    #[test]
    fn one_lucky_hit_keeps_nothing() {
        let lucky = [true].into_iter().chain(std::iter::repeat(false));
        assert!(!decide(6, 6, lucky).0);
    }

    #[test]
    fn what_comes_seldom_is_given_more_runs_and_some_decision_always() {
        let (kept, runs) = decide(1, 6, std::iter::repeat(false));
        assert!(!kept && runs > 10, "{runs}");
        let mixed = [true, false].into_iter().cycle();
        assert!(decide(6, 6, mixed).1 <= MOST);
    }
}
