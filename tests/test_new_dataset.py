"""A data set of one's own recordings: written, built and looked at by one command, for each format."""

import re
import tomllib

import h5py
import numpy as np
import pyarrow as pa
import pytest
import scipy.io
from helpers import ROOT, in_process
from helpers.data_files import save_73
from helpers.recordings import write_units
from helpers.recordings_of_labs import write_nex, write_phy
from pyarrow import parquet

from neuralpile.open import open_data_set
from neuralpile.recordings import detect, phy

RNG = np.random.default_rng(0)
TRAINS = [np.sort(RNG.uniform(0, 30, 200)).round(4) for _ in range(4)]
EDGES = np.arange(0, max(train.max() for train in TRAINS) + 0.02, 0.02)
EXPECTED = np.stack([np.histogram(train, EDGES)[0] for train in TRAINS])


def flat():
    """Each spike's unit and time, in order of time."""
    units, times = np.repeat(np.arange(4), 200), np.concatenate(TRAINS)
    order = np.argsort(times, kind="stable")
    return units[order], times[order]


def write_cells(path):
    cells = np.empty((1, 4), object)
    cells[0] = TRAINS
    path.parent.mkdir(parents=True)
    scipy.io.savemat(path, {"spikes": {"times": cells}})


def write_pynapple(path):
    units, times = flat()
    path.parent.mkdir(parents=True)
    np.savez(path, type=np.array(["TsGroup"]), t=times, index=units, keys=np.arange(4))


def write_table(path):
    units, times = flat()
    path.parent.mkdir(parents=True)
    if path.suffix == ".parquet":
        parquet.write_table(pa.table({"Cluster_ID": units, "t_ms": times * 1000}), path)
    else:
        path.write_text("unit,time\n" + "".join(f"{u},{t}\n" for u, t in zip(units, times, strict=True)))


def write_samples(folder):
    units, times = flat()
    labels = "cluster_id\tgroup\n0\tgood\n1\tgood\n2\tmua\n3\tnoise\n"
    write_phy(folder, np.rint(times * 10_000), units, "10000", cluster_group=labels)


FORMATS = {
    "nwb": (lambda raw: write_units(raw / "rat1" / "day1.nwb", TRAINS, observed=[[0, 30]]), []),
    "phy": (lambda raw: write_samples(raw / "rat1" / "day1"), []),
    "pynapple": (lambda raw: write_pynapple(raw / "rat1" / "day1.npz"), []),
    "table": (lambda raw: write_table(raw / "rat1" / "day1.csv"), []),
    "table parquet": (
        lambda raw: write_table(raw / "rat1" / "day1.parquet"),
        ["--time", "t_ms", "--seconds_per", "ms"],
    ),
    "matlab": (lambda raw: write_cells(raw / "rat1" / "day1.mat"), []),
    "matlab 7.3": (lambda raw: save_73(raw / "rat1" / "day1.mat", [[t] for t in TRAINS]), ["--variable", "spikes"]),
    "neo": (
        lambda raw: write_nex(
            raw / "rat1" / "day1.nex", {str(u): np.rint(t * 10_000).astype(int).tolist() for u, t in enumerate(TRAINS)},
            10_000,
        ),
        [],
    ),
}  # fmt: skip


