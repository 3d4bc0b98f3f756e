//! Placeholders that a shell, a chart or a template was to fill in, and did not.

/// Returns the placeholder in `text` that nothing has expanded: `${NAME}`, `{{ name }}`, `%NAME%`, or `$NAME` where
/// that is the whole text. `None` where there is none.
///
/// What stands in a placeholder beside its name, such as a default, is left out: it may be a password.
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
    // The last piece has no `%` behind it.
    closed.pop();
    let found = closed
        .into_iter()
        .find(|piece| !piece.is_empty() && name(piece).len() == piece.len());
    found.map(|name| format!("%{name}%"))
}

/// The name that `text` begins with, as variables are named; empty where it begins with none.
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
