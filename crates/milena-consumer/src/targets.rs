//! Checks of the topics that the layers of a run write to. They must exist before the first record,
//! and the consumer must not read them by its pattern.

use std::collections::BTreeSet;
use std::time::Duration;

use milena_core::{Error, ErrorCode, ErrorKind, Result, RouteInfo, TopicName, WriteName};
use milena_pool::Cluster;
use tokio::time::Instant;

use crate::assignment::Assignment;
use crate::group::subscription::Subscription;

/// A topic that layers write to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    /// The topic.
    name: TopicName,
    /// The records that are written to it, for error texts, such as "dead letters".
    what: &'static str,
    /// True if the topic is in the cluster that the consumer reads from.
    same_cluster: bool,
}

/// Checks before the first record that the layers of a run can write to their topics.
///
/// # Errors
/// [`ErrorKind::Config`] for an invalid topic name, for a topic that does not exist, and for a
/// topic that the consumer's own pattern matches. It names the topic and says what to do.
pub(crate) async fn check(
    cluster: &Cluster,
    subscription: &Subscription,
    assignment: &Assignment,
    routes: &[RouteInfo],
) -> Result<()> {
    let mut read = subscription.topics.clone();
    let assigned = assignment.partitions();
    read.extend(
        assigned
            .iter()
            .map(|partition| partition.place().topic.clone()),
    );
    let targets = targets(routes, &read);
    for target in &targets {
        let Target { name, what, .. } = target;
        if let Some(defect) = name.defect() {
            let what = format!("the stack writes {what} to `{name}`: {defect}");
            return Err(Error::new(ErrorKind::Config, what));
        }
        let retries = routes.iter().any(|info| info.base_of(name).is_some());
        let pattern = subscription.pattern.as_ref();
        // A pattern may match retry topics, which are meant to be read. Any other target that it
        // matches would be read and written in a loop.
        if let Some(pattern) = pattern.filter(|pattern| !retries && pattern.fits(name)) {
            let what = format!(
                "the topic pattern `{}` matches `{name}`, to which the stack writes {what}: the consumer would read them again; \
                 use a pattern that does not match it, or name the topics",
                pattern.text()
            );
            return Err(Error::new(ErrorKind::Config, what).setting("topic_pattern"));
        }
        if retries && !read.contains(name) && pattern.is_none() {
            tracing::warn!(
                topic = name.as_str(),
                "the stack sends records to a retry topic that this consumer does not read; add it to its topics"
            );
        }
    }
    there(cluster, &targets, &read).await
}

/// Returns the topics that the routes write to when they read the topics `read`. Records from a
/// retry topic go where those of its own topic go.
fn targets(routes: &[RouteInfo], read: &BTreeSet<TopicName>) -> BTreeSet<Target> {
    let mut all = BTreeSet::new();
    for info in routes {
        for write in &info.writes {
            let mut add = |name: TopicName| {
                all.insert(Target {
                    name,
                    what: write.what,
                    same_cluster: write.same_cluster,
                });
            };
            match &write.to {
                WriteName::Topic(name) => add(name.clone()),
                WriteName::Suffix(_) => read
                    .iter()
                    .filter(|topic| info.takes(topic) && info.base_of(topic).is_none())
                    .for_each(|topic| add(write.for_topic(topic))),
            }
        }
    }
    all
}

/// Checks that the topics exist. Waits for up to five seconds for topics that were created just
/// now.
async fn there(
    cluster: &Cluster,
    targets: &BTreeSet<Target>,
    read: &BTreeSet<TopicName>,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut missing = Vec::new();
    for target in targets.iter().filter(|target| target.same_cluster) {
        let name = &target.name;
        let left = deadline.saturating_duration_since(Instant::now());
        match cluster.topic_within(name.clone(), left).await {
            Ok(_) => {}
            Err(error) if error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => {
                missing.push(target);
            }
            Err(error) if error.kind() == ErrorKind::Closed => return Err(error),
            // It is unknown whether the topic exists. The first write will show it.
            Err(error) => tracing::warn!(
                topic = name.as_str(), %error,
                "the stack writes {} to a topic, and whether it exists could not be checked", target.what
            ),
        }
    }
    let Some(first) = missing.first() else {
        return Ok(());
    };
    let metadata = cluster.metadata();
    let counts = read.iter().filter_map(|topic| metadata.topic(topic));
    let partitions = counts.map(|topic| topic.partitions.len()).max();
    let partitions = partitions.filter(|count| *count > 0);
    let partitions = partitions.map_or_else(|| "N".to_owned(), |count| count.to_string());
    let each = |target: &&Target| format!("`{}` for {}", target.name, target.what);
    let names: Vec<_> = missing.iter().map(each).collect();
    let create = |target: &&Target| {
        let name = &target.name;
        format!("`milena topics create {name} --partitions {partitions}`")
    };
    let commands: Vec<_> = missing.iter().map(create).collect();
    let (it, do_not) = match missing.len() {
        1 => ("it", "a topic that does not exist"),
        _ => ("them", "topics that do not exist"),
    };
    let what = format!(
        "the stack writes to {do_not}: {}; create {it}: {}, or `create_topics_for` of the client; \
         if another cluster has {it}, call `on_another_cluster` of the layer",
        names.join(", "),
        commands.join(", "),
    );
    Err(Error::new(ErrorKind::Config, what).topic(&first.name))
}

/// The time for which the broker may not know a topic that was created just now.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use milena_core::WriteTarget;

    use super::*;

    #[test]
    fn retry_topics_are_those_of_the_topics_that_the_route_takes() {
        let target = |what, to| WriteTarget {
            what,
            to,
            same_cluster: true,
        };
        let mut orders = RouteInfo::new("orders");
        orders.topics = Some(["orders", "orders.retry.5s"].map(TopicName::from).into());
        orders.writes = vec![
            target("retries", WriteName::Suffix(".retry.5s".to_owned())),
            target("dead letters", WriteName::Topic("dead".into())),
        ];
        let read = ["orders", "orders.retry.5s", "bills"].map(TopicName::from);
        let names: Vec<_> = targets(&[orders], &read.into())
            .into_iter()
            .map(|target| target.name)
            .collect();
        assert_eq!(names, ["dead", "orders.retry.5s"]);
    }
}
