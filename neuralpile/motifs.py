"""Motifs: all unique patches of (p_n units, p_t bins) in a data set, and how often each occurs.

A patch's bytes, filled up to 64-bit words, are its key in a hash table that a compiled loop fills; keys of one word are
sorted before, and equal ones counted. That is exact for every shape and every count. In memory are some megabytes of
patches at a time, and the table of unique ones.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from neuralpile import catalog
from neuralpile.files import whole_file

SLAB = 4_000_000  # tokens that are cut into patches at a time: their words should fit a processor's cache
SMALLEST_TABLE = 2**16  # slots: a megabyte for keys of one word
ROW_GROUP = 2**27  # bins in a row group of the Parquet file, about
MOST_DRAWN = 400  # motifs in a figure


@dataclass(frozen=True)
class Motifs:
    """The unique patches of a data set, the most frequent first, those of one frequency in lexicographic order."""

    patches: np.ndarray  # (motifs, p_n, p_t), uint8
    frequencies: np.ndarray  # (motifs,), int64
    tokens: int  # counted, without the zeros that fill up the patches at the edges

    @property
    def total(self) -> int:
        """Number of patches."""
        return int(self.frequencies.sum())

    @property
    def probabilities(self) -> np.ndarray:
        """Share of each motif in all patches: (motifs,), float64."""
        return self.frequencies / self.total


def count(rows: Iterable[np.ndarray], p_n: int, p_t: int) -> Motifs:
    """Count the unique patches of (p_n units, p_t bins) of all rows, exactly.

    Patches do not overlap; those at the far edges are filled up with zeros.

    Args:
        rows: counts (units, bins), uint8, of each row.
        p_n: units of a patch, at least 1.
        p_t: bins of a patch, at least 1.
    """
    table, tokens = Table(p_n * p_t), 0
    for counts in rows:
        tokens += counts.size
        units_in_slab = p_n * max(1, SLAB // max(1, p_n * counts.shape[1]))
        for start in range(0, counts.shape[0], units_in_slab):
            table.add(patch_words(counts[start : start + units_in_slab], p_n, p_t))
    patches, frequencies = table.patches()
    # words whose numeric order is the lexicographic order of the bytes
    words = _filled_up(patches).view(">u8").astype(np.uint64)
    order = np.lexsort((*words.T[::-1], -frequencies))
    return Motifs(patches[order].reshape(-1, p_n, p_t), frequencies[order], tokens)


def patch_words(counts: np.ndarray, p_n: int, p_t: int) -> np.ndarray:
    """Cut counts (units, bins) into patches, and give their bytes as words (patches, ceil(p_n * p_t / 8)), uint64.

    Zeros fill up patches at the far edges, and the last word of every patch. A view of the counts where it can be.
    """
    ragged = [(0, -counts.shape[0] % p_n), (0, -counts.shape[1] % p_t)]
    if any(fill for _, fill in ragged):
        counts = np.pad(counts, ragged)
    blocks = counts.reshape(counts.shape[0] // p_n, p_n, counts.shape[1] // p_t, p_t).swapaxes(1, 2)
    return _filled_up(blocks.reshape(-1, p_n * p_t)).view(np.uint64)


def _filled_up(patches: np.ndarray) -> np.ndarray:
    """Bytes (patches, size) with zeros up to a multiple of 8: (patches, 8 * words), uint8."""
    n, size = patches.shape
    if size % 8 == 0:
        return np.ascontiguousarray(patches)
    filled = np.zeros((n, size + -size % 8), np.uint8)
    filled[:, :size] = patches
    return filled


class Table:
    """A hash table of patches of `size` bytes: how often each was added."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._slots = self._empty(SMALLEST_TABLE)
        self._used = 0

    def _empty(self, n: int) -> np.ndarray:
        """Slots (n, words + 1), uint64: a key, and after it its frequency; 0 where the slot is free."""
        return np.zeros((n, -(-self._size // 8) + 1), np.uint64)

    def add(self, words: np.ndarray) -> None:
        """Count patches given as words (patches, words), uint64."""
        done, frequencies = 0, np.ones(1, np.uint64)
        if words.shape[1] == 1:  # numpy sorts words faster than a hash table counts them
            words, frequencies = _runs(np.sort(words[:, 0]))
        while True:
            done, self._used = _add(words, frequencies, done, self._slots, self._used)
            if done == len(words):
                return
            old = self._slots[self._slots[:, -1] > 0]
            self._slots = self._empty(4 * len(self._slots))
            _add(old[:, :-1], old[:, -1], 0, self._slots, 0)

    def patches(self) -> tuple[np.ndarray, np.ndarray]:
        """The unique patches (n, size), uint8, and their frequencies (n,), int64, in no order."""
        used = self._slots[self._slots[:, -1] > 0]
        return np.ascontiguousarray(used[:, :-1]).view(np.uint8)[:, : self._size], used[:, -1].astype(np.int64)


def _runs(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unique ones (n, 1) of sorted keys, and their frequencies (n,), uint64."""
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
    return keys[starts, None], np.diff(starts, append=len(keys)).astype(np.uint64)


@numba.njit(cache=True, nogil=True)
def _add(words, frequencies, start, slots, used):  # type: ignore[no-untyped-def]
    """Add keys from `start` on until all are in or the table is half full; give the next key and the used slots.

    Multiplicative hashing (Knuth, The Art of Computer Programming 3, 6.4) with linear probing. `frequencies` has one
    number for each key, or one for all.
    """
    n_words, n_slots = words.shape[1], len(slots)
    shift = np.uint64(64) - np.uint64(np.round(np.log2(n_slots)))
    for i in range(start, len(words)):
        frequency = frequencies[i] if len(frequencies) > 1 else frequencies[0]
        code = np.uint64(0)
        for w in range(n_words):
            code = (code ^ (code >> np.uint64(29)) ^ words[i, w]) * np.uint64(0x9E3779B97F4A7C15)
        slot = np.int64(code >> shift)
        while slots[slot, n_words]:
            same = True
            for w in range(n_words):
                same &= slots[slot, w] == words[i, w]
            if same:
                break
            slot = (slot + 1) & (n_slots - 1)
        else:
            if 2 * used >= n_slots:
                return i, used
            used += 1
            for w in range(n_words):
                slots[slot, w] = words[i, w]
        slots[slot, n_words] += frequency
    return len(words), used


def write_table(motifs: Motifs, path: Path, name: str) -> None:
    """Write all motifs as Parquet: `patch` (p_n lists of p_t counts), `frequency`, `probability`.

    The numbers of tokens and patches, and the name of the data set, are in the metadata of its schema.
    """
    n, p_n, p_t = motifs.patches.shape
    facts = {"data_set": name, "p_n": p_n, "p_t": p_t, "tokens": motifs.tokens, "patches": motifs.total}
    schema = pa.schema(
        [("patch", pa.list_(pa.list_(pa.uint8()))), ("frequency", pa.int64()), ("probability", pa.float64())],
        metadata={key: str(value) for key, value in facts.items()},
    )
    probabilities = motifs.probabilities
    with whole_file(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        group = max(1, ROW_GROUP // (p_n * p_t))
        for start in range(0, n, group):
            patches = motifs.patches[start : start + group]
            values = pa.array(patches.reshape(-1))
            units = pa.ListArray.from_arrays(np.arange(len(patches) * p_n + 1, dtype=np.int32) * p_t, values)
            column = pa.ListArray.from_arrays(np.arange(len(patches) + 1, dtype=np.int32) * p_n, units)
            part = slice(start, start + group)
            writer.write_table(pa.table([column, motifs.frequencies[part], probabilities[part]], schema=schema))


# 0 is blue and 1 red, as in the published figures; more spikes have lighter colours.
COLOURS = ("#2b5c9e", "#d7301f", "#fc8d3c", "#fed45a", "#8fd1c5")
MANY = "#3a1152"
LARGEST_SHOWN = len(COLOURS)  # this count and all above share a colour; the number stands in the cell


def draw(motifs: Motifs, name: str, top: int) -> Figure:
    """Draw the `top` most frequent motifs, bins along x and units along y, each with its rank and probability."""
    n, p_n, p_t = motifs.patches.shape
    shown = min(top, n)
    cell = 0.26 if max(p_n, p_t) <= 16 else 4.2 / max(p_n, p_t)  # inches
    width, height = max(0.95, cell * p_t + 0.35), cell * p_n + 0.45  # with the line above a motif
    columns = _columns(shown, width / height)
    lines = -(-shown // columns)
    fig_width = max(columns * width + 0.4, 5.2)  # the heading needs that
    figure = Figure((fig_width, lines * height + 1.35), dpi=150)
    figure.suptitle(f"{name}: {p_n} × {p_t} motifs", y=1 - 0.12 / figure.get_figheight(), fontsize=12, va="top")
    facts = f"{motifs.total:,} patches (units × bins), {n:,} unique; shown: the most frequent {shown}"
    figure.text(0.5, 1 - 0.42 / figure.get_figheight(), facts, ha="center", va="top", fontsize=8)
    colours = ListedColormap([*COLOURS, MANY])
    left = (fig_width - columns * width) / 2
    for i in range(shown):
        line, column = divmod(i, columns)
        x = left + column * width + (width - cell * p_t) / 2
        y = figure.get_figheight() - 0.75 - line * height - 0.25 - cell * p_n
        box = (x / fig_width, y / figure.get_figheight(), cell * p_t / fig_width, cell * p_n / figure.get_figheight())
        axes = figure.add_axes(box)
        patch = motifs.patches[i]
        axes.pcolormesh(
            np.minimum(patch, LARGEST_SHOWN),
            cmap=colours,
            vmin=-0.5,
            vmax=LARGEST_SHOWN + 0.5,
            edgecolors="white",
            lw=0.5,
        )
        axes.invert_yaxis()
        axes.set_axis_off()
        axes.set_title(f"{i + 1}.  {motifs.probabilities[i]:.3%}", fontsize=7, pad=2)
        if cell > 0.12:
            for unit, b in np.argwhere(patch >= LARGEST_SHOWN):
                axes.text(b + 0.5, unit + 0.5, patch[unit, b], color="white", ha="center", va="center", fontsize=5)
    values = np.unique(np.minimum(motifs.patches[:shown], LARGEST_SHOWN))
    labels = [f"≥ {v}" if v == LARGEST_SHOWN else f"{v}" for v in values]
    handles = [Patch(facecolor=colours(int(v)), edgecolor="grey", label=t) for v, t in zip(values, labels, strict=True)]
    legend = figure.legend(
        handles=handles, loc="lower center", ncols=len(handles), fontsize=7, frameon=False, title="spikes in a bin"
    )
    legend.get_title().set_fontsize(7)
    return figure


def _columns(n: int, aspect: float) -> int:
    """In how many columns n pictures, `aspect` times as wide as high, fill a page half as wide again as high best."""

    def misfit(columns: int) -> float:
        lines = -(-n // columns)
        return abs(np.log(columns * aspect / lines / 1.5)) + 4 * (columns * lines - n) / n

    return min(range(1, n + 1), key=misfit)


def file_stem(name: str, p_n: int, p_t: int) -> str:
    """Name of the files of a data set's motifs, without suffix; the whole corpus is "primate", as published."""
    data_set = "primate" if name.rpartition("/")[2] == catalog.PILE else name.replace("/", "--")
    return f"{data_set}_({p_n}x{p_t})_motifs"


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as JPEG."""
    with whole_file(path) as partial:
        figure.savefig(partial, format="jpeg", pil_kwargs={"quality": 92})
