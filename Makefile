# What one does with this project: `make help` lists it.
# Each set-up step leaves a stamp file, so that it runs again only when what it read has changed.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
VENDOR := chat/static/vendor
LOCK   := $(BIN)/uv pip compile --quiet --upgrade --universal --fork-strategy fewest \
          --python-version 3.11 --generate-hashes --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help run run-tls test lint format lock migration screenshots clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run $(VENDOR)/.stamp ## Serve http://localhost:5000 (PORT=… for another port)
	@$(BIN)/python -m dev.run

run-tls: $(VENV)/.run $(VENDOR)/.stamp ## Serve https://localhost:5001 with a certificate made here
	@$(BIN)/python -m dev.run --tls

# Two runs: a test that drives a browser holds an event loop of its own, asyncio's tests another.
test: $(VENV)/.test $(VENDOR)/.stamp ## Run all tests
	$(BIN)/python -m pytest tests --ignore=tests/browser
	$(BIN)/python -m pytest tests/browser

lint: $(VENV)/.test ## Check style, formatting and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.test ## Format the code and mend what can be mended
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: $(VENV)/.test ## Pin the newest versions of all dependencies
	@$(LOCK) requirements.in -o requirements.txt
	@$(LOCK) requirements-dev.in -o requirements-dev.txt
	@$(LOCK) requirements-test.in -o requirements-test.txt
	@$(LOCK) requirements-node.in -o requirements-node.txt
	@PATH="$$PATH:$(CURDIR)/$(BIN)" npm update --package-lock-only --silent

migration: export CHAT_ENV = development
migration: export OKTA_OAUTH2_ISSUER = http://localhost
migration: export OKTA_OAUTH2_CLIENT_ID = none
migration: export OKTA_OAUTH2_CLIENT_SECRET = none
migration: $(VENV)/.run ## Write a migration for what changed in chat/models.py (WHY="…")
	@$(BIN)/flask --app wsgi db upgrade
	@$(BIN)/flask --app wsgi db migrate -m "$(WHY)"

screenshots: $(VENV)/.test $(VENDOR)/.stamp ## Take the README's screenshots
	$(BIN)/python -m dev.screenshots

clean: ## Remove what set-up made; the messages in instance/ stay
	rm -rf $(VENV) node_modules $(VENDOR) .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
	  f"Python 3.11 or newer is needed, and {sys.executable} is {sys.version.split()[0]}: make PYTHON=…")'
	@echo "Setting up in $(VENV)/; this takes a minute, once."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.made requirements.txt requirements-dev.txt
	@$(PIP) -r requirements.txt -r requirements-dev.txt
	@touch $@

$(VENV)/.test: $(VENV)/.run requirements-test.txt
	@$(PIP) -r requirements-test.txt
	@touch $@

$(VENDOR)/.stamp: package-lock.json dev/assets.py | $(VENV)/.made
	@$(BIN)/python -m dev.assets
	@touch $@
