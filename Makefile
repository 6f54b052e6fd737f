# One .venv for all; PYTHON is the interpreter that makes it (3.11 or newer).
PYTHON ?= python3
VENV := .venv
RUN := . $(VENV)/bin/activate &&
PILE := build/simulated-pile

.PHONY: demo test nightly lint format table bench lock clean

demo: $(VENV)/ready
	$(RUN) python data/simulated-motor/download.py
	$(RUN) python data/simulated-visual/download.py
	$(RUN) python data/simulated-motor/preprocess.py --token_count_limit 200_000
	$(RUN) python data/simulated-visual/preprocess.py --token_count_limit 200_000
	$(RUN) python merge_datasets.py --components simulated-motor simulated-visual --out_dir $(PILE)
	$(RUN) python visualize_dataset.py --repo_name $(PILE)
	$(RUN) python extract_motifs.py --p_n 1 --p_t 8 --repo_name $(PILE)
	@echo
	@echo "corpus   $(PILE)"
	@echo "rasters  rasters/simulated-pile.jpg"
	@echo "         simulated-motor: the lowest third of the units pulses twice a second, unit 3 is silent"
	@echo "         simulated-visual: half of the units bursts every 25 bins (0.5 s)"
	@echo "motifs   motifs/simulated-pile_(1x8)_motifs.jpeg, all of them in the .parquet beside it"
	@echo "         first the empty patch, then single spikes at each of the 8 places"

test: $(VENV)/ready lint
	$(RUN) pytest -m "not slow"

nightly: $(VENV)/ready lint
	$(RUN) pytest

lint: $(VENV)/ready
	$(RUN) ruff check . && ruff format --check .

format: $(VENV)/ready
	$(RUN) ruff check --fix . ; ruff format .

table: $(VENV)/ready
	$(RUN) python -m neuralpile.catalog

bench: $(VENV)/ready
	$(RUN) for script in benchmarks/*.py; do python $$script || exit 1; done

# The newest versions that go together, pinned with all that they need.
lock: $(VENV)/ready
	$(RUN) pip install --upgrade --upgrade-strategy eager ".[dev]" && pip check
	$(RUN) (echo "# Made by \`make lock\`: pyproject.toml's packages and all that they need."; \
	  pip freeze --exclude-editable | grep -v '^neuralpile'; echo "-e .") > requirements.new && mv requirements.new requirements.txt

$(VENV)/ready: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "neuralpile needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

clean:
	rm -rf $(VENV) build data/simulated-*/raw
