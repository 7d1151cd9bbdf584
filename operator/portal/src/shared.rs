//! The core, shared between the one who changes it and those who look.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use portico_core::Core;
use portico_core::key::Name;
use tokio::sync::watch;

/// The writing half. There is one.
#[derive(Debug)]
pub struct Shared {
    core: Arc<RwLock<Core>>,
    changes: watch::Sender<u64>,
}

/// The reading half. Whoever looks holds up the next change, so look quickly: take what you need, and make something of it
/// afterwards.
#[derive(Clone, Debug)]
pub struct Reading {
    core: Arc<RwLock<Core>>,
    changes: watch::Receiver<u64>,
}

impl Default for Shared {
    fn default() -> Self {
        Shared { core: Arc::default(), changes: watch::Sender::new(0) }
    }
}

impl Shared {
    /// A core that knows nothing.
    pub fn new() -> Self {
        Shared::default()
    }

    /// The other half.
    pub fn reading(&self) -> Reading {
        Reading { core: self.core.clone(), changes: self.changes.subscribe() }
    }

    /// Changes the core: waits for those who look now, and lets nobody begin to until it is done.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Core) -> T) -> T {
        let answer = change(&mut self.core.write().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_modify(|count| *count += 1);
        answer
    }

    /// The name as the core has it already, see [`Core::intern`]. Nobody is told: that changes nothing.
    pub fn intern(&mut self, name: &Name) -> Name {
        self.core.write().unwrap_or_else(PoisonError::into_inner).intern(name)
    }

    /// The core, to look at it.
    pub fn read(&self) -> RwLockReadGuard<'_, Core> {
        self.core.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    /// Asks the core something.
    pub fn look<T>(&self, question: impl FnOnce(&Core) -> T) -> T {
        question(&self.core.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells whenever the core has changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        let mut changes = self.changes.clone();
        changes.mark_changed();
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portico_core::batch::Batch;

    #[tokio::test]
    async fn what_is_written_is_read_and_told() {
        let mut shared = Shared::new();
        let reading = shared.reading();
        let mut changes = reading.changes();
        changes.changed().await.unwrap();
        let now = jiff::Timestamp::from_second(1_000).unwrap();
        shared.change(|core| core.apply(Batch { now, changes: Vec::new(), facts: Vec::new() }));
        changes.changed().await.unwrap();
        assert_eq!(reading.look(Core::now), now);
    }
}
