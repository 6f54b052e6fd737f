"""simulated-motor and simulated-visual, from the download to the table."""

import pytest

from neuralpile import catalog, simulation
from neuralpile.open import open_data_set


@pytest.mark.parametrize("name", ["simulated-motor", "simulated-visual"])
def test_what_is_simulated_is_what_dataset_toml_states(name, script, tmp_path):
    """From the download to the table: what was simulated is what dataset.toml says, so nothing "differs"."""
    assert script(f"data/{name}/download.py", "--data_dir", tmp_path / "raw").returncode == 0
    done = script(f"data/{name}/preprocess.py", "--data_dir", tmp_path / "raw")
    assert done.returncode == 0, done.stderr
    data_set = catalog.load(name)
    table = {line[:16].strip(): line[16:].split() for line in done.stdout.splitlines()}
    assert table["tokens"] == [f"{data_set.tokens:,}"] * 2
    assert table["sessions"] == [str(data_set.sessions)] * 2
    assert "differs" not in done.stdout
    rows = list(open_data_set(str(tmp_path / "build" / name)))
    assert {row.subject_id for row in rows} == set(data_set.subject_ids)
    assert all(not row.counts[simulation.SILENT].any() for row in rows)
