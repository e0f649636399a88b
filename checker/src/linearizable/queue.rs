//! Queues and bags with unique elements: n log n time, for yes and for no.
//!
//! Henzinger, Sezgin and Vafeiadis (*Aspect-Oriented Linearizability Proofs*, CONCUR 2013) show that a history of a FIFO
//! queue with unique elements is linearizable unless it shows one of four things: a dequeue of what was never enqueued,
//! or only later; two dequeues of one element; two elements that were enqueued in one order and dequeued in the other
//! (an element that stays counts as dequeued after all others); or a dequeue that found the queue empty while at every
//! moment some element was certainly in it. A bag has no order, so the third does not apply.
//!
//! Operations in doubt: an enqueue that nobody saw is left out, one whose element came out may take effect late. A
//! dequeue in doubt may take any one element that nobody else took. In a queue it must, where such an element would
//! otherwise break the order; the elements that need it, by the first return that they would contradict, are given the
//! dequeues in doubt by their invocations, the earliest to the most urgent. Where there are also dequeues that found the
//! queue empty, a dequeue in doubt can do good in more ways, and the search must decide.
//!
//! Times are doubled: an event e is 2e, the gap behind it 2e + 1.

use squall_history::{F, Outcome, Value};

use super::decide::{Answer, Question};
use super::values::Values;

/// No entry.
const NONE: u32 = u32::MAX;

/// Later than every event.
const NEVER: u64 = u64::MAX / 4;

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
    let queue = match Queue::of(question) {
        Ok(queue) => queue,
        Err(answer) => return answer,
    };
    match queue.order(discipline) {
        Ok(order) => Answer::Order(order),
        Err(answer) => answer,
    }
}

/// What became of one element. Operations take effect at or after their lower bound, and before their upper one.
#[derive(Clone, Copy, Debug)]
struct Element {
    enqueue: u32,
    /// None where it stays in the queue.
    dequeue: u32,
    enqueue_from: u64,
    enqueue_until: u64,
    dequeue_from: u64,
    dequeue_until: u64,
}

const ABSENT: Element = Element {
    enqueue: NONE,
    dequeue: NONE,
    enqueue_from: 0,
    enqueue_until: NEVER,
    dequeue_from: NEVER,
    dequeue_until: NEVER,
};

struct Queue<'a> {
    question: &'a Question<'a>,
    elements: Vec<Element>,
    /// Dequeues that found the queue empty.
    empties: Vec<u32>,
    /// Dequeues in doubt.
    doubtful: Vec<u32>,
}

