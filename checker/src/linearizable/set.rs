//! Sets whose elements are added at most once and never removed: every operation as early as it may be.
//!
//! What each operation must come behind is known. A `contains` that said no comes before its element's add, one that
//! said yes behind it. Whole reads must form a chain of growing sets, and an element's add comes between the last read
//! without it and the first with it; an element that no read saw is added behind all reads. Give each operation the
//! earliest moment that its own invocation, and those that it must come behind, allow. That is the least solution of
//! all constraints, so the history is linearizable iff each moment is before the operation's return.
//!
//! An add in doubt counts only where something saw its element. Elements without whole reads are independent of each
//! other; where one is added twice or removed, the search must decide about it.

use squall_history::{F, Operation, Outcome, Value};

use super::decide::{Answer, Question};
use super::values::Values;

/// No entry.
const NONE: u32 = u32::MAX;

/// Decides a set.
pub(crate) fn decide(question: &Question<'_>) -> Answer {
    let set = match Set::of(question) {
        Ok(set) => set,
        Err(answer) => return answer,
    };
    match set.order() {
        Ok(order) => Answer::Order(order),
        Err(answer) => answer,
    }
}

/// Splits a set without whole reads into its elements: the entries about each.
pub(crate) fn elements(question: &Question<'_>) -> Option<Vec<Vec<u32>>> {
    let mut values = Values::default();
    let mut elements: Vec<Vec<u32>> = Vec::new();
    for n in 0..question.entries.len() as u32 {
        let operation = question.operation(n);
        if operation.op.f == F::Read {
            return None;
        }
        let number = values.number(&operation.op.value) as usize;
        if elements.len() <= number {
            elements.resize(number + 1, Vec::new());
        }
        elements[number].push(n);
    }
    Some(elements)
}

/// What is known of one element.
#[derive(Clone, Copy)]
struct Element {
    add: u32,
    /// The `contains` that said no and was invoked last, and the one that said yes and returned first.
    absent: u32,
    present: u32,
    /// The place of the first whole read that saw it, counted from 1; 0 where none did.
    seen: u32,
}

const UNKNOWN: Element = Element { add: NONE, absent: NONE, present: NONE, seen: 0 };

struct Set<'a> {
    question: &'a Question<'a>,
    elements: Vec<Element>,
    /// The element of each entry; none for whole reads.
    number: Vec<u32>,
    /// Whole reads, the smallest first, then by invocation.
    reads: Vec<u32>,
}

fn items(operation: &Operation) -> &[Value] {
    match &operation.outcome {
        Outcome::Ok(list) => list.as_list().unwrap_or(&[]),
        Outcome::Fail { .. } | Outcome::Info { .. } => &[],
    }
}

