//! The shapes of messages about topics, partitions and configs.

use crate::guard::field::Kind::{Fixed, FixedList, List, Maybe, Text, Texts};
use crate::guard::field::{Shape, all, since, tagged, until};

pub(super) const CREATE_TOPICS_REQUEST: Shape = &[all(List(&[all(Text), all(Fixed(6)),
    all(List(&[all(Fixed(4)), all(FixedList(4))])), all(List(&[all(Text), all(Text)]))])), all(Fixed(5))];
pub(super) const CREATE_TOPICS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Text), since(7, Fixed(16)),
    all(Fixed(2)), all(Text), since(5, Fixed(6)), since(5, List(&[all(Text), all(Text), all(Fixed(3))])),
    tagged(0, 5, Fixed(2))]))];
pub(super) const DELETE_TOPICS_REQUEST: Shape = &[since(6, List(&[all(Text), all(Fixed(16))])), until(5,
    Texts), all(Fixed(4))];
pub(super) const DELETE_TOPICS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Text), since(6, Fixed(16)),
    all(Fixed(2)), since(5, Text)]))];
pub(super) const DELETE_RECORDS_REQUEST: Shape = &[all(List(&[all(Text), all(List(&[all(Fixed(12))]))])),
    all(Fixed(4))];
pub(super) const DELETE_RECORDS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Text),
    all(List(&[all(Fixed(14))]))]))];
pub(super) const DESCRIBE_CONFIGS_REQUEST: Shape = &[all(List(&[all(Fixed(1)), all(Text), all(Texts)])),
    all(Fixed(1)), since(3, Fixed(1))];
pub(super) const DESCRIBE_CONFIGS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Fixed(2)), all(Text),
    all(Fixed(1)), all(Text), all(List(&[all(Text), all(Text), all(Fixed(3)), all(List(&[all(Text),
    all(Text), all(Fixed(1))])), since(3, Fixed(1)), since(3, Text)]))]))];
pub(super) const ALTER_CONFIGS_REQUEST: Shape = &[all(List(&[all(Fixed(1)), all(Text), all(List(&[all(Text),
    all(Text)]))])), all(Fixed(1))];
pub(super) const ALTER_CONFIGS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Fixed(2)), all(Text),
    all(Fixed(1)), all(Text)]))];
pub(super) const ALTER_REPLICA_LOG_DIRS_REQUEST: Shape = &[all(List(&[all(Text), all(List(&[all(Text),
    all(FixedList(4))]))]))];
pub(super) const ALTER_REPLICA_LOG_DIRS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Text),
    all(List(&[all(Fixed(6))]))]))];
pub(super) const DESCRIBE_LOG_DIRS_REQUEST: Shape = &[all(List(&[all(Text), all(FixedList(4))]))];
pub(super) const DESCRIBE_LOG_DIRS_RESPONSE: Shape = &[all(Fixed(4)), since(3, Fixed(2)),
    all(List(&[all(Fixed(2)), all(Text), all(List(&[all(Text), all(List(&[all(Fixed(21))]))])), since(4,
    Fixed(16))]))];
pub(super) const CREATE_PARTITIONS_REQUEST: Shape = &[all(List(&[all(Text), all(Fixed(4)),
    all(List(&[all(FixedList(4))]))])), all(Fixed(5))];
pub(super) const CREATE_PARTITIONS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Text), all(Fixed(2)),
    all(Text)]))];
pub(super) const ELECT_LEADERS_REQUEST: Shape = &[since(1, Fixed(1)), all(List(&[all(Text),
    all(FixedList(4))])), all(Fixed(4))];
pub(super) const ELECT_LEADERS_RESPONSE: Shape = &[all(Fixed(4)), since(1, Fixed(2)), all(List(&[all(Text),
    all(List(&[all(Fixed(6)), all(Text)]))]))];
pub(super) const INCREMENTAL_ALTER_CONFIGS_REQUEST: Shape = &[all(List(&[all(Fixed(1)), all(Text),
    all(List(&[all(Text), all(Fixed(1)), all(Text)]))])), all(Fixed(1))];
pub(super) const INCREMENTAL_ALTER_CONFIGS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Fixed(2)),
    all(Text), all(Fixed(1)), all(Text)]))];
pub(super) const ALTER_PARTITION_REASSIGNMENTS_REQUEST: Shape = &[all(Fixed(4)), since(1, Fixed(1)),
    all(List(&[all(Text), all(List(&[all(Fixed(4)), all(FixedList(4))]))]))];
pub(super) const ALTER_PARTITION_REASSIGNMENTS_RESPONSE: Shape = &[all(Fixed(4)), since(1, Fixed(1)),
    all(Fixed(2)), all(Text), all(List(&[all(Text), all(List(&[all(Fixed(6)), all(Text)]))]))];
pub(super) const LIST_PARTITION_REASSIGNMENTS_REQUEST: Shape = &[all(Fixed(4)), all(List(&[all(Text),
    all(FixedList(4))]))];
pub(super) const LIST_PARTITION_REASSIGNMENTS_RESPONSE: Shape = &[all(Fixed(6)), all(Text),
    all(List(&[all(Text), all(List(&[all(Fixed(4)), all(FixedList(4)), all(FixedList(4)),
    all(FixedList(4))]))]))];
pub(super) const LIST_CONFIG_RESOURCES_REQUEST: Shape = &[since(1, FixedList(1))];
pub(super) const LIST_CONFIG_RESOURCES_RESPONSE: Shape = &[all(Fixed(6)), all(List(&[all(Text), since(1,
    Fixed(1))]))];
pub(super) const DESCRIBE_TOPIC_PARTITIONS_REQUEST: Shape = &[all(List(&[all(Text)])), all(Fixed(4)),
    all(Maybe(&[all(Text), all(Fixed(4))]))];
pub(super) const DESCRIBE_TOPIC_PARTITIONS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Fixed(2)),
    all(Text), all(Fixed(17)), all(List(&[all(Fixed(14)), all(FixedList(4)), all(FixedList(4)),
    all(FixedList(4)), all(FixedList(4)), all(FixedList(4))])), all(Fixed(4))])), all(Maybe(&[all(Text),
    all(Fixed(4))]))];