impl<'a> Queue<'a> {
    fn of(question: &'a Question<'a>) -> Result<Queue<'a>, Answer> {
        let mut queue =
            Queue { question, elements: Vec::new(), empties: Vec::new(), doubtful: Vec::new() };
        let mut values = Values::default();
        queue.dequeues(&mut values)?;
        queue.enqueues(&mut values)?;
        if !queue.empties.is_empty() && !queue.doubtful.is_empty() {
            return Err(Answer::Unsure);
        }
        queue.bound()?;
        Ok(queue)
    }

    fn element(&mut self, number: u32) -> &mut Element {
        let number = number as usize;
        if self.elements.len() <= number {
            self.elements.resize(number + 1, ABSENT);
        }
        &mut self.elements[number]
    }

    fn dequeues(&mut self, values: &mut Values<'a>) -> Result<(), Answer> {
        for n in 0..self.question.entries.len() as u32 {
            self.question.pace(n)?;
            let operation = self.question.operation(n);
            if !matches!(operation.op.f, F::Dequeue | F::Remove) {
                continue;
            }
            let optional = self.question.entries[n as usize].is_optional();
            match &operation.outcome {
                Outcome::Ok(Value::Nil) | Outcome::Fail { .. } if optional => {}
                Outcome::Ok(Value::Nil) | Outcome::Fail { .. } => self.empties.push(n),
                Outcome::Info { .. } => self.doubtful.push(n),
                Outcome::Ok(_) if optional => return Err(Answer::Unsure),
                Outcome::Ok(taken) => {
                    let element = self.element(values.number(taken));
                    let first = std::mem::replace(&mut element.dequeue, n);
                    if first != NONE {
                        return Err(self.taken_twice(taken));
                    }
                }
            }
        }
        Ok(())
    }

    /// An element came out more than once.
    fn taken_twice(&self, element: &Value) -> Answer {
        let on = |n: &u32| super::core::element(self.question.operation(*n)) == Some(element);
        let members: Vec<u32> = (0..self.question.entries.len() as u32).filter(on).collect();
        let puts = |n: &&u32| matches!(self.question.operation(**n).op.f, F::Enqueue | F::Add);
        let put_in = members.iter().filter(puts).count();
        if put_in > 1 { Answer::Unsure } else { Answer::impossible(self.question, &members) }
    }

    fn enqueues(&mut self, values: &mut Values<'a>) -> Result<(), Answer> {
        for n in 0..self.question.entries.len() as u32 {
            self.question.pace(n)?;
            let operation = self.question.operation(n);
            if !matches!(operation.op.f, F::Enqueue | F::Add) {
                continue;
            }
            let optional = self.question.entries[n as usize].is_optional();
            let element = self.element(values.number(&operation.op.value));
            if element.dequeue == NONE && optional {
                continue;
            }
            if element.enqueue != NONE {
                return Err(Answer::Unsure);
            }
            element.enqueue = n;
        }
        Ok(())
    }

    /// Turns intervals into bounds. An enqueue takes effect before its element's dequeue returns, and a dequeue after
    /// its element's enqueue was invoked.
    fn bound(&mut self) -> Result<(), Answer> {
        let entries = self.question.entries;
        for element in &mut self.elements {
            if element.dequeue != NONE && element.enqueue == NONE {
                return Err(Answer::impossible(self.question, &[element.dequeue]));
            }
            if element.enqueue == NONE {
                continue;
            }
            let enqueue = entries[element.enqueue as usize];
            element.enqueue_from = 2 * u64::from(enqueue.inv);
            element.enqueue_until = double(enqueue.ret);
            if element.dequeue == NONE {
                continue;
            }
            let dequeue = entries[element.dequeue as usize];
            if dequeue.ret < enqueue.inv {
                let members = [element.enqueue, element.dequeue];
                return Err(Answer::impossible(self.question, &members));
            }
            element.dequeue_from = 2 * u64::from(dequeue.inv);
            element.dequeue_until = double(dequeue.ret);
        }
        self.elements.retain(|element| element.enqueue != NONE);
        Ok(())
    }

    fn order(mut self, discipline: Discipline) -> Result<Vec<u32>, Answer> {
        // Elements in the order in which their enqueues were invoked.
        self.elements.sort_unstable_by_key(|element| element.enqueue_from);
        if discipline == Discipline::Fifo {
            self.lend()?;
        }
        let gaps = self.gaps()?;
        self.clamp(&gaps);
        self.question.pace(0)?;
        let sequence = match discipline {
            Discipline::Fifo => self.sequence()?,
            Discipline::Bag => (0..self.elements.len() as u32).collect(),
        };
        self.question.pace(0)?;
        self.emit(&sequence, &gaps, discipline).ok_or(Answer::Unsure)
    }

    /// Gives dequeues in doubt to the elements that stay, though a later one came out.
    fn lend(&mut self) -> Result<(), Answer> {
        let soonest = self.soonest_behind();
        let mut needy: Vec<(u64, usize)> = Vec::new();
        for n in (0..self.elements.len()).filter(|n| self.elements[*n].dequeue == NONE) {
            let until = self.elements[n].enqueue_until;
            let behind = self.elements.partition_point(|element| element.enqueue_from <= until);
            if soonest[behind] < NEVER {
                needy.push((soonest[behind], n));
            }
        }
        needy.sort_unstable();
        for (k, (urgent, n)) in needy.iter().enumerate() {
            let lent = self.doubtful.get(k).copied();
            let from = |d: u32| 2 * u64::from(self.question.entries[d as usize].inv);
            match lent.filter(|d| from(*d) < *urgent) {
                Some(dequeue) => {
                    self.elements[*n].dequeue_from = from(dequeue);
                    self.elements[*n].dequeue = dequeue;
                }
                None => return Err(self.stays(&needy[..=k])),
            }
        }
        Ok(())
    }

    /// Returns, for each place, the first return of a dequeue among the elements from there on.
    fn soonest_behind(&self) -> Vec<u64> {
        let mut soonest = vec![NEVER; self.elements.len() + 1];
        for (n, element) in self.elements.iter().enumerate().rev() {
            soonest[n] = soonest[n + 1].min(element.dequeue_until);
        }
        soonest
    }

    /// More elements stay than dequeues in doubt can have taken in time.
    fn stays(&self, needy: &[(u64, usize)]) -> Answer {
        let mut members = Vec::new();
        let latest = needy.last().map_or(0, |(urgent, _)| *urgent);
        for (urgent, n) in needy {
            members.push(self.elements[*n].enqueue);
            let out = self.elements.iter().find(|element| element.dequeue_until == *urgent);
            members.extend(out.into_iter().flat_map(|out| [out.enqueue, out.dequeue]));
        }
        let entries = self.question.entries;
        let in_time = |d: &&u32| 2 * u64::from(entries[**d as usize].inv) < latest;
        members.extend(self.doubtful.iter().filter(in_time));
        Answer::impossible(self.question, &members)
    }

    /// Finds for each dequeue that found the queue empty a gap where no element is certainly there.
    fn gaps(&self) -> Result<Vec<(u64, u32)>, Answer> {
        if self.empties.is_empty() {
            return Ok(Vec::new());
        }
        let mut there: Vec<(u64, u64, usize)> = Vec::new();
        for (n, element) in self.elements.iter().enumerate() {
            // From the gap behind its return to the gap before its dequeue was invoked.
            let (from, to) = (element.enqueue_until + 1, element.dequeue_from - 1);
            if element.enqueue_until < NEVER && from <= to {
                there.push((from, to, n));
            }
        }
        there.sort_unstable();
        let mut covered = Cover { there: &there, next: 0, until: 0, from: 0 };
        let mut gaps = Vec::with_capacity(self.empties.len());
        for n in &self.empties {
            let entry = self.question.entries[*n as usize];
            let gap = covered.first_free(2 * u64::from(entry.inv) + 1);
            if gap > double(entry.ret) {
                return Err(self.never_empty(*n, &there));
            }
            gaps.push((gap, *n));
        }
        gaps.sort_unstable();
        Ok(gaps)
    }

    /// Names elements that were certainly there, one after the other, while a dequeue found the queue empty.
    fn never_empty(&self, empty: u32, there: &[(u64, u64, usize)]) -> Answer {
        let entry = self.question.entries[empty as usize];
        let mut members = vec![empty];
        let mut gap = 2 * u64::from(entry.inv) + 1;
        while gap < double(entry.ret) {
            let covers = there.iter().filter(|(from, to, _)| *from <= gap && gap <= *to);
            let Some((_, to, n)) = covers.max_by_key(|(_, to, _)| *to) else {
                return Answer::Unsure;
            };
            let element = self.elements[*n];
            members.push(element.enqueue);
            members.extend((element.dequeue != NONE).then_some(element.dequeue));
            gap = to + 2;
        }
        Answer::impossible(self.question, &members)
    }

    /// Puts each element wholly before or wholly behind each gap where the queue is empty: before, if one of its
    /// operations must be. The others of such an element can be, since no gap is one where it is certainly there.
    fn clamp(&mut self, gaps: &[(u64, u32)]) {
        for element in &mut self.elements {
            let must = element.enqueue_until.min(element.dequeue_until);
            let before = gaps.partition_point(|(gap, _)| *gap < must);
            let least = before.checked_sub(1).map_or(0, |n| gaps[n].0);
            let most = gaps.get(before).map_or(NEVER, |(gap, _)| *gap);
            element.enqueue_from = element.enqueue_from.max(least);
            element.enqueue_until = must.min(most);
            if element.dequeue != NONE {
                element.dequeue_from = element.dequeue_from.max(element.enqueue_from);
                element.dequeue_until = element.dequeue_until.min(most);
            }
        }
    }

    /// Orders the elements so that real time allows them to go in and out in that order.
    ///
    /// The next is one whose enqueue need not wait for another's, nor its dequeue. Those that stay come last.
    fn sequence(&self) -> Result<Vec<u32>, Answer> {
        let elements = &self.elements;
        let comes_out = |n: &u32| elements[*n as usize].dequeue != NONE;
        let (out, mut stay): (Vec<u32>, Vec<u32>) = (0..elements.len() as u32).partition(comes_out);
        stay.sort_by_key(|n| elements[*n as usize].enqueue_from);
        let sorted = |key: fn(&Element) -> u64| {
            let mut sorted = out.clone();
            sorted.sort_unstable_by_key(|n| key(&elements[*n as usize]));
            sorted
        };
        let mut going_in = Front::new(sorted(|e| e.enqueue_from), sorted(|e| e.enqueue_until));
        let mut coming_out = Front::new(sorted(|e| e.dequeue_from), sorted(|e| e.dequeue_until));
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
            going_in.free(&done, |n| (n.enqueue_from, n.enqueue_until), elements, &mut freed);
            coming_out.free(&done, |n| (n.dequeue_from, n.dequeue_until), elements, &mut freed);
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
        let mut by_return: Vec<&Element> = self.elements.iter().collect();
        by_return.sort_unstable_by_key(|element| element.enqueue_until);
        let mut before = by_return.into_iter().peekable();
        let mut slowest: Option<&Element> = None;
        for element in &self.elements {
            while let Some(other) = before.next_if(|o| o.enqueue_until < element.enqueue_from) {
                if slowest.is_none_or(|slowest| slowest.dequeue_from < other.dequeue_from) {
                    slowest = Some(other);
                }
            }
            if let Some(first) = slowest.filter(|first| element.dequeue_until < first.dequeue_from)
            {
                let four = [first.enqueue, element.enqueue, element.dequeue, first.dequeue];
                let known: Vec<u32> = four.into_iter().filter(|n| *n != NONE).collect();
                return Answer::impossible(self.question, &known);
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
            Vec::with_capacity(2 * sequence.len() + self.empties.len());
        moments.extend(gaps.iter().map(|(gap, n)| (*gap, 0, *n)));
        for n in sequence {
            let element = self.elements[*n as usize];
            if discipline == Discipline::Bag {
                (last_in, last_out) = (0, 0);
            }
            last_in = element.enqueue_from.max(last_in);
            if last_in >= element.enqueue_until {
                return None;
            }
            moments.push((last_in, 1, element.enqueue));
            if element.dequeue != NONE {
                last_out = element.dequeue_from.max(last_in).max(last_out);
                if last_out >= element.dequeue_until {
                    return None;
                }
                moments.push((last_out, 2, element.dequeue));
            }
        }
        // Stable, so that at one moment elements keep their order.
        moments.sort_by_key(|(time, kind, _)| (*time, *kind));
        Some(moments.into_iter().map(|(_, _, n)| n).collect())
    }
}

/// Returns the doubled time of a return.
fn double(ret: u32) -> u64 {
    if ret == super::part::NEVER { NEVER } else { 2 * u64::from(ret) }
}

/// The gaps where some element is certainly there, met from the left.
struct Cover<'a> {
    there: &'a [(u64, u64, usize)],
    next: usize,
    from: u64,
    until: u64,
}

impl Cover<'_> {
    /// Returns the first gap from this one on where none is. Asked with growing gaps.
    fn first_free(&mut self, gap: u64) -> u64 {
        loop {
            if self.from <= gap && gap <= self.until {
                match self.there.get(self.next) {
                    // The next one begins before a free gap would.
                    Some((from, to, _)) if *from <= self.until + 2 => {
                        self.until = self.until.max(*to);
                        self.next += 1;
                    }
                    Some(_) | None => return self.until + 2,
                }
            } else {
                match self.there.get(self.next) {
                    Some((from, to, _)) if *from <= gap => {
                        (self.from, self.until) = (*from, *to);
                        self.next += 1;
                    }
                    Some(_) | None => return gap,
                }
            }
        }
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
