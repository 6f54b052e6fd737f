"""From spike times, rates or z-scores to spike counts: what one session is, and how its counts are computed.

`session` defines Session and Options; `trains` holds spike trains and turns them into a session; `clock` refuses times
that cannot be seconds; `binning` counts spikes in bins and decides to which bin a spike on an edge belongs; `zscore`
recovers counts from z-scores; `clock_restarts` lays out the parts of a session whose clock restarts.

Imports only the hall. Imported by recordings, build, and the preprocess.py scripts.
"""
