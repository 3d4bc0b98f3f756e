//! Judges a run. Takes the journal of the worker, the committed offsets and the dead letters, and
//! finds what is wrong. Pure.

use super::journal::{Entry, What};
use super::ledger::Ledger;
use super::plan::Plan;

/// The observations of a run so far.
///
/// A *life* of the worker lasts from its start until it is killed. Within a life, each record is
/// taken once, and the records of a key come one after the other without a gap. The next life may
/// begin at any offset that was not committed, but not behind a record that is not done.
pub(super) struct Oracle {
    /// The index of each partition's first record in `records`.
    first: Vec<usize>,
    /// All records, by partition and offset.
    records: Vec<Record>,
    /// The last record of each key that was taken, as the life and the index of the record.
    last: Vec<(u32, usize)>,
    /// The number of the present life, counted from 1.
    life: u32,
    /// True while the worker has kept its membership in this life, so that no record may be read
    /// twice.
    kept: bool,
    /// True while the dependency is down.
    dead: bool,
    /// The state of each partition.
    partitions: Vec<Partition>,
    /// The figures so far.
    counts: Ledger,
    /// The first violations. At most `MOST_TOLD`.
    wrong: Vec<String>,
}

struct Record {
    number: u32,
    key: u32,
    poison: bool,
    /// The record before it with the same key. `None` for the first one.
    previous: Option<usize>,
    /// The times that it arrived at the stack, and the life in which it did last.
    taken: u32,
    taken_in: u32,
    /// The times that it was processed. For poison, the times that its dead letter was written.
    done: u32,
    letters: u32,
}

#[derive(Clone, Default)]
struct Partition {
    records: usize,
    /// The committed offset that was seen last, and the one at the beginning of this life.
    committed: usize,
    floor: usize,
    /// The lowest offset that is not done.
    frontier: usize,
    paused: bool,
}

impl Oracle {
    /// Creates an oracle for the numbers of the records in each partition, in the order of the log.
    pub(super) fn new(plan: &Plan, log: &[Vec<u32>]) -> Self {
        let mut last: Vec<Option<usize>> = vec![None; plan.keys as usize];
        let (mut first, mut records, mut partitions) = (Vec::new(), Vec::new(), Vec::new());
        for numbers in log {
            first.push(records.len());
            partitions.push(Partition {
                records: numbers.len(),
                ..Partition::default()
            });
            for number in numbers {
                let key = plan.key(*number);
                let previous = last[key as usize].replace(records.len());
                records.push(Record {
                    number: *number,
                    key,
                    poison: plan.is_poison(*number),
                    previous,
                    taken: 0,
                    taken_in: 0,
                    done: 0,
                    letters: 0,
                });
            }
        }
        let poison = records.iter().filter(|record| record.poison).count();
        let counts = Ledger {
            records: records.len(),
            poison,
            ..Ledger::default()
        };
        Self {
            first,
            last: vec![(0, 0); plan.keys as usize],
            records,
            life: 1,
            kept: true,
            dead: false,
            partitions,
            counts,
            wrong: Vec::new(),
        }
    }

    /// Takes the next entry of the worker's journal.
    pub(super) fn saw(&mut self, entry: Entry) {
        match entry.what {
            What::Taken => self.taken(entry),
            What::Done | What::Dead => self.done(entry),
            What::Failed => self.counts.transient_retries += 1,
            What::Down => self.counts.dependency_failures += 1,
            What::Died => self.outage(true),
            What::Back => {
                self.counts.outages += 1;
                self.outage(false);
            }
            What::Opened => self.counts.openings += 1,
            What::Paused => self.partitions[usize::from(entry.partition)].paused = true,
            What::Lost => {
                self.counts.losses += usize::from(self.kept);
                self.kept = false;
            }
            What::Closed => {}
        }
    }

    /// Takes a committed offset. It was read before the latest entries of the journal, so all
    /// records that it covers must have entries.
    pub(super) fn committed(&mut self, partition: usize, offset: usize) {
        let lowest = self.frontier(partition);
        self.counts.commits += usize::from(self.partitions[partition].committed != offset);
        self.counts.commits_checked += 1;
        let committed = std::mem::replace(&mut self.partitions[partition].committed, offset);
        if offset > lowest {
            self.is_wrong(format!(
                "{partition}: committed up to {offset}, but {lowest} is not processed"
            ));
        }
        if offset < committed {
            self.is_wrong(format!(
                "{partition}: the commit went back from {committed} to {offset}"
            ));
        }
    }

    /// Ends a life after the worker was killed and its whole journal was read.
    pub(super) fn killed(&mut self) {
        self.counts.kills += 1;
        self.life += 1;
        self.kept = true;
        self.outage(false);
        for partition in &mut self.partitions {
            partition.floor = partition.committed;
        }
    }

    /// Takes a dead letter, by the origin of its record and the class of its error.
    pub(super) fn letter(&mut self, partition: usize, offset: usize, class: &str) {
        let Some(at) = self.place(partition, offset) else {
            return;
        };
        let record = &mut self.records[at];
        record.letters += 1;
        match record.letters {
            1 => self.counts.dead_letters += 1,
            _ => self.counts.duplicate_letters += 1,
        }
        let (poison, letters, taken) = (record.poison, record.letters, record.taken);
        if !poison || class != "poison" {
            self.is_wrong(format!(
                "{partition} at {offset}: a dead letter of class {class}, but the record is {}",
                if poison { "poison" } else { "healthy" }
            ));
        }
        if letters > taken {
            self.is_wrong(format!(
                "{partition} at {offset}: {letters} dead letters, but it was taken {taken} times"
            ));
        }
    }

