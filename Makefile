# Every target sets up what it needs in .venv by itself (tools/venv.sh) and uses it again while nothing changed.

VENV := .venv
BIN := $(VENV)/bin
EXTRAS := dev,operator

.DEFAULT_GOAL := help
.PHONY: scale mutate fuzz soak help venv demo test scenario integration e2e bench lint format docs crds clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: ## set up .venv (every target does so by itself)
	@sh tools/venv.sh $(VENV) $(EXTRAS)

demo: venv ## messages through a real SQS API, a handler and the sidecar, with an account at the end (DEMO_MESSAGES=n)
	@$(BIN)/python -m demo.run

test: venv ## linters, types, layers; unit, property, contract and wire tests (under 3 minutes)
	@$(BIN)/python tools/checks.py test

scenario: venv ## the real process under faults, in real time (minutes; SCENARIO_FULL=1: outages in full length)
	@$(BIN)/python tools/checks.py scenario

soak: venv ## all faults by a random schedule, every message accounted for (MINUTES=5 SEED=n RATE=1500 ONLY=kinds)
	@$(BIN)/python -m tests.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) \
		$(if $(RATE),--rate $(RATE)) $(if $(ONLY),--only $(ONLY))

integration: venv ## on a real API server, no node (built on a machine's first call: minutes; or KUBECONFIG)
	@$(BIN)/python -m e2e.cluster prepare --no-node
	@$(BIN)/python tools/checks.py integration

e2e: venv ## pods on a real kubelet (needs root, a Docker engine or KUBECONFIG)
	@$(BIN)/python -m e2e.cluster prepare
	@$(BIN)/python tools/checks.py e2e

bench: venv ## CPU, memory, start and throughput against a baseline (ONLY=name REPS=n AGAINST=cmd PROFILE=1 PYTHON=path)
	@$(BIN)/python -m bench.run

scale: venv ## the controller with many bindings and pods on a real API server, and its faults (BINDINGS=5000 PODS=20000)
	@$(BIN)/python -m e2e.cluster prepare --no-node
	@$(BIN)/python -m bench.controller $(or $(BINDINGS),5000) $(or $(PODS),20000)

mutate: venv ## break the promises one at a time in the source: the tests must notice each (minutes)
	@$(BIN)/python -m tools.mutate

fuzz: venv ## broken admission reviews against the injector: nothing crashes, nothing wrong is allowed (COUNT=100000 SEED=1)
	@$(BIN)/python -m bench.fuzz_reviews $(or $(COUNT),100000) --seed $(or $(SEED),1)

lint: venv ## linters, types and layers only
	@$(BIN)/python tools/checks.py lint

format: venv ## format the code and sort its imports
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format .

docs: venv ## the generated reference pages and the CRD
	@$(BIN)/python tools/docs.py

crds: docs ## the CRD and its reference page, from the operator's models

clean: ## remove what the targets made, the virtual environment included
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
