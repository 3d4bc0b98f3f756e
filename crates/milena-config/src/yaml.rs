//! Reads the part of YAML that a flat configuration needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use milena_core::{Error, Result};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::entry::{Entry, Origin};
use crate::section::Section;
use crate::value::Raw;

/// Returns the settings of a YAML document, which has keys with values, lists, and sections of
/// these.
///
/// # Errors
/// An error if the text is no YAML, for a duplicate key, for anchors, aliases and tags, and for
/// deeper nesting.
pub(crate) fn entries(source: &Arc<str>, text: &str) -> Result<Vec<Entry>> {
    let mut reader = Reader {
        source: Arc::clone(source),
        events: Parser::new_from_str(text),
        entries: Vec::new(),
        known: BTreeSet::new(),
    };
    reader.document()?;
    Ok(reader.entries)
}

struct Reader<'a> {
    /// The path of the file, for errors.
    source: Arc<str>,
    /// The rest of the document.
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    /// The settings so far.
    entries: Vec<Entry>,
    /// The keys so far with their sections, to find duplicates.
    known: BTreeSet<(Option<String>, String)>,
}

/// A part of a document that a configuration may have.
enum Piece {
    Text(String),
    /// A plain `null`, `~` or nothing, which YAML's core schema reads as no value.
    Null,
    ListBegins,
    ListEnds,
    MapBegins,
    MapEnds,
    DocumentBegins,
    DocumentEnds,
    End,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<()> {
        let mut documents = 0;
        loop {
            let (piece, line) = self.next()?;
            match piece {
                Piece::DocumentBegins => {
                    documents += 1;
                    if documents > 1 {
                        return Err(self.refuse(line, "a configuration must be one document"));
                    }
                }
                Piece::MapBegins => self.map(None)?,
                Piece::DocumentEnds => {}
                Piece::End => return Ok(()),
                // An empty document holds this.
                Piece::Null => {}
                _ => return Err(self.refuse(line, "a configuration must be keys with values")),
            }
        }
    }

    fn map(&mut self, section: Option<&str>) -> Result<()> {
        loop {
            let (piece, line) = self.next()?;
            let key = match piece {
                Piece::MapEnds => return Ok(()),
                Piece::Text(key) => key,
                _ => return Err(self.refuse(line, "a key must be plain text")),
            };
            if !self.known.insert((section.map(str::to_owned), key.clone())) {
                let what = format!("`{key}` is there a second time");
                return Err(self.refuse(line, &what));
            }
            if section.is_none() && key == Section::PROGRAM {
                self.pass_over()?;
                continue;
            }
            let value = match self.next()?.0 {
                // A section without settings.
                Piece::Null if section.is_none() && is_section(&key) => continue,
                Piece::Null => Raw::Null,
                Piece::Text(text) => Raw::Text(text),
                Piece::ListBegins => Raw::List(self.list(&key)?),
                Piece::MapBegins if section.is_none() => {
                    self.map(Some(&key))?;
                    continue;
                }
                _ => {
                    let what = format!("`{key}` holds keys, but must hold a value");
                    return Err(self.refuse(line, &what));
                }
            };
            self.entries.push(Entry {
                origin: Origin::line(&self.source, line),
                section: section.map(str::to_owned),
                key,
                value,
            });
        }
    }

    /// Passes over one value, with all that it holds.
    ///
    /// # Errors
    /// An error if the text is no YAML. Anchors, aliases and tags are no error here, because they
    /// are not followed.
    fn pass_over(&mut self) -> Result<()> {
        let mut depth = 0_usize;
        loop {
            let Some((event, _)) = self.event()? else {
                return Ok(());
            };
            match event {
                Event::MappingStart(..) | Event::SequenceStart(..) => depth += 1,
                Event::MappingEnd | Event::SequenceEnd => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn list(&mut self, key: &str) -> Result<Vec<String>> {
        let mut items = Vec::new();
        loop {
            let (piece, line) = self.next()?;
            match piece {
                Piece::Text(text) => items.push(text),
                Piece::Null => {}
                Piece::ListEnds => return Ok(items),
                _ => {
                    let what = format!("`{key}` must be a list of plain texts");
                    return Err(self.refuse(line, &what));
                }
            }
        }
    }

    /// Returns the next event of the parser, and the line on which it begins. `None` at the end.
    fn event(&mut self) -> Result<Option<(Event<'a>, usize)>> {
        match self.events.next() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, line(&span)))),
            Some(Err(cause)) => {
                let what = format!("invalid YAML: {}", cause.info());
                Err(self.refuse(cause.marker().line(), &what))
            }
        }
    }

    /// Returns the next part, and the line on which it begins.
    fn next(&mut self) -> Result<(Piece, usize)> {
        loop {
            let Some((event, line)) = self.event()? else {
                return Ok((Piece::End, 0));
            };
            return Ok((
                match event {
                    Event::Nothing | Event::StreamStart => continue,
                    Event::Scalar(text, ScalarStyle::Plain, 0, None) if is_null(&text) => {
                        Piece::Null
                    }
                    Event::Scalar(text, _, 0, None) => Piece::Text(text.into_owned()),
                    Event::SequenceStart(0, None) => Piece::ListBegins,
                    Event::SequenceEnd => Piece::ListEnds,
                    Event::MappingStart(0, None) => Piece::MapBegins,
                    Event::MappingEnd => Piece::MapEnds,
                    Event::DocumentStart(_) => Piece::DocumentBegins,
                    Event::DocumentEnd => Piece::DocumentEnds,
                    Event::StreamEnd => Piece::End,
                    // Aliases can make a small file huge, and a configuration does not need them.
                    _ => {
                        let what = "anchors, aliases and tags are not supported";
                        return Err(self.refuse(line, what));
                    }
                },
                line,
            ));
        }
    }

    fn refuse(&self, line: usize, what: &str) -> Error {
        Origin::line(&self.source, line).refuse(what)
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn is_section(key: &str) -> bool {
    Section::ALL
        .iter()
        .any(|section| section.name() == Some(key))
}

fn line(span: &Span) -> usize {
    span.start.line()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Result<Vec<String>> {
        let entries = entries(&"x.yaml".into(), text)?;
        Ok(entries.iter().map(Entry::path).collect())
    }

    #[test]
    fn nothing_below_app_is_a_setting_however_deep_it_is() {
        let text = "app:\n  http: {port: 8080, tls: {cert: &c a, key: *c}}\n  list: [1, [!t 2]]\n  ? [a]\n  : b\n\
                    client_id: x\nproducer:\n  linger: 5ms\n";
        assert_eq!(keys(text).unwrap(), ["client_id", "producer.linger"]);
        for text in ["app:\n", "app: 5\n", "app: [1]\n", "app: {}\n"] {
            assert!(keys(text).unwrap().is_empty(), "{text}");
        }
    }

    #[test]
    fn app_is_the_programs_only_at_the_top_and_once() {
        assert!(keys("producer:\n  app: {a: 1}\n").is_err());
        assert!(keys("app:\n  a: 1\napp:\n  b: 2\n").is_err());
        assert!(keys("app: {a: &x 5ms}\nclient_id: *x\n").is_err());
        assert!(keys("app: {a: 1\nclient_id: x\n").is_err());
    }
}
