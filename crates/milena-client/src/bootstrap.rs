//! The forms in which a program gives the addresses of a cluster.

/// One or several addresses, as [`ClientBuilder::bootstrap`](crate::ClientBuilder::bootstrap)
/// takes them.
pub trait Bootstrap {
    /// Returns the entries. Each may hold several addresses with commas between.
    fn servers(self) -> Vec<String>;
}

impl Bootstrap for &str {
    fn servers(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl Bootstrap for String {
    fn servers(self) -> Vec<String> {
        vec![self]
    }
}

impl Bootstrap for &String {
    fn servers(self) -> Vec<String> {
        vec![self.clone()]
    }
}

impl<S: Into<String>> Bootstrap for Vec<S> {
    fn servers(self) -> Vec<String> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<S: Into<String>, const N: usize> Bootstrap for [S; N] {
    fn servers(self) -> Vec<String> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<S: AsRef<str>> Bootstrap for &[S] {
    fn servers(self) -> Vec<String> {
        self.iter().map(|entry| entry.as_ref().to_owned()).collect()
    }
}
