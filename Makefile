# Hopline: everything from one command. `make` alone lists what there is.
# Needs GNU make and Python 3.11 or 3.12, nothing else.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup up demo test check bench-peers mutants kafka lock clean

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
BENCH_VENV := .venv-bench
MUTANTS_VENV := .venv-mutants
LOCK_VENV := .venv-lock

# ARGS goes to the program that a target starts: make test ARGS="-k lane -x"
ARGS ?=

# Of the environment's PIP_* and PYTHON* variables only those stay that say how an index is reached, or that only
# change how output is shown. The rest (PIP_USER, PIP_TARGET, PYTHONPATH, PYTHONHOME …) would change what is installed
# and where from modules come.
PIP_KEPT := PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX PIP_CERT PIP_CLIENT_CERT PIP_TRUSTED_HOST \
  PIP_PROXY PIP_DEFAULT_TIMEOUT PIP_TIMEOUT PIP_RETRIES PIP_CACHE_DIR PIP_NO_CACHE_DIR PIP_CONFIG_FILE \
  PIP_KEYRING_PROVIDER
unexport HOPLINE_NOTHING $(filter-out $(PIP_KEPT),$(filter PIP_%,$(.VARIABLES)))
unexport HOPLINE_NOTHING $(filter-out PYTHONUNBUFFERED,$(filter PYTHON%,$(.VARIABLES)))

PIP_INSTALL := -m pip --disable-pip-version-check --no-input install --no-user --root-user-action=ignore

# PYTHON, if it stands on the command line.
ASKED_PYTHON := $(if $(filter command,$(firstword $(origin PYTHON))),$(PYTHON))

# A PYTHON of the command line must do; one of the environment is tried first; else the first one that fits.
FIND_PYTHON = \
  fits() { "$$1" -I -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1; }; \
  python=; \
  if [ -n "$(ASKED_PYTHON)" ]; then \
    fits "$(ASKED_PYTHON)" && python="$(ASKED_PYTHON)"; \
    [ -n "$$python" ] || { echo "PYTHON=$(ASKED_PYTHON) is not Python 3.11 or 3.12, or does not start." >&2; exit 1; }; \
  else \
    for candidate in $(PYTHON) python3.11 python3.12 python3 python; do \
      if fits "$$candidate"; then python="$$candidate"; break; fi; \
    done; \
    [ -n "$$python" ] || { \
      echo "Hopline needs Python 3.11 or 3.12, and none of python3.11, python3.12, python3 is one." >&2; \
      echo "Debian, Ubuntu: apt-get install python3 python3-venv. Or say where it is: make setup PYTHON=/path/to/python3.11" >&2; \
      exit 1; }; \
  fi; \
  "$$python" -I -c 'import ensurepip, venv' >/dev/null 2>&1 || { \
    package="$$("$$python" -I -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"; \
    echo "$$python has no venv module (or no ensurepip). Debian, Ubuntu: apt-get install $$package" >&2; exit 1; }

# Installs a lock file and shows how far it is. $(1): the environment, $(2): the lock file.
INSTALL_LOCK = \
  total=$$(grep -c '==' $(2)); count=0; \
  { $(1)/bin/python $(PIP_INSTALL) --progress-bar off --require-hashes -r $(2) || echo "failed-install"; } | \
  while read -r word rest; do \
    case "$$word" in \
      Collecting|Requirement) count=$$((count + 1)); [ -t 1 ] && printf '\r\033[K      %d of %d  %.60s' "$$count" "$$total" "$$rest" ;; \
      failed-install) echo; echo "The packages of $(2) could not be installed; pip's reason stands above." >&2; exit 1 ;; \
      *) ;; \
    esac; \
  done || exit 1; \
  if [ -t 1 ]; then printf '\r\033[K'; fi

help:  ## List the targets
	@echo "make TARGET [ARGS=\"…\"] [PYTHON=python3.11]"; echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1 \2/p' $(firstword $(MAKEFILE_LIST)) | \
	  while read -r name text; do printf '  %-12s %s\n' "$$name" "$$text"; done

setup:  ## Set up: virtual environment, hash-pinned packages, Kafka's jars; does only what is missing
	@all="$(CURDIR) $(ASKED_PYTHON) $$(cat requirements.lock pyproject.toml | cksum)"; \
	if [ "$$(cat $(STAMPS)/all 2>/dev/null)" != "$$all" ] || ! $(BIN)/python -I -S -c '' 2>/dev/null; then \
	  here="$(CURDIR) $(ASKED_PYTHON)"; \
	  if [ -z "$(ASKED_PYTHON)" ]; then case "$$(cat $(STAMPS)/venv 2>/dev/null)" in "$(CURDIR) "*) \
	    here="$$(cat $(STAMPS)/venv)" ;; esac; fi; \
	  if [ "$$(cat $(STAMPS)/venv 2>/dev/null)" != "$$here" ] || ! $(BIN)/python -I -S -c '' 2>/dev/null; then \
	    if [ -L $(VENV) ]; then \
	      echo "$(VENV) is a link, and making an environment would empty the folder behind it. Remove the link." >&2; \
	      exit 1; \
	    fi; \
	    $(FIND_PYTHON); \
	    echo "[1/4] virtual environment $(VENV) ($$("$$python" -V))"; \
	    "$$python" -I -m venv --clear $(VENV) || exit 1; \
	    mkdir -p $(STAMPS) && printf '%s\n' "$$here" > $(STAMPS)/venv; \
	  fi; \
	  lock="$$(cksum < requirements.lock)"; \
	  if [ "$$(cat $(STAMPS)/lock 2>/dev/null)" != "$$lock" ]; then \
	    echo "[2/4] $$(grep -c '==' requirements.lock) packages, each checked against its hash"; \
	    $(call INSTALL_LOCK,$(VENV),requirements.lock); \
	    printf '%s\n' "$$lock" > $(STAMPS)/lock; \
	  fi; \
	  echo "[3/4] hopline itself (editable)"; \
	  $(BIN)/python $(PIP_INSTALL) --quiet --no-deps --no-build-isolation --no-index -e . || exit 1; \
	  printf '%s\n' "$$all" > $(STAMPS)/all; \
	fi; \
	$(BIN)/python -m streams.broker.prepare --prefix "[4/4] "

