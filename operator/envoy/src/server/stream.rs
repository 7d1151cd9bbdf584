//! One Envoy's side of the incremental aggregated discovery protocol. No I/O: requests in, responses out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource as Wire};
use prost::Message as _;

use super::environment::Environment;
use crate::translate::{Type, Version};

/// How much one response holds, in bytes. More is sent in several, so that a revocation never waits for long.
const BATCH: usize = 1 << 20;

/// What one Envoy asked for and has.
#[derive(Debug)]
pub(super) struct Stream {
    envoy: u64,
    types: BTreeMap<Type, Subscription>,
    nonce: u64,
}

/// One type's part of it.
#[derive(Debug, Default)]
struct Subscription {
    /// Whether Envoy ever asked for this type.
    known: bool,
    wildcard: bool,
    names: BTreeSet<String>,
    /// What it has, as far as it said.
    held: HashMap<String, Version>,
    /// What it refused; it is not sent again as it is.
    refused: HashMap<String, Version>,
    /// What was in a refused response; it is sent alone, to find the one that is at fault.
    alone: BTreeSet<String>,
    flight: Option<Flight>,
    /// Whether it was ever answered; Envoy waits for a first answer even if there is nothing.
    answered: bool,
    /// Up to which serial it has everything.
    confirmed: u64,
}

/// A response that is not answered yet. There is at most one of a type; what changes meanwhile goes with the next.
#[derive(Debug)]
struct Flight {
    nonce: String,
    put: Vec<(String, Version)>,
    removed: Vec<String>,
    /// Up to which serial it has everything once this is accepted.
    confirms: Option<u64>,
}

/// What there is to send of a type.
#[derive(Debug, Default)]
struct Missing {
    put: Vec<(String, Version)>,
    removed: Vec<String>,
}

impl Missing {
    fn is_empty(&self) -> bool {
        self.put.is_empty() && self.removed.is_empty()
    }
}

/// What came of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Other Envoys have something new to be told.
    pub(super) wake: bool,
}

impl Stream {
    pub(super) fn new(envoy: u64) -> Self {
        let types = Type::ALL.into_iter().map(|kind| (kind, Subscription::default())).collect();
        Stream { envoy, types, nonce: 0 }
    }

    /// Takes in what Envoy says.
    pub(super) fn receive(&mut self, request: DeltaDiscoveryRequest, environment: &mut Environment) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(kind) = Type::from_url(&request.type_url) else { return outcome };
        let Some(subscription) = self.types.get_mut(&kind) else { return outcome };
        let answered = subscription.flight.take_if(|flight| flight.nonce == request.response_nonce);
        if let Some(flight) = answered {
            match request.error_detail {
                None => outcome.wake = subscription.accepted(kind, flight, self.envoy, environment),
                Some(error) => outcome.wake = subscription.rejected(kind, flight, &error.message, environment),
            }
        }
        subscription.subscribe(
            request.resource_names_subscribe,
            &request.resource_names_unsubscribe,
            request.initial_resource_versions,
        );
        outcome
    }

    /// What is refused may be good later for reasons that are not in it, such as a port that is free again.
    pub(super) fn retry(&mut self) {
        if let Some(listeners) = self.types.get_mut(&Type::Listener) {
            listeners.refused.clear();
        }
    }

    /// What to send now.
    pub(super) fn pump(&mut self, environment: &mut Environment) -> (Vec<DeltaDiscoveryResponse>, Outcome) {
        if !environment.ready {
            return (Vec::new(), Outcome::default());
        }
        let outcome = Outcome { wake: self.recognize(environment) };
        let mut missing: BTreeMap<Type, Missing> =
            self.types.iter().map(|(kind, one)| (*kind, one.missing(*kind, environment))).collect();
        let busy = |kind: Type, missing: &BTreeMap<Type, Missing>, types: &BTreeMap<Type, Subscription>| {
            types.get(&kind).is_some_and(|one| one.flight.is_some())
                || missing.get(&kind).is_some_and(|one| !one.put.is_empty())
        };
        // Make before break: routes wait for the clusters that they may need, and clusters are taken away after the
        // routes that may have used them.
        let clusters_busy = busy(Type::Cluster, &missing, &self.types);
        let routes_busy = busy(Type::Route, &missing, &self.types);
        let mut responses = Vec::new();
        for (kind, subscription) in &mut self.types {
            let Some(mut missing) = missing.remove(kind) else { continue };
            let held_up = match kind {
                Type::Extension | Type::Secret => false,
                Type::Cluster => {
                    let waiting = routes_busy && !missing.removed.is_empty();
                    if waiting {
                        missing.removed.clear();
                    }
                    waiting
                }
                Type::Listener | Type::Route => clusters_busy,
            };
            if subscription.flight.is_some() || !subscription.known {
                continue;
            }
            let settled = *kind != Type::Route || environment.is_settled();
            if missing.is_empty() && subscription.is_answered() {
                if settled && !held_up {
                    subscription.confirmed = environment.serial;
                }
                continue;
            }
            if held_up && *kind != Type::Cluster {
                continue;
            }
            self.nonce += 1;
            let complete = settled && !held_up;
            responses.push(subscription.respond(*kind, missing, self.nonce, complete, environment));
        }
        let confirmed = self.types.iter().filter(|(kind, one)| one.known || environment.needs(**kind));
        let confirmed = confirmed.map(|(_, one)| one.confirmed).min().unwrap_or_default();
        environment.confirmed(self.envoy, confirmed);
        (responses, outcome)
    }

    /// A route table that Envoy has already is accepted without being sent: it has come back with it, or what is new does
    /// not show in the table. True if that changed what others are to have.
    fn recognize(&self, environment: &mut Environment) -> bool {
        let routes = self.types.get(&Type::Route).filter(|routes| routes.flight.is_none());
        let mut wake = false;
        for version in routes.iter().flat_map(|routes| routes.held.values()) {
            while environment.routes_accepted(self.envoy, *version) {
                wake = true;
            }
        }
        wake
    }
}

