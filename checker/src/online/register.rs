//! A register whose values are unique among those that are still alive, one event at a time.
//!
//! A *cluster* is a value: whoever writes it and whoever reads it. Clusters that hang together by successful cas are a
//! *block*, in which their order is forced. Only clusters that are *needed* count: their write was acknowledged, or
//! somebody saw their value, or a needed cas began from it. Other writes may as well not have happened.
//!
//! Let f be the first return in a block, and s its last invocation. Block A must precede block B if and only if
//! f(A) < s(B), and a history is linearizable if and only if no two blocks must precede each other (Gibbons & Korach
//! 1997; `linearizable/register/zones.rs` has the proof that two suffice). Inside a block the same holds of its
//! clusters, except that their order is given: f of a later one must not be before s of an earlier one.
//!
//! **Deadlines.** Let k(A) be the least f of all that must follow A. Then A contradicts something if and only if
//! s(A) > k(A): whatever gives k(A) must follow A, and is preceded by an operation of A's. Events arrive in order, so the
//! first return of a cluster is its f for good, and is later than every s there was by then. So A comes to precede B only
//! when s(B) grows, and k(A) changes only then, or when f(B) comes to be known: when B changes. `relate` holds B against
//! those before it then. So k is exact after each event; and of two blocks that must precede each other the one that
//! did not change last is found to be late.
//!
//! **Links.** A cluster is linked to the one that its cas began from when it becomes needed. It then has no return, and
//! nothing needed begins from it, else it had been needed before. So chains grow at their end alone, and two blocks never
//! become one.
//!
//! **Forgetting.** The horizon is the first invocation that may still return. Once k(A) is before the horizon, nobody can
//! be told A's value any more: its operation would be invoked after k(A). A may then be forgotten, unless a cas in
//! doubt, which may have taken effect long ago, begins from it. Nothing is lost. Blocks that A precedes need no word
//! of A. A block that A must follow has k at most f(A) already. And a block to come has a first return later than s(A),
//! so it need not precede A. A value that is written again after that belongs to a new cluster, since
//! nobody who may still be told it can mean the old one.
//!
//! What is remembered: the clusters that somebody may still see, those of writes in doubt, and what is open.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;
use squall_history::{F, Op, Value};

use super::violation::{Halt, broken};

/// An event that did not come yet.
const NEVER: u32 = u32::MAX;
/// The cluster of the initial value. Its write stands before the first event.
const INITIAL: u32 = 0;

/// A cluster is named by the invocation of its write.
type ClusterId = u32;
/// A block is named by its first cluster.
type BlockId = u32;

/// One register, and all of its past that may still matter.
#[derive(Debug)]
pub(super) struct Register {
    clusters: HashMap<ClusterId, Cluster, FixedState>,
    by_value: HashMap<Value, ClusterId, FixedState>,
    blocks: BTreeMap<BlockId, Block>,
    /// How many cas that are open or in doubt, and not needed, begin from a value.
    wanted: HashMap<Value, u32, FixedState>,
    /// The invocations that may still return.
    open: Vec<u32>,
    /// With so many blocks it is time to forget some.
    crowded: usize,
}

/// A value, its write, and who saw it.
#[derive(Debug)]
struct Cluster {
    value: Value,
    /// What the cas compared with that wrote it.
    from: Option<Value>,
    /// Its block, once it is needed.
    block: Option<BlockId>,
    /// The cluster that a needed cas made of it.
    next: Option<ClusterId>,
    /// f: its first return.
    first_return: u32,
    /// s: its last invocation.
    last_invocation: u32,
    /// k, inside its block: the least first return of the clusters behind it.
    deadline: u32,
}

/// Clusters in a forced order, with nothing between them.
#[derive(Debug)]
struct Block {
    first_return: u32,
    last_invocation: u32,
    /// k: the least first return of the blocks that must follow.
    deadline: u32,
    /// Its clusters that are not forgotten.
    chain: Vec<ClusterId>,
}

impl Block {
    fn is_late(&self) -> bool {
        self.last_invocation > self.deadline
    }
}

impl Register {
    /// Begins with the initial value, which is first whatever happens.
    pub(super) fn new(initial: &Value) -> Register {
        let cluster = Cluster {
            block: Some(INITIAL),
            first_return: 0,
            ..Cluster::new(INITIAL, initial.clone(), None)
        };
        let block =
            Block { first_return: 0, last_invocation: 0, deadline: NEVER, chain: vec![INITIAL] };
        Register {
            clusters: HashMap::from_iter([(INITIAL, cluster)]),
            by_value: HashMap::from_iter([(initial.clone(), INITIAL)]),
            blocks: BTreeMap::from([(INITIAL, block)]),
            wanted: HashMap::default(),
            open: Vec::new(),
            crowded: 8,
        }
    }

