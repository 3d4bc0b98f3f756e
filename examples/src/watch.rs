//! Watching the order system: its health, its metrics and its traces, where they were asked for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use milena::health::{Health, HttpServer};
use milena::metrics::Metrics;
use milena::trace::otlp::{self, Otlp};
use milena::trace::{TraceSend, TraceSendLayer};
use milena::{ClientBuilder, Error, ErrorKind, Producer, Result, shutdown_signal};
use tokio::sync::Notify;
use tokio::time::timeout;
use tower_layer::Layer;

use crate::settings;
use crate::tally::Tally;

/// A producer that carries traces on.
pub type Writer = TraceSend<Producer>;

/// What the order system can be told on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `--http ADDRESS`: where health and metrics are served; port 0 takes a free one.
    pub http: Option<SocketAddr>,
    /// `--otlp URL`: the collector that every order's trace goes to.
    pub otlp: Option<String>,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// Where an argument is not known, or not of its kind.
    pub fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let mut value = || {
                let missing = || wrong(format!("{name} needs a value"));
                arguments.next().ok_or_else(missing)
            };
            match name.as_str() {
                "--http" => {
                    let text = value()?;
                    let address = text.parse();
                    options.http = Some(address.map_err(|cause| {
                        wrong(format!(
                            "`{text}` is no address such as 127.0.0.1:9404: {cause}"
                        ))
                    })?);
                }
                "--otlp" => options.otlp = Some(value()?),
                _ => {
                    return Err(wrong(format!(
                        "`{name}` is not known; there are --http ADDRESS and --otlp URL"
                    )));
                }
            }
        }
        Ok(options)
    }
}

fn wrong(what: String) -> Error {
    Error::new(ErrorKind::Config, what)
}

/// What watches a running system.
#[derive(Debug)]
pub struct Watch {
    /// Its health.
    pub health: Health,
    /// Its metrics.
    pub metrics: Metrics,
    server: Option<HttpServer>,
    export: Option<Otlp>,
    scraped: Arc<Notify>,
}

impl Watch {
    /// Begins to log, to serve and to export what was asked for; says where it serves.
    ///
    /// # Errors
    /// Where the address is in use, or the collector's is none.
    pub async fn start(options: &Options, tally: &Tally) -> Result<Self> {
        let export = options.otlp.as_ref().map(|endpoint| {
            otlp::exporter("order-system")
                .endpoint(endpoint.clone())
                .start()
        });
        let export = export.transpose()?;
        settings::log_with(export.as_ref());
        let (health, metrics) = (Health::new(), Metrics::new());
        let scraped = Arc::new(Notify::new());
        let mut server = None;
        if let Some(address) = options.http {
            let (figures, tally, notify) = (metrics.clone(), tally.clone(), Arc::clone(&scraped));
            let page = health.http().listen(address).metrics(move || {
                notify.notify_waiters();
                figures.text() + &tally.text()
            });
            let started = page.serve().await?;
            println!(
                "Health and metrics are served at http://{}",
                started.address()
            );
            server = Some(started);
        }
        Ok(Self {
            health,
            metrics,
            server,
            export,
            scraped,
        })
    }

    /// Has a client watched.
    pub fn client(&self, builder: ClientBuilder) -> ClientBuilder {
        builder.health(&self.health).metrics(&self.metrics)
    }

    /// Wraps a producer, so that what it sends carries its trace.
    #[must_use]
    pub fn writer(&self, producer: Producer) -> Writer {
        writer(producer, self.ratio())
    }

    /// How many of the orders are traced: all where someone asked for traces, else none.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        if self.export.is_some() { 1.0 } else { 0.0 }
    }

    /// Ends it, after the clients. Where it serves, that is once the last figures were scraped, or after `patience`, or at a signal.
    ///
    /// # Errors
    /// Where the collector did not take the last spans.
    pub async fn end(self, patience: Duration) -> Result<()> {
        if let Some(server) = self.server {
            println!(
                "The last figures can be scraped for {} s.",
                patience.as_secs()
            );
            let scraped = async {
                tokio::select! {
                    () = self.scraped.notified() => {}
                    _ = shutdown_signal() => {}
                }
            };
            let _ = timeout(patience, scraped).await;
            server.shutdown().await;
        }
        match self.export {
            Some(export) => export.shutdown().await,
            None => Ok(()),
        }
    }
}

/// Wraps a producer, so that what it sends carries its trace; so many of those that begin one are recorded.
#[must_use]
pub fn writer(producer: Producer, ratio: f64) -> Writer {
    TraceSendLayer::new().sample(ratio).layer(producer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Options> {
        Options::read(arguments.iter().map(ToString::to_string))
    }

    #[test]
    fn options_are_read_and_others_are_named() {
        assert_eq!(read(&[]).unwrap(), Options::default());
        let options = read(&["--http", "127.0.0.1:0", "--otlp", "http://localhost:4318"]);
        let options = options.unwrap();
        assert_eq!(options.http.unwrap().port(), 0);
        assert!(options.otlp.is_some());
        for (arguments, named) in [
            (&["--http"][..], "--http needs"),
            (&["--http", "9404"], "9404"),
            (&["--https", "a"], "--https"),
        ] {
            let error = read(arguments).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
