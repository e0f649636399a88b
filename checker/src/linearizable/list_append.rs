//! Lists that are read whole, with unique elements: linear time, for yes and for no.
//!
//! The longest read gives the order of the elements that anybody saw, and every other read must be a prefix of it. So
//! the order is forced, step by step: reads of nothing, the first element's append, reads of one element, and so on;
//! appends that nobody saw come last. It respects real time iff each operation returns after every operation of an
//! earlier step began. Appends in doubt that nobody saw are left out, since then they do no good to anybody.

use squall_history::{F, Operation, Outcome, Value};

use super::decide::{Answer, Question};
use super::values::Values;

/// No entry, and no place in the list.
const NONE: u32 = u32::MAX;

/// Decides a list.
pub(crate) fn decide(question: &Question<'_>) -> Answer {
    match List::of(question).and_then(|list| list.order()) {
        Ok(order) => Answer::Order(order),
        Err(answer) => answer,
    }
}

struct List<'a> {
    question: &'a Question<'a>,
    /// The read that saw most; none where nobody read.
    longest: u32,
    /// The steps: at k the k-th element's append, then the reads of k elements.
    steps: Vec<Step>,
    /// The reads of one step, linked.
    next_read: Vec<u32>,
    /// Acknowledged appends that nobody saw.
    unseen: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Step {
    append: u32,
    /// The first of the reads, the one that returned first, and the one that was invoked last.
    reads: u32,
    first_return: u32,
    last_invoke: u32,
}

const EMPTY: Step = Step { append: NONE, reads: NONE, first_return: NONE, last_invoke: NONE };

fn seen(operation: &Operation) -> Option<&[Value]> {
    match (&operation.op.f, &operation.outcome) {
        (F::Read, Outcome::Ok(list)) => Some(list.as_list().unwrap_or(&[])),
        _ => None,
    }
}

