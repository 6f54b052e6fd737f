"""Subjects and sessions from paths: folders that are no subject never become one, in the layouts that labs use."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import in_process
from helpers.recordings import write_units
from helpers.recordings_of_labs import write_phy

from neuralpile.open import open_data_set
from neuralpile.recordings import names, nwb

TRAINS = [np.sort(np.random.default_rng(unit).uniform(0, 20, 100)) for unit in range(3)]

# Path of the recording below the data set's folder, subject_id in an NWB file, subject and session of the rows.
LAYOUTS = [
    ("sub-01/ses-02/ecephys/file.nwb", None, ("sub-01", "ses-02_file")),
    ("sub-01/ses-02/ecephys/sub-01_ses-02_ecephys.nwb", "01", ("sub-01", "sub-01_ses-02_ecephys")),
    ("derivatives/kilosort4/sub-01_ses-02/file.nwb", None, ("sub-01", "ses-02_file")),
    ("sub-Jenkins_ses-1_ecephys.nwb", None, ("sub-Jenkins", "sub-Jenkins_ses-1_ecephys")),
    ("session1/file.nwb", None, ("lab", "file")),
    ("session1/file.nwb", "Monkey A", ("Monkey A", "file")),
    ("session1/file.nwb", "unknown", ("lab", "file")),
    ("2024-01-01/file.nwb", None, ("lab", "file")),
    ("20240101/nwb/file.nwb", None, ("lab", "file")),
    ("rat1/2024-01-01/file.nwb", None, ("rat1", "file")),
    ("rat1/2024-01-01/file.nwb", "R1", ("R1", "file")),
    ("rat1/processed/file.csv", None, ("rat1", "file")),
    ("rat1/rat1.csv", None, ("rat1", "rat1")),
    ("file.csv", None, ("lab", "file")),
    ("derivatives/file.csv", None, ("lab", "file")),
    ("sub-01/ses-02/file.csv", None, ("sub-01", "ses-02_file")),
    ("rat1/2024-01-01", None, ("rat1", "2024-01-01")),
    ("rat1/implant", None, ("rat1", "implant")),
    ("implant", None, ("lab", "implant")),
    ("2024-01-01_probe0/kilosort4", None, ("lab", "2024-01-01_probe0")),
    ("rat1/2024-01-01/probe0/kilosort2.5/sorter_output", None, ("rat1", "2024-01-01_probe0")),
    ("Subjects/NYU-11/2020-01-21/001/alf/probe00/pykilosort", None, ("NYU-11", "001_alf_probe00")),
    ("sub-01/ses-02/kilosort4", None, ("sub-01", "ses-02")),
    *[(f"rat1/day1/{sorter}", None, ("rat1", "day1")) for sorter in (
        "ks", "ks2.5", "KS25_run2", "kilosort2_5", "kilosort4_try", "phy_export", "spikesorting", "sorter_output",
        "spike_interface_output", "mountainsort5_output", "kilosort4/sorter_output", "final", "sorted_data", "results",
        "kilosort2_5_output/in_container_sorting", "analyzer/phy", "sorting_analyzer", "waveforms/phy",
        "offline_sorting/ks",
    )],
    *[(f"{animal}/{sorter}", None, (animal, animal)) for animal, sorter in (
        ("monkeyB", "ks"), ("monkeyB", "kilosort4/sorter_output"), ("Monkey_N", "phy"), ("rat12", "analyzer/phy"),
    )],
    *[(f"{session}/{sorter}", None, ("lab", session)) for session, sorter in (
        ("monkey_data", "ks"), ("ratings", "ks"), ("rat1_day2", "ks"), ("expt42", "output"), ("M01", "kilosort4"),
    )],
    ("rat1/day1_sorted", None, ("rat1", "day1_sorted")),
    ("rat1/session2_sorted", None, ("rat1", "session2_sorted")),
    ("rat1/day1/kilosort4/0", None, ("rat1", "day1_kilosort4_0")),
    ("rat1/run_g0/run_g0_imec0/imec0_ks25", None, ("rat1", "run_g0_imec0")),
    ("monkeyB.csv", None, ("monkeyB", "monkeyB")),
    ("rat1/monkeyB.csv", None, ("rat1", "monkeyB")),
    ("rat1/day1/ks4_probeA", None, ("rat1", "day1_ks4_probeA")),
    ("phy_2024-01-31", None, ("lab", "phy_2024-01-31")),
    *[(f"{place}.{suffix}", None, expected) for suffix in ("mat", "npz", "nev") for place, expected in (
        ("day1", ("lab", "day1")),
        ("rat1/day1", ("rat1", "day1")),
        ("rat1/2024-01-31/day1", ("rat1", "day1")),
        ("rat1/2024-01-31/matlab/day1", ("rat1", "day1")),
        ("sub-01/ses-02/ecephys/day1", ("sub-01", "ses-02_day1")),
    )],
]  # fmt: skip


def write(path, stated):
    """A recording; and the name of its module's function, and the pattern of session files."""
    if path.suffix == ".nwb":
        write_units(path, TRAINS)
        if stated is not None:
            with h5py.File(path, "a") as file:
                file["general/subject/subject_id"] = stated
        return "nwb.count_units", "*.nwb"
    if path.suffix == ".csv":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("unit,time\n" + "".join(f"{u},{t}\n" for u, train in enumerate(TRAINS) for t in train))
        return "table.count_units()", "*.csv"
    units = np.repeat(np.arange(3), 100)
    write_phy(path, np.rint(np.concatenate(TRAINS) * 30_000), units)
    return "phy.count_units", "spike_clusters.npy"


