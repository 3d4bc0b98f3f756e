//! Throttling (KIP-219): how long a broker asks this client to be quiet, read off an answer.

use std::time::Duration;

use milena_protocol::ApiKey;

/// How long the answer's broker wants this connection to stay mute; `None` when it does not.
///
/// `body` is the answer past its header. Versions before KIP-219 carry the figure too, but there
/// the broker has waited already. A Produce answer carries it at the end: the producer, which
/// walks it, tells it by [`Connection::throttle`](crate::Connection::throttle).
pub(crate) fn asked(api: ApiKey, version: i16, body: &[u8]) -> Option<Duration> {
    if version < leads_from(api)? {
        return None;
    }
    let millis = i32::from_be_bytes(*body.first_chunk::<4>()?);
    let wait = Duration::from_millis(u64::try_from(millis).ok().filter(|ms| *ms > 0)?);
    Some(wait.min(LONGEST))
}

/// The first version in which the client is to wait and the answer begins with how long.
fn leads_from(api: ApiKey) -> Option<i16> {
    use ApiKey as A;
    Some(match api {
        A::Produce | A::ApiVersions | A::SaslHandshake | A::SaslAuthenticate => return None,
        A::WriteTxnMarkers | A::DescribeQuorum => return None,
        A::Fetch => 8,
        A::Metadata => 6,
        A::OffsetForLeaderEpoch => 4,
        A::OffsetCommit | A::OffsetFetch => 4,
        A::ListOffsets | A::JoinGroup | A::CreateTopics => 3,
        A::FindCoordinator | A::Heartbeat | A::LeaveGroup | A::SyncGroup => 2,
        A::DescribeGroups | A::ListGroups | A::DeleteTopics | A::DescribeConfigs => 2,
        A::DeleteRecords | A::InitProducerId | A::AddPartitionsToTxn => 1,
        A::AddOffsetsToTxn | A::EndTxn | A::TxnOffsetCommit | A::DescribeAcls => 1,
        A::CreateAcls | A::DeleteAcls | A::AlterConfigs | A::CreatePartitions => 1,
        A::DeleteGroups | A::AlterReplicaLogDirs | A::DescribeLogDirs => 1,
        // The token answers carry it at their end, as Produce does.
        A::CreateDelegationToken | A::RenewDelegationToken => return None,
        A::ExpireDelegationToken | A::DescribeDelegationToken => return None,
        // Its first field is the error code, the figure follows.
        A::OffsetDelete | A::UpdateFeatures => return None,
        A::ElectLeaders
        | A::IncrementalAlterConfigs
        | A::AlterPartitionReassignments
        | A::ListPartitionReassignments
        | A::DescribeClientQuotas
        | A::AlterClientQuotas
        | A::DescribeCluster
        | A::DescribeProducers
        | A::ConsumerGroupHeartbeat
        | A::ConsumerGroupDescribe => 0,
        _ => return None,
    })
}

/// A broker whose client does not wait mutes it by itself: waiting longer than this gains nothing.
pub(crate) const LONGEST: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_read_only_where_the_client_is_to_wait() {
        let body = [0, 0, 19, 136, 0, 0];
        let five = Some(Duration::from_secs(5));
        assert_eq!(asked(ApiKey::Fetch, 12, &body), five);
        assert_eq!(asked(ApiKey::Fetch, 7, &body), None);
        assert_eq!(asked(ApiKey::Metadata, 9, &body), five);
        assert_eq!(asked(ApiKey::Produce, 9, &body), None);
    }

    #[test]
    fn a_senseless_wait_is_none_or_bounded() {
        assert_eq!(asked(ApiKey::Fetch, 12, &[0xff; 4]), None);
        assert_eq!(asked(ApiKey::Fetch, 12, &[0; 4]), None);
        assert_eq!(asked(ApiKey::Fetch, 12, &[1]), None);
        let longest = asked(ApiKey::Fetch, 12, &[0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(longest, Some(LONGEST));
    }
}