impl<'a> List<'a> {
    fn of(question: &'a Question<'a>) -> Result<List<'a>, Answer> {
        let count = question.entries.len() as u32;
        let reads = (0..count).filter(|n| !question.entries[*n as usize].is_optional());
        let length = |n: &u32| seen(question.operation(*n)).map(<[Value]>::len);
        let longest = reads.filter(|n| length(n).is_some()).max_by_key(length);
        let mut list = List {
            question,
            longest: longest.unwrap_or(NONE),
            steps: Vec::new(),
            next_read: vec![NONE; count as usize],
            unseen: Vec::new(),
        };
        list.place_appends()?;
        list.place_reads()?;
        Ok(list)
    }

    fn longest(&self) -> &'a [Value] {
        if self.longest == NONE {
            return &[];
        }
        seen(self.question.operation(self.longest)).unwrap_or(&[])
    }

    /// Finds the append of each element of the longest read.
    fn place_appends(&mut self) -> Result<(), Answer> {
        let question = self.question;
        let longest = self.longest();
        self.steps = vec![EMPTY; longest.len() + 1];
        let mut places = Places { values: Values::default(), place: Vec::new() };
        for (k, element) in (1..).zip(longest) {
            question.pace(k)?;
            let number = places.number(element);
            let first = places.place[number];
            if first != NONE {
                return Err(self.twice(element));
            }
            places.place[number] = k;
        }
        for n in 0..question.entries.len() as u32 {
            question.pace(n)?;
            let operation = question.operation(n);
            if operation.op.f != F::Append {
                continue;
            }
            let number = places.number(&operation.op.value);
            match places.place[number] {
                NONE if question.entries[n as usize].is_optional() => {}
                NONE => self.unseen.push(n),
                place if self.steps[place as usize].append != NONE => return Err(Answer::Unsure),
                place => self.steps[place as usize].append = n,
            }
        }
        match self.steps.iter().skip(1).position(|step| step.append == NONE) {
            Some(_) => Err(self.impossible(&[self.longest])),
            None => Ok(()),
        }
    }

    /// An element stands twice in one read.
    fn twice(&self, element: &Value) -> Answer {
        let appends = self.question.operations().filter(|op| op.op.f == F::Append);
        let appends = appends.filter(|op| op.op.value == *element).count();
        let append = (0..self.next_read.len() as u32)
            .filter(|n| self.question.operation(*n).op.f == F::Append)
            .find(|n| self.question.operation(*n).op.value == *element);
        match append {
            _ if appends > 1 => Answer::Unsure,
            Some(append) => self.impossible(&[append, self.longest]),
            None => self.impossible(&[self.longest]),
        }
    }

    /// Puts each read behind the append of its last element.
    fn place_reads(&mut self) -> Result<(), Answer> {
        let longest = self.longest();
        for n in (0..self.question.entries.len() as u32).rev() {
            let entry = self.question.entries[n as usize];
            let Some(list) = seen(self.question.operation(n)).filter(|_| !entry.is_optional())
            else {
                continue;
            };
            // A whole read may be long.
            self.question.pace(0)?;
            if longest[..list.len()] != *list {
                return Err(self.incompatible(n));
            }
            let step = &mut self.steps[list.len()];
            self.next_read[n as usize] = step.reads;
            step.reads = n;
            let sooner = |other: u32| entry.ret < self.question.entries[other as usize].ret;
            if step.first_return == NONE || sooner(step.first_return) {
                step.first_return = n;
            }
            if step.last_invoke == NONE {
                step.last_invoke = n;
            }
        }
        Ok(())
    }

    /// Two reads disagree on the element at one place.
    fn incompatible(&self, read: u32) -> Answer {
        let list = seen(self.question.operation(read)).unwrap_or(&[]);
        let Some((other, mine)) = self.longest().iter().zip(list).find(|(a, b)| a != b) else {
            return Answer::Unsure;
        };
        let append = |element: &Value| {
            (0..self.next_read.len() as u32).find(|n| {
                let operation = self.question.operation(*n);
                operation.op.f == F::Append && operation.op.value == *element
            })
        };
        let mut members: Vec<u32> = [append(other), append(mine)].into_iter().flatten().collect();
        members.extend([read, self.longest]);
        self.impossible(&members)
    }

    /// Walks the steps, and checks that real time allows their order.
    fn order(&self) -> Result<Vec<u32>, Answer> {
        let entries = self.question.entries;
        let mut order = Vec::with_capacity(entries.len());
        let mut last = NONE;
        let since = |last: u32| if last == NONE { 0 } else { entries[last as usize].inv };
        for (k, step) in (0..).zip(&self.steps) {
            self.question.pace(k)?;
            for (n, latest) in [(step.append, step.append), (step.first_return, step.last_invoke)] {
                if n == NONE {
                    continue;
                }
                if entries[n as usize].ret < since(last) {
                    return Err(self.clash(last, n));
                }
                if entries[latest as usize].inv > since(last) {
                    last = latest;
                }
            }
            order.extend((step.append != NONE).then_some(step.append));
            let mut read = step.reads;
            while read != NONE {
                order.push(read);
                read = self.next_read[read as usize];
            }
        }
        match self.unseen.iter().find(|n| entries[**n as usize].ret < since(last)) {
            Some(n) => Err(self.clash(last, *n)),
            None => {
                order.extend(&self.unseen);
                Ok(order)
            }
        }
    }

    /// `early` belongs before `late` in the list, but `late` had returned when it began.
    fn clash(&self, early: u32, late: u32) -> Answer {
        let mut members = vec![early, late];
        // An append's place shows in the longest read; a read of fewer elements than another shows in the append of
        // the first that it lacks.
        let reads = [early, late].map(|n| seen(self.question.operation(n)).map(<[Value]>::len));
        match reads {
            [None, None] => members.push(self.longest),
            [Some(few), Some(_)] => members.push(self.steps[few + 1].append),
            [None, Some(_)] | [Some(_), None] => {}
        }
        self.impossible(&members)
    }

    fn impossible(&self, members: &[u32]) -> Answer {
        Answer::impossible(self.question, members)
    }
}

/// Where each element stands in the longest read, counted from 1.
struct Places<'a> {
    values: Values<'a>,
    place: Vec<u32>,
}

impl<'a> Places<'a> {
    fn number(&mut self, element: &'a Value) -> usize {
        let number = self.values.number(element) as usize;
        if self.place.len() <= number {
            self.place.resize(number + 1, NONE);
        }
        number
    }
}
