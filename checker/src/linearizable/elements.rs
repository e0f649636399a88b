//! What goes into a queue, a bag or a stack with unique elements, and what comes out: for each element, when it may.
//!
//! An operation that puts an element in and that nobody saw is left out where it is in doubt; one whose element came out
//! may take effect late. An operation in doubt that takes something out may take any one element that nobody else took.
//!
//! Times are doubled: an event e is 2e, the gap behind it 2e + 1.

use squall_history::{F, Outcome, Value};

use super::core::element;
use super::decide::{Answer, Question};
use super::part;
use super::values::Values;

/// No entry.
pub(crate) const NONE: u32 = u32::MAX;

/// Later than every event.
pub(crate) const NEVER: u64 = u64::MAX / 4;

/// What became of one element. Operations take effect at or after their lower bound, and before their upper one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element {
    /// The entry that puts it in.
    pub(crate) put: u32,
    /// The entry that takes it out; none where it stays.
    pub(crate) take: u32,
    pub(crate) put_from: u64,
    pub(crate) put_until: u64,
    pub(crate) take_from: u64,
    pub(crate) take_until: u64,
}

const ABSENT: Element = Element {
    put: NONE,
    take: NONE,
    put_from: 0,
    put_until: NEVER,
    take_from: NEVER,
    take_until: NEVER,
};

impl Element {
    /// Returns the first and the last gap in which it is certainly there, if there is any: from behind the return of what
    /// puts it in until what takes it out is invoked.
    pub(crate) fn presence(&self) -> Option<(u64, u64)> {
        let (from, to) = (self.put_until + 1, self.take_from - 1);
        (self.put_until < NEVER && from <= to).then_some((from, to))
    }

    /// Returns whether nobody is known to have taken it out.
    pub(crate) fn stays(&self) -> bool {
        self.take == NONE
    }

    /// Returns its entries.
    pub(crate) fn members(&self) -> impl Iterator<Item = u32> {
        [self.put, self.take].into_iter().filter(|n| *n != NONE)
    }
}

/// The elements of an object, and the operations that are about none of them.
pub(crate) struct Elements {
    /// Those that were put in.
    pub(crate) all: Vec<Element>,
    /// Operations that found the object empty.
    pub(crate) empties: Vec<u32>,
    /// Operations in doubt that may have taken something out, in the order of their invocations.
    pub(crate) doubtful: Vec<u32>,
}

impl Elements {
    /// Collects them. Says what is impossible about one element alone, and is unsure where one is put in twice.
    pub(crate) fn of(question: &Question<'_>) -> Result<Elements, Answer> {
        let mut elements = Elements { all: Vec::new(), empties: Vec::new(), doubtful: Vec::new() };
        let mut values = Values::default();
        elements.takes(question, &mut values)?;
        elements.puts(question, &mut values)?;
        elements.bound(question)?;
        Ok(elements)
    }

    fn element(&mut self, number: u32) -> &mut Element {
        let number = number as usize;
        if self.all.len() <= number {
            self.all.resize(number + 1, ABSENT);
        }
        &mut self.all[number]
    }

