//! Values as YAML documents.

use serde_json::Value;

/// Writes a document. Strings that are not plain words are quoted as in JSON, which YAML reads too.
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
        other => other.to_string(),
    }
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
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_and_objects_are_indented() {
        let value = json!([{"topic": "orders", "partitions": [{"id": 0, "replicas": [1, 2]}], "configs": {}}, {"topic": "no"}]);
        let wanted = "- configs: {}\n  partitions:\n    - id: 0\n      replicas:\n        - 1\n        - 2\n  topic: orders\n- topic: \"no\"\n";
        assert_eq!(document(&value), wanted);
        assert_eq!(document(&json!([])), "[]\n");
        assert_eq!(
            document(&json!(["a: b", "5", null])),
            "- \"a: b\"\n- \"5\"\n- null\n"
        );
    }
}
