//! Queues and bags with unique elements: n log n time, for yes and for no.
//!
//! Henzinger, Sezgin and Vafeiadis (*Aspect-Oriented Linearizability Proofs*, CONCUR 2013) show that a history of a FIFO
//! queue with unique elements is linearizable unless it shows one of four things: a dequeue of what was never enqueued,
//! or only later; two dequeues of one element; two elements that were enqueued in one order and dequeued in the other
//! (an element that stays counts as dequeued after all others); or a dequeue that found the queue empty while at every
//! moment some element was certainly in it. A bag has no order, so the third does not apply.
//!
//! A dequeue in doubt may take any one element that nobody else took. It must, where such an element would otherwise break
//! the order, or be there while the queue was found empty; the elements that need it, by the first return that they would
//! contradict, are given the dequeues in doubt by their invocations, the earliest to the most urgent. If there are too few,
//! no history explains it. If there are enough and it still does not fit, other elements may have been taken, and where
//! that could help the search must decide.

use super::decide::{Answer, Question};
use super::elements::{Element, Elements, NEVER, NONE, Need};

/// Whether elements come out in the order in which they went in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discipline {
    /// First in, first out.
    Fifo,
    /// In any order.
    Bag,
}

/// Decides a queue.
pub(crate) fn decide(question: &Question<'_>, discipline: Discipline) -> Answer {
    let found =
        Elements::of(question).and_then(|elements| Queue { question, elements }.order(discipline));
    match found {
        Ok(order) => Answer::Order(order),
        Err(answer) => answer,
    }
}

struct Queue<'a> {
    question: &'a Question<'a>,
    elements: Elements,
}

