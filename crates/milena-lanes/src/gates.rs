//! Gates of layers. While one is closed, the feeds of its route are paused.

use std::sync::Arc;

use milena_core::{Event, Gate, GateState, Gauge, RouteInfo, Routes};
use tokio::task::JoinSet;

use crate::end::End;
use crate::feed::PauseHolder;
use crate::panics::{caught, contained};
use crate::source::{Feed, Source};

/// Pauses a new feed under the gates of its routes that are closed.
pub(crate) fn apply_all<F: Feed>(feed: &F, routes: &[RouteInfo]) {
    for info in routes.iter().filter(|info| serves(info, feed)) {
        for gate in &info.gates {
            apply(feed, gate, &gate.state());
        }
    }
}

/// Watches the gates of the routes, reports their changes, and pauses and resumes feeds. The tasks
/// end when the returned set is dropped.
pub(crate) fn watch_all<S: Source, R: Routes>(source: &Arc<S>, routes: &Arc<R>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let mut reported: Vec<Gate> = Vec::new();
    for (route, info) in routes.routes().iter().enumerate() {
        for gate in &info.gates {
            // A gate that several routes share is reported once.
            if !reported.iter().any(|known| known.same(gate)) {
                reported.push(gate.clone());
                tasks.spawn(report(Arc::clone(source), gate.clone()));
            }
            let watching = watch(Arc::clone(source), Arc::clone(routes), route, gate.clone());
            let source = Arc::clone(source);
            tasks.spawn(async move {
                if let Err(error) = caught("the watcher of a gate", watching).await {
                    source.end(End::Failed(error));
                }
            });
        }
    }
    tasks
}

/// Passes the gauges of the routes and their gates to `sink`.
pub(crate) fn read_gauges(routes: &[RouteInfo], group: &str, sink: &mut dyn FnMut(Gauge<'_>)) {
    for info in routes {
        for gate in &info.gates {
            let closed = match gate.state() {
                GateState::Open => None,
                GateState::Closed(reason) => Some(reason),
            };
            sink(Gauge::Gate {
                group,
                name: gate.name(),
                closed: closed.as_deref(),
            });
        }
        for gauges in &info.gauges {
            // A layer does not know for which group it runs, so the group is filled in here.
            let mut named = |gauge: Gauge<'_>| {
                sink(match gauge {
                    Gauge::Gate {
                        group: "",
                        name,
                        closed,
                    } => Gauge::Gate {
                        group,
                        name,
                        closed,
                    },
                    other => other,
                });
            };
            // Gauges of a layer may be user code and run on the task that reads them. If one
            // panics, the other gauges must be shown nevertheless.
            if let Err(error) = contained("the gauges of a route", || gauges.read(&mut named)) {
                tracing::error!(group, route = &*info.name, %error, "the gauges of a route are left out");
            }
        }
    }
}

/// Returns true if the route may get records of the feed.
fn serves<F: Feed>(info: &RouteInfo, feed: &F) -> bool {
    info.takes(&feed.place().topic)
}

/// Pauses or resumes a feed to match the state of a gate of its route.
fn apply<F: Feed>(feed: &F, gate: &Gate, state: &GateState) {
    let by = PauseHolder::gate(gate);
    match state {
        GateState::Open => {
            // `let_go` may wake many tasks, so it is called only if there is such a pause.
            if feed.is_held_by(&by) {
                feed.let_go(&by);
            }
        }
        GateState::Closed(reason) => feed.hold(&by, reason),
    }
}

/// Reports each change of a gate to observers.
async fn report<S: Source>(source: Arc<S>, gate: Gate) {
    let mut watch = gate.watch();
    let mut state = gate.state();
    let mut was_open = true;
    loop {
        let rules = source.rules();
        match &state {
            GateState::Closed(reason) => rules.observers.emit(|| Event::GateClosed {
                group: &rules.group,
                gate: gate.name(),
                reason,
            }),
            GateState::Open if !was_open => rules.observers.emit(|| Event::GateOpened {
                group: &rules.group,
                gate: gate.name(),
            }),
            GateState::Open => {}
        }
        was_open = state == GateState::Open;
        state = watch.changed().await;
    }
}

/// Pauses and resumes the feeds of a route as its gate changes.
async fn watch<S: Source, R: Routes>(source: Arc<S>, routes: Arc<R>, route: usize, gate: Gate) {
    let mut watch = gate.watch();
    let mut state = gate.state();
    loop {
        if let Some(info) = routes.routes().get(route) {
            for feed in source.feeds() {
                if serves(info, &feed) {
                    apply(&feed, &gate, &state);
                }
            }
        }
        state = watch.changed().await;
    }
}
