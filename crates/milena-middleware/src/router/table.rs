//! The finished table of routes. Finds the route of a record and the defects of the table. Built
//! once.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use milena_core::{
    BoxError, ConsumerRecord, Incoming, Outcome, ProcessError, RouteInfo, TopicName,
};
use tower_service::Service;

use super::SharedLayer;
use super::boxed::BoxRoute;
use super::into_route::Route;
use super::on::{On, Topics};
use crate::stack::{order, route_info};

pub(super) struct RouteTable {
    /// The routes with their descriptions. The last one, without a description, is the fallback.
    routes: Vec<(Option<On>, Route)>,
    /// The description of each route for the driver, in the order of `routes`.
    info: Vec<RouteInfo>,
    /// The indexes of the routes, by descending rank. Does not contain the fallback.
    order: Vec<usize>,
    /// The same for each topic that a route names, without the routes that never take it.
    named: HashMap<TopicName, Vec<usize>>,
    /// The suffixes of all retry topics, longest first.
    suffixes: Vec<String>,
    /// True if the user set a fallback.
    has_fallback: bool,
}

impl RouteTable {
    pub(super) fn new(
        entries: &[(On, Route)],
        fallback: Option<&Route>,
        layers: &[SharedLayer],
    ) -> Self {
        let within = |route: Route| {
            let layers = layers.iter().rev();
            layers.fold(route, Route::inside)
        };
        let has_fallback = fallback.is_some();
        let nowhere = || Route::new(BoxRoute::new(Nowhere), None, Vec::new(), false);
        let fallback = fallback.map_or_else(nowhere, Route::copy);
        let mut routes: Vec<_> = entries
            .iter()
            .map(|(on, route)| (Some(on.clone()), within(route.copy())))
            .collect();
        routes.push((None, within(fallback)));

        let mut order: Vec<_> = (0..entries.len()).collect();
        order.sort_by_key(|at| entries.get(*at).map(|(on, _)| Reverse(on.rank())));
        let mut named = HashMap::new();
        for (on, _) in entries {
            let Topics::Named(names) = &on.topics else {
                continue;
            };
            for name in names {
                let takes = |at: &usize| entries.get(*at).is_some_and(|(on, _)| on.takes(name));
                let takers: Vec<_> = order.iter().copied().filter(takes).collect();
                named.insert(name.clone(), takers);
            }
        }
        let mut suffixes: Vec<String> = Vec::new();
        for (_, route) in &routes {
            let own = route.profiles.iter().flat_map(|profile| &profile.suffixes);
            suffixes.extend(own.cloned());
        }
        // The longest suffix comes first, because one suffix may be the end of another.
        suffixes.sort_by(|one, two| two.len().cmp(&one.len()).then_with(|| one.cmp(two)));
        suffixes.dedup();
        Self {
            info: routes.iter().map(info).collect(),
            routes,
            order,
            named,
            suffixes,
            has_fallback,
        }
    }

    pub(super) fn info(&self) -> &[RouteInfo] {
        &self.info
    }

    pub(super) fn service(&self, route: usize) -> BoxRoute {
        let route = self.routes.get(route).or(self.routes.last());
        route.map_or_else(|| BoxRoute::new(Nowhere), |(_, route)| route.service())
    }

    pub(super) fn select(&self, record: &ConsumerRecord) -> usize {
        let topic = self.base(&record.topic);
        let holds = |at: &usize| {
            let on = self.routes.get(*at).and_then(|(on, _)| on.as_ref());
            on.is_some_and(|on| on.holds(record))
        };
        let found = match self.named.get(topic) {
            Some(routes) => routes.iter().copied().find(holds),
            None => self.order.iter().copied().find(|at| {
                let on = self.routes.get(*at).and_then(|(on, _)| on.as_ref());
                on.is_some_and(|on| on.takes(topic)) && holds(at)
            }),
        };
        found.unwrap_or(self.routes.len() - 1)
    }

