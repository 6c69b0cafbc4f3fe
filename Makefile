# Everything a fresh machine needs, given Python 3.11 or newer, make and the package index. `make help` lists it.

# Debian packages that tests need; each brings a command of its own name, or the one after the colon.
DEBIAN_PACKAGES := strace openssl chromium faketime iproute2:ip nginx
# Half of the time tests wait, for a server or for a deadline: three keep two cores busy.
TEST_WORKERS ?= 3

# The first Python that is new enough (a version manager's stand-in for one that is not there fails the question).
PYTHON := $(shell for python in python3 python3.13 python3.12 python3.11; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-for-tests
# The lock files name every package, so nothing has to be resolved.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes

.DEFAULT_GOAL := help
.PHONY: help env test-env demo test check bench soak screenshots lock debian clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

# A package that is not installed editable comes compiled; each of the processes that tests start would do it anew.
env: $(STAMP)  ## only the environment: .venv, with .venv/bin/logriver
	@$(BIN)/python -m compileall -q src

test-env: env $(TEST_STAMP)

demo: env  ## server, generator and two followed files; Ctrl-C stops all
	@$(BIN)/logriver demo

test: test-env debian check  ## all checks and all tests
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal

check: test-env  ## style, types and import directions
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: test-env  ## the measurements, into bench/RESULTS.md
	@$(BIN)/python -m bench

soak: test-env debian  ## the tests that run for a long time
	@$(BIN)/python -m pytest -m soak --timeout 0

screenshots: test-env debian  ## pictures of the page, into docs/images
	@$(BIN)/python -m tests.browser.screenshots

# The engine's package names pandas and pyarrow as its needs, but only for tables of theirs, which nothing here asks for:
# together with numpy they are a third of a gigabyte.
COMPILE = $(BIN)/uv pip compile pyproject.toml --extra server --universal --python-version 3.11 --upgrade --quiet \
	--generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	--no-emit-package pandas --no-emit-package pyarrow --no-emit-package numpy

lock: env  ## requirements.lock and requirements-test.lock anew from pyproject.toml
	@$(BIN)/python -m pip install --quiet uv
	@$(COMPILE) --group build --output-file requirements.lock
	@$(COMPILE) --group test --constraint requirements.lock --output-file requirements-test.lock

clean:  ## remove what demo and tests made (.venv stays)
	@rm -rf demo-data build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "python 3.11 or newer is needed, and none was found" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(MAKE) --no-print-directory debian PACKAGES=python3-venv
	@echo "installing into $(VENV) (once; takes half a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(TEST_STAMP): $(STAMP) requirements-test.lock
	@echo "installing what the tests need into $(VENV) (once; takes half a minute)"
	@$(INSTALL) --requirement requirements-test.lock
	@touch $@

# Installed when root; otherwise the run stops and says what is missing, because a skipped test is not a passed one.
debian: PACKAGES ?= $(DEBIAN_PACKAGES)
debian:
	@missing=""; PATH="$$PATH:/usr/sbin"; \
	for package in $(PACKAGES); do \
		command -v $${package#*:} >/dev/null || missing="$$missing $${package%:*}"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "this machine lacks:$$missing (on Debian, as root: apt-get install$$missing)" >&2; exit 1; \
	fi; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing
