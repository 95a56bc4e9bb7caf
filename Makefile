# One command for each thing. A fresh machine needs Python 3.11+ and make; everything else goes into $(VENV).
#
#   make demo    compare all methods on a small real network    make check   format, lint, types, layers
#   make test    the test suite, on WORKERS=2 processes         make field   the benchmark folder (minutes)
#   make quick   its fastest files, within 45 s                 make docs    run every snippet of the docs
#   make bench   timings of building and handing over models    make fuzz    look for wrong answers (SEED, SECONDS)
#   make site    the docs as a site, in site/index.html         make coverage  the tests, and the lines they run
#   make satisfactory  a peer's 178 tests of the VNN-LIB standard, with nnsym-vnnlib as the solver (minutes)
#   make atlas   every encoding on small networks, docs/encodings/atlas.md (minutes)
#   make slow    proofs, kits on every lane, long searches      (make test leaves these out, .ci/run does not)
#   make thorough  the test suite with every example of its random tests (make test: DEPTH=0.125 of them, .ci/run 0.25)
#
# VENV=DIR puts the environment elsewhere, PYTHON=python3.12 chooses the interpreter, PIP_FLAGS goes to pip.
# NNSYM_SYSTEM_SOLVERS=1 lets tests use what else the system has (cbc, scip); else they are hidden from them.

PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
PYTEST_FLAGS ?=
WORKERS ?= 2
DEPTH ?= 0.125
FUZZ ?= all
SEED ?= 0
SECONDS ?= 120
FUZZ_FLAGS ?= --controls
COVER ?=
NETS ?= ../shared/nets
IMAGES ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt $(PIP_FLAGS)
PYTEST := $(BIN)/python -m pytest $(PYTEST_FLAGS)
SPREAD := --numprocesses $(WORKERS) --dist worksteal

# What a change is tried on between two edits: the language, the graph, exact arithmetic, encodings and verdicts.
QUICK := test_encode_affine test_encode_formula test_encode_spec test_encoding_bigm test_export_headers \
  test_ir_check test_ir_exact test_ir_formula test_ir_graph test_ir_linear test_ir_outward test_ir_pieces test_ir_rows \
  test_ir_text test_lang_networks test_lang_prop test_lang_property test_lang_sets test_lang_terms test_project \
  test_read_arrays test_solvers_statuses test_verdict test_write_smtlib

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo test thorough slow quick check field fuzz bench docs lecture atlas site satisfactory \
  coverage format clean

help:
	@sed -n '3,/^$$/s/^# *//p' Makefile

# The environment, then torch alone (on Linux the plain wheel brings CUDA libraries, see README.md), then the rest.
$(VENV)/.torch: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "nnsym needs Python 3.11 or newer; '$(PYTHON)' is `$(PYTHON) --version 2>&1`. Try: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "Could not create $(VENV). On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing into $(VENV) (once; torch is the large part)"
	@$(PIP) torch
	@touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml
	@$(PIP) --editable '.[all]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.torch pyproject.toml
	@$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-site: $(VENV)/.torch pyproject.toml
	@$(PIP) --editable '.[site]'
	@touch $@

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

demo: $(VENV)/.installed
	$(BIN)/nnsym demo --output build/demo

test: $(VENV)/.installed-dev
	NNSYM_DEPTH=$(DEPTH) $(PYTEST) $(SPREAD)

thorough: $(VENV)/.installed-dev
	$(PYTEST) $(SPREAD)

slow: $(VENV)/.installed-dev
	$(PYTEST) $(SPREAD) -m "slow and not field"

quick: $(VENV)/.installed-dev
	$(PYTEST) $(SPREAD) $(QUICK:%=tests/%.py)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

field: $(VENV)/.installed-dev
	$(PYTEST) -m field -rA

fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m tests.fuzz $(FUZZ) --seed $(SEED) --seconds $(SECONDS) $(FUZZ_FLAGS)

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.benchmarks

lecture: $(VENV)/.installed-dev
	$(BIN)/python docs/lecture/costs.py
	$(BIN)/python docs/lecture/published.py $(NETS) $(if $(IMAGES),--images $(IMAGES))
	$(BIN)/python docs/lecture/mnist_training.py
	$(PYTEST) -m "field or slow" tests/test_train_robust.py

docs: $(VENV)/.installed-dev
	$(PYTEST) -m '' tests/test_docs.py tests/test_lecture.py

atlas: $(VENV)/.installed-dev
	$(BIN)/python scripts/atlas.py

# No page needs a network: pages that link to nothing, or stand in no menu, end the build.
site: $(VENV)/.installed-site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# In an environment of its own. Of the 178 one is faulty (its model has another type than its query), and refused.
satisfactory: $(VENV)/.installed
	$(PYTHON) -m venv build/satisfactory
	build/satisfactory/bin/python -m pip install --quiet $(PIP_FLAGS) vnnlib-satisfactory
	cd build && satisfactory/bin/vnnlib-satisfactory run --solver $(abspath $(BIN))/nnsym-vnnlib --timeout 30 | tee satisfactory.txt
	grep -q '^177/178 passed, 0 failed, 1 suspect, 0 errored, 0 skipped' build/satisfactory.txt
	for flag in opset vnnlib serialise-assignments; do build/satisfactory/bin/vnnlib-satisfactory compliance $$flag \
	  --solver $(abspath $(BIN))/nnsym-vnnlib || exit 1; done

coverage: $(VENV)/.installed-dev
	$(PYTEST) $(SPREAD) --cov --cov-report=term:skip-covered --cov-report=html:build/coverage $(COVER)

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf build dist site .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