impl<'a> Set<'a> {
    fn of(question: &'a Question<'a>) -> Result<Set<'a>, Answer> {
        let mut set = Set { question, elements: Vec::new(), number: Vec::new(), reads: Vec::new() };
        let mut values = Values::default();
        for n in 0..question.entries.len() as u32 {
            question.pace(n)?;
            let number = set.learn(n, &mut values)?;
            set.number.push(number);
        }
        set.chain(&mut values)?;
        match set.elements.iter().find(|element| element.add == NONE && element.present != NONE) {
            Some(element) => Err(Answer::impossible(question, &[element.present])),
            None => Ok(set),
        }
    }

    fn element(&mut self, number: u32) -> &mut Element {
        let number = number as usize;
        if self.elements.len() <= number {
            self.elements.resize(number + 1, UNKNOWN);
        }
        &mut self.elements[number]
    }

    fn learn(&mut self, n: u32, values: &mut Values<'a>) -> Result<u32, Answer> {
        let entries = self.question.entries;
        let entry = entries[n as usize];
        let operation = self.question.operation(n);
        match (&operation.op.f, &operation.outcome) {
            (F::Read, _) => {
                self.reads.extend((!entry.is_optional()).then_some(n));
                return Ok(NONE);
            }
            (F::Add, _) => {
                let number = values.number(&operation.op.value);
                let element = self.element(number);
                if element.add != NONE {
                    return Err(Answer::Unsure);
                }
                element.add = n;
                return Ok(number);
            }
            (F::Contains, Outcome::Ok(Value::Bool(present))) => {
                let number = values.number(&operation.op.value);
                let element = self.element(number);
                if entry.is_optional() {
                } else if !present {
                    element.absent = n;
                } else if element.present == NONE
                    || entry.ret < entries[element.present as usize].ret
                {
                    element.present = n;
                }
                return Ok(number);
            }
            _ => {}
        }
        Err(Answer::Unsure)
    }

    /// Sorts the whole reads, and checks that each holds what the ones before it held.
    fn chain(&mut self, values: &mut Values<'a>) -> Result<(), Answer> {
        let question = self.question;
        self.reads.sort_by_key(|n| items(question.operation(*n)).len());
        let mut known = 0;
        let mut met: Vec<u32> = Vec::new();
        for k in 0..self.reads.len() {
            // A whole read may be long.
            question.pace(0)?;
            let read = self.reads[k];
            let list = items(question.operation(read));
            let mut old = 0;
            for item in list {
                let number = values.number(item);
                met.resize(met.len().max(number as usize + 1), NONE);
                if std::mem::replace(&mut met[number as usize], read) == read {
                    return Err(Answer::Unsure);
                }
                let element = self.element(number);
                if element.add == NONE {
                    return Err(Answer::impossible(question, &[read]));
                }
                match element.seen {
                    0 => element.seen = k as u32 + 1,
                    seen if seen <= k as u32 => old += 1,
                    _ => {}
                }
            }
            if old < known {
                return Err(self.incompatible(k));
            }
            known = list.len();
        }
        Ok(())
    }

    /// A larger read lacks what a smaller one held.
    fn incompatible(&self, k: usize) -> Answer {
        let lists = [self.reads[k - 1], self.reads[k]].map(|n| items(self.question.operation(n)));
        let lacks = |list: &[Value], other: &[Value]| {
            let item = list.iter().find(|item| !other.contains(item))?;
            let adds = |n: &u32| {
                let operation = self.question.operation(*n);
                operation.op.f == F::Add && operation.op.value == *item
            };
            (0..self.question.entries.len() as u32).find(adds)
        };
        let adds = [lacks(lists[0], lists[1]), lacks(lists[1], lists[0])];
        let mut members: Vec<u32> = adds.into_iter().flatten().collect();
        members.extend([self.reads[k - 1], self.reads[k]]);
        Answer::impossible(self.question, &members)
    }

    fn order(&self) -> Result<Vec<u32>, Answer> {
        let mut schedule = Schedule::new(self.question);
        let mut adds: Vec<u32> = (0..self.elements.len() as u32).collect();
        let unseen = u32::MAX;
        let group = |element: &Element| if element.seen == 0 { unseen } else { element.seen };
        adds.retain(|number| self.counts(&self.elements[*number as usize]));
        adds.sort_by_key(|number| group(&self.elements[*number as usize]));
        let mut adds = adds.into_iter().peekable();
        for (k, read) in (1..).zip(&self.reads) {
            let floor = schedule.floor;
            while let Some(n) = adds.next_if(|n| group(&self.elements[*n as usize]) == k) {
                self.add(&mut schedule, n, floor)?;
            }
            let floor = schedule.floor;
            schedule.put(*read, floor).map_err(|chain| self.late(&chain))?;
        }
        let floor = schedule.floor;
        for n in adds {
            self.add(&mut schedule, n, floor)?;
        }
        for n in 0..self.number.len() as u32 {
            self.question.pace(n)?;
            self.contains(&mut schedule, n)?;
        }
        Ok(schedule.order())
    }

    /// Returns whether an element's add takes effect.
    fn counts(&self, element: &Element) -> bool {
        let doubtful = |add: u32| self.question.entries[add as usize].is_optional();
        let seen = element.seen > 0 || element.present != NONE;
        element.add != NONE && (seen || !doubtful(element.add))
    }

    fn add(&self, schedule: &mut Schedule<'_>, number: u32, floor: Moment) -> Result<(), Answer> {
        self.question.pace(number)?;
        let element = self.elements[number as usize];
        let absent = schedule.invoked(element.absent);
        schedule.put(element.add, floor.max(absent)).map_err(|chain| self.late(&chain))
    }

    /// Places a `contains`: one that said no at once, one that said yes behind the add.
    fn contains(&self, schedule: &mut Schedule<'_>, n: u32) -> Result<(), Answer> {
        let operation = self.question.operation(n);
        let Outcome::Ok(Value::Bool(present)) = operation.outcome else { return Ok(()) };
        if operation.op.f != F::Contains || self.question.entries[n as usize].is_optional() {
            return Ok(());
        }
        let add = self.elements[self.number[n as usize] as usize].add;
        schedule.put_aside(n, if present { add } else { NONE }).map_err(|chain| self.late(&chain))
    }

    /// An operation had returned before one that it must come behind could take effect. Names these and what ties them
    /// together: for each element its add and the whole reads around it, for each two reads what tells them apart.
    fn late(&self, chain: &[u32]) -> Answer {
        let mut members = chain.to_vec();
        let mut places: Vec<usize> = Vec::new();
        for n in chain {
            let Some(element) = self.elements.get(self.number[*n as usize] as usize) else {
                places.extend(self.reads.iter().position(|read| read == n));
                continue;
            };
            members.extend((element.add != NONE).then_some(element.add));
            let seen = if element.seen == 0 { self.reads.len() + 1 } else { element.seen as usize };
            places
                .extend([seen.wrapping_sub(2), seen - 1].iter().filter(|k| **k < self.reads.len()));
        }
        places.sort_unstable();
        places.dedup();
        members.extend(places.iter().map(|k| self.reads[*k]));
        for pair in places.windows(2) {
            let between = pair[0] + 2..=pair[1] + 1;
            let new =
                self.elements.iter().find(|element| between.contains(&(element.seen as usize)));
            members.extend(new.map(|element| element.add));
        }
        Answer::impossible(self.question, &members)
    }
}

