//! Events of Kubernetes, for those who look at an object with `kubectl describe`. They are told as well as can be: when there
//! are too many at once, some are left out.

use std::time::Duration;

use portico_core::key::ObjectKey;
use portico_kube::uid::Uid;
use portico_kube::{Client, MANAGER, write};
use tokio::sync::mpsc;

use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// How many may wait.
const WAITING: usize = 1000;
/// The API server has more important things to do than to take Events.
const PACE: Duration = Duration::from_millis(20);

struct Note {
    reference: k8s_openapi::api::core::v1::ObjectReference,
    event: Event,
}

/// Sends Events. Clones send to the same place.
#[derive(Clone)]
pub struct Notes {
    out: mpsc::Sender<Note>,
}

impl Notes {
    /// Begins to send, in the background.
    pub fn start(client: Client, instance: String) -> Notes {
        let (out, mut notes) = mpsc::channel::<Note>(WAITING);
        let recorder = Recorder::new(client, Reporter { controller: MANAGER.to_owned(), instance: Some(instance) });
        tokio::spawn(async move {
            while let Some(Note { reference, event }) = notes.recv().await {
                if let Err(error) = recorder.publish(&event, &reference).await {
                    tracing::debug!(%error, "an Event was not taken");
                }
                tokio::time::sleep(PACE).await;
            }
        });
        Notes { out }
    }

    /// Tells something about an object.
    pub fn send(&self, key: &ObjectKey, uid: Uid, is_warning: bool, reason: &str, text: &str) {
        let event = Event {
            type_: if is_warning { EventType::Warning } else { EventType::Normal },
            reason: reason.to_owned(),
            // The API server takes no more.
            note: Some(text.chars().take(1000).collect()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if self.out.try_send(Note { reference: write::reference(key, uid), event }).is_err() {
            tracing::debug!(object = %key, reason, "an Event was left out");
        }
    }
}
