//! The shapes of messages about consumer groups.

use crate::guard::field::Kind::{Blob, Fixed, FixedList, List, Maybe, Nested, Text, Texts};
use crate::guard::field::{Shape, all, since, until, within};

pub(super) const OFFSET_COMMIT_REQUEST: Shape = &[all(Text), all(Fixed(4)), all(Text), since(7, Text),
    until(4, Fixed(8)), all(List(&[all(Text), all(List(&[all(Fixed(12)), since(6, Fixed(4)),
    all(Text)]))]))];
pub(super) const OFFSET_COMMIT_RESPONSE: Shape = &[since(3, Fixed(4)), all(List(&[until(9, Text), since(10,
    Fixed(16)), all(List(&[all(Fixed(6))]))]))];
pub(super) const OFFSET_FETCH_REQUEST: Shape = &[until(7, Text), until(7, List(&[all(Text),
    all(FixedList(4))])), since(8, List(&[all(Text), since(9, Text), since(9, Fixed(4)),
    all(List(&[all(Text), all(FixedList(4))]))])), since(7, Fixed(1))];
pub(super) const OFFSET_FETCH_RESPONSE: Shape = &[since(3, Fixed(4)), until(7, List(&[all(Text),
    all(List(&[all(Fixed(12)), since(5, Fixed(4)), all(Text), all(Fixed(2))]))])), within(2, 7, Fixed(2)),
    since(8, List(&[all(Text), all(List(&[until(9, Text), since(10, Fixed(16)), all(List(&[all(Fixed(16)),
    all(Text), all(Fixed(2))]))])), all(Fixed(2))]))];
pub(super) const FIND_COORDINATOR_REQUEST: Shape = &[until(3, Text), since(1, Fixed(1)), since(4, Texts)];
pub(super) const FIND_COORDINATOR_RESPONSE: Shape = &[since(1, Fixed(4)), until(3, Fixed(2)), within(1, 3,
    Text), until(3, Fixed(4)), until(3, Text), until(3, Fixed(4)), since(4, List(&[all(Text), all(Fixed(4)),
    all(Text), all(Fixed(6)), all(Text)]))];
pub(super) const JOIN_GROUP_REQUEST: Shape = &[all(Text), all(Fixed(4)), since(1, Fixed(4)), all(Text),
    since(5, Text), all(Text), all(List(&[all(Text), all(Blob)])), since(8, Text)];
pub(super) const JOIN_GROUP_RESPONSE: Shape = &[since(2, Fixed(4)), all(Fixed(6)), since(7, Text),
    all(Text), all(Text), since(9, Fixed(1)), all(Text), all(List(&[all(Text), since(5, Text),
    all(Blob)]))];
pub(super) const HEARTBEAT_REQUEST: Shape = &[all(Text), all(Fixed(4)), all(Text), since(3, Text)];
pub(super) const HEARTBEAT_RESPONSE: Shape = &[since(1, Fixed(4)), all(Fixed(2))];
pub(super) const LEAVE_GROUP_REQUEST: Shape = &[all(Text), until(2, Text), since(3, List(&[all(Text),
    all(Text), since(5, Text)]))];
pub(super) const LEAVE_GROUP_RESPONSE: Shape = &[since(1, Fixed(4)), all(Fixed(2)), since(3,
    List(&[all(Text), all(Text), all(Fixed(2))]))];
pub(super) const SYNC_GROUP_REQUEST: Shape = &[all(Text), all(Fixed(4)), all(Text), since(3, Text), since(5,
    Text), since(5, Text), all(List(&[all(Text), all(Blob)]))];
pub(super) const SYNC_GROUP_RESPONSE: Shape = &[since(1, Fixed(4)), all(Fixed(2)), since(5, Text), since(5,
    Text), all(Blob)];
pub(super) const DESCRIBE_GROUPS_REQUEST: Shape = &[all(Texts), since(3, Fixed(1))];
pub(super) const DESCRIBE_GROUPS_RESPONSE: Shape = &[since(1, Fixed(4)), all(List(&[all(Fixed(2)), since(6,
    Text), all(Text), all(Text), all(Text), all(Text), all(List(&[all(Text), since(4, Text), all(Text),
    all(Text), all(Blob), all(Blob)])), since(3, Fixed(4))]))];
pub(super) const LIST_GROUPS_REQUEST: Shape = &[since(4, Texts), since(5, Texts)];
pub(super) const LIST_GROUPS_RESPONSE: Shape = &[since(1, Fixed(4)), all(Fixed(2)), all(List(&[all(Text),
    all(Text), since(4, Text), since(5, Text)]))];
pub(super) const DELETE_GROUPS_REQUEST: Shape = &[all(Texts)];
pub(super) const DELETE_GROUPS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Text), all(Fixed(2))]))];
pub(super) const OFFSET_DELETE_REQUEST: Shape = &[all(Text), all(List(&[all(Text),
    all(List(&[all(Fixed(4))]))]))];
pub(super) const OFFSET_DELETE_RESPONSE: Shape = &[all(Fixed(6)), all(List(&[all(Text),
    all(List(&[all(Fixed(6))]))]))];
pub(super) const CONSUMER_GROUP_HEARTBEAT_REQUEST: Shape = &[all(Text), all(Text), all(Fixed(4)), all(Text),
    all(Text), all(Fixed(4)), all(Texts), since(1, Text), all(Text), all(List(&[all(Fixed(16)),
    all(FixedList(4))]))];
pub(super) const CONSUMER_GROUP_HEARTBEAT_RESPONSE: Shape = &[all(Fixed(6)), all(Text), all(Text),
    all(Fixed(8)), all(Maybe(&[all(List(&[all(Fixed(16)), all(FixedList(4))]))]))];
pub(super) const CONSUMER_GROUP_DESCRIBE_REQUEST: Shape = &[all(Texts), all(Fixed(1))];
pub(super) const CONSUMER_GROUP_DESCRIBE_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Fixed(2)),
    all(Text), all(Text), all(Text), all(Fixed(8)), all(Text), all(List(&[all(Text), all(Text), all(Text),
    all(Fixed(4)), all(Text), all(Text), all(Texts), all(Text), all(Nested(&[all(List(&[all(Fixed(16)),
    all(Text), all(FixedList(4))]))])), all(Nested(&[all(List(&[all(Fixed(16)), all(Text),
    all(FixedList(4))]))])), since(1, Fixed(1))])), all(Fixed(4))]))];
