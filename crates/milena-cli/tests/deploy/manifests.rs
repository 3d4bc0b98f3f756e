//! Checks that compose files, manifests and the scrape configuration under `deploy/` agree with
//! each other and with the code.
//!
//! Nothing is started here: this reads the files and holds the facts in them against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn yaml(path: &str) -> Value {
    let text = read(path);
    let events = Parser::new_from_str(&text).map(|event| event.unwrap().0);
    let mut tree = Tree {
        events: events.collect::<Vec<_>>().into_iter(),
        anchors: BTreeMap::new(),
    };
    loop {
        match tree.events.next().unwrap() {
            Event::StreamStart | Event::DocumentStart(_) => {}
            first => return tree.value(first),
        }
    }
}

/// Makes a tree of the events of a document. Scalars stay texts; merge keys (`<<`) are merged.
struct Tree<'a> {
    events: std::vec::IntoIter<Event<'a>>,
    anchors: BTreeMap<usize, Value>,
}

impl<'a> Tree<'a> {
    fn value(&mut self, event: Event<'a>) -> Value {
        let (anchor, value) = match event {
            Event::Alias(anchor) => return self.anchors[&anchor].clone(),
            Event::Scalar(text, _, anchor, _) => (anchor, Value::String(text.into_owned())),
            Event::SequenceStart(.., anchor, _) => (anchor, self.list()),
            Event::MappingStart(.., anchor, _) => (anchor, self.map()),
            other => panic!("{other:?}"),
        };
        self.anchors.insert(anchor, value.clone());
        value
    }

    fn list(&mut self) -> Value {
        let mut list = Vec::new();
        loop {
            match self.events.next().unwrap() {
                Event::SequenceEnd => return Value::Array(list),
                event => list.push(self.value(event)),
            }
        }
    }

    fn map(&mut self) -> Value {
        let (mut merged, mut map) = (Map::new(), Map::new());
        loop {
            let key = match self.events.next().unwrap() {
                Event::MappingEnd => break,
                event => text(&self.value(event)).to_owned(),
            };
            let event = self.events.next().unwrap();
            let value = self.value(event);
            if key == "<<" {
                merged.extend(value.as_object().unwrap().clone());
            } else {
                assert!(map.insert(key.clone(), value).is_none(), "{key} twice");
            }
        }
        merged.extend(map);
        Value::Object(merged)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}"))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    let list = value.as_array();
    list.unwrap_or_else(|| panic!("a list: {value}")).iter()
}

/// The listeners of a list such as `PLAINTEXT://:9092,INTERNAL://kafka:19092`, by name.
fn listeners(list: &Value) -> BTreeMap<&str, (&str, u16)> {
    let listeners = text(list).split(',').map(|listener| {
        let (name, address) = listener.split_once("://").unwrap();
        let (host, port) = address.rsplit_once(':').unwrap();
        (name, (host, port.parse().unwrap()))
    });
    listeners.collect()
}

/// A value with its variables replaced by their defaults, as Compose does where none is set.
fn by_default(value: &str) -> String {
    let mut parts = value.split("${");
    let mut made = parts.next().unwrap().to_owned();
    for part in parts {
        let (variable, rest) = part.split_once('}').unwrap();
        made += variable.split_once(":-").unwrap().1;
        made += rest;
    }
    made
}

/// A service of a compose file that is a broker.
struct Node {
    name: String,
    /// Its environment, variables replaced by their defaults.
    environment: Map<String, Value>,
    /// The port of the host, and the container's that it leads to.
    port: (u16, u16),
    image: String,
    health: String,
}

impl Node {
    fn setting(&self, name: &str) -> &str {
        let value = self.environment.get(name);
        text(value.unwrap_or_else(|| panic!("{} has no {name}", self.name)))
    }
}

