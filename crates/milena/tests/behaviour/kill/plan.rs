//! The plan of a run, drawn from one seed. Decides the records, their failures, and the time of
//! each event.

/// The plan of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) records: u32,
    pub(super) keys: u32,
    /// The number of kills of the worker. One of them is while the dependency is down.
    pub(super) kills: u32,
    /// The number of outages of the dependency.
    pub(super) outages: u32,
}

/// An event that happens once enough records are processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Kill,
    Outage { with_kill: bool },
}

/// The purpose of a draw, so that draws for different purposes are independent.
#[derive(Clone, Copy)]
enum Draw {
    Key = 1,
    Poison,
    Failures,
    Moment,
    Order,
    Path,
}

impl Plan {
    pub(super) fn key(&self, number: u32) -> u32 {
        let key = self.draw(Draw::Key, number.into()) % u64::from(self.keys);
        u32::try_from(key).unwrap()
    }

    /// Returns true for 1 % of the records, which cannot be decoded.
    pub(super) fn is_poison(&self, number: u32) -> bool {
        self.draw(Draw::Poison, number.into()).is_multiple_of(100)
    }

    /// Returns how often the records of a key fail before they succeed. 5 % of the keys fail once
    /// or twice.
    pub(super) fn failures(&self, key: u32) -> u32 {
        match self.draw(Draw::Failures, key.into()) % 40 {
            0 => 1,
            1 => 2,
            _ => 0,
        }
    }

    /// Returns a number that decides the record's way through the handler. It differs for each
    /// life.
    pub(super) fn path(&self, number: u32, life: u32) -> u64 {
        self.draw(Draw::Path, u64::from(life) << 32 | u64::from(number))
    }

    /// Returns the text of a record's key.
    pub(super) fn key_text(&self, number: u32) -> String {
        format!("customer-{}", self.key(number))
    }

    /// Returns a record's value, an order in JSON. A poisoned value is incomplete.
    pub(super) fn value(&self, number: u32) -> String {
        let key = self.key(number);
        match self.is_poison(number) {
            true => format!(r#"{{"number":{number},"customer":"#),
            false => format!(r#"{{"number":{number},"customer":{key}}}"#),
        }
    }

    /// Returns the events, each with the number of processed records at which it happens.
    pub(super) fn steps(&self) -> Vec<(u32, Step)> {
        let mut steps = vec![Step::Kill; self.kills.saturating_sub(1) as usize];
        steps.extend((0..self.outages).map(|n| Step::Outage { with_kill: n == 0 }));
        for at in (1..steps.len()).rev() {
            let other = self.draw(Draw::Order, at as u64) % (at as u64 + 1);
            steps.swap(at, usize::try_from(other).unwrap());
        }
        // Each event has a section of its own between 5 % and 95 % of the records.
        let stretch = u64::from(self.records) * 9 / 10 / steps.len() as u64;
        let moments = (0..).zip(steps).map(|(n, step)| {
            let within = self.draw(Draw::Moment, n) % stretch;
            let moment = u64::from(self.records) / 20 + n * stretch + within;
            (u32::try_from(moment).unwrap(), step)
        });
        moments.collect()
    }

    fn draw(&self, what: Draw, of: u64) -> u64 {
        // The SplitMix64 generator. Neighbouring inputs give unrelated numbers.
        let mut z = self.seed ^ (what as u64) << 56 ^ of.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for _ in 0..2 {
            z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
        }
        z
    }
}

#[test]
fn a_plan_has_the_shares_it_is_to_have_and_is_the_same_each_time() {
    let plan = Plan {
        seed: 7,
        records: 100_000,
        keys: 10_000,
        kills: 5,
        outages: 2,
    };
    let poison = (0..plan.records).filter(|n| plan.is_poison(*n)).count();
    assert!((800..1_200).contains(&poison), "{poison}");
    for times in [1, 2] {
        let keys = (0..plan.keys).filter(|key| plan.failures(*key) == times);
        assert!((200..300).contains(&keys.count()));
    }
    let steps = plan.steps();
    assert_eq!(steps, plan.steps());
    assert!(steps.is_sorted_by_key(|(at, _)| *at));
    let kills = steps.iter().filter(|(_, step)| match step {
        Step::Kill => true,
        Step::Outage { with_kill } => *with_kill,
    });
    assert_eq!(kills.count(), 5);
}