    fn takes<'a>(
        &mut self,
        question: &Question<'a>,
        values: &mut Values<'a>,
    ) -> Result<(), Answer> {
        for n in 0..question.entries.len() as u32 {
            question.pace(n)?;
            let operation = question.operation(n);
            if !matches!(operation.op.f, F::Dequeue | F::Remove | F::Pop) {
                continue;
            }
            let optional = question.entries[n as usize].is_optional();
            match &operation.outcome {
                Outcome::Ok(Value::Nil) | Outcome::Fail { .. } if optional => {}
                Outcome::Ok(Value::Nil) | Outcome::Fail { .. } => self.empties.push(n),
                Outcome::Info { .. } => self.doubtful.push(n),
                Outcome::Ok(_) if optional => return Err(Answer::Unsure),
                Outcome::Ok(taken) => {
                    let element = self.element(values.number(taken));
                    let first = std::mem::replace(&mut element.take, n);
                    if first != NONE {
                        return Err(taken_twice(question, taken));
                    }
                }
            }
        }
        Ok(())
    }

    fn puts<'a>(&mut self, question: &Question<'a>, values: &mut Values<'a>) -> Result<(), Answer> {
        for n in 0..question.entries.len() as u32 {
            question.pace(n)?;
            let operation = question.operation(n);
            if !matches!(operation.op.f, F::Enqueue | F::Add | F::Push) {
                continue;
            }
            let optional = question.entries[n as usize].is_optional();
            let element = self.element(values.number(&operation.op.value));
            if element.take == NONE && optional {
                continue;
            }
            if element.put != NONE {
                return Err(Answer::Unsure);
            }
            element.put = n;
        }
        Ok(())
    }

    /// Turns intervals into bounds. An element is put in before what takes it out returns, and taken out after what
    /// puts it in was invoked.
    fn bound(&mut self, question: &Question<'_>) -> Result<(), Answer> {
        let entries = question.entries;
        for element in &mut self.all {
            if element.take != NONE && element.put == NONE {
                return Err(Answer::impossible(question, &[element.take]));
            }
            if element.put == NONE {
                continue;
            }
            let put = entries[element.put as usize];
            element.put_from = 2 * u64::from(put.inv);
            element.put_until = double(put.ret);
            if element.take == NONE {
                continue;
            }
            let take = entries[element.take as usize];
            if take.ret < put.inv {
                return Err(Answer::impossible(question, &[element.put, element.take]));
            }
            element.take_from = 2 * u64::from(take.inv);
            element.take_until = double(take.ret);
        }
        self.all.retain(|element| element.put != NONE);
        Ok(())
    }

    /// Finds for each operation that found the object empty the first gap where no element is certainly there.
    pub(crate) fn gaps(&self, question: &Question<'_>) -> Result<Vec<(u64, u32)>, Answer> {
        if self.empties.is_empty() {
            return Ok(Vec::new());
        }
        let presences = self.all.iter().enumerate();
        let mut there: Vec<(u64, u64, usize)> = presences
            .filter_map(|(n, element)| element.presence().map(|(from, to)| (from, to, n)))
            .collect();
        there.sort_unstable();
        let mut covered = Cover { there: &there, next: 0, until: 0, from: 0 };
        let mut gaps = Vec::with_capacity(self.empties.len());
        for n in &self.empties {
            let entry = question.entries[*n as usize];
            let gap = covered.first_free(2 * u64::from(entry.inv) + 1);
            if gap > double(entry.ret) {
                return Err(self.never_empty(question, *n, &there));
            }
            gaps.push((gap, *n));
        }
        gaps.sort_unstable();
        Ok(gaps)
    }

    /// Sorts the operations that found the object empty.
    pub(crate) fn found_empty(&self, question: &Question<'_>) -> FoundEmpty {
        let bounds = |n: &u32| {
            let entry = question.entries[*n as usize];
            (2 * u64::from(entry.inv), double(entry.ret), *n)
        };
        let mut soonest: Vec<(u64, u64, u32)> = self.empties.iter().map(bounds).collect();
        soonest.sort_unstable();
        for k in (1..soonest.len()).rev() {
            let (_, until, empty) = soonest[k];
            if until < soonest[k - 1].1 {
                (soonest[k - 1].1, soonest[k - 1].2) = (until, empty);
            }
        }
        FoundEmpty { soonest }
    }

    /// Names elements that were certainly there, one after the other, while an operation found the object empty.
    fn never_empty(
        &self,
        question: &Question<'_>,
        empty: u32,
        there: &[(u64, u64, usize)],
    ) -> Answer {
        let entry = question.entries[empty as usize];
        let mut members = vec![empty];
        let mut gap = 2 * u64::from(entry.inv) + 1;
        while gap < double(entry.ret) {
            let covers = there.iter().filter(|(from, to, _)| *from <= gap && gap <= *to);
            let Some((_, to, n)) = covers.max_by_key(|(_, to, _)| *to) else {
                return Answer::Unsure;
            };
            if self.may_be_gone(question, &self.all[*n]) {
                return Answer::Unsure;
            }
            members.extend(self.all[*n].members());
            gap = to + 2;
        }
        Answer::impossible(question, &members)
    }

    /// Returns whether operations in doubt leave it open when an element was taken out.
    pub(crate) fn may_be_gone(&self, question: &Question<'_>, element: &Element) -> bool {
        let lent = !element.stays() && question.entries[element.take as usize].is_optional();
        lent || (element.stays() && !self.doubtful.is_empty())
    }

    /// Gives operations in doubt to the elements that need one: the one that was invoked first to the element that
    /// must be gone first. Each need is an element, the time by which it must be gone, and the entries that say so.
    pub(crate) fn lend(
        &mut self,
        question: &Question<'_>,
        mut needs: Vec<Need>,
    ) -> Result<(), Answer> {
        let from = |d: u32| 2 * u64::from(question.entries[d as usize].inv);
        needs.sort_unstable_by_key(|need| need.until);
        for k in 0..needs.len() {
            let Need { element, until, .. } = needs[k];
            match self.doubtful.get(k).copied().filter(|d| from(*d) < until) {
                Some(take) => {
                    self.all[element].take_from = from(take);
                    self.all[element].take = take;
                }
                None => return Err(self.too_few(question, &needs[..=k])),
            }
        }
        Ok(())
    }

    /// More elements must be gone than operations in doubt can have taken in time.
    fn too_few(&self, question: &Question<'_>, needs: &[Need]) -> Answer {
        let latest = needs.last().map_or(0, |need| need.until);
        let mut members: Vec<u32> = Vec::new();
        for need in needs {
            members.push(self.all[need.element].put);
            members.extend(need.because.iter().filter(|n| **n != NONE));
        }
        let in_time = |d: &&u32| 2 * u64::from(question.entries[**d as usize].inv) < latest;
        members.extend(self.doubtful.iter().filter(in_time));
        Answer::impossible(question, &members)
    }
}

