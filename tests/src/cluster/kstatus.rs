//! What kstatus, which Flux, Argo CD's relatives and others go by, makes of objects.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Answer {
    status: String,
    message: String,
}

/// The status, such as `Current` or `InProgress`, and the message that the kstatus library itself has for each object.
///
/// # Panics
///
/// When one is not a Kubernetes object, or has a status the library cannot read.
pub fn kstatus(objects: &[Value]) -> Vec<(String, String)> {
    let mut child = Command::new(super::binaries().join("kstatus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kstatus starts");
    let mut input = child.stdin.take().expect("stdin is piped");
    let lines = objects.iter().fold(String::new(), |text, object| text + &object.to_string() + "\n");
    // It answers while it reads. When it ends before it has read all, it says why.
    let writer = thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("kstatus ends");
    let written = writer.join().expect("writing does not panic");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    written.expect("kstatus reads all");
    let answers: Vec<_> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str::<Answer>(line).expect("kstatus answers in JSON"))
        .map(|answer| (answer.status, answer.message))
        .collect();
    assert_eq!(answers.len(), objects.len(), "one answer for each object");
    answers
}
