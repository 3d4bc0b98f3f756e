//! Lists the groups of all brokers (ListGroups).

use futures_util::future::join_all;
use milena_core::{Error, ErrorKind, NodeId, Result};
use milena_pool::Target;
use milena_protocol::messages::{ListGroupsRequest, ListGroupsResponse};

use super::types::{GroupListing, GroupListings, GroupState, GroupType};
use crate::admin::Admin;
use crate::answers::{check, text, wire};

/// A filter for the groups to list.
///
/// ```
/// # use milena_admin::{GroupState, GroupType, ListGroups};
/// let stuck = ListGroups::all()
///     .states([GroupState::PreparingRebalance])
///     .types([GroupType::Classic]);
/// # let _ = stuck;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListGroups {
    /// The states to list. Empty lists all states.
    states: Vec<GroupState>,
    /// The types to list. Empty lists all types.
    types: Vec<GroupType>,
}

impl ListGroups {
    /// Lists all groups.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Lists only groups in one of these states (KIP-518, Kafka 2.6 and later).
    #[must_use]
    pub fn states(mut self, states: impl IntoIterator<Item = GroupState>) -> Self {
        self.states = states.into_iter().collect();
        self
    }

    /// Lists only groups of one of these types (KIP-848, Kafka 3.8 and later).
    #[must_use]
    pub fn types(mut self, types: impl IntoIterator<Item = GroupType>) -> Self {
        self.types = types.into_iter().collect();
        self
    }
}

impl Admin {
    /// Lists groups, sorted by id. Asks every broker for the groups that it coordinates.
    ///
    /// # Errors
    /// The call fails if the brokers of the cluster cannot be found. A broker that is too old for
    /// the filter is listed with [`Unsupported`](ErrorKind::Unsupported) in
    /// [`GroupListings::failures`].
    ///
    /// # References
    /// ListGroups, api key 16, versions 1 to 5.
    pub async fn list_groups(&self, which: ListGroups) -> Result<GroupListings> {
        self.cluster.refresh().await?;
        let nodes: Vec<NodeId> = self
            .cluster
            .metadata()
            .brokers()
            .map(|broker| broker.node)
            .collect();
        let which = &which;
        let asked = nodes.into_iter().map(|node| async move {
            let build = |version: i16| request(which, version);
            let answer = self
                .ask(&Target::Node(node), build)
                .await
                .and_then(|answer| {
                    check(answer.error_code, None, "ListGroups")?;
                    Ok(answer)
                })
                .map_err(|error| error.node(node));
            (node, answer)
        });
        let mut listings = GroupListings {
            groups: Vec::new(),
            failures: Vec::new(),
        };
        for (node, answer) in join_all(asked).await {
            match answer {
                Ok(answer) => listings.groups.extend(read(&answer, node)),
                Err(error) => listings.failures.push((node, error)),
            }
        }
        // While a coordinator moves, two brokers may list the same group.
        listings
            .groups
            .sort_by(|one, other| one.group.cmp(&other.group));
        listings
            .groups
            .dedup_by(|one, other| one.group == other.group);
        Ok(listings)
    }
}

fn request(which: &ListGroups, version: i16) -> Result<ListGroupsRequest> {
    let old = |what| Err(Error::new(ErrorKind::Unsupported, what).api("ListGroups"));
    let mut request = ListGroupsRequest::default();
    if !which.states.is_empty() {
        if version < 4 {
            return old("the broker is too old to list groups by state");
        }
        request.states_filter = which
            .states
            .iter()
            .map(|state| wire(state.word()))
            .collect();
    }
    if !which.types.is_empty() {
        if version < 5 {
            return old("the broker is too old to list groups by type");
        }
        request.types_filter = which.types.iter().map(|kind| wire(kind.word())).collect();
    }
    Ok(request)
}

fn read(answer: &ListGroupsResponse, node: NodeId) -> impl Iterator<Item = GroupListing> + '_ {
    answer.groups.iter().map(move |told| GroupListing {
        group: told.group_id.to_string(),
        protocol_type: told.protocol_type.to_string(),
        state: text(&told.group_state).map(|word| GroupState::from_word(&word)),
        kind: text(&told.group_type).map(|word| GroupType::from_word(&word)),
        coordinator: node,
    })
}
