//! Throttling (KIP-219): reads from an answer for how long the broker wants this client to wait.

use std::time::Duration;

use milena_protocol::ApiKey;

/// Returns the time for which the broker wants this connection to be muted. `None` if it does not.
///
/// `body` is the answer without its header. Versions before KIP-219 carry the time, too, but with
/// them the broker has waited before it answered. A Produce answer carries the time at its end. The
/// producer, which decodes that answer, reports it through
/// [`Connection::throttle`](crate::Connection::throttle).
pub(crate) fn asked(api: ApiKey, version: i16, body: &[u8]) -> Option<Duration> {
    if version < leads_from(api)? {
        return None;
    }
    let millis = i32::from_be_bytes(*body.first_chunk::<4>()?);
    let wait = Duration::from_millis(u64::try_from(millis).ok().filter(|ms| *ms > 0)?);
    Some(wait.min(LONGEST))
}

/// Returns the first version in which the client must wait and the answer begins with the time.
/// `None` for an API whose answers do not begin with it.
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
        // The answers about tokens carry it at the end, like Produce.
        A::CreateDelegationToken | A::RenewDelegationToken => return None,
        A::ExpireDelegationToken | A::DescribeDelegationToken => return None,
        // These answers begin with the error code, and the time follows.
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

/// The longest wait. A broker mutes a client that does not wait, so waiting longer is never needed.
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
