"""Build a data set: find its sessions, turn each into rows, and record what was done.

`build.main` is the command line behind every data set's preprocess.py. `sessions` finds the recordings, `session`
builds one of them, `workers` runs them in processes, `loop` goes through all and resumes, `record` reads and writes the
report, `provenance` makes the manifest, `compare` and `verify` compare builds with the published numbers.

Imports the hall, acquire, spikes, recordings, corpus, hub and open. Imported by figures and the scripts.
"""

from neuralpile.build.preprocess import main

__all__ = ["main"]
