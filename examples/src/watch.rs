//! Watching the order system: its health, its metrics and its traces, where they were asked for.

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

/// A producer that carries traces on.
pub type Writer = TraceSend<Producer>;

/// What the order system can be told besides.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Where health and metrics are served, as `127.0.0.1:9404`; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,
    /// The collector that every order's trace goes to, as `http://127.0.0.1:4318`.
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
}

/// What watches a running system.
#[derive(Debug)]
pub struct Watch {
    health: Health,
    metrics: Metrics,
    tally: Tally,
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

    /// Has a client watched.
    pub fn client(&self, builder: ClientBuilder) -> ClientBuilder {
        let builder = builder.health(&self.health).metrics(&self.metrics);
        builder.add_observer(Arc::new(self.tally.clone()))
    }

    /// How many of the orders are traced: all where someone asked for traces, else none.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        if self.export.is_some() { 1.0 } else { 0.0 }
    }

    /// Ends it, after the clients. Where it serves and there is any patience, that is once the last figures were scraped, or after `patience`, or at a signal.
    ///
    /// # Errors
    /// Where the collector did not take the last spans.
    pub async fn end(self, patience: Duration) -> Result<()> {
        if let Some(server) = self.server {
            if !patience.is_zero() {
                // From here on a scrape counts, however soon it comes.
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

/// A producer whose records carry their traces; so many of those that begin one are recorded.
///
/// # Errors
/// Where a setting of the client is not right.
pub fn writer(client: &Client, ratio: f64) -> Result<Writer> {
    let producer = client.producer().build()?;
    Ok(TraceSendLayer::new().sample(ratio).layer(producer))
}
