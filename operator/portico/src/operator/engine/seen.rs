//! What is seen in the cluster, and in Git of who wrote it, becomes changes and facts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use portico_core::batch::{Author, Change, Deletion, Fact, Object, Spec};
use portico_core::key::{Kind, Name, ObjectKey};
use portico_crds::PortalSpec;
use portico_kube::read::Met;
use portico_kube::secret::Key;
use portico_kube::watch::Seen;

use super::{Engine, Standing};
use crate::operator::authors::{Authors, News, remembered};
use crate::operator::work::Task;

impl Engine {
    pub(super) fn see(&mut self, seen: Seen) {
        match seen {
            Seen::Object(met) => self.met(*met),
            Seen::ObjectGone(key) => {
                self.gone(key);
            }
            Seen::Secret(delivered) => self.delivered(*delivered),
            Seen::SecretGone(name, uid) => {
                // Another one may stand there already, that this replica wrote: it heard of that first.
                let is_known = self.secrets.get(&name).is_some_and(|known| uid.is_some() && known.uid != uid);
                if is_known {
                    return;
                }
                if let Some(gone) = self.secrets.remove(&name) {
                    if self.belongs(&gone) {
                        self.repair(&gone.credential, "was deleted");
                    } else {
                        // It went with what it was made for.
                        self.outbox.want(Task::Secret(gone.credential), Instant::now());
                    }
                } else if self.held.certificates_gone(&name) {
                    self.refresh_certificates();
                }
            }
            Seen::Certificates(name, texts) => {
                if self.held.certificates(&name, texts) {
                    self.ask_for_imports(&name);
                    self.refresh_certificates();
                }
            }
            Seen::Documents(documents) => {
                let concerned = self.documents.found(&documents.name.clone(), Some(documents));
                self.read_documents(concerned);
            }
            Seen::DocumentsGone(name) => {
                let concerned = self.documents.found(&name, None);
                self.read_documents(concerned);
            }
            Seen::Listed(source) => {
                self.health.send_modify(|health| _ = health.failing.remove(&source));
                if self.missing.remove(&source) && self.missing.is_empty() {
                    self.synced();
                }
            }
            Seen::Failing(source, why) => {
                self.metrics.watch_errors.inc();
                self.health.send_modify(|health| _ = health.failing.insert(source, why));
            }
        }
    }

    pub(super) fn gone(&mut self, key: ObjectKey) {
        self.rush.one_more(Instant::now());
        self.objects.remove(&key);
        self.givers.gone(&key);
        match key.kind {
            Kind::Credential => _ = self.targets.remove(&key.name),
            Kind::ApiProduct => self.documents.product_gone(&key.name),
            Kind::Portal if self.authors.portal(&key.name, None, &self.held) => self.attribute_all(),
            _ => {}
        }
        self.changes.push(Change::Findings(key.clone(), Vec::new()));
        self.changes.push(Change::Remove(key.clone()));
        self.leaving.insert(key);
    }

    pub(super) fn met(&mut self, met: Met) {
        let Met { key, uid, generation, is_guarded, deleted, said, observed, fingerprint, decided, is_void, granted } =
            met;
        let key = self.core.intern(&key.name).of(key.kind);
        let standing = self.objects.get(&key);
        if standing.is_none_or(|standing| standing.generation != generation) {
            self.rush.one_more(Instant::now());
        }
        if standing.is_some_and(|standing| standing.uid != uid) {
            self.gone(key.clone());
        }
        // Another one of the same name is not the one that was: what belonged to that one ends, its keys first of all.
        if self.leaving.contains(&key) && self.missing.is_empty() {
            self.settle();
        }
        let author = said.as_ref().ok().and_then(|object| object.author.as_ref()).map(|one| self.people.intern(one));
        let remembered = decided.and_then(remembered);
        let is_deleted = deleted.is_some();
        let standing = Standing { uid, generation, is_guarded, is_deleted, observed, author, remembered, is_void };
        self.objects.insert(key.clone(), standing);
        self.check.push(key.clone());
        if let Some(fingerprint) = fingerprint.filter(|_| !self.missing.is_empty()) {
            self.fingerprints.insert(key.name.clone(), fingerprint);
        }
        if let Some(plan) = granted.filter(|_| !self.missing.is_empty()) {
            // Its file may name another one since.
            self.facts.push(Fact::On { subscription: key.name.clone(), plan });
        }
        match said {
            Ok(mut object) => {
                object.name = key.name.clone();
                self.givers.met(&object, |giver| self.core.intern(giver));
                self.targeted(&object);
                object.author = self.author(&object);
                self.changes.push(match deleted {
                    Some(at) => Change::Delete { key: key.clone(), said: Some(object), deletion: Deletion::At(at) },
                    None => Change::Put(object),
                });
                let findings = if key.kind == Kind::Portal { self.authors.findings(&key.name) } else { Vec::new() };
                self.changes.push(Change::Findings(key, findings));
            }
            Err(findings) => {
                if let Some(at) = deleted {
                    self.changes.push(Change::Delete { key: key.clone(), said: None, deletion: Deletion::At(at) });
                }
                self.changes.push(Change::Findings(key, findings));
            }
        }
    }

