# The menu. `make demo` and `make test` need python3 (3.11 or later) with venv, and nothing else.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url

.PHONY: help demo test test-browser test-docker chaos bench check docs lock clean

help:  ## show this menu
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY)  ## objects detected in real video that flows through Kafka (ARGS="--frames 300 --json")
	@$(BIN)/framebus demo $(ARGS)

test: $(READY)  ## unit, integration and end-to-end tests (ARGS="-k wire")
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 \
		--ignore tests/browser --ignore tests/docker $(ARGS)

test-browser: $(READY)  ## the dashboard in a real Chromium, with the demo running
	$(BIN)/pytest tests/browser $(ARGS)

test-docker: $(READY)  ## the images and docker-compose.yml, where Docker is
	$(BIN)/pytest tests/docker $(ARGS)

chaos: $(READY)  ## faults on a real Apache Kafka, two hours; writes docs/reliability.md (ARGS="kill soak")
	$(BIN)/python -m tests.chaos --write $(ARGS)

bench: $(READY)  ## what framebus costs on this machine, in short (ARGS="--model coco")
	@for part in engine stream latency rest scale; do $(BIN)/framebus bench $$part --short $(ARGS) || exit 1; done; \
		$(BIN)/framebus bench consumers --short

check: $(READY)  ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)  ## the documentation as a site, build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lock: $(READY)  ## resolve the dependencies anew into requirements/: of development, and of the images
	$(LOCK) --upgrade --extra dev pyproject.toml -o requirements/dev.lock
	$(LOCK) -c requirements/dev.lock --extra tracing pyproject.toml -o requirements/base.lock
	$(LOCK) -c requirements/dev.lock --extra tracing --extra cpu pyproject.toml -o requirements/cpu.lock
	$(LOCK) -c requirements/dev.lock --extra tracing --extra gpu pyproject.toml -o requirements/gpu.lock
	echo hatchling | $(LOCK) -c requirements/dev.lock - -o requirements/build.lock

clean:  ## remove what was built, tested and recorded here; fetched models stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist demo-output

$(READY): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "framebus needs Python 3.11 or later with venv (Debian: apt install python3-venv);" \
		  "name another one with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)