impl Subscription {
    fn is_answered(&self) -> bool {
        self.answered || !self.wildcard
    }

    fn subscribe(&mut self, subscribe: Vec<String>, unsubscribe: &[String], initial: HashMap<String, String>) {
        if !self.known {
            self.known = true;
            // The first request of a type without names is for everything there is.
            self.wildcard = subscribe.is_empty();
        }
        for name in subscribe {
            if name == "*" {
                self.wildcard = true;
                continue;
            }
            // Asked for again, it is sent again, even if Envoy had it before.
            self.held.remove(&name);
            self.refused.remove(&name);
            self.names.insert(name);
        }
        for name in unsubscribe {
            if name == "*" {
                self.wildcard = false;
            }
            self.names.remove(name);
            self.held.remove(name);
            self.refused.remove(name);
        }
        for (name, version) in initial {
            self.held.insert(name, Version::parse(&version));
        }
    }

    fn missing(&self, kind: Type, environment: &Environment) -> Missing {
        let mut missing = Missing::default();
        let mut want = |name: &str, version: Version| {
            if self.held.get(name) != Some(&version) && self.refused.get(name) != Some(&version) {
                missing.put.push((name.to_owned(), version));
            }
        };
        if self.wildcard {
            environment.all(kind).for_each(|(name, version)| want(name, version));
        }
        for name in &self.names {
            match environment.version(kind, name) {
                Some(version) => want(name, version),
                // Said once: what does not exist is known not to.
                None if self.held.get(name) != Some(&Version::NOTHING) => missing.removed.push(name.clone()),
                None => {}
            }
        }
        if self.wildcard {
            let gone = self
                .held
                .keys()
                .filter(|name| !self.names.contains(*name) && environment.version(kind, name).is_none());
            missing.removed.extend(gone.cloned());
        }
        missing
    }

    fn respond(
        &mut self,
        kind: Type,
        mut missing: Missing,
        nonce: u64,
        mut complete: bool,
        environment: &Environment,
    ) -> DeltaDiscoveryResponse {
        missing.put.sort_by_cached_key(|(name, _)| (std::cmp::Reverse(environment.urgency(kind, name)), name.clone()));
        missing.removed.sort();
        if let Some(place) = missing.put.iter().position(|(name, _)| self.alone.contains(name)) {
            complete &= missing.put.len() == 1 && missing.removed.is_empty();
            let one = missing.put.swap_remove(place);
            missing = Missing { put: vec![one], removed: Vec::new() };
        }
        let (mut resources, mut put, mut size) = (Vec::new(), Vec::new(), 0);
        for (name, version) in missing.put {
            if size > BATCH {
                complete = false;
                break;
            }
            let Some(resource) = environment.resource(kind, &name) else { continue };
            let wire = Wire {
                name: name.clone(),
                version: version.to_string(),
                resource: Some(resource.body),
                ..Wire::default()
            };
            size += wire.encoded_len();
            resources.push(wire);
            put.push((name, version));
        }
        let nonce = nonce.to_string();
        tracing::debug!(
            environment = %environment.name, ?kind, resources = put.len(), removed = missing.removed.len(), bytes = size, nonce, "sent"
        );
        self.answered = true;
        self.flight = Some(Flight {
            nonce: nonce.clone(),
            put,
            removed: missing.removed.clone(),
            confirms: complete.then_some(environment.serial),
        });
        DeltaDiscoveryResponse {
            type_url: kind.url(),
            resources,
            removed_resources: missing.removed,
            nonce,
            ..DeltaDiscoveryResponse::default()
        }
    }

    fn accepted(&mut self, kind: Type, flight: Flight, envoy: u64, environment: &mut Environment) -> bool {
        let mut wake = false;
        for (name, version) in flight.put {
            self.alone.remove(&name);
            self.refused.remove(&name);
            environment.mended(kind, &name);
            if kind == Type::Route {
                wake |= environment.routes_accepted(envoy, version);
            }
            if self.wildcard || self.names.contains(&name) {
                self.held.insert(name, version);
            }
        }
        for name in flight.removed {
            if self.names.contains(&name) {
                self.held.insert(name, Version::NOTHING);
            } else {
                self.held.remove(&name);
            }
        }
        self.confirmed = flight.confirms.unwrap_or(self.confirmed);
        wake
    }

    /// Several at once: they are tried one by one. One alone: that one is at fault.
    fn rejected(&mut self, kind: Type, flight: Flight, message: &str, environment: &mut Environment) -> bool {
        if flight.put.len() > 1 {
            self.alone.extend(flight.put.into_iter().map(|(name, _)| name));
            return false;
        }
        let mut wake = false;
        for (name, version) in flight.put {
            self.alone.remove(&name);
            wake |= environment.refused(kind, &name, version, message);
            self.refused.insert(name, version);
        }
        for name in flight.removed {
            self.held.remove(&name);
        }
        wake
    }
}
