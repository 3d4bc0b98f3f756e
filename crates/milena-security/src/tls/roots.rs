//! The certificate authorities that a client trusts.

use milena_core::{Error, ErrorKind, Result};
use rustls::RootCertStore;

use super::certificate::certificates;
use super::pem_source::PemSource;
use crate::secret::Secret;

/// The certificate authorities that a client trusts. The default is those of the system.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    /// The places, whose certificates are all trusted. Empty means the system.
    places: Vec<RootPlace>,
}

#[derive(Clone, Debug)]
enum RootPlace {
    System,
    Mozilla,
    Pem(PemSource),
}

impl Roots {
    /// Trusts the authorities of the operating system. Needs the feature `native-roots`.
    ///
    /// They are read from the files of the system (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others),
    /// so nothing is asked over the network.
    #[must_use]
    pub fn system() -> Self {
        Self::default().add(RootPlace::System)
    }

    /// Trusts the authorities of the Mozilla project, as they were when the program was built.
    /// Needs the feature `mozilla-roots`.
    #[must_use]
    pub fn mozilla() -> Self {
        Self::default().add(RootPlace::Mozilla)
    }

    /// Trusts all certificates of `source`.
    #[must_use]
    pub fn pem(source: PemSource) -> Self {
        Self::default().add(RootPlace::Pem(source))
    }

    /// Trusts the authorities of `other` too.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.places.extend(other.places);
        self
    }

    fn add(mut self, place: RootPlace) -> Self {
        self.places.push(place);
        self
    }

    /// Reads the PEM of all places that have one. Blocks.
    pub(crate) fn read(&self) -> Result<Vec<Secret>> {
        let sources = self.places.iter().filter_map(|place| match place {
            RootPlace::Pem(source) => Some(source.read()),
            RootPlace::System | RootPlace::Mozilla => None,
        });
        sources.collect()
    }

    /// Makes the store of all places. `pems` is what [`read`](Self::read) returned.
    pub(crate) fn store(&self, pems: &[Secret]) -> Result<RootCertStore> {
        let mut store = RootCertStore::empty();
        let mut pems = pems.iter();
        for place in &self.places {
            match place {
                RootPlace::System => add_system(&mut store)?,
                RootPlace::Mozilla => add_mozilla(&mut store)?,
                RootPlace::Pem(source) => {
                    let none = Secret::default();
                    for root in certificates(pems.next().unwrap_or(&none), source)? {
                        store.add(root).map_err(|error| {
                            source.refused(&format!(
                                "one of its certificates cannot be a root ({error})"
                            ))
                        })?;
                    }
                }
            }
        }
        if self.places.is_empty() {
            add_system(&mut store)?;
        }
        Ok(store)
    }
}

/// Adds the roots of the system, of which there must be at least one.
#[cfg(feature = "native-roots")]
fn add_system(store: &mut RootCertStore) -> Result<()> {
    let found = rustls_native_certs::load_native_certs();
    // Some systems hold roots that rustls cannot use. They are left out.
    let (added, _) = store.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(());
    }
    let text = "the system has no certificate authorities: install them (the package is mostly called \
                ca-certificates), or name a file with yours (`ssl.ca.location`)";
    let error = Error::new(ErrorKind::Config, text);
    Err(match found.errors.into_iter().next() {
        Some(first) => error.with_source(first),
        None => error,
    })
}

/// Refuses, since the feature is off.
#[cfg(not(feature = "native-roots"))]
fn add_system(_: &mut RootCertStore) -> Result<()> {
    Err(absent("native-roots"))
}

/// Adds the roots of the Mozilla project.
#[cfg(feature = "mozilla-roots")]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the other form, without the feature, fails"
)]
fn add_mozilla(store: &mut RootCertStore) -> Result<()> {
    store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    Ok(())
}

/// Refuses, since the feature is off.
#[cfg(not(feature = "mozilla-roots"))]
fn add_mozilla(_: &mut RootCertStore) -> Result<()> {
    Err(absent("mozilla-roots"))
}

#[cfg(not(all(feature = "native-roots", feature = "mozilla-roots")))]
fn absent(feature: &str) -> Error {
    let text = format!(
        "this program was built without the feature {feature} of milena-security: build with it, or \
         name a file with certificate authorities (`ssl.ca.location`)"
    );
    Error::new(ErrorKind::Unsupported, text)
}
