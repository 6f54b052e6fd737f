"""`--stream`: NWB files read in place on a stand-in for DANDI; the same rows as of downloaded files, of few bytes."""

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import numpy as np
import pytest
from helpers import ROOT
from helpers.large_nwb import raster, spike_times, write_large
from helpers.loopback_archives import SIGNATURE, TOKEN, LoopbackArchives
from helpers.nwb_miniatures import WRITERS
from helpers.recordings import write_units
from pynwb import NWBHDF5IO, NWBFile, TimeSeries

from neuralpile import build, catalog, http_client
from neuralpile.acquire import range_file
from neuralpile.acquire.archives import RemoteFile
from neuralpile.acquire.range_file import RemoteRecording
from neuralpile.errors import BadInput
from neuralpile.recordings import hdf5, nwb, unit_table
from neuralpile.spikes.session import Options

NAME = "sub-A/sub-A_ses-1.nwb"
BLOBS = "GET /blobs/"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Brief waits between tries, and nothing kept from the test before."""
    monkeypatch.setattr(http_client, "RETRY_SECONDS", 0.001)
    range_file._open.cache_clear()


def recordings(archives):
    """The files of a stand-in as recordings, in the order of their paths."""
    files = []
    for i, (path, body) in enumerate(sorted(archives.files.items())):
        digest = archives.digests_dandi(body)["dandi:sha2-256"]
        files.append(RemoteFile(path, len(body), f"sha256:{digest}", f"{archives.url}/api/assets/asset-{i}/download/"))
    return [RemoteRecording(file) for file in files]


def stream(name, archives, out_dir, *arguments):
    """Run a data set's preprocess.py --stream against a stand-in."""
    command = [sys.executable, f"data/{name}/preprocess.py", "--stream", "--out_dir", str(out_dir), *arguments]
    env = os.environ | archives.environment()
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    for secret in (TOKEN, SIGNATURE, "Traceback"):
        assert secret not in done.stdout + done.stderr
    return done


def sessions(out_dir):
    """What report.json says of the sessions, but for what streaming cost."""
    said = json.loads((out_dir / "report.json").read_text())["sessions"]
    return [{key: value for key, value in facts.items() if key != "streamed"} for facts in said]


@pytest.mark.parametrize("name", WRITERS)
def test_sessions_are_those_of_the_files(name, tmp_path, monkeypatch):
    """Each data set's own script reads the same from either."""
    written = WRITERS[name](tmp_path)
    given = []
    monkeypatch.setattr(build, "main", lambda script, read, **_: given.append(read))
    runpy.run_path(str(ROOT / "data" / name / "preprocess.py"), run_name="__main__")
    (read,) = given
    options = Options(own_bin=catalog.load(name).own_bin)
    files = {f"{path.parent.name}/{path.name}": path for path in written}
    with LoopbackArchives({place: path.read_bytes() for place, path in files.items()}) as archives:
        for recording in recordings(archives):
            local, streamed = read(files[str(recording)], options), read(recording, options)
            assert local.counts.any()
            np.testing.assert_array_equal(streamed.counts, local.counts)
            assert (streamed.subject_id, streamed.session_id) == (local.subject_id, local.session_id)
            assert streamed.notes == local.notes


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("xiao", []),
        *(pytest.param(*p, marks=pytest.mark.slow) for p in (("m1-a", ["--drop_duplicates"]), ("chen", []))),
    ],
)
def test_a_streamed_build_has_the_rows_of_downloaded_files(name, option, script, tmp_path):
    """Rows and report as of downloaded files, and again nothing but the listing is asked for."""
    written = WRITERS[name](tmp_path / "raw")
    base = next(iter(written)).parent.parent
    local = script(f"data/{name}/preprocess.py", "--data_dir", base, "--out_dir", tmp_path / "local", *option)
    assert local.returncode == 0, local.stderr
    files = {f"{p.parent.name}/{p.name}": p.read_bytes() for p in base.rglob("*.nwb")}
    with_units = {f"{path.parent.name}/{path.name}" for path in written}
    measured = {place: ["Units"] if place in with_units else ["ElectricalSeries"] for place in files}
    with LoopbackArchives(files, measured=measured) as archives:
        done = stream(name, archives, tmp_path / "streamed", "--jobs", "2", *option)
        assert done.returncode == 0, done.stderr
        assert sessions(tmp_path / "streamed") == sessions(tmp_path / "local")
        sent = archives.sent(BLOBS)
        n_bytes, of = (
            int(n.replace(",", "")) for n in re.search(r"streamed ([\d,]+) of ([\d,]+)", done.stdout).groups()
        )
        assert n_bytes == sent <= of
        made = json.loads((tmp_path / "streamed" / "manifest.json").read_text())["sessions"]
        assert all(entry["digest"].startswith("sha256:") for entry in made)
        assert all(entry["digest_of"].endswith("read in place, so not verified") for entry in made)
        assert stream(name, archives, tmp_path / "streamed", *option).returncode == 0
        assert archives.sent(BLOBS) == sent


