VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: setup test lint golden bench clean

setup:  ## a virtual environment with everything the tests need
	python3 -m venv $(VENV)
	$(BIN)/pip install -q -e '.[bench,test]' -c constraints.txt

lint:  ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test:  ## every test
	$(BIN)/pytest -q -n 2

golden:  ## rewrite the golden outputs; read the diff before you commit it
	$(BIN)/pytest -q tests/golden tests/unit/test_readme.py --update

bench:  ## start-up, plan and draws beside a bare numpy import
	$(BIN)/python benchmarks/bench_startup.py
	$(BIN)/python benchmarks/bench_plan.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
