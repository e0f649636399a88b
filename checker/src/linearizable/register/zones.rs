//! Registers whose values tell who wrote them: linear time, for yes and for no.
//!
//! Where every value that anybody needs was written at most once, a read names its write, and a cas the write or cas
//! before it (Gibbons & Korach, *Testing Shared Memories*, SIAM J. Comput. 26(4), 1997). The operations fall into blocks:
//!
//! ```text
//! write 1, reads of 1, cas 1→2, reads of 2, cas 2→3, …
//! ```
//!
//! Inside a block the order is forced, so each operation must return after every operation of an earlier step began.
//! Between blocks, let f be the first return and s the last invocation of a block. B must precede A iff f(B) < s(A).
//! If a shortest cycle A1→A2→…→Ak had k ≥ 3, each missing chord gives f(Ai) > s(Ai+2) > f(Ai+1), so
//! f(A1) > f(A2) > … > f(A1), which is absurd. So only pairs can contradict each other: two forward zones (f < s) that
//! overlap, or a backward zone (s < f) inside a forward one. Otherwise forward blocks ordered by f, and backward ones put
//! in at their s, are a linearization.
//!
//! Operations in doubt are used only where their value is needed: a least fixed point from the definite operations. That
//! is exact as long as no observer is negative. Failed cas that do not say what they saw are therefore left out at first,
//! which is a relaxation: what is impossible without them is impossible. They are then fitted into the order that was
//! found; where one does not fit, another engine must decide.

use super::{Act, Acts};
use crate::budget::Meter;
use crate::linearizable::part::Entry;

/// No entry.
const NONE: u32 = u32::MAX;

/// What zones say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Zones {
    /// An order, as indices of entries.
    Order(Vec<u32>),
    /// The operations that contradict each other.
    Contradiction(Vec<Member>),
    /// Values do not tell who wrote them, or a failed cas does not fit.
    Unsure,
}

/// One entry of a contradiction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// The index of the entry.
    pub(crate) entry: u32,
    /// Only what it leaves counts, not what it compares with.
    pub(crate) blind: bool,
}

/// Decides a register by its zones. Out of time it is unsure, and the search, which is then asked, says so.
pub(crate) fn zones(entries: &[Entry], acts: &Acts, meter: &Meter) -> Zones {
    let mut sorter = Sorter::new(entries, acts);
    let in_time = || meter.poll().map_err(|_| Zones::Unsure);
    let blocks = match in_time().and_then(|()| sorter.blocks()) {
        Ok(blocks) => blocks,
        Err(early) => return early,
    };
    if let Err(late) = in_time() {
        return late;
    }
    let order = sorter.emit(&blocks);
    match fit(entries, acts, order) {
        Some(order) => Zones::Order(order),
        None => Zones::Unsure,
    }
}

/// What is known of one value.
#[derive(Clone, Copy)]
struct Known {
    /// The only entry that leaves it, if there is one.
    writer: u32,
    /// Whether several leave it.
    ambiguous: bool,
    /// An entry that needs it.
    needer: u32,
    /// The read that returned first, and the one that was invoked last.
    first_return: u32,
    last_invoke: u32,
    /// The first of its reads, linked through [`Sorter::next_read`].
    reads: u32,
    /// The cas that takes it away.
    out: u32,
}

const UNKNOWN: Known = Known {
    writer: NONE,
    ambiguous: false,
    needer: NONE,
    first_return: NONE,
    last_invoke: NONE,
    reads: NONE,
    out: NONE,
};

/// A chain from one blind write, or from the initial value.
#[derive(Clone, Copy)]
struct Block {
    /// The write; none for the initial value.
    root: u32,
    /// The entry that returns first; none for the initial value, which is there from the start.
    first: u32,
    /// The entry that is invoked last.
    last: u32,
    /// The first return and the last invocation.
    f: u32,
    s: u32,
}

impl Block {
    fn forward(&self) -> bool {
        self.f < self.s
    }

    /// Where the block stands among the others.
    fn key(&self) -> u32 {
        self.f.min(self.s)
    }
}

struct Sorter<'a> {
    entries: &'a [Entry],
    acts: &'a [Act],
    known: Vec<Known>,
    next_read: Vec<u32>,
    /// Which optional entries are needed; empty where there are none.
    used: Vec<bool>,
}

