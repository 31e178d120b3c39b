# The two commands of the README, and the steps they are made of.

.PHONY: help run test page setup-run setup-test check

help:
	@echo "make run    build and watch two publishers, live in this terminal, until Ctrl-C"
	@echo "make test   install what the tests talk to, and run every test"
	@echo "make page   build the live page that the subscriber serves (npm)"
	@echo "make check  formatting, lints, documentation, generated dashboards"

run: setup-run page
	cargo build --release --locked --bin lastbeat-broker --bin lastbeat-publisher --bin lastbeat-subscriber
	@scripts/demo target/release

test: setup-test page
	cargo build --workspace --locked
	@scripts/tests

page:
	@scripts/page

check: setup-run
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	grafana/dashboards.py --check

setup-run:
	@scripts/install build

setup-test:
	@scripts/install build test
