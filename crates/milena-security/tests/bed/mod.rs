//! An authority of the test, and the certificates that it issues.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use milena_security::tls::{IdentitySource, PemSource, Roots};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

/// An authority, its own certificate, and the certificates between it and the root.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    /// The certificates that a server sends behind its own. Empty for a root.
    between: String,
}

impl Ca {
    /// Makes a root.
    pub(crate) fn root(name: &str) -> Self {
        let (params, key) = (authority(name), KeyPair::generate().unwrap());
        let pem = pem("CERTIFICATE", params.self_signed(&key).unwrap().der());
        Self {
            issuer: Issuer::new(params, key),
            pem,
            between: String::new(),
        }
    }

    /// Makes an authority that this one issues.
    pub(crate) fn below(&self, name: &str) -> Self {
        let (params, key) = (authority(name), KeyPair::generate().unwrap());
        let pem = pem(
            "CERTIFICATE",
            params.signed_by(&key, &self.issuer).unwrap().der(),
        );
        Self {
            issuer: Issuer::new(params, key),
            between: format!("{pem}{}", self.between),
            pem,
        }
    }

    /// Returns the certificate of the authority in PEM.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Returns the authority as roots.
    pub(crate) fn roots(&self) -> Roots {
        Roots::pem(PemSource::text(self.pem.as_str()))
    }

    /// Issues a certificate for `names` that is valid now.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_for(names, 2020, 2100)
    }

    /// Issues a certificate for `names` that is valid from one year to another.
    pub(crate) fn issue_for(&self, names: &[&str], from: i32, to: i32) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "test");
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        params.serial_number = Some(SerialNumber::from(SERIAL));
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            chain: format!("{}{}", pem("CERTIFICATE", own.der()), self.between),
            key: pem("PRIVATE KEY", &key.serialize_der()),
        }
    }

    /// Returns a list that revokes all certificates of this authority, or none.
    pub(crate) fn revocation_list(&self, all: bool) -> PemSource {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(SERIAL),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: if all { vec![revoked] } else { Vec::new() },
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).unwrap();
        PemSource::text(pem("X509 CRL", list.der()))
    }
}

/// A certificate with its chain and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Issued {
    pub(crate) fn source(&self) -> IdentitySource {
        let source = |pem: &str| PemSource::text(pem);
        IdentitySource::new(source(&self.chain), source(&self.key))
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Returns `der` in PEM.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap());
    let lines: Vec<_> = lines.collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// The serial number of all certificates, so that a list revokes each.
const SERIAL: u64 = 7;
