//! One named random stream for each use of the seed, so that a change of one does not move the others.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Decides the plan.
const PLAN: u64 = 0x6e65_6d65_7369_7301;
/// Decides whom the symbolic targets hit; the fault's number is added.
const TARGET: u64 = 0x7461_7267_0000_0000;

/// Returns the stream that deals the plan.
pub(crate) fn plan_stream(seed: u64) -> ChaCha8Rng {
    stream(seed, PLAN)
}

/// Returns the stream that resolves one fault's target. Each fault has its own: one that is skipped, or taken out of
/// the file, does not change whom the others hit.
pub(crate) fn target_stream(seed: u64, fault: u32) -> ChaCha8Rng {
    stream(seed, TARGET + u64::from(fault))
}

fn stream(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}
