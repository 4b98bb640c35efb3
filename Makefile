# `make demo` and `make test` set up what they need in .venv; nothing has to be installed before but Python 3.11+.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo
# What is not written the tests' hundred processes would compile anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test suite lint types docs installs lock audit clean

demo: $(VENV)/train
	$(BIN)/distilhubert-ko demo --out $(OUT)

test: $(VENV)/dev lint
	$(MAKE) --jobs 2 types suite

# Four workers are for two cores: many tests wait.
suite: $(VENV)/dev
	$(BIN)/pytest --numprocesses 4 --dist worksteal

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/dev
	$(BIN)/mypy

docs: $(VENV)/dev
	$(BIN)/python -m docs.generate

# The wheel in clean environments, the base and each extra alone; needs the network.
installs: $(VENV)/dev
	$(BIN)/python -m checks.installs

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Every file that is installed has a hash in locks/. First the pip that reads the others in half the time, then torch's
# CPU build, which is on no common index, where PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL leads to it. Of torch with CUDA
# the lock names no libraries: the last step adds them. Modules are compiled when they are first imported.
PIP := $(BIN)/python -m pip install --quiet --no-compile
LOCKED := $(PIP) --require-hashes --no-deps --requirement
define install
$(LOCKED) locks/pip.txt
$(LOCKED) locks/torch-cpu.txt 2>/dev/null || true
$(LOCKED) locks/$(1).txt
$(PIP) --constraint constraints.txt --no-build-isolation --editable '.[train]'
endef

$(VENV)/train: pyproject.toml locks/train.txt | $(BIN)/python
	$(call install,train)
	touch $@

$(VENV)/dev: pyproject.toml locks/dev.txt | $(BIN)/python
	$(call install,dev)
	touch $@ $(VENV)/train

# After a change to constraints.txt or to the dependencies; needs uv. The hash in locks/torch-cpu.txt is kept by hand.
COMPILE := uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --constraint constraints.txt
lock:
	echo pip | $(COMPILE) - --output-file locks/pip.txt
	$(COMPILE) --group build --extra train pyproject.toml --output-file locks/train.txt
	$(COMPILE) --group build --extra train --extra dev pyproject.toml --output-file locks/dev.txt

# Known vulnerabilities of what is locked; needs pip-audit and the network.
audit:
	pip-audit --require-hashes --disable-pip --requirement locks/dev.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
