//! What one environment should have, and what its Envoys confirmed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use portico_core::delta::{Output, OutputKey, Put, Removal};
use portico_core::gateway::{Api, Gateway};
use portico_core::key::{Kind, Name, ObjectKey};

use super::Event;
use crate::translate::{
    self, ApiId, CertificateSource, Clients, Compiled, KeySource, Options, Resource, Type, Version,
};

/// The state of an environment. Only [`Environment::update`] and what Envoys answer change it.
#[derive(Debug)]
pub(super) struct Environment {
    pub(super) name: Name,
    /// Whether it was ever told what it should have. Before, an Envoy that comes back is told nothing, so that it keeps
    /// what it has.
    pub(super) ready: bool,
    /// Up to where all that was wanted is in here.
    pub(super) serial: u64,
    gateway: Option<Gateway>,
    apis: BTreeMap<ApiId, Entry>,
    clients: Clients,
    /// All resources but the shards of keys.
    fixed: BTreeMap<(Type, String), Resource>,
    /// Groups of APIs that are tried one after the other, after a route table was refused. See [`Environment::routes`].
    trials: Vec<BTreeSet<ApiId>>,
    pub(super) envoys: HashMap<u64, Envoy>,
    confirmed: u64,
    /// What was last reported as refused, so that a second try that fails alike is not reported again.
    reported: HashMap<(Type, String), Version>,
    events: Vec<Event>,
}

/// An API and how far it has come.
#[derive(Debug)]
struct Entry {
    wanted: Arc<Api>,
    latest: Option<Arc<Compiled>>,
    /// What an Envoy last accepted.
    good: Option<Arc<Compiled>>,
    /// Whether `latest` was refused.
    refused: bool,
}

impl Entry {
    fn is_pending(&self) -> bool {
        let is_good = match (&self.latest, &self.good) {
            (Some(latest), Some(good)) => Arc::ptr_eq(latest, good),
            (latest, good) => latest.is_none() && good.is_none(),
        };
        !self.refused && !is_good
    }
}

/// A connected Envoy.
#[derive(Debug, Default)]
pub(super) struct Envoy {
    pub(super) node: String,
    /// Up to where it confirmed everything.
    pub(super) confirmed: u64,
    /// The route table that it has.
    pub(super) routes: Option<Version>,
}

/// Where translations look things up.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) keys: Arc<dyn KeySource>,
    pub(super) certificates: Arc<dyn CertificateSource>,
    pub(super) options: Options,
}

impl Environment {
    pub(super) fn new(name: Name) -> Self {
        let mut clients = Clients::new();
        clients.refresh([]);
        Environment {
            name,
            ready: false,
            serial: 0,
            gateway: None,
            apis: BTreeMap::new(),
            clients,
            fixed: BTreeMap::new(),
            trials: Vec::new(),
            envoys: HashMap::new(),
            confirmed: 0,
            reported: HashMap::new(),
            events: Vec::new(),
        }
    }

    /// Takes what was reported since it was last asked.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// How many clients there are.
    pub(super) fn clients(&self) -> usize {
        self.clients.count()
    }

    /// Applies what changed. What takes access away is applied first, and so sent first.
    pub(super) fn update(&mut self, removals: Vec<Removal>, puts: Vec<Put>, sources: &Sources) {
        let (mut shards, mut gateway, mut changed) = (BTreeSet::new(), false, BTreeSet::new());
        let mut fewer_apis = false;
        for Removal { key, serial } in removals {
            self.serial = self.serial.max(serial);
            match key {
                OutputKey::Gateway { .. } => {
                    self.gateway = None;
                    gateway = true;
                }
                OutputKey::Api { product, index, .. } => {
                    fewer_apis |= self.apis.remove(&ApiId { product, index }).is_some();
                }
                OutputKey::Client { credential, .. } => shards.extend(self.clients.remove(&credential, serial)),
            }
        }
        for Put { key, output, serial, .. } in puts {
            self.serial = self.serial.max(serial);
            match (key, output) {
                (OutputKey::Gateway { .. }, Output::Gateway(wanted)) => {
                    self.clients.set_header(&wanted.settings.api_key_header);
                    self.gateway = Some(*wanted);
                    gateway = true;
                }
                (OutputKey::Api { product, index, .. }, Output::Api(wanted)) => {
                    let id = ApiId { product, index };
                    changed.insert(id.clone());
                    self.want(id, Arc::new(*wanted));
                }
                (OutputKey::Client { .. }, Output::Client(client)) => {
                    shards.extend(self.clients.put(&client, sources.keys.as_ref(), serial));
                }
                (key, _) => tracing::error!(?key, "an output of another kind than its key says"),
            }
        }
        self.clients.refresh(shards);
        if gateway {
            changed = self.apis.keys().cloned().collect();
        }
        if gateway || fewer_apis || !changed.is_empty() || !self.ready {
            self.compile(&changed, sources);
            self.collect(sources);
        }
        self.ready = true;
    }

    /// Looks certificates up again.
    pub(super) fn refresh_certificates(&mut self, sources: &Sources) {
        let all = self.apis.keys().cloned().collect();
        self.compile(&all, sources);
        self.collect(sources);
    }

