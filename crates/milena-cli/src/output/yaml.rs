//! A value as a YAML document.

use serde_json::Value;

/// The document. Strings are quoted as in JSON, which YAML reads, unless they are plain words.
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
                // The first key of an object stands behind the dash.
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

fn is_nested(value: &Value) -> bool {
    match value {
        Value::Array(values) => !values.is_empty(),
        Value::Object(pairs) => !pairs.is_empty(),
        _ => false,
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(word) if is_plain(word) => word.clone(),
        other => other.to_string(),
    }
}

/// Whether YAML reads it as this string without quotes.
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
