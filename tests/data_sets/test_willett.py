"""willett: threshold crossings that come binned, in any number type."""

import numpy as np
import pytest
from helpers.data_files import MATLAB_FILES, save_mat
from helpers.data_sets import build, one_line, read

from neuralpile.errors import BadInput
from neuralpile.spikes.session import Options

PUBLISHED = Options(as_published=True)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "u8", "f4", "f8"])
@pytest.mark.parametrize("options", [Options(), PUBLISHED])
def test_counts_of_any_number_type_are_read_and_stay_at_255(tmp_path, dtype, options):
    """tx1, not the stricter thresholds; above 255 nothing wraps, published or not, because the published column is
    uint8 without a cast."""
    tx1 = np.random.default_rng(0).integers(0, 9, (40, 256))
    tx1[7, 255] = 255 if dtype == "u1" else 700
    variables = {"tx2": tx1 * 0, "tx1": tx1.astype(dtype), "tx3": tx1 * 0, "blockNum": np.ones((40, 1))}
    session = read("willett", save_mat(tmp_path / MATLAB_FILES["willett"], variables, compressed=True), options)
    for channel, bin_ in [(0, 0), (17, 39), (255, 7), (128, 20)]:
        assert session.counts[channel, bin_] == min(255, tx1[bin_, channel])
    assert session.counts.shape == (256, 40)
    assert session.counts.sum(dtype=int) == np.minimum(tx1, 255).sum()
    assert any("445 spikes above 255" in note for note in session.notes) == (dtype != "u1")
    assert session.subject_id == ("sentences" if options.as_published else "T12")
    assert session.session_id == "t12.2022.04.28_sentences"


def test_counts_are_added_up_in_longer_bins(tmp_path):
    tx1 = np.random.default_rng(0).integers(0, 9, (41, 256)).astype("u1")
    session = read("willett", save_mat(tmp_path / MATLAB_FILES["willett"], {"tx1": tx1}), Options(bin_size=0.1))
    assert session.counts[3].tolist() == [sum(tx1[start : start + 5, 3]) for start in range(0, 40, 5)]
    assert any("in fine bins at the end" in note for note in session.notes)


@pytest.mark.parametrize(
    ("tx1", "said"),
    [
        (np.full((9, 256), 0.5), "whole numbers"),
        (np.full((9, 256), np.nan), "whole numbers"),
        (np.full((9, 256), -1, "i2"), "none negative"),
        (np.ones((256, 9), "u1"), "bins × 256 channels"),
        (np.array([[np.ones((9, 256))]], object), "expected"),  # a cell, as in competitionData.tar.gz
    ],
)
def test_values_that_are_no_counts_are_refused(tmp_path, tx1, said):
    with pytest.raises(BadInput) as error:
        read("willett", save_mat(tmp_path / MATLAB_FILES["willett"], {"tx1": tx1}))
    assert said in one_line(error)


@pytest.mark.parametrize("dtype", ["u1", "i2", "f8"])
def test_threshold_crossings_of_willett_are_read_in_any_number_type(script, tmp_path, dtype):
    tx1 = np.random.default_rng(0).integers(0, 9, (30, 256)).astype(dtype)
    if dtype != "u1":
        tx1[3, 4] = 300
    variables = {"tx1": tx1, "tx2": tx1 + 1, "blockNum": np.ones((30, 1))}
    save_mat(tmp_path / "raw" / "sentences" / "t12.2022.04.28_sentences.mat", variables)
    rows, said = build(script, tmp_path, "willett")
    assert (rows[0].subject_id, rows[0].session_id) == ("T12", "t12.2022.04.28_sentences")
    assert (rows[0].counts == tx1.T.astype(int).clip(max=255)).all()
    assert ("45 spikes above 255" in said) == (dtype != "u1")
    rows, _ = build(script, tmp_path, "willett", "--as_published")
    assert rows[0].subject_id == "sentences"


def test_a_willett_file_without_its_variable_is_refused(script, tmp_path):
    save_mat(tmp_path / "raw" / "sentences" / "t12.2022.04.28_sentences.mat", {"tx2": np.ones((3, 256))})
    done = script("data/willett/preprocess.py", "--data_dir", tmp_path / "raw")
    assert "expected a variable tx1, found none" in done.stderr
