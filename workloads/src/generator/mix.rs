//! A mix of things to do, each with its weight.

use rand::{Rng, RngExt};

/// Holds what may be drawn, and how often each is.
#[derive(Clone, Debug)]
pub(crate) struct Mix<T> {
    parts: Vec<(u32, T)>,
    total: u32,
}

impl<T: Copy> Mix<T> {
    /// Weighs each part against the sum of all.
    pub(crate) fn new(parts: impl Into<Vec<(u32, T)>>) -> Mix<T> {
        let parts = parts.into();
        let total = parts.iter().map(|(weight, _)| weight).sum();
        assert!(total > 0, "a mix has something to draw");
        Mix { parts, total }
    }

    /// Draws one part.
    pub(crate) fn draw(&self, rng: &mut impl Rng) -> T {
        let mut ticket = rng.random_range(0..self.total);
        for (weight, part) in &self.parts {
            match ticket.checked_sub(*weight) {
                Some(rest) => ticket = rest,
                None => return *part,
            }
        }
        unreachable!("a ticket is below the sum of the weights")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_as_often_as_they_weigh() {
        let mix = Mix::new([(4, 'r'), (0, 'x'), (1, 'w')]);
        let mut rng = crate::stream(1, "mix");
        let drawn: Vec<char> = (0..10_000).map(|_| mix.draw(&mut rng)).collect();
        let share = |of| drawn.iter().filter(|part| **part == of).count();
        assert!((7_700..8_300).contains(&share('r')), "{} of 10000", share('r'));
        assert_eq!(share('r') + share('w'), 10_000);
    }
}
