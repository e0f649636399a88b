//! The flags with which a default machine finds each planted bug, as `squall list bugs` gives them and the end-to-end tests
//! use them.
//!
//! They choose faults and load only; what a bug needs of the nodes' settings it brings along.

/// Returns the flags behind `squall test --bug NAME`.
pub(crate) fn flags(bug: &str) -> &'static str {
    match bug {
        "read-local-any" | "vote-not-persisted" => "--time-limit 10s",
        "ack-before-fsync" => "--nemesis none --time-limit 5s",
        // The new leader must be asked before its no-op is committed: many elections under many reads.
        "readindex-no-noop" => {
            "--nemesis kill --nemesis-interval 700ms --rate 4000 --time-limit 20s"
        }
        // What a leader does while it has no majority, and what becomes of its entries.
        "read-local-leader" | "reply-before-commit" | "commit-one-ack" | "commit-past-match" => {
            "--schedule docs/schedules/leader-in-minority.jsonl --time-limit 15s"
        }
        // A follower that missed entries comes back with a higher term.
        "no-uptodate-check" => "--schedule docs/schedules/stale-candidate.jsonl --time-limit 15s",
        // Many doubtful appends, which are sent again.
        "no-dedup" => "--workload append --client-timeout 100ms --time-limit 30s",
        // Random storms find it as well, but not each of them.
        "figure8" => "--schedule docs/schedules/figure8.jsonl --time-limit 15s",
        _ => "--time-limit 15s",
    }
}
