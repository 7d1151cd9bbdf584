//! portico-envoy