    fn want(&mut self, id: ApiId, wanted: Arc<Api>) {
        match self.apis.get_mut(&id) {
            Some(entry) => entry.wanted = wanted,
            None => {
                self.apis.insert(id, Entry { wanted, latest: None, good: None, refused: false });
            }
        }
    }

    fn compile(&mut self, ids: &BTreeSet<ApiId>, sources: &Sources) {
        let Some(gateway) = &self.gateway else { return };
        for id in ids {
            let Some(entry) = self.apis.get_mut(id) else { continue };
            match translate::api(&self.name, id, &entry.wanted, gateway, sources.certificates.as_ref()) {
                Ok(compiled) if entry.latest.as_ref().is_some_and(|latest| **latest == compiled) => {}
                Ok(compiled) => {
                    entry.latest = Some(Arc::new(compiled));
                    entry.refused = false;
                }
                Err(invalid) => self.events.push(Event::Refused {
                    environment: self.name.clone(),
                    objects: vec![id.object()],
                    message: invalid.to_string(),
                }),
            }
        }
    }

    /// Puts together all resources but the shards.
    fn collect(&mut self, sources: &Sources) {
        let old = std::mem::take(&mut self.fixed);
        let (name, nowhere) = translate::nowhere();
        self.fixed.insert((Type::Cluster, name), nowhere);
        for (id, entry) in &self.apis {
            if let Some(latest) = &entry.latest {
                self.fixed.insert((Type::Cluster, translate::cluster_name(id)), latest.cluster.clone());
            }
        }
        for (name, limits) in translate::limits(&self.name, self.apis.values().map(|entry| entry.wanted.as_ref())) {
            self.fixed.insert((Type::Extension, name), limits);
        }
        if let Some(gateway) = &self.gateway {
            let (resources, invalid) =
                translate::listeners(&self.name, gateway, sources.certificates.as_ref(), &old, &sources.options);
            self.fixed.extend(resources.into_iter().map(|(kind, name, resource)| ((kind, name), resource)));
            for one in invalid {
                self.events.push(Event::Refused {
                    environment: self.name.clone(),
                    objects: vec![self.name.clone().of(Kind::Environment)],
                    message: one.to_string(),
                });
            }
        }
        for (key, resource) in &self.fixed {
            if old.get(key).is_none_or(|before| before.version != resource.version) {
                self.reported.remove(key);
            }
        }
        self.routes();
    }

    /// Puts the route table together.
    ///
    /// It is one resource, and Envoy takes it or leaves it. So that one bad API does not keep the others from changing,
    /// each API has the routes that were last accepted, and new ones are tried: all together at first, and when that is
    /// refused in halves, until those are found that Envoy does not want. An API without accepted routes is left out while
    /// it is not its turn.
    fn routes(&mut self) {
        let mut pending: BTreeSet<ApiId> =
            self.apis.iter().filter(|(_, entry)| entry.is_pending()).map(|(id, _)| id.clone()).collect();
        for group in &mut self.trials {
            group.retain(|id| pending.contains(id));
        }
        self.trials.retain(|group| !group.is_empty());
        for id in self.trials.iter().flatten() {
            pending.remove(id);
        }
        if !pending.is_empty() {
            if self.trials.len() > 1 {
                self.trials.insert(0, pending);
            } else if let Some(group) = self.trials.first_mut() {
                group.extend(pending);
            } else {
                self.trials.push(pending);
            }
        }
        let on_trial = self.trials.last();
        let chosen = self.apis.iter().filter_map(|(id, entry)| {
            let is_on_trial = on_trial.is_some_and(|group| group.contains(id));
            let compiled = if is_on_trial { &entry.latest } else { &entry.good };
            Some((id, compiled.as_deref()?))
        });
        let (name, resource) = translate::routes(chosen);
        self.fixed.insert((Type::Route, name), resource);
    }

    fn current_routes(&self) -> Option<Version> {
        let mut routes = self.fixed.iter().filter(|((kind, _), _)| *kind == Type::Route);
        routes.next().map(|(_, resource)| resource.version)
    }

    /// Whether no routes are on trial any more.
    pub(super) fn is_settled(&self) -> bool {
        self.trials.is_empty()
    }

    /// An Envoy took a route table; true if that changed what others are to have.
    pub(super) fn routes_accepted(&mut self, envoy: u64, version: Version) -> bool {
        if let Some(envoy) = self.envoys.get_mut(&envoy) {
            envoy.routes = Some(version);
        }
        let everywhere = self.envoys.values().all(|envoy| envoy.routes.is_none() || envoy.routes == Some(version));
        if !everywhere || self.current_routes() != Some(version) {
            return false;
        }
        let Some(group) = self.trials.pop() else { return false };
        for id in group {
            if let Some(entry) = self.apis.get_mut(&id) {
                entry.good.clone_from(&entry.latest);
            }
        }
        self.routes();
        true
    }