fn nodes(path: &str) -> Vec<Node> {
    let file = yaml(path);
    let services = file["services"].as_object().unwrap();
    let brokers = services
        .iter()
        .filter(|(_, service)| text(&service["image"]).starts_with("apache/kafka:"));
    let nodes = brokers.map(|(name, service)| {
        let environment = service["environment"].as_object().unwrap().iter();
        let environment =
            environment.map(|(name, value)| (name.clone(), Value::String(by_default(text(value)))));
        let ports: Vec<String> = items(&service["ports"])
            .map(|port| by_default(text(port)))
            .collect();
        let [port] = &ports[..] else {
            panic!("{name} publishes one port: {ports:?}");
        };
        let port: Vec<&str> = port.split(':').collect();
        let [host, outside, inside] = port[..] else {
            panic!("{name}: HOST:PORT:PORT, not {port:?}");
        };
        assert_eq!(host, "127.0.0.1", "{name} is for this machine alone");
        Node {
            name: name.clone(),
            environment: environment.collect(),
            port: (outside.parse().unwrap(), inside.parse().unwrap()),
            image: by_default(text(&service["image"])),
            health: items(&service["healthcheck"]["test"])
                .map(text)
                .collect::<Vec<_>>()
                .join(" "),
        }
    });
    nodes.collect()
}

const SINGLE: &str = "docker-compose.yml";
const THREE: &str = "deploy/compose/three-brokers.yml";

/// The version of Kafka that `scripts/kafka` names.
fn pinned_kafka() -> String {
    let output = Command::new(root().join("scripts/kafka"))
        .arg("version")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_brokers_of_a_compose_file_find_each_other_and_are_found() {
    let image = format!("apache/kafka:{}", pinned_kafka());
    for (path, count) in [(SINGLE, 1), (THREE, 3)] {
        let nodes = nodes(path);
        assert_eq!(nodes.len(), count, "{path}");
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut voters = BTreeSet::new();
        for node in &nodes {
            let name = &node.name;
            assert_eq!(node.image, image, "{name}");
            let bound = listeners(&node.environment["KAFKA_LISTENERS"]);
            let told = listeners(&node.environment["KAFKA_ADVERTISED_LISTENERS"]);
            let protocols: BTreeSet<&str> = node
                .setting("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP")
                .split(',')
                .map(|pair| pair.split_once(':').unwrap().0)
                .collect();
            assert_eq!(protocols, bound.keys().copied().collect(), "{name}");

            // From the host: by the port that is published, which leads to the listener.
            let (outside, inside) = node.port;
            assert_eq!(bound["PLAINTEXT"], ("", inside), "{name}");
            assert_eq!(told["PLAINTEXT"], ("127.0.0.1", outside), "{name}");
            // From the other brokers: by the service's name.
            let between = node.setting("KAFKA_INTER_BROKER_LISTENER_NAME");
            assert_eq!(told[between], (&**name, bound[between].1), "{name}");
            assert!(
                node.health
                    .contains(&format!("localhost:{}", bound[between].1))
            );
            // The controllers are told of by the voters alone.
            let controllers = node.setting("KAFKA_CONTROLLER_LISTENER_NAMES");
            assert!(!told.contains_key(controllers), "{name}");
            let host = if count == 1 { "localhost" } else { name };
            let (id, port) = (node.setting("KAFKA_NODE_ID"), bound[controllers].1);
            voters.insert(format!("{id}@{host}:{port}"));
            assert_eq!(node.setting("KAFKA_PROCESS_ROLES"), "broker,controller");

            for unique in [format!("id {id}"), format!("port {outside}")] {
                assert!(seen.insert(unique.clone()), "{path}: {unique} twice");
            }
        }
        for node in &nodes {
            let named = node.setting("KAFKA_CONTROLLER_QUORUM_VOTERS").split(',');
            let named: BTreeSet<String> = named.map(str::to_owned).collect();
            assert_eq!(named, voters, "{}", node.name);
        }
    }
}

#[test]
fn replicas_and_those_that_must_have_a_write_fit_the_number_of_brokers() {
    let internal = [
        (
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR",
        ),
        (
            "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR",
            "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR",
        ),
    ];
    for (path, replicas, in_sync) in [(SINGLE, "1", "1"), (THREE, "3", "2")] {
        for node in nodes(path) {
            for (factor, least) in internal {
                assert_eq!(node.setting(factor), replicas, "{path}: {factor}");
                assert_eq!(node.setting(least), in_sync, "{path}: {least}");
            }
            let offsets = node.setting("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR");
            assert_eq!(offsets, replicas, "{path}");
        }
    }
    let nodes = nodes(THREE);
    let (mut racks, mut clusters) = (BTreeSet::new(), BTreeSet::new());
    for node in &nodes {
        assert_eq!(node.setting("KAFKA_DEFAULT_REPLICATION_FACTOR"), "3");
        assert_eq!(node.setting("KAFKA_MIN_INSYNC_REPLICAS"), "2");
        racks.insert(node.setting("KAFKA_BROKER_RACK"));
        clusters.insert(node.setting("CLUSTER_ID"));
    }
    assert_eq!(racks.len(), 3, "each broker has a rack of its own");
    let [id] = clusters.into_iter().collect::<Vec<_>>()[..] else {
        panic!("one cluster id for all");
    };
    // 16 bytes in base64 without padding, as Kafka writes its ids.
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    assert!(id.len() == 22 && id.chars().all(is_letter), "{id}");

    // The address that the file tells to use is that of its brokers.
    let addresses: Vec<String> = nodes
        .iter()
        .map(|node| format!("127.0.0.1:{}", node.port.0))
        .collect();
    let export = format!("export MILENA_BOOTSTRAP={}\n", addresses.join(","));
    assert!(read(THREE).contains(&export), "{export}");
}

#[test]
fn a_pod_monitor_scrapes_the_port_of_the_pods_that_it_chooses() {
    let deployment = yaml("deploy/kubernetes/order-consumer.yaml");
    let monitor = yaml("deploy/kubernetes/pod-monitor.yaml");
    let pod = &deployment["spec"]["template"];
    let labels = pod["metadata"]["labels"].as_object().unwrap();
    assert_eq!(
        deployment["spec"]["selector"]["matchLabels"],
        pod["metadata"]["labels"]
    );

    assert_eq!(monitor["kind"], "PodMonitor");
    let chosen = monitor["spec"]["selector"]["matchLabels"].as_object();
    for (name, value) in chosen.unwrap() {
        assert_eq!(
            labels.get(name),
            Some(value),
            "the label {name} of the pods"
        );
    }
    assert!(labels.contains_key(text(&monitor["spec"]["jobLabel"])));

    let container = items(&pod["spec"]["containers"]).next().unwrap();
    let ports: BTreeMap<&str, &str> = items(&container["ports"])
        .map(|port| (text(&port["name"]), text(&port["containerPort"])))
        .collect();
    let endpoint = items(&monitor["spec"]["podMetricsEndpoints"]).next();
    let endpoint = endpoint.unwrap();
    let port = ports[text(&endpoint["port"])];
    assert_eq!(endpoint["path"], "/metrics");
    // The program listens there, on all addresses.
    let listens = format!("0.0.0.0:{port}");
    assert!(items(&container["args"]).any(|argument| text(argument) == listens));
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let named = text(&container[probe]["httpGet"]["port"]);
        assert!(ports.contains_key(named), "{probe}: {named}");
    }
}

