//! Runs every combination of a produce comparison, in rounds in which the clients take turns. First
//! at their maximum, then at fixed rates.

use std::io::IsTerminal;

use crate::args::ProduceFlags;
use crate::case::{Client, Codec, Job, Sample, Settings, Task};
use crate::report::{self, Row};
use crate::target::{Target, Wish};
use crate::worker;

/// One combination of the values in the flags.
struct Case<'a> {
    flags: &'a ProduceFlags,
    size: usize,
    codec: Codec,
    partitions: u32,
}

/// One client with one of its settings, and its results.
struct Entry {
    client: Client,
    settings: Settings,
    /// The results of the rounds so far.
    rounds: Vec<Round>,
    /// The error that ended its rounds. `None` while there is none.
    error: Option<String>,
}

/// One measurement.
pub(crate) struct Round {
    pub(crate) sample: Sample,
    /// The requests and records that the stub received, including the warm-up.
    pub(crate) seen: Option<(u64, u64)>,
}

pub(crate) fn produce(flags: &ProduceFlags) -> Result<(), String> {
    let mut rows = Vec::new();
    for &size in &flags.common.size {
        for &codec in &flags.common.codec {
            for &partitions in &flags.common.partitions {
                let case = Case {
                    flags,
                    size,
                    codec,
                    partitions,
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
    Ok(())
}

impl Case<'_> {
    fn run(&self) -> Result<Vec<Row>, String> {
        let mut target = Target::start(&Wish {
            name: &self.flags.common.target,
            partitions: self.partitions,
            rtt: self.flags.common.rtt,
            serial: self.flags.serial,
            serves: None,
            core: self.flags.common.target_core(),
        })?;
        let mut all = Vec::new();
        let mut rates: Vec<Option<u64>> = self.flags.rate.iter().copied().map(Some).collect();
        if rates.is_empty() {
            let fastest = self.rounds(&mut target, None);
            if !self.flags.max_only {
                rates = shares_of_slowest(&fastest);
            }
            all.extend(fastest);
        }
        for rate in rates {
            all.extend(self.rounds(&mut target, rate));
        }
        Ok(all)
    }

    /// Runs the rounds of all clients at one load, and prints the results.
    fn rounds(&self, target: &mut Target, rate: Option<u64>) -> Vec<Row> {
        let mut entries = entries(self.flags);
        // Enqueuing in runs is for the maximum. Calling from a thread is for latency, measured like
        // that of the blocking clients.
        let out = match rate {
            None => Client::MilenaThread,
            Some(_) => Client::MilenaBatch,
        };
        entries.retain(|entry| entry.client != out);
        for round in 0..self.flags.common.rounds {
            // The order rotates by one in each round, so that no client is always first.
            for at in 0..entries.len() {
                let at = (at + round) % entries.len();
                if let Some(entry) = entries.get_mut(at).filter(|entry| entry.error.is_none()) {
                    progress(&format!("round {}: {}", round + 1, entry.name()));
                    target.counts();
                    let task = Task::Produce(self.job(target, entry, rate));
                    match worker::measure(&task, self.flags.common.seconds * 4.0 + 60.0) {
                        Ok(sample) => entry.rounds.push(Round {
                            sample,
                            seen: target.counts().map(|seen| (seen.requests, seen.records)),
                        }),
                        Err(error) => entry.error = Some(error),
                    }
                }
            }
        }
        progress("");
        let rows = entries.into_iter().map(|entry| self.row(entry, rate));
        let rows: Vec<Row> = rows.collect();
        print!("{}", report::table(&rows));
        rows
    }

    fn job(&self, target: &Target, entry: &Entry, rate: Option<u64>) -> Job {
        Job {
            client: entry.client,
            settings: entry.settings,
            bootstrap: target.bootstrap.clone(),
            topic: target.topic.clone(),
            partitions: self.partitions,
            size: self.size,
            codec: self.codec,
            keys: self.flags.keys,
            batch_size: self.flags.batch_size,
            rate,
            seconds: self.flags.common.seconds,
            cores: self.flags.common.client_cores(),
        }
    }

    fn row(&self, entry: Entry, rate: Option<u64>) -> Row {
        let shape = report::Shape {
            client: entry.client.name(),
            settings: entry.settings.name(),
            work: "produce".to_owned(),
            mode: "batch".to_owned(),
            target: self.flags.common.target.clone(),
            size: self.size,
            codec: self.codec.name(),
            partitions: self.partitions,
            members: None,
            keys: self.flags.keys,
            batch_size: self.flags.batch_size,
            rtt_ms: self.flags.common.rtt.as_secs_f64() * 1e3,
            serial: self.flags.serial,
            rate,
        };
        Row::new(shape, &entry.rounds, entry.error)
    }
}

impl Entry {
    fn name(&self) -> String {
        format!("{} {}", self.client.name(), self.settings.name())
    }
}

/// Returns milena with its defaults, and every peer with each of the chosen settings.
fn entries(flags: &ProduceFlags) -> Vec<Entry> {
    let forms = |&client: &Client| {
        let forms = flags.common.forms(client);
        forms.iter().map(move |&settings| Entry {
            client,
            settings,
            rounds: Vec::new(),
            error: None,
        })
    };
    let clients = flags.common.clients().iter();
    let producers = clients.filter(|client| client.produces());
    producers.flat_map(forms).collect()
}

/// Returns 10, 50 and 80 % of the slowest client's maximum.
fn shares_of_slowest(rows: &[Row]) -> Vec<Option<u64>> {
    let rates = rows
        .iter()
        .filter_map(|row| row.records_per_second.as_ref());
    let slowest = rates.map(|figure| figure.median).min_by(f64::total_cmp);
    let share = |share| slowest.map(|slowest| (slowest * share) as u64);
    [0.1, 0.5, 0.8]
        .map(share)
        .into_iter()
        .filter(Option::is_some)
        .collect()
}

/// Shows the client that runs now on a terminal.
pub(crate) fn progress(what: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{what:<60}\r");
    }
}