@pytest.mark.slow
def test_sessions_already_built_stay_when_more_are_wanted(tmp_path):
    """--max_files and --sessions: what was built before stays when more, or others, are wanted."""
    for subject in "AB":
        for day in (1, 2):
            write_units(tmp_path / f"sub-{subject}" / f"sub-{subject}_ses-{day}.nwb", [[0.1, 0.5], [0.3]])
    files = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in tmp_path.rglob("*.nwb")}
    out = tmp_path / "out"

    def built():
        return [facts["session_id"] for facts in sessions(out)]

    with LoopbackArchives(files) as archives:
        assert stream("perich", archives, out, "--max_files", "1").returncode == 0
        assert built() == ["sub-A_ses-1"]
        assert stream("perich", archives, out, "--sessions", "*_ses-2.nwb").returncode == 0
        assert built() == ["sub-A_ses-2", "sub-B_ses-2"]
        sent = archives.sent(BLOBS)
        done = stream("perich", archives, out)
        assert built() == ["sub-A_ses-1", "sub-A_ses-2", "sub-B_ses-1", "sub-B_ses-2"]
        assert archives.sent(BLOBS) - sent == len(files["sub-B/sub-B_ses-1.nwb"])
        assert "4 of 111 published sessions built" in done.stdout
        refused = stream("perich", archives, out, "--sessions", "nothing")
        assert refused.returncode == 2
        assert "--sessions: expected a pattern like sub-A/sub-A_ses-1.nwb" in refused.stderr
        assert stream("perich", archives, out, "--data_dir", "raw").returncode == 2


VOLTAGE = 300_000_000  # bytes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_spikes", "storage"),
    [
        (9_900_000, {}),
        (9_900_000, {"compression": "gzip", "compression_opts": 1, "shuffle": True}),
        (99_000, {"chunks": (256,)}),
        (300_000, {"chunks": (4096,), "compression": "gzip"}),
    ],
)
def test_bytes_and_requests_for_spike_times(n_spikes, storage, tmp_path):
    """Of a file with voltage around its spikes: 1.1 times the stored spikes and 4 MB, in at most 25 requests."""
    times, ends = spike_times(n_spikes)
    stored = write_large(tmp_path / "a.nwb", "units/spike_times", times, VOLTAGE, ends, **storage)
    with LoopbackArchives({NAME: (tmp_path / "a.nwb").read_bytes()}) as archives:
        (recording,) = recordings(archives)
        trains = nwb.read_spike_trains(recording)
        nwb.read_column(recording, "quality")
        assert archives.sent(BLOBS) <= 1.1 * stored + 4e6
        assert archives.asked() <= 25
    np.testing.assert_array_equal(trains.times, times)
    np.testing.assert_array_equal(trains.ends, ends)


def cost(content, read):
    """Requests and bytes that it takes to read a file with this content."""
    range_file._open.cache_clear()
    with LoopbackArchives({NAME: content}) as archives:
        (recording,) = recordings(archives)
        read(recording)
        return archives.asked(BLOBS), archives.sent(BLOBS)


def write_with_arrays(path):
    """Units on the electrodes of two arrays, observed in two intervals, behind 8 MB of voltage."""
    nwb_file = NWBFile("d", "i", datetime(2020, 1, 1, tzinfo=UTC))
    device = nwb_file.create_device("recorder")
    for area in ("M1", "PMd"):
        group = nwb_file.create_electrode_group(area, "array", area, device)
        for i in range(20):
            nwb_file.add_electrode(group=group, location=area, x=float(i), y=0.0, z=0.0)
    nwb_file.add_acquisition(TimeSeries(name="raw", data=np.zeros((100_000, 40), np.int16), unit="V", rate=30_000.0))
    nwb_file.add_unit_column("quality", "labels")
    for unit in range(40):
        times = np.linspace(unit / 100, 600, 2000)
        nwb_file.add_unit(
            spike_times=times, electrodes=[unit], quality="good", obs_intervals=[[0.0, 300.0], [310.0, 600.0]]
        )
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb_file)
    return path


