//! What the codecs over serde have in common.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, UnitDeserializer};

use milena_core::{Error, ErrorKind};

use crate::codec::{Part, missing};

/// The value of a missing key or a tombstone: `None` for an optional type.
pub(crate) fn null<T: DeserializeOwned>(part: Part, format: &str) -> Result<T, Error> {
    let nothing: UnitDeserializer<ValueError> = ().into_deserializer();
    T::deserialize(nothing).map_err(|_| missing(part, format))
}

/// The error for bytes that are not of the format and type, with the path of the field that is wrong.
pub(crate) fn undecodable<'de, T, D>(part: Part, format: &str, reader: D) -> Error
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de, Error: Send + Sync + 'static>,
{
    let wanted = short(std::any::type_name::<T>());
    let what = format!("the {part} is no {format} of type `{wanted}`");
    let Err(error) = serde_path_to_error::deserialize::<D, T>(reader) else {
        let what = format!("the {part} goes on after its {format} has ended");
        return Error::new(ErrorKind::Decode, what);
    };
    let path = error.path().to_string();
    let what = match path.as_str() {
        "." => what,
        _ => format!("{what}: wrong at `{path}`"),
    };
    let cause = error.into_inner();
    let told = cause.to_string();
    let plain = without_values(&told);
    match shortened(&plain).or((plain != told).then_some(plain)) {
        Some(text) => Error::new(ErrorKind::Decode, what).with_source(text),
        None => Error::new(ErrorKind::Decode, what).with_source(cause),
    }
}

/// What serde says is wrong, without the value that it found: the text goes into logs and headers, and what a record holds does not.
fn without_values(text: &str) -> String {
    let Some((found, expected)) = text.rsplit_once(", expected ") else {
        return text.to_owned();
    };
    for kind in ["invalid type: ", "invalid value: "] {
        if let Some(found) = found.strip_prefix(kind) {
            // The value stands in quotes behind a word for its type.
            let word = found.split(['`', '"']).next().unwrap_or_default().trim();
            return format!("{kind}{word}, expected {expected}");
        }
    }
    if found.starts_with("unknown variant ") {
        return format!("unknown variant, expected {expected}");
    }
    text.to_owned()
}

/// The beginning and the end of a long text: a cause may quote what a sender wrote, of whatever length, before it tells the place.
fn shortened(text: &str) -> Option<String> {
    if text.len() <= LONGEST {
        return None;
    }
    let begin = text.floor_char_boundary(LONGEST / 2);
    let end = text.ceil_char_boundary(text.len() - LONGEST / 4);
    let (begin, end) = (text.get(..begin)?, text.get(end..)?);
    Some(format!("{begin} … {end}"))
}

/// The longest cause that is told as it is, in bytes.
const LONGEST: usize = 400;

/// The error for a value that the format cannot hold.
pub(crate) fn unwritable<T: ?Sized>(
    format: &str,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let what = format!(
        "a value of type `{}` cannot be written as {format}",
        std::any::type_name::<T>()
    );
    Error::new(ErrorKind::Config, what).with_source(cause)
}

/// The last part of a type's path.
fn short(name: &str) -> &str {
    let base = name.split('<').next().unwrap_or(name);
    base.rsplit("::").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serde_says_is_told_without_the_value_that_it_found() {
        let told = [
            (
                r#"invalid type: string "4111, expected 1111", expected u32 at line 1 column 9"#,
                "invalid type: string, expected u32 at line 1 column 9",
            ),
            (
                "invalid value: integer `300`, expected u8 at line 1 column 3",
                "invalid value: integer, expected u8 at line 1 column 3",
            ),
            (
                "invalid type: map, expected a string",
                "invalid type: map, expected a string",
            ),
            (
                "unknown variant `4111`, expected `card` or `cash` at line 1 column 6",
                "unknown variant, expected `card` or `cash` at line 1 column 6",
            ),
            ("missing field `id`", "missing field `id`"),
            ("EOF while parsing a value", "EOF while parsing a value"),
        ];
        for (text, expected) in told {
            assert_eq!(without_values(text), expected);
        }
    }
}
