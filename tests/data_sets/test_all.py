"""The whole way for all 25 data sets: miniatures in, a corpus of 25 components out, drawn and counted."""

import numpy as np
import pytest
from helpers.data_files import (
    CELLS,
    envelopes,
    save_73,
    save_mat,
    save_rates,
    simulate,
    write_envelopes,
    write_series,
    write_trials,
)
from helpers.recordings import write_units, write_units_bare

from neuralpile import catalog
from neuralpile.open import open_data_set

rng = np.random.default_rng(0)
TRAINS = [np.sort(rng.uniform(0, 4, 30)) for _ in range(5)]

# Data sets with a units table: subject and file as published.
UNITS = {
    "chen": "sub-Lalo/sub-Lalo_ses-1_behavior+ecephys.nwb",
    "churchland": "sub-Jenkins/sub-Jenkins_ses-20090912_behavior+ecephys.nwb",
    "kim": "sub-Z08115/sub-Z08115_ses-20200101SL.nwb",
    "even-chen": "sub-JenkinsC/sub-JenkinsC_ses-20150101T000000_behavior+ecephys.nwb",
    "perich": "sub-C/sub-C_ses-CO-20160909_behavior+ecephys.nwb",
    "m1-a": "sub-MonkeyL-held-in-calib/sub-MonkeyL-held-in-calib_ses-20120924_behavior+ecephys.nwb",
    "m1-b": "sub-MonkeyX-held-in-calib/sub-MonkeyX-held-in-calib_ses-20120924_behavior+ecephys.nwb",
    "h1": "sub-HumanPitt-held-in-calib/sub-HumanPitt-held-in-calib_ses-19250101T111740.nwb",
    "moore": "sub-MG/sub-MG_ecephys.nwb",
    "dmfc-rsg": "sub-Haydn/sub-Haydn_desc-train_ecephys.nwb",
    "m2": "sub-MonkeyN-held-in-calib/sub-MonkeyN-held-in-calib_ses-2020-10-19-Run1_behavior+ecephys.nwb",
    "area2-bump": "sub-Han/sub-Han_desc-train_behavior+ecephys.nwb",
}


def write_all(raw):
    """A session of each of the 25."""
    for name, file in UNITS.items():
        write_units(raw(name) / file, TRAINS)
    for name in ("neupane-ppc", "neupane-entorhinal"):
        date = {"neupane-ppc": "03122021", "neupane-entorhinal": "04122021"}[name]
        path = raw(name) / "sub-mahler" / f"sub-mahler_ses-{date}_behavior+ecephys.nwb"
        ends = np.cumsum([len(train) for train in TRAINS]).astype("u1")
        write_units_bare(path, np.concatenate(TRAINS), ends, "processing/ecephys/units")
    fine = rng.integers(0, 2, (2000, 5), np.uint8)
    write_series(raw("xiao") / "sub-An" / "sub-An_ses-20220105T173929.nwb", "processing/ecephys/rasters", fine)
    split = "sub-T5-held-in-calib"
    write_series(raw("h2") / split / f"{split}_ses-20220518.nwb", "acquisition/binned_spikes", fine[:100])
    path = raw("temmar") / "sub-Monkey-N" / "sub-Monkey-N_ses-20211015_obj-1bv25yh_ecephys.nwb"
    write_series(path, "analysis/ThresholdCrossings", fine[:100])
    path = raw("athalye") / "sub-monk-j" / "sub-monk-j_ses-session0.nwb"
    write_series(path, "processing/behavior/spike_counts", fine[:400], 200.0)
    tx1 = rng.integers(0, 3, (100, 256), np.uint8)
    save_mat(raw("willett") / "sentences" / "t12.2022.04.28_sentences.mat", {"tx1": tx1})
    save_73(raw("makin") / "indy_20160407_02.mat", CELLS)
    trains = {f"Spk_{i:03d}a_sh": np.array([[0.1, 1.0, 2.0]]) for i in range(128)}
    save_mat(raw("lanzarini") / "Router" / "a.mat", trains)
    for monkey in ("mahler", "perle"):
        rates = {"occ": rng.uniform(0, 0.08, (3, 79, 100))}
        path = raw("rajalingham") / f"{monkey}_hand_dmfc_dataset_50ms.mat"
        save_mat(path, {"neural_responses_reliable": rates})
    write_envelopes(raw("papale") / "monkeyF" / "THINGS_MUA_trials.mat", envelopes())
    save_rates(raw("wojcik") / "m1_ses1" / "Wom20200910_Spikes_preprocessed.npy", rng.gamma(0.5, 8, (6, 4, 200)))
    path = raw("card") / "hdf5_data_final" / "t15.2023.08.11" / "data_train.hdf5"
    write_trials(path, simulate(0.5, n_trials=40, n_channels=256)[1], [1] * 40)


@pytest.mark.slow
def test_all_25_data_sets_are_built_merged_drawn_and_searched_for_motifs(script, tmp_path):
    write_all(lambda name: tmp_path / "raw" / name)
    names = [data_set.name for data_set in catalog.published()]
    for name in names:
        done = script(f"data/{name}/preprocess.py", "--data_dir", tmp_path / "raw" / name)
        assert done.returncode == 0, done.stderr
        rows = list(open_data_set(str(tmp_path / "build" / name)))
        assert {row.subject_id for row in rows} <= set(catalog.load(name).subject_ids), name
        assert all(row.counts.any() for row in rows), name
    done = script("merge_datasets.py")
    assert done.returncode == 0, done.stderr
    assert "not built" not in done.stdout
    merged = open_data_set(str(tmp_path / "build" / catalog.PILE))
    assert {row.source_dataset for row in merged} == set(names)
    done = script("visualize_dataset.py", "--plot_all", "--n_examples", 1, "--out_dir", tmp_path / "rasters")
    assert done.returncode == 0, done.stderr
    assert {path.stem for path in (tmp_path / "rasters").iterdir()} == {*names, catalog.PILE, "overview"}
    done = script("visualize_dataset.py", "--report", "--out_dir", tmp_path / "page")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("25 data sets, 25 built, ")
    done = script("extract_motifs.py", "--p_n", 1, "--p_t", 8, "--out_dir", tmp_path / "motifs")
    assert done.returncode == 0, done.stderr
    assert "primate_(1x8)_motifs.jpeg" in {path.name for path in (tmp_path / "motifs").iterdir()}
    done = script("-m", "neuralpile.build.verify")
    assert done.returncode == 1
    assert "25 data sets built" in done.stdout