@pytest.mark.parametrize("file", ["made here", "nwb/sub-Jenkins_ses-small_desc-test_ecephys.nwb"])
def test_what_a_file_says_of_its_units_costs_two_requests_at_most(file, tmp_path, real, monkeypatch):
    """More than the spike trains alone: 128 kB, where all of it is in other places than they are."""
    content = (write_with_arrays(tmp_path / "a.nwb") if file == "made here" else real(file)).read_bytes()
    monkeypatch.setattr(range_file, "WHOLE", 0)  # the real one is so small that it would be fetched whole
    both = cost(content, lambda recording: nwb.count_units(recording, Options()))
    with monkeypatch.context() as patched:
        patched.setattr(unit_table, "about", lambda *_: unit_table.About({}, None, []))
        trains = cost(content, nwb.read_spike_trains)
    assert trains[0] <= both[0] <= trains[0] + 2
    assert both[1] <= trains[1] + 2 * range_file.PAGE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_bins", "dtype", "storage"),
    [(600_000, np.uint8, {"compression": "gzip"}), (33_000, np.float64, {}), (60_000, np.uint8, {"chunks": (500, 10)})],
)
def test_bytes_and_requests_for_rasters(n_bins, dtype, storage, tmp_path):
    fine = raster(n_bins, 100, dtype)
    stored = write_large(tmp_path / "a.nwb", "processing/rasters/data", fine, VOLTAGE, **storage)
    with LoopbackArchives({NAME: (tmp_path / "a.nwb").read_bytes()}) as archives:
        (recording,) = recordings(archives)
        session = nwb.count_raster(recording, Options(), ["processing/rasters/data"], 0.001)
        assert archives.sent(BLOBS) <= 1.1 * stored + 4e6
        assert archives.asked() <= 25
    np.testing.assert_array_equal(session.counts, fine.reshape(-1, 20, 100).sum(axis=1).T)


def test_no_more_than_the_chunks_that_lie_apart_is_fetched(tmp_path):
    """Chunks with others between: listed, and no more than they are fetched."""
    import h5py

    chunk = np.arange(4096.0)
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        times = file.create_dataset("units/spike_times", (0,), "f8", chunks=(4096,), maxshape=(None,))
        voltage = file.create_dataset("acquisition/data", (0,), "f8", chunks=(100_000,), maxshape=(None,))
        for i in range(100):
            times.resize((4096 * (i + 1),))
            times[4096 * i :] = chunk + 4096 * i
            voltage.resize((100_000 * (i + 1),))
            voltage[100_000 * i :] = 1
            file.flush()
        file["units/spike_times_index"] = [4096 * 100]
        file["units/id"] = [0]
    with LoopbackArchives({NAME: (tmp_path / "a.nwb").read_bytes()}) as archives:
        trains = nwb.read_spike_trains(recordings(archives)[0])
        assert archives.sent(BLOBS) < 0.5 * (tmp_path / "a.nwb").stat().st_size
    np.testing.assert_array_equal(trains.times, np.arange(409_600.0))


def test_a_kept_file_is_read_once(tmp_path):
    """A script opens its recording several times: for spike times, for a column, for the description."""
    path = write_units(tmp_path / "a.nwb", [[0.1, 0.2]])
    with LoopbackArchives({NAME: path.read_bytes()}) as archives:
        (recording,) = recordings(archives)
        nwb.count_units(recording, Options())
        nwb.read_column(recording, "id")
        assert archives.asked(BLOBS) == 1


# Faults that pass: the recording is read as if nothing had been.
PASSING = {
    "reset before the answer": ("reset", 3),
    "reset within the headers": ("reset headers", 3),
    "reset within the body": ("reset body", 3),
    "a body cut short": ("cut", 3),
    "a body too long": ("long", 3),
    "429": (429, 3),
    "429 with a wait": ((429, {"Retry_After": "0.1"}), 1),
    "500": (500, 3),
    "502": (502, 1),
    "503": (503, 3),
    "an expired address": (403, 1),
    "an address that is gone": (404, 1),
    "another range than asked for": ("shifted", 2),
    "silence": ("stall", 1),
}


# A file whose first address leads nowhere is not there at all.
WHEN = [(fault, skip) for fault in PASSING for skip in (0, 2, 5) if (fault, skip) != ("an address that is gone", 0)]


