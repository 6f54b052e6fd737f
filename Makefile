# One .venv for all; PYTHON is the interpreter that makes it (3.11 or newer).
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
PILE := build/simulated-pile

# The data sets' scripts under one name each, for mypy: 27 modules called preprocess would be one to it.
SCRIPTS := .mypy_cache/scripts
# The seed of `make faults`: every mutation, kill and hostile answer is drawn from it.
FAULTS_SEED ?= 0

.DEFAULT_GOAL := help
.PHONY: help demo test nightly faults lint format table verify bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s  %s\n", $$1, $$2}' Makefile

demo: $(VENV)/ready ## simulate recordings, build two data sets, merge them, draw them, count motifs
	python data/simulated-motor/download.py
	python data/simulated-visual/download.py
	python data/simulated-motor/preprocess.py --token_count_limit 50_000
	python data/simulated-visual/preprocess.py --token_count_limit 50_000
	python merge_datasets.py --components simulated-motor simulated-visual --out_dir $(PILE)
	python visualize_dataset.py --repo_name $(PILE)
	python extract_motifs.py --p_n 1 --p_t 8 --repo_name $(PILE)
	@echo
	@echo "corpus   $(PILE)"
	@echo "rasters  rasters/simulated-pile.jpg"
	@echo "         simulated-motor: the last third of the units follows a 2 Hz rhythm (25 bins), unit 3 is silent,"
	@echo "         and nothing was recorded from bin 500 to 599 of a session"
	@echo "         simulated-visual: the second half of the units bursts every 0.5 s (25 bins), unit 3 is silent"
	@echo "motifs   motifs/simulated-pile_(1x8)_motifs.jpeg, all of them in the .parquet beside it"
	@echo "         first the empty patch, then single spikes at each of the 8 places"

test: $(VENV)/ready lint ## lint, then run the tests and doctests that are quick
	pytest -m "not slow and not faults" -n auto

nightly: $(VENV)/ready lint ## lint, then run every test, and report which lines of the library ran
	FAULTS_SEED=$(FAULTS_SEED) pytest -n auto --cov --cov-report=term-missing

faults: $(VENV)/ready ## mutate files, break connections, kill processes; make faults FAULTS_SEED=7 repeats a run
	FAULTS_SEED=$(FAULTS_SEED) pytest -m faults -n auto --hypothesis-seed=$(FAULTS_SEED)

lint: $(VENV)/ready ## check style, formatting, types and spelling
	ruff check .
	ruff format --check .
	mypy
	rm -rf $(SCRIPTS) && mkdir -p $(SCRIPTS)
	for script in data/*/*.py; do ln -s "$(CURDIR)/$$script" $(SCRIPTS)/$$(echo $$script | tr /- __); done
	mypy $(SCRIPTS)/*.py
	codespell

format: $(VENV)/ready ## fix style and formatting
	ruff check --fix . ; ruff format .

table: $(VENV)/ready ## write the tables of the README from data/*/dataset.toml
	python -m neuralpile.readme_tables

verify: $(VENV)/ready ## compare every build with the published numbers
	python -m neuralpile.build.verify

bench: $(VENV)/ready ## run every benchmark
	pip install --quiet --disable-pip-version-check --editable ".[bench]"
	for script in benchmarks/*.py; do python $$script || exit 1; done

# The newest versions that go together, pinned with all that they need.
lock: $(VENV)/ready ## pin the newest versions of all packages in requirements.txt
	pip install --upgrade --upgrade-strategy eager --editable ".[dev]" && pip check
	(echo "# Made by \`make lock\`: the packages that pyproject.toml names, and what they need. neuralpile itself is not here:"; \
	  echo "# pip install -r requirements.txt -e ."; \
	  pip freeze --exclude-editable) > requirements.new && mv requirements.new requirements.txt

$(VENV)/ready: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "neuralpile needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --disable-pip-version-check -r requirements.txt -e .
	touch $@

clean: ## remove .venv, all builds and the simulated recordings
	rm -rf $(VENV) build data/simulated-*/raw
