# The loop: make run, make test, make check. The first call sets up .venv; nothing else is needed but Python and an index.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
ASL := statemachine/payment_ledger.asl.json

.DEFAULT_GOAL := help
.PHONY: help run test check bench format currencies lock clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: $(READY) ## run the sample payments through the real workflow
	@$(BIN)/ledger run

test: $(READY) ## prove it: every test
	@$(BIN)/pytest

check: $(READY) ## linters and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/cfn-lint --include-checks I -- template.yaml
	$(BIN)/statelint $(ASL)

bench: $(READY) ## how fast the engine is
	@$(BIN)/python -m ledger_cli.benchmark

format: $(READY) ## let ruff write the code's form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

currencies: $(READY) ## make the ISO 4217 table anew
	$(BIN)/python -m ledger_cli.currencies

# Upgrades every pinned dependency. The functions' own come first: the tools run with the same.
lock: $(READY) ## pin the newest versions, with hashes
	python3 -m venv .venv/lock && .venv/lock/bin/pip install --quiet uv
	.venv/lock/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.13 \
	    --custom-compile-command "make lock" functions/requirements.in --output-file functions/requirements.txt
	.venv/lock/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 \
	    --custom-compile-command "make lock" --group dev --constraint functions/requirements.txt \
	    pyproject.toml --output-file requirements.txt

clean: ## remove what was set up
	rm -rf .venv

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.13")'
	@echo "Setting up .venv (about a minute) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