    /// Returns the topic that a retry topic belongs to, or `topic` itself if it is no retry topic.
    fn base<'a>(&self, topic: &'a str) -> &'a str {
        let base = |suffix: &String| topic.strip_suffix(suffix.as_str());
        self.suffixes.iter().find_map(base).unwrap_or(topic)
    }

    /// Returns the first defect of the table with its remedy, or `None`.
    pub(super) fn defect(&self) -> Option<String> {
        if let [_] = &self.routes[..]
            && self.info.first().is_some_and(|info| &*info.name == NOWHERE)
        {
            return Some("the router has no routes; add one with `route`".to_owned());
        }
        for (at, (on, route)) in self.routes.iter().enumerate() {
            let name = self.name(at);
            if let Some(defect) = on.as_ref().and_then(On::defect) {
                return Some(format!("the route `{name}` can take no record: {defect}"));
            }
            if let Some(defect) = order::targets_defect(&route.profiles) {
                return Some(format!("in the route `{name}`, {defect}"));
            }
            if let Some(defect) = order::defect(&route.profiles) {
                if !route.lenient {
                    return Some(format!("in the route `{name}`, {defect}"));
                }
                tracing::warn!(route = name, %defect, "an unusual order of layers");
            }
            let earlier = self.routes.iter().take(at).enumerate();
            for (other, (its, _)) in earlier {
                let both = on.as_ref().zip(its.as_ref());
                if let Some(what) = both.and_then(|(on, its)| its.conflict(on)) {
                    let other = self.name(other);
                    return Some(format!(
                        "the routes `{other}` and `{name}` both take {what} under the same conditions; remove one, or add a condition to one"
                    ));
                }
            }
        }
        None
    }

    pub(super) fn explain(&self) -> String {
        let mut text = String::new();
        for at in self.order.iter().copied().chain([self.routes.len() - 1]) {
            let Some((on, route)) = self.routes.get(at) else {
                continue;
            };
            let name = self.name(at);
            let _ = match on {
                Some(on) => writeln!(text, "route {name}: {on}"),
                None if self.has_fallback => {
                    writeln!(text, "route {name}: records that no other route takes")
                }
                None => {
                    let dead = route.profiles.iter().any(|profile| profile.dead_letters);
                    let what = match dead {
                        true => "a dead letter",
                        false => "stops its lane, since there is no dead letter layer",
                    };
                    let _ = writeln!(text, "a record that no route takes: {what}");
                    continue;
                }
            };
            for line in order::explain(&route.profiles, "").lines() {
                let _ = writeln!(text, "  {line}");
            }
        }
        text
    }

    fn name(&self, route: usize) -> &str {
        self.info.get(route).map_or("", |info| &info.name)
    }
}

/// Describes a route for the driver.
fn info((on, route): &(Option<On>, Route)) -> RouteInfo {
    let name = match (&route.name, on) {
        (Some(name), _) => name.clone(),
        (None, Some(on)) => on.to_string(),
        (None, None) => NOWHERE.to_owned(),
    };
    let mut info = route_info(name, &route.profiles);
    let suffixes = || {
        let own = route.profiles.iter().flat_map(|profile| &profile.suffixes);
        own.map(String::as_str).chain([""])
    };
    match on.as_ref().map(|on| &on.topics) {
        Some(Topics::Named(names)) => {
            let all = names.iter();
            let all = all.flat_map(|name| suffixes().map(move |end| format!("{name}{end}").into()));
            info.topics = Some(all.collect());
        }
        Some(Topics::Pattern(pattern)) => {
            let all = suffixes().map(|end| format!("{pattern}{end}").as_str().into());
            info.patterns = all.collect();
        }
        Some(Topics::Any) | None => {}
    }
    info
}

/// The service for records that no route takes. It fails each of them as poison.
#[derive(Clone, Copy, Debug)]
struct Nowhere;

impl Service<Incoming> for Nowhere {
    type Response = Outcome;
    type Error = BoxError;
    type Future = Ready<Result<Outcome, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        let record = &incoming.record;
        let what = format!(
            "no route takes this record of {} at {}; add a route or a fallback",
            record.topic_partition(),
            record.offset
        );
        ready(Err(ProcessError::poison(what).into()))
    }
}

const NOWHERE: &str = "fallback";
