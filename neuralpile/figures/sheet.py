"""Lay out a figure: panels of one size on whole pixels, their titles, the figure's titles, and one colour bar."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from neuralpile import catalog
from neuralpile.figures.image import Scale

DPI = 128  # a power of two: inches are then exact, and so are the pixels of matplotlib
# Pixels. Panels share the width, but are not narrower than the narrowest: the figure then gets wider.
WIDTH, NARROWEST, ASPECT = 1900, 500, 0.66
LEFT, RIGHT, ABOVE, BELOW = 84, 36, 46, 72  # around each panel, for its titles and labels
HEAD, BAR, MARGIN = 84, 130, 20  # of the figure: its titles; the colour bar on the right
SMALL, MIDDLE, LARGE, GREY = 7, 8, 12, "0.35"  # points; the colour of small print
SWATCH = 11  # pixels: side of a square in a legend


class Sheet:
    """An empty figure with room for panels.

    Parameters:
        n_panels: how many, at least one.
        pixels: how wide the panels are together.
        narrowest: pixels, of a panel.
        aspect: height of a panel by its width.
        n_columns: of panels; None for about as many as lines.

    Attributes:
        figure: what is drawn on.
        width, height: of a panel, in pixels.
    """

    def __init__(
        self,
        n_panels: int,
        pixels: int = WIDTH,
        narrowest: int = NARROWEST,
        aspect: float = ASPECT,
        n_columns: int | None = None,
    ) -> None:
        self._n_columns = n_columns or math.ceil(math.sqrt(n_panels))
        self._n_lines = math.ceil(n_panels / self._n_columns)
        self.width = max(narrowest, pixels // self._n_columns - LEFT - RIGHT)
        self.height = round(aspect * self.width)
        self._column, self._line = LEFT + self.width + RIGHT, ABOVE + self.height + BELOW
        self._wide, self._high = self._n_columns * self._column + BAR, HEAD + self._n_lines * self._line
        self.figure = Figure((self._wide / DPI, self._high / DPI), dpi=DPI)
        self._renderer = FigureCanvasAgg(self.figure).get_renderer()  # type: ignore[no-untyped-call,unused-ignore]

    def place(self, i: int) -> tuple[int, int]:
        """Return the upper left corner of panel `i`, in pixels from that of the figure."""
        return i % self._n_columns * self._column + LEFT, HEAD + i // self._n_columns * self._line + ABOVE

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Add axes whose upper left corner is at (x, y). Pixels."""
        wide, high = self._wide, self._high
        return self.figure.add_axes((x / wide, 1 - (y + height) / high, width / wide, height / high))

    def panel(self, i: int, title: Sequence[str], subtitle: Sequence[str]) -> Axes:
        """Add the axes of panel `i`, with two lines of titles."""
        x, y = self.place(i)
        self.write(x, y - 38, title, self.width + RIGHT, SMALL)
        self.write(x, y - 20, subtitle, self.width + RIGHT, SMALL, GREY)
        return self.axes(x, y, self.width, self.height)

    def write(self, x: float, y: float, parts: Sequence[str], room: float, size: float, colour: str = "black") -> float:
        """Write what fits in `room` pixels below (x, y), and return how wide it is in pixels.

        Ids may hold anything, so dollars do not mean mathematics.
        """
        place = x / self._wide, 1 - y / self._high
        text = self.figure.text(*place, "", va="top", parse_math=False, fontsize=size, color=colour)

        def fits(title: str) -> bool:
            text.set_text(title)
            return bool(text.get_window_extent(self._renderer).width <= room)

        text.set_text(shorten(parts, fits))
        return float(text.get_window_extent(self._renderer).width)

    def write_down(self, x: float, y: float, name: str, room: float) -> None:
        """Write a name from bottom to top, in the middle of `room` pixels below (x, y), if it fits there."""
        place = x / self._wide, 1 - (y + room / 2) / self._high
        text = self.figure.text(*place, name, va="center", parse_math=False, fontsize=SMALL, rotation=90)
        if text.get_window_extent(self._renderer).height > room:
            text.remove()

    def heading(self, title: str, chosen: str) -> None:
        """Write the titles of the figure."""
        self.write(MARGIN, 16, [title], self._wide - 2 * MARGIN, LARGE)
        self.write(MARGIN, 46, [chosen], self._wide - 2 * MARGIN, MIDDLE, GREY)

    def legend(self, colours: dict[str, str]) -> None:
        """Write names with squares of their colours in a line under the titles."""
        x, y = float(MARGIN), 65
        room = (self._wide - 2 * MARGIN) / max(1, len(colours)) - 3 * SWATCH
        for name, colour in colours.items():
            corner = x / self._wide, 1 - (y + 2 + SWATCH) / self._high
            size = SWATCH / self._wide, SWATCH / self._high
            square = Rectangle(corner, *size, transform=self.figure.transFigure, facecolor=colour, edgecolor="none")
            self.figure.add_artist(square)
            x += 1.5 * SWATCH
            x += self.write(x, y, [name], room, SMALL) + 1.5 * SWATCH

    def colour_bar(self, scale: Scale, title: str) -> None:
        """Add a colour bar, which belongs to all lines of panels."""
        bar_height = (self._n_lines - 1) * self._line + self.height
        place = self.axes(self._n_columns * self._column, HEAD + ABOVE, 18, bar_height)
        colours = ScalarMappable(scale.norm, scale.colours)
        bar = self.figure.colorbar(colours, place, spacing="uniform")
        bar.set_ticks(list((scale.edges[:-1] + scale.edges[1:]) / 2), labels=scale.labels, fontsize=SMALL)
        bar.ax.tick_params(which="both", length=0)
        bar.set_label(title, fontsize=SMALL)


def shorten(parts: Sequence[str], fits: Callable[[str], bool]) -> str:
    """Join parts to a title. The longest parts are shortened in their middle until the title fits.

    Example:
        >>> shorten(["monkey-N", "2015-07-23_recording_2"], lambda title: len(title) <= 25)
        'monkey-N · 2015-07…ding_2'
    """
    parts = [" ".join(str(part).split()) for part in parts]

    def title(longest: int) -> str:
        head, tail = longest // 2, (longest - 1) // 2
        return " · ".join(part if len(part) <= longest else f"{part[:head]}…{part[-tail:]}" for part in parts)

    whole = max(3, *map(len, parts), 3)
    n_cut = bisect_left(range(whole - 3), True, key=lambda n_cut: fits(title(whole - n_cut)))
    return title(whole - n_cut)


def title_of(name: str, sources: Sequence[str | None]) -> str:
    """Return a data set's name, its title in the catalog, and whether its rows are simulated, by their sources.

    Parameters:
        name: of the data set.
        sources: of each row; None where that is the data set itself.
    """
    known = set(catalog.names())
    own = name.rpartition("/")[2]  # of a Hub repository, someone/name
    title = name.removesuffix(own) + catalog.load(own).heading if own in known else name
    names = [(source or own).rpartition("/")[2] for source in sources]
    simulated = [source in known and catalog.load(source).simulated for source in names]
    return title + (" (simulated)" if simulated and all(simulated) else " (partly simulated)" if any(simulated) else "")
