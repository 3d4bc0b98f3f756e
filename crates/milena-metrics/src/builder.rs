//! The builder of metrics: where they are registered, and how many values a label takes.

use std::collections::HashMap;

use milena_core::{Error, ErrorKind, Result};
use prometheus::Registry;

use crate::metrics::Metrics;

/// Sets up [`Metrics`]. Begun by [`Metrics::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing is registered before `build`"]
pub struct MetricsBuilder {
    pub(crate) registry: Option<Registry>,
    pub(crate) max_label_values: usize,
    pub(crate) constant: HashMap<String, String>,
}

impl Default for MetricsBuilder {
    fn default() -> Self {
        Self {
            registry: None,
            max_label_values: 256,
            constant: HashMap::new(),
        }
    }
}

impl MetricsBuilder {
    /// Registers them in a program's own registry, whose prefix and labels they take on. Default a registry of their own.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
        self
    }

    /// Gives each metric a label of the same value, such as the name of a cluster; called again, it adds one. Default none.
    ///
    /// The clients of one `Metrics` are counted together. Where they are of several clusters, whose brokers and groups may have the same
    /// names, give each cluster a `Metrics` of its own in one registry:
    ///
    /// ```
    /// use milena_metrics::Metrics;
    ///
    /// let registry = prometheus::Registry::new();
    /// let [east, west] = ["east", "west"].map(|cluster| {
    ///     Metrics::builder().registry(&registry).add_label("cluster", cluster).build()
    /// });
    /// # let _ = (east?, west?);
    /// # Ok::<_, milena_core::Error>(())
    /// ```
    pub fn add_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.constant.insert(name.into(), value.into());
        self
    }

    /// How many values a label takes, such as topics, groups or partitions of one metric; the others are counted together as
    /// `_overflow`. Default 256, so that a flood of names costs neither this process nor Prometheus more than that.
    pub fn max_label_values(mut self, values: usize) -> Self {
        self.max_label_values = values.max(1);
        self
    }

    /// Registers all metrics.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where the registry holds metrics of these names already: give the same [`Metrics`] to several clients, or
    /// each its own registry, or a [label](Self::add_label) that tells them apart.
    pub fn build(self) -> Result<Metrics> {
        Metrics::start(self).map_err(|cause| {
            let what = "the metrics cannot be registered: give one `Metrics` to all clients, or each its own registry or label";
            Error::new(ErrorKind::Config, what).with_source(cause)
        })
    }
}
