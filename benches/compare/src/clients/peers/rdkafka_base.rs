//! `BaseProducer` of rdkafka, which is librdkafka through the wrapper's callback interface.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use crate::case::{Job, Sample};
use crate::clients::peers::librdkafka;
use crate::clients::text;
use crate::load::{Blocking, Record, Reports, Source, run_blocking};

pub(super) fn produce(job: &Job) -> Result<Sample, String> {
    let reports = Context(Arc::default());
    let mut config = ClientConfig::new();
    for (key, value) in librdkafka::settings(job) {
        config.set(key, value);
    }
    let base = Base {
        producer: config.create_with_context(reports.clone()).map_err(text)?,
        topic: job.topic.clone(),
        reports,
    };
    let sample = run_blocking(job, &base)?;
    Ok(Sample {
        set: librdkafka::told(job),
        ..sample
    })
}

#[derive(Clone)]
struct Context(Arc<Reports>);

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, stamp: usize) {
        match result {
            Ok(_) => self.0.delivered(stamp),
            Err((error, _)) => self.0.failed(error.to_string()),
        }
    }
}

struct Base {
    producer: BaseProducer<Context>,
    topic: String,
    reports: Context,
}

impl Base {
    fn send(&self, record: Record<'_>, stamp: usize) -> Result<(), String> {
        let mut message = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&self.topic, stamp)
            .payload(record.value);
        message.key = record.key;
        message.partition = record.partition;
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    self.poll(Duration::from_millis(5));
                    message = refused;
                }
                Err((error, _)) => return Err(error.to_string()),
            }
        }
    }
}

impl Blocking for Base {
    fn produce(&self, source: &Source, first: u64, count: u64, stamp: usize) -> Result<(), String> {
        (first..first + count).try_for_each(|number| self.send(source.record(number), stamp))
    }

    fn poll(&self, wait: Duration) {
        self.producer.poll(wait);
    }

    fn reports(&self) -> &Reports {
        &self.reports.0
    }

    fn flush(&self) -> Result<(), String> {
        self.producer.flush(Duration::from_secs(60)).map_err(text)
    }
}
