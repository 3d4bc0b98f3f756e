//! The shapes of messages about clusters, security and the start of a connection.

use crate::guard::field::Kind::{Blob, Fixed, List, Text, Texts};
use crate::guard::field::{Shape, all, since, tagged, until};

pub(super) const SASL_HANDSHAKE_REQUEST: Shape = &[all(Text)];
pub(super) const SASL_HANDSHAKE_RESPONSE: Shape = &[all(Fixed(2)), all(Texts)];
pub(super) const API_VERSIONS_REQUEST: Shape = &[since(3, Text), since(3, Text)];
pub(super) const API_VERSIONS_RESPONSE: Shape = &[all(Fixed(2)), all(List(&[all(Fixed(6))])), since(1,
    Fixed(4)), tagged(0, 3, List(&[all(Text), all(Fixed(4))])), tagged(1, 3, Fixed(8)), tagged(2, 3,
    List(&[all(Text), all(Fixed(4))])), tagged(3, 3, Fixed(1))];
pub(super) const DESCRIBE_ACLS_REQUEST: Shape = &[all(Fixed(1)), all(Text), all(Fixed(1)), all(Text),
    all(Text), all(Fixed(2))];
pub(super) const DESCRIBE_ACLS_RESPONSE: Shape = &[all(Fixed(6)), all(Text), all(List(&[all(Fixed(1)),
    all(Text), all(Fixed(1)), all(List(&[all(Text), all(Text), all(Fixed(2))]))]))];
pub(super) const CREATE_ACLS_REQUEST: Shape = &[all(List(&[all(Fixed(1)), all(Text), all(Fixed(1)),
    all(Text), all(Text), all(Fixed(2))]))];
pub(super) const CREATE_ACLS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Fixed(2)), all(Text)]))];
pub(super) const DELETE_ACLS_REQUEST: Shape = &[all(List(&[all(Fixed(1)), all(Text), all(Fixed(1)),
    all(Text), all(Text), all(Fixed(2))]))];
pub(super) const DELETE_ACLS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Fixed(2)), all(Text),
    all(List(&[all(Fixed(2)), all(Text), all(Fixed(1)), all(Text), all(Fixed(1)), all(Text), all(Text),
    all(Fixed(2))]))]))];
pub(super) const SASL_AUTHENTICATE_REQUEST: Shape = &[all(Blob)];
pub(super) const SASL_AUTHENTICATE_RESPONSE: Shape = &[all(Fixed(2)), all(Text), all(Blob), since(1,
    Fixed(8))];
pub(super) const CREATE_DELEGATION_TOKEN_REQUEST: Shape = &[since(3, Text), since(3, Text),
    all(List(&[all(Text), all(Text)])), all(Fixed(8))];
pub(super) const CREATE_DELEGATION_TOKEN_RESPONSE: Shape = &[all(Fixed(2)), all(Text), all(Text), since(3,
    Text), since(3, Text), all(Fixed(24)), all(Text), all(Blob), all(Fixed(4))];
pub(super) const RENEW_DELEGATION_TOKEN_REQUEST: Shape = &[all(Blob), all(Fixed(8))];
pub(super) const RENEW_DELEGATION_TOKEN_RESPONSE: Shape = &[all(Fixed(14))];
pub(super) const EXPIRE_DELEGATION_TOKEN_REQUEST: Shape = &[all(Blob), all(Fixed(8))];
pub(super) const EXPIRE_DELEGATION_TOKEN_RESPONSE: Shape = &[all(Fixed(14))];
pub(super) const DESCRIBE_DELEGATION_TOKEN_REQUEST: Shape = &[all(List(&[all(Text), all(Text)]))];
pub(super) const DESCRIBE_DELEGATION_TOKEN_RESPONSE: Shape = &[all(Fixed(2)), all(List(&[all(Text),
    all(Text), since(3, Text), since(3, Text), all(Fixed(24)), all(Text), all(Blob), all(List(&[all(Text),
    all(Text)]))])), all(Fixed(4))];
pub(super) const DESCRIBE_CLIENT_QUOTAS_REQUEST: Shape = &[all(List(&[all(Text), all(Fixed(1)),
    all(Text)])), all(Fixed(1))];
pub(super) const DESCRIBE_CLIENT_QUOTAS_RESPONSE: Shape = &[all(Fixed(6)), all(Text),
    all(List(&[all(List(&[all(Text), all(Text)])), all(List(&[all(Text), all(Fixed(8))]))]))];
pub(super) const ALTER_CLIENT_QUOTAS_REQUEST: Shape = &[all(List(&[all(List(&[all(Text), all(Text)])),
    all(List(&[all(Text), all(Fixed(9))]))])), all(Fixed(1))];
pub(super) const ALTER_CLIENT_QUOTAS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Fixed(2)), all(Text),
    all(List(&[all(Text), all(Text)]))]))];
pub(super) const DESCRIBE_USER_SCRAM_CREDENTIALS_REQUEST: Shape = &[all(List(&[all(Text)]))];
pub(super) const DESCRIBE_USER_SCRAM_CREDENTIALS_RESPONSE: Shape = &[all(Fixed(6)), all(Text),
    all(List(&[all(Text), all(Fixed(2)), all(Text), all(List(&[all(Fixed(5))]))]))];
pub(super) const ALTER_USER_SCRAM_CREDENTIALS_REQUEST: Shape = &[all(List(&[all(Text), all(Fixed(1))])),
    all(List(&[all(Text), all(Fixed(5)), all(Blob), all(Blob)]))];
pub(super) const ALTER_USER_SCRAM_CREDENTIALS_RESPONSE: Shape = &[all(Fixed(4)), all(List(&[all(Text),
    all(Fixed(2)), all(Text)]))];
pub(super) const DESCRIBE_QUORUM_REQUEST: Shape = &[all(List(&[all(Text), all(List(&[all(Fixed(4))]))]))];
pub(super) const DESCRIBE_QUORUM_RESPONSE: Shape = &[all(Fixed(2)), since(2, Text), all(List(&[all(Text),
    all(List(&[all(Fixed(6)), since(2, Text), all(Fixed(16)), all(List(&[all(Fixed(4)), since(2, Fixed(16)),
    all(Fixed(8)), since(1, Fixed(16))])), all(List(&[all(Fixed(4)), since(2, Fixed(16)), all(Fixed(8)),
    since(1, Fixed(16))]))]))])), since(2, List(&[all(Fixed(4)), all(List(&[all(Text), all(Text),
    all(Fixed(2))]))]))];
pub(super) const UPDATE_FEATURES_REQUEST: Shape = &[all(Fixed(4)), all(List(&[all(Text), all(Fixed(2)),
    until(0, Fixed(1)), since(1, Fixed(1))])), since(1, Fixed(1))];
pub(super) const UPDATE_FEATURES_RESPONSE: Shape = &[all(Fixed(6)), all(Text), until(1, List(&[all(Text),
    all(Fixed(2)), all(Text)]))];
pub(super) const DESCRIBE_CLUSTER_REQUEST: Shape = &[all(Fixed(1)), since(1, Fixed(1)), since(2, Fixed(1))];
pub(super) const DESCRIBE_CLUSTER_RESPONSE: Shape = &[all(Fixed(6)), all(Text), since(1, Fixed(1)),
    all(Text), all(Fixed(4)), all(List(&[all(Fixed(4)), all(Text), all(Fixed(4)), all(Text), since(2,
    Fixed(1))])), all(Fixed(4))];
