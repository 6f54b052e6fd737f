"""rajalingham: averages over trials, rounded to counts."""

import numpy as np
import pytest
from helpers.data_files import MATLAB_FILES, save_mat, write_rajalingham
from helpers.data_sets import build, one_line, read

from neuralpile.errors import BadInput
from neuralpile.spikes.session import Options


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_counts_are_averages_rounded_half_to_even(tmp_path, rates, dtype):
    rates = rates.astype(dtype)
    path = write_rajalingham(tmp_path / "perle_hand_dmfc_dataset_50ms.mat", rates)
    for options in (Options(0.05), Options(0.05, as_published=True)):
        session = read("rajalingham", path, options)
        for neuron in range(5):
            flat = [0 if np.isnan(rate) else rate * 50 for condition in rates[neuron] for rate in condition]
            assert session.counts[neuron].tolist() == [round(float(value)) for value in flat]
        assert (session.subject_id, session.session_id) == ("Perle", "P_0")
        assert session.whole == options.as_published
        assert "395 bins without a value counted as 0" in session.notes


def test_longer_bins_are_added_up_before_rounding(tmp_path, rates):
    path = write_rajalingham(tmp_path / MATLAB_FILES["rajalingham"], rates)
    counts = read("rajalingham", path, Options(0.1)).counts
    assert counts.shape == (5, 79 * 50)
    assert counts[2, 50] == round((rates[2, 1, 0] + rates[2, 1, 1]) * 50)
    with pytest.raises(BadInput) as error:
        read("rajalingham", path, Options(0.15))  # would mix conditions
    one_line(error)


def test_counts_above_255_stay_at_255_and_wrap_only_as_published(tmp_path, rates):
    rates[1, 2, 3] = 6.0  # 300 spikes in a bin
    path = write_rajalingham(tmp_path / MATLAB_FILES["rajalingham"], rates)
    session = read("rajalingham", path, Options(0.05))
    assert session.counts[1, 203] == 255
    assert any("above 255" in note for note in session.notes)
    assert read("rajalingham", path, Options(0.05, as_published=True)).counts[1, 203] == 300 - 256


@pytest.mark.parametrize("kind", ["other variable", "no struct", "orientation", "negative"])
def test_a_file_of_another_layout_is_refused(tmp_path, rates, kind):
    path = tmp_path / MATLAB_FILES["rajalingham"]
    if kind == "other variable":
        write_rajalingham(path, rates, "neural_responses")
    elif kind == "no struct":
        save_mat(path, {"neural_responses_reliable": rates})
    else:
        write_rajalingham(path, -rates if kind == "negative" else rates.transpose(2, 1, 0))
    with pytest.raises(BadInput) as error:
        read("rajalingham", path, Options(0.05))
    one_line(error)


def test_rajalingham_rates_become_counts_and_only_ours_are_cut_at_the_limit(script, tmp_path):
    """Rates in spikes per ms, times 50 ms; conditions one after the other; ours are cut at the limit, published not."""
    rng = np.random.default_rng(0)
    rates = rng.uniform(0, 0.08, (6, 79, 100))
    rates[0, 0, :4] = [0.01, 0.03, 0.05, 0.05001]  # 0.5, 1.5, 2.5: half to even
    rates[:, :, -1] = np.nan
    for monkey in ("mahler", "perle"):
        path = tmp_path / "raw" / f"{monkey}_hand_dmfc_dataset_50ms.mat"
        write_rajalingham(path, rates)
    rows, _ = build(script, tmp_path, "rajalingham", "--token_count_limit", "30_000")
    assert [(row.subject_id, row.session_id, row.segment_id) for row in rows] == [
        (subject, f"{subject[0]}_0", f"segment_{i}") for subject in ("Mahler", "Perle") for i in range(2)
    ]
    whole = np.concatenate([row.counts for row in rows[:2]], axis=1)
    expected = np.zeros((6, 7900), int)
    for neuron in range(6):
        for condition in range(79):
            for b in range(99):
                expected[neuron, condition * 100 + b] = round(rates[neuron, condition, b] * 50)
    assert (whole == expected).all()
    assert whole[0, :4].tolist() == [0, 2, 2, 3]
    rows, _ = build(script, tmp_path, "rajalingham", "--token_count_limit", "30_000", "--as_published")
    assert [row.counts.shape for row in rows] == [(6, 7900)] * 2
    assert (rows[0].counts == expected).all()
