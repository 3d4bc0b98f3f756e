//! The health of a client, judged from its progress and not from open sockets; and an HTTP page that tells it.
//!
//! A [`Health`] listens to events, reads figures, and judges a list of checks. A client that is given one does the rest:
//! `Client::builder().health(&health)`.
//!
//! | Check | Degraded | Failing |
//! |---|---|---|
//! | `brokers` | one does not answer | none does |
//! | `progress` | a partition lags and nothing of it was settled for a minute, or a gate holds it | for five minutes, held by nobody: not alive |
//! | `group` | a consumer is no member of its group for a minute | for five minutes: not alive |
//! | `commits` | they fail for half a minute | for five minutes: not alive |
//! | `lanes` | – | a lane stopped: its record could neither be processed nor be written to a dead letter topic |
//! | `dead_letters` | – | the dead letter topic cannot be written |
//! | `breakers` | one is open: records wait for a dependency | – |
//! | `buffer` | a producer's memory is full for ten seconds | – |
//!
//! Where no broker answers, nothing else counts against being alive, since a restart would not help; nor does anything during a shutdown.
//! Checks are told where there is something to check: those of consumers beside a consumer, `breakers` where a stack has one. A program's
//! own join in by [`Health::check`].
//!
//! ```no_run
//! use milena_health::Health;
//!
//! # async fn run() -> milena_core::Result<()> {
//! let health = Health::new();
//! // … `Client::builder().health(&health)` …
//! let server = health.http().serve().await?; // 127.0.0.1:9404
//! println!("health at http://{}/health", server.address());
//! # Ok(())
//! # }
//! ```
//!
//! # The page
//! | Path | Answer |
//! |---|---|
//! | `/health` | every check with its state, its reason and since when, as JSON; 503 while one is failing |
//! | `/health/live` | 503 when a restart would help |
//! | `/health/ready` | 503 before the start, while a check is failing, and from the beginning of a shutdown on |
//! | `/health/startup` | 503 until a broker answered and every consumer was a member of its group once |
//! | `/metrics` | the text of [`HttpBuilder::metrics`], where that was given |
//!
//! It is off unless asked for, listens on the loopback address unless told otherwise, and bounds the size, time and number of
//! requests. A token keeps strangers out; [`HttpBuilder::router`] mounts the page into an axum program.

mod checks;
mod clients;
mod health;
mod http;
mod notes;
mod report;
mod sample;
mod settings;
mod words;

pub use clients::Joined;
pub use health::Health;
pub use http::{HttpBuilder, HttpServer};
pub use report::{Check, Phase, Report, State};
pub use settings::HealthBuilder;
