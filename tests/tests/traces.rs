//! The traces that the operator sends, as a Collector has them.

use std::net::TcpListener;

use portico_tests::mutual::Mutual;
use portico_tests::operator::Tenancy;
use portico_tests::otelcol::Collector;
use portico_tests::portico::run_in;
use portico_tests::{ports, wait};

/// Long enough to be no accident, short enough to be there however it is cut.
const PART_OF_KEY: usize = 20;

#[test]
fn a_grant_is_told_from_the_batch_to_the_write_and_the_key_is_not() {
    let collector = Collector::start();
    let tenancy = Tenancy::new();
    // Who wants no lines wants spans all the same.
    let setup = tenancy
        .operator("traced")
        .arguments(["--otlp-endpoint", collector.endpoint()])
        .variable("PORTICO_LOG", "error");
    let operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    tenancy.apply(&tenancy.grant("echo-basic"));
    let key = tenancy.key("shop", "web-basic");
    tenancy.wait_status(&key, 200);
    tenancy.wait_condition("Credential", "shop", "web-basic", "Programmed", ("True", "Programmed"));
    let probe = tenancy.key("watch", "probe");
    tenancy.delete(&tenancy.grant("echo-basic"));
    tenancy.wait_status(&key, 401);
    // It sends what is left before it ends.
    assert!(operator.stop().success());

    let credential = format!("{}/web-basic", tenancy.namespace("shop"));
    let write = wait::until("the spans", || {
        collector.spans().into_iter().find(|span| span.name() == "write" && span.attribute("credential") == credential)
    });
    assert_eq!(write.attribute("kind"), "secret", "{write:?}");
    let spans = collector.spans();
    let named = |name: &str| spans.iter().filter(|span| span.name() == name).collect::<Vec<_>>();
    let batches = named("batch");
    let translations = named("translate");
    assert!(!batches.is_empty() && !translations.is_empty(), "{spans:?}");
    for translation in translations {
        let parent = &translation.object["parentSpanId"];
        assert!(batches.iter().any(|batch| batch.object["spanId"] == *parent), "{translation:?} is not in a batch");
    }
    let statuses = named("write").into_iter().filter(|span| span.attribute("kind") == "status").count();
    assert!(statuses > 0, "{spans:?}");
    for span in &spans {
        let sender = (span.sender("service.name"), span.sender("service.instance.id"));
        assert_eq!(sender, ("portico", "traced"), "{span:?}");
    }

    let told = collector.told();
    for key in [key, probe] {
        assert!(
            !told.contains(&key[..PART_OF_KEY]) && !told.contains(&key[key.len() - PART_OF_KEY..]),
            "a key is told"
        );
    }
}

#[test]
fn it_speaks_tls_with_a_collector_that_the_system_believes() {
    let mutual = Mutual::new();
    let collector = Collector::start_with(&mutual.gateway("127.0.0.1", &mutual));
    let tenancy = Tenancy::empty();
    let setup = tenancy
        .operator("private")
        .arguments(["--otlp-endpoint", collector.endpoint()])
        .variable("SSL_CERT_FILE", mutual.service().join("ca.crt"));
    let operator = setup.ready();
    tenancy.apply(&tenancy.everything());
    tenancy.key("watch", "probe");
    let arrived = wait::within(wait::PATIENCE, || (!collector.spans().is_empty()).then_some(()));
    assert!(arrived.is_some(), "no spans:\n{}", operator.output());
}

#[test]
fn an_endpoint_without_a_scheme_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let outcome = run_in(folder.path(), &["operator", "--otlp-endpoint", "collector:4317"]);
    assert!(
        !outcome.status.success() && outcome.transcript().contains("http://collector:4317"),
        "{}",
        outcome.transcript()
    );
}

#[test]
fn without_a_collector_it_works_and_says_so_once() {
    let address = ports::free_address();
    let tenancy = Tenancy::new();
    let setup = tenancy.operator("alone").arguments(["--otlp-endpoint", &format!("http://{address}")]);
    let operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    let said = |what: &str| operator.output().lines().filter(|line| line.contains(what)).count();
    wait::until("a word about it", || (said("traces cannot be sent") > 0).then_some(()));
    tenancy.apply(&tenancy.grant("echo-basic"));
    let key = tenancy.key("shop", "web-basic");
    tenancy.wait_status(&key, 200);

    // It comes later.
    let collector = Collector::start_at(address);
    let mut round = 0;
    wait::until("spans after all", || {
        // There has to be something to send.
        round += 1;
        let plan = ["echo-small", "echo-basic"][round % 2];
        tenancy.apply(&tenancy.grant(plan));
        (!collector.spans().is_empty()).then_some(())
    });
    wait::until("a word about that", || (said("traces are sent again") > 0).then_some(()));
    assert_eq!((said("traces cannot be sent"), said("traces are sent again")), (1, 1), "{}", operator.output());
    drop(collector);
    assert!(operator.stop().success());
}

#[test]
fn a_collector_that_never_answers_holds_up_nothing() {
    // Connections are made, since the system makes them, and nobody reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("it has an address"));
    let tenancy = Tenancy::new();
    let setup = tenancy.operator("unheard").arguments(["--otlp-endpoint", &endpoint]);
    let operator = setup.ready();
    let _gateway = tenancy.gateway(setup.xds());
    tenancy.wait_status(&tenancy.key("watch", "probe"), 200);
    let begun = std::time::Instant::now();
    assert!(operator.stop().success());
    println!("it ended after {:?}", begun.elapsed());
}
