"""Look at data sets: rasters, a summary that flags what seems wrong, and one page about all builds.

`rasters` draws rows; `checks` is the summary; `page` is the page; `palette` has the colours of all figures.

Imports everything below it. Imported by visualize_dataset.py only.
"""
