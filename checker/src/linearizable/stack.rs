//! Stacks with unique elements: what lies at the bottom is taken away, until nothing is left or nothing can lie there.
//!
//! An element is certainly there from when its push has returned until its pop is invoked. Where no element is certainly
//! there, the stack may as well be empty: pops of what is there can be moved to just before that moment, or pushes to just
//! behind it, from the top down and from the bottom up, and no other operation notices. So each stretch of time that is
//! covered without a gap is a question of its own, and its operations may be squeezed into it. In such a stretch the stack is
//! never empty, so one element lies at the bottom all the time: it was pushed before the first push returned, and its
//! pop returns after the last one was invoked. Whichever element could do that, the stretch is possible iff it is
//! without that element: a stack without one element is a stack, and around a possible stretch a push and a pop can be put.
//! An element that is never certainly there is popped as soon as it was pushed. (The idea to take away what cannot hurt is
//! that of Lee & Mathur, *Efficient Decrease-and-Conquer Linearizability Monitoring*, 2024.)
//!
//! A pop that found the stack empty needs a moment at which no element is certainly there. A pop in doubt may take one
//! element that stays: it must, where an element that was certainly below came out, or the stack was found empty. These are
//! given the pops in doubt, the earliest to the most urgent; where that does not fit, the search must decide.

use squall_history::F;

use super::decide::{Answer, Question};
use super::elements::{Elements, NEVER, Need, double};
use super::stretches::Stretches;

/// Decides a stack.
pub(crate) fn decide(question: &Question<'_>) -> Answer {
    let found = Elements::of(question).and_then(|elements| Stack { question, elements }.order());
    match found {
        Ok(order) => Answer::Order(order),
        Err(answer) => answer,
    }
}

struct Stack<'a> {
    question: &'a Question<'a>,
    elements: Elements,
}

impl Stack<'_> {
    fn order(mut self) -> Result<Vec<u32>, Answer> {
        let elements = &mut self.elements;
        elements.all.sort_unstable_by_key(|element| element.put_until);
        if !elements.doubtful.is_empty() {
            let needs = needs(self.question, elements);
            elements.lend(self.question, needs)?;
        }
        let gaps = elements.gaps(self.question)?;
        let sequence = self.sequence()?;
        self.emit(&sequence, &gaps).ok_or(Answer::Unsure)
    }

    /// Orders the operations on the elements that are certainly there at some time.
    fn sequence(&self) -> Result<Vec<u32>, Answer> {
        let all = &self.elements.all;
        let mut stretches = Stretches::new(all);
        let mut sequence = Vec::with_capacity(self.question.entries.len());
        let stretch = |(from, to)| Task::Stretch(from, to);
        let mut open: Vec<Task> =
            stretches.between(0, stretches.len()).into_iter().map(stretch).collect();
        while let Some(task) = open.pop() {
            self.question.pace(sequence.len() as u32)?;
            match task {
                Task::Stretch(from, to) => {
                    let Some(n) = stretches.bottom(all, from, to) else {
                        return Err(self.bottomless(&stretches, from, to));
                    };
                    stretches.take_away(n);
                    sequence.push(all[n].put);
                    // What lies below an element that stays is not taken out either, whatever a pop in doubt could do.
                    let comes_out = !all[n].stays() && to < stretches.len();
                    open.extend(comes_out.then_some(Task::Pop(all[n].take)));
                    open.extend(stretches.between(from, to).into_iter().map(stretch));
                }
                Task::Pop(pop) => sequence.push(pop),
            }
        }
        Ok(sequence)
    }

    /// Names elements that cover a stretch, of which none can lie at the bottom.
    fn bottomless(&self, stretches: &Stretches, from: usize, to: usize) -> Answer {
        let mut members: Vec<u32> = Vec::new();
        let mut place = from;
        while place < to {
            let covers = (0..self.elements.all.len()).filter_map(|n| {
                let (first, last) = stretches.covers(n)?;
                (first <= place && place < last).then_some((last, n))
            });
            let Some((last, n)) = covers.max() else { return Answer::Unsure };
            let element = &self.elements.all[n];
            if self.elements.may_be_gone(self.question, element) {
                return Answer::Unsure;
            }
            members.extend(element.members());
            place = last;
        }
        Answer::impossible(self.question, &members)
    }

    /// Writes the order down: each operation as early as it may be, the elements that need not be there and the pops that
    /// found nothing in between. Nothing, should one be too late after all.
    fn emit(&self, sequence: &[u32], gaps: &[(u64, u32)]) -> Option<Vec<u32>> {
        let entries = self.question.entries;
        let from = |n: u32| 2 * u64::from(entries[n as usize].inv);
        let until = |n: u32| double(entries[n as usize].ret);
        let mut moments: Vec<(u64, u8, u32)> = gaps.iter().map(|(gap, n)| (*gap, 0, *n)).collect();
        for element in self.elements.all.iter().filter(|element| element.presence().is_none()) {
            let moment = element.put_from.max(element.take_from);
            if moment >= element.put_until.min(element.take_until) {
                return None;
            }
            moments.extend(element.members().map(|n| (moment, 1, n)));
        }
        let mut now = 0;
        let mut depth = 0_usize;
        for n in sequence {
            let pushes = self.pushes(*n);
            if pushes && depth == 0 {
                // The stack is empty: it stays so while others find it.
                let before = gaps.partition_point(|(gap, _)| *gap < until(*n));
                now = before.checked_sub(1).map_or(now, |k| now.max(gaps[k].0));
            }
            depth = if pushes { depth + 1 } else { depth.saturating_sub(1) };
            now = now.max(from(*n));
            if now >= until(*n) {
                return None;
            }
            moments.push((now, 2, *n));
        }
        // Stable, so that what happens at one moment keeps its order.
        moments.sort_by_key(|(time, kind, _)| (*time, *kind));
        Some(moments.into_iter().map(|(.., n)| n).collect())
    }

    fn pushes(&self, n: u32) -> bool {
        self.question.operation(n).op.f == F::Push
    }
}

