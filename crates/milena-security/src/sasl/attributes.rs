//! Lists such as `r=abc,s=def`, of which SCRAM messages are made.

/// Splits a list into names and values, in order. `None` if a part has no name of one letter with
/// `=` behind it.
pub(crate) fn read(text: &str) -> Option<Vec<(char, &str)>> {
    text.split(',').map(attribute).collect()
}

fn attribute(part: &str) -> Option<(char, &str)> {
    let (name, value) = part.split_once('=')?;
    let mut letters = name.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if letter.is_ascii_alphabetic() => Some((letter, value)),
        _ => None,
    }
}

/// Writes `,` as `=2C` and `=` as `=3D`, as a user name in a list needs it.
pub(crate) fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// Reads back the name that [`escape`] wrote. `None` if a `=` begins neither of the two escapes.
pub(crate) fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (letter, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (None, Some(rest)) => ('=', rest),
            (None, None) => return None,
        };
        name.push(letter);
        name.push_str(rest);
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_their_escapes() {
        assert_eq!(escape("a=b,c"), "a=3Db=2Cc");
        for name in ["", "a", "a=b,c", "=2C", ",,=="] {
            assert_eq!(unescape(&escape(name)).as_deref(), Some(name));
        }
        assert_eq!(unescape("a=2cb"), None);
    }

    #[test]
    fn a_list_keeps_its_order_and_its_values_whole() {
        assert_eq!(read("r=a=b,s="), Some(vec![('r', "a=b"), ('s', "")]));
        assert_eq!(read(""), None);
        assert_eq!(read("rr=a"), None);
        assert_eq!(read("r=a,,s=b"), None);
    }
}
