"""Look at data sets: rasters, maps of electrodes, a summary that flags what seems wrong, and one page about all builds.

`rasters` draws rows: `view` says what of them, `session_time` where they lie in time, `image` makes pixels of counts,
and `areas` gives brain areas their colours. `electrode_map` draws arrays. `session_units` reads what is known of units,
and `sheet` lays out panels and their titles. `checks` finds what looks wrong, and
`summary` draws it. `words` says what is in it. `page` is the page, and `bars` its bars.
`references` says which data sets are meant.

Imports everything below it. Imported by visualize_dataset.py and new_dataset.py only.
"""
