# Everything a reader or a contributor runs; each target first makes the environment in .venv if it is missing or stale.
# Variables: PYTHON (3.11 or 3.12), CORES, STUDY, PROFILE, PORT, TTE_DATA (folder of the real data, optional).

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3,$(shell command -v $(name) 2>/dev/null)))
CORES ?= 2
PORT ?= 8000
PROFILE ?= local
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
WARM := $(BIN)/python workflow/warm.py with
WORKFLOW := $(WARM) $(BIN)/snakemake --profile workflow/profiles/local --cores $(CORES)
TOOLS := .cache/tools/bin
LOWEST_PINNED = $(shell grep -iE '^(hypothesis|matplotlib|opencv-python-headless|pytest|simpleitk|torch)==' constraints.txt)
LOWEST_TESTS := $(addprefix tests/,agreement estimators features perturbation segmentation images rank)
ELSEWHERE := $(BIN)/snakemake --profile $(or $(wildcard workflow/profiles/$(PROFILE)),$(PROFILE))

export OMP_NUM_THREADS ?= 1
ifeq ($(strip $(TTE_DATA)),)
ifneq ($(wildcard ../shared/data),)
export TTE_DATA := $(abspath ../shared/data)
endif
endif

.DEFAULT_GOAL := help
.PHONY: help book rank test test-slow test-slurm test-lowest lint lock study serve golden guarantees clean

help: ## List what can be made.
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

book: $(READY) ## Execute the notebooks that changed and build the book into _build/html.
	@$(WORKFLOW) book
	@echo "The book is at _build/html/index.html; 'make serve' shows it with all its fonts at http://127.0.0.1:$(PORT)."

rank: $(READY) ## Rank the book's nuclei models on a folder of synthetic images, as you would yours on your own.
	@mkdir -p build/rank && printf 'models:\n  - bank: companion/nuclei\n' > build/rank/bank.yml
	@$(BIN)/python -m companion data phantom phantom/nuclei-a --root build/rank --n 8 --seed 11 --shift 1 > /dev/null
	@$(BIN)/tte rank zero-shot --models build/rank/bank.yml --images build/rank/phantom/nuclei-a/images \
	  --out build/rank/out --overwrite
	@echo "The report is at build/rank/out/report.html."

test: lint ## Run lint, unit tests, doctests, the golden notebooks, a warnings-as-errors build and the browser test.
	$(BIN)/python -m slipcover --source tte,companion --skip-covered -m pytest --ignore tests/test_book.py -n $(CORES) --dist loadscope
	$(WARM) $(BIN)/python -S workflow/warm.py -m pytest tests/golden --nbval-lax --nbval-kernel-name python3 \
	  --nbval-sanitize-with tests/golden/sanitize.cfg -n $(CORES) --dist loadscope -o addopts= -o norecursedirs=.git
	@$(MAKE) --no-print-directory book
	$(BIN)/pytest tests/test_book.py -n $(CORES)

test-slow: $(READY) ## Run the full grids of the tests, and the wheel in an empty environment; half an hour or more.
	$(BIN)/pytest -m slow -n $(CORES) --dist loadscope

test-slurm: $(READY) ## Run a study and a ranking on a Slurm of one node, which root can install; skipped elsewhere.
	@command -v slurmctld > /dev/null || { test "$$(id -u)" = 0 && command -v apt-get > /dev/null && apt-get update -qq && \
	  apt-get install -y -qq --no-install-recommends slurm-wlm munge > /dev/null; } || echo "Slurm could not be installed."
	$(BIN)/pytest -m slurm tests/workflow

test-lowest: $(TOOLS)/uv ## Run the tests of the package with the lowest versions that pyproject.toml declares, in .cache/lowest.
	@$(TOOLS)/uv venv --quiet --clear --python $(PYTHON) .cache/lowest
	@UV_FIND_LINKS="$${UV_FIND_LINKS:-$$PIP_FIND_LINKS}" $(TOOLS)/uv pip install --quiet \
	  --python .cache/lowest/bin/python --resolution lowest-direct . $(LOWEST_PINNED)
	.cache/lowest/bin/python -m pytest -o addopts="-ra --import-mode=importlib" -m "not slow and not slurm and not data" $(LOWEST_TESTS)

lock: $(READY) $(TOOLS)/uv ## Rewrite requirements.lock (hashes of all packages) and the table of their licences.
	@$(TOOLS)/uv pip compile --quiet pyproject.toml --all-extras --constraint constraints.txt --generate-hashes \
	  --python-version 3.11.7 --no-header --no-annotate --output-file requirements.lock
	@$(BIN)/python workflow/licences.py

lint: $(READY) ## Check style, the commonest mistakes and NumPy's docstring sections with ruff, types with mypy.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "Not formatted: run '$(BIN)/ruff format .'"; exit 1; }
	@$(BIN)/mypy

study: $(READY) ## Train, infer and score one study: make study STUDY=nuclei, on a cluster with PROFILE=slurm.
	@test -n "$(STUDY)" || { echo "Name a study: make study STUDY=$(basename $(notdir $(firstword $(wildcard config/*.yml))))"; exit 2; }
	@test -f config/$(STUDY).yml || { echo "There is no config/$(STUDY).yml."; exit 2; }
	@$(if $(filter local,$(PROFILE)),$(WORKFLOW),$(ELSEWHERE)) .cache/steps/.$(STUDY).done --forcerun agree

serve: ## Show the built book at http://127.0.0.1:8000 (another port: PORT=...).
	@test -f _build/html/index.html || { echo "There is no book yet: run 'make book' first."; exit 2; }
	@echo "Open http://127.0.0.1:$(PORT) and stop with Ctrl-C."
	@$(PYTHON) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

golden: $(READY) ## Rewrite the notebooks of the regression test; look at the difference before you commit it.
	@$(WORKFLOW) --forceall golden

guarantees: $(READY) ## Try every file made to break the readers again and write results/guarantees.csv, the table of a page.
	@$(BIN)/python -m tests.hostile.record

clean: ## Remove the built book, its executed pages and the synthetic study; keep .venv.
	rm -rf _build book/pages build .snakemake

$(TOOLS)/uv: # of these two files alone, so in no environment of the project
	@$(PYTHON) -m venv .cache/tools && $(TOOLS)/python -m pip install -qq --disable-pip-version-check uv==0.13.9

$(READY): constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python found: install Python 3.11, or name one with PYTHON=..."; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
	  { echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); Python 3.11 or 3.12 is needed: name one with PYTHON=..."; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned packages into $(VENV); this takes a few minutes the first time."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check $(TORCH) -c constraints.txt -e ".[book,notebooks,onnx,slurm,stardist,test,zoo]"
	@$(BIN)/python -c "import pathlib, sysconfig; pathlib.Path(sysconfig.get_path('purelib'), 'companion.pth').write_text('$(CURDIR)\n')"  # companion is in no wheel
	@touch $@
