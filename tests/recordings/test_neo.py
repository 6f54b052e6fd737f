"""What acquisition systems write, read through neo."""

import numpy as np
import pytest
from helpers.recordings_of_labs import write_nev, write_nex

from neuralpile.errors import BadInput
from neuralpile.recordings import neo
from neuralpile.spikes.session import Options

pytest.importorskip("neo", reason="neo is not installed")


def trains(found):
    return dict(zip(found.ids, [t.tolist() for t in np.split(found.times, found.ends[:-1])], strict=True))


def test_neuroexplorer_files_are_read(tmp_path):
    ticks = {"sig001a": [400, 800, 40_000], "sig001b": [], "sig002a": [20_000]}
    path = write_nex(tmp_path / "sub-A" / "ses-1.nex", ticks)
    assert trains(neo.read_spike_trains(path)) == {"sig001a": [0.01, 0.02, 1.0], "sig001b": [], "sig002a": [0.5]}
    session = neo.count_units(path, Options())
    assert (session.subject_id, session.session_id) == ("sub-A", "ses-1")
    assert [np.flatnonzero(unit).tolist() for unit in session.counts] == [[0, 1, 49], [], [25]]


def test_blackrock_units_are_channels_and_classes(tmp_path):
    spikes = [(300, 1, 1), (600, 1, 1), (30_000, 2, 0), (15_000, 2, 3)]
    found = neo.read_spike_trains(write_nev(tmp_path / "x.nev", spikes))
    assert trains(found) == {"ch1#1": [0.01, 0.02], "ch2#0": [1.0], "ch2#3": [0.5]}


def test_files_that_neo_cannot_read_are_one_clear_line(tmp_path):
    for name, content in (("x.nev", b"NEURALEV" * 3), ("x.plx", b""), ("x.unknown", b"a"), ("x.nex", b"NEX1")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match="expected a recording with spikes that neo can read") as error:
            neo.read_spike_trains(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(BadInput, match="nothing of this name"):
        neo.read_spike_trains(tmp_path / "none.nev")
