//! `milena elect`, which elects leaders.

use clap::Args;
use milena::admin::{Election, ElectionKind};
use serde_json::json;

use super::topics::{Scope, scope};
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::session::Session;

/// The partitions that get another leader.
#[derive(Debug, Args)]
pub(crate) struct Elect {
    /// Topics or partitions. Without any, all partitions of the cluster.
    #[arg(value_name = "TOPIC[:PARTITION]", value_parser = scope)]
    places: Vec<Scope>,
    /// Elects a replica that is behind if none in sync is left. Records may be lost.
    #[arg(long)]
    unclean: bool,
}

pub(super) async fn run(args: Elect, session: &Session) -> Result<(), Failure> {
    let kind = match args.unclean {
        true => ElectionKind::Unclean,
        false => ElectionKind::Preferred,
    };
    if args.unclean {
        confirm(&session.global, "elect leaders that may lack records")?;
    }
    let elected = match args.places.is_empty() {
        true => session.admin.elect_all_leaders(kind).await?,
        false => {
            let places = super::topics::places(session, args.places).await?;
            session.admin.elect_leaders(kind, places).await?
        }
    };
    session
        .good(elected, |elected| {
            let mut table = Table::new(&["topic", "partition", "result"]);
            for (place, election) in elected {
                table.row([
                    json!(place.topic.as_str()),
                    json!(place.partition.to_wire()),
                    json!(match election {
                        Election::Elected => "elected",
                        Election::NotNeeded => "not needed",
                    }),
                ]);
            }
            output::show(session.format(), &table)
        })
        .await
}
