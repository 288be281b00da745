# make demo    install, serve the scenes models, explain a few pictures into out/demo, stop
# make serve   install, serve until Ctrl-C
# make test    install what tests need, run all tests
# make help    the rest

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
MODELS ?= scenes-classifier,scenes-captioner,scenes-vqa
PORT ?= 50051
METRICS_PORT ?= 9464
PLAYGROUND_PORT ?= 7860
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DELETE_ON_ERROR:
PLAYGROUND_VENV ?= .venv-playground
export PLAYGROUND_VENV
.PHONY: help venv install install-dev install-playground demo serve monitor playground test test-fast lint format proto \
  docs site dashboards train-scenes dissect audit claims bench chaos clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-18s %s\n", $$1, $$2}' Makefile

venv: $(BIN)/python ## the empty virtual environment in .venv (for a torch build of your own choice; see README)

install: $(VENV)/installed ## the server and the client into .venv

install-dev: $(VENV)/installed-dev ## and what tests, lint and proto need

demo: install ## explain a few pictures through the running service into out/demo
	$(BIN)/python examples/demo.py

serve: install ## serve MODELS on PORT until Ctrl-C
	@echo "When it is ready, call it from another terminal; Ctrl-C here stops it:"
	@echo "    $(BIN)/camserve explain PHOTO.jpg --server localhost:$(PORT) --out overlay.png"
	@echo "    $(BIN)/camserve explain PHOTO.jpg --server localhost:$(PORT) --per-token --out words.png"
	@echo "    $(BIN)/camserve explain PHOTO.jpg --server localhost:$(PORT) --question 'what colour is the star?'"
	@exec $(BIN)/camserve-server up --models $(MODELS) --port $(PORT) --metrics-port $(METRICS_PORT)

monitor: install ## serve scenes-classifier beside a Prometheus that watches it, and send requests until Ctrl-C
	@exec $(BIN)/python -m monitoring --port $(PORT) --metrics-port $(METRICS_PORT)

install-playground: $(PLAYGROUND_VENV)/installed ## the playground into an environment of its own

playground: install-playground ## a page to try the server of `make serve` with, until Ctrl-C
	@exec $(PLAYGROUND_VENV)/bin/camserve-playground --server localhost:$(PORT) --port $(PLAYGROUND_PORT)

test: install-dev install-playground ## all tests
	$(BIN)/python -m pytest

test-fast: install-dev ## without those that start servers or take long
	$(BIN)/python -m pytest -m "not slow and not e2e"

lint: install-dev ## ruff, mypy, buf, hadolint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/python protos/generate.py image out/protos.binpb
	$(BIN)/buf lint out/protos.binpb --config protos/buf.yaml
	$(BIN)/hadolint deploy/Dockerfile

format: install-dev ## rewrite to the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: install-dev ## the stubs from the protos
	$(BIN)/python protos/generate.py stubs

docs: install-dev ## the pages that are made from the code
	$(BIN)/python -m saliency.table > docs/methods.md
	$(BIN)/python -m docs._generate.settings
	$(BIN)/python -m docs._generate.protocol
	$(BIN)/python -m docs._generate.commands
	$(BIN)/python -m docs._generate.gallery

site: install-dev ## the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

dashboards: install ## Grafana's dashboards from monitoring/dashboards
	$(BIN)/python -m monitoring.dashboards

train-scenes: install ## train the scenes models again, from their seeds
	$(BIN)/python model_store/scenes-classifier/train.py
	$(BIN)/python -m model_store.scenes.training.train_language
	@$(MAKE) dissect

dissect: install ## name what the scenes models' units look for; after any training
	$(BIN)/python -m evaluation.dissection --model $(wildcard model_store/scenes-*/)

chaos: install-dev ## kill, overload and deceive a server; prints what it held
	$(BIN)/python -m tests.chaos

audit: install-dev ## compare and audit methods on scenes into out/audit/index.html; the tables into docs/audit.md
	$(BIN)/camserve-eval audit
	cp out/audit/report.md docs/audit.md

claims: install-dev ## measure what papers claim of their methods on scenes, into docs/claims.md
	$(BIN)/camserve-eval claims
	cp out/claims/report.md docs/claims.md

bench: $(VENV)/installed-bench ## measure speed against the forward and peers into out/bench; PARTS names some, such as resnet50
	$(BIN)/python -m benchmarks $(PARTS)

clean: ## remove the virtual environment, archives and outputs
	rm -rf $(VENV) $(PLAYGROUND_VENV) out site model_store/*.mar

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "camserve needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "The virtual environment could not be made; on Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(VENV)/installed: $(BIN)/python pyproject.toml client/pyproject.toml constraints.txt
	@echo "Installing into $(VENV); torch is large, so the first time takes minutes."
	@$(INSTALL) --editable ./client --editable . || \
	  { echo "The installation failed; pip's message is above. Is there a network, and 8 GB of disk?"; exit 1; }
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@$(INSTALL) --editable ./client --editable '.[dev]' || \
	  { echo "The installation failed; pip's message is above."; exit 1; }
	@touch $@

$(PLAYGROUND_VENV)/installed: $(BIN)/python client/pyproject.toml playground/pyproject.toml playground/constraints.txt
	@$(BIN)/python -m venv $(PLAYGROUND_VENV)
	@$(PLAYGROUND_VENV)/bin/python -m pip install --disable-pip-version-check --constraint playground/constraints.txt \
	  --editable ./client --editable ./playground || \
	  { echo "The installation failed; pip's message is above."; exit 1; }
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed
	@$(INSTALL) --editable ./client --editable '.[bench]' || \
	  { echo "The installation failed; pip's message is above."; exit 1; }
	@touch $@
