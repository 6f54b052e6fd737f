"""Count motifs: all unique patches of a data set and how often each occurs.

`extract` cuts rows into patches and counts them, in `kernels` (compiled), with `spill` where they outgrow memory and
`cluster` on a Dask cluster; `figures` draws the most frequent.

Imports the hall, corpus and hub. Imported by figures and by extract_motifs.py.
"""
