//! The duration, the rate, and the numbers of kills and stops of a run.

use std::time::Duration;

/// A run, as the environment describes it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) time: Duration,
    /// Records per second.
    pub(crate) rate: u64,
    /// The number of kills of a broker.
    pub(crate) kills: u32,
    /// The number of times that a broker is stopped for some seconds.
    pub(crate) stops: u32,
    /// The number of kills of a member in each group.
    pub(crate) member_kills: u32,
}

impl Plan {
    pub(crate) fn from_env() -> Self {
        let number = |name: &str, otherwise: u64| {
            let given = std::env::var(format!("MILENA_TEST_{name}")).ok();
            given.map_or(otherwise, |given| given.parse().unwrap())
        };
        Self {
            seed: number("SEED", crate::now()),
            time: Duration::from_secs(number("LEDGER_SECONDS", 300)),
            rate: number("LEDGER_RATE", 20_000),
            kills: number("LEDGER_KILLS", 25) as u32,
            stops: number("LEDGER_STOPS", 25) as u32,
            member_kills: number("LEDGER_MEMBER_KILLS", 5) as u32,
        }
    }

    /// Returns a number below `below` for the draw `nth` of the kind `what`.
    pub(crate) fn draw(&self, what: u64, nth: u32, below: u64) -> u64 {
        // The SplitMix64 generator.
        let mut x = self.seed ^ (what << 32) ^ u64::from(nth);
        x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % below
    }
}
