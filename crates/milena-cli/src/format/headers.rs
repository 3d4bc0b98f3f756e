//! Headers as `name=value,name=value`; a header without `=` has a null value.

use milena::Headers;

/// Reads headers.
pub(crate) fn read(text: &[u8]) -> Headers {
    let mut headers = Headers::new();
    if text.is_empty() {
        return headers;
    }
    for each in text.split(|byte| *byte == b',') {
        push(&mut headers, each);
    }
    headers
}

/// Adds one header.
pub(crate) fn push(headers: &mut Headers, text: &[u8]) {
    match text.iter().position(|byte| *byte == b'=') {
        Some(at) => {
            let (name, value) = text.split_at(at);
            let value = value.get(1..).unwrap_or_default();
            headers.push(name.to_vec(), value.to_vec());
        }
        None => headers.push_null(text.to_vec()),
    }
}
