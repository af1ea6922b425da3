# `make run` serves the dashboard, `make test` runs every check. Each target installs what it needs, once.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The tests that need no worker, page or browser.
UNIT := $(addprefix tests/,charts curriculum insight policy ui test_config.py test_docs.py test_environment_setup.py test_overrides.py test_rollup.py)

.PHONY: help run nethack test long scaling check fast format messages docs bench claims faults leaving mutation screenshots clean

help: ## Show this help
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name words; do printf '  make %-12s %s\n' "$$name" "$$words"; done

run: .venv/.native ## Serve the dashboard on http://127.0.0.1:8501; PORT=N for another port
	@$(BIN)/python -m v3core serve $(if $(PORT),--port $(PORT))

# Whether or not it was done before: pip sees what was removed since, or has another version, and the stamp does not.
nethack: ## Install NetHack and MiniHack, or say what they need
	@$(MAKE) --no-print-directory --what-if=requirements-nethack.txt .venv/.nethack

# The browser tests run after the others, because they depend on timing.
test: check $(if $(CI),.venv/.nethack .venv/.ray .venv/.s3) ## Run every check, and every test that is not long
	$(BIN)/python -m pytest -m "not browser and not long" -n 2 --ignore tests/scaling
	$(BIN)/python -m pytest -m "browser and not long" -n 2 --ignore tests/scaling
	@if $(BIN)/python -c "import ray" 2>/dev/null || $(BIN)/python -c "import moto, s3fs" 2>/dev/null; then $(BIN)/python -m pytest -m "not long" tests/scaling; else echo "Ray and s3fs are not installed: the tests on clusters and buckets are left out; make scaling installs them."; fi

long: .venv/.development ## Run the tests that `make test` leaves out because they take long
	$(BIN)/python -m pytest -m long -n 2 --ignore tests/scaling

scaling: .venv/.ray .venv/.s3 ## Run all tests on real Ray clusters and object stores, 9 minutes
	$(BIN)/python -m pytest tests/scaling

check: .venv/.development ## Run the linter, the type checker and the import checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

fast: check ## Run these checks and the unit tests, within a minute: for everyday work
	$(BIN)/python -m pytest -q -n 2 -m "not slow and not browser and not every_database" --hypothesis-profile=fast $(UNIT)

format: .venv/.development ## Format the code, and fix what the linter can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix . && $(BIN)/ruff format --quiet .

messages: .venv/.development ## Bring the catalogues of other languages up to date with the code
	$(BIN)/python -m tests.catalogues

docs: .venv/.docs ## Build the documentation site in site/; SERVE=1 serves it while you write
	$(BIN)/python -m tests.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs $(if $(SERVE),serve,build --strict --quiet)

# One after another, so that they do not slow each other down. memory.py trains for minutes: it is run by itself.
bench: .venv/.development .venv-peers/.installed ## Run the benchmarks against other libraries
	@for benchmark in $(filter-out benchmarks/memory.py,$(wildcard benchmarks/[!_]*.py)); do \
		$(BIN)/python $$benchmark || exit 1; done

faults: .venv/.development ## Run all fault injection tests in full, about 15 minutes: the table in docs/reliability.md
	V3_FAULTS=100 $(BIN)/python -m pytest -s tests/faults

# Runs that have a result in data/experiments/ are not run again: interrupt it at any time.
claims: .venv/.native ## Run the studies that test the claims: hours, resumable; STUDY=NAME for one
	$(BIN)/python -m v3core claims --run $(STUDY)
	$(BIN)/python -m tests.docs

leaving: .venv/.development ## Leave each page in every way 20 times, on a busy machine
	V3_LEAVING=20 $(BIN)/python -m pytest tests/browser/test_leaving_pages.py

mutation: .venv/.development ## Change code in small ways and run its tests: MODULE=charts, FILE=, TESTS=, MUTANTS=
	nice -n 10 $(BIN)/python -m tests.mutation $(MODULE) $(if $(FILE),--file $(FILE)) $(if $(TESTS),--tests $(TESTS)) $(if $(MUTANTS),--mutants $(MUTANTS))

screenshots: .venv/.development ## Retake the screenshots of the documentation
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

# Says so, once, where it cannot be compiled; torch then computes the network.
.venv/.native: .venv/.runtime $(wildcard v3core/native/*.py v3core/native/source/*)
	@echo "Compiling the native library …"
	@$(BIN)/python -m v3core.native || true
	@touch $@

.venv/.development: .venv/.native requirements-dev.txt requirements-oracles.txt
	@echo "Installing what the tests need …"
	@$(PIP) -r requirements-dev.txt
	@$(PIP) --no-deps -r requirements-oracles.txt
	@touch $@

# Tried at once: a package that is installed may still not run here.
.venv/.nethack: .venv/.runtime requirements-nethack.txt
	@echo "Installing NetHack and MiniHack …"
	@$(PIP) --no-deps -r requirements-nethack.txt || { $(BIN)/python -c 'from v3core.environments.nethack.ids import why_not_installed; print(why_not_installed())' >&2; exit 1; }
	@$(BIN)/python -m v3core graph MiniHack-Room-5x5-v0 >/dev/null
	@touch $@

# Its tests are skipped where it is not installed.
.venv/.ray: .venv/.development requirements-ray.txt
	@echo "Installing Ray …"
	@$(PIP) -r requirements-ray.txt
	@touch $@

.venv/.s3: .venv/.development requirements-s3-tests.txt requirements-s3.txt
	@echo "Installing s3fs …"
	@$(PIP) -r requirements-s3-tests.txt
	@touch $@

.venv/.docs: .venv/.development requirements-docs.txt
	@echo "Installing what the documentation needs …"
	@$(PIP) -r requirements-docs.txt
	@touch $@

.venv-peers/.installed: .venv/bin/python requirements-peers.txt
	@echo "Installing the peers of the benchmarks …"
	@$(BIN)/python -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-peers.txt
	@touch $@

clean: ## Remove everything the other targets created, except data
	rm -rf .venv .venv-peers site static .mypy_cache .ruff_cache .pytest_cache .hypothesis mutants
