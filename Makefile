# Two commands are enough on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP     = $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Stock programs run in environments of their own; CLIENTS names those of Python, NODE_CLIENTS those of npm.
CLIENTS      := openai-2 openai-1 openai-1.66 openai-1.40 openai-1.29 openai-1.21 langchain langchain-0.3 semantic-kernel \
                semantic-kernel-1.30 agents autogen-0.2 swarm agent-framework azure-1.0 azure-1.2 \
                backboard-1.0 backboard-1.1 backboard-1.3 backboard-1.4 backboard-1.5.7 backboard-1.5
NODE_CLIENTS := openai-node-4 openai-node-5 openai-node-6 openai-node-7 langchain-node backboard-node-1.5

.PHONY: demo serve test test-failed test-sandbox test-wasm test-clients conformance lint bench docs setup setup-dev lock clean

demo: setup
	$(BIN)/respun demo

serve: setup
	$(BIN)/respun serve

test: setup-dev
	$(BIN)/python -m pytest

test-sandbox: setup-dev
	$(BIN)/python -m pytest tests/sandbox tests/end/test_code_interpreter.py -m ""

# The first time on a machine it compiles CPython's WebAssembly: 2 minutes of processor time and 300 MB of cache.
test-wasm: setup-dev
	$(PIP) --require-hashes -r requirements/wasm.txt
	$(BIN)/python -m pytest tests/sandbox/test_wasm.py

# Only what failed in the last `make test`.
test-failed: setup-dev
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures none

test-clients: setup-dev $(CLIENTS:%=.venvs/%/.installed) $(NODE_CLIENTS:%=.venvs/%/.installed)
	$(BIN)/python -m pytest conformance/clients

conformance: setup-dev .venvs/conformance/.installed $(NODE_CLIENTS:%=.venvs/%/.installed)
	PYTHONPATH=src:tests:conformance $(BIN)/python -m conform

# The reference of the settings; docs/conformance.md is written by `make conformance`, which takes minutes.
docs: setup-dev
	sed '/^<!-- What follows is written by/q' docs/configuration.md > docs/configuration.new
	{ echo; $(BIN)/respun config --reference; } >> docs/configuration.new
	mv docs/configuration.new docs/configuration.md

# Small sizes, one after the other: what moved, not how much. Each file's head says how to measure in earnest.
bench: setup-dev
	$(BIN)/python bench/group_commit.py --writers 16 --inserts 50
	$(BIN)/python bench/upstream_client.py 1
	$(BIN)/python bench/crud.py 300
	$(BIN)/python bench/ttft.py --rounds 20 --think 30
	$(BIN)/python bench/runs.py --runs 80
	$(BIN)/python bench/streams.py --streams 20 --seconds 3
	$(BIN)/python bench/growth.py --messages 20000 --calls 50
	$(BIN)/python bench/startup.py --rounds 3
	$(BIN)/python bench/waiting.py --runs 1600
	$(BIN)/python bench/sandbox.py --sessions 5 --rounds 2
	$(BIN)/python bench/replay.py --rounds 5
	$(BIN)/python bench/extract_fuzz.py --files 300

lint: setup-dev
	$(BIN)/ruff check src tests bench conformance
	$(BIN)/ruff format --check src tests bench conformance
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

setup: $(VENV)/.installed-extras
setup-dev: $(VENV)/.installed-dev

# One stamp a requirements file: an environment is made once and again when its pins change.
$(VENV)/.installed-%: requirements/%.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r $< -r requirements/build.txt
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

$(CLIENTS:%=.venvs/%/.installed) .venvs/conformance/.installed: .venvs/%/.installed: requirements/clients/%.txt
	$(PYTHON) -m venv .venvs/$*
	.venvs/$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

$(NODE_CLIENTS:%=.venvs/%/.installed): .venvs/%/.installed: requirements/clients/%.json
	mkdir -p .venvs/$*
	cp $< .venvs/$*/package.json
	cd .venvs/$* && npm install --no-package-lock --no-audit --no-fund --loglevel=error
	touch $@

lock:
	cd requirements && for f in build core extras dev wasm $(CLIENTS:%=clients/%) clients/conformance; do \
	  uv pip compile -q --generate-hashes --no-header --universal --python-version 3.11 $$f.in -o $$f.txt; done

clean:
	rm -rf $(VENV) .venvs .mypy_cache .ruff_cache .pytest_cache
