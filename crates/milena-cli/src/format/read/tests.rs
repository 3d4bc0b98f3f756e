//! Input is cut into records, whatever the size of its pieces.

use super::*;

type Pair = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Reads keys and values from input that comes in pieces of `step` bytes.
fn read(format: &str, null: Option<&str>, input: &[u8], step: usize) -> Result<Vec<Pair>, String> {
    let format: RecordFormat = format.parse()?;
    let mut reader = Reader::new(format.null(null), 1 << 20)?;
    let mut found = Vec::new();
    let take = |reader: &mut Reader, found: &mut Vec<Pair>| -> Result<(), String> {
        while let Some(record) = reader.next()? {
            let owned = |bytes: Option<Cow<'_, [u8]>>| bytes.map(Cow::into_owned);
            found.push((owned(record.key), owned(record.value)));
        }
        Ok(())
    };
    for piece in input.chunks(step) {
        reader.feed(piece);
        take(&mut reader, &mut found)?;
    }
    reader.end();
    take(&mut reader, &mut found)?;
    Ok(found)
}

fn pair(key: Option<&str>, value: Option<&str>) -> Pair {
    (
        key.map(std::convert::Into::into),
        value.map(std::convert::Into::into),
    )
}

#[test]
fn lines_are_values_however_the_input_comes() {
    let wanted = [
        pair(None, Some("one")),
        pair(None, Some("")),
        pair(None, Some("three")),
    ];
    for step in 1..12 {
        assert_eq!(read("%v\\n", None, b"one\n\nthree", step).unwrap(), wanted);
    }
}

#[test]
fn keys_end_where_the_text_between_begins() {
    let wanted = [pair(Some("k1"), Some("v=1")), pair(Some(""), None)];
    for step in 1..12 {
        let input = b"k1=>v=1\n=>NULL\n";
        assert_eq!(
            read("%k=>%v\\n", Some("NULL"), input, step).unwrap(),
            wanted
        );
    }
}

#[test]
fn lengths_carry_any_byte_and_null() {
    let wanted = [
        pair(Some("a\n"), Some("b\nc")),
        pair(None, Some("")),
        pair(Some(""), None),
    ];
    for step in 1..12 {
        let input = b"2 3 a\nb\nc\n-1 0 \n0 -1 \n";
        assert_eq!(read("%K %V %k%v\\n", None, input, step).unwrap(), wanted);
    }
}

#[test]
fn a_format_without_an_end_takes_the_whole_input() {
    let wanted = [pair(None, Some("a\nb\n"))];
    assert_eq!(read("%v", None, b"a\nb\n", 2).unwrap(), wanted);
}

#[test]
fn input_that_is_not_as_the_format_says_is_named() {
    let error = read("%K %k\\n", None, b"1 a\nx b\n", 3).unwrap_err();
    assert_eq!(error, "record 2 of the input: 'x' is not a length");
    let error = read("%k\\t%v\\n", None, b"a\tb\nc\n", 3).unwrap_err();
    assert_eq!(error, "record 2 of the input: '\\t' was expected");
    let error = read("%k\\t%v\\n", None, b"a\nb\tc\n", 3).unwrap_err();
    assert_eq!(error, "record 1 of the input: '\\t' was expected");
    let error = read("%V %v\\n", None, b"9 a\n", 3).unwrap_err();
    assert!(error.contains("cut short"), "{error}");
    assert!(read("%k%v\\n", None, b"", 1).is_err());
    assert!(read("%D\\n", None, b"", 1).is_err());
}

#[test]
fn all_that_can_be_read_is_read() {
    let format: RecordFormat = "%t %p %T %h %o %v{hex}\\n".parse().unwrap();
    let mut reader = Reader::new(format, 1 << 20).unwrap();
    reader.feed(b"orders 3 1700 a=1,b 9 6869\n");
    let record = reader.next().unwrap().unwrap();
    assert_eq!(record.topic.as_deref(), Some("orders"));
    assert_eq!((record.partition, record.timestamp), (Some(3), Some(1700)));
    assert_eq!(record.value.as_deref(), Some(&b"hi"[..]));
    let headers = record.headers.unwrap();
    assert_eq!(headers.get("a"), Some(Some(&b"1"[..])));
    assert_eq!(headers.get("b"), Some(None));
}
