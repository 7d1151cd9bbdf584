//! What deletions need of the cluster: products and plans that have to wait get a finalizer, and lose it when they may go;
//! subscriptions that go with their plan are deleted.

use portico_core::deletion::Guard;
use portico_core::key::{Kind, ObjectKey};
use portico_kube::uid::Uid;
use portico_kube::write::{self, WriteError};
use tracing::Instrument;

use super::engine::Engine;
use super::metrics::Outcome;
use super::work::Done;
use crate::up::chain;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its deletion has to wait from now on.
    Guard,
    /// It may go whenever somebody deletes it, or now if somebody has.
    Release,
    /// It goes with its plan.
    Delete,
}

impl Engine {
    /// What there is to do about an object.
    ///
    /// A finalizer that is there stays until something is deleted: who subscribes, and ends that, writes nothing here.
    pub(super) fn deletion(&self, key: &ObjectKey) -> Option<Step> {
        let standing = self.objects.get(key)?;
        match key.kind {
            Kind::ApiProduct | Kind::Plan => {
                match (self.core.read().guard(key), standing.is_guarded, standing.is_deleted) {
                    (Guard::Needed, false, false) => Some(Step::Guard),
                    (Guard::Unwanted, true, _) | (Guard::Idle, true, true) => Some(Step::Release),
                    _ => None,
                }
            }
            Kind::Subscription => self.core.read().is_taken(key).then_some(Step::Delete),
            _ => None,
        }
    }

    /// Begins to do it; false if there is nothing to do.
    pub(super) fn write_deletion(&mut self, key: &ObjectKey) -> bool {
        let (Some(step), Some(standing)) = (self.deletion(key), self.objects.get(key)) else { return false };
        let (client, done, key, uid) = (self.client.clone(), self.done.clone(), key.clone(), standing.uid);
        let span = tracing::info_span!("write", kind = "deletion", object = %key, ?step);
        let write = async move {
            let result = async {
                match step {
                    Step::Guard => write::guard(&client, &key, uid, true).await,
                    Step::Release => write::guard(&client, &key, uid, false).await,
                    Step::Delete => write::delete(&client, &key, uid).await,
                }
            };
            let result = write::in_time(result).await;
            // Nobody listens while the program stops.
            let _ = done.send(Done::Deletion { key, uid, step, result });
        };
        tokio::spawn(write.instrument(span));
        true
    }

    pub(super) fn deletion_written(
        &mut self,
        key: &ObjectKey,
        uid: Uid,
        step: Step,
        result: Result<(), WriteError>,
    ) -> Outcome {
        match result {
            Ok(()) => {
                if let Some(standing) = self.objects.get_mut(key).filter(|standing| standing.uid == uid) {
                    match step {
                        Step::Guard => standing.is_guarded = true,
                        Step::Release => standing.is_guarded = false,
                        Step::Delete => tracing::info!(subscription = %key.name, "deleted with its plan"),
                    }
                }
                Outcome::Written
            }
            Err(error) => {
                let text = chain(&error);
                tracing::warn!(object = %key, error = text, "a deletion did not go on; trying again");
                if !error.is_passing() {
                    self.note(key, true, "DeletionNotWritten", &text);
                }
                Outcome::of(&error)
            }
        }
    }
}
