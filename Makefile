# The two commands most people need: `make demo` and `make test`.
# Every target sets up .venv on first use and does nothing twice.

PYTHON  ?= python3.11
WORKERS ?= 2
BIN     := .venv/bin
STAMP   := .venv/.ok

# Numerical kernels on one thread: tests run beside each other, and numbers repeat.
test bench bench-surfaces bench-curvature bench-noise bench-monitor bench-matching findings gallery docs: export OMP_NUM_THREADS ?= 1

.PHONY: help setup demo test check lint types imports bench bench-surfaces bench-curvature bench-noise bench-monitor bench-matching findings gallery docs errors clean

help:
	@echo "make demo      train two small networks on shipped data, survey them, print the report's path"
	@echo "make test      the whole test suite"
	@echo "make check     format, lint, types, import contracts, then every test and doctest"
	@echo "make bench     time the measurements against their floors"
	@echo "make bench-surfaces  surfaces against PyPI loss-landscapes, which it installs"
	@echo "make bench-curvature  curvature against PyHessian, curvlinops and hessian-eigenthings"
	@echo "make bench-noise  norms of single gradients against BackPACK"
	@echo "make bench-monitor  what td.Monitor costs, in steps of the training it watches"
	@echo "make bench-matching  matching of units against rebasin, barriers, and what curves cost"
	@echo "make findings  run the published claims and write docs/findings"
	@echo "make gallery   run the gallery scripts and keep their pictures in build/gallery"
	@echo "make docs      build the documentation into docs/_build/html"
	@echo "make errors    write docs/errors.md anew from the sources"
	@echo "make clean     remove caches and builds (not .venv, not runs)"

$(STAMP): pyproject.toml constraints.txt scripts/setup.sh
	@PYTHON="$(PYTHON)" bash scripts/setup.sh

setup: $(STAMP)

demo: $(STAMP)
	@$(BIN)/theodolite demo

test: $(STAMP)
	@bash scripts/chromium.sh
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -p no:cacheprovider -q

check: lint imports types test

lint: $(STAMP)
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/python scripts/list_error_codes.py --check

types: $(STAMP)
	@$(BIN)/mypy

imports: $(STAMP)
	@$(BIN)/lint-imports

bench: $(STAMP)
	@set -e; for file in benchmarks/dense_plane.py benchmarks/hessian_products.py; do \
		$(BIN)/python -m "benchmarks.$$(basename "$$file" .py)"; done

bench-surfaces: $(STAMP)
	@$(BIN)/python -m pip install --quiet --no-input --no-deps -c constraints.txt loss-landscapes==3.0.6
	@$(BIN)/python -m benchmarks.surfaces

bench-curvature: $(STAMP)
	@$(BIN)/python -m pip install --quiet --no-input --no-deps -c constraints.txt \
		pyhessian==0.1 curvlinops-for-pytorch==3.0.1 hessian-eigenthings==1.0.0a5
	@$(BIN)/python -m benchmarks.curvature
	@$(BIN)/python -m benchmarks.curvature_solvers
	@$(BIN)/python -m benchmarks.curvature_density

bench-noise: $(STAMP)
	@$(BIN)/python -m pip install --quiet --no-input --no-deps -c constraints.txt \
		backpack-for-pytorch==1.7.1 einops==0.8.2 unfoldNd==0.2.3
	@$(BIN)/python -m benchmarks.noise

bench-monitor: $(STAMP)
	@$(BIN)/python -m benchmarks.monitor

bench-matching: $(STAMP)
	@$(BIN)/python -m pip install --quiet --no-input --no-deps -c constraints.txt \
		rebasin==0.0.47 torchview==0.2.7 graphviz==0.21 tqdm
	@$(BIN)/python -m benchmarks.matching
	@$(BIN)/python -m benchmarks.sinkhorn
	@$(BIN)/python -m benchmarks.curves

findings: $(STAMP)
	@$(BIN)/python scripts/write_findings.py

gallery: $(STAMP)
	@$(BIN)/python scripts/run_gallery.py build/gallery

docs: $(STAMP)
	@$(BIN)/python -m pip install --quiet --no-input -c constraints.txt -e ".[docs]"
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo docs/_build/html/index.html

errors: $(STAMP)
	@$(BIN)/python scripts/list_error_codes.py

clean:
	rm -rf build dist docs/_build docs/gallery_out docs/sg_execution_times.rst .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache .hypothesis
	find src tests scripts docs benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
