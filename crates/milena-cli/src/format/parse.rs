//! The parser of formats.

use super::encoding::Encoding;
use super::{Field, Piece, RecordFormat};

impl std::str::FromStr for RecordFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the format is empty".to_owned());
        }
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\\' => literal.push(escape(&mut rest)?),
                '%' => {
                    let verb = rest.next().ok_or("the format ends in a single %")?;
                    if verb == '%' {
                        literal.push(b'%');
                        continue;
                    }
                    let mut braces = None;
                    if rest.peek() == Some(&'{') {
                        rest.next();
                        let mut inner = String::new();
                        loop {
                            match rest.next() {
                                Some('}') => break,
                                Some(c) => inner.push(c),
                                None => return Err(format!("%{verb}{{ has no closing brace")),
                            }
                        }
                        braces = Some(inner);
                    }
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Field(field(verb, braces)?));
                }
                c => literal.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self {
            pieces,
            null: None,
            guarded: false,
        })
    }
}

/// Returns the field of a verb and its braces.
fn field(verb: char, braces: Option<String>) -> Result<Field, String> {
    let encoding = |braces: Option<String>| match braces {
        None => Ok(Encoding::Raw),
        Some(name) => Encoding::by_name(&name),
    };
    let field = match verb {
        'k' => return encoding(braces).map(Field::Key),
        'v' | 's' => return encoding(braces).map(Field::Value),
        'h' => match braces {
            None => return Ok(Field::Headers),
            Some(inner) => {
                let (name, how) = match inner.rsplit_once(',') {
                    Some((name, how)) => (name.to_owned(), Some(how.to_owned())),
                    None => (inner, None),
                };
                return Ok(Field::Header(name, encoding(how)?));
            }
        },
        't' => Field::Topic,
        'p' => Field::Partition,
        'o' => Field::Offset,
        'T' => Field::Timestamp,
        'D' => Field::Date,
        'K' => Field::KeyLength,
        'V' | 'S' => Field::ValueLength,
        'H' => Field::HeaderCount,
        other => return Err(format!("%{other} is not a field of a record")),
    };
    match braces {
        None => Ok(field),
        Some(_) => Err(format!("%{verb} takes no braces")),
    }
}

/// Reads the rest of an escape, after its backslash.
fn escape(rest: &mut impl Iterator<Item = char>) -> Result<u8, String> {
    Ok(match rest.next() {
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('t') => b'\t',
        Some('0') => 0,
        Some('\\') => b'\\',
        Some('x') => {
            let digits: String = rest.take(2).collect();
            let byte = u8::from_str_radix(&digits, 16).ok();
            byte.filter(|_| digits.len() == 2)
                .ok_or_else(|| format!("\\x{digits} is not two hexadecimal digits"))?
        }
        Some(other) => {
            return Err(format!(
                "\\{other} is not an escape; a backslash is written \\\\"
            ));
        }
        None => return Err("the format ends in a single \\".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Piece>, String> {
        text.parse::<RecordFormat>().map(|format| format.pieces)
    }

    #[test]
    fn text_fields_and_escapes_are_told_apart() {
        let pieces = parsed("%p@%o\\t%k{hex}=%s%%\\x41\\n").unwrap();
        let literal = |text: &str| Piece::Literal(text.as_bytes().to_vec());
        let wanted = [
            Piece::Field(Field::Partition),
            literal("@"),
            Piece::Field(Field::Offset),
            literal("\t"),
            Piece::Field(Field::Key(Encoding::Hex)),
            literal("="),
            Piece::Field(Field::Value(Encoding::Raw)),
            literal("%A\n"),
        ];
        assert_eq!(pieces, wanted);
        let header = parsed("%h{trace,base64}").unwrap();
        let wanted = Field::Header("trace".to_owned(), Encoding::Base64);
        assert_eq!(header, [Piece::Field(wanted)]);
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (wrong, named) in [
            ("", "empty"),
            ("%", "single %"),
            ("%q", "%q"),
            ("%k{hex", "brace"),
            ("%k{octal}", "octal"),
            ("%p{hex}", "%p"),
            ("\\q", "\\q"),
            ("\\x4", "\\x4"),
        ] {
            let error = parsed(wrong).unwrap_err();
            assert!(error.contains(named), "{wrong}: {error}");
        }
    }
}