def data_set(folder, read, pattern, more=""):
    """A data set `lab` whose recordings are beside it."""
    folder.mkdir()
    module = read.partition(".")[0]
    code = f"from neuralpile import build\nfrom neuralpile.recordings import {module}\n\n"
    code += f'if __name__ == "__main__":\n    build.main(__file__, {read})\n'
    (folder / "preprocess.py").write_text(code)
    source = f'[source]\ndata_dir = "../data"\ninclude = ["{pattern}"]\n'
    (folder / "dataset.toml").write_text(f'{source}[recording]\nspecies = ["Mus musculus"]\n{more}')
    return folder / "preprocess.py"


@pytest.mark.parametrize(("place", "stated", "expected"), LAYOUTS)
def test_a_folder_that_is_no_subject_does_not_become_one(place, stated, expected):
    path, is_folder = Path("/home/me/raw") / place, not place.endswith((".nwb", ".csv", ".mat", ".npz", ".nev"))
    session = names.session_of_folder(path) if is_folder else names.session(path)
    below = f"{place}/spike_clusters.npy" if is_folder else place
    stated = None if stated == "unknown" else stated  # as `nwb.subject_of` has it
    subject = names.subject(path) or stated or names.subject_of_folders(below, session) or "lab"
    assert (subject, session) == expected


@pytest.mark.parametrize("number", [0, 4, 5, 6, 10, 12, 17, 19, 22])
def test_rows_have_these_names(tmp_path, number):
    place, stated, expected = LAYOUTS[number]
    script = data_set(tmp_path / "lab", *write(tmp_path / "data" / place, stated))
    done = in_process.run(tmp_path / "build", script)
    assert done.returncode == 0, done.stderr
    (row,) = open_data_set(str(tmp_path / "build" / "lab"))
    assert (row.subject_id, row.session_id) == expected
    assert ("it has the data set's name" in done.stdout) == (expected[0] == "lab")


def test_the_subject_of_dataset_toml_wins_and_a_changed_one_makes_new_rows(tmp_path):
    read = write(tmp_path / "data" / "sub-01" / "file.nwb", "M")
    script = data_set(tmp_path / "lab", *read)
    subjects = []
    for more in ("", 'subject = "Ada"\n', 'subject = "Bob"\n'):
        shutil.rmtree(tmp_path / "lab")
        data_set(tmp_path / "lab", *read, more)
        assert in_process.run(tmp_path / "build", script).returncode == 0
        subjects += [row.subject_id for row in open_data_set(str(tmp_path / "build" / "lab"))]
    assert subjects == ["sub-01", "Ada", "Bob"]


@pytest.mark.parametrize("broken", ["missing", "null", "array", "number", "group"])
def test_a_subject_id_that_is_no_text_does_not_fail_the_session(tmp_path, broken):
    path = write_units(tmp_path / "a.nwb", TRAINS)
    with h5py.File(path, "a") as file:
        subject = file.require_group("general/subject")
        if broken == "null":
            subject["subject_id"] = h5py.Empty("S1")
        elif broken == "array":
            subject["subject_id"] = ["a", "b"]
        elif broken == "number":
            subject["subject_id"] = 7
        elif broken == "group":
            subject.create_group("subject_id")
    assert nwb.subject_of(path) == ("7" if broken == "number" else "")
