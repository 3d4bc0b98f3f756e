//! The shapes of messages about records, offsets and transactions.

use crate::guard::field::Kind::{Blob, Fixed, FixedList, List, Nested, Text, Texts};
use crate::guard::field::{Shape, all, since, tagged, until, within};

pub(super) const PRODUCE_REQUEST: Shape = &[all(Text), all(Fixed(6)), all(List(&[until(12, Text), since(13,
    Fixed(16)), all(List(&[all(Fixed(4)), all(Blob)]))]))];
pub(super) const PRODUCE_RESPONSE: Shape = &[all(List(&[until(12, Text), since(13, Fixed(16)),
    all(List(&[all(Fixed(22)), since(5, Fixed(8)), since(8, List(&[all(Fixed(4)), all(Text)])), since(8,
    Text), tagged(0, 10, Nested(&[all(Fixed(8))]))]))])), all(Fixed(4)), tagged(0, 10, List(&[all(Fixed(4)),
    all(Text), all(Fixed(4)), all(Text)]))];
pub(super) const FETCH_REQUEST: Shape = &[until(14, Fixed(4)), all(Fixed(13)), since(7, Fixed(8)),
    all(List(&[until(12, Text), since(13, Fixed(16)), all(List(&[all(Fixed(4)), since(9, Fixed(4)),
    all(Fixed(8)), since(12, Fixed(4)), since(5, Fixed(8)), all(Fixed(4)), tagged(0, 17, Fixed(16)),
    tagged(1, 18, Fixed(8))]))])), since(7, List(&[until(12, Text), since(13, Fixed(16)),
    all(FixedList(4))])), since(11, Text), tagged(0, 12, Text), tagged(1, 15, Nested(&[all(Fixed(12))]))];
pub(super) const FETCH_RESPONSE: Shape = &[all(Fixed(4)), since(7, Fixed(6)), all(List(&[until(12, Text),
    since(13, Fixed(16)), all(List(&[all(Fixed(22)), since(5, Fixed(8)), all(List(&[all(Fixed(16))])),
    since(11, Fixed(4)), all(Blob), tagged(0, 12, Nested(&[all(Fixed(12))])), tagged(1, 12,
    Nested(&[all(Fixed(8))])), tagged(2, 12, Nested(&[all(Fixed(12))]))]))])), tagged(0, 16,
    List(&[all(Fixed(4)), all(Text), all(Fixed(4)), all(Text)]))];
pub(super) const LIST_OFFSETS_REQUEST: Shape = &[all(Fixed(4)), since(2, Fixed(1)), all(List(&[all(Text),
    all(List(&[all(Fixed(4)), since(4, Fixed(4)), all(Fixed(8))]))])), since(10, Fixed(4))];
pub(super) const LIST_OFFSETS_RESPONSE: Shape = &[since(2, Fixed(4)), all(List(&[all(Text),
    all(List(&[all(Fixed(22)), since(4, Fixed(4))]))]))];
pub(super) const METADATA_REQUEST: Shape = &[all(List(&[since(10, Fixed(16)), all(Text)])), since(4,
    Fixed(1)), within(8, 10, Fixed(1)), since(8, Fixed(1))];
pub(super) const METADATA_RESPONSE: Shape = &[since(3, Fixed(4)), all(List(&[all(Fixed(4)), all(Text),
    all(Fixed(4)), since(1, Text)])), since(2, Text), since(1, Fixed(4)), all(List(&[all(Fixed(2)),
    all(Text), since(10, Fixed(16)), since(1, Fixed(1)), all(List(&[all(Fixed(10)), since(7, Fixed(4)),
    all(FixedList(4)), all(FixedList(4)), since(5, FixedList(4))])), since(8, Fixed(4))])), within(8, 10,
    Fixed(4)), since(13, Fixed(2))];
pub(super) const INIT_PRODUCER_ID_REQUEST: Shape = &[all(Text), all(Fixed(4)), since(3, Fixed(10))];
pub(super) const INIT_PRODUCER_ID_RESPONSE: Shape = &[all(Fixed(16)), since(6, Fixed(10))];
pub(super) const OFFSET_FOR_LEADER_EPOCH_REQUEST: Shape = &[since(3, Fixed(4)), all(List(&[all(Text),
    all(List(&[all(Fixed(12))]))]))];
pub(super) const OFFSET_FOR_LEADER_EPOCH_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Text),
    all(List(&[all(Fixed(18))]))]))];
pub(super) const ADD_PARTITIONS_TO_TXN_REQUEST: Shape = &[since(4, List(&[all(Text), all(Fixed(11)),
    all(List(&[all(Text), all(FixedList(4))]))])), until(3, Text), until(3, Fixed(10)), until(3,
    List(&[all(Text), all(FixedList(4))]))];
pub(super) const ADD_PARTITIONS_TO_TXN_RESPONSE: Shape = &[all(Fixed(4)), since(4, Fixed(2)), since(4,
    List(&[all(Text), all(List(&[all(Text), all(List(&[all(Fixed(6))]))]))])), until(3, List(&[all(Text),
    all(List(&[all(Fixed(6))]))]))];
pub(super) const ADD_OFFSETS_TO_TXN_REQUEST: Shape = &[all(Text), all(Fixed(10)), all(Text)];
pub(super) const ADD_OFFSETS_TO_TXN_RESPONSE: Shape = &[all(Fixed(6))];
pub(super) const END_TXN_REQUEST: Shape = &[all(Text), all(Fixed(11))];
pub(super) const END_TXN_RESPONSE: Shape = &[all(Fixed(6)), since(5, Fixed(10))];
pub(super) const WRITE_TXN_MARKERS_REQUEST: Shape = &[all(List(&[all(Fixed(11)), all(List(&[all(Text),
    all(FixedList(4))])), all(Fixed(4))]))];
pub(super) const WRITE_TXN_MARKERS_RESPONSE: Shape = &[all(List(&[all(Fixed(8)), all(List(&[all(Text),
    all(List(&[all(Fixed(6))]))]))]))];
pub(super) const TXN_OFFSET_COMMIT_REQUEST: Shape = &[all(Text), all(Text), all(Fixed(10)), since(3,
    Fixed(4)), since(3, Text), since(3, Text), all(List(&[all(Text), all(List(&[all(Fixed(12)), since(2,
    Fixed(4)), all(Text)]))]))];
pub(super) const TXN_OFFSET_COMMIT_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Text),
    all(List(&[all(Fixed(6))]))]))];
pub(super) const DESCRIBE_PRODUCERS_REQUEST: Shape = &[all(List(&[all(Text), all(FixedList(4))]))];
pub(super) const DESCRIBE_PRODUCERS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Text),
    all(List(&[all(Fixed(6)), all(Text), all(List(&[all(Fixed(36))]))]))]))];
pub(super) const DESCRIBE_TRANSACTIONS_REQUEST: Shape = &[all(Texts)];
pub(super) const DESCRIBE_TRANSACTIONS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Fixed(2)),
    all(Text), all(Text), all(Fixed(22)), all(List(&[all(Text), all(FixedList(4))]))]))];
pub(super) const LIST_TRANSACTIONS_REQUEST: Shape = &[all(Texts), all(FixedList(8)), since(1, Fixed(8)),
    since(2, Text)];
pub(super) const LIST_TRANSACTIONS_RESPONSE: Shape = &[all(Fixed(6)), all(Texts), all(List(&[all(Text),
    all(Fixed(8)), all(Text)]))];
