//! The paths and their answers.

use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use milena_core::panic_text;
use serde::Serialize;

use super::Page;
use crate::health::Health;
use crate::report::State;

/// Makes the routes of the page. `/metrics` exists only with `metrics`.
pub(super) fn router(health: Health, metrics: Option<Page>) -> Router {
    let router = Router::new()
        .route("/health", get(whole))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/health/startup", get(startup))
        .with_state(health);
    match metrics {
        None => router,
        Some(page) => router.route("/metrics", get(async move || shown(&page))),
    }
}

/// Answers `/health` with the whole report, and 503 while a check is failing.
async fn whole(Shared(health): Shared<Health>) -> Response {
    let report = health.report();
    json(report.state != State::Failing, &report)
}

/// Answers `/health/live`, with 503 if a restart would help.
async fn live(Shared(health): Shared<Health>) -> Response {
    let report = health.report();
    answer(report.live, report.reasons())
}

/// Answers `/health/ready`, with 503 while no work should come.
async fn ready(Shared(health): Shared<Health>) -> Response {
    let report = health.report();
    answer(report.ready, report.unready())
}

/// Answers `/health/startup`, with 503 until the program has started.
async fn startup(Shared(health): Shared<Health>) -> Response {
    let report = health.report();
    answer(report.started, report.unready())
}

/// Answers `/metrics`. The text may come from the program's own code, and a panic in it becomes a
/// 500.
fn shown(page: &Page) -> Response {
    match catch_unwind(AssertUnwindSafe(|| page())) {
        Ok(text) => ([(header::CONTENT_TYPE, PROMETHEUS)], text).into_response(),
        Err(panic) => {
            let message = panic_text(&*panic);
            tracing::error!(message, "the page of metrics panicked");
            let what = format!("the page of metrics panicked: {message}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, what).into_response()
        }
    }
}

/// The body of a probe's answer. The status alone decides, and the body explains it.
#[derive(Serialize)]
struct Answer {
    /// True with status 200.
    ok: bool,
    /// The checks that are not well.
    reasons: Vec<String>,
}

/// Answers with 200 or 503 and the reasons.
fn answer(ok: bool, reasons: Vec<String>) -> Response {
    json(ok, &Answer { ok, reasons })
}

/// Answers with 200 or 503 and a JSON body.
fn json(ok: bool, body: &impl Serialize) -> Response {
    let status = if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    match serde_json::to_vec(body) {
        Ok(body) => (status, JSON, body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

const JSON: [(HeaderName, &str); 2] = [
    (header::CONTENT_TYPE, "application/json"),
    (header::CACHE_CONTROL, "no-store"),
];

/// The content type of Prometheus' text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4";
