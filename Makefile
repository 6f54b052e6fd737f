# One .venv for all; PYTHON is the interpreter that makes it (3.11 or newer).
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
PILE := build/simulated-pile

.PHONY: demo test nightly lint format table verify bench lock clean

demo: $(VENV)/ready
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

test: $(VENV)/ready lint
	pytest -m "not slow" -n auto

nightly: $(VENV)/ready lint
	pytest

lint: $(VENV)/ready
	ruff check . && ruff format --check .

format: $(VENV)/ready
	ruff check --fix . ; ruff format .

table: $(VENV)/ready
	python -m neuralpile.readme_tables

verify: $(VENV)/ready
	python -m neuralpile.build.verify

bench: $(VENV)/ready
	pip install --quiet --disable-pip-version-check --editable ".[bench]"
	for script in benchmarks/*.py; do python $$script || exit 1; done

# The newest versions that go together, pinned with all that they need.
lock: $(VENV)/ready
	pip install --upgrade --upgrade-strategy eager ".[dev]" && pip check
	(echo "# Made by \`make lock\`: pyproject.toml's packages and all that they need."; \
	  pip freeze --exclude-editable | grep -v '^neuralpile'; echo "-e .") > requirements.new && mv requirements.new requirements.txt

$(VENV)/ready: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "neuralpile needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

clean:
	rm -rf $(VENV) build data/simulated-*/raw
