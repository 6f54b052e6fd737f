"""The tables of every data set hold what its files say, read here with h5py, scipy and numpy alone."""

NULL = ("", "unknown")
# Where the files of a data set say what, as the facts of each data set have it.
QUALITY = {"neupane-ppc": "KSLabel", "neupane-entorhinal": "quality", "kim": "is_sua", "moore": "quality"}
ELECTRODE = {"neupane-entorhinal": "ch", "kim": "best_ch"}
