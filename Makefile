# Everything a person or CI runs. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-unit test-operator test-cluster test-release test-torch search lint format generate check-generated requirements release images audit clean

# Where that is set, as containers have it, each process compiles all that it imports anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
BOOTSTRAP := build/bootstrap
READY := .venv/.ready
TORCH := .venv-torch/.ready
WAIT ?= 1
STRATEGY ?= canary
GATEWAY ?= 1
IMAGES ?= build/images.yaml
PYTEST := $(BIN)/pytest -q
HISTORIES ?= 10000

help: ## List what there is to make
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

demo: $(READY) ## See it all: STRATEGY=canary|bluegreen|shadow|abtest|labels, WAIT=0 ends by itself, KUBECONFIG=... uses your cluster
	@$(BIN)/mooring demo --strategy "$(STRATEGY)" --gateway "$(GATEWAY)" $(if $(filter command line,$(origin KUBECONFIG)),--kubeconfig "$(KUBECONFIG)") $(if $(filter 0,$(WAIT)),--no-wait)

test: $(READY) ## Unit, operator, cluster and release tests
	@$(BIN)/python -m cluster build
	@$(PYTEST) -n 2 --dist loadfile tests/unit tests/operator tests/cluster tests/release

test-unit: $(READY) ## Pure tests, in seconds
	@$(BIN)/python -m cluster build prometheus
	@$(PYTEST) -n 2 tests/unit

test-operator: $(READY) ## The operator against an API emulator
	@$(BIN)/python -m cluster build prometheus
	@$(PYTEST) -n 2 --dist loadfile tests/operator

test-cluster: $(READY) ## Everything against a real API server
	@$(BIN)/python -m cluster build
	@$(PYTEST) -n 2 --dist loadfile tests/cluster

test-release: $(READY) ## What is documented and released, as people get it
	@$(PYTEST) -n 2 --dist loadfile tests/release

test-torch: $(TORCH) ## The PyTorch backends, in an environment of their own (7 GB)
	@.venv-torch/bin/python -m pytest -q tests/unit/inference/backends/test_torch.py tests/unit/inference/backends/test_formats.py tests/unit/inference/backends/test_real_models.py tests/unit/components/test_converting.py tests/unit/components/test_trained_models.py

search: $(READY) ## HISTORIES=10000 SEED=1: look at random for histories that break a property of the planner
	@MOORING_HISTORIES="$(HISTORIES)" nice $(PYTEST) -n 2 --timeout 0 --hypothesis-profile search $(if $(SEED),--hypothesis-seed "$(SEED)") --hypothesis-show-statistics tests/unit/operator/planning -k properties

lint: $(READY) ## ruff, mypy, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

generate: $(READY) ## Write crds/, docs/reasons.md, docs/serving-settings.md, Argo CD's ConfigMap, figures, compiled pipelines, gRPC's messages
	@$(BIN)/python -m mooring_operator.api crds
	@$(BIN)/python -m mooring_pipelines compile
	@$(BIN)/python -m mooring_inference.grpc_front.generate
	@$(BIN)/python -m mooring_inference.settings.page
	@$(BIN)/python -m mooring_inference.settings.reference
	@$(BIN)/python -m release.argocd
	@$(BIN)/python -m release.figures

check-generated: $(READY) ## Fail where a generated file differs from its source
	@$(BIN)/python -m mooring_operator.api crds --check
	@$(BIN)/python -m mooring_pipelines compile --check
	@$(BIN)/python -m mooring_inference.grpc_front.generate --check
	@$(BIN)/python -m mooring_inference.settings.page --check
	@$(BIN)/python -m mooring_inference.settings.reference --check
	@$(BIN)/python -m release.argocd --check
	@$(BIN)/python -m release.figures --check

requirements: $(BOOTSTRAP)/bin/uv ## Pin the dependencies anew
	@compile() { $(BOOTSTRAP)/bin/uv pip compile --quiet --universal --generate-hashes --no-annotate --python-version 3.11 --no-emit-package kube-mooring "$$@"; }; \
	compile --extra dev -o requirements/dev.txt pyproject.toml; \
	printf 'hatchling>=1.27\nsetuptools\nwheel\n' | compile -c requirements/dev.txt -o requirements/build.txt -; \
	compile --extra dev --extra convert -c requirements/dev.txt -o requirements/torch.txt pyproject.toml; \
	for extra in operator cli pipelines components inference inference-cuda; do \
		compile --extra $$extra -c requirements/dev.txt -o requirements/$$extra.txt pyproject.toml; \
	done

release: $(READY) ## VERSION=0.1.0: wheel, manifests by digest, bills of materials, provenance, in dist/release
	@$(BIN)/python -m release build "$(VERSION)" --images "$(IMAGES)" $(if $(BUILDER),--builder "$(BUILDER)")

images: $(READY) ## VERSION=0.1.0 REGISTRY=HOST/TEAM: build images without a container engine, push, note their digests
	@$(BIN)/python -m release images "$(VERSION)" "$(REGISTRY)" --images "$(IMAGES)"

audit: $(READY) ## Known vulnerabilities of what is pinned, into build/audit
	@$(BIN)/python -m release audit

clean: ## Remove what was built here; the cache of programs stays
	@rm -rf .venv .venv-torch build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache local_outputs

$(BOOTSTRAP)/bin/uv: requirements/bootstrap.txt
	@echo "Setting up: uv"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.11 ...")'
	@$(PYTHON) -m venv $(BOOTSTRAP) || { echo "python3 cannot make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	@$(BOOTSTRAP)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

$(READY): requirements/dev.txt pyproject.toml $(BOOTSTRAP)/bin/uv
	@echo "Setting up: the Python environment in .venv (about 1 GB; minutes the first time)"
	@test -x $(BIN)/python || $(BOOTSTRAP)/bin/uv venv --quiet --python $(BOOTSTRAP)/bin/python .venv
	@# Without the list of every package that is installed; what is downloaded is said, and errors are.
	@$(BOOTSTRAP)/bin/uv pip sync --python $(BIN)/python --require-hashes --build-constraints requirements/build.txt requirements/dev.txt 2>&1 | { grep -v '^ [-+~] ' || true; }
	@$(BOOTSTRAP)/bin/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(TORCH): requirements/torch.txt pyproject.toml $(BOOTSTRAP)/bin/uv
	@echo "Setting up: PyTorch's environment in .venv-torch"
	@test -x .venv-torch/bin/python || $(BOOTSTRAP)/bin/uv venv --quiet --python $(BOOTSTRAP)/bin/python .venv-torch
	@$(BOOTSTRAP)/bin/uv pip sync --quiet --python .venv-torch/bin/python --require-hashes --build-constraints requirements/build.txt requirements/torch.txt
	@$(BOOTSTRAP)/bin/uv pip install --quiet --python .venv-torch/bin/python --no-deps --no-build-isolation -e .
	@touch $@
