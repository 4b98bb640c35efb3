# `make demo` and `make test` set up what they need in .venv; nothing has to be installed before but Python 3.11+.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo

.PHONY: demo test lint types docs installs lock audit clean

demo: $(VENV)/train
	$(BIN)/distilhubert-ko demo --out $(OUT)

test: $(VENV)/dev lint types
	$(BIN)/pytest --numprocesses 2 --dist worksteal

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

# Every file that is installed has a hash in locks/. What else is needed, such as the libraries of a torch with CUDA,
# which the lock does not name, the second step adds.
define install
$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement locks/$(1).txt
$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[train]'
endef

$(VENV)/train: pyproject.toml locks/train.txt | $(BIN)/python
	$(call install,train)
	touch $@

$(VENV)/dev: pyproject.toml locks/dev.txt | $(BIN)/python
	$(call install,dev)
	touch $@ $(VENV)/train

# After a change to constraints.txt or to the dependencies; needs uv. torch's CPU build is on no common index.
CPU_TORCH := sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
COMPILE := uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --group build \
	--constraint constraints.txt pyproject.toml
lock:
	$(COMPILE) --extra train --output-file locks/train.txt
	$(COMPILE) --extra train --extra dev --output-file locks/dev.txt
	sed -i.bak -e '/$(CPU_TORCH)/d' -e 's/^torch==.*/&\n    --hash=$(CPU_TORCH) \\/' locks/*.txt && rm locks/*.bak

# Known vulnerabilities of what is locked; needs pip-audit and the network.
audit:
	pip-audit --require-hashes --disable-pip --requirement locks/dev.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
