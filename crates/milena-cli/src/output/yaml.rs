//! Values as YAML documents.

use std::fmt::Write as _;

use serde_json::Value;

/// Writes a document. Strings that are not plain words are quoted almost as in JSON.
pub(super) fn document(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Array(_) | Value::Object(_) => node(value, 0, &mut text),
        _ => {
            text.push_str(&scalar(value));
            text.push('\n');
        }
    }
    text
}

/// Writes an array or an object with its indentation.
fn node(value: &Value, depth: usize, text: &mut String) {
    let pad = "  ".repeat(depth);
    match value {
        Value::Array(values) if values.is_empty() => text.push_str("[]\n"),
        Value::Object(pairs) if pairs.is_empty() => text.push_str("{}\n"),
        Value::Array(values) => {
            for value in values {
                text.push_str(&pad);
                text.push_str("- ");
                let from = text.len();
                child(value, depth + 1, text);
                // YAML puts the first key of an object on the line of the dash.
                let rest = text.split_off(from);
                let rest = rest.strip_prefix('\n').unwrap_or(&rest);
                text.push_str(rest.trim_start_matches(' '));
            }
        }
        Value::Object(pairs) => {
            for (key, value) in pairs {
                text.push_str(&pad);
                text.push_str(&scalar(&Value::String(key.clone())));
                text.push(':');
                if !is_nested(value) {
                    text.push(' ');
                }
                child(value, depth + 1, text);
            }
        }
        _ => {}
    }
}

/// Writes the value of a key or of an item.
fn child(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Array(_) | Value::Object(_) if is_nested(value) => {
            text.push('\n');
            node(value, depth, text);
        }
        Value::Array(_) | Value::Object(_) => node(value, depth, text),
        _ => {
            text.push_str(&scalar(value));
            text.push('\n');
        }
    }
}

/// Returns true for an array or an object that is not empty.
fn is_nested(value: &Value) -> bool {
    match value {
        Value::Array(values) => !values.is_empty(),
        Value::Object(pairs) => !pairs.is_empty(),
        _ => false,
    }
}

/// Writes a value that has no children.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(word) if is_plain(word) => word.clone(),
        Value::String(words) => quoted(words),
        other => other.to_string(),
    }
}

/// Writes a string in double quotes.
fn quoted(words: &str) -> String {
    let json = Value::String(words.to_owned()).to_string();
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            // JSON allows these as they are. YAML does not, or takes them for the end of a line.
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(letter));
            }
            _ => text.push(letter),
        }
    }
    text
}

/// Returns true if YAML reads the word as this string even without quotes.
fn is_plain(word: &str) -> bool {
    let first = word
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic());
    let rest = word
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    let taken = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    first && rest && !taken.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests;