QUICK = ("nwb", "phy")  # the formats of most laboratories; the others are built by `make nightly`


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in FORMATS])
def test_each_format_becomes_a_data_set_by_one_command(script, tmp_path, name):
    write, options = FORMATS[name]
    raw = tmp_path / "raw"
    write(raw)
    before = sorted((path, path.read_bytes()) for path in raw.rglob("*") if path.is_file())
    kind = name.split()[0]
    arguments = ["my-lab", "--from", kind, "--data_dir", raw, "--data_root", tmp_path / "sets", *options]
    done = script("new_dataset.py", *arguments, "--species", "Mus musculus")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = list(open_data_set(str(tmp_path / "build" / "my-lab")))
    assert [(row.subject_id, row.session_id) for row in rows] == [("rat1", "day1")]
    assert (rows[0].counts == EXPECTED).all()
    assert "published" not in done.stdout
    assert "nothing looks wrong in this session" in done.stdout
    assert f"export NEURALPILE_DATA={tmp_path / 'sets'}" in done.stdout
    assert sorted((path, path.read_bytes()) for path in raw.rglob("*") if path.is_file()) == before
    folder = tmp_path / "sets" / "my-lab"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "dataset.toml", "preprocess.py"]
    assert tomllib.loads((folder / "dataset.toml").read_text())["recording"]["species"] == ["Mus musculus"]
    page = (folder / "README.md").read_text()
    assert str(raw) not in page
    assert max(map(len, page.splitlines())) <= max(100, len(str(folder)) + 40)  # only a command can be longer
    again = script(folder / "preprocess.py")  # the folder says where its recordings are
    assert again.returncode == 0, again.stderr


def test_what_the_files_state_is_in_the_folder(script, tmp_path):
    path = write_units(tmp_path / "raw" / "rat1" / "day1.nwb", TRAINS, observed=[[0, 30]])
    with h5py.File(path, "a") as file:
        file["general/subject/species"] = 'Rattus "norvegicus"'
        file["general/extracellular_ephys/electrodes/location"] = ["CA1", "CA1", "V1", "unknown"]
        file["units/KSLabel"] = ["Good", "mua", "good", "mua"]
    options = ["--from", "nwb", "--data_dir", tmp_path / "raw", "--data_root", tmp_path / "sets"]
    done = script("new_dataset.py", "my-lab", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "sets" / "my-lab" / "dataset.toml").read_text()
    recording = tomllib.loads(text)["recording"]
    assert recording == {"species": ['Rattus "norvegicus"']}  # one file's areas do not stand for all recordings
    filled = tomllib.loads(re.sub(r"^# (area|signal|licence) =", r"\1 =", text, flags=re.M))
    assert set(filled["recording"]) == {"species", "area", "signal"}
    assert filled["licence"] == {"licence": "CC-BY-4.0"}
    shown = script(tmp_path / "sets" / "my-lab" / "preprocess.py", "--help").stdout
    assert "Build the spike counts of my-lab." in " ".join(shown.split())
    assert "--as_published" not in shown
    built = script(tmp_path / "sets" / "my-lab" / "preprocess.py", "--min_quality", "good", "--mask_unobserved")
    assert built.returncode == 0, built.stderr
    assert "2 of 4 units below good left out" in built.stdout


