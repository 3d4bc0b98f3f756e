//! Formats of certificates and keys that milena does not read, told by their first bytes.

/// Returns the reason why `bytes` are no PEM, with the command that converts them. `None` if they
/// look like no format that is known.
///
/// `name` is the name of the file in the command.
pub(crate) fn advice(bytes: &[u8], name: &str) -> Option<String> {
    match bytes {
        [] => Some("it is empty: write certificates or a key as PEM there".to_owned()),
        [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => Some(format!(
            "it is a Java keystore (JKS): convert it with `keytool -importkeystore -srckeystore {name} \
             -destkeystore store.p12 -deststoretype PKCS12`, then \
             `openssl pkcs12 -in store.p12 -nodes -out store.pem`"
        )),
        [0x30, rest @ ..] => Some(if is_pkcs12(rest) {
            format!(
                "it is a PKCS#12 keystore: convert it with `openssl pkcs12 -in {name} -nodes -out store.pem`"
            )
        } else {
            format!(
                "it is DER and not PEM: convert it with `openssl x509 -inform der -in {name} -out cert.pem` \
                 or `openssl pkey -inform der -in {name} -out key.pem`"
            )
        }),
        _ => None,
    }
}

/// Returns true if `rest`, behind the tag of a sequence, begins with a length and version 3.
fn is_pkcs12(rest: &[u8]) -> bool {
    let inner = match rest {
        [0x82, _, _, inner @ ..]
        | [0x81, _, inner @ ..]
        | [0x83, _, _, _, inner @ ..]
        | [0x84, _, _, _, _, inner @ ..]
        | [_, inner @ ..] => inner,
        [] => return false,
    };
    inner.starts_with(&[0x02, 0x01, 0x03])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        let of = |bytes: &[u8]| advice(bytes, "store.jks").unwrap_or_default();
        assert!(of(b"").contains("empty"));
        assert!(
            of(&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2])
                .contains("keytool -importkeystore -srckeystore store.jks")
        );
        assert!(of(&[0x30, 0x82, 1, 2, 2, 1, 3, 0x30]).contains("openssl pkcs12 -in store.jks"));
        assert!(of(&[0x30, 0x80, 2, 1, 3, 0x30]).contains("openssl pkcs12"));
        assert!(of(&[0x30, 0x82, 1, 2, 0x30, 0x82]).contains("-inform der"));
        assert_eq!(advice(b"-----BEGIN", "x"), None);
    }
}
