# Tidegate's verbs. Needs Python 3.11 to 3.13 and make; everything else is fetched into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := $(VENV)
# Where a shell says to keep no bytecode, every process that we start would compile all it imports anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE
# `make test TRYTON=no` leaves out the tests that start a real Tryton, which takes a minute or two the first time.
TRYTON ?= yes

.DEFAULT_GOAL := help
.PHONY: help setup tryton run test test-fast lint format bench screenshots clean

help:  ## what can be done here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 20

$(BIN)/.ready: uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not ((3,11) <= sys.version_info[:2] < (3,14)))' || \
	  { echo "Tidegate needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Say: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing (on Debian: apt install python3-venv)" >&2; exit 1; }
	@test -x $(UV) || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv==0.13.9'
	$(UV) sync --locked --quiet
	@touch $@

setup: $(BIN)/.ready  ## fetch everything that uv.lock names into .venv

run: setup  ## everything on this machine: database, sandbox, worker, API, dashboard
	@exec $(BIN)/tidegate up

.venv-tryton/.ready: $(BIN)/.ready uv.lock
	UV_PROJECT_ENVIRONMENT=.venv-tryton $(UV) sync --locked --quiet --only-group tryton --no-install-project
	@touch $@

tryton: .venv-tryton/.ready  ## fetch a real Tryton for the tests, into an environment of its own

# A busy machine can make a timing fail that holds: such a test gets a second try, and the summary says so.
test: setup $(if $(filter no,$(TRYTON)),,tryton)  ## all tests, with the browser ones; TRYTON=no leaves the real ERP out
	@$(BIN)/python -m tests.browser.ensure_chromium
	@$(BIN)/python -m tests.drops.ensure_sshd
	$(BIN)/pytest -n 2 --dist loadgroup --reruns 2 --reruns-delay 2$(if $(filter no,$(TRYTON)), -m "not tryton")

test-fast: setup  ## the tests that need no server, no browser
	$(BIN)/pytest tests/unit tests/architecture

lint: setup  ## style, types, arrows between the layers, lock file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(UV) lock --check --quiet

format: setup  ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup  ## speed and memory as ratios to a floor and to peers, into bench.json
	$(BIN)/python -m tests.bench

screenshots: setup  ## take the README's pictures again
	$(BIN)/python -m tests.browser.screenshots

clean:  ## forget caches; .venv and data stay
	rm -rf .mypy_cache .ruff_cache .import_linter_cache build dist
	find . -name __pycache__ -not -path './.venv/*' -type d -prune -exec rm -rf {} +
