//! The health of a client, judged from its progress and not from open sockets; and an HTTP page that tells it.
//!
//! A [`Health`] listens to events, reads figures, and judges a list of checks. A client that is given one does the rest:
//! `Client::builder().health(&health)`.
//!
//! | Check | Degraded | Failing |
//! |---|---|---|
//! | `brokers` | one does not answer | none of a cluster does |
//! | `consumers` | – | one ended otherwise than by being closed, and none was started in its place; for five minutes: not alive |
//! | `fetches` | a partition cannot be fetched, or its position not be looked up, for three seconds | all of a consumer for a minute, or one for five |
//! | `progress` | nothing of a partition that has records was settled for a minute: a gate holds it, its handler takes long, it is not fetched | for five minutes, though nobody holds it and no handler has it: not alive |
//! | `group` | a consumer is no member of its group for a minute | for five minutes: not alive |
//! | `commits` | they fail for half a minute, or are refused for good | they are refused for good for half a minute, or fail for five: not alive then |
//! | `lanes` | – | a lane stopped: its record could neither be processed nor be written to a dead letter topic |
//! | `dead_letters` | – | the dead letter topic cannot be written |
//! | `breakers` | one is open: records wait for a dependency | – |
//! | `buffer` | callers have waited for a producer's memory for ten seconds | – |
//! | `panics` | user code panicked within ten minutes, and was contained | – |
//!
//! Not alive means that a restart could help. So it is not said for a cluster of which no broker answers, for what brokers refuse, for a
//! handler that takes long, which would only begin anew, nor during a shutdown. A record that waits in a tier of retry topics is held
//! until its time, and well. A handler that must not take longer than its `max_processing_time` is what
//! `StuckPolicy::StopLane` of the consumer is for.
//!
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
//! | `/health/ready` | 503 while a consumer that was started has not been a member yet, while a check is failing, and from the beginning of a shutdown on |
//! | `/health/startup` | 503 until a broker answered and every consumer that was started was a member of its group once |
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