def test_a_folder_that_phy_never_saved_is_read_by_its_templates(script, tmp_path):
    folder = tmp_path / "raw" / "rat1" / "2024-01-01" / "kilosort4"
    write_samples(folder)
    (folder / "spike_clusters.npy").rename(folder / "spike_templates.npy")
    options = ["--from", "phy", "--data_dir", tmp_path / "raw", "--data_root", tmp_path / "sets"]
    done = script("new_dataset.py", "my-lab", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = open_data_set(str(tmp_path / "build" / "my-lab"))
    assert (row.subject_id, row.session_id) == ("rat1", "2024-01-01")
    assert (row.counts == EXPECTED).all()
    assert "units of every label are counted: 2 good, 1 mua, 1 noise; --min_quality chooses" in done.stdout
    assert "--min_quality good" in (tmp_path / "sets" / "my-lab" / "README.md").read_text()


@pytest.mark.slow
def test_where_phy_saved_only_some_folders_the_others_are_read_by_their_templates(script, tmp_path):
    for day in ("day1", "day2"):
        write_samples(tmp_path / "raw" / "rat1" / day)
    unsaved = tmp_path / "raw" / "rat1" / "day2"
    (unsaved / "spike_clusters.npy").rename(unsaved / "spike_templates.npy")
    np.save(unsaved.parent / "day1" / "spike_templates.npy", np.zeros(800, int))  # phy's clusters win
    options = ["--from", "phy", "--data_dir", tmp_path / "raw", "--data_root", tmp_path / "sets"]
    assert script("new_dataset.py", "my-lab", *options).returncode == 0
    assert script(tmp_path / "sets" / "my-lab" / "preprocess.py").returncode == 0
    rows = list(open_data_set(str(tmp_path / "build" / "my-lab")))
    assert [row.session_id for row in rows] == ["day1", "day2"]
    assert all((row.counts == EXPECTED).all() for row in rows)
    assert phy.changing(unsaved / "spike_times.npy") == unsaved / "spike_templates.npy"
    np.save(unsaved / "spike_clusters.npy", np.repeat(1, 800))  # phy saves, and the session is built again
    assert script(tmp_path / "sets" / "my-lab" / "preprocess.py").returncode == 0
    assert [len(row.counts) for row in open_data_set(str(tmp_path / "build" / "my-lab"))] == [4, 1]


def test_flags_of_the_summary_are_printed(script, tmp_path):
    late = [train + 100 for train in TRAINS]
    write_units(tmp_path / "raw" / "rat1" / "day1.nwb", late)
    done = script("new_dataset.py", "a", "--from", "nwb", "--data_dir", tmp_path / "raw", "--data_root", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "looks wrong: 1 of 1 row with more than 10 s before the first spike of a session" in done.stdout
    assert "to fill in: species" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["../x", "--from", "nwb"], "the name: expected letters"),
        (["xiao", "--from", "nwb"], "a data set of this name"),
        (["neural-pile-primate", "--from", "nwb"], "the merged corpus; choose another"),
        (["a", "--from", "nwb"], r"expected files \*\.nwb, found no such file in it, but 1 \*\.csv"),
        (["a", "--from", "table"], r"and a column unit or .* found columns x, y; name it with --unit"),
        (["a", "--from", "matlab"], r"expected files \*\.mat"),
        (["a", "--from", "phy", "--time", "t"], "--time has no meaning with --from phy"),
        (["a", "--from", "table", "--seconds_per", "days"], "--seconds_per: expected a unit of time"),
    ],
)
def test_mistakes_end_in_one_line_and_write_nothing(script, tmp_path, arguments, message):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "x.csv").write_text("x,y\n1,2\n")
    done = script("new_dataset.py", *arguments, "--data_dir", tmp_path / "raw", "--data_root", tmp_path / "sets")
    assert done.returncode == 2
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "sets").exists()


