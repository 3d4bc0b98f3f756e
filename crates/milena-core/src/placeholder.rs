//! Finds placeholders that a shell, a chart or a template should have replaced.

/// Returns a placeholder in `text` that was not replaced. `None` if there is none.
///
/// Placeholders are `${NAME}`, `{{ name }}` and `%NAME%`, and `$NAME` if it is the whole text. The
/// result holds only the name of the placeholder. The rest, such as a default, may be a password.
///
/// ```
/// use milena_core::placeholder;
///
/// assert_eq!(placeholder("${BROKERS:-kafka:9092}").as_deref(), Some("${BROKERS}"));
/// assert_eq!(placeholder("up to 100% of 5$"), None);
/// ```
#[must_use]
pub fn placeholder(text: &str) -> Option<String> {
    let text = text.trim();
    if let Some((_, rest)) = text.split_once("${")
        && rest.contains('}')
    {
        return Some(format!("${{{}}}", name(rest)));
    }
    if let Some((_, rest)) = text.split_once("{{")
        && rest.contains("}}")
    {
        return Some("{{ … }}".to_owned());
    }
    if let Some(rest) = text.strip_prefix('$')
        && !rest.is_empty()
        && name(rest).len() == rest.len()
    {
        return Some(text.to_owned());
    }
    let mut pieces = text.split('%');
    pieces.next();
    let mut closed = pieces.collect::<Vec<_>>();
    // The last piece is not followed by a `%`.
    closed.pop();
    let found = closed
        .into_iter()
        .find(|piece| !piece.is_empty() && name(piece).len() == piece.len());
    found.map(|name| format!("%{name}%"))
}

/// Returns the variable name at the start of `text`. Empty if `text` does not start with one.
fn name(text: &str) -> &str {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !text.starts_with(first) {
        return "";
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_expanded_is_found() {
        for (text, found) in [
            ("${STAMP_BROKERS}", "${STAMP_BROKERS}"),
            ("http://${HOST}:9092", "${HOST}"),
            ("${CLIENT:-hunter2}", "${CLIENT}"),
            ("{{ .Values.clientId }}", "{{ … }}"),
            ("%STAMP_GROUP%", "%STAMP_GROUP%"),
            ("a-%GROUP%-b", "%GROUP%"),
            ("$STAMP_GROUP", "$STAMP_GROUP"),
        ] {
            assert_eq!(placeholder(text).as_deref(), Some(found), "{text}");
        }
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in [
            "",
            "$",
            "5$",
            "100%",
            "50% or 60%",
            "^orders\\.\\d{2}$",
            "a{2}b{3}",
            "{}",
            "% %",
            "$a.b",
            "%20%",
        ] {
            assert_eq!(placeholder(text), None, "{text}");
        }
    }
}
