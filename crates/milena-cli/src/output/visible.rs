//! Text in which characters that a terminal acts on, or that cannot be seen, are escaped.

use std::borrow::Cow;

/// Escapes control characters, characters that change the text direction, and characters without
/// width, as in `\n`, `\u{1b}`, `\u{202e}`.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match is_hidden(letter) {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

/// Returns true if a terminal acts on a character or shows nothing for it.
pub(crate) fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_escaped_and_the_rest_is_left() {
        assert_eq!(visible("orders \u{e4}"), "orders \u{e4}");
        assert_eq!(
            visible("a\u{1b}[31m\nb\u{202e}c"),
            "a\\u{1b}[31m\\nb\\u{202e}c"
        );
    }
}
