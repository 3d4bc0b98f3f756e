//! Holds the comments of all Rust files to the house's plain English.
//!
//! `MILENA_HOUSE_LIST=crates/milena-pool cargo test -p milena --test house comments -- --nocapture`
//! lists every line and sentence of that folder that counts.

use std::path::Path;

use crate::sources::{root, rust_files};

/// The widest comment line, in characters.
const COLUMNS: usize = 100;
/// Openings of a doc comment that hide its subject.
const OPENINGS: [&str; 12] = [
    "what", "what's", "who", "whom", "whose", "whether", "where", "wherever", "whatever",
    "whoever", "so many", "so much",
];
/// The most doc comments that may open like that, of a thousand.
const OPENINGS_PER_MILLE: usize = 30;
/// The most sentences that may be joined by `;` or `:`, of a thousand.
const JOINED_PER_MILLE: usize = 150;

#[test]
fn no_comment_is_wider_than_a_line_of_code() {
    let figures = Figures::of_all();
    assert!(
        figures.wide.is_empty(),
        "wider than {COLUMNS}: {:#?}",
        figures.wide
    );
}

#[test]
fn doc_comments_open_with_their_subject() {
    let figures = Figures::of_all();
    let most = figures.docs * OPENINGS_PER_MILLE / 1_000;
    assert!(
        figures.openings.len() <= most,
        "{} of {} doc comments hide their subject, {most} may: {:#?}",
        figures.openings.len(),
        figures.docs,
        figures.openings
    );
}

#[test]
fn few_sentences_are_joined_by_a_semicolon_or_a_colon() {
    let figures = Figures::of_all();
    let most = figures.sentences * JOINED_PER_MILLE / 1_000;
    assert!(
        figures.joined.len() <= most,
        "{} of {} sentences are joined, {most} may be: {:#?}",
        figures.joined.len(),
        figures.sentences,
        figures.joined
    );
}

#[test]
fn the_figures_of_a_folder_can_be_listed() {
    let Ok(folder) = std::env::var("MILENA_HOUSE_LIST") else {
        return;
    };
    let figures = Figures::of(&root().join(&folder));
    for (what, list) in [
        ("wide", &figures.wide),
        ("opening", &figures.openings),
        ("joined", &figures.joined),
    ] {
        for one in list {
            println!("{what} {one}");
        }
    }
    println!(
        "{folder}: {} wide; {} of {} openings; {} of {} sentences joined",
        figures.wide.len(),
        figures.openings.len(),
        figures.docs,
        figures.joined.len(),
        figures.sentences
    );
}

#[test]
fn comments_are_told_by_their_figures() {
    let text = "/// Whether it is open.\n\
        /// The queue; it is short. See `a: b`.\n\
        struct A;\n\
        \n\
        // One thing: another. A third.\n\
        let url = \"http://x: y\";\n\
        //! Lists:\n\
        //! - one\n";
    let mut figures = Figures::default();
    figures.read("a.rs", text);
    assert_eq!(figures.docs, 2);
    assert_eq!(figures.openings.len(), 1);
    assert_eq!(figures.sentences, 7);
    assert_eq!(figures.joined.len(), 2, "{:?}", figures.joined);
    assert!(figures.wide.is_empty());
    figures.read("b.rs", &format!("// {}\n", "x".repeat(COLUMNS)));
    assert_eq!(figures.wide.len(), 1);
}

/// The figures of the comments of some files.
#[derive(Debug, Default)]
struct Figures {
    /// Comment lines that are too wide.
    wide: Vec<String>,
    /// How many doc comments there are.
    docs: usize,
    /// Doc comments that open without their subject.
    openings: Vec<String>,
    /// How many sentences all comments have.
    sentences: usize,
    /// Sentences that are two, joined by a semicolon or a colon.
    joined: Vec<String>,
}

/// Comment lines of one kind that follow each other.
#[derive(Debug, Default)]
struct Block {
    kind: &'static str,
    line: usize,
    lines: Vec<String>,
}

impl Figures {
    fn of_all() -> Self {
        let mut all = Self::default();
        for folder in ["crates", "benches", "examples"] {
            all.add(&root().join(folder));
        }
        all
    }

