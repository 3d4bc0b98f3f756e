//! Flags with one dash, in the style of Go programs, such as `-topic orders`, `-topic=orders` and
//! `-silent`.

use std::collections::HashMap;

/// A flag that a tool knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    /// The name, without dashes.
    pub(super) name: &'static str,
    /// True if a value follows. Other flags are on or off.
    pub(super) takes_value: bool,
    /// The description in the list of flags.
    pub(super) help: &'static str,
}

/// Makes a flag with a value.
pub(super) const fn value(name: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        takes_value: true,
        help,
    }
}

/// Makes a flag that is on or off.
pub(super) const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        takes_value: false,
        help,
    }
}

/// The values of the flags that were given, by name.
#[derive(Debug, Default)]
pub(super) struct Flags(HashMap<&'static str, String>);

impl Flags {
    /// Reads the arguments. Returns `None` if help was asked for.
    pub(super) fn parse(args: Vec<String>, known: &[Flag]) -> Result<Option<Self>, String> {
        let mut flags = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let Some(rest) = arg.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
                break;
            };
            let rest = rest.strip_prefix('-').unwrap_or(rest);
            if rest.is_empty() {
                break;
            }
            let (name, inline) = match rest.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (rest, None),
            };
            let Some(flag) = known.iter().find(|flag| flag.name == name) else {
                return match name {
                    "h" | "help" => Ok(None),
                    _ => Err(format!("flag provided but not defined: -{name}")),
                };
            };
            let value = match (inline, flag.takes_value) {
                (Some(value), true) => value,
                (Some(value), false) => match &*value {
                    "1" | "t" | "T" | "true" | "TRUE" | "True" => "true".to_owned(),
                    "0" | "f" | "F" | "false" | "FALSE" | "False" => String::new(),
                    _ => return Err(format!("invalid boolean value \"{value}\" for -{name}")),
                },
                (None, false) => "true".to_owned(),
                (None, true) => {
                    let value = args.next();
                    value.ok_or_else(|| format!("flag needs an argument: -{name}"))?
                }
            };
            flags.0.insert(flag.name, value);
        }
        Ok(Some(flags))
    }

    /// Returns the value of a flag, or `None` if it was not given or is empty.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    /// Returns true if a flag was given and not set to false.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.value(name).is_some()
    }
}

/// Returns the list of flags as text.
pub(super) fn usage(known: &[Flag]) -> String {
    let mut text = "Available command line options:".to_owned();
    for flag in known {
        let kind = if flag.takes_value { " value" } else { "" };
        text.push_str(&format!("\n  -{}{kind}\n    \t{}", flag.name, flag.help));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Flag] = &[value("topic", ""), value("key", ""), switch("silent", "")];

    fn parsed(args: &[&str]) -> Result<Option<Flags>, String> {
        Flags::parse(args.iter().map(ToString::to_string).collect(), KNOWN)
    }

    #[test]
    fn one_dash_or_two_and_either_spelling() {
        let flags = parsed(&["-topic", "orders", "--key=a=b", "-silent"])
            .unwrap()
            .unwrap();
        assert_eq!(flags.value("topic"), Some("orders"));
        assert_eq!(flags.value("key"), Some("a=b"));
        assert!(flags.is_on("silent"));
        let flags = parsed(&["-silent=false", "--", "-topic", "x"])
            .unwrap()
            .unwrap();
        assert!(!flags.is_on("silent") && flags.value("topic").is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(parsed(&["-help"]).unwrap().is_none());
        assert!(parsed(&["-tpoic", "x"]).unwrap_err().contains("-tpoic"));
        assert!(parsed(&["-topic"]).unwrap_err().contains("-topic"));
        assert!(parsed(&["-silent=maybe"]).unwrap_err().contains("maybe"));
    }
}
