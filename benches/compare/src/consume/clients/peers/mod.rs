//! The consumers of the other clients.

mod confluent_kafka;
mod krafka;
mod librdkafka;
mod librdkafka_c;
mod rdkafka;
mod rskafka;

use std::sync::Arc;

use crate::case::{Client, ConsumeJob};
use crate::consume::board::Board;
use crate::consume::clients::block_on;

pub(super) fn run(job: &ConsumeJob, board: &Arc<Board>) -> Result<(), String> {
    match job.client {
        Client::LibrdkafkaC => librdkafka_c::consume(job, board),
        Client::RdkafkaBase => rdkafka::poll(job, board),
        Client::RdkafkaStream => block_on(job, rdkafka::stream(job, board)),
        Client::ConfluentKafka => block_on(job, confluent_kafka::consume(job, board)),
        Client::Krafka => block_on(job, krafka::consume(job, board)),
        Client::Rskafka => block_on(job, rskafka::consume(job, board)),
        Client::Milena | Client::MilenaBatch | Client::MilenaThread | Client::RdkafkaFuture => {
            Err("this interface of the client does not consume".to_owned())
        }
    }
}
