"""A tokenizer: counts to ids of motifs and back, and sequences of ids for language models."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuralpile import catalog
from neuralpile.errors import BadInput
from neuralpile.training.arguments import check_word
from neuralpile.training.batches import Layout
from neuralpile.training.lookup import Ids, Lookup, Others
from neuralpile.training.vocabulary import ESCAPE, FILE, FIRST_COUNT, FIRST_MOTIF, FIT, PAD, SEP, Vocabulary

Counts = NDArray[np.uint8]
Groups = Ids | Sequence[Ids]  # ids (groups of units, patches); or the ids of each group, where escapes make them longer

WHOLE = "give ids of one tokenizer, without cutting them"


class Tokenizer:
    """Turns counts into the ids of a vocabulary, and ids into counts.

    A row is divided into groups of p_n units, and a group into patches of p_t bins; those at the far edges are padded
    with zeros. Each patch becomes the id of its motif. A patch that the vocabulary does not have becomes the id of the
    nearest motif (see `nearest`); or, with `encode_lossless`, ESCAPE and p_n × p_t ids of its counts, unit after unit.

    Parameters:
        vocabulary: the motifs.

    Attributes:
        vocabulary: as given.

    Example:
        >>> from neuralpile.training.vocabulary import fit_rows
        >>> tokenizer = Tokenizer(fit_rows([np.array([[0, 0, 0, 0, 0, 1, 0, 2]], np.uint8)], 1, 2, size=2))
        >>> ids = tokenizer.encode(np.array([[0, 0, 0, 1, 0, 2, 0]], np.uint8))
        >>> ids.tolist(), tokenizer.decode(ids, (1, 7)).tolist()
        ([[272, 273, 273, 272]], [[0, 0, 0, 1, 0, 1, 0]])
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @classmethod
    def from_pretrained(cls, reference: str | Path) -> "Tokenizer":
        """Read a tokenizer.

        Parameters:
            reference: a folder that `save` or tokenize_dataset.py wrote, the name of such a folder among the local
                builds, or a Hub repository (`someone/name`).

        Raises:
            BadInput: there is none, or its files are damaged. A pickle is not read.
        """
        path, name = Path(reference), str(reference)
        if path.name == name and (catalog.BUILD / name).is_dir():
            return cls(Vocabulary.load(catalog.BUILD / name))
        if path.exists() or name.count("/") != 1 or name.startswith((".", "/", "~")) or path.parent.is_dir():
            return cls(Vocabulary.load(path))
        from neuralpile.hub import client  # imports the Hub's clients, which takes a second

        folder = client.fetch(name, "vocabulary*")
        if not (folder / FILE).is_file():
            raise BadInput(name, f"a data set with {FILE}", "none", FIT)
        return cls(Vocabulary.load(folder))

    def save(self, folder: str | Path) -> None:
        """Write the tokenizer to a folder. The same one gives the same bytes; a kill leaves the old or the new one."""
        self.vocabulary.save(Path(folder))

    @cached_property
    def lookup(self) -> Lookup:
        """The motifs, arranged to be found."""
        return Lookup(self.vocabulary)

    def encode(self, counts: Counts) -> Ids:
        """Turn counts (units, bins), uint8, into ids: (groups of units, patches), uint16 or uint32."""
        return self.lookup.find(_checked(counts))[0]

    def encode_lossless(self, counts: Counts) -> list[Ids]:
        """Turn counts (units, bins), uint8, into the ids of each group of units. Nothing is lost.

        Groups with escapes are longer than others.
        """
        return self.escape(*self.lookup.find(_checked(counts), nearest=False))

    def escape(self, ids: Ids, others: Others) -> list[Ids]:
        """Replace the ids of patches that are not in the vocabulary by ESCAPE and their counts.

        Parameters:
            ids, others: as `Lookup.find` returns them.
        """
        size = self.vocabulary.p_n * self.vocabulary.p_t
        lengths = np.ones(ids.size, np.int64)
        lengths[others.places] += size
        ends = np.cumsum(lengths)
        flat = np.repeat(ids.reshape(-1), lengths)
        at = ends[others.places] - size  # of the first count
        flat[at - 1] = ESCAPE
        counts = others.counts(size)
        flat[at[:, None] + np.arange(size)] = counts[others.which] + self.vocabulary.dtype.type(FIRST_COUNT)
        return np.split(flat, ends[ids.shape[1] - 1 : -1 : ids.shape[1]]) if ids.size else list(ids)

    def decode(self, ids: Groups, shape: tuple[int, int] | None = None, order: ArrayLike | None = None) -> Counts:
        """Turn ids back into counts.

        Parameters:
            ids: what `encode` or `encode_lossless` returned, or a model made.
            shape: units and bins of the row, to undo the padding.
            order: the unit at each place, (units,), of a row that was tokenized with its units in another order: they
                come back as recorded.

        Returns:
            Counts (units, bins), uint8.

        Raises:
            BadInput: an id is neither that of a motif nor part of a whole escape, groups have different numbers of
                patches, there are fewer units or bins than `shape` has, or `order` is not one of these units.
        """
        p_n, p_t = self.vocabulary.p_n, self.vocabulary.p_t
        patches = [self._patches(group) for group in ids]
        if len({len(group) for group in patches}) > 1:
            raise BadInput("ids", "groups of units with the same number of patches", "others", WHOLE)
        n_patches = len(patches[0]) if patches else 0
        blocks = np.array(patches, np.uint8).reshape(len(patches), n_patches, p_n, p_t)
        counts = blocks.swapaxes(1, 2).reshape(len(patches) * p_n, n_patches * p_t)
        if shape is not None:
            if not shape[0]:  # no group says how many bins there were
                counts = np.empty(shape, np.uint8)
            if counts.shape[0] < shape[0] or counts.shape[1] < shape[1]:
                found = f"{counts.shape[0]} × {counts.shape[1]}"
                raise BadInput("ids", f"at least {shape[0]} units × {shape[1]} bins", found, WHOLE)
            counts = np.ascontiguousarray(counts[: shape[0], : shape[1]])
        return counts if order is None else counts[_inverse(order, len(counts))]

    def _patches(self, group: Ids) -> Counts:
        """Return the patches of a group of units: (patches, p_n, p_t)."""
        vocabulary, size = self.vocabulary, self.vocabulary.p_n * self.vocabulary.p_t
        group = np.asarray(group, np.int64)
        first = self._firsts(group)
        heads = group[first]
        found = vocabulary.motifs.patches[np.maximum(heads - FIRST_MOTIF, 0)]
        escaped = first[heads == ESCAPE]
        counts = group[escaped[:, None] + 1 + np.arange(size)] - FIRST_COUNT
        found[heads == ESCAPE] = counts.reshape(-1, vocabulary.p_n, vocabulary.p_t)
        return found

    def _firsts(self, group: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Return where each patch of a group begins. Raises BadInput if the ids are not those of whole patches."""
        size = self.vocabulary.p_n * self.vocabulary.p_t
        first = np.flatnonzero((group < FIRST_COUNT) | (group >= FIRST_MOTIF))
        heads = group[first]
        wrong = heads[(heads != ESCAPE) & ((heads < FIRST_MOTIF) | (heads >= self.vocabulary.n_ids))]
        if len(wrong):
            expected = f"{FIRST_MOTIF} to {self.vocabulary.n_ids - 1}, or escapes"
            raise BadInput("ids", expected, f"{wrong[0]}", WHOLE)
        lengths = np.diff(first, append=len(group))
        if (lengths != np.where(heads == ESCAPE, size + 1, 1)).any() or lengths.sum() < len(group):
            raise BadInput("ids", f"{size} counts after each escape, and nowhere else", "others", WHOLE)
        return first

    def sequence(self, ids: Groups, layout: Layout = "units") -> Ids:
        """Lay the ids of a row out as one sequence.

        Parameters:
            ids: what `encode` or `encode_lossless` returned.
            layout: "units": all patches of the first group of units, SEP, all of the second, SEP, and so on;
                "time": the first patches of all groups, SEP, the second ones, SEP, and so on.

        Returns:
            Ids, (n,). A line of patches always ends with SEP.

        Raises:
            BadInput: there is no such layout, or the ids are none of one row.
        """
        return self._laid_out(ids, layout)[0]

    def sequences(self, ids: Groups, length: int, layout: Layout = "units") -> Ids:
        """Cut `sequence` into sequences of one length, never within a patch. What is left is filled up with PAD.

        Parameters:
            ids, layout: as for `sequence`.
            length: of each sequence, at least that of an escape and its counts if there are any.

        Returns:
            (sequences, length).

        Raises:
            BadInput: `length` is less than one patch needs, or as for `sequence`.
        """
        flat, lengths = self._laid_out(ids, layout)
        longest = int(lengths.max(initial=1))
        if length < longest:
            raise BadInput("length", f"at least {longest}, as one patch needs", f"{length}", "take longer sequences")
        ends = np.cumsum(lengths)
        cuts = [0]
        while cuts[-1] < len(flat):
            cuts.append(int(ends[np.searchsorted(ends, cuts[-1] + length, side="right") - 1]))
        found = np.full((len(cuts) - 1, length), PAD, self.vocabulary.dtype)
        for row, start, stop in zip(found, cuts, cuts[1:], strict=False):
            row[: stop - start] = flat[start:stop]
        return found

    def _laid_out(self, ids: Groups, layout: Layout) -> tuple[Ids, NDArray[np.int64]]:
        """Return the sequence of a row, and the lengths of its patches and separators."""
        check_word("layout", layout, get_args(Layout))
        groups = [np.asarray(group, self.vocabulary.dtype) for group in ids]
        firsts = [self._firsts(group.astype(np.int64)) for group in groups]
        if len({len(first) for first in firsts}) > 1:
            raise BadInput("ids", "groups of units with the same number of patches", "others", WHOLE)
        if not groups:
            return np.empty(0, self.vocabulary.dtype), np.empty(0, np.int64)
        offsets = np.cumsum([0, *map(len, groups)])
        starts = np.array([first + offset for first, offset in zip(firsts, offsets, strict=False)], np.int64)
        sizes = np.array([np.diff(f, append=len(g)) for f, g in zip(firsts, groups, strict=True)], np.int64)
        starts, sizes = starts.reshape(len(groups), -1), sizes.reshape(len(groups), -1)
        if layout == "time":
            starts, sizes = starts.T, sizes.T
        starts = np.pad(starts, [(0, 0), (0, 1)], constant_values=offsets[-1]).reshape(-1)  # where SEP is
        sizes = np.pad(sizes, [(0, 0), (0, 1)], constant_values=1).reshape(-1)
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        flat = np.concatenate([*groups, np.array([SEP], self.vocabulary.dtype)])
        return flat[np.repeat(starts, sizes) + within], sizes

    def groups(self, sequence: Ids, layout: Layout = "units") -> list[Ids]:
        """Undo `sequence`, or `sequences` joined in their order: the ids of each group of units.

        Raises:
            BadInput: lines do not end with SEP, or have different numbers of patches, or there is no such layout.
        """
        check_word("layout", layout, get_args(Layout))
        flat = np.asarray(sequence, self.vocabulary.dtype).reshape(-1)
        flat = flat[flat != PAD]
        ends = np.flatnonzero(flat == SEP)
        if len(flat) and (not len(ends) or ends[-1] != len(flat) - 1):
            raise BadInput("sequence", "SEP at the end", f"{flat[-1]}", WHOLE)
        lines = [line[:-1] for line in np.split(flat, ends + 1)[:-1]]
        if layout == "units":
            return lines
        items = [np.split(line, self._firsts(line.astype(np.int64))[1:]) for line in lines]
        if len({len(line) for line in items}) > 1:
            raise BadInput("sequence", "the same number of groups of units between separators", "others", WHOLE)
        return [np.concatenate(group) for group in zip(*items, strict=True)]


def _checked(counts: Counts) -> Counts:
    """Return counts. Raises BadInput if they are not a matrix of uint8: other types would be cut to 8 bits."""
    found: Any = np.asarray(counts)
    if found.dtype != np.uint8 or found.ndim != 2:
        do = "take the counts of a row"
        raise BadInput("counts", "uint8 of shape (units, bins)", f"{found.dtype} of {found.shape}", do)
    return counts


def _inverse(order: ArrayLike, n_units: int) -> NDArray[np.int64]:
    """Return the place of each unit. Raises BadInput if `order` does not have each of these units once."""
    places = np.asarray(order, np.int64).reshape(-1)
    inverse = np.argsort(places, kind="stable")
    if not np.array_equal(places[inverse], np.arange(n_units)):
        found = f"{len(places)} units" if len(places) != n_units else "some of them twice, or others"
        raise BadInput("order", f"each of {n_units} units once", found, "give the order and the shape of the row")
    return inverse
