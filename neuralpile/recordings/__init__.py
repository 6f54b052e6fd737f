"""Read recordings into sessions: one module for each file format that laboratories hold or publish.

Spike times: `nwb.count_units`, `phy.count_units`, `pynapple.count_units`, `neo.count_units`, and with parameters
`table.count_units(unit=…, time=…)` and `matlab.count_units(…)`. Counts: `nwb.raster(…)`. Each is, or returns, a
function of a recording and options that returns a Session, as `build.main` takes it.

Imports the hall, acquire (recordings that are read in place) and spikes. Imported by build, and by the preprocess.py
scripts.
"""
