//! Configuration files are checked.

use std::io::Write;

use crate::world::{milena, run};

fn check(ending: &str, text: &str) -> (i32, String, String) {
    let mut file = tempfile::Builder::new().suffix(ending).tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let output = run(milena(&["config", "check", path]), b"");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_sound_file_is_said_to_be_so_in_each_form() {
    for (ending, text) in [
        (
            ".yaml",
            "bootstrap: kafka-1:9092\nproducer:\n  linger: 5ms\n",
        ),
        (
            ".toml",
            "bootstrap = \"kafka-1:9092\"\n[producer]\nlinger = \"5ms\"\n",
        ),
    ] {
        let (code, told, wrong) = check(ending, text);
        assert_eq!(code, 0, "{wrong}");
        assert!(told.ends_with("\tok\n"), "{told}");
    }
    let (code, told, wrong) = check(
        ".properties",
        "bootstrap.servers=kafka-1:9092\nlinger.ms=5\n",
    );
    assert_eq!(code, 0, "{wrong}");
    assert!(told.contains("linger.ms\t"), "{told}");
}

#[test]
fn a_slip_is_told_with_its_line_and_what_was_meant() {
    let (code, _, wrong) = check(
        ".yaml",
        "bootstrap: kafka-1:9092\nproducer:\n  lingr: 5ms\n",
    );
    assert_eq!(code, 2, "{wrong}");
    assert!(wrong.contains("linger") && wrong.contains('3'), "{wrong}");
    let text = "key.serializer=org.example.Mine\nsasl.jaas.config=x \\\n  password='CANARY';\nlinger.ms=5\n";
    let (code, told, wrong) = check(".properties", text);
    assert_eq!(code, 2, "{wrong}");
    assert!(
        !told.contains("CANARY") && !wrong.contains("CANARY"),
        "{told}{wrong}"
    );
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines.len(), 3, "a line that goes on counts once: {told}");
    assert!(lines[0].contains("passed over"), "{told}");
    assert!(
        lines[1].contains("\t2\tsasl.jaas.config\trefused"),
        "{told}"
    );
    assert!(lines[2].contains("\t4\tlinger.ms\tkept"), "{told}");
    let output = run(milena(&["config", "check", "no-such-file.yaml"]), b"");
    assert_eq!(output.status.code(), Some(7));
    let keys = run(milena(&["config", "keys"]), b"");
    assert!(
        String::from_utf8(keys.stdout)
            .unwrap()
            .contains("MILENA_PRODUCER_LINGER")
    );
}
