//! A member of a group in a process of its own. It appends an entry for each record to a file
//! before it acknowledges the record.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use milena::consumer::GroupProtocol;
use milena::core::RebalancePhase;
use milena::{Client, ConsumerRecord, Event};

/// The parameters of a member.
#[derive(Clone)]
pub(crate) struct Task {
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) protocol: String,
    pub(crate) id: String,
    /// The folder for its files, `ID.entries` and `ID.moves`.
    pub(crate) folder: PathBuf,
}

impl Task {
    pub(crate) fn to_env(&self) -> [(&'static str, String); 6] {
        [
            ("MILENA_LEDGER_BOOTSTRAP", self.bootstrap.clone()),
            ("MILENA_LEDGER_TOPIC", self.topic.clone()),
            ("MILENA_LEDGER_GROUP", self.group.clone()),
            ("MILENA_LEDGER_PROTOCOL", self.protocol.clone()),
            ("MILENA_LEDGER_ID", self.id.clone()),
            ("MILENA_LEDGER_FOLDER", self.folder.display().to_string()),
        ]
    }

    pub(crate) fn from_env() -> Option<Self> {
        let text = |name: &str| std::env::var(format!("MILENA_LEDGER_{name}")).ok();
        Some(Self {
            bootstrap: text("BOOTSTRAP")?,
            topic: text("TOPIC")?,
            group: text("GROUP")?,
            protocol: text("PROTOCOL")?,
            id: text("ID")?,
            folder: text("FOLDER")?.into(),
        })
    }

    fn file(&self, what: &str) -> File {
        let path = self.folder.join(format!("{}.{what}", self.id));
        let mut options = OpenOptions::new();
        options.create(true).append(true).open(path).unwrap()
    }
}

/// An entry for a processed record, with its partition, its offset, and its time in milliseconds
/// since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    pub(crate) at: u64,
}

impl Entry {
    pub(crate) const BYTES: usize = 20;

    fn write(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.partition.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.offset.to_le_bytes());
        bytes[12..].copy_from_slice(&self.at.to_le_bytes());
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Self {
        Self {
            partition: u32::from_le_bytes(bytes[..4].try_into().unwrap()),
            offset: u64::from_le_bytes(bytes[4..12].try_into().unwrap()),
            at: u64::from_le_bytes(bytes[12..20].try_into().unwrap()),
        }
    }
}

/// Processes records as a member of the group until SIGTERM.
pub(crate) async fn work(task: Task) {
    let moves = Arc::new(task.file("moves"));
    let watch = move |event: &Event<'_>| {
        if let Event::Rebalance { phase, .. } = event {
            let phase = match phase {
                RebalancePhase::Assigned => "assigned",
                RebalancePhase::Revoked => "revoked",
                _ => "lost",
            };
            let line = format!("{} {phase}\n", crate::now());
            (&*moves).write_all(line.as_bytes()).unwrap();
        }
    };
    let client = Client::builder()
        .bootstrap(task.bootstrap.as_str())
        .client_id(task.id.as_str())
        .add_observer(Arc::new(watch));
    let client = client.connect().await.unwrap();
    let consumer = client.consumer(task.group.as_str());
    let consumer = consumer.topics([task.topic.as_str()]);
    let consumer = match task.protocol.as_str() {
        "consumer" => consumer.group_protocol(GroupProtocol::Consumer),
        _ => consumer
            .group_protocol(GroupProtocol::Classic)
            .session_timeout(SESSION),
    };
    let entries = Arc::new(task.file("entries"));
    let handler = move |record: ConsumerRecord| {
        let entry = Entry {
            partition: record.partition.index() as u32,
            offset: record.offset.to_wire() as u64,
            at: crate::now(),
        };
        (&*entries).write_all(&entry.write()).unwrap();
        async {}
    };
    let consumer = consumer.build().unwrap();
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    let end = async move {
        terminate.recv().await;
    };
    consumer.run_until(handler, end).await.unwrap();
    client.close().await;
}

/// The session timeout of the classic members. The same as for Java's members.
pub(crate) const SESSION: Duration = Duration::from_secs(10);