/// The operations that found an object empty, by invocation.
pub(crate) struct FoundEmpty {
    /// When each was invoked, and which of those from there on returned first, and when.
    soonest: Vec<(u64, u64, u32)>,
}

impl FoundEmpty {
    /// Says when an element that stays must be gone: before the first of them returns that was invoked behind its coming.
    pub(crate) fn need(&self, n: usize, element: &Element) -> Option<Need> {
        let after = self.soonest.partition_point(|(from, ..)| *from <= element.put_until);
        let (_, until, empty) = *self.soonest.get(after)?;
        Some(Need { element: n, until, because: [empty, NONE] })
    }
}

/// An element that stays, and must have been taken out before a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// Its place among the elements.
    pub(crate) element: usize,
    /// Before when.
    pub(crate) until: u64,
    /// The entries that say so.
    pub(crate) because: [u32; 2],
}

/// An element came out more than once.
fn taken_twice(question: &Question<'_>, taken: &Value) -> Answer {
    let on = |n: &u32| element(question.operation(*n)) == Some(taken);
    let members: Vec<u32> = (0..question.entries.len() as u32).filter(on).collect();
    let puts = |n: &&u32| matches!(question.operation(**n).op.f, F::Enqueue | F::Add | F::Push);
    let put_in = members.iter().filter(puts).count();
    if put_in > 1 { Answer::Unsure } else { Answer::impossible(question, &members) }
}

/// Returns the doubled time of a return.
pub(crate) fn double(ret: u32) -> u64 {
    if ret == part::NEVER { NEVER } else { 2 * u64::from(ret) }
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
