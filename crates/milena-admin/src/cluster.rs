//! The cluster itself: its brokers, its controller and its features.

use std::collections::BTreeMap;

use milena_core::{Address, ErrorKind, NodeId, Result};
use milena_pool::Target;
use milena_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DescribeClusterRequest, DescribeClusterResponse,
};

use crate::admin::Admin;
use crate::answers::{check, wire};

/// A cluster at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterDescription {
    /// The cluster's id. `None` if the brokers have none.
    pub id: Option<String>,
    /// The controller. In a KRaft cluster it is a broker that stands in for the controller.
    pub controller: Option<NodeId>,
    /// The brokers, in ascending order.
    pub brokers: Vec<BrokerDescription>,
    /// The features, by name (KIP-584). Empty if the brokers have none.
    pub features: Vec<Feature>,
}

/// A broker of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerDescription {
    /// The broker's number.
    pub node: NodeId,
    /// The address that the broker advertises to clients.
    pub address: Address,
    /// The broker's rack. `None` if it has none.
    pub rack: Option<String>,
    /// True if the controller has fenced the broker (KIP-1073). `None` if the brokers do not say.
    pub fenced: Option<bool>,
}

/// A feature of the cluster, such as `metadata.version` or `group.version`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Feature {
    /// The feature's name.
    pub name: String,
    /// The level in use. `None` if the feature is not finalized.
    pub finalized: Option<i16>,
    /// The lowest and the highest level that the broker supports that was asked. `None` if it
    /// supports none.
    pub supported: Option<(i16, i16)>,
}

impl Admin {
    /// Describes the cluster with its brokers, controller and features.
    ///
    /// # Errors
    /// The call fails if no broker answers in time.
    ///
    /// # References
    /// DescribeCluster, api key 60 (KIP-700), or Metadata if the broker does not support it.
    /// ApiVersions, api key 18.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        let build = |version: i16| {
            // Endpoint type 1 asks for brokers. Only controllers can be asked for controllers.
            let request = DescribeClusterRequest::default().with_endpoint_type(1);
            Ok(request.with_include_fenced_brokers(version >= 2))
        };
        let sent = self.ask(&Target::Any, build).await;
        let mut described = match sent {
            Ok(answer) => {
                check(
                    answer.error_code,
                    answer.error_message.as_ref(),
                    "DescribeCluster",
                )?;
                read(&answer)
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => self.told_by_metadata().await?,
            Err(error) => return Err(error),
        };
        described.brokers.sort_by_key(|broker| broker.node);
        described.features = self.features().await?;
        Ok(described)
    }

    /// Describes the cluster by Metadata, for brokers before Kafka 2.8.
    async fn told_by_metadata(&self) -> Result<ClusterDescription> {
        let answer = self.metadata(Some(&[])).await?;
        let brokers = answer.brokers.iter().filter_map(|broker| {
            Some(BrokerDescription {
                node: NodeId::from_wire(broker.node_id.0)?,
                address: address(&broker.host, broker.port)?,
                rack: broker.rack.as_ref().map(ToString::to_string),
                fenced: None,
            })
        });
        Ok(ClusterDescription {
            id: answer.cluster_id.as_ref().map(ToString::to_string),
            controller: NodeId::from_wire(answer.controller_id.0),
            brokers: brokers.collect(),
            features: Vec::new(),
        })
    }

    /// Asks any broker for the features of the cluster.
    async fn features(&self) -> Result<Vec<Feature>> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(wire("milena"))
            .with_client_software_version(wire(env!("CARGO_PKG_VERSION")));
        let answer: ApiVersionsResponse = self.ask(&Target::Any, |_| Ok(request.clone())).await?;
        check(answer.error_code, None, "ApiVersions")?;
        let mut features: BTreeMap<String, Feature> = BTreeMap::new();
        let named = |name: &str| Feature {
            name: name.to_owned(),
            finalized: None,
            supported: None,
        };
        for told in &answer.supported_features {
            let feature = features
                .entry(told.name.to_string())
                .or_insert_with(|| named(&told.name));
            feature.supported = Some((told.min_version, told.max_version));
        }
        for told in &answer.finalized_features {
            let feature = features
                .entry(told.name.to_string())
                .or_insert_with(|| named(&told.name));
            feature.finalized = Some(told.max_version_level);
        }
        Ok(features.into_values().collect())
    }
}

fn read(answer: &DescribeClusterResponse) -> ClusterDescription {
    let brokers = answer.brokers.iter().filter_map(|broker| {
        Some(BrokerDescription {
            node: NodeId::from_wire(broker.broker_id.0)?,
            address: address(&broker.host, broker.port)?,
            rack: broker.rack.as_ref().map(ToString::to_string),
            fenced: Some(broker.is_fenced),
        })
    });
    ClusterDescription {
        id: Some(answer.cluster_id.to_string()).filter(|id| !id.is_empty()),
        controller: NodeId::from_wire(answer.controller_id.0),
        brokers: brokers.collect(),
        features: Vec::new(),
    }
}

fn address(host: &str, port: i32) -> Option<Address> {
    let port = u16::try_from(port).ok()?;
    Some(Address::new(host, port))
}
