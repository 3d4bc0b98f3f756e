//! Tests of the oracle. Each kind of violation is found, and nothing in a correct run.

use super::Oracle;
use crate::kill::journal::{Entry, What};
use crate::kill::plan::Plan;

/// Two partitions. In the first one, the records at 0, 2 and 4 have one key, those at 1 and 3 have
/// another, and the one at 3 is poison.
struct Case {
    oracle: Oracle,
    log: Vec<Vec<u32>>,
}

impl Case {
    fn new() -> Self {
        let plan = Plan {
            seed: 1,
            records: 100_000,
            keys: 1_000,
            kills: 0,
            outages: 0,
        };
        let of = |key: u32, poison: bool| {
            let all = 0..plan.records;
            all.filter(move |n| plan.key(*n) == key && plan.is_poison(*n) == poison)
        };
        // The two keys have poisoned records as well as others.
        let mut keys = (0..plan.keys).filter(|key| of(*key, true).next().is_some());
        let (one, two) = (keys.next().unwrap(), keys.next().unwrap());
        let ones: Vec<u32> = of(one, false).take(3).collect();
        let first = vec![
            ones[0],
            of(two, false).next().unwrap(),
            ones[1],
            of(two, true).next().unwrap(),
            ones[2],
        ];
        let third = keys.next().unwrap();
        let log = vec![first, of(third, false).take(2).collect()];
        Self {
            oracle: Oracle::new(&plan, &log),
            log,
        }
    }

    fn take(&mut self, partition: usize, offset: usize) -> &mut Self {
        self.saw(What::Taken, partition, offset)
    }

    fn done(&mut self, partition: usize, offset: usize) -> &mut Self {
        self.saw(What::Done, partition, offset)
    }

    /// Adds a record from its arrival to its end.
    fn whole(&mut self, partition: usize, offset: usize) -> &mut Self {
        let poison = (partition, offset) == (0, 3);
        let end = if poison { What::Dead } else { What::Done };
        self.take(partition, offset).saw(end, partition, offset)
    }

    fn saw(&mut self, what: What, partition: usize, offset: usize) -> &mut Self {
        let number = self.log[partition].get(offset).copied().unwrap_or(0);
        let entry = Entry::new(what, partition, offset.try_into().unwrap());
        self.oracle.saw(entry.number(number));
        self
    }

    fn commit(&mut self, partition: usize, offset: usize) -> &mut Self {
        self.oracle.committed(partition, offset);
        self
    }

    fn letter(&mut self, partition: usize, offset: usize, class: &str) -> &mut Self {
        self.oracle.letter(partition, offset, class);
        self
    }

    fn kill(&mut self) -> &mut Self {
        self.oracle.killed();
        self
    }

    /// Adds all remaining records of a run, and its end.
    fn rest(&mut self) -> &mut Self {
        for (partition, offset) in [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1)] {
            self.whole(partition, offset);
        }
        self.letter(0, 3, "poison").commit(0, 5).commit(1, 2)
    }

    fn finish(&mut self) -> &[String] {
        self.oracle.finish();
        self.oracle.wrong()
    }

    /// Checks that only this violation was found.
    fn finds(&mut self, what: &str) {
        let wrong = self.oracle.wrong();
        assert!(wrong.len() == 1 && wrong[0].contains(what), "{wrong:#?}");
    }
}

#[test]
fn a_run_in_which_all_is_well_is_well() {
    let mut case = Case::new();
    // The records are out of the log's order, but each key is in order.
    case.take(0, 0).take(0, 1).done(0, 1).whole(0, 3);
    case.commit(0, 0).done(0, 0).commit(0, 2).kill();
    case.whole(0, 2).whole(0, 4).whole(0, 3).commit(0, 5);
    case.whole(1, 0).whole(1, 1).commit(1, 2);
    case.letter(0, 3, "poison").letter(0, 3, "poison");
    assert_eq!(case.finish(), [""; 0]);
    let ledger = case.oracle.ledger();
    assert_eq!((ledger.processed, ledger.repeated), (7, 1));
    assert_eq!((ledger.dead_letters, ledger.duplicate_letters), (1, 1));
    assert_eq!((ledger.lost, ledger.out_of_order), (0, 0));
    assert_eq!((ledger.kills, ledger.overtaking), (1, 2));
}

#[test]
fn a_skipped_record_is_found() {
    let mut case = Case::new();
    for offset in [0, 1, 2, 3, 4] {
        case.whole(0, offset);
    }
    case.letter(0, 3, "poison").whole(1, 0);
    case.commit(0, 5).commit(1, 1);
    let wrong = case.finish().to_vec();
    assert!(wrong[0].contains("1 at 1: lost"), "{wrong:#?}");
    assert!(wrong[1].contains("1: committed up to 1"), "{wrong:#?}");
    assert_eq!((wrong.len(), case.oracle.ledger().lost), (2, 1));
}

