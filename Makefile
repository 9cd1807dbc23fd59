# `make` lists the targets. Everything is installed into .venv, exactly what requirements.lock names, checked by hash.

PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
LOCKED := requirements.txt sandbox/requirements.txt requirements.lock
ARGS ?=

# Stamps: a second `make run` finds them newer than the requirements and installs nothing.
FOR_RUN := $(VENV)/.for-run
FOR_DEV := $(VENV)/.for-dev

.DEFAULT_GOAL := help
.PHONY: help run manage test chaos prove bench check messages reliability format lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(FOR_RUN) ## Run the shop here with all it needs, on PORT=8000, data in VAR=var; Ctrl-C ends it
	@exec $(BIN)/python -m sandbox.run

manage: $(FOR_RUN) ## Run a management command on the running demo: make manage ARGS="stuck"
	@test -f $${VAR:-var}/environment || { echo "Start the demo first: make run"; exit 1; }
	@. "$$(cd $${VAR:-var} && pwd)/environment" && exec $(BIN)/python manage.py $(ARGS)

test: $(FOR_DEV) ## Run the tests; some of them: make test ARGS="tests/orders -k refund"
	@tests/chromium.sh
	@tests/nginx.sh
	$(BIN)/pytest $(ARGS)

chaos: $(FOR_DEV) ## Break everything while people buy, then check every promise: MINUTES=5 SEED=7 BROKER=valkey|redis|rabbitmq
	$(BIN)/python -m tests.proof.chaos --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED)) \
	    --broker $(or $(BROKER),valkey) --json docs/figures/chaos.json

prove: $(FOR_DEV) ## Kill the shop at every line and statement, then break it on purpose and see that noticed; takes half an hour
	$(BIN)/python -m tests.proof.kill --jobs $(or $(JOBS),2)
	$(BIN)/python -m tests.proof.mutants --jobs $(or $(JOBS),2)

bench: $(FOR_DEV) ## Measure webhooks, deliveries, a burst, a million rows, search, figures, a slow phone, memory; ARGS="webhook search"
	$(BIN)/python -m benchmarks $(ARGS)

# Production's settings, none of them real: what they would be rejected for, they are rejected for here.
check: export SECRET_KEY = only-for-make-check-0f3b9a71c8d24e65b7a1f09c3d8e52467ab1c9d0e4f8
check: export DEBUG = false
check: export SITE_URL = https://shop.example.com
check: export ALLOWED_HOSTS = shop.example.com
check: export DATABASE_URL = postgres://nobody:nothing@127.0.0.1:9/none
check: export CELERY_BROKER_URL = redis://127.0.0.1:9/0
check: export EMAIL_URL = smtp+tls://nobody:nothing@127.0.0.1:9
check: export DEFAULT_FROM_EMAIL = The Shop <orders@shop.example.com>
check: export ADMINS = operator@shop.example.com
check: export STRIPE_SECRET_KEY = sk_live_only_for_make_check
check: export STRIPE_WEBHOOK_SECRETS = whsec_only_for_make_check
check: export STRIPE_API_BASE = https://api.stripe.com
check: export STORAGE_URL = file:///srv/shop/files
check: export SENTRY_DSN =
check: $(FOR_DEV) ## Lint, types, migrations, Django's checks for production, templates, deployment files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	@# Without a database Django warns that it cannot compare the applied migrations; the models are compared anyway.
	$(BIN)/python -W "ignore:Got an error checking a consistent migration history" manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/djlint --lint --quiet templates
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml
	$(BIN)/shellcheck deploy/*.sh tests/*.sh

messages: $(FOR_DEV) ## Bring new strings into locale/ and compile what is translated there; lists what still waits
	$(BIN)/python -m tests.translations

reliability: $(FOR_DEV) ## Write docs/reliability.md from the tests' names and the figures of the last runs
	$(BIN)/python -m tests.reliability

format: $(FOR_DEV) ## Format the code and repair what the linter can
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

lock: | $(BIN)/python ## Resolve requirements-dev.txt anew into requirements.lock
	@$(GET_UV)
	$(BIN)/uv pip compile requirements-dev.txt --universal --generate-hashes --python-version 3.11 --no-annotate --no-header --quiet -o requirements.lock

clean: ## Delete .venv, caches and collected files; never the demo's data in var/
	rm -rf $(VENV) staticfiles .mypy_cache .ruff_cache .pytest_cache tests/screenshots
	find . -name __pycache__ -not -path './var/*' -prune -exec rm -rf {} +
	@if [ -d var ]; then echo "The demo's data stays in var/. To begin anew, delete that folder yourself."; fi

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1 | head -n 1)."; \
	    echo "Name another one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# uv compiles bytecode only when told; where PYTHONDONTWRITEBYTECODE is set nobody else ever would, and every start
# of Django would take twice as long.
# Where uv cannot be had, pip does the same, four times slower.
GET_UV = [ -x $(BIN)/uv ] || $(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
INSTALL = if $(GET_UV); then \
	    $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes $(1) -c requirements.lock; \
	else \
	    $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; \
	fi

$(FOR_RUN): $(LOCKED) | $(BIN)/python
	@echo "Installing into $(VENV) ..."
	@$(call INSTALL,-r requirements.txt -r sandbox/requirements.txt)
	@touch $@

$(FOR_DEV): requirements-dev.txt $(LOCKED) | $(BIN)/python
	@echo "Installing into $(VENV), with what tests and checks need ..."
	@$(call INSTALL,-r requirements-dev.txt)
	@touch $(FOR_RUN) $@
