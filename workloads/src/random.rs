//! Seeded randomness: one seed for a run, one named stream for each consumer.
//!
//! A new consumer takes a new name and so changes nobody else's stream: the same seed still means the same operations
//! after a fault family was added.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Returns the stream that a consumer draws from, the same for the same seed and name on every machine.
///
/// The generator is ChaCha with 8 rounds. Its 256-bit key is the seed in its first 8 bytes, little endian, and zeros; its
/// 64-bit stream number is the FNV-1a hash of the name's bytes.
pub fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(fnv1a(name.as_bytes()));
    rng
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): small, stable and published, which is all that a name needs.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    fn first(seed: u64, name: &str) -> [u64; 3] {
        let mut rng = stream(seed, name);
        [rng.next_u64(), rng.next_u64(), rng.next_u64()]
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn streams_stay_what_they_were_so_that_old_seeds_replay() {
        let pinned = [
            (0, "", [0xcd0c_630a_0b6d_4650, 0xccc7_0aac_e661_22ef, 0x51a0_09b9_afc3_c71b]),
            (
                7,
                "register/0",
                [0xa808_126a_407e_ae33, 0x2baa_e907_9ce6_9de0, 0x55f4_b051_a8ad_f53c],
            ),
            (
                7,
                "register/1",
                [0x4660_9ddd_bd3e_20e3, 0x76e8_404c_66ad_a295, 0xb420_04e2_563c_6e92],
            ),
        ];
        for (seed, name, values) in pinned {
            assert_eq!(first(seed, name), values, "seed {seed}, stream {name:?}");
        }
    }

    #[test]
    fn another_seed_or_name_is_another_stream() {
        assert_ne!(first(1, "a"), first(1, "b"));
        assert_ne!(first(1, "a"), first(2, "a"));
        assert_eq!(first(1, "a"), first(1, "a"));
    }
}
