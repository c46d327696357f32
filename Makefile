# Every target does its own set-up from a bare Python 3.11 or later.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

export DO_NOT_TRACK = 1
export PREFECT_SERVER_ANALYTICS_ENABLED = false

.PHONY: setup setup-dev demo test e2e bench lint docs lock clean

setup: $(VENV)/.run-ready
setup-dev: $(VENV)/.dev-ready

$(VENV)/.run-ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Drumroll needs Python 3.11 or later; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --no-deps --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev-ready: $(VENV)/.run-ready requirements-dev.lock
	$(PIP) install --quiet --no-deps --require-hashes -r requirements-dev.lock
	$(PIP) check
	touch $@

demo: setup  ## A whole launch on embedded SQLite through the real flows; the report's path comes last.
	@$(BIN)/drumroll rehearse configs/learning-phone.yaml --seed 1 --out build/demo

test: setup-dev  ## Everything that needs no extra server.
	$(BIN)/python -m pytest -n 2 --dist loadgroup

e2e: setup-dev  ## With real servers and real kills; takes minutes.
	$(BIN)/python -m pytest -m e2e -n 2 --dist loadgroup

bench: setup-dev  ## The figures in the README.
	$(BIN)/python -m benchmarks

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup-dev  ## What is made from the code: the rule book, the launch-file reference, the JSON Schema.
	$(BIN)/drumroll rules --markdown > docs/rules.md
	$(BIN)/drumroll schema --reference > docs/launch-file.md
	$(BIN)/drumroll schema > configs/launch.schema.json

lock:  ## Write both locks anew; needs uv.
	.ci/lock

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
