//! A group of three members. At intervals one is killed, and another one is started in its place.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use milena::Client;
use milena::admin::OffsetSpec;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::PARTITIONS;
use crate::brokers::Brokers;
use crate::java::JavaGroup;
use crate::log::Log;
use crate::member::Task;
use crate::plan::Plan;
use crate::tally::{Found, Tally};

pub(crate) struct Group {
    task: Task,
    folder: PathBuf,
    members: Vec<Child>,
    started: u32,
    kills: u32,
    tally: Tally,
}

impl Group {
    pub(crate) fn start(
        plan: &Plan,
        protocol: &str,
        bootstrap: &str,
        topic: &str,
        work: &Path,
    ) -> Self {
        let group = format!("{topic}-{protocol}");
        let folder = work.join(protocol);
        std::fs::create_dir_all(&folder).unwrap();
        let task = Task {
            bootstrap: bootstrap.to_owned(),
            topic: topic.to_owned(),
            group,
            protocol: protocol.to_owned(),
            id: String::new(),
            folder: folder.clone(),
        };
        let mut group = Self {
            task,
            folder,
            members: Vec::new(),
            started: 0,
            kills: 0,
            tally: Tally::new(plan),
        };
        for _ in 0..MEMBERS {
            group.start_member();
        }
        group
    }

    fn start_member(&mut self) {
        self.started += 1;
        self.task.id = format!("{}-{}", self.task.protocol, self.started);
        let log = std::fs::File::create(self.folder.join(format!("{}.log", self.task.id)));
        // The member is this test program, started with one test that does nothing in any other
        // process.
        let member = Command::new(std::env::current_exe().unwrap())
            .args(["member_process", "--exact", "--ignored", "--nocapture"])
            .envs(self.task.to_env())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .kill_on_drop(true)
            .spawn();
        self.members.push(member.unwrap());
    }

    /// Waits until every member has partitions.
    pub(crate) async fn until_it_reads(&mut self, _: &Client) {
        let begun = Instant::now();
        loop {
            let moved = (1..=self.started).filter(|number| {
                let name = format!("{}-{number}.moves", self.task.protocol);
                std::fs::metadata(self.folder.join(name)).is_ok_and(|found| found.len() > 0)
            });
            if moved.count() == MEMBERS {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{} does not form",
                self.task.group
            );
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Kills one member with SIGKILL, and starts another one in its place.
    async fn kill_one(&mut self, which: usize) {
        let mut member = self.members.remove(which % self.members.len());
        member.start_kill().unwrap();
        member.wait().await.unwrap();
        self.kills += 1;
        self.start_member();
    }

    fn expect_alive(&mut self) {
        for member in &mut self.members {
            if let Some(status) = member.try_wait().unwrap() {
                panic!("a member of {} ended by itself: {status}", self.task.group);
            }
        }
    }

    /// Keeps the offsets that are committed now, for the tally.
    async fn note_commits(&mut self, client: &Client) {
        let admin = client.admin().timeout(Duration::from_secs(5));
        let asked = admin.group_offsets([self.task.group.clone()]).await.all();
        // While brokers are down there may be no answer.
        let Ok(committed) = asked else { return };
        let at = crate::now();
        for (place, committed) in committed.into_iter().flatten() {
            let offset = committed.offset.to_wire() as u64;
            self.tally.committed(place.partition.index(), offset, at);
        }
    }

    /// Returns the name of the group.
    pub(crate) fn name(&self) -> &str {
        &self.task.group
    }

    /// Waits until all written records are committed.
    pub(crate) async fn until_all_is_committed(&mut self, client: &Client) {
        let places = (0..PARTITIONS as u32).map(|partition| {
            let place = milena::TopicPartition::new(self.task.topic.as_str(), partition);
            (place, OffsetSpec::Latest)
        });
        let ends = client.admin().list_offsets(places).await.all().unwrap();
        let ends = ends.into_iter().filter_map(|end| end.offset);
        let ends: u64 = ends.map(|end| end.to_wire() as u64).sum();
        let begun = Instant::now();
        while self.tally.committed_sum() < ends {
            self.expect_alive();
            self.note_commits(client).await;
            assert!(
                begun.elapsed() < PATIENCE,
                "{}: {} of {ends} committed",
                self.task.group,
                self.tally.committed_sum()
            );
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// Shuts the members down in order, and returns the findings.
    pub(crate) async fn stop(mut self, log: &Log) -> Found {
        for member in &mut self.members {
            let pid = member.id().unwrap().to_string();
            let status = Command::new("kill").args(["-TERM", &pid]).status();
            assert!(status.await.unwrap().success());
        }
        for member in &mut self.members {
            let ended = tokio::time::timeout(PATIENCE, member.wait()).await;
            let status = ended.expect("a member ends").unwrap();
            assert!(
                status.success(),
                "a member of {}: {status}",
                self.task.group
            );
        }
        self.tally
            .finish(&self.task.group, self.kills, &self.folder, log)
    }
}

/// Kills members of all groups, including Java's, and records commits until the plan's time is
/// over.
pub(crate) async fn watch(
    groups: &mut [Group],
    (java, brokers): (&mut JavaGroup, &Brokers),
    client: &Client,
    plan: &Plan,
    begun: Instant,
) {
    let mut kills = 0;
    while begun.elapsed() < plan.time {
        let due = plan.time * (kills + 1) / (plan.member_kills + 1);
        if kills < plan.member_kills && begun.elapsed() >= due {
            let which = plan.draw(5, kills, MEMBERS as u64) as usize;
            for group in &mut *groups {
                group.kill_one(which).await;
            }
            if let Some(group) = groups.first() {
                java.kill_one(which, brokers, &group.task.topic).await;
            }
            kills += 1;
        }
        for group in &mut *groups {
            group.expect_alive();
            group.note_commits(client).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) const MEMBERS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(180);
