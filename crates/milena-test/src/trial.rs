//! Tests a handler, a stack or a router without a broker.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use milena_client::core::{
    BatchParty, BatchSeat, BoxError, ConsumerRecord, Incoming, Offset, Order, Outcome, Partition,
    ProcessError, ProducerRecord, Result, Routes, Timestamp, TopicName, TopicPartition, WallClock,
};
use milena_lanes::{Driven, InMemory, IntoRoutes, OffsetTracker, Rules, Ticket, drive};
use tokio::time::Instant;
use tower_service::Service;

use crate::kit::BEGINNING;
use crate::processed::{Failed, Journal, Processed};
use crate::watched::Watched;

/// A handler with its layers, which the test feeds instead of a consumer.
///
/// Records get offsets like in a log, separate for each partition. The trial returns the results of
/// the layers unchanged. It retries nothing, so only a layer can retry a record. It does not wait
/// for a record that is [held](Outcome::Hold). Dead letters and emitted records go to a
/// [`Sink`](crate::Sink). In tokio's paused clock, waits take no time, and [`Processed::took`] is
/// exact.
///
/// ```
/// use std::time::Duration;
///
/// use milena_client::core::{Backoff, Emitter, Outcome, ProcessError, ProducerRecord, Text};
/// use milena_client::middleware::{DeadLetterLayer, EmitLayer, RetryLayer, Stack};
/// use milena_test::{Sink, Trial};
///
/// async fn bill(Text(order): Text, bills: Emitter) -> Result<(), ProcessError> {
///     if order == "nothing" {
///         return Err(ProcessError::business("there is nothing to bill"));
///     }
///     bills.emit(ProducerRecord::new("bills").value(format!("for {order}")));
///     Ok(())
/// }
///
/// # let mut builder = tokio::runtime::Builder::new_current_thread();
/// # let runtime = builder.enable_time().start_paused(true).build()?;
/// # runtime.block_on(async {
/// let sink = Sink::new();
/// let second = Duration::from_secs(1);
/// let trial = Trial::new(
///     Stack::new()
///         .layer(DeadLetterLayer::new("orders.dead", sink.clone()))
///         .layer(RetryLayer::new(Backoff::new(second, second).jitter(0.0)))
///         .layer(EmitLayer::new(sink.clone()))
///         .handler(bill),
/// )?;
/// sink.fail(1); // the first bill cannot be written, so the handler runs again
/// let billed = trial.feed(ProducerRecord::new("orders").value("two stamps")).await;
/// assert_eq!((billed.outcome(), billed.took), (&Outcome::Ack, second));
/// trial.feed(ProducerRecord::new("orders").value("nothing")).await;
///
/// assert_eq!(sink.values("bills"), ["for two stamps"]);
/// assert_eq!(sink.values("orders.dead"), ["nothing"]);
/// assert_eq!(trial.committable("orders", 0), Some(2.into()));
/// # Ok::<_, milena_client::core::BoxError>(())
/// # })?;
/// # Ok::<_, milena_client::core::BoxError>(())
/// ```
pub struct Trial<R> {
    /// The routes of the handler.
    routes: Arc<R>,
    /// The start of the trial, for its clock.
    began: Instant,
    /// The records fed so far and those of them that are settled, by partition.
    logs: Mutex<BTreeMap<TopicPartition, OffsetTracker>>,
}

