//! The cluster itself: its brokers, its controller, and the features it has finalised.

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
    /// Its id, where brokers tell one.
    pub id: Option<String>,
    /// The controller, or in a KRaft cluster a broker that stands in for it.
    pub controller: Option<NodeId>,
    /// Its brokers, by rising number.
    pub brokers: Vec<BrokerDescription>,
    /// Its features, by name (KIP-584); empty where brokers know none.
    pub features: Vec<Feature>,
}

/// A broker of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerDescription {
    /// Its number.
    pub node: NodeId,
    /// Where clients reach it.
    pub address: Address,
    /// The rack it stands in.
    pub rack: Option<String>,
    /// Whether the controller has fenced it off (KIP-1073); `None` where brokers do not tell.
    pub fenced: Option<bool>,
}

/// A feature of the cluster, such as `metadata.version` or `group.version`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// The level in use; `None` where it is not finalised.
    pub finalized: Option<i16>,
    /// The lowest and highest level that the broker which was asked can do.
    pub supported: Option<(i16, i16)>,
}

impl Admin {
    /// Describes the cluster: brokers, controller and features.
    ///
    /// # Errors
    /// Where no broker answers in time.
    ///
    /// # References
    /// DescribeCluster, api key 60 (KIP-700), or Metadata where brokers do not serve it; ApiVersions, api key 18.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        let build = |version: i16| {
            // Clients are told of brokers that are fenced, not of controllers.
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

    /// What a broker before Kafka 2.8 tells.
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
