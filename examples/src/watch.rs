//! Watches the order system. Serves its health and metrics and exports its traces, if the user asks
//! for them.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use milena::health::{Health, HttpServer};
use milena::metrics::Metrics;
use milena::trace::otlp::{self, Otlp};
use milena::trace::{TraceSend, TraceSendLayer};
use milena::{Client, ClientBuilder, Producer, Result, shutdown_signal};
use tokio::sync::Notify;
use tokio::time::sleep;
use tower_layer::Layer;

use crate::settings;
use crate::tally::Tally;

/// A producer that continues traces.
pub type Writer = TraceSend<Producer>;

/// The options of the order system.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// The address for health and metrics, such as `127.0.0.1:9404`. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,
    /// The collector for the trace of every order, such as `http://127.0.0.1:4318`.
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
}

/// The observers of a running system.
#[derive(Debug)]
pub struct Watch {
    /// The health of the client.
    health: Health,
    /// The metrics of the client.
    metrics: Metrics,
    /// The counts of orders.
    tally: Tally,
    /// The server of health and metrics. `None` if the user gave no address.
    server: Option<HttpServer>,
    /// The export of spans. `None` if the user gave no collector.
    export: Option<Otlp>,
    /// Notified at each scrape of the metrics.
    scraped: Arc<Notify>,
}

impl Watch {
    /// Starts to log, and to serve and export as the options say. Prints the address of the server.
    ///
    /// # Errors
    /// An error if the address is in use, or if the collector's address is invalid.
    pub async fn start(options: &Options, tally: &Tally) -> Result<Self> {
        let exporter = |endpoint| otlp::exporter("order-system").endpoint(endpoint).start();
        let export = options.otlp.as_ref().map(exporter).transpose()?;
        settings::log(export.as_ref());
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
            tally: tally.clone(),
            server,
            export,
            scraped,
        })
    }

    /// Adds the observers to a client.
    pub fn client(&self, builder: ClientBuilder) -> ClientBuilder {
        let builder = builder.health(&self.health).metrics(&self.metrics);
        builder.add_observer(Arc::new(self.tally.clone()))
    }

    /// Returns the share of orders that are traced, which is 1 with a collector and 0 without one.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        if self.export.is_some() { 1.0 } else { 0.0 }
    }

    /// Ends the watch, after the clients. With a server and some patience, it first waits for a
    /// scrape of the last figures, for a signal, or for `patience`.
    ///
    /// # Errors
    /// An error if the collector did not accept the last spans.
    pub async fn end(self, patience: Duration) -> Result<()> {
        if let Some(server) = self.server {
            if !patience.is_zero() {
                // From here on a scrape is noticed, even one before the wait below begins.
                let mut scraped = pin!(self.scraped.notified());
                scraped.as_mut().enable();
                let seconds = patience.as_secs();
                println!("The last figures can be scraped for {seconds} s.");
                tokio::select! {
                    () = scraped => {}
                    () = shutdown_signal() => {}
                    () = sleep(patience) => {}
                }
            }
            server.shutdown().await;
        }
        match self.export {
            Some(export) => export.shutdown().await,
            None => Ok(()),
        }
    }
}

/// Creates a producer whose records carry their traces. `ratio` is the share of new traces that are
/// recorded.
///
/// # Errors
/// An error for a wrong setting of the client.
pub fn writer(client: &Client, ratio: f64) -> Result<Writer> {
    let producer = client.producer().build()?;
    Ok(TraceSendLayer::new().sample(ratio).layer(producer))
}