impl Queue<'_> {
    fn order(mut self, discipline: Discipline) -> Result<Vec<u32>, Answer> {
        // Elements in the order in which their enqueues were invoked.
        self.elements.all.sort_unstable_by_key(|element| element.put_from);
        if !self.elements.doubtful.is_empty() {
            let needs = self.needs(discipline);
            self.elements.lend(self.question, needs)?;
        }
        let gaps = self.elements.gaps(self.question)?;
        self.clamp(&gaps);
        self.question.pace(0)?;
        let sequence = match discipline {
            Discipline::Fifo => self.sequence()?,
            Discipline::Bag => (0..self.elements.all.len() as u32).collect(),
        };
        self.question.pace(0)?;
        self.emit(&sequence, &gaps, discipline).ok_or(Answer::Unsure)
    }

    /// Returns the elements that stay, and must not: a later one came out, or the queue was found empty.
    fn needs(&self, discipline: Discipline) -> Vec<Need> {
        let elements = &self.elements.all;
        let soonest = self.soonest_behind(discipline);
        let found_empty = self.elements.found_empty(self.question);
        let mut needs = Vec::new();
        for n in (0..elements.len()).filter(|n| elements[*n].stays()) {
            let until = elements[n].put_until;
            let behind = elements.partition_point(|element| element.put_from <= until);
            let by_order = soonest[behind].map(|out| Need {
                element: n,
                until: elements[out].take_until,
                because: [elements[out].put, elements[out].take],
            });
            let by_empty = found_empty.need(n, &elements[n]);
            needs.extend([by_order, by_empty].into_iter().flatten().min_by_key(|need| need.until));
        }
        needs
    }

    /// Returns, for each place, the element from there on whose dequeue returned first.
    fn soonest_behind(&self, discipline: Discipline) -> Vec<Option<usize>> {
        let elements = &self.elements.all;
        let mut soonest = vec![None; elements.len() + 1];
        if discipline == Discipline::Bag {
            return soonest;
        }
        for (n, element) in elements.iter().enumerate().rev() {
            let out = (element.take_until < NEVER).then_some(n);
            let known = [soonest[n + 1], out].into_iter().flatten();
            soonest[n] = known.min_by_key(|n| elements[*n].take_until);
        }
        soonest
    }

    /// Puts each element wholly before or wholly behind each gap where the queue is empty: before, if one of its
    /// operations must be. The others of such an element can be, since no gap is one where it is certainly there.
    fn clamp(&mut self, gaps: &[(u64, u32)]) {
        for element in &mut self.elements.all {
            let must = element.put_until.min(element.take_until);
            let before = gaps.partition_point(|(gap, _)| *gap < must);
            let least = before.checked_sub(1).map_or(0, |n| gaps[n].0);
            let most = gaps.get(before).map_or(NEVER, |(gap, _)| *gap);
            element.put_from = element.put_from.max(least);
            element.put_until = must.min(most);
            if element.take != NONE {
                element.take_from = element.take_from.max(element.put_from);
                element.take_until = element.take_until.min(most);
            }
        }
    }

    /// Orders the elements so that real time allows them to go in and out in that order.
    ///
    /// The next is one whose enqueue need not wait for another's, nor its dequeue. Those that stay come last.
    fn sequence(&self) -> Result<Vec<u32>, Answer> {
        let elements = &self.elements.all;
        let comes_out = |n: &u32| elements[*n as usize].take != NONE;
        let (out, mut stay): (Vec<u32>, Vec<u32>) = (0..elements.len() as u32).partition(comes_out);
        stay.sort_by_key(|n| elements[*n as usize].put_from);
        let sorted = |key: fn(&Element) -> u64| {
            let mut sorted = out.clone();
            sorted.sort_unstable_by_key(|n| key(&elements[*n as usize]));
            sorted
        };
        let mut going_in = Front::new(sorted(|e| e.put_from), sorted(|e| e.put_until));
        let mut coming_out = Front::new(sorted(|e| e.take_from), sorted(|e| e.take_until));
        let mut sequence = Vec::with_capacity(elements.len());
        let mut free = vec![0_u8; elements.len()];
        let mut ready = Vec::new();
        let mut done = vec![false; elements.len()];
        while sequence.len() < out.len() {
            let mut freed = |n: u32| {
                free[n as usize] += 1;
                if free[n as usize] == 2 {
                    ready.push(n);
                }
            };
            going_in.free(&done, |n| (n.put_from, n.put_until), elements, &mut freed);
            coming_out.free(&done, |n| (n.take_from, n.take_until), elements, &mut freed);
            let Some(next) = ready.pop() else { return Err(self.out_of_order()) };
            self.question.pace(sequence.len() as u32)?;
            done[next as usize] = true;
            sequence.push(next);
        }
        sequence.extend(stay);
        Ok(sequence)
    }

    /// Finds two elements that went in in one order and came out in the other.
    fn out_of_order(&self) -> Answer {
        let mut by_return: Vec<&Element> = self.elements.all.iter().collect();
        by_return.sort_unstable_by_key(|element| element.put_until);
        let mut before = by_return.into_iter().peekable();
        let mut slowest: Option<&Element> = None;
        for element in &self.elements.all {
            while let Some(other) = before.next_if(|o| o.put_until < element.put_from) {
                if slowest.is_none_or(|slowest| slowest.take_from < other.take_from) {
                    slowest = Some(other);
                }
            }
            if let Some(first) = slowest.filter(|first| element.take_until < first.take_from) {
                let both = [first, element];
                if both.iter().any(|e| self.elements.may_be_gone(self.question, e)) {
                    return Answer::Unsure;
                }
                let members: Vec<u32> = both.into_iter().flat_map(Element::members).collect();
                return Answer::impossible(self.question, &members);
            }
        }
        Answer::Unsure
    }

    /// Writes the order down: each operation as early as it may be. Nothing, should one be too late after all.
    fn emit(
        &self,
        sequence: &[u32],
        gaps: &[(u64, u32)],
        discipline: Discipline,
    ) -> Option<Vec<u32>> {
        let (mut last_in, mut last_out) = (0, 0);
        let mut moments: Vec<(u64, u8, u32)> =
            Vec::with_capacity(2 * sequence.len() + self.elements.empties.len());
        moments.extend(gaps.iter().map(|(gap, n)| (*gap, 0, *n)));
        for n in sequence {
            let element = self.elements.all[*n as usize];
            if discipline == Discipline::Bag {
                (last_in, last_out) = (0, 0);
            }
            last_in = element.put_from.max(last_in);
            if last_in >= element.put_until {
                return None;
            }
            moments.push((last_in, 1, element.put));
            if element.take != NONE {
                last_out = element.take_from.max(last_in).max(last_out);
                if last_out >= element.take_until {
                    return None;
                }
                moments.push((last_out, 2, element.take));
            }
        }
        // Stable, so that at one moment elements keep their order.
        moments.sort_by_key(|(time, kind, _)| (*time, *kind));
        Some(moments.into_iter().map(|(_, _, n)| n).collect())
    }
}

/// Which elements no longer wait for another's operation of one kind.
struct Front {
    by_from: Vec<u32>,
    by_until: Vec<u32>,
    freed: usize,
    first: usize,
}

impl Front {
    fn new(by_from: Vec<u32>, by_until: Vec<u32>) -> Front {
        Front { by_from, by_until, freed: 0, first: 0 }
    }

    /// Calls back with each element that is freed by those that are done.
    fn free(
        &mut self,
        done: &[bool],
        bounds: fn(&Element) -> (u64, u64),
        elements: &[Element],
        freed: &mut impl FnMut(u32),
    ) {
        while self.by_until.get(self.first).is_some_and(|n| done[*n as usize]) {
            self.first += 1;
        }
        let first = self.by_until.get(self.first);
        let until = first.map_or(u64::MAX, |n| bounds(&elements[*n as usize]).1);
        while let Some(n) = self.by_from.get(self.freed) {
            if bounds(&elements[*n as usize]).0 >= until {
                break;
            }
            freed(*n);
            self.freed += 1;
        }
    }
}
