//! Checks of all words together.

use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::time::Duration;

use super::*;
use crate::{Error, ErrorKind, Timestamp};

/// Checks that each value is read from what it writes, and that a wrong word is told the right
/// ones.
fn holds<T>(values: &[T], allowed: &str)
where
    T: FromStr<Err = Error> + Display + Debug + PartialEq,
{
    for value in values {
        assert_eq!(value.to_string().parse::<T>().unwrap(), *value);
    }
    let error = "no such word".parse::<T>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(
        text.contains("`no such word`") && text.contains(allowed),
        "{text}"
    );
}

#[test]
fn every_word_is_read_as_it_is_written_and_a_wrong_one_is_told_the_right_ones() {
    holds(&Acks::ALL, "all, 1 or 0");
    holds(
        &AssignorName::ALL,
        "cooperative-sticky, sticky, range or roundrobin",
    );
    holds(&Codec::ALL, "none, gzip, snappy, lz4 or zstd");
    holds(&Compression::ALL, Compression::ALLOWED);
    holds(&CorruptPolicy::ALL, "stop or skip");
    holds(
        &GroupMembershipOperation::ALL,
        "default, leave_group or remain_in_group",
    );
    holds(&GroupProtocol::ALL, "auto, classic or consumer");
    holds(&IsolationLevel::ALL, "read_committed or read_uncommitted");
    holds(&LaneStopPolicy::ALL, "stop or pause");
    holds(&PartitionerName::ALL, "java, murmur2, murmur2_random");
    holds(&StuckPolicy::ALL, "report or stop_lane");
    holds(
        &[Order::Partition, Order::Key(8), Order::Unordered(4096)],
        Order::ALLOWED,
    );
    holds(
        &[
            OffsetReset::Earliest,
            OffsetReset::Latest,
            OffsetReset::None,
            OffsetReset::Duration(Duration::from_secs(6 * 3600)),
            OffsetReset::Timestamp(Timestamp::from_wire(7).unwrap()),
        ],
        OffsetReset::ALLOWED,
    );
}

#[test]
fn the_number_of_kafka_for_all_acks_is_read_as_well() {
    assert_eq!("-1".parse::<Acks>().unwrap(), Acks::All);
    for acks in Acks::ALL {
        assert_eq!(Acks::from_wire(acks.to_wire()), Some(acks));
    }
    assert_eq!(Acks::from_wire(2), None);
}

#[test]
fn codecs_have_their_own_bits_and_their_own_place_in_both_lists() {
    for (codec, compression) in Codec::ALL.into_iter().zip(Compression::ALL) {
        assert_eq!(Codec::from_wire(codec.to_wire()), Some(codec));
        assert_eq!(compression, codec.into());
        assert_eq!(compression.codec(), codec);
        assert!(Compression::ALLOWED.contains(codec.name()), "{codec}");
        assert_eq!(compression.level().is_some(), codec.levels().is_some());
        compression.check().unwrap();
    }
    assert_eq!(Codec::from_wire(7), None);
}

#[test]
fn compression_is_read_with_its_level_and_bounds() {
    let read = |text: &str| text.parse::<Compression>();
    assert_eq!(read("lz4").unwrap(), Compression::LZ4);
    assert_eq!(read("gzip:9").unwrap(), Compression::Gzip(9));
    assert_eq!(read("zstd:-5").unwrap(), Compression::Zstd(-5));
    for bad in [
        "gzip:10", "gzip:-1", "snappy:1", "brotli", "zstd:", "none:1",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    let error = read("gzip:10").unwrap_err().to_string();
    assert!(error.contains("outside 1 to 9"), "{error}");
}

#[test]
fn an_order_has_at_least_one_lane_and_a_reset_a_time_above_zero() {
    for bad in ["key", "key:0", "key:4097", "unordered:x", "partition:2"] {
        assert!(bad.parse::<Order>().is_err(), "{bad}");
    }
    for bad in ["duration:0s", "duration:6", "timestamp:-1", "newest"] {
        assert!(bad.parse::<OffsetReset>().is_err(), "{bad}");
    }
}