impl<'a> Sorter<'a> {
    fn new(entries: &'a [Entry], acts: &'a Acts) -> Sorter<'a> {
        let mut sorter = Sorter {
            entries,
            acts: &acts.of,
            known: vec![UNKNOWN; acts.values],
            next_read: vec![NONE; entries.len()],
            used: Vec::new(),
        };
        // Backwards, so that the linked reads come out in the order of their invocations.
        for n in (0..entries.len() as u32).rev() {
            sorter.learn(n);
        }
        if entries.iter().any(|entry| entry.is_optional()) {
            sorter.used = vec![false; entries.len()];
        }
        sorter
    }

    fn learn(&mut self, n: u32) {
        let entry = self.entries[n as usize];
        let act = self.acts[n as usize];
        if let Some(value) = act.leaves() {
            let known = &mut self.known[value as usize];
            known.ambiguous |= known.writer != NONE;
            known.writer = n;
        }
        if let (Some(value), false) = (act.needs(), entry.is_optional()) {
            self.known[value as usize].needer = n;
        }
        if let (Act::Read(value), false) = (act, entry.is_optional()) {
            let known = &mut self.known[value as usize];
            self.next_read[n as usize] = known.reads;
            known.reads = n;
            if known.first_return == NONE
                || entry.ret < self.entries[known.first_return as usize].ret
            {
                known.first_return = n;
            }
            // Entries are in the order of invocation, and met backwards.
            if known.last_invoke == NONE {
                known.last_invoke = n;
            }
        }
    }

    fn is_active(&self, n: u32) -> bool {
        !self.entries[n as usize].is_optional() || self.used[n as usize]
    }

    /// Builds the blocks and holds them against each other.
    fn blocks(&mut self) -> Result<Vec<Block>, Zones> {
        if let Some(never) = self.acts.iter().position(|act| *act == Act::Never) {
            return Err(Zones::Contradiction(vec![whole(never as u32)]));
        }
        self.need()?;
        let links = self.link()?;
        let mut blocks = Vec::new();
        let mut followed = 0;
        if self.known[0].needer != NONE {
            let block = Block { root: NONE, first: NONE, last: NONE, f: 0, s: 0 };
            blocks.push(self.follow(block, 0, &mut followed)?);
        }
        for (n, act) in (0..).zip(self.acts) {
            if let (Act::Write(value), true) = (*act, self.is_active(n)) {
                let entry = self.entries[n as usize];
                let block = Block { root: n, first: n, last: n, f: entry.ret, s: entry.inv };
                blocks.push(self.follow(block, value, &mut followed)?);
            }
        }
        if followed < links {
            return Err(self.circle());
        }
        let blocks = in_order(blocks);
        self.clash(&blocks)?;
        Ok(blocks)
    }

    /// Finds out which values are needed, and uses the optional entries that leave them.
    fn need(&mut self) -> Result<(), Zones> {
        // Those that are needed only by what is used meanwhile are traced at once, so that it does no harm to meet them.
        for value in 0..self.known.len() as u32 {
            if self.known[value as usize].needer != NONE {
                self.trace(value)?;
            }
        }
        Ok(())
    }

    /// Follows a needed value to the definite entry that leaves it, through optional ones.
    fn trace(&mut self, mut value: u32) -> Result<(), Zones> {
        loop {
            let known = self.known[value as usize];
            if known.ambiguous || (value == 0 && known.writer != NONE) {
                return Err(Zones::Unsure);
            }
            if value == 0 {
                return Ok(());
            }
            if known.writer == NONE {
                return Err(Zones::Contradiction(self.why_needed(value)));
            }
            if self.is_active(known.writer) {
                return Ok(());
            }
            self.used[known.writer as usize] = true;
            let Act::Cas(from, _) = self.acts[known.writer as usize] else { return Ok(()) };
            if self.known[from as usize].needer == NONE {
                self.known[from as usize].needer = known.writer;
            }
            value = from;
        }
    }

    /// Returns the entries that show that a value was there: a definite one, and the optional ones that it rests on.
    fn why_needed(&self, mut value: u32) -> Vec<Member> {
        let mut members = Vec::new();
        loop {
            let needer = self.known[value as usize].needer;
            members.push(whole(needer));
            if !self.entries[needer as usize].is_optional() {
                return members;
            }
            let Some(left) = self.acts[needer as usize].leaves() else { return members };
            value = left;
        }
    }

    /// Links each value to the cas that takes it away; returns how many there are.
    fn link(&mut self) -> Result<usize, Zones> {
        let mut links = 0;
        for n in 0..self.acts.len() as u32 {
            let Act::Cas(from, _) = self.acts[n as usize] else { continue };
            if !self.is_active(n) {
                continue;
            }
            links += 1;
            let out = self.known[from as usize].out;
            if out != NONE {
                return Err(Zones::Contradiction(self.two_takers(from, [out, n])));
            }
            self.known[from as usize].out = n;
        }
        Ok(links)
    }

    /// Two cas took the same value away, and it was left only once.
    fn two_takers(&self, value: u32, takers: [u32; 2]) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        let writer = self.known[value as usize].writer;
        if writer != NONE {
            members.push(Member { entry: writer, blind: true });
        }
        for taker in takers {
            members.push(whole(taker));
            if let (true, Some(left)) =
                (self.entries[taker as usize].is_optional(), self.acts[taker as usize].leaves())
            {
                members.extend(self.why_needed(left));
            }
        }
        members
    }

    /// Walks a chain, and checks that real time allows its order.
    fn follow(
        &self,
        mut block: Block,
        mut value: u32,
        followed: &mut usize,
    ) -> Result<Block, Zones> {
        // A value that nobody needs may have been left by several; whoever left it, its chain ends here.
        while self.known[value as usize].needer != NONE {
            let known = self.known[value as usize];
            if known.first_return != NONE {
                self.step(&mut block, known.first_return)?;
                self.widen(&mut block, known.last_invoke);
            }
            if known.out == NONE {
                break;
            }
            *followed += 1;
            self.step(&mut block, known.out)?;
            self.widen(&mut block, known.out);
            match self.acts[known.out as usize] {
                Act::Cas(_, to) => value = to,
                Act::Read(_) | Act::Write(_) | Act::Not(_) | Act::Never => break,
            }
        }
        Ok(block)
    }

    /// Takes the next entry of a chain: it must return after all before it were invoked.
    fn step(&self, block: &mut Block, n: u32) -> Result<(), Zones> {
        let ret = self.entries[n as usize].ret;
        if ret < block.s {
            return Err(Zones::Contradiction(self.span(&[block.last, n])));
        }
        if block.root != NONE && ret < block.f {
            (block.f, block.first) = (ret, n);
        }
        Ok(())
    }

    fn widen(&self, block: &mut Block, n: u32) {
        let inv = self.entries[n as usize].inv;
        if inv > block.s {
            (block.s, block.last) = (inv, n);
        }
    }

    /// Finds two blocks that must each precede the other.
    fn clash(&self, blocks: &[Block]) -> Result<(), Zones> {
        let mut active: Option<Block> = None;
        for block in blocks {
            // In the order of keys, every forward zone that begins before this block's has been met.
            match active {
                Some(zone) if block.f < zone.s => return Err(self.conflict(zone, *block)),
                Some(_) | None => {}
            }
            if block.forward() {
                active = Some(*block);
            }
        }
        Ok(())
    }

    fn conflict(&self, a: Block, b: Block) -> Zones {
        let mut members = Vec::new();
        for block in [a, b] {
            members.extend(match block.root {
                // It stands first because it hangs on the initial value, by every cas on the way.
                NONE => self.chain(&[block.last], 0),
                _ => self.span(&[block.first, block.last]),
            });
        }
        Zones::Contradiction(members)
    }

    /// Returns entries of one block, with what ties them together: the chain from the lowest value among them to the
    /// highest.
    fn span(&self, ends: &[u32]) -> Vec<Member> {
        let lowest = ends.iter().map(|end| self.depth(self.at(*end))).min();
        self.chain(ends, lowest.unwrap_or(0))
    }

    /// Returns entries of one block, with the chain up to the highest value among them, and whoever left the value at
    /// which that begins, of whom only that counts.
    fn chain(&self, ends: &[u32], from: usize) -> Vec<Member> {
        let mut steps: Vec<(usize, u32)> =
            ends.iter().map(|end| (self.depth(self.at(*end)), *end)).collect();
        steps.sort_unstable();
        let (lowest, highest) = (steps[0], steps[steps.len() - 1]);
        let mut members = Vec::new();
        let mut value = self.at(highest.1);
        for _ in from..highest.0 {
            let writer = self.known[value as usize].writer;
            members.push(whole(writer));
            if let Act::Cas(from, _) = self.acts[writer as usize] {
                value = from;
            }
        }
        // The value that nobody needs has no writer of its own to name, but then the end itself is its writer.
        let writer = self.known[value as usize].writer;
        let lowest_writer =
            if self.acts[lowest.1 as usize].leaves() == Some(value) { lowest.1 } else { writer };
        if lowest_writer != NONE {
            members.push(Member { entry: lowest_writer, blind: true });
        }
        for (_, end) in steps {
            if members.iter().all(|member| member.entry != end) {
                members.push(whole(end));
            }
        }
        let optional = |member: &&Member| self.entries[member.entry as usize].is_optional();
        let left = |member: &Member| self.acts[member.entry as usize].leaves();
        let lent: Vec<u32> = members.iter().filter(optional).filter_map(left).collect();
        members.extend(lent.into_iter().flat_map(|value| self.why_needed(value)));
        members
    }

    /// Returns the value at which an entry stands in its chain. A cas to a value that nobody needs stands where it took.
    fn at(&self, n: u32) -> u32 {
        match self.acts[n as usize] {
            Act::Cas(from, to) if self.known[to as usize].needer == NONE => from,
            act => act.leaves().or(act.needs()).unwrap_or(0),
        }
    }

    /// Returns how many cas lie between a value and its root.
    fn depth(&self, mut value: u32) -> usize {
        let mut depth = 0;
        loop {
            let writer = self.known[value as usize].writer;
            if writer == NONE || self.known[value as usize].ambiguous {
                return depth;
            }
            let Act::Cas(from, _) = self.acts[writer as usize] else { return depth };
            value = from;
            depth += 1;
        }
    }

    /// Finds cas that lead into each other, so that none can be the first.
    fn circle(&self) -> Zones {
        let mut reached = vec![false; self.acts.len()];
        let start = (0..self.acts.len() as u32).find(|n| {
            matches!(self.acts[*n as usize], Act::Cas(..)) && self.circles(*n, &mut reached)
        });
        let mut members = Vec::new();
        let mut at = start;
        while let Some(n) = at.filter(|n| members.iter().all(|m: &Member| m.entry != *n)) {
            members.push(whole(n));
            at = self.before(n);
        }
        // Entries in doubt are part of it only because something definite needs one of them.
        let optional = members.iter().all(|m| self.entries[m.entry as usize].is_optional());
        if let (true, Some(member)) = (optional, members.first().copied())
            && let Some(left) = self.acts[member.entry as usize].leaves()
        {
            members.extend(self.why_needed(left).into_iter().filter(|m| m.entry != member.entry));
        }
        Zones::Contradiction(members)
    }

    /// Returns the cas that left what a cas takes.
    fn before(&self, n: u32) -> Option<u32> {
        let from = self.acts[n as usize].needs()?;
        let writer = self.known[from as usize].writer;
        (writer != NONE && matches!(self.acts[writer as usize], Act::Cas(..))).then_some(writer)
    }

    /// Returns whether going back from an active cas comes round to it.
    fn circles(&self, n: u32, reached: &mut [bool]) -> bool {
        let mut at = n;
        while self.is_active(at) && !reached[at as usize] {
            reached[at as usize] = true;
            match self.before(at) {
                Some(before) if before == n => return true,
                Some(before) => at = before,
                None => return false,
            }
        }
        false
    }

    /// Writes the order down, block by block.
    fn emit(&self, blocks: &[Block]) -> Vec<u32> {
        let mut order = Vec::with_capacity(self.entries.len());
        for block in blocks {
            let mut value = 0;
            if block.root != NONE {
                order.push(block.root);
                value = self.acts[block.root as usize].leaves().unwrap_or(0);
            }
            while self.known[value as usize].needer != NONE {
                let known = self.known[value as usize];
                let mut read = known.reads;
                while read != NONE {
                    order.push(read);
                    read = self.next_read[read as usize];
                }
                let Some(Act::Cas(_, to)) = self.acts.get(known.out as usize) else { break };
                order.push(known.out);
                value = *to;
            }
        }
        order
    }
}