def test_a_session_that_cannot_be_built_leaves_nothing_so_that_the_command_can_be_corrected(script, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    lines = "".join(f"{i % 3},{i * 301}\n" for i in range(500))  # samples, taken for seconds
    (raw / "x.csv").write_text(f"unit,time\n{lines}")
    arguments = ["new_dataset.py", "a", "--from", "table", "--data_dir", raw, "--data_root", tmp_path / "sets"]
    done = script(*arguments)
    assert done.returncode == 2
    assert "only whole numbers" in done.stdout + done.stderr
    assert "--seconds_per ms of new_dataset.py" in done.stdout + done.stderr
    assert "x.csv: expected a session, found one that cannot be built, as the line above says" in done.stderr
    assert not (tmp_path / "sets").exists()
    assert not (tmp_path / "build" / "a").exists()
    assert script(*arguments, "--seconds_per", "ms").returncode == 0


@pytest.mark.parametrize(
    ("taken", "message"),
    [
        ("sets/a/dataset.toml", "a: expected a new name, found a data set of this name"),
        ("sets/a/README.md", "README.md: expected a new name, found a file of another data set"),
        ("build/a/state.json", "build/a: expected a new name, found rows of another data set"),
    ],
)
def test_nothing_that_exists_is_replaced(tmp_path, taken, message):
    (tmp_path / taken).parent.mkdir(parents=True)
    (tmp_path / taken).write_text("mine")
    write_units(tmp_path / "rat1" / "day1.nwb", TRAINS)
    arguments = ["a", "--from", "nwb", "--data_dir", tmp_path, "--data_root", tmp_path / "sets"]
    done = in_process.run(tmp_path / "build", "new_dataset.py", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert (tmp_path / taken).read_text() == "mine"


@pytest.mark.slow
def test_files_that_differ_from_the_first_are_taken_into_account(script, tmp_path):
    raw = tmp_path / "sets" / "a" / "raw"  # recordings may lie where those of other data sets do
    for name, species in (("b", "Mus musculus"), ("c", "Rattus norvegicus"), ("d", "")):
        path = write_units(raw / "rat1" / f"{name}.nwb", TRAINS, observed=[[0, 30]] if name == "c" else None)
        with h5py.File(path, "a") as file:
            file["general/subject/species"] = species
            if name == "c":
                file["units/quality"] = ["good", "mua", "good", "noise"]
    (raw / "rat1" / "a.nwb").write_bytes(b"no HDF5")
    done = script(
        "new_dataset.py", "a", "--from", "nwb", "--data_dir", raw, "--data_root", tmp_path / "sets", "--subject", "r1"
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"note: not taken as an example: .*a\.nwb: expected a whole NWB file", done.stderr)
    toml = tomllib.loads((raw.parent / "dataset.toml").read_text())
    assert toml["recording"] == {"species": ["Mus musculus", "Rattus norvegicus"], "subject": "r1"}
    assert toml["source"]["data_dir"] == "raw"
    built = script(raw.parent / "preprocess.py", "--sessions", "c.nwb", "--min_quality", "good", "--mask_unobserved")
    assert "2 of 4 units below good left out" in built.stdout, built.stderr


def test_the_unit_of_times_is_that_in_the_name_of_the_column(tmp_path):
    path = tmp_path / "day1.csv"
    for name, read in (("Spike Time (ms)", "ms"), ("time_s", "s"), ("t [µs]", "us"), ("timestamps", "s")):
        path.write_text(f"Unit ID,{name}\n1,500.5\n")
        found = detect.find_table(tmp_path, None, None, None)
        assert found.read == f'table.count_units(unit="Unit ID", time="{name}", seconds_per="{read}")'
        assert detect.find_table(tmp_path, None, name, "s").read.endswith('seconds_per="s")')
    path.rename(tmp_path / "day1.CSV")
    found = detect.find_table(tmp_path, None, None, None)
    assert (found.sample.name, found.include, found.notes) == ("day1.CSV", ("*.csv",), ())


def test_the_script_of_the_page_reads_a_format_of_its_own(script, tmp_path):
    """The example of docs/your-own-data.md, run as it stands there."""
    page = (ROOT / "docs" / "your-own-data.md").read_text()
    code, toml = re.search(r"```python\n(.*?)```", page, re.S)[1], re.search(r"```toml\n(.*?)```", page, re.S)[1]
    session = tmp_path / "raw" / "rat1" / "day1"
    session.mkdir(parents=True)
    for unit, train in enumerate(TRAINS):
        np.savetxt(session / f"unit{unit + 1:03d}.txt", train * 1000)
    folder = tmp_path / "sets" / "mine"
    folder.mkdir(parents=True)
    (folder / "preprocess.py").write_text(code)
    (folder / "dataset.toml").write_text(toml.replace("/data/mine", str(tmp_path / "raw")))
    done = script(folder / "preprocess.py")
    assert done.returncode == 0, done.stderr
    (row,) = open_data_set(str(tmp_path / "build" / "mine"))
    assert (row.subject_id, row.session_id) == ("rat1", "day1")
    assert (row.counts == EXPECTED).all()
