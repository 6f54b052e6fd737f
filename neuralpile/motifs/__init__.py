"""Count motifs: all unique patches of a data set and how often each occurs.

`run` does all that extract_motifs.py does. `extract` counts rows in blocks with `kernels` (compiled), with `spill`
where they exceed memory and `cluster` on a Dask cluster. `parquet` writes the table, `summary` the numbers, and
`figures` draws; `independent` is the model of independent units that they are compared with. `limits` keeps to
the memory limit of the process, and `matplotlib_folder` gives matplotlib a folder for its caches.

Imports the hall and corpus. Imported by figures, extract_motifs.py and visualize_dataset.py.
"""
