//! Reports of lanes that do not go on, and the policies for them.

use std::time::Duration;

use milena_core::{Error, ErrorKind, Event, LaneStopPolicy, Offset, RouteInfo, StuckPolicy};

use crate::end::End;
use crate::feed::PauseHolder;
use crate::source::{Feed, Source};

/// Stops a lane that cannot continue, reports it, and applies the `on_lane_stop` policy. The
/// reported event turns health red. `route` is the route of its record, or all
/// [routes of the topic](routes_of) if no record is at fault.
pub(crate) fn stop_lane<F: Feed>(feed: &F, route: &str, error: &Error) {
    feed.stop();
    let reason = error.to_string();
    tracing::error!(partition = %feed.place(), route, reason, "a lane stopped");
    let rules = feed.source().rules();
    rules.observers.emit(|| Event::LaneStopped {
        group: &rules.group,
        partition: feed.place(),
        route,
        reason: &reason,
    });
    match rules.on_lane_stop {
        LaneStopPolicy::Stop => feed.source().end(End::Failed(error.clone())),
        LaneStopPolicy::Pause => feed.hold(&PauseHolder::LaneStopped, &reason.into()),
    }
}

/// Returns the names of the routes that may take records of the feed, separated by commas.
#[cold]
pub(crate) fn routes_of<F: Feed>(feed: &F, routes: &[RouteInfo]) -> String {
    let topic = &feed.place().topic;
    let routes = routes.iter().filter(|info| info.takes(topic));
    let names: Vec<_> = routes.map(|info| &*info.name).collect();
    names.join(", ")
}

/// A record that a handler has had for too long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stuck<'a> {
    /// The name of its route.
    pub(crate) route: &'a str,
    /// The offset of the record.
    pub(crate) offset: Offset,
    /// The time for which the handler has had it.
    pub(crate) elapsed: Duration,
    /// True for the first report of a record that the handler still has. Only that one can stop the
    /// lane.
    pub(crate) first: bool,
}

/// Reports that a handler has had a record for longer than `max_processing_time`, and applies the
/// `on_stuck` policy.
pub(crate) fn report_stuck<F: Feed>(feed: &F, stuck: Stuck<'_>) {
    let Stuck {
        route,
        offset,
        elapsed,
        first,
    } = stuck;
    let (place, rules) = (feed.place(), feed.source().rules());
    tracing::warn!(partition = %place, %offset, route, ?elapsed, "a handler has had a record for too long");
    rules.observers.emit(|| Event::HandlerStuck {
        group: &rules.group,
        partition: place,
        offset: offset.to_wire(),
        route,
        elapsed,
    });
    if first && rules.on_stuck == StuckPolicy::StopLane {
        let what = format!("the handler `{route}` has had a record for {elapsed:?}");
        let error = Error::new(ErrorKind::Timeout, what).at(place);
        stop_lane(feed, route, &error.offset(offset));
    }
}