    /// An Envoy refused something. True if there is something else to try.
    pub(super) fn refused(&mut self, kind: Type, name: &str, version: Version, message: &str) -> bool {
        if kind != Type::Route {
            let key = (kind, name.to_owned());
            if self.version(kind, name) == Some(version) && self.reported.insert(key, version) != Some(version) {
                let objects = self.origins(kind, name);
                self.report(objects, message);
            }
            return false;
        }
        if self.current_routes() != Some(version) {
            return false;
        }
        let Some(mut group) = self.trials.pop() else {
            let key = (kind, name.to_owned());
            if self.reported.insert(key, version) != Some(version) {
                self.report(vec![self.name.clone().of(Kind::Environment)], message);
            }
            return false;
        };
        if group.len() == 1 {
            let objects: Vec<_> = group.iter().map(ApiId::object).collect();
            for id in &group {
                if let Some(entry) = self.apis.get_mut(id) {
                    entry.refused = true;
                }
            }
            self.report(objects, message);
        } else {
            let middle = group.iter().nth(group.len() / 2).cloned();
            let second = middle.map(|middle| group.split_off(&middle)).unwrap_or_default();
            tracing::info!(environment = %self.name, apis = group.len() + second.len(), "looking for the API that Envoy refuses");
            self.trials.push(second);
            self.trials.push(group);
        }
        self.routes();
        true
    }

    /// An Envoy took what it had refused before: the reason was not in it, such as a port that was in use.
    pub(super) fn mended(&mut self, kind: Type, name: &str) {
        if self.reported.remove(&(kind, name.to_owned())).is_some() {
            let objects = self.origins(kind, name);
            self.events.push(Event::Mended { environment: self.name.clone(), objects });
        }
    }

    fn report(&mut self, objects: Vec<ObjectKey>, message: &str) {
        tracing::warn!(environment = %self.name, ?objects, message, "Envoy refused a change; what it had goes on");
        self.events.push(Event::Refused { environment: self.name.clone(), objects, message: message.to_owned() });
    }

    fn origins(&self, kind: Type, name: &str) -> Vec<ObjectKey> {
        if let Some(resource) = self.fixed.get(&(kind, name.to_owned())) {
            return resource.origins.clone();
        }
        self.clients.shard(name).map(|shard| self.clients.origins(shard)).unwrap_or_default()
    }

    /// An Envoy has everything up to `serial`.
    pub(super) fn confirmed(&mut self, envoy: u64, serial: u64) {
        if let Some(envoy) = self.envoys.get_mut(&envoy) {
            envoy.confirmed = envoy.confirmed.max(serial);
        }
        self.settle();
    }

    /// Reports what all Envoys have.
    pub(super) fn settle(&mut self) {
        let everywhere = self.envoys.values().map(|envoy| envoy.confirmed).min().unwrap_or_default();
        if everywhere > self.confirmed {
            self.confirmed = everywhere;
            self.events.push(Event::Confirmed { environment: self.name.clone(), serial: everywhere });
        }
    }

    /// Up to where all Envoys confirmed everything.
    pub(super) fn confirmed_serial(&self) -> u64 {
        self.confirmed
    }

    /// Whether Envoy has to ask for a type before all is confirmed: it does once it has what refers to it.
    pub(super) fn needs(&self, kind: Type) -> bool {
        match kind {
            Type::Cluster | Type::Listener => true,
            Type::Extension | Type::Route => self.fixed.keys().any(|(kind, _)| *kind == Type::Listener),
            Type::Secret => self.fixed.keys().any(|(kind, _)| *kind == Type::Secret),
        }
    }

    /// The names and versions of all resources of a type that there is a list of.
    pub(super) fn all(&self, kind: Type) -> impl Iterator<Item = (&str, Version)> {
        let found = self.fixed.iter().filter(move |((one, _), _)| *one == kind);
        found.map(|((_, name), resource)| (name.as_str(), resource.version))
    }

    /// The version of a resource; none if there is no such.
    pub(super) fn version(&self, kind: Type, name: &str) -> Option<Version> {
        if kind == Type::Extension
            && let Some(shard) = self.clients.shard(name)
        {
            return Some(self.clients.version(shard));
        }
        self.fixed.get(&(kind, name.to_owned())).map(|resource| resource.version)
    }

    /// How urgent a resource is: the serial at which it last lost an entry.
    pub(super) fn urgency(&self, kind: Type, name: &str) -> u64 {
        let shard = if kind == Type::Extension { self.clients.shard(name) } else { None };
        shard.map(|shard| self.clients.lost(shard)).unwrap_or_default()
    }

    /// The resource as it is sent.
    pub(super) fn resource(&self, kind: Type, name: &str) -> Option<Resource> {
        if kind == Type::Extension
            && let Some(shard) = self.clients.shard(name)
        {
            return Some(self.clients.resource(shard));
        }
        self.fixed.get(&(kind, name.to_owned())).cloned()
    }

    /// All resources, keys included; shards without keys are left out.
    pub(super) fn shown(&self) -> Vec<(Type, String, Resource)> {
        let fixed = self.fixed.iter().map(|((kind, name), resource)| (*kind, name.clone(), resource.clone()));
        let shards = self.clients.filled().map(|(name, shard)| (Type::Extension, name, self.clients.resource(shard)));
        fixed.chain(shards).collect()
    }
}