/// Puts blocks in the order of their keys, which differ: numbers are sorted faster than what they stand for.
fn in_order(blocks: Vec<Block>) -> Vec<Block> {
    let numbered = (0..).zip(&blocks);
    let mut keys: Vec<u64> =
        numbered.map(|(n, block): (u64, _)| u64::from(block.key()) << 32 | n).collect();
    keys.sort_unstable();
    keys.into_iter().map(|key| blocks[key as u32 as usize]).collect()
}

fn whole(entry: u32) -> Member {
    Member { entry, blind: false }
}

/// Fits failed cas that do not say what they saw into an order, where they fit.
///
/// One fits behind every entry that returned before it began, before every entry that began after it returned, where the
/// value is another. They are fitted in the order of their invocations, each as early as it fits, and never before one
/// that had returned when it began.
fn fit(entries: &[Entry], acts: &Acts, order: Vec<u32>) -> Option<Vec<u32>> {
    let negative: Vec<u32> = (0..)
        .zip(&acts.of)
        .filter(|(n, act)| matches!(act, Act::Not(_)) && !entries[*n as usize].is_optional())
        .map(|(n, _)| n)
        .collect();
    if negative.is_empty() {
        return Some(order);
    }
    let line = Line::of(entries, acts, &order);
    let mut by_return = negative.clone();
    by_return.sort_unstable_by_key(|n| entries[*n as usize].ret);
    let mut returned = by_return.into_iter().peekable();
    let mut place = vec![0; entries.len()];
    let mut least = 0;
    let mut fitted: Vec<(u32, u32)> = Vec::with_capacity(negative.len());
    for n in negative {
        let entry = entries[n as usize];
        while let Some(before) = returned.next_if(|b| entries[*b as usize].ret < entry.inv) {
            least = least.max(place[before as usize]);
        }
        let at = line.place(entry, acts.of[n as usize], least)?;
        place[n as usize] = at;
        fitted.push((at, n));
    }
    fitted.sort_by_key(|(at, _)| *at);
    Some(merge(&order, &fitted))
}