up: setup  ## Start Kafka, a worker, a gateway and a demo source, with a live table; Ctrl-C ends it
	@$(BIN)/hopline up $(ARGS)

demo: setup  ## The same for 10,000 signals of 20 tenants; ends by itself and says what became of each
	@$(BIN)/hopline demo $(ARGS)

test: setup  ## Run the tests
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

check: setup  ## Lint, types, contracts, spelling, architecture and pre-integration rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m dashboards check
	@if command -v promtool >/dev/null 2>&1 && command -v amtool >/dev/null 2>&1; then \
	  $(BIN)/python -m alerts check && $(BIN)/python -m dashboards.check --lint; \
	else \
	  echo "SKIPPED: what promtool and amtool say of rules and dashboards (Debian: prometheus, prometheus-alertmanager)"; \
	fi
	$(BIN)/python -m pytest tests/architecture -q $(ARGS)

bench-peers: setup  ## Install the benchmark's peers in an environment of their own (.venv-bench)
	@base="$$($(BIN)/python -I -c 'import sys; print(sys.version_info[:3], sys.base_prefix)') $(CURDIR)"; \
	lock="$$base $$(cksum < requirements-bench.lock)"; \
	if [ "$$(cat $(BENCH_VENV)/.stamp 2>/dev/null)" != "$$lock" ]; then \
	  echo "[1/2] virtual environment $(BENCH_VENV)"; \
	  $(BIN)/python -I -m venv --clear $(BENCH_VENV) || exit 1; \
	  echo "[2/2] $$(grep -c '==' requirements-bench.lock) packages, each checked against its hash"; \
	  $(call INSTALL_LOCK,$(BENCH_VENV),requirements-bench.lock); \
	  printf '%s\n' "$$lock" > $(BENCH_VENV)/.stamp; \
	fi; \
	echo "The peers are in $(BENCH_VENV)."

# An environment of its own: mutmut wants a newer click than Faust allows.
mutants: setup  ## Mutation tests of both cores, half an hour or so (ARGS=processors.directives.hop for one module)
	@base="$$($(BIN)/python -I -c 'import sys; print(sys.version_info[:3], sys.base_prefix)') $(CURDIR)"; \
	lock="$$base $$(cksum < requirements-mutants.lock)"; \
	if [ "$$(cat $(MUTANTS_VENV)/.stamp 2>/dev/null)" != "$$lock" ]; then \
	  echo "[1/2] virtual environment $(MUTANTS_VENV)"; \
	  $(BIN)/python -I -m venv --clear $(MUTANTS_VENV) || exit 1; \
	  echo "[2/2] $$(grep -c '==' requirements-mutants.lock) packages, each checked against its hash"; \
	  $(call INSTALL_LOCK,$(MUTANTS_VENV),requirements-mutants.lock); \
	  printf '%s\n' "$$lock" > $(MUTANTS_VENV)/.stamp; \
	fi; \
	$(MUTANTS_VENV)/bin/python -m tests.mutants $(ARGS)

kafka: setup  ## Start the embedded Kafka alone, in the foreground
	@$(BIN)/python -m streams.broker $(ARGS)

# For who changes pyproject.toml: needs the network, and changes nothing but the lock files.
lock: setup  ## Write the lock files anew (ARGS=--upgrade for newer versions)
	@test -x $(LOCK_VENV)/bin/uv || { $(BIN)/python -I -m venv --clear $(LOCK_VENV) && \
	  $(LOCK_VENV)/bin/python $(PIP_INSTALL) --quiet uv; }
	@for pair in "--all-extras pyproject.toml requirements.lock" "--group=bench - requirements-bench.lock" \
	    "--group=mutants - requirements-mutants.lock"; do \
	  set -- $$pair; if [ "$$2" = - ]; then input=; else input="$$2"; fi; \
	  UV_CUSTOM_COMPILE_COMMAND="make lock" $(LOCK_VENV)/bin/uv pip compile $$input "$$1" --universal --python-version 3.11 \
	    --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --quiet -o "$$3" $(ARGS) || exit 1; \
	  echo "$$3: $$(grep -c '==' "$$3") packages"; \
	done

clean:  ## Remove the environments and caches; data (.hopline) stays
	rm -rf $(VENV) $(BENCH_VENV) $(MUTANTS_VENV) $(LOCK_VENV) mutants build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
