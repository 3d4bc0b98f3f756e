//! The builder of metrics. It takes the registry, the labels and the bound on label values.

use std::collections::HashMap;

use milena_core::{Error, ErrorKind, Result};
use prometheus::Registry;

use crate::metrics::Metrics;

/// The settings of [`Metrics`]. [`Metrics::builder`] makes it.
#[derive(Clone, Debug)]
#[must_use = "nothing is registered before `build`"]
pub struct MetricsBuilder {
    /// The registry to register in. `None` makes a new one.
    registry: Option<Registry>,
    /// The largest number of values of one label. At least 1.
    max_label_values: usize,
    /// The labels that every metric gets.
    constant: HashMap<String, String>,
}

impl Metrics {
    /// Makes metrics in a registry of their own.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        clippy::expect_used,
        reason = "names are fixed, and a new registry holds none; a test registers them all"
    )]
    pub fn new() -> Self {
        Self::builder().build().expect("the names differ")
    }

    /// Begins to set up metrics.
    pub fn builder() -> MetricsBuilder {
        MetricsBuilder::default()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
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
    /// Registers the metrics in a program's own registry, whose prefix and labels they take on. By
    /// default they get a registry of their own.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
        self
    }

    /// Adds a label with a fixed value to every metric, such as the name of a cluster. Default
    /// none.
    ///
    /// The clients of one `Metrics` are counted together. If they belong to several clusters, whose
    /// brokers and groups may have the same names, give each cluster a `Metrics` of its own in one
    /// registry.
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

    /// Sets the number of values that a label may take, such as topics, groups or partitions of one
    /// metric. All further values are counted together as `_overflow`. Default 256, so that a flood
    /// of names costs neither this process nor Prometheus more than that. At least 1.
    pub fn max_label_values(mut self, values: usize) -> Self {
        self.max_label_values = values.max(1);
        self
    }

    /// Registers all metrics.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the registry already holds metrics of these names. Give the same
    /// [`Metrics`] to several clients, or give each client its own registry, or add a
    /// [label](Self::add_label) that differs.
    pub fn build(self) -> Result<Metrics> {
        let registry = self.registry.unwrap_or_default();
        let made = Metrics::register(registry, &self.constant, self.max_label_values);
        made.map_err(|cause| {
            let what = "the metrics cannot be registered; give one `Metrics` to all clients, or give each its own registry or label";
            Error::new(ErrorKind::Config, what).with_source(cause)
        })
    }
}
