# What a person runs. Each target can be run again at any time and does only what is left to do.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

# A CI run begins with a fresh clone: what it compiles goes to the cache, so that the next run is quick.
ifdef CI
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/portico/target
endif

# Tests and benchmarks fail by panicking, print what they find, and read files and clocks, also those of the core.
TEST_LINTS := $(addprefix -A clippy::,unwrap_used expect_used panic print_stdout print_stderr exit disallowed_methods \
  disallowed_types)

.PHONY: help demo test bench check generate envoy clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## the whole path in a minute: no key 401, commit, key 200, over the limit 429, revert 401; then keeps serving
	@scripts/demo

test: ## all tests, those with a real Envoy included
	@PORTICO_ENVOY="$$(scripts/envoy)"; PORTICO_KUBERNETES="$$(scripts/kubernetes)"; PORTICO_HELM="$$(scripts/helm)"; \
	PORTICO_ARGOCD="$$(scripts/argocd)"; PORTICO_FLUX="$$(scripts/flux)"; PORTICO_OTELCOL="$$(scripts/otelcol)"; \
	PORTICO_GITSERVER="$$(scripts/gitserver)"; export PORTICO_GITSERVER; \
	PORTICO_MAILPIT="$$(scripts/mailpit)"; export PORTICO_MAILPIT; \
	PORTICO_BROWSER="$$(scripts/browser)"; export PORTICO_BROWSER; \
	PORTICO_SCHEMATHESIS="$$(scripts/schemathesis)"; export PORTICO_SCHEMATHESIS; \
	PORTICO_BIN="$(abspath $(or $(CARGO_TARGET_DIR),target))/debug/portico"; \
	export PORTICO_ENVOY PORTICO_KUBERNETES PORTICO_HELM PORTICO_ARGOCD PORTICO_FLUX PORTICO_OTELCOL PORTICO_BIN; \
	cargo build --locked --workspace --bins; \
	cargo test --locked --workspace --no-fail-fast

bench: ## the numbers of the README, each against its denominator; ARGS=1000 does it with 1,000 keys only
	@PORTICO_ENVOY="$$(scripts/envoy)"; PORTICO_KUBERNETES="$$(scripts/kubernetes)"; \
	PORTICO_BIN="$(abspath $(or $(CARGO_TARGET_DIR),target))/release/portico"; \
	export PORTICO_ENVOY PORTICO_KUBERNETES PORTICO_BIN; \
	cargo build --locked --release --workspace --bins; \
	cargo bench --locked --workspace --bench scale; \
	cargo bench --locked --workspace --bench numbers -- $(ARGS)

check: ## format, lints, dependencies, generated files
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --lib --bins -- -D warnings
	@cargo clippy --locked --workspace --all-targets -- -D warnings $(TEST_LINTS)
	@scripts/dependencies
	@scripts/generate --check

generate: ## write the generated files anew
	@scripts/generate

envoy: ## bring the pinned Envoy and print its path
	@scripts/envoy

clean: ## take away what was built here (not the cache)
	@cargo clean
