# Two commands are enough on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP     = $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo serve test lint bench docs setup setup-dev lock clean

demo: setup
	$(BIN)/respun demo

serve: setup
	$(BIN)/respun serve

test: setup-dev
	$(BIN)/python -m pytest

lint: setup-dev
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench
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

lock:
	cd requirements && for f in build core extras dev; do \
	  uv pip compile -q --generate-hashes --no-header --universal --python-version 3.11 $$f.in -o $$f.txt; done

clean:
	rm -rf $(VENV) .venvs .mypy_cache .ruff_cache .pytest_cache
