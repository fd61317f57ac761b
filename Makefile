# Each target only calls what a person could type; VIRTUAL_ENV elsewhere than .venv: make VENV=path ...
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-numeric test-real-data test-slow test-oldest coverage lint docs dist lock clean

demo: $(VENV)/.demo
	$(BIN)/python demo.py

test: $(VENV)/.test
	$(BIN)/python -m pytest $(PARALLEL)

# Once more what rounds: with ONEDNN_MAX_CPU_ISA=AVX2 or TF_ENABLE_ONEDNN_OPTS=0, as other processors do.
test-numeric: $(VENV)/.test
	$(BIN)/python -m pytest $(PARALLEL) -m 'numeric and not slow'

# BERT_TF2_REAL_DATA names the directory of the data.
test-real-data: $(VENV)/.test
	$(BIN)/python -m pytest $(PARALLEL) tests/real_data

test-slow: $(VENV)/.test
	$(BIN)/python -m pytest $(PARALLEL) -m slow

# What depends most on TensorFlow, with the oldest version that pyproject.toml allows, in an environment of its own.
test-oldest:
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check --constraint .ci/oldest.txt \
	  --editable '.[excel,features]' 'hypothesis>=6.100' 'pytest>=8.2' 'pytest-xdist>=3.8'
	$(VENV)-oldest/bin/python -m pytest $(PARALLEL) tests/configs tests/io tests/modeling tests/records \
	  tests/tokenization/test_auto.py tests/tokenization/test_tf_tokenizer.py

# The tests once more, with the lines that they run; fails below the floor in pyproject.toml.
coverage: $(VENV)/.test
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term --cov-report=html

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/mypy

# The site, in site/; broken links, missing pages and docstrings that cannot be read are errors.
docs: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# The sdist and, made from that, the wheel. A release gives REPOSITORY=https://github.com/OWNER/NAME, its address.
dist: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build twine
	$(BIN)/python publishing/distributions.py $(if $(REPOSITORY),--repository=$(REPOSITORY))
	$(BIN)/twine check --strict dist/*

# uv.lock, one version of each package on all platforms of CI: `uv sync --extra test` installs these.
lock: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv lock --upgrade --default-index https://pypi.org/simple

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The stamps are as old as the last installation: a changed pyproject.toml installs again.
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@ $(VENV)/.demo

clean:
	rm -rf demo_output build dist htmlcov site .coverage* *.egg-info
