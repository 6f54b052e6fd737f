"""From files to sessions: one module for each format that labs and archives hold.

Spike times: `nwb.count_units`, `phy.count_units`, `pynapple.count_units`, `neo.count_units`, and with parameters
`table.count_units(unit=…, time=…)` and `matlab.count_units(…)`. Counts: `nwb.raster(…)`. Each is, or returns, a
function of a recording and options that returns a Session, as `build.main` takes it.

Imports errors, acquire (recordings that are read in place) and spikes; build, and the scripts of the data sets, import
it.
"""
