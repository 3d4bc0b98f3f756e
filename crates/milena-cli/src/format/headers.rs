//! Headers as `name=value,name=value`. A header without `=` has a null value.
//!
//! `\` escapes a comma, a backslash, and the `=` of a name. Control characters are written as `\n`,
//! `\t`, `\r` and `\xHH`.

use milena::Headers;
use milena::core::HeadersRef;

/// Writes headers so that [`read`] returns the same. `null` is the text of a null value, and `end`
/// the byte that follows the list.
pub(super) fn write(
    headers: HeadersRef<'_>,
    null: Option<&[u8]>,
    end: Option<u8>,
    out: &mut Vec<u8>,
) {
    for (at, header) in headers.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        escape(header.key, true, end, out);
        match (header.value, null) {
            (Some(value), _) => {
                out.push(b'=');
                escape(value, false, end, out);
            }
            (None, Some(null)) => {
                out.push(b'=');
                escape(null, false, end, out);
            }
            (None, None) => {}
        }
    }
}

/// Writes a name or a value with its escapes.
fn escape(bytes: &[u8], is_name: bool, end: Option<u8>, out: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            b'\\' | b',' => out.extend_from_slice(&[b'\\', *byte]),
            b'=' if is_name => out.extend_from_slice(b"\\="),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte if byte.is_ascii_control() || Some(*byte) == end => {
                out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
            }
            byte => out.push(*byte),
        }
    }
}

/// Reads headers. `null` is the text of a null value.
///
/// # Errors
/// A text for a header without a name, or for an unknown escape.
pub(super) fn read(text: &[u8], null: Option<&[u8]>) -> Result<Headers, String> {
    let mut headers = Headers::new();
    if text.is_empty() {
        return Ok(headers);
    }
    let mut rest = text;
    loop {
        let (name, end) = part(&mut rest, true)?;
        if name.is_empty() {
            return Err("a header needs a name".to_owned());
        }
        let (value, end) = match end {
            Some(b'=') => {
                let (value, end) = part(&mut rest, false)?;
                (Some(value).filter(|value| Some(&value[..]) != null), end)
            }
            end => (None, end),
        };
        match value {
            Some(value) => headers.push(name, value),
            None => headers.push_null(name),
        }
        if end.is_none() {
            return Ok(headers);
        }
    }
}

/// Reads a name or a value without its escapes. Also returns the byte that ended it, which is a
/// comma, or `=` after a name, or `None` at the end of the list.
fn part(rest: &mut &[u8], is_name: bool) -> Result<(Vec<u8>, Option<u8>), String> {
    let mut bytes = Vec::new();
    while let Some((byte, after)) = rest.split_first() {
        *rest = after;
        match byte {
            b',' => return Ok((bytes, Some(b','))),
            b'=' if is_name => return Ok((bytes, Some(b'='))),
            b'\\' => bytes.push(unescape(rest)?),
            byte => bytes.push(*byte),
        }
    }
    Ok((bytes, None))
}

/// Reads the rest of an escape, after its backslash.
fn unescape(rest: &mut &[u8]) -> Result<u8, String> {
    let (byte, after) = rest
        .split_first()
        .ok_or("the headers end in a single \\; a backslash is written \\\\")?;
    *rest = after;
    Ok(match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'\\' | b',' | b'=' => *byte,
        b'x' => {
            let digits = rest.get(..2).unwrap_or_default();
            let text = std::str::from_utf8(digits).unwrap_or_default();
            let byte = u8::from_str_radix(text, 16);
            let byte = byte.map_err(|_| format!("\\x{text} is not two hexadecimal digits"))?;
            *rest = rest.get(2..).unwrap_or_default();
            byte
        }
        other => {
            let other = other.escape_ascii();
            return Err(format!(
                "\\{other} is not an escape of a header; a backslash is written \\\\"
            ));
        }
    })
}

/// Adds one header. Its name ends at the first `=`, and its value is the rest without any escapes.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_header_comes_back() {
        let every: Vec<u8> = (0..=255).collect();
        let mut headers = Headers::new();
        headers.push("p", "x,y=z");
        headers.push("c", "a,b=");
        headers.push("a=b,c\\", "\\");
        headers.push_null("n");
        headers.push("e", "");
        headers.push(every.clone(), every);
        for end in [None, Some(b'\t'), Some(b' '), Some(b'|')] {
            let mut text = Vec::new();
            write(headers.view(), None, end, &mut text);
            assert!(end.is_none_or(|end| !text.contains(&end)));
            assert_eq!(read(&text, None).unwrap(), headers);
        }
    }

    #[test]
    fn what_is_no_list_of_headers_is_refused() {
        for wrong in ["=x", "a=1,,b=2", ",", "a=\\q", "a=\\", "a=\\x0"] {
            assert!(read(wrong.as_bytes(), None).is_err(), "{wrong}");
        }
        let null = read(b"a=NULL,b=1", Some(b"NULL")).unwrap();
        assert_eq!(null.get("a"), Some(None));
    }
}
