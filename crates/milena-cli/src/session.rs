//! A connected client, and what holds for every command.

use milena::admin::{GroupListing, ListGroups};
use milena::{Admin, Client, Error, ErrorCode, Result};

use crate::args::Global;
use crate::failure::Failure;
use crate::output::Format;

/// What commands work with.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) admin: Admin,
    pub(crate) global: Global,
}

impl Session {
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

    /// How results are written.
    pub(crate) fn format(&self) -> Format {
        Format::chosen(self.global.output)
    }

    /// The values; the failures are told on stderr, and the last of them is the command's, once `then` was done with the values.
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
                    // What holds for the group is said of each of its partitions, and told once.
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

    /// The groups of those brokers that answer, and why others did not; one that does not answer hides no other's.
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

    /// Fails, naming the nearest one, where a topic does not exist; gives how many partitions it has.
    pub(crate) async fn partitions_of(&self, topic: &str) -> Result<u32, Failure> {
        let described = self.admin.describe_topics([topic]).await?.all()?;
        let partitions = described.first().map_or(0, |topic| topic.partitions.len());
        Ok(u32::try_from(partitions).unwrap_or(u32::MAX))
    }
}

/// What a broker says of a group that is not there.
pub(crate) fn no_group(group: &str) -> Error {
    Error::broker(ErrorCode::GROUP_ID_NOT_FOUND).group(group)
}