#[test]
fn the_scrape_configuration_names_files_and_a_port_that_there_are() {
    let prometheus = yaml("deploy/prometheus/prometheus.yml");
    for file in items(&prometheus["rule_files"]) {
        let path = root().join("deploy/prometheus").join(text(file));
        assert!(path.is_file(), "{}", path.display());
    }
    let job = items(&prometheus["scrape_configs"]).next().unwrap();
    let targets = items(&job["static_configs"]).flat_map(|group| items(&group["targets"]));
    let targets: Vec<&str> = targets.map(text).collect();
    // Where milena-health serves unless it is told otherwise.
    let documented = read("crates/milena-health/src/http/mod.rs");
    for target in targets {
        assert!(documented.contains(target), "{target}");
    }

    // Compose gives Prometheus and Grafana folders that there are.
    let compose = yaml(SINGLE);
    for service in ["prometheus", "grafana"] {
        for volume in items(&compose["services"][service]["volumes"]) {
            let folder = text(volume).split(':').next().unwrap();
            assert!(root().join(folder).is_dir(), "{service}: {folder}");
        }
    }
    let sources = yaml("deploy/grafana/provisioning/datasources/prometheus.yml");
    let source = &items(&sources["datasources"]).next().unwrap()["url"];
    let listens = items(&compose["services"]["prometheus"]["command"])
        .find_map(|argument| text(argument).strip_prefix("--web.listen-address="));
    assert_eq!(text(source).strip_prefix("http://"), listens);
}