    /// Who wrote what an object says, as far as anybody knows.
    pub(super) fn author(&self, object: &Object) -> Option<Arc<Author>> {
        let key = object.key();
        if !Authors::matters(key.kind) {
            return None;
        }
        let standing = self.objects.get(&key)?;
        // What was found before holds for as long as it says the same.
        let known =
            self.core.read().object(&key).filter(|known| known.spec == object.spec).and_then(|known| known.author);
        let known = known.filter(|author| matches!(**author, Author::Commit { .. }));
        let before = known.or_else(|| standing.remembered.clone());
        self.authors.of(object, standing.author.as_ref(), before, standing.is_void)
    }

    /// A repository has something to tell.
    pub(super) fn learn(&mut self, news: News) {
        let portal = news.portal().clone();
        let (keys, concerns_all) = self.authors.hear(news);
        self.changes.push(Change::Findings(portal.clone().of(Kind::Portal), self.authors.findings(&portal)));
        if concerns_all {
            self.attribute_all();
        } else {
            self.attribute(keys);
        }
    }

    /// Looks again who wrote all that it matters of.
    pub(super) fn attribute_all(&mut self) {
        let keys: Vec<ObjectKey> = self.objects.keys().filter(|key| Authors::matters(key.kind)).cloned().collect();
        self.attribute(keys);
    }

    /// Looks again who wrote what these objects say.
    pub(super) fn attribute(&mut self, keys: impl IntoIterator<Item = ObjectKey>) {
        if !self.missing.is_empty() {
            return;
        }
        // What was said and is not taken in yet comes first.
        self.settle();
        for key in keys {
            let known = self.core.read().object(&key).filter(|_| self.objects.contains_key(&key));
            let Some(mut object) = known else { continue };
            let author = self.author(&object);
            if author != object.author {
                object.author = author;
                self.changes.push(Change::Put(object));
            }
        }
    }

    /// Notes what an object says about Secrets, `ConfigMaps` and Git.
    pub(super) fn targeted(&mut self, object: &Object) {
        match &object.spec {
            Spec::Portal(spec) if self.authors.portal(&object.name, Some(spec), &self.held) => self.attribute_all(),
            Spec::Credential(spec) => {
                let name = &object.name;
                let before = match &spec.deliver_to {
                    Some(target) => self.targets.insert(name.clone(), target.secret.as_str().into()),
                    None => self.targets.remove(name),
                };
                if before.as_deref() != spec.deliver_to.as_ref().map(|target| target.secret.as_str()) {
                    self.outbox.want(Task::Secret(name.clone()), Instant::now());
                }
            }
            Spec::ApiProduct(spec) => {
                if let Some(forgotten) = self.documents.product(&object.name, spec) {
                    self.changes.extend(forgotten);
                    self.read_documents([object.name.clone()]);
                }
            }
            _ => {}
        }
    }

    /// Everything was listed: what Secrets hold is believed where nothing speaks against it.
    pub(super) fn synced(&mut self) {
        tracing::info!(objects = self.objects.len(), secrets = self.secrets.len(), "everything is listed");
        let known: Vec<(Name, Key)> = self
            .secrets
            .all()
            .filter(|delivered| {
                let expected = self.fingerprints.get(&delivered.credential);
                let fits = expected.is_none_or(|(generation, expected)| {
                    match delivered.keys.iter().find(|key| key.generation == *generation) {
                        Some(key) => *key.key.fingerprint() == **expected,
                        // It was rotated, and nobody came to say so in the status.
                        None => delivered.keys.last().is_some_and(|newest| newest.generation > *generation),
                    }
                });
                let fits = fits && self.belongs(delivered);
                if !fits {
                    tracing::warn!(secret = %delivered.name, "not the key of what stands there now; it is made anew");
                }
                fits
            })
            .flat_map(|delivered| delivered.keys.iter().map(|key| (delivered.credential.clone(), key.clone())))
            .collect();
        for (credential, key) in known {
            self.facts.extend(self.held.take(&credential, key));
        }
        self.fingerprints = HashMap::new();
        self.refresh_portals();
        // Objects may have been met before the Portal that says who counts as their author.
        let mut changes = std::mem::take(&mut self.changes);
        for change in &mut changes {
            if let Change::Put(object) = change
                && Authors::matters(object.spec.kind())
            {
                object.author = self.author(object);
            }
        }
        self.changes = changes;
        self.read_documents(self.documents.products());
        self.health.send_modify(|health| health.synced = true);
    }

    /// A Secret with certificates or credentials says something else.
    pub(super) fn refresh_certificates(&mut self) {
        if self.missing.is_empty() {
            self.settle();
            self.refresh_portals();
        }
        for key in self.objects.keys().filter(|key| key.kind == Kind::Environment) {
            self.server.refresh_certificates(&key.name);
        }
    }

    /// Begins to follow repositories again whose credentials have changed.
    pub(super) fn refresh_portals(&mut self) {
        let waiting = self.changes.iter().filter_map(|change| match change {
            Change::Put(Object { name, spec: Spec::Portal(spec), .. }) => Some((name.clone(), spec.clone())),
            _ => None,
        });
        let portals: Vec<(Name, Box<PortalSpec>)> = self.core.read().portals().chain(waiting).collect();
        for (name, spec) in portals {
            if self.authors.portal(&name, Some(&spec), &self.held) {
                self.changes.push(Change::Findings(name.clone().of(Kind::Portal), self.authors.findings(&name)));
            }
        }
    }

    /// Reads the documents of products anew, once all that there is was listed.
    pub(super) fn read_documents(&mut self, products: impl IntoIterator<Item = Name>) {
        if self.missing.is_empty() {
            self.changes.extend(products.into_iter().flat_map(|product| self.documents.read(&product)));
        }
    }
}
