//! The builder of metrics: where they are registered, and how many values a label takes.

use milena_core::{Error, ErrorKind, Result};
use prometheus::Registry;

use crate::metrics::Metrics;

/// Sets up [`Metrics`]. Begun by [`Metrics::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing is registered before `build`"]
pub struct MetricsBuilder {
    pub(crate) registry: Option<Registry>,
    pub(crate) max_label_values: usize,
}

impl Default for MetricsBuilder {
    fn default() -> Self {
        Self {
            registry: None,
            max_label_values: 256,
        }
    }
}

impl MetricsBuilder {
    /// Registers them in a program's own registry, whose prefix and labels they take on. Default a registry of their own.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
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
    /// each its own registry.
    pub fn build(self) -> Result<Metrics> {
        Metrics::start(self).map_err(|cause| {
            let what = "the metrics cannot be registered: give one `Metrics` to all clients, or each its own registry";
            Error::new(ErrorKind::Config, what).with_source(cause)
        })
    }
}