    /// Returns about how many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        let cluster = 3 * size_of::<Value>() + size_of::<Cluster>() + size_of::<Block>();
        // A hash table is between 7/16 and 7/8 full.
        size_of::<Register>()
            + 2 * cluster * self.clusters.len()
            + size_of::<u32>() * self.open.capacity()
    }

    /// An operation is invoked.
    pub(super) fn invoke(&mut self, at: u32, op: &Op) -> Result<(), Halt> {
        let (from, to) = match &op.f {
            F::Read => {
                self.open.push(at);
                return Ok(());
            }
            F::Write => (None, op.value.clone()),
            F::Cas => match op.value.as_pair() {
                Some((from, to)) if from != to => (Some(from.clone()), to.clone()),
                Some(_) => return Err(Halt::GaveUp("a cas leaves the value as it is")),
                None => return Err(Halt::GaveUp("a cas is not of the form [from, to]")),
            },
            F::Delete => return Err(Halt::GaveUp("a key is deleted")),
            F::Append
            | F::Increment
            | F::Add
            | F::Remove
            | F::Contains
            | F::Enqueue
            | F::Dequeue
            | F::Push
            | F::Pop
            | F::Acquire
            | F::Release
            | F::Txn
            | F::Other(_) => {
                return Err(Halt::GaveUp("an operation is neither read, write nor cas"));
            }
        };
        if self.by_value.contains_key(&to) {
            return Err(Halt::GaveUp("a value is written again"));
        }
        if let Some(from) = &from {
            *self.wanted.entry(from.clone()).or_default() += 1;
        }
        self.by_value.insert(to.clone(), at);
        self.clusters.insert(at, Cluster::new(at, to, from));
        self.open.push(at);
        Ok(())
    }

    /// A client gives up on an operation: it will not return, and may take effect at any later time.
    pub(super) fn doubt(&mut self, invoked: u32) {
        self.close(invoked);
    }

    /// An operation returns, and says nothing.
    pub(super) fn silence(&mut self, invoked: u32, now: u32) {
        self.close(invoked);
        self.forget(now);
    }

    /// An operation was told this value: a read, or a cas that failed.
    pub(super) fn see(&mut self, invoked: u32, value: &Value, now: u32) -> Result<(), Halt> {
        self.close(invoked);
        let Some(&cluster) = self.by_value.get(value) else {
            return Err(broken(
                [invoked],
                format!(
                    "nobody can have left the value {value} by then, or it was overwritten long ago"
                ),
            ));
        };
        self.need(cluster)?;
        self.touch(cluster, invoked, now)?;
        self.forget(now);
        Ok(())
    }

    /// A write or cas is acknowledged.
    pub(super) fn acknowledge(&mut self, invoked: u32, now: u32) -> Result<(), Halt> {
        self.close(invoked);
        // One that was in doubt, and is known of only now that it was sent again, may be forgotten: it was needed, what
        // must follow it is fixed, and a return now changes neither.
        if self.clusters.contains_key(&invoked) {
            self.need(invoked)?;
            self.touch(invoked, invoked, now)?;
            self.forget(now);
        }
        Ok(())
    }

    /// A write or cas certainly did not happen.
    pub(super) fn fail(&mut self, invoked: u32) -> Result<(), Halt> {
        self.close(invoked);
        let Some(cluster) = self.clusters.remove(&invoked) else { return Ok(()) };
        if cluster.block.is_some() {
            let why = format!("the value {} was seen, and its write failed", cluster.value);
            return Err(broken([invoked], why));
        }
        self.by_value.remove(&cluster.value);
        self.unwant(cluster.from.as_ref());
        Ok(())
    }

    fn close(&mut self, invoked: u32) {
        self.open.retain(|open| *open != invoked);
    }

    fn unwant(&mut self, from: Option<&Value>) {
        let Some(from) = from else { return };
        if let Some(count) = self.wanted.get_mut(from) {
            *count -= 1;
            if *count == 0 {
                self.wanted.remove(from);
            }
        }
    }

    /// Makes a cluster needed, and all from which its cas leads on.
    fn need(&mut self, cluster: ClusterId) -> Result<(), Halt> {
        let mut path: Vec<ClusterId> = Vec::new();
        let mut at = cluster;
        while self.clusters[&at].block.is_none() {
            if path.contains(&at) {
                return Err(broken(path, "cas lead in a circle".to_owned()));
            }
            path.push(at);
            let Some(from) = &self.clusters[&at].from else { break };
            let Some(&before) = self.by_value.get(from) else {
                let why = format!("a cas took effect, and nobody can have left the value {from}");
                return Err(broken([at], why));
            };
            at = before;
        }
        path.into_iter().rev().try_for_each(|cluster| self.join(cluster))
    }

    /// Puts a cluster into the block from which its cas leads on, or into one of its own.
    fn join(&mut self, cluster: ClusterId) -> Result<(), Halt> {
        let from = self.clusters[&cluster].from.clone();
        let before = from.as_ref().and_then(|from| self.by_value.get(from)).copied();
        let block = match before {
            None => {
                self.blocks.insert(cluster, Block::of(cluster));
                cluster
            }
            Some(before) => self.link(before, cluster)?,
        };
        self.unwant(from.as_ref());
        if let Some(joined) = self.clusters.get_mut(&cluster) {
            joined.block = Some(block);
        }
        self.relate(block)
    }

    /// Puts a cluster behind another, and returns the block of both.
    fn link(&mut self, before: ClusterId, cluster: ClusterId) -> Result<BlockId, Halt> {
        let first = self.clusters.get_mut(&before).expect("a value is known by its cluster");
        if let Some(other) = first.next.replace(cluster) {
            let why = format!("two cas succeeded from the value {}", first.value);
            return Err(broken([other, cluster], why));
        }
        let id = first.block.expect("what a needed cas began from is needed");
        let block = self.blocks.get_mut(&id).expect("a needed cluster has a block");
        block.chain.push(cluster);
        block.last_invocation = block.last_invocation.max(cluster);
        Ok(id)
    }

    /// Takes an operation into a needed cluster; it returns now.
    fn touch(&mut self, id: ClusterId, invoked: u32, now: u32) -> Result<(), Halt> {
        let cluster = self.clusters.get_mut(&id).expect("only known clusters are touched");
        cluster.last_invocation = cluster.last_invocation.max(invoked);
        let is_first = cluster.first_return == NEVER;
        cluster.first_return = cluster.first_return.min(now);
        if cluster.last_invocation > cluster.deadline {
            let why = format!(
                "the value {} was seen by an operation that began after a later value had been seen",
                cluster.value
            );
            return Err(broken([id, invoked], why));
        }
        let block_id = cluster.block.expect("only needed clusters are touched");
        let block = self.blocks.get_mut(&block_id).expect("a needed cluster has a block");
        block.first_return = block.first_return.min(now);
        block.last_invocation = block.last_invocation.max(invoked);
        if is_first {
            self.limit_earlier(block_id, id, now);
        }
        self.relate(block_id)
    }

    /// Gives the clusters before this one in its chain a deadline. Where one has its deadline, so have all before it.
    fn limit_earlier(&mut self, block: BlockId, cluster: ClusterId, now: u32) {
        let chain = &self.blocks[&block].chain;
        let behind = chain.iter().rev().skip_while(|id| **id != cluster).skip(1);
        for earlier in behind {
            match self.clusters.get_mut(earlier) {
                Some(earlier) if earlier.deadline == NEVER => earlier.deadline = now,
                Some(_) | None => return,
            }
        }
    }

    /// Holds a block that changed against those that it must follow.
    fn relate(&mut self, changed: BlockId) -> Result<(), Halt> {
        let Block { first_return, last_invocation, .. } = self.blocks[&changed];
        for (id, other) in &mut self.blocks {
            if *id == changed || last_invocation <= other.first_return {
                continue;
            }
            other.deadline = other.deadline.min(first_return);
            if other.is_late() {
                return Err(tangled([*id, changed]));
            }
        }
        Ok(())
    }

    /// Forgets what nobody can see any more, now and then.
    fn forget(&mut self, now: u32) {
        if self.blocks.len() < self.crowded && self.clusters.len() < 8 * self.crowded {
            return;
        }
        let horizon = self.open.iter().copied().min().unwrap_or(now + 1);
        let Register { clusters, by_value, blocks, wanted, .. } = self;
        blocks.retain(|_, block| {
            let all = block.deadline < horizon;
            block.chain.retain(|id| {
                let cluster = &clusters[id];
                let is_past = all || cluster.deadline < horizon;
                let stays = !is_past || wanted.contains_key(&cluster.value);
                if !stays {
                    by_value.remove(&cluster.value);
                    clusters.remove(id);
                }
                stays
            });
            !block.chain.is_empty()
        });
        self.crowded = 8 + 2 * self.blocks.len().max(self.clusters.len() / 8);
    }
}

impl Cluster {
    fn new(invoked: u32, value: Value, from: Option<Value>) -> Cluster {
        Cluster {
            value,
            from,
            block: None,
            next: None,
            first_return: NEVER,
            last_invocation: invoked,
            deadline: NEVER,
        }
    }
}

impl Block {
    fn of(cluster: ClusterId) -> Block {
        Block {
            first_return: NEVER,
            last_invocation: cluster,
            deadline: NEVER,
            chain: vec![cluster],
        }
    }
}

fn tangled(blocks: impl IntoIterator<Item = BlockId>) -> Halt {
    broken(blocks, "one value was seen both before and after another".to_owned())
}
