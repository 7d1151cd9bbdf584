//! The gateways of the chart: what Envoy itself makes of their bootstrap.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use portico_tests::helm::{find, objects};
use portico_tests::http::{Ask, Connection};
use portico_tests::{portico, ports, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::site::VALUES;

/// The files of the gateway's ConfigMap and of a Secret, as they would be mounted, but in a folder of ours.
fn mounted(values: &str, change: impl FnOnce(&mut Value)) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (bootstrap, xds) = (folder.path().join("bootstrap"), folder.path().join("xds"));
    fs::create_dir(&bootstrap).and_then(|()| fs::create_dir(&xds)).expect("folders in it");
    let objects = objects(values);
    let map = find(&objects, "ConfigMap", "portico-gateway-production");
    let place = folder.path().to_string_lossy();
    let mut change = Some(change);
    for (name, text) in map["data"].as_object().expect("files") {
        let text = text.as_str().expect("a text").replace("/etc/portico", &place);
        let mut content: Value = serde_yaml::from_str(&text).expect("YAML");
        if name == "envoy.yaml" {
            change.take().expect("it is there once")(&mut content);
        }
        fs::write(bootstrap.join(name), content.to_string()).expect("a file");
    }
    let authority = rcgen::generate_simple_self_signed(["portico".to_owned()]).expect("a certificate");
    for name in ["tls.crt", "ca.crt"] {
        fs::write(xds.join(name), authority.cert.pem()).expect("a file");
    }
    fs::write(xds.join("tls.key"), authority.signing_key.serialize_pem()).expect("a file");
    folder
}

fn envoy(folder: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL"])
        .arg(portico::envoy())
        .arg("--config-path")
        .arg(folder.join("bootstrap/envoy.yaml"))
        .args(["--service-cluster", "platform/production", "--service-node", "one", "--disable-hot-restart"]);
    command
}

#[test]
fn envoy_accepts_its_bootstrap() {
    for values in
        [VALUES.to_owned(), format!("{VALUES}\nxds: {{tls: {{mode: 'off'}}}}"), format!("{VALUES}\nlisten: '[::]'")]
    {
        let folder = mounted(&values, |_| {});
        let output = envoy(folder.path()).args(["--mode", "validate"]).output().expect("setpriv starts");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint} with:\n{values}");
        let folder = mounted(&values, |bootstrap| bootstrap["static_resources"]["listeners"][0]["addres"] = json!({}));
        let output = envoy(folder.path()).args(["--mode", "validate"]).output().expect("setpriv starts");
        assert!(!output.status.success(), "it looks at nothing");
    }
}

#[test]
fn portico_is_asked_with_a_certificate_and_over_tls_1_3() {
    let folder = mounted(VALUES, |bootstrap| {
        let cluster = &bootstrap["static_resources"]["clusters"][0];
        let address = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"];
        assert_eq!(address["socket_address"], json!({"address": "portico.portico-system.svc", "port_value": 18000}));
        let tls = &cluster["transport_socket"]["typed_config"];
        assert_eq!(tls["sni"], "portico.portico-system.svc");
        assert_eq!(tls["common_tls_context"]["tls_params"]["tls_maximum_protocol_version"], "TLSv1_3");
        assert!(tls["common_tls_context"]["tls_certificate_sds_secret_configs"][0]["name"].is_string());
    });
    let authority = fs::read_to_string(folder.path().join("bootstrap/authority.yaml")).expect("it is there");
    let authority: Value = serde_json::from_str(&authority).expect("JSON");
    let context = &authority["resources"][0]["validation_context"];
    assert_eq!(context["match_typed_subject_alt_names"][0]["matcher"]["exact"], "portico.portico-system.svc");

    let objects = objects(&format!("{VALUES}\nxds: {{tls: {{mode: 'off'}}}}"));
    let operator = find(&objects, "Deployment", "portico")["spec"]["template"]["spec"].to_string();
    assert!(!operator.contains("xds-tls") && !operator.contains("/etc/portico/xds"), "{operator}");
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn others_see_numbers_and_nothing_else() {
    let (stats, admin) = (ports::free_address(), ports::free_address());
    let folder = mounted(VALUES, |bootstrap| {
        // There is no Portico to wait for.
        bootstrap.as_object_mut().expect("an object").remove("dynamic_resources");
        let moved =
            |address: SocketAddr| json!({"socket_address": {"address": "127.0.0.1", "port_value": address.port()}});
        bootstrap["admin"]["address"] = moved(admin);
        bootstrap["static_resources"]["listeners"][0]["address"] = moved(stats);
        let endpoint =
            bootstrap.pointer_mut("/static_resources/clusters/1/load_assignment/endpoints/0/lb_endpoints/0/endpoint");
        endpoint.expect("the endpoint of the cluster `admin`")["address"] = moved(admin);
    });
    let mut command = envoy(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _running = Running(command.spawn().expect("setpriv starts"));
    let ask = |ask: &Ask| Connection::open(stats).ok()?.send(ask).ok().map(|answer| answer.status);
    wait::until("Envoy is ready", || ask(&Ask::get("/ready")).filter(|status| *status == 200));
    let answer = Connection::open(stats).expect("it listens").send(&Ask::get("/stats/prometheus")).expect("an answer");
    assert!(answer.body.contains("envoy_cluster_upstream_cx_total"), "{}", answer.body);
    for path in ["/", "/config_dump", "/quitquitquit", "/stats", "/certs", "/ready/../config_dump", "/ready?a=b/../x"] {
        let status = ask(&Ask::get(path)).expect("an answer");
        assert!(status == 404 || (path.starts_with("/ready?") && status == 200), "{path}: {status}");
    }
    assert_eq!(ask(&Ask::method("POST", "/ready")), Some(404));
}
