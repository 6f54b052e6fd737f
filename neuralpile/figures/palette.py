"""The colours of all figures and of the report, told apart also by people who see colours differently.

Categories: Okabe & Ito 2008, "Color Universal Design", https://jfly.uni-koeln.de/color/. Counts: matplotlib's magma,
which gets darker evenly (see `rasters.palette`).
"""

BASE, ACCENT, WARNING, GREY = "#0072B2", "#E69F00", "#B23A00", "#595959"
CATEGORIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
