"""Simulate, in place of downloading, 1 ms rasters of a visual cortex: 2 subjects, 4 sessions of 2 to 3 minutes.

96 to 104 units with lognormal mean rates around 6 Hz, a refractory period of 2 ms and a slow gain in common. Unit 3
(counted from 0) is silent; the second half of the units responds to a stimulus that is shown every 500 ms with a
burst 100 ms later. Every file is an NWB file in the layout of Xiao et al. (DANDI 000628).
"""

from pathlib import Path

from neuralpile import simulation  # not found? run: . .venv/bin/activate

SESSIONS = {  # file: units, seconds; the odd milliseconds fill no bin of 20 ms
    "sub-simC/sub-simC_ses-1.nwb": (96, 120.013),
    "sub-simC/sub-simC_ses-2.nwb": (104, 150.0),
    "sub-simD/sub-simD_ses-1.nwb": (100, 180.007),
    "sub-simD/sub-simD_ses-2.nwb": (98, 120.0),
}


def simulate(path: Path, n_units: int, seconds: float, seed: list[int], identifier: str) -> None:
    """Write one session; the second half of the units bursts."""
    simulated = simulation.population(n_units, seconds, seed, mean_rate=6.0, modulation=simulation.bursts)
    description = "Simulated: the second half of the units bursts 100 ms after a stimulus shown every 500 ms."
    simulation.write_raster_nwb(path, simulated, identifier, description)


if __name__ == "__main__":
    simulation.main(__file__, SESSIONS, simulate)
