# What one does with this project: `make help` lists it.
# Each set-up step leaves a stamp file, so that it runs again only when what it read has changed.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SCAN   := .venv-scan
INSTALL := python -m pip install --quiet --disable-pip-version-check --require-hashes
PIP    := $(BIN)/$(INSTALL)
VENDOR := chat/static/vendor
TWO    := --numprocesses=2 --dist=loadfile
LOCK   := $(BIN)/uv pip compile --quiet --upgrade --universal --fork-strategy fewest \
          --python-version 3.11 --generate-hashes --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help run run-tls doctor test lint format lock migration screenshots clean

help: ## Print this list
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run $(VENDOR)/.stamp ## Serve http://localhost:5000 (PORT=… for another port)
	@$(BIN)/python -m dev.run

run-tls: $(VENV)/.run $(VENDOR)/.stamp ## Serve https://localhost:5001 with a certificate made here
	@$(BIN)/python -m dev.run --tls

doctor: export CHAT_ENV ?= development
doctor: $(VENV)/.run ## Look for mistakes in settings and surroundings, each with its mend
	@$(BIN)/flask doctor

# Two runs: a test that drives a browser holds an event loop of its own, asyncio's tests another.
# Two files at a time: tests wait more than they work.
test: $(VENV)/.test $(VENDOR)/.stamp ## Run all tests
	$(BIN)/python -m pytest $(TWO) tests --ignore=tests/browser --ignore=tests/deploy
	$(BIN)/python -m pytest tests/browser

lint: $(VENV)/.deploy ## Check style, formatting and types
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
	@$(LOCK) requirements-deploy.in -o requirements-deploy.txt
	@$(LOCK) requirements-scan.in -o requirements-scan.txt
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
	rm -rf $(VENV) $(SCAN) node_modules $(VENDOR) .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

##@ The container (DOCKER=podman|docker|buildah; NAME=commons)
.PHONY: image image-run scan sbom push test-deploy
image: ## Build the image of this commit (PYTHON_IMAGE=… for another base, BUILD_FLAGS=…)
	@$(PYTHON) -m dev.image

image-run: $(VENV)/.run ## Serve https://localhost:5001 from the image (RUN_FLAGS=…)
	@$(BIN)/python -m dev.image_run

scan: $(SCAN)/.made ## Look for mistakes in the Dockerfile and in deploy/
	$(SCAN)/bin/hadolint Dockerfile
	$(SCAN)/bin/checkov --framework dockerfile --file Dockerfile
	$(SCAN)/bin/cfn-lint
	$(SCAN)/bin/checkov

sbom: $(VENV)/.deploy ## List what is in the image, as CycloneDX, in instance/sbom.cdx.json
	@$(BIN)/python -m dev.sbom

push: ## Push the image: to Amazon's ECR, or REGISTRY=host[:port][/path]
	@$(PYTHON) -m dev.push

test-deploy: $(VENV)/.deploy $(VENDOR)/.stamp ## Run the container's tests (as root; see docs/operations.md)
	$(BIN)/python -m pytest $(TWO) tests/deploy

##@ On AWS (NAME=commons; the region and account are those of your aws command)
.PHONY: secrets run-task deploy rollback url status logs stop destroy
secrets:  ## Store Okta's values, from the environment, standard input or .okta.env (ROTATE=1: a new key)
run-task: ## Demo: run what was pushed as one task with an address of its own
deploy:   ## Production: bring the stack to what was pushed (the first time with DOMAIN=… CERTIFICATE_ARN=…)
rollback: ## Production: go back to the image that ran before
url:      ## Print the addresses, and what to enter in Okta
status:   ## Say what runs, in what state, and why
logs:     ## Follow the log (SINCE=10m)
stop:     ## Stop the demo's task (SERVICE=1: production's tasks instead)
destroy:  ## Remove the demo and the stack, once you typed the name (ALL=1: secrets and images too)
secrets run-task deploy rollback url status logs stop destroy: $(VENV)/.run
	@$(BIN)/python -m dev.aws $@

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

$(VENV)/.deploy: $(VENV)/.test requirements-deploy.txt
	@$(PIP) -r requirements-deploy.txt
	@touch $@

$(SCAN)/.made: $(VENV)/.made requirements-scan.txt
	@$(PYTHON) -m venv $(SCAN)
	@$(SCAN)/bin/$(INSTALL) -r requirements-scan.txt
	@touch $@

$(VENDOR)/.stamp: package-lock.json dev/assets.py | $(VENV)/.made
	@$(BIN)/python -m dev.assets
	@touch $@
