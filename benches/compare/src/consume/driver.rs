//! Runs every combination of a consume comparison, in rounds in which the clients take turns.

use crate::args::ConsumeFlags;
use crate::case::{Amount, Client, Codec, ConsumeJob, Due, FeedJob, Mode, Settings, Task};
use crate::driver::{Round, progress};
use crate::report::{self, Row};
use crate::target::{Served, Target, Wish};
use crate::worker;

/// One combination of the values in the flags.
struct Case<'a> {
    flags: &'a ConsumeFlags,
    size: usize,
    codec: Codec,
    partitions: u32,
    members: usize,
    rate: Option<u64>,
}

/// One client with one of its settings, and its results.
struct Entry {
    client: Client,
    settings: Settings,
    mode: Mode,
    rounds: Vec<Round>,
    error: Option<String>,
}

/// The content of the target's log.
struct Held {
    /// The number of records. `None` if they never end.
    records: Option<u64>,
    /// The bytes of batches per record. NaN if not known.
    stored: f64,
}

pub(crate) fn consume(flags: &ConsumeFlags) -> Result<(), String> {
    let mut rates: Vec<_> = flags.rate.iter().copied().map(Some).collect();
    if rates.is_empty() {
        rates.push(None);
    }
    let mut rows = Vec::new();
    for &size in &flags.common.size {
        for &codec in &flags.common.codec {
            for &partitions in &flags.common.partitions {
                for &members in &flags.members {
                    for &rate in &rates {
                        let case = Case {
                            flags,
                            size,
                            codec,
                            partitions,
                            members: members.max(1),
                            rate,
                        };
                        rows.extend(case.run()?);
                        // Saved after each case, so that an aborted long run leaves results.
                        report::save(
                            flags.common.json.as_deref(),
                            flags.common.svg.as_deref(),
                            &rows,
                        )?;
                    }
                }
            }
        }
    }
    Ok(())
}

impl Case<'_> {
    fn run(&self) -> Result<Vec<Row>, String> {
        let mut target = Target::start(&Wish {
            name: &self.flags.common.target,
            partitions: self.partitions,
            rtt: self.flags.common.rtt,
            serial: false,
            serves: Some(Served {
                size: self.size,
                batch_size: self.flags.batch_size,
                codec: self.codec.name(),
                rate: self.rate,
            }),
            core: self.flags.common.target_core(),
        })?;
        let held = self.fill(&mut target)?;
        let mut entries = self.entries();
        for round in 0..self.flags.common.rounds {
            // The order rotates by one in each round, so that no client is always first.
            for at in 0..entries.len() {
                let at = (at + round) % entries.len();
                if let Some(entry) = entries.get_mut(at).filter(|entry| entry.error.is_none()) {
                    progress(&format!("round {}: {}", round + 1, entry.client.name()));
                    match self.measure(&mut target, &held, entry) {
                        Ok(round) => entry.rounds.push(round),
                        Err(error) => entry.error = Some(error),
                    }
                }
            }
        }
        progress("");
        let rows: Vec<Row> = entries.into_iter().map(|entry| self.row(entry)).collect();
        print!("{}", report::table(&rows));
        Ok(rows)
    }

    /// Writes the log of a target that stores. At a rate, the log is written while it is read
    /// instead.
    fn fill(&self, target: &mut Target) -> Result<Held, String> {
        if let Some(counts) = target.counts() {
            return Ok(Held {
                records: None,
                stored: counts.batch_bytes as f64 / counts.batch as f64,
            });
        }
        let records = self
            .flags
            .records
            .unwrap_or(LOG_BYTES / self.size.max(1) as u64);
        let amount = match self.rate {
            None => Amount::Records(records),
            Some(_) => {
                return Ok(Held {
                    records: None,
                    stored: f64::NAN,
                });
            }
        };
        let filled = worker::measure(&Task::Feed(self.feed(target, amount)), 300.0)?;
        Ok(Held {
            records: Some(filled.records),
            stored: filled.read_amplification.unwrap_or(f64::NAN),
        })
    }

    fn feed(&self, target: &Target, amount: Amount) -> FeedJob {
        FeedJob {
            bootstrap: target.bootstrap.clone(),
            topic: target.topic.clone(),
            size: self.size,
            codec: self.codec,
            batch_size: Some(self.flags.batch_size),
            amount,
        }
    }

    fn measure(&self, target: &mut Target, held: &Held, entry: &Entry) -> Result<Round, String> {
        let counts = target.counts();
        let (clock, feeder) = match (self.rate, &counts) {
            (None, _) => (Due::Never, None),
            (Some(_), Some(counts)) => (counts.clock(), None),
            (Some(rate), None) => {
                let job = self.feed(target, Amount::PerSecond(rate));
                (Due::InValue, Some(worker::start(&Task::Feed(job))?))
            }
        };
        let job = ConsumeJob {
            client: entry.client,
            settings: entry.settings,
            mode: entry.mode,
            bootstrap: target.bootstrap.clone(),
            topic: target.topic.clone(),
            partitions: self.partitions,
            members: self.members,
            records: held.records,
            clock,
            stored: held.stored,
            seconds: self.flags.common.seconds,
            cores: self.flags.common.client_cores(),
        };
        let sample = worker::measure(&Task::Consume(job), self.flags.common.seconds * 4.0 + 120.0);
        drop(feeder);
        Ok(Round {
            sample: sample?,
            seen: target
                .counts()
                .map(|counts| (counts.requests, counts.records)),
        })
    }

    /// Returns milena with its defaults, and every peer with each of the chosen settings.
    fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for &client in self.flags.common.clients() {
            let forms = self.flags.common.forms(client);
            let wanted = |mode: &&Mode| {
                (self.flags.mode.is_empty() || self.flags.mode.contains(mode))
                    && (self.members == 1 || (client, **mode) == (Client::Milena, Mode::Handler))
            };
            for &mode in client.modes().iter().filter(wanted) {
                entries.extend(forms.iter().map(|&settings| Entry {
                    client,
                    settings,
                    mode,
                    rounds: Vec::new(),
                    error: None,
                }));
            }
        }
        entries
    }

    fn row(&self, entry: Entry) -> Row {
        let shape = report::Shape {
            client: entry.client.name(),
            settings: entry.settings.name(),
            work: "consume".to_owned(),
            mode: entry.mode.name(),
            target: self.flags.common.target.clone(),
            size: self.size,
            codec: self.codec.name(),
            partitions: self.partitions,
            members: (self.members > 1).then_some(self.members),
            keys: false,
            batch_size: Some(self.flags.batch_size),
            rtt_ms: self.flags.common.rtt.as_secs_f64() * 1e3,
            serial: false,
            rate: self.rate,
        };
        Row::new(shape, &entry.rounds, entry.error)
    }
}

/// The bytes of values in the log of a target that stores.
const LOG_BYTES: u64 = 512 << 20;
