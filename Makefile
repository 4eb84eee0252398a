# `make` lists the targets. `verify` is what a change must pass; it never writes, `fix` does.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# rustup's default place, for shells that have not read its profile.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
TARGET := $(or $(CARGO_TARGET_DIR),target)
DEMO := runs/digits-demo
BENCH := $(TARGET)/release/bench
TORCH := torch==2.15.0 numpy
# Passed on to every bench, soak, chaos and fuzz: make bench ARGS="--help"
ARGS ?=

.PHONY: help setup build demo examples test test-objects test-otel verify check-deploy fix deny soak chaos fuzz \
  bench bench-build bench-shards bench-audit bench-scale bench-data bench-bf16 bench-network bench-peers bench-job bench-faults

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what the system lacks: a C compiler and OpenBLAS
	@scripts/setup.sh

build: setup ## build the lockstep command in release mode
	cargo build --release --locked -p lockstep-cli

demo: build ## train real handwritten digits on two local workers, in seconds
	@rm -rf $(DEMO)
	$(TARGET)/release/lockstep train examples/digits.toml --workers 2 --run-dir $(DEMO)
	@echo
	@echo "The model is $(DEMO)/model.safetensors. What to try next:"
	@echo "  $(TARGET)/release/lockstep evaluate $(DEMO) examples/digits-test.csv"
	@echo "  $(TARGET)/release/lockstep predict $(DEMO) examples/digits-test.csv --out predictions.csv"
	@echo "  $(TARGET)/release/lockstep inspect $(DEMO)/model.safetensors"
	@echo "  $(TARGET)/release/lockstep train examples/digits.toml --workers 4 --run-dir runs/digits-4"
	@echo "The last one ends with the same digest: the result does not depend on the cluster."

test: setup ## run every test, documentation's too
	@scripts/moto.sh
	cargo test --workspace

test-objects: setup ## read data from S3 servers: our own with faults, and moto's (from PyPI)
	scripts/moto.sh --required
	cargo test -p lockstep-tests --test objects

test-otel: setup ## test OpenTelemetry traces, in a build of their own with the feature otel
	cargo clippy -p lockstep-tests --features otel --lib --test traces -- -D warnings
	cargo test -p lockstep-cli --features otel traces
	cargo test -p lockstep-tests --features otel --test traces

verify: setup ## what a change must pass: format, lints, documentation, tests; never writes
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked -p lockstep-cli --features otel --all-targets -- -D warnings
	cargo check --locked -p lockstep-core --no-default-features
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
	cargo test --locked --workspace
	deploy/check.sh --static

check-deploy: build ## run every way to deploy: images, manifests, units, ssh, Slurm; as root, on Debian
	deploy/check.sh $(ARGS)

ADVISORIES := https://github.com/rustsec/advisory-db

deny: ## check the licences and sources of all dependencies, and, where they can be reached, advisories
	@command -v cargo-deny >/dev/null \
	  || { echo "make deny needs cargo-deny: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny --locked check licenses bans sources
	@if GIT_TERMINAL_PROMPT=0 git ls-remote --quiet $(ADVISORIES) HEAD >/dev/null 2>&1; \
	  then cargo deny --locked check advisories; \
	  else echo "NOT CHECKED: advisories, since $(ADVISORIES) cannot be reached"; fi

fix: setup ## format, and apply the lints that can mend themselves
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	cargo fmt --all

bench: bench-build ## time a start, a step's fixed cost and whole steps, beside floor and prediction
	$(BENCH) $(ARGS)

bench-shards: bench-build ## 8 shards on 2 workers beside 2 shards
	$(BENCH) --case shards $(ARGS)

bench-audit: bench-build ## a tenth of the nodes computed twice, on 2 and 4 workers
	$(BENCH) --case audit $(ARGS)

bench-scale: bench-build ## joining, a step and the coordinator's memory on 1 to 64 workers
	$(BENCH) --case scale $(ARGS)

bench-tls: bench-build ## steps and bytes with and without TLS, in turns; as root also across 1 Gbit/s
	$(BENCH) --tls $(ARGS)
	@if [ "$$(id -u)" -eq 0 ]; then scripts/bench_network.sh $(BENCH) --tls $(ARGS); \
	  else echo "NOT TIMED: across 1 Gbit/s, which needs root"; fi

bench-data: bench-build ## rows in blocks beside rows held, and the memory that files of 20 GiB take
	$(BENCH) --case data $(ARGS)
	$(BENCH) --case data-memory --gib 20 $(ARGS)

bench-bf16: bench-build ## accuracy and bytes of both wires, on digits and Fashion-MNIST
	examples/fetch-fashion-mnist.sh
	$(BENCH) --case bf16 $(ARGS)

bench-network: bench-build ## two workers across links of 1 Gbit/s, in network namespaces; needs root
	scripts/bench_network.sh $(BENCH) $(ARGS)

bench-peers: bench-build .venv/ready ## whole steps beside PyTorch DDP, in a virtual environment (5 GB)
	.venv/bin/python scripts/bench_peers.py $(ARGS)

bench-faults: build ## time slow workers (under CPU quotas, as root) and recovery from kills
	python3 scripts/bench_faults.py $(ARGS)

examples: build ## fetch the data of the examples on real tables, train them and check what they reach
	examples/fetch.sh
	examples/fetch-flights.sh
	python3 examples/check.py $(TARGET)/release/lockstep $(ARGS)

bench-job: bench-build .venv/ready ## Fashion-MNIST to 0.90, from the command on, beside PyTorch DDP
	examples/fetch-fashion-mnist.sh
	.venv/bin/python scripts/bench_job.py $(ARGS)

bench-build: setup
	cargo build --release -p lockstep-cli -p lockstep-tests --bins

soak: setup ## simulate clusters and faults without end; prints the command that reproduces a failure
	cargo run --release -p lockstep-tests --bin soak -- $(ARGS)

chaos: setup ## real processes and faults of every kind: 100 workers and 50 coordinators killed; --forever
	cargo run --release -p lockstep-tests --bin chaos -- $(ARGS)

fuzz: setup ## feed bad bytes and bad files to everything that reads them: ARGS="--target csv --minutes 10"
	cargo run --release -p lockstep-tests --bin fuzz -- $(ARGS)

.venv/ready:
	@python3 -c 'import ensurepip' 2>/dev/null \
	  || { echo "bench-peers needs Python 3 with venv (Debian: apt-get install python3-venv)" >&2; exit 1; }
	python3 -m venv .venv
	.venv/bin/pip install --quiet $(TORCH)
	@touch $@
