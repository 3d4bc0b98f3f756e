//! The work of a group on the log. Each record must be processed, in order, and committed only
//! afterwards.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::PARTITIONS;
use crate::group::MEMBERS;
use crate::log::Log;
use crate::member::Entry;
use crate::plan::Plan;

/// The observations while a group works.
pub(crate) struct Tally {
    plan: Plan,
    /// The committed offsets of each partition, with the time at which each was seen.
    commits: Vec<Vec<(u64, u64)>>,
    wrong: Vec<String>,
}

/// The findings at the end.
pub(crate) struct Found {
    group: String,
    records: usize,
    processed: usize,
    kills: u32,
    losses: usize,
    /// For each member whose records were processed again by others, in the order of their ends:
    /// the number of those records, and the age of the oldest at the member's end.
    repeats: Vec<(usize, Duration)>,
    commits: usize,
    /// The longest time without a record of a partition.
    pub(crate) gap: Duration,
    pub(crate) wrong: Vec<String>,
}

impl Tally {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            commits: vec![Vec::new(); PARTITIONS],
            wrong: Vec::new(),
        }
    }

    pub(crate) fn committed(&mut self, partition: usize, offset: u64, at: u64) {
        let commits = &mut self.commits[partition];
        match commits.last() {
            // A broker that was stopped may answer with an old offset. The log of the commits shows
            // at the end if one went back.
            Some((before, _)) if *before >= offset => {}
            _ => commits.push((offset, at)),
        }
    }

    pub(crate) fn committed_sum(&self) -> u64 {
        let last = self.commits.iter().filter_map(|commits| commits.last());
        last.map(|(offset, _)| offset).sum()
    }

    /// Reads the files of the members, and compares them with the log and the commits.
    pub(crate) fn finish(mut self, group: &str, kills: u32, folder: &Path, log: &Log) -> Found {
        let mut entries = vec![Vec::new(); PARTITIONS];
        let mut members = Vec::new();
        let mut losses = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            match path.extension().and_then(|kind| kind.to_str()) {
                Some("entries") => {
                    // The last entry of a killed member may be incomplete.
                    let bytes = std::fs::read(&path).unwrap();
                    let own: Vec<_> = bytes.chunks_exact(Entry::BYTES).map(Entry::read).collect();
                    for entry in &own {
                        entries[entry.partition as usize].push(*entry);
                    }
                    members.push(own);
                }
                Some("moves") => losses += self.check_moves(&path),
                _ => {}
            }
        }
        let (mut processed, mut records) = (0, 0);
        for (partition, entries) in entries.iter_mut().enumerate() {
            entries.sort_by_key(|entry| entry.at);
            processed += entries.len();
            records += log.0[partition].len();
            self.check_partition(partition, entries, log);
        }
        let repeats = repeats(&members);
        let again = processed.saturating_sub(records);
        // The limit is 1 %. In a short run it is the records that killed members had not committed,
        // which can be more.
        let share = self.plan.rate as usize * 3 / 2 / MEMBERS;
        if again > (records / 100).max(kills as usize * share) {
            self.wrong.push(format!(
                "{group}: {again} of {records} records were processed again"
            ));
        }
        let stamps = entries
            .iter()
            .map(|entries| entries.iter().map(|entry| entry.at).collect());
        let gap = longest_gap(&stamps.collect::<Vec<_>>());
        Found {
            group: group.to_owned(),
            records,
            processed,
            kills,
            losses,
            repeats,
            commits: self.commits.iter().map(Vec::len).sum(),
            gap,
            wrong: self.wrong,
        }
    }

    fn check_partition(&mut self, partition: usize, entries: &[Entry], log: &Log) {
        let mut seen = HashSet::new();
        let mut commits = self.commits[partition].iter().peekable();
        // The offset after the processed ones. Offsets have no gaps, because the run uses neither
        // transactions nor compaction.
        let mut whole = 0;
        for entry in entries {
            while let Some((offset, at)) = commits.next_if(|(_, at)| *at < entry.at) {
                if *offset > whole {
                    let told =
                        format!("{partition}: {offset} committed at {at} with {whole} processed");
                    self.wrong.push(told);
                }
            }
            if seen.insert(entry.offset) {
                if entry.offset != whole {
                    let told = format!("{partition}: {} came before {whole}", entry.offset);
                    self.wrong.push(told);
                }
                whole = entry.offset + 1;
            }
        }
        let lost = log.0[partition]
            .keys()
            .filter(|offset| !seen.contains(offset))
            .count();
        if lost > 0 {
            self.wrong
                .push(format!("{partition}: {lost} records were never processed"));
        }
    }

    /// Counts how often partitions were lost. More than ten losses within a second are a loop.
    fn check_moves(&mut self, path: &Path) -> usize {
        let text = std::fs::read_to_string(path).unwrap();
        let moves = text.lines().filter_map(|line| line.split_once(' '));
        let lost: Vec<u64> = moves
            .filter(|(_, phase)| *phase == "lost")
            .map(|(at, _)| at.parse().unwrap())
            .collect();
        let within_a_second = |some: &[u64]| some.last().unwrap() - some[0] < 1000;
        if lost.windows(11).any(within_a_second) {
            let (times, time) = (lost.len(), self.plan.time);
            self.wrong.push(format!(
                "{}: lost {times} times in {time:?}",
                path.display()
            ));
        }
        lost.len()
    }
}

/// Returns, for each member whose records others processed again later, the number of those records
/// and the age of the oldest one when the member processed its last record.
fn repeats(members: &[Vec<Entry>]) -> Vec<(usize, Duration)> {
    let mut last = HashMap::new();
    for entry in members.iter().flatten() {
        let known = last.entry((entry.partition, entry.offset)).or_insert(0);
        *known = entry.at.max(*known);
    }
    let mut found = Vec::new();
    for own in members {
        let again = own
            .iter()
            .filter(|entry| last[&(entry.partition, entry.offset)] > entry.at);
        let ages = again.map(|entry| entry.at);
        let (Some(oldest), Some(end)) = (ages.clone().min(), own.last()) else {
            continue;
        };
        let age = Duration::from_millis(end.at.saturating_sub(oldest));
        found.push((end.at, (ages.count(), age)));
    }
    found.sort_unstable();
    found.into_iter().map(|(_, repeats)| repeats).collect()
}

/// Returns the longest time between two records of a partition. The stamps are in milliseconds, in
/// order.
pub(crate) fn longest_gap(stamps: &[Vec<u64>]) -> Duration {
    let gaps = stamps.iter().map(|stamps| {
        let pairs = stamps
            .windows(2)
            .map(|pair| pair[1].saturating_sub(pair[0]));
        pairs.max().unwrap_or(u64::MAX)
    });
    Duration::from_millis(gaps.max().unwrap_or(u64::MAX))
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = self.processed.saturating_sub(self.records);
        write!(
            f,
            "{}: {} records, processed again {again} ({:.2} %: {:?}), members killed {}, partitions lost {} times, commits seen {}, \
             longest time without a record of a partition {:?}",
            self.group,
            self.records,
            again as f64 * 100.0 / self.records.max(1) as f64,
            self.repeats,
            self.kills,
            self.losses,
            self.commits,
            self.gap
        )
    }
}
