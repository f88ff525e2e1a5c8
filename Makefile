# Needs Python 3.11 or newer and make; every target sets up what it uses. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
IMAGE := gen/windlass.binpb
# Arguments for the command of a target, such as ARGS="--only rest" for bench.
ARGS ?=

.PHONY: help up demo test-faults test-mutations test-trouble test test-quick test-differential test-schema test-browser test-gpu check static format-check lint types \
	layers protos-check wheel bench fuzz protos golden format constraints packages browser bench-packages clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26

up: $(INSTALLED) packages ## a server and an agent on this machine, until Ctrl-C
	$(BIN)/windlass up $(ARGS)

demo: $(INSTALLED) packages ## a real job on a simulated GPU node; cleans up behind itself
	$(BIN)/windlass demo $(ARGS)

test: $(INSTALLED) packages ## the tests of every change, on SQLite and PostgreSQL
	$(BIN)/pytest --numprocesses auto --dist worksteal --whole-on sqlite $(ARGS)

test-trouble: $(INSTALLED) packages ## several servers and clusters, what breaks, floods; the whole on PostgreSQL
	$(BIN)/pytest --numprocesses auto --dist worksteal --whole-on postgresql \
		tests/trouble tests/integration/whole $(ARGS)

test-faults: $(INSTALLED) ## lives of a site in which all breaks; ARGS="--seeds 1 --first-seed 7" plays one
	$(BIN)/pytest -q tests/simulation -k sqlite --seeds 8 --steps 60 $(ARGS)
	$(BIN)/pytest -q tests/simulation -k postgresql --seeds 2 --steps 40 $(ARGS)

test-mutations: $(INSTALLED) packages ## tests turn red when a safeguard of the scheduler is taken away
	$(BIN)/pytest -q tests/mutations $(ARGS)

test-differential: $(INSTALLED) ## the same requests through the gateway, the real Envoy and gRPC
	$(BIN)/pytest -q tests/differential $(ARGS)

test-schema: $(INSTALLED) packages ## requests made from the OpenAPI page, to a real server
	$(BIN)/pytest -q tests/schema $(ARGS)

test-browser: $(INSTALLED) browser ## pages as people use them, in chromium
	$(BIN)/pytest -q tests/browser $(ARGS)

test-gpu: $(INSTALLED) ## what the agent reads beside nvidia-smi, on a machine with a card
	$(BIN)/pytest -q tests/gpu $(ARGS)

test-quick: $(INSTALLED) ## the tests that take no time
	$(BIN)/pytest -q tests/unit $(ARGS)

check: static wheel test test-trouble test-faults test-differential test-schema test-browser ## everything that a change must pass

static: format-check lint types layers protos-check ## check without the tests

format-check: $(INSTALLED)
	$(BIN)/ruff format --check .

lint: $(INSTALLED)
	$(BIN)/ruff check .

types: $(INSTALLED)
	$(BIN)/mypy

layers: $(INSTALLED)
	$(BIN)/lint-imports

protos-check: $(INSTALLED)
	$(BIN)/python protos/generate.py --check
	$(BIN)/buf lint $(IMAGE)
	$(BIN)/python protos/breaking.py

wheel: $(INSTALLED) ## build what is published, and ask its own programs for their version
	rm -rf build/wheel
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target build/wheel/unpacked build/wheel/*.whl
	$(BIN)/python -m tests.support.wheel build/wheel/unpacked

bench: $(INSTALLED) packages bench-packages ## measure beside the peers; takes about 15 minutes
	$(BIN)/python -m tests.benchmarks --output build/bench.json $(ARGS)

fuzz: $(INSTALLED) ## look for input that breaks the gateway; ARGS="--seconds 60" for each target
	$(BIN)/python -m tests.fuzz $(ARGS)

protos: $(INSTALLED) ## generate gen/ from protos/
	$(BIN)/python protos/generate.py

golden: $(INSTALLED) ## write what tests/golden/ holds of the contract
	$(BIN)/python -m tests.support.golden

format: $(INSTALLED) ## format the code and the protos
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .
	$(BIN)/buf format --write . --path protos

constraints: ## pin the newest versions that pyproject.toml allows in constraints.txt
	rm -rf build/constraints
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/pip install --quiet --editable '.[server,agent,envoy,plot,data,dev]'
	build/constraints/bin/pip freeze --exclude-editable > constraints.txt

packages:
	@.ci/packages bwrap=bubblewrap curl=curl prometheus=prometheus

browser:
	@.ci/packages chromium=chromium

bench-packages:
	@.ci/packages wrk=wrk h2load=nghttp2-client

clean: ## remove what was built; data and the virtual environment stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	@.ci/venv "$(PYTHON)" $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[server,agent,envoy,plot,data,dev]'
	@touch $@
