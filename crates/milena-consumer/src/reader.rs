//! Methods of both kinds of consumers. They receive records, move positions, pause, and report
//! state.

/// Implements the methods that both kinds of consumers have.
macro_rules! reading {
    ($consumer:ident) => {
        impl $consumer {
            /// Returns the next record of any assigned partition, and waits for one.
            ///
            /// Partitions take turns, one batch each. Several tasks may receive at once. Each
            /// record goes to one of them.
            ///
            /// A group member keeps its membership however long this is not called. Heartbeats are
            /// sent by a task of their own, and there is no limit like `max.poll.interval.ms` of
            /// Kafka's clients. If records wait for longer than `max_processing_time`, that is
            /// reported.
            ///
            /// # Errors
            /// The error that ended the consumer. For a batch that cannot be read, an error with
            /// topic, partition and offset. The same offset is then fetched again after a backoff,
            /// and the error is returned again until [`seek`](Self::seek) moves past it. See
            /// [`CorruptPolicy`](crate::CorruptPolicy).
            ///
            /// # Cancel safety
            /// If the future is dropped before it resolves, no record is lost.
            pub fn recv(&self) -> crate::Recv<'_> {
                crate::Recv::new(&self.engine, &self.receiver)
            }

            /// Returns the next batch of any assigned partition, and waits for one. The fastest way
            /// to read.
            ///
            /// # Errors
            /// As for [`recv`](Self::recv).
            ///
            /// # Cancel safety
            /// If the future is dropped before it resolves, no record is lost.
            pub async fn recv_batch(&self) -> Result<FetchBatch> {
                self.engine.start()?;
                self.receiver.recv_batch().await
            }

            /// Waits for a record, and returns it with those that are ready, up to `max`. Returns
            /// none if `wait` is over before the first record.
            ///
            /// # Errors
            /// As for [`recv`](Self::recv). Records before the error are returned first, and the
            /// next call returns the error.
            ///
            /// # Cancel safety
            /// If the future is dropped before it resolves, no record is lost.
            pub async fn next_batch(
                &self,
                max: usize,
                wait: std::time::Duration,
            ) -> Result<Vec<ConsumerRecord>> {
                self.engine.start()?;
                self.receiver.next_batch(max, wait).await
            }

            /// Returns the records as a stream. Partitions take turns as with [`recv`](Self::recv).
            pub fn stream(&self) -> crate::RecordStream<'_> {
                crate::RecordStream::new(&self.engine, &self.receiver)
            }

            /// Returns the batches as a stream. Partitions take turns as with
            /// [`recv_batch`](Self::recv_batch).
            pub fn batches(&self) -> crate::BatchStream<'_> {
                crate::BatchStream::new(&self.engine, &self.receiver)
            }

            /// Returns a handle that shuts the consumer down gracefully.
            #[must_use]
            pub fn shutdown_handle(&self) -> ShutdownHandle {
                let lifecycle = &self.core().lifecycle;
                ShutdownHandle::of(lifecycle.closing().clone(), lifecycle.at_once().clone())
            }

            /// Returns the partitions that are assigned to this consumer now.
            #[must_use]
            pub fn assignment(&self) -> Vec<TopicPartition> {
                self.core().assignment.assigned()
            }

            /// Returns the partitions of a topic. Waits while the topic is not known.
            ///
            /// # Errors
            /// As for [`Cluster::topic`].
            pub async fn partitions_for(
                &self,
                topic: impl Into<TopicName>,
            ) -> Result<Vec<milena_core::Partition>> {
                let topic = self.core().cluster.topic(topic).await?;
                let partitions = topic.partitions.iter();
                Ok(partitions.map(|known| known.partition).collect())
            }

            /// Returns the offset of the next record to be delivered. `None` while it is looked up.
            ///
            /// # Errors
            /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not
            /// assigned.
            pub fn position(&self, place: &TopicPartition) -> Result<Option<milena_core::Offset>> {
                Ok(self.core().assignment.partition(place)?.position())
            }

            /// Moves the position of an assigned partition to an offset, the start, the end, or a
            /// time.
            ///
            /// Records of the partition that were fetched but not delivered are dropped, and the
            /// next record comes from the new position. Records delivered before no longer count,
            /// and neither do commits still in flight. The next commit may be lower than the last
            /// one.
            ///
            /// # Errors
            /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not
            /// assigned. [`ErrorKind::Config`](milena_core::ErrorKind::Config) for a time before
            /// 1970.
            pub fn seek(
                &self,
                place: &TopicPartition,
                to: impl Into<crate::StartAt>,
            ) -> Result<()> {
                let to = to.into();
                to.check().map_err(|error| error.at(place))?;
                let partition = self.core().assignment.partition(place)?;
                partition.go_to(to.place());
                self.core().wakes.wake();
                Ok(())
            }

            /// Pauses an assigned partition. Nothing of it is fetched or received until
            /// [`resume`](Self::resume). Records that were fetched before are kept, and lanes
            /// finish the records that they have.
            ///
            /// # Errors
            /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not
            /// assigned.
            pub fn pause(&self, place: &TopicPartition) -> Result<()> {
                let partition = self.core().assignment.partition(place)?;
                let reason = milena_core::Reason::Borrowed("asked for");
                self.core()
                    .pausing
                    .hold(&partition, &milena_lanes::PauseHolder::User, &reason);
                self.receiver.lay_aside(place);
                Ok(())
            }

            /// Ends a pause by [`pause`](Self::pause). The partition resumes if no other holder,
            /// such as the gate of a breaker, keeps it paused.
            ///
            /// # Errors
            /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not
            /// assigned.
            pub fn resume(&self, place: &TopicPartition) -> Result<()> {
                let partition = self.core().assignment.partition(place)?;
                self.core()
                    .pausing
                    .let_go(&partition, &milena_lanes::PauseHolder::User);
                Ok(())
            }

            /// Returns the lag of each assigned partition, in records and in time. Partitions whose
            /// log end is not known yet are left out. Sends no request. The end of a log that no
            /// fetch reports, for example of a paused partition, is looked up every five seconds in
            /// the background.
            #[must_use]
            pub fn lag(&self) -> std::collections::BTreeMap<TopicPartition, crate::Lag> {
                crate::lag::read(&self.core().assignment, self.core().settings.now())
            }

            /// Asks the leaders for the first offset of each partition whose record is not older
            /// than the given time. Returns `None` for a partition where all records are older. The
            /// partitions need not be assigned.
            ///
            /// # Errors
            /// The last failure once retries have used up the API timeout. An error for a topic
            /// that does not exist. [`ErrorKind::Config`](milena_core::ErrorKind::Config) for a
            /// time before 1970.
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
                self.core().logs.for_times(questions).await
            }

            /// Asks the leader for the start and the end of a partition's log, as this consumer may
            /// read it. The partition need not be assigned.
            ///
            /// # Errors
            /// As for [`offsets_for_times`](Self::offsets_for_times).
            pub async fn watermarks(&self, place: &TopicPartition) -> Result<crate::Watermarks> {
                self.core().logs.watermarks(place).await
            }

            /// Returns the pauses of all assigned partitions, with holder, reason and age.
            #[must_use]
            pub fn pauses(&self) -> Vec<milena_lanes::Pause> {
                self.core().assignment.pauses()
            }

            /// Returns the gauges of this consumer, such as lag, lane depth, memory used, the
            /// oldest unsettled record, and pauses.
            #[must_use]
            pub fn gauges(&self) -> Arc<dyn milena_core::Gauges> {
                gauges::of(Arc::downgrade(&self.engine.core))
            }
        }
    };
}
pub(crate) use reading;
