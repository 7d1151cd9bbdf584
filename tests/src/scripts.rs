//! Where real parts are that tests need.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// What `scripts/NAME` prints: a program, or a folder of programs, that it builds if need be. `PORTICO_NAME` in the environment
/// says where it is already. Asked once a process.
///
/// # Panics
///
/// When there is none and none can be had.
pub fn path(name: &'static str) -> &'static Path {
    static KNOWN: Mutex<Option<HashMap<&str, &Path>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.get_or_insert_default().entry(name).or_insert_with(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts").join(name);
        let output = Command::new(script).output().unwrap_or_else(|error| panic!("scripts/{name}: {error}"));
        assert!(output.status.success(), "scripts/{name}: {}", String::from_utf8_lossy(&output.stderr));
        Path::new(String::leak(String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    })
}
