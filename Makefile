# Everything a contributor runs. A fresh machine needs Go and make; tools are fetched by version when they are used.

GOLANGCI_VERSION := v2.15.0
FUZZTIME         ?= 10s
BENCHCOUNT       ?= 3
CHAOS_KILLS      ?= 200
PKGS             ?= ./...

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null)
GO       ?= go
GOLANGCI ?= $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

# What the sample receiver of an agent's tests runs on.
FASTAPI := python3/fastapi:python3-fastapi python3/uvicorn:python3-uvicorn

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

.PHONY: help
help: ## Print this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Run the whole loop with a play IM and a play agent.
	$(GO) run ./cmd/imrelay demo

.PHONY: build
build: ## Build the static binary bin/imrelay.
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/imrelay ./cmd/imrelay

.PHONY: test
test: ## Install what the tests need, where it is missing, and run them.
	.ci/needs go:golang-go redis-server node:nodejs $(FASTAPI)
	$(GO) test $(PKGS)
	node --test deploy/openclaw-plugin/test/*.test.js

.PHONY: race
race: ## Run the tests under the race detector, in random order.
	.ci/needs go:golang-go gcc redis-server $(FASTAPI)
	$(GO) test -race -shuffle=on -count=1 $(PKGS)

.PHONY: check
check: fmt-check vet lint race fuzz tidy-check ## Do all that must pass before a commit.

.PHONY: lint
lint: ## Run golangci-lint, the layer rules included.
	$(GOLANGCI) run $(PKGS)

.PHONY: vet
vet: ## Run go vet.
	$(GO) vet $(PKGS)

.PHONY: fmt
fmt: ## Format the code in place.
	$(GOLANGCI) fmt $(PKGS)

.PHONY: fmt-check
fmt-check: ## Fail when something is not formatted.
	$(GOLANGCI) fmt --diff $(PKGS)

.PHONY: tidy-check
tidy-check: ## Fail when go.mod or go.sum is not tidy, or a module is not what go.sum says.
	$(GO) mod tidy -diff
	$(GO) mod verify

# go test fuzzes one target of one package at a time, and calls a run failed whose end falls into a minimization: hence one
# step of that. -list prints a package's targets, then a line with its path.
.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (default 10s).
	@$(GO) test -list '^Fuzz' $(PKGS) \
	  | awk '/^Fuzz/ {names[++n] = $$1} /^ok/ {for (i = 1; i <= n; i++) print names[i], $$2} /^(ok|\?)/ {n = 0}' \
	  | while read -r name pkg; do \
	      echo "$$pkg $$name"; \
	      $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "$$pkg" </dev/null; \
	    done

# Single parts first, for benchstat; then the program beside nginx, which ends in a table of ratios. nginx is not always
# in a user's path. BENCH_BACKLOG is how many messages wait in the backlog's benchmark, BENCH_SHARDS the number of shards.
.PHONY: bench
bench: ## Measure the parts BENCHCOUNT times (default 3) into bench.txt, then the relay beside nginx and on Redis.
	.ci/needs go:golang-go redis-server redis-benchmark:redis-tools
	PATH="$$PATH:/usr/sbin" .ci/needs nginx:nginx-light || echo 'going on without nginx'
	$(GO) test -run '^$$' -bench . -benchmem -benchtime 100ms -count $(BENCHCOUNT) \
	  $$($(GO) list $(PKGS) | grep -v '/cmd/imrelay/bench$$') | grep -v 'no test files' | tee bench.txt
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 30m ./cmd/imrelay/bench

.PHONY: cover
cover: ## Run the tests with coverage and print the total; cover.out is for go tool cover.
	$(GO) test -coverpkg=./... -coverprofile=cover.out $(PKGS)
	$(GO) tool cover -func=cover.out | tail -n 1

.PHONY: chaos
chaos: ## Kill the relay CHAOS_KILLS times (default 200) under load and count what it kept.
	IMRELAY_CHAOS_KILLS=$(CHAOS_KILLS) $(GO) test -run Crash -count=1 -timeout 30m -v ./cmd/imrelay
	IMRELAY_CHAOS_KILLS=$$(( $(CHAOS_KILLS) / 8 + 1 )) $(GO) test -run Crash -count=1 -timeout 30m -v ./cmd/imrelay/agents

# Needs Node 20 or later. TELEGRAM_TEST_API names a folder that has the package in its node_modules already.
.PHONY: test-telegram
test-telegram: ## Install telegram-test-api, a Bot API server of others, and send and poll through it.
	.ci/needs go:golang-go node:nodejs npm
	GO="$(GO)" outbound/connector/telegram/testdata/real.sh

# Needs Linux on x64 and takes 650 MB for a while, for the Node that OpenClaw wants comes from npm with it. OPENCLAW_DIR names a
# folder that has both in its node_modules; KEEP=1 keeps the logs.
.PHONY: test-openclaw
test-openclaw: ## Install a real OpenClaw and run its plugin in it, behind a real relay.
	.ci/needs go:golang-go node:nodejs npm
	dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; $(GO) build -o "$$dir/imrelay" ./cmd/imrelay; \
	  IMRELAY="$$dir/imrelay" node --test --test-reporter=spec deploy/openclaw-plugin/real/openclaw.real.js
