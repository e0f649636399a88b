//! The last phase of a run: every key is read through every node, once the faults have healed.
//!
//! An acknowledged write that was lost shows here at the latest, and so does a node that went its own way.

use std::collections::VecDeque;

use squall_history::{Key, NodeName, Op, Outcome};

use super::{Generator, Invocation, Next, Step};

/// Makes one read for each key and node, shared out among `concurrency` workers.
pub fn final_reads(keys: &[Key], nodes: &[NodeName], concurrency: usize) -> FinalReads {
    // Key by key, so that the nodes are asked for the same key at about the same time and none waits for its turn.
    let pairs = keys.iter().flat_map(|key| nodes.iter().map(move |node| (key, node)));
    let due = pairs
        .map(|(key, node)| Due { key: key.clone(), node: node.clone(), attempts: 0 })
        .collect();
    FinalReads { due, open: vec![None; concurrency], given_up: Vec::new() }
}

/// Reads every key through every node. A read that failed is asked again as a new invocation, a bounded number of times.
#[derive(Clone, Debug)]
pub struct FinalReads {
    due: VecDeque<Due>,
    open: Vec<Option<Due>>,
    given_up: Vec<(Key, NodeName)>,
}

/// A read that has not been answered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Due {
    key: Key,
    node: NodeName,
    attempts: u32,
}

impl FinalReads {
    /// How often a read is tried before it is given up.
    pub const ATTEMPTS: u32 = 10;

    /// Returns the reads that were given up, by key and node.
    pub fn given_up(&self) -> &[(Key, NodeName)] {
        &self.given_up
    }

    /// Returns how many reads are still to be answered or given up.
    pub fn left(&self) -> usize {
        self.due.len() + self.open.iter().flatten().count()
    }

    fn again(&mut self, mut read: Due) {
        read.attempts += 1;
        if read.attempts < FinalReads::ATTEMPTS {
            self.due.push_back(read);
        } else {
            self.given_up.push((read.key, read.node));
        }
    }
}

impl Generator for FinalReads {
    fn next(&mut self, worker: usize) -> Next {
        let Some(read) = self.due.pop_front() else {
            // What another worker has open may come back.
            return if self.open.iter().any(Option::is_some) { Next::Wait } else { Next::Done };
        };
        let op = Op::read(read.key.clone());
        let node = read.node.clone();
        self.open[worker] = Some(read);
        Next::Invoke(Invocation { op, node, request: None })
    }

    fn completed(&mut self, step: &Step<'_>) {
        let Some(read) = self.open[step.worker].take() else { return };
        match step.outcome {
            Outcome::Ok(_) => {}
            Outcome::Fail { .. } | Outcome::Info { .. } => self.again(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn keys() -> Vec<Key> {
        ["0", "1", "2", "3"].map(Key::from).into()
    }

    fn nodes() -> Vec<NodeName> {
        ["n1", "n2", "n3"].map(NodeName::from).into()
    }

    /// Lets `workers` workers take turns, one operation each a round, until all are done.
    fn drive(
        reads: &mut FinalReads,
        workers: usize,
        mut answer: impl FnMut(&Invocation) -> Outcome,
    ) -> BTreeMap<(Key, NodeName), usize> {
        let mut asked = BTreeMap::new();
        for _ in 0..1_000 {
            let next: Vec<Next> = (0..workers).map(|worker| reads.next(worker)).collect();
            if next.iter().all(|next| *next == Next::Done) {
                return asked;
            }
            for (worker, next) in next.iter().enumerate() {
                let Next::Invoke(invocation) = next else { continue };
                let key = invocation.op.key.clone().unwrap();
                *asked.entry((key, invocation.node.clone())).or_default() += 1;
                let outcome = answer(invocation);
                reads.completed(&Step { worker, invocation, outcome: &outcome, leader: None });
            }
        }
        panic!("never done: {reads:?}");
    }

    fn failed() -> Outcome {
        Outcome::Fail { error: "refused".into(), seen: None }
    }

    #[test]
    fn every_key_is_read_once_through_every_node() {
        for workers in [1, 2, 5, 40] {
            let mut reads = final_reads(&keys(), &nodes(), workers);
            let asked = drive(&mut reads, workers, |_| Outcome::Ok(1.into()));
            assert_eq!(asked.len(), 12);
            assert!(asked.values().all(|times| *times == 1), "{asked:?}");
            assert_eq!(reads.left(), 0);
        }
    }

    #[test]
    fn a_read_that_failed_is_asked_again_at_the_same_node() {
        let mut reads = final_reads(&keys(), &nodes(), 3);
        let mut failures = 5;
        let asked = drive(&mut reads, 3, |invocation| {
            if invocation.node == "n2".into() && failures > 0 {
                failures -= 1;
                return failed();
            }
            Outcome::Ok(1.into())
        });
        assert_eq!(asked.values().sum::<usize>(), 12 + 5);
        assert_eq!(reads.given_up(), []);
    }

    #[test]
    fn a_node_that_never_answers_is_given_up_after_a_bounded_number_of_attempts() {
        let mut reads = final_reads(&keys(), &nodes(), 3);
        let asked = drive(&mut reads, 3, |invocation| {
            if invocation.node == "n3".into() { failed() } else { Outcome::Ok(1.into()) }
        });
        let at_n3 = asked.iter().filter(|((_, node), _)| *node == "n3".into());
        assert!(at_n3.clone().all(|(_, times)| *times == FinalReads::ATTEMPTS as usize));
        assert_eq!(at_n3.count(), 4);
        let given_up: Vec<_> = reads.given_up().iter().map(|(_, node)| node.clone()).collect();
        assert_eq!(given_up, vec![NodeName::from("n3"); 4]);
    }

    #[test]
    fn a_worker_waits_while_the_read_of_another_may_come_back() {
        let mut reads = final_reads(&keys()[..1], &nodes()[..1], 2);
        let Next::Invoke(invocation) = reads.next(0) else { panic!("nothing to read") };
        assert_eq!(reads.next(1), Next::Wait);
        let step = Step { worker: 0, invocation: &invocation, outcome: &failed(), leader: None };
        reads.completed(&step);
        assert!(matches!(reads.next(1), Next::Invoke(_)), "another worker takes it over");
    }

    #[test]
    fn nothing_to_read_is_done_at_once() {
        assert_eq!(final_reads(&[], &nodes(), 1).next(0), Next::Done);
    }
}
