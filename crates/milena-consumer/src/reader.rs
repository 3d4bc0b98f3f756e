//! What every consumer can do, with or without a group: receive, move about, pause, and tell where it stands.

/// The methods that both kinds of consumers have.
macro_rules! reading {
    ($consumer:ident) => {
        impl $consumer {
            /// The next record of any assigned partition; waits for one.
            ///
            /// Partitions take turns by batches. Any number of tasks may receive at once; each record goes to one of them.
            ///
            /// A member of a group stays one however long nobody calls this: heartbeats go on by themselves, and there is no limit
            /// such as `max.poll.interval.ms` of Kafka's clients. A program that can hang must notice that by itself; one that runs a
            /// handler is told by `max_processing_time`.
            ///
            /// # Errors
            /// Why the consumer ended; a batch that cannot be read, with topic, partition and offset: the same place is fetched
            /// again after a backoff and told again, until [`seek`](Self::seek) goes past it. See
            /// [`CorruptPolicy`](crate::CorruptPolicy).
            ///
            /// # Cancel safety
            /// Dropped before it resolves, no record is lost.
            pub fn recv(&self) -> crate::Recv<'_> {
                crate::Recv::new(&self.engine, &self.receiver)
            }

            /// The next batch of any assigned partition; waits for one. The fastest way to read.
            ///
            /// # Errors
            /// As [`recv`](Self::recv).
            ///
            /// # Cancel safety
            /// Dropped before it resolves, no record is lost.
            pub async fn recv_batch(&self) -> Result<FetchBatch> {
                self.engine.start()?;
                self.receiver.recv_batch().await
            }

            /// Up to `max` records, as many as are there once there is one; none when `wait` is over before the first.
            ///
            /// # Errors
            /// As [`recv`](Self::recv); records that come before an error are given first.
            ///
            /// # Cancel safety
            /// Dropped before it resolves, no record is lost.
            pub async fn next_batch(
                &self,
                max: usize,
                wait: std::time::Duration,
            ) -> Result<Vec<ConsumerRecord>> {
                self.engine.start()?;
                self.receiver.next_batch(max, wait).await
            }

            /// The records as a stream, by the same turns as [`recv`](Self::recv).
            pub fn stream(&self) -> crate::RecordStream<'_> {
                crate::RecordStream::new(&self.engine, &self.receiver)
            }

            /// The batches as a stream, by the same turns as [`recv_batch`](Self::recv_batch).
            pub fn batches(&self) -> crate::BatchStream<'_> {
                crate::BatchStream::new(&self.engine, &self.receiver)
            }

            /// A handle that ends the consumer in good order.
            #[must_use]
            pub fn shutdown_handle(&self) -> ShutdownHandle {
                ShutdownHandle {
                    closing: self.core().closing.clone(),
                    at_once: self.core().at_once.clone(),
                }
            }

            /// The partitions that are assigned to this consumer now.
            #[must_use]
            pub fn assignment(&self) -> Vec<TopicPartition> {
                self.core().assigned()
            }

            /// The partitions of a topic; waits while the topic is not known.
            ///
            /// # Errors
            /// As [`Cluster::topic`].
            pub async fn partitions_for(
                &self,
                topic: impl Into<TopicName>,
            ) -> Result<Vec<milena_core::Partition>> {
                let topic = self.core().cluster.topic(topic).await?;
                let partitions = topic.partitions.iter();
                Ok(partitions.map(|known| known.partition).collect())
            }

            /// The offset of the next record to be delivered; `None` while it is being looked up.
            ///
            /// # Errors
            /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned.
            pub fn position(&self, place: &TopicPartition) -> Result<Option<milena_core::Offset>> {
                Ok(self.core().partition(place)?.position())
            }

            /// Goes elsewhere in an assigned partition: to an offset, the beginning, the end, or a time.
            ///
            /// What was fetched of the partition is dropped, the next record delivered is that one, and the next commit may be
            /// lower than the last: what was delivered before no longer counts, nor do commits that are still under way.
            ///
            /// # Errors
            /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned;
            /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) for a time before 1970.
            pub fn seek(
                &self,
                place: &TopicPartition,
                to: impl Into<crate::StartAt>,
            ) -> Result<()> {
                let to = to.into();
                to.check().map_err(|error| error.at(place))?;
                let partition = self.core().partition(place)?;
                partition.go_to(to.place());
                self.core().wake();
                Ok(())
            }

            /// Pauses an assigned partition: nothing is fetched or received of it until [`resume`](Self::resume). What was
            /// fetched before is kept; lanes finish what they have.
            ///
            /// # Errors
            /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned.
            pub fn pause(&self, place: &TopicPartition) -> Result<()> {
                let partition = self.core().partition(place)?;
                let reason = milena_core::Reason::Borrowed("asked for");
                self.core()
                    .pause(&partition, &crate::pauses::USER.into(), &reason);
                self.receiver.lay_aside(place);
                Ok(())
            }

            /// Lets go of a pause by [`pause`](Self::pause); the partition goes on when nobody else, such as a breaker's gate,
            /// holds it.
            ///
            /// # Errors
            /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned.
            pub fn resume(&self, place: &TopicPartition) -> Result<()> {
                let partition = self.core().partition(place)?;
                self.core().resume(&partition, crate::pauses::USER);
                Ok(())
            }

            /// How far each assigned partition is behind, in records and in time; those of which nobody has told the end yet are left
            /// out. Asks nobody: where no fetch tells the end, as of a paused partition, it is looked up every five seconds.
            #[must_use]
            pub fn lag(&self) -> std::collections::BTreeMap<TopicPartition, crate::Lag> {
                crate::lag::read(self.core())
            }

            /// The first offset of each partition whose record is not older than its time, asked of the leaders; `None` where all
            /// records are older. The partitions need not be assigned.
            ///
            /// # Errors
            /// Why a leader did not answer, after it was asked again for the API timeout; a topic that does not exist;
            /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) for a time before 1970.
            pub async fn offsets_for_times(
                &self,
                times: impl IntoIterator<Item = (TopicPartition, milena_core::Timestamp)>,
            ) -> Result<
                std::collections::BTreeMap<TopicPartition, Option<crate::OffsetAndTimestamp>>,
            > {
                let mut questions = Vec::new();
                for (place, time) in times {
                    crate::start::check_time(time).map_err(|error| error.at(&place))?;
                    questions.push((place, time.to_millis()));
                }
                crate::query::for_times(self.core(), questions).await
            }

            /// Where the log of a partition begins and ends for this consumer, asked of its leader. It need not be assigned.
            ///
            /// # Errors
            /// As [`offsets_for_times`](Self::offsets_for_times).
            pub async fn watermarks(&self, place: &TopicPartition) -> Result<crate::Watermarks> {
                crate::query::watermarks(self.core(), place).await
            }

            /// Who holds which of its partitions paused, why, and for how long.
            #[must_use]
            pub fn pauses(&self) -> Vec<crate::pauses::Pause> {
                self.core().pauses()
            }

            /// Its figures: lag, lane depth, memory used, the oldest unsettled record, pauses.
            #[must_use]
            pub fn gauges(&self) -> Arc<dyn milena_core::Gauges> {
                gauges::gauges(&self.engine.core)
            }
        }
    };
}
pub(crate) use reading;
