use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use portico_core::Core;
use portico_core::api_key::ApiKey;
use portico_core::batch::Fact;
use portico_core::delta::{Put, Removal};
use portico_core::key::Name;
use super::engine::Event;
pub enum News { Fact(Fact), Note(String), Trouble(String) }
pub struct How { pub envoy: Option<PathBuf>, pub start: bool, pub stop: bool, pub state: PathBuf }
pub struct Gateway;
pub struct Keys;
impl Keys { pub fn insert(&self, _: Name, _: i64, _: ApiKey) {} pub fn retain(&self, _: &Name, _: &[i64]) -> Vec<i64> { vec![] } }
impl Gateway {
  pub fn start(_: &tokio::runtime::Runtime, _: SocketAddr, _: How, _: Sender<Event>) -> anyhow::Result<Gateway> { Ok(Gateway) }
  pub fn address(&self) -> SocketAddr { ([127,0,0,1],0).into() }
  pub fn keys(&self) -> &Keys { &Keys }
  pub fn update(&mut self, _: &Core, _: Vec<Removal>, _: Vec<Put>) {}
  pub fn connected(&self) -> Vec<(Name, usize)> { vec![] }
  pub fn stop(&mut self) {}
}
