//! The upstream of the demo: an HTTP server that answers with what reached it.
//!
//! `portico-upstream [ADDRESS]`; the address is `127.0.0.1:18080` unless given.

use std::net::SocketAddr;
use std::process::ExitCode;

use portico_tests::upstream::Upstream;

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:18080".to_owned());
    let address: SocketAddr = match address.parse() {
        Ok(address) => address,
        Err(error) => {
            eprintln!("portico-upstream: {address} is not an address: {error}");
            return ExitCode::from(2);
        }
    };
    let upstream = Upstream::start_at(address);
    println!("echoing at {}", upstream.url());
    loop {
        std::thread::park();
    }
}
