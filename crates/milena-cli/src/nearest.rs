//! A hint for a topic or group that does not exist, with the most similar name.

use milena::admin::ListGroups;
use strsim::osa_distance;

use crate::failure::{Failure, Missing};
use crate::session::Session;

/// Adds the most similar existing name to the failure, if a topic or group does not exist.
pub(crate) async fn hint(session: &Session, failure: Failure) -> Failure {
    let (unknown, names) = match &failure.missing {
        Some(Missing::Topic(topic)) => match session.admin.list_topics().await {
            Ok(topics) => (
                topic,
                topics
                    .into_iter()
                    .map(|topic| topic.name.to_string())
                    .collect(),
            ),
            Err(_) => return failure,
        },
        Some(Missing::Group(group)) => (group, groups(session).await),
        None => return failure,
    };
    match nearest(unknown, names.iter().map(String::as_str)) {
        Some(name) => failure.hint(format!("did you mean '{name}'?")),
        None => failure,
    }
}

/// Returns the groups of all brokers that answer.
async fn groups(session: &Session) -> Vec<String> {
    let Ok(listed) = session.admin.list_groups(ListGroups::all()).await else {
        return Vec::new();
    };
    let groups = listed.groups.into_iter();
    groups.map(|group| group.group).collect()
}

/// Returns the name that needs the fewest changes, if those are few enough for a typing error.
fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Every short name is a few changes away from the empty name.
    if wanted.is_empty() {
        return None;
    }
    let enough = (wanted.chars().count() / 3).max(2);
    names
        .filter(|name| *name != wanted)
        .map(|name| (osa_distance(wanted, name), name))
        .filter(|(changes, _)| *changes <= enough)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        let names = ["orders", "orders.dlq", "payments"];
        let found = |wanted| nearest(wanted, names.iter().copied());
        assert_eq!(found("order"), Some("orders"));
        assert_eq!(found("oredrs"), Some("orders"));
        assert_eq!(found("paymets"), Some("payments"));
        assert_eq!(found("shipments"), None);
    }

    #[test]
    fn a_swap_is_one_change() {
        assert_eq!(osa_distance("abcd", "abdc"), 1);
        assert_eq!(osa_distance("", "abc"), 3);
        assert_eq!(osa_distance("kitten", "sitting"), 3);
    }
}