@pytest.mark.parametrize(("fault", "skip"), WHEN)
def test_temporary_failures_are_retried(fault, skip, tmp_path, monkeypatch):
    """At the first request, within the structure, and while eight ranges come at a time."""
    monkeypatch.setattr(range_file, "LEAST", 1 << 17)
    times, ends = spike_times(300_000)
    write_large(tmp_path / "a.nwb", "units/spike_times", times, 2_000_000, ends)
    failure, n = PASSING[fault]
    if failure == "stall":
        monkeypatch.setattr(http_client, "SILENT_SECONDS", 0.5)
    with LoopbackArchives({NAME: (tmp_path / "a.nwb").read_bytes()}) as archives:
        archives.fail(BLOBS, failure, n, skip)
        trains = nwb.read_spike_trains(recordings(archives)[0])
        assert archives.faults[0].left == 0
    np.testing.assert_array_equal(trains.times, times)


# Faults that stay: a line that says what is wrong and what to do, and no rows.
STAYING = {
    "500 for ever": (500, "500"),
    "429 for ever": (429, "429"),
    "reset for ever": ("reset", "connection"),
    "403 for ever": (403, "403"),
    "404 for ever": (404, "404"),
    "ranges ignored": ("whole", "fetch it with download.py"),
    "a login page": ("html", "login"),
    "a body too short for ever": ("cut", "broke off"),
    "another range for ever": ("shifted", "another part"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", STAYING)
def test_permanent_failures_are_reported(fault, tmp_path):
    times, ends = spike_times(300)
    write_large(tmp_path / "a.nwb", "units/spike_times", times, 3_200_000, ends)
    good = write_units(tmp_path / "b.nwb", [[0.1], [0.7]])
    failure, said = STAYING[fault]
    bodies = {NAME: (tmp_path / "a.nwb").read_bytes(), "sub-B/sub-B_ses-1.nwb": good.read_bytes()}
    with LoopbackArchives(bodies) as archives:
        archives.fail(f"{BLOBS}sub-A", failure, float("inf"))
        done = stream("perich", archives, tmp_path / "out")
    assert done.returncode == 1
    assert re.search(rf"error: {NAME}: expected .*{said}", done.stderr)
    assert [facts["session_id"] for facts in sessions(tmp_path / "out")] == ["sub-B_ses-1"]
    assert [path.name for path in (tmp_path / "out" / "rows").rglob("*.arrow")] == ["sub-B_ses-1.nwb.arrow"]


@pytest.mark.parametrize("same_size", [True, False])
def test_a_file_that_changes_while_it_is_read(same_size, tmp_path):
    times, ends = spike_times(300_000)
    write_large(tmp_path / "a.nwb", "units/spike_times", times, 3_200_000, ends)
    body = (tmp_path / "a.nwb").read_bytes()
    with LoopbackArchives({NAME: body}) as archives:
        (recording,) = recordings(archives)
        with nwb.open_nwb(recording) as file:
            archives.files[NAME] = body[:-1] + b"x" if same_size else body + b"x"
            with pytest.raises(BadInput, match="changed: run the same command again"):
                hdf5.prefetch(recording, file["units/spike_times"])


def test_a_damaged_file_is_refused(tmp_path):
    with LoopbackArchives({NAME: b"not HDF5" * 1000}) as archives:
        done = stream("perich", archives, tmp_path / "out")
    assert done.returncode == 2
    assert f"{NAME}: expected a whole NWB file (HDF5)" in done.stderr


def test_a_failing_listing_ends_the_stream(tmp_path):
    with LoopbackArchives({NAME: b"x"}) as archives:
        archives.fail("GET /api/dandisets", 500, float("inf"))
        done = stream("perich", archives, tmp_path / "out")
    assert done.returncode == 2
    assert "expected an answer, found 500" in done.stderr


@pytest.mark.slow
def test_a_stream_killed_and_run_again_skips_sessions_that_are_done(tmp_path):
    """Sessions that were done are not asked for again. One session's bytes are held until the kill."""
    paths = [write_units(tmp_path / f"{i}.nwb", [[0.1 * i, 3.0]]) for i in range(8)]
    files = {f"sub-A/sub-A_ses-{i}.nwb": path.read_bytes() for i, path in enumerate(paths)}
    out = tmp_path / "out"
    with LoopbackArchives(files) as archives:
        archives.fail(BLOBS, "hold", skip=3)
        command = [sys.executable, "data/perich/preprocess.py", "--stream", "--out_dir", str(out)]
        running = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | archives.environment(), stderr=subprocess.DEVNULL
        )
        while len(list(out.glob("rows/*/*.arrow"))) < 3:
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        running.wait()
        done = {path.name.removesuffix(".arrow") for path in out.glob("rows/*/*.arrow")}
        assert len(done) == 3
        archives.seen.clear()
        archives.faults.clear()
        assert stream("perich", archives, out).returncode == 0
        assert archives.asked(BLOBS) == 5
        assert not any(archives.asked(name) for name in done)
    assert len(sessions(out)) == 8
