//! `milena cluster`, which shows brokers, the controller and features.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{self, Table};
use crate::session::Session;

pub(super) async fn run(session: &Session) -> Result<(), Failure> {
    let cluster = session.admin.describe_cluster().await?;
    let mut brokers = Table::new(&["broker", "address", "rack", "controller", "fenced"]);
    for broker in &cluster.brokers {
        brokers.row([
            json!(broker.node.to_wire()),
            json!(broker.address.to_string()),
            json!(broker.rack),
            json!(cluster.controller == Some(broker.node)),
            json!(broker.fenced),
        ]);
    }
    let mut features = Table::new(&["feature", "finalized", "supported_min", "supported_max"]);
    for feature in &cluster.features {
        features.row([
            json!(feature.name),
            json!(feature.finalized),
            json!(feature.supported.map(|(min, _)| min)),
            json!(feature.supported.map(|(_, max)| max)),
        ]);
    }
    let value = || {
        json!({
            "id": cluster.id,
            "controller": cluster.controller.map(milena::NodeId::to_wire),
            "brokers": brokers.to_value(),
            "features": features.to_value(),
        })
    };
    let mut about = Table::new(&["cluster"]);
    about.row([cluster.id.as_deref().map_or(Value::Null, |id| json!(id))]);
    let value = value();
    let mut tables = vec![about, brokers];
    if !cluster.features.is_empty() {
        tables.push(features);
    }
    output::show_with(session.format(), &tables, || value)
}
