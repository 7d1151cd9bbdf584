//! Processes that a test started, directly or through Portico, and that must be gone when it ends.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The ids of all processes that have `folder` among their arguments.
///
/// `folder` has to be a temporary one that nobody else knows: then what is found was started for it.
pub fn that_mention(folder: &Path) -> Vec<u32> {
    let folder = folder.as_os_str().as_encoded_bytes();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut found: Vec<u32> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id| *id != std::process::id())
        .filter(|id| {
            fs::read(format!("/proc/{id}/cmdline"))
                .is_ok_and(|line| line.windows(folder.len()).any(|window| window == folder))
        })
        .collect();
    found.sort_unstable();
    found
}

/// Whether there is such a process, and it is not one that only waits for its parent to notice its end.
pub fn is_alive(id: u32) -> bool {
    state(id).is_some_and(|state| state != 'Z')
}

/// Sends a signal, such as `KILL` or `TERM`, to one process.
pub fn signal(id: u32, name: &str) {
    // A process that is gone by now is what was wanted.
    let _ = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).output();
}

/// Resident memory in bytes, or `None` if there is no such process.
pub fn resident(id: u32) -> Option<u64> {
    field(id, "VmRSS:")
}

/// The most memory that was ever resident, in bytes.
pub fn peak(id: u32) -> Option<u64> {
    field(id, "VmHWM:")
}

/// Whether a process and all of its threads stand still.
pub fn is_stopped(id: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else { return false };
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

/// Processor time that was used so far, in user and kernel together, in hundredths of a second.
pub fn ticks(id: u32) -> Option<u64> {
    let stat = stat(id)?;
    let mut fields = stat.split_ascii_whitespace();
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn state(id: u32) -> Option<char> {
    stat(id)?.chars().next()
}

/// The part of `/proc/ID/stat` after the program's name, which may itself have spaces.
fn stat(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned())
}

fn field(id: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kibibytes: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
