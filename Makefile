# The way into the project: `make` lists what there is.

CARGO ?= cargo
# A test run that takes longer than this hangs; it is ended, and fails.
TEST_LIMIT ?= 20m
# Seconds for each fuzz target.
FUZZ_SECONDS ?= 60

# Where rustup puts cargo: shells that were opened before do not look there yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench fuzz ui build clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

demo: ## build, then run the gateway before three sample services, with curl lines to try
	@$(CARGO) run --quiet --locked -p tollgate -- demo

test: ## install what the tests talk to, then run all of them
	@tests/install.sh
	$(CARGO) build --quiet --locked -p tollgate
	$(CARGO) test --quiet --locked --workspace --no-run
	timeout --foreground $(TEST_LIMIT) $(CARGO) test --quiet --locked --workspace

lint: ## formatting, clippy, licences and banned crates
	$(CARGO) fmt --all --check
	$(CARGO) clippy --quiet --locked --workspace --all-targets -- -D warnings
	@command -v cargo-deny >/dev/null || $(CARGO) install --quiet --locked cargo-deny
	$(CARGO) deny --log-level error check licenses bans sources

bench: ## measure Tollgate beside its peers; writes docs/benchmarks.md (see bench/README.md)
	@bench/run

fuzz: ## run every fuzz target for FUZZ_SECONDS (60); installs cargo-fuzz if it is missing
	@SECONDS_EACH=$(FUZZ_SECONDS) fuzz/run.sh

ui: ## the console and the portal: they come later
	@echo "ui: there is no console yet; it comes with a later release"

build: ## the binary as it is shipped: target/release/tollgate
	$(CARGO) build --release --locked -p tollgate

clean: ## remove everything that was built
	$(CARGO) clean
	@rm -rf fuzz/target fuzz/artifacts fuzz/coverage bench/out
