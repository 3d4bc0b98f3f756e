//! The send task, which joins the parts of `send/` and waits for their events.
//!
//! One task serves all brokers, and not one task per connection. Its only work per byte is the
//! checksum (about 50 GB/s), since callers encode and connections write. So a new leader or a new
//! epoch needs no agreement between tasks.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::closed::closed;
use crate::enqueue::shared::Shared;
use crate::enqueue::topic::Topics;
use crate::network::Network;
use crate::send::batches::Batches;
use crate::send::closing::Closing;
use crate::send::command::Command;
use crate::send::dispatcher::{Dispatcher, Round};
use crate::send::wake::Wake;
use crate::send::work::{Done, Work};
use crate::settings::Settings;

/// The state of the send task. Only that task changes it, so nothing here is locked.
pub(crate) struct SendTask {
    /// The memory, bell and clock that the task shares with callers.
    shared: Arc<Shared>,
    /// The topics that callers have sent to.
    topics: Arc<Topics>,
    /// The cluster that records are sent to.
    network: Arc<dyn Network>,
    /// The batches without an outcome, by partition.
    batches: Batches,
    /// The connections to brokers, and the producer's identity.
    dispatcher: Dispatcher,
    /// The calls to brokers that the task waits for.
    work: Work,
    /// The requests of callers.
    commands: mpsc::Receiver<Command>,
    /// The end of the producer, once it was asked for.
    closing: Closing,
    /// The time at which the shared tick moves on. `None` while no caller asked for that.
    tick: Option<Instant>,
}

impl SendTask {
    pub(crate) fn new(
        shared: Arc<Shared>,
        topics: Arc<Topics>,
        settings: Arc<Settings>,
        network: Arc<dyn Network>,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let batches = Batches::new(
            shared.clone(),
            topics.clone(),
            settings.clone(),
            network.clone(),
        );
        Self {
            shared,
            topics,
            batches,
            dispatcher: Dispatcher::new(settings, network.clone()),
            network,
            work: Work::default(),
            commands,
            closing: Closing::default(),
            tick: None,
        }
    }

    /// Runs until the producer is closed, or until no caller is left and every batch has its
    /// outcome.
    pub(crate) async fn run(mut self) {
        self.watch();
        loop {
            self.batches.take_news();
            let now = Instant::now();
            let wake = self.pump(now);
            if self.is_over(now) {
                return;
            }
            let shared = self.shared.clone();
            // A caller that fills batches without awaiting looks at this. If the task waits for its
            // turn on the caller's thread, the caller moves it to another one.
            shared.bell.rests(true);
            tokio::select! {
                () = shared.bell.rung() => {}
                Some(done) = self.work.next() => self.take(done),
                Some(finished) = self.batches.sealer().next() => self.batches.sealed(finished),
                Some(command) = self.commands.recv() => self.obey(command),
                () = sleep_until(wake) => {}
            }
            shared.bell.rests(false);
            // Everything that is ready is taken before anything is sent, so that one request
            // carries it all.
            while let Some(done) = self.work.ended() {
                self.take(done);
            }
            while let Some(finished) = self.batches.sealer().ended() {
                self.batches.sealed(finished);
            }
        }
    }

    /// Sends everything that may leave now. Returns when to look again if nothing happens before.
    fn pump(&mut self, now: Instant) -> Option<Instant> {
        let mut wake = Wake::default();
        let due = [
            self.closing.next(),
            self.shared.tick.turn(&mut self.tick, now),
        ];
        due.into_iter().flatten().for_each(|time| wake.at(time));
        self.batches.look(now, &mut wake);
        self.dispatcher.send_all(Round {
            batches: &mut self.batches,
            work: &self.work,
            wake: &mut wake,
            now,
        });
        self.batches.write_notices(now, &mut wake);
        wake.time()
    }

    /// Asks to hear of the next change of the metadata.
    fn watch(&self) {
        let changed = self.network.changed();
        self.work.push(async move {
            changed.await;
            Done::Changed
        });
    }

    /// Handles the end of something that the task waited for.
    fn take(&mut self, done: Done) {
        let (now, batches) = (Instant::now(), &mut self.batches);
        match done {
            Done::Answer(answer) => self.dispatcher.answered(answer, batches, now),
            Done::Dialed(_, Err(_)) | Done::Identity(Err(_)) | Done::Changed
                if self.network.is_closed() =>
            {
                batches.end_with_cluster();
            }
            Done::Dialed(on, result) => self.dispatcher.dialed(on, result, batches, now),
            Done::Identity(result) => self.dispatcher.identified(result, batches, now),
            Done::Changed => {
                self.watch();
                self.topics.refresh(&*self.network);
                self.batches.outlets_mut().reroute();
            }
        }
    }

    /// Carries out a request of a caller.
    fn obey(&mut self, command: Command) {
        self.batches.take_news();
        self.batches.take_all_open();
        match command {
            // The caller may have dropped its future.
            Command::Flush(reply) => drop(reply.send(self.batches.unsettled())),
            Command::Close { deadline, reply } => self.closing.ask(deadline, reply),
        }
    }

    /// Returns true if the task ends here. Gives up the rest if the close is late.
    fn is_over(&mut self, now: Instant) -> bool {
        if !self.closing.is_asked() && self.shared.bell.is_abandoned() {
            self.batches.take_news();
            self.batches.take_all_open();
            self.closing.abandon();
        }
        if !self.closing.is_due(now, || self.batches.is_idle()) {
            return false;
        }
        let error = closed("the producer was closed before the record was delivered");
        self.closing.finish(self.batches.end(&error));
        true
    }
}

impl Drop for SendTask {
    /// Fails the remaining records. The runtime may end before the producer does, and their
    /// deliveries would wait for ever.
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                "the producer's task panicked, so the producer accepts no more records"
            );
        }
        let what = "the producer's task ended before the record was delivered";
        self.batches.end(&closed(what));
    }
}

/// Waits until `time`, or for ever if there is none.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
