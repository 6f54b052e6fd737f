"""Look at data sets: rasters, a summary that flags what seems wrong, and one page about all builds.

`rasters` draws rows: `view` says what of them, `session_time` where they lie in time, `image` makes pixels of counts,
and `unit_order` sorts units. `checks` finds what looks wrong, and `summary` draws it. `page` is the page. `references`
says which data sets are meant.

Imports everything below it. Imported by visualize_dataset.py and new_dataset.py only.
"""
