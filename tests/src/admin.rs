//! Envoy's administration, as Portico starts it: a socket file or a port.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admin {
    /// At an address of loopback.
    Port(String),
    /// In a socket file.
    Socket(PathBuf),
}

impl Admin {
    /// Finds it in a state folder: the socket or the file with an address whose name has `admin` in it.
    pub fn find(state: &Path) -> Option<Admin> {
        for path in files(state) {
            if !path.file_name()?.to_string_lossy().contains("admin") {
                continue;
            }
            if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
                return Some(Admin::Socket(path));
            }
            if let Ok(text) = fs::read_to_string(&path)
                && text.trim().parse::<std::net::SocketAddr>().is_ok()
            {
                return Some(Admin::Port(text.trim().to_owned()));
            }
        }
        None
    }

    /// The answer to `GET path`, head and all.
    ///
    /// # Panics
    ///
    /// When nobody answers.
    pub fn get(&self, path: &str) -> String {
        let mut answer = Vec::new();
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        match self {
            Admin::Port(address) => exchange(TcpStream::connect(address), &request, &mut answer),
            Admin::Socket(socket) => exchange(UnixStream::connect(socket), &request, &mut answer),
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The JSON that `GET path` answers with.
    ///
    /// # Panics
    ///
    /// When nobody answers, or something else.
    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        let (head, mut rest) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let mut body = String::new();
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            while let Some((size, more)) = rest.split_once("\r\n") {
                let size = usize::from_str_radix(size.trim(), 16).expect("the size of a chunk");
                if size == 0 {
                    break;
                }
                body.push_str(&more[..size]);
                rest = more[size..].trim_start_matches("\r\n");
            }
        } else {
            body.push_str(rest);
        }
        serde_json::from_str(&body).expect("JSON")
    }

    /// The value of a counter or gauge, or the sum over all whose name has these words in it.
    pub fn stat(&self, words: &[&str]) -> u64 {
        self.get("/stats")
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(name, _)| words.iter().all(|word| name.contains(word)))
            .filter_map(|(_, value)| value.trim().parse::<u64>().ok())
            .sum()
    }
}

fn exchange(stream: std::io::Result<impl Read + Write>, request: &str, answer: &mut Vec<u8>) {
    let mut stream = stream.expect("Envoy's administration listens");
    stream.write_all(request.as_bytes()).expect("the request is sent");
    stream.read_to_end(answer).expect("Envoy's administration answers");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] })
        .collect()
}
