//! The tables of settings in the documentation, generated from the settings themselves.

use crate::foreign_names::{NAMES, Rule, SECURITY};
use crate::table::{find, keys};

/// Returns the table of all settings.
fn settings() -> String {
    let mut text = String::from(
        "\n# Every setting\n\n| Key | Kafka's key | Written as | Default | Meaning |\n|---|---|---|---|---|\n",
    );
    let code = |name: &str| match name.is_empty() {
        true => "–".to_owned(),
        false => format!("`{name}`"),
    };
    for key in keys() {
        let cells = [
            code(&key.path()),
            code(key.kafka),
            key.allowed.to_owned(),
            code(key.default),
            key.about.to_owned(),
        ];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

/// Returns the table of other clients' names.
fn properties() -> String {
    let mut text = String::from(
        "\n# Names of other clients\n\nProperties of Kafka's Java clients and of librdkafka, by `ClientBuilder::properties` or a file that ends in \
         `.properties`. A name with a dot or a low line at its end stands for all that begin so. An empty value, and `null`, say nothing: what was \
         set stays. What is passed over is told in one warning.\n\n| Property | What becomes of it |\n|---|---|\n",
    );
    for known in NAMES {
        let fate = match &known.rule {
            Rule::Is(targets, _) => {
                let paths = targets.iter().filter_map(|(section, name)| {
                    let key = find(*section, name)?;
                    let kept = key.kafka == known.name;
                    let word = if kept { "kept, as" } else { "mapped to" };
                    Some(format!("{word} `{}`", key.path()))
                });
                paths.collect::<Vec<_>>().join(" and ")
            }
            Rule::With(main, _) => format!("kept, with `{main}`"),
            Rule::Only(values, why) => {
                let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
                format!("{} kept, else refused: {why}", values.join(", "))
            }
            Rule::Passed(values, why) => {
                let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
                match values.is_empty() {
                    true => format!("passed over: {why}"),
                    false => format!("{} kept, else passed over: {why}", values.join(", ")),
                }
            }
            Rule::Security => format!(
                "passed over beside `security.protocol=PLAINTEXT`, else refused: {SECURITY}"
            ),
            Rule::Refused(why) => format!("refused: {why}"),
        };
        text.push_str(&format!("| `{}` | {fate} |\n", known.name));
    }
    text
}

mod tests {
    use super::*;
    use crate::drafts::Drafts;
    use crate::section::Section;
    use crate::table::{self, keys_of};
    use crate::value::Raw;

    /// Compares a written table with the generated one. Run with `MILENA_TEST_WRITE=1` to write the
    /// table anew.
    fn holds(file: &str, written: &str, made: &str) {
        if std::env::var_os("MILENA_TEST_WRITE").is_some() {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            std::fs::write(path, made).unwrap();
            return;
        }
        assert_eq!(written, made, "{file} is not what the settings are");
    }

    #[test]
    fn the_tables_of_the_documents_are_what_the_settings_are() {
        holds("src/keys.md", include_str!("keys.md"), &settings());
        holds(
            "src/properties.md",
            include_str!("properties.md"),
            &properties(),
        );
    }

    #[test]
    fn every_default_is_written_as_its_setting_reads_it() {
        for key in keys().filter(|key| !key.default.is_empty()) {
            let default = Raw::Text(key.default.to_owned());
            let read = table::read(key, &default, &mut Drafts::default());
            assert!(read.is_ok(), "{} = {}", key.path(), key.default);
        }
    }

    #[test]
    fn names_are_unique_and_targets_exist() {
        for section in Section::ALL {
            let here = keys_of(section);
            for key in &here {
                let same = here.iter().filter(|other| other.name == key.name);
                assert_eq!(same.count(), 1, "{}", key.path());
            }
        }
        for (at, known) in NAMES.iter().enumerate() {
            let again = NAMES[at + 1..].iter().any(|other| other.name == known.name);
            assert!(!again, "{}", known.name);
            if let Rule::Is(targets, _) = &known.rule {
                for (section, name) in *targets {
                    assert!(find(*section, name).is_some(), "{}: {name}", known.name);
                }
            }
            if let Rule::With(main, _) = &known.rule {
                assert!(NAMES.iter().any(|other| other.name == *main), "{main}");
            }
        }
    }

    #[test]
    fn every_setting_with_a_name_of_kafkas_is_reached_by_it() {
        for key in keys().filter(|key| !key.kafka.is_empty()) {
            let known = NAMES.iter().find(|known| known.name == key.kafka);
            assert!(
                known.is_some(),
                "{} has no property {}",
                key.path(),
                key.kafka
            );
        }
    }
}
