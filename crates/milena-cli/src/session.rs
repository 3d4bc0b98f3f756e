//! A connected client with the options of every command.

use milena::admin::{GroupListing, ListGroups};
use milena::{Admin, Client, Error, ErrorCode, Result};

use crate::args::Global;
use crate::failure::Failure;
use crate::output::Format;

/// The connection and options that commands work with.
pub(crate) struct Session {
    /// The connected client. The program closes it after the command.
    pub(crate) client: Client,
    /// The client's admin, with the timeout of the options.
    pub(crate) admin: Admin,
    /// The options of every command.
    pub(crate) global: Global,
}

impl Session {
    /// Connects to the cluster.
    pub(crate) async fn connect(global: Global) -> Result<Self, Failure> {
        let client = Client::builder()
            .bootstrap(global.bootstrap.clone())
            .client_id(global.client_id.as_str())
            .api_timeout(global.timeout)
            .connect()
            .await
            .map_err(Failure::connecting)?;
        let admin = client.admin().timeout(global.timeout);
        Ok(Self {
            client,
            admin,
            global,
        })
    }

    /// Returns the form of results.
    pub(crate) fn format(&self) -> Format {
        Format::chosen(self.global.output)
    }

    /// Passes the values of all successful items to `then`. Prints all failures but the last on
    /// stderr, and returns the last one.
    pub(crate) async fn good<K, T>(
        &self,
        items: impl IntoIterator<Item = (K, Result<T>)>,
        then: impl FnOnce(Vec<(K, T)>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (item, result) in items {
            match result {
                Ok(value) => good.push((item, value)),
                Err(error) => {
                    let failure = Failure::from(error);
                    // An error of a whole group comes with each of its partitions. It is reported
                    // once.
                    let words = failure.to_string();
                    if !bad.iter().any(|known: &Failure| known.to_string() == words) {
                        bad.push(failure);
                    }
                }
            }
        }
        if !good.is_empty() || bad.is_empty() {
            then(good)?;
        }
        let Some(last) = bad.pop() else {
            return Ok(());
        };
        for failure in bad {
            let failure = crate::nearest::hint(self, failure).await;
            crate::complain(&failure);
        }
        Err(last)
    }

    /// Lists the groups of the brokers that answer, with the last failure of the others. One broker
    /// that does not answer does not hide the groups of the rest.
    pub(crate) async fn listed(
        &self,
        which: ListGroups,
    ) -> Result<(Vec<GroupListing>, Option<Failure>), Failure> {
        let listed = self.admin.list_groups(which).await?;
        let failed = listed.failures.into_iter().map(|(_, error)| error.into());
        let mut failed: Vec<Failure> = failed.collect();
        let last = failed.pop();
        failed.iter().for_each(crate::complain);
        Ok((listed.groups, last))
    }

    /// Returns the number of partitions of a topic. Fails if the topic does not exist.
    pub(crate) async fn partitions_of(&self, topic: &str) -> Result<u32, Failure> {
        let described = self.admin.describe_topics([topic]).await?.all()?;
        let partitions = described.first().map_or(0, |topic| topic.partitions.len());
        Ok(u32::try_from(partitions).unwrap_or(u32::MAX))
    }
}

/// Returns the error that a broker gives for a group that does not exist.
pub(crate) fn no_group(group: &str) -> Error {
    Error::broker(ErrorCode::GROUP_ID_NOT_FOUND).group(group)
}
