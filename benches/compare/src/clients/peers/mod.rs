//! The other clients, with their defaults and with the best settings that we found.

mod confluent_kafka;
pub(crate) mod handle;
mod krafka;
mod librdkafka;
mod librdkafka_c;
mod rdkafka_base;
mod rdkafka_future;
mod rskafka;

use crate::case::{Client, Job, Sample};
use crate::clients::block_on;

pub(super) fn produce(job: &Job) -> Result<Sample, String> {
    match job.client {
        Client::LibrdkafkaC => librdkafka_c::produce(job),
        Client::RdkafkaBase => rdkafka_base::produce(job),
        Client::RdkafkaFuture => block_on(job, rdkafka_future::produce(job)),
        Client::ConfluentKafka => block_on(job, confluent_kafka::produce(job)),
        Client::Krafka => block_on(job, krafka::produce(job)),
        Client::Rskafka => block_on(job, rskafka::produce(job)),
        Client::RdkafkaStream => Err("this interface of the client only consumes".to_owned()),
        Client::Milena | Client::MilenaBatch | Client::MilenaThread => {
            Err("this is not one of the other clients".to_owned())
        }
    }
}
