//! The part of a client that a setting belongs to.

/// The part of the client that a setting belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Section {
    /// Settings that everything made by the client shares. At the top level of a file.
    Client,
    /// Settings of producers. In the section `producer`.
    Producer,
    /// Settings of consumers. In the section `consumer`.
    Consumer,
}

impl Section {
    /// All sections, in the order of the documentation.
    pub(crate) const ALL: [Self; 3] = [Self::Client, Self::Producer, Self::Consumer];

    /// The name of the section that belongs to the program. A file may hold anything there.
    pub(crate) const PROGRAM: &'static str = "app";

    /// Returns its name in a file. `None` is the top level.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Client => None,
            Self::Producer => Some("producer"),
            Self::Consumer => Some("consumer"),
        }
    }
}
