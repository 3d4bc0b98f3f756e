//! `FutureProducer` of rdkafka, which is librdkafka with a future per record.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::case::{Job, Sample};
use crate::clients::peers::librdkafka;
use crate::clients::text;
use crate::load::{self, Record, Sender};

pub(super) async fn produce(job: &Job) -> Result<Sample, String> {
    let mut config = ClientConfig::new();
    for (key, value) in librdkafka::settings(job) {
        config.set(key, value);
    }
    let future = Future {
        producer: config.create().map_err(text)?,
        topic: job.topic.clone(),
    };
    let sample = load::run(job, future).await?;
    Ok(Sample {
        set: librdkafka::told(job),
        ..sample
    })
}

struct Future {
    producer: FutureProducer,
    topic: String,
}

impl Sender for Future {
    type Delivery = DeliveryFuture;

    async fn enqueue(&self, record: Record<'_>) -> Result<DeliveryFuture, String> {
        let mut message = FutureRecord::<[u8], [u8]>::to(&self.topic).payload(record.value);
        message.key = record.key;
        message.partition = record.partition;
        loop {
            match self.producer.send_result(message) {
                Ok(delivery) => return Ok(delivery),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    message = refused;
                }
                Err((error, _)) => return Err(error.to_string()),
            }
        }
    }

    async fn settle(delivery: DeliveryFuture) -> Result<(), String> {
        match delivery.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err((error, _))) => Err(error.to_string()),
            Err(error) => Err(text(error)),
        }
    }
}