/// An order, with what a newcomer must know of each gap: gap k is before the k-th entry.
struct Line {
    /// The latest invocation before each gap.
    latest: Vec<u32>,
    /// The earliest return behind each gap.
    earliest: Vec<u32>,
    /// The value in each gap.
    value: Vec<u32>,
    /// The next gap with another value.
    changes: Vec<u32>,
}

impl Line {
    fn of(entries: &[Entry], acts: &Acts, order: &[u32]) -> Line {
        let gaps = order.len() + 1;
        let mut line = Line {
            latest: vec![0; gaps],
            earliest: vec![u32::MAX; gaps],
            value: vec![0; gaps],
            changes: vec![gaps as u32; gaps],
        };
        for (k, n) in order.iter().enumerate() {
            line.latest[k + 1] = line.latest[k].max(entries[*n as usize].inv);
            line.value[k + 1] = acts.of[*n as usize].leaves().unwrap_or(line.value[k]);
        }
        for (k, n) in order.iter().enumerate().rev() {
            line.earliest[k] = line.earliest[k + 1].min(entries[*n as usize].ret);
            let same = line.value[k] == line.value[k + 1];
            line.changes[k] = if same { line.changes[k + 1] } else { k as u32 + 1 };
        }
        line
    }

    /// Returns the first gap where a failed cas fits, none before `least`.
    fn place(&self, entry: Entry, act: Act, least: u32) -> Option<u32> {
        let Act::Not(value) = act else { return None };
        let from = self.earliest.partition_point(|earliest| *earliest < entry.inv) as u32;
        let from = from.max(least) as usize;
        let at = if self.value[from] == value { self.changes[from] as usize } else { from };
        (self.latest.get(at).copied()? < entry.ret).then_some(at as u32)
    }
}

fn merge(order: &[u32], fitted: &[(u32, u32)]) -> Vec<u32> {
    let mut merged = Vec::with_capacity(order.len() + fitted.len());
    let mut waiting = fitted.iter().peekable();
    for gap in 0..=order.len() {
        while let Some((_, n)) = waiting.next_if(|(at, _)| *at as usize == gap) {
            merged.push(*n);
        }
        merged.extend(order.get(gap));
    }
    merged
}