#[test]
fn a_commit_past_an_unprocessed_record_is_found() {
    let mut case = Case::new();
    case.whole(0, 0).take(0, 1).commit(0, 2);
    case.finds("0: committed up to 2, but 1 is not processed");
}

#[test]
fn a_commit_of_a_record_that_failed_is_found() {
    let mut case = Case::new();
    case.take(0, 0).saw(What::Failed, 0, 0).commit(0, 1);
    case.finds("0: committed up to 1, but 0 is not processed");
}

#[test]
fn a_commit_past_poison_without_its_dead_letter_is_found() {
    let mut case = Case::new();
    case.whole(0, 0).whole(0, 1).whole(0, 2).take(0, 3);
    case.whole(0, 4).commit(0, 5);
    case.finds("0: committed up to 5, but 3 is not processed");
}

#[test]
fn a_commit_that_goes_back_is_found() {
    let mut case = Case::new();
    case.whole(1, 0).commit(1, 1).commit(1, 0);
    case.finds("1: the commit went back from 1 to 0");
}

#[test]
fn a_dead_letter_of_a_healthy_record_is_found() {
    let mut case = Case::new();
    case.rest().letter(0, 1, "dependency");
    case.finds("0 at 1: a dead letter of class dependency, but the record is healthy");
}

#[test]
fn a_dead_letter_that_an_outage_made_of_a_poisoned_record_is_found() {
    let mut case = Case::new();
    case.take(0, 3).letter(0, 3, "dependency");
    assert!(
        case.oracle
            .wrong()
            .iter()
            .any(|wrong| wrong.contains("class dependency"))
    );
}

#[test]
fn a_second_dead_letter_without_a_kill_is_found() {
    let mut case = Case::new();
    case.rest().letter(0, 3, "poison");
    case.finds("0 at 3: 2 dead letters, but it was taken 1 times");
}

#[test]
fn poison_without_a_dead_letter_is_found() {
    let mut case = Case::new();
    for (partition, offset) in [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1)] {
        case.whole(partition, offset);
    }
    case.commit(0, 5).commit(1, 2);
    case.finish();
    case.finds("0 at 3: poison, and no dead letter");
    assert_eq!(case.oracle.ledger().lost, 1);
}

#[test]
fn poison_that_was_acknowledged_is_found() {
    let mut case = Case::new();
    case.whole(0, 1).take(0, 3).done(0, 3);
    case.finds("0 at 3: poison, but acknowledged");
}

#[test]
fn a_broken_order_within_a_key_is_found() {
    let mut case = Case::new();
    case.take(0, 0).take(0, 2);
    case.finds("0 at 2: taken before the record before it of its key was done");
    assert_eq!(case.oracle.ledger().out_of_order, 1);
}

#[test]
fn an_end_before_that_of_the_record_before_it_is_found() {
    let mut case = Case::new();
    case.take(0, 0).take(0, 2).done(0, 2);
    let wrong = case.oracle.wrong();
    assert!(wrong[1].contains("0 at 2: done before"), "{wrong:#?}");
}

#[test]
fn a_gap_in_what_a_kill_repeats_is_found() {
    let mut case = Case::new();
    case.whole(0, 0).whole(0, 2).whole(0, 4).kill();
    case.whole(0, 0).whole(0, 4);
    case.finds("0 at 4: taken out of its key's order");
}

#[test]
fn a_repetition_without_a_kill_is_found() {
    let mut case = Case::new();
    case.whole(0, 0).whole(0, 0);
    case.finds("0 at 0: taken twice without a kill between");
}

#[test]
fn a_repetition_after_the_group_gave_a_living_worker_up_is_none_of_its_faults() {
    let mut case = Case::new();
    case.whole(0, 0).saw(What::Lost, 0, 0).whole(0, 0);
    assert_eq!(case.oracle.wrong(), [""; 0]);
    assert_eq!(case.oracle.ledger().losses, 1);
}

#[test]
fn a_repetition_of_what_was_committed_is_found() {
    let mut case = Case::new();
    case.whole(0, 0).whole(0, 1).commit(0, 1).kill();
    case.whole(0, 0);
    case.finds("0 at 0: read again, though 1 was committed");
}

#[test]
fn another_record_than_the_one_that_was_written_there_is_found() {
    let mut case = Case::new();
    case.take(0, 0);
    let wrong = Entry::new(What::Done, 0, 0).number(99_999_999);
    case.oracle.saw(wrong);
    case.finds("but 99999999 was read");
}

#[test]
fn a_record_that_nobody_wrote_is_found() {
    let mut case = Case::new();
    case.take(1, 2);
    case.finds("1 at 2: there is no such record");
}