/// When something can take effect, and the entry that keeps it from being earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    /// An event.
    pub(crate) at: u32,
    /// The entry whose moment this is.
    pub(crate) by: u32,
}

impl Moment {
    /// Before everything.
    pub(crate) const START: Moment = Moment { at: 0, by: NONE };
}

/// Operations at the earliest moments that they may have.
pub(crate) struct Schedule<'a> {
    question: &'a Question<'a>,
    /// The latest moment of the chain so far.
    pub(crate) floor: Moment,
    /// The moment of each entry, and what it came behind.
    moments: Vec<Moment>,
    /// Moment, place in the chain, whether it only follows that place, entry.
    placed: Vec<(u32, u32, bool, u32)>,
    links: Vec<u32>,
}

impl<'a> Schedule<'a> {
    /// Starts with nothing placed.
    pub(crate) fn new(question: &'a Question<'a>) -> Schedule<'a> {
        Schedule {
            question,
            floor: Moment::START,
            moments: vec![Moment::START; question.entries.len()],
            placed: Vec::with_capacity(question.entries.len()),
            links: vec![0; question.entries.len()],
        }
    }

    /// Returns the moment of an entry that has been placed, none being the start.
    pub(crate) fn at(&self, n: u32) -> Moment {
        let at = self.moments.get(n as usize).map(|moment| Moment { at: moment.at, by: n });
        at.unwrap_or(Moment::START)
    }

    /// Returns the moment of an entry's invocation, none being the start.
    pub(crate) fn invoked(&self, n: u32) -> Moment {
        let entry = self.question.entries.get(n as usize);
        entry.map_or(Moment::START, |entry| Moment { at: entry.inv, by: n })
    }

    /// Places an entry of the chain, not before a moment; the floor rises to it. Fails with the entries that keep it
    /// from taking effect in time.
    pub(crate) fn put(&mut self, n: u32, least: Moment) -> Result<(), Vec<u32>> {
        let moment = self.moment(n, least)?;
        let link = self.placed.len() as u32 + 1;
        self.links[n as usize] = link;
        self.placed.push((moment.at, link, false, n));
        self.floor = self.floor.max(self.at(n));
        Ok(())
    }

    /// Places an entry that nothing of the chain waits for: behind an entry of it, or at its own invocation.
    pub(crate) fn put_aside(&mut self, n: u32, behind: u32) -> Result<(), Vec<u32>> {
        let moment = self.moment(n, self.at(behind))?;
        let link = self.links.get(behind as usize).copied().unwrap_or(0);
        self.placed.push((moment.at, link, true, n));
        Ok(())
    }

    fn moment(&mut self, n: u32, least: Moment) -> Result<Moment, Vec<u32>> {
        let entry = self.question.entries[n as usize];
        let moment = if entry.inv >= least.at { Moment { at: entry.inv, by: n } } else { least };
        if moment.at >= entry.ret {
            return Err(self.chain(n, least));
        }
        self.moments[n as usize] = moment;
        Ok(moment)
    }

    /// Follows what kept an entry back, to the one whose invocation it was.
    fn chain(&self, n: u32, least: Moment) -> Vec<u32> {
        let mut chain = vec![n];
        let mut by = least.by;
        while by != NONE && !chain.contains(&by) {
            chain.push(by);
            by = self.moments[by as usize].by;
        }
        chain
    }

    /// Returns the entries in the order of their moments, at one moment in that of the chain. What waits for nothing
    /// stands in front at the moment of its own invocation, since whoever shares that moment may wait for it.
    pub(crate) fn order(mut self) -> Vec<u32> {
        self.placed.sort_unstable();
        self.placed.into_iter().map(|(.., n)| n).collect()
    }
}
