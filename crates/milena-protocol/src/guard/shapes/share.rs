//! The shapes of messages about share groups.

use crate::guard::field::Kind::{Blob, Fixed, FixedList, List, Maybe, Nested, Text, Texts};
use crate::guard::field::{Shape, all};

pub(super) const SHARE_GROUP_HEARTBEAT_REQUEST: Shape = &[all(Text), all(Text), all(Fixed(4)), all(Text),
    all(Texts)];
pub(super) const SHARE_GROUP_HEARTBEAT_RESPONSE: Shape = &[all(Fixed(6)), all(Text), all(Text),
    all(Fixed(8)), all(Maybe(&[all(List(&[all(Fixed(16)), all(FixedList(4))]))]))];
pub(super) const SHARE_GROUP_DESCRIBE_REQUEST: Shape = &[all(Texts), all(Fixed(1))];
pub(super) const SHARE_GROUP_DESCRIBE_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Fixed(2)),
    all(Text), all(Text), all(Text), all(Fixed(8)), all(Text), all(List(&[all(Text), all(Text),
    all(Fixed(4)), all(Text), all(Text), all(Texts), all(Nested(&[all(List(&[all(Fixed(16)), all(Text),
    all(FixedList(4))]))]))])), all(Fixed(4))]))];
pub(super) const SHARE_FETCH_REQUEST: Shape = &[all(Text), all(Text), all(Fixed(24)),
    all(List(&[all(Fixed(16)), all(List(&[all(Fixed(4)), all(List(&[all(Fixed(16)),
    all(FixedList(1))]))]))])), all(List(&[all(Fixed(16)), all(FixedList(4))]))];
pub(super) const SHARE_FETCH_RESPONSE: Shape = &[all(Fixed(6)), all(Text), all(Fixed(4)),
    all(List(&[all(Fixed(16)), all(List(&[all(Fixed(6)), all(Text), all(Fixed(2)), all(Text),
    all(Nested(&[all(Fixed(8))])), all(Blob), all(List(&[all(Fixed(18))]))]))])), all(List(&[all(Fixed(4)),
    all(Text), all(Fixed(4)), all(Text)]))];
pub(super) const SHARE_ACKNOWLEDGE_REQUEST: Shape = &[all(Text), all(Text), all(Fixed(4)),
    all(List(&[all(Fixed(16)), all(List(&[all(Fixed(4)), all(List(&[all(Fixed(16)),
    all(FixedList(1))]))]))]))];
pub(super) const SHARE_ACKNOWLEDGE_RESPONSE: Shape = &[all(Fixed(6)), all(Text), all(List(&[all(Fixed(16)),
    all(List(&[all(Fixed(6)), all(Text), all(Nested(&[all(Fixed(8))]))]))])), all(List(&[all(Fixed(4)),
    all(Text), all(Fixed(4)), all(Text)]))];
pub(super) const DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST: Shape = &[all(List(&[all(Text), all(List(&[all(Text),
    all(FixedList(4))]))]))];
pub(super) const DESCRIBE_SHARE_GROUP_OFFSETS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Text),
    all(List(&[all(Text), all(Fixed(16)), all(List(&[all(Fixed(18)), all(Text)]))])), all(Fixed(2)),
    all(Text)]))];
pub(super) const ALTER_SHARE_GROUP_OFFSETS_REQUEST: Shape = &[all(Text), all(List(&[all(Text),
    all(List(&[all(Fixed(12))]))]))];
pub(super) const ALTER_SHARE_GROUP_OFFSETS_RESPONSE: Shape = &[all(Fixed(6)), all(Text),
    all(List(&[all(Text), all(Fixed(16)), all(List(&[all(Fixed(6)), all(Text)]))]))];
pub(super) const DELETE_SHARE_GROUP_OFFSETS_REQUEST: Shape = &[all(Text), all(List(&[all(Text)]))];
pub(super) const DELETE_SHARE_GROUP_OFFSETS_RESPONSE: Shape = &[all(Fixed(6)), all(Text),
    all(List(&[all(Text), all(Fixed(18)), all(Text)]))];
