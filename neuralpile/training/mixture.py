"""Mixtures: which share of the windows of an epoch each group of rows has, by component, animal or area."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from neuralpile.corpus.contents import NOT_STATED
from neuralpile.corpus.rows import Names, RowSource
from neuralpile.errors import BadInput
from neuralpile.training import selection
from neuralpile.training.arguments import check_word, number
from neuralpile.training.index import Groups, Rows, Rules, rounded, windows_of
from neuralpile.training.permutation import Integers

MixBy = Literal["source_dataset", "animal", "area"]
ROUNDING = 1e-9  # what sums of floats can exceed 1 by: 0.1 + 0.2 + 0.7 may be a little more


class Mixture(NamedTuple):
    """What a user asks for; `Windows` says what each of these means."""

    weights: Mapping[str, float] | None
    temperature: float | None
    cap: float | None
    mix_by: MixBy

    @classmethod
    def of(
        cls, weights: Mapping[str, float] | None, temperature: float | None, cap: float | None, mix_by: MixBy
    ) -> "Mixture":
        """A mixture whose options have a meaning, whatever groups there are. Raises BadInput if one has none."""
        check_word("mix_by", mix_by, get_args(MixBy))
        if temperature is not None:
            number("temperature", temperature, 0)
        if cap is not None:
            number("cap", cap, 1)
        if weights is not None and not isinstance(weights, Mapping):
            raise BadInput("weights", "a share for each group's name", repr(weights)[:80], "give weights={'name': 0.5}")
        if weights and temperature is not None:
            raise BadInput("temperature", "weights or a temperature", "both", "give one of them")
        return cls(weights, temperature, cap, mix_by)

    @property
    def is_plain(self) -> bool:
        """Whether it leaves all rows as they are."""
        return not self.weights and self.temperature is None and self.cap is None

    def groups(self, data_set: RowSource, names: Sequence[Names], rows: Rows, rules: Rules) -> Groups:
        """The groups of rows, and the windows of each in an epoch.

        Parameters:
            data_set: where the rows are from.
            names: of all its rows.
            rows: that windows are taken from.
            rules: how.

        Raises:
            BadInput: a weight names no group, or the weights are no shares.
        """
        named, of_row = np.unique(self._labels(data_set, [names[i] for i in rows.number.tolist()]), return_inverse=True)
        group, known = of_row.astype(np.int64), [str(name) for name in named]
        slots = windows_of(rows, rules)
        held = np.bincount(group, slots, len(known)).astype(np.int64)
        wanted = held / held.sum()
        if self.weights:
            wanted = _weighted(wanted, known, self.weights)
        elif self.temperature is not None:
            wanted = (held / held.max()) ** float(self.temperature)  # of the largest: no power is too large for a float
            wanted /= wanted.sum()
        quota: Integers = rounded(wanted * held.sum(), int(held.sum()))
        if self.cap is not None:
            units = rows.n_units if rules.n_units is None else np.minimum(rows.n_units, rules.n_units)
            tokens = units * np.minimum(rows.n_bins, rules.n_bins) * rows.summed * slots
            of_window = np.bincount(group, tokens, len(known)) / np.maximum(held, 1)
            most = np.maximum(float(self.cap) // np.maximum(of_window, 1), 1)
            quota = np.minimum(quota, most).astype(np.int64)
        return Groups(known, group, quota)

    def _labels(self, data_set: RowSource, names: Sequence[Names]) -> list[str]:
        """The name of the group of each row."""
        if self.mix_by == "source_dataset":
            return [name.source_dataset or data_set.name for name in names]
        column = "animal" if self.mix_by == "animal" else "areas"
        return [_word(value) for value in selection.of_sessions(data_set, names, column)]


def _word(value: Any) -> str:
    """A group's name from a value of the table of sessions."""
    if isinstance(value, list):
        return " + ".join(sorted(set(filter(None, value)))) or NOT_STATED
    return value or NOT_STATED


def _weighted(
    held: npt.NDArray[np.float64], groups: Sequence[str], weights: Mapping[str, float]
) -> npt.NDArray[np.float64]:
    """Shares of groups: those that are given, and the others in proportion to what they hold."""
    for name in weights:
        if name not in groups:
            raise BadInput("weights", f"some of {', '.join(groups)}", str(name)[:80], "name one of these")
    given = np.array([number("weights", weights.get(group, 0.0), 0, group) for group in groups])
    named = np.array([group in weights for group in groups])
    left = held * ~named
    if left.sum() == 0:
        if given.max() == 0:
            raise BadInput("weights", "a share above 0", "none", "give one")
        given = np.ldexp(given, -np.frexp(given.max())[1])  # exact, and no sum is too large for a float
        all_of_them: npt.NDArray[np.float64] = given / given.sum()
        return all_of_them
    if (total := sum(given.tolist())) > 1 + ROUNDING:
        others = ", ".join(group for group in groups if group not in weights)
        do = f"give smaller ones, or name all groups ({others} too): then only their proportions matter"
        raise BadInput("weights", "shares of at most 1 in all", f"{total:.10g}", do)
    shares: npt.NDArray[np.float64] = given / max(total, 1) + left / left.sum() * max(1 - total, 0)
    return shares
