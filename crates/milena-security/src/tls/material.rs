//! The content of all files of a TLS configuration, read at one time.

use sha2::{Digest, Sha256};

use super::identity::IdentityBytes;
use crate::secret::Secret;

/// The content of all files of a TLS configuration.
pub(crate) struct Material {
    /// The PEM of the roots, one per place that has one.
    pub(crate) roots: Vec<Secret>,
    /// Chain and key. `None` if the configuration has no identity.
    pub(crate) identity: Option<IdentityBytes>,
    /// The PEM of the revocation lists.
    pub(crate) revoked: Vec<Secret>,
}

impl Material {
    /// Returns a hash of the content, by which a change is noticed.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut add = |part: &Secret| {
            hash.update(part.len().to_be_bytes());
            hash.update(part.expose());
        };
        self.roots.iter().for_each(&mut add);
        if let Some(identity) = &self.identity {
            add(&identity.chain);
            add(&identity.key);
            identity.password.iter().for_each(&mut add);
        }
        self.revoked.iter().for_each(&mut add);
        hash.finalize().into()
    }
}