    fn of(folder: &Path) -> Self {
        let mut figures = Self::default();
        figures.add(folder);
        figures
    }

    fn add(&mut self, folder: &Path) {
        for path in rust_files(folder) {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(root()).unwrap_or(&path);
            self.read(&name.display().to_string(), &text);
        }
    }

    fn read(&mut self, name: &str, text: &str) {
        let mut block = Block::default();
        for (number, line) in text.lines().enumerate() {
            let trimmed = line.trim_start();
            let kind = ["//!", "///", "//"]
                .into_iter()
                .find(|kind| trimmed.starts_with(kind))
                .unwrap_or_default();
            if !kind.is_empty() && line.chars().count() > COLUMNS && !line.contains("://") {
                self.wide.push(format!("{name}:{}", number + 1));
            }
            if kind != block.kind {
                self.end(name, &block);
                block = Block {
                    kind,
                    line: number + 1,
                    lines: Vec::new(),
                };
            }
            if let Some(words) = trimmed.strip_prefix(kind).filter(|_| !kind.is_empty()) {
                block.lines.push(words.trim().to_owned());
            }
        }
        self.end(name, &block);
    }

    fn end(&mut self, name: &str, block: &Block) {
        if block.kind.is_empty() {
            return;
        }
        let place = format!("{name}:{}", block.line);
        if block.kind != "//" {
            self.docs += 1;
            let first = block.lines.first().map(|line| line.to_lowercase());
            let opens = |opening: &str| {
                first.as_deref().is_some_and(|line| {
                    let rest = line.strip_prefix(opening);
                    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
                })
            };
            if OPENINGS.iter().any(|opening| opens(opening)) {
                let first = block.lines.first().map(String::as_str).unwrap_or_default();
                self.openings.push(format!("{place}: {first}"));
            }
        }
        for sentence in sentences(&block.lines) {
            self.sentences += 1;
            if is_joined(&sentence) {
                self.joined.push(format!("{place}: {sentence}"));
            }
        }
    }
}

/// The sentences of a comment, without code, tables and headings.
fn sentences(lines: &[String]) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    let mut fenced = false;
    for line in lines {
        if line.starts_with("```") {
            fenced = !fenced;
            paragraphs.push(String::new());
            continue;
        }
        if fenced || line.starts_with('#') || line.starts_with('|') {
            continue;
        }
        let item = line.starts_with("- ") || line.starts_with("* ");
        let numbered = line.split_once(". ").is_some_and(|(number, _)| {
            !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
        });
        if line.is_empty() || item || numbered {
            paragraphs.push(String::new());
        }
        let words = match numbered {
            true => line
                .split_once(". ")
                .map_or(line.as_str(), |(_, rest)| rest),
            false => line,
        };
        let paragraph = paragraphs.last_mut().unwrap();
        paragraph.push_str(words);
        paragraph.push(' ');
    }
    let mut all = Vec::new();
    for paragraph in paragraphs {
        let plain = without_code(&paragraph);
        let mut sentence = String::new();
        let mut characters = plain.trim().chars().peekable();
        while let Some(character) = characters.next() {
            sentence.push(character);
            let ends = matches!(character, '.' | '?' | '!')
                && characters.peek().is_none_or(|next| *next == ' ');
            if ends {
                all.push(std::mem::take(&mut sentence).trim().to_owned());
            }
        }
        all.push(sentence.trim().to_owned());
    }
    all.retain(|sentence| sentence.chars().any(char::is_alphabetic));
    all
}

/// The text with each code span and link target replaced by a letter.
fn without_code(text: &str) -> String {
    let mut plain = String::new();
    for (at, part) in text.split('`').enumerate() {
        plain.push_str(if at % 2 == 0 { part } else { "x" });
    }
    let mut out = String::new();
    let mut rest = plain.as_str();
    while let Some((before, behind)) = rest.split_once("](") {
        out.push_str(before);
        rest = behind.split_once(')').map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}

/// Returns true if a sentence is two, joined.
fn is_joined(sentence: &str) -> bool {
    sentence.contains("; ") || sentence.ends_with(';') || sentence.contains(": ")
}
