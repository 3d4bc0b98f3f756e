//! The commands, one file for each.

pub(crate) mod broker;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod configs;
pub(crate) mod consume;
pub(crate) mod dlq;
pub(crate) mod elect;
pub(crate) mod groups;
pub(crate) mod health;
pub(crate) mod lag;
pub(crate) mod offsets;
pub(crate) mod partition;
pub(crate) mod perf;
pub(crate) mod produce;
pub(crate) mod topics;

mod cluster;
mod places;
mod time;

use crate::args::Command;
use crate::failure::Failure;
use crate::session::Session;

/// Runs a command that needs a cluster.
pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Topics(verb) => topics::run(verb, session).await,
        Command::Groups(verb) => groups::run(verb, session).await,
        Command::Offsets(verb) => offsets::run(verb, session).await,
        Command::Configs(verb) => configs::run(verb, session).await,
        Command::Cluster => cluster::run(session).await,
        Command::Elect(args) => elect::run(args, session).await,
        Command::Lag(args) => lag::run(args, session).await,
        Command::Health(_) => health::of_cluster(session).await,
        Command::Produce(args) => produce::run(args, session).await,
        Command::Consume(args) => consume::run(args, session).await,
        Command::Perf(verb) => perf::run(verb, session).await,
        Command::Partition(args) => partition::on_cluster(&args, session).await,
        Command::Dlq(verb) => dlq::run(verb, session).await,
        Command::Broker(_)
        | Command::Config(_)
        | Command::Completions(_)
        | Command::SaramaProducer
        | Command::SaramaConsumer => Ok(()),
    }
}
