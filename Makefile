# Everything a developer or a first-time user runs. Plain `make` lists the targets.
#
# What is installed lies in .venv, node_modules and static/vendor; a file there marks each step as done, so a second run
# starts at once. HOST, PORT and every PIXSTORE_* variable of the environment reach the server.

HOST ?= 127.0.0.1
PORT ?= 8000
VENV ?= .venv
ENGINES ?= firefox webkit

python := $(VENV)/bin/python
pip := $(python) -m pip --quiet --disable-pip-version-check install

export HOST PORT
# The environment's own tools (and the npm that scripts/ensure-npm may put there) come first.
export PATH := $(abspath $(VENV))/bin:$(PATH)
# What the server prints shows at once, the set-up link above all.
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help install run test test-engines torture check format observatory audit readme bench bench-browser lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.run static/vendor/.installed ## fetch what the gallery needs, and start nothing

run: install ## start the gallery on http://127.0.0.1:8000 (HOST=…, PORT=…)
	@exec $(python) -m gunicorn

test: check node_modules/.native ## every check and every test, the real browser included (ARGS="-k name" for some)
	@CHROMIUM=$$(scripts/ensure-browser $(VENV)) && export CHROMIUM && exec $(python) -m pytest $(ARGS)

test-engines: $(VENV)/.dev static/vendor/.installed ## the browser tests in other engines (ENGINES="firefox webkit")
	@for engine in $$(scripts/ensure-engines $(ENGINES)); do \
	  echo "In $$engine"; \
	  $(python) -m pytest tests/browser/module tests/browser/gallery --engine $$engine $(ARGS) || failed=1; \
	done; scripts/ensure-engines $(ENGINES) >/dev/null && [ -z "$$failed" ]

torture: $(VENV)/.dev ## crashes, power cuts, races and hostile input by the thousand; 105 minutes (ARGS="--help")
	@scripts/ensure-torture $(VENV) && exec $(python) -m tests.torture.run $(ARGS)

observatory: $(VENV)/.dev tests/observatory/node_modules/.installed static/vendor/.installed ## grade every page's headers as MDN's HTTP Observatory does
	@exec $(python) -m tests.observatory.observatory

audit: build/audit/.installed ## look every pinned dependency up in the advisories of PyPI and npm
	@scripts/ensure-npm $(VENV) && scripts/audit build/audit

check: $(VENV)/.dev node_modules/.dev static/vendor/.installed ## lint and types: ruff, mypy, tsc
	@$(python) -m ruff check
	@$(python) -m ruff format --check
	@$(python) -m mypy
	@npm run --silent types

format: $(VENV)/.dev ## write Python as ruff formats it
	@$(python) -m ruff check --fix
	@$(python) -m ruff format

readme: $(VENV)/.run ## write the settings table of the README again
	@$(python) scripts/readme-settings

bench: $(VENV)/.run bench/node_modules/.installed ## time this store beside npm's pixstore (ARGS="--help")
	@exec $(python) bench/run.py $(ARGS)

bench-browser: $(VENV)/.dev node_modules/.dev static/vendor/.installed ## time the browser module beside npm's frontend (ARGS="--help")
	@CHROMIUM=$$(scripts/ensure-browser $(VENV)) && export CHROMIUM && \
	  PYTHONPATH=.:bench exec $(python) bench/browser/compare.py $(ARGS)

lock: $(VENV)/.run ## compile requirements*.in and the package.json files again (ARGS=--upgrade)
	@$(pip) uv==0.13.8
	@for name in requirements requirements-dev requirements-node requirements-audit; do \
	  $(python) -m uv pip compile --no-config --quiet --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command 'make lock' $(ARGS) --output-file $$name.txt $$name.in || exit; \
	done
	@for folder in . bench tests/observatory; do \
	  npm install --prefix $$folder --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved || exit; \
	done

clean: ## remove what these targets installed; pictures (data/) stay
	@rm -rf $(VENV) node_modules bench/node_modules tests/observatory/node_modules static/vendor build *.egg-info
	@rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +


# --- steps that are done once ---

$(python):
	@scripts/make-venv $(VENV)

$(VENV)/.run: requirements.txt | $(python)
	@echo "Installing Python packages"
	@$(pip) --require-hashes -r $<
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	@echo "Installing test tools"
	@$(pip) --require-hashes -r $<
	@touch $@

build/audit/.installed: requirements-audit.txt | $(python)
	@echo "Installing pip-audit"
	@scripts/make-venv build/audit
	@build/audit/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r $<
	@touch $@

# npm ci empties node_modules, marks included. Install scripts stay off: nothing here needs one.
npm_ci = scripts/ensure-npm $(VENV) && npm ci $(1) --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null

node_modules/.run: package-lock.json package.json | $(python)
	@echo "Installing JavaScript packages"
	@$(call npm_ci,--omit=dev)
	@touch $@

node_modules/.dev: package-lock.json package.json | $(python)
	@echo "Installing JavaScript packages and the type checker"
	@$(call npm_ci,)
	@touch $@ node_modules/.run

static/vendor/.installed: node_modules/.run
	@npm run --silent vendor
	@touch $@

# What npm's backend needs compiled, for the tests against it; without optimisation, which takes a third of the time. Where
# it cannot be had, those tests are skipped.
node_modules/.native: node_modules/.dev
	@echo "Compiling what the tests against npm's backend need"
	@if CFLAGS=-O0 CXXFLAGS=-O0 && export CFLAGS CXXFLAGS && $(call rebuild_sqlite,.); then touch $@; else \
	  echo "It could not be compiled: the tests against npm's backend will be skipped" >&2; fi

# better-sqlite3 is fetched or compiled here, by the one install script that npm's pixstore needs; with Node.js's headers from
# beside its program, where they are.
define rebuild_sqlite
prefix=$$(node -p 'path.resolve(process.execPath, "../..")') && \
if [ -e "$$prefix/include/node/node.h" ]; then export npm_config_nodedir="$$prefix"; fi && \
npm rebuild --prefix $(1) --ignore-scripts=false --loglevel=error better-sqlite3 >/dev/null
endef

bench/node_modules/.installed: bench/package-lock.json bench/package.json | $(python)
	@echo "Installing npm's pixstore for comparison"
	@$(call npm_ci,--prefix bench)
	@$(call rebuild_sqlite,bench)
	@touch $@

tests/observatory/node_modules/.installed: tests/observatory/package-lock.json tests/observatory/package.json | $(python)
	@echo "Installing MDN's HTTP Observatory"
	@$(call npm_ci,--prefix tests/observatory)
	@touch $@
