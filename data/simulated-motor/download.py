"""Simulate, in place of downloading, spike times of a motor cortex: 2 subjects, 5 sessions of 3 to 5 minutes.

40 to 80 units with lognormal mean rates around 5 Hz, a refractory period of 2 ms and a slow gain in common. Unit 3
(counted from 0) is silent, the last third of the units follows a 2 Hz rhythm, and from 10 s to 12 s the recording is
interrupted. The first half of the units is on an array in M1, the second half on one in PMd. Every file is an NWB file
with a units table.
"""

from pathlib import Path

import numpy as np  # not found? run: . .venv/bin/activate

from neuralpile import simulation

SESSIONS = {  # file: units, seconds
    "sub-simA/sub-simA_ses-1.nwb": (48, 180.0),
    "sub-simA/sub-simA_ses-2.nwb": (56, 240.0),
    "sub-simA/sub-simA_ses-3.nwb": (40, 300.0),
    "sub-simB/sub-simB_ses-1.nwb": (80, 240.0),
    "sub-simB/sub-simB_ses-2.nwb": (72, 180.0),
}
GAP = (10.0, 12.0)  # seconds


def simulate(path: Path, n_units: int, seconds: float, seed: list[int], identifier: str) -> None:
    """Write one session."""
    last_third = np.arange(n_units - n_units // 3, n_units)
    simulated = simulation.population(
        n_units, seconds, seed, mean_rate=5.0, modulation=simulation.rhythm, modulated=last_third, gap=GAP
    )
    description = "Simulated: the last third of the units follows a 2 Hz rhythm; interrupted from 10 s to 12 s."
    simulation.write_units_nwb(path, simulated, identifier, description)


if __name__ == "__main__":
    simulation.main(__file__, SESSIONS, simulate)