/// What is left to be written down.
#[derive(Clone, Copy, Debug)]
enum Task {
    /// Places that are covered, from the first to before the last.
    Stretch(usize, usize),
    /// The pop of what lay at the bottom.
    Pop(u32),
}

/// Returns the elements that stay, and must not: one that was certainly below came out, or the stack was found empty.
fn needs(question: &Question<'_>, elements: &Elements) -> Vec<Need> {
    let all = &elements.all;
    let mut takes: Vec<u64> = all.iter().map(|e| e.take_from).filter(|at| *at < NEVER).collect();
    takes.sort_unstable();
    let place = |time: u64| takes.partition_point(|take| *take < time);
    let mut below = Soonest::new(takes.len());
    // By the return of their pushes, which is how they are sorted.
    let mut pushed = all.iter().enumerate().filter(|(_, e)| e.take_until < NEVER).peekable();
    let mut needy: Vec<usize> = (0..all.len()).filter(|n| all[*n].stays()).collect();
    needy.sort_unstable_by_key(|n| all[*n].put_from);
    let empties = elements.found_empty(question);
    let mut needs = Vec::new();
    for n in needy {
        while let Some((x, element)) = pushed.next_if(|(_, e)| e.put_until < all[n].put_from) {
            below.learn(place(element.take_from), (element.take_until, x));
        }
        let by_order = below.from(place(all[n].put_until)).map(|(until, x)| Need {
            element: n,
            until,
            because: [all[x].put, all[x].take],
        });
        let by_empty = empties.need(n, &all[n]);
        needs.extend([by_order, by_empty].into_iter().flatten().min_by_key(|need| need.until));
    }
    needs
}

/// The smallest of what was learned about all places from one on: a Fenwick tree, read from its far end.
struct Soonest(Vec<Option<(u64, usize)>>);

impl Soonest {
    fn new(places: usize) -> Soonest {
        Soonest(vec![None; places + 1])
    }

    fn learn(&mut self, place: usize, what: (u64, usize)) {
        let mut k = self.0.len() - 1 - place;
        while k < self.0.len() {
            self.0[k] = Some(self.0[k].map_or(what, |known| known.min(what)));
            k += k & k.wrapping_neg();
        }
    }

    /// Returns the smallest that was learned about this place or one behind it.
    fn from(&self, place: usize) -> Option<(u64, usize)> {
        let mut k = self.0.len().saturating_sub(1 + place);
        let mut soonest = None;
        while k > 0 {
            soonest = [soonest, self.0[k]].into_iter().flatten().min();
            k -= k & k.wrapping_neg();
        }
        soonest
    }
}
