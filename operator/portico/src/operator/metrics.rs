//! Metrics in the format of Prometheus. Labels come from closed sets: no names of objects, no texts of errors.

use std::sync::Arc;

use portico_envoy::server::Server;
use portico_kube::write::WriteError;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::work::Task;

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// It stands there.
    Written,
    /// The API server could not take it now.
    Passing,
    /// The API server does not want it.
    Refused,
}

impl Outcome {
    /// Of a failed write.
    pub fn of(error: &WriteError) -> Outcome {
        if error.is_passing() { Outcome::Passing } else { Outcome::Refused }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum What {
    Secret,
    Status,
    Deletion,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    what: What,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Direction {
    Put,
    Removed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Output {
    direction: Direction,
}

/// All of them. Clones are handles to the same ones.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    batches: Counter,
    recomputed: Counter,
    outputs: Family<Output, Counter>,
    writes: Family<Write, Counter>,
    /// Times that something could not be followed.
    pub watch_errors: Counter,
    /// Times that a gateway refused something.
    pub refused: Counter,
    /// From a removal to its confirmation by every gateway, in seconds.
    pub revocation: Histogram,
    /// Whether this replica leads.
    pub leader: Gauge,
    /// Writes that wait.
    pub waiting: Gauge,
    /// Gateways that are connected to this replica.
    pub gateways: Gauge,
}

impl Metrics {
    /// All of them at zero.
    pub fn new() -> Metrics {
        let buckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
        let mut registry = Registry::with_prefix("portico");
        let batches = Counter::default();
        let recomputed = Counter::default();
        let outputs = Family::<Output, Counter>::default();
        let writes = Family::<Write, Counter>::default();
        let watch_errors = Counter::default();
        let refused = Counter::default();
        let revocation = Histogram::new(buckets);
        let (leader, waiting, gateways) = (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register("batches", "Batches that the core took in", batches.clone());
        registry.register("recomputed", "Nodes that the core computed", recomputed.clone());
        registry.register("outputs", "Outputs that were put or removed", outputs.clone());
        registry.register("writes", "Writes to the API server", writes.clone());
        registry.register("watch_errors", "Times that objects could not be followed", watch_errors.clone());
        registry.register("gateway_refusals", "Times that a gateway refused something", refused.clone());
        registry.register_with_unit(
            "revocation_latency",
            "From a removal until every gateway confirmed it",
            Unit::Seconds,
            revocation.clone(),
        );
        registry.register("leader", "Whether this replica leads", leader.clone());
        registry.register("writes_waiting", "Writes that wait for their turn", waiting.clone());
        registry.register("gateways_connected", "Gateways that are connected to this replica", gateways.clone());
        Metrics {
            registry: Arc::new(registry),
            batches,
            recomputed,
            outputs,
            writes,
            watch_errors,
            refused,
            revocation,
            leader,
            waiting,
            gateways,
        }
    }

    /// The core took in a batch.
    pub fn batch(&self, recomputed: usize, puts: usize, removals: usize) {
        self.batches.inc();
        self.recomputed.inc_by(recomputed as u64);
        self.outputs.get_or_create(&Output { direction: Direction::Put }).inc_by(puts as u64);
        self.outputs.get_or_create(&Output { direction: Direction::Removed }).inc_by(removals as u64);
    }

    /// Something was written, or was not.
    pub fn written(&self, task: &Task, outcome: Outcome) {
        let what = match task {
            Task::Secret(_) => What::Secret,
            Task::Status(_) => What::Status,
            Task::Deletion(_) => What::Deletion,
        };
        self.writes.get_or_create(&Write { what, outcome }).inc();
    }

    /// As text, together with what was sent to gateways.
    pub fn text(&self, server: &Server) -> String {
        let mut text = String::new();
        // Writing into memory does not fail.
        let _ = encode(&mut text, &self.registry);
        let end = text.rfind("# EOF").unwrap_or(text.len());
        text.truncate(end);
        let sent = server.sent();
        for (name, help, value) in [
            ("responses", "Responses sent to gateways", sent.responses),
            ("response_bytes", "Bytes sent to gateways, before compression and framing", sent.bytes),
        ] {
            text.push_str(&format!("# HELP portico_xds_{name} {help}.\n# TYPE portico_xds_{name} counter\n"));
            for (kind, count) in value {
                text.push_str(&format!("portico_xds_{name}_total{{type=\"{kind}\"}} {count}\n"));
            }
        }
        text.push_str("# HELP portico_clients Credentials that have access.\n# TYPE portico_clients gauge\n");
        text.push_str(&format!("portico_clients {}\n# EOF\n", sent.clients));
        text
    }
}
