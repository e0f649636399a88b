//! What is done to bytes between nodes, other than cutting them off: delay, hold, drop.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use squall_history::NodeName;

/// What is done to the bytes of each directed pair, sender first. A pair that is not in it is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Pair to treatment.
    pub links: BTreeMap<(NodeName, NodeName), Treatment>,
}

impl Traffic {
    /// Returns whether nothing is done to anybody.
    pub fn is_untouched(&self) -> bool {
        self.links.values().all(|treatment| *treatment == Treatment::default())
    }
}

/// What is done to the bytes of one directed pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Treatment {
    /// Bytes arrive late, in their order.
    pub delay: Option<Delay>,
    /// Bytes of the connections that exist when the hold begins wait for its end; those of newer connections pass.
    pub hold: bool,
    /// Bytes are thrown away. A connection that lost some is reset when this ends: it never shows a hole.
    pub drop: bool,
}

/// How late bytes arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    /// By how much, at least.
    pub by: Duration,
    /// Up to so much more, at random from the seed.
    pub jitter: Duration,
    /// How long `by` takes to grow from nothing: a sudden delay is a silence first.
    pub ramp: Duration,
}

impl Delay {
    /// Returns the delay of bytes sent so long after it began, without the jitter.
    pub(crate) fn after(&self, since: Duration) -> Duration {
        if since >= self.ramp {
            return self.by;
        }
        self.by.mul_f64(since.as_secs_f64() / self.ramp.as_secs_f64())
    }
}

/// Prints `delay n2→n1 by 3.25s`.
impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_untouched() {
            return f.write_str("let all traffic pass");
        }
        let mut words = Vec::new();
        for ((from, to), treatment) in &self.links {
            if let Some(delay) = treatment.delay {
                words.push(format!("delay {from}→{to} by {:?}", delay.by));
            }
            if treatment.hold {
                words.push(format!("hold {from}→{to}"));
            }
            if treatment.drop {
                words.push(format!("drop {from}→{to}"));
            }
        }
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_grows_evenly() {
        let ms = Duration::from_millis;
        let delay = Delay { by: ms(1000), jitter: ms(0), ramp: ms(4000) };
        let grown = [0, 1000, 4000, 9000].map(|since| delay.after(ms(since)));
        assert_eq!(grown, [0, 250, 1000, 1000].map(ms));
    }
}
