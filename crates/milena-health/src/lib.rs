//! The health of a client, judged from its progress and not from open sockets, and an HTTP page
//! that shows it.
//!
//! A [`Health`] observes events, reads gauges, and runs a list of checks.
//! `Client::builder().health(&health)` connects it to a client.
//!
//! | Check | Degraded | Failing | Not alive |
//! |---|---|---|---|
//! | `brokers` | one does not answer | none of a cluster answers | – |
//! | `consumers` | – | one ended and was not replaced | for 5 min |
//! | `fetches` | one partition fails for 3 s | all of a consumer for 1 min, or one for 5 min | – |
//! | `progress` | a partition stalls for 1 min | for 5 min | when failing |
//! | `group` | a consumer is no member for 1 min | for 5 min | when failing |
//! | `commits` | fail for 30 s, or are refused for good | are refused for 30 s | fail for 5 min |
//! | `lanes` | – | a lane stopped | – |
//! | `dead_letters` | – | a dead letter topic cannot be written | – |
//! | `breakers` | one is open | – | – |
//! | `buffer` | callers wait for memory for 10 s | – | – |
//! | `panics` | user code panicked within 10 min | – | – |
//!
//! - `consumers` counts consumers that ended otherwise than by being closed.
//! - `fetches` includes the look-up of a partition's position. It fails for a consumer if it fails
//!   for all of its partitions.
//! - `progress` stalls if a partition has records and none is settled. A gate may hold it, its
//!   handler may take long, or it may not be fetched. It is failing only if the partition is not
//!   paused and no handler has its record.
//! - `commits` that fail for 5 min are failing as well.
//! - `lanes` stop if a record can neither be processed nor be written to a dead letter topic.
//! - `breakers` that are open make records wait for a dependency.
//! - `panics` are those that milena contained.
//!
//! Not alive means that a restart could help. It is therefore not reported for a cluster of which
//! no broker answers, for requests that brokers refuse, for a handler that takes long and would
//! only start over, or during a shutdown. A record that waits in a tier of retry topics is held
//! until its time, and does not count. To limit the time of handlers, set the consumer's
//! `max_processing_time` and `StuckPolicy::StopLane`.
//!
//! A check is reported only if there is something to check. The checks of consumers need a
//! consumer, and `breakers` needs a stack with a breaker. [`Health::check`] adds a program's own
//! checks.
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
//! - `/health` shows every check with its state, its reason and its start time, as JSON. It answers
//!   503 while one is failing.
//! - `/health/live` answers 503 if a restart would help.
//! - `/health/ready` answers 503 while a consumer that was started has not been a member yet, while
//!   a check is failing, and from the start of a shutdown on.
//! - `/health/startup` answers 503 until a broker has answered and every started consumer has been
//!   a member of its group once.
//! - `/metrics` answers with the text of [`HttpBuilder::metrics`]. Without it the path does not
//!   exist.
//!
//! The page is off by default, and listens on the loopback address by default. It bounds the size,
//! time and number of requests, and a token restricts access. [`HttpBuilder::router`] mounts it
//! into an axum program.

mod checks;
mod clients;
mod health;
mod http;
mod joined;
mod limits;
mod notes;
mod report;
mod sample;
mod settings;
mod words;

pub use health::Health;
pub use http::{HttpBuilder, HttpServer};
pub use joined::Joined;
pub use report::{Check, Phase, Report, State};
pub use settings::HealthBuilder;
