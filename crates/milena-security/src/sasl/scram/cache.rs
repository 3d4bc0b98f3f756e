//! The last salted password, so that each connection of a client does not compute it again.

use std::sync::Arc;

use parking_lot::Mutex;

use super::hash::{ScramHash, ScramKey};
use crate::secret::CredentialId;

/// The salted password of the last exchange. All exchanges of one [`Sasl`](crate::sasl::Sasl) share
/// it, since 16,384 rounds take milliseconds.
#[derive(Clone, Default)]
pub(crate) struct SaltedCache(Arc<Mutex<Option<Salted>>>);

struct Salted {
    /// The password, salt and iterations that led to the key.
    of: (CredentialId, u32),
    /// The salted password.
    key: ScramKey,
}

impl SaltedCache {
    /// Returns true if the key for these values is there.
    pub(crate) fn holds(&self, password: &[u8], salt: &[u8], iterations: u32) -> bool {
        let of = (CredentialId::of(&[password, salt]), iterations);
        self.0.lock().as_ref().is_some_and(|salted| salted.of == of)
    }

    /// Returns the salted password, and computes it if it is not there.
    pub(crate) fn salted(
        &self,
        hash: ScramHash,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
    ) -> ScramKey {
        let of = (CredentialId::of(&[password, salt]), iterations);
        if let Some(salted) = &*self.0.lock()
            && salted.of == of
        {
            return salted.key.clone();
        }
        // Not under the lock, since it takes long. Two connections may both compute it once.
        let key = hash.salted(password, salt, iterations);
        *self.0.lock() = Some(Salted {
            of,
            key: key.clone(),
        });
        key
    }
}