    /// Checks at the end of the run that no record is missing.
    pub(super) fn finish(&mut self) {
        for partition in 0..self.partitions.len() {
            for offset in 0..self.partitions[partition].records {
                let record = &self.records[self.first[partition] + offset];
                let (done, unburied) = (record.done, record.poison && record.letters == 0);
                self.counts.lost += usize::from(done == 0 || unburied);
                if done == 0 {
                    self.is_wrong(format!("{partition} at {offset}: lost"));
                }
                if unburied {
                    self.is_wrong(format!(
                        "{partition} at {offset}: poison, and no dead letter"
                    ));
                }
            }
            let Partition {
                records, committed, ..
            } = self.partitions[partition];
            if committed != records {
                self.is_wrong(format!(
                    "{partition}: committed up to {committed} in the end, not to {records}"
                ));
            }
        }
    }

    /// Returns the first violations.
    pub(super) fn wrong(&self) -> &[String] {
        &self.wrong
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.counts
    }

    /// Returns the number of records that were processed at least once.
    pub(super) fn processed(&self) -> usize {
        self.counts.processed
    }

    /// Returns true if all partitions are committed to their ends.
    pub(super) fn is_all_committed(&self) -> bool {
        let mut partitions = self.partitions.iter();
        partitions.all(|partition| partition.committed == partition.records)
    }

    /// Returns true if the dependency is down and the breaker has paused every partition.
    pub(super) fn is_out(&self) -> bool {
        self.dead && self.partitions.iter().all(|partition| partition.paused)
    }

    fn outage(&mut self, dead: bool) {
        self.dead = dead;
        for partition in &mut self.partitions {
            partition.paused = false;
        }
    }

    fn taken(&mut self, entry: Entry) {
        let (partition, offset) = place_of(entry);
        let Some(at) = self.place(partition, offset) else {
            return;
        };
        let (life, kept, floor) = (self.life, self.kept, self.partitions[partition].floor);
        let record = &mut self.records[at];
        record.taken += 1;
        let again = std::mem::replace(&mut record.taken_in, life) == life;
        let (key, previous) = (record.key as usize, record.previous);
        let (last_life, last) = std::mem::replace(&mut self.last[key], (life, at));
        if offset < floor {
            self.is_wrong(format!(
                "{partition} at {offset}: read again, though {floor} was committed"
            ));
        }
        if kept && again {
            self.is_wrong(format!(
                "{partition} at {offset}: taken twice without a kill between"
            ));
        } else if kept && last_life == life && previous != Some(last) {
            self.counts.out_of_order += 1;
            self.is_wrong(format!(
                "{partition} at {offset}: taken out of its key's order"
            ));
        }
        if previous.is_some_and(|previous| self.records[previous].done == 0) {
            self.counts.out_of_order += 1;
            self.is_wrong(format!(
                "{partition} at {offset}: taken before the record before it of its key was done"
            ));
        }
    }

    fn done(&mut self, entry: Entry) {
        let (partition, offset) = place_of(entry);
        let Some(at) = self.place(partition, offset) else {
            return;
        };
        let (life, dead) = (self.life, entry.what == What::Dead);
        let record = &mut self.records[at];
        record.done += 1;
        let (poison, number, previous) = (record.poison, record.number, record.previous);
        let (taken_in, first) = (record.taken_in, record.done == 1);
        match first {
            true => self.counts.processed += 1,
            false => self.counts.repeated += 1,
        }
        if dead != poison {
            let (what, was) = match poison {
                true => ("poison", "acknowledged"),
                false => ("healthy", "reported as a dead letter"),
            };
            self.is_wrong(format!("{partition} at {offset}: {what}, but {was}"));
        }
        if !dead && entry.number != number {
            let read = entry.number;
            self.is_wrong(format!(
                "{partition} at {offset}: holds record {number}, but {read} was read"
            ));
        }
        if taken_in != life {
            self.is_wrong(format!(
                "{partition} at {offset}: done in a life that never took it"
            ));
        }
        if first && previous.is_some_and(|previous| self.records[previous].done == 0) {
            self.counts.out_of_order += 1;
            self.is_wrong(format!(
                "{partition} at {offset}: done before the record before it of its key"
            ));
        }
        let overtakes = self.frontier(partition) < offset;
        self.counts.overtaking += usize::from(first && overtakes);
    }

    /// Returns the lowest offset of a partition that is not done.
    fn frontier(&mut self, partition: usize) -> usize {
        let first = self.first[partition];
        let Partition {
            records, frontier, ..
        } = &mut self.partitions[partition];
        let rest = &self.records[first + *frontier..first + *records];
        *frontier += rest.iter().take_while(|record| record.done > 0).count();
        *frontier
    }

    fn place(&mut self, partition: usize, offset: usize) -> Option<usize> {
        let known = self.partitions.get(partition);
        if known.is_none_or(|known| offset >= known.records) {
            self.is_wrong(format!("{partition} at {offset}: there is no such record"));
            return None;
        }
        Some(self.first[partition] + offset)
    }

    fn is_wrong(&mut self, what: String) {
        self.counts.wrong += 1;
        if self.wrong.len() < MOST_TOLD {
            self.wrong.push(what);
        }
    }
}

fn place_of(entry: Entry) -> (usize, usize) {
    let offset = usize::try_from(entry.offset).unwrap();
    (entry.partition.into(), offset)
}

/// The most violations that are kept. A few show a mistake that occurs many times.
const MOST_TOLD: usize = 20;

mod tests;
