# `make run` serves the dashboard, `make test` runs every check. Both set themselves up.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test check bench faults leaving screenshots clean

run: .venv/.runtime
	@$(BIN)/python -m v3core serve $(if $(PORT),--port $(PORT))

# The browser tests run by themselves: they look at the clock.
test: check
	$(BIN)/python -m pytest -m "not browser" -n 2
	$(BIN)/python -m pytest -m browser

check: .venv/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# One after another, so that they do not slow each other.
bench: .venv/.development .venv-peers/.installed
	@for benchmark in benchmarks/[!_]*.py; do $(BIN)/python $$benchmark || exit 1; done

# Every fault in full: a quarter of an hour. Prints the table of docs/reliability.md.
faults: .venv/.development
	V3_FAULTS=100 $(BIN)/python -m pytest -s tests/faults

# Each way of leaving each page 20 times, with frequent ticks on a busy machine.
leaving: .venv/.development
	V3_LEAVING=20 $(BIN)/python -m pytest tests/browser/test_leaving_pages.py tests/browser/test_notices.py

screenshots: .venv/.development
	$(BIN)/python -m tests.screenshots

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; install it and try again." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old: Python 3.11 or newer is needed; set PYTHON=…" >&2; exit 1; }
	@echo "Making a virtual environment in .venv …"
	@$(PYTHON) -m venv .venv || { echo "Python cannot make a virtual environment; on Debian and Ubuntu install python3-venv." >&2; rm -rf .venv; exit 1; }

.venv/.runtime: .venv/bin/python requirements.txt
	@echo "Installing what the app needs (the first time takes some minutes) …"
	@$(PIP) -r requirements.txt
	@touch $@

.venv/.development: .venv/.runtime requirements-dev.txt
	@echo "Installing what the tests need …"
	@$(PIP) -r requirements-dev.txt
	@touch $@

.venv-peers/.installed: .venv/bin/python requirements-peers.txt
	@echo "Installing the peers of the benchmarks …"
	@$(BIN)/python -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-peers.txt
	@touch $@

clean:
	rm -rf .venv .venv-peers static .mypy_cache .ruff_cache .pytest_cache .hypothesis
