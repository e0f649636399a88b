//! Counters whose increments all add the same positive amount: n log n time, for yes and for no.
//!
//! Ordered by what they saw, the reads fall into groups, and the group that saw n stands where exactly n increments came
//! before it. A group takes up a span without increments: from just before its first return to just behind its last
//! invocation where the former comes first, else one gap of our choice between the two. Before it must come every
//! increment that returns by the end of the span, and may come every one that was invoked before its start. Where there
//! is a choice, increments that return first are taken first, since they are the next that must come before; and a gap
//! is chosen as early as there are enough increments to fill it, since later more of them would have to come before.
//! Increments in doubt never return, so they are taken last, and only where they are needed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use squall_history::{F, Outcome};

use super::decide::{Answer, Question};
use crate::model::amount;

/// Decides a counter.
pub(crate) fn decide(question: &Question<'_>) -> Answer {
    let Some(counter) = Counter::of(question) else { return Answer::Unsure };
    match counter.order() {
        Some(order) => Answer::Order(order),
        // Why not is shown by a search in what the failing group has to do with.
        None => Answer::Unsure,
    }
}

struct Counter<'a> {
    question: &'a Question<'a>,
    /// Increments by invocation.
    increments: Vec<u32>,
    /// How many increments each read saw, and the read; sorted.
    reads: Vec<(u64, u32)>,
}

/// The reads that saw the same.
struct Group<'a> {
    count: u64,
    reads: &'a [(u64, u32)],
    first_return: u32,
    last_invoke: u32,
}

impl<'a> Counter<'a> {
    fn of(question: &'a Question<'a>) -> Option<Counter<'a>> {
        let mut by = None;
        let mut counter = Counter { question, increments: Vec::new(), reads: Vec::new() };
        for n in 0..question.entries.len() as u32 {
            question.meter.pace(n).ok()?;
            let operation = question.operation(n);
            match &operation.op.f {
                F::Increment | F::Add => {
                    let amount = amount(&operation.op.value)?;
                    if amount <= 0 || *by.get_or_insert(amount) != amount {
                        return None;
                    }
                    counter.increments.push(n);
                }
                _ if question.entries[n as usize].is_optional() => {}
                _ => {
                    let Outcome::Ok(seen) = &operation.outcome else { return None };
                    let seen = if seen.is_nil() { 0 } else { seen.as_int()? };
                    counter.reads.push((u64::try_from(seen).ok()?, n));
                }
            }
        }
        let by = by.unwrap_or(1) as u64;
        for (seen, _) in &mut counter.reads {
            if !seen.is_multiple_of(by) {
                return None;
            }
            *seen /= by;
        }
        counter.reads.sort_unstable();
        Some(counter)
    }

    fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        let entry = |n: &(u64, u32)| self.question.entries[n.1 as usize];
        self.reads.chunk_by(|a, b| a.0 == b.0).map(move |reads| Group {
            count: reads[0].0,
            reads,
            first_return: reads.iter().map(|n| entry(n).ret).min().unwrap_or(u32::MAX),
            last_invoke: reads.iter().map(|n| entry(n).inv).max().unwrap_or(0),
        })
    }

    /// Gap g is the one behind event g. An increment may come before it if it was invoked at g or earlier, and must if
    /// it returned by then.
    fn order(&self) -> Option<Vec<u32>> {
        let mut taker = Taker::new(self);
        for (k, group) in (0..).zip(self.groups()) {
            // Out of time, the search is asked, which says so.
            self.question.meter.pace(k).ok()?;
            let (start, end) = if group.first_return < group.last_invoke {
                (group.first_return - 1, group.last_invoke)
            } else {
                let gap = taker.early_enough(&group)?;
                (gap, gap)
            };
            if start < taker.gap || taker.taken > group.count {
                return None;
            }
            taker.open(start);
            taker.must(end)?;
            if taker.taken > group.count {
                return None;
            }
            taker.fill(group.count)?;
            taker.read(&group, start, end);
        }
        taker.rest();
        taker.moments.sort_by_key(|(at, _)| *at);
        Some(taker.moments.into_iter().map(|(_, n)| n).collect())
    }
}

struct Taker<'a> {
    counter: &'a Counter<'a>,
    /// The end of the last span.
    gap: u32,
    taken: u64,
    /// Increments that may be taken, by their return.
    open: BinaryHeap<Reverse<(u32, u32)>>,
    opened: usize,
    moments: Vec<(u64, u32)>,
}

impl<'a> Taker<'a> {
    fn new(counter: &'a Counter<'a>) -> Taker<'a> {
        Taker {
            counter,
            gap: 0,
            taken: 0,
            open: BinaryHeap::new(),
            opened: 0,
            moments: Vec::with_capacity(counter.question.entries.len()),
        }
    }

    fn inv(&self, n: u32) -> u32 {
        self.counter.question.entries[n as usize].inv
    }

    /// Returns the first gap that a group may use and before which enough increments were invoked.
    fn early_enough(&self, group: &Group<'_>) -> Option<u32> {
        let enough = match usize::try_from(group.count).ok()? {
            0 => 0,
            count => self.inv(*self.counter.increments.get(count - 1)?),
        };
        let gap = group.last_invoke.max(enough).max(self.gap);
        (gap < group.first_return).then_some(gap)
    }

    /// Opens the increments that were invoked before a gap.
    fn open(&mut self, gap: u32) {
        while let Some(n) = self.counter.increments.get(self.opened).copied() {
            let entry = self.counter.question.entries[n as usize];
            if entry.inv > gap {
                break;
            }
            self.open.push(Reverse((entry.ret, n)));
            self.opened += 1;
        }
    }

    /// Takes the increments that return by a gap. Fails if one of them is not open yet: it would have to take effect
    /// inside the span.
    fn must(&mut self, gap: u32) -> Option<()> {
        while let Some(Reverse((ret, _))) = self.open.peek() {
            if *ret > gap {
                break;
            }
            self.take();
        }
        let not_open = self.counter.increments[self.opened..].iter();
        let entries = self.counter.question.entries;
        let inside = not_open
            .map(|n| entries[*n as usize])
            .take_while(|entry| entry.inv <= gap)
            .any(|entry| entry.ret <= gap);
        (!inside).then_some(())
    }

    /// Takes increments, the most urgent first, until there are so many.
    fn fill(&mut self, count: u64) -> Option<()> {
        while self.taken < count {
            self.take()?;
        }
        Some(())
    }

    fn take(&mut self) -> Option<()> {
        let Reverse((_, n)) = self.open.pop()?;
        self.taken += 1;
        self.place(n);
        Some(())
    }

    /// Puts an increment right behind the last span, or at its invocation if that is later.
    fn place(&mut self, n: u32) {
        let at = (2 * u64::from(self.inv(n))).max(2 * u64::from(self.gap) + 1);
        self.moments.push((at, n));
    }

    fn read(&mut self, group: &Group<'_>, start: u32, end: u32) {
        for (_, n) in group.reads {
            let at = (2 * u64::from(self.inv(*n))).max(2 * u64::from(start) + 1);
            self.moments.push((at, *n));
        }
        self.gap = end;
    }

    /// Takes what must take effect and no read waits for.
    fn rest(&mut self) {
        self.open(u32::MAX);
        while let Some(Reverse((ret, n))) = self.open.pop() {
            if ret != super::part::NEVER {
                self.place(n);
            }
        }
    }
}