impl<R> Trial<R>
where
    R: Routes,
    R::Service: Service<Incoming, Response = Outcome>,
    <R::Service as Service<Incoming>>::Error: Into<BoxError>,
{
    /// Creates a trial of a handler, a stack, a router, or a tower service.
    ///
    /// # Errors
    /// An error with reason and remedy for a wrong order of layers.
    pub fn new<M, X: IntoRoutes<M, Routes = R>>(handler: X) -> Result<Self> {
        let routes = handler.into_routes();
        routes.check()?;
        Ok(Self {
            routes: Arc::new(routes),
            began: Instant::now(),
            logs: Mutex::default(),
        })
    }

    /// Takes a record through its route like a lane of a consumer. Selects the route, waits until
    /// it is ready, and calls it once. A record without a partition goes to partition 0.
    ///
    /// If a handler takes the records that different lanes have ready, feed several records at
    /// once, for example with `tokio::join!`. For the records of one lane, see
    /// [`feed_batch`](Self::feed_batch).
    pub async fn feed(&self, record: impl Into<ProducerRecord>) -> Processed {
        let (record, ticket) = self.append(record.into());
        self.process(record, ticket, None).await
    }

    /// Takes records through their routes together, like a lane of a consumer whose handler takes
    /// several records.
    ///
    /// Each record goes through its layers alone. A record that is left for later comes again after
    /// those before it. Returns the results by partition and offset.
    pub async fn feed_batch<I>(&self, records: I) -> Vec<Processed>
    where
        I: IntoIterator,
        I::Item: Into<ProducerRecord>,
    {
        let records = records.into_iter();
        let mut left: Vec<_> = records.map(|record| self.append(record.into())).collect();
        let mut done = Vec::with_capacity(left.len());
        // If a batch fails as a whole, the first record is fed alone. The number of records doubles
        // with each success.
        let mut few = left.len();
        while !left.is_empty() {
            let party = BatchParty::new();
            let behind = left.split_off(few.min(left.len()));
            let together = std::mem::take(&mut left).into_iter();
            let together: Vec<_> = together
                .map(|(record, ticket)| {
                    let seat = party.seat();
                    async move { (self.process(record, ticket, Some(seat)).await, ticket) }
                })
                .collect();
            party.close();
            let all = together.len();
            let answered = join_all(together).await;
            let later = |fed: &Processed| matches!(fed.result, Ok(Outcome::Hold(_)));
            let none = answered.iter().filter(|(fed, _)| later(fed)).count() == all;
            // Alone, no batch can be the reason. The handler holds this record itself.
            let stuck = none && all == 1;
            few = if none { 1 } else { few.saturating_mul(2) };
            for (fed, ticket) in answered {
                if later(&fed) && !stuck {
                    left.push((fed.record, ticket));
                } else {
                    done.push(fed);
                }
            }
            left.extend(behind);
        }
        done.sort_by_key(|fed| (fed.record.topic_partition(), fed.record.offset));
        done
    }

    async fn process(
        &self,
        record: ConsumerRecord,
        ticket: Ticket,
        seat: Option<BatchSeat>,
    ) -> Processed {
        let route = self.routes.select(&record);
        let routes = self.routes.routes();
        let info = routes.get(route).or_else(|| routes.last());
        let name = info.map_or_else(|| "".into(), |info| info.name.clone());
        let mut began = Instant::now();
        let mut incoming = Incoming::new(record.clone());
        if let Some(seat) = &seat {
            incoming.extensions.insert(seat.clone());
        }
        if info.is_some_and(|info| info.asks_for_clock) {
            let began = self.began;
            incoming
                .extensions
                .insert(WallClock::new(move || time_after(began)));
        }
        let calling = async {
            let mut service = self.routes.service(route);
            let ready = poll_fn(|cx| service.poll_ready(cx)).await;
            began = Instant::now();
            match ready {
                Ok(()) => service.call(incoming).await,
                Err(error) => Err(error),
            }
        };
        let answer = calling.await.map_err(|error| {
            let boxed: BoxError = error.into();
            Failed::from(&ProcessError::from_boxed(boxed))
        });
        if let Some(seat) = seat {
            match &answer {
                Ok(Outcome::Hold(_)) => seat.postpone(),
                Ok(_) | Err(_) => seat.leave(),
            }
        }
        let processed = Processed {
            record,
            route: name,
            result: answer,
            took: began.elapsed(),
        };
        if processed.settles() {
            self.settle(&processed.record, ticket);
        }
        processed
    }

    /// Feeds records one after the other.
    pub async fn feed_all<I>(&self, records: I) -> Vec<Processed>
    where
        I: IntoIterator,
        I::Item: Into<ProducerRecord>,
    {
        let mut all = Vec::new();
        for record in records {
            all.push(self.feed(record).await);
        }
        all
    }

    /// Returns the routes, to look at their gates and to explain them.
    #[must_use]
    pub fn routes(&self) -> &R {
        &self.routes
    }

    /// Returns the offset that a consumer would commit, which is the lowest one that is not
    /// settled. `None` if nothing was fed.
    #[must_use]
    pub fn committable(
        &self,
        topic: impl Into<TopicName>,
        partition: impl Into<Partition>,
    ) -> Option<Offset> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let log = logs.get(&TopicPartition {
            topic: topic.into(),
            partition: partition.into(),
        })?;
        Some(log.committable())
    }

    /// Returns the time since the start of the trial.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns the present time, which is also the timestamp of records without one. The trial
    /// begins at 2020-01-01.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        time_after(self.began)
    }

    /// Processes records in lanes, as a consumer does, and returns the results of the layers in the
    /// order in which they came.
    ///
    /// The lanes keep `order`. They retry in place if no layer retries, with the defaults of a
    /// consumer, and each retry has a result of its own. They wait until a held record is due. The
    /// records get offsets in a log of this run alone.
    ///
    /// # Errors
    /// The error with which a consumer would end, such as for a record that no attempt could
    /// process.
    pub async fn run<I>(&self, order: Order, records: I) -> Result<Vec<Processed>>
    where
        R: Driven,
        I: IntoIterator,
        I::Item: Into<ProducerRecord>,
    {
        let began = self.began;
        let mut rules = Rules::default();
        rules.order = order;
        rules.clock = Arc::new(move || time_after(began));
        let journal = Journal::new();
        let routes = Watched::new(Arc::clone(&self.routes), journal.clone());
        drive(&InMemory::new(rules).with(records), routes).await?;
        Ok(journal.all())
    }

    /// Appends a record to the log of its partition. It counts as delivered.
    fn append(&self, record: ProducerRecord) -> (ConsumerRecord, Ticket) {
        let partition = record.partition.unwrap_or_else(|| 0.into());
        let mut read = ConsumerRecord::new(record.topic, partition, 0);
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let log = logs.entry(read.topic_partition());
        let log = log.or_insert_with(|| OffsetTracker::new(Offset::ZERO));
        let ticket = log.deliver(log.position());
        read.offset = ticket.offset;
        read.timestamp = record.record.timestamp.or_else(|| Some(self.now()));
        read.key = record.record.key;
        read.value = record.record.value;
        read.headers = record.record.headers;
        (read, ticket)
    }

    fn settle(&self, record: &ConsumerRecord, ticket: Ticket) {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = logs.get_mut(&record.topic_partition()) {
            log.settle(ticket);
        }
    }
}

/// Returns the time of a trial that began at `began`.
fn time_after(began: Instant) -> Timestamp {
    Timestamp::from_millis(BEGINNING).plus(began.elapsed())
}

impl<R> fmt::Debug for Trial<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial").finish_non_exhaustive()
    }
}
