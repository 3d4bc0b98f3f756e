//! The shared files `~/.aws/credentials` and `~/.aws/config`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use milena_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use super::environment::Variables;
use super::sts::{SESSION, WebIdentity};
use crate::aws::credentials::AwsCredentials;

/// The settings of one profile, of both files together.
pub(crate) struct Profile {
    /// The name, for errors.
    name: String,
    /// Names with values.
    values: BTreeMap<String, Zeroizing<String>>,
}

/// The way in which a profile gives credentials.
pub(crate) enum ProfileKind {
    /// Keys that stand in the file.
    Keys(AwsCredentials),
    /// A role that is taken on with a token of the cluster.
    WebIdentity(WebIdentity),
    /// A program with its arguments, which prints credentials.
    Process(String, Vec<String>),
}

impl Profile {
    /// Reads the profile that the variables name, `default` if they name none. `None` if no file
    /// has it. Blocks.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if a file cannot be read, or if a profile was named and is not there.
    pub(crate) fn read(variables: &Variables) -> Result<Option<Self>> {
        let named = variables.value("AWS_PROFILE");
        let name = named.clone().unwrap_or_else(|| "default".to_owned());
        let home = variables
            .value("HOME")
            .or_else(|| variables.value("USERPROFILE"));
        let path = |variable: &str, file: &str| {
            let chosen = variables.value(variable).map(PathBuf::from);
            chosen.or_else(|| Some(PathBuf::from(home.as_ref()?).join(".aws").join(file)))
        };
        let mut values = BTreeMap::new();
        let mut found = false;
        for (path, titles) in [
            (
                path("AWS_CONFIG_FILE", "config"),
                [format!("profile {name}"), name.clone()],
            ),
            (
                path("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
                [name.clone(), name.clone()],
            ),
        ] {
            let Some(path) = path else { continue };
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => Zeroizing::new(text),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    let text = format!("the AWS file {} cannot be read", path.display());
                    return Err(Error::new(ErrorKind::Config, text).with_source(error));
                }
            };
            found |= section(&text, &titles, &mut values);
        }
        match (found, named) {
            (true, _) => Ok(Some(Self { name, values })),
            (false, None) => Ok(None),
            (false, Some(name)) => {
                let text = format!(
                    "no AWS file has the profile {name} that AWS_PROFILE names: run `aws configure --profile {name}`"
                );
                Err(Error::new(ErrorKind::Config, text))
            }
        }
    }

    /// Returns the region that the profile names.
    pub(crate) fn region(&self) -> Option<&str> {
        self.value("region")
    }

    /// Returns the way in which the profile gives credentials. `None` if it has none.
    pub(crate) fn kind(&self) -> Result<Option<ProfileKind>> {
        if let (Some(role), Some(token_file)) = (
            self.value("role_arn"),
            self.value("web_identity_token_file"),
        ) {
            return Ok(Some(ProfileKind::WebIdentity(WebIdentity {
                role: role.to_owned(),
                token_file: token_file.to_owned(),
                session: self
                    .value("role_session_name")
                    .unwrap_or(SESSION)
                    .to_owned(),
            })));
        }
        for name in ["role_arn", "sso_session", "sso_start_url"] {
            if self.value(name).is_some() {
                return Err(self.refused(&format!(
                    "uses {name}, which milena does not read. Run `aws configure export-credentials` \
                     as its credential_process, or pass a provider of your own"
                )));
            }
        }
        if let Some(id) = self.value("aws_access_key_id") {
            let secret = self.value("aws_secret_access_key").ok_or_else(|| {
                self.refused("has aws_access_key_id and no aws_secret_access_key")
            })?;
            let mut credentials = AwsCredentials::new(id, secret);
            credentials.session_token = self.value("aws_session_token").map(Into::into);
            return Ok(Some(ProfileKind::Keys(credentials)));
        }
        let Some(command) = self.value("credential_process") else {
            return Ok(None);
        };
        let mut words = words(command).into_iter();
        let program = words
            .next()
            .ok_or_else(|| self.refused("names no program"))?;
        Ok(Some(ProfileKind::Process(program, words.collect())))
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.as_str())
    }

    fn refused(&self, why: &str) -> Error {
        let text = format!("the AWS profile {} {why}", self.name);
        Error::new(ErrorKind::Config, text)
    }
}

/// Adds the values of the sections with one of `titles` to `values`. Returns true if there is one.
fn section(
    text: &str,
    titles: &[String; 2],
    values: &mut BTreeMap<String, Zeroizing<String>>,
) -> bool {
    let (mut inside, mut found) = (false, false);
    for line in text.lines() {
        // An indented line belongs to a setting with parts of its own, which are not read.
        let plain = line.trim();
        if line.starts_with([' ', '\t']) || plain.is_empty() || plain.starts_with(['#', ';']) {
            continue;
        }
        if let Some(title) = plain
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        {
            let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
            inside = titles.contains(&title);
            found |= inside;
        } else if let Some((name, value)) = plain.split_once('=').filter(|_| inside) {
            // A comment begins behind a space, since a key may have the sign.
            let value = value.split(" #").next().unwrap_or_default().trim();
            values.insert(
                name.trim().to_ascii_lowercase(),
                Zeroizing::new(value.to_owned()),
            );
        }
    }
    found
}

/// Splits a command into words. Double quotes keep spaces.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in command.split('"').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_section_is_read() {
        let text = "[default]\nregion = a\n\n[profile  dev]\n# x\nregion=b # comment\ns3 =\n  region = c\nKEY = d#e\n[other]\nregion = f\n";
        let mut values = BTreeMap::new();
        let titles = ["profile dev".to_owned(), "dev".to_owned()];
        assert!(section(text, &titles, &mut values));
        let shown: Vec<_> = values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(shown, [("key", "d#e"), ("region", "b"), ("s3", "")]);
        let none = ["x".to_owned(), "x".to_owned()];
        assert!(!section(text, &none, &mut values));
    }

    #[test]
    fn quotes_keep_the_spaces_of_a_word() {
        assert_eq!(
            words(r#""/opt/my tool" print --as a"#),
            ["/opt/my tool", "print", "--as", "a"]
        );
        assert!(words("  ").is_empty());
    }
}
