# The two commands of the README, and the steps they are made of.

.PHONY: help run test soak faults bench page setup-run setup-test check

help:
	@echo "make run    build and watch two publishers, live in this terminal, until Ctrl-C"
	@echo "make test   install what the tests talk to, and run every test"
	@echo "make page   build the live page that the subscriber serves (npm)"
	@echo "make check  formatting, lints, documentation, generated dashboards, licences"
	@echo "make faults  do to real processes whatever can go wrong, for some twenty minutes, and count; as root all of it;"
	@echo "            FAULTS='--only broker --markdown faults.md' for other options"
	@echo "make bench  measure beside what bounds it and what would be used instead, for some three quarters of an hour, into"
	@echo "            docs/BENCHMARKS.md; BENCH='way mqtt --quick' for other options"
	@echo "make soak   search with new seeds for what breaks a promise, for some minutes; HISTORIES=100000 for more histories,"
	@echo "            PROPTEST_CASES=100000 for more cases of the other properties,"
	@echo "            SEEDS=5000 for more simulated worlds, from SEED on"

run: setup-run page
	cargo build --release --locked --bin lastbeat-broker --bin lastbeat-publisher --bin lastbeat-subscriber
	@scripts/demo target/release

test: setup-test page
	cargo build --workspace --locked
	@scripts/tests

page:
	@scripts/page

HISTORIES ?= 30000
PROPTEST_CASES ?= 20000
CRASHES ?= 1000
KILLS ?= 100
SEED ?= $(shell date +%s)
SEEDS ?= 500
soak:
	PROPTEST_CASES=$(HISTORIES) cargo test --profile soak --locked -p lastbeat-watchdog --test properties
	PROPTEST_CASES=$(PROPTEST_CASES) cargo test --profile soak --locked -p lastbeat-wire -p lastbeat-log -p lastbeat-watchdog \
	    --lib --test codec --test extremes -- --skip crashes::
	PROPTEST_CASES=$(CRASHES) cargo test --profile soak --locked -p lastbeat-log --lib crashes::
	LASTBEAT_KILLS=$(KILLS) cargo test --profile soak --locked -p lastbeat-subscriber --test program killed_under_load
	cargo run --profile soak --locked -p lastbeat-subscriber --bin lastbeat-subscriber -- simulate --weather storm --publishers 24 --for 30m \
	    --seed $(SEED) --seeds $(SEEDS)

FAULTS ?=
faults: setup-test
	@scenarios/faults $(FAULTS)

BENCH ?= --json target/benchmarks.json --markdown docs/BENCHMARKS.md
bench: setup-run
	@scripts/install bench
	cargo build --release --locked --workspace --bins
	target/release/lastbeat-bench $(BENCH)

check: setup-run
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	grafana/dashboards.py --check
	kibana/objects.py --check
	scripts/deny

setup-run:
	@scripts/install build

setup-test:
	@scripts/install build test