#[test]
fn the_base_names_files_labels_and_settings_that_there_are() {
    let base = "deploy/kustomize/base";
    let kustomization = yaml(&format!("{base}/kustomization.yaml"));
    for file in items(&kustomization["resources"]) {
        let path = root().join(base).join(text(file));
        assert!(path.is_file(), "{}", path.display());
    }
    let deployment = yaml(&format!("{base}/deployment.yaml"));
    let monitor = yaml(&format!("{base}/pod-monitor.yaml"));
    let pod = &deployment["spec"]["template"];
    let labels = &pod["metadata"]["labels"];
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&monitor["spec"]["selector"]["matchLabels"], labels);

    let container = items(&pod["spec"]["containers"]).next().unwrap();
    let image = items(&kustomization["images"]).next().unwrap();
    assert_eq!(container["image"], image["name"]);
    let map = items(&kustomization["configMapGenerator"]).next().unwrap();
    let source = items(&container["envFrom"]).next().unwrap();
    assert_eq!(source["configMapRef"]["name"], map["name"]);
    let keys: Vec<String> = milena::config::keys()
        .map(milena::config::Key::variable)
        .collect();
    for literal in items(&map["literals"]).map(text) {
        let name = literal.split('=').next().unwrap();
        let known = name == "RUST_LOG" || keys.iter().any(|key| key == name);
        assert!(known, "{name} is no setting");
    }

    let port = items(&container["ports"]).next().unwrap();
    let endpoint = items(&monitor["spec"]["podMetricsEndpoints"]).next();
    assert_eq!(endpoint.unwrap()["port"], port["name"]);
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], port["name"], "{probe}");
    }
}

#[test]
fn the_workflow_runs_the_script_with_the_rust_of_the_workspace() {
    let workflow = yaml(".github/workflows/ci.yml");
    let job = &workflow["jobs"]["run"];
    let manifest = read("Cargo.toml");
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \""))
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap();
    let image = text(&job["container"]);
    assert!(image.starts_with(&format!("rust:{version}-")), "{image}");
    let runs = items(&job["steps"]).filter_map(|step| step["run"].as_str());
    let runs: Vec<&str> = runs.collect();
    assert_eq!(runs.last(), Some(&".ci/run"));
}

#[test]
fn every_image_has_the_tag_of_a_version() {
    let mut images = Vec::new();
    for path in [SINGLE, THREE] {
        let compose = yaml(path);
        let services = compose["services"].as_object().unwrap();
        images.extend(services.values().map(|one| by_default(text(&one["image"]))));
    }
    let deployment = yaml("deploy/kubernetes/order-consumer.yaml");
    let container = items(&deployment["spec"]["template"]["spec"]["containers"]).next();
    let example = text(&container.unwrap()["image"]);
    images.push(example.to_owned());
    // Only images from elsewhere: a later stage of the Dockerfile names an earlier one.
    let dockerfile = read("Dockerfile");
    let from = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("FROM "));
    let from = from.filter_map(|line| line.split(' ').next());
    images.extend(from.filter(|from| from.contains(':')).map(str::to_owned));
    assert!(images.len() >= 8, "{images:?}");
    for image in &images {
        let tag = image.rsplit_once(':').map(|(_, tag)| tag);
        let tag = tag.unwrap_or_else(|| panic!("{image} has no tag"));
        assert_ne!(tag, "latest", "{image}");
    }

    // The image of the examples is of this version, in each place that names it.
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(example, format!("milena-examples:{version}"));
    for path in ["Dockerfile", "deploy/kubernetes/order-consumer.yaml"] {
        let text = read(path);
        let names = text.split("milena-examples:").skip(1);
        let found: Vec<_> = names.map(|rest| rest.starts_with(version)).collect();
        assert!(!found.is_empty() && !found.contains(&false), "{path}");
    }
}
