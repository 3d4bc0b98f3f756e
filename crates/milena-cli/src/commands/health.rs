//! `milena health`, which checks a cluster, or a program that serves its health.

use std::time::{Duration, Instant};

use clap::Args;
use hyper::StatusCode;
use milena::admin::ConfigResource;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::args::Global;
use crate::failure::Failure;
use crate::http;
use crate::output::{self, Table};
use crate::session::Session;

/// The cluster or program to check.
#[derive(Debug, Args)]
pub(crate) struct Health {
    /// Checks a program that serves its health, such as http://127.0.0.1:9404/health, instead of
    /// the cluster.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The token of the program's page.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "MILENA_HEALTH_TOKEN",
        hide_env_values = true,
        requires = "url"
    )]
    token: Option<String>,
}

/// Checks that every broker answers, and that every partition has a leader and all its replicas in
/// sync.
pub(super) async fn of_cluster(session: &Session) -> Result<(), Failure> {
    let mut table = Table::new(&["check", "state", "detail"]);
    let mut ill = 0;
    let mut row = |check: String, well: bool, detail: String| {
        ill += usize::from(!well);
        let state = if well { "ok" } else { "failing" };
        table.row([json!(check), json!(state), json!(detail)]);
    };
    let cluster = session.admin.describe_cluster().await?;
    for broker in &cluster.brokers {
        // A request for its configs must be answered by the broker itself, so it shows whether the
        // broker works.
        let asked = Instant::now();
        let resource = ConfigResource::Broker(broker.node);
        let answered = session.admin.describe_configs([resource]).await.all();
        let took = asked.elapsed().as_secs_f64() * 1000.0;
        let detail = match &answered {
            Ok(_) => format!("{} answered in {took:.1} ms", broker.address),
            Err(error) => error.to_string(),
        };
        row(format!("broker {}", broker.node), answered.is_ok(), detail);
    }
    let topics = session.admin.list_topics().await?;
    let names = topics.into_iter().map(|topic| topic.name);
    let described = session.admin.describe_topics(names).await?;
    let (mut leaderless, mut behind, mut all) = (Vec::new(), Vec::new(), 0);
    let mut untold = Vec::new();
    for (topic, described) in described.iter() {
        let partitions = match described {
            Ok(described) => &described.partitions[..],
            Err(error) => {
                untold.push(format!("{topic} ({error})"));
                continue;
            }
        };
        for partition in partitions {
            all += 1;
            let name = || format!("{topic}-{}", partition.partition);
            if partition.leader.is_none() {
                leaderless.push(name());
            } else if partition.in_sync.len() < partition.replicas.len() {
                behind.push(name());
            }
        }
    }
    let told = |bad: &[String]| match bad {
        [] => format!("all {all} partitions"),
        bad => format!(
            "failing for {} of {all} partitions: {}",
            bad.len(),
            some(bad)
        ),
    };
    let detail = match &untold[..] {
        [] => "all topics".to_owned(),
        untold => format!("{} cannot be described: {}", untold.len(), some(untold)),
    };
    row("topics".to_owned(), untold.is_empty(), detail);
    row(
        "leaders".to_owned(),
        leaderless.is_empty(),
        told(&leaderless),
    );
    row(
        "replicas in sync".to_owned(),
        behind.is_empty(),
        told(&behind),
    );
    output::show(session.format(), &table)?;
    match ill {
        0 => Ok(()),
        ill => Err(Failure::failed(format!("{ill} checks fail"))),
    }
}

/// Lists the first five names.
fn some(names: &[String]) -> String {
    let shown = names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    match names.len() {
        ..=5 => shown,
        _ => format!("{shown} ..."),
    }
}

/// Asks a program for its health, by HTTP without encryption.
pub(crate) async fn of_program(args: &Health, global: &Global) -> Result<(), Failure> {
    let url = args.url.as_deref().unwrap_or_default();
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| Failure::usage(format!("'{url}' does not begin with http://")))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, "health"));
    // A URL may leave out the port, which is 80 then.
    let has_port = host.rsplit_once(':').is_some_and(|(name, port)| {
        // A colon in brackets belongs to an IPv6 address.
        !name.is_empty() && !port.ends_with(']')
    });
    let host = &match has_port {
        true => host.to_owned(),
        false => format!("{host}:80"),
    };
    let token = args.token.as_deref();
    if token.is_some_and(|token| token.contains(char::is_control)) {
        return Err(Failure::usage("the token has control characters"));
    }
    let asked = timeout(global.timeout.min(LONGEST), http::get(host, path, token)).await;
    let (status, body) = match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(Failure::unreached(format!("{host}: {error}"))),
        Err(_) => return Err(Failure::unreached(format!("{host} did not answer in time"))),
    };
    match serde_json::from_str::<Value>(&body) {
        Ok(value) => output::show_with(output::Format::Json, &[], || value)?,
        Err(_) => output::say(body.trim_end())?,
    }
    match status {
        StatusCode::OK => Ok(()),
        other => {
            let what = format!("{host} answered with status {}", other.as_u16());
            Err(Failure::failed(what))
        }
    }
}

/// The longest time that a program may take to answer.
const LONGEST: Duration = Duration::from_secs(10);
